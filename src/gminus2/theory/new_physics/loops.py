"""One-loop contributions of a heavy boson to the anomaly of a lepton, exact in all masses.

With λ = m/M, ε = m_F/m and D₀ = (1−x)(1−xλ²) + ε²λ²x (neutral boson), D_c = λ²(1−x)(ε²−x) + x (charged boson),

    Δa = m²/(8π²M²) ∫₀¹ dx [g₊² P(+) + g₋² P(−)] / D ,

g₊, g₋ = scalar and pseudoscalar, or vector and axial-vector coupling. Polynomials, sign conventions and limits:
``docs/physics/theory.md``, section New physics (after Leveille 1978; Jegerlehner and Nyffeler 2009). Masses in GeV.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gminus2.errors import PhysicsError
from gminus2.theory.parameters import parameters
from gminus2.theory.quadrature import unit_nodes

__all__ = ["charged_scalar", "charged_vector", "neutral_scalar", "neutral_vector"]

Array = NDArray[np.float64]


def _masses(mass: float, fermion: float | None, lepton: float | None) -> tuple[float, float, float]:
    m = parameters().m_mu if lepton is None else lepton
    m_f = m if fermion is None else fermion
    if not (mass > 0 and m > 0 and m_f >= 0 and all(map(math.isfinite, (mass, m, m_f)))):
        raise PhysicsError("masses must be positive", expected="GeV", found=f"M = {mass}, m = {m}, m_F = {m_f}")
    return m, m / mass, m_f / m


def _neutral(mass: float, m_f: float | None, lepton: float | None, p: Callable[..., Array]) -> tuple[float, float]:
    m, lam, eps = _masses(mass, m_f, lepton)
    x, o, weight = unit_nodes()
    # 1 − x λ² written so that λ = 1 keeps its digits at the upper end.
    denominator = o * (o + x * (1.0 - lam) * (1.0 + lam)) + (eps * lam) ** 2 * x
    if denominator.min() <= 0.0:
        raise PhysicsError("the lepton can decay into the boson and the fermion", found=f"M = {mass} GeV")
    prefactor = m * m / (8.0 * math.pi**2 * mass * mass)
    plus, minus = (prefactor * float(np.dot(weight, p(x, o, s * eps, lam) / denominator)) for s in (1.0, -1.0))
    return plus, minus


def _charged(mass: float, m_f: float | None, lepton: float | None, p: Callable[..., Array]) -> tuple[float, float]:
    m, lam, eps = _masses(mass, m_f, lepton)
    if mass + eps * m <= m:
        raise PhysicsError(
            "the lepton can decay into the boson and the fermion",
            expected=f"M + m_F > {m} GeV",
            found=f"{mass + eps * m} GeV",
        )
    x, o, weight = unit_nodes()
    denominator = lam * lam * o * (eps * eps - x) + x
    prefactor = m * m / (8.0 * math.pi**2 * mass * mass)
    plus, minus = (prefactor * float(np.dot(weight, p(x, o, s * eps, lam) / denominator)) for s in (1.0, -1.0))
    return plus, minus


def neutral_scalar(
    mass: float, g_s: float, g_p: float = 0.0, *, fermion: float | None = None, lepton: float | None = None
) -> float:
    """Return Δa of a neutral scalar (coupling ``g_s``) or pseudoscalar (``g_p``): L = −μ̄(g_s + i g_p γ₅)F φ.

    Parameters
    ----------
    mass
        Boson mass [GeV].
    fermion
        Mass of the internal fermion [GeV]; the lepton itself by default.
    lepton
        Mass of the external lepton [GeV]; the muon by default.

    Raises
    ------
    PhysicsError
        A mass is not positive, or the lepton could decay into the loop particles.
    """

    def p(x: Array, o: Array, eps: float, lam: float) -> Array:
        return x * x * (o + eps)

    plus, minus = _neutral(mass, fermion, lepton, p)
    return g_s**2 * plus + g_p**2 * minus


def neutral_vector(
    mass: float, g_v: float, g_a: float = 0.0, *, fermion: float | None = None, lepton: float | None = None
) -> float:
    """Return Δa of a neutral vector boson with couplings μ̄ γ^μ (g_v + g_a γ₅) F; parameters as `neutral_scalar`."""

    def p(x: Array, o: Array, eps: float, lam: float) -> Array:
        return 2.0 * x * o * (x - 2.0 * (1.0 - eps)) + (lam * x * (1.0 - eps)) ** 2 * (o + eps)

    plus, minus = _neutral(mass, fermion, lepton, p)
    return g_v**2 * plus + g_a**2 * minus


def charged_scalar(
    mass: float, g_s: float, g_p: float = 0.0, *, fermion: float | None = 0.0, lepton: float | None = None
) -> float:
    """Return Δa of a charged scalar and a neutral fermion (massless by default); parameters as `neutral_scalar`."""

    def p(x: Array, o: Array, eps: float, lam: float) -> Array:
        return -x * o * (x + eps)

    plus, minus = _charged(mass, fermion, lepton, p)
    return g_s**2 * plus + g_p**2 * minus


def charged_vector(
    mass: float, g_v: float, g_a: float = 0.0, *, fermion: float | None = 0.0, lepton: float | None = None
) -> float:
    """Return Δa of a charged vector boson and a neutral fermion; the sign is fixed by the W (positive)."""

    def p(x: Array, o: Array, eps: float, lam: float) -> Array:
        return 2.0 * x * x * (1.0 + x - 2.0 * eps) - lam * lam * x * o * (1.0 - eps) ** 2 * (x + eps)

    plus, minus = _charged(mass, fermion, lepton, p)
    return g_v**2 * plus + g_a**2 * minus
