"""Toy fast-rotation signals with known truth: any joint density of frequency and injection time, 1 or 24 detectors.

The expectation follows muons turn by turn in the time domain, so that it shares nothing with the harmonics that the
reconstruction uses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gminus2.data import TimeHistogram
from gminus2.errors import ConfigError

__all__ = ["RotationToy", "gaussian_toy", "make_toy"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class RotationToy:
    """Expected counts per bin for one detected positron after ``normalised_from_us``, and the density behind them.

    ``f_mhz`` (F,) and ``share`` (F,) give the truth for any mean over the muons; ``expected`` has shape (detectors,
    bins).
    """

    f_mhz: FloatArray
    share: FloatArray
    expected: FloatArray
    width_us: float
    azimuth_rad: FloatArray

    def mean(self, function: Callable[[FloatArray], FloatArray]) -> float:
        """Return the true mean of a function of frequency [MHz]."""
        return float(self.share @ function(self.f_mhz))

    def sample(self, generator: np.random.Generator, positrons: float) -> TimeHistogram:
        """Return a histogram with Poisson counts, ``positrons`` in all."""
        labels = tuple(f"calorimeter {k + 1}" for k in range(len(self.expected)))
        counts = generator.poisson(positrons * self.expected).astype(np.float64)
        return TimeHistogram(counts, np.zeros(len(labels)), self.width_us, labels)


@njit(cache=True, nogil=True)
def _pass_by(f, tau, weights, turn_offset, step, width, out):  # type: ignore[no-untyped-def]
    """Add the passages of cells of injection time [tau − step/2, tau + step/2] to a histogram from t = 0."""
    bins = out.size
    for i in range(f.size):
        period = 1.0 / f[i]
        for j in range(tau.size):
            weight = weights[i, j]
            if weight <= 0.0:
                continue
            low = tau[j] - 0.5 * step + turn_offset * period
            while low < bins * width:
                a = low / width
                b = (low + step) / width
                k = int(np.floor(a))
                last = int(np.floor(b))
                while k <= last:
                    part = min(b, k + 1.0) - max(a, float(k))
                    if 0 <= k < bins and part > 0.0:
                        out[k] += weight * part / (b - a)
                    k += 1
                low += period


def make_toy(
    density: Callable[[FloatArray, FloatArray], FloatArray],
    *,
    detectors: int = 1,
    stop_us: float = 260.0,
    width_us: float = 1e-3,
    normalised_from_us: float = 4.0,
    f_range_mhz: tuple[float, float] = (6.6630, 6.7475),
    tau_range_us: tuple[float, float] = (-0.15, 0.15),
    lifetime_us: float = 64.38,
    asymmetry: float = 0.37,
    omega_a: float = 1.4393,
    phase: float = 2.1,
) -> RotationToy:
    """Return a toy for an (unnormalised) density ρ(f [kHz], τ [ns]) of stored muons.

    Parameters
    ----------
    detectors
        1, or N detectors spread evenly around the ring, the first at azimuth 0.
    """
    if detectors < 1 or stop_us <= normalised_from_us:
        raise ConfigError("a toy needs a detector and a positive time", found=f"{detectors}, {stop_us} µs")
    f = np.arange(f_range_mhz[0], f_range_mhz[1], 0.0005)
    step = 1e-3
    tau = np.arange(tau_range_us[0] + 0.5 * step, tau_range_us[1], step)
    weights = density(1e3 * f[:, None], 1e3 * tau[None, :])
    weights = weights / weights.sum()
    bins = round(stop_us / width_us)
    expected = np.zeros((detectors, bins))
    azimuth = 2.0 * np.pi * np.arange(detectors) / detectors
    for d in range(detectors):
        _pass_by(f, tau, weights, azimuth[d] / (2.0 * np.pi), step, width_us, expected[d])
    t = width_us * (np.arange(bins) + 0.5)
    expected *= np.exp(-t / lifetime_us) * (1.0 + asymmetry * np.cos(omega_a * t + phase))
    expected /= expected[:, t > normalised_from_us].sum()
    return RotationToy(f, weights.sum(axis=1), expected, width_us, azimuth)


def gaussian_toy(
    *,
    mean_khz: float = 6702.0,
    sigma_khz: float = 10.0,
    bunch_ns: float = 25.0,
    khz_per_ns: float = 0.0,
    delay_ns: float = 0.0,
    detectors: int = 1,
    stop_us: float = 260.0,
    width_us: float = 1e-3,
) -> RotationToy:
    """Return the Gaussian case: f = mean + slope·τ + N(0, σ), cut by the aperture, τ normal with rms ``bunch_ns``."""

    def density(f: FloatArray, tau: FloatArray) -> FloatArray:
        shifted = tau - delay_ns
        spread: FloatArray = np.exp(
            -0.5 * ((f - mean_khz - khz_per_ns * shifted) / sigma_khz) ** 2 - 0.5 * (shifted / bunch_ns) ** 2
        )
        return spread

    reach = 1e-3 * (abs(delay_ns) + 6.0 * bunch_ns)
    return make_toy(density, detectors=detectors, stop_us=stop_us, width_us=width_us, tau_range_us=(-reach, reach))
