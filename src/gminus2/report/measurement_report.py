"""What a measurement's report says: head numbers, tables and figures of every stage that ran, checks, provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from gminus2.data import read_arrays
from gminus2.precession import FitResult, FittedSpectrum, residual_spectrum
from gminus2.report.fit_figures import fft_figure, wiggle_figure
from gminus2.report.html import InlineFigure, NumberBox, Section, render_report
from gminus2.report.measurement_figures import budget_figure, datasets_figure, history_figure, stability_figure
from gminus2.report.published_tables import checks_table
from gminus2.report.tables import Table, number, pm, short_a_mu, to_rich

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "budget_table",
    "datasets_table",
    "head_numbers",
    "measurement_figures",
    "measurement_html",
    "print_measurement",
]


def print_measurement(
    console: Console, document: Mapping[str, Any], numbers: Sequence[NumberBox], output: Path
) -> None:
    """Print the tables of a result, its checks, its number, and where the files are."""
    console.print()
    if "datasets" in document:
        console.print(to_rich(datasets_table(document)))
    if "budget" in document:
        console.print(to_rich(budget_table(document)))
    console.print(to_rich(checks_table(document["checks"])))
    for box in numbers:
        console.print(f"[bold]{box.label}: {box.value}[/bold]")
        for line in box.lines:
            console.print(f"  {line}")
    console.print(f"status of the inputs: {document['status']}")
    failed = [check["name"] for check in document["checks"] if check["ok"] is False]
    if failed:
        console.print(f"[red]{len(failed)} checks failed: {'; '.join(failed)}. Do not quote these numbers.[/red]")
    console.print(f"result: {output / 'result.json'}\nreport: {output / 'report.html'}")


def measurement_html(document: Mapping[str, Any], figures: Mapping[str, Figure], provenance: Mapping[str, Any]) -> str:
    """Return the report of a result document.

    Parameters
    ----------
    figures
        From :func:`measurement_figures`; only those present are shown.
    """
    inline = {name: InlineFigure.of(figure, name, CAPTIONS[name]) for name, figure in figures.items()}
    return render_report(
        document,
        numbers=head_numbers(document),
        sections=_sections(document, inline),
        steps=steps_table(document),
        provenance=provenance,
    )


CAPTIONS = {
    "history": "Results and this measurement (points, one standard deviation) against the Standard-Model values "
    "of 2020 and 2025 (bands).",
    "datasets": "R′ of each dataset relative to the average.",
    "stability": "Pull of each dataset, and how far the average moves without it, with the allowed distance.",
    "by_method": "How far the average moves if ω_a comes from one analysis alone, with the distance that the "
    "correlation of the analyses allows.",
    "budget": "Uncertainty of the result by source.",
    "wiggle": "Counts and fit, folded in time, and the pulls of the bins.",
    "fft": "Fourier amplitude of the fit's pulls. A missing term of the model would stand out as a line.",
}


def head_numbers(document: Mapping[str, Any]) -> list[NumberBox]:
    """Return what stands at the top: a_μ if the campaign reached it, else why not."""
    boxes = []
    if "a_mu" in document:
        a, r = document["a_mu"], document["R_mu"]
        comparison = document["comparison"]
        lines = [
            f"± {a['stat']:.1f} (stat) ± {a['syst']:.1f} (syst) ± {a['external']:.1f} (external constants), "
            f"{a['uncertainty'] / a['value'] * 1e9:.0f} ppb; CODATA {a['codata']}",
            f"R′_μ({r['t_r_c']:g} °C) = {pm(r['value'], r['uncertainty'], 11)}",
            _tension_line("this result", comparison["tension"]),
        ]
        if "average_with_e821" in comparison:
            mean = comparison["average_with_e821"]
            lines.append(
                f"with BNL E821: {short_a_mu(mean['value'], mean['uncertainty'], 1)} × 10⁻¹¹; "
                + _tension_line("", comparison["tension_with_e821"]).removeprefix(" ")
            )
        boxes.append(
            NumberBox(
                "The anomalous magnetic moment of the muon",
                f"a_μ = {short_a_mu(a['value'], a['uncertainty'], 1)} × 10⁻¹¹",
                tuple(lines),
            )
        )
    if "R_mu_blinded" in document:
        r = document["R_mu_blinded"]
        holders = " and ".join(document["blinding"]["holders"])
        boxes.append(
            NumberBox(
                "The result is blinded",
                f"R′_μ (blinded) = {pm(r['value'], r['uncertainty'], 11)}",
                (
                    f"Clock and field carry hidden offsets; the keys are held by {holders}. There is no a_μ before "
                    "the result is frozen and unblinded.",
                    f"commitment {document['blinding']['commitment'][:16]}…",
                ),
                "blinded",
            )
        )
    if "omega_a" in document:
        fit, r = document["omega_a"]["fit"], document["omega_a"]["R_ppm"]
        origin = "generated data" if document["omega_a"]["origin"] == "generated" else "recorded data"
        boxes.append(
            NumberBox(
                f"ω_a fit of {origin}",
                f"R = {pm(r['value'], r['uncertainty'], 3)} ppm",
                (
                    f"relative to 0.2291 MHz; {fit['statistic']['name']} {fit['statistic']['value']:.1f} for "
                    f"{fit['ndf']} degrees of freedom, p = {fit['p_value']:.3f}",
                    *fit["caveats"],
                ),
            )
        )
    if "stopped" in document:
        label = {"a_mu": "a_μ", "R_mu": "R′_μ"}[document["stopped"]["before"]]
        boxes.append(
            NumberBox(f"Stopped before {label}", f"no {label}", (f"Why: {document['stopped']['reason']}.",), "stopped")
        )
    return boxes


def _tension_line(label: str, tension: Mapping[str, Any]) -> str:
    return (
        f"{label} − {tension['model']} = {number(tension['difference'], 0)}({tension['sigma']:.0f}) × 10⁻¹¹, "
        f"{number(tension['n_sigma'], 1)}σ"
    )


def _sections(document: Mapping[str, Any], figures: Mapping[str, InlineFigure]) -> list[Section]:
    sections = []
    if "budget" in document:
        sections.append(Section("Uncertainty budget", (), (budget_table(document),), _pick(figures, "budget")))
    if "datasets" in document:
        c = document["combination"]
        text = (
            f"Correlation model “{document['correlation_model']}”: χ² = {c['chi2']:.2f} for {c['ndf']} degrees of "
            f"freedom, p = {c['p_value']:.3f}.",
        )
        sections.append(Section("Datasets", text, (datasets_table(document),), _pick(figures, "datasets", "stability")))
    if "comparison" in document:
        sections.append(Section("Comparison", (), (), _pick(figures, "history")))
    if "omega_a" in document:
        sections.append(
            Section("Precession frequency", (), (_parameters_table(document),), _pick(figures, "wiggle", "fft"))
        )
    sections.append(Section("Checks", (), (checks_table(document["checks"]),)))
    return sections


def _pick(figures: Mapping[str, InlineFigure], *names: str) -> tuple[InlineFigure, ...]:
    return tuple(figures[name] for name in names if name in figures)


def budget_table(document: Mapping[str, Any]) -> Table:
    """Return the final table: correction and uncertainty per row [ppb], and the impact on a_μ."""
    rows, strong = [], set()
    for index, row in enumerate(document["budget"]):
        if row["kind"] == "total":
            strong.add(index)
        uncertainty = number(row["uncertainty_ppb"])
        rows.append(
            (
                row["label"],
                number(row["correction_ppb"]),
                f"({uncertainty}, in field)" if row["kind"] == "in field" else uncertainty,
                number(row.get("impact_1e11"), 2),
            )
        )
    return Table(
        "Corrections and uncertainties",
        ("quantity", "correction (ppb)", "uncertainty (ppb)", "±1σ in a_μ (10⁻¹¹)"),
        tuple(rows),
        ("B terms stand in the denominator of R′ and enter the total correction with a minus sign.",),
        emphasis=frozenset(strong),
    )


def datasets_table(document: Mapping[str, Any]) -> Table:
    """Return the datasets with frequencies, ratio, weight and pull."""
    rows = []
    for d in document["datasets"]:
        rows.append(
            (
                d["label"] + (f" ({d['nickname']})" if d["nickname"] else ""),
                pm(d["f_a_hz"]["value"], d["f_a_hz"]["uncertainty"], 2),
                pm(d["f_p_hz"]["value"], d["f_p_hz"]["uncertainty"], 1),
                f"{d['f_p_hz']['t_r_c']:g}",
                pm(d["R_mu"]["value"] * 1e3, d["R_mu"]["uncertainty"] * 1e3, 7),
                number(d["weight"], 3),
                number(d["pull"], 2),
            )
        )
    return Table(
        "Datasets",
        ("dataset", "f_a (Hz)", "f′_p (Hz)", "T_r (°C)", "R′·10³", "weight", "pull"),
        tuple(rows),
    )


def _parameters_table(document: Mapping[str, Any]) -> Table:
    rows = [
        (name, f"{p['value']:.7g}", _error(p["error"]) if p["state"] == "free" else p["state"], p["unit"])
        for name, p in document["omega_a"]["fit"]["parameters"].items()
    ]
    fit = document["omega_a"]["fit"]
    lo, hi = fit["window_us"]
    return Table(
        "Fitted parameters",
        ("parameter", "value", "uncertainty", "unit"),
        tuple(rows),
        (f"{fit['n_bins']} bins from {lo:g} to {hi:g} µs; {fit['statistic']['name']}, bin {fit['bin_rule']}.",),
    )


def _error(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def steps_table(document: Mapping[str, Any]) -> Table:
    rows = [
        (step["title"] or step["name"], step["key"][:12], "–" if step["seed"] is None else str(step["seed"]))
        for step in document["steps"]
    ]
    return Table("Steps", ("step", "key in the store", "seed"), tuple(rows))


def measurement_figures(document: Mapping[str, Any], arrays: Path | None = None) -> dict[str, Figure]:
    """Return the figures of a result by name; stages that did not run have none.

    Parameters
    ----------
    arrays
        The stored spectra of the ω_a fit.
    """
    figures: dict[str, Figure] = {}
    if "comparison" in document:
        comparison, a = document["comparison"], document["a_mu"]
        figures["history"] = history_figure(
            comparison["releases"], comparison["theory"], ("this result", a["value"], a["uncertainty"])
        )
    if "combination" in document:
        mean = document.get("R_mu") or document["R_mu_blinded"]
        figures["datasets"] = datasets_figure({**document, "R_mu": mean})
        if len(document["datasets"]) > 1:
            figures["stability"] = stability_figure(document)
        figures["budget"] = budget_figure(document["budget"])
    if "omega_a" in document and arrays is not None:
        spectrum = _spectrum(arrays)
        result = FitResult.from_json(document["omega_a"]["fit"])
        figures["wiggle"] = wiggle_figure(spectrum, result)
        figures["fft"] = fft_figure([residual_spectrum(spectrum)])
    return figures


def _spectrum(path: Path) -> FittedSpectrum:
    stored = read_arrays(path, "fit-spectra")
    label = stored.attributes["labels"][0]
    prefix = label.replace("/", "_")
    data = {name: np.asarray(stored[f"{prefix}/{name}"]) for name in ("centres_us", "data", "model", "sigma")}
    return FittedSpectrum(label=label, width_us=float(stored.attributes["width_us"]), **data)
