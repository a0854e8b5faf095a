"""The coherent betatron oscillation of a tracked beam: amplitude, decay and frequency against time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from gminus2.errors import FitError
from gminus2.physics.optics import LinearOptics

__all__ = ["CboCurve", "DriftFit", "cbo_curve", "fit_decay", "fit_drift"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class CboCurve:
    """Amplitude [mm] at the mean β_x and phase [rad] of the centroid at one azimuth, turn by turn.

    The phase is the one a detector at this azimuth sees: it advances by 2π(1 − ν_x) per turn. ``frequency_mhz`` is
    its derivative, smoothed over about a microsecond.
    """

    time_us: FloatArray
    amplitude_mm: FloatArray
    phase_rad: FloatArray

    @property
    def frequency_mhz(self) -> FloatArray:
        """dΦ/dt/2π from a quadratic Savitzky–Golay derivative over 15 turns."""
        from scipy.signal import savgol_filter

        step = float(np.mean(np.diff(self.time_us)))
        return np.asarray(savgol_filter(self.phase_rad, 15, 2, deriv=1, delta=step) / (2.0 * math.pi))


def cbo_curve(moments: FloatArray, optics: LinearOptics, azimuth_point: int = 0) -> CboCurve:
    """Return the CBO from a moment table (turns, 11) of one observer.

    ``optics`` at the final voltages, ``azimuth_point`` the index of the observer on its grid.
    """
    count = moments[:, 0]
    good = count > 0.0
    x = 1e3 * moments[good, 1] / count[good]
    slope = moments[good, 9] / count[good]
    time = moments[good, 8] / count[good] / 299.792458
    beta, alpha = float(optics.beta_x[0, azimuth_point]), float(optics.alpha_x[0, azimuth_point])
    # The centroid of the closed orbits moves slowly: remove it with a running mean over two CBO periods.
    period = round(1.0 / (1.0 - float(optics.nu_x[0])))
    kernel = np.hanning(4 * period + 3)[1:-1]

    def slow(values: FloatArray) -> FloatArray:
        weight = np.convolve(np.ones_like(values), kernel, mode="same")
        return np.asarray(np.convolve(values, kernel, mode="same") / weight)

    x, slope = x - slow(x), slope - slow(slope)
    # The running mean is one-sided at both ends: leave those turns out.
    edge = 2 * period if x.size > 8 * period else 0
    inner = slice(edge, x.size - edge)
    x, slope, time = x[inner], slope[inner], time[inner]
    z = x / math.sqrt(beta) - 1j * (alpha * x / math.sqrt(beta) + math.sqrt(beta) * slope)
    phase = -np.unwrap(np.angle(z))
    turn = 2.0 * math.pi * np.arange(phase.size)
    # ν_x is close to 1: one turn adds 2π, which a detector at a fixed azimuth does not see.
    advance = np.unwrap(np.angle(np.exp(1j * phase)))
    drift = advance if advance[-1] > advance[0] else turn + advance
    return CboCurve(time, np.abs(z) * math.sqrt(float(np.mean(optics.beta_x[0]))), drift)


def fit_decay(curve: CboCurve, begin_us: float, end_us: float) -> tuple[float, float]:
    """Return (amplitude at t = 0 [mm], τ_CBO [µs]) of an exponential fitted to the amplitude between two times.

    Raises
    ------
    FitError
        Too few turns, or an amplitude that does not fall.
    """
    inside = (curve.time_us >= begin_us) & (curve.time_us <= end_us)
    if inside.sum() < 20:
        raise FitError("too few turns to fit the decay of the CBO", found=str(int(inside.sum())))
    time, amplitude = curve.time_us[inside], curve.amplitude_mm[inside]
    slope, start = np.polyfit(time, np.log(amplitude), 1, w=amplitude)
    if slope >= 0.0:
        raise FitError("the CBO amplitude does not fall", hint="switch multipoles on, or track longer")
    return float(math.exp(start)), float(-1.0 / slope)


@dataclass(frozen=True)
class DriftFit:
    """Φ = φ₀ + ω₀ t + A exp(−t/τ_A) + B exp(−t/τ_B): rad/µs, rad, µs; ``rms_rad`` of the residual."""

    omega0: float
    slow: float
    slow_us: float
    fast: float
    fast_us: float
    rms_rad: float


def fit_drift(
    curve: CboCurve,
    begin_us: float,
    end_us: float,
    *,
    slow_us: float | None = None,
    fast_us: float | None = None,
) -> DriftFit:
    """Fit the published form of the CBO phase between two times, weighted by the amplitude.

    Parameters
    ----------
    slow_us, fast_us
        Fix a time constant at this value; fitted when ``None``.

    Raises
    ------
    FitError
        Too few turns or no convergence.
    """
    inside = (curve.time_us >= begin_us) & (curve.time_us <= end_us)
    if inside.sum() < 50:
        raise FitError("too few turns to fit the drift of the CBO", found=str(int(inside.sum())))
    time, phase, weight = curve.time_us[inside], curve.phase_rad[inside], curve.amplitude_mm[inside]
    weight = weight / weight.mean()

    def solve(constants: FloatArray) -> tuple[FloatArray, FloatArray]:
        long, short = slow_us or constants[0], fast_us or constants[1]
        columns = np.stack([np.ones_like(time), time, np.exp(-time / long), np.exp(-time / short)], axis=1)
        linear = np.linalg.lstsq(columns * weight[:, None], phase * weight, rcond=None)[0]
        return linear, (columns @ linear - phase) * weight

    def remainder(constants: FloatArray) -> FloatArray:
        return solve(constants)[1]

    start = np.array([slow_us or 60.0, fast_us or 6.0])
    found = least_squares(remainder, start, bounds=([20.0, 2.0], [200.0, 15.0]))
    if not found.success:
        raise FitError("the drift of the CBO cannot be fitted", hint="track longer or start earlier")
    linear, residual = solve(np.asarray(found.x))
    return DriftFit(
        float(linear[1]),
        float(linear[2]),
        float(slow_us or found.x[0]),
        float(linear[3]),
        float(fast_us or found.x[1]),
        float(np.sqrt(np.mean(residual**2))),
    )
