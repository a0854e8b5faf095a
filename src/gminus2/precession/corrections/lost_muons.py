"""The spectrum of lost muons from coincidences of neighbouring calorimeters.

A lost muon crosses calorimeters one after the other as a minimum-ionising particle, 6.2 ns apart. Triples count it;
one that visits four counts as two triples, so quadruples are subtracted; and accidentals are what the third
calorimeter shows beside its time window (``docs/physics/omega_a.md``, section 4).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gminus2.data.campaign import AXES
from gminus2.precession.models.losses import LostMuonSpectrum

__all__ = ["lost_muon_counts", "lost_muon_spectrum"]

#: Width of the signal window of the third calorimeter and of its two side windows [ns].
_SIGNAL_NS: Final = 2.5
_SIDES_NS: Final = (2.0, 2.5)
#: Fewer losses than this are no spectrum.
_MINIMUM: Final = 50.0


def lost_muon_counts(
    coincidences: NDArray[Any], *, accidentals: bool = True, quadruples: bool = True
) -> NDArray[np.float64]:
    """Return detected losses by time bin, shape (times,).

    Parameters
    ----------
    coincidences
        Triples, triples with the third at 2-4 ns, at 10-12.5 ns, quadruples; shape (4, times).
    accidentals, quadruples
        Whether to subtract them.
    """
    values = np.asarray(coincidences, dtype=np.float64)
    result: NDArray[np.float64] = values[0].copy()
    if accidentals:
        result -= (values[1] + values[2]) * (_SIGNAL_NS / sum(_SIDES_NS))
    if quadruples:
        result -= values[3]
    return result


def lost_muon_spectrum(
    coincidences: NDArray[Any],
    *,
    start_us: float = 15.0,
    group: int = 8,
    accidentals: bool = True,
    quadruples: bool = True,
) -> LostMuonSpectrum | None:
    """Return the loss spectrum from ``start_us`` on in groups of time bins, or ``None`` where there are no losses."""
    counts = lost_muon_counts(coincidences, accidentals=accidentals, quadruples=quadruples)
    width = AXES["time_width_us"]
    first = round(start_us / width)
    n = (counts.size - first) // group
    grouped = counts[first : first + n * group].reshape(n, group).sum(axis=1)
    if grouped.sum() < _MINIMUM:
        return None
    edges: NDArray[np.float64] = np.asarray(width * (first + group * np.arange(n + 1)), dtype=np.float64)
    return LostMuonSpectrum(edges, grouped)
