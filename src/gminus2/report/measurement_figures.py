"""Figures of the last step: the history of results against theory, and the datasets of one result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gminus2.report.plotting import COLOURS, new_figure

__all__ = ["budget_figure", "datasets_figure", "e821_figure", "history_figure", "methods_figure", "stability_figure"]

_GREY = "#555555"


def history_figure(
    releases: Sequence[Mapping[str, Any]],
    theory: Mapping[str, Mapping[str, Any]],
    own: tuple[str, float, float] | None = None,
) -> Figure:
    """Return the figure of experiments (points) against the Standard Model (bands).

    Parameters
    ----------
    releases
        ``label``, ``value``, ``sigma`` [10⁻¹¹], ``experiment``, ``status``.
    theory
        Name → ``value``, ``uncertainty``.
    own
        Label, value and uncertainty of this package's result, drawn as an open square.
    """
    figure, (axes,) = new_figure(size=(5.6, 0.42 * (len(releases) + len(theory)) + 1.6))
    rows: list[str] = []
    offset = 116_592_000.0
    for name, colour in zip(theory, (COLOURS[2], COLOURS[4]), strict=False):
        value, sigma = theory[name]["value"] - offset, theory[name]["uncertainty"]
        axes.axvspan(value - sigma, value + sigma, color=colour, alpha=0.25, lw=0)
        axes.errorbar(value, len(rows), xerr=sigma, fmt="D", color=colour, ms=5, capsize=3)
        rows.append(f"SM {name.upper()}")
    for release in releases:
        world = release["experiment"] == "world"
        colour = COLOURS[1] if world else COLOURS[0] if release["experiment"] == "E989" else _GREY
        axes.errorbar(
            release["value"] - offset,
            len(rows),
            xerr=release["sigma"],
            fmt="s" if world else "o",
            color=colour,
            ms=6 if world else 5,
            capsize=3,
        )
        rows.append(release["label"] + ("†" if release["status"] == "unverified" else ""))
    if own is not None:
        axes.errorbar(own[1] - offset, len(rows), xerr=own[2], fmt="s", mfc="white", color=COLOURS[6], ms=6, capsize=3)
        rows.append(own[0])
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(r"$a_\mu \times 10^{11} - 116\,592\,000$")
    axes.set_title("Measurements and the Standard Model")
    axes.grid(axis="y", visible=False)
    return figure


def datasets_figure(document: Mapping[str, Any]) -> Figure:
    """Return R' per dataset relative to the average.

    ``document`` holds ``datasets`` (``label``, ``R_mu``) and ``R_mu`` as in a result file.
    """
    datasets, mean = document["datasets"], document["R_mu"]
    figure, (axes,) = new_figure(size=(5.6, 0.42 * len(datasets) + 1.5))
    rows = np.arange(len(datasets))
    reference = mean["value"]
    band = mean["uncertainty"] / reference * 1e6
    axes.axvspan(-band, band, color=COLOURS[1], alpha=0.25, lw=0)
    axes.axvline(0.0, color=COLOURS[1], lw=1)
    axes.errorbar(
        [(d["R_mu"]["value"] / reference - 1) * 1e6 for d in datasets],
        rows,
        xerr=[d["R_mu"]["uncertainty"] / reference * 1e6 for d in datasets],
        fmt="o",
        color=COLOURS[0],
        capsize=3,
    )
    _dataset_rows(axes, datasets)
    axes.set_xlabel("R′ of the dataset / average − 1 (ppm)")
    axes.set_title("Datasets; band: average ± σ")
    return figure


def stability_figure(document: Mapping[str, Any]) -> Figure:
    """Return the pulls of the datasets, and the shift of the average without each of them.

    ``document`` holds ``datasets`` (``label``, ``pull``) and ``combination`` as in a result file.
    """
    datasets, left_out = document["datasets"], document["combination"]["leave_one_out"]
    figure, (left, right) = new_figure(1, 2, size=(5.6, 0.42 * len(datasets) + 1.5), sharey=True)
    rows = np.arange(len(datasets))
    left.barh(rows, [d["pull"] for d in datasets], height=0.5, color=COLOURS[0])
    limit = max(2.2, 1.1 * max(abs(d["pull"]) for d in datasets))
    left.set_xlim(-limit, limit)
    left.set_xlabel("pull (σ)")
    left.set_title("Pulls")
    allowed = [x["allowed"] for x in left_out]
    right.barh(rows, [2 * a for a in allowed], left=[-a for a in allowed], height=0.5, color=COLOURS[5], alpha=0.35)
    right.plot([x["shift"] for x in left_out], rows, "o", color=COLOURS[0])
    right.set_xlabel("shift of R′ (ppb)")
    right.set_title("Without it; bar: allowed 1σ")
    for axes in (left, right):
        axes.axvline(0.0, color=_GREY, lw=1)
        _dataset_rows(axes, datasets)
    return figure


def methods_figure(document: Mapping[str, Any]) -> Figure:
    """Return the shift of R' by each analysis of ω_a, with the shift that their correlation allows.

    ``document`` holds ``by_method`` as in a result file (:class:`gminus2.measurement.stability.MethodShift`).
    """
    methods = document["by_method"]
    figure, (axes,) = new_figure(size=(5.6, 0.42 * len(methods) + 1.5))
    rows = np.arange(len(methods))
    # ppm where the statistics of a small campaign make thousands of ppb.
    large = max(max(abs(m["shift_ppb"]), m["allowed_ppb"]) for m in methods) > 2000.0
    scale, unit = (1e-3, "ppm") if large else (1.0, "ppb")
    allowed = [scale * m["allowed_ppb"] for m in methods]
    axes.barh(rows, [2 * a for a in allowed], left=[-a for a in allowed], height=0.5, color=COLOURS[5], alpha=0.35)
    axes.plot([scale * m["shift_ppb"] for m in methods], rows, "o", color=COLOURS[0])
    axes.axvline(0.0, color=_GREY, lw=1)
    axes.set_yticks(rows, [m["name"] for m in methods])
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.set_xlabel(f"shift of R′ ({unit})")
    axes.set_title("R′ by analysis of ω_a; bar: allowed 1σ")
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.12)
    return figure


def _dataset_rows(axes: Axes, datasets: Sequence[Mapping[str, Any]]) -> None:
    axes.set_yticks(np.arange(len(datasets)), [d["label"] for d in datasets])
    axes.set_ylim(len(datasets) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)


def budget_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Return the uncertainty of every budget row [ppb] as bars, largest first; totals are left out."""
    parts = sorted(
        (row for row in rows if row["kind"] in ("stat", "syst", "external") and row["uncertainty_ppb"] > 0.05),
        key=lambda row: -row["uncertainty_ppb"],
    )
    colours = {"stat": COLOURS[0], "syst": COLOURS[1], "external": COLOURS[2]}
    figure, (axes,) = new_figure(size=(5.6, 0.32 * len(parts) + 1.3))
    places = np.arange(len(parts))
    axes.barh(places, [row["uncertainty_ppb"] for row in parts], height=0.6, color=[colours[r["kind"]] for r in parts])
    for place, row in zip(places, parts, strict=True):
        axes.annotate(f"{row['uncertainty_ppb']:.0f}", (row["uncertainty_ppb"], place), xytext=(4, 0),
                      textcoords="offset points", va="center", fontsize=9)  # fmt: skip
    axes.set_yticks(places, [row["label"] for row in parts])
    axes.set_ylim(len(parts) - 0.4, -0.6)
    axes.set_xlabel("uncertainty of a_μ (ppb)")
    if len(parts) > 1 and parts[0]["uncertainty_ppb"] > 30.0 * parts[1]["uncertainty_ppb"]:
        # One source far above the others would hide them.
        axes.set_xscale("log")
        axes.set_xlim(left=1.0, right=3.0 * parts[0]["uncertainty_ppb"])
    axes.set_title("Budget: statistical, systematic, external")
    for kind in dict.fromkeys(row["kind"] for row in parts):
        name = {"stat": "statistical", "syst": "systematic", "external": "external"}[kind]
        axes.plot([], [], "s", color=colours[kind], label=name)
    axes.legend(loc="lower right")
    axes.margins(x=0.1)
    axes.grid(axis="y", visible=False)
    return figure


def e821_figure(document: Mapping[str, Any]) -> Figure:
    """Return a_μ of E821 by year with the published average."""
    figure, (axes,) = new_figure(size=(5.6, 3.2))
    mean = document["a_mu_by_lambda"]["1998"]["published"]
    offset = 116_592_000.0
    axes.axvspan(
        mean["value"] - offset - mean["uncertainty"],
        mean["value"] - offset + mean["uncertainty"],
        color=COLOURS[1],
        alpha=0.25,
        lw=0,
        label="published average",
    )
    labels = []
    entries: list[tuple[Any, Any, float | None]] = [(e, e["a_mu"], None) for e in document["earlier"]]
    entries += [(d, d["a_mu"]["published"], d["a_mu"]["value"]) for d in document["datasets"]]
    for row, (entry, published, computed) in enumerate(entries):
        axes.errorbar(published["value"] - offset, row, xerr=published["uncertainty"], fmt="o", color=_GREY, capsize=3,
                      label="published" if row == 0 else None)  # fmt: skip
        if computed is not None:
            axes.plot(computed - offset, row, "x", color=COLOURS[0], ms=8, zorder=3,
                      label="R/(λ − R) computed" if row == len(entries) - 1 else None)  # fmt: skip
        labels.append(
            f"{entry['label']} μ{entry['charge'].replace('-', '−')}"
            + ("†" if published["status"] == "unverified" else "")
        )
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlabel(r"$a_\mu \times 10^{11} - 116\,592\,000$  (λ of 1998)")
    axes.set_title("E821 by year")
    axes.legend(loc="lower right")
    axes.grid(axis="y", visible=False)
    return figure
