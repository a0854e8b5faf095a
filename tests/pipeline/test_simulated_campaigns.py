"""Campaign runs: the same histograms on any executor, after a kill, and from stored hits; no half results."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from gminus2.cli.main import main
from gminus2.config.campaign import BeamConfig, Campaign, DatasetConfig, Effects, changed_campaign
from gminus2.config.starter import starter_toml
from gminus2.data import make_provenance
from gminus2.data.campaign import RECONSTRUCTION_ARRAYS, SHARED_ARRAYS, CampaignDataset
from gminus2.errors import ConfigError, DataError, StoreError
from gminus2.pipeline import simulated
from gminus2.pipeline.reduce import reduce_files
from gminus2.pipeline.simulated import simulate_campaign
from gminus2.simulation.beams import stored_beam
from gminus2.simulation.truth import draw_nature, read_truth

TINY = Campaign(
    name="tiny",
    seed=11,
    pool_muons=5000,
    fills_per_batch=16,
    datasets=(DatasetConfig(name="a", fills=60, muons_per_fill=400.0),),
)


def arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    dataset = CampaignDataset.read(path)
    result = {f"shared/{name}": dataset.shared[name] for name in SHARED_ARRAYS}
    for reconstruction, values in dataset.reconstructions.items():
        result |= {f"{reconstruction}/{name}": values[name] for name in RECONSTRUCTION_ARRAYS}
    return result


def assert_identical(one: Path, two: Path) -> None:
    a, b = arrays(one), arrays(two)
    assert a.keys() == b.keys()
    different = [name for name in a if not np.array_equal(a[name], b[name])]
    assert not different


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One worker, no threads, hits kept."""
    folder = tmp_path_factory.mktemp("serial")
    simulate_campaign(TINY, folder, backend="serial", keep_hits=True)
    return folder


def test_two_threads_and_another_batch_size_give_identical_histograms(reference: Path, tmp_path: Path) -> None:
    run = simulate_campaign(TINY.model_copy(update={"fills_per_batch": 32}), tmp_path, backend="threads", workers=2)
    assert run.batches_done == 2
    assert_identical(reference / "a.h5", tmp_path / "a.h5")
    one, two = (read_truth(folder / "truth" / "truth.json")["datasets"] for folder in (reference, tmp_path))
    assert one == two
    assert run.warnings == ()
    assert not (tmp_path / ".work").exists()


def test_a_tracked_ensemble_that_is_used_up_is_reported(tmp_path: Path) -> None:
    beam = BeamConfig()
    stored_beam(beam, Effects(), seed=3, dataset=0, count=600).write(tmp_path / "beam.h5", make_provenance("test"))
    own = DatasetConfig(name="a", fills=32, muons_per_fill=500.0, beam=BeamConfig(ensemble="beam.h5"))
    campaign = TINY.model_copy(update={"datasets": (own,)})
    run = simulate_campaign(campaign, tmp_path / "out", folder=tmp_path, backend="serial")
    assert len(run.warnings) == 1
    assert "600 muons of the ensemble" in run.warnings[0]
    truth: dict[str, Any] = read_truth(run.truth)["datasets"]["a"]["pool"]
    total = truth["electric_field_ppb"] + truth["pitch_ppb"]
    assert total == pytest.approx(-(truth["ensemble_C_e_ppb"] + truth["ensemble_C_p_ppb"]), rel=0.1)


def test_stored_hits_reduce_to_the_histograms_of_the_direct_pass(reference: Path) -> None:
    files = sorted((reference / "hits").glob("*.h5"))
    dataset = reduce_files(files[::-1], TINY.reduction)
    direct = CampaignDataset.read(reference / "a.h5")
    assert dataset.fills == direct.fills == 60
    for name in SHARED_ARRAYS:
        assert np.array_equal(dataset.shared[name], direct.shared[name]), name
    for reconstruction, values in direct.reconstructions.items():
        for name in RECONSTRUCTION_ARRAYS:
            assert np.array_equal(dataset.reconstructions[reconstruction][name], values[name]), name


def test_the_same_fills_twice_are_refused(reference: Path) -> None:
    files = sorted((reference / "hits").glob("*.h5"))
    with pytest.raises(DataError, match="same fills"):
        reduce_files([files[0], files[1], files[0]], TINY.reduction)
    with pytest.raises(DataError, match="nothing to reduce"):
        reduce_files([], TINY.reduction)


def test_killed_with_signal_9_in_the_middle_it_resumes_to_identical_histograms(reference: Path, tmp_path: Path) -> None:
    config, output = tmp_path / "tiny.toml", tmp_path / "out"
    config.write_text(starter_toml(Campaign, TINY), encoding="utf-8")
    command = [sys.executable, "-m", "gminus2", "simulate", str(config), "-o", str(output), "--backend", "serial", "-q"]
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 100.0
    # As soon as two batches are stored, and before the four of them are.
    while len(list(output.glob(".work/a-*.h5"))) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (output / "a.h5").exists()
    run = simulate_campaign(TINY, output, backend="serial", folder=tmp_path)
    assert run.batches_resumed >= 2
    assert run.batches_resumed + run.batches_done == 4
    assert_identical(reference / "a.h5", output / "a.h5")


def test_a_folder_with_unfinished_work_of_another_seed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(simulated.DatasetWork, "finish", fail)
    with pytest.raises(KeyboardInterrupt):
        simulate_campaign(TINY, tmp_path, backend="serial")
    assert list((tmp_path / ".work").glob("a-*.h5"))
    with pytest.raises(ConfigError, match="another campaign, seed or version"):
        simulate_campaign(TINY.model_copy(update={"seed": 12}), tmp_path, backend="serial")


def test_a_full_disk_leaves_nothing_that_passes_for_a_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    import gminus2.data.store as store

    monkeypatch.setattr(store.h5py.File, "create_dataset", full)
    with pytest.raises(StoreError, match="No space left"):
        simulate_campaign(TINY, tmp_path, backend="serial")
    assert not list(tmp_path.glob("*.h5"))
    assert not list(tmp_path.rglob("*.part"))


def test_a_truncated_batch_is_made_again(reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish = simulated.DatasetWork.finish

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(simulated.DatasetWork, "finish", stop)
    with pytest.raises(KeyboardInterrupt):
        simulate_campaign(TINY, tmp_path, backend="serial")
    monkeypatch.setattr(simulated.DatasetWork, "finish", finish)
    victim = tmp_path / ".work" / "a-000001.h5"
    victim.write_bytes(victim.read_bytes()[:5000])
    run = simulate_campaign(TINY, tmp_path, backend="serial")
    assert (run.batches_done, run.batches_resumed) == (1, 3)
    assert_identical(reference / "a.h5", tmp_path / "a.h5")


def test_a_dataset_of_another_schema_or_data_model_is_refused_with_one_error(reference: Path, tmp_path: Path) -> None:
    def changed(name: str, change: Callable[[h5py.File], None]) -> Path:
        path = tmp_path / f"{name}.h5"
        shutil.copy(reference / "a.h5", path)
        with h5py.File(path, "r+") as file:
            change(file)
        return path

    def data_model(file: h5py.File) -> None:
        provenance = json.loads(file.attrs["provenance"])
        file.attrs["provenance"] = json.dumps(provenance | {"data_model": "2.0"})

    def axes(file: h5py.File) -> None:
        own = json.loads(file.attrs["attributes"])
        own["axes"]["time_width_us"] = 0.15
        file.attrs["attributes"] = json.dumps(own)

    def shape(file: h5py.File) -> None:
        counts = file["reconstructions/global/counts"]
        attributes = dict(counts.attrs)
        del file["reconstructions/global/counts"]
        file["reconstructions/global/counts"] = np.zeros((24, 100, 4700), dtype=np.uint32)
        file["reconstructions/global/counts"].attrs.update(attributes)

    def lacking(file: h5py.File) -> None:
        del file["shared/fast_rotation"]

    def truncated(file: h5py.File) -> None:
        file.attrs["complete"] = False

    for name, change, words in (
        ("data_model", data_model, "data model"),
        ("axes", axes, "other axes"),
        ("shape", shape, "wrong shape"),
        ("lacking", lacking, "fast_rotation"),
        ("truncated", truncated, "never completed"),
    ):
        path = changed(name, change)
        with pytest.raises(DataError, match=words):
            CampaignDataset.read(path)
        called = CliRunner().invoke(main, ["inspect", str(path), "--output", str(tmp_path / "out")])
        assert isinstance(called.exception, DataError)  # exit code 2 and one message, by the console script
        assert not called.output
        assert not (tmp_path / "out").exists()


def test_the_truth_stays_in_its_own_file(reference: Path) -> None:
    nature = draw_nature(TINY.truth)
    assert nature.clock_offset != 0.0
    secrets = [f"{nature.a_mu!r}".encode(), f"{nature.clock_offset!r}".encode()]
    truth = read_truth(reference / "truth" / "truth.json")
    assert truth["a_mu"] == nature.a_mu
    for path in reference.rglob("*"):
        if path.is_file() and path.parent.name != "truth":
            content = path.read_bytes()
            assert not any(secret in content for secret in secrets), path


def test_changes_of_the_command_line_are_checked_like_a_file() -> None:
    changed = changed_campaign(TINY, seed=3, without=("pitch", "gain_rate"), changes=("effects.rate=5.0",))
    assert (changed.seed, changed.effects.pitch, changed.effects.gain_rate, changed.effects.rate) == (
        3,
        False,
        0.0,
        5.0,
    )
    with pytest.raises(ConfigError, match="did you mean 'pitch'"):
        changed_campaign(TINY, without=("ptich",))
    with pytest.raises(ConfigError, match="did you mean 'effects'"):
        changed_campaign(TINY, changes=("efects.rate=5",))
    with pytest.raises(ConfigError, match="no dataset"):
        changed_campaign(TINY, datasets=("z",))
    with pytest.raises(ConfigError, match="multiple of 16"):
        changed_campaign(TINY, changes=("fills_per_batch=17",))


def test_two_datasets_of_one_name_are_refused() -> None:
    twice = {"datasets": [{"name": "a"}, {"name": "a"}]}
    from gminus2.config import parse_config

    with pytest.raises(ConfigError, match="share a name"):
        parse_config(twice, Campaign, where="test")
