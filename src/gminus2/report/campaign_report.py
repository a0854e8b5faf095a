"""Result file, figures and report of a simulated campaign that was measured."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gminus2.data import atomic_path, make_provenance, write_result, write_text
from gminus2.report import field_figures as draw
from gminus2.report.beam_figures import beam_figures
from gminus2.report.html import InlineFigure, NumberBox, Section, render_report
from gminus2.report.measurement_figures import (
    budget_figure,
    datasets_figure,
    history_figure,
    methods_figure,
    stability_figure,
)
from gminus2.report.measurement_report import (
    CAPTIONS,
    budget_table,
    datasets_table,
    head_numbers,
    print_measurement,
    steps_table,
)
from gminus2.report.omega_a_figures import omega_a_figures
from gminus2.report.plotting import save_figure
from gminus2.report.published_tables import checks_table
from gminus2.report.tables import Table, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console

    from gminus2.config.field import FieldSection
    from gminus2.field.campaign import FieldAnalysis
    from gminus2.pipeline.simulated_measurement import SimulatedMeasurement
    from gminus2.pipeline.stages.analysis import Painter

__all__ = ["campaign_painter", "print_campaign", "write_campaign"]

#: What each stage's figures show, by the end of their names.
_STAGE_CAPTIONS: Final[Mapping[str, str]] = {
    "wiggle": "Counts and fit of the first analysis, folded every 100 µs.",
    "residuals": "Fourier amplitude of the residuals, five parameters and full model.",
    "pileup": "Energy spectrum and the pileup subtracted from it.",
    "methods": "The analyses of ω_a relative to each other, with what their correlation allows.",
    "asymmetry": "Asymmetry and phase against energy.",
    "scans": "Scans of the fit.",
    "phase_map": "Detected phase against the decay position.",
    "rotation_signal": "Fast rotation: counts divided by decay and wiggle.",
    "momentum": "Revolution frequency, radius, and their density with the injection time.",
    "moments": "Mean position and width of the beam against time, from the trackers.",
    "phase": "Drift of the detected phase in the fit window.",
    "azimuth": "Multipoles of the field around the ring, from the trolley.",
    "cross_section": "Field over the storage region, azimuthal mean, with the muons.",
    "tracking": "The field seen by the muons against time, between trolley runs.",
    "transients": "Field transients of kicker and quadrupoles.",
    "budget": "Uncertainties of the field.",
}


def campaign_painter() -> Painter:
    """Return what draws the stages of a campaign."""
    from gminus2.pipeline.stages.analysis import Painter

    return Painter(omega_a=omega_a_figures, beam=beam_figures, field=_field_figures)


def write_campaign(measured: SimulatedMeasurement, output: Path) -> None:
    """Write figures, report and result; the result last: a folder with result.json is complete."""
    document = measured.document
    seed = document["settings"]["seed"]
    provenance = make_provenance("gminus2 measure", config=document["settings"], seed=seed)
    figures = _figures(document)
    written = ["report.html"]
    for name, figure in figures.items():
        save_figure(figure, output / "figures" / f"{name}.png")
        written.append(f"figures/{name}.png")
    for stage, packed in measured.figures.items():
        for name, png in packed.items():
            target = output / "figures" / f"{stage}-{name}.png"
            with atomic_path(target) as temporary:
                temporary.write_bytes(png)
            written.append(f"figures/{target.name}")
    html = render_report(
        document,
        numbers=_numbers(document),
        sections=_sections(document, figures, measured.figures),
        steps=steps_table(document),
        provenance=provenance.to_json(),
    )
    write_text(output / "report.html", html)
    write_result(output / "result.json", "measurement", {**document, "files": written}, provenance)


def print_campaign(console: Console, measured: SimulatedMeasurement, output: Path) -> None:
    """Print tables, checks and the number."""
    print_measurement(console, measured.document, _numbers(measured.document), output)


def _numbers(document: Mapping[str, Any]) -> list[NumberBox]:
    boxes = head_numbers(document)
    if "truth" in document:
        truth, opened = document["truth"], document["unblinding"]
        boxes.append(
            NumberBox(
                "What nature had drawn",
                f"a_μ = {truth['a_mu']:.1f} × 10⁻¹¹",
                (
                    f"measured − true = {number(truth['difference'], 0)}({truth['uncertainty']:.0f}) × 10⁻¹¹, "
                    f"{number(truth['pull'], 2)}σ. A simulation draws its a_μ at random: the comparison with theory "
                    "and experiments shows the method, not nature.",
                    f"frozen {opened['frozen_at']}, unblinded {opened['when']}, version {opened['result_version']}; "
                    f"keys of {' and '.join(opened['holders'])} lay beside the seal",
                ),
            )
        )
    return boxes


def _figures(document: Mapping[str, Any]) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    if "a_mu" in document:
        comparison, a = document["comparison"], document["a_mu"]
        figures["history"] = history_figure(
            comparison["releases"], comparison["theory"], ("this simulation", a["value"], a["uncertainty"])
        )
    mean = document.get("R_mu") or document["R_mu_blinded"]
    figures["datasets"] = datasets_figure({**document, "R_mu": mean})
    if len(document["datasets"]) > 1:
        figures["stability"] = stability_figure(document)
    if len(document["by_method"]) > 1:
        figures["by_method"] = methods_figure(document)
    figures["result_budget"] = budget_figure(document["budget"])
    return figures


def _sections(
    document: Mapping[str, Any], figures: Mapping[str, Figure], packed: Mapping[str, Mapping[str, bytes]]
) -> list[Section]:
    captions = {**CAPTIONS, "result_budget": CAPTIONS["budget"]}
    inline = {name: InlineFigure.of(figure, name, captions[name]) for name, figure in figures.items()}

    def pick(*names: str) -> tuple[InlineFigure, ...]:
        return tuple(inline[name] for name in names if name in inline)

    c = document["combination"]
    agreement = (
        f"Correlation model “{document['correlation_model']}”: χ² = {c['chi2']:.2f} for {c['ndf']} degrees of freedom, "
        f"p = {c['p_value']:.3f}."
    )
    sections = [Section("Uncertainty budget", (), (budget_table(document),), pick("result_budget"))]
    if "truth" in document:
        text = ("Opened after the blinded result was frozen. Differences are measured − true.",)
        sections.append(Section("Comparison with the sealed truth", text, (_truth_table(document),)))
    sections.append(
        Section("Datasets", (agreement,), (datasets_table(document),), pick("datasets", "stability", "by_method"))
    )
    sections.append(
        Section("Precession frequency ω_a", (), (_omega_table(document),), _packed(packed, "omega-a")),
    )
    sections.append(Section("Beam dynamics", (), (_beam_table(document),), _packed(packed, "beam")))
    sections.append(Section("Magnetic field", (), (_field_table(document),), _packed(packed, "field")))
    if "comparison" in document:
        sections.append(Section("Comparison", (), (_comparison_table(document),), pick("history")))
    if "nuisances" in document:
        sections.append(Section("Impact of every nuisance", (), (_nuisance_table(document),)))
    sections.append(Section("Checks", (), (checks_table(document["checks"]),)))
    return sections


def _packed(packed: Mapping[str, Mapping[str, bytes]], stage: str) -> tuple[InlineFigure, ...]:
    found = []
    for key, images in packed.items():
        if key != stage and not key.startswith(f"{stage}-"):
            continue
        dataset = key.removeprefix(stage).removeprefix("-")
        for name, png in images.items():
            if name == "corrections":  # one dataset's numbers, which stand in the table
                continue
            if dataset and dataset != next(iter(packed_datasets(packed, stage))) and not _per_dataset(name):
                continue
            found.append(_image(png, _caption(name), dataset))
    return tuple(found)


def packed_datasets(packed: Mapping[str, Mapping[str, bytes]], stage: str) -> list[str]:
    """Return the datasets for which a stage has figures of their own."""
    return [key.removeprefix(f"{stage}-") for key in packed if key.startswith(f"{stage}-")]


def _per_dataset(name: str) -> bool:
    """Return whether a figure is shown for every dataset; the others stand for all with the first one."""
    return name.endswith("wiggle")


def _caption(name: str) -> str:
    for end in sorted(_STAGE_CAPTIONS, key=len, reverse=True):
        if name.endswith(end):
            return _STAGE_CAPTIONS[end]
    return name.replace("_", " ")


def _image(png: bytes, caption: str, dataset: str) -> InlineFigure:
    text = f"Dataset {dataset}: {caption}" if dataset else caption
    data = base64.b64encode(png).decode("ascii")
    return InlineFigure(f'<img alt="{escape(text)}" src="data:image/png;base64,{data}">', text, wide=True)


def _omega_table(document: Mapping[str, Any]) -> Table:
    rows = []
    for name, entry in document["stages"]["omega_a"].items():
        for key in entry["order"]:
            a = entry["analyses"][key]
            rows.append(
                (
                    f"{name}: {key}",
                    number(a["R_ppm"]["value"], 2),
                    number(a["R_ppm"]["statistical"], 2),
                    f"{a['chi2']:.0f}/{a['ndf']}",
                    f"{a['p_value']:.3f}",
                )
            )
        rows.append(
            (
                f"{name}: combined",
                number(entry["R_ppm"]["value"], 2),
                f"{entry['R_ppm']['statistical']:.2f} ⊕ {entry['R_ppm']['systematic']:.2f}",
                "",
                "",
            )
        )
    strong = frozenset(k for k, row in enumerate(rows) if row[0].endswith("combined"))
    return Table(
        "ω_a in nominal clock time, R relative to 0.2291 MHz",
        ("dataset: analysis", "R (ppm)", "uncertainty (ppm)", "χ²/ndf", "p"),
        tuple(rows),
        ("The hidden clock offset is in these values.",),
        emphasis=strong,
    )


def _beam_table(document: Mapping[str, Any]) -> Table:
    rows = []
    for name, entry in document["stages"]["beam"].items():
        cells = [
            f"{number(entry[key]['value_ppb'], 0)} ± {entry[key]['uncertainty_ppb']:.0f}" for key in entry["names"]
        ]
        total = entry["sum_ppb"]
        rows.append((name, *cells, f"{number(total['value'], 0)} ± {total['uncertainty']:.0f}"))
    names = next(iter(document["stages"]["beam"].values()))["names"]
    return Table("Corrections of ω_a (ppb)", ("dataset", *names, "sum"), tuple(rows))


def _field_table(document: Mapping[str, Any]) -> Table:
    rows = []
    for name, entry in document["stages"]["field"].items():
        rows.append(
            (
                name,
                f"{entry['f_p_hz']:.2f}",
                f"{entry['sigma_field_ppb']:.1f}",
                number(entry["b_k_ppb"], 0),
                number(entry["b_q_ppb"], 0),
                f"{entry['sigma_transient_ppb']:.0f}",
            )
        )
    return Table(
        "Muon-weighted field",
        ("dataset", "f′_p (Hz), blinded", "σ (ppb)", "B_k (ppb)", "B_q (ppb)", "σ of B (ppb)"),
        tuple(rows),
    )


def _truth_table(document: Mapping[str, Any]) -> Table:
    rows = []
    for name, entry in document["truth"]["datasets"].items():
        rows.append((f"{name}: R′_μ", number(entry["R_mu_difference_ppb"], 0), "", number(entry["R_mu_pull"], 2)))
        for key in ("f_p", "C_e", "C_p", "B_k", "B_q"):
            e = entry[key]
            difference = e["measured_ppb"] - e["true_ppb"]
            rows.append(
                (f"{name}: {key}", number(difference, 1), number(e["uncertainty_ppb"], 1), number(e["pull"], 2))
            )
    return Table(
        "Measured − true",
        ("dataset: quantity", "difference (ppb)", "uncertainty (ppb)", "pull"),
        tuple(rows),
        emphasis=frozenset(k for k, row in enumerate(rows) if row[0].endswith("R′_μ")),
    )


def _comparison_table(document: Mapping[str, Any]) -> Table:
    comparison = document["comparison"]
    rows = []
    for name, t in comparison["tensions"].items():
        rows.append(
            (
                f"Standard Model, {name.upper()}",
                number(t["difference"], 0),
                f"{t['sigma']:.0f}",
                number(t["n_sigma"], 1),
            )
        )
    e = comparison["e821"]
    rows.append(("BNL E821", number(e["difference"], 0), f"{e['sigma']:.0f}", number(e["n_sigma"], 1)))
    return Table("This simulation minus …", ("", "difference (10⁻¹¹)", "σ (10⁻¹¹)", "in σ"), tuple(rows))


def _nuisance_table(document: Mapping[str, Any]) -> Table:
    rows = [
        (entry["name"].replace("_", " "), number(entry["sigma_ppb"], 2), number(entry["impact_1e11"], 3))
        for entry in document["nuisances"]
        if entry["sigma_ppb"] > 0
    ]
    return Table("One standard deviation of each", ("nuisance", "shift of R′ (ppb)", "of a_μ (10⁻¹¹)"), tuple(rows))


def _field_figures(section: FieldSection, analysis: FieldAnalysis, folder: Path) -> list[Path]:
    files: list[Path] = []

    def keep(figure: Any, name: str) -> None:
        path = folder / f"{name}.png"
        save_figure(figure, path)
        files.append(path)

    first = analysis.results[0].name
    keep(draw.azimuth_figure(analysis.prepared[0]), f"{first}_azimuth")
    keep(draw.cross_section_figure(analysis.prepared[0]), f"{first}_cross_section")
    for k, result in enumerate(analysis.results):
        keep(draw.tracking_figure(analysis, k), f"{result.name}_tracking")
    data, t = analysis.prepared[0].data, section.transients
    keep(
        draw.transient_figure(data.kicker, data.quads, t.fit_start_us, t.fit_end_us, analysis.results[0]), "transients"
    )
    keep(draw.budget_figure(analysis.results), "budget")
    return files
