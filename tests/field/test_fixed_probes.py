"""Gridding, quality and footprint of the fixed probes."""

from __future__ import annotations

import numpy as np
import pytest

from gminus2.data.nmr import FixedReadings, TrolleyRun
from gminus2.errors import DataError
from gminus2.field.footprint import remove_footprint
from gminus2.field.gridding import fill_dead_probes, grid_fixed_probes
from gminus2.field.stations import station_algebra
from gminus2.physics.probes import probe_station, station_azimuths_deg, station_edges_deg, stations

HZ_PPB = 0.06179


def _readings(n: int = 1200, cadence: float = 1.67, noise: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    time = np.arange(n) * cadence + 0.3
    offset = rng.normal(size=378) * 300
    f = offset + 5 * np.sin(time / 200.0)[:, None] + noise * rng.normal(size=(n, 378))
    return time, f.astype(np.float32)


def test_the_grid_preserves_the_time_integral() -> None:
    time = np.sort(np.random.default_rng(1).uniform(0.0, 1000.0, 900))
    f = (40.0 + 3 * np.sin(time / 30.0))[:, None] * np.ones((1, 378))
    edges = np.arange(0.0, 1001.0, 1.0)
    grid = grid_fixed_probes(FixedReadings(time, f.astype(np.float32)), edges, slack_hz=100.0)
    inside = slice(10, 990)
    expected = np.interp(edges, time, np.concatenate([[0], np.cumsum(0.5 * (f[1:, 0] + f[:-1, 0]) * np.diff(time))]))
    # Bin edges inside an interval are cut exactly: compare with a fine integral of the interpolant.
    fine = np.arange(10.0, 990.0, 0.001) + 0.0005
    total = np.interp(fine, time, f[:, 0].astype(np.float32)).sum() * 0.001
    assert grid.f_hz[inside, 0].sum() == pytest.approx(total, rel=1e-9)
    assert expected[990] - expected[10] == pytest.approx(total, rel=2e-3)


def test_spikes_nan_and_dead_probes_are_found_but_steps_of_the_magnet_are_not() -> None:
    time, f = _readings()
    f[600:] += 35.0
    f[100, 5] += 900.0
    f[200, 6] -= 30.0
    f[300, 7] = np.nan
    f[:, 50] = np.nan
    grid = grid_fixed_probes(FixedReadings(time, f), np.arange(0.0, 2000.0, 10.0))
    bad = np.round(grid.bad_fraction * 1200).astype(int)
    assert bad[[5, 6, 7, 50]].tolist() == [1, 1, 1, 1200]
    assert bad.sum() == 1203
    assert grid.dead == (50,)
    assert np.median(grid.noise_hz[:40]) == pytest.approx(0.5, rel=0.05)
    filled = fill_dead_probes(grid)
    assert np.isfinite(filled.f_hz).all()
    change = filled.f_hz - filled.f_hz.mean(axis=0)
    assert np.std(change[:, 50] - change[:, 51]) < 0.3


def test_wrong_tables_and_times_are_refused() -> None:
    time, f = _readings(200)
    edges = np.arange(0.0, 300.0, 10.0)
    with pytest.raises(DataError, match="wrong shape"):
        grid_fixed_probes(FixedReadings(time, f[:, :377]), edges)
    with pytest.raises(DataError, match="do not increase"):
        grid_fixed_probes(FixedReadings(time[::-1].copy(), f), edges)
    with pytest.raises(DataError, match="no fixed-probe readings"):
        grid_fixed_probes(FixedReadings(time[:0], f[:0]), edges)
    f[:, :150] = np.nan
    with pytest.raises(DataError, match="too many fixed probes are dead"):
        grid_fixed_probes(FixedReadings(time, f), edges)


def test_the_trolleys_image_is_removed_to_a_ppb_at_the_ends_of_the_pass_too() -> None:
    bins = np.arange(5.0, 6000.0, 10.0)
    run_time = np.arange(700.0, 700.0 + 4386.0, 5.0)
    azimuth = (run_time - 700.0) / 4386.0 * 360.0
    f4 = np.zeros((len(run_time), 17))
    run = TrolleyRun(run_time, azimuth, run_time * 0 + 28, f4, f4, f4 == 0)
    drift = 4 * np.sin(bins / 900.0)[:, None] + (bins / 6000.0)[:, None] * np.linspace(-3, 3, 72)[probe_station()]
    where = np.interp(bins, run_time, azimuth, left=np.nan, right=np.nan)
    distance = (where[:, None] - station_azimuths_deg()[probe_station()] + 1.5 + 540) % 360 - 180
    image = np.where(np.abs(distance) < 11, 40 * np.cos(np.pi / 2 * distance / 11) ** 2, 0.0)
    image = np.nan_to_num(image) * np.linspace(0.5, 1.5, 378)
    f = drift + image
    largest = remove_footprint(bins, f, (run,))
    assert largest == pytest.approx(40 * np.linspace(0.5, 1.5, 378), rel=0.25)
    left = station_algebra().moments(f - drift)[:, :, 0]
    edges = station_edges_deg()
    during = np.isfinite(where)
    assert abs((left[during] @ ((edges[:, 1] - edges[:, 0]) / 360)).mean()) < 1.0 * HZ_PPB
    # Each station where it is synchronised, first and last stations of the pass included.
    for s in range(72):
        inside = during & (((np.nan_to_num(where) - edges[s, 0]) % 360) < edges[s, 1] - edges[s, 0])
        probes = list(stations()[s].probe_ids)
        assert abs((f - drift)[inside][:, probes].mean()) < 5.0 * HZ_PPB
