"""Spin motion of a muon in magnetic and electric fields (Thomas, Bargmann–Michel–Telegdi) with an EDM.

Frame (r, s, y): r outward, s along the beam, r × s = y; μ⁺ move along +s with B = −b₀ ŷ. The precession phase is
ψ = atan2(−S_r, S_s), S in the rest frame with s along the horizontal momentum; it grows at +ω_a, and positrons come
at the rate 1 + A cos ψ. Formulas and their derivation: ``docs/physics/beam.md``.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gminus2.constants import MUON_MASS_MEV, SPEED_OF_LIGHT_MM_PER_US, published

__all__ = [
    "ANOMALY",
    "CHARGE_OVER_MASS",
    "EDM_UNIT_E_CM",
    "anomalous_frequency",
    "cyclotron_frequency",
    "edm_from_eta",
    "edm_tilt",
    "electric_coefficient",
    "eta_from_edm",
    "frequency_with_edm",
    "magic_field",
    "magic_gamma",
    "magic_momentum",
    "planar_orbit_frequency",
    "precession_phase",
    "thomas_bmt",
]

FloatArray = NDArray[np.float64]

#: a_μ where nothing else is said: the 2025 world average.
ANOMALY: Final = float(published("experiment.combinations.world_2025")) * 1e-11
#: e/m_μ [rad/(µs·T)], from c and the muon mass in eV.
CHARGE_OVER_MASS: Final = SPEED_OF_LIGHT_MM_PER_US**2 / MUON_MASS_MEV * 1e-6
#: eħ/(4 m c) [e·cm], the EDM of η = 1: ħc/(4 mc²).
EDM_UNIT_E_CM: Final = 197.3269804e-13 / (4.0 * MUON_MASS_MEV)


def magic_gamma(anomaly: float = ANOMALY) -> float:
    """Return γ = √(1 + 1/a), where a transverse electric field leaves ω_a alone.

    >>> round(magic_gamma(1.165920715e-3), 9)
    29.303434166
    """
    return math.sqrt(1.0 + 1.0 / anomaly)


def magic_momentum(anomaly: float = ANOMALY) -> float:
    """Return p = mc/√a [MeV/c].

    >>> round(magic_momentum(), 2)
    3094.35
    """
    return MUON_MASS_MEV / math.sqrt(anomaly)


def magic_field(radius_mm: float, anomaly: float = ANOMALY) -> float:
    """Return the field [T] that bends the magic momentum on a radius.

    >>> round(magic_field(7112.0), 5)
    1.4513
    """
    return magic_momentum(anomaly) / (SPEED_OF_LIGHT_MM_PER_US * 1e-3 * radius_mm * 1e-3)


def electric_coefficient(momentum_mev: ArrayLike, anomaly: float = ANOMALY) -> FloatArray:
    """Return a − 1/(γ² − 1) = a − (mc/p)², the weight of β × E in ω_a; zero at the magic momentum."""
    return np.asarray(anomaly - (MUON_MASS_MEV / np.asarray(momentum_mev, dtype=float)) ** 2)


def anomalous_frequency(field_t: ArrayLike, anomaly: float = ANOMALY) -> FloatArray:
    """Return ω_a = a e B/m [rad/µs] for a transverse magnetic field alone."""
    return np.asarray(anomaly * CHARGE_OVER_MASS * np.asarray(field_t, dtype=float))


def cyclotron_frequency(field_t: ArrayLike, gamma: float) -> FloatArray:
    """Return ω_c = e B/(γ m) [rad/µs]."""
    return np.asarray(CHARGE_OVER_MASS * np.asarray(field_t, dtype=float) / gamma)


def planar_orbit_frequency(b: float, e_r: float, gamma: float, anomaly: float = ANOMALY) -> float:
    """Return dψ/dτ = a b − β e_r (a − 1/u²) on a circular orbit in the plane.

    ``b`` = eB/(mc) and ``e_r`` = eE_r/(mc²) in inverse length, τ = ct; u = p/(mc). Exact.
    """
    u2 = gamma**2 - 1.0
    beta = math.sqrt(u2) / gamma
    return anomaly * b - beta * e_r * (anomaly - 1.0 / u2)


def thomas_bmt(beta: ArrayLike, b: ArrayLike, e: ArrayLike, anomaly: float = ANOMALY, eta: float = 0.0) -> FloatArray:
    """Return Ω of dS/dτ = Ω × S, τ = ct, S in the rest frame.

    Parameters
    ----------
    beta, b, e
        Velocity/c, qB/(mc) and qE/(mc²) as vectors, shape (..., 3); b and e in inverse length.
    eta
        EDM d = η eħ/(4mc).

    Notes
    -----
    Ω = −[(a + 1/γ) b − (aγ/(γ+1)) (β·b) β − (a + 1/(γ+1)) β×e] − (η/2)[e − (γ/(γ+1)) (β·e) β + β×b].
    """
    beta_, b_, e_ = (np.asarray(v, dtype=float) for v in (beta, b, e))
    gamma = 1.0 / np.sqrt(1.0 - np.sum(beta_**2, axis=-1, keepdims=True))
    along_b = np.sum(beta_ * b_, axis=-1, keepdims=True)
    along_e = np.sum(beta_ * e_, axis=-1, keepdims=True)
    magnetic = (
        (anomaly + 1.0 / gamma) * b_
        - anomaly * gamma / (gamma + 1.0) * along_b * beta_
        - (anomaly + 1.0 / (gamma + 1.0)) * np.cross(beta_, e_)
    )
    electric = e_ - gamma / (gamma + 1.0) * along_e * beta_ + np.cross(beta_, b_)
    return np.asarray(-magnetic - 0.5 * eta * electric)


def precession_phase(spin_r: ArrayLike, spin_s: ArrayLike) -> FloatArray:
    """Return ψ = atan2(−S_r, S_s) [rad] in (−π, π]."""
    return np.asarray(np.arctan2(-np.asarray(spin_r, dtype=float), np.asarray(spin_s, dtype=float)))


def eta_from_edm(edm_e_cm: float) -> float:
    """Return η of an EDM in e·cm.

    >>> round(eta_from_edm(1e-19), 11)
    2.14179e-06
    """
    return edm_e_cm / EDM_UNIT_E_CM


def edm_from_eta(eta: float) -> float:
    """Return the EDM [e·cm] of η."""
    return eta * EDM_UNIT_E_CM


def edm_tilt(eta: float, beta: float, anomaly: float = ANOMALY) -> float:
    """Return the tilt [rad] of the precession plane, tan δ = ηβ/(2a), in the muon's rest frame."""
    return math.atan(eta * beta / (2.0 * anomaly))


def frequency_with_edm(omega_a: float, tilt: float) -> float:
    """Return ω = ω_a √(1 + tan²δ): an EDM adds its rotation at right angles."""
    return omega_a * math.sqrt(1.0 + math.tan(tilt) ** 2)
