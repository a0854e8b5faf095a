"""The muons of a dataset in the form the kernels read: a pool of rows, and a lattice factorised for speed.

The stored beam of :mod:`gminus2.ring` gives every muon a few constants. Here ``count`` muons are drawn from it once per
dataset, shuffled, and turned into rows of turns per µs; a fill takes consecutive rows from a random start, which memory
likes better than random access and which uses every muon equally often.

The lattice functions of (time, azimuth) are written as f₀(θ) + Σ_k a_k(t) f_k(θ) by a singular value decomposition; two
or three terms reproduce a voltage history to about 2e-5.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gminus2.constants import GAMMA_MAGIC, MUON_LIFETIME_US
from gminus2.random import stream
from gminus2.ring.ensemble import MuonPolynomial, StoredBeam
from gminus2.ring.lattice import Lattice

__all__ = ["ROW", "FieldMultipoles", "LatticeFactors", "MuonPool", "factorise_lattice", "make_pool"]

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
    """Muons of one dataset ready for the kernels, and what an exact analysis of them would find.

    Attributes
    ----------
    rows
        (N, 16), columns :data:`ROW`; phases in turns, frequencies in MHz.
    factors
        The lattice.
    truth
        Ensemble means: ``electric_field_ppb``, ``pitch_ppb``, ``field_ppb`` (relative shifts of ω_a),
        ``omega_a_shift_ppb`` (their sum as drawn), ``lost_fraction``, and more.
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


def _part(model: MuonPolynomial, pitch: bool, beam: StoredBeam) -> Array:
    chosen = (model.exponents[:, 2] > 0) == pitch
    return MuonPolynomial(model.exponents[chosen], model.coefficients[chosen])(
        beam.delta, beam.action_x_mm, beam.action_y_mm
    )


def make_pool(
    beam: StoredBeam,
    *,
    count: int,
    seed: int,
    dataset: int,
    omega_a: float,
    field: FieldMultipoles | None = None,
    electric_field: bool = True,
    pitch: bool = True,
    lost_muons: bool = True,
    loss_scale: float = 1.0,
    constant_voltages: bool = False,
    smoothing: float = 0.02,
) -> MuonPool:
    """Draw the muons of a dataset.

    Parameters
    ----------
    omega_a
        a e B/m of the dipole field [rad/µs].
    electric_field, pitch, lost_muons, constant_voltages
        Switches of single effects; everything else stays as drawn.
    loss_scale
        Fraction of the beam's losses to keep (≤ 1) or factor on their number (> 1: healthy muons are also given the
        loss times of lost ones).
    """
    generator = stream(seed, "muon-pool", dataset)
    drawn = beam.draw(generator, count, smoothing)
    order = generator.permutation(count)
    luck = generator.random(count)
    model = drawn.models["omega_a_shift"]
    e_shift, p_shift = _part(model, False, drawn), _part(model, True, drawn)
    lattice = drawn.lattice
    beta = {axis: float(np.mean(lattice.column(f"beta_{axis}")[-1])) for axis in "xy"}
    y_up = -float(np.mean(lattice.column("orbit_y")[-1]))
    multipoles = field or FieldMultipoles()
    b_shift = multipoles.mean_shift(
        drawn.equilibrium_offset_mm, drawn.action_x_mm * beta["x"], drawn.action_y_mm * beta["y"], y_up
    )
    shift = b_shift + (e_shift if electric_field else 0.0) + (p_shift if pitch else 0.0)
    loss_time = _loss_times(drawn.loss_time_us, luck, loss_scale if lost_muons else 0.0)
    u = math.sqrt(GAMMA_MAGIC**2 - 1.0) * (1.0 + drawn.delta)
    gamma = np.sqrt(1.0 + u * u)
    f_rev = 1.0 / drawn.period_us
    two_pi = 2.0 * math.pi
    rows = np.zeros((count, len(ROW)))
    values = {
        "injection_time_us": drawn.injection_time_us,
        "f_revolution": f_rev,
        "delta": drawn.delta,
        "root_2jx": np.sqrt(2.0 * drawn.action_x_mm),
        "f_x": drawn.nu_x * f_rev,
        "phase_x": drawn.phase_x_rad / two_pi,
        "root_2jy": np.sqrt(2.0 * drawn.action_y_mm),
        "f_y": drawn.nu_y * f_rev,
        "phase_y": drawn.phase_y_rad / two_pi,
        "spin_phase": drawn.spin_phase_rad / two_pi,
        "f_a": omega_a * (1.0 + shift) / two_pi,
        "loss_time_us": loss_time,
        "lifetime_us": gamma * MUON_LIFETIME_US,
        "gamma": gamma,
        "shift_ppt": 1e12 * shift,
    }
    for name, value in values.items():
        rows[:, ROW[name]] = value
    factors = factorise_lattice(lattice)
    if constant_voltages:
        final = factors.coefficients.copy()
        final[:, 1:] = 0.0
        factors = factors._replace(coefficients=final)
    slope = np.polyfit(drawn.delta, drawn.spin_phase_rad, 1)[0] if np.ptp(drawn.delta) > 0 else 0.0
    x_e = drawn.equilibrium_offset_mm
    truth = {
        "omega_a_shift_ppb": 1e9 * float(np.mean(shift)),
        "electric_field_ppb": 1e9 * float(np.mean(e_shift)) * electric_field,
        "pitch_ppb": 1e9 * float(np.mean(p_shift)) * pitch,
        "field_ppb": 1e9 * float(np.mean(b_shift)),
        "ensemble_C_e_ppb": 1e9 * beam.electric_field_correction(),
        "ensemble_C_p_ppb": 1e9 * beam.pitch_correction(),
        "x_e_mean_mm": float(np.mean(x_e)),
        "x_e_rms_mm": float(np.std(x_e)),
        "y_rms_mm": float(np.sqrt(np.mean(drawn.action_y_mm) * beta["y"])),
        "phase_per_momentum_rad": float(slope),
        "time_momentum_covariance_us": float(np.cov(drawn.injection_time_us, drawn.delta)[0, 1]),
        "lost_fraction_pool": float(np.mean(np.isfinite(loss_time))),
        "nu_x": lattice.nu_x_final,
        "nu_y": lattice.nu_y_final,
        "alpha_p": lattice.alpha_p,
    }
    return MuonPool(np.ascontiguousarray(rows[order]), factors, drawn.polarisation, truth)


def _loss_times(times: Array, luck: Array, scale: float) -> Array:
    """Thin the losses to a fraction ``scale``, or copy them to more muons where ``scale`` exceeds 1."""
    lost = np.isfinite(times)
    if scale <= 0.0 or not lost.any():
        return np.full(times.size, np.inf)
    if scale <= 1.0:
        return np.where(lost & (luck < scale), times, np.inf)
    fraction = lost.mean()
    extra = min(1.0, (scale - 1.0) * fraction / max(1.0 - fraction, 1e-12))
    pick = ~lost & (luck < extra)
    result = times.copy()
    source = times[lost]
    result[pick] = source[(luck[pick] / max(extra, 1e-300) * source.size).astype(np.int64)]
    return result
