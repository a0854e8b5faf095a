"""The modes without single muons: the density of fast toys, and the shift of an expected rate."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import curve_fit

from gminus2.config.campaign import Effects
from gminus2.simulation.dataset import DatasetSimulation
from gminus2.simulation.expected import expected_rate, project_acceptance
from gminus2.simulation.fast import EnergyTable, energy_table, fast_chunk


@pytest.fixture(scope="module")
def table() -> EnergyTable:
    return energy_table(polarisation=0.95, spin_phase_rad=2.08, decays=200_000)


def test_fast_toys_have_the_five_parameter_density_at_every_energy(table: EnergyTable) -> None:
    f_a, lifetime, events = 0.22908, 64.38, 4_000_000
    counts = fast_chunk(table, events, f_a_mhz=f_a, seed=1, dataset=0, chunk=0, lifetime_us=lifetime)
    # Independent route: integrate the density over the cells of the table and the bins of time.
    middle = 0.5 * (table.energy[1:] + table.energy[:-1])
    edges = 0.1492 * np.arange(4701)
    rate = complex(-1.0 / lifetime, 2 * math.pi * f_a)
    plain = -np.diff(np.exp(-edges / lifetime))
    wave = np.diff(np.exp(rate * edges)) / rate / lifetime
    for low, high in ((500, 1000), (1000, 1500), (1700, 3200), (2600, 3200)):
        cells = (middle >= low) & (middle < high)
        amplitude = np.mean(table.asymmetry[cells] * np.exp(2j * math.pi * table.phase[cells]))
        kept = 0.5 * (1.0 + math.exp(-0.5 / f_a / lifetime))  # the rest of the fold falls before 0
        expected = kept * events * cells.mean() * (plain + (amplitude * wave).real)
        found = counts[low // 50 : high // 50].sum(axis=0)
        use = expected > 25
        chi2 = float(np.sum((found[use] - expected[use]) ** 2 / expected[use]))
        # Cells that straddle an energy edge move a few counts: that, and statistics.
        assert found.sum() == pytest.approx(expected.sum(), rel=4e-3)
        assert (chi2 - use.sum()) / math.sqrt(2 * use.sum()) < 4.5


def test_fast_chunks_depend_on_their_key_only(table: EnergyTable) -> None:
    one = fast_chunk(table, 5000, f_a_mhz=0.229, seed=1, dataset=0, chunk=3)
    assert np.array_equal(one, fast_chunk(table, 5000, f_a_mhz=0.229, seed=1, dataset=0, chunk=3))
    assert not np.array_equal(one, fast_chunk(table, 5000, f_a_mhz=0.229, seed=1, dataset=0, chunk=4))
    assert one.sum() == pytest.approx(5000 * 0.982, abs=60)


def test_energy_table_has_the_geometric_yield_and_asymmetry(table: EnergyTable) -> None:
    assert table.per_decay == pytest.approx(0.397, abs=0.005)
    middle = 0.5 * (table.energy[1:] + table.energy[:-1])
    above = middle > 1700.0
    z = np.mean(table.asymmetry[above] * np.exp(2j * math.pi * table.phase[above]))
    assert abs(z) == pytest.approx(0.366, abs=0.006)
    assert 2.08 - np.angle(z) == pytest.approx(17e-3, abs=12e-3)


def _fitted(counts: np.ndarray) -> float:
    t = 0.1492 * (np.arange(4700) + 0.5)
    window = slice(202, 3000)

    def model(t: np.ndarray, n: float, tau: float, a: float, r: float, phi: float) -> np.ndarray:
        return np.asarray(n * np.exp(-t / tau) * (1 + a * np.cos(2 * math.pi * 0.2291 * (1 + 1e-6 * r) * t + phi)))

    start = [counts[202] * 1.6, 64.4, 0.37, -85.0, 2.07]
    popt, _ = curve_fit(
        model, t[window], counts[window], p0=start, sigma=np.sqrt(counts[window]), xtol=1e-13, ftol=1e-13
    )
    return float(popt[3])


def test_paired_expected_rates_show_the_electric_field_and_pitch_shift_in_ppb(
    prepared: Callable[..., DatasetSimulation],
) -> None:
    quiet = Effects(lost_muons=0.0, cbo=False, voltage_history=False)
    on = prepared(effects=quiet)
    off = prepared(effects=quiet.model_copy(update={"electric_field": False, "pitch": False}))
    acceptance = project_acceptance(on.pool, decays=60_000, seed=1)
    fitted = []
    for simulation in (on, off):
        rate = expected_rate(
            simulation.pool,
            acceptance,
            muons=24,
            decays=1e9,
            clock_offset=0.0,
            resolution_stochastic=0.043,
            resolution_constant=0.015,
        )
        fitted.append(_fitted(rate.above(1700.0).sum(axis=0)))
    own = 1e-3 * (on.pool.rows[:24, 14] - off.pool.rows[:24, 14]).mean()
    assert -1200 < own < -200
    # The muons enter with their acceptance and lifetime, which differ by percents.
    assert 1e3 * (fitted[0] - fitted[1]) == pytest.approx(own, rel=0.06)
