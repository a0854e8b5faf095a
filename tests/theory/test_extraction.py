"""The extraction of a_μ and the prediction share one mass ratio."""

from __future__ import annotations

import math

import pytest

from gminus2.measurement.anomaly import anomaly
from gminus2.measurement.ratio import FrequencyRatio
from gminus2.theory.budget import budget
from gminus2.theory.extraction import anomaly_prediction, compare_anomaly

RUN1 = FrequencyRatio(0.00370730035, 1.714e-9, 34.7)


def test_uncertainty_on_named_sources_is_that_of_the_extraction() -> None:
    measured = anomaly(RUN1)
    seen, sources = anomaly_prediction(measured)
    assert seen.value == pytest.approx(measured.value_1e11)
    assert sources.sigma_of(seen) == pytest.approx(measured.sigma_1e11, rel=1e-9)
    assert sources.contributions(seen)["m_mu_over_m_e"] == pytest.approx(22.2e-9 * measured.value_1e11, rel=0.01)


def test_mass_ratio_is_counted_once_in_the_difference() -> None:
    measured = anomaly(RUN1)
    seen, own = anomaly_prediction(measured)
    prediction, sources = budget("WP20").as_prediction("2018")
    joint = own.joined(sources)
    difference = joint.sigma_of(seen - prediction)
    apart = math.hypot(joint.sigma_of(seen), joint.sigma_of(prediction))
    # Both rise with the ratio, so the difference is (slightly) better known than two independent numbers.
    assert difference < apart
    covariance = joint.covariance_of([seen, prediction])[0, 1]
    assert apart**2 - difference**2 == pytest.approx(2 * covariance, rel=1e-6)
    assert covariance == pytest.approx(2.59 * 0.00408, rel=0.02)


def test_run1_against_wp20_is_3_3_sigma() -> None:
    pair = compare_anomaly(anomaly(RUN1), budget("WP20"))
    assert pair.difference == pytest.approx(230, abs=1)
    assert pair.significance == pytest.approx(3.3, abs=0.05)
    assert pair.experiment.sigma == pytest.approx(54, abs=1)


def test_the_codata_year_of_the_extraction_is_used_for_qed_too() -> None:
    for year in (2014, 2018, 2022):
        pair = compare_anomaly(anomaly(RUN1, year), budget("WP25"))
        assert pair.sigma == pytest.approx(math.hypot(54, 62), rel=0.02)
