"""Lost muons of Run-1a: rate against time and momentum with errors, with and without scraping, beside Run-1.

    python validation/lost_muons.py [FOLDER]            about 2 minutes of CPU; the figure goes to FOLDER

The printed output and the figure are kept in docs/validation/lost_muons.md.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gminus2.report import save_figure
from gminus2.report.plotting import COLOURS, new_figure
from gminus2.ring.esq import VoltageHistory
from gminus2.ring.injection import inject
from gminus2.ring.losses import through_calorimeters
from gminus2.ring.presets import ring_preset
from gminus2.ring.tracking import track

FloatArray = NDArray[np.float64]
EDGES_US = np.array([4.5, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 50.0, 75.0, 104.0])
DELTA_EDGES = 1e-3 * np.array([-6.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 6.0])
INJECTED = 2_000_000
#: Lost per 70 µs in the four datasets of Run-1 (N. Kinnaird, thesis).
RUN1 = {"1a": 0.60e-2, "1b": 0.20e-2, "1c": 0.25e-2, "1d": 0.65e-2}


@dataclass(frozen=True)
class Losses:
    """Losses of one configuration: times and δ of the lost, δ of all muons stored after 30 turns."""

    title: str
    time_us: FloatArray
    delta_lost: FloatArray
    delta: FloatArray

    def rate(self) -> tuple[FloatArray, FloatArray]:
        """Return losses per stored muon and µs with Poisson errors in bins of time."""
        counts = np.histogram(self.time_us, EDGES_US)[0]
        left = self.delta.size - np.concatenate(([0], np.cumsum(counts)[:-1]))
        return counts / left / np.diff(EDGES_US), np.sqrt(np.maximum(counts, 1)) / left / np.diff(EDGES_US)

    def share(self, begin_us: float) -> tuple[FloatArray, FloatArray]:
        """Return the fraction lost after a time, with errors, in bins of δ."""
        gone = np.histogram(self.delta_lost[self.time_us > begin_us], DELTA_EDGES)[0]
        everyone = np.histogram(self.delta, DELTA_EDGES)[0]
        return gone / everyone, np.sqrt(np.maximum(gone, 1)) / everyone


def lose(scraping: bool) -> Losses:
    """Inject, track to 104 µs and print what is lost."""
    preset = ring_preset("run1a")
    history = preset.ring.electric.history
    history = history if scraping else VoltageHistory(history.transients)
    electric = replace(preset.ring.electric, history=history)
    ring = replace(preset.ring, electric=electric, collimators="copper", observers=())
    muons = inject(ring, preset.beam, INJECTED, turns=30, workers=1).muons
    table = track(ring, muons, 670, begin=30, check_start=False, workers=1).losses
    lost = np.isfinite(table[:, 0])
    title = "with scraping" if scraping else "without scraping"
    result = Losses(title, table[lost, 7] / 299.792458, muons.delta[lost], muons.delta)
    rate, error = result.rate()
    counts = np.histogram(result.time_us, EDGES_US)[0]
    print(f"{title}: {len(muons):,d} muons after 30 turns")
    for k, count in enumerate(counts):
        print(
            f"   {EDGES_US[k]:5.1f} to {EDGES_US[k + 1]:5.1f} us: {count:5d} lost, {1e6 * rate[k]:8.2f} ± "
            f"{1e6 * error[k]:6.2f} e-6 per muon and us"
        )
    for begin in (4.5, 15.0):
        fraction, errors = result.share(begin)
        late = result.delta_lost[result.time_us > begin]
        print(f"   lost fraction after {begin:g} us by delta [1e-3]:")
        for k, (s, u) in enumerate(zip(fraction, errors, strict=True)):
            low, high = 1e3 * DELTA_EDGES[k], 1e3 * DELTA_EDGES[k + 1]
            print(f"      {low:+.0f} to {high:+.0f}: {100 * s:6.3f} ± {100 * u:5.3f} %")
        if late.size > 1:
            print(
                f"      mean delta of the lost {1e3 * late.mean():+.2f} ± {1e3 * late.std() / late.size**0.5:.2f}, "
                f"of the stored {1e3 * muons.delta.mean():+.2f}"
            )
    window = (result.time_us > 30.0) & (result.time_us < 100.0)
    n = int(window.sum())
    share, uncertainty = 100.0 * n / len(muons), 100.0 * max(n, 1) ** 0.5 / len(muons)
    recorded = ", ".join(f"{100 * v:.2f} % ({k})" for k, v in RUN1.items())
    print(f"   30 to 100 us: {n} lost, {share:.3f} ± {uncertainty:.3f} % per 70 us; Run-1 recorded {recorded}")
    hits = through_calorimeters(ring, table)
    print(
        f"   {np.unique(hits.muon).size} of {lost.sum()} lost muons cross a calorimeter, "
        f"{hits.consecutive(3).size} make a triple coincidence\n",
        flush=True,
    )
    return result


def draw(results: list[Losses], folder: Path) -> None:
    """Draw both configurations."""
    figure, axes = new_figure(1, 2, size=(9.5, 4.0))
    for k, result in enumerate(results):
        rate, error = result.rate()
        middle = np.sqrt(EDGES_US[1:] * EDGES_US[:-1])
        axes[0].errorbar(
            middle * (1.0 + 0.02 * k),
            1e6 * rate,
            1e6 * error,
            fmt="os"[k],
            ms=4.0,
            color=COLOURS[k],
            label=result.title,
        )
        share, uncertainty = result.share(4.5)
        centre = 0.5e3 * (DELTA_EDGES[1:] + DELTA_EDGES[:-1])
        axes[1].errorbar(
            centre + 0.05 * k, 100 * share, 100 * uncertainty, fmt="os"[k], ms=4.0, color=COLOURS[k], label=result.title
        )
    low, high = (1e6 * v / 70.0 for v in (min(RUN1.values()), max(RUN1.values())))
    axes[0].fill_between([30.0, 100.0], low, high, color="0.8", label="recorded in Run-1")
    axes[0].set_xscale("log")
    axes[0].set_yscale("log")
    axes[0].set_xlabel("time after injection [µs]")
    axes[0].set_ylabel(r"losses per stored muon and µs [10$^{-6}$]")
    axes[0].legend()
    axes[1].set_xlabel(r"momentum offset $\delta$ [10$^{-3}$]")
    axes[1].set_ylabel("lost after 4.5 µs [%]")
    axes[1].set_ylim(bottom=0.0)
    axes[1].legend()
    save_figure(figure, folder / "lost_muons.png")


if __name__ == "__main__":
    print("LOST MUONS (Run-1a, copper collimators)\n")
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    draw([lose(True), lose(False)], folder)
