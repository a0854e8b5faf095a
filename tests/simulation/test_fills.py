"""Fills: independent of how they are asked for, paired muon by muon, and with the orbits of the stored beam."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gminus2.config.campaign import BeamConfig, Effects
from gminus2.data import make_provenance
from gminus2.data.hits import HitBlock, unpack_hits
from gminus2.ring.ensemble import StoredBeam
from gminus2.simulation.beams import lattice_of, stored_beam
from gminus2.simulation.dataset import DatasetSimulation
from gminus2.simulation.fills import TRUTH_SUMS
from gminus2.simulation.muons import MuonSource
from gminus2.simulation.pool import ROW, FieldMultipoles, factorise_lattice, muon_state

Prepare = Callable[..., DatasetSimulation]


def _hits(block: HitBlock) -> dict[str, Any]:
    fields = unpack_hits(block.words)
    fields["fill"] = np.repeat(np.arange(block.fills), np.diff(block.offsets))
    return fields


@pytest.fixture(scope="module")
def block(simulation: DatasetSimulation) -> HitBlock:
    return simulation.block(0, 32)[0]


def test_a_fill_does_not_depend_on_its_neighbours(simulation: DatasetSimulation, block: HitBlock) -> None:
    tail, _ = simulation.block(21, 3)
    begin, end = block.offsets[21], block.offsets[24]
    assert np.array_equal(tail.words, block.words[begin:end])
    chosen = (block.tracks["fill"] >= 21) & (block.tracks["fill"] < 24)
    assert np.array_equal(tail.tracks, block.tracks[chosen])
    own = (block.laser["fill"] >= 21) & (block.laser["fill"] < 24)
    assert np.array_equal(np.sort(tail.laser), np.sort(block.laser[own]))


def test_blocks_are_valid_hits_with_0_4_hits_per_decay(block: HitBlock, prepared: Prepare) -> None:
    block.check()
    block, truth = prepared(effects=Effects(lost_muons=0.0, background=0.0)).block(0, 32)
    assert truth[2] == block.words.size
    assert truth[2] / truth[0] == pytest.approx(0.40, abs=0.02)
    assert truth[3] / truth[0] == pytest.approx(0.176 * math.exp(-30 / 64.4), abs=0.005)


def test_switching_the_gain_off_changes_energies_and_nothing_else(block: HitBlock, prepared: Prepare) -> None:
    off = Effects(gain_infill=0.0, gain_rate=0.0, double_pulse=0.0, temperature=0.0)
    other, _ = prepared(effects=off).block(0, 32)
    a, b = _hits(block), _hits(other)
    # Above 100 MeV no hit can cross the detection threshold of 50 MeV.
    keep_a, keep_b = a["energy"] > 100, b["energy"] > 100
    common = np.intersect1d(
        a["fill"][keep_a] << 32 | a["station"][keep_a] << 24 | a["time"][keep_a],
        b["fill"][keep_b] << 32 | b["station"][keep_b] << 24 | b["time"][keep_b],
    )
    assert common.size > 0.995 * keep_b.sum()
    assert a["energy"].sum() < b["energy"].sum()


def test_switching_the_electric_field_off_leaves_nearly_every_hit_in_place(block: HitBlock, prepared: Prepare) -> None:
    other, _ = prepared(effects=Effects(electric_field=False, pitch=False)).block(0, 32)
    a, b = _hits(block), _hits(other)
    same = np.intersect1d(*(h["fill"] << 32 | h["station"] << 24 | h["time"] for h in (a, b))).size
    assert same > 0.999 * block.words.size
    assert abs(a["energy"].size - b["energy"].size) < 10


def test_losses_leave_triples_of_small_pulses_in_neighbouring_calorimeters(
    simulation: DatasetSimulation, block: HitBlock, prepared: Prepare
) -> None:
    quiet, _ = prepared(effects=Effects(lost_muons=0.0)).block(0, 32)
    truth = simulation.block(0, 32)[1]
    assert truth[1] > 200
    small_with = int(np.sum(np.abs(_hits(block)["energy"] - 175) < 60))
    small_without = int(np.sum(np.abs(_hits(quiet)["energy"] - 175) < 60))
    assert small_with - small_without == pytest.approx(2.85 * truth[1], rel=0.35)


def _beam_of(rows: Any, beam: StoredBeam) -> StoredBeam:
    """Return the stored beam whose muons are these rows."""
    two_pi = 2 * math.pi
    return beam.rebuilt(
        delta=rows[:, ROW["delta"]],
        injection_time_us=rows[:, ROW["injection_time_us"]],
        action_x_mm=0.5 * rows[:, ROW["root_2jx"]] ** 2,
        phase_x_rad=two_pi * rows[:, ROW["phase_x"]],
        action_y_mm=0.5 * rows[:, ROW["root_2jy"]] ** 2,
        phase_y_rad=two_pi * rows[:, ROW["phase_y"]],
        spin_phase_rad=two_pi * rows[:, ROW["spin_phase"]],
        loss_time_us=rows[:, ROW["loss_time_us"]],
        weight=np.ones(len(rows)),
    )


def test_pool_states_agree_with_the_stored_beam(simulation: DatasetSimulation) -> None:
    omega_a = simulation.muons.omega_a
    rows = simulation.muons.rows(7)[0][:200]
    own = _beam_of(rows, simulation.muons.beam)
    times = np.random.default_rng(1).uniform(2.0, 600.0, 200)
    states = own.states(np.arange(200), times, omega_a)
    scratch = np.empty(12)
    f = simulation.muons.factors
    for k, (row, t) in enumerate(zip(rows, times, strict=True)):
        turn, x, y, xs, ys, s, c = muon_state(row, f.functions, f.coefficients, f.step_us, t, t - row[0], scratch)
        assert turn * 2 * math.pi == pytest.approx(states.azimuth_rad[k], abs=1e-6)
        assert x == pytest.approx(states.x_mm[k], abs=0.05)
        assert y == pytest.approx(states.y_mm[k], abs=0.05)
        assert xs == pytest.approx(states.x_slope[k], abs=2e-5)
        assert ys == pytest.approx(states.y_slope[k], abs=2e-5)
        difference = math.atan2(s, c) - states.spin_phase_rad[k]
        assert math.remainder(difference, 2 * math.pi) == pytest.approx(0.0, abs=1e-6)


def test_rows_have_the_distributions_of_the_closed_form_beam(simulation: DatasetSimulation) -> None:
    source = simulation.muons
    count = len(source.beam)
    own = _beam_of(simulation.muons.pool(count).rows, source.beam)
    for name in ("delta", "injection_time_us", "action_x_mm", "action_y_mm", "spin_phase_rad", "nu_x", "period_us"):
        a, b = getattr(own, name), getattr(source.beam, name)
        assert np.mean(a) == pytest.approx(np.mean(b), abs=5 * math.sqrt(2 / count) * np.std(b)), name
        assert np.std(a) == pytest.approx(np.std(b), rel=0.02), name
    for axis in "xy":
        a, b = (
            np.mean(np.exp(1j * getattr(beam, f"phase_{axis}_rad")) * np.sqrt(getattr(beam, f"action_{axis}_mm")))
            for beam in (own, source.beam)
        )
        assert abs(a - b) < 5 * math.sqrt(2 / count) * np.sqrt(getattr(source.beam, f"action_{axis}_mm").mean())
    lost, expected = (np.isfinite(beam.loss_time_us) for beam in (own, source.beam))
    assert lost.mean() == pytest.approx(expected.mean(), abs=5 * math.sqrt(2 * expected.mean() / count))
    assert own.loss_time_us[lost].mean() == pytest.approx(source.beam.loss_time_us[expected].mean(), rel=0.05)


def test_every_supercycle_has_its_own_muons_and_uses_them_alike(simulation: DatasetSimulation) -> None:
    first, again, second = (simulation.muons.rows(cycle)[0] for cycle in (0, 0, 1))
    assert np.array_equal(first, again)
    assert np.intersect1d(first[:, ROW["delta"]], second[:, ROW["delta"]]).size == 0
    table = simulation.fill_table(0, 32)
    uses = np.zeros((2, simulation.muons.count), dtype=np.int64)
    for fill, (muons, start) in enumerate(zip(table["muons"], table["starts"], strict=True)):
        np.add.at(uses[fill // 16], (start + np.arange(muons)) % simulation.muons.count, 1)
    assert np.ptp(uses, axis=1).max() <= 1
    assert uses.mean() == pytest.approx(simulation.campaign.decays_per_muon, rel=0.15)


def test_sums_over_muons_count_every_supercycle_once(simulation: DatasetSimulation) -> None:
    whole = simulation.block(0, 40)[1][len(TRUTH_SUMS) :]
    parts = [simulation.block(first, count)[1][len(TRUTH_SUMS) :] for first, count in ((0, 5), (5, 11), (16, 24))]
    assert np.array_equal(whole, np.sum(parts, axis=0))
    assert whole[0] == 3 * simulation.muons.count


def test_a_few_products_reproduce_the_lattice_history(beam_config: BeamConfig) -> None:
    lattice = lattice_of(beam_config)
    factors = factorise_lattice(lattice)
    for time in (0.0, 5.0, 30.0, 200.0):
        i = round(time / factors.step_us)
        beta = factors.coefficients[i, : factors.functions.shape[0]] @ factors.functions[:, :, 3]
        azimuth = np.linspace(0, 2 * math.pi, beta.size)[:-1]
        expected = np.array([math.sqrt(lattice.at(a, time, "beta_y")) for a in azimuth])
        assert np.abs(beta[:-1] / expected - 1).max() < 2e-4


def test_mean_shift_of_the_pool_is_minus_the_corrections_of_the_ensemble(simulation: DatasetSimulation) -> None:
    source = simulation.muons
    truth = source.pool(50_000).truth
    total = truth["electric_field_ppb"] + truth["pitch_ppb"]
    assert total == pytest.approx(-(truth["ensemble_C_e_ppb"] + truth["ensemble_C_p_ppb"]), abs=0.01)
    assert truth["omega_a_shift_ppb"] == pytest.approx(total, abs=1e-6)
    # The stored beam of NumPy's own draws, 3 ppb of statistics.
    beam = source.beam
    other = 1e9 * (beam.electric_field_correction() + beam.pitch_correction())
    assert total == pytest.approx(-other, abs=15.0)


def test_field_multipoles_shift_a_muon_by_the_average_over_its_orbit() -> None:
    field = FieldMultipoles((10.0, 5.0, 3.0), (4.0, 2.0, 1.0))
    phase_x, phase_y = np.meshgrid(
        np.linspace(0, 2 * math.pi, 64, endpoint=False), np.linspace(0, 2 * math.pi, 64, endpoint=False)
    )
    x_e, jx, jy, y0 = 8.0, 60.0, 90.0, 1.5
    x = x_e + math.sqrt(2 * jx) * np.cos(phase_x)
    y = y0 + math.sqrt(2 * jy) * np.cos(phase_y)
    z = (x + 1j * y) / 45.0
    direct = sum(
        (n * z**k).real + (s * z**k).imag for k, n, s in zip((1, 2, 3), field.normal_ppm, field.skew_ppm, strict=True)
    )
    closed = field.mean_shift(np.array([x_e]), np.array([jx]), np.array([jy]), y0)
    assert closed[0] == pytest.approx(1e-6 * direct.mean(), rel=1e-9)


def _source(config: BeamConfig, effects: Effects, folder: Path | None = None, seed: int = 1) -> MuonSource:
    beam = stored_beam(config, effects, seed=seed, dataset=0, folder=folder)
    return MuonSource.of(beam, config, effects, seed=1, dataset=0, count=500, omega_a=1.44)


def test_loss_scale_multiplies_the_losses(beam_config: BeamConfig, tmp_path: Path) -> None:
    config = beam_config.model_copy(update={"loss_rate_per_us": 5e-4})
    stored_beam(config, Effects(), seed=1, dataset=0).write(tmp_path / "beam.h5", make_provenance("test"))
    for own in (config, config.model_copy(update={"ensemble": "beam.h5", "vertical_mismatch": 0.0})):
        fractions = {
            scale: _source(own, Effects(lost_muons=scale), tmp_path).pool(50_000).truth["lost_fraction_pool"]
            for scale in (0.5, 1.0, 3.0)
        }
        assert fractions[0.5] == pytest.approx(0.5 * fractions[1.0], rel=0.1)
        assert fractions[3.0] == pytest.approx(3.0 * fractions[1.0], rel=0.1)


def test_a_stored_beam_from_a_file_gives_its_own_muons(beam_config: BeamConfig, tmp_path: Path) -> None:
    beam = stored_beam(beam_config, Effects(), seed=4, dataset=0, count=2000)
    beam.write(tmp_path / "beam.h5", make_provenance("test"))
    from_file = beam_config.model_copy(update={"ensemble": "beam.h5", "vertical_mismatch": 0.0})
    again = stored_beam(from_file, Effects(), seed=99, dataset=3, folder=tmp_path)
    assert np.array_equal(again.delta, beam.delta)
    one, two = (_source(from_file, Effects(), tmp_path, seed) for seed in (1, 2))
    assert np.array_equal(one.rows(0)[0], two.rows(0)[0])
    assert one.finite == 2000
    rows = one.pool(20_000).rows
    # Smeared by 2 % of each rms: every muon lies close to one of the file's.
    nearest = np.abs(rows[:200, ROW["delta"], None] - beam.delta).min(axis=1)
    assert nearest.max() < 0.1 * beam.delta.std()
    assert rows[:, ROW["delta"]].std() == pytest.approx(beam.delta.std(), rel=0.02)
    sparse = MuonSource.of(beam, from_file, Effects(), seed=1, dataset=0, count=9, omega_a=1.44, smoothing=0.0)
    assert np.isin(sparse.rows(0)[0][:, ROW["delta"]], beam.delta).all()
