"""The trolley's magnetic image in the fixed probes it passes, and its removal.

While the trolley is near a station its probes read the image as well. There the readings are replaced by the mean
motion of the stations far from the trolley plus a straight line that joins the station's own behaviour before and
after. At the ends of a pass, where one side is missing, the line becomes a constant: no extrapolated polynomial.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gminus2.data.nmr import TrolleyRun
from gminus2.physics.probes import probe_station, station_azimuths_deg

__all__ = ["VETO_CENTRE_DEG", "VETO_HALF_WIDTH_DEG", "remove_footprint"]

FloatArray = NDArray[np.float64]
#: The image is vetoed while the trolley is within this of a station's azimuth plus the (negative) centre [deg].
VETO_HALF_WIDTH_DEG: Final = 12.5
VETO_CENTRE_DEG: Final = -1.5


def _vetoed(time_s: FloatArray, run: TrolleyRun, half_width_deg: float) -> NDArray[np.bool_]:
    """Return which (bin, station) are vetoed, shape (n, 72)."""
    # The barcode azimuth jumps at 360°: interpolate on the circle.
    unwrapped = np.unwrap(run.azimuth_deg, period=360.0)
    during = (time_s >= run.time_s[0] - 30.0) & (time_s <= run.time_s[-1] + 30.0)
    where = np.interp(time_s, run.time_s, unwrapped)
    distance = (where[:, None] - station_azimuths_deg()[None, :] - VETO_CENTRE_DEG + 540.0) % 360.0 - 180.0
    return np.asarray((np.abs(distance) < half_width_deg) & during[:, None])


def remove_footprint(
    time_s: FloatArray,
    f_hz: FloatArray,
    runs: tuple[TrolleyRun, ...],
    *,
    cadence_s: float = 1.67,
    margin_s: float = 400.0,
    half_width_deg: float = VETO_HALF_WIDTH_DEG,
) -> FloatArray:
    """Take the trolley's image out of ``f_hz`` (in place); return the largest removed per probe [Hz], shape (378,).

    Parameters
    ----------
    time_s, f_hz
        Grid centres and gridded frequencies, no NaN.
    cadence_s
        Time between readings; the veto is widened by what the trolley moves in it and in half a bin.
    margin_s
        Length of the stretch on either side from which a station's own behaviour is taken.
    """
    largest = np.zeros(f_hz.shape[1])
    station = probe_station()
    for run in runs:
        speed = float(np.median(np.abs(np.diff(np.unwrap(run.azimuth_deg, period=360.0)) / np.diff(run.time_s))))
        blur = speed * (0.5 * float(np.median(np.diff(time_s))) + cadence_s)
        veto = _vetoed(time_s, run, half_width_deg + blur)
        rows = np.flatnonzero(veto.any(axis=1))
        if not rows.size:
            continue
        first = int(np.searchsorted(time_s, time_s[rows[0]] - margin_s))
        last = int(np.searchsorted(time_s, time_s[rows[-1]] + margin_s))
        part = slice(first, last)
        t, hidden = time_s[part], veto[part][:, station]
        mean = f_hz[part].mean(axis=0)
        motion = f_hz[part] - mean
        common = _common_motion(motion, hidden)
        rest = motion - common[:, None]
        for s in range(veto.shape[1]):
            columns = np.flatnonzero(station == s)
            for begin, end in _stretches(hidden[:, columns[0]]):
                line = _bridge(t, rest[:, columns], hidden[:, columns[0]], begin, end, margin_s)
                clean = mean[columns] + common[begin:end, None] + line
                image = np.abs(f_hz[first + begin : first + end, columns] - clean)
                largest[columns] = np.maximum(largest[columns], image.max(axis=0))
                f_hz[first + begin : first + end, columns] = clean
    return largest


def _common_motion(motion: FloatArray, hidden: NDArray[np.bool_]) -> FloatArray:
    """Return the mean motion of the visible probes; steps between bins are averaged so that the set may change."""
    both = ~hidden[1:] & ~hidden[:-1]
    steps = (np.diff(motion, axis=0) * both).sum(axis=1) / np.maximum(both.sum(axis=1), 1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def _stretches(hidden: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edge = np.flatnonzero(np.diff(np.concatenate([[0], hidden.astype(np.int8), [0]])))
    return list(zip(edge[::2].tolist(), edge[1::2].tolist(), strict=True))


def _bridge(
    t: FloatArray, rest: FloatArray, hidden: NDArray[np.bool_], begin: int, end: int, margin_s: float
) -> FloatArray:
    """Return the line over t[begin:end] that joins the means of the stretches before and after, per probe."""
    before = np.flatnonzero((t > t[begin] - margin_s) & (np.arange(len(t)) < begin) & ~hidden)
    after = np.flatnonzero((t < t[end - 1] + margin_s) & (np.arange(len(t)) >= end) & ~hidden)
    inside = t[begin:end]
    if before.size >= 3 and after.size >= 3:
        t0, t1 = t[before].mean(), t[after].mean()
        y0, y1 = rest[before].mean(axis=0), rest[after].mean(axis=0)
        w = ((inside - t0) / (t1 - t0))[:, None]
        return np.asarray((1 - w) * y0 + w * y1)
    side = before if before.size >= 3 else after
    if not side.size:
        side = np.flatnonzero(~hidden)
    level = rest[side].mean(axis=0) if side.size else np.zeros(rest.shape[1])
    return np.broadcast_to(level, (len(inside), rest.shape[1]))
