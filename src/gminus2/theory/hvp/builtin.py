"""A parametrised R(s) without any data file: ππ by Gounaris–Sakurai, ω and φ as Breit–Wigners, ψ, Υ narrow, pQCD above.

An illustration, not a prediction: its form-factor parameters are **unverified**, and the other channels between 1.0
and 1.8 GeV (four pions, KK̄π, …; about 45·10⁻¹⁰ together) are absent. It serves figures, and the running of α where a
single dressed channel has to be undressed.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gminus2.constants import published
from gminus2.theory.hvp.combine import continuum
from gminus2.theory.hvp.form_factor import GounarisSakurai
from gminus2.theory.hvp.hadrons import HadronicR, Piece, from_function, narrow_resonances, perturbative
from gminus2.theory.hvp.vacuum_polarisation import HadronicRunning
from gminus2.theory.parameters import parameters

__all__ = ["breit_wigner", "builtin_r", "builtin_running"]

Array = NDArray[np.float64]

_JOIN_GEV = 1.8
#: Ranges in √s over which the Breit–Wigners are integrated [GeV].
_RANGE_GEV = {"omega": (0.42, 1.10), "phi": (0.99, 1.20)}


def breit_wigner(s: Array, mass: float, width: float, gamma_ee: float) -> Array:
    """Return R of a resonance of constant width, 9 s Γ_ee Γ/(α²[(s − M²)² + M²Γ²]); all in GeV."""
    denominator = (s - mass**2) ** 2 + (mass * width) ** 2
    result: Array = 9.0 * s * gamma_ee * width / (parameters().alpha ** 2 * denominator)
    return result


def _broad(name: str) -> tuple[float, float, float]:
    """Return mass, width and bare Γ_ee (without the ππ share) [GeV] of ω or φ."""
    value = published(f"theory.broad.{name}").value
    assert isinstance(value, tuple)
    mass, width, gamma_kev, factor, share = value
    return mass, width, gamma_kev * 1e-6 * factor * share


def builtin_r() -> HadronicR:
    """Return the parametrised R(s)."""
    pion = GounarisSakurai()
    pieces: list[Piece] = [from_function("2π", pion.r, 2.0 * parameters().m_pi, _JOIN_GEV, panels=120)]
    for name in ("omega", "phi"):
        mass, width, gamma = _broad(name)
        low, high = _RANGE_GEV[name]
        for a, b in ((low, mass - 5 * width), (mass - 5 * width, mass + 5 * width), (mass + 5 * width, high)):
            if b > a:
                pieces.append(
                    from_function(name, lambda s, m=mass, w=width, g=gamma: breit_wigner(s, m, w, g), max(a, low), b)  # type: ignore[misc]
                )
    return HadronicR((*pieces, *narrow_resonances(), perturbative(_JOIN_GEV)))


def builtin_running() -> HadronicRunning:
    """Return Δα_had of the parametrisation, to undress a single channel (±0.003 away from ω and φ)."""
    fine = [np.linspace(m - 8 * w, m + 8 * w, 161) for m, w, _ in (_broad("omega"), _broad("phi"))]
    energy = np.unique(np.concatenate([np.linspace(2 * parameters().m_pi + 1e-6, _JOIN_GEV, 800), *fine]))
    energy = energy[energy < _JOIN_GEV]
    r = GounarisSakurai().r(energy**2)
    for name in ("omega", "phi"):
        low, high = _RANGE_GEV[name]
        inside = (energy > low) & (energy < high)
        r = r + np.where(inside, breit_wigner(energy**2, *_broad(name)), 0.0)
    high_energy, high_r = continuum(_JOIN_GEV)
    states = []
    for name in ("jpsi", "psi2s", "upsilon1s", "upsilon2s", "upsilon3s"):
        value = published(f"theory.narrow.{name}").value
        assert isinstance(value, tuple)
        states.append((value[0], value[1] * 1e-6 * value[2]))
    return HadronicRunning(np.concatenate([energy, high_energy]), np.concatenate([r, high_r]), tuple(states))


def missing_below_join() -> float:
    """Return how much a_μ the parametrisation lacks against the WP20 e⁺e⁻ value (illustrates what is left out)."""
    return math.fsum([float(published("theory.wp20.hvp_lo_ee")) * 1e-11, -builtin_r().leading_order()[0]])
