"""Named sources, covariances, and the budgets with their tensions."""

from __future__ import annotations

import numpy as np
import pytest

from gminus2.constants import published, published_table
from gminus2.errors import ConfigError, PhysicsError
from gminus2.theory.budget import BUDGETS, budget, compare, compare_all, experiment, hlbl_pheno_wp20
from gminus2.theory.electroweak import electroweak_contribution, electroweak_one_loop
from gminus2.theory.nuisance import NuisanceVector, Prediction
from gminus2.theory.qed import qed_contribution


def test_electroweak_one_loop_is_194_81_from_integrals() -> None:
    one = electroweak_one_loop()
    assert one.w * 1e11 == pytest.approx(388.7063548, rel=1e-8)
    assert one.z * 1e11 == pytest.approx(-193.8996162, rel=1e-8)
    assert one.higgs * 1e11 == pytest.approx(0.0021557743, rel=1e-7)
    assert one.total * 1e11 == pytest.approx(194.8088944, rel=1e-9)


def test_electroweak_with_two_loop_items_is_153_6() -> None:
    assert electroweak_contribution().value * 1e11 == pytest.approx(153.6, abs=0.1)


def test_sums_of_both_budgets_within_one_unit_of_the_published_totals() -> None:
    for name, total, sigma in (("WP20", 116591810, 43), ("WP25", 116592033, 62)):
        one = budget(name)
        assert (one.value, one.sigma) == (total, sigma)
        assert one.sum_of_lines == pytest.approx(total, abs=1.0)
        assert one.sum_sigma == pytest.approx(sigma, abs=0.5)


def test_hvp_orders_add_linearly_to_6845_40() -> None:
    value, sigma = budget("WP20").group("HVP")
    assert round(value) == 6845
    assert sigma == pytest.approx(40 - 0.7 + 0.1)


@pytest.mark.parametrize(
    ("measured", "predicted", "difference", "sigma", "tension"),
    [
        ("world2021", "WP20", 251, 59, 4.2),
        ("bnl", "WP20", 279, 76, 3.7),
        ("run1", "WP20", 230, 69, 3.3),
        ("world2023", "WP25", 26, 66, 0.4),
        ("world2025", "WP25", 38, 63, 0.6),
        ("world2025", "WP20", 262, 45, 5.8),
    ],
)
def test_tension_of_every_published_pair(
    measured: str, predicted: str, difference: float, sigma: float, tension: float
) -> None:
    pair = compare(experiment(measured), budget(predicted))
    assert pair.difference == pytest.approx(difference, abs=0.6)
    assert pair.sigma == pytest.approx(sigma, abs=0.8)
    assert pair.significance == pytest.approx(tension, abs=0.05)


def test_budgets_are_listed_side_by_side_and_differ_by_223() -> None:
    pairs = compare_all(["world2025"])
    assert [pair.budget.name for pair in pairs] == list(BUDGETS)
    assert budget("WP25").value - budget("WP20").value == 223
    with pytest.raises(PhysicsError, match="no budget"):
        budget("average")


def test_wp20_shares_of_total_and_variance() -> None:
    one = budget("WP20")
    groups = one.groups()
    assert groups["QED"][0] / one.value == pytest.approx(0.999939, abs=1e-6)
    assert groups["HVP"][0] / one.value == pytest.approx(58.7e-6, rel=2e-3)
    assert groups["HLbL"][0] / one.value == pytest.approx(0.79e-6, rel=1e-2)
    variance = one.sum_sigma**2
    assert groups["HVP"][1] ** 2 / variance == pytest.approx(0.83, abs=0.01)
    assert groups["HLbL"][1] ** 2 / variance == pytest.approx(0.17, abs=0.01)


def test_hlbl_parts_of_wp20_sum_to_92_19() -> None:
    value, sigma = hlbl_pheno_wp20()
    assert value == pytest.approx(92, abs=0.5)
    assert sigma == pytest.approx(19, abs=0.5)


def test_lattice_parts_of_wp20_add_linearly() -> None:
    parts = published_table("theory.lattice.wp20").values()
    assert sum(map(float, parts)) == pytest.approx(7116, abs=1)
    assert sum(part.sigma for part in parts) == pytest.approx(184, abs=1.5)


def test_a_users_hvp_replaces_one_line_and_drops_the_published_total() -> None:
    mine = budget("WP20").with_hvp("mine", 7000.0, 30.0, nlo=-99.0)
    assert mine.total is None
    assert mine.value == pytest.approx(budget("WP20").sum_of_lines + 69.0 - 0.7)
    assert mine.group("HVP")[1] == pytest.approx(30.0 - 0.7 + 0.1)


def test_difference_and_ratio_of_a_number_with_itself_are_exact() -> None:
    result = qed_contribution()
    nothing = result.prediction - result.prediction
    assert nothing.value == 0.0
    assert result.sources.sigma_of(nothing) == 0.0
    one = result.prediction / result.prediction
    assert (one.value, result.sources.sigma_of(one)) == (1.0, 0.0)


def test_linear_propagation_agrees_with_1e5_draws() -> None:
    rng = np.random.default_rng(1)
    sources = NuisanceVector(("x", "y"), np.array([2.0, 3.0]), np.array([[1e-4, 5e-5], [5e-5, 4e-4]]))
    x, y = rng.multivariate_normal(sources.central, sources.covariance, 100_000).T
    ratio = Prediction(2.0, {"x": 1.0}) / Prediction(3.0, {"y": 1.0})
    assert sources.sigma_of(ratio) == pytest.approx(float(np.std(x / y)), rel=0.01)
    both = sources.covariance_of([ratio, Prediction(5.0, {"x": 1.0, "y": 1.0})])
    assert both[0, 1] == pytest.approx(float(np.cov(x / y, x + y)[0, 1]), rel=0.03)


def test_mass_ratio_is_one_source_for_theory_and_experiment() -> None:
    prediction, sources = budget("WP20").as_prediction()
    ratio = (sources.value("m_mu_over_m_e"), sources.sigma("m_mu_over_m_e"))
    seen, own = experiment("world2025").as_prediction(ratio)
    joint = sources.joined(own)
    # d ln a(exp) = d ln ratio: 22.7 ppb of a_μ; QED's own 0.004.
    assert joint.contributions(seen)["m_mu_over_m_e"] == pytest.approx(2.65, abs=0.02)
    assert joint.covariance_of([seen, prediction])[0, 1] == pytest.approx(2.65 * 0.00416, rel=0.02)


def test_a_shared_source_with_two_values_is_refused() -> None:
    one = NuisanceVector.independent({"x": (1.0, 0.1)})
    with pytest.raises(PhysicsError, match="two values"):
        one.joined(NuisanceVector.independent({"x": (1.0, 0.2)}))
    with pytest.raises(PhysicsError, match="negative eigenvalue"):
        NuisanceVector(("x", "y"), np.zeros(2), np.array([[1.0, 2.0], [2.0, 1.0]]))


def test_reference_tables_merge_and_every_source_is_listed() -> None:
    from gminus2.constants import published_groups, published_sources

    sources = published_sources()
    for group in published_groups():
        for quantity in published_table(group).values():
            assert quantity.source in sources, quantity.name
    with pytest.raises(ConfigError):
        published("theory.electroweak.nothing")
