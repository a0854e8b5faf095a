"""Stage ``combine`` of a simulated campaign: the stages of every dataset → blinded R'_μ and its budget."""

from __future__ import annotations

import json
from typing import Any, Final

from gminus2.config.campaign import Campaign
from gminus2.constants import weakest_status
from gminus2.field.result import FieldResult
from gminus2.measurement.assembly import MeasuredDataset, Term, budget_of_measurement, combine_measured
from gminus2.measurement.blinding import read_seal
from gminus2.measurement.combination import Combination
from gminus2.measurement.stability import shifts_by_method
from gminus2.pipeline.stages.analysis import FIELD, beam_file, omega_a_file, write_json
from gminus2.pipeline.stages.combine import COMBINATION
from gminus2.pipeline.stages.hardware import Keyring
from gminus2.pipeline.steps import Step, StepContext
from gminus2.precession.fitting.result import P_VALUE_ALARM

__all__ = ["assemble_step", "measured_from_json"]

#: Smallest p-value of χ² with which datasets count as one measurement.
_AGREE: Final = 1e-3


def assemble_step(campaign: Campaign, keyring: Keyring) -> Step:
    """Return the step; it gets the seal, whose digest the result names, and no key."""
    names = [campaign.datasets[k].name for k in campaign.selected()]
    inputs = [output for name in names for output in (omega_a_file(name), beam_file(name))]
    return Step(
        "combine",
        _run,
        inputs=(*inputs, FIELD),
        outputs=(COMBINATION,),
        settings={"names": names, **campaign.measurement.combination.model_dump()},
        files={"seal": keyring.seal},
        title="combine the datasets, blinded",
    )


def _run(context: StepContext) -> None:
    settings, names = context.settings, context.settings["names"]

    def read(output: str) -> Any:
        return json.loads(context.inputs[output].read_text(encoding="utf-8"))

    fields = {raw["name"]: FieldResult.from_json(raw) for raw in read(FIELD)}
    omega = {name: read(omega_a_file(name)) for name in names}
    beam = {name: read(beam_file(name)) for name in names}
    datasets = [_measured(name, omega[name], beam[name], fields[name]) for name in names]
    mean, combination, rows = combine_measured(datasets, settings["correlation"], settings["correlations"])
    seal = read_seal(context.files["seal"])
    status = weakest_status(d.status for d in datasets)
    budget = budget_of_measurement(datasets, combination, rows, None)
    document = {
        "datasets": [_dataset_json(d, combination, i) for i, d in enumerate(datasets)],
        "measured": [measured_to_json(d) for d in datasets],
        "combination": combination.to_json(),
        "by_method": [m.to_json() for m in shifts_by_method([omega[name] for name in names], combination.weights)],
        "rows": rows,
        "correlation_model": settings["correlation"],
        "checks": [*_agreement(combination), *_fit_checks(omega), *_stage_checks(beam, fields)],
        "provisional": [],
        "status": status,
        "R_mu_blinded": {
            "value": mean.value,
            "uncertainty": mean.sigma,
            "t_r_c": mean.t_r_c,
            "codata": settings["codata"],
            "route": settings["route"],
        },
        "blinding": {
            "state": "blinded",
            "seal_digest": seal.digest(),
            "commitment": seal.commitment,
            "holders": [holder.name for holder in seal.holders],
        },
        "budget": [row.to_json() for row in budget],
        "stages": {
            "omega_a": {name: _omega_json(omega[name]) for name in names},
            "beam": {name: {k: v for k, v in beam[name].items() if k != "fast_rotation"} for name in names},
            "field": {name: fields[name].to_json() for name in names},
        },
    }
    write_json(context.output(COMBINATION), document)
    _record(context, datasets, mean.value, mean.sigma, combination)


def _measured(name: str, omega: dict[str, Any], beam: dict[str, Any], field: FieldResult) -> MeasuredDataset:
    f_a = omega["f_a_hz"]
    terms = [Term("omega_a_stat", "omega_a_stat", f_a["statistical"] / f_a["value"] * 1e9, False, "stat")]
    terms += [
        Term(f"omega_a.{source}", "omega_a_syst", abs(shift)) for source, shift in omega["systematics_ppb"].items()
    ]
    corrections = {}
    for key in beam["names"]:
        entry = beam[key]
        corrections[key] = entry["value_ppb"]
        statistics = entry["rows_ppb"].get("statistics", 0.0)
        systematic = max(entry["uncertainty_ppb"] ** 2 - statistics**2, 0.0) ** 0.5
        terms += [Term(key, key, systematic), Term(f"{key}.statistics", key, statistics, False)]
    for row in field.budget:
        target = row.name if row.group == "transient" else "field"
        terms.append(
            Term(f"field.{row.name}" if target == "field" else row.name, target, row.sigma_ppb, row.correlated)
        )
    return MeasuredDataset(
        label=name,
        f_a_hz=f_a["value"],
        f_p_hz=field.f_p_hz,
        t_r_c=field.reference_temperature_c,
        corrections_ppb=corrections,
        transients_ppb={"B_k": field.b_k_ppb, "B_q": field.b_q_ppb},
        terms=tuple(terms),
    )


def measured_to_json(dataset: MeasuredDataset) -> dict[str, Any]:
    """Return plain values; :func:`measured_from_json` rebuilds the dataset."""
    return {**vars(dataset), "terms": [vars(term) for term in dataset.terms]}


def measured_from_json(raw: dict[str, Any]) -> MeasuredDataset:
    """Rebuild a dataset written by :func:`measured_to_json`."""
    return MeasuredDataset(**{**raw, "terms": tuple(Term(**term) for term in raw["terms"])})


def _dataset_json(dataset: MeasuredDataset, combination: Combination, index: int) -> dict[str, Any]:
    ratio = dataset.ratio()
    sigma_p = dataset.sigma_of_ppb("field", "B_k", "B_q")
    sigma_a = max(dataset.sigma_ppb**2 - sigma_p**2, 0.0) ** 0.5
    by_row: dict[str, float] = {}
    for row in dict.fromkeys(term.row for term in dataset.terms):
        by_row[row] = dataset.sigma_of_ppb(row)
    f_a = dataset.f_a_corrected_hz
    return {
        "label": dataset.label,
        "nickname": "",
        "f_a_hz": {"value": f_a, "uncertainty": f_a * sigma_a * 1e-9},
        "f_p_hz": {
            "value": dataset.f_p_hz,
            "uncertainty": dataset.f_p_hz * dataset.sigma_of_ppb("field") * 1e-9,
            "t_r_c": dataset.t_r_c,
        },
        "corrections_ppb": dict(dataset.corrections_ppb),
        "transients_ppb": dict(dataset.transients_ppb),
        "uncertainties_ppb": by_row,
        "R_mu": {"value": ratio.value, "uncertainty": ratio.sigma, "t_r_c": ratio.t_r_c},
        "weight": float(combination.weights[index]),
        "pull": float(combination.pulls[index]),
        "status": dataset.status,
    }


def _omega_json(document: dict[str, Any]) -> dict[str, Any]:
    kept = ("R_ppm", "f_a_hz", "combined_from", "systematics_ppb", "order", "correlation_statistical", "pairs")
    analyses = {
        name: {k: entry[k] for k in ("reconstruction", "method", "R_ppm", "chi2", "ndf", "p_value", "converged")}
        for name, entry in document["analyses"].items()
    }
    return {**{k: document[k] for k in kept}, "analyses": analyses}


def _agreement(combination: Combination) -> list[dict[str, Any]]:
    return [
        _check(
            "the datasets agree: p-value of χ²",
            combination.p_value,
            _AGREE,
            combination.p_value > _AGREE,
            f"χ² = {combination.chi2:.2f} for {combination.ndf}; must be above {_AGREE:g}",
        )
    ]


def _fit_checks(omega: dict[str, Any]) -> list[dict[str, Any]]:
    checks = []
    for name, document in omega.items():
        poor = {k: a for k, a in document["analyses"].items() if not (a["converged"] and a["p_value"] > P_VALUE_ALARM)}
        worst = min(a["p_value"] for a in document["analyses"].values())
        checks.append(
            _check(
                f"{name}: every ω_a fit converged and describes its data",
                worst,
                P_VALUE_ALARM,
                not poor,
                f"smallest p-value {worst:.2g} of {len(document['analyses'])} analyses"
                + (f"; failed: {', '.join(poor)}" if poor else ""),
            )
        )
        apart = max((abs(p["significance"] or 0.0) for p in document["pairs"]), default=0.0)
        checks.append(
            _check(
                f"{name}: the analyses of ω_a agree",
                apart,
                4.0,
                apart < 4.0,
                "largest difference of two analyses over what their correlation allows; must be below 4",
            )
        )
    return checks


def _stage_checks(beam: dict[str, Any], fields: dict[str, FieldResult]) -> list[dict[str, Any]]:
    checks = []
    for name, document in beam.items():
        rotation = document["fast_rotation"]
        quality = rotation["chi2"] / rotation["ndf"]
        checks.append(
            _check(
                f"{name}: a density of momentum and time describes the fast rotation",
                quality,
                3.0,
                quality < 3.0,
                f"χ²/ndf of the reconstruction; C_e = {rotation['C_e']['value_ppb']:.0f} ppb",
            )
        )
    for name, field in fields.items():
        swap = field.details["swap_chi2"] / max(field.details["swap_n_dof"], 1)
        checks.append(
            _check(f"{name}: the calibration swaps agree", swap, 3.0, swap < 3.0, "χ²/ndf of the A-B-A swaps")
        )
    return checks


def _check(name: str, computed: float, tolerance: float, ok: bool, note: str) -> dict[str, Any]:
    return {
        "name": name,
        "computed": float(computed),
        "published": None,
        "tolerance": tolerance,
        "ok": bool(ok),
        "note": note,
    }


def _record(
    context: StepContext, datasets: list[MeasuredDataset], value: float, sigma: float, combination: Combination
) -> None:
    trace = context.trace
    for dataset in datasets:
        ratio, name = dataset.ratio(), dataset.label
        trace.number(
            f"R_mu_blinded.{name}",
            ratio.value,
            uncertainty=ratio.sigma,
            unit="1",
            formula="f_a (1 + ΣC) / [f'_p (1 + B_k + B_q)]; uncertainty: quadrature of all sources",
            parents=[
                f"f_a_measured.{name}",
                *(f"{key}.{name}" for key in dataset.corrections_ppb),
                f"f_p_measured.{name}",
                *(f"{key}.{name}" for key in dataset.transients_ppb),
            ],
        )
    weights = " + ".join(f"{w:.4f} R({d.label})" for w, d in zip(combination.weights, datasets, strict=True))
    parents = [f"R_mu_blinded.{d.label}" for d in datasets]
    parents.append(trace.setting("measurement.combination.correlation", context.settings["correlation"]))
    parents.append(trace.file("seal", "seal/seal.json", context.digests["file:seal"]))
    trace.number(
        "R_mu_blinded",
        value,
        uncertainty=sigma,
        unit="1",
        formula=f"best linear unbiased average: {weights}",
        parents=parents,
    )
