"""Pileup by the shadow window: its amplitude from the region above the endpoint, and what it adds to the variance.

Pairs of hits that follow each other at a distance where they are resolved stand for pairs that merged. Each pair adds a
doublet D and removes its two singles S; the reduction stores D - S by (calorimeter, energy, time), so that

    corrected = counts - m (D - S),

and m, near 1, is fitted where nothing but pileup can be (``docs/physics/omega_a.md``, section 2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gminus2.data.campaign import AXES
from gminus2.errors import DataError

__all__ = ["ENDPOINT_WINDOW_MEV", "PileupScale", "fit_pileup_scale", "shadow_error_factor"]

#: Energies where only pileup remains [MeV]: above the endpoint with six standard deviations of the resolution.
ENDPOINT_WINDOW_MEV: Final = (3600.0, 5200.0)
_START_US: Final = 30.0


@dataclass(frozen=True)
class PileupScale:
    """Factor on the constructed pileup spectrum, from the counts above the endpoint.

    Attributes
    ----------
    value, error
        counts/constructed above the endpoint, and its standard error (both Poisson).
    counts, constructed
        In the window, after 30 µs.
    measured
        ``False`` where there were too few counts and 1 was taken.
    """

    value: float
    error: float
    counts: float
    constructed: float
    measured: bool = True


def fit_pileup_scale(
    counts: NDArray[np.float64],
    constructed: NDArray[np.float64],
    *,
    window_mev: tuple[float, float] = ENDPOINT_WINDOW_MEV,
    start_us: float = _START_US,
    constructed_is_counted: bool = True,
) -> PileupScale:
    """Return the factor that makes counts and constructed pileup agree above the endpoint.

    Parameters
    ----------
    counts, constructed
        By (energy, time), shape (128, 4700).
    constructed_is_counted
        Whether the construction has the noise of counted pairs (shadow window) or of none (convolution).

    Raises
    ------
    DataError
        The two arrays differ in shape.
    """
    if counts.shape != constructed.shape:
        raise DataError(
            "counts and constructed pileup differ in shape", expected=str(counts.shape), found=str(constructed.shape)
        )
    low, high = (round(edge / AXES["energy_width_mev"]) for edge in window_mev)
    first = math.ceil(start_us / AXES["time_width_us"])
    n = float(counts[low:high, first:].sum())
    p = float(constructed[low:high, first:].sum())
    if n < 10.0 or p <= 0.0:
        return PileupScale(1.0, 1.0 / math.sqrt(max(n, 1.0)), n, p, measured=False)
    relative = math.sqrt(1.0 / n + (1.0 / p if constructed_is_counted else 0.0))
    return PileupScale(n / p, n / p * relative, n, p)


def shadow_error_factor(
    corrected: NDArray[np.float64], neither: NDArray[np.float64], both: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return variance/content of threshold counts after subtraction of shadow-window pileup.

    A pair with both hits above threshold leaves 1 + 1 + (S - D) = 3 in one bin, variance 9; one with neither but with
    its sum above leaves -1, variance 1. So var = N (1 + (2 N_neither + 6 N_both)/N).

    Parameters
    ----------
    corrected
        Counts after subtraction.
    neither, both
        Pairs whose doublet is above threshold and no single is; pairs with both singles above. Any shape.
    """
    safe = np.maximum(corrected, 1.0)
    result: NDArray[np.float64] = 1.0 + (2.0 * neither + 6.0 * both) / safe
    return result
