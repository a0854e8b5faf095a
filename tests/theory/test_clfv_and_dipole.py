"""Flavour violation: reaches, ratios and the dipole link between a_μ, EDM and μ → eγ."""

from __future__ import annotations

import math

import pytest

from gminus2.errors import PhysicsError
from gminus2.theory.clfv import dipole_ratio_conversion, dipole_ratio_three_electrons, limit, reach
from gminus2.theory.dipole import edm_from_phase, mixing_reach, mu_to_e_gamma_from_mixing


@pytest.mark.parametrize(
    ("name", "tev"),
    [
        ("mu_e_gamma", (2184, 1552, 218)),
        ("mu_e_gamma_goal", (2746, 1952, 275)),
        ("mu_3e_phase1", (1798, 1317, 1078)),
        ("mu_3e_phase2", (3803, 2786, 2280)),
        ("mu_e_al", (3356, 5935, 7693)),
        ("mu_e_al_run1", (2011, 3557, 4610)),
    ],
)
def test_reach_at_three_weights(name: str, tev: tuple[float, ...]) -> None:
    assert [reach(name, kappa) / 1e3 for kappa in (0.01, 1.0, 100.0)] == pytest.approx(tev, rel=2e-3)


def test_dipole_ratios() -> None:
    assert dipole_ratio_three_electrons() == pytest.approx(0.00613, abs=5e-6)
    assert dipole_ratio_conversion("al") == pytest.approx(0.00267, abs=5e-6)


def test_reach_is_where_the_rate_equals_the_limit() -> None:
    one = limit("mu_e_al")
    assert one.rate(reach(one, 3.0), 3.0) == pytest.approx(8e-17, rel=1e-10)


def test_mixing_behind_a_difference_is_tiny() -> None:
    assert mu_to_e_gamma_from_mixing(2.5e-9, 1e-5) == pytest.approx(1.001e-13, rel=1e-3)
    assert mixing_reach(2.5e-9, 1.5e-13) == pytest.approx(1.22e-5, rel=5e-3)


def test_edm_of_a_phase_of_45_degrees() -> None:
    assert edm_from_phase(2.5e-9, math.pi / 4) == pytest.approx(2.33e-22, rel=3e-3)


def test_bad_scale_or_limit_is_refused() -> None:
    with pytest.raises(PhysicsError):
        reach("mu_e_al", -1.0)
    with pytest.raises(PhysicsError, match="no limit"):
        limit("mu_e_gama_x")
