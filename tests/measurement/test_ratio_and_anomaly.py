"""Reference temperatures are part of the number; a_μ from R' with every set of constants."""

from __future__ import annotations

import math

import pytest

from gminus2.constants import codata, published
from gminus2.errors import ConfigError, PhysicsError
from gminus2.measurement.anomaly import anomaly, conversion_factor
from gminus2.measurement.ratio import (
    FrequencyRatio,
    ShieldedFrequency,
    common_temperature,
    frequency_ratio,
    ratio_of_measurement,
)


def test_ratio_and_frequency_move_in_opposite_directions_so_that_their_product_stays() -> None:
    # f_a = R' f'_p does not know the temperature of a water sample.
    cold, ratio = ShieldedFrequency(61.79e6, 1.0, 25.0), FrequencyRatio(3.7073e-3, 1e-9, 25.0)
    product = ratio.at(34.7).value * cold.at(34.7).value_hz
    assert product / (ratio.value * cold.value_hz) - 1 == pytest.approx(0.0, abs=2e-14)
    assert ratio.at(34.7).value > ratio.value


def test_conversion_to_another_temperature_adds_the_uncertainty_of_the_slope() -> None:
    hot = FrequencyRatio(3.7073e-3, 0.0, 25.0).at(34.7)
    assert hot.sigma_ppb == pytest.approx(0.30 * 9.7, rel=1e-6)  # 0.30 ppb/°C × 9.7 °C
    assert FrequencyRatio(3.7073e-3, 1e-9, 25.0).at(25.0).sigma == 1e-9


def test_a_mu_does_not_depend_on_the_reference_temperature() -> None:
    at_hot = FrequencyRatio(0.00370730035, 0.0, 34.7)
    hot, cold = anomaly(at_hot), anomaly(at_hot.at(25.0))
    # The two tabled moment ratios follow the shielding slope to 0.1 ppb.
    assert cold.value / hot.value - 1 == pytest.approx(0.0, abs=2e-10)


def test_mixed_temperatures_are_refused_and_the_message_names_both() -> None:
    with pytest.raises(PhysicsError, match="unequal temperatures") as caught:
        common_temperature([FrequencyRatio(3.7e-3, 1e-9, 34.7), FrequencyRatio(3.7e-3, 1e-9, 25.0)])
    assert "25 °C, 34.7 °C" in str(caught.value)
    assert ".at(T_r)" in str(caught.value)


def test_a_mu_refuses_a_temperature_without_moment_ratio_and_the_bohr_route_needs_25() -> None:
    with pytest.raises(PhysicsError, match="not tabulated"):
        anomaly(FrequencyRatio(3.7073e-3, 1e-9, 30.0))
    with pytest.raises(PhysicsError, match="not tabulated"):
        anomaly(FrequencyRatio(3.7073e-3, 1e-9, 34.7), 2022, "bohr")
    with pytest.raises(ConfigError, match="2014"):
        conversion_factor(25.0, 2014, "bohr")
    with pytest.raises(ConfigError, match="hydrogen"):
        conversion_factor(34.7, 2018, "hydrogn")  # type: ignore[arg-type]


@pytest.mark.parametrize("temperature", [-300.0, 4.0, 60.0])
def test_a_temperature_at_which_the_slope_does_not_hold_is_refused(temperature: float) -> None:
    with pytest.raises(PhysicsError, match="shielding slope"):
        FrequencyRatio(3.7073e-3, 1e-9, 25.0).at(temperature)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_impossible_frequencies_are_refused(value: float) -> None:
    with pytest.raises(PhysicsError, match="positive"):
        ShieldedFrequency(value, 0.0, 25.0)
    with pytest.raises(PhysicsError, match="positive"):
        FrequencyRatio(value, 0.0, 25.0)


def test_total_run1_correction_of_r_is_544_ppb_with_transients_in_the_denominator() -> None:
    summary = {k: float(published(f"experiment.e989.run1.summary.{k}")) for k in ("C_e", "C_p", "C_ml", "C_pa")}
    b = {k: float(published(f"experiment.e989.run1.summary.{k}")) for k in ("B_k", "B_q")}
    f_p = ShieldedFrequency(61791871.2, 3.5, 34.7)
    bare = frequency_ratio(229080.957, 0.0, f_p)
    full = ratio_of_measurement(229080.957, summary, f_p, b)
    assert (full.value / bare.value - 1) * 1e9 == pytest.approx(544.0, abs=0.1)
    assert full.sigma_ppb == pytest.approx(f_p.sigma_ppb)


def test_the_clock_factor_multiplies_the_ratio() -> None:
    f_p = ShieldedFrequency(61791871.2, 0.0, 34.7)
    clear, shifted = (ratio_of_measurement(229080.957, {}, f_p, {}, f_clock=f) for f in (1.0, 1.0 + 25e-6))
    assert (shifted.value / clear.value - 1) * 1e6 == pytest.approx(25.0)


def test_external_uncertainty_is_that_of_the_moment_ratio_and_the_mass_ratio() -> None:
    factor = conversion_factor(34.7, 2018)
    assert factor.parts_ppb["mu_p_shielded"] == pytest.approx(10.5, abs=0.05)
    assert factor.parts_ppb["m_mu_over_m_e"] == pytest.approx(22.2, abs=0.1)
    assert factor.parts_ppb["g_e"] < 0.001
    # By finite difference of every constant: the relative derivative is ±1 for each factor of the product.
    sigma = math.hypot(*(q.sigma / float(q) for q in (codata(2018).m_mu_over_m_e, codata(2018).g_e)))
    moment = published("constants.external.mu_e_H_over_mu_p_shielded_34C7")
    assert factor.sigma_ppb == pytest.approx(1e9 * math.hypot(sigma, moment.sigma / float(moment)), rel=1e-9)


def test_the_factor_carries_the_weakest_status_of_its_constants() -> None:
    assert conversion_factor(34.7, 2018).status == "cross-checked"  # the moment ratio of 1977
    assert conversion_factor(25.0, 2022, "bohr").status == "source"
