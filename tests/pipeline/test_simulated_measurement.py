"""A simulated campaign from its file to a_μ: sealed, blind to the end, resumable, explained."""

from __future__ import annotations

import contextlib
import gzip
import json
import pickle
import shutil
import struct
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from gminus2.cli.main import main
from gminus2.config import parse_config
from gminus2.config.campaign import Campaign, load_campaign
from gminus2.errors import BlindingError, ConfigError, GMinus2Error
from gminus2.execution import SerialExecutor, make_executor
from gminus2.measurement.blinding import lock_record, make_seal, open_seal, read_seal, unlock_record
from gminus2.measurement.unblinding import read_register
from gminus2.pipeline.simulated_measurement import SimulatedMeasurement, build_pipeline, measure_campaign
from gminus2.pipeline.stages import analysis
from gminus2.pipeline.stages.hardware import Keyring, passphrases, truth_file
from gminus2.pipeline.trace import ancestors
from gminus2.report.campaign_report import campaign_painter, write_campaign

ROOT = Path(__file__).parents[2]
TINY: dict[str, Any] = tomllib.loads((ROOT / "examples" / "guide.toml").read_text(encoding="utf-8"))


def measured(campaign: Campaign, output: Path, **options: Any) -> SimulatedMeasurement:
    with make_executor("threads", 2) as executor:
        found = measure_campaign(
            campaign, build_pipeline(campaign, output, output, campaign_painter()), output, executor=executor, **options
        )
    write_campaign(found, output)
    return found


@pytest.fixture(scope="module")
def campaign() -> Campaign:
    return parse_config(TINY, Campaign, where="test")


@pytest.fixture(scope="module")
def output(guide_output: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("campaign") / "measured"
    shutil.copytree(guide_output, folder)
    return folder


@pytest.fixture(scope="module")
def result(output: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((output / "result.json").read_text(encoding="utf-8"))
    return document


def test_the_sealed_a_mu_comes_back_with_its_budget(result: dict[str, Any]) -> None:
    assert abs(result["truth"]["pull"]) < 4.0
    assert result["a_mu"]["value"] == pytest.approx(result["truth"]["a_mu"], rel=4e-4)
    rows = {row["name"] for row in result["budget"]}
    assert {"omega_a_stat", "C_e", "C_p", "C_ml", "C_pa", "C_dd", "field", "B_k", "B_q", "m_mu_over_m_e"} <= rows
    dataset = result["truth"]["datasets"]["a"]
    assert abs(dataset["f_p"]["pull"]) < 4.0
    assert dataset["f_p"]["uncertainty_ppb"] < 60.0
    assert abs(dataset["C_p"]["pull"]) < 5.0


def test_it_was_frozen_before_it_was_opened(output: Path, result: dict[str, Any]) -> None:
    frozen = json.loads((output / "blinded" / "frozen.json").read_text(encoding="utf-8"))
    assert frozen["digest"] == result["unblinding"]["frozen"]
    assert "a_mu" not in json.loads((output / "blinded" / "result.json").read_text(encoding="utf-8"))
    assert len(read_register(output / "seal" / "seal.register.jsonl")) == 1


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for element in value.values():
            yield from _numbers(element)
    elif isinstance(value, list):
        for element in value:
            yield from _numbers(element)
    elif isinstance(value, float):
        yield value


def _inside(path: Path) -> Iterator[tuple[bytes, np.ndarray]]:
    """Yield (bytes, numbers) of a file, of what is packed in it, and of every array and attribute of an HDF5 file."""
    raw = path.read_bytes()
    if raw[:2] == b"\x1f\x8b":
        raw = gzip.decompress(raw)
    yield raw, np.empty(0)
    with contextlib.suppress(ValueError):
        yield b"", np.array(list(_numbers(json.loads(raw))), dtype=np.float64)
    if not h5py.is_hdf5(path):
        return
    values: list[Any] = []
    with h5py.File(path) as file:

        def visit(_: str, item: h5py.Group | h5py.Dataset) -> None:
            values.extend(item.attrs.values())
            if isinstance(item, h5py.Dataset):
                values.append(item[()])

        values.extend(file.attrs.values())
        file.visititems(visit)
    for value in values:
        array = np.asarray(value)
        if array.dtype.names:
            for name in array.dtype.names:
                yield b"", np.asarray(array[name], dtype=np.float64).ravel()
        elif array.dtype.kind in "fiu":
            yield array.tobytes(), array.astype(np.float64).ravel()
        else:
            text = b" ".join(v if isinstance(v, bytes) else str(v).encode() for v in array.ravel().tolist())
            yield text, np.empty(0)


def _shows(path: Path, secrets: list[float]) -> bool:
    """Return whether a file holds one of the secrets, as bytes, text or number."""
    for raw, numbers in _inside(path):
        for secret in secrets:
            if struct.pack("<d", secret) in raw or f"{secret:.9g}".encode() in raw:
                return True
            if (np.abs(numbers / secret - 1.0) < 1e-10).any():
                return True
    return False


def test_no_unblinded_number_lies_in_the_store_or_the_blinded_result(output: Path, result: dict[str, Any]) -> None:
    keyring = Keyring(output / "seal")
    seal = read_seal(keyring.seal)
    keys = passphrases(seal, keyring.files())
    offsets = open_seal(seal, keys)
    record = next(p for p in _records(output) if truth_file("a") in p["outputs"])["outputs"][truth_file("a")]
    truth = json.loads(unlock_record(seal, keys, (output / "store/objects" / record[:2] / record).read_bytes()))
    secrets = [
        offsets.clock,
        offsets.field,
        truth["a_mu"],
        1e11 * truth["a_mu"],
        truth["f_a_mhz"],
        1e6 * truth["f_a_mhz"],
        truth["field"]["f_p_hz"],
        1e-6 * truth["field"]["f_p_hz"],
        result["R_mu"]["value"],
        result["a_mu"]["value"],
        result["datasets"][0]["R_mu"]["value"],
    ]
    files = [p for p in (output / "store").rglob("*") if p.is_file()]
    files += [output / "blinded" / "result.json", output / "blinded" / "frozen.json"]
    assert sum(h5py.is_hdf5(path) for path in files) >= 2
    assert len(files) > 10
    assert [path for path in files if _shows(path, secrets)] == []


def test_the_search_finds_a_number_planted_in_a_compressed_array_an_attribute_or_a_packed_file(tmp_path: Path) -> None:
    secret = 0.22908165432109876
    with h5py.File(tmp_path / "array.h5", "w") as file:
        file.create_dataset("deep/values", data=np.append(np.zeros(9999), secret), compression="gzip", shuffle=True)
    with h5py.File(tmp_path / "attribute.h5", "w") as file:
        file.create_group("deep").attrs["f_a"] = secret
    (tmp_path / "packed.json.gz").write_bytes(gzip.compress(json.dumps({"f": [secret]}).encode()))
    (tmp_path / "text.json").write_text(json.dumps({"f_a": secret * (1.0 + 1e-12)}), encoding="utf-8")
    for path in tmp_path.iterdir():
        assert _shows(path, [secret]), path
        assert not _shows(path, [secret * (1.0 + 1e-6)]), path


def _records(output: Path) -> list[dict[str, Any]]:
    return [json.loads(p.read_text(encoding="utf-8")) for p in (output / "store/records").glob("*.json")]


def test_measuring_again_does_nothing_and_gives_the_same(
    campaign: Campaign, output: Path, result: dict[str, Any]
) -> None:
    plans = build_pipeline(campaign, output, output, campaign_painter()).plan()
    assert {plan.action for plan in plans} == {"stored"}
    again = measured(campaign, output).document
    for key in ("a_mu", "R_mu", "budget", "truth", "datasets", "numbers"):
        assert json.loads(json.dumps(again[key])) == result[key]
    assert len(read_register(output / "seal" / "seal.register.jsonl")) == 1


def test_a_stage_name_stands_for_its_steps(campaign: Campaign, output: Path) -> None:
    pipeline = build_pipeline(campaign, output, output, campaign_painter())
    actions = {plan.step: plan.action for plan in pipeline.plan(from_step="beam")}
    assert actions["simulate.a"] == actions["omega-a.a"] == "stored"
    assert actions["beam.a"] == actions["field"] == actions["combine"] == "run"
    with pytest.raises(ConfigError, match="beam"):
        pipeline.plan(from_step="bean")


def test_another_look_of_the_figures_redoes_no_number(
    campaign: Campaign, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analysis, "figures_digest", lambda: "another")
    actions = {p.step: p.action for p in build_pipeline(campaign, output, output, campaign_painter()).plan()}
    redone = {step for step, action in actions.items() if action == "run"}
    assert redone == {"figures.omega-a-a", "figures.beam-a", "figures.field"}
    # Nobody remembers the analysis of the other process: it is made again for the drawing.
    pipeline = build_pipeline(campaign, output, output, campaign_painter())
    records = pipeline.run(only="figures.beam-a")
    drawn = json.loads(pipeline.path(records, "figures-beam-a.json").read_text(encoding="utf-8"))
    assert any(name.endswith("momentum") for name in drawn)


def test_a_dry_run_says_what_would_be_done_and_does_nothing(guide_file: Path, output: Path, tmp_path: Path) -> None:
    def plan(*options: str) -> dict[str, str]:
        found = CliRunner().invoke(main, ["measure", str(guide_file), "--dry-run", *options])
        assert found.exit_code == 0, found.output
        lines = [line.strip().partition(": ") for line in found.output.splitlines() if ": " in line]
        return {name: rest for name, _, rest in lines}

    before = sorted(p.stat().st_mtime_ns for p in output.rglob("*"))
    assert all(rest.startswith("stored") for rest in plan("--output", str(output)).values())
    one = plan("--output", str(output), "--only", "omega-a")
    assert one["omega-a.a"].startswith("run (asked for")
    assert [name for name, rest in one.items() if rest.startswith("run")] == ["omega-a.a"]
    after = plan("--output", str(output), "--from", "beam")
    assert [n for n, r in after.items() if r.startswith("stored")] == [
        "magnet.a",
        "simulate.a",
        "omega-a.a",
        "figures.omega-a-a",
    ]
    other = plan("--output", str(output), "--set", "measurement.beam.triple_efficiency=0.7")
    assert "triple_efficiency" in other["beam.a"] or "beam" in other["beam.a"]
    assert other["omega-a.a"].startswith("stored")
    assert sorted(p.stat().st_mtime_ns for p in output.rglob("*")) == before
    assert all("never done" in rest for rest in plan("--output", str(tmp_path / "new")).values())
    assert not (tmp_path / "new").exists()


def test_only_does_one_stage_again_and_refuses_what_it_cannot_start_from(
    guide_file: Path, output: Path, result: dict[str, Any], tmp_path: Path
) -> None:
    def measure(*options: str) -> Any:
        return CliRunner().invoke(main, ["measure", str(guide_file), *options])

    again = measure("--output", str(output), "--only", "beam")
    assert again.exit_code == 0, again.output
    document = json.loads((output / "result.json").read_text(encoding="utf-8"))
    assert document["a_mu"] == result["a_mu"]
    assert document["unblinding"]["result_version"] == 1
    for options, message in (
        (("--output", str(tmp_path / "early"), "--only", "beam"), "run the earlier steps first"),
        (("--output", str(output), "--from", "omega"), "omega-a"),
        (("--output", str(output), "--only", "beam", "--from", "field"), "--only"),
    ):
        refused = measure(*options).exception
        assert isinstance(refused, GMinus2Error)
        assert refused.exit_code == 2
        assert message in str(refused)


class Elsewhere(SerialExecutor):
    """An executor whose tasks and results cross a border as bytes, as on a cluster."""

    workers = 2

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Any:
        packed = pickle.dumps((function, args))

        def there() -> bytes:
            unpacked, given = pickle.loads(packed)
            return pickle.dumps(unpacked(*given))

        task = super().submit(there)
        return SimpleNamespace(result=lambda: pickle.loads(task.result()), cancel=task.cancel)


def test_simulation_and_field_come_out_the_same_where_tasks_and_results_travel_as_bytes(
    campaign: Campaign, output: Path
) -> None:
    pipeline = build_pipeline(campaign, output, output)
    before = pipeline.run()
    for name in ("simulate.a", "field"):
        again = pipeline.run(only=name, executor=Elsewhere())
        assert again[name].outputs == before[name].outputs


def test_the_number_is_explained_down_to_seal_constants_and_settings(result: dict[str, Any]) -> None:
    names = ancestors(result["numbers"], "a_mu")
    leaves = {result["numbers"][name].get("leaf") for name in names}
    assert {"constant", "file", "setting"} <= leaves
    assert {"file:seal", "file:published.toml", "C_e.a", "B_q.a", "profile.mean_x_mm.a", "hits.a"} <= set(names)


def test_a_frozen_result_that_was_changed_is_refused(campaign: Campaign, output: Path) -> None:
    path = output / "blinded" / "result.json"
    text = path.read_text(encoding="utf-8")
    try:
        path.write_text(text.replace('"weight": 1.0', '"weight": 0.9'), encoding="utf-8")
        with pytest.raises(BlindingError, match="changed after it was frozen"):
            measured(campaign, output)
    finally:
        path.write_text(text, encoding="utf-8")


def test_a_locked_record_opens_with_both_keys_of_its_seal_only() -> None:
    words = {"A": "first passphrase", "B": "second passphrase"}
    seal = make_seal("", ("A", "B"), ("first passphrase", "second passphrase"), scrypt_n=2**4)
    locked = lock_record(seal, words, b"secret")
    assert locked == lock_record(seal, words, b"secret")
    assert b"secret" not in locked
    assert unlock_record(seal, words, locked) == b"secret"
    with pytest.raises(BlindingError, match="both keys"):
        unlock_record(seal, {"A": words["A"]}, locked)
    with pytest.raises(BlindingError, match="changed"):
        unlock_record(seal, words, locked[:-1] + bytes([locked[-1] ^ 1]))
    other = make_seal("", ("A", "B"), ("first passphrase", "second passphrase"), scrypt_n=2**4)
    with pytest.raises(BlindingError, match="another seal"):
        unlock_record(other, words, locked)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"feild": {}}, "did you mean 'field'"),
        ({"measurement": {"omega_b": {}}}, "did you mean 'omega_a'"),
        ({"measurement": {"omega_a": {"teams": [{"name": "T", "metod": "T"}]}}}, "did you mean 'method'"),
        ({"measurement": {"beam": {"rotation_strt_us": 4.0}}}, "did you mean 'rotation_start_us'"),
        ({"field": {"trolly": {}, "datasets": [{"name": "a"}]}}, "did you mean 'trolley'"),
        ({"field": {"datasets": [{"name": "b"}]}}, "must be those of the campaign"),
        ({"measurement": {"blinding": {"clock_range_ppm": -1.0}}}, "greater than or equal to 0"),
    ],
)
def test_each_mistake_in_a_campaign_names_the_nearest_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config({**TINY, **changes}, Campaign, where="test")


def test_a_campaign_without_a_magnet_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no \[field\]"):
        build_pipeline(load_campaign("ideal"), tmp_path, tmp_path)
    assert not list(tmp_path.iterdir())
