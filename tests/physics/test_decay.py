"""Decay kinematics: sampled decays against the closed forms of the laboratory."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numba import njit

from gminus2.constants import GAMMA_MAGIC
from gminus2.physics.decay import (
    E_MAX_MEV,
    ELECTRON_MASS_MEV,
    asymmetry_above,
    fraction_above,
    lab_asymmetry,
    lab_spectrum,
    mean_vertical_angle,
    michel_quantile_table,
    positron,
)
from gminus2.physics.numerics import philox, uniform


@njit(cache=True)
def _decays(n, table, psi, tilt, slope_r, slope_y):  # type: ignore[no-untyped-def]
    out = np.empty((n, 4))
    cells = table.size - 1
    for i in range(n):
        w = philox(i, 0, 7, 0, 99, 1)
        u = uniform(w[0]) * cells
        c = int(u)
        x = table[c] + (u - c) * (table[c + 1] - table[c])
        out[i] = positron(
            x,
            uniform(w[1]),
            uniform(w[2]),
            math.sin(psi),
            math.cos(psi),
            math.sin(tilt),
            math.cos(tilt),
            1.0,
            GAMMA_MAGIC,
            slope_r,
            slope_y,
        )
    return out


N = 1_000_000


@pytest.fixture(scope="module")
def forward() -> np.ndarray:
    """Decays with the spin along the momentum."""
    return np.asarray(_decays(N, michel_quantile_table(), 0.0, 0.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def backward() -> np.ndarray:
    """Decays with the spin against the momentum."""
    return np.asarray(_decays(N, michel_quantile_table(), math.pi, 0.0, 0.0, 0.0))


def test_endpoint_is_3095_mev() -> None:
    assert pytest.approx(3095.25, abs=0.01) == E_MAX_MEV


def test_spectrum_and_asymmetry_of_sampled_decays_follow_the_lab_formulas(
    forward: np.ndarray, backward: np.ndarray
) -> None:
    edges = np.linspace(0.0, 1.0, 41)
    up = np.histogram(forward[:, 0] / E_MAX_MEV, edges)[0].astype(float)
    down = np.histogram(backward[:, 0] / E_MAX_MEV, edges)[0].astype(float)
    expected = 2.0 * N * -np.diff(fraction_above(edges))
    chi2 = float(np.sum((up + down - expected) ** 2 / expected))
    assert chi2 < 40 + 4 * math.sqrt(80)
    asymmetry = (up - down) / (up + down)
    centre = np.array(
        [
            np.average(lab_asymmetry(y := np.linspace(a, b, 101)), weights=lab_spectrum(y) + 1e-12)
            for a, b in itertools.pairwise(edges)
        ]
    )
    pull = (asymmetry - centre) / np.sqrt((1 - centre**2 + 1e-6) / (up + down))
    assert np.abs(pull[1:-1]).max() < 4.5
    assert float(np.mean(pull[1:-1] ** 2)) == pytest.approx(1.0, abs=0.8)


def test_threshold_integrals_agree_with_counting(forward: np.ndarray, backward: np.ndarray) -> None:
    for y in (0.3, 0.55, 0.8):
        up, down = (float(np.sum(s[:, 0] > y * E_MAX_MEV)) for s in (forward, backward))
        assert (up + down) / (2 * N) == pytest.approx(float(fraction_above(y)), rel=5e-3)
        assert (up - down) / (up + down) == pytest.approx(float(asymmetry_above(y)), abs=4e-3)


def test_positrons_are_on_the_mass_shell_and_directions_follow_the_muon(forward: np.ndarray) -> None:
    energy, momentum = forward[:, 0], np.linalg.norm(forward[:, 1:], axis=1)
    assert np.abs(energy**2 - momentum**2 - ELECTRON_MASS_MEV**2).max() < 1e-5
    tilted = _decays(2000, michel_quantile_table(), 0.0, 0.0, 0.02, -0.01)
    straight = forward[:2000]
    assert np.allclose(np.linalg.norm(tilted[:, 1:], axis=1), np.linalg.norm(straight[:, 1:], axis=1))
    # Rotating back by the slopes gives the untilted momenta.
    assert tilted[:, 1].sum() - straight[:, 1].sum() == pytest.approx(0.02 * straight[:, 2].sum(), rel=2e-3)
    assert tilted[:, 3].sum() - straight[:, 3].sum() == pytest.approx(-0.01 * straight[:, 2].sum(), rel=2e-3)


def test_vertical_spin_gives_the_vertical_angle_of_the_formula() -> None:
    sample = _decays(N, michel_quantile_table(), 0.5 * math.pi, 0.5 * math.pi, 0.0, 0.0)
    y = sample[:, 0] / E_MAX_MEV
    for low, high in ((0.40, 0.50), (0.60, 0.70)):
        chosen = (y > low) & (y < high)
        angle = sample[chosen, 3] / sample[chosen, 2]
        grid = np.linspace(low, high, 101)
        expected = np.average(mean_vertical_angle(grid), weights=lab_spectrum(grid))
        assert angle.mean() == pytest.approx(expected, abs=4 * angle.std() / math.sqrt(chosen.sum()))


def test_quantile_table_solves_its_equation() -> None:
    x = michel_quantile_table(512)
    assert np.allclose(x**3 * (2 - x), np.linspace(0, 1, 513), atol=1e-12)
