"""Mode ``fast``: time and energy of positrons only, from the decay law and the geometric acceptance, for large toys.

The density is N(E) e^(−t/γτ) [1 + A(E) cos(ω_a t + φ(E))] for E of the calorimeter: spectrum, asymmetry and phase come
from decays and arcs (:mod:`gminus2.detectors.acceptance`) folded with the energy resolution. Times are drawn by an
exact fold: with h = π/ω, t = −h − γτ ln u is kept with probability ½(1 + A cos(ωt + φ)), else moved by h; both
branches add to the density for t ≥ 0, and only 1.7 % fall before 0. No rejection loop, one cosine.

The kernel works on blocks that stay in the first cache, with 64 lanes of xoshiro256++ (Blackman, Vigna) seeded by the
chunk's key, so that the compiler can use vector instructions throughout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gminus2.constants import GAMMA_MAGIC, MUON_LIFETIME_US
from gminus2.data import Provenance, StoredArray, StoredArrays, read_arrays, write_arrays
from gminus2.data.campaign import AXES
from gminus2.detectors.acceptance import acceptance_map
from gminus2.random import key_words

__all__ = ["FAST_CHUNK", "EnergyTable", "FastHistogram", "energy_table", "fast_chunk"]

Array = NDArray[np.float64]

#: Events per chunk.
FAST_CHUNK: Final = 1 << 24
_KIND: Final = "fast-histogram"
_CELLS: Final = 4096
_LANES: Final = 64
_STEPS: Final = 16
_BLOCK: Final = _LANES * _STEPS
_N_ENERGY: Final = 64
_LN2: Final = math.log(2.0)
_SQRT2: Final = math.sqrt(2.0)
# cos(2πr), |r| ≤ 1/2, as a polynomial in r² fitted on Chebyshev nodes: error 1e-12.
_COS: Final = tuple(
    float(c)
    for c in np.polynomial.chebyshev.Chebyshev.interpolate(
        lambda z: np.cos(2.0 * np.pi * np.sqrt(np.maximum(z, 0.0))), 10, domain=[0.0, 0.25]
    )
    .convert(kind=np.polynomial.Polynomial)
    .coef
)
_K0, _K1, _K2, _K3, _K4, _K5, _K6, _K7, _K8, _K9, _K10 = _COS


@dataclass(frozen=True)
class EnergyTable:
    """Energy quantiles with asymmetry and phase.

    ``energy`` (4097,) edges of equal-probability cells [MeV]; ``asymmetry`` (4096,) signed, ``phase`` (4096,) [turns]
    of the cells; ``per_decay``: detected positrons per decay.
    """

    energy: Array
    asymmetry: Array
    phase: Array
    per_decay: float


@dataclass(frozen=True)
class FastHistogram:
    """Counts by (energy in 50 MeV, the last bin with overflow; time in 149.2 ns), shape (64, 4700)."""

    counts: NDArray[np.uint64]
    events: int

    def above(self, threshold_mev: float) -> NDArray[np.uint64]:
        """Return the counts per time bin above a threshold on a bin edge."""
        total: NDArray[np.uint64] = self.counts[round(threshold_mev / AXES["energy_width_mev"]) :].sum(axis=0)
        return total

    def write(self, path: Path, provenance: Provenance) -> None:
        """Write to HDF5 (kind ``fast-histogram``)."""
        arrays = {"counts": StoredArray(self.counts, "1", "positrons by (energy in 50 MeV, time in 149.2 ns)")}
        write_arrays(path, StoredArrays(_KIND, arrays, {"events": self.events}, provenance))

    @classmethod
    def read(cls, path: Path) -> FastHistogram:
        """Read a histogram back."""
        stored = read_arrays(path, _KIND)
        return cls(stored["counts"], int(stored.attributes["events"]))


def energy_table(
    *,
    polarisation: float,
    spin_phase_rad: float = 0.0,
    spread_mm: tuple[float, float] = (14.5, 12.7),
    resolution_stochastic: float = 0.043,
    resolution_constant: float = 0.015,
    threshold_mev: float = 50.0,
    decays: int = 1_000_000,
    seed: int = 0,
) -> EnergyTable:
    """Return the energies, asymmetries and phases of positrons that a calorimeter sees."""
    width = 10.0
    edges = np.arange(0.0, 3800.0 + width, width)
    seen = acceptance_map(
        np.zeros(1), np.zeros(1), decays=decays, seed=seed, energy_edges_mev=edges, spread_mm=spread_mm
    )
    centres = 0.5 * (edges[1:] + edges[:-1])
    sigma = np.hypot(resolution_stochastic * np.sqrt(centres / 1e3) * 1e3, resolution_constant * centres)
    # Fold rate and both projections of the asymmetry: what mixes at one measured energy adds as phasors.
    measured = edges[:-1] + 0.5 * width
    matrix = np.exp(-0.5 * ((measured[:, None] - centres) / sigma) ** 2)
    matrix /= matrix.sum(axis=0)
    rate, re, im = (matrix @ v[0, 0] for v in (seen.rate, seen.z_real, seen.z_imag))
    rate = np.where(measured >= threshold_mev, rate, 0.0)
    cumulative = np.concatenate(([0.0], np.cumsum(rate)))
    levels = np.linspace(0.0, 1.0, _CELLS + 1)
    grows = np.flatnonzero(rate > 0.0)
    low, high = int(grows[0]), int(grows[-1]) + 1
    energy = np.interp(levels, cumulative[low : high + 1] / cumulative[-1], edges[low : high + 1])
    middle = 0.5 * (energy[1:] + energy[:-1])
    inside = slice(low, high)
    along = np.interp(middle, measured[inside], re[inside] / rate[inside])
    across = np.interp(middle, measured[inside], im[inside] / rate[inside])
    # A negative asymmetry stays negative with a small phase, instead of a phase near π.
    sign = np.where(along < 0.0, -1.0, 1.0)
    phase = np.arctan2(across * sign, along * sign)
    return EnergyTable(
        energy=energy,
        asymmetry=polarisation * sign * np.hypot(along, across),
        phase=(spin_phase_rad - phase) / (2.0 * math.pi),
        per_decay=float(cumulative[-1]),
    )


def fast_chunk(
    table: EnergyTable,
    events: int,
    *,
    f_a_mhz: float,
    seed: int,
    dataset: int,
    chunk: int,
    lifetime_us: float = GAMMA_MAGIC * MUON_LIFETIME_US,
) -> NDArray[np.uint32]:
    """Return the (64, 4700) counts of one chunk of detected positrons, reproducible by its key."""
    words = np.concatenate([key_words(seed, "fast", dataset, chunk, lane) for lane in range(_LANES)])
    state = np.ascontiguousarray(words.reshape(_LANES, 4).T)
    n_time = int(AXES["n_time"])
    counts = np.zeros(_N_ENERGY * n_time + _LANES, dtype=np.uint32)
    _generate(
        counts,
        state,
        events,
        table.energy / AXES["energy_width_mev"],
        table.asymmetry,
        table.phase,
        f_a_mhz,
        lifetime_us,
        1.0 / AXES["time_width_us"],
        n_time,
        np.empty((2, _BLOCK), dtype=np.uint64),
        np.empty(_BLOCK, dtype=np.int32),
        np.empty(_BLOCK),
        np.empty(_BLOCK),
        np.empty(_BLOCK),
        np.empty(_BLOCK),
    )
    return counts[: _N_ENERGY * n_time].reshape(_N_ENERGY, n_time)


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _times(words: Any, time: Any, half: float, lifetime: float) -> None:
    """Exponential times before the fold: −half − lifetime · ln u with u of 52 bits in (0, 1]."""
    for i in range(_BLOCK):
        # ln by the exponent and an atanh series of the mantissa
        x = float(np.int64(words[i] >> np.uint64(12))) + 1.0
        bits = np.float64(x).view(np.int64)
        exponent = float((bits >> 52) - 1075)
        m = np.int64((bits & 0x000FFFFFFFFFFFFF) | 0x3FF0000000000000).view(np.float64)
        big = m > _SQRT2
        m = 0.5 * m if big else m
        exponent += 1.0 if big else 0.0
        z = (m - 1.0) / (m + 1.0)
        q = z * z
        p = 1.0 / 11.0 + q * (1.0 / 13.0)
        p = 1.0 / 9.0 + q * p
        p = 1.0 / 7.0 + q * p
        p = 1.0 / 5.0 + q * p
        p = 1.0 / 3.0 + q * p
        time[i] = -half - lifetime * (exponent * _LN2 + 2.0 * z * (1.0 + q * p))


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _fold(words: Any, time: Any, size: Any, angle: Any, half: float, f_a: float) -> None:
    """Keep a time with probability ½(1 + A cos), else move it by half a period."""
    for i in range(_BLOCK):
        accept = float(np.int64(words[i] & np.uint64(0xFFFFFFFF))) * 2.0**-31
        r = f_a * time[i] + angle[i]
        r -= np.rint(r)
        v = r * r
        c = _K9 + v * _K10
        c = _K8 + v * c
        c = _K7 + v * c
        c = _K6 + v * c
        c = _K5 + v * c
        c = _K4 + v * c
        c = _K3 + v * c
        c = _K2 + v * c
        c = _K1 + v * c
        c = _K0 + v * c
        time[i] += 0.0 if accept < 1.0 + size[i] * c else half


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _generate(  # type: ignore[no-untyped-def]
    counts: Any,
    state: Any,
    events,
    energy,
    asymmetry,
    phase,
    f_a,
    lifetime,
    per_width,
    n_time,
    words: Any,
    cells: Any,
    time: Any,
    size: Any,
    angle: Any,
    level: Any,
):
    half = 0.5 / f_a
    dummy = counts.size - _LANES
    done = 0
    limit = float(n_time)
    while done < events:
        for w in range(2):
            for s in range(_STEPS):
                base = s * _LANES
                for lane in range(_LANES):
                    s0 = state[0, lane]
                    s1 = state[1, lane]
                    s2 = state[2, lane]
                    s3 = state[3, lane]
                    mixed = s0 + s3
                    words[w, base + lane] = ((mixed << np.uint64(23)) | (mixed >> np.uint64(41))) + s0
                    shifted = s1 << np.uint64(17)
                    s2 ^= s0
                    s3 ^= s1
                    s1 ^= s2
                    s0 ^= s3
                    s2 ^= shifted
                    s3 = (s3 << np.uint64(45)) | (s3 >> np.uint64(19))
                    state[0, lane] = s0
                    state[1, lane] = s1
                    state[2, lane] = s2
                    state[3, lane] = s3
        # Gathers stand in a loop of their own: with them LLVM could not prove that the rest is free of aliases.
        for i in range(_BLOCK):
            a = words[0, i]
            cell = np.uint64(a >> np.uint64(52))
            fraction = float(np.int64((a >> np.uint64(32)) & np.uint64(0xFFFFF))) * 2.0**-20
            size[i] = asymmetry[cell]
            angle[i] = phase[cell]
            level[i] = energy[cell] + fraction * (energy[cell + np.uint64(1)] - energy[cell])
        _times(words[1], time, half, lifetime)
        _fold(words[0], time, size, angle, half, f_a)
        for i in range(_BLOCK):
            scaled = time[i] * per_width
            inside = (scaled >= 0.0) & (scaled < limit)
            cells[i] = (
                np.int32(min(level[i], 63.5)) * n_time + np.int32(scaled) if inside else dummy + (i & (_LANES - 1))
            )
        n = min(_BLOCK, events - done)
        for i in range(n):
            counts[cells[i]] += np.uint32(1)
        done += n
