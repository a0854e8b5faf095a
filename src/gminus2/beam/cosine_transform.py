"""The cosine transform of the fast rotation with its background solved for, not guessed.

If momentum and injection time are independent, one time t₀ makes the transform real: Re[e^{2πi f t₀} Z(f)] = (K ρ)(f)
with the known kernel of a cosine measured from t_s to t_m only (and a small term at the sum frequency),

    K(f, f') = (t_m − t₀) sinc(2Δ(t_m − t₀)) − (t_s − t₀) sinc(2Δ(t_s − t₀)),    Δ = f − f',  sinc x = sin πx/(πx).

The second term is the "background" of the unmeasured time. ρ inside the aperture follows by generalised least squares
from frequencies inside and outside it; t₀ makes χ² smallest. Fast and traditional, but biased in proportion to the
correlation of momentum and time: the joint reconstruction is the result, this is its cross-check.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from gminus2.beam.rotation_signal import RotationSignal
from gminus2.constants import F_CYCLOTRON_MHZ
from gminus2.errors import FitError

__all__ = ["CosineTransform", "cosine_moment", "cosine_transform"]

FloatArray = NDArray[np.float64]

#: Frequencies beyond the aperture that show nothing but background [MHz].
_MARGIN_MHZ: Final = 0.032
_STEP_MHZ: Final = 0.002


@dataclass(frozen=True)
class CosineTransform:
    """Result: density at the nodes with covariance (both normalised), t₀ with error, χ² of the transform.

    ``transform`` and ``model`` are at ``f_all_mhz``, inside and outside the aperture.
    """

    f_mhz: FloatArray
    density: FloatArray
    covariance: FloatArray
    t0_us: float
    t0_error_us: float
    chi2: float
    ndf: int
    f_all_mhz: FloatArray
    transform: FloatArray
    model: FloatArray


def _fourier(signal: RotationSignal, azimuth: FloatArray, f: FloatArray) -> tuple[NDArray[np.complex128], FloatArray]:
    """Return Z(f) = Σ_n (S_n − 1) e^{−2πi f t_n + iθ} Δt and its real covariance (same for Re and Im)."""
    block = 1000
    weight = signal.counts / signal.counts.sum()
    size = signal.signal.shape[1] // block * block
    z = np.zeros(len(f), dtype=np.complex128)
    lag = np.zeros(len(f), dtype=np.complex128)
    inner = np.exp(-2j * np.pi * signal.width_us * np.outer(np.arange(block), f))
    lags = f - f[0]
    inner_lag = np.exp(-2j * np.pi * signal.width_us * np.outer(np.arange(block), lags))
    for d in range(len(weight)):
        start = signal.centres_us(d)[0]
        times = start + signal.width_us * block * np.arange(size // block)
        rest = (signal.signal[d, :size] - 1.0).reshape(-1, block)
        z += weight[d] * np.exp(1j * azimuth[d]) * ((rest @ inner) * np.exp(-2j * np.pi * np.outer(times, f))).sum(0)
        noise = signal.variance[d, :size].reshape(-1, block)
        lag += weight[d] ** 2 * ((noise @ inner_lag) * np.exp(-2j * np.pi * np.outer(times, lags))).sum(0)
    index = np.arange(len(f))
    difference = index[:, None] - index[None, :]
    toeplitz = np.where(difference >= 0, lag[np.abs(difference)], lag[np.abs(difference)].conj())
    return z * signal.width_us, np.asarray(0.5 * toeplitz * signal.width_us**2)


def _kernel(f: FloatArray, nodes: FloatArray, start: float, stop: float, t0: float) -> FloatArray:
    values = np.zeros((len(f), len(nodes)))
    # The sum frequency is far away, but the sharp start of the signal leaves 10 ns of it.
    for lag in (2.0 * (f[:, None] - nodes[None, :]), 2.0 * (f[:, None] + nodes[None, :])):
        values += (stop - t0) * np.sinc(lag * (stop - t0)) - (start - t0) * np.sinc(lag * (start - t0))
    return values


def cosine_transform(
    signal: RotationSignal,
    azimuth_rad: FloatArray,
    f_range_mhz: tuple[float, float],
    t0_guess_us: float,
    *,
    revolution_mhz: float = F_CYCLOTRON_MHZ,
) -> CosineTransform:
    """Return the frequency density under the assumption that it does not depend on injection time.

    Raises
    ------
    FitError
        No t₀ within ±30 ns of the guess makes the background small (χ² has no minimum there).
    """
    low, high = f_range_mhz
    nodes = np.arange(low, high + 0.5 * _STEP_MHZ, _STEP_MHZ)
    steps = round(_MARGIN_MHZ / _STEP_MHZ)
    f = np.concatenate(
        [low - _STEP_MHZ * np.arange(steps, 0, -1), nodes, nodes[-1] + _STEP_MHZ * np.arange(1, steps + 1)]
    )
    z, toeplitz = _fourier(signal, azimuth_rad, f)
    start = float(signal.start_us.mean())  # lower edge of the first bin
    stop = start + signal.signal.shape[1] // 1000 * 1000 * signal.width_us

    def solve(t0: float) -> tuple[float, FloatArray, FloatArray, FloatArray, FloatArray]:
        turned = (z * np.exp(2j * np.pi * f * t0)).real
        lag = f[:, None] - f[None, :]
        covariance = (toeplitz * np.exp(2j * np.pi * lag * t0)).real
        covariance[np.diag_indices_from(covariance)] *= 1.0 + 1e-9
        factor = cho_factor(covariance)
        kernel = _kernel(f, nodes, start, stop, t0)
        white = cho_solve(factor, kernel)
        normal = kernel.T @ white
        normal[np.diag_indices_from(normal)] *= 1.0 + 1e-10
        inverse = np.asarray(np.linalg.inv(normal), dtype=np.float64)
        density = inverse @ (white.T @ turned)
        residual = turned - kernel @ density
        return float(residual @ cho_solve(factor, residual)), density, inverse, turned, kernel @ density

    coarse = t0_guess_us + 1e-3 * np.arange(-30.0, 31.0, 5.0)
    values = np.array([solve(t)[0] for t in coarse])
    best = int(values.argmin())
    if best in (0, len(coarse) - 1):
        raise FitError(
            "the cosine transform finds no injection time t0",
            where=f"t0 within ±30 ns of {1e3 * t0_guess_us:.1f} ns",
            hint="start earlier; momentum and injection time may be correlated",
        )
    fine = coarse[best] + 1e-3 * np.arange(-5.0, 5.1, 1.0)
    values = np.array([solve(t)[0] for t in fine])
    best = int(np.clip(values.argmin(), 1, len(fine) - 2))
    bend, slope, _ = np.polyfit(1e3 * (fine[best - 1 : best + 2] - fine[best]), values[best - 1 : best + 2], 2)
    shift = -0.5 * slope / bend if bend > 0.0 else 0.0
    t0 = float(fine[best] + 1e-3 * np.clip(shift, -1.0, 1.0))
    chi2, density, covariance, turned, model = solve(t0)
    t0_error = 1e-3 / float(np.sqrt(bend)) if bend > 0.0 else float("inf")
    # t0 is fitted too: its error moves the whole density.
    moved = (solve(t0 + 1e-4)[1] - solve(t0 - 1e-4)[1]) / 2e-4 * min(t0_error, 1e-3)
    covariance = covariance + np.outer(moved, moved)
    total = density.sum()
    share = density / total
    project = (np.eye(len(nodes)) - np.outer(share, np.ones(len(nodes)))) / total
    return CosineTransform(
        f_mhz=nodes,
        density=share,
        covariance=project @ covariance @ project.T,
        t0_us=t0,
        t0_error_us=t0_error,
        chi2=chi2,
        ndf=len(f) - len(nodes) - 1,
        f_all_mhz=f,
        transform=turned,
        model=model,
    )


def cosine_moment(result: CosineTransform, function: Callable[[FloatArray], FloatArray]) -> tuple[float, float]:
    """Return the mean of a function of frequency [MHz] over the muons and its statistical error."""
    per_muon = 1.0 / result.f_mhz
    share = result.density * per_muon / (result.density * per_muon).sum()
    values = function(result.f_mhz)
    mean = float(share @ values)
    return mean, float(np.sqrt(max(float((values - mean) @ result.covariance @ (values - mean)), 0.0)))
