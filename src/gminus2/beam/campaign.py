"""All corrections of one dataset from its L2 histograms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gminus2.beam.calorimeter_rows import LEAST_ROW_HITS, RowDrift, profile_nodes, row_drift
from gminus2.beam.corrections import Correction
from gminus2.beam.differential_decay import PhaseCorrelations, differential_decay
from gminus2.beam.electric_field import RingOptics, momentum_offset
from gminus2.beam.fast_rotation import FastRotationOptions, FastRotationResult, analyse_fast_rotation
from gminus2.beam.fit_response import PseudoExperiment
from gminus2.beam.joint_density import moment, time_covariance
from gminus2.beam.lost_muons import LossFunction, LossRate, loss_rate, lost_muon_correction
from gminus2.beam.phase_acceptance import (
    BeamMoments,
    PhaseDrift,
    RingResponse,
    detected_phasor,
    phase_acceptance,
    slice_moments,
    straight_line,
)
from gminus2.beam.phase_maps import PhaseMap, load_maps
from gminus2.beam.pitch import AmplitudeDistribution, VerticalProfile, fine_grid, pitch
from gminus2.beam.tracker_view import TrackerView, tracker_view
from gminus2.constants import F_CYCLOTRON_MHZ, RING_RADIUS_MM
from gminus2.data import TimeHistogram
from gminus2.data.campaign import AXES, CampaignDataset
from gminus2.detectors.arcs import CALORIMETER_AZIMUTH_DEG
from gminus2.errors import ConfigError, nearest
from gminus2.physics.optics import FocusingSection, LinearOptics, linear_optics
from gminus2.precession.methods.oscillations import measure_oscillations
from gminus2.ring.esq import ElectricField
from gminus2.ring.geometry import load_geometry
from gminus2.units import omega_reference

__all__ = ["BeamAnalysis", "BeamOptions", "analyse_dataset", "ring_response"]

FloatArray = NDArray[np.float64]

#: Mean distance upstream of a calorimeter at which its positrons above 1.7 GeV were born: 2.86 m of arc.
_UPSTREAM_RAD: Final = 2.86e3 / RING_RADIUS_MM
#: Bins of 149.2 ns per slice of the beam moments: two CBO periods.
_BINS_PER_SLICE: Final = 36
_POINTS: Final = 120
#: Uncertainty of cov(t_inj, δ) from the form of the density [µs]: over 76 simulated datasets it was 5e-7 too low, as
#: C_e was too large (:data:`gminus2.beam.fast_rotation.SHAPE_SHARE`).
COVARIANCE_SHAPE_US: Final = 6e-7
#: Missing strength of the damaged section for the response of the optics.
_WEAKER: Final = 0.02


@dataclass(frozen=True)
class BeamOptions:
    """Inputs that calorimeters and trackers do not measure, each with its uncertainty, and the windows.

    Attributes
    ----------
    rotation_start_us
        Start of the fast-rotation analysis.
    fit_start_us, fit_stop_us
        Window of the ω_a fit.
    phase_per_momentum_rad, phase_per_momentum_error
        dφ/dδ from the beamline at fixed injection time: 10.0(1.6) mrad/% (unverified publication), in the convention
        cos(ω_a t + φ).
    loss
        Loss probability against momentum.
    triple_efficiency, triple_efficiency_error
        Triples, less quadruples, per lost muon.
    damaged_section
        Quadrupole section behind the damaged resistors: where the slow drift of the beam comes from.
    relaxation_us, relaxation_error_us
        Its time constant.
    """

    rotation_start_us: float = 4.0
    fit_start_us: float = 30.1384
    fit_stop_us: float = 650.0
    threshold_mev: float = 1700.0
    phase_per_momentum_rad: float = 1.0
    phase_per_momentum_error: float = 0.16
    loss: LossFunction = field(default_factory=LossFunction)
    triple_efficiency: float = 0.72
    triple_efficiency_error: float = 0.07
    damaged_section: str = "Q1L"
    relaxation_us: float = 65.0
    relaxation_error_us: float = 15.0


@dataclass(frozen=True)
class BeamAnalysis:
    """The five corrections of a dataset with what they rest on."""

    name: str
    field_index: float
    corrections: Mapping[str, Correction]
    rotation: FastRotationResult
    amplitudes: tuple[AmplitudeDistribution, ...]
    profiles: tuple[VerticalProfile, ...]
    losses: LossRate
    moments: tuple[BeamMoments, ...]
    drift: PhaseDrift
    phase_map: PhaseMap
    correlations: PhaseCorrelations

    @property
    def sum_ppb(self) -> float:
        """ΣC."""
        return sum(c.value_ppb for c in self.corrections.values())

    @property
    def sum_uncertainty_ppb(self) -> float:
        """Uncertainty of ΣC, the corrections being independent."""
        return math.hypot(*(c.uncertainty_ppb for c in self.corrections.values()))

    def to_json(self) -> dict[str, Any]:
        """Return the result under stable keys."""
        return {
            "field_index": self.field_index,
            **{name: c.to_json() for name, c in self.corrections.items()},
            "sum_ppb": {"value": self.sum_ppb, "uncertainty": self.sum_uncertainty_ppb},
            "fast_rotation": self.rotation.to_json(),
            "losses": {
                "rate_per_us": self.losses.rate_per_us,
                "decay_us": self.losses.decay_us,
                "lost_30_to_100_us": self.losses.lost_between(30.0, 100.0),
                "triples": self.losses.triples,
            },
            "phase_per_momentum_rad": {
                "beamline": self.correlations.beamline_rad,
                "injection_time": -omega_reference
                * self.correlations.time_covariance_us
                / self.correlations.momentum_rms**2,
                "position": self.correlations.position_rad,
            },
            "beam": {
                "mean_square_y_mm2": [a.mean_square_y() for a in self.amplitudes],
                "final_moments_mm": [list(d.final) for d in self.drift.drifts],
                "drift_amplitudes_mm": [list(d.amplitude) for d in self.drift.drifts],
            },
        }


def _optics_with(field_index: float, section: str, weaker: float, curvature: float) -> LinearOptics:
    """Return the optics with one section ``weaker`` (relative) and a vertical dipole ``curvature`` [1/mm] in it."""
    geometry = load_geometry("e989")
    names = [plate.name for plate in geometry.plates]
    if section not in names:
        raise ConfigError(f"no quadrupole section '{section}'", hint=nearest(section, names))
    sections = []
    for name, plate in zip(names, ElectricField(field_index).sections(geometry), strict=True):
        here = name == section
        sections.append(
            FocusingSection(
                plate.begin_rad,
                plate.end_rad,
                np.asarray(plate.index) * (1.0 - weaker * here),
                plate.radial_curvature,
                np.asarray(plate.vertical_curvature) + curvature * here,
            )
        )
    return linear_optics(sections, points=_POINTS)


def ring_response(field_index: float, section: str, station_azimuths: FloatArray) -> RingResponse:
    """Return how a weak plate in one section moves and widens the beam around the ring.

    Raises
    ------
    ConfigError
        No such section.
    """
    base = _optics_with(field_index, section, 0.0, 0.0)
    weak = _optics_with(field_index, section, _WEAKER, 0.0)
    kicked = _optics_with(field_index, section, 0.0, 1e-9)
    calorimeters = np.radians(CALORIMETER_AZIMUTH_DEG + 15.0 * np.arange(24)) - _UPSTREAM_RAD

    def at(values: FloatArray, azimuths: FloatArray) -> FloatArray:
        grid = np.append(base.azimuth_rad, 2.0 * np.pi)
        return np.asarray(np.interp(azimuths % (2.0 * np.pi), grid, np.append(values, values[0])))

    orbit = kicked.orbit_y[0] - base.orbit_y[0]
    orbit = orbit / np.abs(orbit).max()
    # Widths follow √β: a muon keeps its action, so its ⟨y²⟩ changes like β.
    beta = weak.beta_y[0] / base.beta_y[0] - 1.0
    scale = float(np.abs(beta).max())
    beta = beta / scale
    return RingResponse(
        at(orbit, calorimeters),
        at(orbit, station_azimuths),
        at(beta, calorimeters),
        at(beta, station_azimuths),
        beta_scale=scale / _WEAKER,
        cbo_rad_per_us=2.0 * math.pi * F_CYCLOTRON_MHZ * float(base.nu_x[0] - weak.nu_x[0]) / _WEAKER,
    )


def _positions() -> FloatArray:
    axis: FloatArray = AXES["position_min_mm"] + AXES["position_width_mm"] * (np.arange(AXES["n_position"]) + 0.5)
    return axis


def _rotation(dataset: CampaignDataset, options: BeamOptions, field_index: float) -> FastRotationResult:
    counts = dataset.shared["fast_rotation"].astype(np.float64)
    histogram = TimeHistogram(
        counts,
        np.zeros(len(counts)),
        AXES["fast_width_us"],
        tuple(f"calorimeter {k + 1}" for k in range(len(counts))),
    )
    return analyse_fast_rotation(
        histogram,
        FastRotationOptions(start_us=options.rotation_start_us, field_index=field_index, azimuths="even"),
    )


def _beam_moments(dataset: CampaignDataset, view: TrackerView, options: BeamOptions) -> list[BeamMoments]:
    positions = _positions()
    detector = dataset.settings.get("detector", {})
    width = AXES["time_width_us"]
    first = math.ceil(options.fit_start_us / width)
    last = int(min(options.fit_stop_us, 350.0) / width)
    slices = (last - first) // _BINS_PER_SLICE
    times = width * (first + _BINS_PER_SLICE * (np.arange(slices) + 0.5))
    resolution = (
        math.hypot(float(detector.get("tracker_x_mm", 4.0)), view.smear_x_mm),
        math.hypot(float(detector.get("tracker_y_mm", 3.0)), view.smear_y_mm),
    )
    result = []
    for station in range(2):
        sliced = [
            dataset.shared[name][station, :, first : first + slices * _BINS_PER_SLICE]
            .reshape(len(positions), slices, _BINS_PER_SLICE)
            .sum(axis=2)
            .astype(np.float64)
            for name in ("track_x", "track_y")
        ]
        filled = (sliced[0].sum(axis=0) > 60.0) & (sliced[1].sum(axis=0) > 60.0)
        result.append(
            slice_moments(
                sliced[0][:, filled],
                sliced[1][:, filled],
                positions,
                view.along_x(positions),
                view.along_y(positions),
                times[filled],
                resolution,
            )
        )
    return result


def _missing_strength(dataset: CampaignDataset, response: RingResponse) -> tuple[float, float]:
    """Return what the damaged section misses at t = 0 from the slow drift of the CBO frequency, and its error."""
    cbo = measure_oscillations(dataset).cbo
    if cbo is None or not cbo.drift_rad:
        return 0.0, 0.0
    per_rad = 1.0 / (cbo.drift_tau_us * response.cbo_rad_per_us)
    return abs(cbo.drift_rad * per_rad), math.hypot(cbo.drift_error, 0.2 * cbo.drift_rad) * abs(per_rad)


def _rows(
    dataset: CampaignDataset,
    moments: list[BeamMoments],
    shape: tuple[FloatArray, FloatArray],
    options: BeamOptions,
) -> RowDrift | None:
    """Return height and width from the crystal rows, or ``None`` where too few hits are recorded by row."""
    reconstruction = dataset.reconstruction(next(iter(dataset.reconstructions)))
    first = round(options.threshold_mev / AXES["energy_width_mev"])
    counts = reconstruction["rows"].astype(np.float64)
    if counts.sum() < LEAST_ROW_HITS:
        return None
    laser = dataset.shared["laser_infill"].sum(axis=0, dtype=np.int64).astype(np.float64)
    response = np.divide(laser[:, 1], laser[:, 0], out=np.zeros(len(laser)), where=laser[:, 0] > 0.0) * 1e-6
    at = AXES["laser_time_width_us"] * (np.arange(len(laser)) + 0.5)
    filled = (laser[:, 0] > 0.0) & (at > 4.0)
    gain = np.ones(counts.shape[1])
    if filled.sum() > 8:
        # The flash: a relaxation and a constant, weighted with the pulses.
        basis = np.stack([np.ones_like(at), np.exp(-at / 60.0)], axis=1)
        weight = np.sqrt(laser[filled, 0])
        level = np.linalg.lstsq(basis[filled] * weight[:, None], response[filled] * weight, rcond=None)[0]
        gain += level[1] * np.exp(-AXES["time_width_us"] * (np.arange(counts.shape[1]) + 0.5) / 60.0)
    return row_drift(
        counts,
        reconstruction["pileup_doublets"][first:].sum(axis=0).astype(np.float64),
        reconstruction["pileup_singles"][first:].sum(axis=0).astype(np.float64),
        reconstruction["pileup_pairs"].astype(np.float64),
        gain,
        AXES["time_width_us"],
        shape,
        float(np.mean([straight_line(m.time_us, m.values[2], m.errors[2])[0] for m in moments])),
        float(np.mean([straight_line(m.time_us, m.values[3], m.errors[3])[0] for m in moments])),
        threshold_mev=options.threshold_mev,
        period_us=2.0 * math.pi / omega_reference,
        start_us=options.fit_start_us,
        stop_us=min(options.fit_stop_us, 400.0),
    )


def _losses(dataset: CampaignDataset, phase_map: PhaseMap, options: BeamOptions, lifetime_us: float) -> LossRate:
    reconstruction = dataset.reconstruction(next(iter(dataset.reconstructions)))
    candidates = reconstruction["coincidences"].astype(np.float64)
    # Accidentals: the side windows are 2 and 2.5 ns wide, the signal window 2.5 ns.
    accidental = 0.5 * (candidates[1] * 1.25 + candidates[2])
    triples = candidates[0] - accidental - candidates[3]
    variance = candidates[0] + 0.25 * (1.5625 * candidates[1] + candidates[2]) + candidates[3]
    width = AXES["time_width_us"]
    time = np.asarray(width * (np.arange(candidates.shape[1]) + 0.5), dtype=np.float64)
    first = round(options.threshold_mev / AXES["energy_width_mev"])
    positrons = reconstruction["counts"][:, first:, :].sum(axis=(0, 1), dtype=np.int64).astype(np.float64)
    # Positrons per bin = stored · (width/γτ) · hits per decay.
    stored = positrons * lifetime_us / width / phase_map.hits_per_decay
    return loss_rate(triples, variance, stored, time, efficiency=options.triple_efficiency)


def _phase_by_position(phase_map: PhaseMap, moments: FloatArray) -> tuple[float, float]:
    """Return dφ_d/d⟨x⟩ [rad/mm] of the beam, and its uncertainty from the halves of the map and 20 %."""
    steps = np.tile(moments[:, None], 2)
    steps[0] += np.array([-4.0, 4.0])

    def slope(half: int | None) -> float:
        phases = np.angle(detected_phasor(phase_map, steps, half)[0])
        return float(phases[1] - phases[0]) / 8.0

    value = slope(None)
    return value, math.hypot(0.2 * value, 0.5 * (slope(0) - slope(1)))


def analyse_dataset(dataset: CampaignDataset, options: BeamOptions | None = None) -> BeamAnalysis:
    """Return the five corrections of a dataset from what its detectors recorded.

    Raises
    ------
    DataError, FitError, PhysicsError
        A histogram does not determine its correction, or the logbook's field index is impossible.
    """
    options = options or BeamOptions()
    field_index = float(dataset.conditions.get("field_index", 0.108))
    experiment = PseudoExperiment(start_us=options.fit_start_us, stop_us=options.fit_stop_us)
    phase_map = load_maps(options.threshold_mev)
    view = tracker_view()
    rotation = _rotation(dataset, options, field_index)
    optics = rotation.optics

    stations = np.array([view.azimuth_rad(s) for s in range(2)])
    base = _optics_with(field_index, options.damaged_section, 0.0, 0.0)
    beta_at = np.interp(stations, base.azimuth_rad, base.beta_y[0])
    c_p, amplitudes, profiles = _pitch(dataset, view, phase_map, options, optics, beta_at)

    moments = _beam_moments(dataset, view, options)
    response = ring_response(field_index, options.damaged_section, stations)
    shape = profile_nodes(amplitudes[0].amplitude_mm, np.mean([a.share for a in amplitudes], axis=0))
    missing, missing_error = _missing_strength(dataset, response)
    c_pa, drift = phase_acceptance(
        moments,
        phase_map,
        response,
        rows=_rows(dataset, moments, shape, options),
        shape=shape,
        missing_strength=missing,
        missing_strength_error=missing_error,
        relaxation_us=options.relaxation_us,
        experiment=experiment,
    )

    def delta(f: FloatArray) -> FloatArray:
        return momentum_offset(f, optics.alpha_p)

    mean = moment(rotation.density, delta)
    square = moment(rotation.density, lambda f: (delta(f) - mean.value) ** 2)
    rms = math.sqrt(square.value)
    covariance = time_covariance(rotation.density, delta)
    by_shape = math.hypot(covariance.total, COVARIANCE_SHAPE_US)
    per_mm, per_mm_error = _phase_by_position(phase_map, drift.drifts[0].final)
    dispersion = optics.alpha_p * RING_RADIUS_MM
    correlations = PhaseCorrelations(
        momentum_rms=rms,
        momentum_rms_error=0.5 * square.total / rms,
        beamline_rad=options.phase_per_momentum_rad,
        beamline_error=options.phase_per_momentum_error,
        time_covariance_us=covariance.value,
        time_covariance_error=by_shape,
        position_rad=-per_mm * dispersion,
        position_error=per_mm_error * dispersion,
    )
    c_dd = differential_decay(correlations)
    losses = _losses(dataset, phase_map, options, experiment.lifetime_us)
    by_time = -omega_reference * covariance.value / square.value
    # Counting noise of the fast rotation is statistics; what the joint reconstruction adds to it is not.
    per_covariance = omega_reference / square.value
    by_time_error = per_covariance * math.sqrt(max(0.0, by_shape**2 - covariance.statistics**2))
    c_ml = lost_muon_correction(
        losses,
        options.loss,
        rms,
        correlations.beamline_rad + by_time + correlations.position_rad,
        math.hypot(correlations.beamline_error, by_time_error, correlations.position_error),
        momentum_mean=mean.value,
        phase_per_momentum_statistics=per_covariance * covariance.statistics,
        efficiency_error=options.triple_efficiency_error / options.triple_efficiency,
        experiment=experiment,
    )
    found = (rotation.correction, c_p, c_ml, c_pa, c_dd)
    return BeamAnalysis(
        name=dataset.name,
        field_index=field_index,
        corrections={c.name: c for c in found},
        rotation=rotation,
        amplitudes=tuple(amplitudes),
        profiles=tuple(profiles),
        losses=losses,
        moments=tuple(moments),
        drift=drift,
        phase_map=phase_map,
        correlations=correlations,
    )


def _pitch(
    dataset: CampaignDataset,
    view: TrackerView,
    phase_map: PhaseMap,
    options: BeamOptions,
    optics: RingOptics,
    beta_at: FloatArray,
) -> tuple[Correction, list[AmplitudeDistribution], list[VerticalProfile]]:
    size = int(AXES["n_position"])
    edges = np.asarray(AXES["position_min_mm"] + AXES["position_width_mm"] * np.arange(size + 1), dtype=np.float64)
    fine = fine_grid(edges)
    width = AXES["time_width_us"]
    window = slice(math.ceil(options.fit_start_us / width), int(options.fit_stop_us / width))
    resolution = float(dataset.settings.get("detector", {}).get("tracker_y_mm", 3.0))
    profiles = [
        VerticalProfile(
            counts=dataset.shared["track_y"][station][:, window].sum(axis=1).astype(np.float64),
            edges_mm=edges,
            resolution_mm=math.hypot(resolution, view.smear_y_mm),
            acceptance=view.along_y(fine),
            beta_y_mm=float(beta_at[station]),
        )
        for station in range(2)
    ]
    clipped = np.clip(fine, -45.0, 45.0)
    zero = np.zeros_like(clipped)
    calorimeter = phase_map.rate_at(zero, clipped) * phase_map.asymmetry_at(zero, clipped)
    correction, amplitudes = pitch(profiles, optics.mean_gamma_y, calorimeter)
    return correction, amplitudes, profiles
