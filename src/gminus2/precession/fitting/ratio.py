"""The ratio of a spectrum to itself, shifted: the decay and every slow effect drop out.

Two ways to make it (``docs/physics/precession.md``, section 3): from four copies of the hits, drawn at random, that
share no hit (bins independent); or from one histogram shifted by whole bins (bins correlated through the overlap).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gminus2.data import TimeHistogram
from gminus2.errors import DataError, FitError

__all__ = ["RatioSeries", "ratio_of_copies", "ratio_of_shifts"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RatioSeries:
    """A ratio in equal time bins.

    Attributes
    ----------
    centres_us, values
        Shape (n,).
    covariance
        Variances, shape (n,), infinite where the ratio does not exist; or the lower band, shape (diagonals, n).
    shift_us
        Half a precession period, or what the copies were really shifted by.
    lifetime_us
        Lifetime in the weights of the shifted copies.
    """

    label: str
    centres_us: Array
    values: Array
    covariance: Array
    shift_us: float
    lifetime_us: float
    width_us: float
    caveats: tuple[str, ...] = field(default=())

    def inside(self, window_us: tuple[float, float] | None) -> slice:
        """Return the bins with lo < centre < hi.

        Raises
        ------
        FitError
            There is none.
        """
        lo, hi = window_us if window_us is not None else (-math.inf, math.inf)
        found = np.flatnonzero((self.centres_us > lo) & (self.centres_us < hi))
        if not found.size:
            raise FitError("no bin of the ratio lies in the fit window", found=f"{lo} … {hi} µs")
        return slice(int(found[0]), int(found[-1]) + 1)

    def variances(self, inside: slice) -> Array:
        """Return the variances of some bins, shape (bins,)."""
        return self.covariance[inside] if self.covariance.ndim == 1 else self.covariance[0, inside]

    def times_covariance(self, inside: slice, columns: Array) -> Array:
        """Return V x for some bins; ``columns`` has the shape (bins, columns)."""
        result: Array = np.zeros_like(columns)
        finite = np.isfinite(self.variances(inside))
        result[finite] = self.variances(inside)[finite, None] * columns[finite]
        if self.covariance.ndim == 1:
            return result
        band = self.covariance[:, inside]
        n = len(columns)
        for k in range(1, min(len(band), n)):
            if band[k].any():
                result[k:] += band[k, : n - k, None] * columns[: n - k]
                result[: n - k] += band[k, : n - k, None] * columns[k:]
        return result


def ratio_of_copies(
    unshifted: TimeHistogram, shifted: TimeHistogram, *, shift_us: float, lifetime_us: float
) -> RatioSeries:
    """Return (V - U)/(V + U) of independent copies, V unshifted, U shifted by ± ``shift_us``.

    σ² = (1 - R²)/(U + V). Bins with U + V ≤ 0 or |R| ≥ 1 (possible after pileup subtraction) get no weight.

    Raises
    ------
    DataError
        The two histograms have different bins.
    """
    same = (
        unshifted.n_detectors == shifted.n_detectors == 1
        and unshifted.n_bins == shifted.n_bins
        and math.isclose(unshifted.width_us, shifted.width_us, rel_tol=1e-12)
        and math.isclose(unshifted.start_us[0], shifted.start_us[0], abs_tol=1e-9)
    )
    if not same:
        raise DataError("the two histograms of a ratio must have the same bins and one detector each")
    v, u = unshifted.counts[0], shifted.counts[0]
    total = v + u
    with np.errstate(invalid="ignore", divide="ignore"):
        values = (v - u) / total
        variance = (1.0 - values**2) / total
    bad = (total <= 0) | ~(np.abs(values) < 1.0)
    values[bad], variance[bad] = 0.0, np.inf
    return RatioSeries(
        unshifted.labels[0],
        unshifted.centres_us(),
        values,
        variance,
        shift_us,
        lifetime_us,
        unshifted.width_us,
        unshifted.caveats,
    )


def ratio_of_shifts(histogram: TimeHistogram, *, bins: int, lifetime_us: float) -> RatioSeries:
    """Return the ratio of one histogram and its copies shifted by ± ``bins`` whole bins, with the overlap covariance.

    R_k = (2n_k - a n_{k+m} - b n_{k-m})/(2n_k + a n_{k+m} + b n_{k-m}), a = e^(s/τ), b = e^(-s/τ), s = m·width. Its
    covariance ∂R/∂n var(n) (∂R/∂n)ᵀ has diagonals at distances 0, m and 2m.

    Raises
    ------
    DataError
        Several detectors, an impossible shift, or bins without content.
    """
    if histogram.n_detectors != 1:
        raise DataError("a ratio is made of one detector", found=str(histogram.n_detectors))
    n_bins = histogram.n_bins
    if not 1 <= bins < n_bins // 2:
        raise DataError("impossible shift of a ratio", expected=f"1 … {n_bins // 2 - 1} bins", found=str(bins))
    counts = histogram.counts[0]
    variances = counts if histogram.variances is None else histogram.variances[0]
    shift = bins * histogram.width_us
    a, b = math.exp(shift / lifetime_us), math.exp(-shift / lifetime_us)
    middle, later, earlier = counts[bins:-bins], counts[2 * bins :], counts[: n_bins - 2 * bins]
    total = 2.0 * middle + a * later + b * earlier
    if not (total > 0).all():
        raise DataError("the ratio does not exist in bins without content", hint="cut the histogram before")
    values = (2.0 * middle - a * later - b * earlier) / total
    by_middle = 2.0 * (1.0 - values) / total
    by_later, by_earlier = -a * (1.0 + values) / total, -b * (1.0 + values) / total
    var_middle, var_later, var_earlier = variances[bins:-bins], variances[2 * bins :], variances[: n_bins - 2 * bins]
    n = values.size
    band = np.zeros((2 * bins + 1, n))
    band[0] = by_middle**2 * var_middle + by_later**2 * var_later + by_earlier**2 * var_earlier
    # R_k and R_{k+m} share n_{k+m} (later of k, middle of k + m) and n_k (middle of k, earlier of k + m).
    k = np.arange(max(n - bins, 0))
    band[bins, k] = (
        by_later[k] * by_middle[k + bins] * var_later[k] + by_middle[k] * by_earlier[k + bins] * var_middle[k]
    )
    # R_k and R_{k+2m} share n_{k+m} (later of k, earlier of k + 2m).
    k = np.arange(max(n - 2 * bins, 0))
    band[2 * bins, k] = by_later[k] * by_earlier[k + 2 * bins] * var_later[k]
    return RatioSeries(
        histogram.labels[0],
        histogram.centres_us()[bins:-bins],
        values,
        band,
        shift,
        lifetime_us,
        histogram.width_us,
        histogram.caveats,
    )
