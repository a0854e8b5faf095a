"""Fast transients of kicker and quadrupoles, as the fit of the precession sees them.

A fit with free phase does not return the decay-weighted mean of δω(t) but the least-squares slope of the phase it adds:
Δω = ∫ K(t) δω(t) dt, K(t) = ∫_t^{T₁} W(s)(s − s̄) ds / ∫ W (s − s̄)² ds, W ∝ e^{−s/γτ}. Both are returned; the kernel is
the default. ``docs/physics/field.md`` §9.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gminus2.data.nmr import KickerCampaign, QuadCampaign
from gminus2.errors import DataError
from gminus2.physics.probes import nmr_table

__all__ = [
    "GAMMA_TAU_US",
    "TransientResult",
    "decay_kernel",
    "fit_kernel",
    "kicker_correction",
    "quad_correction",
    "response",
]

FloatArray = NDArray[np.float64]
#: γ τ of muons at the magic momentum [µs].
GAMMA_TAU_US = 29.3034 * 2.1969811


def fit_kernel(time_us: FloatArray, start_us: float, end_us: float, gamma_tau_us: float = GAMMA_TAU_US) -> FloatArray:
    """Return K(t) [1/µs] of a fit from ``start_us`` to ``end_us``; zero outside. ∫K dt = 1.

    Closed form with u = (t − start)/γτ, U the length in γτ: moments of e^{−u} over [u, U].
    """
    length = (end_us - start_us) / gamma_tau_us
    u = np.clip((np.asarray(time_us, dtype=np.float64) - start_us) / gamma_tau_us, 0.0, length)
    tail = math.exp(-length)
    norm = 1.0 - tail
    first = 1.0 - tail * (1.0 + length)
    second = 2.0 - tail * (length**2 + 2 * length + 2.0)
    mean = first / norm
    variance = second - mean * first
    above = (np.exp(-u) * (1.0 + u) - tail * (1.0 + length)) - mean * (np.exp(-u) - tail)
    return above / variance / gamma_tau_us


def decay_kernel(time_us: FloatArray, start_us: float, end_us: float, gamma_tau_us: float = GAMMA_TAU_US) -> FloatArray:
    """Return the weight [1/µs] of the decay-weighted mean over the fit range."""
    t = np.asarray(time_us, dtype=np.float64)
    inside = (t >= start_us) & (t <= end_us)
    norm = gamma_tau_us * (1.0 - math.exp(-(end_us - start_us) / gamma_tau_us))
    return np.where(inside, np.exp(-(t - start_us) / gamma_tau_us) / norm, 0.0)


def response(
    time_us: FloatArray, delta: FloatArray, start_us: float, end_us: float, *, average: str = "kernel"
) -> tuple[FloatArray, FloatArray]:
    """Return the effect of traces ``delta`` (…, n_time) on the fitted frequency, and the weight of each time bin.

    The trace is taken as the straight line between its points and integrated on a fine grid.

    Raises
    ------
    DataError
        The trace does not cover the fit range, or is not finite.
    """
    if time_us[0] > start_us + 1e-9 or time_us[-1] < start_us + 5 * GAMMA_TAU_US or not np.isfinite(delta).all():
        raise DataError(
            "a transient must be known from the start of the fit over at least five lifetimes",
            expected=f"{start_us:g} … {start_us + 5 * GAMMA_TAU_US:.0f} µs",
            found=f"{time_us[0]:g} … {time_us[-1]:g} µs",
        )
    kernel = {"kernel": fit_kernel, "decay": decay_kernel}[average]
    edges = np.linspace(start_us, end_us, 1 + math.ceil((end_us - start_us) / 0.25))
    fine = 0.5 * (edges[1:] + edges[:-1])
    density = kernel(fine, start_us, end_us) * np.diff(edges)
    density /= density.sum()
    position = np.clip(np.searchsorted(time_us, fine) - 1, 0, len(time_us) - 2)
    w = np.clip((fine - time_us[position]) / (time_us[position + 1] - time_us[position]), 0.0, 1.0)
    weight: FloatArray = np.asarray(np.bincount(position, density * (1 - w), len(time_us)), dtype=np.float64)
    weight += np.bincount(position + 1, density * w, len(time_us))
    return np.asarray(delta @ weight), weight


@dataclass(frozen=True)
class TransientResult:
    """A transient correction.

    Attributes
    ----------
    value_ppb
        B, relative change of the field that the muons see; it stands in the denominator of R'.
    decay_mean_ppb
        The same with the decay-weighted mean, for comparison.
    statistical_ppb, systematic_ppb
        Standard uncertainties.
    """

    value_ppb: float
    decay_mean_ppb: float
    statistical_ppb: float
    systematic_ppb: float

    @property
    def sigma_ppb(self) -> float:
        """Quadrature."""
        return math.hypot(self.statistical_ppb, self.systematic_ppb)


def _both(
    time_us: FloatArray, delta: FloatArray, start: float, end: float, average: str
) -> tuple[FloatArray, FloatArray]:
    chosen, _ = response(time_us, delta, start, end, average=average)
    mean, _ = response(time_us, delta, start, end, average="decay")
    return chosen, mean


def kicker_correction(
    campaign: KickerCampaign,
    start_us: float,
    end_us: float,
    *,
    scale_sigma: float,
    baseline_ppb: float,
    average: str = "kernel",
) -> TransientResult:
    """Return B_k = f_ring ⟨K ∘ ΔB/B⟩ from magnetometer traces.

    Parameters
    ----------
    scale_sigma
        Relative uncertainty of the magnetometer's scale and of the field's shape along the kicker.
    baseline_ppb
        What vibrations can add to B_k.
    """
    fraction = float(nmr_table("transients")["kicker_ring_fraction"])
    per_shot, mean = _both(campaign.time_us, campaign.delta_ppb, start_us, end_us, average)
    value = fraction * float(per_shot.mean())
    return TransientResult(
        value_ppb=value,
        decay_mean_ppb=fraction * float(mean.mean()),
        statistical_ppb=fraction * float(per_shot.std(ddof=1)) / math.sqrt(len(per_shot)),
        systematic_ppb=math.hypot(scale_sigma * value, baseline_ppb),
    )


def quad_correction(
    campaign: QuadCampaign, start_us: float, end_us: float, *, offset_ppb: float, average: str = "kernel"
) -> TransientResult:
    """Return B_q = f_ring ⟨K ∘ ΔB/B⟩ over bunches and spots; the scatter between spots is its statistical error.

    Parameters
    ----------
    offset_ppb
        Uncertainty of B_q from spots never mapped and from repeatability.
    """
    fraction = float(nmr_table("transients")["quad_ring_fraction"])
    values, mean = _both(campaign.time_us, campaign.delta_ppb, start_us, end_us, average)
    by_spot = values.mean(axis=0)
    return TransientResult(
        value_ppb=fraction * float(values.mean()),
        decay_mean_ppb=fraction * float(mean.mean()),
        statistical_ppb=fraction * float(by_spot.std(ddof=1)) / math.sqrt(len(by_spot)),
        systematic_ppb=offset_ppb,
    )
