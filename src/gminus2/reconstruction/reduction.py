"""From hits to the histograms of a dataset (L1 → L2), fill by fill, for every reconstruction at once.

Simulated hits, stored hits and recorded hits of others take this path alike. Everything that is accumulated is an
integer, so the sum does not depend on the order in which chunks arrive; everything random (the position of a time
within its 78 ps, the fast-rotation shift, the choice of the R-method set) is a hash of (fill, calorimeter, time
code), so that reducing stored hits gives the very histograms of the direct pass.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gminus2.config.campaign import Clustering, Reduction
from gminus2.data.campaign import AXES, empty_reconstruction, empty_shared
from gminus2.data.hits import (
    ENERGY_SHIFT,
    MAX_ENERGY_CODE,
    MAX_TIME_CODE,
    STATION_SHIFT,
    TIME_SHIFT,
    TIME_UNIT_US,
    U_UNIT_MM,
    Y_OFFSET_MM,
    Y_UNIT_MM,
    HitBlock,
)
from gminus2.errors import DataError
from gminus2.physics.numerics import mix64
from gminus2.random import key_words
from gminus2.reconstruction.clustering import cluster_station, dead_time_us, kernel_settings

__all__ = ["Reducer", "merge_arrays", "merge_reducers"]


class _Axes(NamedTuple):
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


class _Parameters(NamedTuple):
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


class _Reco(NamedTuple):
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


_AXES: Final = _Axes(
    int(AXES["n_time"]),
    AXES["time_width_us"],
    int(AXES["n_energy"]),
    AXES["energy_width_mev"],
    int(AXES["n_coarse_energy"]),
    int(AXES["fine_per_time"]),
    int(AXES["n_fast"]),
    AXES["fast_width_us"],
    int(AXES["n_bunch"]),
    AXES["spectrum_width_mev"],
    int(AXES["n_spectrum"]),
)
_TWO_M21: Final = 2.0**-21
_PILEUP_START_US: Final = 30.0


@dataclass
class Reducer:
    """Accumulates blocks of hits into the arrays of a dataset.

    Parameters
    ----------
    settings
        Thresholds, windows and reconstructions.
    gain
        In-fill gain by (calorimeter, time), times equally spaced over the time code's range, or ``None``.
    fills_total
        Number of fills of the whole dataset, to assign laser pulses to groups.
    """

    settings: Reduction
    fills_total: int
    gain: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        names = [c.name for c in self.settings.clusterings]
        if len(set(names)) != len(names) or not names:
            raise DataError("every reconstruction needs its own name", found=", ".join(names) or "none")
        self.reconstructions = {name: empty_reconstruction() for name in names}
        self.shared = empty_shared()
        self.hits = 0
        self.fills = 0
        self._scratch_f = np.empty((4096, 4))
        self._scratch_i = np.empty((4096, 3), dtype=np.int64)

    def clear(self, fills_total: int) -> None:
        """Empty all arrays for another use."""
        for arrays in (self.shared, *self.reconstructions.values()):
            for values in arrays.values():
                values.fill(0)
        self.hits = self.fills = 0
        self.fills_total = fills_total

    def add(self, block: HitBlock) -> None:
        """Add the fills of a block."""
        s = self.settings
        self._add_laser(block)
        self._add_tracks(block)
        largest = int(np.diff(block.offsets).max(initial=0))
        if largest > self._scratch_f.shape[0]:
            self._scratch_f = np.empty((2 * largest, 4))
            self._scratch_i = np.empty((2 * largest, 3), dtype=np.int64)
        base = np.ones((24, 1)) if self.gain is None else self.gain
        group = s.fills_per_laser_group
        key = int(key_words(s.split_seed, "reduction")[0] >> np.uint64(1))
        fill = block.first_fill
        end = block.first_fill + block.fills
        while fill < end:
            stop = min(end, (fill // group + 1) * group)
            a, b = fill - block.first_fill, stop - block.first_fill
            gain = np.ascontiguousarray(base * self._outfill(block, fill // group)[:, None])
            offsets = block.offsets[a : b + 1]
            self._shared_kernel(block.words, offsets, fill, gain, key)
            for number, clustering in enumerate(s.clusterings):
                self._reduce(block.words, offsets, fill, gain, clustering, key, number == 0)
            fill = stop
        self.hits += int(block.words.size)
        self.fills += block.fills

    # -- parts -------------------------------------------------------------------------------------------------------

    def _parameters(self, clustering: Clustering, key: int) -> _Parameters:
        s = self.settings
        half = 0.5 * s.precession_period_us
        up, down = math.exp(half / s.lifetime_us), math.exp(-half / s.lifetime_us)
        total = 2.0 + up + down
        window = s.shadow_window_ns or 1e3 * dead_time_us(clustering, TIME_UNIT_US)
        return _Parameters(
            key,
            s.threshold_mev,
            int(s.q_threshold_mev),
            s.cyclotron_period_us if s.randomise_fast_rotation else 0.0,
            s.randomise_vertical_waist_us,
            half,
            up / total,
            down / total,
            1.0 / total,
            s.shadow_gap_ns * 1e-3,
            (s.shadow_gap_ns + window) * 1e-3,
            s.mip_low_mev,
            s.mip_high_mev,
            TIME_UNIT_US,
        )

    def _reduce(
        self,
        words: NDArray[np.int64],
        offsets: NDArray[np.int64],
        fill: int,
        gain: NDArray[np.float64],
        clustering: Clustering,
        key: int,
        first: bool,
    ) -> None:
        arrays = self.reconstructions[clustering.name]
        reduce_fills(
            _Reco(*(arrays[name] for name in _Reco._fields)),
            _AXES,
            self._parameters(clustering, key),
            kernel_settings(clustering, TIME_UNIT_US),
            words,
            offsets,
            fill,
            gain,
            self._scratch_f,
            self._scratch_i,
        )

    def _shared_kernel(
        self,
        words: NDArray[np.int64],
        offsets: NDArray[np.int64],
        fill: int,
        gain: NDArray[np.float64],
        key: int,
    ) -> None:
        sh = self.shared
        fill_shared(
            sh["fast_rotation"],
            sh["fast_rotation_bunch"],
            sh["energy_flow"],
            sh["energy_flow_squared"],
            sh["hit_map"],
            _AXES,
            self._parameters(self.settings.clusterings[0], key),
            words,
            offsets,
            fill,
            gain,
        )

    def _outfill(self, block: HitBlock, group: int) -> NDArray[np.float64]:
        """Return the mean laser response between the fills of a group per calorimeter; 1 where there is none."""
        response = np.ones(24)
        if not self.settings.out_of_fill_correction or block.laser.size == 0:
            return response
        laser = block.laser
        own = (laser["kind"] == 0) & (laser["fill"] // self.settings.fills_per_laser_group == group)
        if own.any():
            number = np.bincount(laser["station"][own], minlength=24)
            total = np.bincount(laser["station"][own], weights=laser["response"][own] * 1e-6, minlength=24)
            response = np.where(number > 0, total / np.maximum(number, 1), 1.0)
        return response

    def _add_laser(self, block: HitBlock) -> None:
        laser = block.laser
        if laser.size == 0:
            return
        time = laser["time"].astype(np.float64) * TIME_UNIT_US
        group = laser["fill"].astype(np.int64) * int(AXES["n_laser_group"]) // max(1, self.fills_total)
        where = (
            ("laser_outfill", 0, group),
            ("laser_infill", 1, (time / AXES["laser_time_width_us"]).astype(np.int64)),
            ("laser_double", 2, (time / AXES["double_pulse_width_us"]).astype(np.int64)),
        )
        for name, kind, index in where:
            target = self.shared[name]
            chosen = (laser["kind"] == kind) & (index < target.shape[1])
            cell = (laser["station"][chosen], index[chosen])
            deviation = laser["response"][chosen].astype(np.int64) - 1_000_000
            np.add.at(target, (*cell, 0), 1)
            np.add.at(target, (*cell, 1), deviation)
            np.add.at(target, (*cell, 2), deviation**2)

    def _add_tracks(self, block: HitBlock) -> None:
        tracks = block.tracks
        if tracks.size == 0:
            return
        sh = self.shared
        time = tracks["time"].astype(np.float64) * TIME_UNIT_US
        it = (time / AXES["time_width_us"]).astype(np.int64)
        slice_ = (time / AXES["slice_width_us"]).astype(np.int64)
        x = tracks["x"] * 0.01 - self.settings.tangency_bias_mm
        ix = np.floor((x - AXES["position_min_mm"]) / AXES["position_width_mm"]).astype(np.int64)
        iy = np.floor((tracks["y"] * 0.01 - AXES["position_min_mm"]) / AXES["position_width_mm"]).astype(np.int64)
        ia = np.floor((tracks["angle"] * 0.01 - AXES["angle_min_mrad"]) / AXES["angle_width_mrad"]).astype(np.int64)
        ip = np.minimum(tracks["p"] // 50, 61).astype(np.int64)
        station = tracks["station"].astype(np.int64)
        in_time = it < int(AXES["n_time"])

        def add(name: str, ok: NDArray[np.bool_], *index: NDArray[np.int64]) -> None:
            np.add.at(sh[name], tuple(i[ok] for i in index), 1)

        in_x = (ix >= 0) & (ix < int(AXES["n_position"]))
        in_y = (iy >= 0) & (iy < int(AXES["n_position"]))
        in_a = (ia >= 0) & (ia < int(AXES["n_angle"]))
        add("track_x", in_time & in_x, station, ix, it)
        add("track_y", in_time & in_y, station, iy, it)
        add("track_angle", in_time & in_a, station, ia, it)
        add("track_xy", in_x & in_y & (slice_ < int(AXES["n_slice"])), station, slice_, ix, iy)
        add("track_momentum", in_time, station, ip)


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


def merge_arrays(total: Mapping[str, NDArray[Any]], part: Mapping[str, NDArray[Any]]) -> None:
    """Add the arrays of a part to a total, in place."""
    for name, values in part.items():
        np.add(total[name], values, out=total[name], casting="unsafe")


def merge_reducers(total: Reducer, parts: Sequence[Reducer]) -> None:
    """Add what other reducers collected."""
    for part in parts:
        merge_arrays(total.shared, part.shared)
        for name, arrays in part.reconstructions.items():
            merge_arrays(total.reconstructions[name], arrays)
        total.hits += part.hits
        total.fills += part.fills
