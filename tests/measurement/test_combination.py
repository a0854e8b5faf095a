"""Correlated averages against independent routes: closed forms, a nuisance fit, Monte Carlo."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from gminus2.errors import PhysicsError
from gminus2.measurement.combination import Source, combine, covariance, fixed_weights


def _three() -> tuple[list[float], list[Source]]:
    values = [10.0, 13.0, 8.5]
    return values, [
        Source("stat", (2.0, 1.5, 3.0), 0.0, "stat"),
        Source("field", (1.0, 1.2, 0.8), 1.0),
        Source("beam", (0.5, -0.7, 0.2), 1.0),
        Source("half", (0.4, 0.4, 0.4), 0.5),
    ]


def test_blue_equals_the_profile_over_explicit_nuisance_parameters() -> None:
    # Independent route: minimise Σ stat pulls² + Σ θ² over the mean and one θ per fully correlated source.
    values, sources = _three()
    sources = sources[:3]
    stat = np.array(sources[0].impact)
    shifts = np.array([s.impact for s in sources[1:]])

    def objective(p: np.ndarray) -> float:
        residual = (np.array(values) - p[0] - p[1:] @ shifts) / stat
        return float(residual @ residual + p[1:] @ p[1:])

    found = minimize(objective, np.zeros(3), method="BFGS", options={"gtol": 1e-10})
    average = combine(values, sources, ["a", "b", "c"])
    assert average.value == pytest.approx(found.x[0], abs=1e-6)
    assert average.chi2 == pytest.approx(found.fun, abs=1e-8)
    # BFGS's inverse Hessian of χ²: σ² = 2 H⁻¹.
    hessian = np.array([[1, *shifts[:, i]] / stat[i] for i in range(3)])  # rows of the design matrix, scaled
    normal = hessian.T @ hessian + np.diag([0.0, 1.0, 1.0])
    assert average.sigma == pytest.approx(math.sqrt(np.linalg.inv(normal)[0, 0]), rel=1e-9)


def test_error_and_pulls_of_the_average_are_those_of_monte_carlo() -> None:
    values, sources = _three()
    total = covariance(sources, 3)
    rng = np.random.default_rng(5)
    draws = rng.multivariate_normal(np.full(3, 10.0), total, size=40000)
    average = combine(values, sources, ["a", "b", "c"])
    means = draws @ average.weights
    assert means.std() == pytest.approx(average.sigma, rel=0.015)
    spread = (draws - means[:, None]).std(axis=0)
    expected = (np.array(values) - average.value) / average.pulls
    assert spread == pytest.approx(expected, rel=0.015)


def test_contributions_of_sources_and_kinds_add_in_quadrature_to_the_error() -> None:
    values, sources = _three()
    average = combine(values, sources, ["a", "b", "c"])
    assert math.hypot(*average.by_source.values()) == pytest.approx(average.sigma)
    assert math.hypot(*average.by_kind.values()) == pytest.approx(average.sigma)
    # A full correlation with signs: the impact is the signed shift of the average.
    shifted = average.weights @ (np.array(values) + np.array([0.5, -0.7, 0.2]))
    assert average.impacts["beam"] == pytest.approx(shifted - average.value)
    assert "half" not in average.impacts


def test_leaving_one_out_gives_the_average_of_the_others_and_its_allowed_distance() -> None:
    values, sources = _three()
    average = combine(values, sources, ["a", "b", "c"])
    for i, item in enumerate(average.leave_one_out):
        keep = [k for k in range(3) if k != i]
        others = [Source(s.name, tuple(s.impact[k] for k in keep), s.correlation, s.kind) for s in sources]
        alone = combine([values[k] for k in keep], others, ["x", "y"])
        assert item.value == pytest.approx(alone.value)
        assert item.shift == pytest.approx(alone.value - average.value)
        assert item.allowed == pytest.approx(math.sqrt(alone.sigma**2 - average.sigma**2))


def test_independent_equal_values_give_sigma_over_root_n() -> None:
    average = combine([5.0] * 4, [Source("s", (2.0,) * 4, 0.0, "stat")], list("abcd"))
    assert average.sigma == pytest.approx(1.0)
    assert average.chi2 == pytest.approx(0.0)
    assert average.p_value == pytest.approx(1.0)


def test_one_value_is_its_own_average() -> None:
    average = combine([5.0], [Source("s", (2.0,), 0.0, "stat")], ["a"])
    assert (average.value, average.sigma, average.ndf) == (5.0, 2.0, 0)
    assert average.leave_one_out == ()


def test_given_weights_lose_precision_against_the_best_ones() -> None:
    values, sources = _three()
    best = combine(values, sources, ["a", "b", "c"])
    equal = fixed_weights(values, sources, ["a", "b", "c"], [1, 1, 1])
    assert equal.value == pytest.approx(np.mean(values))
    assert equal.sigma > best.sigma


@given(st.lists(st.floats(0.1, 10.0), min_size=2, max_size=6), st.floats(0.0, 3.0), st.floats(-1e8, 1e8))
def test_a_common_shift_of_all_values_shifts_the_average_and_nothing_else(
    sigmas: list[float], common: float, shift: float
) -> None:
    n = len(sigmas)
    sources = [Source("stat", tuple(sigmas), 0.0, "stat"), Source("common", (common,) * n)]
    labels = [str(i) for i in range(n)]
    base = combine(np.arange(n, dtype=float), sources, labels)
    moved = combine(np.arange(n) + shift, sources, labels)
    assert base.weights.sum() == pytest.approx(1.0)
    assert moved.value - shift == pytest.approx(base.value, abs=1e-6)
    assert moved.chi2 == pytest.approx(base.chi2, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([Source("s", (1.0, 1.0), 1.0)], "singular"),
        ([Source("s", (1.0,), 0.0)], "one impact per value"),
        ([Source("s", (1.0, 1.0), 0.0), Source("s", (1.0, 2.0), 1.0)], "same name"),
    ],
)
def test_impossible_covariances_are_refused(sources: list[Source], message: str) -> None:
    with pytest.raises(PhysicsError, match=message):
        combine([1.0, 2.0], sources, ["a", "b"])


def test_impossible_sources_are_refused() -> None:
    with pytest.raises(PhysicsError, match="finite"):
        Source("s", (math.nan,))
    with pytest.raises(PhysicsError, match="between 0 and 1"):
        Source("s", (1.0,), -0.5)
    with pytest.raises(PhysicsError, match="label"):
        combine([1.0], [Source("s", (1.0,), 0.0)], [])
