"""The lost-muon spectrum L(t) and its weighted integral J(t)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LostMuonSpectrum"]


@dataclass(frozen=True)
class LostMuonSpectrum:
    """Detected losses per time bin.

    Attributes
    ----------
    edges_us
        Bin edges [µs], shape (bins + 1,), increasing.
    counts
        Losses per bin, shape (bins,), in any scale.
    """

    edges_us: NDArray[np.float64]
    counts: NDArray[np.float64]
