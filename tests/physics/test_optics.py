"""Optics and spin formulas against published numbers and second derivations."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gminus2.constants import published
from gminus2.errors import PhysicsError
from gminus2.physics.optics import (
    FocusingSection,
    cbo_frequency,
    continuous_tunes,
    electric_field_correction,
    field_index_from_volts,
    linear_optics,
    momentum_acceptance,
    pitch_correction,
    vertical_waist_frequency,
    volts_from_field_index,
)
from gminus2.physics.spin import (
    CHARGE_OVER_MASS,
    anomalous_frequency,
    cyclotron_frequency,
    electric_coefficient,
    eta_from_edm,
    magic_gamma,
    magic_momentum,
    precession_phase,
    thomas_bmt,
)


def lumps(n: float, degrees: float = 39.0) -> list[FocusingSection]:
    index = n * 90.0 / degrees
    return [FocusingSection(math.radians(90 * k), math.radians(90 * k + degrees), index) for k in range(4)]


def test_betatron_frequencies_of_the_continuous_ring_are_the_published_ones() -> None:
    for i, n in enumerate((0.107, 0.108, 0.120)):
        nu_x, nu_y = continuous_tunes(n)
        table = {k: published(f"design.betatron.{k}").value[i] for k in ("f_cbo", "f_y", "f_vw")}  # type: ignore[index]
        assert float(cbo_frequency(nu_x)) == pytest.approx(table["f_cbo"], abs=6e-6)
        assert nu_y * 6.70495794 == pytest.approx(table["f_y"], abs=6e-5)
        assert float(vertical_waist_frequency(nu_y)) == pytest.approx(table["f_vw"], abs=6e-5)


def test_lattice_functions_of_lumped_quadrupoles_match_the_notes() -> None:
    optics = linear_optics(lumps(0.108))
    assert optics.nu_x[0] == pytest.approx(0.944979, abs=5e-7)
    assert optics.nu_y[0] == pytest.approx(0.329837, abs=5e-7)
    assert optics.alpha_p[0] == pytest.approx(1.120055, abs=5e-7)
    assert 1e3 * optics.mean_gamma_y[0] == pytest.approx(0.046725, abs=5e-7)
    assert optics.beta_x.min() == pytest.approx(7339, abs=1)
    assert optics.beta_x.max() == pytest.approx(7706, abs=1)
    assert optics.dispersion.max() == pytest.approx(8042, abs=1)


def test_many_thin_plates_become_the_continuous_ring() -> None:
    n = 0.12
    plates = [FocusingSection(2 * math.pi * k / 90, 2 * math.pi * (k + 0.5) / 90, 2.0 * n) for k in range(90)]
    optics = linear_optics(plates)
    nu_x, nu_y = continuous_tunes(n)
    assert optics.nu_x[0] == pytest.approx(nu_x, abs=2e-6)
    assert optics.nu_y[0] == pytest.approx(nu_y, abs=2e-5)
    assert optics.beta_y[0] == pytest.approx(7112.0 / nu_y, rel=2e-3)
    assert optics.alpha_p[0] == pytest.approx(1.0 / (1.0 - n), rel=1e-5)


def test_beta_functions_are_consistent_with_their_own_phase_and_slope() -> None:
    optics = linear_optics(lumps(0.108), points=3600)
    step = 7112.0 * (optics.azimuth_rad[1] - optics.azimuth_rad[0])
    for beta, alpha, phase in (
        (optics.beta_x[0], optics.alpha_x[0], optics.phase_x[0]),
        (optics.beta_y[0], optics.alpha_y[0], optics.phase_y[0]),
    ):
        middle = 0.5 * (beta[1:] + beta[:-1])
        assert np.diff(phase) == pytest.approx(step / middle, rel=1e-6)
        assert np.diff(beta) / step == pytest.approx(-(alpha[1:] + alpha[:-1]), abs=1e-6)


def test_settings_given_at_once_equal_settings_given_one_by_one() -> None:
    both = linear_optics(
        [
            FocusingSection(math.radians(90 * k), math.radians(90 * k + 39), np.array([0.108, 0.120]) * 90 / 39)
            for k in range(4)
        ]
    )
    for i, n in enumerate((0.108, 0.120)):
        one = linear_optics(lumps(n))
        assert both.beta_y[i] == pytest.approx(one.beta_y[0], rel=1e-12)
        assert both.nu_x[i] == pytest.approx(one.nu_x[0], abs=1e-14)


def test_published_voltages_give_the_published_field_indices() -> None:
    for volts, n in ((18.3, 0.108), (20.4, 0.120), (18.2, 0.107)):
        assert field_index_from_volts(volts, 1.4513) == pytest.approx(n, abs=6e-4)
    assert volts_from_field_index(field_index_from_volts(19.0, 1.4513), 1.4513) == pytest.approx(19.0, rel=1e-12)


def test_corrections_have_the_size_of_run_1() -> None:
    alpha_p = 1.0 / (1.0 - 0.108)
    textbook = 2.0 * 0.108 * (1.0 - 0.108) * 0.998835 * (9.0**2 + 6.0**2) / 7112.0**2
    assert electric_field_correction(117.0, alpha_p) == pytest.approx(textbook, rel=1e-5)
    nu_y = math.sqrt(0.108)
    assert pitch_correction(12.8**2, nu_y / 7112.0, 7112.0 / nu_y) == pytest.approx(
        0.108 * 12.8**2 / (2.0 * 7112.0**2), rel=1e-12
    )
    assert momentum_acceptance(0.108) == pytest.approx(5.64e-3, abs=1e-5)


def test_frequencies_of_the_ring_are_the_published_ones() -> None:
    field = float(published("design.ring.magic_field"))
    omega_a, omega_c = float(anomalous_frequency(field)), float(cyclotron_frequency(field, magic_gamma()))
    assert omega_a / (2 * math.pi) == pytest.approx(float(published("design.ring.f_a")), rel=2e-6)
    assert omega_c / (2 * math.pi) == pytest.approx(float(published("design.ring.f_c")), rel=2e-6)
    assert magic_momentum() == pytest.approx(1e3 * float(published("design.ring.magic_momentum")), rel=2e-6)
    # e/m_μ from SI values: e = 1.602176634e-19 C, m_μ = 1.883531627e-28 kg.
    assert pytest.approx(1.602176634e-19 / 1.883531627e-28 * 1e-6, rel=1e-7) == CHARGE_OVER_MASS


def test_the_electric_coefficient_changes_sign_at_the_magic_momentum() -> None:
    assert float(electric_coefficient(magic_momentum())) == pytest.approx(0.0, abs=1e-15)
    assert float(electric_coefficient(3000.0)) < 0.0 < float(electric_coefficient(3200.0))


def test_spin_of_a_muon_at_rest_precesses_with_g_factor_two_plus_2a() -> None:
    omega = thomas_bmt(np.zeros(3), np.array([0.0, 0.0, 1.0]), np.zeros(3), anomaly=1e-3)
    assert omega == pytest.approx([0.0, 0.0, -(1.0 + 1e-3)])
    # An EDM makes it precess about the electric field: rate ηe/2.
    omega = thomas_bmt(np.zeros(3), np.zeros(3), np.array([1.0, 0.0, 0.0]), eta=2e-6)
    assert omega == pytest.approx([-1e-6, 0.0, 0.0])


def test_phase_convention_and_edm_unit() -> None:
    assert float(precession_phase(-1.0, 0.0)) == pytest.approx(math.pi / 2)
    assert eta_from_edm(1.9e-19) == pytest.approx(4.0694e-6, rel=1e-4)


def test_unstable_or_overlapping_lattices_are_refused() -> None:
    with pytest.raises(PhysicsError, match="stable"):
        linear_optics([FocusingSection(0.0, 3.0, 3.0)])
    with pytest.raises(PhysicsError, match="overlap"):
        linear_optics([FocusingSection(0.0, 1.0, 0.2), FocusingSection(0.9, 2.0, 0.2)])
