"""The shift of R' by analysis against a Monte Carlo of correlated analyses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gminus2.measurement.stability import shifts_by_method

NAMES = ["T", "A-one", "A-two", "Q"]
CHOSEN = {"A-one": 0.5, "A-two": 0.5}


def _covariances() -> list[np.ndarray]:
    sigma = np.array([10.0, 9.0, 9.1, 12.0])
    correlation = np.array([[1, 0.85, 0.84, 0.8], [0.85, 1, 0.99, 0.7], [0.84, 0.99, 1, 0.7], [0.8, 0.7, 0.7, 1]])
    return [correlation * np.outer(sigma, sigma), 1.7 * correlation * np.outer(sigma, sigma)]


def _dataset(values: np.ndarray, covariance: np.ndarray, order: list[str]) -> dict[str, Any]:
    place = [NAMES.index(name) for name in order]
    mean = sum(CHOSEN[name] * values[NAMES.index(name)] for name in CHOSEN)
    return {
        "order": order,
        "combined_from": CHOSEN,
        "R_ppm": {"value": float(mean)},
        "analyses": {n: {"method": n[0], "R_ppm": {"value": float(values[NAMES.index(n)])}} for n in order},
        "covariance_statistical_ppb2": (1e6 * covariance[np.ix_(place, place)]).tolist(),
    }


def test_the_allowed_shift_of_a_method_is_the_scatter_of_a_monte_carlo() -> None:
    rng = np.random.default_rng(3)
    weights = [0.6, 0.4]
    draws = [rng.multivariate_normal(np.full(4, -80.0), c, 20_000) for c in _covariances()]
    mean = 0.5 * (draws[0][:, 1] + draws[0][:, 2]), 0.5 * (draws[1][:, 1] + draws[1][:, 2])
    seen = 1e3 * sum(w * (d - m[:, None]) for w, d, m in zip(weights, draws, mean, strict=True))
    own = 1e3 * sum(w * d for w, d in zip(weights, draws, strict=True))
    # The order of the analyses may differ from dataset to dataset.
    orders = [NAMES, NAMES[::-1]]
    given = [_dataset(d[0], c, o) for d, c, o in zip(draws, _covariances(), orders, strict=True)]
    found = shifts_by_method(given, weights)
    assert [m.name for m in found] == NAMES
    for k, one in enumerate(found):
        assert one.shift_ppb == pytest.approx(seen[0, k], rel=1e-9)
        assert one.allowed_ppb == pytest.approx(seen[:, k].std(), rel=0.02)
        assert one.statistical_ppb == pytest.approx(own[:, k].std(), rel=0.02)
