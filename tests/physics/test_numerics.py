"""Random numbers and elementary functions of the kernels, against known answers and the mathematical library."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numba import njit
from scipy import stats

from gminus2.physics.numerics import cos_turns, gaussian_pair, log_uniform, philox, sincos_turns, uniform


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_known_answers_of_its_authors(
    counter: tuple[int, ...], key: tuple[int, ...], answer: tuple[int, ...]
) -> None:
    assert philox(*counter, *key) == answer


def test_sine_and_cosine_in_turns_hold_for_thousands_of_turns() -> None:
    turns = np.concatenate([np.linspace(-1.3, 1.3, 501), np.linspace(0.0, 5000.0, 333)])
    for t in turns:
        fraction = math.fmod(t, 1.0)
        s, c = sincos_turns(t)
        assert s == pytest.approx(math.sin(2 * math.pi * fraction), abs=4e-15 + 1e-15 * abs(t))
        assert c == pytest.approx(math.cos(2 * math.pi * fraction), abs=4e-15 + 1e-15 * abs(t))
        assert cos_turns(t) == c


def test_logarithm_of_a_random_word() -> None:
    words = np.concatenate([np.arange(50), 2 ** np.arange(1, 32), np.array([2**32 - 1])])
    for word in words:
        assert log_uniform(int(word)) == pytest.approx(math.log((int(word) + 0.5) / 2**32), abs=3e-14)


@njit(cache=True)
def _sample(n):  # type: ignore[no-untyped-def]
    out = np.empty((n, 4))
    for i in range(n):
        w = philox(i, 0, 0, 0, 12345, 678)
        g0, g1 = gaussian_pair(w[0], w[1])
        out[i, 0], out[i, 1], out[i, 2], out[i, 3] = g0, g1, uniform(w[2]), uniform(w[3])
    return out


def test_uniform_and_normal_numbers_have_their_distributions() -> None:
    sample = _sample(200_000)
    for k, law in enumerate((stats.norm.cdf, stats.norm.cdf, stats.uniform.cdf, stats.uniform.cdf)):
        assert stats.kstest(sample[:, k], law).pvalue > 1e-3
    assert np.abs(np.corrcoef(sample.T) - np.eye(4)).max() < 0.01
