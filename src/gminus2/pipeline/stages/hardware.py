"""Stages that play the experiment: ``magnet`` and ``simulate``. They alone open the seal, with both keys.

The detectors count with a clock that is off by x, the probes are read on a scale that is off by y. What these stages
hand on is what was recorded, and the truth locked under both keys.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from gminus2.config.campaign import Campaign
from gminus2.config.field import FieldSection
from gminus2.data.campaign import CampaignDataset
from gminus2.data.provenance import Provenance, content_digest
from gminus2.errors import ConfigError
from gminus2.execution import make_executor, progress, worker_count
from gminus2.field.trolley import extract_frequencies
from gminus2.measurement.blinding import (
    HiddenOffsets,
    Seal,
    lock_record,
    open_seal,
    read_seal,
    unlock_record,
)
from gminus2.pipeline.simulated import DatasetWork
from gminus2.pipeline.steps import Step, StepContext
from gminus2.simulation.joint import JointField, simulate_joint_field
from gminus2.simulation.truth import Nature, draw_nature

__all__ = ["Keyring", "data_file", "field_file", "magnet_step", "simulate_step", "truth_file"]

_FIRST: Final = "key 1"
_SECOND: Final = "key 2"


class Keyring:
    """Where a seal and both keys lie, for the stages that play the hardware and for unblinding."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seal = folder / "seal.json"
        self.keys = (folder / "key-1.txt", folder / "key-2.txt")

    def files(self) -> dict[str, Path]:
        """Return the files by the names under which steps take them."""
        return {"seal": self.seal, _FIRST: self.keys[0], _SECOND: self.keys[1]}

    def complete(self) -> bool:
        """Return whether seal and keys are there."""
        return all(path.is_file() for path in self.files().values())


def field_file(name: str) -> str:
    """Return the output that holds a dataset's recorded probe readings."""
    return f"field-{name}.h5"


def data_file(name: str) -> str:
    """Return the output that holds a dataset's histograms."""
    return f"dataset-{name}.h5"


def truth_file(name: str) -> str:
    """Return the output that holds a dataset's locked truth."""
    return f"truth-{name}.locked"


def _magnet_truth(name: str) -> str:
    return f"magnet-{name}.locked"


def passphrases(seal: Seal, files: dict[str, Path]) -> dict[str, str]:
    """Return holder → passphrase from the key files."""
    texts = [files[name].read_text(encoding="utf-8").strip() for name in (_FIRST, _SECOND)]
    return {holder.name: text for holder, text in zip(seal.holders, texts, strict=True)}


def _open(context: StepContext) -> tuple[Seal, dict[str, str], HiddenOffsets]:
    files = dict(context.files)
    seal = read_seal(files["seal"])
    keys = passphrases(seal, files)
    return seal, keys, open_seal(seal, keys)


def magnet_step(campaign: Campaign, index: int, place: int, keyring: Keyring) -> Step:
    """Return the step that simulates magnet, probes, calibration and transients of a dataset.

    ``index`` is its number among the campaign's datasets, ``place`` that among the datasets of [field].
    """
    if campaign.field is None:
        raise ConfigError("the campaign has no [field] section, which a measurement of a_mu needs")
    name = campaign.datasets[index].name
    section = campaign.field.model_copy(update={"datasets": (campaign.field.datasets[place],)})
    return Step(
        f"magnet.{name}",
        _magnet,
        outputs=(field_file(name), _magnet_truth(name)),
        files=keyring.files(),
        settings={"name": name, "index": index, "field": section.model_dump(mode="json")},
        seed=campaign.seed,
        title=f"{name}: magnet, probes and trolley",
    )


def _magnet(context: StepContext) -> None:
    settings = context.settings
    name, index = settings["name"], int(settings["index"])
    seal, keys, offsets = _open(context)
    section = FieldSection.model_validate(settings["field"])
    data, field = simulate_joint_field(
        section,
        section.datasets[0],
        seed=context.seed or 0,
        index=index,
        offset=1.0 / (1.0 + offsets.field) - 1.0,
    )
    # Digitized FIDs are too many to keep (10⁵ records of 16 000 samples): their frequencies are, as in the experiment.
    options = section.analysis
    with make_executor("threads", workers=worker_count()) as executor:
        runs = tuple(extract_frequencies(r, options.model, options.window, executor=executor) for r in data.trolley)
    data = replace(data, trolley=runs)
    data.write(context.output(field_file(name)), Provenance(made_by="magnet", seed=context.seed))
    record = json.dumps(field.to_json(), sort_keys=True).encode()
    context.output(_magnet_truth(name)).write_bytes(lock_record(seal, keys, record))
    parents = [context.trace.setting(f"field.{k}", v) for k, v in settings["field"].items() if k != "datasets"]
    parents.append(context.trace.setting(f"field.datasets.{name}", settings["field"]["datasets"][0]))
    parents.append(context.trace.setting("seed", context.seed))
    parents.append(context.trace.file("seal", "seal/seal.json", context.digests["file:seal"]))
    context.trace.number(
        f"field_readings.{name}",
        int(sum(len(run.time_s) for run in data.trolley)),
        unit="1",
        formula="simulated trolley readings on the blinded scale",
        parents=parents,
    )


def simulate_step(campaign: Campaign, index: int, keyring: Keyring, folder: Path) -> Step:
    """Return the step that simulates muons and detectors of a dataset and reduces the hits to histograms."""
    name = campaign.datasets[index].name
    part = campaign.simulated_part()
    # Other datasets keep their places, so that random numbers do not move, but do not make this step stale.
    datasets = tuple(d if k == index else type(d)(name=f"place-{k}") for k, d in enumerate(part.datasets))
    part = part.model_copy(update={"datasets": datasets, "only": (), "description": ""})
    settings: dict[str, Any] = {"campaign": part.model_dump(mode="json"), "index": index, "name": name}
    files = keyring.files()
    ensemble = campaign.datasets[index].beam.ensemble
    if ensemble:
        files["ensemble"] = folder / ensemble
    return Step(
        f"simulate.{name}",
        _simulate,
        inputs=(_magnet_truth(name),),
        outputs=(data_file(name), truth_file(name)),
        files=files,
        settings=settings,
        seed=campaign.seed,
        title=f"{name}: muons and detectors, reduced to histograms",
    )


def _simulate(context: StepContext) -> None:
    settings = context.settings
    name, index = settings["name"], int(settings["index"])
    seal, keys, offsets = _open(context)
    locked = context.inputs[_magnet_truth(name)].read_bytes()
    field = JointField.from_json(json.loads(unlock_record(seal, keys, locked)))
    campaign = Campaign.model_validate(settings["campaign"])
    datasets = list(campaign.datasets)
    config = datasets[index].model_copy(update={"field": field.for_muons()})
    if "ensemble" in context.files:
        beam = config.beam.model_copy(update={"ensemble": str(context.files["ensemble"].resolve())})
        config = config.model_copy(update={"beam": beam})
    datasets[index] = config
    campaign = campaign.model_copy(update={"datasets": tuple(datasets)})
    nature = replace(draw_nature(campaign.truth), clock_offset=offsets.clock)
    work = _work(context, campaign, index, nature, seal)
    total = -(-config.fills // campaign.fills_per_batch)
    workers = getattr(context.executor, "workers", worker_count())
    with progress(f"simulate {name}", total, quiet=context.quiet) as advance:
        work.run(context.executor, workers + 1, advance)
    dataset = _recorded(work.dataset())
    dataset.write(context.output(data_file(name)))
    record = {"a_mu": nature.a_mu, "field": field.to_json(), **work.truth_record()}
    context.output(truth_file(name)).write_bytes(lock_record(seal, keys, json.dumps(record, sort_keys=True).encode()))
    _record(context, dataset, name)


def _work(context: StepContext, campaign: Campaign, index: int, nature: Nature, seal: Seal) -> DatasetWork:
    json_text = campaign.model_dump_json()
    # Finished batches of a killed run are taken up again only by the same campaign under the same seal.
    digest = content_digest({"campaign": json_text, "seal": seal.digest(), "nature": nature.commitment()})
    provenance = Provenance(made_by="simulate", seed=context.seed)
    return DatasetWork(campaign, index, nature, Path(), context.partial, digest, provenance, json_text, False)


def _recorded(dataset: CampaignDataset) -> CampaignDataset:
    """Return a dataset without what only nature knows: the logbook has no true proton frequency."""
    hidden = {"omega_p_shielded_mhz", "truth_commitment"}
    return replace(dataset, conditions={k: v for k, v in dataset.conditions.items() if k not in hidden})


def _record(context: StepContext, dataset: CampaignDataset, name: str) -> None:
    campaign = context.settings["campaign"]
    trace = context.trace
    parents = [
        trace.setting(f"campaign.{key}", campaign[key])
        for key in ("effects", "detector", "reduction", "truth", "pool_muons", "decays_per_muon", "end_us")
    ]
    parents.append(trace.setting(f"datasets.{name}", campaign["datasets"][context.settings["index"]]))
    parents.append(trace.setting("seed", context.seed))
    parents.append(trace.file("seal", "seal/seal.json", context.digests["file:seal"]))
    if "ensemble" in context.files:
        path = context.files["ensemble"]
        parents.append(trace.file(f"ensemble.{name}", path.name, context.digests["file:ensemble"]))
    trace.number(f"hits.{name}", dataset.hits, unit="1", formula="simulated hits, reduced", parents=parents)
