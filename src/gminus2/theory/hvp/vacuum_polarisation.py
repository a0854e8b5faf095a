"""Running of α: leptons in closed form, hadrons from R(s) by a principal-value integral; and undressing with it.

σ⁰ = σ |1 − Δα(s)|². Between the knots of R the principal value is done in closed form for R linear in s, so that it
is exact for the tabulated R, also on top of a knot. Formulas and signs: ``docs/physics/theory.md``, section
Undressing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import spence

from gminus2.errors import PhysicsError
from gminus2.theory.parameters import parameters

__all__ = ["HadronicRunning", "final_state_factor", "leptonic_running", "undressing_factor"]

Array = NDArray[np.float64]


def leptonic_running(s: Array, masses: Sequence[float] | None = None) -> NDArray[np.complex128]:
    """Return the one-loop leptonic Δα(s) for time-like s [GeV²], sum over e, μ, τ (or ``masses`` in GeV)."""
    p = parameters()
    flat = np.asarray(s, dtype=np.float64)
    total = np.zeros(flat.shape, dtype=np.complex128)
    for mass in masses or (p.m_e, p.m_mu, p.m_tau):
        r = 4.0 * mass * mass / flat
        b = np.sqrt(np.abs(1.0 - r))
        above = r < 1.0
        # ln((1+b)/(1−b)) = ln((1+b)²/r), and r < 1 there.
        log = np.log((1.0 + b) ** 2 / np.where(above, r, 1.0))
        angle = np.arctan(1.0 / np.where(b > 0, b, 1e-300))
        real = np.where(above, b * (2.0 + r) / 6.0 * log, b * (2.0 + r) / 3.0 * angle)
        total += p.alpha / math.pi * (-5.0 / 9.0 - r / 3.0 + real)
        total += 1j * np.where(above, p.alpha * b * (2.0 + r) / 6.0, 0.0)
    return total


@dataclass(frozen=True)
class HadronicRunning:
    """Δα_had(s) of an R(s) given by knots, with narrow states on top.

    Attributes
    ----------
    energy
        Knots in √s [GeV], strictly increasing, shape (n,).
    r
        R at the knots; linear in s between them, zero outside.
    states
        (mass, bare Γ_ee) of zero-width states [GeV].

    Raises
    ------
    PhysicsError
        The knots are not increasing.
    """

    energy: Array
    r: Array
    states: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if not (np.diff(self.energy) > 0).all():
            raise PhysicsError("the knots of R(s) must increase")

    def __call__(self, s: Array) -> NDArray[np.complex128]:
        """Return Δα_had at time-like s [GeV²] (real and absorptive part), shape of ``s``."""
        p = parameters()
        # On a knot both neighbours have a logarithm that cancels; a shift of 1e-10 keeps it finite.
        target = np.atleast_1d(np.asarray(s, dtype=np.float64)) * (1.0 + 1e-10)
        knots = self.energy**2
        slope = np.diff(self.r) / np.diff(knots)
        offset = self.r[:-1] - slope * knots[:-1]
        distance = np.log(np.abs(knots - target[:, None]))
        upper, lower = distance[:, 1:], distance[:, :-1]
        # ∫ (a + b s')/(s'(s' − s)) = (a/s)[ln|s' − s| − ln s'] + b ln|s' − s|
        span = upper - lower
        value = (span - np.diff(np.log(knots))) @ offset / target + span @ slope
        real = -p.alpha * target / (3.0 * math.pi) * value
        for mass, width in self.states:
            real += -3.0 * width * target / (p.alpha * mass * (mass**2 - target))
        imaginary = p.alpha / 3.0 * np.interp(target, knots, self.r, left=0.0, right=0.0)
        return (real + 1j * imaginary).reshape(np.shape(s))

    def space_like(self, q_squared: Array) -> Array:
        """Return Δα_had(−Q²), Q² > 0 [GeV²], shape of ``q_squared``."""
        p = parameters()
        q = np.atleast_1d(np.asarray(q_squared, dtype=np.float64))[:, None]
        knots = self.energy**2
        slope = np.diff(self.r) / np.diff(knots)
        offset = self.r[:-1] - slope * knots[:-1]
        # (a/Q²)[ln s' − ln(s' + Q²)] + b ln(s' + Q²), written so that Q² → 0 keeps its digits.
        inner = np.diff(np.log1p(q / knots), axis=1)
        outer = np.diff(np.log(knots)) + inner
        value = -(inner @ offset) / q[:, 0] + outer @ slope
        result = p.alpha * q[:, 0] / (3.0 * math.pi) * value
        for mass, width in self.states:
            result += 3.0 * width * q[:, 0] / (p.alpha * mass * (mass**2 + q[:, 0]))
        return np.asarray(result).reshape(np.shape(q_squared))


def undressing_factor(s: Array, hadronic: HadronicRunning) -> Array:
    """Return |1 − Δα(s)|², which turns a dressed cross-section into a bare one."""
    result: Array = np.abs(1.0 - leptonic_running(s) - hadronic(s)) ** 2
    return result


def final_state_factor(s: Array) -> Array:
    """Return 1 + η(s) α/π of a pion pair with photons (Schwinger; Hoefer, Gluza, Jegerlehner 2002); s > 4m_π² [GeV²].

    Raises
    ------
    PhysicsError
        s is not above the two-pion threshold.
    """
    p = parameters()
    flat = np.asarray(s, dtype=np.float64)
    if not (flat > 4.0 * p.m_pi**2).all():
        raise PhysicsError("final-state radiation of pions needs s above threshold", expected=f"> {4 * p.m_pi**2} GeV²")
    b = np.sqrt(1.0 - 4.0 * p.m_pi**2 / flat)
    ratio = (1.0 - b) / (1.0 + b)
    log = -np.log(ratio)

    def dilog(z: Array) -> Array:
        result: Array = spence(1.0 - z)
        return result

    eta = (
        (1.0 + b**2)
        / b
        * (4.0 * dilog(ratio) + 2.0 * dilog(-ratio) - (3.0 * np.log(2.0 / (1.0 + b)) + 2.0 * np.log(b)) * log)
        - 3.0 * np.log(4.0 / (1.0 - b**2))
        - 4.0 * np.log(b)
        + ((5.0 / 4.0) * (1.0 + b**2) ** 2 - 2.0) * log / b**3
        + 1.5 * (1.0 + b**2) / b**2
    )
    result: Array = 1.0 + eta * p.alpha / math.pi
    return result
