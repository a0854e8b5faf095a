"""The kernels that fill the histograms of a dataset from hit words: counts, pileup shadows, lost-muon coincidences.

Everything random is a hash of (fill, calorimeter, time code) and everything added is an integer; see
:mod:`gminus2.reconstruction.reduction`, which prepares what they read.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit

from gminus2.data.hits import (
    ENERGY_SHIFT,
    MAX_ENERGY_CODE,
    MAX_TIME_CODE,
    STATION_SHIFT,
    TIME_SHIFT,
    U_UNIT_MM,
    Y_OFFSET_MM,
    Y_UNIT_MM,
)
from gminus2.physics.numerics import mix64
from gminus2.reconstruction.clustering import cluster_station

__all__ = ["Axes", "Histograms", "KernelParameters", "fill_shared", "reduce_fills"]

_TWO_M21: Final = 2.0**-21
_PILEUP_START_US: Final = 30.0


class Axes(NamedTuple):
    """Bins and widths of the histograms: µs, MeV."""

    n_time: int
    time_width: float
    n_energy: int
    energy_width: float
    n_coarse: int
    fine_per_time: int
    n_fast: int
    fast_width: float
    n_bunch: int
    spectrum_width: float
    n_spectrum: int


class KernelParameters(NamedTuple):
    """What the kernels need of a reconstruction: hash key, thresholds and MIP window [MeV], times and their unit [µs].

    ``width_c``, ``width_v`` are the ranges of the random shifts, ``p_plus``, ``p_minus``, ``p_v`` the chances of the
    R-method's sets, ``shadow_gap`` … ``shadow_end`` the window of pileup.
    """

    key: int
    threshold: float
    q_threshold: int
    width_c: float
    width_v: float
    half_period: float
    p_plus: float
    p_minus: float
    p_v: float
    shadow_gap: float
    shadow_end: float
    mip_low: float
    mip_high: float
    unit: float


class Histograms(NamedTuple):
    """Integer arrays of one reconstruction, as in :func:`gminus2.data.campaign.empty_reconstruction`."""

    counts: Any
    pileup_net: Any
    pileup_doublets: Any
    pileup_singles: Any
    pileup_pairs: Any
    random_sets: Any
    fine: Any
    bunch: Any
    rows: Any
    columns: Any
    coincidences: Any
    coincidence_dt: Any
    spectrum: Any


@njit(cache=True)
def _hash(key, fill, station, code):  # type: ignore[no-untyped-def]
    word = (np.uint64(code) << np.uint64(32)) ^ (np.uint64(station) << np.uint64(56)) ^ np.uint64(fill)
    return mix64(mix64(word ^ np.uint64(key)) + np.uint64(0x9E3779B97F4A7C15))


@njit(cache=True)
def _thirds(bits):  # type: ignore[no-untyped-def]
    """Return three numbers in [0, 1) of 63 bits."""
    mask = np.uint64(0x1FFFFF)
    return (
        float(bits & mask) * _TWO_M21,
        float((bits >> np.uint64(21)) & mask) * _TWO_M21,
        float((bits >> np.uint64(42)) & mask) * _TWO_M21,
    )


@njit(cache=True, nogil=True)
def fill_shared(fast, fast_bunch, flow, flow2, hit_map, axes, p, words, offsets, first_fill, gain):  # type: ignore[no-untyped-def]
    """Fill what needs no clustering: fast rotation, energy flow, hit map."""
    steps = gain.shape[1] - 1
    for f in range(offsets.size - 1):
        fill = first_fill + f
        bunch = fill % axes.n_bunch
        for h in range(offsets[f], offsets[f + 1]):
            word = words[h]
            station = word >> STATION_SHIFT
            code = (word >> TIME_SHIFT) & MAX_TIME_CODE
            raw = (word >> ENERGY_SHIFT) & MAX_ENERGY_CODE
            if steps > 0:
                position = (code + 0.5) * (steps / (MAX_TIME_CODE + 1.0))
                cell = int(position)
                correction = gain[station, cell] + (position - cell) * (gain[station, cell + 1] - gain[station, cell])
            else:
                correction = gain[station, 0]
            energy = (raw + 0.5) / correction
            dither, move, move_v = _thirds(_hash(p.key, fill, station, code))
            time = (code + dither) * p.unit
            if energy >= p.threshold:
                cell_fast = int(time / axes.fast_width)
                if cell_fast < axes.n_fast:
                    fast[station, cell_fast] += 1
                    fast_bunch[bunch, cell_fast] += 1
                u = min(31, int(((word & 255) + 0.5) * U_UNIT_MM / 7.2))
                y = min(25, int((((word >> 8) & 255) + 0.5) * Y_UNIT_MM - Y_OFFSET_MM + 78.0) // 6)
                hit_map[station, u, y] += 1
            if raw >= p.q_threshold:
                moved = time + p.width_c * (move - 0.5) + p.width_v * (move_v - 0.5)
                cell_t = math.floor(moved / axes.time_width)
                if 0 <= cell_t < axes.n_time:
                    value = int(energy + 0.5)
                    flow[station, cell_t] += value
                    flow2[station, cell_t] += value * value


@njit(cache=True, nogil=True)
def reduce_fills(r, axes, p, clustering, words, offsets, first_fill, gain, scratch_f, scratch_i):  # type: ignore[no-untyped-def]
    """Cluster the hits of consecutive fills and fill the histograms of one reconstruction."""
    begin = np.zeros(25, dtype=np.int64)
    last_bin = axes.n_energy - 1
    fine_width = axes.time_width / axes.fine_per_time
    for f in range(offsets.size - 1):
        fill = first_fill + f
        bunch = fill % axes.n_bunch
        h = offsets[f]
        end = offsets[f + 1]
        n = 0
        for station in range(24):
            begin[station] = n
            start = h
            while h < end and words[h] >> STATION_SHIFT == station:
                h += 1
            if h > start:
                n = cluster_station(words, start, h, clustering, gain[station], scratch_f, scratch_i, n)
        begin[24] = n
        for station in range(24):
            for c in range(begin[station], begin[station + 1]):
                energy = scratch_f[c, 1]
                bits = _hash(p.key, fill, station, scratch_i[c, 0])
                dither, move, move_v = _thirds(bits)
                time = (scratch_f[c, 0] - 0.5 + dither) * p.unit
                shift = p.width_c * (move - 0.5) + p.width_v * (move_v - 0.5)
                moved = time + shift
                e = min(last_bin, int(energy / axes.energy_width))
                coarse = min(axes.n_coarse - 1, e // 2)
                t = math.floor(moved / axes.time_width)
                if 0 <= t < axes.n_time:
                    r.counts[station, e, t] += 1
                    r.fine[coarse, int(moved / fine_width)] += 1
                    if energy >= p.threshold:
                        r.bunch[bunch, t] += 1
                        r.rows[min(5, max(0, int((scratch_f[c, 3] + 75.6) / 25.2))), t] += 1
                        r.columns[min(8, max(0, int(scratch_f[c, 2] / 25.2))), t] += 1
                choice, _, _ = _thirds(mix64(bits))
                s = 3
                target = moved
                if choice < p.p_plus:
                    s = 0
                    target = moved - p.half_period
                elif choice < p.p_plus + p.p_minus:
                    s = 1
                    target = moved + p.half_period
                elif choice < p.p_plus + p.p_minus + p.p_v:
                    s = 2
                t = math.floor(target / axes.time_width)
                if 0 <= t < axes.n_time:
                    r.random_sets[s, e, t] += 1
                if time > _PILEUP_START_US:
                    r.spectrum[station, min(axes.n_spectrum - 1, int(energy / axes.spectrum_width))] += 1
                # -- pileup: what follows in the shadow window would have merged had it come at once
                _, edge, coin = _thirds(mix64(bits))
                last = begin[station + 1]
                d = _follower(scratch_f, c, last, edge, clustering.distance_squared, p)
                if d >= 0:
                    gap = (scratch_f[d, 0] - scratch_f[c, 0]) * p.unit
                    other = scratch_f[d, 1]
                    both = energy + other
                    when = time + (gap - p.shadow_gap) * other / both + 0.5 * p.shadow_gap + shift
                    t = math.floor(when / axes.time_width)
                    if 0 <= t < axes.n_time:
                        e2 = min(last_bin, int(other / axes.energy_width))
                        eb = min(last_bin, int(both / axes.energy_width))
                        r.pileup_doublets[eb, t] += 1
                        r.pileup_singles[e, t] += 1
                        r.pileup_singles[e2, t] += 1
                        r.pileup_net[station, eb, t] += 1
                        r.pileup_net[station, e, t] -= 1
                        r.pileup_net[station, e2, t] -= 1
                        if time > _PILEUP_START_US:
                            r.pileup_pairs[coarse, min(axes.n_coarse - 1, e2 // 2)] += 1
                    # Second order: a third cluster in the shadow of the second.
                    _, edge, _ = _thirds(mix64(_hash(p.key, fill, station, scratch_i[d, 0])))
                    third = _follower(scratch_f, d, last, edge, clustering.distance_squared, p)
                    t = math.floor((time + gap + shift) / axes.time_width)
                    if third >= 0 and 0 <= t < axes.n_time:
                        _second_order(
                            r.pileup_net, station, t, energy, other, scratch_f[third, 1], coin < 0.5, axes, last_bin
                        )
                # -- lost muons: the same small compact pulse one calorimeter later after 6.2 ns, and again
                if scratch_i[c, 2] == 1 and p.mip_low <= energy < p.mip_high:
                    second = _next_mip(scratch_f, scratch_i, begin, station + 1, time, 0.005, 0.0075, p)
                    _pair_times(r.coincidence_dt, scratch_f, scratch_i, begin, station + 1, time, p)
                    t = math.floor(time / axes.time_width)
                    if second >= 0 and 0 <= t < axes.n_time:
                        at = (scratch_f[second, 0] - 0.5 + dither) * p.unit
                        third = _next_mip(scratch_f, scratch_i, begin, station + 2, at, 0.005, 0.0075, p)
                        if third >= 0:
                            last = (scratch_f[third, 0] - 0.5 + dither) * p.unit
                            if last - time < 0.0144:
                                r.coincidences[0, t] += 1
                                if _next_mip(scratch_f, scratch_i, begin, station + 3, last, 0.005, 0.0075, p) >= 0:
                                    r.coincidences[3, t] += 1
                        if _next_mip(scratch_f, scratch_i, begin, station + 2, at, 0.002, 0.004, p) >= 0:
                            r.coincidences[1, t] += 1
                        if _next_mip(scratch_f, scratch_i, begin, station + 2, at, 0.010, 0.0125, p) >= 0:
                            r.coincidences[2, t] += 1


@njit(cache=True)
def _follower(scratch_f, c, end, edge, distance_squared, p):  # type: ignore[no-untyped-def]
    """Return the first cluster in the shadow window of cluster c that would have merged with it, or −1.

    Time codes are whole numbers; ``edge`` in [0, 1) moves the window by less than one of them, so that it holds its
    length on average.
    """
    for d in range(c + 1, end):
        gap = (scratch_f[d, 0] - scratch_f[c, 0] + edge - 0.5) * p.unit
        if gap >= p.shadow_end:
            return -1
        if gap >= p.shadow_gap:
            du = scratch_f[d, 2] - scratch_f[c, 2]
            dy = scratch_f[d, 3] - scratch_f[c, 3]
            if du * du + dy * dy < distance_squared:
                return d
    return -1


@njit(cache=True)
def _second_order(net, station, t, one, two, three, extra, axes, last_bin):  # type: ignore[no-untyped-def]
    """Add what a shadow triplet says: c₃ − ⁷⁄₂ R c₂ + 4 R² c with a minus sign, in whole numbers.

    Clusters are chains already, so that doublets of observed clusters count triples twice;
    ``docs/physics/detectors.md`` §6.
    """
    a = min(last_bin, int(one / axes.energy_width))
    b = min(last_bin, int(two / axes.energy_width))
    c = min(last_bin, int(three / axes.energy_width))
    outer = min(last_bin, int((one + three) / axes.energy_width))
    net[station, min(last_bin, int((one + two + three) / axes.energy_width)), t] -= 1
    net[station, min(last_bin, int((one + two) / axes.energy_width)), t] += 1
    net[station, min(last_bin, int((two + three) / axes.energy_width)), t] += 1
    net[station, outer, t] += 1
    net[station, a, t] -= 1
    net[station, b, t] -= 1
    net[station, c, t] -= 1
    if extra:
        net[station, outer, t] += 1
        net[station, a, t] -= 1
        net[station, c, t] -= 1


@njit(cache=True)
def _first_after(scratch_f, low, high, time, unit):  # type: ignore[no-untyped-def]
    """Return the first row in [low, high) whose time is not before ``time`` [µs]."""
    while low < high:
        middle = (low + high) // 2
        if scratch_f[middle, 0] * unit < time:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True)
def _next_mip(scratch_f, scratch_i, begin, station, time, gap_low, gap_high, p):  # type: ignore[no-untyped-def]
    k = station % 24
    c = _first_after(scratch_f, begin[k], begin[k + 1], time + gap_low, p.unit)
    while c < begin[k + 1] and scratch_f[c, 0] * p.unit < time + gap_high:
        if scratch_i[c, 2] == 1 and p.mip_low <= scratch_f[c, 1] < p.mip_high:
            return c
        c += 1
    return -1


@njit(cache=True)
def _pair_times(target, scratch_f, scratch_i, begin, station, time, p):  # type: ignore[no-untyped-def]
    k = station % 24
    c = _first_after(scratch_f, begin[k], begin[k + 1], time, p.unit)
    while c < begin[k + 1]:
        gap = scratch_f[c, 0] * p.unit - time
        cell = int(gap / 1e-4)
        if cell >= target.size:
            break
        if cell >= 0 and scratch_i[c, 2] == 1 and p.mip_low <= scratch_f[c, 1] < p.mip_high:
            target[cell] += 1
        c += 1
