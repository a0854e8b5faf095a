"""Perturbative R(s) above the data: four-loop running of α_s and R to order α_s⁴ with the leading mass term.

Source: ``docs/physics/theory.md``, section Perturbative QCD (coefficients of Baikov, Chetyrkin, Kühn, Rittinger 2012).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gminus2.errors import PhysicsError
from gminus2.theory.hvp.spectrum import Functional
from gminus2.theory.parameters import parameters
from gminus2.theory.quadrature import gauss_legendre

__all__ = ["FLAVOUR_THRESHOLDS", "PerturbativeQCD"]

Array = NDArray[np.float64]

_ZETA3 = 1.2020569031595942
_CHARGES = (2 / 3, -1 / 3, -1 / 3, 2 / 3, -1 / 3)
_STEPS_PER_UNIT = 40
#: √s [GeV] at which the fourth and fifth flavour join R.
FLAVOUR_THRESHOLDS = (3.73, 10.56)


def _beta(nf: int) -> tuple[float, float, float, float]:
    """β₀ … β₃ for d a/d ln μ² = −Σ β_k a^(k+2), a = α_s/π."""
    return (
        (11 - 2 / 3 * nf) / 4,
        (102 - 38 / 3 * nf) / 16,
        (2857 / 2 - 5033 / 18 * nf + 325 / 54 * nf**2) / 64,
        (
            149753 / 6
            + 3564 * _ZETA3
            - (1078361 / 162 + 6508 / 27 * _ZETA3) * nf
            + (50065 / 162 + 6472 / 81 * _ZETA3) * nf**2
            + 1093 / 729 * nf**3
        )
        / 256,
    )


def _run(a: float, log_from: float, log_to: Array, nf: int) -> Array:
    """Integrate the renormalisation group from one scale to many, in ln μ², with fixed Runge–Kutta steps."""
    b0, b1, b2, b3 = _beta(nf)

    def slope(value: Array) -> Array:
        return -value * value * (b0 + value * (b1 + value * (b2 + value * b3)))

    distance = np.asarray(log_to, dtype=np.float64) - log_from
    steps = max(1, math.ceil(float(np.abs(distance).max()) * _STEPS_PER_UNIT))
    h = distance / steps
    value = np.full_like(h, a)
    for _ in range(steps):
        k1 = slope(value)
        k2 = slope(value + 0.5 * h * k1)
        k3 = slope(value + 0.5 * h * k2)
        k4 = slope(value + h * k3)
        value = value + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
    return value


@dataclass(frozen=True)
class PerturbativeQCD:
    """R(s) of perturbative QCD.

    Attributes
    ----------
    alpha_s
        α_s(M_Z) with five flavours; the reference value where ``None``.
    """

    alpha_s: float | None = None

    def alpha_strong(self, energy: ArrayLike, flavours: int) -> Array:
        """Return α_s at scales ``energy`` [GeV] with 3, 4 or 5 flavours (decoupling at m_b and m_c).

        Raises
        ------
        PhysicsError
            Below 1 GeV, or another number of flavours.
        """
        scale = np.asarray(energy, dtype=np.float64)
        if scale.min() < 1.0 or flavours not in (3, 4, 5):
            raise PhysicsError(
                "perturbative QCD is not valid here",
                expected="≥ 1 GeV and 3, 4 or 5 flavours",
                found=f"{scale.min():.4g} GeV, {flavours} flavours",
            )
        start = self.alpha_s if self.alpha_s is not None else parameters().alpha_s_MZ
        a, log_from = _at_mass(start, flavours)
        return math.pi * _run(a, log_from, 2.0 * np.log(scale), flavours)

    def r(self, energy: Array) -> Array:
        """Return R at √s = ``energy`` [GeV], any shape: three flavours below 3.73 GeV, four below 10.6, five above."""
        values = np.asarray(energy, dtype=np.float64)
        flat = np.atleast_1d(values)
        result = np.empty_like(flat)
        charm, bottom = FLAVOUR_THRESHOLDS
        for nf, low, high in ((3, 0.0, charm), (4, charm, bottom), (5, bottom, np.inf)):
            chosen = (flat >= low) & (flat < high)
            if chosen.any():
                result[chosen] = self.r_flavours(flat[chosen], nf)
        return result.reshape(values.shape)

    def r_flavours(self, energy: Array, nf: int) -> Array:
        """Return R with a fixed number of flavours."""
        flat = np.asarray(energy, dtype=np.float64)
        a = self.alpha_strong(flat, nf) / math.pi
        charges = _CHARGES[:nf]
        squares, single = sum(q * q for q in charges), sum(charges)
        series = 1.0 + a * (
            1.0
            + a
            * (
                1.9857
                - 0.11529 * nf
                + a
                * (
                    -6.63694
                    - 1.20013 * nf
                    - 0.00518 * nf**2
                    + a * (-156.61 + 18.775 * nf - 0.7974 * nf**2 + 0.0215 * nf**3)
                )
            )
        )
        result = 3.0 * squares * series - 3.0 * single**2 * a**3 * (0.41318 + a * (5.9422 - 0.1916 * nf))
        if nf >= 4:
            p = parameters()
            scale, exponent = (p.m_c, 12 / 25) if nf == 4 else (p.m_b, 12 / 23)
            at_scale = float(self.alpha_strong(scale, nf)) / math.pi
            mass = scale * (a / at_scale) ** exponent
            result += 3.0 * charges[-1] ** 2 * 12.0 * (mass / flat) ** 2 * a
        return np.asarray(result)

    def integral(self, functional: Functional, low: float, high: float = math.inf, *, nf: int | None = None) -> float:
        """Return ∫ (ds/s) F R over ``low`` … ``high`` in √s [GeV]."""
        # The charm and bottom thresholds cut the range; above 40 GeV ln E is cut off at 1e5 GeV, where F ~ 1/s is gone.
        top = min(high, 1e5)
        edges = [low, *(e for e in FLAVOUR_THRESHOLDS if low < e < top and nf is None), top]
        node, weight = gauss_legendre(48)
        total = 0.0
        for a, b in itertools.pairwise(edges):
            log = math.log(a) + math.log(b / a) * node
            energy = np.exp(log)
            r = self.r(energy) if nf is None else self.r_flavours(energy, nf)
            total += 2.0 * math.log(b / a) * float(np.dot(weight, functional(energy**2) * r))
        return total


@cache
def _at_mass(start: float, flavours: int) -> tuple[float, float]:
    """Return (a, ln μ²) with which the running of 5, 4 or 3 flavours starts."""
    p = parameters()
    if flavours == 5:
        return start / math.pi, math.log(p.M_Z**2)
    above, log_above = _at_mass(start, flavours + 1)
    log_mass = math.log((p.m_b if flavours == 4 else p.m_c) ** 2)
    a = float(_run(above, log_above, np.array(log_mass), flavours + 1))
    return a * (1.0 + 11.0 / 72.0 * a * a), log_mass
