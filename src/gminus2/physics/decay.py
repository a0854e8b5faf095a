"""Decay of the polarised muon: Michel spectrum, boost to the laboratory, N(y) and A(y).

Leading order, electron mass neglected in the matrix element and kept in the kinematics. x = E*/W in the muon's rest
frame, y = E/E_max in the laboratory, angles relative to the spin. Derivations: ``docs/physics/detectors.md`` §1.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from gminus2.constants import GAMMA_MAGIC, MUON_MASS_MEV
from gminus2.physics.numerics import sincos_turns

__all__ = [
    "ELECTRON_MASS_MEV",
    "E_MAX_MEV",
    "W_MEV",
    "asymmetry_above",
    "cos_theta",
    "fraction_above",
    "lab_asymmetry",
    "lab_spectrum",
    "mean_vertical_angle",
    "michel_energy",
    "michel_quantile_table",
    "positron",
    "rest_asymmetry",
    "rest_momentum",
    "rest_spectrum",
]

#: CODATA 2018 [MeV].
ELECTRON_MASS_MEV: Final = 0.51099895
#: Largest positron energy in the rest frame, (m_µ² + m_e²)/(2 m_µ) [MeV].
W_MEV: Final = (MUON_MASS_MEV**2 + ELECTRON_MASS_MEV**2) / (2.0 * MUON_MASS_MEV)
#: Largest positron energy in the laboratory at the magic momentum [MeV].
E_MAX_MEV: Final = GAMMA_MAGIC * W_MEV + math.sqrt(GAMMA_MAGIC**2 - 1.0) * math.sqrt(W_MEV**2 - ELECTRON_MASS_MEV**2)

Array = NDArray[np.float64]


def rest_spectrum(x: ArrayLike) -> Array:
    """Return dN/dx in the rest frame, 2x²(3 − 2x), normalised on [0, 1]."""
    x = np.asarray(x, dtype=np.float64)
    return 2.0 * x**2 * (3.0 - 2.0 * x)


def rest_asymmetry(x: ArrayLike) -> Array:
    """Return the coefficient of P cos θ in the rest frame, (2x − 1)/(3 − 2x)."""
    x = np.asarray(x, dtype=np.float64)
    return (2.0 * x - 1.0) / (3.0 - 2.0 * x)


def lab_spectrum(y: ArrayLike) -> Array:
    """Return dN/dy in the laboratory averaged over the spin, (1 − y)(5 + 5y − 4y²)/3, normalised on [0, 1]."""
    y = np.asarray(y, dtype=np.float64)
    return (1.0 - y) * (5.0 + 5.0 * y - 4.0 * y**2) / 3.0


def lab_asymmetry(y: ArrayLike) -> Array:
    """Return the modulation of the rate at energy y per unit polarisation.

    Negative below y = (1 + √33)/16 (1305 MeV), where the phase would otherwise jump by π; −1/5 at 0, 1 at 1.
    """
    y = np.asarray(y, dtype=np.float64)
    return (1.0 + y - 8.0 * y**2) / (4.0 * y**2 - 5.0 * y - 5.0)


def fraction_above(y: ArrayLike) -> Array:
    """Return the fraction of positrons above energy y.

    >>> round(float(fraction_above(0.55)), 5)
    0.21921
    """
    y = np.asarray(y, dtype=np.float64)
    fraction: Array = (1.0 - y) ** 2 * (3.0 + y - y**2) / 3.0
    return fraction


def asymmetry_above(y: ArrayLike) -> Array:
    """Return the asymmetry of all positrons above energy y per unit polarisation.

    >>> round(float(asymmetry_above(0.55)), 5)
    0.35566
    """
    y = np.asarray(y, dtype=np.float64)
    asymmetry: Array = y * (2.0 * y + 1.0) / (3.0 + y - y**2)
    return asymmetry


def mean_vertical_angle(y: ArrayLike, gamma: float = GAMMA_MAGIC) -> Array:
    """Return the mean vertical angle [rad] per unit of vertical polarisation at energy y."""
    y = np.asarray(y, dtype=np.float64)
    scale = 2.0 / (gamma * (1.0 + math.sqrt(1.0 - 1.0 / gamma**2)))
    angle: Array = scale * (1.0 - y) * (1.0 + 2.0 * y) / (5.0 + 5.0 * y - 4.0 * y**2)
    return angle


def michel_quantile_table(cells: int = 4096) -> Array:
    """Return x at the edges of ``cells`` equal-probability cells: the root of x³(2 − x) = U, shape (cells + 1,).

    Linear interpolation between edges keeps every cell's probability exact. The first cells, where x ~ U^(1/3) bends,
    hold energies far below any threshold.
    """
    u = np.linspace(0.0, 1.0, cells + 1)
    x: Array = np.minimum((u / 2.0) ** (1.0 / 3.0) * 1.2, 1.0)
    for _ in range(60):
        slope = 6.0 * x**2 - 4.0 * x**3
        x = np.where(slope > 0, np.clip(x - (x**3 * (2.0 - x) - u) / np.where(slope > 0, slope, 1.0), 0.0, 1.0), x)
    x[0], x[-1] = 0.0, 1.0
    return x


@njit(cache=True)
def michel_energy(u, quantiles):  # type: ignore[no-untyped-def]
    """Return x = E*/W of a uniform number from :func:`michel_quantile_table`."""
    position = u * (quantiles.size - 1)
    cell = int(position)
    return quantiles[cell] + (position - cell) * (quantiles[cell + 1] - quantiles[cell])


@njit(cache=True)
def rest_momentum(x):  # type: ignore[no-untyped-def]
    """Return energy and momentum [MeV] of the positron in the muon's rest frame."""
    energy = max(x * W_MEV, ELECTRON_MASS_MEV)
    return energy, math.sqrt(energy * energy - ELECTRON_MASS_MEV * ELECTRON_MASS_MEV)


@njit(cache=True)
def cos_theta(polarised_asymmetry, v):  # type: ignore[no-untyped-def]
    """Return cos θ to the spin for k = P a_x and a uniform number v: the quantile of (1 + k c)/2, stable at k = 0."""
    k = polarised_asymmetry
    return (4.0 * v - 2.0 + k) / (1.0 + math.sqrt(max(0.0, 1.0 - k * (2.0 - k - 4.0 * v))))


@njit(cache=True)
def positron(x, v, azimuth_turns, sin_psi, cos_psi, sin_tilt, cos_tilt, polarisation, gamma, slope_r, slope_y):  # type: ignore[no-untyped-def]
    """Return (E, p_r, p_s, p_y) [MeV] of the positron in the frame (radial, along the beam, vertical).

    Parameters
    ----------
    x, v, azimuth_turns
        Michel energy, the uniform number for cos θ, the azimuth about the spin.
    sin_psi, cos_psi
        Precession phase: S ∝ (−sin ψ, cos ψ) in (radial, along the momentum).
    sin_tilt, cos_tilt
        Elevation of the spin out of the orbit plane (0, 1 without an electric dipole moment).
    gamma
        Of the muon.
    slope_r, slope_y
        Direction of the muon relative to the beam, p_r/p_s and p_y/p_s.
    """
    cosine = cos_theta(polarisation * (2.0 * x - 1.0) / (3.0 - 2.0 * x), v)
    sine = math.sqrt(max(0.0, 1.0 - cosine * cosine))
    sa, ca = sincos_turns(azimuth_turns)
    along = cosine * cos_tilt - sine * ca * sin_tilt  # on the horizontal spin direction
    d_y = cosine * sin_tilt + sine * ca * cos_tilt
    side = sine * sa
    d_r = -along * sin_psi + side * cos_psi
    d_s = along * cos_psi + side * sin_psi
    e_rest, p_rest = rest_momentum(x)
    u = math.sqrt(gamma * gamma - 1.0)
    energy = gamma * e_rest + u * p_rest * d_s
    q_s = gamma * p_rest * d_s + u * e_rest
    q_r = p_rest * d_r
    q_y = p_rest * d_y
    # From the muon's direction to the beam's: rotate by the slopes, first vertical, then radial.
    ny = 1.0 / math.sqrt(1.0 + slope_y * slope_y)
    h_s = (q_s - slope_y * q_y) * ny
    p_y = (slope_y * q_s + q_y) * ny
    nr = 1.0 / math.sqrt(1.0 + slope_r * slope_r)
    p_s = (h_s - slope_r * q_r) * nr
    p_r = (slope_r * h_s + q_r) * nr
    return energy, p_r, p_s, p_y
