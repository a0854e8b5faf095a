"""Figures of the storage ring: orbits, CBO, spin, optics functions, injection scans, losses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gminus2.physics.optics import LinearOptics
from gminus2.report.plotting import COLOURS, new_figure
from gminus2.ring.cbo import CboCurve
from gminus2.ring.injection import InjectionResult
from gminus2.ring.losses import LossRate

__all__ = [
    "beam_figure",
    "cbo_figure",
    "injection_figure",
    "loss_figure",
    "optics_figure",
    "optics_scan_figure",
    "scan_figure",
    "track_figure",
]

FloatArray = NDArray[np.float64]


def track_figure(time_us: FloatArray, x_mm: FloatArray, y_mm: FloatArray, phase: FloatArray, omega_a: float) -> Figure:
    """Draw orbits of a few muons at one azimuth, arrays (turns, M), and what their spins gain on a e B/m."""
    figure, axes = new_figure(3, 1, size=(8.0, 8.0), sharex=True)
    shown = min(6, x_mm.shape[1])
    for i in range(shown):
        colour = COLOURS[i % len(COLOURS)]
        axes[0].plot(time_us[:, i], x_mm[:, i], ".-", ms=2.0, lw=0.6, color=colour, label=f"muon {i}")
        axes[1].plot(time_us[:, i], y_mm[:, i], ".-", ms=2.0, lw=0.6, color=colour)
        gain = phase[:, i] - phase[0, i] - omega_a * (time_us[:, i] - time_us[0, i])
        axes[2].plot(time_us[:, i], 1e6 * gain, color=colour)
    axes[0].set_ylabel("x [mm]")
    axes[1].set_ylabel("y [mm] (down)")
    axes[2].set_ylabel(r"$\psi - \omega_a t$ [µrad]")
    axes[2].set_xlabel("time [µs]")
    axes[0].set_title("Once per turn at azimuth 0")
    axes[0].set_ylim(axes[0].get_ylim()[0], axes[0].get_ylim()[1] + 0.3 * np.ptp(axes[0].get_ylim()))
    axes[0].legend(ncol=shown, loc="upper right")
    return figure


def beam_figure(moments: FloatArray, titles: Sequence[str]) -> Figure:
    """Draw centroid, widths and polarisation of a beam from moments (turns, observers, 11)."""
    figure, axes = new_figure(3, 1, size=(8.0, 8.0), sharex=True)
    for k, title in enumerate(titles):
        table = moments[:, k]
        good = table[:, 0] > 0
        count = table[good, 0]
        time = table[good, 8] / count / 299.792458
        x, y = 1e3 * table[good, 1] / count, 1e3 * table[good, 3] / count
        width_x = np.sqrt(np.maximum(1e6 * table[good, 2] / count - x**2, 0.0))
        width_y = np.sqrt(np.maximum(1e6 * table[good, 4] / count - y**2, 0.0))
        colour = COLOURS[k % len(COLOURS)]
        axes[0].plot(time, x, color=colour, lw=0.8, label=title)
        axes[1].plot(time, width_x, color=colour, lw=0.8, label=f"horizontal, {title}")
        axes[1].plot(time, width_y, color=colour, lw=0.8, ls=":", label=f"vertical, {title}")
        length = np.hypot(table[good, 5], table[good, 6]) / count
        axes[2].plot(time, 1e6 * (length / length[0] - 1.0), color=colour, lw=0.8)
    axes[0].set_ylabel("mean x [mm]")
    axes[1].set_ylabel("rms width [mm]")
    axes[2].set_ylabel("change of polarisation [ppm]")
    axes[2].set_xlabel("time [µs]")
    axes[0].legend(loc="upper right", ncol=3)
    axes[1].set_ylim(0.0, 1.45 * axes[1].get_ylim()[1])
    axes[0].set_ylim(axes[0].get_ylim()[0], axes[0].get_ylim()[1] + 0.3 * np.ptp(axes[0].get_ylim()))
    axes[1].legend(loc="upper right", ncol=2)
    return figure


def cbo_figure(curves: Mapping[str, CboCurve], published: Mapping[str, tuple[float, ...]] | None = None) -> Figure:
    """Draw CBO amplitude and frequency; ``published`` holds (ω₀, A, τ_A, B, τ_B) by name, drawn dashed."""
    figure, axes = new_figure(2, 1, size=(8.0, 6.5), sharex=True)
    for k, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[k % len(COLOURS)]
        axes[0].plot(curve.time_us, curve.amplitude_mm, color=colour, label=name)
        axes[1].plot(curve.time_us[8:-8], 1e3 * curve.frequency_mhz[8:-8], color=colour, lw=0.9, label=name)
        if published and name in published:
            omega0, slow, slow_us, fast, fast_us = published[name]
            t = curve.time_us
            omega = omega0 - slow / slow_us * np.exp(-t / slow_us) - fast / fast_us * np.exp(-t / fast_us)
            late = t > 10.0
            axes[1].plot(
                t[late], 1e3 * omega[late] / (2.0 * math.pi), color=colour, ls="--", label=f"{name}, published"
            )
    axes[0].set_ylabel("CBO amplitude [mm]")
    axes[0].set_ylim(bottom=0.0)
    axes[1].set_ylabel("CBO frequency [kHz]")
    axes[1].set_xlabel("time [µs]")
    axes[0].legend(loc="upper right")
    axes[1].legend(loc="lower right")
    return figure


def optics_figure(optics: LinearOptics, plates_deg: Sequence[tuple[float, float]], title: str) -> Figure:
    """Draw β functions and dispersion around the ring, plates shaded."""
    figure, axes = new_figure(3, 1, size=(8.0, 7.0), sharex=True)
    azimuth = np.degrees(optics.azimuth_rad)
    for axis, values, label in zip(
        axes,
        (optics.beta_x[0], optics.beta_y[0], optics.dispersion[0]),
        (r"$\beta_x$ [m]", r"$\beta_y$ [m]", "dispersion [m]"),
        strict=True,
    ):
        axis.plot(azimuth, 1e-3 * values, color=COLOURS[0])
        axis.set_ylabel(label)
        for begin, end in plates_deg:
            axis.axvspan(begin, end, color="0.9", lw=0.0)
    axes[0].set_title(title)
    axes[2].set_xlabel("azimuth [deg]")
    axes[2].set_xlim(0.0, 360.0)
    return figure


def optics_scan_figure(index: FloatArray, voltage: FloatArray, rows: Mapping[str, FloatArray], chosen: float) -> Figure:
    """Draw frequencies against the field index, with the plate voltage on the upper axis."""
    figure, axes = new_figure(1, 3, size=(11.0, 4.2))
    ratio = float(voltage[0] / index[0])  # both are proportional to the gradient
    for axis, (key, label) in zip(
        axes,
        (("f_cbo_mhz", r"$f_{\rm CBO}$ [MHz]"), ("f_y_mhz", r"$f_y$ [MHz]"), ("f_vw_mhz", r"$f_{\rm VW}$ [MHz]")),
        strict=True,
    ):
        axis.plot(index, rows[key], color=COLOURS[0], label="real plates")
        axis.plot(index, rows[key + "_continuous"], color=COLOURS[1], ls="--", label="continuous ring")
        axis.axvline(chosen, color="0.6", lw=0.8)
        axis.set_xlabel("field index n")
        axis.set_ylabel(label)
        upper = axis.secondary_xaxis(
            "top",
            functions=(
                lambda n: np.asarray(n) * ratio,
                lambda v: np.asarray(v) / ratio,
            ),
        )
        upper.set_xlabel("voltage [kV]")
    axes[0].legend(loc="upper left")
    return figure


def injection_figure(result: InjectionResult) -> Figure:
    """Draw the stored beam: x_e distribution, momentum against injection time, phase-space portraits."""
    figure, axes = new_figure(2, 2, size=(9.0, 7.0))
    m, optics = result.muons, result.optics
    x_e = m.delta * float(optics.alpha_p[0]) * result.ring.geometry.radius_mm
    bins = np.linspace(-50.0, 50.0, 81)
    axes[0].hist(x_e, bins.tolist(), color=COLOURS[0])
    axes[0].axvline(float(x_e.mean()), color=COLOURS[1], label=f"mean {x_e.mean():.1f} mm, rms {x_e.std():.1f} mm")
    axes[0].set_xlabel("equilibrium offset $x_e$ [mm]")
    axes[0].set_ylabel("stored muons per 1.25 mm")
    axes[0].legend(loc="upper left", fontsize=8)
    image = axes[1].hist2d(1e3 * result.start_time_us, 1e3 * m.delta, bins=(60, 60), cmap="viridis", cmin=1)
    figure.colorbar(image[3], ax=axes[1], label="muons")
    axes[1].set_xlabel("injection time [ns]")
    axes[1].set_ylabel(r"momentum offset $\delta$ [10$^{-3}$]")
    for axis, position, slope, name in ((axes[2], m.x_mm, m.x_slope, "x"), (axes[3], m.y_mm, m.y_slope, "y")):
        picture = axis.hist2d(position, 1e3 * slope, bins=(70, 70), cmap="viridis", cmin=1)
        figure.colorbar(picture[3], ax=axis, label="muons")
        axis.set_xlabel(f"{name} [mm]")
        axis.set_ylabel(f"{name}' [mrad]")
    return figure


def scan_figure(
    values: FloatArray, rows: Mapping[str, FloatArray], errors: Mapping[str, FloatArray], label: str
) -> Figure:
    """Draw stored fraction, x_e, C_e and CBO amplitude against a scanned quantity."""
    figure, axes = new_figure(2, 2, size=(9.0, 6.5), sharex=True)
    for axis, (key, title, scale) in zip(
        axes,
        (
            ("stored_fraction", "stored fraction [%]", 100.0),
            ("x_e_mean_mm", "mean $x_e$ [mm]", 1.0),
            ("c_e", "$C_e$ [ppb]", 1e9),
            ("cbo_mm", "CBO amplitude [mm]", 1.0),
        ),
        strict=True,
    ):
        axis.errorbar(values, scale * rows[key], scale * errors[key], fmt="o-", ms=4.0, capsize=2.0, color=COLOURS[0])
        axis.set_ylabel(title)
    axes[1].errorbar(
        values, rows["x_e_rms_mm"], errors["x_e_mean_mm"], fmt="s--", ms=4.0, color=COLOURS[1], label="rms"
    )
    axes[1].lines[0].set_label("mean")
    axes[1].set_ylabel("$x_e$ [mm]")
    axes[1].legend()
    for axis in axes[2:]:
        axis.set_xlabel(label)
        axis.set_ylim(bottom=0.0)
    return figure


def loss_figure(rate: LossRate) -> Figure:
    """Draw the loss rate against time and the lost fraction against momentum."""
    figure, axes = new_figure(1, 2, size=(9.0, 4.0))
    axes[0].errorbar(rate.time_us, 1e6 * rate.rate_per_us, 1e6 * rate.rate_error, fmt="o", ms=4.0, color=COLOURS[0])
    axes[0].set_xlabel("time [µs]")
    axes[0].set_ylabel(r"losses per stored muon and µs [10$^{-6}$]")
    axes[0].set_ylim(bottom=0.0)
    axes[1].errorbar(
        1e3 * rate.delta, 100 * rate.lost_fraction, 100 * rate.lost_fraction_error, fmt="o", ms=4.0, color=COLOURS[1]
    )
    axes[1].set_xlabel(r"momentum offset $\delta$ [10$^{-3}$]")
    axes[1].set_ylabel("lost fraction [%]")
    axes[1].set_ylim(bottom=0.0)
    return figure
