"""The commands simulate, reduce and inspect from the outside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gminus2.cli.main import main
from gminus2.config.campaign import Campaign, DatasetConfig, load_campaign, preset_names
from gminus2.config.starter import starter_toml
from gminus2.errors import ConfigError, DataError


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    campaign = Campaign(
        name="cli",
        pool_muons=5000,
        fills_per_batch=16,
        datasets=(DatasetConfig(name="a", fills=16, muons_per_fill=300.0),),
    )
    path = tmp_path_factory.mktemp("campaign") / "cli.toml"
    path.write_text(starter_toml(Campaign, campaign), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def simulated(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    text = run("simulate", config, "--hits", "--backend", "serial", "-o", folder)
    assert "muon decays" in text
    return folder


def test_simulate_writes_its_result_dataset_hits_and_truth(simulated: Path) -> None:
    result = json.loads((simulated / "simulate.json").read_text())
    assert result["kind"] == "simulate"
    assert result["datasets"] == {"a": "a.h5"}
    assert result["hits"] > 1000
    assert (simulated / "a.h5").exists()
    assert len(list((simulated / "hits").glob("*.h5"))) == 1
    assert json.loads((simulated / "truth" / "truth.json").read_text())["kind"] == "truth"


def test_reduce_reads_hits_in_hdf5_and_after_export(simulated: Path, tmp_path: Path) -> None:
    hits = next((simulated / "hits").glob("*.h5"))
    pytest.importorskip("pyarrow")
    run("inspect", hits, "--export", tmp_path / "a.parquet", "-o", tmp_path, "-q")
    run("reduce", hits, "-o", tmp_path / "one", "-q")
    run("reduce", tmp_path / "a.parquet", "-o", tmp_path / "two", "--name", "b", "-q")
    one, two = (json.loads((tmp_path / n / "reduce.json").read_text()) for n in ("one", "two"))
    assert one["hits"] == two["hits"]
    assert one["clusters"].keys() == {"global", "local"}


def test_inspect_describes_a_dataset_and_draws_it(simulated: Path, tmp_path: Path) -> None:
    text = run("inspect", simulated / "a.h5", "-o", tmp_path)
    assert "positrons above 1700 MeV after 30 us" in text
    assert "reconstructions/global/counts" in text
    figures = json.loads((tmp_path / "inspect.json").read_text())["figures"]
    for name in figures.values():
        assert (tmp_path / name).stat().st_size > 10_000


def test_mistakes_end_with_a_message_and_no_number(simulated: Path, config: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'demo'"):
        run("simulate", "deom", "-o", tmp_path)
    with pytest.raises(ConfigError, match="did you mean 'lost_muons'"):
        run("simulate", config, "--without", "lost_muon", "-o", tmp_path)
    text = config.read_text(encoding="utf-8").replace("muons_per_fill", "muons_per_fil")
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="did you mean 'muons_per_fill'"):
        run("simulate", wrong, "-o", tmp_path)
    with pytest.raises(DataError, match="something else"):
        run("reduce", simulated / "a.h5", "-o", tmp_path)
    with pytest.raises(DataError, match="not HDF5"):
        run("inspect", config, "-o", tmp_path)
    assert not list(tmp_path.glob("*.h5"))


def test_every_preset_is_a_valid_campaign() -> None:
    names = preset_names()
    assert {"demo", "run1", "ideal", "only-pileup"} <= set(names)
    for name in names:
        assert load_campaign(name).name == name
    run1 = load_campaign("run1")
    analysed = sum(d.fills * d.muons_per_fill for d in run1.datasets) * 0.109
    assert analysed == pytest.approx(8.2e9, rel=0.1)
