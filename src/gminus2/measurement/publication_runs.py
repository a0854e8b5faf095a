"""Documents of single runs: Run-1 and Run-2/3 from their datasets, Run-4/5/6 from its summary."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gminus2.constants import CODATA_YEARS, Quantity, published, published_table
from gminus2.measurement.anomaly import Anomaly, anomaly, conversion_factor
from gminus2.measurement.budget import (
    ROW_LABELS,
    BudgetRow,
    budget_of_combination,
    budget_totals,
    has_correction,
    published_budget,
)
from gminus2.measurement.combination import Combination
from gminus2.measurement.datasets import (
    CORRECTIONS,
    CORRELATION_MODELS,
    CorrelationModel,
    Dataset,
    combine_datasets,
    published_datasets,
)
from gminus2.measurement.publication_parts import agreement, document_head, quantity_json
from gminus2.measurement.ratio import FrequencyRatio

__all__ = ["run456_document", "run_checks", "run_document"]


def run_document(what: str, model: CorrelationModel, year: int) -> dict[str, Any]:
    """Return ``run1`` or ``run23``: tables, combination with one correlation model, a_μ, checks."""
    group = f"experiment.e989.{what}"
    datasets = published_datasets(what)
    summary = published_table(f"{group}.summary")
    main = published_table(group)
    mean, combination = combine_datasets(datasets, model)
    result = anomaly(mean, year)
    terms = {name: q for name, q in summary.items() if name in (*CORRECTIONS, "B_k", "B_q")}
    budget = budget_of_combination(datasets, combination, result.factor, terms)
    inputs = [q for d in datasets for q in d.inputs] + list(summary.values()) + list(result.factor.inputs)
    a_mu, printed = main["a_mu"], main["R_prime"]
    document = {
        **document_head(what, [*inputs, a_mu, printed]),
        "correlation_model": model,
        "codata": year,
        "datasets": [_dataset_json(d, combination, i, what) for i, d in enumerate(datasets)],
        "combination": combination.to_json(),
        "models": {name: _model_json(datasets, name, year) for name in _models_of(datasets)},
        "summary": _summary_rows(summary, budget),
        "R_mu": {
            "value": mean.value,
            "uncertainty": mean.sigma,
            "t_r_c": mean.t_r_c,
            "published": quantity_json(printed),
        },
        "a_mu": {
            "value": result.value_1e11,
            "uncertainty": result.sigma_1e11,
            "from_R_mu": result.sigma_ratio * 1e11,
            "external": result.sigma_external * 1e11,
            "unit": "1e-11",
            "published": quantity_json(a_mu),
        },
        "a_mu_by_codata": {str(y): anomaly(mean, y).value_1e11 for y in CODATA_YEARS},
        # The other models differ from the published result by design.
        "checks": run_checks(what, result, combination) if model == "systematics-correlated" else [],
    }
    if what == "run1":
        document["tables"] = {name: _parts_table(name) for name in ("omega_a_syst", "C_e", "C_p", "C_pa", "C_ml")}
        document["calibration_probe"] = _probe_rows()
        document["conditions"] = {k: quantity_json(q) for k, q in published_table(f"{group}.conditions").items()}
        document["provisional"] = sorted(
            [
                *document["provisional"],
                *(q.name for q in published_table(f"{group}.conditions").values() if q.is_provisional),
            ]
        )
    return document


def run_checks(what: str, result: Anomaly, combination: Combination) -> list[dict[str, Any]]:
    """Return the comparison of a combined ``run1`` or ``run23`` with what was published."""
    main = published_table(f"experiment.e989.{what}")
    a_mu, printed, ratio = main["a_mu"], main["R_prime"], result.ratio
    # One unit of the last printed digit for Run-1 (half of it is 1.6e-11 in a_mu), see docs/physics/measurement.md.
    rounding = 1e-10 if what == "run1" else 4e-11
    checks = [
        agreement("a_mu (1e-11)", result.value_1e11, float(a_mu), 1.0),
        agreement("uncertainty of a_mu (1e-11)", result.sigma_1e11, a_mu.sigma, 1.0),
        agreement("R'_mu", ratio.value, float(printed), rounding, "the printed R' is rounded"),
        agreement(
            "uncertainty of R'_mu (ppb)", ratio.sigma_ppb, printed.sigma / float(printed) * 1e9, 5.0, "printed to 1e-10"
        ),
    ]
    if "chi2_of_mean" in main:
        checks.append(agreement("chi2 of the datasets", combination.chi2, float(main["chi2_of_mean"]), 0.1))
    return checks


def _models_of(datasets: Sequence[Dataset]) -> list[str]:
    return [
        name
        for name in CORRELATION_MODELS
        if name != "transients-common" or all("field_transients" in d.uncertainties_ppb for d in datasets)
    ]


def _model_json(datasets: Sequence[Dataset], name: str, year: int) -> dict[str, Any]:
    mean, combination = combine_datasets(datasets, name)  # type: ignore[arg-type]
    return {
        "R_mu": mean.value,
        "uncertainty_ppb": combination.sigma,
        "weights": combination.weights.tolist(),
        "chi2": combination.chi2,
        "p_value": combination.p_value,
        "a_mu": anomaly(mean, year).value_1e11,
    }


def _dataset_json(dataset: Dataset, combination: Combination, index: int, what: str) -> dict[str, Any]:
    ratio = dataset.ratio()
    key = "abcd"[index] if what == "run1" else ("2", "3a", "3b")[index]
    printed = published(f"experiment.e989.{what}.{key}.R_prime")
    return {
        "label": dataset.label,
        "nickname": dataset.nickname,
        "f_a_hz": {"value": dataset.f_a_hz, "uncertainty": dataset.f_a_hz * dataset.sigma_a_ppb * 1e-9},
        "f_a_measured_hz": dataset.f_a_measured_hz if dataset.corrections_ppb else None,
        "f_p_hz": {"value": dataset.f_p.value_hz, "uncertainty": dataset.f_p.sigma_hz, "t_r_c": dataset.f_p.t_r_c},
        "corrections_ppb": dict(dataset.corrections_ppb),
        "uncertainties_ppb": dict(dataset.uncertainties_ppb),
        "R_mu": {
            "value": ratio.value,
            "uncertainty": ratio.sigma,
            "t_r_c": ratio.t_r_c,
            "published": quantity_json(printed),
        },
        "weight": float(combination.weights[index]),
        "pull": float(combination.pulls[index]),
        "status": dataset.status,
    }


def _summary_rows(summary: dict[str, Quantity], budget: Sequence[BudgetRow]) -> list[dict[str, Any]]:
    computed = {row.name: row for row in budget if row.kind != "in field"}
    rows: list[dict[str, Any]] = []
    for name, quantity in summary.items():
        row = computed.get(name)
        rows.append(
            {
                "name": name,
                "label": ROW_LABELS.get(name, name),
                "published": {
                    "correction_ppb": float(quantity) if has_correction(name) else None,
                    "uncertainty_ppb": quantity.sigma,
                    "status": quantity.status,
                },
                "computed": None
                if row is None or name == "field"
                else {"correction_ppb": row.correction_ppb, "uncertainty_ppb": row.uncertainty_ppb},
            }
        )
        if name == "B_q" and "field" in computed:
            # Published apart, but the datasets' proton frequencies carry field and transients in one uncertainty.
            together = math.hypot(*(summary[n].sigma for n in ("field", "B_k", "B_q")))
            rows.append(
                {
                    "name": "field_with_transients",
                    "label": "field, B_k and B_q together",
                    "published": {
                        "correction_ppb": float(summary["B_k"]) + float(summary["B_q"]),
                        "uncertainty_ppb": together,
                        "status": "derived",
                    },
                    "computed": {"correction_ppb": None, "uncertainty_ppb": computed["field"].uncertainty_ppb},
                }
            )
    return rows


def _parts_table(name: str) -> dict[str, Any]:
    """Return a correction's table: per dataset value, parts, printed total and their quadrature (or linear sum)."""
    columns = []
    for letter in "abcd":
        quantity = published(f"experiment.e989.run1.{letter}.{name}")
        parts = dict(quantity.parts)
        total = sum(parts.values()) if quantity.combine == "linear" else math.hypot(*parts.values())
        columns.append(
            {
                "label": f"Run-1{letter}",
                "value": float(quantity),
                "parts": parts,
                "combine": quantity.combine,
                "published_total": quantity.sigma,
                "computed_total": total,
                "status": quantity.status,
            }
        )
    return {"label": ROW_LABELS[name], "columns": columns}


def _probe_rows() -> list[dict[str, Any]]:
    table = published_table("experiment.e989.run1.calibration_probe")
    terms = [q for name, q in table.items() if name != "total"]
    low, high = np.array([q.value for q in terms]).sum(axis=0).tolist()
    rows = [{"name": name, **quantity_json(q)} for name, q in table.items()]
    rows[-1]["computed"] = {"value": [low, high], "uncertainty": math.hypot(*(q.sigma for q in terms))}
    return rows


def run456_document() -> dict[str, Any]:
    """Return Run-4/5/6: its summary table recomputed, and the R' that its a_μ implies."""
    summary = published_table("experiment.e989.run456.summary")
    a_mu = published("experiment.e989.run456.a_mu")
    t_r = published("constants.external.T_r_run456")
    factor = conversion_factor(float(t_r), 2022, "bohr")
    ratio = FrequencyRatio(float(a_mu) * 1e-11 / factor.value, a_mu.sigma * 1e-11 / factor.value, float(t_r))
    at_347 = ratio.at(34.7)
    totals = budget_totals(published_budget("experiment.e989.run456.summary"))
    rows = _summary_rows(summary, totals)
    total = {row.name: row for row in totals}
    return {
        **document_head("run456", [*summary.values(), a_mu, t_r, *factor.inputs]),
        "codata": 2022,
        "datasets": [],
        "summary": rows,
        "a_mu": {"value": float(a_mu), "uncertainty": a_mu.sigma, "unit": "1e-11", "published": quantity_json(a_mu)},
        "R_mu": {
            "value": ratio.value,
            "uncertainty": ratio.sigma,
            "t_r_c": ratio.t_r_c,
            "at_34.7": at_347.value,
            "note": "derived from the published a_mu with CODATA 2022 at 25 °C; no per-run frequencies are in print",
        },
        "checks": [
            agreement("total correction (ppb)", total["total"].correction_ppb or 0.0, float(summary["total"]), 1.0),
            agreement("total uncertainty (ppb)", total["total"].uncertainty_ppb, summary["total"].sigma, 1.0),
            agreement("total systematic (ppb)", total["total_syst"].uncertainty_ppb, summary["total_syst"].sigma, 1.0),
            agreement(
                "uncertainty of a_mu (1e-11)",
                total["total"].uncertainty_ppb * 1e-9 * float(a_mu),
                a_mu.sigma,
                0.1,
            ),
        ],
    }
