"""Stage ``inputs``: the datasets of a campaign, published or the user's own → ``datasets.json``."""

from __future__ import annotations

import json
from typing import Any

from gminus2.data.results import plain
from gminus2.measurement.datasets import Dataset, published_datasets
from gminus2.measurement.ratio import ShieldedFrequency
from gminus2.pipeline.campaign import Campaign
from gminus2.pipeline.code import published_file
from gminus2.pipeline.steps import Step, StepContext

__all__ = ["DATASETS", "dataset_from_json", "inputs_step"]

DATASETS = "datasets.json"


def inputs_step(campaign: Campaign) -> Step:
    """Return the step; its settings are the published run's name or the user's datasets."""
    settings: dict[str, Any] = (
        {"published": campaign.published.run}
        if campaign.published is not None
        else {"dataset": [entry.model_dump() for entry in campaign.dataset]}
    )
    files = {"published.toml": published_file()} if campaign.published is not None else {}
    return Step("inputs", _run, outputs=(DATASETS,), files=files, settings=settings, title="read the datasets")


def _run(context: StepContext) -> None:
    if "published" in context.settings:
        datasets = published_datasets(context.settings["published"])
    else:
        datasets = tuple(_own(entry) for entry in context.settings["dataset"])
    for dataset in datasets:
        _record(context, dataset)
    document = [_to_json(dataset) for dataset in datasets]
    context.output(DATASETS).write_text(json.dumps(plain(document), ensure_ascii=False, indent=1), encoding="utf-8")


def _own(entry: dict[str, Any]) -> Dataset:
    # The relative uncertainty of the proton frequency is the source 'field', given with the others.
    sigma = entry["f_p_shielded_hz"] * entry["uncertainties_ppb"].get("field", 0.0) * 1e-9
    return Dataset(
        label=entry["label"],
        f_a_hz=entry["f_a_hz"],
        f_p=ShieldedFrequency(entry["f_p_shielded_hz"], sigma, entry["reference_temperature_c"]),
        uncertainties_ppb=entry["uncertainties_ppb"],
        corrections_ppb=entry["corrections_ppb"],
        status=entry["status"],
    )


def _record(context: StepContext, dataset: Dataset) -> None:
    trace, label = context.trace, dataset.label
    if dataset.inputs:
        table = trace.file("published.toml", "gminus2/reference/published.toml", context.digests["file:published.toml"])
        leaves = {q.name.rpartition(".")[2]: trace.constant(q, table) for q in dataset.inputs}
        f_a, f_p = [leaves["f_a"]], [leaves["f_p_shielded"], *(v for k, v in leaves.items() if k.startswith("T_r"))]
        uncertainties = [v for k, v in leaves.items() if k not in ("f_a", "f_p_shielded") and not k.startswith("T_r")]
    else:
        f_a = [trace.setting(f"dataset.{label}.f_a_hz", dataset.f_a_hz)]
        f_p = [
            trace.setting(f"dataset.{label}.f_p_shielded_hz", dataset.f_p.value_hz),
            trace.setting(f"dataset.{label}.reference_temperature_c", dataset.f_p.t_r_c),
        ]
        uncertainties = [trace.setting(f"dataset.{label}.uncertainties_ppb", dict(dataset.uncertainties_ppb))]
    trace.number(f"f_a.{label}", dataset.f_a_hz, unit="Hz", formula="as given, corrections applied", parents=f_a)
    trace.number(
        f"f_p.{label}",
        dataset.f_p.value_hz,
        uncertainty=dataset.f_p.sigma_hz,
        unit="Hz",
        formula=f"as given, at T_r = {dataset.f_p.t_r_c:g} °C",
        parents=f_p,
    )
    ratio = dataset.ratio()
    trace.number(
        f"R_mu.{label}",
        ratio.value,
        uncertainty=ratio.sigma,
        unit="1",
        formula="f_a / f'_p(T_r); uncertainty: quadrature of all sources",
        parents=[f"f_a.{label}", f"f_p.{label}", *uncertainties],
    )


def _to_json(dataset: Dataset) -> dict[str, Any]:
    return {
        "label": dataset.label,
        "nickname": dataset.nickname,
        "f_a_hz": dataset.f_a_hz,
        "f_p_hz": dataset.f_p.value_hz,
        "f_p_sigma_hz": dataset.f_p.sigma_hz,
        "t_r_c": dataset.f_p.t_r_c,
        "uncertainties_ppb": dict(dataset.uncertainties_ppb),
        "corrections_ppb": dict(dataset.corrections_ppb),
        "status": dataset.status,
        "provisional": [q.name for q in dataset.inputs if q.is_provisional],
    }


def dataset_from_json(raw: dict[str, Any]) -> Dataset:
    """Rebuild a dataset from ``datasets.json``; its list of published inputs stays in the trace."""
    return Dataset(
        label=raw["label"],
        nickname=raw["nickname"],
        f_a_hz=raw["f_a_hz"],
        f_p=ShieldedFrequency(raw["f_p_hz"], raw["f_p_sigma_hz"], raw["t_r_c"]),
        uncertainties_ppb=raw["uncertainties_ppb"],
        corrections_ppb=raw["corrections_ppb"],
        status=raw["status"],
    )
