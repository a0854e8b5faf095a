"""Figures of the beam-dynamics corrections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gminus2.beam.campaign import BeamAnalysis
from gminus2.beam.fast_rotation import FastRotationResult
from gminus2.constants import F_CYCLOTRON_MHZ
from gminus2.report.plotting import COLOURS, new_figure, save_figure

__all__ = ["beam_figures", "fast_rotation_figures"]


def fast_rotation_figures(
    result: FastRotationResult, folder: Path, scan: Sequence[Mapping[str, Any]] = (), prefix: str = ""
) -> list[Path]:
    """Draw signal, distributions, joint density and (with a scan) C_e against the start; return the files."""
    paths = [
        _signal(result, folder / f"{prefix}rotation_signal.png"),
        _distributions(result, folder / f"{prefix}momentum.png"),
    ]
    if scan:
        paths.append(_scan(result, scan, folder / f"{prefix}start_scan.png"))
    return paths


def _signal(result: FastRotationResult, path: Path) -> Path:
    figure, (early, late, envelope) = new_figure(3, 1, size=(7.0, 7.2))
    signal = result.signal
    t = signal.centres_us(0)
    label = "detector 1" if len(signal.signal) > 1 else ""
    for axis, begin, length in ((early, 0.0, 1.2), (late, 30.0, 1.2)):
        first = int(begin / signal.width_us)
        chosen = slice(first, first + int(length / signal.width_us))
        axis.plot(t[chosen], signal.signal[0, chosen], color=COLOURS[0], linewidth=0.8, label=label)
        axis.axhline(1.0, color="0.6", linewidth=0.8)
        axis.set_ylabel("counts / expected")
        axis.set_xlabel("time [µs]")
    early.set_title("fast rotation: counts divided by decay and wiggle")
    data = result.harmonics
    for h in range(1, min(data.harmonics, 4) + 1):
        envelope.errorbar(
            data.time_us,
            np.abs(data.complex_values(h)),
            yerr=data.errors(h),
            fmt=".",
            markersize=3,
            linewidth=0.7,
            color=COLOURS[h - 1],
            label=f"harmonic {h}",
        )
    envelope.set_yscale("log")
    envelope.set_ylim(1e-4, 8.0)
    envelope.set_xlabel("time [µs]")
    envelope.set_ylabel("amplitude |z|")
    envelope.legend(ncols=4, loc="upper right", frameon=False)
    save_figure(figure, path)
    return path


def _distributions(result: FastRotationResult, path: Path) -> Path:
    figure, axes = new_figure(2, 2, size=(9.0, 6.8))
    frequency, radius, joint, times = axes
    density = result.density
    f = 1e3 * density.f_mhz
    step = f[1] - f[0]
    share, errors = density.frequency_density / step, density.frequency_errors / step
    frequency.fill_between(f, share - errors, share + errors, color=COLOURS[5], alpha=0.5, linewidth=0)
    frequency.plot(f, share, color=COLOURS[0], label="joint reconstruction")
    if result.cosine is not None:
        cosine = result.cosine
        width = 1e3 * (cosine.f_mhz[1] - cosine.f_mhz[0])
        frequency.errorbar(
            1e3 * cosine.f_mhz,
            cosine.density / width,
            yerr=np.sqrt(np.diag(cosine.covariance)) / width,
            fmt=".",
            markersize=3,
            linewidth=0.7,
            color=COLOURS[1],
            label="cosine transform",
        )
    frequency.axvline(1e3 * F_CYCLOTRON_MHZ, color="0.5", linestyle=":", label="magic momentum")
    frequency.set_xlabel("revolution frequency [kHz]")
    frequency.set_ylabel("muons per kHz")
    frequency.set_ylim(top=1.55 * float((share + errors).max()))
    frequency.legend(loc="upper left", fontsize=8, frameon=False)
    x_e, share_x, error_x = result.radial_distribution()
    widths = np.gradient(x_e)
    radius.fill_between(
        x_e, (share_x - error_x) / widths, (share_x + error_x) / widths, color=COLOURS[5], alpha=0.5, linewidth=0
    )
    radius.plot(x_e, share_x / widths, color=COLOURS[0])
    radius.axvline(0.0, color="0.5", linestyle=":")
    radius.set_xlabel("equilibrium radius x$_e$ [mm]")
    radius.set_ylabel("muons per mm")
    correction = result.correction
    radius.set_title(
        f"⟨x$_e$⟩ = {result.mean_x_e_mm[0]:.2f} mm, width {result.width_x_e_mm[0]:.2f} mm, "
        f"C$_e$ = {correction.value_ppb:.0f} ± {correction.uncertainty_ppb:.0f} ppb",
        fontsize=9,
    )
    tau = 1e3 * (density.tau_us - result.t0_us)
    mesh = joint.pcolormesh(f, tau, density.weights.T / density.weights.max(), cmap="viridis", shading="gouraud")
    joint.grid(visible=False)
    joint.set_xlabel("revolution frequency [kHz]")
    joint.set_ylabel("injection time − mean [ns]")
    figure.colorbar(mesh, ax=joint, label="density (relative)")
    populated = density.frequency_density > 0.02 * density.frequency_density.max()
    joint.plot(
        f[populated],
        1e3 * (density.mean_time_by_frequency[populated] - result.t0_us),
        color="white",
        linestyle="--",
        label="mean time",
    )
    joint.legend(loc="upper right", labelcolor="white", frameon=False)
    times.plot(tau, density.time_density / (tau[1] - tau[0]), color=COLOURS[0])
    times.set_xlabel("injection time − mean [ns]")
    times.set_ylabel("muons per ns")
    times.set_title(f"correlation with momentum {result.correlation:+.3f}", fontsize=9)
    save_figure(figure, path)
    return path


def _scan(result: FastRotationResult, scan: Sequence[Mapping[str, Any]], path: Path) -> Path:
    figure, (axis,) = new_figure(size=(6.5, 4.0))
    good = [item for item in scan if "refused" not in item]
    refused = [item["start_us"] for item in scan if "refused" in item]
    axis.errorbar(
        [item["start_us"] for item in good],
        [item["C_e_ppb"] for item in good],
        yerr=[item["error_ppb"] for item in good],
        fmt="o",
        color=COLOURS[0],
        label="error of the reconstruction",
    )
    level = result.correction.value_ppb
    axis.axhline(level, color="0.5", linestyle=":")
    if refused:
        axis.plot(refused, np.full(len(refused), level), "x", color=COLOURS[1], label="refused")
    axis.set_xlabel("start of the window [µs]")
    axis.set_ylabel("C$_e$ [ppb]")
    axis.legend(frameon=False)
    save_figure(figure, path)
    return path


def beam_figures(analyses: Sequence[BeamAnalysis], folder: Path) -> list[Path]:
    """Draw, per dataset, momenta, beam moments, amplitudes, losses and phase drift; once, the maps and a summary."""
    paths = [_summary(analyses, folder / "corrections.png"), _maps(analyses[0], folder / "phase_map.png")]
    for analysis in analyses:
        paths += fast_rotation_figures(analysis.rotation, folder, prefix=f"{analysis.name}_")
        paths.append(_moments(analysis, folder / f"{analysis.name}_moments.png"))
        paths.append(_phase(analysis, folder / f"{analysis.name}_phase.png"))
    return paths


def _summary(analyses: Sequence[BeamAnalysis], path: Path) -> Path:
    names = list(analyses[0].corrections)
    figure, axes = new_figure(1, len(names), size=(2.1 * len(names), 3.2))
    for axis, name in zip(axes, names, strict=True):
        found = [a.corrections[name] for a in analyses]
        positions = np.arange(len(found))
        axis.errorbar(
            positions,
            [c.value_ppb for c in found],
            yerr=[c.uncertainty_ppb for c in found],
            fmt="o",
            color=COLOURS[0],
            capsize=3,
        )
        axis.axhline(0.0, color="0.6", linewidth=0.8)
        axis.set_xticks(positions, [a.name for a in analyses])
        axis.set_xlim(-0.6, len(found) - 0.4)
        axis.set_title(f"{name.replace('C_', 'C$_{')}}}$ [ppb]")
        axis.set_xlabel("dataset")
    save_figure(figure, path)
    return path


def _maps(analysis: BeamAnalysis, path: Path) -> Path:
    figure, axes = new_figure(1, 3, size=(10.5, 3.6))
    grid = np.linspace(-45.0, 45.0, 91)
    x, y = np.meshgrid(grid, grid, indexing="ij")
    outside = np.hypot(x, y) > 45.0
    phase_map = analysis.phase_map
    panels = (
        ("rate / centre", phase_map.rate_at(x, y)),
        ("asymmetry (P = 1)", phase_map.asymmetry_at(x, y)),
        ("phase − centre [mrad]", 1e3 * (phase_map.phase_at(x, y) - phase_map.phase[0])),
    )
    for axis, (title, values) in zip(axes, panels, strict=True):
        mesh = axis.pcolormesh(grid, grid, np.where(outside, np.nan, values).T, cmap="viridis", shading="nearest")
        axis.set_aspect("equal")
        axis.grid(visible=False)
        axis.set_xlabel("x outward [mm]")
        axis.set_ylabel("y [mm]")
        axis.set_title(title)
        figure.colorbar(mesh, ax=axis, shrink=0.8)
    figure.suptitle(f"positrons above {phase_map.threshold_mev:g} MeV by decay position", fontsize=10)
    save_figure(figure, path)
    return path


def _moments(analysis: BeamAnalysis, path: Path) -> Path:
    figure, axes = new_figure(2, 2, size=(9.0, 5.8), sharex=True)
    titles = ("mean x [mm]", "variance x [mm²]", "mean y [mm]", "variance y [mm²]")
    for m, (axis, title) in enumerate(zip(axes, titles, strict=True)):
        for station, (moments, drift) in enumerate(zip(analysis.moments, analysis.drift.drifts, strict=True)):
            axis.errorbar(
                moments.time_us + 1.2 * station,
                moments.values[m],
                yerr=moments.errors[m],
                fmt=".",
                markersize=3,
                linewidth=0.6,
                alpha=0.7,
                color=COLOURS[station],
                label=f"station {(12, 18)[station]}",
            )
            axis.plot(moments.time_us, drift.at(moments.time_us)[m], color=COLOURS[station])
        centre = float(np.mean([d.final[m] for d in analysis.drift.drifts]))
        reach = 6.0 * float(np.median(analysis.moments[0].errors[m]))
        axis.set_ylim(centre - reach, centre + reach)
        axis.set_ylabel(title)
    for axis in axes[2:]:
        axis.set_xlabel("time [µs]")
    axes[0].legend(frameon=False, ncols=2)
    figure.suptitle(f"dataset {analysis.name}: beam moments from the trackers", fontsize=10)
    save_figure(figure, path)
    return path


def _phase(analysis: BeamAnalysis, path: Path) -> Path:
    figure, (phase, calorimeters, amplitude, losses) = new_figure(2, 2, size=(9.0, 6.2))
    drift = analysis.drift
    phase.errorbar(
        drift.point_time_us,
        1e3 * drift.point_phase_rad,
        yerr=1e3 * drift.point_error_rad,
        fmt=".",
        color="0.5",
        linewidth=0.8,
        label="tracks and crystal rows",
    )
    phase.plot(drift.time_us, 1e3 * drift.phase_rad, color=COLOURS[0])
    phase.legend(frameon=False)
    phase.set_xlim(drift.time_us[0], 350.0)
    phase.set_xlabel("time [µs]")
    phase.set_ylabel("φ$_d$(t) − φ$_d$(end) [mrad]")
    c_pa = analysis.corrections["C_pa"]
    phase.set_title(f"C$_{{pa}}$ = {c_pa.value_ppb:.0f} ± {c_pa.uncertainty_ppb:.0f} ppb", fontsize=10)
    calorimeters.plot(np.arange(1, 25), -drift.shift_ppb, "o", color=COLOURS[0], markersize=4)
    calorimeters.axhline(c_pa.value_ppb, color="0.5", linestyle=":")
    calorimeters.set_xlabel("calorimeter")
    calorimeters.set_ylabel("C$_{pa}$ [ppb]")
    for station, found in enumerate(analysis.amplitudes):
        width = found.amplitude_mm[1] - found.amplitude_mm[0]
        amplitude.step(
            found.amplitude_mm,
            found.share / width,
            where="mid",
            color=COLOURS[station],
            label=f"station {(12, 18)[station]}",
        )
    amplitude.set_xlabel("vertical amplitude [mm]")
    amplitude.set_ylabel("muons per mm")
    amplitude.legend(frameon=False)
    rate = analysis.losses
    losses.errorbar(rate.time_us, 1e6 * rate.measured_per_us, yerr=1e6 * rate.errors_per_us, fmt=".", color=COLOURS[0])
    times = np.linspace(rate.time_us[0], rate.time_us[-1], 200)
    losses.plot(times, 1e6 * rate.at(times), color=COLOURS[1])
    losses.set_yscale("log")
    losses.set_xlabel("time [µs]")
    losses.set_ylabel("losses [10$^{-6}$ per muon and µs]")
    figure.suptitle(f"dataset {analysis.name}", fontsize=10)
    save_figure(figure, path)
    return path
