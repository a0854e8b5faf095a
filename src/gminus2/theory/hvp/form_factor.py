"""Pion form factor: Gounaris–Sakurai with ρ, ω, ρ′, ρ″, ρ‴, and the threshold expansion.

R_ππ = ¼ (1 − 4m_π²/s)^(3/2) |F_π|². Below threshold the momentum is continued to imaginary values, which makes F(0) =
1 exact. Formulas: ``docs/physics/theory.md``, section Pion form factor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gminus2.constants import published
from gminus2.theory.parameters import parameters

__all__ = ["GounarisSakurai", "r_from_form_factor", "threshold_form_factor_squared"]

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]


def _tuple(name: str) -> tuple[float, ...]:
    value = published(f"theory.{name}").value
    assert isinstance(value, tuple)
    return value


def r_from_form_factor(s: Array, form_factor_squared: Array) -> Array:
    """Return R_ππ of |F_π|² at s [GeV²]; zero below threshold."""
    velocity = np.sqrt(np.clip(1.0 - 4.0 * parameters().m_pi ** 2 / s, 0.0, None))
    result: Array = 0.25 * velocity**3 * form_factor_squared
    return result


def threshold_form_factor_squared(s: Array) -> Array:
    """Return |F_π|² = (1 + ⟨r²⟩s/6 + c s²)² near threshold, s in GeV² (use below √s = 0.32 GeV)."""
    radius = float(published("theory.threshold.pion_radius_squared")) / parameters().hbar_c ** 2
    quadratic = float(published("theory.threshold.c"))
    result: Array = (1.0 + radius * s / 6.0 + quadratic * s * s) ** 2
    return result


@dataclass(frozen=True)
class GounarisSakurai:
    """F_π(s) = [GS_ρ (1 + c_ω (s/m_ω²) BW_ω) + Σ c_i GS_i]/(1 + Σ c_i).

    Attributes
    ----------
    rho
        Mass and width [GeV].
    omega
        Mass, width [GeV], modulus and phase [rad] of the mixing.
    excited
        Mass, width [GeV], modulus and phase [rad] of each excited ρ.
    """

    rho: tuple[float, ...] = field(default_factory=lambda: _tuple("gounaris_sakurai.rho"))
    omega: tuple[float, ...] = field(default_factory=lambda: _tuple("gounaris_sakurai.omega"))
    excited: tuple[tuple[float, ...], ...] = field(
        default_factory=lambda: tuple(_tuple(f"gounaris_sakurai.rho{i}") for i in (1, 2, 3))
    )

    def __call__(self, s: Array) -> Complex:
        """Return F_π at s [GeV²] > 0, shape of ``s``."""
        flat = np.asarray(s, dtype=np.float64)
        m_w, g_w, c_w, phase_w = self.omega
        mixing = c_w * np.exp(1j * phase_w) * flat / m_w**2 * (m_w**2 / (m_w**2 - flat - 1j * m_w * g_w))
        numerator = gounaris_sakurai(flat, *self.rho) * (1.0 + mixing)
        norm = 1.0 + 0j
        for mass, width, modulus, phase in self.excited:
            c = modulus * np.exp(1j * phase)
            numerator = numerator + c * gounaris_sakurai(flat, mass, width)
            norm = norm + c
        result: Complex = numerator / norm
        return result

    def r(self, s: Array) -> Array:
        """Return R_ππ at s [GeV²]."""
        return r_from_form_factor(s, np.abs(self(s)) ** 2)


def gounaris_sakurai(s: Array, mass: float, width: float) -> Complex:
    """Return the Gounaris–Sakurai amplitude of one ρ state, 1 at s = 0."""
    m_pi = parameters().m_pi
    k_m = math.sqrt(mass**2 / 4.0 - m_pi**2)
    log_m = math.log((mass + 2.0 * k_m) / (2.0 * m_pi))
    h_m = 2.0 * k_m / (math.pi * mass) * log_m
    slope = h_m * (1.0 / (8.0 * k_m**2) - 1.0 / (2.0 * mass**2)) + 1.0 / (2.0 * math.pi * mass**2)
    d = 3.0 / math.pi * m_pi**2 / k_m**2 * log_m + mass / (2.0 * math.pi * k_m) - m_pi**2 * mass / (math.pi * k_m**3)
    root = np.sqrt(s)
    k = np.sqrt(s / 4.0 - m_pi**2 + 0j)
    h = 2.0 * k / (math.pi * root) * np.log((root + 2.0 * k) / (2.0 * m_pi))
    gamma = width * (k / k_m) ** 3 * mass / root
    f = width * mass**2 / k_m**3 * (k**2 * (h - h_m) + (mass**2 - s) * k_m**2 * slope)
    result: Complex = mass**2 * (1.0 + d * width / mass) / (mass**2 - s + f - 1j * mass * gamma)
    return result
