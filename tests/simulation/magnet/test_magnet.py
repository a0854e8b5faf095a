"""The simulated magnet: feedback, FID generator, world, fixed probes."""

from __future__ import annotations

import numpy as np
import pytest

from gminus2.config.field import FeedbackSection, FieldSection
from gminus2.data.muon_profile import gaussian_profile
from gminus2.errors import ConfigError
from gminus2.physics.multipoles import MOMENTS, basis
from gminus2.physics.nmr import envelope, probe_sample, record_format
from gminus2.simulation.magnet.dataset import simulate_field_dataset
from gminus2.simulation.magnet.feedback import CYCLE_S, current_limit_hz, run_feedback
from gminus2.simulation.magnet.fid import FLAT, envelope_table, simulate_fids
from gminus2.simulation.magnet.world import make_world

QUIET = np.zeros(2000)


def test_feedback_answers_a_step_and_holds_the_dipole() -> None:
    step = np.where(np.arange(2000) >= 100, 62.0, 0.0)  # 1 ppm
    held = step + run_feedback(step, QUIET, FeedbackSection())
    assert held[100] == 62.0
    assert np.abs(held[130:]).max() < 0.05 * 62
    assert np.abs(held[300:]).max() < 1e-6
    assert held[100:].min() > -0.15 * 62  # little overshoot
    free = step + run_feedback(step, QUIET, FeedbackSection(on=False))
    np.testing.assert_array_equal(free, step)
    only_p = step + run_feedback(step, QUIET, FeedbackSection(integral_per_s=0.0, proportional=0.25))
    assert only_p[-1] == pytest.approx(62 / 1.25, rel=1e-6)  # a proportional loop leaves 1/(1+P)


def test_feedback_saturates_without_wind_up_and_the_clamp_limits_its_authority() -> None:
    assert current_limit_hz() == pytest.approx(0.2 / 2.63e-6)
    step = np.where((np.arange(2000) >= 100) & (np.arange(2000) < 1000), 62.0, 0.0)
    held = step + run_feedback(step, QUIET, FeedbackSection(), limit_hz=30.0)
    assert held[900] == pytest.approx(32.0, abs=0.1)
    assert np.abs(held[1030:]).max() < 1.5  # comes back at once: 50 s after the step has gone
    clamp = FeedbackSection(proportional=0.0, integral_clamp_hz_s=20.0)
    assert 62.0 - (step + run_feedback(step, QUIET, clamp))[900] == pytest.approx(20 * clamp.integral_per_s)


def test_feedback_holds_the_simulated_ring_against_drift() -> None:
    section = FieldSection()
    world = make_world(section, section.datasets[0], 5, 0, 86_400.0)
    assert np.ptp(world.free_hz) > 30.0
    # What is left is the 130 s oscillation, which is too fast for the loop, and the moments after a step.
    smooth = np.convolve(world.held_hz, np.ones(156) / 156, "valid")
    assert np.percentile(np.abs(smooth), 95) < 1.0
    off = section.model_copy(update={"feedback": FeedbackSection(on=False)})
    drifting = make_world(off, off.datasets[0], 5, 0, 86_400.0)
    np.testing.assert_array_equal(drifting.held_hz, drifting.free_hz)


def test_generator_noise_is_gaussian_white_and_reproducible() -> None:
    record = record_format("fixed").with_(amplitude_adc=0.0, noise_adc=1000.0)
    table = envelope_table(record, probe_sample("fixed"))
    y = simulate_fids(record, table, np.full(300, 50e3), seed=3, baseline=FLAT)
    np.testing.assert_array_equal(y, simulate_fids(record, table, np.full(300, 50e3), seed=3, baseline=FLAT))
    z = y.ravel() / 1000.0
    n = z.size
    assert z.mean() == pytest.approx(0.0, abs=4 / np.sqrt(n))
    assert z.var() == pytest.approx(1.0, abs=4 * np.sqrt(2 / n) + 5e-4)
    assert np.mean(z**4) == pytest.approx(3.0, abs=4 * np.sqrt(96 / n) + 8e-3)
    for limit, share in ((3.0, 2.6998e-3), (4.0, 6.334e-5)):
        assert np.mean(np.abs(z) > limit) == pytest.approx(share, rel=0.02 + 4 / np.sqrt(n * share))
    for lag in (1, 2, 16, 4096):
        assert np.corrcoef(z[:-lag], z[lag:])[0, 1] == pytest.approx(0.0, abs=4.5 / np.sqrt(n))


def test_generator_agrees_with_the_written_out_signal() -> None:
    record = record_format("trolley").with_(noise_adc=0.0)
    sample = probe_sample("trolley")
    f, phase = np.array([50_123.4, 51_900.1]), np.array([0.3, 4.0])
    y = simulate_fids(record, envelope_table(record, sample, [10.0], [0.1]), f, seed=1, phase=phase, baseline=FLAT)
    tau = (np.arange(record.n_samples) - record.pulse_sample) / record.fs_hz
    g, _ = envelope(sample, tau, record.t2_ms, 10.0, 0.1)
    direct = record.amplitude_adc * np.real(g * np.exp(1j * (2 * np.pi * f[:, None] * tau + phase[:, None])))
    assert np.abs(y - direct).max() < 0.501  # the ADC's rounding


def test_phase_of_the_envelope_is_odd_and_starts_without_slope() -> None:
    tau = np.linspace(0, 1e-4, 51)
    g, mean = envelope(probe_sample("fixed"), tau, 40.0, 30.0, 0.5)
    assert mean > 0
    assert abs(np.angle(g[1])) < 1e-7  # f̄ is taken out: phase ∝ τ³
    assert np.angle(g[20]) / np.angle(g[10]) == pytest.approx(8.0, rel=0.01)


def test_impossible_frequencies_are_refused() -> None:
    record = record_format("fixed")
    with pytest.raises(ConfigError, match="half the sampling rate"):
        simulate_fids(record, envelope_table(record, probe_sample("fixed")), [6e5], seed=1)


def test_true_average_is_the_average_of_the_field_over_muons_ring_and_time() -> None:
    section = FieldSection()
    world = make_world(section, section.datasets[0], 8, 0, 40_000.0)
    profile = gaussian_profile(5.7, 0.3, 9.3, 12.8, closed_orbit_mm=2.0)
    rng = np.random.default_rng(1)
    time = np.linspace(100, 39_000, 50)
    weight = rng.uniform(size=50)
    # By brute force: the field at every bin of every profile, at every time.
    x, y = np.meshgrid(profile.x_mm, profile.y_mm)
    muons = profile.inside_weight()
    total = 0.0
    for t, w in zip(time, weight, strict=True):
        field = world.moments(profile.azimuth_deg, np.full(72, t)) @ basis(x, y, MOMENTS).reshape(-1, 9).T
        by_azimuth = (field * muons.reshape(72, -1)).sum(axis=1) / muons.sum(axis=(1, 2))
        total += w * by_azimuth.mean()
    # 72 azimuths alias the harmonic 72 and the profile's interpolation: compare at the level of the static spread.
    dense = world.muon_average(profile, time, weight)
    fine = np.arange(720) * 0.5
    alias = (world.static(profile.azimuth_deg) - world.static(fine).mean(axis=0)).mean(axis=0)
    assert dense == pytest.approx(total / weight.sum() - float(alias @ profile.moments().mean(axis=0)), abs=0.05)


def test_the_same_seed_gives_the_same_readings_whatever_the_order() -> None:
    section = FieldSection.model_validate({"world": {"fixed_cycle_s": 30.0}, "trolley": {"azimuths": 400}})
    short = section.datasets[0].model_copy(update={"days_between_trolley_runs": 0.5})
    one, _, _ = simulate_field_dataset(section, short, seed=6, index=1)
    simulate_field_dataset(section, short, seed=6, index=0)
    two, _, _ = simulate_field_dataset(section, short, seed=6, index=1)
    for (t1, f1), (t2, f2) in zip(one.fixed.chunks(), two.fixed.chunks(), strict=True):
        np.testing.assert_array_equal(t1, t2)
        np.testing.assert_array_equal(f1, f2)
    assert CYCLE_S == 1.67
