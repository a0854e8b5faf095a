"""Published results beside what this package recomputes from their inputs, as plain documents under stable keys.

A document is what ``gminus2 published`` writes; printing and drawing belong to :mod:`gminus2.report`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from gminus2.constants import CODATA_YEARS, Quantity, published, published_table, weakest_status
from gminus2.errors import ConfigError, nearest
from gminus2.measurement.anomaly import Anomaly, anomaly, conversion_factor
from gminus2.measurement.averages import (
    STANDARD_MODELS,
    published_averages,
    release,
    releases,
    standard_model,
    tension,
)
from gminus2.measurement.brookhaven import (
    LAMBDA_1998,
    LAMBDA_2006,
    anomaly_from_free_proton,
    e821_average,
    e821_years,
)
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
from gminus2.measurement.ratio import FrequencyRatio

__all__ = ["PUBLICATIONS", "agreement", "publication", "quantity_json", "run_checks"]

PUBLICATIONS: Final = ("run1", "run23", "run456", "final", "e821", "averages")

_TITLES: Final = {
    "run1": "FNAL E989 Run-1 (2021)",
    "run23": "FNAL E989 Run-2/3 (2023)",
    "run456": "FNAL E989 Run-4/5/6 (2025)",
    "final": "FNAL E989 final result, Run-1 to Run-6 (2025)",
    "e821": "BNL E821, by year",
    "averages": "World averages and the Standard Model",
}


def publication(what: str, model: CorrelationModel = "systematics-correlated", year: int = 2018) -> dict[str, Any]:
    """Return one publication as a document.

    Parameters
    ----------
    what
        One of :data:`PUBLICATIONS`.
    model
        Correlation between datasets (run1, run23).
    year
        CODATA adjustment for a_μ.

    Returns
    -------
    dict
        ``what``, ``title``, ``status`` (weakest of the inputs), ``provisional`` (unverified inputs by name), ``checks``
        (computed against published) and the tables of that publication.
    """
    if what not in PUBLICATIONS:
        raise ConfigError(f"no publication '{what}'", hint=nearest(what, PUBLICATIONS))
    if what in ("run1", "run23"):
        return _run(what, model, year)
    return {"run456": _run456, "final": _final, "e821": _e821, "averages": _averages}[what]()


def quantity_json(quantity: Quantity) -> dict[str, Any]:
    """Return value, uncertainty, unit, status and source of a published number."""
    return {
        "value": quantity.value,
        "uncertainty": quantity.uncertainty,
        "unit": quantity.unit,
        "status": quantity.status,
        "source": quantity.source,
        "path": quantity.name,
    }


def agreement(name: str, computed: float, expected: float, tolerance: float, note: str = "") -> dict[str, Any]:
    """Return one check: computed against published within a tolerance."""
    return {
        "name": name,
        "computed": computed,
        "published": expected,
        "tolerance": tolerance,
        "ok": bool(abs(computed - expected) <= tolerance),
        "note": note,
    }


def _head(what: str, inputs: Iterable[Quantity]) -> dict[str, Any]:
    used = {quantity.name: quantity for quantity in inputs}
    return {
        "what": what,
        "title": _TITLES[what],
        "status": weakest_status(q.status for q in used.values()),
        "provisional": sorted(name for name, q in used.items() if q.is_provisional),
        "sources": sorted({q.source for q in used.values()}),
    }


def _run(what: str, model: CorrelationModel, year: int) -> dict[str, Any]:
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
        **_head(what, [*inputs, a_mu, printed]),
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


def _run456() -> dict[str, Any]:
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
        **_head("run456", [*summary.values(), a_mu, t_r, *factor.inputs]),
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


def _final() -> dict[str, Any]:
    final, world = published("experiment.combinations.fnal_2025"), published("experiment.combinations.world_2025")
    needed = published("experiment.combinations.run123_needed")
    split = {"stat": final.stat or 0.0, "syst": final.syst or 0.0, "ext": final.ext or 0.0}
    steps = {a.name: a for a in published_averages()}
    closing = steps["fnal_2025_from_published"]
    runs = [release(name) for name in ("run1", "run23", "run456", "fnal_2025", "e821", "world_2025")]
    world_mean = steps["world_2025"].combination
    return {
        **_head("final", [final, world, needed]),
        "releases": [vars(r) for r in runs],
        "a_mu": {"value": float(final), "uncertainty": final.sigma, "unit": "1e-11", "published": quantity_json(final)},
        "split_1e11": split,
        "split_ppb": {key: value / float(final) * 1e9 for key, value in split.items()},
        "averages": {name: steps[name].to_json() for name in ("world_2025", "fnal_2025_from_published")},
        "run123_needed": quantity_json(needed),
        "corrections_ppb": {
            name: [
                float(published_table(f"experiment.e989.{run}.summary")[name])
                if name in published_table(f"experiment.e989.{run}.summary")
                else None
                for run in ("run1", "run23", "run456")
            ]
            for name in (*CORRECTIONS, "B_k", "B_q")
        },
        "checks": [
            agreement("uncertainty from its parts (1e-11)", math.hypot(*split.values()), final.sigma, 0.1),
            agreement("world average (1e-11)", world_mean.value, float(world), 0.1),
            agreement("uncertainty of the world average (1e-11)", world_mean.sigma, world.sigma, 0.1),
            {
                **agreement("published Run-1–3 + Run-4/5/6 (1e-11)", closing.combination.value, float(final), 0.1),
                "ok": None,
                "note": closing.note,
            },
        ],
    }


def _e821() -> dict[str, Any]:
    years = e821_years()
    mean = e821_average()
    printed, a_mu, rescaled = (published(f"experiment.e821.{k}") for k in ("R", "a_mu", "a_mu_rescaled"))
    lams = {"1998": published(LAMBDA_1998), "2006": published(LAMBDA_2006)}
    earlier = [published(f"experiment.e821.run{y}.a_mu") for y in (1997, 1998)]
    from_mean = {key: anomaly_from_free_proton(mean.value, mean.sigma, float(q), q.sigma) for key, q in lams.items()}
    from_printed = {
        key: anomaly_from_free_proton(float(printed), printed.sigma, float(q), q.sigma) for key, q in lams.items()
    }
    used = [q for y in years for q in (y.f_a, y.f_p, y.ratio_published, y.a_mu_published)]
    head = _head("e821", [*used, printed, a_mu, rescaled, *lams.values()])
    # 1997 and 1998 are shown, not used: they are marked and do not weaken the result.
    head["provisional"] += [q.name for q in earlier if q.is_provisional]
    return {
        **head,
        "datasets": [
            {
                "label": str(y.year),
                "charge": y.charge,
                "f_a_hz": quantity_json(y.f_a),
                "f_p_hz": quantity_json(y.f_p),
                "R": {"value": y.ratio, "uncertainty": y.ratio_sigma, "published": quantity_json(y.ratio_published)},
                "a_mu": {
                    "value": y.a_mu_1e11,
                    "uncertainty": y.a_mu_sigma_1e11,
                    "published": quantity_json(y.a_mu_published),
                },
                "weight": float(mean.weights[i]),
                "pull": float(mean.pulls[i]),
            }
            for i, y in enumerate(years)
        ],
        "earlier": [
            {"label": q.name.split(".")[2].removeprefix("run"), "charge": "+", "a_mu": quantity_json(q)}
            for q in earlier
        ],
        "combination": mean.to_json(),
        "R": {"value": mean.value, "uncertainty": mean.sigma, "published": quantity_json(printed)},
        "a_mu": {
            "value": from_mean["2006"][0] * 1e11,
            "uncertainty": from_mean["2006"][1] * 1e11,
            "unit": "1e-11",
            "published": quantity_json(rescaled),
        },
        "a_mu_by_lambda": {
            key: {
                "lambda": float(lams[key]),
                "from_mean": from_mean[key][0] * 1e11,
                "from_printed_R": from_printed[key][0] * 1e11,
                "published": quantity_json(a_mu if key == "1998" else rescaled),
            }
            for key in lams
        },
        "checks": [
            *(
                agreement(f"R of {y.year}", y.ratio, float(y.ratio_published), 0.6e-10, "printed to 1e-10")
                for y in years
            ),
            *(
                agreement(f"a_mu of {y.year} (1e-11)", y.a_mu_1e11, float(y.a_mu_published), 10.0, "printed to 10")
                for y in years
            ),
            agreement("mean R", mean.value, float(printed), 1.5e-10, "0.0037072063 and …064 are both in print"),
            agreement("uncertainty of the mean R", mean.sigma, printed.sigma, 1e-10),
            agreement("a_mu from the printed R, λ of 1998 (1e-11)", from_printed["1998"][0] * 1e11, float(a_mu), 0.5),
            agreement(
                "a_mu from the printed R, λ of 2006 (1e-11)", from_printed["2006"][0] * 1e11, float(rescaled), 0.5
            ),
        ],
    }


def _averages() -> dict[str, Any]:
    steps = published_averages()
    known = releases()
    theory = {name: standard_model(name) for name in STANDARD_MODELS}
    compared = ("e821", "run1", "run23", "run456", "world_2021", "world_2023", "world_2025")
    tensions = [
        tension(known[n].value, known[n].sigma, m, label=known[n].label, status=known[n].status)
        for n in compared
        for m in STANDARD_MODELS
    ]
    by_pair = {(t.experiment, t.model): t for t in tensions}
    expected = (
        ("BNL E821", "WP20", "theory.wp20.difference"),
        ("world 2023", "WP25", "theory.wp25.difference"),
        ("world 2025", "WP25", "theory.wp25.difference_2025"),
    )
    checks = []
    for step in steps:
        value, sigma = step.combination.value, step.combination.sigma
        checks += [
            {
                **agreement(f"{step.label} (1e-11)", value, float(step.published), step.tolerance, step.note),
                **({} if step.closure else {"ok": None}),
            },
            {
                **agreement(f"uncertainty of {step.label} (1e-11)", sigma, step.published.sigma, step.tolerance),
                **({} if step.closure else {"ok": None}),
            },
        ]
    for experiment, model, path in expected:
        found, printed = by_pair[experiment, model], published(path)
        checks += [
            agreement(f"{experiment} − {model} (1e-11)", found.difference, float(printed), 1.0),
            agreement(f"uncertainty of {experiment} − {model} (1e-11)", found.sigma, printed.sigma, 1.0),
        ]
    checks.append(agreement("world 2021 − WP20 (σ)", by_pair["world 2021", "WP20"].n_sigma, 4.2, 0.05))
    inputs = [step.published for step in steps] + list(theory.values())
    inputs += [published(p) for _, _, p in expected]
    return {
        **_head("averages", inputs),
        "releases": [vars(r) for r in known.values()],
        "averages": {step.name: step.to_json() for step in steps},
        "standard_model": {name: quantity_json(q) for name, q in theory.items()},
        "tensions": [t.to_json() for t in tensions],
        "checks": checks,
    }
