"""Axion-like particle: one-loop pseudoscalar exchange and the photon (Barr–Zee-like) term.

L = (∂_μ a/2Λ) c_μμ μ̄γ^μγ₅μ + e² c_γγ (a/Λ) F F̃ (Bauer, Neubert, Thamm, JHEP 12, 044 (2017)). The mixed term depends
on the scheme (δ₂ = −3, scale μ = Λ) and is **unverified** against the paper. Formulas: ``docs/physics/theory.md``,
section ALP.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gminus2.errors import PhysicsError
from gminus2.theory.parameters import parameters
from gminus2.theory.quadrature import unit_integral

__all__ = ["alp", "h1", "h2"]

Array = NDArray[np.float64]


def h1(x: float) -> float:
    """Return h₁(x), x = m_a²/m_μ², the loop function of pseudoscalar exchange; h₁(0) = 1."""
    if x < 1e-12:
        return 1.0

    def integrand(z: Array, o: Array) -> Array:
        return 2.0 * z**3 / (x * o + z * z)

    return unit_integral(integrand)


def h2(x: float) -> float:
    """Return h₂(x), the loop function of the photon term; → ln x + 3/2 for a heavy ALP."""

    def integrand(z: Array, o: Array) -> Array:
        return (1.0 + o) * np.log(o * o + x * z)

    return 8.0 / 3.0 + 2.0 / 3.0 * unit_integral(integrand)


def alp(mass: float, c_mumu: float, c_gamma: float = 0.0, *, scale: float = 1000.0) -> float:
    """Return Δa_μ of an axion-like particle.

    Parameters
    ----------
    mass
        m_a [GeV]; may be 0.
    c_mumu, c_gamma
        Dimensionless couplings c_μμ and c_γγ.
    scale
        Λ [GeV].

    Raises
    ------
    PhysicsError
        Negative mass, or a scale that is not positive.
    """
    if mass < 0 or scale <= 0:
        raise PhysicsError("impossible ALP parameters", expected="mass ≥ 0, scale > 0", found=f"{mass}, {scale} GeV")
    p = parameters()
    x = (mass / p.m_mu) ** 2
    exchange = -(c_mumu**2) / (16.0 * math.pi**2) * h1(x)
    mixed = 0.0
    if c_gamma:
        mixed = -2.0 * p.alpha / math.pi * c_mumu * c_gamma * (2.0 * math.log(scale / p.m_mu) - h2(x))
    return (p.m_mu / scale) ** 2 * (exchange + mixed)
