"""Two reconstructions of the same hits: which pulses merge, and what energy and time the sum has.

Hits in one calorimeter that follow each other within the separation (and, with spatial separation, lie close together)
cannot be told apart and become one cluster: energies add, time and position are energy-weighted means. The rule is a
*chain*: each gap is measured from the previous hit, so a third hit extends the window. Pileup is the consequence.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from numba import njit

from gminus2.config.campaign import Clustering
from gminus2.data.hits import (
    COMPACT_SHIFT,
    ENERGY_SHIFT,
    MAX_ENERGY_CODE,
    MAX_TIME_CODE,
    TIME_SHIFT,
    U_UNIT_MM,
    Y_OFFSET_MM,
    Y_UNIT_MM,
)

__all__ = ["ClusteringSettings", "cluster_station", "dead_time_us", "kernel_settings"]


class ClusteringSettings(NamedTuple):
    """What the kernel reads: times in hit time units, lengths in mm."""

    separation: float
    distance_squared: float
    threshold: int
    scale: float


def dead_time_us(clustering: Clustering, time_unit_us: float) -> float:
    """Return the time within which hits merge on average [µs].

    Times are whole numbers of units: hits merge up to n − 1 units of difference, n being the separation rounded up. Two
    hits a fraction of a unit apart share a unit or not, so that this is n − ½ units; 0 without merging.
    """
    units = math.ceil(clustering.separation_ns * 1e-3 / time_unit_us - 1e-9)
    return max(0.0, units - 0.5) * time_unit_us


def kernel_settings(clustering: Clustering, time_unit_us: float) -> ClusteringSettings:
    """Return the kernel's view of a reconstruction."""
    return ClusteringSettings(
        separation=float(math.ceil(clustering.separation_ns * 1e-3 / time_unit_us - 1e-9)),
        distance_squared=clustering.distance_mm**2 if clustering.distance_mm > 0.0 else 1e300,
        threshold=int(clustering.threshold_mev),
        scale=1.0 - clustering.leakage,
    )


@njit(cache=True, nogil=True)
def cluster_station(
    words: Any, first: int, last: int, settings: Any, gain: Any, out_f: Any, out_i: Any, begin: int
) -> int:
    """Cluster the hits ``words[first:last]`` of one calorimeter and fill, which are in time order.

    Parameters
    ----------
    settings
        :class:`ClusteringSettings`.
    gain
        Gain correction by time, (G,) at equal steps over the range of the time code; energies are divided by it.
    out_f, out_i
        Out, rows from ``begin``: (time [units], energy [MeV], u [mm], y [mm]), (time code of the first hit, hits,
        compact).

    Returns
    -------
    Row after the last cluster.
    """
    n = begin
    previous = -1.0e18
    steps = gain.size - 1
    for h in range(first, last):
        word = words[h]
        code = (word >> TIME_SHIFT) & MAX_TIME_CODE
        raw = (word >> ENERGY_SHIFT) & MAX_ENERGY_CODE
        if raw < settings.threshold:
            continue
        time = code + 0.5
        if steps > 0:
            position = time * (steps / (MAX_TIME_CODE + 1.0))
            cell = int(position)
            correction = gain[cell] + (position - cell) * (gain[cell + 1] - gain[cell])
        else:
            correction = gain[0]
        energy = (raw + 0.5) * settings.scale / correction
        u = ((word & 255) + 0.5) * U_UNIT_MM
        y = (((word >> 8) & 255) + 0.5) * Y_UNIT_MM - Y_OFFSET_MM
        if n > begin and time - previous < settings.separation:
            k = n - 1
            du = u - out_f[k, 2]
            dy = y - out_f[k, 3]
            if du * du + dy * dy < settings.distance_squared:
                total = out_f[k, 1] + energy
                w = energy / total
                out_f[k, 0] += w * (time - out_f[k, 0])
                out_f[k, 1] = total
                out_f[k, 2] += w * du
                out_f[k, 3] += w * dy
                out_i[k, 1] += 1
                out_i[k, 2] = 0
                previous = time
                continue
        out_f[n, 0] = time
        out_f[n, 1] = energy
        out_f[n, 2] = u
        out_f[n, 3] = y
        out_i[n, 0] = code
        out_i[n, 1] = 1
        out_i[n, 2] = (word >> COMPACT_SHIFT) & 1
        n += 1
        previous = time
    return n
