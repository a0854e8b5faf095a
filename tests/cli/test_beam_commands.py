"""The verbs ``fast-rotation`` and ``beam`` from file to JSON and figures, and their refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from gminus2.beam.electric_field import electric_field_ppb, ring_optics
from gminus2.beam.phase_maps import load_maps
from gminus2.beam.rotation_toy import gaussian_toy
from gminus2.beam.tracker_view import tracker_view
from gminus2.cli.main import main
from gminus2.data.campaign import AXES, CampaignDataset, empty_reconstruction, empty_shared
from gminus2.errors import ConfigError, DataError
from gminus2.random import stream


def test_fast_rotation_of_a_csv_file_gives_c_e_with_rows_and_figures(tmp_path: Path) -> None:
    toy = gaussian_toy(khz_per_ns=0.1, stop_us=160.0)
    counts = toy.sample(stream(21, "csv"), 1e8).counts[0]
    file = tmp_path / "rotation.csv"
    times = np.arange(counts.size) + 0.5
    np.savetxt(file, np.c_[times, counts], delimiter=",", header="time [ns],counts", comments="", fmt=["%.1f", "%d"])
    out = tmp_path / "out"
    found = CliRunner().invoke(main, ["fast-rotation", str(file), "--output", str(out), "--scan-start", "4,12,50"])
    assert found.exit_code == 0, found.output
    assert "C_e" in found.output
    assert "quad calibration" in found.output
    result = json.loads((out / "fast_rotation.json").read_text())
    truth = toy.mean(lambda f: electric_field_ppb(f, ring_optics(0.108).alpha_p))
    assert result["C_e"]["value_ppb"] == pytest.approx(truth, rel=0.01)
    assert set(result["C_e"]["rows_ppb"]) == {
        "statistics",
        "fourier_method",
        "momentum_time",
        "density_shape",
        "quad_calibration",
        "field_index",
    }
    assert result["momentum_time_correlation"] == pytest.approx(-0.242, abs=0.02)
    assert "refused" in result["scan_start"][2]
    assert "C_e_ppb" in result["scan_start"][1]
    for name in ("rotation_signal.png", "momentum.png", "start_scan.png"):
        assert (out / name).stat().st_size > 10_000


def test_a_149_ns_histogram_is_refused_without_a_number(tmp_path: Path) -> None:
    t = 149.2 * (np.arange(4000) + 0.5)
    file = tmp_path / "wiggle.csv"
    counts = np.rint(1e6 * np.exp(-t / 64_400.0) * (1.0 + 0.37 * np.cos(1.4393e-3 * t)))
    np.savetxt(file, np.c_[t, counts], delimiter=",", header="time [ns],counts", comments="", fmt=["%.4f", "%d"])
    found = CliRunner().invoke(main, ["fast-rotation", str(file), "--output", str(tmp_path / "o")])
    assert isinstance(found.exception, DataError)
    assert "too coarse" in found.exception.message
    assert not (tmp_path / "o" / "fast_rotation.json").exists()


def _campaign(folder: Path) -> tuple[float, float]:
    """Write a dataset with a rotation, tracks and triples made here, without the simulation; return C_e and ⟨y²⟩."""
    toy = gaussian_toy(stop_us=300.0, mean_khz=6699.0, sigma_khz=8.5)
    generator = stream(22, "campaign")
    shared, arrays = empty_shared(), empty_reconstruction()
    # One signal for all 24 calorimeters, each a whole number of bins later; the rest of the phase is below 1 %.
    single = toy.expected[0]
    for k in range(24):
        delay = round(149.14337 * k / 24.0)
        shared["fast_rotation"][k] = generator.poisson(4e6 * np.roll(single, delay))
    width = AXES["time_width_us"]
    t = width * (np.arange(int(AXES["n_time"])) + 0.5)
    edges = np.arange(-60.0, 61.0, 2.0)
    view = tracker_view()
    tracks = 300_000
    amplitude = generator.rayleigh(12.8, tracks)
    amplitude = amplitude[amplitude < 45.0]
    y = amplitude * np.cos(generator.uniform(0.0, 2.0 * np.pi, amplitude.size))
    x = generator.normal(6.0, 13.0, amplitude.size)
    when = 30.0 + generator.exponential(64.4, amplitude.size)
    seen = generator.random(amplitude.size) < view.along_y(y) * view.along_x(x) / 1.5
    y, x, when = y[seen], x[seen], when[seen]
    inside = when < t[-1]
    it = (when[inside] / width).astype(int)
    for station in range(2):
        half = np.arange(it.size) % 2 == station
        for name, values, sigma in (("track_y", y, (3.0, view.smear_y_mm)), ("track_x", x, (4.0, view.smear_x_mm))):
            smeared = values[inside] + generator.normal(0.0, np.hypot(*sigma), it.size)
            k = np.digitize(smeared, edges) - 1
            good = half & (k >= 0) & (k < 60)
            np.add.at(shared[name], (station, k[good], it[good]), 1)
    decays = 4e7 * np.exp(-t / 64.38) * width / 64.38
    arrays["counts"][:, 40, :] = generator.poisson(decays * load_maps().hits_per_decay / 24.0, (24, t.size))
    stored = 4e7 * np.exp(-t / 64.38)
    arrays["coincidences"][0] = generator.poisson(0.72 * 8e-5 * np.exp(-t / 60.0) * stored * width)
    CampaignDataset(
        name="made",
        fills=1,
        hits=1,
        reconstructions={"global": arrays},
        shared=shared,
        settings={"detector": {"tracker_x_mm": 4.0, "tracker_y_mm": 3.0}},
        conditions={"field_index": 0.108},
    ).write(folder / "made.h5")
    truth = toy.mean(lambda f: electric_field_ppb(f, ring_optics(0.108).alpha_p))
    return truth, 0.5 * float(np.mean(amplitude**2))


def test_beam_measures_all_five_corrections_of_a_dataset(tmp_path: Path) -> None:
    c_e, square = _campaign(tmp_path)
    out = tmp_path / "out"
    found = CliRunner().invoke(main, ["beam", str(tmp_path), "--output", str(out)])
    assert found.exit_code == 0, found.output
    result = json.loads((out / "beam.json").read_text())["datasets"]["made"]
    assert abs(result["C_e"]["value_ppb"] - c_e) < 3.0 * result["C_e"]["uncertainty_ppb"]
    c_p = 1e9 * 0.5 * ring_optics(0.108).mean_gamma_y * square / 21_500.0
    assert result["C_p"]["value_ppb"] == pytest.approx(c_p, rel=0.04)
    assert abs(result["C_pa"]["value_ppb"]) < 3.0 * result["C_pa"]["uncertainty_ppb"]
    assert result["losses"]["rate_per_us"] == pytest.approx(8e-5, rel=0.1)
    assert -10.0 < result["C_ml"]["value_ppb"] < 0.0
    parts = result["C_dd"]["parts_ppb"]
    assert parts["momentum_phase"] < 0.0 < parts["momentum_position"]
    assert (out / "made_phase.png").exists()
    assert (out / "phase_map.png").exists()


def test_beam_refuses_folders_without_a_campaign(tmp_path: Path) -> None:
    runner = CliRunner()
    assert isinstance(runner.invoke(main, ["beam", str(tmp_path / "none")]).exception, DataError)
    assert "no datasets" in str(runner.invoke(main, ["beam", str(tmp_path)]).exception)
    (tmp_path / "a.h5").write_bytes(b"not hdf5")
    assert isinstance(runner.invoke(main, ["beam", str(tmp_path), "--dataset", "b"]).exception, ConfigError)
    assert isinstance(runner.invoke(main, ["beam", str(tmp_path)]).exception, DataError)
