"""Two-Higgs-doublet models in the alignment limit: one loop and two-loop Barr–Zee diagrams with a photon.

The light Higgs boson couples as in the Standard Model and drops out of Δa. Barr–Zee diagrams with a charged Higgs
boson, a Z or a W are not included: about 10 % of the fermionic two-loop sum at the reference points (GM2Calc has
them). Formulas: ``docs/physics/theory.md``, section Two Higgs doublets. Masses in GeV.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from gminus2.errors import PhysicsError, nearest
from gminus2.theory.parameters import parameters
from gminus2.theory.quadrature import unit_integral, unit_nodes

__all__ = ["YUKAWA_TYPES", "TwoHiggsDoublets", "barr_zee_pseudoscalar", "barr_zee_scalar"]

Array = NDArray[np.float64]
YukawaType = Literal["I", "II", "X", "Y"]

#: Types in which the couplings of (down quarks, charged leptons) grow with tan β; up quarks never do.
YUKAWA_TYPES: Final[Mapping[str, tuple[bool, bool]]] = {
    "I": (False, False),
    "II": (True, True),
    "X": (False, True),
    "Y": (True, False),
}


def _log_ratio(x: Array, o: Array, r: float) -> Array:
    """Return ln(w)/((w − 1) r), w = x(1 − x)/r, by series around w = 1."""
    w = x * o / r
    u = w - 1.0
    near = np.abs(u) < 1e-6
    safe = np.where(near, 1.0, u)
    return np.where(near, (1.0 - u / 2.0 + u * u / 3.0) / r, np.log(w) / (safe * r))


def barr_zee_scalar(r: float) -> float:
    """Return r g_H(r), r = m_f²/M²: the fermion loop of a CP-even boson; −1 at r = 1/4."""
    return r * unit_integral(lambda x, o: (2.0 * x * o - 1.0) * _log_ratio(x, o, r))


def barr_zee_pseudoscalar(r: float) -> float:
    """Return r g_A(r), the fermion loop of a CP-odd boson; 2 ln 2 at r = 1/4."""
    return r * unit_integral(lambda x, o: _log_ratio(x, o, r))


def _default_fermions() -> dict[str, float]:
    p = parameters()
    return {"t": p.m_t, "b": p.m_b, "c": p.m_c, "tau": p.m_tau, "mu": p.m_mu}


@dataclass(frozen=True)
class TwoHiggsDoublets:
    """A point of a two-Higgs-doublet model with aligned light Higgs boson (sin(β − α) = 1).

    Attributes
    ----------
    m_H, m_A, m_charged
        Masses of the heavy CP-even, the CP-odd and the charged boson [GeV].
    tan_beta
        Ratio of the vacuum expectation values.
    kind
        Yukawa type ``I``, ``II``, ``X`` (lepton specific) or ``Y`` (flipped).
    fermion_masses
        Masses [GeV] of t, b, c and tau in the Barr–Zee loops.

    Raises
    ------
    PhysicsError
        A mass or tan β is not positive, or the type is unknown.
    """

    m_H: float
    m_A: float
    m_charged: float
    tan_beta: float
    kind: str = "II"
    fermion_masses: Mapping[str, float] = field(default_factory=_default_fermions)

    def __post_init__(self) -> None:
        if min(self.m_H, self.m_A, self.m_charged, self.tan_beta) <= 0:
            raise PhysicsError(
                "masses and tan beta must be positive",
                found=f"m_H = {self.m_H}, m_A = {self.m_A}, m_H+ = {self.m_charged}, tan beta = {self.tan_beta}",
            )
        if self.kind not in YUKAWA_TYPES:
            raise PhysicsError(f"no Yukawa type '{self.kind}'", hint=nearest(self.kind, YUKAWA_TYPES))

    def couplings(self, boson: Literal["H", "A"]) -> dict[str, float]:
        """Return the couplings of ``H`` or ``A`` to up (u), down (d) quarks and leptons (l), in units of m_f/v."""
        tan, cot = self.tan_beta, 1.0 / self.tan_beta
        down_grows, lepton_grows = YUKAWA_TYPES[self.kind]
        return {
            "u": -cot if boson == "H" else cot,
            "d": tan if down_grows else -cot,
            "l": tan if lepton_grows else -cot,
        }

    def one_loop(self) -> float:
        """Return the one-loop Δa_μ of H, A and H±."""
        p = parameters()
        x, o, weight = unit_nodes()
        total = 0.0
        for boson, mass in (("H", self.m_H), ("A", self.m_A), ("charged", self.m_charged)):
            lam2 = (p.m_mu / mass) ** 2
            y = self.couplings("H" if boson == "H" else "A")["l"]
            if boson == "charged":
                integrand = -x * o / (1.0 - o * lam2)
            else:
                numerator = x * x * (1.0 + o) if boson == "H" else -(x**3)
                integrand = numerator / (o + lam2 * x * x)
            total += lam2 * y * y * float(np.dot(weight, integrand))
        return (p.m_mu / p.vev) ** 2 / (8.0 * math.pi**2) * total

    def barr_zee(self) -> float:
        """Return the two-loop Δa_μ of a photon with a t, b, c, τ or μ loop on H and A."""
        p = parameters()
        loops = {
            "t": ("u", 3.0, 2 / 3),
            "c": ("u", 3.0, 2 / 3),
            "b": ("d", 3.0, 1 / 3),
            "tau": ("l", 1.0, 1.0),
            "mu": ("l", 1.0, 1.0),
        }
        total = 0.0
        for mass, boson in ((self.m_H, "H"), (self.m_A, "A")):
            y = self.couplings("H" if boson == "H" else "A")
            function = barr_zee_scalar if boson == "H" else barr_zee_pseudoscalar
            for name, m_f in self.fermion_masses.items():
                family, colours, charge = loops[name]
                total += colours * charge**2 * y["l"] * y[family] * function((m_f / mass) ** 2)
        return p.alpha * (p.m_mu / p.vev) ** 2 / (8.0 * math.pi**3) * total

    def delta_a(self) -> float:
        """Return the sum of one loop and Barr–Zee."""
        return self.one_loop() + self.barr_zee()
