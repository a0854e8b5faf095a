"""The form in which the kernels read muons: a row of constants each, and a lattice factorised for speed.

The stored beam of :mod:`gminus2.ring` gives every muon a few constants; :mod:`gminus2.simulation.muons` draws them as
rows of turns per µs.

The lattice functions of (time, azimuth) are written as f₀(θ) + Σ_k a_k(t) f_k(θ) by a singular value decomposition; two
or three terms reproduce a voltage history to about 2e-5.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gminus2.physics.numerics import sincos_turns
from gminus2.ring.lattice import Lattice

__all__ = ["ROW", "FieldMultipoles", "LatticeFactors", "MuonPool", "factorise_lattice", "muon_state"]

Array = NDArray[np.float64]

#: Columns of :attr:`MuonPool.rows`.
ROW: Final = {
    "injection_time_us": 0,
    "f_revolution": 1,
    "delta": 2,
    "root_2jx": 3,
    "f_x": 4,
    "phase_x": 5,
    "root_2jy": 6,
    "f_y": 7,
    "phase_y": 8,
    "spin_phase": 9,
    "f_a": 10,
    "loss_time_us": 11,
    "lifetime_us": 12,
    "gamma": 13,
    "shift_ppt": 14,
    "spare": 15,
}

#: Time grid of the lattice coefficients [µs].
_TIME_STEP_US: Final = 0.5
_TIME_END_US: Final = 750.0
_AZIMUTHS: Final = 120
_MAX_RANK: Final = 3


@dataclass(frozen=True)
class FieldMultipoles:
    """Azimuthally averaged field around the central orbit, relative to its dipole, ppm at 45 mm.

    B_y/B₀ − 1 = Σ_n [normal_n cos(nθ) + skew_n sin(nθ)] (ρ/45 mm)^n with n = 1, 2, 3 (quadrupole, sextupole,
    octupole), x = ρ cos θ outward and y = ρ sin θ upward.
    """

    normal_ppm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    skew_ppm: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def mean_shift(self, x_e: Array, jx_beta: Array, jy_beta: Array, y_mean: float = 0.0) -> Array:
        """Return each muon's relative field shift averaged over betatron oscillations and azimuth.

        Parameters
        ----------
        x_e
            Radius of the closed orbit relative to the centre [mm].
        jx_beta, jy_beta
            ⟨x_β²⟩ = J_x β_x and ⟨y_β²⟩ = J_y β_y [mm²].
        y_mean
            Height of the closed orbit, upward [mm].
        """
        a = 45.0
        q, s, o = self.normal_ppm
        sq, ss, so = self.skew_ppm
        x2 = x_e**2 + jx_beta
        y2 = y_mean**2 + jy_beta
        # ⟨x³ − 3xy²⟩ and ⟨3x²y − y³⟩ of independent oscillations around (x_e, y_mean).
        x3 = x_e**3 + 3.0 * x_e * jx_beta
        y3 = y_mean**3 + 3.0 * y_mean * jy_beta
        shift: Array = 1e-6 * (
            q * x_e / a
            + sq * y_mean / a
            + s * (x2 - y2) / a**2
            + ss * 2.0 * x_e * y_mean / a**2
            + o * (x3 - 3.0 * x_e * y2) / a**3
            + so * (3.0 * x2 * y_mean - y3) / a**3
        )
        return shift


class LatticeFactors(NamedTuple):
    """Lattice functions as Σ_k a_k(t) f_k(θ), k = 0 constant.

    ``functions`` (K, A + 1, 12) with columns √β_x, α_x, periodic phase x [turns], √β_y, α_y, periodic phase y [turns],
    D, D', orbit x, its slope, orbit y, its slope. ``coefficients`` (T, K + 2): a_0 = 1 … a_{K−1}, and the phase shifts
    of x and y [turns] at times i · step.
    """

    functions: Array
    coefficients: Array
    step_us: float


@dataclass(frozen=True)
class MuonPool:
    """A sample of a dataset's muons ready for the kernels, and what an exact analysis of them would find.

    Attributes
    ----------
    rows
        (N, 16), columns :data:`ROW`; phases in turns, frequencies in MHz.
    factors
        The lattice.
    truth
        Ensemble means, see :func:`~gminus2.simulation.muons.pool_truth`.
    """

    rows: Array
    factors: LatticeFactors
    polarisation: float
    truth: Mapping[str, float]

    def __len__(self) -> int:
        return int(self.rows.shape[0])


def factorise_lattice(lattice: Lattice, *, tolerance: float = 1e-7) -> LatticeFactors:
    """Return a lattice as few products of a function of time and a function of azimuth."""
    f = lattice.functions
    azimuth = np.linspace(0.0, 2.0 * math.pi, _AZIMUTHS + 1)
    grid = np.arange(f.shape[1] + 1) * (2.0 * math.pi / f.shape[1])
    closed = np.concatenate([f, f[:, :1]], axis=1)
    columns = np.empty((f.shape[0], _AZIMUTHS + 1, 12))
    for m in range(f.shape[0]):
        for k in range(12):
            columns[m, :, k] = np.interp(azimuth, grid, closed[m, :, k])
    columns[..., 0] = np.sqrt(columns[..., 0])
    columns[..., 3] = np.sqrt(columns[..., 3])
    columns[..., 2] /= 2.0 * math.pi
    columns[..., 5] /= 2.0 * math.pi
    times = np.arange(0.0, _TIME_END_US + _TIME_STEP_US, _TIME_STEP_US)
    base = columns[-1]
    difference = (columns - base).reshape(f.shape[0], -1)
    scale = np.maximum(np.abs(base).max(axis=0), 1.0)
    weight = np.tile(1.0 / scale, _AZIMUTHS + 1)
    left, values, right = np.linalg.svd(difference * weight, full_matrices=False)
    rank = min(int(np.sum(values > tolerance * max(1.0, math.sqrt(difference.shape[1])))), _MAX_RANK)
    functions = [base] + [(right[k] / weight).reshape(base.shape) for k in range(rank)]
    coefficients = np.empty((times.size, rank + 3))
    coefficients[:, 0] = 1.0
    for k in range(rank):
        coefficients[:, 1 + k] = np.interp(times, lattice.time_us, left[:, k] * values[k])
    for k, shift in enumerate((lattice.phase_shift_x, lattice.phase_shift_y)):
        coefficients[:, rank + 1 + k] = np.interp(times, lattice.time_us, shift)
    return LatticeFactors(np.ascontiguousarray(np.stack(functions)), np.ascontiguousarray(coefficients), _TIME_STEP_US)


@njit(cache=True)
def muon_state(row, functions, coefficients, step_us, t, elapsed, lat):  # type: ignore[no-untyped-def]
    """Return (azimuth [turns], x, y [mm], x', y' [rad], sin ψ, cos ψ) of a pool row at time t.

    ``elapsed`` is the time since its injection; x outward, y down; ``lat`` is scratch (12,).
    """
    rank = functions.shape[0]
    cells = functions.shape[1] - 1
    turns = row[1] * elapsed
    fraction = turns - math.floor(turns)
    position = fraction * cells
    i = int(position)
    w = position - i
    clock = t / step_us
    j = min(int(clock), coefficients.shape[0] - 2)
    wt = clock - j
    for c in range(12):
        lat[c] = functions[0, i, c] + w * (functions[0, i + 1, c] - functions[0, i, c])
    for r in range(1, rank):
        a = coefficients[j, r] + wt * (coefficients[j + 1, r] - coefficients[j, r])
        for c in range(12):
            lat[c] += a * (functions[r, i, c] + w * (functions[r, i + 1, c] - functions[r, i, c]))
    shift_x = coefficients[j, rank] + wt * (coefficients[j + 1, rank] - coefficients[j, rank])
    shift_y = coefficients[j, rank + 1] + wt * (coefficients[j + 1, rank + 1] - coefficients[j, rank + 1])
    sx, cx = sincos_turns(row[4] * elapsed + row[5] + shift_x + lat[2])
    sy, cy = sincos_turns(row[7] * elapsed + row[8] + shift_y + lat[5])
    x = lat[8] + lat[6] * row[2] + row[3] * lat[0] * cx
    y = lat[10] + row[6] * lat[3] * cy
    slope_x = lat[9] + lat[7] * row[2] - row[3] / lat[0] * (sx + lat[1] * cx)
    slope_y = lat[11] - row[6] / lat[3] * (sy + lat[4] * cy)
    sin_psi, cos_psi = sincos_turns(row[10] * elapsed + row[9])
    return fraction, x, y, slope_x, slope_y, sin_psi, cos_psi
