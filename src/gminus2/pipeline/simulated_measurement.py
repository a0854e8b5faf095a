"""A simulated campaign from one file to a_μ: seal, steps, frozen blinded result, unblinding, comparison with the truth.

Layout of the output folder::

    seal/          the seal, both keys beside it (a demonstration keeps no secrets), the register of unblindings
    store/         what each step made
    blinded/       the blinded result, frozen.json, unblinded.json (blinded-2, … where a result replaced a frozen one)
    result.json    the result; report.html and figures beside it
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gminus2.config.campaign import Campaign
from gminus2.constants import weakest_status
from gminus2.data import make_provenance, read_result, write_result, write_text
from gminus2.data.provenance import content_digest
from gminus2.errors import BlindingError, ConfigError
from gminus2.execution import Executor
from gminus2.measurement.anomaly import Anomaly, anomaly
from gminus2.measurement.assembly import budget_of_measurement, combine_measured
from gminus2.measurement.averages import release, standard_model, tension
from gminus2.measurement.blinding import make_seal, open_seal, read_seal, unlock_record, write_seal
from gminus2.measurement.publication_parts import quantity_json
from gminus2.measurement.ratio import FrequencyRatio
from gminus2.measurement.unblinding import FROZEN, UNBLINDED, check_frozen, freeze, unblind
from gminus2.pipeline.code import published_file
from gminus2.pipeline.measure import STORE, step_json
from gminus2.pipeline.stages.analysis import (
    Painter,
    Remembered,
    beam_steps,
    field_steps,
    figures_file,
    omega_a_steps,
)
from gminus2.pipeline.stages.assemble import assemble_step, measured_from_json
from gminus2.pipeline.stages.combine import COMBINATION
from gminus2.pipeline.stages.hardware import Keyring, magnet_step, passphrases, simulate_step, truth_file
from gminus2.pipeline.steps import Action, Pipeline, Step
from gminus2.pipeline.store import Record, Store
from gminus2.pipeline.trace import Trace

__all__ = ["SimulatedMeasurement", "build_pipeline", "measure_campaign", "seal_campaign"]

_WHO: Final = "gminus2 measure"


@dataclass(frozen=True)
class SimulatedMeasurement:
    """What a run left: the result document, the folder of the frozen blinded result, and packed figures by stage."""

    document: dict[str, Any]
    blinded: Path
    figures: dict[str, dict[str, bytes]]
    complete: bool
    missing: tuple[str, ...] = ()


def seal_campaign(campaign: Campaign, output: Path) -> Keyring:
    """Return the keyring of an output folder, made new where there is none.

    Raises
    ------
    BlindingError
        A seal without its keys: nobody can play the hardware.
    """
    keyring = Keyring(output / "seal")
    if keyring.complete():
        return keyring
    if keyring.seal.exists():
        raise BlindingError(
            "the seal of this folder has lost its keys",
            where=str(keyring.folder),
            hint="restore key-1.txt and key-2.txt, or measure in another folder",
        )
    section = campaign.measurement.blinding
    words = (secrets.token_hex(16), secrets.token_hex(16))
    for path, word in zip(keyring.keys, words, strict=True):
        write_text(path, word + "\n")
    seal = make_seal(
        campaign.name,
        section.holders,
        words,
        clock_range_ppm=section.clock_range_ppm,
        field_range_ppm=section.field_range_ppm,
    )
    # The seal is written last: whoever finds it finds the keys.
    write_seal(keyring.seal, seal)
    return keyring


def build_pipeline(campaign: Campaign, folder: Path, output: Path, painter: Painter | None = None) -> Pipeline:
    """Return the steps: per dataset magnet, simulate, omega-a, beam; then field and combine.

    Parameters
    ----------
    folder
        What relative paths of the campaign are relative to.
    painter
        Draws the stages; without it there are no figures.

    Raises
    ------
    ConfigError
        The campaign has no [field], or is not simulated event by event.
    """
    if campaign.mode != "events":
        raise ConfigError(
            f"a campaign of mode '{campaign.mode}' has no trackers and no hits to measure from", expected="mode events"
        )
    keyring = Keyring(output / "seal")
    chosen = campaign.selected()
    if campaign.field is not None and campaign.only:
        campaign = campaign.model_copy(update={"field": _only(campaign)})
    names = [campaign.datasets[k].name for k in chosen]
    steps: list[Step] = []
    for place, index in enumerate(chosen):
        steps.append(magnet_step(campaign, index, place, keyring))
        steps.append(simulate_step(campaign, index, keyring, folder))
    memory = Remembered()
    for name in names:
        steps += omega_a_steps(campaign, name, painter, memory)
    for name in names:
        steps += beam_steps(campaign, name, painter, memory)
    steps += [*field_steps(campaign, names, painter, memory), assemble_step(campaign, keyring)]
    return Pipeline(steps, Store(output / STORE))


def _only(campaign: Campaign) -> Any:
    assert campaign.field is not None
    datasets = tuple(campaign.field.datasets[k] for k in campaign.selected())
    return campaign.field.model_copy(update={"datasets": datasets})


def measure_campaign(
    campaign: Campaign,
    pipeline: Pipeline,
    output: Path,
    *,
    from_step: str | None = None,
    only: str | None = None,
    executor: Executor | None = None,
    quiet: bool = True,
    notify: Callable[[Step, Action, str], None] | None = None,
) -> SimulatedMeasurement:
    """Run what is not done, freeze the blinded result, unblind it and compare it with the truth."""
    keyring = seal_campaign(campaign, output)
    records = pipeline.run(from_step=from_step, only=only, executor=executor, quiet=quiet, notify=notify)
    missing = tuple(name for name in pipeline.names() if name not in records)
    if missing:
        return SimulatedMeasurement({}, output, {}, False, missing)
    document = _blinded_document(campaign, pipeline, records)
    if campaign.measurement.blinding.unblind:
        blinded = _freeze(document, output)
        document = _unblinded_document(campaign, document, pipeline, records, keyring, blinded)
    else:
        blinded = output
    return SimulatedMeasurement(document, blinded, _figures(pipeline, records), True)


# The blinded result ---------------------------------------------------------------------------------------------------


def _blinded_document(campaign: Campaign, pipeline: Pipeline, records: dict[str, Record]) -> dict[str, Any]:
    combination = json.loads(pipeline.path(records, COMBINATION).read_text(encoding="utf-8"))
    numbers: dict[str, Any] = {}
    for record in records.values():
        numbers |= {key: {**entry, "step": record.step} for key, entry in record.numbers.items()}
    return {
        "campaign": campaign.name,
        "title": f"Simulated campaign “{campaign.name}”",
        "description": campaign.description.strip(),
        "simulated": True,
        "settings": campaign.model_dump(mode="json", exclude_none=True),
        **combination,
        "combination_digest": content_digest(combination),
        "steps": [step_json(step, records[step.name]) for step in pipeline.steps],
        "numbers": numbers,
        "files": [],
    }


def _versions(output: Path) -> list[Path]:
    """Return the folders of frozen results, oldest first."""
    found = [output / "blinded", *(output / f"blinded-{k}" for k in range(2, 1000))]
    return [folder for folder in found if (folder / FROZEN).exists()]


def _freeze(document: dict[str, Any], output: Path) -> Path:
    """Freeze the blinded result, as a new version where another one was frozen; return its folder."""
    versions = _versions(output)
    if versions:
        check_frozen(versions[-1])
        earlier = read_result(versions[-1] / "result.json", "measurement")
        if earlier["combination_digest"] == document["combination_digest"]:
            return versions[-1]
        folder = output / f"blinded-{len(versions) + 1}"
        reason = _changes(earlier, document)
        _write_blinded(document, folder)
        freeze(folder, new_version=reason, replaces=versions[-1], who=_WHO)
        return folder
    folder = output / "blinded"
    _write_blinded(document, folder)
    freeze(folder, who=_WHO)
    return folder


def _write_blinded(document: dict[str, Any], folder: Path) -> None:
    provenance = make_provenance(_WHO, config=document["settings"], seed=document["settings"]["seed"])
    write_result(folder / "result.json", "measurement", document, provenance)


def _changes(earlier: dict[str, Any], now: dict[str, Any]) -> str:
    keys = {step["name"]: step["key"] for step in earlier["steps"]}
    changed = [step["name"] for step in now["steps"] if keys.get(step["name"]) != step["key"]]
    return "measured again after a change of campaign or code; first step that differs: " + str(
        (changed or ["none"])[0]
    )


# The open result ------------------------------------------------------------------------------------------------------


def _unblinded_document(
    campaign: Campaign,
    blinded: dict[str, Any],
    pipeline: Pipeline,
    records: dict[str, Record],
    keyring: Keyring,
    folder: Path,
) -> dict[str, Any]:
    seal = read_seal(keyring.seal)
    keys = passphrases(seal, keyring.files())
    check_frozen(folder)
    if (folder / UNBLINDED).exists():
        opened = read_result(folder / UNBLINDED, "unblinded")
    else:
        opened = unblind(folder, keyring.seal, keys, who=_WHO)
    factor = 1.0 + 1e-6 * opened["unblinding_factor_minus_1_ppm"]
    ratio = FrequencyRatio(opened["R_mu"]["value"], opened["R_mu"]["uncertainty"], opened["R_mu"]["t_r_c"])
    settings = campaign.measurement.combination
    result = anomaly(ratio, settings.codata, settings.route)
    datasets = [measured_from_json(raw) for raw in blinded["measured"]]
    _, combination, rows = combine_measured(datasets, settings.correlation, settings.correlations)
    budget = budget_of_measurement(datasets, combination, rows, result.factor)
    scale = 1e-9 * result.value_1e11
    document = {
        **blinded,
        "R_mu": {"value": ratio.value, "uncertainty": ratio.sigma, "t_r_c": ratio.t_r_c},
        "a_mu": {
            "value": result.value_1e11,
            "uncertainty": result.sigma_1e11,
            "stat": combination.by_kind.get("stat", 0.0) * scale,
            "syst": combination.by_kind.get("syst", 0.0) * scale,
            "external": result.sigma_external * 1e11,
            "unit": "1e-11",
            "codata": settings.codata,
            "route": settings.route,
        },
        "budget": [row.to_json(result.value_1e11) for row in budget],
        "nuisances": [
            {"name": name, "row": rows[name], "sigma_ppb": sigma, "impact_1e11": sigma * scale}
            for name, sigma in sorted(combination.by_source.items(), key=lambda item: -item[1])
        ],
        "datasets": [_opened_dataset(entry, factor) for entry in blinded["datasets"]],
        "unblinding": {
            "R_mu_blinded": blinded["R_mu_blinded"],
            "folder": folder.name,
            **{k: opened[k] for k in ("frozen", "frozen_at", "frozen_by", "when", "who", "holders", "result_version")},
        },
        "blinding": {**blinded["blinding"], "state": "unblinded"},
        "constants": [quantity_json(q) for q in result.factor.inputs],
        "status": weakest_status([blinded["status"], result.factor.status]),
    }
    del document["R_mu_blinded"]
    trace = _trace(document, result, opened, settings.codata, settings.route)
    document["comparison"] = _comparison(result, settings.standard_model, trace)
    document["numbers"] = {
        **blinded["numbers"],
        **{key: {**entry, "step": "unblind"} for key, entry in trace.numbers.items()},
    }
    offsets = open_seal(seal, keys)
    truths = {
        name: json.loads(unlock_record(seal, keys, pipeline.path(records, truth_file(name)).read_bytes()))
        for name in (d.label for d in datasets)
    }
    document["truth"] = _truth(document, result, truths, offsets.field)
    document["checks"] = [*blinded["checks"], _truth_check(document["truth"])]
    return document


def _opened_dataset(entry: dict[str, Any], factor: float) -> dict[str, Any]:
    ratio = entry["R_mu"]
    return {
        **entry,
        "R_mu": {**ratio, "value": ratio["value"] * factor, "uncertainty": ratio["uncertainty"] * factor},
    }


def _trace(document: dict[str, Any], result: Anomaly, opened: dict[str, Any], codata: int, route: str) -> Trace:
    trace = Trace()
    table = trace.file("published.toml", "gminus2/reference/published.toml", _digest(published_file()))
    seal = trace.file("frozen result", f"{document['unblinding']['folder']}/frozen.json", opened["frozen"])
    ratio = trace.number(
        "R_mu",
        document["R_mu"]["value"],
        uncertainty=document["R_mu"]["uncertainty"],
        unit="1",
        formula="R'_blinded (1 + x)/(1 + y), the sealed offsets of clock and field",
        parents=["R_mu_blinded", seal, "file:seal"],
    )
    factor = trace.number(
        "K",
        result.factor.value,
        uncertainty=result.factor.value * result.factor.sigma_ppb * 1e-9,
        unit="1",
        formula="(mu'_p/mu_e(H)) (mu_e(H)/mu_e) (m_mu/m_e) (|g_e|/2)"
        if route == "hydrogen"
        else "(mu'_p/mu_B) (m_mu/m_e)",
        parents=[
            *(trace.constant(q, table) for q in result.factor.inputs),
            trace.setting("measurement.combination.codata", codata),
            trace.setting("measurement.combination.route", route),
        ],
    )
    trace.number(
        "a_mu",
        result.value_1e11,
        uncertainty=result.sigma_1e11,
        unit="1e-11",
        formula="R'_mu(T_r) × K(T_r)",
        parents=[ratio, factor],
    )
    return trace


def _digest(path: Path) -> str:
    from gminus2.data import file_digest

    return file_digest(path)


def _comparison(result: Anomaly, model: str, trace: Trace) -> dict[str, Any]:
    found = tension(result.value_1e11, result.sigma_1e11, model, label="this simulation", status="unverified")
    theory = standard_model(model)
    trace.number(
        "a_mu_minus_standard_model",
        found.difference,
        uncertainty=found.sigma,
        unit="1e-11",
        formula="a_mu − a_mu(SM)",
        parents=["a_mu", trace.constant(theory, "file:published.toml")],
    )
    shown = [vars(release(n)) for n in ("e821", "run1", "run23", "run456", "fnal_2025", "world_2025")]
    against = release("e821")
    sigma = (result.sigma_1e11**2 + against.sigma**2) ** 0.5
    return {
        "standard_model": model,
        "tension": found.to_json(),
        "tensions": {
            name: tension(
                result.value_1e11, result.sigma_1e11, name, label="this simulation", status="unverified"
            ).to_json()
            for name in ("wp20", "wp25")
        },
        "e821": {
            "difference": result.value_1e11 - against.value,
            "sigma": sigma,
            "n_sigma": (result.value_1e11 - against.value) / sigma,
        },
        "theory": {name: quantity_json(standard_model(name)) for name in ("wp20", "wp25")},
        "releases": shown,
    }


def _truth(document: dict[str, Any], result: Anomaly, truths: dict[str, Any], field_offset: float) -> dict[str, Any]:
    """Return the comparison with what the simulation had: a_μ, and per dataset R', the field and C_e, C_p."""
    a_true = next(iter(truths.values()))["a_mu"]
    ratio_true = a_true / result.factor.value
    # The simulation used the same external constants: they do not count in the pull.
    difference = (result.value - a_true) * 1e11
    rows = {}
    for entry in document["datasets"]:
        truth = truths[entry["label"]]
        pool, field = truth["pool"], truth["field"]
        f_p_true = field["f_p_hz"] * (1.0 + 1e-9 * pool["field_ppb"])
        f_p = entry["f_p_hz"]["value"] * (1.0 + field_offset)
        ratio = entry["R_mu"]
        rows[entry["label"]] = {
            "R_mu_pull": (ratio["value"] - ratio_true) / ratio["uncertainty"],
            "R_mu_difference_ppb": (ratio["value"] / ratio_true - 1.0) * 1e9,
            "f_p": _pair(
                (f_p / f_p_true - 1.0) * 1e9, 0.0, entry["f_p_hz"]["uncertainty"] / entry["f_p_hz"]["value"] * 1e9
            ),
            "C_e": _pair(
                entry["corrections_ppb"]["C_e"], -pool["electric_field_ppb"], entry["uncertainties_ppb"]["C_e"]
            ),
            "C_p": _pair(entry["corrections_ppb"]["C_p"], -pool["pitch_ppb"], entry["uncertainties_ppb"]["C_p"]),
            "B_k": _pair(entry["transients_ppb"]["B_k"], field["b_k_ppb"], entry["uncertainties_ppb"]["B_k"]),
            "B_q": _pair(entry["transients_ppb"]["B_q"], field["b_q_ppb"], entry["uncertainties_ppb"]["B_q"]),
        }
    return {
        "a_mu": a_true * 1e11,
        "difference": difference,
        "uncertainty": result.sigma_ratio * 1e11,
        "pull": difference / (result.sigma_ratio * 1e11),
        "datasets": rows,
    }


def _pair(measured: float, true: float, sigma: float) -> dict[str, float]:
    return {
        "measured_ppb": measured,
        "true_ppb": true,
        "uncertainty_ppb": sigma,
        "pull": (measured - true) / sigma if sigma > 0 else 0.0,
    }


def _truth_check(truth: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "the sealed a_μ comes back",
        "computed": truth["a_mu"] + truth["difference"],
        "published": truth["a_mu"],
        "tolerance": 4.0 * truth["uncertainty"],
        "ok": bool(abs(truth["pull"]) < 4.0),
        "note": f"pull {truth['pull']:+.2f}",
    }


def _figures(pipeline: Pipeline, records: dict[str, Record]) -> dict[str, dict[str, bytes]]:
    """Return the packed figures: output → name → PNG."""
    found = {}
    for record in records.values():
        for output in record.outputs:
            if output.startswith(figures_file("").removesuffix(".json")):
                raw = json.loads(pipeline.path(records, output).read_text(encoding="utf-8"))
                stage = output.removeprefix("figures-").removesuffix(".json")
                found[stage] = {name: base64.b64decode(text) for name, text in raw.items()}
    return found
