"""What the engine does around the map: reversal, decay, collimators, kicker, multipoles, many workers, bad input."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gminus2.errors import DataError, PhysicsError
from gminus2.physics.optics import field_index_from_volts, linear_optics
from gminus2.physics.spin import magic_gamma
from gminus2.random import stream
from gminus2.ring.engine import run_blocks
from gminus2.ring.esq import ElectricField, Scraping, VoltageHistory, VoltageTransient
from gminus2.ring.geometry import Collimator, Geometry, Kicker, Plate, load_geometry
from gminus2.ring.kernel import ROWS, WIDTH
from gminus2.ring.kicker import KickerField, lcr_pulse, make_pulse, read_pulse
from gminus2.ring.magnet import MagneticMultipoles
from gminus2.ring.measure import closed_orbit
from gminus2.ring.program import EKICK, Observer, Program, Scheme
from gminus2.ring.tracking import Muons, Ring, build_fields, build_physics, to_blocks, track

OPEN = Ring(Geometry.lumped(), ElectricField(0.108, sextupole_switch=-1.0), collimators="open")


def random_muons(count: int, seed: int = 1) -> Muons:
    z = stream(seed, "muons").standard_normal((5, count))
    return Muons.at_rest_in_beam(
        x_mm=8.0 * z[0], x_slope=1e-3 * z[1], y_mm=8.0 * z[2], y_slope=5e-4 * z[3], delta=1e-3 * z[4]
    )


def run_program(ring: Ring, program: Program, blocks: np.ndarray, turns: int) -> None:
    shape = (blocks.shape[0], WIDTH)
    ids = np.arange(shape[0] * WIDTH, dtype=np.int64).reshape(shape)
    run_blocks(
        blocks,
        np.ones(shape),
        ids,
        np.full(shape, math.inf),
        np.full(shape[0], WIDTH, dtype=np.int64),
        0,
        turns,
        0,
        program.steps,
        build_fields(ring, program, 0, 1),
        build_physics(ring),
        np.zeros((0, 1, 0, 9)),
        np.zeros((0, 1, 11)),
        np.full((ids.size, 12), np.nan),
        np.full((ids.size, 12), np.nan),
        np.zeros(ids.size, dtype=np.int64),
    )


def test_a_hundred_turns_and_back_return_every_muon_and_its_spin() -> None:
    ring = replace(OPEN, edm_eta=2e-6, observers=())
    start, _ = to_blocks(ring, random_muons(WIDTH))
    blocks = start.copy()
    program = ring.program()
    run_program(ring, program, blocks, 100)
    run_program(ring, program.reversed(), blocks, 100)
    difference = np.abs(blocks - start).reshape(ROWS, WIDTH)
    assert difference[[0, 2, 4]].max() < 1e-8
    assert difference[6:9].max() < 1e-9


def test_splitting_every_bend_in_two_changes_nothing() -> None:
    ring = replace(OPEN, observers=())
    one, _ = to_blocks(ring, random_muons(WIDTH))
    two = one.copy()
    run_program(ring, ring.program(), one, 1)
    run_program(ring, ring.program().halved(), two, 1)
    assert np.abs(one - two).max() < 1e-12


def test_energy_of_every_muon_is_conserved_exactly() -> None:
    muons = random_muons(300)
    tracked = track(OPEN, muons, 50)
    assert np.abs(tracked.muons.delta - muons.delta).max() < 1e-14


def test_results_do_not_depend_on_workers_or_on_other_muons() -> None:
    ring = Ring(load_geometry(), ElectricField(0.108, multipoles="main"))
    muons = random_muons(5000)
    one = track(ring, muons, 20, decay=True, moments=True, seed=3, workers=1)
    two = track(ring, muons, 20, decay=True, moments=True, seed=3, workers=2)
    assert np.array_equal(one.muons.x_mm, two.muons.x_mm)
    assert np.array_equal(one.moments, two.moments)
    assert np.array_equal(one.decays, two.decays, equal_nan=True)
    few = track(ring, muons.select(np.arange(10)), 20)
    kept = np.isin(one.muons.ident, np.arange(10))
    assert np.allclose(one.muons.x_mm[kept], few.muons.x_mm[one.muons.ident[kept]], rtol=0, atol=1e-10)


def test_muons_decay_exponentially_with_the_dilated_lifetime() -> None:
    muons = random_muons(8192)
    tracked = track(OPEN, muons, 200, decay=True, seed=5)
    gone = np.isfinite(tracked.decays[:, 0])
    time = tracked.decays[gone, 7] / 299.792458
    window = 200 * OPEN.period_us
    lifetime = 2.1969811 * magic_gamma()
    expected = 1.0 - math.exp(-window / lifetime)
    assert gone.mean() == pytest.approx(expected, abs=4.0 * math.sqrt(expected / 8192))
    mean = lifetime - window * math.exp(-window / lifetime) / expected
    assert time.mean() == pytest.approx(mean, abs=4.0 * time.std() / math.sqrt(gone.sum()))
    assert gone.sum() + len(tracked.muons) == 8192
    # A decay lies on the muon's way: the azimuth that its time says.
    azimuth = tracked.decays[gone, 2] + 2.0 * math.pi * tracked.decays[gone, 1]
    assert np.abs(azimuth / (2.0 * math.pi) - time / OPEN.period_us).max() < 0.01 * 200


def test_decay_time_is_exact_and_the_state_lies_on_the_undisturbed_orbit() -> None:
    ring = replace(OPEN, observers=(Observer("start", 0.0),))
    muons = random_muons(64)
    with_decay = track(ring, muons, 300, decay=True, seed=8)
    without = track(ring, muons, 300, record=64)
    gone = np.nonzero(np.isfinite(with_decay.decays[:, 0]))[0]
    assert gone.size > 20
    for i in gone[:10]:
        row = with_decay.decays[i]
        turn = int(row[1])
        before = without.record[turn, 0, i]
        # Vertical position between two passages: bounded by the amplitude; time between the passages.
        assert before[4] <= row[7] <= before[4] + 1.01 * 2 * math.pi * 7.112
        assert np.linalg.norm(row[9:12]) == pytest.approx(1.0, abs=1e-12)


def test_a_black_collimator_removes_what_is_outside_it() -> None:
    collimator = Collimator("C", 1.0, 20.0)
    ring = replace(OPEN, geometry=replace(Geometry.lumped(), collimators=(collimator,)), collimators="black")
    muons = random_muons(2000)
    tracked = track(ring, muons, 100)
    lost = np.isfinite(tracked.losses[:, 0])
    assert 0.2 < lost.mean() < 0.95
    assert np.hypot(tracked.losses[lost, 3], tracked.losses[lost, 5]).min() > 0.020
    assert np.all(tracked.losses[lost, 2] == pytest.approx(1.0))
    assert lost.sum() + len(tracked.muons) == 2000


def test_copper_collimators_take_energy_and_send_muons_inward() -> None:
    ring = Ring(load_geometry(), ElectricField(0.108), collimators="copper")
    muons = Muons.at_rest_in_beam(x_mm=np.linspace(-44.0, 44.0, 400), delta=1e-3, y_mm=5.0)
    tracked = track(ring, muons, 400, seed=2)
    hit = tracked.hits > 0
    lost = np.isfinite(tracked.losses[:, 0])
    assert hit.sum() > 20
    assert np.all(hit[lost])
    g0 = math.sqrt(1.0 + (ring.u_magic * 1.001) ** 2)
    outside = tracked.losses[:, 0] == 2.0
    at_collimator = outside & (tracked.losses[:, 2] < 2.0 * math.pi - 1e-9)
    energy = (g0 - tracked.losses[at_collimator, 8]) * 105.658
    # Every crossing but the last takes 3 mm × 1.6 MeV/mm.
    assert energy == pytest.approx(4.8 * (tracked.hits[at_collimator] - 1), abs=0.02)
    assert np.median(tracked.losses[lost, 3]) < 0.0


def test_a_constant_kick_moves_the_closed_orbit_as_much_as_linear_optics_says() -> None:
    geometry = load_geometry("e989")
    flat = make_pulse("run1")
    flat = replace(flat, time_us=np.linspace(-1.0, 200.0, 3), value=np.ones(3))
    ring = Ring(geometry, ElectricField(0.108), KickerField([0.0, 10.0, 0.0], flat), collimators="open")
    angle = ring.kicker.angles(geometry)[1] if ring.kicker else 0.0
    optics = linear_optics(ring.electric.sections(geometry), points=7200)
    # Classic closed-orbit formula at azimuth 0 from a kick at K2.
    kick = geometry.kickers[1].centre
    k = round(kick / (2 * math.pi) * 7200)
    nu = optics.nu_x[0]
    beta0, betak, phase = optics.beta_x[0, 0], optics.beta_x[0, k], optics.phase_x[0, k]
    expected = math.sqrt(beta0 * betak) * angle / (2 * math.sin(math.pi * nu)) * math.cos(phase - math.pi * nu)
    slope = -(
        angle
        * math.sqrt(betak / beta0)
        / (2 * math.sin(math.pi * nu))
        * (optics.alpha_x[0, 0] * math.cos(phase - math.pi * nu) - math.sin(phase - math.pi * nu))
    )
    start = Muons.at_rest_in_beam(x_mm=expected, x_slope=slope)
    tracked = track(ring, start, 200, record=1)
    x = tracked.record[:, 0, 0, 0] * 1e3
    amplitude = math.sqrt(beta0 * betak) * angle / (2 * math.sin(math.pi * nu))
    assert np.abs(x - expected).max() < 0.003 * amplitude


def test_kick_of_293_gauss_is_the_angle_that_stores_77_mm() -> None:
    geometry = load_geometry("e989")
    total = KickerField(293.0).angles(geometry).sum()
    assert total == pytest.approx(77.0 / 7112.0, rel=0.005)


def test_kicker_pulse_has_the_published_width_and_ringing() -> None:
    pulse = make_pulse("run1")
    fine = np.arange(-0.2, 0.25, 1e-4)
    assert np.sum(pulse(fine) > 0.5) * 0.1 == pytest.approx(144.0, abs=6.0)
    published = {0.33: 0.33, 0.48: -0.21, 0.56: -0.20, 0.715: 0.16, 0.845: -0.17, 1.095: 0.15}
    for t, value in published.items():
        assert float(pulse(t)) == pytest.approx(value, abs=0.05)
    circuit = lcr_pulse()
    assert float(circuit(0.0)) == pytest.approx(1.0, abs=1e-4)
    # L i'' + R i' + i/C = 0 of the published circuit, by finite differences.
    i, step = circuit.value, 1e-3
    first, second = (i[2:] - i[:-2]) / (2 * step), (i[2:] - 2 * i[1:-1] + i[:-2]) / step**2
    balance = 1.15 * second + 11.35 * first + 1e3 / 11.18 * i[1:-1]
    assert np.abs(balance).max() < 1e-3 * np.abs(second).max()


def test_a_pulse_table_is_read_and_a_broken_one_refused(tmp_path: Path) -> None:
    good = tmp_path / "pulse.csv"
    good.write_text("0,0\n50,2\n100,0\n", encoding="utf-8")
    pulse = read_pulse(good)
    assert float(pulse(0.0)) == pytest.approx(1.0)
    assert float(pulse(0.025)) == pytest.approx(0.5)
    bad = tmp_path / "bad.csv"
    bad.write_text("0,0\n50,a\n", encoding="utf-8")
    with pytest.raises(DataError):
        read_pulse(bad)


def test_magnetic_quadrupole_component_changes_both_tunes_oppositely() -> None:
    from gminus2.ring.measure import measured_tunes

    gradient = np.zeros((1, 2))
    gradient[0, 1] = 20.0  # ppm at 45 mm
    plain = measured_tunes(OPEN)[0]
    shifted = measured_tunes(replace(OPEN, magnet=MagneticMultipoles(gradient, np.zeros((1, 2)))))[0]
    # B_y = B0(1 + G x) adds G R0 to the focusing in x and takes it in y: Δν = ±G R0 <β> /(2 R0).
    optics = linear_optics(OPEN.electric.sections(OPEN.geometry))
    g_r0 = 20e-6 * 7112.0 / 45.0
    for axis, (beta, sign) in enumerate(((optics.beta_x.mean(), 1.0), (optics.beta_y.mean(), -1.0))):
        expected = sign * g_r0 * beta / (2.0 * 7112.0)
        assert shifted[axis] - plain[axis] == pytest.approx(expected, rel=0.01)


def test_a_field_offset_in_ppm_changes_omega_a_by_as_much() -> None:
    from gminus2.ring.analysis import windowed_slope

    def frequency(ring: Ring) -> float:
        t = track(ring, closed_orbit(ring, [0.0]), 301, record=1)
        return float(windowed_slope(t.record[:, 0, :, 4], t.recorded_phase[:, 0])[0])

    ppm = np.array([[2.0]])
    moved = frequency(replace(OPEN, magnet=MagneticMultipoles(ppm, np.zeros((1, 1)))))
    assert moved / frequency(OPEN) - 1.0 == pytest.approx(2e-6, rel=2e-3)


def test_multipoles_detune_large_amplitudes_as_published() -> None:
    from gminus2.ring.measure import measured_tunes

    ring = Ring(load_geometry(), ElectricField(0.108, sextupole_switch=-1.0, multipoles="main"), collimators="open")
    tunes = measured_tunes(ring, [0.0], [(0.2, 0.2), (40.0, 0.0), (0.0, 40.0)], turns=2048)
    # A_x = 40 mm at beta_x of azimuth 0 and A_y = 40 mm: 9.8e-4 and -3.35e-3 in the notes of the project.
    assert tunes[1, 0] - tunes[0, 0] == pytest.approx(9.8e-4, rel=0.1)
    assert tunes[2, 1] - tunes[0, 1] == pytest.approx(-3.35e-3, rel=0.1)


def test_measured_chromaticities_depend_on_the_sextupole_switch_as_published() -> None:
    from gminus2.ring.measure import chromaticity

    for switch, xi_x, xi_y in ((0.0, -0.1303, 0.3890), (-1.0, -0.0675, 0.2044), (-2.0, -0.0048, 0.0198)):
        ring = Ring(load_geometry(), ElectricField(0.108, sextupole_switch=switch), collimators="open")
        found = chromaticity(ring, turns=1024)
        assert found.xi_x == pytest.approx(xi_x, abs=3e-4)
        assert found.xi_y == pytest.approx(xi_y, abs=3e-4)


def test_a_voltage_history_moves_tunes_and_closed_orbit_of_tracked_muons() -> None:
    geometry = load_geometry()
    late = VoltageTransient(0.3, 1e6, ("Q1L",), ("top",))  # practically constant
    ring = Ring(
        geometry, ElectricField(0.108, sextupole_switch=-1.0, history=VoltageHistory((late,))), collimators="open"
    )
    optics = linear_optics(ring.electric.sections(geometry, np.array([0.0])))
    start = Muons.at_rest_in_beam(
        x_mm=optics.orbit_x[0, 0],
        x_slope=optics.orbit_x_slope[0, 0],
        y_mm=optics.orbit_y[0, 0],
        y_slope=optics.orbit_y_slope[0, 0],
    )
    tracked = track(ring, start, 300, record=1)
    y = tracked.record[:, 0, 0, 2] * 1e3
    expected = optics.orbit_y[0, 0]
    assert abs(expected) > 0.3
    # A missing push from the top plate (internal −y): the beam moves up, to internal −y.
    assert np.abs(y - expected).max() < 0.02 * abs(expected)
    assert np.sign(expected) == -1.0


def test_observers_inside_a_plate_do_not_change_the_beam() -> None:
    watched = replace(
        OPEN, observers=(Observer("in", math.radians(20.0)), Observer("out", 1.0)), scheme=Scheme(slices=4)
    )
    plain = replace(OPEN, scheme=Scheme(slices=4))
    muons = random_muons(50)
    a, b = track(watched, muons, 100).muons, track(plain, muons, 100).muons
    assert np.abs(a.x_mm - b.x_mm).max() < 0.02
    assert np.sum(watched.program().steps.what == EKICK) > np.sum(plain.program().steps.what == EKICK)


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [-0.1, 0.0, 1.0, 1.5, math.nan])
def test_impossible_field_index_is_refused(n: float) -> None:
    with pytest.raises(PhysicsError, match="stores no beam"):
        ElectricField(n)


def test_overlapping_elements_are_refused_by_name() -> None:
    with pytest.raises(PhysicsError, match="overlap") as caught:
        Geometry("x", "1", 7112.0, 45.0, (Plate("A", 0.1, 0.5), Plate("B", 0.4, 0.8)))
    assert "A and B" in str(caught.value)
    with pytest.raises(PhysicsError, match="overlap"):
        Geometry("x", "1", 7112.0, 45.0, (Plate("A", 0.1, 0.5),), (Kicker("K", 0.45, 0.6),))


def test_negative_voltage_is_refused() -> None:
    with pytest.raises(PhysicsError, match="negative"):
        field_index_from_volts(-18.3, 1.45)
    with pytest.raises(PhysicsError, match="negative"):
        ElectricField.from_voltage(-1.0, load_geometry())
    with pytest.raises(PhysicsError, match="negative strength"):
        KickerField(-200.0).angles(load_geometry())


def test_a_history_that_reverses_a_voltage_is_refused() -> None:
    history = VoltageHistory((VoltageTransient(0.8, 10.0), VoltageTransient(0.8, 20.0)))
    with pytest.raises(PhysicsError, match="reverses"):
        history.relative(load_geometry(), np.zeros(1))
    with pytest.raises(PhysicsError):
        Scraping(fraction=-0.2)
    with pytest.raises(PhysicsError, match="Q9"):
        VoltageHistory((VoltageTransient(0.1, 5.0, ("Q9",)),)).relative(load_geometry(), np.zeros(1))


def test_muons_outside_the_aperture_at_the_start_are_refused() -> None:
    with pytest.raises(PhysicsError, match="outside the aperture") as caught:
        track(OPEN, Muons.at_rest_in_beam(x_mm=[0.0, 50.0]), 1)
    assert "muon 1" in str(caught.value)


def test_unknown_geometry_is_answered_with_the_nearest() -> None:
    with pytest.raises(PhysicsError, match="e989"):
        load_geometry("e98")


def test_a_geometry_file_without_sources_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ring.toml"
    path.write_text('name = "x"\nversion = "1"\n[ring]\nradius_mm = 7112.0\n', encoding="utf-8")
    with pytest.raises(DataError):
        load_geometry(path)
