"""The lost-muon spectrum L(t) and its weighted integral J(t).

Λ(t) = 1 - κ J(t), J(t) = ∫ e^(t'/lifetime) L(t') dt' from the beginning of the spectrum, normalised to 1 at its end. So
κ is the fraction lost over the spectrum if every loss is counted (``docs/physics/precession.md``, section 2.5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gminus2.errors import DataError

__all__ = ["LostMuonSpectrum"]


@dataclass(frozen=True)
class LostMuonSpectrum:
    """Detected losses per time bin.

    Attributes
    ----------
    edges_us
        Bin edges [µs], shape (bins + 1,), increasing.
    counts
        Losses per bin, shape (bins,), in any scale; may be negative after background subtraction.

    Raises
    ------
    DataError
        Shapes do not fit, values are not finite, edges do not increase, or the integral is not positive.
    """

    edges_us: NDArray[np.float64]
    counts: NDArray[np.float64]

    def __post_init__(self) -> None:
        edges = np.asarray(self.edges_us, dtype=np.float64)
        counts = np.asarray(self.counts, dtype=np.float64)
        object.__setattr__(self, "edges_us", edges)
        object.__setattr__(self, "counts", counts)
        if edges.ndim != 1 or counts.ndim != 1 or len(edges) != len(counts) + 1 or not len(counts):
            raise DataError(
                "a lost-muon spectrum needs one edge more than bins",
                expected=f"{counts.size + 1} edges",
                found=str(edges.size),
            )
        if not (np.isfinite(edges).all() and np.isfinite(counts).all()):
            raise DataError("the lost-muon spectrum holds values that are not finite")
        if not (np.diff(edges) > 0).all():
            raise DataError("the edges of the lost-muon spectrum must increase")
        if not counts.sum() > 0:
            raise DataError("the lost-muon spectrum is empty")

    def integral(self, times_us: NDArray[np.float64], lifetime_us: float) -> NDArray[np.float64]:
        """Return J at any times (any shape): 0 before the spectrum, 1 after it, exact inside for flat bins.

        Inside a bin L is constant, so J grows with e^(t/lifetime); no interpolation error builds up.
        """
        growth = np.exp(self.edges_us / lifetime_us)
        per_bin = self.counts / np.diff(self.edges_us) * lifetime_us * np.diff(growth)
        cumulative = np.concatenate([[0.0], np.cumsum(per_bin)])
        times = np.clip(times_us, self.edges_us[0], self.edges_us[-1])
        k = np.clip(np.searchsorted(self.edges_us, times, side="right") - 1, 0, len(self.counts) - 1)
        inside = self.counts[k] / np.diff(self.edges_us)[k] * lifetime_us * (np.exp(times / lifetime_us) - growth[k])
        result: NDArray[np.float64] = (cumulative[k] + inside) / cumulative[-1]
        return result

    def scale(self, lifetime_us: float) -> float:
        """Return ∫ e^(t/lifetime) L dt: multiplies a κ of the unnormalised convention (K·10⁻¹⁰ Σ) into ours."""
        growth = np.exp(self.edges_us / lifetime_us)
        return float((self.counts / np.diff(self.edges_us) * lifetime_us * np.diff(growth)).sum())
