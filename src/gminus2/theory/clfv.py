"""Charged-lepton flavour violation: rates and mass reach of μ → eγ, μ → 3e and μ → e conversion.

Effective Lagrangian with one scale Λ and κ, the weight of contact against dipole operators (de Gouvêa and Vogel
2013): L = m/((1+κ)Λ²) μ̄_R σ e_L F + κ/((1+κ)Λ²) μ̄_L γ e_L (ē γ e + q̄_L γ q_L). Formulas and overlap integrals
(Kitano, Koike, Okada 2002): ``docs/physics/theory.md``, section Flavour violation. Λ and masses in GeV.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from gminus2.constants import Quantity, published, published_table
from gminus2.errors import PhysicsError, nearest
from gminus2.theory.parameters import parameters

__all__ = [
    "CHANNELS",
    "LIMITS",
    "Limit",
    "Nucleus",
    "conversion",
    "dipole_ratio_conversion",
    "dipole_ratio_three_electrons",
    "limit",
    "mu_to_e_gamma",
    "mu_to_three_electrons",
    "nucleus",
    "reach",
]


@dataclass(frozen=True)
class Nucleus:
    """Overlap integrals in units of m_μ^(5/2) and the muon capture rate [GeV]."""

    name: str
    dipole: float
    vector_p: float
    vector_n: float
    scalar_p: float
    scalar_n: float
    capture: float


def nucleus(name: str) -> Nucleus:
    """Return ``al``, ``ti`` or ``au``."""
    table = published_table("clfv.nuclei")
    if name not in table:
        raise PhysicsError(f"no overlap integrals for '{name}'", hint=nearest(name, table))
    value = table[name].value
    assert isinstance(value, tuple)
    return Nucleus(name, *value)


def _check(scale: float, kappa: float) -> None:
    if not (scale > 0 and kappa >= 0 and math.isfinite(scale)):
        raise PhysicsError("impossible scale or weight", expected="Λ > 0 GeV, κ ≥ 0", found=f"{scale}, {kappa}")


def mu_to_e_gamma(scale: float, kappa: float) -> float:
    """Return BR(μ → eγ) = 48π²/(G_F²Λ⁴(1+κ)²)."""
    _check(scale, kappa)
    return 48.0 * math.pi**2 / (parameters().G_F ** 2 * scale**4 * (1.0 + kappa) ** 2)


def dipole_ratio_three_electrons() -> float:
    """Return BR(μ → 3e)/BR(μ → eγ) of a pure dipole."""
    p = parameters()
    return p.alpha / (3.0 * math.pi) * (2.0 * math.log(p.m_mu / p.m_e) - 11.0 / 4.0)


def mu_to_three_electrons(scale: float, kappa: float) -> float:
    """Return BR(μ → 3e): dipole and contact part, interference neglected."""
    contact = 3.0 * kappa**2 / (8.0 * parameters().G_F ** 2 * (1.0 + kappa) ** 2 * scale**4)
    return dipole_ratio_three_electrons() * mu_to_e_gamma(scale, kappa) + contact


def conversion(scale: float, kappa: float, target: str = "al") -> float:
    """Return CR(μN → eN), the rate over the capture rate, for ``al``, ``ti`` or ``au``."""
    _check(scale, kappa)
    p = parameters()
    n = nucleus(target)
    dipole = math.sqrt(2.0) / (4.0 * p.G_F * (1.0 + kappa) * scale**2)
    quark = kappa / ((1.0 + kappa) * scale**2 * math.sqrt(2.0) * p.G_F)
    # u_L and d_L with equal strength: three valence quarks in a proton and in a neutron.
    amplitude = dipole * n.dipole + 3.0 * quark * (n.vector_p + n.vector_n)
    return 2.0 * p.G_F**2 * amplitude**2 * p.m_mu**5 / n.capture


def dipole_ratio_conversion(target: str = "al") -> float:
    """Return CR(μN → eN)/BR(μ → eγ) of a pure dipole."""
    return conversion(1000.0, 0.0, target) / mu_to_e_gamma(1000.0, 0.0)


#: Channel → what it is.
CHANNELS: Final = {"mu_e_gamma": "μ → eγ", "mu_3e": "μ → 3e", "mu_e": "μN → eN"}


@dataclass(frozen=True)
class Limit:
    """A limit or goal on a rate: channel, target (conversion only), number with source and status."""

    name: str
    label: str
    channel: str
    target: str
    quantity: Quantity

    def rate(self, scale: float, kappa: float) -> float:
        """Return the predicted rate of this channel."""
        if self.channel == "mu_e_gamma":
            return mu_to_e_gamma(scale, kappa)
        if self.channel == "mu_3e":
            return mu_to_three_electrons(scale, kappa)
        return conversion(scale, kappa, self.target)


_TARGETS: Final = ("al", "ti", "au")

#: Names of limits and goals.
LIMITS: Final = tuple(name for name in published_table("clfv.limits") if name != "single_event_mu2e")


def limit(name: str) -> Limit:
    """Return a limit or goal by name (:data:`LIMITS`)."""
    if name not in LIMITS:
        raise PhysicsError(f"no limit '{name}'", hint=nearest(name, LIMITS))
    quantity = published(f"clfv.limits.{name}")
    if name.startswith("mu_e_gamma"):
        return Limit(name, quantity.note, "mu_e_gamma", "", quantity)
    if name.startswith("mu_3e"):
        return Limit(name, quantity.note, "mu_3e", "", quantity)
    target = name.removeprefix("mu_e_")[:2]
    assert target in _TARGETS
    return Limit(name, quantity.note, "mu_e", target, quantity)


def reach(bound: Limit | str, kappa: float, *, value: float | None = None) -> float:
    """Return the largest Λ [GeV] that a limit tests at weight κ (all rates fall like Λ⁻⁴).

    Parameters
    ----------
    value
        Another number in place of the published one.
    """
    chosen = limit(bound) if isinstance(bound, str) else bound
    number = float(chosen.quantity) if value is None else value
    if not number > 0:
        raise PhysicsError("a limit must be positive", found=str(number))
    scale = 1.0e6
    return scale * float((chosen.rate(scale, kappa) / number) ** 0.25)
