"""What a difference, or its absence, says about the mass of new particles: Δa = C (m_μ/M)².

C ~ 1 for strong coupling without loop suppression (and chiral enhancement), 1/16π² for a loop, α/4π for a weakly
coupled loop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from gminus2.errors import PhysicsError
from gminus2.theory.parameters import parameters

__all__ = ["COUPLINGS", "DeltaInterval", "delta_interval", "mass_reach", "scale_relation"]

#: Benchmarks of C.
COUPLINGS: Final = {
    "1": 1.0,
    "1/16π²": 1.0 / (16.0 * math.pi**2),
    "α/4π": parameters().alpha / (4.0 * math.pi),
}

_ONE_SIDED_95: Final = 1.6448536269514722


def scale_relation(coefficient: float, mass: float) -> float:
    """Return Δa = C (m_μ/M)², M in GeV."""
    if not mass > 0:
        raise PhysicsError("the mass of new physics must be positive", expected="GeV", found=str(mass))
    return coefficient * (parameters().m_mu / mass) ** 2


def mass_reach(coefficient: float, delta_a: float) -> float:
    """Return M [GeV] for which C (m_μ/M)² = |Δa|.

    Examples
    --------
    >>> round(mass_reach(1.0, 251e-11))
    2109
    """
    if not (coefficient > 0 and delta_a != 0):
        raise PhysicsError("a mass reach needs C > 0 and Δa ≠ 0", found=f"C = {coefficient}, Δa = {delta_a}")
    return parameters().m_mu * math.sqrt(coefficient / abs(delta_a))


@dataclass(frozen=True)
class DeltaInterval:
    """What is measured of Δa = a(exp) − a(SM), as pure numbers.

    Attributes
    ----------
    value, sigma
        Difference and its uncertainty.
    upper, lower
        One-sided 95 % limits on a positive and on a negative contribution.
    """

    value: float
    sigma: float
    upper: float
    lower: float

    @property
    def significance(self) -> float:
        """|Δa|/σ."""
        return abs(self.value) / self.sigma


def delta_interval(value: float, sigma: float) -> DeltaInterval:
    """Return the interval with Gaussian one-sided 95 % limits."""
    if not sigma > 0:
        raise PhysicsError("the uncertainty of Δa must be positive", found=str(sigma))
    return DeltaInterval(value, sigma, value + _ONE_SIDED_95 * sigma, value - _ONE_SIDED_95 * sigma)
