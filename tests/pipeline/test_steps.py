"""The pipeline: only what changed is redone, what is half done is absent, a killed run resumes to the same numbers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gminus2.errors import ConfigError, DataError, StoreError
from gminus2.pipeline.steps import Pipeline, Step, StepContext
from gminus2.pipeline.store import Store
from gminus2.pipeline.trace import Trace, ancestors
from gminus2.random import stream


def _draw(context: StepContext) -> None:
    values = stream(context.seed or 0, "draw").standard_normal(context.settings["n"])
    np.save(context.output("values.npy"), values)
    context.trace.number("n", context.settings["n"], unit="1", formula="given", parents=[])


def _mean(context: StepContext) -> None:
    values = np.load(context.inputs["values.npy"])
    context.output("mean.json").write_text(json.dumps({"mean": float(values.mean())}))
    context.trace.number("mean", float(values.mean()), unit="1", formula="mean", parents=["n"])


def _scaled(context: StepContext) -> None:
    mean = json.loads(context.inputs["mean.json"].read_text())["mean"]
    offset = float(context.files["offset"].read_text())
    context.output("scaled.json").write_text(json.dumps(mean * context.settings["factor"] + offset))


def _pipeline(folder: Path, *, n: int = 10, factor: float = 2.0, seed: int = 1) -> Pipeline:
    offset = folder / "offset.txt"
    if not offset.exists():
        folder.mkdir(parents=True, exist_ok=True)
        offset.write_text("0.5")
    steps = [
        Step("draw", _draw, outputs=("values.npy",), settings={"n": n}, seed=seed),
        Step("mean", _mean, inputs=("values.npy",), outputs=("mean.json",)),
        Step("scaled", _scaled, inputs=("mean.json",), outputs=("scaled.json",), settings={"factor": factor},
             files={"offset": offset}),
    ]  # fmt: skip
    return Pipeline(steps, Store(folder / "store"))


def _actions(pipeline: Pipeline, **options: Any) -> dict[str, str]:
    seen: dict[str, str] = {}
    pipeline.run(notify=lambda step, action, why: seen.update({step.name: f"{action}: {why}"}), **options)
    return seen


def test_a_second_run_does_nothing_and_gives_the_same_objects(tmp_path: Path) -> None:
    first = _pipeline(tmp_path).run()
    assert set(_actions(_pipeline(tmp_path)).values()) == {"stored: nothing changed"}
    again = _pipeline(tmp_path).run()
    assert {k: r.outputs for k, r in first.items()} == {k: r.outputs for k, r in again.items()}


def test_a_changed_setting_redoes_its_step_and_says_which(tmp_path: Path) -> None:
    _pipeline(tmp_path).run()
    seen = _actions(_pipeline(tmp_path, factor=3.0))
    assert seen["draw"] == seen["mean"] == "stored: nothing changed"
    assert seen["scaled"] == "run: setting 'factor': 2.0 → 3.0"


def test_a_changed_input_file_or_seed_redoes_what_depends_on_it(tmp_path: Path) -> None:
    _pipeline(tmp_path).run()
    (tmp_path / "offset.txt").write_text("0.75")
    assert _actions(_pipeline(tmp_path))["scaled"] == "run: file:offset changed"
    seen = _actions(_pipeline(tmp_path, seed=2))
    assert seen["draw"] == "run: seed: 1 → 2"
    assert seen["mean"] == "run: values.npy changed"


def test_a_step_that_makes_the_same_bytes_stops_the_change_there(tmp_path: Path) -> None:
    def rounded(context: StepContext) -> None:
        context.output("r.json").write_text(json.dumps(round(context.settings["x"])))

    def after(context: StepContext) -> None:
        context.output("s.json").write_text(context.inputs["r.json"].read_text())

    def build(x: float) -> Pipeline:
        steps = [
            Step("round", rounded, outputs=("r.json",), settings={"x": x}),
            Step("after", after, inputs=("r.json",), outputs=("s.json",)),
        ]
        return Pipeline(steps, Store(tmp_path / "store"))

    build(1.1).run()
    assert _actions(build(1.2)) == {"round": "run: setting 'x': 1.1 → 1.2", "after": "stored: nothing changed"}


def test_going_back_to_an_earlier_setting_finds_the_earlier_result(tmp_path: Path) -> None:
    for factor in (2.0, 3.0):
        _pipeline(tmp_path, factor=factor).run()
    assert _actions(_pipeline(tmp_path, factor=2.0))["scaled"] == "stored: nothing changed"


def test_from_and_only_redo_what_is_asked(tmp_path: Path) -> None:
    _pipeline(tmp_path).run()
    seen = _actions(_pipeline(tmp_path), from_step="mean")
    assert seen == {"draw": "stored: nothing changed", "mean": "run: asked for", "scaled": "run: asked for"}
    assert _actions(_pipeline(tmp_path), only="mean") == {"mean": "run: asked for"}


def test_only_without_the_earlier_steps_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"needs mean\.json"):
        _pipeline(tmp_path).run(only="scaled")
    with pytest.raises(ConfigError, match="did you mean 'scaled'"):
        _pipeline(tmp_path).run(only="scald")


def test_a_dry_run_says_what_and_why_and_does_nothing(tmp_path: Path) -> None:
    plan = {p.step: (p.action, p.reason) for p in _pipeline(tmp_path).plan()}
    assert plan["draw"] == ("run", "never done")
    assert plan["mean"] == ("run", "after a change of values.npy")
    assert not (tmp_path / "store").exists()
    _pipeline(tmp_path).run()
    assert {p.action for p in _pipeline(tmp_path).plan()} == {"stored"}
    plan = {p.step: (p.action, p.reason) for p in _pipeline(tmp_path).plan(from_step="scaled")}
    assert plan["scaled"] == ("run", "asked for")
    plan = {p.step: (p.action, p.reason) for p in _pipeline(tmp_path).plan(only="mean")}
    assert plan["scaled"] == ("skip", "not asked for")


@pytest.mark.parametrize("damage", ["object", "record", "object gone"])
def test_a_damaged_store_is_repaired_by_doing_the_step_again(tmp_path: Path, damage: str) -> None:
    first = _pipeline(tmp_path).run()
    store = Store(tmp_path / "store")
    target = store.object_path(first["mean"].outputs["mean.json"])
    if damage == "object":
        target.write_text("{}")
    elif damage == "object gone":
        target.unlink()
    else:
        target = tmp_path / "store" / "records" / f"{first['mean'].key}.json"
        target.write_text(target.read_text()[:50])
    seen = _actions(_pipeline(tmp_path))
    assert seen["mean"].startswith("run: ")
    assert _pipeline(tmp_path).run()["mean"].outputs == first["mean"].outputs


def test_a_step_that_fails_or_forgets_an_output_leaves_no_record(tmp_path: Path) -> None:
    def forget(context: StepContext) -> None:
        context.output("one.json").write_text("1")

    pipeline = Pipeline([Step("forget", forget, outputs=("one.json", "two.json"))], Store(tmp_path / "store"))
    with pytest.raises(StoreError, match=r"did not write two\.json"):
        pipeline.run()
    assert not (tmp_path / "store" / "records").exists()
    assert not any((tmp_path / "store" / "work").iterdir())


def test_impossible_pipelines_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    make = Step("a", _draw, outputs=("x",))
    with pytest.raises(ConfigError, match="no earlier step makes"):
        Pipeline([Step("b", _mean, inputs=("x",), outputs=("y",)), make], store)
    with pytest.raises(ConfigError, match="both write"):
        Pipeline([make, Step("b", _draw, outputs=("x",))], store)
    with pytest.raises(ConfigError, match="same name"):
        Pipeline([make, Step("a", _draw, outputs=("y",))], store)
    gone = Step("c", _scaled, outputs=("z",), files={"offset": tmp_path / "gone"})
    with pytest.raises(ConfigError, match="no such file"):
        Pipeline([gone], store).run()


def test_a_broken_trace_is_an_error_not_an_explanation() -> None:
    trace = Trace()
    trace.number("a", 1.0, unit="1", formula="b", parents=["b"])
    with pytest.raises(DataError, match="no number 'b'"):
        ancestors(trace.numbers, "a")
    trace.number("b", 1.0, unit="1", formula="a", parents=["a"])
    with pytest.raises(DataError, match="circle"):
        ancestors(trace.numbers, "a")


_SERVER = """
import json, os, sys, time
from pathlib import Path
from gminus2.pipeline.steps import Pipeline, Step
from gminus2.pipeline.store import Store
from gminus2.random import stream

def work(context):
    # Writes slowly and in pieces, so that a kill hits a half-written file.
    values = stream(context.seed, context.settings["name"]).standard_normal(400)
    for name in context.inputs:
        values = values + json.loads(context.inputs[name].read_text())[0]
    with context.output(context.settings["name"] + ".json").open("w") as file:
        file.write("[")
        for i, value in enumerate(values.tolist()):
            file.write(("," if i else "") + repr(value))
            if i % 40 == 0:
                file.flush()
                time.sleep(0.004)
        file.write("]")
    context.trace.number(context.settings["name"], float(values.sum()), unit="1", formula="sum", parents=[])

def measure(folder):
    names = ["a", "b", "c", "d", "e"]
    steps = [
        Step(n, work, outputs=(n + ".json",), inputs=(names[i-1] + ".json",) if i else (), settings={"name": n}, seed=7)
        for i, n in enumerate(names)
    ]
    records = Pipeline(steps, Store(folder / "store")).run()
    result = {n: [dict(r.outputs), dict(r.numbers)] for n, r in records.items()}
    (folder / "result.json").write_text(json.dumps(result, sort_keys=True))

# One process per line of standard input, forked so that ten of them cost one import.
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        measure(Path(line.strip()))
        os._exit(0)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class _Server:
    """Runs the small campaign in a fresh process per call, and kills it on request."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> _Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self, folder: Path, kill_after: float | None = None) -> int:
        folder.mkdir(exist_ok=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{folder}\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(pid, signal.SIGKILL)
        return int(self._process.stdout.readline())


def test_kill_9_at_ten_random_moments_and_resume_gives_identical_numbers(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    killed = 0
    with _Server() as server:
        assert server.run(whole) == 0
        for moment in np.random.default_rng(3).uniform(0.003, 0.10, 10):
            killed += server.run(broken, kill_after=moment) == -signal.SIGKILL
            # Whatever is in the store is whole: every record's objects have the bytes they are named by.
            store = Store(broken / "store")
            for path in (broken / "store" / "records").glob("*.json"):
                assert store.find(path.stem) is not None
        assert server.run(broken) == 0
    assert (broken / "result.json").read_text() == (whole / "result.json").read_text()
    assert killed >= 3
    assert not any((broken / "store" / "work").iterdir())
