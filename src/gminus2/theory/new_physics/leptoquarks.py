"""Scalar leptoquarks S₁ and R₂ coupled to the muon and one up-type quark.

L = q̄(l_L P_L + l_R P_R) μ S*; charges of quark and leptoquark add to −1. Source: ``docs/physics/theory.md``, section
Leptoquarks (Cheung 2001; Djouadi et al. 1990, rewritten for stable quadrature). Masses in GeV.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gminus2.errors import PhysicsError
from gminus2.theory.parameters import parameters
from gminus2.theory.quadrature import unit_nodes

__all__ = ["leptoquark_r2", "leptoquark_s1"]

Array = NDArray[np.float64]


def _leptoquark(mass: float, left: float, right: float, quark: float, q_f: float, q_s: float) -> float:
    if not (mass > 0 and quark > 0):
        raise PhysicsError("masses must be positive", expected="GeV", found=f"M = {mass}, m_q = {quark}")
    m = parameters().m_mu
    r, eps = (quark / mass) ** 2, quark / m
    x, o, weight = unit_nodes()
    same, mixed = 0.5 * (left**2 + right**2), left * right * eps
    on_quark = (same * x * x * o + mixed * x * x) / (o + r * x)
    on_boson = (same * x * x * o + mixed * x * o) / (x + r * o)
    prefactor = 3.0 * m * m / (8.0 * math.pi**2 * mass * mass)
    return prefactor * float(np.dot(weight, -q_f * on_quark + q_s * on_boson))


def leptoquark_s1(mass: float, left: float, right: float, *, quark: float | None = None) -> float:
    """Return Δa_μ of S₁ (quark charge −2/3 in the loop, leptoquark −1/3).

    Parameters
    ----------
    mass
        Leptoquark mass [GeV].
    left, right
        Couplings l_L, l_R of the muon to the quark.
    quark
        Quark mass [GeV]; the top by default. The charm at its own scale is a poor choice of scheme: give a running
        mass.

    Raises
    ------
    PhysicsError
        A mass is not positive.
    """
    return _leptoquark(mass, left, right, parameters().m_t if quark is None else quark, -2 / 3, -1 / 3)


def leptoquark_r2(mass: float, left: float, right: float, *, quark: float | None = None) -> float:
    """Return Δa_μ of R₂ (quark charge 2/3, leptoquark −5/3); parameters as :func:`leptoquark_s1`."""
    return _leptoquark(mass, left, right, parameters().m_t if quark is None else quark, 2 / 3, -5 / 3)
