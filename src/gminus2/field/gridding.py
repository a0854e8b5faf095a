"""Fixed-probe readings: quality cuts and a common time grid, in one pass over chunks.

A grid value is the exact mean over the bin of the straight-line interpolation between good readings, so that the grid
preserves the time integral whatever the probes' own cadence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gminus2.data.nmr import FixedSource
from gminus2.errors import DataError
from gminus2.physics.probes import N_FIXED_PROBES, stations

__all__ = ["FixedGrid", "fill_dead_probes", "grid_fixed_probes"]

FloatArray = NDArray[np.float64]
#: A reading is compared with the median of itself and this many readings on either side.
_REACH: Final = 3
#: Slope of the trolley's image in a passing station [Hz/s], allowed for by the outlier cut.
_IMAGE_SLOPE_HZ_PER_S: Final = 0.5


@dataclass(frozen=True)
class FixedGrid:
    """Fixed probes on a common time grid.

    Attributes
    ----------
    edges_s
        Bin edges, shape (n+1,).
    f_hz
        Mean of each bin, shape (n, 378); NaN where a probe did not cover half of the bin.
    bad_fraction
        Share of readings lost or cut, per probe.
    noise_hz
        Single-reading noise from successive differences, per probe.
    dead
        Numbers of the probes that gave nothing usable (before :func:`fill_dead_probes`).
    """

    edges_s: FloatArray
    f_hz: FloatArray
    bad_fraction: FloatArray
    noise_hz: FloatArray
    dead: tuple[int, ...]

    @property
    def time_s(self) -> FloatArray:
        """Bin centres."""
        return 0.5 * (self.edges_s[1:] + self.edges_s[:-1])


@njit(cache=True, nogil=True)
def _mark_outliers(
    f: NDArray[np.float32],
    limit: NDArray[np.float64],
    reach: int,
    good: NDArray[np.bool_],
    common: NDArray[np.float64],
    scratch: NDArray[np.float64],
) -> None:  # pragma: no cover - compiled
    """Mark readings farther than ``limit`` from the median of their neighbours (± ``reach``) in time.

    The motion common to the ring is taken out first, so that steps of the magnet are no outliers; a window of a few
    readings follows the trolley's image.
    """
    n, n_probe = f.shape
    common[0] = 0.0
    for k in range(1, n):
        total = 0.0
        count = 0
        for p in range(n_probe):
            step = f[k, p] - f[k - 1, p]
            if abs(step) < 60.0:  # False for NaN
                total += step
                count += 1
        common[k] = common[k - 1] + (total / count if count > 0 else 0.0)
    for k in range(n):
        first = max(0, min(k - reach, n - 2 * reach - 1))
        last = min(n, first + 2 * reach + 1)
        for p in range(n_probe):
            v = np.float64(f[k, p]) - common[k]
            if not np.isfinite(v):
                good[k, p] = False
                continue
            if 0 < k < n - 1:
                # Close to both neighbours is close to their median: no need to sort.
                before = abs(v - (np.float64(f[k - 1, p]) - common[k - 1]))
                after = abs(v - (np.float64(f[k + 1, p]) - common[k + 1]))
                if before <= 0.5 * limit[p] and after <= 0.5 * limit[p]:
                    good[k, p] = True
                    continue
            m = 0
            for i in range(first, last):
                w = np.float64(f[i, p]) - common[i]
                if np.isfinite(w):
                    j = m
                    while j > 0 and scratch[j - 1] > w:
                        scratch[j] = scratch[j - 1]
                        j -= 1
                    scratch[j] = w
                    m += 1
            good[k, p] = abs(v - scratch[m // 2]) <= limit[p]


@njit(cache=True, nogil=True)
def _accumulate(
    time: NDArray[np.float64],
    f: NDArray[np.float32],
    good: NDArray[np.bool_],
    start: float,
    width: float,
    max_gap: float,
    last_t: NDArray[np.float64],
    last_f: NDArray[np.float64],
    integral: NDArray[np.float64],
    covered: NDArray[np.float32],
) -> None:  # pragma: no cover - compiled
    """Add the integral of the interpolant between successive good readings to the bins."""
    n_bin = integral.shape[0]
    for k in range(time.size):
        t1 = time[k]
        for p in range(f.shape[1]):
            if not good[k, p]:
                continue
            f1 = np.float64(f[k, p])
            t0 = last_t[p]
            f0 = last_f[p]
            last_t[p] = t1
            last_f[p] = f1
            if np.isnan(t0) or t1 - t0 > max_gap or t1 <= t0:
                continue
            slope = (f1 - f0) / (t1 - t0)
            a = t0
            b = int(np.floor((a - start) / width))
            while a < t1:
                e = min(t1, start + (b + 1) * width)
                if 0 <= b < n_bin and e > a:
                    integral[b, p] += (e - a) * (f0 + slope * (0.5 * (a + e) - t0))
                    covered[b, p] += np.float32(e - a)
                a = e
                b += 1


def grid_fixed_probes(
    source: FixedSource,
    edges_s: FloatArray,
    *,
    cut_sigma: float = 6.0,
    slack_hz: float = 2.0,
    max_gap_s: float = 120.0,
) -> FixedGrid:
    """Clean and grid a source of readings.

    Parameters
    ----------
    edges_s
        Equidistant bin edges [s].
    cut_sigma, slack_hz
        A reading is cut if it is farther than ``cut_sigma`` of its noise plus ``slack_hz`` (plus what the trolley's
        image changes within the window) from the median of seven neighbouring readings.
    max_gap_s
        Longer gaps are not bridged.

    Raises
    ------
    DataError
        Wrong number of probes, times that do not increase, no readings, more than a third of the probes dead.
    """
    n_bin = len(edges_s) - 1
    width = float(edges_s[1] - edges_s[0])
    integral = np.zeros((n_bin, N_FIXED_PROBES))
    covered = np.zeros((n_bin, N_FIXED_PROBES), dtype=np.float32)
    last_t = np.full(N_FIXED_PROBES, np.nan)
    last_f = np.zeros(N_FIXED_PROBES)
    bad = np.zeros(N_FIXED_PROBES)
    noise: FloatArray | None = None
    total, previous = 0, -np.inf
    for time, f in source.chunks():
        if f.ndim != 2 or f.shape[1] != N_FIXED_PROBES:
            raise DataError(
                "fixed-probe readings have the wrong shape", expected=f"(n, {N_FIXED_PROBES})", found=str(f.shape)
            )
        if len(time) and (time[0] <= previous or (np.diff(time) <= 0).any()):
            raise DataError("the times of the fixed-probe readings do not increase", where=f"after reading {total}")
        previous = float(time[-1])
        total += len(time)
        if noise is None:
            noise = _noise(f)
        good = np.empty(f.shape, dtype=bool)
        readings = np.ascontiguousarray(f, dtype=np.float32)
        cadence = float(np.median(np.diff(time))) if len(time) > 1 else 1.0
        limit = cut_sigma * noise + slack_hz + _IMAGE_SLOPE_HZ_PER_S * cadence * _REACH
        _mark_outliers(readings, limit, _REACH, good, np.empty(len(time)), np.empty(2 * _REACH + 1))
        bad += (~good).sum(axis=0)
        _accumulate(time, readings, good, float(edges_s[0]), width, max_gap_s, last_t, last_f, integral, covered)
    if total == 0 or noise is None:
        raise DataError("there are no fixed-probe readings")
    with np.errstate(invalid="ignore", divide="ignore"):
        np.divide(integral, covered, out=integral)
    integral[covered <= 0.5 * width] = np.nan
    grid = integral
    empty = np.isnan(grid).mean(axis=0) > 0.5
    dead = tuple(int(p) for p in np.flatnonzero(empty | (bad > 0.5 * total)))
    if len(dead) > N_FIXED_PROBES // 3:
        raise DataError(
            "too many fixed probes are dead",
            expected=f"at most {N_FIXED_PROBES // 3}",
            found=f"{len(dead)} of {N_FIXED_PROBES}",
        )
    return FixedGrid(edges_s, grid, bad / total, noise, dead)


def _noise(f: NDArray[np.float32]) -> FloatArray:
    """Return a robust single-reading noise per probe from successive differences; 1 Hz where there is none."""
    step = np.abs(np.diff(f.astype(np.float64), axis=0))
    result = np.ones(N_FIXED_PROBES)
    for p in range(N_FIXED_PROBES):
        finite = step[np.isfinite(step[:, p]), p]
        if finite.size > 3:
            result[p] = max(float(np.median(finite)) / (0.6745 * np.sqrt(2)), 1e-3)
    return result


def fill_dead_probes(grid: FixedGrid) -> FixedGrid:
    """Give a dead probe the motion of the probes at the same place of the neighbouring stations.

    The synchronisation with the trolley absorbs any constant; what counts is the change. Short gaps of living probes
    are bridged linearly in time. The grid's array is changed in place (it may be large) and returned.

    Raises
    ------
    DataError
        No probe at that place is alive within five stations on either side.
    """
    f = grid.f_hz
    layout = stations()
    where = {probe: (s.index, s.names[k]) for s in layout for k, probe in enumerate(s.probe_ids)}
    for p in range(N_FIXED_PROBES):
        missing = np.isnan(f[:, p])
        if p not in grid.dead and missing.any():
            f[missing, p] = np.interp(grid.time_s[missing], grid.time_s[~missing], f[~missing, p])
    for p in grid.dead:
        index, name = where[p]
        donors = []
        for step in (1, -1):
            for distance in range(1, 6):
                station = layout[(index + step * distance) % len(layout)]
                if name in station.names:
                    donor = station.probe_ids[station.names.index(name)]
                    if donor not in grid.dead:
                        donors.append((distance, donor))
                        break
        if not donors:
            raise DataError(
                "no living neighbour for a dead fixed probe", where=f"probe {p} ({name} of station {index})"
            )
        weight = np.array([1.0 / distance for distance, _ in donors])
        motion = np.stack([f[:, d] for _, d in donors])
        f[:, p] = weight @ motion / weight.sum()
    return grid
