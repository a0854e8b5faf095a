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
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gminus2.config.campaign import Clustering, Reduction
from gminus2.data.campaign import AXES, empty_reconstruction, empty_shared
from gminus2.data.hits import TIME_UNIT_US, HitBlock
from gminus2.errors import DataError
from gminus2.random import key_words
from gminus2.reconstruction.clustering import dead_time_us, kernel_settings
from gminus2.reconstruction.filling import Axes, Histograms, KernelParameters, fill_shared, reduce_fills

__all__ = ["Reducer", "merge_arrays", "merge_reducers"]


_AXES: Final = Axes(
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

    def _parameters(self, clustering: Clustering, key: int) -> KernelParameters:
        s = self.settings
        half = 0.5 * s.precession_period_us
        up, down = math.exp(half / s.lifetime_us), math.exp(-half / s.lifetime_us)
        total = 2.0 + up + down
        window = s.shadow_window_ns or 1e3 * dead_time_us(clustering, TIME_UNIT_US)
        return KernelParameters(
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
            Histograms(*(arrays[name] for name in Histograms._fields)),
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
