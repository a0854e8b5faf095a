"""QED: digits of the published totals, loop terms against closed forms, and the electron cross-check."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from gminus2.errors import PhysicsError
from gminus2.theory.electron import alpha_inverse_from_electron, electron_anomaly, measured_electron_anomaly
from gminus2.theory.qed import (
    QEDInputs,
    a2_three_loop_electron,
    a2_two_loop,
    polarisation,
    qed_contribution,
    universal_three_loop,
    universal_two_loop,
)


@pytest.mark.parametrize(
    ("alpha", "five_loop", "total"),
    [
        ("cs18", "wp20", 116584718.93072),
        ("ae2008", "wp20", 116584718.84223),
        ("rb20", "wp20", 116584718.79405),
        ("rb20", "volkov24", 116584718.78833),
        ("codata22", "wp25", 116584718.81307),
    ],
)
def test_qed_total_of_every_alpha_and_five_loop_term(alpha: str, five_loop: str, total: float) -> None:
    assert qed_contribution(QEDInputs.choose(alpha, five_loop)).value * 1e11 == pytest.approx(total, abs=2e-4)


def test_qed_with_caesium_alpha_is_718_931_with_uncertainty_0_104() -> None:
    result = qed_contribution()
    assert f"{result.value * 1e11:.3f}" == "116584718.931"
    assert result.sigma * 1e11 == pytest.approx(0.1045, abs=5e-4)
    expected = [116140973.32079, 413217.62570, 30141.90236, 381.00357, 5.07830]
    np.testing.assert_allclose(np.array(result.orders) * 1e11, expected, atol=1e-4)


def test_qed_uncertainty_budget_is_that_of_the_white_paper() -> None:
    result = qed_contribution()
    parts = {name: value * 1e11 for name, value in result.sources.contributions(result.prediction).items()}
    expected = {
        "alpha_inv": 0.023,
        "m_mu_over_m_e": 0.004,
        "m_mu_over_m_tau": 0.006,
        "qed_8th": 0.017,
        "qed_10th": 0.006,
        "qed_12th": 0.100,
    }
    assert parts == pytest.approx(expected, abs=6e-4)


def test_logarithmic_derivatives_of_qed() -> None:
    gradient = qed_contribution().prediction.gradient
    assert -gradient["alpha_inv"] * 137.035999046 * 1e11 == pytest.approx(117059383.7, abs=0.1)
    assert gradient["m_mu_over_m_e"] * 206.7682827 * 1e11 == pytest.approx(183231.5, abs=0.2)
    assert gradient["m_mu_over_m_tau"] * 0.0594635 * 1e11 == pytest.approx(84.71, abs=0.01)


def test_universal_terms_against_zeta_values_at_50_digits() -> None:
    with mpmath.workdps(50):
        pi, z3, z5, ln2 = mpmath.pi, mpmath.zeta(3), mpmath.zeta(5), mpmath.log(2)
        two = mpmath.mpf(197) / 144 + pi**2 / 12 - pi**2 / 2 * ln2 + 3 * z3 / 4
        li4 = mpmath.polylog(4, mpmath.mpf(1) / 2)
        three = (
            83 * pi**2 * z3 / 72
            - 215 * z5 / 24
            + mpmath.mpf(100) / 3 * (li4 + ln2**4 / 24 - pi**2 * ln2**2 / 24)
            - 239 * pi**4 / 2160
            + 139 * z3 / 18
            - 298 * pi**2 * ln2 / 9
            + 17101 * pi**2 / 810
            + mpmath.mpf(28259) / 5184
        )
        assert universal_two_loop() == pytest.approx(float(two), rel=1e-14)
        assert universal_three_loop() == pytest.approx(float(three), rel=1e-12)
    assert universal_three_loop() == pytest.approx(1.181241456587, abs=1e-12)


@pytest.mark.parametrize(
    ("ratio", "value"),
    [(0.5, 0.0443481072521), (1.0, 119 / 36 - math.pi**2 / 3), (2.0, 0.00476731243309), (206.768283, 5.19738674452e-7)],
)
def test_two_loop_mass_term_at_reference_ratios(ratio: float, value: float) -> None:
    assert a2_two_loop(ratio) == pytest.approx(value, rel=3e-12)


def test_two_loop_mass_term_equals_its_dilogarithm_form_at_40_digits() -> None:
    with mpmath.workdps(40):
        for ratio in (0.004836, 0.3, 3.0):
            x = mpmath.mpf(ratio)
            li2 = lambda z: mpmath.polylog(2, z)  # noqa: E731
            log = mpmath.log
            closed = (
                -mpmath.mpf(25) / 36
                - log(x) / 3
                + x**2 * (4 + 3 * log(x))
                + x**4 * (mpmath.pi**2 / 3 - 2 * log(x) * log(mpmath.mpc(1 / x - x)) - li2(x**2))
                + x
                / 2
                * (1 - 5 * x**2)
                * (mpmath.pi**2 / 2 - log(x) * log(mpmath.mpc((1 - x) / (1 + x))) - li2(x) + li2(-x))
            )
            assert a2_two_loop(ratio) == pytest.approx(float(mpmath.re(closed)), rel=1e-11)


def test_polarisation_series_joins_the_closed_form() -> None:
    below, above = polarisation(np.array([0.3 * (1 - 1e-9), 0.3 * (1 + 1e-9)]))
    assert below == pytest.approx(above, rel=1e-8)
    assert float(polarisation(np.array([1e-6]))[0]) == pytest.approx(1e-6 / 15 - 1e-12 / 140, rel=1e-12)


def test_three_loop_expansion_reproduces_the_published_parts() -> None:
    light_by_light, vacuum = a2_three_loop_electron(206.7682826)
    assert light_by_light == pytest.approx(20.94792485, abs=1.4e-8)
    assert vacuum == pytest.approx(1.920455123, abs=2.8e-8)


def test_electron_anomaly_of_caesium_and_rubidium() -> None:
    assert electron_anomaly("cs18").value * 1e12 == pytest.approx(1159652181.6064, abs=1e-3)
    assert electron_anomaly("rb20").value * 1e12 == pytest.approx(1159652180.2545, abs=1e-3)
    assert electron_anomaly("rb20", "volkov24").value * 1e12 == pytest.approx(1159652180.1973, abs=1e-3)
    assert electron_anomaly("cs18").sigma * 1e12 == pytest.approx(0.229, abs=1e-3)


def test_electron_pulls_minus_3_9_for_caesium_and_plus_2_1_for_rubidium() -> None:
    seen, sigma = measured_electron_anomaly()
    pulls = [(seen - r.value) / math.hypot(sigma, r.sigma) for r in map(electron_anomaly, ("cs18", "rb20"))]
    assert pulls == pytest.approx([-3.9, 2.1], abs=0.05)


def test_alpha_from_the_electron_anomaly() -> None:
    seen, _ = measured_electron_anomaly()
    assert alpha_inverse_from_electron(seen) == pytest.approx(137.0359991663, abs=2e-10)
    assert alpha_inverse_from_electron(seen, "volkov24") == pytest.approx(137.0359991595, abs=2e-10)


def test_unknown_alpha_names_the_nearest() -> None:
    with pytest.raises(PhysicsError, match="cs18"):
        QEDInputs.choose("cs19")
