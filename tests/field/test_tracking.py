"""Errors of tracking against simulated random walks."""

from __future__ import annotations

import numpy as np
import pytest

from gminus2.field.tracking import average_sigma, bridge_sigma, kalman_smoother, linear_track, walk_rate

T, RATE, N = 100.0, 0.7, 400
TIME = (np.arange(N) + 0.5) * T / N


def _walks(count: int, length: float = T, n: int = N, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Walks at the grid's edges 0 … length, shape (count, n+1), and their edges."""
    steps = np.random.default_rng(seed).normal(size=(count, n)) * np.sqrt(RATE * length / n)
    return np.hstack([np.zeros((count, 1)), np.cumsum(steps, axis=1)]), np.linspace(0, length, n + 1)


def _errors(walk: np.ndarray, edges: np.ndarray, runs: np.ndarray, weight: np.ndarray) -> np.ndarray:
    at_runs = np.stack([np.interp(runs, edges, w) for w in walk])
    middle = 0.5 * (walk[:, 1:] + walk[:, :-1])
    track = linear_track(runs, at_runs.T, 0.5 * (edges[1:] + edges[:-1]))
    return (middle - track.values.T) @ weight / weight.sum()


def test_error_of_the_mean_between_two_runs_is_the_brownian_bridge() -> None:
    walk, edges = _walks(4000)
    uniform = np.ones(N)
    both = _errors(walk, edges, np.array([0.0, T]), uniform)
    one = _errors(walk, edges, np.array([0.0]), uniform)
    # 4000 walks fix a standard deviation to 1.1 %.
    assert both.std() == pytest.approx(bridge_sigma(RATE, T), rel=0.035)
    assert one.std() == pytest.approx(bridge_sigma(RATE, T, one_sided=True), rel=0.035)
    track = linear_track(np.array([0.0, T]), np.zeros(2), TIME)
    assert average_sigma(track, uniform, rate=RATE, noise_variance=0.0)[0] == pytest.approx(
        np.sqrt(RATE * T / 12), rel=2e-3
    )
    alone = linear_track(np.array([0.0]), np.zeros(1), TIME)
    assert average_sigma(alone, uniform, rate=RATE, noise_variance=0.0)[0] == pytest.approx(
        np.sqrt(RATE * T / 3), rel=4e-3
    )


def test_weighted_error_over_three_intervals_agrees_with_monte_carlo() -> None:
    walk, edges = _walks(4000, length=3 * T, n=3 * N, seed=2)
    runs = np.array([0.0, 70.0, 210.0, 300.0])
    time = 0.5 * (edges[1:] + edges[:-1])
    weight = (1 + np.sin(time / 20.0)) * ((time < 130) | (time > 160))
    errors = _errors(walk, edges, runs, weight)
    track = linear_track(runs, np.zeros(4), time)
    assert errors.std() == pytest.approx(average_sigma(track, weight, rate=RATE, noise_variance=0.0)[0], rel=0.035)


def test_a_gap_changes_the_error_as_tabled() -> None:
    # A gap of 20 h within 72 h: 0.87 × √(qT/12) where it is at the side of largest variance, the middle.
    time = (np.arange(720) + 0.5) * 0.1
    track = linear_track(np.array([0.0, 72.0]), np.zeros(2), time)
    weight = (np.abs(time - 36.0) > 10.0).astype(float)
    ratio = average_sigma(track, weight, rate=1.0, noise_variance=0.0)[0] / np.sqrt(72 / 12)
    assert ratio == pytest.approx(0.87, abs=0.03)


def test_rate_of_the_walk_is_recovered_and_its_error_stated() -> None:
    rng = np.random.default_rng(3)
    duration = np.full(2000, T)
    offsets = rng.normal(size=2000) * np.sqrt(RATE * T + 2 * 4.0)
    rate, relative = walk_rate(offsets, duration, 8.0)
    assert rate == pytest.approx(RATE, rel=4 * relative)
    assert walk_rate(offsets[:2], duration[:2], 8.0, prior_rate=RATE, prior_pairs=10**6)[0] == pytest.approx(
        RATE, rel=1e-2
    )


def test_kalman_smoother_is_the_linear_track_without_noise_and_better_with_it() -> None:
    runs = np.array([0.0, 100.0, 200.0, 300.0, 400.0])
    time = np.linspace(0.5, 399.5, 400)
    values = np.array([1.0, -2.0, 0.5, 3.0, 2.0])
    exact = kalman_smoother(runs, values, time, rate=RATE, noise_variance=1e-9)
    np.testing.assert_allclose(exact.values, linear_track(runs, values, time).values, atol=1e-5)
    gains = []
    for noise in (0.0, RATE * T, 10 * RATE * T):
        linear = np.hypot(
            *average_sigma(linear_track(runs, values, time), np.ones(400), rate=RATE, noise_variance=noise)
        )
        smooth = kalman_smoother(runs, values, time, rate=RATE, noise_variance=max(noise, 1e-9))
        gains.append(np.hypot(*average_sigma(smooth, np.ones(400), rate=RATE, noise_variance=noise)) / linear)
    # Nothing to gain for noiseless runs: the linear track is the optimum. The gain grows with end-point noise.
    assert gains[0] == pytest.approx(1.0, abs=1e-4)
    assert gains[2] < gains[1] < 1.0
    walk, edges = _walks(3000, length=400.0, n=400, seed=5)
    noisy = np.stack([np.interp(runs, edges, w) for w in walk]) + np.sqrt(10 * RATE * T) * np.random.default_rng(
        6
    ).normal(size=(3000, 5))
    smooth = kalman_smoother(runs, noisy.T, time, rate=RATE, noise_variance=10 * RATE * T)
    middle = np.stack([np.interp(time, edges, w) for w in walk])
    stated = np.hypot(*average_sigma(smooth, np.ones(400), rate=RATE, noise_variance=10 * RATE * T))
    assert (middle - smooth.values.T).mean(axis=1).std() == pytest.approx(stated, rel=0.04)
