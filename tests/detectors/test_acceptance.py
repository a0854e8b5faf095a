"""Arcs and acceptance against the derived table of docs/physics/detectors.md and against direct geometry."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gminus2.constants import RING_RADIUS_MM, SPEED_OF_LIGHT_MM_PER_US
from gminus2.detectors.acceptance import AcceptanceMap, acceptance_map
from gminus2.detectors.arcs import (
    CALORIMETER_AZIMUTH_DEG,
    FACE_HALF_HEIGHT_MM,
    FACE_RADIUS_MM,
    FACE_WIDTH_MM,
    first_face,
)
from gminus2.detectors.tracker import TANGENCY_BIAS_MM
from gminus2.physics.decay import E_MAX_MEV, fraction_above
from gminus2.units import omega_reference


@pytest.fixture(scope="module")
def beam_average() -> AcceptanceMap:
    return acceptance_map(np.zeros(1), np.zeros(1), decays=2_000_000, seed=3, spread_mm=(14.5, 12.7))


def test_acceptance_asymmetry_path_and_phase_follow_the_table(beam_average: AcceptanceMap) -> None:
    # E [MeV]: acceptance, A, L [m] (100 MeV around it), derived independently with another code.
    table = {550: (0.227, -0.159, 0.78), 1050: (0.371, -0.066, 1.19), 1550: (0.528, 0.078, 1.67)}
    table |= {2050: (0.749, 0.282, 2.34), 2350: (0.952, 0.439, 2.97), 2550: (0.995, 0.562, 3.48)}
    table |= {2850: (0.998, 0.780, 4.99)}
    m = beam_average
    for energy, (acceptance, asymmetry, path) in table.items():
        bins = slice(energy // 50 - 1, energy // 50 + 1)
        rate = m.rate[0, 0, bins].sum()
        decays = float(fraction_above((energy - 50) / E_MAX_MEV) - fraction_above((energy + 50) / E_MAX_MEV))
        z = complex(m.z_real[0, 0, bins].sum(), m.z_imag[0, 0, bins].sum()) / rate
        length = m.path_mm[0, 0, bins].sum() / rate / 1e3
        error = 3.5 / math.sqrt(rate * m.decays_per_point)
        assert rate / decays == pytest.approx(acceptance, abs=0.006 + error)
        assert math.copysign(abs(z), z.real) == pytest.approx(asymmetry, abs=0.004 + error)
        assert length == pytest.approx(path, abs=0.035)
        if asymmetry > 0.2:
            drift = omega_reference * length * 1e3 / SPEED_OF_LIGHT_MM_PER_US
            assert math.atan2(z.imag, z.real) == pytest.approx(drift, abs=1e-3 + error / abs(z))


def test_totals_above_threshold(beam_average: AcceptanceMap) -> None:
    assert beam_average.rate.sum() == pytest.approx(0.399, abs=0.002)
    rate, asymmetry, phase = (v[0, 0] for v in beam_average.above(1700.0))
    assert rate == pytest.approx(0.176, abs=0.001)
    assert asymmetry == pytest.approx(0.3855, abs=0.003)
    assert phase == pytest.approx(17.0e-3, abs=4e-3)


def test_phase_rises_by_8_mrad_at_30_mm_height_and_is_symmetric() -> None:
    m = acceptance_map(np.zeros(1), np.array([-30.0, 0.0, 30.0]), decays=1_000_000, seed=1)
    _, _, phase = (v[0] for v in m.above(1700.0))
    assert phase[2] - phase[1] == pytest.approx(8.0e-3, abs=2e-3)
    assert phase[0] - phase[1] == pytest.approx(8.0e-3, abs=2e-3)


def test_phase_rises_by_0055_mrad_per_mm_outward() -> None:
    m = acceptance_map(np.array([-25.0, 25.0]), np.zeros(1), decays=3_000_000, seed=1)
    rate, _, phase = (v[:, 0] for v in m.above(1700.0))
    assert (phase[1] - phase[0]) / 50.0 == pytest.approx(0.055e-3, abs=0.025e-3)
    assert math.log(rate[1] / rate[0]) / 50.0 == pytest.approx(-0.0020, abs=0.0003)


def test_hit_point_lies_on_the_arc_and_on_the_face() -> None:
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(3000):
        azimuth = rng.uniform(0, 2 * math.pi)
        radius = RING_RADIUS_MM + rng.normal(0, 15)
        p = np.array([rng.normal(0, 15), rng.uniform(300, 3050), rng.normal(0, 15)])
        y = rng.normal(0, 10)
        station, u, y_hit, path, chi = first_face(azimuth, radius, y, *p, 1.0)
        if station < 0:
            continue
        found += 1
        # Walk the arc numerically in small straight steps from the decay.
        p_t = math.hypot(p[0], p[1])
        rho = p_t * RING_RADIUS_MM / 3094.34963
        position = np.array([radius * math.cos(azimuth), radius * math.sin(azimuth)])
        heading = azimuth + math.pi / 2 - math.atan2(p[0], p[1])
        centre = position + rho * np.array([math.cos(heading + math.pi / 2), math.sin(heading + math.pi / 2)])
        end = centre + rho * np.array([math.cos(heading - math.pi / 2 + chi), math.sin(heading - math.pi / 2 + chi)])
        face = math.radians(CALORIMETER_AZIMUTH_DEG + 15.0 * station)
        inward = -np.array([math.cos(face + math.radians(3.41)), math.sin(face + math.radians(3.41))])
        edge = FACE_RADIUS_MM * np.array([math.cos(face), math.sin(face)])
        assert np.allclose(end, edge + u * inward, atol=1e-6)
        assert 0 <= u <= FACE_WIDTH_MM
        assert abs(y_hit) <= FACE_HALF_HEIGHT_MM
        assert path == pytest.approx(math.hypot(rho * chi, y_hit - y), rel=1e-9)
    assert found > 1500


def test_a_positron_along_the_central_orbit_direction_hits_the_next_calorimeters_and_mirrors_in_y() -> None:
    up = first_face(1.0, RING_RADIUS_MM, 10.0, 5.0, 2000.0, 3.0, 1.0)
    down = first_face(1.0, RING_RADIUS_MM, -10.0, 5.0, 2000.0, -3.0, 1.0)
    assert up[0] == down[0] >= 0
    assert up[2] == pytest.approx(-down[2])
    assert up[3] == pytest.approx(down[3])


def test_tangency_bias_of_a_typical_track_is_the_constant_subtracted() -> None:
    # r_tan − r = r ρ ψ²/(2 (r − ρ)) averaged over decays above 1.7 GeV in the tracker is 1.16 mm.
    rho, r = 2000.0 * RING_RADIUS_MM / 3094.35, RING_RADIUS_MM
    psi = math.sqrt(2 * TANGENCY_BIAS_MM * (r - rho) / (r * rho))
    assert 8e-3 < psi < 16e-3  # the rms radial angle of 2 GeV positrons is 12.5 mrad
