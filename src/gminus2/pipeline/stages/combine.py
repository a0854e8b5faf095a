"""Stage ``combine``: datasets → R'_μ, a_μ, budget and comparison in ``combination.json``.

With a seal the datasets are blinded: the stage stops at the blinded R'_μ, and no a_μ is computed anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gminus2.constants import published, weakest_status
from gminus2.data.results import plain
from gminus2.measurement.anomaly import Anomaly, anomaly
from gminus2.measurement.averages import average, release, standard_model, tension
from gminus2.measurement.blinding import read_seal
from gminus2.measurement.budget import budget_of_combination
from gminus2.measurement.combination import Combination
from gminus2.measurement.datasets import Dataset, combine_datasets
from gminus2.measurement.publication_parts import quantity_json
from gminus2.measurement.publication_runs import run_checks
from gminus2.measurement.ratio import FrequencyRatio
from gminus2.pipeline.campaign import Campaign
from gminus2.pipeline.code import published_file
from gminus2.pipeline.stages.inputs import DATASETS, dataset_from_json
from gminus2.pipeline.steps import Step, StepContext

__all__ = ["COMBINATION", "combine_step"]

COMBINATION: Final = "combination.json"


def combine_step(campaign: Campaign, folder: Path) -> Step:
    """Return the step; ``folder`` is what the seal's path is relative to."""
    settings = campaign.combination.model_dump()
    settings["published"] = campaign.published.run if campaign.published else None
    files = {"published.toml": published_file()}
    if campaign.blinding:
        files["seal"] = folder / campaign.blinding.seal
    return Step(
        "combine",
        _run,
        inputs=(DATASETS,),
        outputs=(COMBINATION,),
        settings=settings,
        files=files,
        title="combine the datasets",
    )


def _run(context: StepContext) -> None:
    settings = context.settings
    raw = json.loads(context.inputs[DATASETS].read_text(encoding="utf-8"))
    datasets = [dataset_from_json(entry) for entry in raw]
    mean, combination = combine_datasets(datasets, settings["correlation"], settings["correlations"])
    status = weakest_status(dataset.status for dataset in datasets)
    document: dict[str, Any] = {
        "datasets": [_dataset_json(d, combination, i) for i, d in enumerate(datasets)],
        "combination": combination.to_json(),
        "correlation_model": settings["correlation"],
        "checks": _quality(combination),
        "provisional": sorted({name for entry in raw for name in entry["provisional"]}),
    }
    name = _record_mean(context, datasets, mean, combination, blinded="seal" in context.files)
    if "seal" in context.files:
        seal = read_seal(context.files["seal"])
        document["R_mu_blinded"] = {
            **_ratio_json(mean),
            "codata": settings["codata"],
            "route": settings["route"],
        }
        document["blinding"] = {
            "state": "blinded",
            "seal_digest": seal.digest(),
            "commitment": seal.commitment,
            "holders": [holder.name for holder in seal.holders],
        }
        document["budget"] = [row.to_json() for row in budget_of_combination(datasets, combination, None)]
        document["status"] = status
    else:
        document |= _open_result(context, datasets, mean, combination, name)
    context.output(COMBINATION).write_text(json.dumps(plain(document), ensure_ascii=False, indent=1), encoding="utf-8")


def _open_result(
    context: StepContext, datasets: list[Dataset], mean: FrequencyRatio, combination: Combination, name: str
) -> dict[str, Any]:
    settings = context.settings
    result = anomaly(mean, settings["codata"], settings["route"])
    run = settings["published"]
    terms = {k: published(f"experiment.e989.{run}.summary.{k}") for k in ("B_k", "B_q")} if run else None
    budget = budget_of_combination(datasets, combination, result.factor, terms)
    status = weakest_status([*(d.status for d in datasets), result.factor.status])
    table = _table(context)
    factor = context.trace.number(
        "K",
        result.factor.value,
        uncertainty=result.factor.value * result.factor.sigma_ppb * 1e-9,
        unit="1",
        formula="(mu'_p/mu_e(H)) (mu_e(H)/mu_e) (m_mu/m_e) (|g_e|/2)"
        if settings["route"] == "hydrogen"
        else "(mu'_p/mu_B) (m_mu/m_e)",
        parents=[
            *(context.trace.constant(q, table) for q in result.factor.inputs),
            context.trace.setting("combination.codata", settings["codata"]),
            context.trace.setting("combination.route", settings["route"]),
        ],
    )
    context.trace.number(
        "a_mu",
        result.value_1e11,
        uncertainty=result.sigma_1e11,
        unit="1e-11",
        formula="R'_mu(T_r) × K(T_r)",
        parents=[name, factor],
    )
    statistical = combination.by_kind.get("stat", 0.0) * 1e-9 * result.value_1e11
    systematic = combination.by_kind.get("syst", 0.0) * 1e-9 * result.value_1e11
    return {
        "R_mu": _ratio_json(mean),
        "a_mu": {
            "value": result.value_1e11,
            "uncertainty": result.sigma_1e11,
            "stat": statistical,
            "syst": systematic,
            "external": result.sigma_external * 1e11,
            "unit": "1e-11",
            "codata": settings["codata"],
            "route": settings["route"],
        },
        "budget": [row.to_json(result.value_1e11) for row in budget],
        "comparison": _comparison(context, result, status, run),
        "status": status,
        "checks": [
            *_quality(combination),
            *(run_checks(run, result, combination) if run and _published_model(settings) else []),
        ],
        "constants": [quantity_json(q) for q in result.factor.inputs],
    }


def _table(context: StepContext) -> str:
    digest = context.digests["file:published.toml"]
    return context.trace.file("published.toml", "gminus2/reference/published.toml", digest)


def _record_mean(
    context: StepContext, datasets: list[Dataset], mean: FrequencyRatio, combination: Combination, *, blinded: bool
) -> str:
    trace, settings = context.trace, context.settings
    parents = [f"R_mu.{d.label}" for d in datasets]
    parents.append(trace.setting("combination.correlation", settings["correlation"]))
    if settings["correlations"]:
        parents.append(trace.setting("combination.correlations", dict(settings["correlations"])))
    if blinded:
        parents.append(trace.file("seal", context.files["seal"].name, context.digests["file:seal"]))
    weights = " + ".join(f"{w:.4f} R({d.label})" for w, d in zip(combination.weights, datasets, strict=True))
    return trace.number(
        "R_mu_blinded" if blinded else "R_mu",
        mean.value,
        uncertainty=mean.sigma,
        unit="1",
        formula=f"best linear unbiased average: {weights}",
        parents=parents,
    )


def _ratio_json(ratio: FrequencyRatio) -> dict[str, float]:
    return {"value": ratio.value, "uncertainty": ratio.sigma, "t_r_c": ratio.t_r_c}


def _dataset_json(dataset: Dataset, combination: Combination, index: int) -> dict[str, Any]:
    return {
        "label": dataset.label,
        "nickname": dataset.nickname,
        "f_a_hz": {"value": dataset.f_a_hz, "uncertainty": dataset.f_a_hz * dataset.sigma_a_ppb * 1e-9},
        "f_p_hz": {"value": dataset.f_p.value_hz, "uncertainty": dataset.f_p.sigma_hz, "t_r_c": dataset.f_p.t_r_c},
        "corrections_ppb": dict(dataset.corrections_ppb),
        "uncertainties_ppb": dict(dataset.uncertainties_ppb),
        "R_mu": _ratio_json(dataset.ratio()),
        "weight": float(combination.weights[index]),
        "pull": float(combination.pulls[index]),
        "status": dataset.status,
    }


def _published_model(settings: Mapping[str, Any]) -> bool:
    """Return whether the datasets are combined as the published result was."""
    return settings["correlation"] == "systematics-correlated" and not settings["correlations"]


def _quality(combination: Combination) -> list[dict[str, Any]]:
    """Return the check that the datasets agree: p-value of χ² above 10⁻³."""
    return [
        {
            "name": "the datasets agree: p-value of χ²",
            "computed": combination.p_value,
            "published": None,
            "tolerance": 1e-3,
            "ok": bool(combination.p_value > 1e-3),
            "note": f"χ² = {combination.chi2:.2f} for {combination.ndf}; must be above 0.001",
        }
    ]


def _comparison(context: StepContext, result: Anomaly, status: Any, run: str | None) -> dict[str, Any]:
    model = context.settings["standard_model"]
    theory = standard_model(model)
    found = tension(result.value_1e11, result.sigma_1e11, model, label="this result", status=status)
    context.trace.number(
        "a_mu_minus_standard_model",
        found.difference,
        uncertainty=found.sigma,
        unit="1e-11",
        formula="a_mu − a_mu(SM)",
        parents=[
            "a_mu",
            context.trace.constant(theory, _table(context)),
            context.trace.setting("combination.standard_model", model),
        ],
    )
    shown = [vars(release(n)) for n in ("e821", "run1", "run23", "run456", "fnal_2025", "world_2025")]
    document: dict[str, Any] = {
        "standard_model": model,
        "tension": found.to_json(),
        "theory": {name: quantity_json(standard_model(name)) for name in ("wp20", "wp25")},
        "releases": shown,
    }
    if run is not None:
        # Averaged with E821, as every release was; a simulated or foreign result is not averaged with data.
        own = release(run)
        e821 = release("e821")
        mean = average([_replaced(own, result), e821])
        document["average_with_e821"] = {"value": mean.value, "uncertainty": mean.sigma, "chi2": mean.chi2}
        with_average = tension(mean.value, mean.sigma, model, label="with E821", status=status)
        document["tension_with_e821"] = with_average.to_json()
        context.trace.number(
            "a_mu_with_e821",
            mean.value,
            uncertainty=mean.sigma,
            unit="1e-11",
            formula="weighted average with E821, independent",
            parents=["a_mu", context.trace.constant(published("experiment.e821.a_mu_rescaled"), _table(context))],
        )
    return document


def _replaced(own: Any, result: Anomaly) -> Any:
    from dataclasses import replace

    return replace(own, value=result.value_1e11, sigma=result.sigma_1e11, common=0.0)
