"""The map against closed forms, an independent integrator, and a published code."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import brentq

from gminus2.physics.optics import linear_optics, pitch_shift
from gminus2.physics.spin import (
    edm_tilt,
    eta_from_edm,
    frequency_with_edm,
    magic_gamma,
    planar_orbit_frequency,
    thomas_bmt,
)
from gminus2.ring.analysis import windowed_slope
from gminus2.ring.esq import ElectricField
from gminus2.ring.geometry import Geometry, Plate
from gminus2.ring.measure import chromaticity, closed_orbit, dispersion, measured_tunes
from gminus2.ring.program import Scheme
from gminus2.ring.reference import reference_track
from gminus2.ring.tracking import Muons, Ring, Tracked, track

A = 1.165920715e-3


def ring(geometry: Geometry, slices: int = 1, switch: float = -1.0, eta: float = 0.0, n: float = 0.108) -> Ring:
    return Ring(
        geometry,
        ElectricField(n, sextupole_switch=switch),
        collimators="open",
        scheme=Scheme(slices=slices),
        anomaly=A,
        edm_eta=eta,
    )


def shift_ppb(setup: Ring, tracked: Tracked) -> np.ndarray:
    slope = windowed_slope(tracked.record[:, 0, :, 4], tracked.recorded_phase[:, 0])
    return (slope / (setup.anomaly * setup.b0_per_m) - 1.0) * 1e9


def four_muons() -> Muons:
    """A pitching, a momentum-offset and two mixed muons, up to δ = 0.3 % and 30 mm."""
    return Muons.at_rest_in_beam(
        x_mm=[0.0, 7973.094 * 1.32e-3, 15.0, 30.0],
        x_slope=[0.0, 0.0, 1e-3, -1e-3],
        y_mm=[20.0, 0.0, 10.0, 30.0],
        y_slope=[0.0, 0.0, 0.5e-3, 0.5e-3],
        delta=[0.0, 1.32e-3, -2e-3, 3e-3],
    )


def planar_muon(setup: Ring, offset_mm: float) -> tuple[float, float]:
    """Return (δ of the total energy, exact dψ/dτ) of the circular orbit at an offset, from force balance."""
    radius, b0 = setup.geometry.radius_mm * 1e-3, setup.b0_per_m
    r = radius + offset_mm * 1e-3
    k = setup.electric.gradient_per_m2(setup.geometry, setup.anomaly)
    er = k * (r * r - radius * radius) / (2.0 * r)
    phi = -k * ((r * r - radius * radius) / 4.0 - 0.5 * radius**2 * math.log(r / radius))

    def balance(gamma: float) -> float:
        beta2 = 1.0 - 1.0 / gamma**2
        return gamma * beta2 / r - math.sqrt(beta2) * b0 + er

    gamma = brentq(balance, 28.0, 31.0, xtol=1e-15, rtol=1e-15)
    total = gamma + phi
    return math.sqrt(total**2 - 1.0) / setup.u_magic - 1.0, planar_orbit_frequency(b0, er, gamma, setup.anomaly)


def test_continuous_ring_gives_the_closed_form_planar_frequency_at_32_kicks() -> None:
    setup = ring(Geometry.continuous(), slices=2)
    assert setup.program().kicks_per_turn == 32
    offsets = [10.5, -10.5, 45.0, -45.0]
    exact = [planar_muon(setup, x) for x in offsets]
    muons = Muons.at_rest_in_beam(x_mm=offsets, delta=[d for d, _ in exact])
    found = shift_ppb(setup, track(setup, muons, 301, record=4))
    oracle = np.array([w / (setup.anomaly * setup.b0_per_m) - 1.0 for _, w in exact]) * 1e9
    assert oracle == pytest.approx([-418.304, -420.654, -7613.08, -7798.09], abs=0.01)
    assert np.abs(found - oracle)[:2].max() < 0.01
    assert np.abs(found - oracle)[2:].max() < 0.2


def test_pitch_correction_of_a_20_mm_oscillation_is_213_5_ppb() -> None:
    setup = ring(Geometry.continuous(), slices=2)
    muons = Muons.at_rest_in_beam(y_mm=20.0)
    found = shift_ppb(setup, track(setup, muons, 601, record=1))[0]
    closed_form = -0.108 * 20.0**2 / (4.0 * 7112.0**2) * 1e9
    assert closed_form == pytest.approx(-213.52, abs=0.01)
    assert found == pytest.approx(closed_form, abs=0.02)


@pytest.mark.parametrize(("slices", "kicks", "tolerance"), [(1, 16, 0.05), (2, 32, 0.005)])
def test_four_hard_muons_agree_with_the_reference_integrator(slices: int, kicks: int, tolerance: float) -> None:
    setup = ring(Geometry.lumped(), slices)
    assert setup.program().kicks_per_turn == kicks
    found = shift_ppb(setup, track(setup, four_muons(), 301, record=4))
    oracle = reference_track(setup, four_muons(), 300)
    exact = (windowed_slope(oracle.tau_m, oracle.phase) / (setup.anomaly * setup.b0_per_m) - 1.0) * 1e9
    assert exact == pytest.approx([-220.752, -416.896, -1061.690, -2651.653], abs=1e-3)
    assert np.abs(found - exact).max() < tolerance


def test_as_built_ring_with_the_curved_sextupole_agrees_with_the_reference_integrator() -> None:
    from gminus2.ring.geometry import load_geometry

    setup = ring(load_geometry("e989"), 1, switch=-2.0)
    muons = four_muons()
    found = shift_ppb(setup, track(setup, muons, 301, record=4))
    oracle = reference_track(setup, muons, 300)
    exact = (windowed_slope(oracle.tau_m, oracle.phase) / (setup.anomaly * setup.b0_per_m) - 1.0) * 1e9
    assert np.abs(found - exact).max() < 0.01


def test_reference_integrator_has_converged_and_conserves_the_spin() -> None:
    setup = ring(Geometry.lumped(), eta=2e-6)
    coarse = reference_track(setup, four_muons(), 60, step_rad=0.08)
    fine = reference_track(setup, four_muons(), 60, step_rad=0.04)
    assert np.abs(coarse.phase - fine.phase).max() < 1e-10
    assert np.abs(coarse.x_m - fine.x_m).max() < 1e-9


def test_published_cosy_tunes_and_chromaticities() -> None:
    gamma = 29.300124824596928
    n_q = 0.23816484010681533
    plates = tuple(
        Plate(f"Q{k}{s}", math.radians(90 * k + a), math.radians(90 * k + b))
        for k in range(4)
        for s, a, b in (("S", 47.0, 60.0), ("L", 64.0, 90.0))
    )
    setup = Ring(
        Geometry("cosy", "1", 7112.0, 45.0, plates),
        ElectricField(n_q * 156.0 / 360.0, sextupole_switch=0.0),
        collimators="open",
        scheme=Scheme(slices=4),
        anomaly=1.0 / (gamma**2 - 1.0),
    )
    exact = linear_optics(setup.electric.sections(setup.geometry, np.inf, setup.anomaly))
    assert exact.nu_x[0] == pytest.approx(0.9473764793755, abs=1e-10)
    assert exact.nu_y[0] == pytest.approx(0.3221602847213, abs=1e-10)
    found = chromaticity(setup)
    assert found.nu_x == pytest.approx(0.9473764793755, abs=1e-8)
    assert found.nu_y == pytest.approx(0.3221602847213, abs=1e-8)
    assert found.xi_x == pytest.approx(-0.1233904305, abs=1e-5)
    assert found.xi_y == pytest.approx(0.3773057590, abs=1e-5)


@pytest.mark.parametrize(
    ("index", "which", "published"),
    [(0.1156800651947388, "y", 0.4066570870), (0.238164840106815 * 13.0 / 30.0, "x", -0.1277308)],
)
def test_published_cosy_chromaticities_of_the_continuous_ring(index: float, which: str, published: float) -> None:
    gamma = 29.300124824596928
    setup = Ring(
        Geometry.continuous(),
        ElectricField(index, sextupole_switch=0.0),
        collimators="open",
        scheme=Scheme(slices=8),
        anomaly=1.0 / (gamma**2 - 1.0),
    )
    found = chromaticity(setup)
    value = found.xi_x if which == "x" else found.xi_y
    assert value == pytest.approx(published, abs=1e-5)


def test_actions_do_not_drift_and_the_spin_keeps_its_length_over_20000_turns() -> None:
    setup = ring(Geometry.lumped())
    grid = [
        (x, y, d) for x, y, d in zip((30, 0, 20, 30, 20), (10, 40, 20, 20, 10), (0, 1e-3, -2e-3, 1e-3, 0), strict=True)
    ]
    orbit = closed_orbit(setup, [d for _, _, d in grid])
    muons = Muons.at_rest_in_beam(
        x_mm=orbit.x_mm + np.array([g[0] for g in grid]),
        x_slope=orbit.x_slope,
        y_mm=[g[1] for g in grid],
        delta=orbit.delta,
    )
    tracked = track(setup, muons, 20_000, record=len(grid))
    state = tracked.record[:, 0]
    norm = (state[..., 6:9] ** 2).sum(axis=-1)
    assert np.abs(norm - norm[0]).max() < 1e-12
    optics = linear_optics(setup.electric.sections(setup.geometry, np.inf, A))
    forward = np.sqrt(state[..., 5] ** 2 - 1.0 - state[..., 1] ** 2 - state[..., 3] ** 2)
    window = np.sin(np.pi * np.arange(4000) / 4000) ** 4
    for row, beta, alpha, offset in (
        (0, optics.beta_x[0, 0], optics.alpha_x[0, 0], orbit),
        (2, optics.beta_y[0, 0], optics.alpha_y[0, 0], None),
    ):
        x = state[..., row] * 1e3 - (offset.x_mm if offset else 0.0)
        slope = state[..., row + 1] / forward - (offset.x_slope if offset else 0.0)
        action = 0.5 * (x**2 + (alpha * x + beta * slope) ** 2) / beta
        first = np.average(action[:4000], axis=0, weights=window)
        last = np.average(action[-4000:], axis=0, weights=window)
        assert np.abs(last / first - 1.0)[first > 1e-4].max() < 1e-5


def test_electric_field_shift_follows_from_the_momentum_compaction() -> None:
    from gminus2.ring.geometry import load_geometry

    for geometry, n in ((Geometry.lumped(), 0.108), (load_geometry("e989"), 0.120)):
        setup = ring(geometry, 2, n=n)
        delta = 1.32e-3
        pair = closed_orbit(setup, [delta, -delta])  # the mean of both signs removes the cubic term
        found = shift_ppb(setup, track(setup, pair, 301, record=2)).mean()
        optics = linear_optics(setup.electric.sections(setup.geometry, np.inf, A))
        beta2 = 1.0 - 1.0 / magic_gamma(A) ** 2
        expected = -2.0 * beta2 * delta**2 * (optics.alpha_p[0] - 1.0) * 1e9
        assert found == pytest.approx(expected, rel=1e-4)


def test_pitch_shift_follows_from_the_vertical_action() -> None:
    setup = ring(Geometry.lumped(), 2)
    optics = linear_optics(setup.electric.sections(setup.geometry, np.inf, A))
    found = shift_ppb(setup, track(setup, Muons.at_rest_in_beam(y_mm=15.0), 1201, record=1))[0]
    beta, alpha = optics.beta_y[0, 0], optics.alpha_y[0, 0]
    action = 0.5 * 15.0**2 * (1.0 + alpha**2) / beta
    assert found == pytest.approx(float(pitch_shift(action, optics.mean_gamma_y[0])) * 1e9, rel=1e-4)


def test_edm_tilts_the_precession_plane_and_raises_the_frequency() -> None:
    eta = eta_from_edm(1.8e-19)
    setup = ring(Geometry.lumped(), eta=eta)
    without = ring(Geometry.lumped())
    muons = Muons.at_rest_in_beam(delta=0.0)
    found, bare = (track(r, muons, 3001, record=1) for r in (setup, without))
    gamma = magic_gamma(A)
    tilt = edm_tilt(eta, math.sqrt(1.0 - 1.0 / gamma**2), A)
    assert tilt == pytest.approx(1.652e-3, abs=1e-6)
    tau, vertical = found.record[:, 0, 0, 4], found.record[:, 0, 0, 8]
    omega = setup.anomaly * setup.b0_per_m * math.sqrt(1.0 + math.tan(tilt) ** 2)
    basis = np.stack([np.sin(omega * tau), np.cos(omega * tau), np.ones_like(tau)], axis=1)
    sine, cosine, _ = np.linalg.lstsq(basis, vertical, rcond=None)[0]
    assert sine == pytest.approx(math.sin(tilt), rel=1e-4)
    assert abs(cosine) < 1e-4 * abs(sine)
    shift = (shift_ppb(setup, found) - shift_ppb(without, bare))[0]
    assert shift == pytest.approx((frequency_with_edm(1.0, tilt) - 1.0) * 1e9, rel=1e-4)


def test_edm_of_a_hard_muon_agrees_with_direct_integration() -> None:
    setup = ring(Geometry.lumped(), 4, eta=4e-5)
    found = track(setup, four_muons(), 61, record=4).record[:, 0]
    oracle = reference_track(setup, four_muons(), 60)
    assert np.abs(found[..., 8] - oracle.spin_y).max() < 2e-8
    slope = windowed_slope(oracle.tau_m, oracle.phase)
    mine = windowed_slope(found[..., 4], np.unwrap(np.arctan2(-found[..., 6], found[..., 7]), axis=0))
    assert np.abs(mine / slope - 1.0).max() < 5e-12


def test_the_spin_rotation_of_the_map_is_thomas_bmt_for_random_vectors() -> None:
    """The vector form, checked against the textbook form written with β·B and β×E separately at γ = magic."""
    generator = np.random.default_rng(1)
    direction = generator.standard_normal((20, 3))
    gamma = magic_gamma(A)
    beta = direction / np.linalg.norm(direction, axis=1, keepdims=True) * math.sqrt(1.0 - 1.0 / gamma**2)
    b = generator.standard_normal((20, 3))
    spin = generator.standard_normal((20, 3))
    omega = thomas_bmt(beta, b, np.zeros(3), A)
    momentum_rate = -b / gamma  # cyclotron rotation of β in a magnetic field alone
    relative = np.cross(omega - momentum_rate, spin)
    along = (beta * b).sum(axis=1, keepdims=True)
    expected = np.cross(-A * b + A * gamma / (gamma + 1.0) * along * beta, spin)
    assert relative == pytest.approx(expected, abs=1e-12)


def test_closed_orbit_dispersion_and_tunes_match_linear_optics() -> None:
    from gminus2.ring.geometry import load_geometry

    setup = ring(load_geometry("e989"), 2)
    optics = linear_optics(setup.electric.sections(setup.geometry, np.inf, A))
    for point in (0, 90, 137, 250):
        azimuth = float(optics.azimuth_rad[point])
        assert dispersion(setup, azimuth) == pytest.approx(optics.dispersion[0, point], rel=2e-6)
    tunes = measured_tunes(setup)[0]
    assert tunes[0] == pytest.approx(optics.nu_x[0], abs=2e-7)
    assert tunes[1] == pytest.approx(optics.nu_y[0], abs=2e-7)
