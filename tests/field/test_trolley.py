"""The trolley's multipole fit, its map, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gminus2.data.nmr import TrolleyRun
from gminus2.errors import DataError
from gminus2.field.trolley import find_swapped_probes, fit_multipoles, interval_weights, make_map, multipole_gain
from gminus2.physics.multipoles import MOMENTS, basis
from gminus2.physics.probes import trolley_positions_mm

POSITION = trolley_positions_mm()
DESIGN = basis(POSITION[:, 0], POSITION[:, 1], MOMENTS)
MEAN = np.array([51_871.0, 12.0, 37.0, -80.0, 28.0, 1.0, 17.0, 4.0, -86.0])


def _run(n: int = 720, noise: float = 0.0) -> tuple[TrolleyRun, Any]:
    rng = np.random.default_rng(4)
    azimuth = (np.arange(n) + 0.5) * 360 / n
    moments = MEAN + 30 * np.cos(np.radians(azimuth))[:, None] * np.linspace(1, 0.2, 9)
    f = moments @ DESIGN.T + noise * rng.normal(size=(n, 17))
    return TrolleyRun(
        np.arange(n) * 6.0, azimuth, np.full(n, 28.0), f, np.full_like(f, 0.04), np.ones(f.shape, bool)
    ), moments


def test_probes_stand_on_three_rings_starting_below() -> None:
    np.testing.assert_allclose(POSITION[:3], [[0, 0], [0, -17.5], [17.5, 0]], atol=1e-12)
    np.testing.assert_allclose(np.hypot(*POSITION[5:].T), 35.0)


def test_a_nine_moment_field_is_recovered_exactly_with_any_probe_missing() -> None:
    run, moments = _run()
    fit = fit_multipoles(run.f_hz, run.good)
    np.testing.assert_allclose(fit.moments, moments, atol=1e-8)
    good = run.good.copy()
    good[np.arange(17), np.arange(17)] = False
    np.testing.assert_allclose(fit_multipoles(run.f_hz, good).moments, moments, atol=1e-8)


def test_rank_and_gain_of_the_fit_are_the_tabled_ones() -> None:
    rank, gain = multipole_gain()
    assert rank == 9
    expected = {
        "D": 0.24,
        "NQ": 0.50,
        "SQ": 0.50,
        "NS": 0.66,
        "SS": 0.675,
        "NO": 0.87,
        "SO": 0.87,
        "ND": 1.11,
        "SD": 1.11,
    }
    assert gain == pytest.approx(expected, abs=0.006)
    assert multipole_gain((*MOMENTS, "N5", "S5"))[1]["S5"] == pytest.approx(1.43, abs=0.01)
    # A twelve-fold ring cannot see S6; the predecessor's fourteen terms amplify noise a hundredfold.
    assert multipole_gain((*MOMENTS, "N5", "S5", "N6", "S6"))[0] == 12
    gains = multipole_gain((*MOMENTS, "N5", "S5", "N6", "N7", "S7"))[1]
    assert max(gains.values()) > 100


def test_map_covers_the_ring_and_survives_wild_and_lost_readings() -> None:
    run, _ = _run(noise=0.05)
    f, good = run.f_hz.copy(), run.good.copy()
    f[100, 3] += 500.0
    f[200, 7] = np.nan
    good[300, 9] = False
    one = make_map(replace(run, f_hz=f, good=good), np.zeros(17), 28.0)
    np.testing.assert_allclose(one.ring_mean, MEAN, atol=0.02)
    assert one.weight_deg.sum() == pytest.approx(360.0)
    assert one.bad_fraction == pytest.approx(3 / run.f_hz.size, rel=1e-6)


def test_exchanged_probes_are_found_and_named() -> None:
    run, _ = _run(noise=0.05)
    f = run.f_hz.copy()
    f[:, [6, 11]] = f[:, [11, 6]]
    with pytest.raises(DataError, match="probes 6 and 11 look exchanged"):
        make_map(replace(run, f_hz=f), np.zeros(17), 28.0)
    assert find_swapped_probes(run.f_hz, np.zeros(17)) is None


def test_holes_wrong_shapes_and_dead_runs_are_refused() -> None:
    run, _ = _run()
    keep = (run.azimuth_deg < 100) | (run.azimuth_deg > 106)
    hole = TrolleyRun(
        *(getattr(run, n)[keep] for n in ("time_s", "azimuth_deg", "temperature_c", "f_hz", "sigma_hz", "good"))
    )
    with pytest.raises(DataError, match=r"gap of 6\.50"):
        make_map(hole, np.zeros(17), 28.0)
    with pytest.raises(DataError, match="wrong shape"):
        make_map(replace(run, f_hz=run.f_hz[:, :16]), np.zeros(16), 28.0)
    with pytest.raises(DataError, match="readings of a trolley run are bad"):
        make_map(replace(run, f_hz=np.full_like(run.f_hz, np.nan)), np.zeros(17), 28.0)
    with pytest.raises(DataError, match="do not increase"):
        make_map(replace(run, time_s=run.time_s[::-1]), np.zeros(17), 28.0)


def test_station_averages_are_cut_exactly_at_the_stations_edges() -> None:
    azimuth = (np.arange(500) * 0.72 + 0.3) % 360
    slope = np.where(azimuth > 180, azimuth - 360, azimuth)
    readings, weight = interval_weights(azimuth, -2.03, 3.41)
    assert weight @ slope[readings] == pytest.approx(0.5 * (3.41 - 2.03), abs=1e-9)
    total = np.zeros(500)
    for low in np.arange(0, 360, 4.5):
        readings, weight = interval_weights(azimuth, low, low + 4.5)
        np.add.at(total, readings, weight * 4.5)
    np.testing.assert_allclose(total, 0.72, atol=1e-9)


def test_a_wild_probe_is_cut_and_not_its_neighbour() -> None:
    run, moments = _run(noise=0.05)
    f = run.f_hz.copy()
    for k in range(200):
        f[k, k % 17] += 3000.0 if k % 2 else -30.0
    one = make_map(replace(run, f_hz=f), np.zeros(17), 28.0)
    assert len(one.time_s) == 720
    np.testing.assert_allclose(one.moments[:, 0], moments[:, 0], atol=0.2)


@pytest.mark.parametrize("bad", [[6, 10, 12], [6, 10]])
def test_an_azimuth_whose_probes_would_leave_a_moment_to_one_of_them_stays_out(bad: list[int]) -> None:
    # Without probes 6, 10, 12 and 16 (or 7, 9, 13, 15) the design has rank 8; with one of them no residual shows it.
    run, moments = _run(noise=0.05)
    f, good = run.f_hz.copy(), run.good.copy()
    good[5, bad] = False
    f[5, 16] += 3000.0
    one = make_map(replace(run, f_hz=f, good=good), np.zeros(17), 28.0)
    assert len(one.time_s) == 719
    np.testing.assert_allclose(one.moments[:, 0], np.delete(moments[:, 0], 5), atol=0.2)
