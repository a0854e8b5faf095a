"""Figures of the magnetic field: FID and fit, azimuth maps, cross-section, tracking, transients, budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gminus2.data.nmr import KickerCampaign, QuadCampaign
from gminus2.field.campaign import FieldAnalysis
from gminus2.field.frequency import FrequencyResult
from gminus2.field.result import FieldResult
from gminus2.field.transients import decay_kernel, fit_kernel, response
from gminus2.physics.multipoles import MOMENTS, R0_MM, TRACKED, basis
from gminus2.physics.nmr import F_LO_HZ, HZ_PER_PPB, RecordFormat
from gminus2.physics.probes import nmr_table, station_azimuths_deg
from gminus2.report.plotting import COLOURS, new_figure

if TYPE_CHECKING:
    from gminus2.field.analysis import PreparedDataset

__all__ = [
    "azimuth_figure",
    "budget_figure",
    "cross_section_figure",
    "feedback_figure",
    "fid_figure",
    "tracking_figure",
    "transient_figure",
]

_PPM_HZ = 1000 * HZ_PER_PPB


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


def fid_figure(record: NDArray[np.float64], format_: RecordFormat, result: FrequencyResult) -> Figure:
    """Draw one record with its fit window, and the distribution of the frequencies of the batch."""
    figure, (top, left, right) = _fid_axes()
    t = np.arange(len(record)) / format_.fs_hz * 1e3
    top.plot(t, record, lw=0.4, color=COLOURS[0])
    top.axvline(format_.t_pulse_s * 1e3, color=COLOURS[6], lw=0.8, ls=":", label="π/2 pulse")
    if np.isfinite(result.f_hz[0]):
        start = format_.t_pulse_s + 60e-6
        end = start + result.n_blocks[0] * result.block[0] / format_.fs_hz
        top.axvspan(start * 1e3, end * 1e3, color=COLOURS[4], alpha=0.2, lw=0, label="fit window")
    top.set(xlabel="time in the record [ms]", ylabel="signal [ADC]", title="first record")
    top.legend(loc="upper right")
    good = result.is_good
    if good.any():
        f = result.f_hz[good]
        left.hist(f - f.mean(), bins=min(60, max(8, good.sum() // 20)), color=COLOURS[0])
        left.set(xlabel=f"frequency − {f.mean():.2f} Hz  [Hz]", ylabel="FIDs", title=f"{int(good.sum())} good FIDs")
        sigma = result.sigma_hz[good] / HZ_PER_PPB
        right.hist(sigma, bins=60, range=(0, float(np.percentile(sigma, 99)) * 1.2), color=COLOURS[2])
    right.set(xlabel="σ per FID [ppb]", ylabel="FIDs", title="uncertainty")
    return figure


def _fid_axes() -> tuple[Figure, list[Any]]:
    figure, _ = new_figure(size=(8.0, 5.6))
    figure.clf()
    grid = figure.add_gridspec(2, 2)
    axes = [figure.add_subplot(grid[0, :]), figure.add_subplot(grid[1, 0]), figure.add_subplot(grid[1, 1])]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    return figure, axes


def azimuth_figure(prepared: PreparedDataset) -> Figure:
    """Draw the moments of the first trolley map along the azimuth."""
    one = prepared.maps[0]
    order = np.argsort(one.azimuth_deg)
    figure, axes = new_figure(3, 1, size=(8.0, 7.0), sharex=True)
    mean = one.ring_mean
    groups = (("D",), ("NQ", "SQ"), ("NS", "SS"))
    for axis, names in zip(axes, groups, strict=True):
        for colour, name in zip(COLOURS, names, strict=False):
            k = MOMENTS.index(name)
            shown = one.moments[order, k] - (mean[0] if name == "D" else 0.0)
            axis.plot(one.azimuth_deg[order], shown / _PPM_HZ, lw=0.8, color=colour, label=name)
        axis.set_ylabel(("D − ring mean" if names == ("D",) else "moment at 45 mm") + " [ppm]")
        axis.legend(loc="upper right", ncols=2)
    axes[0].plot(
        station_azimuths_deg() % 360, np.full(72, axes[0].get_ylim()[0]), "|", color="0.4", ms=8, clip_on=False
    )
    axes[-1].set(xlabel="azimuth [deg]  (ticks in the top panel: fixed-probe stations)", xlim=(0, 360))
    axes[0].set_title(f"{prepared.data.name}: trolley map, ring mean {61.74e6 + mean[0]:.1f} Hz on the recorded scale")
    return figure


def cross_section_figure(prepared: PreparedDataset) -> Figure:
    """Draw the azimuthally averaged field over the aperture with the muons on top."""
    ring = np.mean([m.ring_mean for m in prepared.maps], axis=0)
    axis_mm = np.linspace(-R0_MM, R0_MM, 181)
    x, y = np.meshgrid(axis_mm, axis_mm)
    b = (basis(x, y, MOMENTS) @ ring - ring[0]) / _PPM_HZ
    b[np.hypot(x, y) > R0_MM] = np.nan
    figure, (left,) = new_figure(size=(6.4, 5.4))
    limit = float(np.nanmax(np.abs(b)))
    levels = np.linspace(-limit, limit, 25)
    filled = left.contourf(x, y, b, levels=levels, cmap="RdBu_r")
    bar = figure.colorbar(filled, ax=left, ticks=np.linspace(-limit, limit, 7), format="%.1f")
    bar.set_label("field − dipole [ppm]")
    profile = prepared.profile
    muons = profile.inside_weight().sum(axis=0)
    fractions = np.sort(muons.ravel())[::-1]
    cumulative = np.cumsum(fractions) / fractions.sum()
    contour_levels = sorted(float(fractions[np.searchsorted(cumulative, q)]) for q in (0.9, 0.68, 0.39))
    lines = left.contour(profile.x_mm, profile.y_mm, muons, levels=contour_levels, colors="black", linewidths=1.1)
    left.clabel(lines, fmt=dict(zip(contour_levels, ("90 %", "68 %", "39 %"), strict=True)), fontsize=8)
    left.set(xlabel="x, outward [mm]", ylabel="y, up [mm]", aspect="equal", xlim=(-48, 48), ylim=(-48, 48))
    left.set_title(f"{prepared.data.name}: azimuthal mean field and muons (contours)")
    return figure


def tracking_figure(analysis: FieldAnalysis, index: int) -> Figure:
    """Draw the muon-weighted field in time, the tracked gradients, and what the synchronisation had to correct."""
    prepared, tracking = analysis.prepared[index], analysis.tracking[index]
    result = analysis.results[index]
    figure, (top, middle, bottom) = new_figure(3, 1, size=(8.0, 8.4), height_ratios=(1.2, 1, 1))
    day = tracking.time_s / 86_400.0
    width = max(1, round(600.0 / float(np.median(np.diff(tracking.time_s)))))
    n = len(day) // width * width

    def coarse(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(values[:n].reshape(-1, width).mean(axis=1))

    shown = (tracking.field_hz - (result.f_p_hz - F_LO_HZ)) / HZ_PER_PPB
    top.plot(coarse(day), coarse(shown), lw=0.9, color=COLOURS[0], label="virtual trolley, 10 min means")
    with_muons = coarse(tracking.counts) > 0
    low = float(np.min(coarse(shown))) - 0.08 * float(np.ptp(coarse(shown)))
    top.fill_between(
        coarse(day),
        low,
        low + 0.03 * float(np.ptp(coarse(shown))),
        where=with_muons,
        color=COLOURS[2],
        lw=0,
        label="muons",
    )
    for k, time in enumerate(prepared.run_time_s):
        top.axvline(time / 86_400.0, color=COLOURS[1], lw=1, ls="--", label="trolley run" if k == 0 else None)
    top.set_ylabel("field − average [ppb]")
    top.legend(ncols=3, loc="lower right", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    top.set_title(f"{result.name}: muon-weighted field", loc="left")
    for colour, name, k in zip(COLOURS[1:], TRACKED[1:], range(1, 5), strict=False):
        values = coarse(prepared.moment_track_hz[:, k]) / HZ_PER_PPB
        middle.plot(coarse(day), values - values[0], lw=0.9, color=colour, label=name)
    middle.set(xlabel="time [days]", ylabel="change of moment [ppb]")
    middle.legend(ncols=4, loc="lower right", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    azimuth = station_azimuths_deg() % 360
    order = np.argsort(azimuth)
    if len(prepared.maps) > 1:
        for k, change in enumerate(np.diff(prepared.sync_hz, axis=0) / HZ_PER_PPB):
            bottom.plot(
                azimuth[order], change[order], ".-", ms=4, lw=0.7, color=COLOURS[k % 8], label=f"run {k} → {k + 1}"
            )
            mean = float(prepared.ring_offsets_hz[k] / HZ_PER_PPB)
            bottom.axhline(mean, color=COLOURS[k % 8], lw=1, ls=":")
        bottom.legend(ncols=6, loc="lower right", bbox_to_anchor=(1.0, 1.0), fontsize=8)
        bottom.set_ylabel("tracking residual\nat the closing run [ppb]")
    else:
        bottom.text(0.5, 0.5, "one trolley run only: no residual", ha="center", transform=bottom.transAxes)
    bottom.set(xlabel="azimuth of the station [deg]  (dotted: ring mean)", xlim=(0, 360))
    return figure


def transient_figure(
    kicker: KickerCampaign, quads: QuadCampaign, start_us: float, end_us: float, result: FieldResult
) -> Figure:
    """Draw the traces of both campaigns, the two kernels, and each bunch's effect."""
    figure, axes = new_figure(2, 2, size=(9.5, 6.8))
    kick, kernels, trace, bunches = axes
    table = nmr_table("transients")
    mean, error = kicker.delta_ppb.mean(axis=0), kicker.delta_ppb.std(axis=0, ddof=1) / np.sqrt(len(kicker.delta_ppb))
    kick.errorbar(kicker.time_us, mean / 1e3, error / 1e3, fmt=".", ms=3, lw=0.6, color=COLOURS[0])
    kick.axvspan(start_us, end_us, color="0.5", alpha=0.1, lw=0)
    kick.set(
        xlabel="time after the kick [µs]",
        ylabel="ΔB/B in the kicker [ppm]",
        title=f"kicker: B_k = {_signed(result.b_k_ppb)} ppb",
        xlim=(0, 400),
    )
    t = np.linspace(start_us, end_us, 800)
    kernels.plot(t, fit_kernel(t, start_us, end_us) * 1e3, color=COLOURS[0], label="response of the fit, K(t)")
    kernels.plot(t, decay_kernel(t, start_us, end_us) * 1e3, color=COLOURS[1], ls="--", label="decay weight")
    kernels.set(xlabel="time after the kick [µs]", ylabel="weight [1/ms]", xlim=(0, 500), title="how a transient acts")
    kernels.legend()
    spots = quads.delta_ppb.mean(axis=1)
    for k, row in enumerate(spots):
        trace.plot(quads.time_us, row, lw=0.8, color=COLOURS[k % 8], label=f"{k + 1}")
    trace.axvspan(start_us, end_us, color="0.5", alpha=0.1, lw=0)
    trace.set(
        xlabel="time after the pulse [µs]",
        ylabel="ΔB/B between the plates [ppb]",
        title=f"quadrupoles: B_q = {_signed(result.b_q_ppb)} ppb",
    )
    trace.legend(title="bunch", ncols=4, fontsize=7, title_fontsize=8, loc="upper right")
    low, high = trace.get_ylim()
    trace.set_ylim(low, high + 0.3 * (high - low))
    values, _ = response(quads.time_us, quads.delta_ppb, start_us, end_us)
    values = values * float(table["quad_ring_fraction"])
    bunch = np.arange(1, 9)
    bunches.errorbar(
        bunch, values.mean(axis=1), values.std(axis=1, ddof=1) / np.sqrt(values.shape[1]), fmt="o", color=COLOURS[0]
    )
    bunches.axhline(result.b_q_ppb, color=COLOURS[1], lw=1, label="mean")
    bunches.set(xlabel="bunch", ylabel="effect on B_q [ppb]", title="by bunch", xticks=bunch)
    bunches.legend()
    return figure


def budget_figure(results: tuple[FieldResult, ...]) -> Figure:
    """Draw the uncertainty budget of all datasets."""
    rows = results[0].budget
    figure, (axis,) = new_figure(size=(8.0, 0.22 * (len(rows) + 3) * (1 + 0.35 * len(results)) + 1.0))
    labels = [row.label for row in rows] + ["field without transients", "total"]
    height = 0.8 / len(results)
    for k, result in enumerate(results):
        values = [row.sigma_ppb for row in result.budget] + [result.sigma_field_ppb, result.sigma_total_ppb]
        y = np.arange(len(values)) + (k - (len(results) - 1) / 2) * height
        bars = axis.barh(y, values, height * 0.9, color=COLOURS[k % 8], label=result.name)
        if len(results) == 1:
            axis.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
    axis.set_yticks(np.arange(len(labels)), labels)
    axis.invert_yaxis()
    axis.margins(x=0.12, y=0.01)
    axis.set(xlabel="standard uncertainty [ppb]", title="budget of ω̃'p and its transients")
    axis.legend(title="dataset", loc="center right")
    return figure


def feedback_figure(
    time_s: NDArray[np.float64], free_hz: NDArray[np.float64], held_hz: NDArray[np.float64], title: str
) -> Figure:
    """Draw the dipole with and without the loop."""
    figure, (axis,) = new_figure(size=(8.0, 3.8))
    axis.plot(time_s / 3600, free_hz / HZ_PER_PPB, lw=0.8, color=COLOURS[1], label="without feedback")
    axis.plot(time_s / 3600, held_hz / HZ_PER_PPB, lw=0.8, color=COLOURS[0], label="with feedback")
    axis.set(xlabel="time [h]", ylabel="dipole seen by the fixed probes [ppb]", title=title)
    axis.legend()
    return figure
