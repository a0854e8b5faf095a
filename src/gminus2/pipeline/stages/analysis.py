"""Stages ``omega-a``, ``beam`` and ``field``: what was recorded → frequencies and corrections. No key is given to them.

Each keeps its result as JSON. Its figures are a step of their own (``figures.omega-a-X``, …), keyed by the drawing code
too, so that another look of a figure redoes no number. Right after an analysis the figures are drawn from what it left
in memory; where the analysis came from the store and only the drawing changed, it is made once more for them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from gminus2.beam.campaign import BeamAnalysis, BeamOptions, analyse_dataset
from gminus2.beam.lost_muons import LossFunction
from gminus2.config.campaign import Campaign
from gminus2.config.field import FieldSection
from gminus2.config.measurement import BeamSection, OmegaASection
from gminus2.data.campaign import CampaignDataset
from gminus2.data.nmr import FieldData
from gminus2.data.results import plain
from gminus2.field.analysis import campaign_walk_rate, finish_dataset, prepare_dataset
from gminus2.field.campaign import FieldAnalysis
from gminus2.field.result import FieldResult
from gminus2.pipeline.code import figures_digest
from gminus2.pipeline.stages.hardware import data_file, field_file
from gminus2.pipeline.steps import Step, StepContext
from gminus2.precession.campaign import DatasetOmegaA, DatasetScans, analysis_of, measure_dataset, scan_dataset

__all__ = [
    "FIELD",
    "Painter",
    "Remembered",
    "beam_file",
    "beam_options",
    "beam_steps",
    "field_steps",
    "figures_file",
    "muon_profile",
    "omega_a_file",
    "omega_a_steps",
    "with_profile",
]

FIELD: Final = "field.json"


@dataclass(frozen=True)
class Painter:
    """What draws the stages; it comes from outside, because no analysis imports a plot library.

    Each function draws into the folder given last and returns the files.
    """

    omega_a: Callable[[DatasetOmegaA, DatasetScans | None, Path], list[Path]]
    beam: Callable[[list[BeamAnalysis], Path], list[Path]]
    field: Callable[[FieldSection, FieldAnalysis, Path], list[Path]]


def omega_a_file(name: str) -> str:
    """Return the output with a dataset's ω_a."""
    return f"omega-a-{name}.json"


def beam_file(name: str) -> str:
    """Return the output with a dataset's beam corrections."""
    return f"beam-{name}.json"


def figures_file(stage: str, name: str = "") -> str:
    """Return the output with the figures of a stage."""
    return f"figures-{stage}{'-' + name if name else ''}.json"


def write_json(path: Path, document: Any) -> None:
    """Write plain values; no moment of writing, so that the same content gives the same bytes."""
    path.write_text(json.dumps(plain(document), ensure_ascii=False, allow_nan=False, indent=1), encoding="utf-8")


#: From what a step sees to what draws into a folder and returns the files.
Drawing = Callable[[StepContext], Callable[[Path], list[Path]]]


class Remembered:
    """The last analysis of this process with the digests of what it was made from, for the step that draws it."""

    def __init__(self) -> None:
        self._kept: tuple[Any, Any] | None = None

    def keep(self, stage: str, context: StepContext, found: Any) -> None:
        """Keep what an analysis found."""
        self._kept = ((stage, dict(context.digests)), found)

    def take(self, stage: str, context: StepContext) -> Any:
        """Return and forget what the stage found in the same inputs, ``None`` where it is not at hand."""
        kept, self._kept = self._kept, None
        return kept[1] if kept is not None and kept[0] == (stage, dict(context.digests)) else None


def _figures_step(
    step: Step, stage: str, name: str, draw: Callable[[StepContext], Callable[[Path], list[Path]]]
) -> Step:
    """Return the step that draws what ``step`` found: the same inputs and settings, and the drawing code."""
    output = figures_file(stage, name)
    return Step(
        f"figures.{stage}{'-' + name if name else ''}",
        partial(_draw, output=output, draw=draw),
        inputs=step.inputs,
        outputs=(output,),
        settings={**step.settings, "drawing": figures_digest()},
        title=f"figures: {step.title}",
    )


def _draw(context: StepContext, output: str, draw: Drawing) -> None:
    """Draw into a folder of the step and keep the files as one output."""
    folder = context.folder / "drawn"
    folder.mkdir()
    files = sorted(draw(context)(folder))
    packed = {path.stem: base64.b64encode(path.read_bytes()).decode("ascii") for path in files}
    write_json(context.output(output), packed)


# ω_a ------------------------------------------------------------------------------------------------------------------


def omega_a_steps(
    campaign: Campaign, name: str, painter: Painter | None = None, memory: Remembered | None = None
) -> list[Step]:
    """Return the step that measures ω_a of a dataset, and the one that draws it where there is a painter."""
    memory = memory or Remembered()
    step = Step(
        f"omega-a.{name}",
        partial(_omega_a, memory=memory),
        inputs=(data_file(name),),
        outputs=(omega_a_file(name),),
        settings={"name": name, **campaign.measurement.omega_a.model_dump(mode="json")},
        title=f"{name}: ω_a",
    )
    if painter is None:
        return [step]

    def draw(context: StepContext) -> Callable[[Path], list[Path]]:
        return partial(painter.omega_a, *(memory.take("omega-a", context) or _measured_omega_a(context)))

    return [step, _figures_step(step, "omega-a", name, draw)]


def _measured_omega_a(context: StepContext) -> tuple[DatasetOmegaA, DatasetScans | None]:
    settings = {k: v for k, v in context.settings.items() if k not in ("name", "drawing")}
    section, name = OmegaASection.model_validate(settings), context.settings["name"]
    dataset = CampaignDataset.read(context.inputs[data_file(name)])
    teams = [analysis_of(team) for team in section.teams]
    found = measure_dataset(dataset, teams, systematics=section.systematics)
    threshold = [m for m in found.measured if m.analysis.method == "T"]
    scans = scan_dataset(found.analyser, threshold[0], None) if section.scans and threshold else None
    return found, scans


def _omega_a(context: StepContext, memory: Remembered) -> None:
    name = context.settings["name"]
    settings = {k: v for k, v in context.settings.items() if k != "name"}
    found, scans = _measured_omega_a(context)
    memory.keep("omega-a", context, (found, scans))
    document = found.to_json()
    if scans is not None:
        document["scans"] = scans.to_json()
    write_json(context.output(omega_a_file(name)), document)
    trace = context.trace
    f_a = document["f_a_hz"]
    trace.number(
        f"f_a_measured.{name}",
        f_a["value"],
        uncertainty=float(np.hypot(f_a["statistical"], f_a["systematic"])),
        unit="Hz",
        formula="fits of the positron histograms in nominal clock time: " + ", ".join(found.combined_from),
        parents=[f"hits.{name}", *(trace.setting(f"measurement.omega_a.{k}", v) for k, v in settings.items())],
    )


# Beam -----------------------------------------------------------------------------------------------------------------


def beam_steps(
    campaign: Campaign, name: str, painter: Painter | None = None, memory: Remembered | None = None
) -> list[Step]:
    """Return the step that measures a dataset's beam-dynamics corrections and the muons' profile, and its drawing."""
    memory = memory or Remembered()
    window = campaign.measurement.omega_a
    step = Step(
        f"beam.{name}",
        partial(_beam, memory=memory),
        inputs=(data_file(name),),
        outputs=(beam_file(name),),
        settings={
            "name": name,
            "beam": campaign.measurement.beam.model_dump(mode="json"),
            "window_us": [window.teams[0].start_us, window.teams[0].stop_us],
        },
        title=f"{name}: beam-dynamics corrections",
    )
    if painter is None:
        return [step]

    def draw(context: StepContext) -> Callable[[Path], list[Path]]:
        return partial(painter.beam, [memory.take("beam", context) or _measured_beam(context)])

    return [step, _figures_step(step, "beam", name, draw)]


def beam_options(section: BeamSection, window_us: tuple[float, float]) -> BeamOptions:
    """Return what the beam analysis takes from a campaign, with the window of the ω_a fit."""
    return BeamOptions(
        rotation_start_us=section.rotation_start_us,
        fit_start_us=window_us[0],
        fit_stop_us=window_us[1],
        phase_per_momentum_rad=section.phase_per_momentum_rad,
        phase_per_momentum_error=section.phase_per_momentum_error,
        loss=LossFunction(slope=section.loss_slope),
        triple_efficiency=section.triple_efficiency,
        damaged_section=section.damaged_section,
    )


def _measured_beam(context: StepContext) -> BeamAnalysis:
    name, window = context.settings["name"], context.settings["window_us"]
    options = beam_options(BeamSection.model_validate(context.settings["beam"]), (window[0], window[1]))
    return analyse_dataset(CampaignDataset.read(context.inputs[data_file(name)]), options)


def _beam(context: StepContext, memory: Remembered) -> None:
    name = context.settings["name"]
    analysis = _measured_beam(context)
    memory.keep("beam", context, analysis)
    document = {
        **analysis.to_json(),
        "names": list(analysis.corrections),
        "profile": muon_profile(analysis),
        "warnings": list(analysis.rotation.warnings),
    }
    write_json(context.output(beam_file(name)), document)
    trace = context.trace
    inputs = [trace.setting(f"measurement.beam.{k}", v) for k, v in context.settings["beam"].items()]
    for key, correction in analysis.corrections.items():
        trace.number(
            f"{key}.{name}",
            correction.value_ppb,
            uncertainty=correction.uncertainty_ppb,
            unit="ppb",
            formula="beam-dynamics correction from calorimeters and trackers",
            parents=[f"hits.{name}", *inputs],
        )
    for key, value in document["profile"].items():
        trace.number(
            f"profile.{key}.{name}",
            value,
            unit="mm",
            formula="tracker profile, resolution and acceptance removed",
            parents=[f"hits.{name}"],
        )


def muon_profile(analysis: BeamAnalysis) -> dict[str, float]:
    """Return mean and width of the muons in the fit window [mm], the mean of both stations weighted with the decays."""
    totals = []
    for moments in analysis.moments:
        weight = np.exp(-moments.time_us / 64.4)
        totals.append(np.average(moments.values, axis=1, weights=weight))
    x, xx, y, yy = np.mean(totals, axis=0)
    return {
        "mean_x_mm": float(x),
        "mean_y_mm": float(y),
        "width_x_mm": float(np.sqrt(max(xx, 1e-6))),
        "width_y_mm": float(np.sqrt(max(yy, 1e-6))),
    }


# Field ----------------------------------------------------------------------------------------------------------------


def field_steps(
    campaign: Campaign, names: list[str], painter: Painter | None = None, memory: Remembered | None = None
) -> list[Step]:
    """Return the step that measures the muon-weighted field of all datasets, and its drawing."""
    assert campaign.field is not None
    memory = memory or Remembered()
    step = Step(
        "field",
        partial(_field, memory=memory),
        inputs=tuple(output for name in names for output in (field_file(name), beam_file(name))),
        outputs=(FIELD,),
        settings={"names": names, "field": _analysis_settings(campaign.field)},
        title="magnetic field",
    )
    if painter is None:
        return [step]

    def draw(context: StepContext) -> Callable[[Path], list[Path]]:
        return partial(painter.field, *(memory.take("field", context) or _measured_field(context)))

    return [step, _figures_step(step, "field", "", draw)]


def _analysis_settings(section: FieldSection) -> dict[str, Any]:
    """Return the part of the section that the analysis may see: nothing of the world."""
    raw: dict[str, Any] = section.model_dump(mode="json")
    return {key: value for key, value in raw.items() if key not in ("world", "feedback", "blind_ppb", "datasets")}


def _measured_field(context: StepContext) -> tuple[FieldSection, FieldAnalysis]:
    names = context.settings["names"]
    section = FieldSection.model_validate(context.settings["field"])
    sections, prepared = [], []
    for name in names:
        own = with_profile(section, json.loads(context.inputs[beam_file(name)].read_text(encoding="utf-8"))["profile"])
        data = FieldData.read(context.inputs[field_file(name)])
        sections.append(own)
        prepared.append(prepare_dataset(own, data, executor=context.executor, quiet=context.quiet))
    rate, relative = campaign_walk_rate(section, prepared)
    finished = [
        finish_dataset(own, one, rate=rate, rate_relative_sigma=relative)
        for own, one in zip(sections, prepared, strict=True)
    ]
    return section, FieldAnalysis(
        results=tuple(result for result, _ in finished),
        prepared=tuple(prepared),
        tracking=tuple(tracking for _, tracking in finished),
        walk_rate=rate,
        walk_rate_relative_sigma=relative,
    )


def _field(context: StepContext, memory: Remembered) -> None:
    section, analysis = _measured_field(context)
    memory.keep("field", context, (section, analysis))
    write_json(context.output(FIELD), [result.to_json() for result in analysis.results])
    parents = [context.trace.setting(f"field.{key}", value) for key, value in context.settings["field"].items()]
    for result in analysis.results:
        _record_field(context, result, parents)


def with_profile(section: FieldSection, profile: dict[str, float]) -> FieldSection:
    """Return the section with the muons where the trackers saw them."""
    muons = section.muons.model_copy(update={**profile, "closed_orbit_mm": 0.0})
    return section.model_copy(update={"muons": muons})


def _record_field(context: StepContext, result: FieldResult, parents: list[str]) -> None:
    trace, name = context.trace, result.name
    profile = [f"profile.{key}.{name}" for key in ("mean_x_mm", "mean_y_mm", "width_x_mm", "width_y_mm")]
    trace.number(
        f"f_p_measured.{name}",
        result.f_p_hz,
        uncertainty=result.sigma_hz,
        unit="Hz",
        formula=f"tracked, calibrated, muon-weighted field at T_r = {result.reference_temperature_c:g} °C, blinded",
        parents=[f"field_readings.{name}", *profile, *parents],
    )
    for key, value in (("B_k", result.b_k_ppb), ("B_q", result.b_q_ppb)):
        trace.number(
            f"{key}.{name}",
            value,
            uncertainty=result.row(key).sigma_ppb,
            unit="ppb",
            formula="field transient as the precession fit sees it",
            parents=[f"field_readings.{name}", *parents],
        )
