"""The kernel that draws muons: new ones from the distributions of a closed-form beam, or smeared ones of an ensemble.

Every number is Philox of (muon, supercycle, attempt). :mod:`gminus2.simulation.muons` adds what needs no random number.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gminus2.config.campaign import BeamConfig, Effects
from gminus2.constants import GAMMA_MAGIC, MUON_LIFETIME_US
from gminus2.physics.numerics import gaussian_pair, philox, uniform
from gminus2.ring.ensemble import StoredBeam

__all__ = ["ClosedForm", "Ensemble", "Polynomials", "closed_form_of", "draw_rows", "ensemble_of", "polynomials_of"]

Array = NDArray[np.float64]

_ATTEMPTS: Final = 1000
_TWO_PI: Final = 2.0 * math.pi
_MODELS: Final = ("nu_x", "nu_y", "period_us", "equilibrium_offset_mm")


class ClosedForm(NamedTuple):
    """Distributions of a closed-form beam. Times µs, lengths mm at the mean β, phases rad."""

    momentum_mean: float
    momentum_rms: float
    momentum_centre: float
    bunch_rms_us: float
    time_per_momentum_us: float
    x_rms: float
    cbo_x: float
    cbo_px: float
    y_rms: float
    dispersion: float
    aperture: float
    spin_phase: float
    spin_per_momentum: float
    stretch: float


class Ensemble(NamedTuple):
    """A tracked ensemble of M muons to draw from; M = 0 for a closed-form beam.

    ``cumulative`` (M,) is of the weights; ``table`` (M, 8) holds δ, t_inj [µs], x, p_x, y, p_y normalised [√mm], spin
    phase [rad] and loss time [µs]; ``smear`` (6,) widths of the first six; ``limits`` (3,) the largest |δ|, J_x, J_y.
    """

    cumulative: Array
    table: Array
    smear: Array
    limits: Array
    spin_slope: float


class Polynomials(NamedTuple):
    """The models in one table of K terms: ``exponents`` (K, 3) of (δ, J_x, J_y), ``owner`` (K,) the value each adds to.

    Values: ν_x, ν_y, period, x_e, and the shift of ω_a by electric field and by pitch; ``powers`` is 1 + the highest.
    """

    owner: NDArray[np.int64]
    exponents: NDArray[np.int64]
    coefficients: Array
    powers: int


def closed_form_of(beam: StoredBeam, config: BeamConfig, effects: Effects) -> ClosedForm:
    """Return the distributions that the configuration asks for; dispersion and mean momentum are those of the beam."""
    return ClosedForm(
        momentum_mean=config.momentum_mean,
        momentum_rms=config.momentum_rms,
        momentum_centre=beam.mean(beam.delta),
        bunch_rms_us=1e-3 * config.bunch_rms_ns,
        time_per_momentum_us=1e-3 * config.time_per_momentum_ns,
        x_rms=config.x_beta_rms_mm,
        cbo_x=config.cbo_amplitude_mm * math.cos(config.cbo_phase_rad),
        cbo_px=config.cbo_amplitude_mm * math.sin(config.cbo_phase_rad),
        y_rms=config.y_rms_mm,
        dispersion=float(beam.models["equilibrium_offset_mm"](np.ones(1), np.zeros(1), np.zeros(1))[0]),
        aperture=45.0,
        spin_phase=config.spin_phase_rad,
        spin_per_momentum=config.spin_per_momentum_rad if effects.spin_momentum else 0.0,
        stretch=math.exp(config.vertical_mismatch),
    )


def ensemble_of(beam: StoredBeam | None, smoothing: float) -> Ensemble:
    """Return the ensemble as the kernel reads it, smeared by ``smoothing`` in units of each rms; ``None``: empty."""
    if beam is None:
        return Ensemble(np.zeros(0), np.zeros((0, 8)), np.zeros(6), np.zeros(3), 0.0)
    root_x, root_y = np.sqrt(2.0 * beam.action_x_mm), np.sqrt(2.0 * beam.action_y_mm)
    columns = [
        beam.delta,
        beam.injection_time_us,
        root_x * np.cos(beam.phase_x_rad),
        root_x * np.sin(beam.phase_x_rad),
        root_y * np.cos(beam.phase_y_rad),
        root_y * np.sin(beam.phase_y_rad),
    ]
    cumulative = np.cumsum(beam.weight)
    return Ensemble(
        cumulative / cumulative[-1],
        np.ascontiguousarray(np.stack([*columns, beam.spin_phase_rad, beam.loss_time_us], axis=1)),
        np.array([smoothing * float(np.std(c)) for c in columns]),
        np.array([np.max(np.abs(beam.delta)), np.max(beam.action_x_mm), np.max(beam.action_y_mm)]),
        beam.spin_momentum_slope(),
    )


def polynomials_of(beam: StoredBeam) -> Polynomials:
    """Return the models in one table; the shift of ω_a in two, electric field (4) and pitch (5)."""
    owner: list[int] = []
    exponents: list[list[int]] = []
    coefficients: list[float] = []
    for k, name in enumerate((*_MODELS, "omega_a_shift")):
        model = beam.models[name]
        for term, value in zip(model.exponents.tolist(), model.coefficients.tolist(), strict=True):
            owner.append(k + (1 if name == "omega_a_shift" and term[2] > 0 else 0))
            exponents.append(term)
            coefficients.append(value)
    table = np.array(exponents, dtype=np.int64)
    return Polynomials(np.array(owner, dtype=np.int64), table, np.array(coefficients), int(table.max()) + 1)


@njit(cache=True, nogil=True)
def draw_rows(  # type: ignore[no-untyped-def]
    rows: Any,
    extra: Any,
    supercycle: int,
    k0: int,
    k1: int,
    closed: Any,
    ensemble: Any,
    polynomials: Any,
    beta: Any,
    incoherent: bool,
):
    """Draw muons.

    Parameters
    ----------
    rows
        Out, (N, 16), all columns of :data:`~gminus2.simulation.pool.ROW` but ``f_a`` and ``shift_ppt``, and the loss
        time only for an ensemble.
    extra
        Out, (4, N): x_e [mm], relative shifts of ω_a by electric field and pitch, a uniform number for the losses.
    supercycle, k0, k1
        Counter and key of the random numbers.
    incoherent
        Give the betatron oscillations random phases.

    Returns
    -------
    Muons drawn; fewer than N when nearly every draw misses the aperture.
    """
    finite = ensemble.cumulative.size
    powers = np.empty((3, polynomials.powers))
    values = np.empty(6)
    root_beta_x, root_beta_y = math.sqrt(beta[0]), math.sqrt(beta[1])
    u_magic = math.sqrt(GAMMA_MAGIC * GAMMA_MAGIC - 1.0)
    for i in range(rows.shape[0]):
        stored = False
        for attempt in range(_ATTEMPTS):
            a0, a1, a2, a3 = philox(i, supercycle, 2 * attempt, 0, k0, k1)
            b0, b1, b2, b3 = philox(i, supercycle, 2 * attempt + 1, 0, k0, k1)
            g0, g1 = gaussian_pair(a0, a1)
            g2, g3 = gaussian_pair(a2, a3)
            g4, g5 = gaussian_pair(b0, b1)
            if finite == 0:
                delta = closed.momentum_mean + closed.momentum_rms * g0
                x = closed.x_rms * g2 + closed.cbo_x
                px = closed.x_rms * g3 + closed.cbo_px
                y = closed.y_rms * g4
                py = closed.y_rms * g5
                amplitude_x = math.sqrt(x * x + px * px)
                amplitude_y = math.sqrt(y * y + py * py)
                if abs(closed.dispersion * delta) + amplitude_x >= closed.aperture or amplitude_y >= closed.aperture:
                    continue
                injected = closed.bunch_rms_us * g1 + closed.time_per_momentum_us * (delta - closed.momentum_centre)
                spin = closed.spin_phase + closed.spin_per_momentum * delta
                if closed.stretch != 1.0:
                    y *= closed.stretch
                    py /= closed.stretch
                    amplitude_y = min(math.sqrt(y * y + py * py), closed.aperture)
                root_x = amplitude_x / root_beta_x
                root_y = amplitude_y / root_beta_y
                loss_time = np.inf
            else:
                target = uniform(b3)
                low, high = 0, finite - 1
                while low < high:
                    middle = (low + high) // 2
                    if ensemble.cumulative[middle] <= target:
                        low = middle + 1
                    else:
                        high = middle
                own = ensemble.table[low]
                delta = own[0] + ensemble.smear[0] * g0
                injected = own[1] + ensemble.smear[1] * g1
                x = own[2] + ensemble.smear[2] * g2
                px = own[3] + ensemble.smear[3] * g3
                y = own[4] + ensemble.smear[4] * g4
                py = own[5] + ensemble.smear[5] * g5
                if (
                    abs(delta) > ensemble.limits[0]
                    or 0.5 * (x * x + px * px) > ensemble.limits[1]
                    or 0.5 * (y * y + py * py) > ensemble.limits[2]
                ):
                    delta, injected, x, px, y, py = own[0], own[1], own[2], own[3], own[4], own[5]
                spin = own[6] + ensemble.spin_slope * (delta - own[0])
                root_x = math.sqrt(x * x + px * px)
                root_y = math.sqrt(y * y + py * py)
                loss_time = own[7]
            stored = True
            break
        if not stored:
            return i
        if incoherent:
            c0, c1, _, _ = philox(i, supercycle, 0, 1, k0, k1)
            phase_x, phase_y = uniform(c0), uniform(c1)
        else:
            phase_x = math.atan2(px, x) / _TWO_PI
            phase_y = math.atan2(py, y) / _TWO_PI
        # -- the muon's constants from the models
        powers[0, 0] = 1.0
        powers[1, 0] = 1.0
        powers[2, 0] = 1.0
        for k in range(1, powers.shape[1]):
            powers[0, k] = powers[0, k - 1] * delta
            powers[1, k] = powers[1, k - 1] * (0.5 * root_x * root_x)
            powers[2, k] = powers[2, k - 1] * (0.5 * root_y * root_y)
        values[:] = 0.0
        for k in range(polynomials.owner.size):
            e = polynomials.exponents[k]
            term = powers[0, e[0]] * powers[1, e[1]] * powers[2, e[2]]
            values[polynomials.owner[k]] += polynomials.coefficients[k] * term
        f_rev = 1.0 / values[2]
        u = u_magic * (1.0 + delta)
        gamma = math.sqrt(1.0 + u * u)
        row = rows[i]
        row[0] = injected
        row[1] = f_rev
        row[2] = delta
        row[3] = root_x
        row[4] = values[0] * f_rev
        row[5] = phase_x
        row[6] = root_y
        row[7] = values[1] * f_rev
        row[8] = phase_y
        row[9] = spin / _TWO_PI
        row[10] = 0.0
        row[11] = loss_time
        row[12] = gamma * MUON_LIFETIME_US
        row[13] = gamma
        row[14] = 0.0
        row[15] = 0.0
        extra[0, i] = values[3]
        extra[1, i] = values[4]
        extra[2, i] = values[5]
        extra[3, i] = uniform(b2)
    return rows.shape[0]
