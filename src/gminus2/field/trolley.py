"""Trolley runs: frequencies from FIDs, outliers, temperature, calibration, and the fit of nine moments by azimuth."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from gminus2.data.nmr import TrolleyFids, TrolleyRun
from gminus2.errors import DataError
from gminus2.execution import Executor, SerialExecutor, map_ordered
from gminus2.field.frequency import frequency
from gminus2.physics.multipoles import MOMENTS, basis
from gminus2.physics.nmr import F_PROTON_HZ
from gminus2.physics.probes import N_TROLLEY_PROBES, nmr_table, trolley_positions_mm

__all__ = [
    "MultipoleFit",
    "TrolleyMap",
    "extract_frequencies",
    "find_swapped_probes",
    "fit_multipoles",
    "interval_weights",
    "make_map",
    "multipole_gain",
]

FloatArray = NDArray[np.float64]
#: FIDs per task: 32 MB of records.
BATCH = 1000


@dataclass(frozen=True)
class MultipoleFit:
    """Moments at every reading.

    Attributes
    ----------
    moments
        Shape (n, n_moment) [Hz], order ``names``.
    residual_hz
        Shape (n, 17); NaN where a probe was not used.
    """

    names: tuple[str, ...]
    moments: FloatArray
    residual_hz: FloatArray


@dataclass(frozen=True)
class TrolleyMap:
    """A calibrated map of the field.

    Attributes
    ----------
    time_s, azimuth_deg
        Shape (n,).
    weight_deg
        Azimuth covered by each reading (half the gaps to its neighbours), adding to 360° per pass.
    moments
        Shape (n, 9), order :data:`~gminus2.physics.multipoles.MOMENTS` [Hz above the local oscillator].
    residual_rms_hz
        Per probe, over the run.
    bad_fraction
        Share of readings lost or cut.
    largest_gap_deg
        Of the azimuthal coverage.
    """

    time_s: FloatArray
    azimuth_deg: FloatArray
    weight_deg: FloatArray
    moments: FloatArray
    residual_rms_hz: FloatArray
    bad_fraction: float
    largest_gap_deg: float

    @property
    def mid_time_s(self) -> float:
        """Mean time of the run."""
        return float(self.time_s.mean())

    @property
    def ring_mean(self) -> FloatArray:
        """Azimuthal mean of the nine moments."""
        return np.asarray(self.weight_deg @ self.moments / self.weight_deg.sum())


def multipole_gain(names: tuple[str, ...] = MOMENTS) -> tuple[int, dict[str, float]]:
    """Return the rank of the 17-probe design for a set of moments, and σ(moment)/σ(probe) of each.

    A set that the probes cannot separate (twelve-fold ring: no S6) shows by its rank, a fragile one by its gains.
    """
    position = trolley_positions_mm()
    design = basis(position[:, 0], position[:, 1], names)
    rank = int(np.linalg.matrix_rank(design, tol=1e-9))
    inverse = np.linalg.pinv(design)
    return rank, dict(zip(names, np.sqrt((inverse**2).sum(axis=1)).tolist(), strict=True))


def extract_frequencies(
    run: TrolleyRun | TrolleyFids,
    model: str,
    window: float,
    *,
    executor: Executor | None = None,
    quiet: bool = True,
) -> TrolleyRun:
    """Return a run with frequencies: as it is, or extracted from its FIDs in batches of 1000."""
    if isinstance(run, TrolleyRun):
        return run
    source, record = run.source, run.source.record
    n, expected = source.n_fid, len(run.time_s) * N_TROLLEY_PROBES
    if n != expected:
        raise DataError(
            "a trolley run has the wrong number of FIDs", expected=f"{expected} (17 per reading)", found=str(n)
        )

    def one(first: int) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
        records = source.batch(first, min(first + BATCH, n))
        result = frequency(records, record.fs_hz, record.t_pulse_s, model, window, f_start_hz=52e3)
        return result.f_hz, result.sigma_hz, result.is_good

    parts = map_ordered(executor or SerialExecutor(), one, list(range(0, n, BATCH)), title="trolley FIDs", quiet=quiet)
    shape = (len(run.time_s), N_TROLLEY_PROBES)
    f, sigma, good = (np.concatenate([part[k] for part in parts]).reshape(shape) for k in range(3))
    return TrolleyRun(run.time_s, run.azimuth_deg, run.temperature_c, f, sigma, good.astype(bool))


def fit_multipoles(f_hz: FloatArray, good: NDArray[np.bool_], names: tuple[str, ...] = MOMENTS) -> MultipoleFit:
    """Fit the moments at every reading by unweighted least squares over the good probes.

    Raises
    ------
    DataError
        A reading with fewer good probes than moments: mask such readings before.
    """
    position = trolley_positions_mm()
    design = basis(position[:, 0], position[:, 1], names)
    moments = np.full((len(f_hz), len(names)), np.nan)
    complete = good.all(axis=1)
    moments[complete] = f_hz[complete] @ np.linalg.pinv(design).T
    for k in np.flatnonzero(~complete):
        use = good[k]
        if use.sum() < len(names) or np.linalg.matrix_rank(design[use]) < len(names):
            raise DataError(
                "too few good trolley probes for the fit", where=f"reading {k}", found=f"{int(use.sum())} probes"
            )
        moments[k] = np.linalg.lstsq(design[use], f_hz[k, use], rcond=None)[0]
    residual = np.where(good, f_hz - moments @ design.T, np.nan)
    return MultipoleFit(names, moments, residual)


def _covered(azimuth_deg: FloatArray) -> tuple[FloatArray, float]:
    """Return half the gaps to the neighbours on the circle, and the largest gap [deg]."""
    order = np.argsort(azimuth_deg, kind="stable")
    around = azimuth_deg[order]
    gap = np.diff(np.append(around, around[0] + 360.0))
    weight = np.empty_like(around)
    weight[order] = 0.5 * (gap + np.roll(gap, 1))
    return weight, float(gap.max())


def interval_weights(azimuth_deg: FloatArray, low_deg: float, high_deg: float) -> tuple[NDArray[np.int64], FloatArray]:
    """Return readings and weights that average the interpolated map over [low, high] exactly; the weights sum to one.

    Readings are joined by straight lines around the circle, and the lines are cut at the ends of the interval:
    averaging whole readings instead would cost 20 ppb at half a degree per reading.
    """
    order = np.argsort(azimuth_deg, kind="stable")
    n = len(order)
    around = np.concatenate([azimuth_deg[order] + turn for turn in (-360.0, 0.0, 360.0)])
    low = low_deg % 360.0
    high = low + (high_deg - low_deg)
    first = int(np.searchsorted(around, low, side="right")) - 1
    last = int(np.searchsorted(around, high, side="left"))
    a = around[first : last + 1]
    u, v = np.maximum(a[:-1], low), np.minimum(a[1:], high)
    length = np.maximum(v - u, 0.0)
    gap = np.maximum(a[1:] - a[:-1], 1e-12)
    share = (0.5 * (u + v) - a[:-1]) / gap
    weight = np.zeros(last + 1 - first)
    weight[:-1] += length * (1.0 - share)
    weight[1:] += length * share
    readings = order[np.arange(first, last + 1) % n]
    return readings, np.asarray(weight / weight.sum())


def find_swapped_probes(readings_hz: FloatArray, constants_hz: FloatArray) -> tuple[int, int] | None:
    """Return the pair of trolley probes whose exchange best explains readings that no nine moments fit.

    Parameters
    ----------
    readings_hz
        Uncalibrated readings, shape (n, 17), all finite.
    constants_hz
        δ_i, shape (17,).
    """
    position = trolley_positions_mm()
    design = basis(position[:, 0], position[:, 1], MOMENTS)
    project = np.eye(N_TROLLEY_PROBES) - design @ np.linalg.pinv(design)

    def misfit(values: FloatArray) -> float:
        return float(np.median(np.sqrt((((values + constants_hz) @ project) ** 2).sum(axis=1))))

    best, size = None, 0.5 * misfit(readings_hz)
    for i, j in combinations(range(N_TROLLEY_PROBES), 2):
        trial = readings_hz.copy()
        trial[:, [i, j]] = trial[:, [j, i]]
        value = misfit(trial)
        if value < size:
            best, size = (i, j), value
    return best


def make_map(
    run: TrolleyRun,
    constants_hz: FloatArray,
    calibration_temperature_c: float,
    *,
    where: str = "trolley run",
    largest_gap_deg: float = 2.0,
    largest_misfit_hz: float = 5.0,
) -> TrolleyMap:
    """Turn the readings of a run into moments by azimuth.

    Parameters
    ----------
    constants_hz
        δ_i = shielded-proton frequency − reading, shape (17,).
    largest_gap_deg
        A larger hole in the azimuth is an error (0.5° already costs about 2 ppb).
    largest_misfit_hz
        A larger mean residual of any probe, or half of it in scatter along the azimuth, means wrong constants or a
        wrong order of probes (constants are good to about 1.3 Hz, readings to 0.05 Hz).

    Raises
    ------
    DataError
        Wrong shape, times that do not increase, incomplete coverage, probes in the wrong order.
    """
    if run.f_hz.ndim != 2 or run.f_hz.shape[1] != N_TROLLEY_PROBES or len(run.f_hz) != len(run.time_s):
        raise DataError(
            "trolley readings have the wrong shape",
            where=where,
            expected=f"(n, {N_TROLLEY_PROBES})",
            found=str(run.f_hz.shape),
        )
    if len(run.time_s) < 100 or (np.diff(run.time_s) <= 0).any() or not np.isfinite(run.azimuth_deg).all():
        raise DataError("trolley times do not increase, azimuths are missing, or the run is too short", where=where)
    slope = float(nmr_table("trolley_calibration")["temperature_ppb_per_degC"]) * 1e-9
    f = run.f_hz + constants_hz - (slope * (run.temperature_c - calibration_temperature_c) * F_PROTON_HZ)[:, None]
    good = run.good & np.isfinite(f)
    usable = good.sum(axis=1) >= 14
    position = trolley_positions_mm()
    design = basis(position[:, 0], position[:, 1], MOMENTS)
    for k in np.flatnonzero(usable & ~good.all(axis=1)):
        usable[k] = _redundant(design[good[k]])
    if usable.sum() < 0.5 * len(usable):
        raise DataError(
            "most readings of a trolley run are bad", where=where, found=f"{int((~usable).sum())} of {len(usable)}"
        )
    time, azimuth, f, good = run.time_s[usable], run.azimuth_deg[usable], f[usable], good[usable]
    filled = np.where(good, f, 0.0)
    fit = fit_multipoles(filled, good)
    _check_order(fit, filled, good, constants_hz, where, largest_misfit_hz)
    fit, good, clean = _cut_wild(filled, good, fit)
    time, azimuth = time[clean], azimuth[clean]
    weight, gap = _covered(azimuth)
    if gap > largest_gap_deg:
        raise DataError(
            "the trolley run does not cover the ring",
            where=where,
            expected=f"no gap above {largest_gap_deg}°",
            found=f"a gap of {gap:.2f}°",
            hint="average without it only with an uncertainty for the hole",
        )
    return TrolleyMap(
        time_s=time,
        azimuth_deg=azimuth,
        weight_deg=weight,
        moments=fit.moments[clean],
        residual_rms_hz=np.sqrt(np.nanmean(fit.residual_hz[clean] ** 2, axis=0)),
        bad_fraction=1.0 - float(good[clean].sum()) / run.f_hz.size,
        largest_gap_deg=gap,
    )


def _redundant(design: FloatArray) -> bool:
    """Return whether the rows of the good probes determine the moments, each with help of the others.

    Four probes of one ring (6, 10, 12, 16 or 7, 9, 13, 15) share a moment: when three of them are bad, the fourth
    fixes it alone, and nothing would show that it is wild.
    """
    q, r = np.linalg.qr(design)
    diagonal = np.abs(np.diag(r))
    return bool(diagonal.min() > 1e-9 * diagonal.max() and (q**2).sum(axis=1).max() < 0.999)


def _cut_wild(
    f: FloatArray, good: NDArray[np.bool_], fit: MultipoleFit
) -> tuple[MultipoleFit, NDArray[np.bool_], NDArray[np.bool_]]:
    """Cut wild readings: the probe whose removal lowers the misfit most, up to three per azimuth.

    Returns the last fit, the mask of readings, and which azimuths are clean in the end: an azimuth stays out if it is
    wild after that, or if the probes that would be left do not determine the moments.
    """
    position = trolley_positions_mm()
    design = basis(position[:, 0], position[:, 1], MOMENTS)
    # Removing probe i lowers the sum of squares by r_i²/(1 − h_i): the raw residual would blame the wrong probe.
    leverage = np.sqrt(1.0 - np.diag(design @ np.linalg.pinv(design)))
    pattern = np.nanmedian(fit.residual_hz, axis=0)
    scale = 1.4826 * np.nanmedian(np.abs(fit.residual_hz - pattern), axis=0)
    limit = 6 * scale + 1.0
    good = good.copy()
    stuck = np.zeros(len(good), dtype=bool)
    for _ in range(4):
        excess = np.nan_to_num(np.abs(fit.residual_hz - pattern)) / limit
        wild = (excess > 1.0).any(axis=1)
        rows = np.flatnonzero(wild & ~stuck & (good.sum(axis=1) > 13))
        if not rows.size:
            break
        for row, probe in zip(rows, (excess[rows] * limit / leverage).argmax(axis=1), strict=True):
            good[row, probe] = False
            if not _redundant(design[good[row]]):
                good[row, probe], stuck[row] = True, True
        fit = fit_multipoles(f, good)
    return fit, good, np.asarray(~(wild | stuck))


def _check_order(
    fit: MultipoleFit, f: FloatArray, good: NDArray[np.bool_], constants_hz: FloatArray, where: str, limit_hz: float
) -> None:
    """Refuse readings that no nine moments explain, in the mean or in how they change along the azimuth."""
    pattern = np.nanmedian(fit.residual_hz, axis=0)
    scatter = 1.4826 * np.nanmedian(np.abs(fit.residual_hz - pattern), axis=0)
    mean, change = float(np.abs(pattern).max()), float(scatter.max())
    # Noise scatters by a twentieth of a hertz; a field belonging to another place by several.
    if mean <= limit_hz and change <= 0.5 * limit_hz:
        return
    complete = np.flatnonzero(good.all(axis=1))
    pair = find_swapped_probes(f[complete[:: max(1, len(complete) // 300)]] - constants_hz, constants_hz)
    raise DataError(
        "the field at the 17 trolley probes is no sum of nine moments",
        where=where,
        expected=f"residuals below {limit_hz:g} Hz in the mean and {0.5 * limit_hz:g} Hz in scatter",
        found=f"{mean:.1f} Hz and {change:.1f} Hz",
        hint=f"probes {pair[0]} and {pair[1]} look exchanged"
        if pair
        else "check the order of the probes, their constants",
    )
