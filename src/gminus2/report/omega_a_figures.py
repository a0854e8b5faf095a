"""Figures of ``gminus2 omega-a``: wiggle, residuals, asymmetry, pileup, scans, comparison of methods."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gminus2.data.campaign import AXES
from gminus2.precession.fitting.engine import fit
from gminus2.precession.fitting.residuals import residual_spectrum
from gminus2.precession.fitting.settings import FitSettings
from gminus2.report.plotting import COLOURS, new_figure, save_figure

if TYPE_CHECKING:
    from gminus2.precession.campaign import CalorimeterLines, DatasetOmegaA, DatasetScans

__all__ = ["omega_a_figures"]

_WRAP_US = 100.0


def omega_a_figures(found: DatasetOmegaA, scans: DatasetScans | None, folder: Path) -> list[Path]:
    """Draw everything of a dataset; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [
        _wiggle(found, folder),
        _residuals(found, folder),
        _pileup(found, folder),
        _comparison(found, folder),
    ]
    if any(m.analysis.method == "A" for m in found.measured):
        files.append(_asymmetry(found, folder))
    if scans is not None:
        if scans.scans:
            files.append(_scans(found, scans, folder))
        if scans.lines is not None:
            files.append(_lines(found, scans.lines, folder))
    return files


def _wiggle(found: DatasetOmegaA, folder: Path) -> Path:
    measured = found.measured[0]
    spectrum = measured.fit.spectra[0]
    t = spectrum.centres_us
    figure, (axis,) = new_figure(size=(8.0, 4.8))
    for turn in range(int(t[0] // _WRAP_US), int(t[-1] // _WRAP_US) + 1):
        inside = (t >= turn * _WRAP_US) & (t < (turn + 1) * _WRAP_US)
        axis.plot(t[inside] - turn * _WRAP_US, spectrum.data[inside], ".", ms=1.5, color=COLOURS[0], alpha=0.6)
        axis.plot(t[inside] - turn * _WRAP_US, spectrum.model[inside], lw=0.8, color=COLOURS[1])
    axis.set_yscale("log")
    axis.set_ylim(bottom=max(1.0, 0.5 * float(spectrum.model.min())))
    axis.set_xlabel("time modulo 100 µs [µs]")
    axis.set_ylabel("counts per 149.2 ns")
    axis.set_title(f"{found.dataset}: {measured.analysis.name}, corrected counts and fit")
    path = folder / f"{found.dataset}-wiggle.png"
    save_figure(figure, path)
    return path


def _residuals(found: DatasetOmegaA, folder: Path) -> Path:
    measured = found.measured[0]
    settings = FitSettings(window_us=measured.fit.window_us, statistic="weighted")
    five = fit(measured.spectrum.histogram, "five", settings)
    figure, axes = new_figure(2, 1, size=(8.0, 5.6))
    spectrum = measured.fit.spectra[0]
    axes[0].plot(spectrum.centres_us, spectrum.pulls, lw=0.4, color=COLOURS[0])
    axes[0].set_xlabel("time [µs]")
    axes[0].set_ylabel("(data - fit)/σ")
    axes[0].set_title(
        f"{found.dataset}: {measured.analysis.name}, χ²/ndf {measured.fit.statistic_value:.0f}/{measured.fit.ndf}"
    )
    cbo = found.analyser.oscillations.cbo
    n = float(found.analyser.dataset.conditions.get("field_index", 0.108))
    options = {"field_index": n, "f_cbo_mhz": cbo.f_mhz if cbo is not None else None}
    before = residual_spectrum(five.spectra[0], **options)  # type: ignore[arg-type]
    after = residual_spectrum(spectrum, **options)  # type: ignore[arg-type]
    axes[1].plot(before.f_mhz, before.amplitude, lw=0.7, color=COLOURS[1], label="five parameters")
    axes[1].plot(after.f_mhz, after.amplitude, lw=0.7, color=COLOURS[0], label="full model")
    axes[1].axhline(after.expected_maximum, color=COLOURS[6], ls=":", lw=1.0, label="largest expected of noise")
    top = max(float(before.amplitude.max()), float(after.amplitude.max())) * 1.35
    for line in after.lines:
        if line.name in ("f_cbo - f_a", "f_cbo", "f_cbo + f_a", "f_vw", "f_y"):
            axes[1].axvline(line.f_mhz, color="0.75", lw=0.8, zorder=0)
            axes[1].text(line.f_mhz, top, line.name, rotation=90, ha="right", va="top", fontsize=7, color="0.35")
    axes[1].set_ylim(0.0, top)
    axes[1].set_xlabel("frequency [MHz]")
    axes[1].set_ylabel("Fourier amplitude [noise]")
    axes[1].legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3)
    path = folder / f"{found.dataset}-residuals.png"
    save_figure(figure, path)
    return path


def _lines(found: DatasetOmegaA, lines: CalorimeterLines, folder: Path) -> Path:
    figure, axes = new_figure(2, 1, size=(8.0, 6.0))
    names = ("sum of calorimeters", "phase turned back once", "turned back twice")
    for axis, (low, high) in zip(axes, ((0.0, 3.35), (0.05, 0.85)), strict=True):
        use = (lines.f_mhz > low) & (lines.f_mhz < high)
        for turns in (2, 1, 0):
            axis.plot(
                lines.f_mhz[use], lines.aligned[turns, use], lw=0.6, color=COLOURS[turns], label=names[turns], alpha=0.8
            )
        axis.axhline(4.0, color=COLOURS[6], ls=":", lw=1.0)
        axis.set_yscale("log")
        top = 6.0 * float(lines.aligned.max())
        axis.set_ylim(0.5, top)
        for line in lines.lines:
            if low < line.expected_mhz < high:
                axis.axvline(line.expected_mhz, color="0.7", lw=0.8, zorder=0)
                axis.text(
                    line.expected_mhz, 0.9 * top, line.name, rotation=90, ha="right", va="top", fontsize=7, color="0.35"
                )
        axis.set_ylabel("Fourier amplitude [noise]")
    axes[0].legend(loc="upper right", ncols=1, fontsize=7)
    axes[0].set_title(f"{found.dataset}: residuals of five-parameter fits of 24 calorimeters; dotted: 4 x noise")
    axes[1].set_xlabel("frequency [MHz]")
    path = folder / f"{found.dataset}-lines.png"
    save_figure(figure, path)
    return path


def _asymmetry(found: DatasetOmegaA, folder: Path) -> Path:
    analysis = next(m.analysis for m in found.measured if m.analysis.method == "A")
    a = found.analyser.asymmetry(analysis)
    figure, axes = new_figure(2, 1, size=(7.0, 5.6), sharex=True)
    axes[0].errorbar(a.energy_mev, a.asymmetry, a.asymmetry_error, fmt="o", ms=3, color=COLOURS[0], label="measured")
    energy = AXES["energy_width_mev"] * (np.arange(a.weight.size) + 0.5)
    use = (energy > 1000.0) & (energy < 3100.0)
    axes[0].plot(energy[use], a.weight[use], color=COLOURS[1], label="weight of the A method")
    axes[0].axhline(0.0, color="0.5", lw=0.8)
    axes[0].set_ylabel("asymmetry A(E)")
    axes[0].legend()
    axes[0].set_title(f"{found.dataset}: asymmetry and phase by energy, reconstruction {analysis.reconstruction}")
    good = a.phase_error < 0.15
    axes[1].errorbar(
        a.energy_mev[good], 1e3 * a.phase[good], 1e3 * a.phase_error[good], fmt="o", ms=3, color=COLOURS[0]
    )
    axes[1].set_xlabel("energy [MeV]")
    axes[1].set_ylabel("phase φ(E) [mrad]")
    path = folder / f"{found.dataset}-asymmetry.png"
    save_figure(figure, path)
    return path


def _pileup(found: DatasetOmegaA, folder: Path) -> Path:
    from gminus2.precession.campaign import Variation

    measured = next((m for m in found.measured if m.analysis.pileup != "none"), found.measured[0])
    prepared = found.analyser.prepared(measured.analysis, Variation())
    first = round(30.0 / AXES["time_width_us"])
    energy = AXES["energy_width_mev"] * (np.arange(prepared.raw.shape[0]) + 0.5)
    raw, pileup = prepared.raw[:, first:].sum(axis=1), prepared.pileup[:, first:].sum(axis=1)
    figure, (axis,) = new_figure(size=(7.5, 4.8))
    axis.step(energy, np.maximum(raw, 0.3), where="mid", color=COLOURS[0], label="counts")
    axis.step(energy, np.maximum(np.abs(pileup), 0.3), where="mid", color=COLOURS[1], label="|pileup|")
    axis.errorbar(
        energy, np.abs(raw - pileup), np.sqrt(np.maximum(raw, 1.0)), fmt=".", ms=3, color=COLOURS[2], lw=0.7,
        label="|corrected|",
    )  # fmt: skip
    axis.set_yscale("log")
    axis.set_ylim(0.5, 2.0 * float(raw.max()))
    axis.set_xlim(0.0, 6000.0)
    axis.set_xlabel("energy [MeV]")
    axis.set_ylabel("clusters after 30 µs per 50 MeV")
    s = prepared.scale
    axis.set_title(f"{found.dataset}: pileup ({measured.analysis.pileup}), amplitude {s.value:.3f} ± {s.error:.3f}")
    axis.legend()
    path = folder / f"{found.dataset}-pileup.png"
    save_figure(figure, path)
    return path


def _comparison(found: DatasetOmegaA, folder: Path) -> Path:
    reference = found.analyses[0]
    figure, (axis,) = new_figure(size=(7.0, 3.8))
    pairs = [p for p in found.pairs if p.second == reference]
    y = np.arange(len(pairs))
    axis.barh(y, [2.0 * p.allowed_ppm for p in pairs], left=[-p.allowed_ppm for p in pairs], color="0.85", height=0.6)
    axis.plot([p.difference_ppm for p in pairs], y, "o", color=COLOURS[0])
    axis.axvline(0.0, color="0.5", lw=0.8)
    axis.set_yticks(y, [p.first for p in pairs])
    axis.set_xlabel(f"R - R({reference}) [ppm]; grey: allowed by the correlation (1σ)")
    axis.set_title(f"{found.dataset}: analyses under one blind")
    path = folder / f"{found.dataset}-methods.png"
    save_figure(figure, path)
    return path


def _scans(found: DatasetOmegaA, scans: DatasetScans, folder: Path) -> Path:
    items = list(scans.scans.values())
    rows = -(-len(items) // 3)
    figure, axes = new_figure(rows, 3, size=(12.0, 3.0 * rows))
    for axis, scan in zip(axes, items, strict=False):
        difference = scan.r_ppm - scan.reference_ppm
        if scan.allowed_ppm is None:
            axis.errorbar(scan.x, difference, scan.error_ppm, fmt="o", ms=3, color=COLOURS[0])
            note = f"χ²/ndf {scan.chi2:.1f}/{scan.x.size - 1}"
        else:
            order = np.argsort(scan.x)
            band = scan.allowed_ppm[order]
            axis.fill_between(scan.x[order], -band, band, color="0.85", lw=0.0)
            axis.plot(scan.x[order], difference[order], "o-", ms=3, lw=0.8, color=COLOURS[0])
            note = ""
        axis.axhline(0.0, color="0.5", lw=0.8)
        axis.set_xlabel(scan.label)
        axis.set_ylabel("ΔR [ppm]")
        axis.set_title(f"{scan.name.replace('_', ' ')} {note}", fontsize=9)
    for axis in axes[len(items) :]:
        axis.set_visible(False)
    path = folder / f"{found.dataset}-scans.png"
    save_figure(figure, path)
    return path
