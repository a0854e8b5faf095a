"""Stages ``omega-a``, ``beam`` and ``field``: what was recorded → frequencies and corrections. No key is given to them.

Each keeps its result as JSON and its figures as PNG, packed into one JSON file.
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
from gminus2.precession.campaign import Analysis, DatasetOmegaA, DatasetScans, measure_dataset, scan_dataset

__all__ = [
    "FIELD",
    "Painter",
    "beam_file",
    "beam_options",
    "beam_step",
    "field_step",
    "figures_file",
    "muon_profile",
    "omega_a_file",
    "omega_a_step",
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


def _drawn_by(painter: Painter | None) -> str:
    return figures_digest() if painter else "none"


def _pack(context: StepContext, output: str, draw: Callable[[Path], list[Path]] | None) -> None:
    """Draw into a folder of the step and keep the files as one output."""
    folder = context.folder / "drawn"
    folder.mkdir()
    files = sorted(draw(folder)) if draw else []
    packed = {path.stem: base64.b64encode(path.read_bytes()).decode("ascii") for path in files}
    write_json(context.output(output), packed)


# ω_a ------------------------------------------------------------------------------------------------------------------


def omega_a_step(campaign: Campaign, name: str, painter: Painter | None = None) -> Step:
    """Return the step that measures ω_a of a dataset."""
    return Step(
        f"omega-a.{name}",
        partial(_omega_a, painter=painter),
        inputs=(data_file(name),),
        outputs=(omega_a_file(name), figures_file("omega-a", name)),
        settings={"name": name, "figures": _drawn_by(painter), **campaign.measurement.omega_a.model_dump(mode="json")},
        title=f"{name}: ω_a",
    )


def _omega_a(context: StepContext, painter: Painter | None) -> None:
    settings = {k: v for k, v in context.settings.items() if k not in ("name", "figures")}
    section, name = OmegaASection.model_validate(settings), context.settings["name"]
    dataset = CampaignDataset.read(context.inputs[data_file(name)])
    teams = [Analysis(**team.model_dump()) for team in section.teams]
    found = measure_dataset(dataset, teams, systematics=section.systematics)
    scans = None
    threshold = [m for m in found.measured if m.analysis.method == "T"]
    if section.scans and threshold:
        scans = scan_dataset(found.analyser, threshold[0], None)
    _pack(context, figures_file("omega-a", name), partial(painter.omega_a, found, scans) if painter else None)
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


def beam_step(campaign: Campaign, name: str, painter: Painter | None = None) -> Step:
    """Return the step that measures the beam-dynamics corrections of a dataset and the muons' profile."""
    window = campaign.measurement.omega_a
    return Step(
        f"beam.{name}",
        partial(_beam, painter=painter),
        inputs=(data_file(name),),
        outputs=(beam_file(name), figures_file("beam", name)),
        settings={
            "name": name,
            "figures": _drawn_by(painter),
            "beam": campaign.measurement.beam.model_dump(mode="json"),
            "window_us": [window.teams[0].start_us, window.teams[0].stop_us],
        },
        title=f"{name}: beam-dynamics corrections",
    )


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


def _beam(context: StepContext, painter: Painter | None) -> None:
    name, window = context.settings["name"], context.settings["window_us"]
    options = beam_options(BeamSection.model_validate(context.settings["beam"]), (window[0], window[1]))
    analysis = analyse_dataset(CampaignDataset.read(context.inputs[data_file(name)]), options)
    _pack(context, figures_file("beam", name), partial(painter.beam, [analysis]) if painter else None)
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


def field_step(campaign: Campaign, names: list[str], painter: Painter | None = None) -> Step:
    """Return the step that measures the muon-weighted field of all datasets."""
    assert campaign.field is not None
    return Step(
        "field",
        partial(_field, painter=painter),
        inputs=tuple(output for name in names for output in (field_file(name), beam_file(name))),
        outputs=(FIELD, figures_file("field")),
        settings={"names": names, "figures": _drawn_by(painter), "field": _analysis_settings(campaign.field)},
        title="magnetic field",
    )


def _analysis_settings(section: FieldSection) -> dict[str, Any]:
    """Return the part of the section that the analysis may see: nothing of the world."""
    raw: dict[str, Any] = section.model_dump(mode="json")
    return {key: value for key, value in raw.items() if key not in ("world", "feedback", "blind_ppb", "datasets")}


def _field(context: StepContext, painter: Painter | None) -> None:
    settings, names = context.settings["field"], context.settings["names"]
    section = FieldSection.model_validate(settings)
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
    analysis = FieldAnalysis(
        results=tuple(result for result, _ in finished),
        prepared=tuple(prepared),
        tracking=tuple(tracking for _, tracking in finished),
        walk_rate=rate,
        walk_rate_relative_sigma=relative,
    )
    _pack(context, figures_file("field"), partial(painter.field, section, analysis) if painter else None)
    write_json(context.output(FIELD), [result.to_json() for result in analysis.results])
    parents = [context.trace.setting(f"field.{key}", value) for key, value in settings.items()]
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
