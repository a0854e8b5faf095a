"""Figures of a fit: the wiggle over its pulls, the distribution of the pulls, residual FFT, scans, correlations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from gminus2.pipeline.fit_job import FitRun
from gminus2.pipeline.fit_summary import DetectorQuality
from gminus2.precession import FitResult, FittedSpectrum, PullSummary, ResidualSpectrum, WindowScan
from gminus2.report.fit_text import scan_parameter
from gminus2.report.plotting import COLOURS, new_figure, save_figure

__all__ = ["correlation_figure", "fft_figure", "fit_figures", "pull_figure", "scan_figure", "wiggle_figure"]

#: Windows longer than two of these are folded at it [µs], as the field shows its wiggle.
_WRAP_US: Final = 100.0
#: Detectors drawn; the numbers of all of them are in the result file.
_MOST_DETECTORS: Final = 8

_NAMES: Final = {
    "N0": r"$N_0$", "tau": r"$\tau$", "A": r"$A$", "R": r"$R$", "phi": r"$\varphi$", "f": r"$f$", "B": r"$B$",
    "lambda": r"$\lambda$", "sigma": r"$\sigma$", "beta": r"$\beta$",
}  # fmt: skip


def fit_figures(run: FitRun, folder: Path) -> list[Path]:
    """Draw all figures of a fit into a folder and return their paths."""
    figures: dict[str, Figure] = {}
    spectra = run.result.spectra[:_MOST_DETECTORS]
    for spectrum, quality in zip(spectra, run.quality, strict=False):
        name = f"wiggle_{_file_word(spectrum.label)}" if len(run.result.spectra) > 1 else "wiggle"
        figures[name] = wiggle_figure(spectrum, run.result, quality)
    figures["pulls"] = pull_figure(spectra, run.pulls)
    figures["fft"] = fft_figure(run.residuals[:_MOST_DETECTORS], white=run.result.statistic != "ratio")
    for scan in run.scans:
        figures[f"scan_{scan.edge}"] = scan_figure(scan)
    if len(run.result.free) > 1:
        figures["correlation"] = correlation_figure(run.result)
    paths = []
    for name, figure in figures.items():
        path = folder / f"{name}.png"
        save_figure(figure, path)
        paths.append(path)
    return paths


def wiggle_figure(spectrum: FittedSpectrum, result: FitResult, quality: DetectorQuality | None = None) -> Figure:
    """Draw counts and fit, folded at 100 µs where long, over the pulls."""
    figure, (top, bottom) = new_figure(2, 1, size=(8.0, 7.0), height_ratios=[3.0, 1.0])
    t = spectrum.centres_us
    folded = t[-1] - t[0] > 2.0 * _WRAP_US
    period = _WRAP_US if folded else math.inf
    turn = np.floor(t / period).astype(int) if folded else np.zeros(len(t), dtype=int)
    marker = 2.0 if len(t) > 500 else 4.0
    is_ratio = result.statistic == "ratio"
    low = spectrum.data[spectrum.data > 0].min() if (spectrum.data > 0).any() else 1.0
    for k in np.unique(turn):
        part = turn == k
        x = t[part] - (k * period if folded else 0.0)
        shift = -float(k - turn[0]) if is_ratio else 0.0
        filled = (spectrum.data[part] > 0) | is_ratio
        top.plot(x[filled], spectrum.data[part][filled] + shift, ".", color=COLOURS[6], markersize=marker, zorder=2,
                 label="data" if k == turn[0] else None)  # fmt: skip
        top.plot(x, spectrum.model[part] + shift, "-", color=COLOURS[1], linewidth=0.9, zorder=3,
                 label=_fit_label(result, quality) if k == turn[0] else None)  # fmt: skip
        if folded and len(x) > 20:
            top.annotate(
                f"{k * period:.0f}–{(k + 1) * period:.0f}", (x[-1], spectrum.model[part][-30:].mean() + shift),
                xytext=(4, 0), textcoords="offset points", fontsize=8, va="center", annotation_clip=False,
            )  # fmt: skip
    if is_ratio:
        top.set_ylabel("ratio" + (", every 100 µs one lower" if folded else ""))
    else:
        top.set_yscale("log")
        top.set_ylim(bottom=0.5 * max(low, 0.2 * spectrum.model.min()))
        top.set_ylabel(f"counts per {1e3 * spectrum.width_us:.6g} ns")
    top.set_xlabel("time modulo 100 µs [µs]" if folded else "time [µs]")
    if folded:
        top.set_xlim(0.0, period)
    else:
        top.set_xlim(t[0], t[-1])
    detector = "" if spectrum.label in ("all", "") else f"{spectrum.label}: "
    blind = " (R blinded)" if result.blinded else ""
    top.set_title(f"{detector}model '{result.model.get('name', '')}'{blind}", loc="left")
    _legend_above(top, columns=2, markerscale=4.0 if folded else 1.5)
    _pull_panel(bottom, spectrum)
    return figure


def _legend_above(axes: Axes, *, columns: int = 1, markerscale: float = 1.0) -> None:
    """Put the legend over the right end of a panel, where no data are."""
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=columns, borderaxespad=0.1, handlelength=1.4,
                columnspacing=1.2, frameon=False, markerscale=markerscale)  # fmt: skip


def _fit_label(result: FitResult, quality: DetectorQuality | None) -> str:
    name = "D" if result.statistic == "poisson" else "χ²"
    if quality is not None and len(result.labels) > 1:
        return f"fit of all detectors, here {name} = {quality.statistic_value:.1f} in {quality.n_bins} bins"
    return f"fit, {name}/ndf = {result.statistic_value:.1f}/{result.ndf}, p = {result.p_value:.2g}"


def _pull_panel(axes: Axes, spectrum: FittedSpectrum) -> None:
    axes.plot(spectrum.centres_us, spectrum.pulls, ".", color=COLOURS[0], markersize=1.6, alpha=0.6)
    for level in (-3.0, 0.0, 3.0):
        axes.axhline(level, color="0.35", linewidth=0.8, linestyle="-" if level == 0 else ":")
    axes.set_xlabel("time [µs]")
    axes.set_ylabel("pull [σ]")
    limit = max(4.5, 1.05 * float(np.abs(spectrum.pulls).max()))
    axes.set_ylim(-limit, limit)
    axes.set_xlim(spectrum.centres_us[0], spectrum.centres_us[-1])


def pull_figure(spectra: Sequence[FittedSpectrum], summaries: Sequence[PullSummary]) -> Figure:
    """Draw the distribution of the pulls of every detector with the unit Gaussian."""
    figure, axes = _grid(len(spectra))
    for panel, spectrum, summary in zip(axes, spectra, summaries, strict=False):
        pulls = spectrum.pulls
        limit = max(5.0, math.ceil(float(np.abs(pulls).max())))
        edges = np.linspace(-limit, limit, round(8 * limit) + 1)
        counts, _ = np.histogram(pulls, edges)
        centres = 0.5 * (edges[1:] + edges[:-1])
        some = counts > 0
        panel.errorbar(
            centres[some], counts[some], np.sqrt(counts[some]), fmt=".", color=COLOURS[6], markersize=4, linewidth=1.0,
            label=f"pulls of {len(pulls)} bins",
        )  # fmt: skip
        x = np.linspace(-limit, limit, 400)
        gauss = len(pulls) * (edges[1] - edges[0]) * np.exp(-0.5 * x**2) / math.sqrt(2.0 * math.pi)
        panel.plot(x, gauss, color=COLOURS[1], label="unit Gaussian")
        panel.set_yscale("log")
        panel.set_ylim(0.4, 4.0 * counts.max())
        panel.set_xlabel("pull (data - fit)/σ")
        panel.set_ylabel("bins")
        panel.text(0.02, 0.97, f"mean {summary.mean:+.3f} ± {summary.mean_error:.3f}\n"
                   f"width {summary.rms:.3f} ± {summary.rms_error:.3f}",
                   transform=panel.transAxes, va="top", fontsize=9)  # fmt: skip
        if len(spectra) > 1:
            panel.set_title(spectrum.label, loc="left")
        panel.legend(loc="upper right")
    return figure


def fft_figure(residuals: Sequence[ResidualSpectrum], *, white: bool = True) -> Figure:
    """Draw the Fourier amplitude of the pulls with the known lines, and the level of white noise where it applies."""
    figure, axes = _grid(len(residuals), width=8.0)
    for panel, residual in zip(axes, residuals, strict=False):
        panel.plot(residual.f_mhz, residual.amplitude, color=COLOURS[0], linewidth=0.8)
        highest = max(1.5 * float(residual.amplitude.max()), 2.0 * residual.expected_maximum)
        if white:
            _mark_white_noise(panel, residual.expected_maximum)
        panel.set_ylim(0.0, highest)
        panel.set_xlim(0.0, float(residual.f_mhz[-1]))
        shown = [line for line in residual.lines if 0.0 < line.f_mhz < residual.f_mhz[-1]]
        _mark_lines(panel, [(line.f_mhz, line.name) for line in shown], highest)
        panel.set_xlabel("frequency [MHz]")
        panel.set_ylabel(r"|FFT of pulls| / $\sqrt{N/2}$")
        title = f"{residual.label}: " if len(residuals) > 1 else ""
        known = f" ({residual.top.name})" if residual.top.name not in ("", "unknown") else ""
        panel.set_title(
            f"{title}largest {residual.top.amplitude:.1f} at {residual.top.f_mhz:.4f} MHz{known}", loc="left"
        )
    return figure


def _mark_white_noise(panel: Axes, level: float) -> None:
    panel.axhline(level, color="0.3", linestyle=":", linewidth=1.0)
    panel.annotate(
        f"{level:.1f}: largest expected of white noise", (0.995, level),
        xycoords=("axes fraction", "data"), xytext=(0, 3), textcoords="offset points", fontsize=8,
        ha="right", va="bottom", bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
    )  # fmt: skip


def _mark_lines(panel: Axes, lines: Sequence[tuple[float, str]], highest: float) -> None:
    """Name lines at the top of a panel, moving labels apart where lines are close."""
    low, high = panel.get_xlim()
    spacing = 0.03 * (high - low)
    position = low - 0.5 * spacing
    together: list[tuple[float, str]] = []
    for frequency, name in sorted(lines):
        if together and frequency - together[-1][0] < 0.25 * spacing:
            together[-1] = (together[-1][0], f"{together[-1][1]}, {name}")
        else:
            together.append((frequency, name))
    for frequency, name in together:
        panel.axvline(frequency, ymax=0.72, color=COLOURS[3], linewidth=0.8, linestyle="--", alpha=0.8)
        position = max(frequency, position + spacing)
        panel.annotate(
            name, (frequency, 0.72 * highest), xytext=(position, 0.75 * highest), textcoords="data", rotation=90,
            fontsize=8, ha="center", va="bottom",
            arrowprops={"arrowstyle": "-", "color": COLOURS[3], "linewidth": 0.6, "shrinkA": 0.0, "shrinkB": 0.0},
        )  # fmt: skip


def scan_figure(scan: WindowScan) -> Figure:
    """Draw the frequency against the moving end of the window with the band of allowed differences."""
    main = scan_parameter(scan)
    unit = scan.results[0][main].unit
    figure, (top, bottom) = new_figure(2, 1, size=(7.5, 6.0), sharex=True, height_ratios=[2.2, 1.0])
    values, errors, allowed = scan.values(main), scan.errors(main), scan.allowed(main)
    order = np.argsort(scan.times_us)
    t = scan.times_us[order]
    reference = (values - scan.shifts(main))[order]
    top.fill_between(t, reference - allowed[order], reference + allowed[order], color=COLOURS[5], alpha=0.35,
                     label="allowed 1σ", step=None)  # fmt: skip
    top.plot(t, reference, color=COLOURS[0], linewidth=1.0, label="widest window")
    top.errorbar(t, values[order], errors[order], fmt="o", color=COLOURS[6], markersize=3.5, linewidth=0.9,
                 label="fits (errors correlated)")  # fmt: skip
    blind = ", blinded" if scan.results[0].blinded else ""
    top.set_ylabel(f"{_label(main)} [{unit}{blind}]")
    _legend_above(top, columns=3)
    top.set_title(f"Scan of the {scan.edge}", loc="left")
    ratio = np.array([r.statistic_value / r.ndf for r in scan.results])[order]
    spread = np.array([math.sqrt(2.0 / r.ndf) for r in scan.results])[order]
    bottom.fill_between(t, 1.0 - spread, 1.0 + spread, color="0.85", label="1 ± √(2/ndf)")
    bottom.plot(t, ratio, "o", color=COLOURS[1], markersize=3.5)
    bottom.set_ylabel("statistic / ndf")
    bottom.set_xlabel(f"{scan.edge} of the window [µs]")
    _legend_above(bottom)
    return figure


def correlation_figure(result: FitResult) -> Figure:
    """Draw the correlation matrix of the free parameters."""
    free = [i for i, name in enumerate(result.free) if result[name].error > 0]  # none at a bound
    sigma = np.sqrt(np.diag(result.covariance))[free]
    correlation = result.covariance[np.ix_(free, free)] / np.outer(sigma, sigma)
    n = len(free)
    side = min(14.0, 3.0 + 0.42 * n)
    figure, (axes,) = new_figure(size=(side + 1.0, side))
    image = axes.imshow(correlation, cmap="RdBu_r", norm=TwoSlopeNorm(0.0, -1.0, 1.0), interpolation="nearest")
    axes.grid(visible=False)
    names = [_label(result.free[i]) for i in free]
    axes.set_xticks(range(n), names, rotation=90, fontsize=9 if n <= 30 else 6)
    axes.set_yticks(range(n), names, fontsize=9 if n <= 30 else 6)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if n <= 16:
        for i in range(n):
            for j in range(n):
                value = correlation[i, j]
                if i != j and abs(value) >= 0.005:
                    axes.text(j, i, f"{value:.2f}".replace("0.", "."), ha="center", va="center", fontsize=7,
                              color="white" if abs(value) > 0.6 else "black")  # fmt: skip
    figure.colorbar(image, ax=axes, shrink=0.8, label="correlation")
    axes.set_title("Correlation of the fitted parameters", loc="left")
    return figure


def _label(name: str) -> str:
    base, _, rest = name.partition("[")
    shown = _NAMES.get(base)
    if shown is None and "_" in base:
        head, _, tail = base.partition("_")
        symbol = _NAMES.get(head, head).strip("$")
        places = ",".join(r"\varphi" if word == "phi" else rf"\mathrm{{{word}}}" for word in tail.split("_"))
        shown = rf"${symbol}_{{{places}}}$"
    return (shown or base) + (f" {rest.rstrip(']')}" if rest else "")


def _grid(count: int, *, width: float = 6.5) -> tuple[Figure, list[Axes]]:
    columns = 1 if count == 1 else 2
    rows = math.ceil(count / columns)
    figure, axes = new_figure(rows, columns, size=(width if columns == 1 else 11.0, 4.3 if rows == 1 else 3.4 * rows))
    for unused in axes[count:]:
        unused.set_visible(False)
    return figure, axes


def _file_word(label: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in label) or "detector"
