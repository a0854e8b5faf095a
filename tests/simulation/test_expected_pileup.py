"""Pileup without counting noise against single hits that are clustered one by one."""

from __future__ import annotations

import numpy as np
import pytest

from gminus2.simulation.expected_pileup import FINE_BINS, FINE_MEV, merge

SEPARATION, BEGIN, WINDOW = 0.005, 0.010, 0.005
RATE = 4.0  # hits per µs: λ = 0.02
FIRST_US, LAST_US = 30.0, 400.0


@pytest.fixture(scope="module")
def expected() -> tuple[np.ndarray, np.ndarray]:
    shape = np.zeros(FINE_BINS)
    shape[8:112] = 1.0 / 104.0  # flat from 200 to 2800 MeV
    seen = np.repeat(shape[:, None] * RATE * 0.1492, 4700, axis=1)
    counts, net, _ = merge(seen, SEPARATION, (BEGIN, BEGIN + WINDOW), np.ones((17, 4700)), 0.0)
    inside = slice(round(FIRST_US / 0.1492), round(LAST_US / 0.1492))
    return counts[:, inside].sum(axis=1), net[:, inside].sum(axis=1)


@pytest.fixture(scope="module")
def simulated() -> tuple[np.ndarray, np.ndarray, int]:
    rng = np.random.default_rng(11)
    fills = 1500
    length = (round(LAST_US / 0.1492) - round(FIRST_US / 0.1492)) * 0.1492
    number = rng.poisson(RATE * length * fills)
    # Fills end to end, with a gap between them.
    fill = rng.integers(0, fills, number)
    time = np.sort(fill * (length + 1.0) + rng.random(number) * length)
    energy = 8 * FINE_MEV + 104 * FINE_MEV * rng.random(number)
    new = np.concatenate([[True], np.diff(time) >= SEPARATION])
    cluster = np.cumsum(new) - 1
    total = np.bincount(cluster, energy)
    when = np.bincount(cluster, energy * time) / total
    bins = np.minimum((total / 50.0).astype(int), 127)
    counts = np.bincount(bins, minlength=128).astype(float)
    # The first cluster that follows in the window.
    index = np.searchsorted(when, when + BEGIN)
    good = (index < when.size) & (when[np.minimum(index, when.size - 1)] < when + BEGIN + WINDOW)
    i, j = np.flatnonzero(good), index[good]
    net = np.bincount(np.minimum(((total[i] + total[j]) / 50.0).astype(int), 127), minlength=128).astype(float)
    net -= np.bincount(bins[i], minlength=128) + np.bincount(bins[j], minlength=128)
    return counts, net, fills


def test_merged_spectrum_is_that_of_clustered_hits(
    expected: tuple[np.ndarray, np.ndarray], simulated: tuple[np.ndarray, np.ndarray, int]
) -> None:
    counts, _, fills = simulated
    for low, high in ((4, 20), (20, 56), (58, 72), (72, 110), (112, 128)):
        found, mean = counts[low:high].sum(), fills * expected[0][low:high].sum()
        assert found > 100
        # Doublets straddle edges by half a bin of 25 MeV: a percent of them.
        assert abs(found - mean) < 4.0 * np.sqrt(mean) + (0.004 * mean if low >= 58 else 0.0)


def test_shadow_window_is_that_of_clustered_hits(
    expected: tuple[np.ndarray, np.ndarray], simulated: tuple[np.ndarray, np.ndarray, int]
) -> None:
    _, net, fills = simulated
    for low, high in ((4, 20), (20, 56), (58, 110)):
        found, mean = net[low:high].sum(), fills * expected[1][low:high].sum()
        assert found == pytest.approx(mean, abs=3.5 * np.sqrt(1.5 * abs(mean)) + 0.004 * abs(mean))
