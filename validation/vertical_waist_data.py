"""The vertical waist where detectors record it: heights of hits in single calorimeters, width of the tracks.

Usage: python validation/vertical_waist_data.py FILLS [DATASET.h5 …]. FILLS of dataset ``a`` of the demo are simulated
for the calorimeters; the datasets (of ``gminus2 simulate demo``, any seed) give the tracker's view. The prediction
follows muons of the stored beam through the lattice of the quadrupoles' voltages: ⟨(y + L y')²⟩ where they pass,
without a detector. The faces end at ±75.6 mm and so lose a part of the heights' swing: ``face_factor`` says which.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
from numba import njit
from scipy.optimize import brentq
from scipy.stats import norm

from gminus2.beam.tracker_view import tracker_view
from gminus2.config.campaign import load_campaign
from gminus2.constants import F_CYCLOTRON_MHZ, RING_RADIUS_MM
from gminus2.data.campaign import AXES, CampaignDataset
from gminus2.data.hits import TIME_UNIT_US, Y_OFFSET_MM, Y_UNIT_MM, unpack_hits
from gminus2.detectors.acceptance import acceptance_map
from gminus2.detectors.arcs import CALORIMETER_AZIMUTH_DEG, FACE_HALF_HEIGHT_MM
from gminus2.simulation.dataset import DatasetSimulation, prepare_dataset
from gminus2.simulation.pool import muon_state
from gminus2.simulation.truth import draw_nature

Array = np.ndarray
WIDTH = AXES["time_width_us"]
FIRST, LAST = round(5.0 / WIDTH), round(40.0 / WIDTH)
TIME = WIDTH * (np.arange(FIRST, LAST) + 0.5)


@njit(cache=True, nogil=True)
def _passages(rows, functions, coefficients, step, azimuths, path, path2, clock, width, last, number, squares):  # type: ignore[no-untyped-def]
    """Add (y + L y')², averaged over L, of every passage of the azimuths [turns] to time bins."""
    lat = np.empty(12)
    for i in range(rows.shape[0]):
        row = rows[i]
        for k in range(azimuths.size):
            n = 0
            while True:
                elapsed = (n + azimuths[k]) / row[1]
                n += 1
                t = row[0] + elapsed
                cell = int(t * clock / width)
                if cell >= last:
                    break
                if t <= 0.0 or t > row[11]:
                    continue
                _, _, y, _, slope, _, _ = muon_state(row, functions, coefficients, step, t, elapsed, lat)
                number[k, cell] += 1.0
                squares[k, cell] += y * y + 2.0 * path * y * slope + path2 * slope * slope


def predicted(simulation: DatasetSimulation, azimuths: Array, path: tuple[float, float], muons: int) -> Array:
    """Return ⟨(y + L y')²⟩ [mm²] by (azimuth [turns], time)."""
    number, squares = np.zeros((azimuths.size, LAST)), np.zeros((azimuths.size, LAST))
    f = simulation.muons.factors
    clock = 1.0 + simulation.nature.clock_offset
    _passages(
        simulation.muons.pool(muons).rows,
        f.functions,
        f.coefficients,
        f.step_us,
        azimuths,
        *path,
        clock,
        WIDTH,
        LAST,
        number,
        squares,
    )
    return (squares / np.maximum(number, 1.0))[:, FIRST:]


def slow(count: int) -> Array:
    """Return what is not the waist: a polynomial in time of 4th order, (5, T)."""
    u = np.linspace(-1.0, 1.0, count)
    return np.array([u**k for k in range(5)])


def scale(data: Array, error: Array, template: Array) -> tuple[float, float, float]:
    """Return (k, its error, χ²/ndf) of data = slow + k (template − slow), summed over detectors."""
    top = bottom = 0.0
    residuals = []
    for one, sigma, shape in zip(data, error, template, strict=True):
        base = slow(TIME.size) / sigma
        project = np.eye(TIME.size) - base.T @ np.linalg.solve(base @ base.T, base)
        a, b = project @ (one / sigma), project @ (shape / sigma)
        top, bottom = top + a @ b, bottom + b @ b
        residuals.append((a, b))
    k = top / bottom
    chi2 = sum(float(((a - k * b) ** 2).sum()) for a, b in residuals)
    return k, 1.0 / math.sqrt(bottom), chi2 / (data.size - 5 * len(data) - 1)


def frequency(data: Array, error: Array, around: float) -> tuple[float, float, Array]:
    """Return the best frequency of a damped wave of all detectors, its error and each one's phasor [mm²]."""
    grid = around + np.arange(-0.15, 0.15, 0.001)
    damping = (6.0, 9.0, 13.0, 20.0)
    best = np.full(grid.size, np.inf)
    phasors = np.zeros((grid.size, len(data)), dtype=complex)
    for tau in damping:
        for g, f in enumerate(grid):
            total = 0.0
            own = np.zeros(len(data), dtype=complex)
            for d, (one, sigma) in enumerate(zip(data, error, strict=True)):
                wave = np.exp(-TIME / tau)
                basis = np.vstack(
                    [slow(TIME.size), wave * np.cos(2 * np.pi * f * TIME), wave * np.sin(2 * np.pi * f * TIME)]
                )
                scaled = basis / sigma
                found = np.linalg.solve(scaled @ scaled.T, scaled @ (one / sigma))
                total += float((((one - found @ basis) / sigma) ** 2).sum())
                own[d] = found[-2] - 1j * found[-1]
            if total < best[g]:
                best[g], phasors[g] = total, own
    k = int(np.argmin(best))
    inside = slice(max(0, k - 6), k + 7)
    curve = np.polyfit(grid[inside], best[inside], 2)
    centre = -curve[1] / (2 * curve[0])
    return float(centre), 1.0 / math.sqrt(curve[0]), phasors[k]


def calorimeters(simulation: DatasetSimulation, fills: int) -> tuple[Array, Array]:
    """Return ⟨y²⟩ [mm²] of hits above 1.7 GeV by (calorimeter, time), and its error."""
    sums = np.zeros((3, 24 * LAST))
    for first in range(0, fills, 16):
        block, _ = simulation.block(first, min(16, fills - first))
        hit = unpack_hits(block.words)
        cell = (hit["time"] * (TIME_UNIT_US / WIDTH)).astype(np.int64)
        ok = (hit["energy"] >= 1700) & (cell < LAST)
        where = hit["station"][ok].astype(np.int64) * LAST + cell[ok]
        y = (hit["y"][ok] + 0.5) * Y_UNIT_MM - Y_OFFSET_MM
        for k in range(3):
            sums[k] += np.bincount(where, weights=y ** (2 * k), minlength=24 * LAST)
    n, second, fourth = (s.reshape(24, LAST)[:, FIRST:] for s in sums)
    mean = second / n
    return mean, np.sqrt((fourth / n - mean**2) / n)


def tracker(files: list[Path]) -> tuple[Array, Array]:
    """Return ⟨y²⟩ [mm²] of the tracks, corrected for the stations' acceptance, by (station, time), and its error."""
    counts = sum(CampaignDataset.read(path).shared["track_y"].astype(float) for path in files)
    view = tracker_view()
    y = AXES["position_min_mm"] + AXES["position_width_mm"] * (np.arange(int(AXES["n_position"])) + 0.5)
    weight = np.where(np.abs(y) < 45.0, 1.0 / view.along_y(y), 0.0)
    n = counts[:, :, FIRST:LAST]
    total = np.einsum("y,syt->st", weight, n)
    mean = np.einsum("y,syt->st", weight * y**2, n) / total
    variance = np.einsum("y,syt->st", weight**2 * y**4, n) - 2 * mean * np.einsum("y,syt->st", weight**2 * y**2, n)
    variance += mean**2 * np.einsum("y,syt->st", weight**2, n)
    return mean, np.sqrt(variance) / total


def face_factor(mean_square: float, edge: float = FACE_HALF_HEIGHT_MM) -> tuple[float, float]:
    """Return the rms of Gaussian heights from their mean square inside ±edge, and how that one follows the variance."""

    def inside(variance: float) -> float:
        a = edge / math.sqrt(variance)
        return variance * (1.0 - 2.0 * a * norm.pdf(a) / (2.0 * norm.cdf(a) - 1.0))

    variance = float(brentq(lambda v: inside(v) - mean_square, 100.0, 10_000.0))
    return math.sqrt(variance), (inside(1.01 * variance) - inside(0.99 * variance)) / (0.02 * variance)


def report(title: str, data: Array, error: Array, template: Array, f_vw: float) -> None:
    k, dk, chi2 = scale(data, error, template)
    swing = [shape - np.polyval(np.polyfit(TIME, shape, 4), TIME) for shape in template]
    early = float(np.mean([np.ptp(w[: round(3.0 / WIDTH)]) for w in swing])) / 2.0
    f, df, own = frequency(data, error, f_vw)
    f_p, _, expected = frequency(template, np.full(template.shape, float(np.median(error))), f_vw)
    print(f"{title}: mean square {data.mean():.0f} mm^2, swing by optics at 5 to 8 us +-{early:.0f} mm^2")
    print(f"  size over the optics' waveform: {k:.3f} +- {dk:.3f} ({k / dk:.0f} sigma), chi2/ndf {chi2:.3f}")
    print(f"  damped wave: {f:.4f} +- {df:.4f} MHz (optics, same fit {f_p:.4f})")
    if len(data) == 24:
        advance = [np.degrees(np.unwrap(np.angle(z))) for z in (own, expected)]
        slopes = [float(np.polyfit(np.arange(24), a, 1)[0]) for a in advance]
        print(f"  phase: {slopes[0]:+.2f} deg per calorimeter (optics, same fit {slopes[1]:+.2f})")


def main(fills: int, files: list[Path]) -> None:
    campaign = load_campaign("demo")
    simulation = prepare_dataset(campaign, 0, draw_nature(campaign.truth))
    lattice = simulation.muons.beam.lattice
    f_vw = F_CYCLOTRON_MHZ * (1.0 - 2.0 * lattice.nu_y_final)
    print(f"demo, dataset a, {TIME[0]:.1f} to {TIME[-1]:.1f} us; at the final voltages {f_vw:.4f} MHz")
    arcs = acceptance_map(np.zeros(1), np.zeros(1), decays=400_000, seed=1, spread_mm=(14.5, 12.7))
    rate, way = arcs.rate[0, 0, 34:], arcs.path_mm[0, 0, 34:]
    path = float(way.sum() / rate.sum())
    path2 = float((way**2 / np.maximum(rate, 1e-12)).sum() / rate.sum())
    upstream = path / (2.0 * math.pi * RING_RADIUS_MM)
    azimuths = (CALORIMETER_AZIMUTH_DEG / 360.0 + np.arange(24) / 24.0 - upstream) % 1.0
    data, error = calorimeters(simulation, fills)
    shape = predicted(simulation, azimuths, (path, path2), 50_000)
    report(f"heights of hits above 1.7 GeV, 24 calorimeters, {fills} fills", data, error, shape, f_vw)
    rms, factor = face_factor(float(data.mean()))
    print(f"  the faces cut heights of {rms:.1f} mm rms at 75.6 mm: expected size {factor:.2f}")
    if files:
        view = tracker_view()
        stations = np.array([view.azimuth_rad(s) for s in (0, 1)]) / (2.0 * math.pi) % 1.0
        shape = predicted(simulation, stations, (0.0, 0.0), 400_000)
        for chosen, title in ((files[:1], "one dataset"), (files, f"{len(files)} datasets")):
            data, error = tracker(chosen)
            report(f"tracks, two stations, {title}", data, error, shape, f_vw)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4096, [Path(p) for p in sys.argv[2:]])
