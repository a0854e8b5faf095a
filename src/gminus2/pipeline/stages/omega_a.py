"""Stages ``histogram`` (recorded or generated → ``histogram.h5``) and ``omega_a`` (its fit → ``fit.json``)."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Final

from gminus2.data import StoredArray, StoredArrays, TimeHistogram, write_arrays
from gminus2.data.io import ReadOptions, read_histogram
from gminus2.data.provenance import Provenance
from gminus2.data.results import plain
from gminus2.pipeline.campaign import Campaign
from gminus2.pipeline.fit_file import PseudoSection
from gminus2.pipeline.fit_job import good_bins
from gminus2.pipeline.pseudo import TRUTH, pseudo_histogram
from gminus2.pipeline.steps import Step, StepContext
from gminus2.precession import FitResult, FitSettings, fit, preset
from gminus2.precession.fitting.result import P_VALUE_ALARM
from gminus2.units import omega_reference

__all__ = ["FIT", "FIT_ARRAYS", "histogram_step", "omega_a_step"]

HISTOGRAM: Final = "histogram.h5"
READING: Final = "histogram.json"
FIT: Final = "fit.json"
FIT_ARRAYS: Final = "fit-arrays.h5"


def histogram_step(campaign: Campaign, file: Path | None) -> Step:
    """Return the step that reads ``file``, or generates the pseudo-data of the campaign where it is ``None``."""
    if file is not None:
        return Step(
            "histogram",
            _read,
            outputs=(HISTOGRAM, READING),
            files={"histogram": file},
            title=f"read {file.name}",
        )
    assert campaign.pseudo_data is not None
    return Step(
        "histogram",
        _generate,
        outputs=(HISTOGRAM, READING),
        settings=campaign.pseudo_data.model_dump(exclude={"seed"}),
        seed=campaign.pseudo_data.seed,
        title="generate a histogram",
    )


def omega_a_step(campaign: Campaign) -> Step:
    """Return the step that fits ω_a."""
    assert campaign.fit is not None
    return Step(
        "omega_a",
        _fit,
        inputs=(HISTOGRAM, READING),
        outputs=(FIT, FIT_ARRAYS),
        settings=campaign.fit.model_dump(),
        title="fit ω_a",
    )


def _read(context: StepContext) -> None:
    path = context.files["histogram"]
    histogram, report = read_histogram(path, ReadOptions())
    histogram = good_bins(histogram, report)
    context.trace.file("histogram", path.name, context.digests["file:histogram"])
    # Nothing of the moment of writing may enter an object of the store: the same input gives the same bytes.
    histogram.write(context.output(HISTOGRAM), Provenance(made_by="histogram", inputs={path.name: report.sha256}))
    _write_json(context.output(READING), {"origin": "file", "parents": ["file:histogram"], **report.to_json()})


def _generate(context: StepContext) -> None:
    request = PseudoSection(**context.settings, seed=context.seed or 0)
    histogram = pseudo_histogram(request)
    histogram.write(context.output(HISTOGRAM), Provenance(made_by="histogram", seed=context.seed))
    parents = [context.trace.setting(f"pseudo_data.{name}", value) for name, value in context.settings.items()]
    parents.append(context.trace.setting("pseudo_data.seed", context.seed))
    free = preset(request.model).parameter_names
    reading = {
        "origin": "generated",
        "parents": parents,
        "n_bins": histogram.n_bins,
        "counts": [float(histogram.counts.sum())],
        "caveats": list(histogram.caveats),
        "truth": {**{name: value for name, value in TRUTH.items() if name in free}, "R": request.r_ppm},
        "no_a_mu": "generated data: a_mu would only return what was put in",
    }
    _write_json(context.output(READING), reading)


def _fit(context: StepContext) -> None:
    settings = context.settings
    histogram = TimeHistogram.read(context.inputs[HISTOGRAM])
    reading = json.loads(context.inputs[READING].read_text(encoding="utf-8"))
    result = fit(
        histogram,
        settings["model"],
        FitSettings(window_us=(settings["start_us"], settings["stop_us"]), statistic=settings["statistic"]),
    )
    _record(context, result, reading)
    document = {
        "origin": reading["origin"],
        "reading": {key: value for key, value in reading.items() if key not in ("parents", "origin")},
        "fit": result.to_json(),
        "R_ppm": {"value": result["R"].value, "uncertainty": result["R"].error},
        "f_a_hz": {
            "value": omega_reference / (2.0 * math.pi) * (1.0 + result["R"].value * 1e-6) * 1e6,
            "uncertainty": omega_reference / (2.0 * math.pi) * result["R"].error,
            "note": reading.get("no_a_mu") or "",
        },
        "checks": _checks(result, reading),
        "status": "source",
    }
    _write_json(context.output(FIT), document)
    _write_arrays(context.output(FIT_ARRAYS), result)


def _record(context: StepContext, result: FitResult, reading: dict[str, Any]) -> None:
    parents = [context.trace.setting(f"fit.{name}", value) for name, value in context.settings.items()]
    parents += reading["parents"]
    for name, parameter in result.parameters.items():
        context.trace.number(
            f"fit.{name}",
            parameter.value,
            uncertainty=parameter.error,
            unit=parameter.unit,
            formula=f"{result.statistic} fit of the histogram, {result.n_bins} bins",
            parents=parents,
        )


def _checks(result: FitResult, reading: dict[str, Any]) -> list[dict[str, Any]]:
    checks = [
        _check("the ω_a fit converged", float(result.converged), None, 0.0, result.converged, ""),
        _check(
            "the ω_a fit is good: p-value",
            result.p_value,
            None,
            P_VALUE_ALARM,
            bool(result.p_value >= P_VALUE_ALARM),
            f"{result.statistic} {result.statistic_value:.1f} for {result.ndf}; must be above {P_VALUE_ALARM:g}",
        ),
    ]
    for name, truth in reading.get("truth", {}).items():
        if name not in result.parameters or result[name].state != "free":
            continue
        parameter = result[name]
        pull = (parameter.value - truth) / parameter.error
        checks.append(
            _check(
                f"generated {name} comes back",
                parameter.value,
                truth,
                4.0 * parameter.error,
                abs(pull) < 4.0,
                f"pull {pull:+.2f}",
            )
        )
    return checks


def _check(
    name: str, computed: float, published: float | None, tolerance: float, ok: bool, note: str
) -> dict[str, Any]:
    return {
        "name": name,
        "computed": computed,
        "published": published,
        "tolerance": tolerance,
        "ok": bool(ok),
        "note": note,
    }


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(plain(document), ensure_ascii=False, allow_nan=False, indent=1), encoding="utf-8")


def _write_arrays(path: Path, result: FitResult) -> None:
    arrays: dict[str, StoredArray] = {}
    for spectrum in result.spectra:
        prefix = spectrum.label.replace("/", "_")
        arrays[f"{prefix}/centres_us"] = StoredArray(spectrum.centres_us, "us", "bin centres")
        arrays[f"{prefix}/data"] = StoredArray(spectrum.data, "1", "counts")
        arrays[f"{prefix}/model"] = StoredArray(spectrum.model, "1", "fitted expectation")
        arrays[f"{prefix}/sigma"] = StoredArray(spectrum.sigma, "1", "standard deviation used by the statistic")
    attributes = {"width_us": result.spectra[0].width_us, "labels": [s.label for s in result.spectra]}
    write_arrays(path, StoredArrays("fit-spectra", arrays, attributes, Provenance(made_by="omega_a")))
