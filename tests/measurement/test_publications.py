"""Published runs recomputed: documents, budgets, correlation models, statuses."""

from __future__ import annotations

import json
import math

import pytest

from gminus2.constants import published
from gminus2.data.results import plain
from gminus2.errors import ConfigError, PhysicsError
from gminus2.measurement.anomaly import conversion_factor
from gminus2.measurement.averages import release, tension
from gminus2.measurement.brookhaven import anomaly_from_free_proton, e821_average
from gminus2.measurement.budget import budget_of_combination, budget_totals, published_budget
from gminus2.measurement.datasets import Dataset, combine_datasets, correlated_sources, published_datasets
from gminus2.measurement.publication import PUBLICATIONS, publication
from gminus2.measurement.ratio import ShieldedFrequency


@pytest.mark.parametrize("what", PUBLICATIONS)
def test_no_check_of_a_publication_fails_and_the_document_is_json(what: str) -> None:
    document = publication(what)
    assert not [check["name"] for check in document["checks"] if check["ok"] is False]
    assert json.loads(json.dumps(plain(document)))["what"] == what
    assert document["status"] in {"source", "derived", "cross-checked", "unverified"}


def test_run1_says_which_shown_numbers_are_unverified_though_the_result_does_not_use_them() -> None:
    document = publication("run1")
    assert "experiment.e989.run1.conditions.kicker_voltage" in document["provisional"]
    assert document["status"] == "cross-checked"


def test_run456_carries_the_unverified_temperature() -> None:
    assert publication("run456")["status"] == "unverified"


def test_the_known_mismatch_of_the_final_average_is_reported_as_such() -> None:
    entry = publication("averages")["averages"]["fnal_2025_from_published"]
    assert entry["agrees"] is None
    assert "+120 ppb" in entry["note"]
    assert entry["value"] - 116592000 == pytest.approx(66.7, abs=0.1)


def test_budget_of_run1_adds_up_to_the_uncertainty_of_a_mu() -> None:
    datasets = published_datasets("run1")
    mean, combination = combine_datasets(datasets)
    factor = conversion_factor(mean.t_r_c)
    rows = budget_of_combination(datasets, combination, factor)
    total = rows[-1]
    assert total.name == "total"
    assert total.uncertainty_ppb == pytest.approx(math.hypot(combination.sigma, factor.sigma_ppb))
    assert total.uncertainty_ppb == pytest.approx(462.8, abs=0.1)


def test_transient_rows_are_not_counted_twice() -> None:
    datasets = published_datasets("run1")
    _, combination = combine_datasets(datasets)
    factor = conversion_factor(34.7)
    terms = {k: published(f"experiment.e989.run1.summary.{k}") for k in ("B_k", "B_q")}
    bare, listed = (budget_of_combination(datasets, combination, factor, t)[-1] for t in (None, terms))
    assert listed.uncertainty_ppb == bare.uncertainty_ppb
    # … but their corrections count, with a minus sign.
    assert listed.correction_ppb - bare.correction_ppb == pytest.approx(44.0)


def test_totals_of_the_published_table_are_the_printed_ones() -> None:
    rows = [row for row in published_budget("experiment.e989.run23.summary") if row.kind != "total"]
    totals = {row.name: row for row in budget_totals(rows)}
    assert totals["total"].uncertainty_ppb == pytest.approx(215, abs=1)
    assert totals["total"].correction_ppb == pytest.approx(622, abs=1)


def test_a_correlation_given_by_name_overrides_the_model() -> None:
    datasets = published_datasets("run1")
    uncorrelated = {s.name: 0.0 for s in correlated_sources(datasets)}
    by_hand = combine_datasets(datasets, "systematics-correlated", uncorrelated)[1]
    assert by_hand.sigma == pytest.approx(combine_datasets(datasets, "uncorrelated")[1].sigma)
    with pytest.raises(ConfigError, match="did you mean 'C_pa'"):
        combine_datasets(datasets, "systematics-correlated", {"Cpa": 0.5})


def test_models_without_their_input_are_refused() -> None:
    with pytest.raises(ConfigError, match="field_transients"):
        combine_datasets(published_datasets("run23"), "transients-common")
    with pytest.raises(ConfigError, match="did you mean 'uncorrelated'"):
        combine_datasets(published_datasets("run23"), "uncorelated")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="run1 or run23"):
        published_datasets("run456")
    with pytest.raises(ConfigError, match="did you mean 'run1'"):
        publication("run11")


def test_datasets_at_unequal_temperatures_are_not_combined() -> None:
    a, b = (
        Dataset(name, 229081.0, ShieldedFrequency(61.79e6, 5.0, t), {"omega_a_stat": 500.0})
        for name, t in (("a", 34.7), ("b", 25.0))
    )
    with pytest.raises(PhysicsError, match="unequal temperatures"):
        combine_datasets([a, b])


def test_e821_systematics_common_to_the_years_explain_the_printed_error_of_the_mean() -> None:
    mean = e821_average()
    assert mean.sigma == pytest.approx(2.0e-9, abs=0.05e-9)
    independent = 1 / math.sqrt(sum(1 / published(f"experiment.e821.run{y}.R").sigma ** 2 for y in (1999, 2000, 2001)))
    assert independent == pytest.approx(1.7e-9, abs=0.05e-9)


def test_lambda_formula_inverts_to_the_ratio_of_anomaly_and_moment() -> None:
    # a_μ = R/(λ − R) ⇔ R = λ a_μ/(1 + a_μ): the free-proton definition itself.
    a_mu, lam = 116592080e-11, 3.18334539
    assert anomaly_from_free_proton(lam * a_mu / (1 + a_mu), 0.0, lam)[0] == pytest.approx(a_mu, rel=1e-14)
    _, sigma = anomaly_from_free_proton(0.0037072063, 2e-9, lam)
    assert sigma * 1e11 == pytest.approx(63, abs=1)
    with pytest.raises(PhysicsError, match="lambda"):
        anomaly_from_free_proton(4.0, 0.0, lam)


def test_unknown_standard_model_and_release_are_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="wp20"):
        tension(116592061, 41, "wp2020")
    with pytest.raises(ConfigError, match="fnal_2025"):
        release("fnal_2024")
