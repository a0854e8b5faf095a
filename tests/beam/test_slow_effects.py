"""Pitch, phase acceptance, lost muons, differential decay: each estimator against an independent toy or number."""

from __future__ import annotations

import numpy as np
import pytest

from gminus2.beam.campaign import ring_response
from gminus2.beam.corrections import Correction, covariance_of_datasets
from gminus2.beam.differential_decay import PhaseCorrelations, differential_decay
from gminus2.beam.electric_field import ring_optics
from gminus2.beam.fit_response import PseudoExperiment, exponential_drift_shift, slope_kernel
from gminus2.beam.lost_muons import LossFunction, LossRate, loss_rate, lost_muon_correction
from gminus2.beam.phase_acceptance import RingResponse, detected_phasor, phase_acceptance, slice_moments
from gminus2.beam.phase_maps import load_maps
from gminus2.beam.pitch import VerticalProfile, fine_grid, pitch, unfold_amplitudes
from gminus2.beam.tracker_view import tracker_view
from gminus2.constants import RING_RADIUS_MM
from gminus2.detectors.acceptance import acceptance_map
from gminus2.errors import ConfigError, DataError
from gminus2.random import stream

EDGES = np.arange(-60.0, 61.0, 2.0)


def test_a_phase_that_relaxes_shifts_the_fit_as_the_closed_form_says() -> None:
    experiment = PseudoExperiment(start_us=30.0, lifetime_us=64.44)
    for time in (60.0, 120.0):
        fitted = experiment.shift_ppb(lambda t, tau=time: 1e-3 * np.exp(-t / tau))  # type: ignore[misc]
        closed = 1e9 * exponential_drift_shift(1e-3, time, 30.0, lifetime_us=64.44) / experiment.omega_a
        assert fitted == pytest.approx(closed, rel=0.02)
    linear = experiment.shift_ppb(lambda t: 1e-6 * t)
    assert linear == pytest.approx(694.7, abs=0.3)
    kernel = slope_kernel(experiment.times_us, lifetime_us=64.44)
    assert kernel @ (1e-6 * experiment.times_us) == pytest.approx(1e-6, rel=1e-9)


def test_differential_decay_agrees_with_muons_of_many_momenta_fitted_together() -> None:
    sigma, slope = 1.2e-3, 1.0
    experiment = PseudoExperiment()
    nodes, weights = np.polynomial.hermite_e.hermegauss(15)
    t = experiment.times_us
    rate = np.zeros((2, len(t)))
    for node, weight in zip(nodes, weights, strict=True):
        delta = sigma * node
        decay = weight * np.exp(-t / (experiment.lifetime_us * (1.0 + delta)))
        rate += decay * np.stack([np.cos(slope * delta) * np.ones_like(t), np.sin(slope * delta) * np.ones_like(t)])
    # The mean phase of what is left is all that a fit sees.
    mean = np.arctan2(rate[1], rate[0])
    fitted = experiment.shift_ppb(lambda u: np.interp(u, t, mean))
    found = differential_decay(PhaseCorrelations(sigma, 0.0, slope, 0.0, 0.0, 0.0, 0.0, 0.0))
    assert found.value_ppb == pytest.approx(-fitted, rel=0.01)
    # Late muons of high momentum: cov(t, δ) > 0 acts like a falling phase.
    by_time = differential_decay(PhaseCorrelations(sigma, 0.0, 0.0, 0.0, 0.3e-6, 0.1e-6, 0.0, 0.0))
    assert by_time.value_ppb == pytest.approx(5.0, abs=0.5)


def test_lost_muon_correction_agrees_with_an_ensemble_that_loses_low_momenta() -> None:
    sigma, slope, phase_slope = 1.1e-3, -300.0, 1.0
    rate = LossRate(2e-4, 60.0, np.zeros((2, 2)), 1e4, 1.0, 1, np.zeros(1), np.zeros(1), np.zeros(1))
    experiment = PseudoExperiment()
    delta = np.linspace(-4.5, 4.5, 401) * sigma
    stored = np.exp(-0.5 * (delta / sigma) ** 2)
    t = experiment.times_us
    lost = rate.rate_per_us * rate.decay_us * (1.0 - np.exp(-t / rate.decay_us))
    survival = np.exp(-np.maximum(1.0 + slope * delta, 0.0)[:, None] * lost)
    mean = (stored[:, None] * survival * delta[:, None]).sum(axis=0) / (stored[:, None] * survival).sum(axis=0)
    whole = (stored[:, None] * survival).sum(axis=0) / stored.sum()
    both = experiment.shift_ppb(
        lambda u: np.interp(u, t, phase_slope * mean),
        survival=lambda u: np.interp(u, t, whole),
        fitted_survival=lambda u: np.interp(u, t, whole),
    )
    found = lost_muon_correction(rate, LossFunction(slope, 30.0), sigma, phase_slope, 0.16)
    assert found.value_ppb == pytest.approx(-both, rel=0.03)
    assert found.value_ppb < -5.0
    assert found.uncertainty_ppb == pytest.approx(sum(found.rows_ppb.values()) - found.rows_ppb["statistics"], rel=1e-6)


def test_the_loss_rate_comes_back_from_triples() -> None:
    t = np.arange(15.0, 500.0, 0.1492)
    stored = 4e7 * np.exp(-t / 64.4)
    expected = 0.7 * 8e-5 * np.exp(-t / 55.0) * stored * 0.1492
    triples = stream(3, "triples").poisson(expected).astype(float)
    found = loss_rate(triples, triples, stored, t, efficiency=0.7)
    assert found.rate_per_us == pytest.approx(8e-5, rel=0.03)
    assert found.decay_us == pytest.approx(55.0, rel=0.03)
    assert found.lost_between(30.0, 100.0) == pytest.approx(
        8e-5 * 55.0 * (np.exp(-30 / 55) - np.exp(-100 / 55)), rel=0.02
    )
    with pytest.raises(DataError, match="too few lost muons"):
        loss_rate(1e-4 * triples, triples, stored, t, efficiency=0.7)


def vertical_profile(count: int, rms: float, seed: int) -> tuple[VerticalProfile, float]:
    """Return tracks of an ensemble with Rayleigh amplitudes, and its true ⟨y²⟩."""
    generator = stream(seed, "vertical")
    fine = fine_grid(EDGES)
    acceptance = tracker_view().along_y(fine)
    amplitude = generator.rayleigh(rms, count)
    amplitude = amplitude[amplitude < 45.0]
    y = amplitude * np.cos(generator.uniform(0.0, 2.0 * np.pi, amplitude.size)) + 0.7
    y = y[generator.random(y.size) < np.interp(y, fine, acceptance)]
    resolution = 3.4
    counts = np.histogram(y + generator.normal(0.0, resolution, y.size), EDGES)[0].astype(float)
    return VerticalProfile(counts, EDGES, resolution, acceptance, 21_500.0), 0.5 * float(np.mean(amplitude**2))


@pytest.mark.parametrize("rms", [10.0, 12.8])
def test_pitch_correction_of_an_unfolded_ensemble_is_right_within_half_a_percent(rms: float) -> None:
    profile, true_square = vertical_profile(400_000, rms, 5)
    gamma = ring_optics(0.108).mean_gamma_y
    found, amplitudes = pitch([profile], gamma, np.ones_like(fine_grid(EDGES)))
    truth = 1e9 * 0.5 * gamma * true_square / profile.beta_y_mm
    assert found.value_ppb == pytest.approx(truth, rel=0.006)
    assert amplitudes[0].centre_mm == pytest.approx(0.7, abs=0.15)
    assert found.rows_ppb["statistics"] < 1.0
    # Ignoring the resolution would cost seven percent.
    blurred = VerticalProfile(profile.counts, EDGES, 0.3, profile.acceptance, profile.beta_y_mm)
    assert unfold_amplitudes(blurred).mean_square_y() > 1.05 * true_square


def test_pitch_of_a_20_mm_oscillation_in_a_continuous_ring_is_213_5_ppb() -> None:
    optics = ring_optics(0.108, "continuous")
    beta = RING_RADIUS_MM / np.sqrt(0.108)
    y = 20.0 * np.cos(np.linspace(0.0, 2.0 * np.pi, 200_001)[:-1])
    fine = fine_grid(EDGES)
    noise = stream(6, "blur").normal(0.0, 1.0, y.size)
    profile = VerticalProfile(np.histogram(y + noise, EDGES)[0].astype(float), EDGES, 1.0, np.ones_like(fine), beta)
    found, _ = pitch([profile], optics.mean_gamma_y, np.ones_like(fine))
    assert found.value_ppb == pytest.approx(213.52, rel=0.01)


def test_too_few_tracks_are_refused() -> None:
    profile, _ = vertical_profile(1500, 12.8, 7)
    with pytest.raises(DataError, match="too few tracks"):
        unfold_amplitudes(profile)


def test_the_phase_map_has_the_known_slopes() -> None:
    found = load_maps()
    assert 1e3 * float(found.phase_at(0.0, 30.0) - found.phase_at(0.0, 0.0)) == pytest.approx(8.0, abs=0.4)
    assert 1e3 * float(found.phase_at(10.0, 0.0) - found.phase_at(-10.0, 0.0)) / 20.0 == pytest.approx(0.055, abs=0.006)
    assert float(found.rate_at(0.0, 40.0)) == pytest.approx(0.88, abs=0.02)
    # Direct simulation of wider beams, no map in between: 0.601 mrad from 11 to 14 mm.
    wide, narrow = (
        np.angle(detected_phasor(found, np.array([[0.0], [14.5**2], [0.0], [s**2]]))[0][0]) for s in (14.0, 11.0)
    )
    assert 1e3 * (wide - narrow) == pytest.approx(0.601, abs=0.06)


def test_a_fresh_simulation_agrees_with_the_shipped_map() -> None:
    fresh = acceptance_map(np.array([-14.0, 14.0]), np.array([0.0, 24.0]), decays=150_000, seed=99)
    _, _, phase = fresh.above(1700.0)
    found = load_maps()
    expected = found.phase_at(np.array([[-14.0] * 2, [14.0] * 2]), np.array([[0.0, 24.0]] * 2))
    # Heights at one radius share their random numbers, so that their difference is precise.
    assert 1e3 * (phase[:, 1] - phase[:, 0]) == pytest.approx(1e3 * (expected[:, 1] - expected[:, 0]), abs=1.0)


def test_c_pa_of_a_breathing_beam_agrees_with_muons_put_through_the_map() -> None:
    generator = stream(8, "breathing")
    phase_map, experiment = load_maps(), PseudoExperiment()
    times = np.arange(33.0, 330.0, 5.37)
    positions = 0.5 * (EDGES[:-1] + EDGES[1:])
    truth_phase = np.empty(len(times))
    stations: list[list[np.ndarray]] = [[], []]
    for t in times:
        width = 12.6 + 1.0 * np.exp(-t / 65.0)
        x, y = generator.normal(6.0, 14.0, 40_000), generator.normal(0.2, width, 40_000)
        nodes = np.array([[6.0], [14.0**2], [0.2], [width**2]])
        truth_phase[list(times).index(t)] = np.angle(detected_phasor(phase_map, nodes)[0][0])
        stations[0].append(np.histogram(x, EDGES)[0])
        stations[1].append(np.histogram(y, EDGES)[0])
    flat = np.ones_like(positions)
    moments = slice_moments(
        np.stack(stations[0], axis=1).astype(float),
        np.stack(stations[1], axis=1).astype(float),
        positions,
        flat,
        flat,
        times,
        (0.0, 0.0),
    )
    everywhere = RingResponse(np.ones(24), np.ones(2), np.ones(24), np.ones(2))
    found, drift = phase_acceptance([moments, moments], phase_map, everywhere, experiment=experiment)
    expected = -experiment.shift_ppb(lambda u: -np.interp(u, times, truth_phase))
    assert expected < -100.0
    assert abs(found.value_ppb - expected) < 3.0 * found.rows_ppb["statistics"] + 0.05 * abs(expected)
    assert drift.phase_rad[0] > 0.0
    # A width that shrinks by 0.5 mm/ms gives −70 ppb: dφ_d/dσ = 0.20 mrad/mm at 12.5 mm.
    slope = 1e9 * 0.20e-3 * 0.5e-3 / experiment.omega_a
    assert slope == pytest.approx(70.0, abs=1.0)


def test_a_damaged_section_moves_the_beam_with_the_pattern_of_one_kick() -> None:
    stations = np.array([3.0, 4.6])
    response = ring_response(0.108, "Q1L", stations)
    nu = ring_optics(0.108).nu_y
    kick = np.radians(0.5 * (39.075 + 65.075))
    calorimeters = np.radians(17.71 + 15.0 * np.arange(24)) - 2.86e3 / RING_RADIUS_MM
    distance = (calorimeters - kick) % (2.0 * np.pi)
    # Closed orbit of one kick: cos(ν(|θ − θ₀| − π)) over 2 sin(πν), β nearly constant.
    away = np.abs(calorimeters % (2.0 * np.pi) - kick) > 0.4
    pattern = np.cos(nu * (distance - np.pi))
    ratio = response.orbit_y_calorimeters[away] / pattern[away]
    assert np.std(ratio) / abs(np.mean(ratio)) < 0.1
    with pytest.raises(ConfigError, match="no quadrupole section"):
        ring_response(0.108, "Q9", stations)


def test_rows_add_in_quadrature_or_linearly_and_datasets_share_systematics() -> None:
    quadratic = Correction("C_p", 170.0, {"statistics": 3.0, "a": 4.0, "b": 12.0})
    assert quadratic.uncertainty_ppb == pytest.approx(13.0)
    linear = Correction("C_ml", -10.0, {"statistics": 3.0, "a": 1.0, "b": 3.0}, combine="linear")
    assert linear.uncertainty_ppb == pytest.approx(5.0)
    matrix = covariance_of_datasets([quadratic, quadratic])
    assert matrix[0, 0] == pytest.approx(169.0)
    assert matrix[0, 1] == pytest.approx(160.0)
    with pytest.raises(DataError, match="no finite"):
        Correction("C_e", float("nan"), {})
