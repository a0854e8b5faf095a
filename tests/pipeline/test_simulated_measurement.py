"""A simulated campaign from its file to a_μ: sealed, blind to the end, resumable, explained."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gminus2.config import parse_config
from gminus2.config.campaign import Campaign, load_campaign
from gminus2.errors import BlindingError, ConfigError
from gminus2.execution import make_executor
from gminus2.measurement.blinding import lock_record, make_seal, open_seal, read_seal, unlock_record
from gminus2.measurement.unblinding import read_register
from gminus2.pipeline.simulated_measurement import SimulatedMeasurement, build_pipeline, measure_campaign
from gminus2.pipeline.stages.hardware import Keyring, passphrases, truth_file
from gminus2.pipeline.trace import ancestors
from gminus2.report.campaign_report import campaign_painter, write_campaign

TINY: dict[str, Any] = {
    "kind": "simulated",
    "name": "tiny",
    "seed": 11,
    "pool_muons": 65_536,
    "fills_per_batch": 512,
    "truth": {"phrase": "tiny"},
    "datasets": [{"name": "a", "fills": 1024, "beam": {"momentum_mean": 8e-4}}],
    "field": {
        "world": {"fixed_cycle_s": 30.0},
        "trolley": {"azimuths": 1000},
        "datasets": [{"name": "a", "days_between_trolley_runs": 0.5}],
    },
    "measurement": {"omega_a": {"systematics": False, "teams": [{"name": "T"}]}},
}


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
def output(campaign: Campaign, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("measured")
    measured(campaign, folder)
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
        result["R_mu"]["value"],
        result["a_mu"]["value"],
        result["datasets"][0]["R_mu"]["value"],
    ]
    files = [p for p in (output / "store").rglob("*") if p.is_file()]
    files += [output / "blinded" / "result.json", output / "blinded" / "frozen.json"]
    assert len(files) > 10
    for path in files:
        raw = path.read_bytes()
        for secret in secrets:
            assert struct.pack("<d", secret) not in raw, path
            assert f"{secret:.9g}".encode() not in raw, path
        try:
            document = json.loads(raw)
        except ValueError:
            continue
        for number in _numbers(document):
            assert all(abs(number / secret - 1.0) > 1e-10 for secret in secrets), path


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
