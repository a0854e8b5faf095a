"""The electron anomaly a_e as a cross-check of the universal QED terms and of α.

Mass-dependent, hadronic and weak terms are data (Aoyama, Kinoshita, Nio 2019); the universal terms are those of
:mod:`gminus2.theory.qed`. Source: ``docs/physics/theory.md``, section Electron.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gminus2.constants import Quantity, published
from gminus2.theory.nuisance import NuisanceVector, Prediction
from gminus2.theory.qed import A1_FIVE_LOOP, ALPHA_SETS, universal_three_loop, universal_two_loop

__all__ = ["ElectronResult", "alpha_inverse_from_electron", "electron_anomaly", "measured_electron_anomaly"]


@dataclass(frozen=True)
class ElectronResult:
    """a_e with its budget: prediction, sources (``alpha_inv``, ``a_e_theory``, ``a_e_hadronic``), contributions."""

    prediction: Prediction
    sources: NuisanceVector
    orders: tuple[float, ...]

    @property
    def value(self) -> float:
        """a_e."""
        return self.prediction.value

    @property
    def sigma(self) -> float:
        """One standard uncertainty."""
        return self.sources.sigma_of(self.prediction)


def _pair(name: str) -> tuple[float, ...]:
    value = published(f"electron.{name}").value
    return value if isinstance(value, tuple) else (value,)


def _coefficients(five_loop: str) -> tuple[float, ...]:
    eight = float(published("theory.qed.A1_8")) + sum(_pair("A2_8")) + sum(_pair("A3_8"))
    five = float(published(A1_FIVE_LOOP[five_loop])) + sum(_pair("A2_10"))
    return (
        0.5,
        universal_two_loop() + sum(_pair("A2_4")),
        universal_three_loop() + sum(_pair("A2_6")) + sum(_pair("A3_6")),
        eight,
        five,
    )


def _non_qed() -> float:
    return (float(published("electron.hadronic")) + float(published("electron.weak"))) * 1e-12


def electron_anomaly(alpha: str | Quantity = "cs18", five_loop: str = "wp20") -> ElectronResult:
    """Return a_e(SM) for a value of α (key of :data:`gminus2.theory.qed.ALPHA_SETS`, or a quantity 1/α).

    Examples
    --------
    >>> f"{electron_anomaly('cs18').value * 1e12:.3f}"
    '1159652181.606'
    """
    alpha_inv = published(ALPHA_SETS[alpha]) if isinstance(alpha, str) else alpha
    x = 1.0 / (math.pi * float(alpha_inv))
    orders = tuple(c * x ** (n + 1) for n, c in enumerate(_coefficients(five_loop)))
    a1_five = published(A1_FIVE_LOOP[five_loop])
    hadronic = math.hypot(published("electron.hadronic").sigma, published("electron.weak").sigma) * 1e-12
    sources = NuisanceVector.independent(
        {
            "alpha_inv": (float(alpha_inv), alpha_inv.sigma),
            "a_e_10th": (0.0, a1_five.sigma * x**5),
            "a_e_hadronic": (0.0, hadronic),
        }
    )
    slope = -sum((n + 1) * part for n, part in enumerate(orders)) / float(alpha_inv)
    gradient = {"alpha_inv": slope, "a_e_10th": 1.0, "a_e_hadronic": 1.0}
    return ElectronResult(Prediction(math.fsum([*orders, _non_qed()]), gradient), sources, orders)


def measured_electron_anomaly(year: int = 2023) -> tuple[float, float]:
    """Return the measured a_e and its uncertainty (2008 or 2023)."""
    g_over_2 = published(f"electron.g_over_2_{year}")
    return float(g_over_2) - 1.0, g_over_2.sigma


def alpha_inverse_from_electron(a_e: float, five_loop: str = "wp20") -> float:
    """Return 1/α for which a_e(SM) equals ``a_e``, by Newton's method from the CODATA value."""
    coefficients = _coefficients(five_loop)
    alpha_inv = 137.035999
    for _ in range(6):
        x = 1.0 / (math.pi * alpha_inv)
        orders = [c * x ** (n + 1) for n, c in enumerate(coefficients)]
        slope = -sum((n + 1) * part for n, part in enumerate(orders)) / alpha_inv
        alpha_inv -= (math.fsum([*orders, _non_qed(), -a_e])) / slope
    return alpha_inv
