"""Documents across runs: the final result, E821 by year, world averages against the Standard Model."""

from __future__ import annotations

import math
from typing import Any

from gminus2.constants import published, published_table
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
from gminus2.measurement.datasets import CORRECTIONS
from gminus2.measurement.publication_parts import agreement, document_head, quantity_json

__all__ = ["averages_document", "e821_document", "final_document"]


def final_document() -> dict[str, Any]:
    """Return the final Fermilab result with its split uncertainty and the average that does not close."""
    final, world = published("experiment.combinations.fnal_2025"), published("experiment.combinations.world_2025")
    needed = published("experiment.combinations.run123_needed")
    split = {"stat": final.stat or 0.0, "syst": final.syst or 0.0, "ext": final.ext or 0.0}
    steps = {a.name: a for a in published_averages()}
    closing = steps["fnal_2025_from_published"]
    runs = [release(name) for name in ("run1", "run23", "run456", "fnal_2025", "e821", "world_2025")]
    world_mean = steps["world_2025"].combination
    return {
        **document_head("final", [final, world, needed]),
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


def e821_document() -> dict[str, Any]:
    """Return E821 by year and its average, with both λ."""
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
    head = document_head("e821", [*used, printed, a_mu, rescaled, *lams.values()])
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


def averages_document() -> dict[str, Any]:
    """Return the averages of 2021, 2023 and 2025 recomputed, and their tensions."""
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
        **document_head("averages", inputs),
        "releases": [vars(r) for r in known.values()],
        "averages": {step.name: step.to_json() for step in steps},
        "standard_model": {name: quantity_json(q) for name, q in theory.items()},
        "tensions": [t.to_json() for t in tensions],
        "checks": checks,
    }
