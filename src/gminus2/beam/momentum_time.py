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

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.linalg import cho_factor, cho_solve, eigh
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.stats import chi2 as chi2_distribution

from gminus2.beam.rotation_signal import HarmonicData
from gminus2.constants import F_CYCLOTRON_MHZ
from gminus2.errors import FitError

__all__ = ["JointDensity", "Moment", "moment", "reconstruct", "time_covariance"]

FloatArray = NDArray[np.float64]

_F_NODES: Final = 31
_F_SPLINES: Final = 13
_TAU_NODES: Final = 40
_TAU_SPLINES: Final = 22
#: The injection profile may fill this many revolution periods (more than one: early and late tails overlap).
_TAU_PERIODS: Final = 1.6
#: Products h·t beyond which nothing but noise is left [µs] (resolution below the node spacing).
_REACH_US: Final = 260.0
#: Leakage between harmonics is carried for the strong low ones, until the bunch has spread.
_LEAK_HARMONICS: Final = 3
_LEAK_US: Final = 45.0
_PENALTY_RANGE: Final = (1e-4, 1e7)
#: Log-normal prior of each penalty strength: where the data do not care, the density is near a Gaussian, but the
#: chance that it is rougher stays in the error.
_PRIOR_LOG: Final = float(np.log(1e4))
_PRIOR_WIDTH: Final = float(np.log(30.0))


@dataclass(frozen=True)
class _Problem:
    """Whitened linear model ``matrix`` · ρ = ``data`` with ρ = exp(``splines`` · c) on the grid."""

    f_mhz: FloatArray
    tau_us: FloatArray
    matrix: FloatArray
    data: FloatArray
    rest: float
    n_data: int
    splines_f: FloatArray
    splines_tau: FloatArray
    penalties: tuple[FloatArray, ...]
    free: FloatArray
    start: FloatArray

    @property
    def splines(self) -> FloatArray:
        """Values of the tensor splines at the nodes, shape (F·T, n)."""
        return np.asarray(np.kron(self.splines_f, self.splines_tau), dtype=np.float64)

    def log_density(self, c: FloatArray) -> FloatArray:
        """Return log ρ at the nodes, shape (F·T,)."""
        table = c.reshape(self.splines_f.shape[1], self.splines_tau.shape[1])
        values: FloatArray = (self.splines_f @ table @ self.splines_tau.T).ravel()
        return values

    def jacobian(self, rho: FloatArray) -> FloatArray:
        """Return ∂(model)/∂c, shape (rows, n); the tensor product is never written out."""
        shape = (len(self.matrix), len(self.f_mhz), len(self.tau_us))
        partial = (self.matrix * rho).reshape(shape) @ self.splines_tau
        values: FloatArray = (self.splines_f.T @ partial).reshape(len(self.matrix), -1)
        return values

    def node_gradient(self, values: FloatArray) -> FloatArray:
        """Return Σ_nodes values · splines, shape (n,)."""
        table = values.reshape(len(self.f_mhz), len(self.tau_us))
        gradient: FloatArray = (self.splines_f.T @ table @ self.splines_tau).ravel()
        return gradient

    def node_curvature(self, values: FloatArray) -> FloatArray:
        """Return Σ_nodes values · splines ⊗ splines, shape (n, n)."""
        table = values.reshape(len(self.f_mhz), len(self.tau_us))
        size_f, size_tau = self.splines_f.shape[1], self.splines_tau.shape[1]
        pairs_f = (self.splines_f[:, :, None] * self.splines_f[:, None, :]).reshape(len(table), -1)
        pairs_tau = (self.splines_tau[:, :, None] * self.splines_tau[:, None, :]).reshape(table.shape[1], -1)
        block = (pairs_f.T @ table @ pairs_tau).reshape(size_f, size_f, size_tau, size_tau)
        curvature: FloatArray = block.transpose(0, 2, 1, 3).reshape(size_f * size_tau, -1)
        return curvature


@dataclass(frozen=True)
class Moment:
    """A mean over the density with its errors.

    ``statistics`` is what counting noise alone does, ``separable`` the whole error if f and τ were known to be
    independent, ``smoothing`` the part from the strength of the penalty, ``total`` that of the joint reconstruction.
    """

    value: float
    total: float
    statistics: float
    separable: float
    smoothing: float


@dataclass(frozen=True)
class JointDensity:
    """The reconstructed density.

    Attributes
    ----------
    f_mhz, tau_us
        Grid nodes, shapes (F,) and (T,). The density is linear between nodes.
    weights
        Share of each node, shape (F, T); the sum is 1.
    chi2, ndf, p_value
        Of the harmonics; ndf counts data less the effective number of parameters.
    penalties
        Final strengths for f, τ and mixed third differences.
    """

    f_mhz: FloatArray
    tau_us: FloatArray
    weights: FloatArray
    chi2: float
    ndf: float
    p_value: float
    penalties: tuple[float, ...]
    _problem: _Problem
    _coefficients: FloatArray
    _covariance: FloatArray
    _noise: FloatArray
    _separable: FloatArray
    _by_strength: FloatArray

    @property
    def frequency_density(self) -> FloatArray:
        """Marginal share of each frequency node, shape (F,)."""
        marginal: FloatArray = self.weights.sum(axis=1)
        return marginal

    @property
    def frequency_errors(self) -> FloatArray:
        """Standard errors of :attr:`frequency_density`, shape (F,)."""
        shape = self.weights.shape
        rows = np.kron(np.eye(shape[0]), np.ones(shape[1])) * self.weights.ravel()
        rows = rows - self.frequency_density[:, None] * self.weights.ravel()
        gradient = rows @ self._problem.splines
        errors: FloatArray = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", gradient, self._covariance, gradient), 0.0))
        return errors

    @property
    def time_density(self) -> FloatArray:
        """Marginal share of each time node, shape (T,)."""
        marginal: FloatArray = self.weights.sum(axis=0)
        return marginal

    @property
    def correlation(self) -> float:
        """Correlation coefficient of momentum and injection time (ν falls with momentum, hence the sign)."""
        f, tau = self.f_mhz[:, None], self.tau_us[None, :]
        mean_f, mean_tau = (self.weights * f).sum(), (self.weights * tau).sum()
        covariance = (self.weights * (f - mean_f) * (tau - mean_tau)).sum()
        var_f = (self.weights * (f - mean_f) ** 2).sum()
        var_tau = (self.weights * (tau - mean_tau) ** 2).sum()
        return float(-covariance / np.sqrt(var_f * var_tau))

    @property
    def mean_time_by_frequency(self) -> FloatArray:
        """⟨τ|f⟩ [µs] per frequency node."""
        mean: FloatArray = (self.weights * self.tau_us).sum(axis=1) / self.weights.sum(axis=1)
        return mean


def _differences(size: int, order: int) -> FloatArray:
    matrix = np.diff(np.eye(size), n=order, axis=0)
    gram: FloatArray = matrix.T @ matrix
    return gram


def _kron(first: FloatArray, second: FloatArray) -> FloatArray:
    return np.asarray(np.kron(first, second), dtype=np.float64)


def _splines(x: FloatArray, count: int) -> FloatArray:
    step = (x[-1] - x[0]) / (count - 3)
    knots = x[0] + step * np.arange(-3, count + 1)
    inner = np.clip(x, x[0] + 1e-9 * step, x[-1] - 1e-9 * step)
    values: FloatArray = BSpline.design_matrix(inner, knots, 3).toarray()
    return values


def _design(data: HarmonicData, f: FloatArray, tau: FloatArray, f0: float) -> FloatArray:
    """Return the response of the harmonics to a unit weight at each node, shape (B, 2H, F·T).

    The mean over a block of e^{2πi(k f − h f₀)t} is a Dirichlet kernel; k = h is the signal, the other k leak in, as
    a block is a whole number of turns for f₀ only.
    """
    t, top = data.time_us, data.harmonics
    step_f, step_tau = f[1] - f[0], tau[1] - tau[0]
    in_tau = {}
    for k in range(1, top + 1):
        wave = np.exp(-2j * np.pi * k * np.outer(f, tau)) * np.sinc(k * f0 * step_tau) ** 2
        in_tau[k], in_tau[-k] = wave, wave.conj()
    matrix = np.zeros((len(t), 2 * top, len(f) * len(tau)))
    leaking = t < t[0] + _LEAK_US
    for h in range(1, top + 1):
        for k in range(-_LEAK_HARMONICS, top + 1):
            if k == 0 or (k != h and k > _LEAK_HARMONICS):
                continue
            coherence = data.coherence(h - k)
            if abs(coherence) < 1e-3:
                continue
            used = slice(None) if k == h else leaking
            offset = k * f - h * f0
            # A bin integrates over its width; the sum over bins is what makes the Dirichlet kernel.
            real = np.sinc(offset * data.block_us) / np.sinc(offset * data.bin_us) * np.sinc(k * f * data.bin_us)
            kernel = coherence * real
            in_time = np.exp(2j * np.pi * np.outer(t[used], offset)) * kernel
            in_time *= np.sinc(k * step_f * t[used])[:, None] ** 2
            both = (in_time[:, :, None] * in_tau[k][None]).reshape(len(in_time), -1)
            matrix[used, h - 1] += both.real
            matrix[used, top + h - 1] += both.imag
    return matrix


@cache
def _free_directions() -> FloatArray:
    """Return the projector on what no penalty touches: log ρ quadratic in (f, τ), a two-dimensional Gaussian."""
    i, j = np.meshgrid(np.arange(_F_SPLINES), np.arange(_TAU_SPLINES), indexing="ij")
    x, y = (i / _F_SPLINES - 0.5).ravel(), (j / _TAU_SPLINES - 0.5).ravel()
    basis, _ = np.linalg.qr(np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1))
    projector: FloatArray = basis @ basis.T
    return projector


def _centre(data: HarmonicData, f0: float) -> tuple[float, float]:
    """Return the bunch's injection time [µs] and mean frequency [MHz] from the phase of the fundamental."""
    z, sigma = data.complex_values(1), data.errors(1)
    clear = np.abs(z) > 5.0 * sigma
    stop = int(np.argmin(clear)) if not clear.all() else len(clear)
    if stop < 3:
        return float(-np.angle(z[0]) / (2.0 * np.pi * f0)), f0
    phase = np.unwrap(np.angle(z[:stop]))
    # The phase bends where momentum and time are correlated; the early part points to the bunch itself.
    stop = max(3, min(stop, int(np.searchsorted(data.time_us, 2.0 * data.time_us[0] + 10.0))))
    slope, at_zero = np.polyfit(data.time_us[:stop], phase[:stop], 1, w=np.abs(z[:stop]) / sigma[:stop])
    return float(-at_zero / (2.0 * np.pi * f0)), float(f0 + slope / (2.0 * np.pi))


def _prepare(data: HarmonicData, f_range: tuple[float, float], f0: float) -> _Problem:
    f = np.linspace(*f_range, _F_NODES)
    centre, mean_f = _centre(data, f0)
    period = 1.0 / f0
    tau = centre + (np.arange(_TAU_NODES) - 0.5 * (_TAU_NODES - 1)) * _TAU_PERIODS * period / _TAU_NODES
    matrix = _design(data, f, tau, f0)
    values, covariance = data.values.copy(), data.covariance
    h = np.tile(np.arange(1, data.harmonics + 1), 2)
    beyond = data.time_us[:, None] * h > np.maximum(_REACH_US, 1.5 * data.time_us[0] * h)
    matrix[beyond], values[beyond] = 0.0, 0.0
    root = np.linalg.cholesky(covariance)
    white = np.linalg.solve(root, matrix).reshape(-1, len(f) * len(tau))
    target = np.linalg.solve(root, values[..., None]).ravel()
    # The density is normalised: one more datum, as good as the counts (but no stiffer than needed).
    norm = np.sqrt(min(data.counts, 1e8))
    white = np.vstack([white, np.full(white.shape[1], norm)])
    target = np.append(target, norm)
    # Rows that no density can move beyond a small fraction of their noise carry no information: rotate them away.
    _, vectors = eigh(white @ white.T, subset_by_value=(2e-3, np.inf), check_finite=False)
    reduced = vectors.T @ white
    projected = vectors.T @ target
    splines_f, splines_tau = _splines(f, _F_SPLINES), _splines(tau, _TAU_SPLINES)
    one_f, one_tau = np.eye(_F_SPLINES), np.eye(_TAU_SPLINES)
    penalties = (
        _kron(_differences(_F_SPLINES, 3), one_tau),
        _kron(one_f, _differences(_TAU_SPLINES, 3)),
        _kron(_differences(_F_SPLINES, 2), _differences(_TAU_SPLINES, 1))
        + _kron(_differences(_F_SPLINES, 1), _differences(_TAU_SPLINES, 2)),
    )
    guess = -0.5 * ((f[:, None] - np.clip(mean_f, f[0], f[-1])) / 0.010) ** 2
    guess = guess - 0.5 * ((tau[None, :] - centre) / 0.030) ** 2
    guess -= np.log(np.exp(guess).sum())
    start = np.kron(np.linalg.pinv(splines_f), np.linalg.pinv(splines_tau)) @ guess.ravel()
    return _Problem(
        f_mhz=f,
        tau_us=tau,
        matrix=reduced,
        data=projected,
        rest=float(target @ target - projected @ projected),
        n_data=int((~beyond).sum()),
        splines_f=splines_f,
        splines_tau=splines_tau,
        penalties=penalties,
        free=_free_directions(),
        start=start,
    )


@dataclass(frozen=True)
class _Point:
    coefficients: FloatArray
    density: FloatArray
    objective: float


def _objective(problem: _Problem, c: FloatArray, penalty: FloatArray) -> tuple[float, FloatArray, FloatArray]:
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


def _newton_step(problem: _Problem, c: FloatArray, penalty: FloatArray) -> tuple[FloatArray, float, FloatArray]:
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


def _weighted(problem: _Problem, strengths: FloatArray) -> FloatArray:
    total: FloatArray = sum((s * p for s, p in zip(strengths, problem.penalties, strict=True)), np.zeros(1))
    return total


def _inverse(matrix: FloatArray) -> FloatArray:
    """Return the inverse of a positive matrix: half the work of a general one."""
    factor, failed = dpotrf(matrix, lower=0)
    if failed:
        return np.asarray(np.linalg.inv(matrix), dtype=np.float64)
    upper, _ = dpotri(factor, lower=0)
    return np.asarray(np.triu(upper) + np.triu(upper, 1).T, dtype=np.float64)


def _update_strengths(problem: _Problem, c: FloatArray, fisher: FloatArray, strengths: FloatArray) -> FloatArray:
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


def _minimise(
    problem: _Problem, c: FloatArray, strengths: FloatArray, steps: int = 60
) -> tuple[FloatArray, FloatArray]:
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
    problem = _prepare(data, f_range_mhz, revolution_mhz)
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


def _strength_response(problem: _Problem, c: FloatArray, covariance: FloatArray, strengths: FloatArray) -> FloatArray:
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
    one_f, one_tau = np.eye(_F_SPLINES), np.eye(_TAU_SPLINES)
    along_f = np.kron(one_f, np.ones((_TAU_SPLINES, 1)))
    along_tau = np.kron(np.ones((_F_SPLINES, 1)), one_tau[:, 1:])
    basis = np.hstack([along_f, along_tau])
    inner = basis.T @ (fisher + penalty) @ basis + 1e-8 * np.eye(basis.shape[1])
    covariance: FloatArray = basis @ np.linalg.solve(inner, basis.T)
    return covariance


def _mean(density: JointDensity, values: FloatArray) -> Moment:
    """Return the mean per muon of values at the nodes, shape (F, T) or (F, 1), with errors."""
    problem = density._problem
    # Muons pass a detector at the rate f, so the density seen is that of the muons times f; this is undone.
    per_node = density.weights / problem.f_mhz[:, None] * float(problem.f_mhz.mean())
    share = float(per_node.sum())
    mean = float((per_node * values).sum() / share)
    gradient = problem.node_gradient(per_node * (values - mean)) / share

    def error(covariance: FloatArray) -> float:
        return float(np.sqrt(max(float(gradient @ covariance @ gradient), 0.0)))

    method = float(np.linalg.norm(gradient @ density._by_strength))
    total = float(np.hypot(error(density._covariance), method))
    return Moment(mean, total, error(density._noise), error(density._separable), method)


def moment(density: JointDensity, function: Callable[[FloatArray], FloatArray]) -> Moment:
    """Return the mean of a function of frequency [MHz] over the stored muons, with errors.

    The linear interpolation between nodes is taken into account by integrating the function over the hat of each node.
    """
    problem = density._problem
    step = problem.f_mhz[1] - problem.f_mhz[0]
    offsets, shares = np.array([-1.0, 0.0, 1.0]) / np.sqrt(2.0), np.array([1.0, 4.0, 1.0]) / 6.0
    # Three points that reproduce the second moment (step²/6) of a hat function.
    nodes = problem.f_mhz[:, None] + step * offsets
    values = (function(nodes) * shares).sum(axis=1)
    return _mean(density, values[:, None])


def time_covariance(density: JointDensity, function: Callable[[FloatArray], FloatArray]) -> Moment:
    """Return the covariance of a function of frequency and injection time [µs · unit of the function]."""
    problem = density._problem
    values = function(problem.f_mhz)[:, None]
    mean = float((density.weights * values).sum())
    mean_tau = float((density.weights * problem.tau_us).sum())
    return _mean(density, (values - mean) * (problem.tau_us[None, :] - mean_tau))
