"""Height and width of the beam against time from the crystal rows that positrons hit, all calorimeters together.

A positron born at height y reaches the calorimeter at y plus what its vertical angle adds on the way. The shares of
the six crystal rows therefore follow the beam's mean height and width, less directly than tracks but with seventy times
as many positrons, and averaged over the ring, which is what C_pa needs. Only changes in time are used; pileup and the
gain in the fill, which also change the shares, are taken out (``docs/physics/beam_corrections.md``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gminus2.constants import GAMMA_MAGIC, RING_RADIUS_MM
from gminus2.detectors.arcs import first_face
from gminus2.errors import DataError
from gminus2.physics.decay import michel_energy, michel_quantile_table, rest_momentum

__all__ = ["LEAST_ROW_HITS", "RowDrift", "RowView", "profile_nodes", "row_drift", "row_view"]

FloatArray = NDArray[np.float64]

_ROWS: Final = 6
_ROW_MM: Final = 25.2
_ENERGY_MEV: Final = 100.0
_ENERGIES: Final = 32
#: Vertical angle of the muons [rad]: rms height over β_y.
_SLOPE: Final = 12.8 / 21.7e3
#: Fewer hits do not tell a drift of the height.
LEAST_ROW_HITS: Final = 20_000.0


@dataclass(frozen=True)
class RowView:
    """Hits per decay by (height of the decay, energy in 100 MeV, crystal row), shape (Y, 32, 6), rows upward."""

    y_mm: FloatArray
    hits: FloatArray

    def beam(self, heights_mm: FloatArray, weights: FloatArray) -> FloatArray:
        """Return hits by (energy, row) of a beam whose decays lie at ``heights_mm`` with ``weights``."""
        inside = np.clip(heights_mm, self.y_mm[0], self.y_mm[-1])
        place = (inside - self.y_mm[0]) / (self.y_mm[1] - self.y_mm[0])
        low = np.minimum(place.astype(np.int64), len(self.y_mm) - 2)
        share = place - low
        table = np.zeros(len(self.y_mm))
        np.add.at(table, low, weights * (1.0 - share))
        np.add.at(table, low + 1, weights * share)
        total: FloatArray = np.tensordot(table, self.hits, axes=1)
        return total


@njit(cache=True, nogil=True)
def _count(ys, quantiles, randoms, gamma, slope_rms, resolution, sums):  # type: ignore[no-untyped-def]
    u = math.sqrt(gamma * gamma - 1.0)
    for i in range(randoms.shape[0]):
        x = michel_energy(randoms[i, 0], quantiles)
        cosine = 2.0 * randoms[i, 1] - 1.0
        sine = math.sqrt(1.0 - cosine * cosine)
        angle = 2.0 * math.pi * randoms[i, 2]
        e_rest, p_rest = rest_momentum(x)
        energy = gamma * e_rest + u * p_rest * cosine
        seen = energy * (1.0 + resolution * math.sqrt(1e3 / energy) * randoms[i, 6])
        cell_e = int(seen / _ENERGY_MEV)
        if cell_e < 8 or cell_e >= _ENERGIES:
            continue
        p_s = gamma * p_rest * cosine + u * e_rest
        p_r = p_rest * sine * math.sin(angle)
        p_y = p_rest * sine * math.cos(angle) + slope_rms * randoms[i, 5] * p_s
        azimuth = 2.0 * math.pi * randoms[i, 3]
        radius = RING_RADIUS_MM + 7.0 + 14.2 * randoms[i, 4]
        for iy in range(ys.size):
            station, _, y_hit, _, _ = first_face(azimuth, radius, ys[iy], p_r, p_s, p_y, 1.0)
            if station < 0:
                continue
            row = min(_ROWS - 1, max(0, int((y_hit + 0.5 * _ROWS * _ROW_MM) / _ROW_MM)))
            sums[iy, cell_e, row] += 1.0


@cache
def row_view(decays: int = 200_000, seed: int = 1) -> RowView:
    """Return what crystal rows see, from ``decays`` decays per height shared by all heights (5 s of arcs per 10⁶)."""
    half = np.arange(0.0, 50.1, 5.0)
    generator = np.random.Generator(np.random.Philox(key=seed))
    randoms = np.hstack([generator.random((decays, 4)), generator.standard_normal((decays, 3))])
    sums = np.zeros((len(half), _ENERGIES, _ROWS))
    _count(half, michel_quantile_table(), randoms, GAMMA_MAGIC, _SLOPE, 0.045, sums)
    sums /= decays
    sums[0] = 0.5 * (sums[0] + sums[0, :, ::-1])
    return RowView(np.concatenate([-half[:0:-1], half]), np.concatenate([sums[:0:-1, :, ::-1], sums]))


@dataclass(frozen=True)
class RowDrift:
    """Drift of mean height [mm] and width squared [mm²] in time bins, and what was taken out.

    Attributes
    ----------
    time_us, values, errors
        Bins of one precession period; rows of (2, T): mean height (absolute) and ⟨y²⟩ − ȳ² (but for a constant).
    pileup, gain
        Shape of what pileup and gain would have added, (2, T), for the uncertainty.
    """

    time_us: FloatArray
    values: FloatArray
    errors: FloatArray
    pileup: FloatArray
    gain: FloatArray


def _derivatives(
    view: RowView, shape: tuple[FloatArray, FloatArray], mean: float, variance: float, first: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return row shares above an energy bin, and their derivatives by mean height and variance."""
    nodes, weights = shape

    def shares(height: float, square: float) -> FloatArray:
        rows = view.beam(height + math.sqrt(square) * nodes, weights)[first:].sum(axis=0)
        return np.asarray(rows / rows.sum())

    here = shares(mean, variance)
    up = (shares(mean + 1.0, variance) - shares(mean - 1.0, variance)) / 2.0
    wide = (shares(mean, variance + 20.0) - shares(mean, variance - 20.0)) / 40.0
    return here, up, wide


def _merged(view: RowView, shape: tuple[FloatArray, FloatArray], pairs: FloatArray, threshold_mev: float) -> FloatArray:
    """Return the row shares of two merged positrons above threshold; heights merge by energy.

    ``pairs`` are counts by (energy, energy) in 100 MeV; rows are spread evenly inside a crystal.
    """
    nodes, weights = shape
    spectrum = view.beam(12.9 * nodes, weights)
    inside = _ENERGY_MEV * (np.arange(_ENERGIES) + 0.5)
    fine = 6
    heights = _ROW_MM * ((np.arange(_ROWS * fine) + 0.5) / fine - 0.5 * _ROWS)
    given = np.repeat(spectrum / np.maximum(spectrum.sum(axis=1, keepdims=True), 1e-300), fine, axis=1) / fine
    lowest = int(np.argmax(spectrum.sum(axis=1) > 0.0))
    total = np.zeros(_ROWS)
    for a in range(4, _ENERGIES):
        for b in range(4, _ENERGIES):
            if inside[a] + inside[b] < threshold_mev or pairs[a, b] <= 0.0:
                continue
            both = (inside[a] * heights[:, None] + inside[b] * heights) / (inside[a] + inside[b])
            row = np.clip((both / _ROW_MM + 0.5 * _ROWS).astype(np.int64), 0, _ROWS - 1)
            chance = given[max(a, lowest)][:, None] * given[max(b, lowest)]
            total += pairs[a, b] * np.bincount(row.ravel(), chance.ravel(), _ROWS)
    return np.asarray(total / max(total.sum(), 1e-300))


def row_drift(
    rows: FloatArray,
    doublets: FloatArray,
    singles: FloatArray,
    pairs: FloatArray,
    gain: FloatArray,
    width_us: float,
    shape: tuple[FloatArray, FloatArray],
    mean_mm: float,
    variance_mm2: float,
    *,
    threshold_mev: float,
    period_us: float,
    start_us: float,
    stop_us: float,
    view: RowView | None = None,
) -> RowDrift:
    """Return the drift of height and width from row counts.

    Parameters
    ----------
    rows
        Clusters above threshold by (row upward, time bin of ``width_us``), (6, T).
    doublets, singles
        Would-be merged pairs above threshold and the single clusters above threshold that they would replace, (T,).
    pairs
        Energies of such pairs, counts by (100 MeV, 100 MeV).
    gain
        Response of the calorimeters in the fill relative to late times, per bin (T,).
    shape
        Vertical profile: heights in units of the width (mean 0, variance 1) and their weights.
    mean_mm, variance_mm2
        Of the beam, from the trackers.
    period_us
        Precession period: bins of it average the wiggle of the energy spectrum.

    Raises
    ------
    DataError
        Too few hits.
    """
    view = view or row_view()
    first = round(threshold_mev / _ENERGY_MEV)
    here, up, wide = _derivatives(view, shape, mean_mm, variance_mm2, first)
    softer = _derivatives(view, shape, mean_mm, variance_mm2, first - 1)[0]
    harder = _derivatives(view, shape, mean_mm, variance_mm2, first + 1)[0]
    by_gain = (softer - harder) / (2.0 * _ENERGY_MEV / threshold_mev)
    # Weights that answer 1 to their own derivative, 0 to the other and to the norm, with least variance.
    design = np.stack([here, up, wide], axis=1)
    weighted = design / here[:, None]
    score = np.linalg.solve(weighted.T @ design, weighted.T)[1:]
    time = width_us * (np.arange(rows.shape[1]) + 0.5)
    count = int((stop_us - start_us) / period_us)
    inside = (time >= start_us) & (time < start_us + count * period_us)
    total = rows.sum(axis=0)
    if total[inside].sum() < LEAST_ROW_HITS:
        raise DataError(
            "too few positrons for the crystal rows", expected=f"{LEAST_ROW_HITS:.0f}", found=f"{total.sum():.0f}"
        )
    merged = _merged(view, shape, pairs, threshold_mev)
    added = merged[:, None] * doublets - here[:, None] * singles
    norm = np.maximum(total - added.sum(axis=0), 1.0)
    shares = (rows - added) / norm - here[:, None]
    excess_pileup = (added - here[:, None] * added.sum(axis=0)) / norm
    # A gain that is too low cuts harder: the threshold in true energy rises by what the gain misses.
    excess_gain = by_gain[:, None] * (gain - 1.0)
    parts = [score @ (shares - excess_gain), score @ excess_pileup, score @ excess_gain]
    # The wiggle of the shares: taken out bin by bin, as the periods are no whole number of bins.
    t, weight = time[inside], total[inside]
    phase = 2.0 * np.pi * t / period_us
    scaled = (t - start_us) / 100.0
    basis = [scaled**k for k in range(4)]
    for harmonic in (1.0, 2.0):
        basis += [np.cos(harmonic * phase), np.sin(harmonic * phase)]
        basis += [scaled * np.cos(harmonic * phase), scaled * np.sin(harmonic * phase)]
    matrix = np.stack(basis, axis=1)
    normal = (matrix * weight[:, None]).T
    values = parts[0][:, inside]
    coefficients = np.linalg.solve(normal @ matrix, normal @ values.T)
    values = values - (matrix[:, 4:] @ coefficients[4:]).T
    index = ((t - start_us) / period_us).astype(np.int64)
    sums = np.bincount(index, weight, count)

    def binned(table: FloatArray) -> FloatArray:
        return np.stack([np.bincount(index, weight * row, count) for row in table]) / np.maximum(sums, 1.0)

    spread = np.sqrt(((score**2) @ here)[:, None] / np.maximum(sums, 1.0))
    drift = binned(values)
    drift[0] += mean_mm
    return RowDrift(
        time_us=np.bincount(index, weight * t, count) / np.maximum(sums, 1.0),
        values=drift,
        errors=spread,
        pileup=binned(parts[1][:, inside]),
        gain=binned(parts[2][:, inside]),
    )


def profile_nodes(
    amplitudes_mm: FloatArray, shares: Sequence[float] | FloatArray, nodes: int = 33
) -> tuple[FloatArray, FloatArray]:
    """Return the vertical profile of oscillations with these amplitudes: heights in units of its rms, weights.

    ``nodes`` cells of equal probability, each at its mean, so that mean 0 and variance 1 (after scaling) are exact.
    """
    angle = 2.0 * np.pi * (np.arange(64) + 0.5) / 64.0
    heights = (np.asarray(amplitudes_mm)[:, None] * np.cos(angle)).ravel()
    weight = np.repeat(np.asarray(shares), 64)
    order = np.argsort(heights, kind="stable")
    heights, weight = heights[order], weight[order] / weight.sum()
    cell = np.minimum((np.cumsum(weight) - 0.5 * weight) * nodes, nodes - 1e-9).astype(np.int64)
    share = np.asarray(np.bincount(cell, weight, nodes), dtype=np.float64)
    mean = np.asarray(np.bincount(cell, weight * heights, nodes) / share, dtype=np.float64)
    mean = 0.5 * (mean - mean[::-1])
    share = 0.5 * (share + share[::-1])
    return mean / math.sqrt(float((share * mean**2).sum())), share
