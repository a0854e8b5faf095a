"""The linear functionals of R: I = ∫ (ds/s) F(s) R(s) for a_μ, its windows, the space-like Δα and the NLO terms.

Each function returns F as a callable of s [GeV²]. A zero-width state of mass M and electronic width Γ_ee has ∫ ds R =
9πΓ_ee M/α², so its share is F(M²) · 9πΓ_ee/(α²M). Formulas: ``docs/physics/theory.md``, sections Dispersion integral,
Windows and NLO.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gminus2.errors import PhysicsError, nearest
from gminus2.theory.hvp.kernel import kernel
from gminus2.theory.hvp.spectrum import Functional
from gminus2.theory.hvp.time_momentum import time_kernel, window
from gminus2.theory.parameters import parameters
from gminus2.theory.qed import polarisation
from gminus2.theory.quadrature import unit_nodes

__all__ = [
    "alpha_running_functional",
    "leading_order",
    "narrow_state",
    "nlo_2a",
    "nlo_2b",
    "window_functional",
]

Array = NDArray[np.float64]

#: ln t nodes of the Euclidean-time integral; the window has poles at a distance of 0.23 in ln t.
_TIME_STEP: Final = 0.04
_CHUNK: Final = 2048


def leading_order(s: Array) -> Array:
    """Return F of a_μ(HVP, LO): (α²/3π²) K(s)."""
    return parameters().alpha ** 2 / (3.0 * math.pi**2) * kernel(s)


def narrow_state(functional: Functional, mass: float, gamma_ee: float) -> float:
    """Return the integral of a zero-width state.

    Parameters
    ----------
    mass
        [GeV].
    gamma_ee
        Bare electronic width [GeV]: the measured one times |1 − Δα(M²)|² without the state itself.
    """
    if not (mass > 0 and gamma_ee >= 0):
        raise PhysicsError("a narrow state needs positive mass and width", found=f"{mass}, {gamma_ee} GeV")
    area = 9.0 * math.pi * gamma_ee / (parameters().alpha ** 2 * mass)
    return float(functional(np.array([mass**2]))[0]) * area


def window_functional(name: str) -> Functional:
    """Return F of a Euclidean window ``SD``, ``W`` or ``LD``, or of the whole time range (``total``).

    The sum of the three is the leading-order functional, reached by another route (time-momentum representation).
    """
    if name not in ("SD", "W", "LD", "total"):
        raise PhysicsError(f"no Euclidean window '{name}'", hint=nearest(name, ("SD", "W", "LD", "total")))

    def functional(s: Array) -> Array:
        p = parameters()
        energy = np.sqrt(np.asarray(s, dtype=np.float64))
        log_t = np.arange(math.log(1e-6), math.log(60.0 / float(energy.min())), _TIME_STEP)
        t = np.exp(log_t)
        weight = _TIME_STEP * t * time_kernel(t) * window(name, t * p.hbar_c)
        prefactor = (p.alpha / math.pi) ** 2 / (24.0 * math.pi**2)
        result = np.empty_like(energy)
        for start in range(0, len(energy), _CHUNK):
            e = energy[start : start + _CHUNK]
            result[start : start + _CHUNK] = prefactor * e**3 * (np.exp(-e[:, None] * t) @ weight)
        return result

    return functional


def alpha_running_functional(q_squared: float) -> Functional:
    """Return F of Δα_had(−Q²), Q² in GeV²: (α/3π) Q²/(s + Q²)."""

    def functional(s: Array) -> Array:
        return parameters().alpha / (3.0 * math.pi) * q_squared / (s + q_squared)

    return functional


def nlo_2a(s: Array) -> Array:
    """Return F of the NLO diagrams with a photon added (2a), by expansion in m_μ²/s (Krause 1997).

    Through the third power of m_μ²/s after the leading one: better than 1e-3 of this term down to 0.3 GeV.
    """
    p = parameters()
    r = p.m_mu**2 / np.asarray(s, dtype=np.float64)
    l = -np.log(r)  # noqa: E741
    z2 = math.pi**2 / 6.0
    k = r * (
        223 / 54
        - 2 * z2
        - 23 / 36 * l
        + r * (8785 / 1152 - 37 / 8 * z2 - 367 / 216 * l + 19 / 144 * l**2)
        + r**2 * (13072841 / 432000 - 883 / 40 * z2 - 10079 / 3600 * l + 141 / 80 * l**2)
        + r**3 * (2034703 / 16000 - 3903 / 40 * z2 - 6517 / 1800 * l + 961 / 80 * l**2)
    )
    result: Array = 2.0 / 3.0 * (p.alpha / math.pi) ** 3 * k
    return result


def nlo_2b(lepton_mass: float) -> Functional:
    """Return F of the NLO diagrams with a lepton loop (2b) of mass ``lepton_mass`` [GeV]."""

    def functional(s: Array) -> Array:
        p = parameters()
        x, o, weight = unit_nodes()
        loop = weight * x * x * o * polarisation(x * x * p.m_mu**2 / (o * lepton_mass**2))
        ratio = np.asarray(s, dtype=np.float64) / p.m_mu**2
        result = np.empty_like(ratio)
        for start in range(0, len(ratio), _CHUNK):
            part = ratio[start : start + _CHUNK, None]
            result[start : start + _CHUNK] = (1.0 / (x * x + o * part)) @ loop
        return 2.0 / 3.0 * (p.alpha / math.pi) ** 3 * result

    return functional
