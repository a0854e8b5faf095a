"""Joint reconstruction of revolution frequency and injection time from the harmonics of the fast rotation.

The data fix the characteristic function of ρ(f, τ) along rays (h t, h f₀), t ≥ t_s, but not at (a, 0), where the
wanted moments of f live; a Fourier transform alone must assume that f and τ are independent. Here the whole density is
reconstructed: log ρ is a tensor spline whose third differences are penalised, so that ρ is positive and, where the data
say nothing, as close to a two-dimensional Gaussian *with any correlation* as they allow. The strengths of the penalty
follow from the data (marginal likelihood, generalised Fellner–Schall iteration of Wood and Fasiolo, Biometrics 73,
1071 (2017)); errors are those of the Laplace approximation, which contain what the penalty had to fill in.
See ``docs/physics/beam_corrections.md``.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.stats import chi2 as chi2_distribution

from gminus2.beam.density_model import F_SPLINES, TAU_SPLINES, Problem, prepare
from gminus2.beam.joint_density import JointDensity
from gminus2.beam.rotation_signal import HarmonicData
from gminus2.constants import F_CYCLOTRON_MHZ
from gminus2.errors import FitError

__all__ = ["reconstruct"]

FloatArray = NDArray[np.float64]

_PENALTY_RANGE: Final = (1e-4, 1e7)
#: Log-normal prior of each penalty strength: where the data do not care, the density is near a Gaussian, but the
#: chance that it is rougher stays in the error.
_PRIOR_LOG: Final = float(np.log(1e4))
_PRIOR_WIDTH: Final = float(np.log(30.0))


def _objective(problem: Problem, c: FloatArray, penalty: FloatArray) -> tuple[float, FloatArray, FloatArray]:
    rho = np.exp(np.minimum(problem.log_density(c), 30.0))
    residual = problem.matrix @ rho - problem.data
    return float(0.5 * residual @ residual + 0.5 * c @ penalty @ c), rho, residual


def _step_limit(rho: FloatArray, change: FloatArray) -> float:
    """Return the largest share of a step in log ρ that keeps the linearisation sane.

    Where the density is nothing, it may fall freely and rise as far as the peak; elsewhere it may change by e³.
    """
    below = np.log(rho.max()) - np.log(np.maximum(rho, 1e-300))
    allowed = np.where(change > 0.0, np.maximum(below, 3.0), np.where(below > 7.0, np.inf, 3.0))
    return float(min(1.0, np.min(allowed / np.maximum(np.abs(change), 1e-12))))


def _newton_step(problem: Problem, c: FloatArray, penalty: FloatArray) -> tuple[FloatArray, float, FloatArray]:
    """Take one damped Gauss–Newton step; return the new coefficients, the decrease and JᵀJ at the old point."""
    value, rho, residual = _objective(problem, c, penalty)
    jacobian = problem.jacobian(rho)
    fisher = jacobian.T @ jacobian
    gradient = jacobian.T @ residual + penalty @ c
    pull = problem.matrix.T @ residual * rho
    # The whole curvature converges fast along the flat valley of a late start; far from the minimum it may not be
    # positive, and its positive part is used instead.
    step = None
    for part in (pull, np.maximum(pull, 0.0)):
        hessian = fisher + penalty + problem.node_curvature(part)
        hessian[np.diag_indices_from(hessian)] += 1e-8
        try:
            step = -cho_solve(cho_factor(hessian, check_finite=False), gradient, check_finite=False)
        except np.linalg.LinAlgError:
            continue
        break
    if step is None:
        raise FitError("the momentum–time reconstruction met a singular curvature", hint="start earlier")
    scale = _step_limit(rho, problem.log_density(step))
    while True:
        trial = c + scale * step
        new, _, _ = _objective(problem, trial, penalty)
        if new <= value + 1e-10 * abs(value) or scale < 1e-8:
            return trial, value - new, fisher
        scale *= 0.5


def _weighted(problem: Problem, strengths: FloatArray) -> FloatArray:
    total: FloatArray = sum((s * p for s, p in zip(strengths, problem.penalties, strict=True)), np.zeros(1))
    return total


def _inverse(matrix: FloatArray) -> FloatArray:
    """Return the inverse of a positive matrix: half the work of a general one."""
    factor, failed = dpotrf(matrix, lower=0)
    if failed:
        return np.asarray(np.linalg.inv(matrix), dtype=np.float64)
    upper, _ = dpotri(factor, lower=0)
    return np.asarray(np.triu(upper) + np.triu(upper, 1).T, dtype=np.float64)


def _update_strengths(problem: Problem, c: FloatArray, fisher: FloatArray, strengths: FloatArray) -> FloatArray:
    """One generalised Fellner–Schall step towards the maximum of the marginal likelihood."""
    penalty = _weighted(problem, strengths)
    # No penalty acts on the free directions, so filling them makes the inverse exist and leaves the traces alone.
    prior = _inverse(penalty + float(penalty.diagonal().mean()) * problem.free)
    posterior = _inverse(fisher + penalty + 1e-8 * np.eye(len(c)))
    updated = np.empty_like(strengths)
    for k, part in enumerate(problem.penalties):
        room = strengths[k] * (float((part * prior).sum()) - float((part * posterior).sum()))
        rough = strengths[k] * float(c @ part @ c)
        log_strength = np.log(strengths[k])
        slope = 0.5 * (room - rough) - (log_strength - _PRIOR_LOG) / _PRIOR_WIDTH**2
        curvature = 0.5 * max(room, rough) + 1.0 / _PRIOR_WIDTH**2
        step = np.clip(1.4 * slope / curvature, -3.0, 3.0)
        updated[k] = np.exp(np.clip(log_strength + step, *np.log(_PENALTY_RANGE)))
    return updated


def _minimise(problem: Problem, c: FloatArray, strengths: FloatArray, steps: int = 60) -> tuple[FloatArray, FloatArray]:
    penalty = _weighted(problem, strengths)
    fisher = np.zeros_like(penalty)
    for _ in range(steps):
        c, decrease, fisher = _newton_step(problem, c, penalty)
        if decrease < 5e-3:
            return c, fisher
    raise FitError(
        "the momentum–time reconstruction did not converge",
        found=f"objective still falling after {steps} steps",
        hint="start earlier, or check that the file holds a fast-rotation signal",
    )


def reconstruct(
    data: HarmonicData,
    f_range_mhz: tuple[float, float],
    *,
    revolution_mhz: float = F_CYCLOTRON_MHZ,
    strength_factor: float = 1.0,
) -> JointDensity:
    """Reconstruct ρ(f, τ).

    Parameters
    ----------
    data
        Harmonics of the early signal.
    f_range_mhz
        Frequencies that the aperture lets through.
    strength_factor
        Multiplies the penalties found, to see what they do.

    Raises
    ------
    FitError
        No convergence.
    """
    problem = prepare(data, f_range_mhz, revolution_mhz)
    c = problem.start
    strengths = np.array([1e4, 1e4, 1e4])
    for _ in range(8):
        c, decrease, fisher = _newton_step(problem, c, _weighted(problem, strengths))
        if decrease < 1.0:
            break
    for _ in range(30):
        updated = _update_strengths(problem, c, fisher, strengths)
        change = float(np.abs(np.log(updated / strengths)).max())
        strengths = updated
        c, decrease, fisher = _newton_step(problem, c, _weighted(problem, strengths))
        if decrease < 1.0:
            c, decrease, fisher = _newton_step(problem, c, _weighted(problem, strengths))
        if change < 0.3 and decrease < 0.02:
            break
    strengths = np.clip(strengths * strength_factor, *_PENALTY_RANGE)
    c, _ = _minimise(problem, c, strengths)
    penalty = _weighted(problem, strengths)
    _, rho, residual = _objective(problem, c, penalty)
    jacobian = problem.jacobian(rho)
    fisher = jacobian.T @ jacobian
    covariance = _inverse(fisher + penalty + 1e-8 * np.eye(len(c)))
    used = float((covariance * fisher).sum())
    chi2 = float(residual @ residual) + problem.rest
    ndf = problem.n_data - used
    shape = (len(problem.f_mhz), len(problem.tau_us))
    weights = (rho / rho.sum()).reshape(shape)
    return JointDensity(
        f_mhz=problem.f_mhz,
        tau_us=problem.tau_us,
        weights=weights,
        chi2=chi2,
        ndf=ndf,
        p_value=float(chi2_distribution.sf(chi2, ndf)),
        penalties=tuple(float(s) for s in strengths),
        _problem=problem,
        _coefficients=c,
        _covariance=covariance,
        _noise=covariance @ fisher @ covariance,
        _separable=_separable_covariance(fisher, penalty),
        _by_strength=_strength_response(problem, c, covariance, strengths),
    )


def _strength_response(problem: Problem, c: FloatArray, covariance: FloatArray, strengths: FloatArray) -> FloatArray:
    """Return the change of the coefficients per standard deviation of each log penalty strength, shape (n, 3).

    From the implicit derivative dc/d ln λ_k = −H⁻¹ λ_k S_k c and the curvature of the marginal likelihood.
    """
    response = np.empty((len(c), len(strengths)))
    for k, part in enumerate(problem.penalties):
        pull = strengths[k] * (part @ c)
        width = 1.0 / np.sqrt(0.5 * float(c @ pull) + 1.0 / _PRIOR_WIDTH**2)
        response[:, k] = -width * (covariance @ pull)
    return response


def _separable_covariance(fisher: FloatArray, penalty: FloatArray) -> FloatArray:
    """Return the covariance if log ρ = a(f) + b(τ): the posterior restricted to that subspace."""
    one_f, one_tau = np.eye(F_SPLINES), np.eye(TAU_SPLINES)
    along_f = np.kron(one_f, np.ones((TAU_SPLINES, 1)))
    along_tau = np.kron(np.ones((F_SPLINES, 1)), one_tau[:, 1:])
    basis = np.hstack([along_f, along_tau])
    inner = basis.T @ (fisher + penalty) @ basis + 1e-8 * np.eye(basis.shape[1])
    covariance: FloatArray = basis @ np.linalg.solve(inner, basis.T)
    return covariance
