"""Dipole operators link a_μ, the EDM and μ → eγ: L = c_ij l̄_i σ P_R l_j F + h.c.

Δa_μ = −(4m/e) Re c₂₂, |d_μ| = 2 |Im c₂₂|, BR(μ → eγ) = (m³/4πΓ)(|c₁₂|² + |c₂₁|²). Source: ``docs/physics/theory.md``,
section Dipoles. Masses in GeV, coefficients in GeV⁻¹, EDMs in e·cm.
"""

from __future__ import annotations

import math
from typing import Final

from gminus2.errors import PhysicsError
from gminus2.theory.parameters import parameters

__all__ = [
    "edm_from_phase",
    "mixing_reach",
    "mu_to_e_gamma_from_dipole",
    "mu_to_e_gamma_from_mixing",
    "muon_width",
]

#: 1 GeV⁻¹ in cm.
GEV_INVERSE_CM: Final = 1.973269804e-14


def muon_width() -> float:
    """Return Γ_μ = G_F² m⁵/192π³ [GeV], the tree-level width that branching ratios refer to."""
    p = parameters()
    return p.G_F**2 * p.m_mu**5 / (192.0 * math.pi**3)


def mu_to_e_gamma_from_dipole(c_12: complex, c_21: complex = 0.0) -> float:
    """Return BR(μ → eγ) of the two off-diagonal dipole coefficients [GeV⁻¹]."""
    return parameters().m_mu ** 3 / (4.0 * math.pi * muon_width()) * (abs(c_12) ** 2 + abs(c_21) ** 2)


def _diagonal(delta_a: float) -> float:
    p = parameters()
    return delta_a * math.sqrt(4.0 * math.pi * p.alpha) / (4.0 * p.m_mu)


def mu_to_e_gamma_from_mixing(delta_a: float, mixing: float) -> float:
    """Return BR(μ → eγ) where one chirality of the off-diagonal dipole is ``mixing`` × the one behind Δa_μ."""
    return mu_to_e_gamma_from_dipole(mixing * _diagonal(delta_a))


def mixing_reach(delta_a: float, limit: float) -> float:
    """Return the largest mixing that a limit on BR(μ → eγ) allows for a given Δa_μ."""
    if not (delta_a != 0 and limit > 0):
        raise PhysicsError("a mixing reach needs Δa ≠ 0 and a positive limit", found=f"{delta_a}, {limit}")
    return math.sqrt(limit / mu_to_e_gamma_from_mixing(delta_a, 1.0))


def edm_from_phase(delta_a: float, phase: float) -> float:
    """Return |d_μ| [e·cm] of a dipole of phase ``phase`` [rad] behind Δa_μ: (eħ/2mc) Δa tan φ.

    Examples
    --------
    >>> f"{edm_from_phase(2.5e-9, 0.7853981633974483):.2e}"
    '2.33e-22'
    """
    return GEV_INVERSE_CM / (2.0 * parameters().m_mu) * abs(delta_a * math.tan(phase))
