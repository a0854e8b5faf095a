"""Electroweak contribution: one loop from the integrals of the W, Z and Higgs exchange, higher orders as data.

Source: ``docs/physics/theory.md``, section Electroweak; two loops from Gnendiger, Stöckinger, Stöckinger-Kim (2013).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from gminus2.constants import Quantity, published, published_table
from gminus2.theory.new_physics.loops import charged_vector, neutral_scalar, neutral_vector
from gminus2.theory.nuisance import NuisanceVector, Prediction
from gminus2.theory.parameters import Parameters, parameters

__all__ = ["ElectroweakOneLoop", "ElectroweakResult", "electroweak_contribution", "electroweak_one_loop"]


@dataclass(frozen=True)
class ElectroweakOneLoop:
    """One-loop contributions of W, Z and Higgs boson."""

    w: float
    z: float
    higgs: float

    @property
    def total(self) -> float:
        """Their sum."""
        return self.w + self.z + self.higgs


def electroweak_one_loop(values: Parameters | None = None) -> ElectroweakOneLoop:
    """Return the one-loop contributions, exact in all masses, with on-shell sin²θ_W = 1 − M_W²/M_Z² and G_F.

    Examples
    --------
    >>> f"{electroweak_one_loop().total * 1e11:.2f}"
    '194.81'
    """
    p = values or parameters()
    s2 = 1.0 - (p.M_W / p.M_Z) ** 2
    g = math.sqrt(8.0 * p.G_F / math.sqrt(2.0)) * p.M_W
    c = math.sqrt(1.0 - s2)
    w = charged_vector(p.M_W, g / (2.0 * math.sqrt(2.0)), g / (2.0 * math.sqrt(2.0)), lepton=p.m_mu)
    z = neutral_vector(p.M_Z, g / (4.0 * c) * (4.0 * s2 - 1.0), g / (4.0 * c), lepton=p.m_mu)
    return ElectroweakOneLoop(w, z, neutral_scalar(p.M_H, p.m_mu / p.vev, lepton=p.m_mu))


@dataclass(frozen=True)
class ElectroweakResult:
    """One loop plus higher orders: prediction, sources, and the items of the higher orders (unit 1e-11)."""

    prediction: Prediction
    sources: NuisanceVector
    one_loop: ElectroweakOneLoop
    items: dict[str, Quantity]

    @property
    def value(self) -> float:
        """a_μ(EW)."""
        return self.prediction.value

    @property
    def sigma(self) -> float:
        """One standard uncertainty (items in quadrature, inputs by finite difference)."""
        return self.sources.sigma_of(self.prediction)


def electroweak_contribution() -> ElectroweakResult:
    """Return a_μ(EW). The two-loop items are **unverified** transcriptions; the named budgets do not use them."""
    base = parameters()
    one = electroweak_one_loop(base)
    items = published_table("theory.electroweak")
    gradient: dict[str, float] = {}
    sources: dict[str, tuple[float, float]] = {}
    for name in ("G_F", "M_W", "M_Z", "M_H"):
        value = float(getattr(base, name))
        step = 1e-4 * value
        up, down = (electroweak_one_loop(replace(base, **{name: value + sign * step})).total for sign in (1, -1))
        gradient[name] = (up - down) / (2.0 * step)
        sources[name] = (value, published(f"theory.parameters.{name}").sigma)
    for name, item in items.items():
        gradient[f"ew_{name}"] = 1.0
        sources[f"ew_{name}"] = (float(item) * 1e-11, item.sigma * 1e-11)
    value = one.total + math.fsum(float(item) for item in items.values()) * 1e-11
    return ElectroweakResult(Prediction(value, gradient), NuisanceVector.independent(sources), one, items)
