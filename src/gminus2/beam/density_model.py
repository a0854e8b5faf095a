"""The linear model of the joint reconstruction: harmonics of the fast rotation from a density of frequency and time.

Log ρ(f, τ) is a tensor spline on a grid; :func:`prepare` builds the whitened response of the harmonics to it, the
penalties on its third differences and a Gaussian to start from. See ``docs/physics/beam_corrections.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.linalg import eigh

from gminus2.beam.rotation_signal import HarmonicData

__all__ = ["F_SPLINES", "TAU_SPLINES", "Problem", "prepare"]

FloatArray = NDArray[np.float64]

_F_NODES: Final = 31
F_SPLINES: Final = 13
_TAU_NODES: Final = 40
TAU_SPLINES: Final = 22
#: The injection profile may fill this many revolution periods (more than one: early and late tails overlap).
_TAU_PERIODS: Final = 1.6
#: Products h·t beyond which nothing but noise is left [µs] (resolution below the node spacing).
_REACH_US: Final = 260.0
#: Leakage between harmonics is carried for the strong low ones, until the bunch has spread.
_LEAK_HARMONICS: Final = 3
_LEAK_US: Final = 45.0


@dataclass(frozen=True)
class Problem:
    """Whitened linear model ``matrix`` · ρ = ``data`` with ρ = exp(``splines`` · c) on the grid.

    Attributes
    ----------
    f_mhz, tau_us
        Grid nodes, shapes (F,) and (T,).
    matrix, data
        Rows that a density can move, shapes (rows, F·T) and (rows,); unit noise.
    rest, n_data
        χ² of the rows left out, and the number of harmonics used.
    splines_f, splines_tau
        B-splines at the nodes, shapes (F, n_f) and (T, n_τ); n = n_f·n_τ coefficients.
    penalties, free
        Penalty matrices (f, τ, mixed) and the projector on what none of them touches, each (n, n).
    start
        Coefficients of a Gaussian to start from, shape (n,).
    """

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
    i, j = np.meshgrid(np.arange(F_SPLINES), np.arange(TAU_SPLINES), indexing="ij")
    x, y = (i / F_SPLINES - 0.5).ravel(), (j / TAU_SPLINES - 0.5).ravel()
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


def prepare(data: HarmonicData, f_range: tuple[float, float], f0: float) -> Problem:
    """Return the model of these harmonics for frequencies in ``f_range`` [MHz]; ``f0`` is the nominal one."""
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
    splines_f, splines_tau = _splines(f, F_SPLINES), _splines(tau, TAU_SPLINES)
    one_f, one_tau = np.eye(F_SPLINES), np.eye(TAU_SPLINES)
    penalties = (
        _kron(_differences(F_SPLINES, 3), one_tau),
        _kron(one_f, _differences(TAU_SPLINES, 3)),
        _kron(_differences(F_SPLINES, 2), _differences(TAU_SPLINES, 1))
        + _kron(_differences(F_SPLINES, 1), _differences(TAU_SPLINES, 2)),
    )
    guess = -0.5 * ((f[:, None] - np.clip(mean_f, f[0], f[-1])) / 0.010) ** 2
    guess = guess - 0.5 * ((tau[None, :] - centre) / 0.030) ** 2
    guess -= np.log(np.exp(guess).sum())
    start = np.kron(np.linalg.pinv(splines_f), np.linalg.pinv(splines_tau)) @ guess.ravel()
    return Problem(
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
