"""One-loop models at their reference values, heavy and light limits, MSSM and Barr–Zee points, mass reach."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from gminus2.errors import PhysicsError
from gminus2.theory.new_physics import (
    MODELS,
    MSSM,
    TwoHiggsDoublets,
    alp,
    charged_scalar,
    charged_vector,
    delta_interval,
    leptoquark_r2,
    leptoquark_s1,
    mass_reach,
    model,
    neutral_scalar,
    neutral_vector,
    scan_plane,
)
from gminus2.theory.new_physics.axion import h1, h2
from gminus2.theory.new_physics.mssm import f1_chargino, f1_neutralino, f2_chargino, f2_neutralino, logarithm_factor
from gminus2.theory.new_physics.two_higgs_doublets import barr_zee_pseudoscalar, barr_zee_scalar
from gminus2.theory.parameters import parameters

P = parameters()
E = math.sqrt(4 * math.pi * P.alpha)


@pytest.mark.parametrize(
    ("value", "reference"),
    [
        (neutral_scalar(1.0, 1e-3), 4.873155012e-10),
        (neutral_scalar(0.01, 1e-3), 1.606876255e-8),
        (neutral_scalar(1.0, 0.0, 1e-3), -4.013127072e-10),
        (neutral_scalar(0.01, 0.0, 1e-3), -6.156456885e-9),
        (neutral_scalar(1.0, 1e-3, fermion=P.m_tau), 3.180731990e-10),
        (neutral_vector(0.015, 5e-4), 2.234445436e-9),
        (neutral_vector(0.1, 1e-3 * E), 2.570897007e-10),
        (charged_scalar(300, 0.5, 0.5), -1.309165034e-10),
        (charged_scalar(300, 0.5, 0.5, fermion=100), -1.123737627e-10),
        (charged_vector(1000, 0.3, 0.3, fermion=100), 4.229201605e-11),
        (leptoquark_s1(2000, 0.1, 0.1), 3.758439949e-9),
        (leptoquark_r2(2000, 0.1, 0.1), -5.400078516e-9),
        (leptoquark_s1(2000, 1.0, 0.0), 8.040443569e-12),
        (leptoquark_r2(2000, 1.0, 0.0), -2.546990093e-11),
        (alp(0.5, 1.0, scale=1000.0), -1.08948766e-11),
    ],
)
def test_model_at_its_reference_value(value: float, reference: float) -> None:
    assert value == pytest.approx(reference, rel=1e-9)


def test_massless_vector_gives_schwingers_alpha_over_2_pi() -> None:
    assert neutral_vector(1e-9, E) == pytest.approx(P.alpha / (2 * math.pi), rel=1e-7)


def test_heavy_limits_fall_like_the_inverse_mass_squared() -> None:
    mass = 1e5
    unit = P.m_mu**2 / mass**2
    assert neutral_vector(mass, 1.0) == pytest.approx(unit / (12 * math.pi**2), rel=1e-6)
    assert neutral_vector(mass, 0.0, 1.0) == pytest.approx(-5 * unit / (12 * math.pi**2), rel=1e-6)
    assert charged_scalar(mass, 1.0, 2.0) == pytest.approx(-5 * unit / (48 * math.pi**2), rel=1e-6)
    log = math.log(mass**2 / P.m_mu**2)
    assert neutral_scalar(mass, 1.0) == pytest.approx(unit / (8 * math.pi**2) * (log - 7 / 6), rel=1e-6)
    assert neutral_scalar(mass, 0.0, 1.0) == pytest.approx(-unit / (8 * math.pi**2) * (log - 11 / 6), rel=1e-6)


def test_heavy_leptoquark_is_enhanced_by_the_top_mass() -> None:
    mass, quark, coupling = 1e5, P.m_t, 1e-3
    r = (quark / mass) ** 2
    unit = P.m_mu * quark / (4 * math.pi**2 * mass**2) * coupling**2
    assert leptoquark_s1(mass, coupling, coupling) == pytest.approx(-unit * (7 / 4 + math.log(r)), rel=1e-3)
    assert leptoquark_r2(mass, coupling, coupling) == pytest.approx(unit * (1 / 4 + math.log(r)), rel=1e-3)


def test_scalar_loop_agrees_with_adaptive_quadrature_at_30_digits() -> None:
    with mpmath.workdps(30):
        for mass in (1e-3, 0.2, 5e4):
            lam2 = mpmath.mpf(P.m_mu) ** 2 / mpmath.mpf(mass) ** 2

            def integrand(x: mpmath.mpf, lam2: mpmath.mpf = lam2) -> mpmath.mpf:
                return x**2 * (2 - x) / (1 - x + lam2 * x**2)

            points = [0, 1 - min(mpmath.mpf(1) / 2, 100 * lam2), 1 - min(mpmath.mpf(1) / 4, lam2), 1]
            exact = lam2 / (8 * mpmath.pi**2) * mpmath.quad(integrand, points)
            assert neutral_scalar(mass, 1.0) == pytest.approx(float(exact), rel=1e-11)


def test_axion_loop_functions() -> None:
    assert h1(0.0) == 1.0
    assert h1(1.0) == pytest.approx(0.581600847688, rel=1e-11)
    assert h2(1.0) == pytest.approx(2.48046603090, rel=1e-11)
    assert h2(100.0) == pytest.approx(6.15881953502, rel=1e-11)
    assert h2(1e8) == pytest.approx(math.log(1e8) + 1.5, rel=1e-5)


def test_axion_exchange_is_the_pseudoscalar_loop_with_coupling_c_m_over_lambda() -> None:
    assert alp(0.3, 2.0, scale=500.0) == pytest.approx(neutral_scalar(0.3, 0.0, 2.0 * P.m_mu / 500.0), rel=1e-12)


def test_barr_zee_functions() -> None:
    assert [barr_zee_scalar(r) for r in (0.01, 0.25, 1.0)] == pytest.approx(
        [-0.190648384472, -1.0, -1.65609276131], rel=1e-11
    )
    assert [barr_zee_pseudoscalar(r) for r in (0.01, 0.25, 1.0)] == pytest.approx(
        [0.247705906318, 2 * math.log(2), 2.34390723869], rel=1e-11
    )


@pytest.mark.parametrize(
    ("masses", "kind", "one_loop", "barr_zee", "gm2calc_one_loop"),
    [
        ((300, 50, 300, 40), "II", -1.67988e-10, 1.07657e-9, -1.72206388e-10),
        ((250, 60, 250, 60), "X", -2.61208e-10, 8.69485e-10, -2.67767328e-10),
    ],
)
def test_two_higgs_doublets_at_the_points_of_gm2calc(
    masses: tuple[float, float, float, float], kind: str, one_loop: float, barr_zee: float, gm2calc_one_loop: float
) -> None:
    fermions = {"t": 173.34, "b": 4.18, "c": 1.28, "tau": 1.77684, "mu": P.m_mu}
    point = TwoHiggsDoublets(*masses, kind, fermions)
    assert point.one_loop() == pytest.approx(one_loop, rel=1e-5)
    assert point.barr_zee() == pytest.approx(barr_zee, rel=1e-5)
    # GM2Calc uses α(M_Z) in the normalisation of the vacuum expectation value: 2.5 %.
    assert point.one_loop() == pytest.approx(gm2calc_one_loop, rel=0.03)


@pytest.mark.parametrize(
    ("point", "reference"),
    [
        ((40, 500, 250, 500, 300, 300), 3.54409368e-9),
        ((50, 500, 500, 500, 500, 500), 2.72719896e-9),
        ((10, 350, 150, 300, 400, 400), 1.08302744e-9),
        ((3, -300, 150, 300, 400, 300), -3.82347347e-10),
    ],
)
def test_mssm_one_loop_equals_gm2calc_to_1e_6(point: tuple[float, ...], reference: float) -> None:
    value = MSSM(*point, m_mu=0.1056583715, m_w=80.385).delta_a()
    assert value == pytest.approx(reference, rel=1e-8)


def test_mssm_loop_functions_at_2_and_across_equal_masses() -> None:
    values = [f(2.0) for f in (f1_neutralino, f2_neutralino, f1_chargino, f2_chargino)]
    assert values == pytest.approx([0.728935333123, 0.682233833281, 0.635532333439, 0.57944154168], rel=1e-11)
    for f in (f1_neutralino, f2_neutralino, f1_chargino, f2_chargino):
        assert f(1.0) == pytest.approx(1.0, rel=1e-13)
        # Smooth through x = 1, where the printed forms lose all digits.
        assert f(0.9999) + f(1.0001) == pytest.approx(2.0, abs=1e-7)


def test_mssm_with_degenerate_masses_is_near_the_rule_of_thumb() -> None:
    exact = MSSM(50, 500, 500, 500, 500, 500).delta_a()
    assert exact == pytest.approx(130e-11 * (100 / 500) ** 2 * 50, rel=0.06)
    assert MSSM(50, -500, 500, 500, 500, 500).delta_a() < 0
    assert 0.90 < logarithm_factor(500.0) < 0.94
    heavy = [MSSM(10, m, m, m, m, m).delta_a() * m**2 for m in (5e3, 2e4)]
    assert heavy[0] == pytest.approx(heavy[1], rel=1e-3)


def test_mass_reach_of_251_and_of_the_2025_limits() -> None:
    values = [mass_reach(c, 251e-11) for c in (1.0, 1 / (16 * math.pi**2), P.alpha / (4 * math.pi))]
    assert values == pytest.approx([2109, 168, 50.8], rel=2e-3)
    interval = delta_interval(38e-11, 63e-11)
    assert (round(interval.upper * 1e11), round(interval.lower * 1e11)) == (142, -66)
    reach = [mass_reach(c, 142e-11) for c in (1.0, 1 / (16 * math.pi**2), P.alpha / (4 * math.pi))]
    assert reach == pytest.approx([2807, 223, 67.6], rel=2e-3)


def test_every_model_of_the_catalogue_has_a_plane_and_refuses_unknown_parameters() -> None:
    for one in MODELS.values():
        _, _, values = scan_plane(one, {}, count=4)
        assert values.shape == (4, 4)
        assert np.isfinite(values).any()
        with pytest.raises(PhysicsError, match="no parameter"):
            one.delta_a(nonsense=1.0)
    with pytest.raises(PhysicsError, match="did you mean 'mssm'"):
        model("msm")


def test_impossible_masses_are_refused() -> None:
    with pytest.raises(PhysicsError, match="decay"):
        charged_scalar(0.05, 1.0, fermion=0.01)
    with pytest.raises(PhysicsError, match="positive"):
        neutral_scalar(-1.0, 1.0)
    with pytest.raises(PhysicsError, match="negative mass squared"):
        MSSM(80, 5000, 100, 100, 100, 100)
