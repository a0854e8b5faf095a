"""Height and width of the beam from crystal rows, and the vertical profile behind them."""

from __future__ import annotations

import numpy as np
import pytest

from gminus2.beam.calorimeter_rows import profile_nodes, row_drift, row_view
from gminus2.beam.phase_acceptance import detected_phasor, sensitivity, straight_line
from gminus2.beam.phase_maps import load_maps
from gminus2.errors import DataError
from gminus2.random import stream

AMPLITUDES = np.arange(0.75, 45.0, 1.5)
SHAPE = profile_nodes(AMPLITUDES, AMPLITUDES * np.exp(-0.5 * (AMPLITUDES / 13.3) ** 2))
WIDTH, PERIOD = 0.1492, 4.3653


def test_the_profile_has_unit_width_and_lighter_tails_than_a_gaussian() -> None:
    heights, weights = SHAPE
    assert weights.sum() == pytest.approx(1.0)
    assert weights @ heights == pytest.approx(0.0, abs=1e-12)
    assert weights @ heights**2 == pytest.approx(1.0)
    assert 2.5 < weights @ heights**4 < 2.9


def test_phase_answers_to_height_and_width_through_the_second_moment() -> None:
    """κ = dφ_d/d⟨y²⟩ is nearly the same for a wider and for a higher beam: dφ_d = κ (dσ² + 2ȳ dȳ)."""
    answer = sensitivity(load_maps(), np.array([7.0, 200.0, 4.0, 168.0]), SHAPE)
    assert 1e3 * answer[3] == pytest.approx(0.009, abs=0.001)
    assert answer[2] == pytest.approx(2.0 * 4.0 * answer[3], rel=0.05)
    gauss = np.angle(detected_phasor(load_maps(), np.array([[7.0] * 2, [200.0] * 2, [4.0] * 2, [167.0, 169.0]]))[0])
    assert (gauss[1] - gauss[0]) / 2.0 < 0.92 * answer[3]


def test_rows_give_back_the_drift_that_was_put_in_with_a_wiggle_and_pileup() -> None:
    """Rows from other decays than the view's own; six independent noises: pulls of both slopes."""
    other = row_view(decays=150_000, seed=7)
    bins = 2500
    t = WIDTH * (np.arange(bins) + 0.5)
    height, square = 4.0 - 1.5e-3 * (t - 90.0), 170.0 - 0.04 * (t - 90.0)
    nodes, weights = SHAPE
    coarse = np.arange(0, bins, 50)
    shares = []
    for k in coarse:
        rows = other.beam(height[k] + np.sqrt(square[k]) * nodes, weights)[17:].sum(axis=0)
        shares.append(rows / rows.sum())
    table = np.array([np.interp(t, t[coarse], column) for column in np.array(shares).T])
    table += 0.004 * np.array([1, 0, -1, -1, 0, 1])[:, None] * np.cos(2.0 * np.pi * t / PERIOD)
    rate = 4e6 * WIDTH / 64.4 * np.exp(-t / 64.4)
    flat = np.array([0.0, 0.0, 0.5, 0.5, 0.0, 0.0])
    merged = 0.01 * np.exp(-t / 64.4)
    pulls = []
    for seed in range(6):
        counts = stream(seed, "rows").poisson(rate * table).astype(np.float64)
        drift = row_drift(
            counts, np.zeros(bins), np.zeros(bins), np.zeros((64, 64)), np.ones(bins), WIDTH, SHAPE, 4.0, 170.0,
            threshold_mev=1700.0, period_us=PERIOD, start_us=30.0, stop_us=360.0,
        )  # fmt: skip
        for k, true in ((0, -1.5e-3), (1, -0.04)):
            _, slope, error = straight_line(drift.time_us, drift.values[k], drift.errors[k])
            pulls.append((slope - true) / error)
    assert np.abs(pulls).max() < 3.5
    assert 0.5 < np.std(pulls) < 1.6
    # Merged pairs lie nearer to the middle; not taken out, they look like a width that grows as the rate falls.
    raw = rate * (table + merged * (flat[:, None] - table))
    seen = row_drift(
        raw, np.zeros(bins), np.zeros(bins), np.zeros((64, 64)), np.ones(bins), WIDTH, SHAPE, 4.0, 170.0,
        threshold_mev=1700.0, period_us=PERIOD, start_us=30.0, stop_us=360.0,
    )  # fmt: skip
    assert straight_line(seen.time_us, seen.values[1], seen.errors[1])[1] > -0.03


def test_too_few_positrons_are_refused() -> None:
    with pytest.raises(DataError, match="too few positrons"):
        row_drift(
            np.ones((6, 2500)), np.zeros(2500), np.zeros(2500), np.zeros((64, 64)), np.ones(2500), WIDTH, SHAPE, 4.0,
            170.0, threshold_mev=1700.0, period_us=PERIOD, start_us=30.0, stop_us=360.0,
        )  # fmt: skip
