"""Quick plots of a dataset: wiggle, spectrum, hit map, beam profile, fast rotation, lost muons, laser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gminus2.data.campaign import AXES, CampaignDataset
from gminus2.report.plotting import COLOURS, new_figure, save_figure

__all__ = [
    "beam_figure",
    "fast_rotation_figure",
    "hit_map_figure",
    "laser_figure",
    "lost_muon_figure",
    "spectrum_figure",
    "wiggle_figure",
    "write_dataset_figures",
]


def wiggle_figure(dataset: CampaignDataset, *, threshold_mev: float = 1700.0, wrap_us: float = 100.0) -> Figure:
    """Counts above threshold against time modulo ``wrap_us``, on a logarithmic scale."""
    histogram = dataset.above(threshold_mev, next(iter(dataset.reconstructions)))
    time, counts = histogram.centres_us(), histogram.counts.sum(axis=0)
    figure, (axes,) = new_figure(size=(7.5, 5.0))
    for k in range(round(time[-1] / wrap_us)):
        part = (time >= k * wrap_us) & (time < (k + 1) * wrap_us) & (counts > 0)
        axes.plot(
            time[part] - k * wrap_us,
            counts[part],
            lw=0.7,
            color=COLOURS[k % 7],
            label=f"{k * wrap_us:.0f} to {(k + 1) * wrap_us:.0f} µs",
        )
    axes.set_yscale("log")
    axes.set_xlim(0.0, wrap_us)
    axes.set_xlabel(f"nominal time after injection modulo {wrap_us:g} µs")
    axes.set_ylabel(f"positrons above {threshold_mev / 1e3:.1f} GeV per 149.2 ns")
    axes.set_title(f"Dataset {dataset.name}: {counts.sum():,.0f} positrons, 24 calorimeters")
    axes.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.13))
    return figure


def spectrum_figure(dataset: CampaignDataset) -> Figure:
    """Energy spectrum after 30 µs, with the pileup the shadow windows predict."""
    figure, (axes,) = new_figure(size=(7.5, 4.5))
    energy = (np.arange(int(AXES["n_energy"])) + 0.5) * AXES["energy_width_mev"] / 1e3
    first = int(np.ceil(30.0 / AXES["time_width_us"]))
    for k, (name, arrays) in enumerate(dataset.reconstructions.items()):
        counts = arrays["counts"][:, :, first:].sum(axis=(0, 2), dtype=np.int64)
        pileup = arrays["pileup_net"][:, :, first:].sum(axis=(0, 2), dtype=np.int64)
        axes.stairs(_positive(counts), np.append(energy - 0.025, energy[-1] + 0.025), color=COLOURS[k], label=name)
        axes.plot(
            energy, _positive(pileup), ".", ms=3, color=COLOURS[k], alpha=0.7, label=f"{name}, shadow-window pileup"
        )
    axes.axvline(3.095, color="black", lw=0.8, ls="--")
    axes.text(3.12, 0.97, "endpoint", transform=axes.get_xaxis_transform(), va="top", fontsize=9)
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.5)
    axes.set_xlabel("cluster energy [GeV]")
    axes.set_ylabel("clusters after 30 µs per 50 MeV")
    axes.set_title(f"Dataset {dataset.name}: energy spectrum")
    axes.legend()
    return figure


def hit_map_figure(dataset: CampaignDataset) -> Figure:
    """Hits on the face of a calorimeter, summed over the 24."""
    figure, (axes,) = new_figure(size=(7.0, 4.6))
    image = dataset.shared["hit_map"].sum(axis=0, dtype=np.int64).T
    mesh = axes.pcolormesh(7.2 * np.arange(33), 6.0 * np.arange(27) - 78.0, image, cmap="viridis", rasterized=True)
    for column in range(1, 9):
        axes.axvline(25.2 * column, color="white", lw=0.4, alpha=0.6)
    for row in range(1, 6):
        axes.axhline(25.2 * row - 75.6, color="white", lw=0.4, alpha=0.6)
    axes.set_xlim(0.0, 226.8)
    axes.set_ylim(-75.6, 75.6)
    axes.grid(visible=False)
    axes.set_aspect("equal")
    axes.set_xlabel("distance from the storage-side edge [mm]")
    axes.set_ylabel("height [mm]")
    axes.set_title(f"Dataset {dataset.name}: positrons above threshold on the calorimeter face")
    figure.colorbar(mesh, ax=axes, label="hits", shrink=0.7)
    return figure


def beam_figure(dataset: CampaignDataset) -> Figure:
    """Decay positions seen by the trackers, and the motion of their mean."""
    figure, axes = new_figure(2, 2, size=(8.5, 6.4))
    position = np.asarray(
        AXES["position_min_mm"] + AXES["position_width_mm"] * (np.arange(int(AXES["n_position"])) + 0.5),
        dtype=np.float64,
    )
    xy = dataset.shared["track_xy"]
    edges = AXES["position_min_mm"] + AXES["position_width_mm"] * np.arange(int(AXES["n_position"]) + 1)
    mesh = axes[0].pcolormesh(edges, edges, xy.sum(axis=(0, 1)).T, cmap="viridis", rasterized=True)
    axes[0].set_aspect("equal")
    axes[0].grid(visible=False)
    axes[0].set_xlabel("x outward [mm]")
    axes[0].set_ylabel("y upward [mm]")
    axes[0].set_title("decay vertices, both stations")
    figure.colorbar(mesh, ax=axes[0], label="tracks", shrink=0.8)
    labels = ("station 12", "station 18")
    for station, label in enumerate(labels):
        for k, (name, style) in enumerate((("track_x", "-"), ("track_y", "--"))):
            profile = dataset.shared[name][station].sum(axis=1)
            axes[1].step(position, profile, style, where="mid", color=COLOURS[station], label=f"{'xy'[k]}, {label}")
    axes[1].set_xlabel("position [mm]")
    axes[1].set_ylabel("tracks per 2 mm")
    axes[1].set_ylim(0.0, 1.35 * axes[1].get_ylim()[1])
    axes[1].legend(ncols=2)
    axes[1].set_title("profiles")
    for panel, group, last, title in (
        (axes[2], 1, 60.0, "mean radial position, 149.2 ns steps"),
        (axes[3], 64, 400.0, "mean radial position, 9.5 µs steps"),
    ):
        for station, label in enumerate(labels):
            time, mean, error = _mean_position(dataset.shared["track_x"][station], position, group)
            show = (time > 30.0) & (time < last) & (error < 5.0)
            if group == 1:
                panel.plot(time[show], mean[show], lw=0.8, color=COLOURS[station], label=label)
            else:
                panel.errorbar(time[show], mean[show], error[show], fmt=".", ms=3, color=COLOURS[station], label=label)
        panel.set_xlabel("nominal time [µs]")
        panel.set_ylabel("⟨x⟩ [mm]")
        panel.set_title(title)
        low, high = panel.get_ylim()
        panel.set_ylim(low, high + 0.25 * (high - low))
        panel.legend(ncols=2, loc="upper left")
    return figure


def fast_rotation_figure(dataset: CampaignDataset) -> Figure:
    """Hits in 1 ns bins early and later in the fill, one calorimeter."""
    figure, axes = new_figure(3, 1, size=(7.5, 6.5))
    signal = dataset.shared["fast_rotation"][0].astype(np.float64)
    for panel, (start, stop) in zip(axes, ((4.0, 6.0), (20.0, 24.0), (60.0, 68.0)), strict=True):
        group = 5
        low, high = round(start * 1e3), round(stop * 1e3)
        counts = signal[low:high].reshape(-1, group).sum(axis=1)
        panel.step(start + 1e-3 * group * (np.arange(counts.size) + 0.5), counts, where="mid", lw=0.9)
        panel.set_xlim(start, stop)
        panel.set_ylim(bottom=0.0)
        panel.set_ylabel("hits per 5 ns")
    axes[0].set_title(f"Dataset {dataset.name}: fast rotation at calorimeter 1")
    axes[2].set_xlabel("nominal time after injection [µs]")
    return figure


def lost_muon_figure(dataset: CampaignDataset) -> Figure:
    """Triple coincidences against time, and the time between neighbours."""
    figure, axes = new_figure(1, 2, size=(9.0, 4.0))
    arrays = dataset.reconstructions[next(iter(dataset.reconstructions))]
    group = 67
    kept = int(AXES["n_time"]) // group * group
    triples = arrays["coincidences"][:, :kept].reshape(4, -1, group).sum(axis=2)
    time = AXES["time_width_us"] * group * (np.arange(triples.shape[1]) + 0.5)
    names = ("triples", "third after 2 to 4 ns", "third after 10 to 12.5 ns", "quadruples")
    for k, name in enumerate(names):
        axes[0].step(time, np.maximum(triples[k], 0.1), where="mid", color=COLOURS[k], label=name)
    axes[0].set_yscale("log")
    axes[0].set_ylim(bottom=0.5)
    axes[0].set_xlabel("nominal time [µs]")
    axes[0].set_ylabel("candidates per 10 µs")
    axes[0].legend()
    gap = AXES["coincidence_dt_width_us"] * 1e3 * (np.arange(int(AXES["n_coincidence_dt"])) + 0.5)
    axes[1].step(gap, arrays["coincidence_dt"], where="mid")
    axes[1].axvspan(5.0, 7.5, color=COLOURS[2], alpha=0.15, label="5 to 7.5 ns")
    axes[1].set_xlabel("time to the next calorimeter [ns]")
    axes[1].set_ylabel("pairs per 0.1 ns")
    axes[1].set_xlim(0.0, 20.0)
    axes[1].legend()
    figure.suptitle(f"Dataset {dataset.name}: lost muons")
    return figure


def laser_figure(dataset: CampaignDataset) -> Figure:
    """Gain seen by the laser: in the fill, between fills, after a first pulse."""
    figure, axes = new_figure(1, 3, size=(10.5, 3.8))
    specs = (
        ("laser_infill", AXES["laser_time_width_us"] * 8, 8, "time in the fill [µs]", "in the fill"),
        ("laser_outfill", 100.0 / AXES["n_laser_group"], 1, "part of the dataset [%]", "between fills"),
        ("laser_double", AXES["double_pulse_width_us"] * 1e3, 1, "separation [ns]", "second of two pulses"),
    )
    for panel, (name, width, group, label, title) in zip(axes, specs, strict=True):
        sums = dataset.shared[name].sum(axis=0).astype(np.float64)
        sums = sums.reshape(-1, group, 3).sum(axis=1)
        number, total, square = sums.T
        ok = number > 1
        mean = total[ok] / number[ok]
        error = np.sqrt(np.maximum(square[ok] / number[ok] - mean**2, 0.0) / number[ok])
        x = width * (np.arange(number.size) + 0.5)
        panel.errorbar(x[ok], 1e-3 * mean, 1e-3 * error, fmt=".", ms=4)
        panel.set_xlabel(label)
        panel.set_title(title)
    axes[0].set_ylabel("response − 1 [10⁻³]")
    figure.suptitle(f"Dataset {dataset.name}: laser pulses, mean of 24 calorimeters")
    return figure


def write_dataset_figures(dataset: CampaignDataset, folder: Path) -> dict[str, Path]:
    """Draw all quick plots into a folder; return name → file."""
    figures: dict[str, Any] = {
        "wiggle": wiggle_figure,
        "spectrum": spectrum_figure,
        "hit_map": hit_map_figure,
        "beam": beam_figure,
        "fast_rotation": fast_rotation_figure,
        "lost_muons": lost_muon_figure,
        "laser": laser_figure,
    }
    written = {}
    for name, draw in figures.items():
        path = folder / f"{dataset.name}-{name}.png"
        save_figure(draw(dataset), path)
        written[name] = path
    return written


def _positive(values: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.where(values > 0, values, np.nan).astype(np.float64)


def _mean_position(
    counts: NDArray[Any], position: NDArray[np.float64], group: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    kept = counts.shape[1] // group * group
    grouped = counts[:, :kept].reshape(counts.shape[0], -1, group).sum(axis=2).astype(np.float64)
    number = np.maximum(grouped.sum(axis=0), 1.0)
    mean = position @ grouped / number
    width = np.sqrt(np.maximum((position**2) @ grouped / number - mean**2, 0.0))
    time = AXES["time_width_us"] * group * (np.arange(mean.size) + 0.5)
    empty = grouped.sum(axis=0) < 2
    return time, mean, np.where(empty, np.inf, width / np.sqrt(number))
