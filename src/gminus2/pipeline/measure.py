"""A campaign from its file to its result: build the steps, run what is not done, put the result together."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gminus2 import __version__
from gminus2.constants import weakest_status
from gminus2.errors import BlindingError, ConfigError
from gminus2.execution import Executor
from gminus2.pipeline.campaign import Campaign
from gminus2.pipeline.stages.combine import COMBINATION, combine_step
from gminus2.pipeline.stages.inputs import inputs_step
from gminus2.pipeline.stages.omega_a import FIT, histogram_step, omega_a_step
from gminus2.pipeline.steps import Action, Pipeline, Step
from gminus2.pipeline.store import Record, Store

__all__ = ["STORE", "Measurement", "build_pipeline", "refuse_frozen", "run_campaign", "step_json"]

#: Folder of the store inside the output folder.
STORE: Final = "store"


@dataclass(frozen=True)
class Measurement:
    """A finished campaign: the result document and where its pieces lie."""

    document: dict[str, Any]
    records: Mapping[str, Record]
    pipeline: Pipeline


def refuse_frozen(output: Path) -> None:
    """Refuse to write over a frozen result.

    Raises
    ------
    BlindingError
        The folder holds one.
    """
    if (output / "frozen.json").exists():
        raise BlindingError(
            "this folder holds a frozen result, which may not change",
            where=str(output),
            hint="write the new result to another folder NEW; to replace the frozen one: "
            f"gminus2 freeze NEW --replaces {output} --new-version REASON",
        )


def build_pipeline(campaign: Campaign, folder: Path, output: Path, data: Path | None = None) -> Pipeline:
    """Return the steps of a campaign over the store in ``output``.

    Parameters
    ----------
    folder
        What relative paths of the campaign are relative to.
    data
        The histogram file, where the campaign leaves it open or to replace it.

    Raises
    ------
    ConfigError
        The campaign needs a data file and none is named, or one is named that it has no use for.
    """
    steps: list[Step] = []
    if campaign.published is not None or campaign.dataset:
        steps += [inputs_step(campaign), combine_step(campaign, folder)]
    if campaign.fit is not None:
        steps += [histogram_step(campaign, _data_file(campaign, folder, data)), omega_a_step(campaign)]
    elif data is not None:
        raise ConfigError("this campaign reads no histogram, so --data has no use", found=str(data))
    return Pipeline(steps, Store(output / STORE))


def _data_file(campaign: Campaign, folder: Path, data: Path | None) -> Path | None:
    if campaign.histogram is None:
        if data is not None:
            raise ConfigError("this campaign generates its histogram, so --data has no use", found=str(data))
        return None
    if data is not None:
        return data
    if not campaign.histogram.file:
        raise ConfigError(
            "this campaign needs a histogram file",
            hint="name it: gminus2 measure CAMPAIGN --data FILE (docs/commands/measure.md says where to get it)",
        )
    return folder / campaign.histogram.file


def run_campaign(
    name: str,
    campaign: Campaign,
    pipeline: Pipeline,
    *,
    from_step: str | None = None,
    only: str | None = None,
    executor: Executor | None = None,
    quiet: bool = True,
    notify: Callable[[Step, Action, str], None] | None = None,
) -> Measurement:
    """Run a campaign and return its result. The document holds only what was measured: no stage, no key."""
    records = pipeline.run(from_step=from_step, only=only, executor=executor, quiet=quiet, notify=notify)
    numbers: dict[str, Any] = {}
    for record in records.values():
        numbers |= {key: {**entry, "step": record.step} for key, entry in record.numbers.items()}
    document: dict[str, Any] = {
        "campaign": name,
        "title": campaign.title,
        "description": campaign.description.strip(),
        "settings": campaign.model_dump(exclude_none=True),
        "checks": [],
        "provisional": [],
    }
    statuses = []
    for output, merge in ((COMBINATION, _merge_combination), (FIT, _merge_fit)):
        if any(output in record.outputs for record in records.values()):
            content = json.loads(pipeline.path(records, output).read_text(encoding="utf-8"))
            statuses.append(content["status"])
            merge(document, content)
    document["status"] = weakest_status(statuses)
    if campaign.stop is not None:
        document["stopped"] = campaign.stop.model_dump()
    elif "a_mu" not in document and document.get("omega_a", {}).get("origin") == "file":
        why = document["omega_a"]["reading"].get("no_a_mu")
        document["stopped"] = {"before": "a_mu", "reason": why or "the campaign has no proton frequency"}
    document["steps"] = [step_json(step, records[step.name]) for step in pipeline.steps if step.name in records]
    document["numbers"] = numbers
    return Measurement(document, records, pipeline)


def _merge_combination(document: dict[str, Any], content: dict[str, Any]) -> None:
    document["checks"] += content.pop("checks")
    document["provisional"] += content.pop("provisional")
    document.update(content)


def _merge_fit(document: dict[str, Any], content: dict[str, Any]) -> None:
    document["checks"] += content.pop("checks")
    document["omega_a"] = content


def step_json(step: Step, record: Record) -> dict[str, Any]:
    """Return what a result says of one of its steps."""
    return {
        "name": step.name,
        "title": step.title,
        "key": record.key,
        "version": record.version,
        "code_version": record.code_version or __version__,
        "inputs": dict(record.inputs),
        "outputs": dict(record.outputs),
        "seed": record.seed,
        "seconds": record.seconds,
        "created": record.created,
    }
