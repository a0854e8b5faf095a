"""Steps with declared inputs and outputs, run in order, each only if something that matters to it has changed."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from gminus2 import __version__
from gminus2.data.provenance import content_digest, file_digest
from gminus2.data.results import plain
from gminus2.data.writing import atomic_path, write_text
from gminus2.errors import ConfigError, StoreError, nearest
from gminus2.execution import Executor, SerialExecutor
from gminus2.pipeline.code import code_digest
from gminus2.pipeline.store import Record, Store
from gminus2.pipeline.trace import Trace

__all__ = ["Pipeline", "Plan", "Step", "StepContext", "stage_of"]


def stage_of(name: str) -> str:
    """Return the stage of a step: ``omega-a`` of ``omega-a.b``, the same for every dataset."""
    return name.partition(".")[0]


Action = Literal["run", "stored", "skip"]
_FORCED: Final = "asked for"


@dataclass(frozen=True)
class Step:
    """One stage of a measurement.

    Attributes
    ----------
    name
        Unique; what ``--from`` and ``--only`` take.
    function
        Called with a :class:`StepContext`; writes every declared output. It must depend on nothing but the context.
    outputs
        File names the step writes.
    inputs
        Outputs of earlier steps it reads.
    files
        Name → file from outside the campaign.
    settings
        The part of the campaign it depends on, plain values.
    version
        Raised whenever the step's meaning changes.
    seed
        Root seed, where the step draws.
    title
        One line for progress and report.
    """

    name: str
    function: Callable[[StepContext], None]
    outputs: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    files: Mapping[str, Path] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1
    seed: int | None = None
    title: str = ""


@dataclass(frozen=True)
class StepContext:
    """What a step sees: its settings, its inputs as paths, where to write, an executor, and the trace to fill."""

    settings: Mapping[str, Any]
    inputs: Mapping[str, Path]
    files: Mapping[str, Path]
    digests: Mapping[str, str]
    folder: Path
    trace: Trace
    executor: Executor
    seed: int | None
    quiet: bool
    partial: Path
    """Where a long step may keep finished parts; they survive a kill and go when the step is done."""

    def output(self, name: str) -> Path:
        """Return where to write an output."""
        return self.folder / name


@dataclass(frozen=True)
class Plan:
    """What will happen to one step, and why."""

    step: str
    action: Action
    reason: str


class Pipeline:
    """The steps of one campaign over one store.

    Raises
    ------
    ConfigError
        Two steps of one name, two that write the same output, or an input that no earlier step makes.
    """

    def __init__(self, steps: Sequence[Step], store: Store) -> None:
        self.steps = tuple(steps)
        self.store = store
        made: dict[str, str] = {}
        for step in self.steps:
            for name in step.inputs:
                if name not in made:
                    raise ConfigError(
                        f"step '{step.name}' needs '{name}', which no earlier step makes", hint=nearest(name, made)
                    )
            for name in step.outputs:
                if name in made:
                    raise ConfigError(f"steps '{made[name]}' and '{step.name}' both write '{name}'")
                made[name] = step.name
        names = [step.name for step in self.steps]
        if len(set(names)) != len(names):
            raise ConfigError("two steps have the same name", found=", ".join(names))

    def names(self) -> list[str]:
        """Return the steps in order."""
        return [step.name for step in self.steps]

    def plan(self, *, from_step: str | None = None, only: str | None = None) -> list[Plan]:
        """Return what :meth:`run` would do, without doing it."""
        forced = self.forced(from_step, only)
        outputs: dict[str, str] = {}
        plans: list[Plan] = []
        unknown: set[str] = set()
        for step in self.steps:
            stale = [name for name in step.inputs if name in unknown]
            if only is not None and step.name not in forced:
                record = None if stale else self.store.find(self._key(step, outputs)[0])
                plans.append(
                    Plan(step.name, "skip", "not asked for" if record or stale else "not asked for, and never done")
                )
            elif stale:
                record = None
                plans.append(Plan(step.name, "run", f"after a change of {', '.join(stale)}"))
            else:
                record = self.store.find(self._key(step, outputs)[0])
                if record is not None and step.name not in forced:
                    plans.append(Plan(step.name, "stored", "nothing changed"))
                else:
                    reason = _FORCED if record is not None else self._why(step, outputs)
                    plans.append(Plan(step.name, "run", reason))
                    record = None if step.name in forced else record
            if record is None:
                unknown.update(step.outputs)
            else:
                outputs.update(record.outputs)
        return plans

    def run(
        self,
        *,
        from_step: str | None = None,
        only: str | None = None,
        executor: Executor | None = None,
        quiet: bool = True,
        notify: Callable[[Step, Action, str], None] | None = None,
    ) -> dict[str, Record]:
        """Run what is not done, in order, and return the record of every step that is done.

        Parameters
        ----------
        from_step
            Do this step and all after it again even if nothing changed.
        only
            Do this step again and no other; the others must be in the store if it needs them.
        notify
            Called before each step with what happens to it and why.
        """
        forced = self.forced(from_step, only)
        records: dict[str, Record] = {}
        outputs: dict[str, str] = {}
        for step in self.steps:
            missing = [name for name in step.inputs if name not in outputs]
            if missing and only is not None:
                if step.name in forced:
                    raise StoreError(
                        f"step '{step.name}' needs {', '.join(missing)}, which the store does not hold for this "
                        "campaign",
                        hint="run the earlier steps first (leave --only away)",
                    )
                continue
            key, inputs = self._key(step, outputs)
            record = self.store.find(key)
            if only is not None and step.name not in forced:
                if record is not None:
                    records[step.name] = record
                    outputs.update(record.outputs)
                continue
            if record is None or step.name in forced:
                why = _FORCED if record is not None else self._why(step, outputs)
                if notify:
                    notify(step, "run", why)
                record = self._do(step, key, inputs, outputs, executor or SerialExecutor(), quiet)
            elif notify:
                notify(step, "stored", "nothing changed")
            records[step.name] = record
            outputs.update(record.outputs)
        return records

    def path(self, records: Mapping[str, Record], output: str) -> Path:
        """Return the stored file of an output.

        Raises
        ------
        StoreError
            No step of this run made it.
        """
        for record in records.values():
            if output in record.outputs:
                return self.store.object_path(record.outputs[output])
        raise StoreError(f"no step made '{output}'", hint="run the whole campaign")

    def export(self, records: Mapping[str, Record], output: str, target: Path) -> None:
        """Copy an output to a file, atomically."""
        with atomic_path(target) as temporary:
            shutil.copyfile(self.path(records, output), temporary)

    def forced(self, from_step: str | None, only: str | None) -> set[str]:
        """Return the steps that are done again whatever the store holds.

        Raises
        ------
        ConfigError
            An unknown step, or both at once.
        """
        if only is not None and from_step is not None:
            raise ConfigError("--only and --from exclude each other", found=f"--only {only} --from {from_step}")
        names = self.names()
        known = list(dict.fromkeys([*names, *(stage_of(name) for name in names)]))
        for asked in (from_step, only):
            if asked is not None and asked not in known:
                raise ConfigError(f"no step '{asked}' in this campaign", hint=nearest(asked, known))
        if only is not None:
            return {name for name in names if only in (name, stage_of(name))}
        if from_step is None:
            return set()
        first = next(i for i, name in enumerate(names) if from_step in (name, stage_of(name)))
        return set(names[first:])

    def _key(self, step: Step, outputs: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        inputs = {name: outputs[name] for name in step.inputs}
        for name, path in step.files.items():
            if not path.is_file():
                raise ConfigError(f"step '{step.name}' needs the file '{name}'", where=str(path), found="no such file")
            inputs[f"file:{name}"] = file_digest(path)
        content = {
            "step": step.name,
            "version": step.version,
            "code": code_digest(),
            "settings": plain(step.settings),
            "inputs": inputs,
            "seed": step.seed,
        }
        return content_digest(content), inputs

    def _why(self, step: Step, outputs: Mapping[str, str]) -> str:
        """Return what differs from the last finished run of the step."""
        last = self._last(step.name)
        if last is None:
            return "never done"
        _, inputs = self._key(step, outputs)
        changes = [
            f"{name} changed"
            for name in sorted(set(inputs) | set(last.inputs))
            if inputs.get(name) != last.inputs.get(name)
        ]
        settings = plain(step.settings)
        changes += [
            f"setting '{name}': {last.settings.get(name)!r} → {settings.get(name)!r}"
            for name in sorted(set(settings) | set(last.settings))
            if settings.get(name) != last.settings.get(name)
        ]
        if last.seed != step.seed:
            changes.append(f"seed: {last.seed} → {step.seed}")
        if (last.version, last.code) != (step.version, code_digest()):
            changes.append("the code changed")
        return "; ".join(changes) or "its stored result is damaged"

    def _last(self, name: str) -> Record | None:
        pointer = self.store.root / "last" / f"{name}.txt"
        try:
            key = pointer.read_text(encoding="utf-8").strip()
            raw = json.loads((self.store.root / "records" / f"{key}.json").read_text(encoding="utf-8"))
            return Record(**raw)
        except (OSError, ValueError, TypeError):
            return None

    def _do(
        self,
        step: Step,
        key: str,
        inputs: dict[str, str],
        outputs: Mapping[str, str],
        executor: Executor,
        quiet: bool,
    ) -> Record:
        started = time.perf_counter()
        trace = Trace()
        partial = self.store.root / "partial" / key[:16]
        with self.store.work_folder(step.name) as folder:
            context = StepContext(
                settings=step.settings,
                inputs={name: self.store.object_path(outputs[name]) for name in step.inputs},
                files=step.files,
                digests=inputs,
                folder=folder,
                trace=trace,
                executor=executor,
                seed=step.seed,
                quiet=quiet,
                partial=partial,
            )
            step.function(context)
            absent = [name for name in step.outputs if not (folder / name).is_file()]
            if absent:
                raise StoreError(f"step '{step.name}' did not write {', '.join(absent)}")
            kept = {name: self.store.keep(folder / name) for name in step.outputs}
        record = Record(
            step=step.name,
            key=key,
            version=step.version,
            code_version=__version__,
            code=code_digest(),
            settings=plain(step.settings),
            inputs=inputs,
            outputs=kept,
            numbers=plain(trace.numbers),
            seed=step.seed,
            seconds=time.perf_counter() - started,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        self.store.write(record)
        write_text(self.store.root / "last" / f"{step.name}.txt", key + "\n")
        shutil.rmtree(partial, ignore_errors=True)
        return record
