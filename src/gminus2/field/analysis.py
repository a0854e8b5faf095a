"""From what one dataset recorded to ω̃'_p with its budget.

Order of work: frequencies of the trolley → grid and quality of the fixed probes → footprint → station moments →
calibrated trolley maps → synchronisation per station and run → tracking → muon weighting → transients → budget.
``docs/physics/field.md`` tells the whole chain. Nothing here reads a truth record.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gminus2.config.field import FieldSection
from gminus2.data.muon_profile import MuonProfile, gaussian_profile
from gminus2.data.nmr import FieldData, TrolleyRun
from gminus2.errors import DataError
from gminus2.execution import Executor
from gminus2.field.calibration import ProbeConstants, calibrate_trolley
from gminus2.field.extraction import gradient_bias_ppb
from gminus2.field.footprint import remove_footprint
from gminus2.field.gridding import FixedGrid, fill_dead_probes, grid_fixed_probes
from gminus2.field.result import BudgetRow, FieldResult
from gminus2.field.stations import station_algebra
from gminus2.field.tracking import Track, average_sigma, kalman_smoother, linear_track, walk_rate
from gminus2.field.transients import TransientResult, kicker_correction, quad_correction
from gminus2.field.trolley import TrolleyMap, extract_frequencies, interval_weights, make_map
from gminus2.field.weighting import average_by_moments, profile_sigmas, rebin_counts
from gminus2.physics.multipoles import MOMENTS, TRACKED, basis
from gminus2.physics.nmr import F_LO_HZ, F_PROTON_HZ, HZ_PER_PPB
from gminus2.physics.probes import N_STATIONS, nmr_table, station_azimuths_deg, station_edges_deg, trolley_positions_mm

__all__ = ["FieldTracking", "PreparedDataset", "finish_dataset", "prepare_dataset", "profile_of"]

FloatArray = NDArray[np.float64]
_REFERENCE_S: Final = 72 * 3600.0
#: The trolley's mean field and that of the fixed probes agree to tens of Hz; a wrong clock or sampling rate moves one.
_LARGEST_DISAGREEMENT_HZ: Final = 150.0


@dataclass(frozen=True)
class PreparedDataset:
    """A dataset up to the synchronisation: all that does not need the rate of the random walk.

    Attributes
    ----------
    runs
        The trolley runs with frequencies.
    grid
        The grid and the quality of the fixed probes; the readings themselves (large) are dropped.
    maps
        Trolley maps of the runs.
    fixed_field_hz
        Muon-weighted Σ k_i m_i of the fixed probes per station and grid bin, shape (n, 72).
    sync_hz, sync_time_s
        Muon-weighted synchronisation offset per run and station, shape (n_run, 72), and its time.
    moment_offset_hz
        The same by moment, shape (n_run, 72, 5).
    moment_track_hz
        Ring means of the five station moments on the grid, shape (n, 5).
    sync_noise_hz
        Standard error of the ring mean of an offset from the noise of probes.
    """

    data: FieldData
    runs: tuple[TrolleyRun, ...]
    grid: FixedGrid
    maps: tuple[TrolleyMap, ...]
    constants: ProbeConstants
    profile: MuonProfile
    fixed_field_hz: FloatArray
    sync_hz: FloatArray
    sync_time_s: FloatArray
    moment_offset_hz: FloatArray
    moment_track_hz: FloatArray
    sync_noise_hz: float
    footprint_hz: float
    trolley_sigma_hz: float
    warnings: tuple[str, ...]

    def recorded(self) -> FieldData:
        """Return the recorded data with the extracted trolley runs, ready to be stored."""
        return replace(self.data, trolley=self.runs)

    @property
    def run_time_s(self) -> FloatArray:
        """Mean time of each run."""
        return np.asarray(self.sync_time_s.mean(axis=1))

    @property
    def ring_offsets_hz(self) -> FloatArray:
        """Change of the ring-mean offset between successive runs."""
        return np.asarray(np.diff(self.sync_hz @ _extent_weights()))


@dataclass(frozen=True)
class FieldTracking:
    """The virtual trolley of a dataset on the grid, muon weighted, as ring mean [Hz above the local oscillator]."""

    time_s: FloatArray
    field_hz: FloatArray
    counts: FloatArray
    walk_sigma_hz: float
    endpoint_sigma_hz: float
    rate: float


def _extent_weights() -> FloatArray:
    edges = station_edges_deg()
    return np.asarray((edges[:, 1] - edges[:, 0]) / 360.0)


def profile_of(section: FieldSection) -> MuonProfile:
    """Return the tracker profile of a campaign: from its file, or the default Gaussian."""
    muons = section.muons
    if muons.profile is not None:
        return MuonProfile.read(muons.profile)
    return gaussian_profile(
        muons.mean_x_mm, muons.mean_y_mm, muons.width_x_mm, muons.width_y_mm, closed_orbit_mm=muons.closed_orbit_mm
    )


def prepare_dataset(
    section: FieldSection, data: FieldData, *, executor: Executor | None = None, quiet: bool = True
) -> PreparedDataset:
    """Run the analysis up to the synchronisation.

    Raises
    ------
    DataError
        No trolley run, readings that cannot be, probes in a wrong order, a wrong sampling rate, no muons.
    """
    warnings: list[str] = list(data.notes)
    if not data.trolley:
        raise DataError("a dataset without a trolley run has no absolute field", where=data.name)
    settings = section.analysis
    constants = calibrate_trolley(
        data.calibration,
        section.reference_temperature_c,
        per_probe_ppb=section.calibration.per_probe_ppb,
        common_ppb=section.calibration.common_ppb,
    )
    runs = tuple(
        extract_frequencies(run, settings.model, settings.window, executor=executor, quiet=quiet)
        for run in data.trolley
    )
    if any(b.time_s[0] <= a.time_s[-1] for a, b in pairwise(runs)):
        raise DataError("trolley runs are not in order of time", where=data.name)
    maps = tuple(
        make_map(run, constants.constants_hz, constants.temperature_c, where=f"{data.name}, trolley run {k}")
        for k, run in enumerate(runs)
    )
    raw = _grid(data, runs, settings.bin_s)
    if raw.dead:
        warnings.append(
            f"{len(raw.dead)} dead fixed probes replaced by their neighbours: {', '.join(map(str, raw.dead))}"
        )
    noisy = np.flatnonzero((raw.bad_fraction > 0.05) & (raw.bad_fraction <= 0.5))
    if noisy.size:
        warnings.append(f"fixed probes with more than 5 % bad readings: {', '.join(map(str, noisy))}")
    grid = fill_dead_probes(raw)
    image = remove_footprint(grid.time_s, grid.f_hz, runs, cadence_s=data.fixed_cycle_s)
    _check_agreement(data.name, grid, maps)
    profile = profile_of(section)
    station = _station_moments(grid.f_hz)
    at_stations = profile.moments_at(station_azimuths_deg())[:, [MOMENTS.index(name) for name in TRACKED]]
    fixed_field = np.einsum("tsi,si->ts", station, at_stations.astype(np.float32)).astype(np.float64)
    sync, times, by_moment = _synchronise(grid.time_s, station, fixed_field, maps, profile)
    extent = _extent_weights()
    trolley_sigma = float(np.nanmedian([np.nanmedian(run.sigma_hz) for run in runs]))
    per_bin = np.median(grid.noise_hz) / np.sqrt(max(1.0, settings.bin_s / data.fixed_cycle_s))
    ring_gain = np.sqrt(
        ((extent[:, None] * np.einsum("sip,si->sp", station_algebra().from_probes, at_stations)).sum(axis=0) ** 2).sum()
    )
    # A station is synchronised over the bins the trolley needs for it: its share of a pass.
    bins = max(1.0, section.trolley.pass_s / N_STATIONS / settings.bin_s)
    noise = np.hypot(
        ring_gain * per_bin / np.sqrt(bins), trolley_sigma / np.sqrt(sum(len(m.time_s) for m in maps) / len(maps))
    )
    return PreparedDataset(
        data=data,
        runs=runs,
        grid=replace(grid, f_hz=np.zeros((0, 0))),
        maps=maps,
        constants=constants,
        profile=profile,
        fixed_field_hz=fixed_field,
        sync_hz=sync,
        sync_time_s=times,
        moment_offset_hz=by_moment,
        moment_track_hz=np.einsum("tsi,s->ti", station, extent.astype(np.float32)).astype(np.float64),
        sync_noise_hz=float(noise),
        footprint_hz=float(np.median(image)),
        trolley_sigma_hz=trolley_sigma,
        warnings=tuple(warnings),
    )


def _grid(data: FieldData, runs: tuple[TrolleyRun, ...], bin_s: float) -> FixedGrid:
    first = min(float(runs[0].time_s[0]), float(data.muon_time_s[0])) - 2 * bin_s
    last = max(float(runs[-1].time_s[-1]), float(data.muon_time_s[-1])) + 2 * bin_s
    width = max(bin_s, 2 * data.fixed_cycle_s)
    edges = np.arange(np.floor(first / width) * width, last + width, width)
    gap = max(120.0, 5 * data.fixed_cycle_s)
    grid = grid_fixed_probes(data.fixed, edges, max_gap_s=gap)
    alive = [p for p in range(grid.f_hz.shape[1]) if p not in grid.dead]
    covered = np.flatnonzero(np.isfinite(grid.f_hz[:, alive]).mean(axis=1) > 0.5)
    if not covered.size:
        raise DataError("the fixed probes cover no part of the dataset", where=data.name)
    keep = slice(int(covered[0]), int(covered[-1]) + 1)
    return FixedGrid(
        grid.edges_s[keep.start : keep.stop + 1], grid.f_hz[keep], grid.bad_fraction, grid.noise_hz, grid.dead
    )


def _station_moments(f_hz: FloatArray) -> NDArray[np.float32]:
    """Return the moments of all stations relative to their mean over the dataset, shape (n, 72, 5).

    Only changes matter: the synchronisation restores the constant. Relative to the mean, single precision is ample.
    """
    mean = f_hz.mean(axis=0)
    result = np.empty((len(f_hz), N_STATIONS, len(TRACKED)), dtype=np.float32)
    for k in range(0, len(f_hz), 4096):
        result[k : k + 4096] = station_algebra().moments(f_hz[k : k + 4096] - mean)
    return result


def _check_agreement(name: str, grid: FixedGrid, maps: tuple[TrolleyMap, ...]) -> None:
    fixed = float(np.median(grid.f_hz.mean(axis=0)))
    for k, one in enumerate(maps):
        difference = float(one.ring_mean[0]) - fixed
        if abs(difference) > _LARGEST_DISAGREEMENT_HZ:
            raise DataError(
                "trolley and fixed probes disagree about the mean field",
                where=f"{name}, trolley run {k}",
                expected=f"within {_LARGEST_DISAGREEMENT_HZ:g} Hz",
                found=f"{difference:+.0f} Hz",
                hint="check the sampling rate of the FIDs, the local oscillator and the calibration constants",
            )


def _synchronise(
    time_s: FloatArray,
    station: NDArray[np.float32],
    fixed_field: FloatArray,
    maps: tuple[TrolleyMap, ...],
    profile: MuonProfile,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return offsets (n_run, 72), their times, and the offsets by moment (n_run, 72, 5)."""
    edges = station_edges_deg()
    tracked = [MOMENTS.index(name) for name in TRACKED]
    sync = np.empty((len(maps), N_STATIONS))
    times = np.empty_like(sync)
    by_moment = np.empty((len(maps), N_STATIONS, len(TRACKED)))
    for k, one in enumerate(maps):
        weighted = average_by_moments(one.moments, profile, one.azimuth_deg)
        for s, (low, high) in enumerate(edges):
            inside, w = interval_weights(one.azimuth_deg, float(low), float(high))
            t = one.time_s[inside]
            fixed = np.interp(t, time_s, fixed_field[:, s])
            sync[k, s] = w @ (weighted[inside] - fixed)
            times[k, s] = w @ t
            for j, moment in enumerate(tracked):
                by_moment[k, s, j] = w @ (one.moments[inside, moment] - np.interp(t, time_s, station[:, s, j]))
    return sync, times, by_moment


def finish_dataset(
    section: FieldSection, prepared: PreparedDataset, *, rate: float, rate_relative_sigma: float, blinded: bool = True
) -> tuple[FieldResult, FieldTracking]:
    """Track, average and set up the budget.

    Parameters
    ----------
    rate
        Rate q of the ring-mean random walk [Hz²/s], from all pairs of the campaign (:func:`campaign_walk_rate`).
    rate_relative_sigma
        Its relative uncertainty.
    """
    data, grid = prepared.data, prepared.grid
    counts = rebin_counts(data.muon_time_s, data.muon_counts, grid.edges_s)
    if not counts.sum() > 0 or not np.isfinite(data.muon_counts).all() or (data.muon_counts < 0).any():
        raise DataError(
            "the muon counts that weigh the field in time are empty, negative or not finite", where=data.name
        )
    warnings = list(prepared.warnings)
    extent = _extent_weights()
    noise_variance = prepared.sync_noise_hz**2
    track = _track(section, prepared, rate, noise_variance)
    # Stations are synchronised at their own time within a run.
    ring = (prepared.fixed_field_hz @ extent) + track.values @ extent
    ring += _time_correction(prepared, track, extent)
    average = float(counts @ ring / counts.sum())
    walk, endpoint = average_sigma(track, counts, rate=rate, noise_variance=noise_variance)
    if len(prepared.maps) == 1:
        warnings.append("only one trolley run: the tracking error is one-sided, √(qT/3)")
    kick, quad = _transients(section, data)
    result = FieldResult(
        name=data.name,
        f_p_hz=F_LO_HZ + average,
        reference_temperature_c=section.reference_temperature_c,
        blinded=blinded,
        b_k_ppb=kick.value_ppb,
        b_q_ppb=quad.value_ppb,
        b_k_decay_mean_ppb=kick.decay_mean_ppb,
        b_q_decay_mean_ppb=quad.decay_mean_ppb,
        budget=_budget(section, prepared, walk, endpoint, kick, quad),
        details=_details(prepared, counts, walk, rate, rate_relative_sigma, section),
        warnings=tuple(warnings),
    )
    return result, FieldTracking(grid.time_s, ring, counts, walk, endpoint, rate)


def _track(section: FieldSection, prepared: PreparedDataset, rate: float, noise_variance: float) -> Track:
    time = prepared.grid.time_s
    if section.analysis.tracking == "kalman" and len(prepared.maps) > 1:
        return kalman_smoother(
            prepared.run_time_s, prepared.sync_hz, time, rate=max(rate, 1e-12), noise_variance=noise_variance
        )
    return linear_track(prepared.run_time_s, prepared.sync_hz, time)


def _time_correction(prepared: PreparedDataset, track: Track, extent: FloatArray) -> FloatArray:
    """Return the small correction for stations being synchronised at their own time, not at the run's mean."""
    if len(prepared.maps) < 2:
        return np.zeros(len(track.time_s))
    slope = np.diff(prepared.sync_hz, axis=0) / np.diff(prepared.run_time_s)[:, None]
    slope = np.vstack([slope, slope[-1:]])
    shift = -(slope * (prepared.sync_time_s - prepared.run_time_s[:, None])) @ extent
    return np.asarray(track.matrix @ shift)


def campaign_walk_rate(section: FieldSection, prepared: list[PreparedDataset]) -> tuple[float, float]:
    """Return the rate of the ring-mean walk [Hz²/s] from all pairs of trolley runs, and its relative uncertainty."""
    offsets = np.concatenate([p.ring_offsets_hz for p in prepared])
    durations = np.concatenate([np.diff(p.run_time_s) for p in prepared])
    noise = 2 * float(np.mean([p.sync_noise_hz**2 for p in prepared]))
    settings = section.analysis
    prior = (settings.walk_prior_ppb_72h * HZ_PER_PPB) ** 2 / _REFERENCE_S
    return walk_rate(offsets, durations, noise, prior_rate=prior, prior_pairs=settings.walk_prior_pairs)


def _transients(section: FieldSection, data: FieldData) -> tuple[TransientResult, TransientResult]:
    t, average = section.transients, section.analysis.average
    kick = kicker_correction(
        data.kicker,
        t.fit_start_us,
        t.fit_end_us,
        scale_sigma=t.kick_scale_sigma,
        baseline_ppb=t.kick_baseline_ppb,
        average=average,
    )
    quad = quad_correction(data.quads, t.fit_start_us, t.fit_end_us, offset_ppb=t.quad_offset_ppb, average=average)
    return kick, quad


def _budget(
    section: FieldSection,
    prepared: PreparedDataset,
    walk_hz: float,
    endpoint_hz: float,
    kick: TransientResult,
    quad: TransientResult,
) -> tuple[BudgetRow, ...]:
    ppb = HZ_PER_PPB
    constants = prepared.constants
    azimuth = prepared.profile.azimuth_deg
    k = prepared.profile.moments_at(azimuth).mean(axis=0)
    position = trolley_positions_mm()
    # How the average depends on each probe's constant.
    share = k @ np.linalg.pinv(basis(position[:, 0], position[:, 1], MOMENTS))
    probes = float(np.sqrt(((share * constants.per_probe_hz) ** 2).sum())) / ppb
    maps = prepared.maps
    ring = np.mean([m.ring_mean for m in maps], axis=0)
    muons = profile_sigmas(
        ring,
        maps[0].azimuth_deg,
        maps[0].moments,
        maps[0].weight_deg,
        prepared.profile,
        alignment_mm=section.muons.alignment_sigma_mm,
        width_relative=section.muons.width_relative_sigma,
        closed_orbit_mm=section.muons.closed_orbit_sigma_mm,
    )
    # A displaced trolley assigns the field of x + dx to x.
    shifted = [
        _position_effect(ring, k, d)
        for d in ((section.trolley.position_sigma_mm, 0.0), (0.0, section.trolley.position_sigma_mm))
    ]
    table = nmr_table("trolley_calibration")
    difference = np.mean([m_run.temperature_c.mean() for m_run in prepared.runs]) - constants.temperature_c
    temperature = float(table["temperature_sigma_ppb_per_degC"]) * abs(float(difference))
    gap = max(m.largest_gap_deg for m in maps)
    position_ppb = float(np.hypot(shifted[0], shifted[1])) / ppb
    mean_ppb = float(np.hypot(muons["radial position"], muons["vertical position"])) / ppb
    width_ppb = float(np.hypot(muons["radial width"], muons["vertical width"])) / ppb
    trolley_ppb = float(np.hypot(probes, constants.common_ppb))
    rows = [
        ("extraction", _extraction_ppb(section, prepared), False, "frequency extraction (gradients)", "computed"),
        ("absolute_calibration", constants.absolute_ppb, True, "absolute calibration of the plunging probe", "source"),
        ("trolley_calibration", trolley_ppb, True, "calibration of the trolley probes", "unverified"),
        ("trolley_position", position_ppb, True, "transverse position of the trolley", "computed"),
        ("trolley_temperature", temperature, True, "temperature of the trolley", "unverified"),
        ("azimuth_coverage", _coverage_ppb(gap), False, "azimuthal coverage of the map", "derived"),
        ("synchronisation", endpoint_hz / ppb, False, "synchronisation noise and footprint", "computed"),
        ("tracking", walk_hz / ppb, False, "tracking between trolley runs", "computed"),
        ("muon_position", mean_ppb, True, "alignment of the muon profile", "computed"),
        ("muon_width", width_ppb, True, "width of the muon profile", "computed"),
        ("closed_orbit", muons["closed orbit"] / ppb, True, "closed orbit", "computed"),
    ]
    field_rows = [BudgetRow(n, s, c, "field", label, status) for n, s, c, label, status in rows]
    return (
        *field_rows,
        BudgetRow("B_k", kick.sigma_ppb, True, "transient", "kicker transient B_k", "unverified"),
        BudgetRow("B_q", quad.sigma_ppb, True, "transient", "quadrupole transient B_q", "unverified"),
    )


def _position_effect(ring_hz: FloatArray, k: FloatArray, shift_mm: tuple[float, float]) -> float:
    """Return the change [Hz] of Σ k m when the probes stand displaced and the fit does not know."""
    position = trolley_positions_mm()
    moved = basis(position[:, 0] + shift_mm[0], position[:, 1] + shift_mm[1], MOMENTS) @ ring_hz
    seen = np.linalg.pinv(basis(position[:, 0], position[:, 1], MOMENTS)) @ moved
    return float(k @ (seen - ring_hz))


def _extraction_ppb(section: FieldSection, prepared: PreparedDataset) -> float:
    """Return the bias of the frequency model for the gradients met along the azimuth, taken as an uncertainty."""
    one = prepared.maps[0]
    order = np.argsort(one.azimuth_deg)
    s = np.unwrap(one.azimuth_deg[order], period=360.0) * np.pi / 180 * 7112.0
    dipole = one.moments[order, 0]
    keep = np.concatenate([[True], np.diff(s) > 1e-6])
    gradient = np.gradient(dipole[keep], s[keep])
    curvature = np.gradient(gradient, s[keep]) / 2
    # Rounded, so that datasets of one magnet share the computation.
    return abs(
        gradient_bias_ppb(
            round(float(np.percentile(np.abs(gradient), 90)), 1),
            round(float(np.percentile(np.abs(curvature), 90)), 2),
            section.analysis.model,
            section.analysis.window,
        )
    )


def _coverage_ppb(gap_deg: float) -> float:
    """Return the uncertainty of the azimuthal mean from its largest gap: 0.5° cost 2 ppb, the regular step nothing."""
    return 2.0 * max(gap_deg - 0.35, 0.0) / 0.5


def _offset_rms(prepared: PreparedDataset) -> dict[str, float]:
    """Return, by moment, the RMS over stations and pairs of runs of what the synchronisation had to correct [ppb]."""
    if len(prepared.maps) < 2:
        return {}
    rms = np.sqrt((np.diff(prepared.moment_offset_hz, axis=0) ** 2).mean(axis=(0, 1))) / HZ_PER_PPB
    return dict(zip(TRACKED, rms.tolist(), strict=True))


def _details(
    prepared: PreparedDataset, counts: FloatArray, walk: float, rate: float, rate_sigma: float, section: FieldSection
) -> dict[str, Any]:
    ppb = HZ_PER_PPB
    ring = np.mean([m.ring_mean for m in prepared.maps], axis=0)
    duration = float(np.ptp(prepared.run_time_s)) if len(prepared.maps) > 1 else float(np.ptp(prepared.grid.time_s))
    return {
        "trolley_runs": len(prepared.maps),
        "hours": duration / 3600.0,
        "muons": float(counts.sum()),
        "ring_moments_ppm": {n: v / (1000 * ppb) for n, v in zip(MOMENTS[1:], ring[1:], strict=True)},
        "walk_ppb_72h": float(np.sqrt(rate * _REFERENCE_S)) / ppb,
        "walk_relative_sigma": 0.5 * rate_sigma,
        "sync_offsets_ppb": (prepared.ring_offsets_hz / ppb).tolist(),
        "station_offset_rms_ppb": _offset_rms(prepared),
        "sync_noise_ppb": prepared.sync_noise_hz / ppb,
        "dead_probes": list(prepared.grid.dead),
        "bad_fixed_fraction": float(np.mean(prepared.grid.bad_fraction)),
        "bad_trolley_fraction": [m.bad_fraction for m in prepared.maps],
        "trolley_residual_hz": [float(np.median(m.residual_rms_hz)) for m in prepared.maps],
        "trolley_single_shot_ppb": prepared.trolley_sigma_hz / ppb,
        "fixed_single_shot_ppb": float(np.median(prepared.grid.noise_hz)) / ppb,
        "footprint_hz": prepared.footprint_hz,
        "swap_chi2": prepared.constants.chi2,
        "swap_n_dof": prepared.constants.n_dof,
        "tracking": section.analysis.tracking,
        "f_lo_hz": F_LO_HZ,
        "ppb_hz": F_PROTON_HZ * 1e-9,
    }
