"""QED contribution to a_μ to five loops, with exact or expanded mass dependence and selectable α.

a_μ(QED) = Σₙ C₂ₙ (α/π)ⁿ, C₂ₙ = A₁ + A₂(m_μ/m_e) + A₂(m_μ/m_τ) + A₃. The universal two- and three-loop terms and the
two-loop mass terms are computed here; the others are data of ``gminus2.reference`` with their sources. Formulas and
references: ``docs/physics/theory.md``, section QED.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gminus2.constants import Quantity, codata, published
from gminus2.errors import PhysicsError, nearest
from gminus2.theory.nuisance import NuisanceVector, Prediction
from gminus2.theory.quadrature import unit_integral

__all__ = [
    "A1_FIVE_LOOP",
    "ALPHA_SETS",
    "QEDInputs",
    "QEDResult",
    "a2_three_loop_electron",
    "a2_two_loop",
    "polarisation",
    "qed_contribution",
    "universal_three_loop",
    "universal_two_loop",
]

Array = NDArray[np.float64]

_ZETA3: Final = 1.2020569031595942
_ZETA5: Final = 1.0369277551433699
_LI4_HALF: Final = 0.5174790616738994
_LN2: Final = math.log(2.0)
_PI2: Final = math.pi**2

#: Determinations of 1/α: short name → entry of the reference tables.
ALPHA_SETS: Final[dict[str, str]] = {
    "cs18": "theory.qed.alpha_inverse_cs",
    "rb20": "theory.qed.alpha_inverse_rb",
    "codata18": "constants.codata2018.alpha_inverse",
    "codata22": "constants.codata2022.alpha_inverse",
    "ae2008": "theory.qed.alpha_inverse_ae2008",
    "ae2023": "theory.qed.alpha_inverse_ae2023",
}

#: Evaluations of the universal five-loop coefficient A₁⁽¹⁰⁾.
A1_FIVE_LOOP: Final[dict[str, str]] = {
    "wp20": "theory.qed.A1_10",
    "wp25": "theory.qed.A1_10_wp25",
    "volkov24": "theory.qed.A1_10_volkov",
    "ahkn24": "theory.qed.A1_10_ahkn24",
}


def universal_two_loop() -> float:
    """Return A₁⁽⁴⁾ (Petermann, Sommerfield)."""
    return 197.0 / 144.0 + _PI2 / 12.0 - 0.5 * _PI2 * _LN2 + 0.75 * _ZETA3


def universal_three_loop() -> float:
    """Return A₁⁽⁶⁾ (Laporta and Remiddi 1996)."""
    return (
        83.0 / 72.0 * _PI2 * _ZETA3
        - 215.0 / 24.0 * _ZETA5
        + 100.0 / 3.0 * (_LI4_HALF + _LN2**4 / 24.0 - _PI2 * _LN2**2 / 24.0)
        - 239.0 / 2160.0 * math.pi**4
        + 139.0 / 18.0 * _ZETA3
        - 298.0 / 9.0 * _PI2 * _LN2
        + 17101.0 / 810.0 * _PI2
        + 28259.0 / 5184.0
    )


def polarisation(t: Array) -> Array:
    """Return the one-loop vacuum polarisation P(t) = (π/α) Π̂(−Q²) at t = Q²/m_l² ≥ 0, shape of ``t``.

    P = −8/9 + b²/3 + (1/2 − b²/6) b ln((b + 1)/(b − 1)), b = √(1 + 4/t); below t = 0.3 its series, because the closed
    form cancels to t/15.
    """
    t = np.asarray(t, dtype=np.float64)
    small = t < 0.3
    result = np.empty_like(t)
    if small.any():
        result[small] = _polarisation_series(t[small])
    if not small.all():
        large = t[~small]
        square = 1.0 + 4.0 / large
        b = np.sqrt(square)
        log = 2.0 * np.arcsinh(0.5 * np.sqrt(large))  # ln((b + 1)/(b − 1))
        result[~small] = -8.0 / 9.0 + square / 3.0 + (0.5 - square / 6.0) * b * log
    return result


def _polarisation_series(t: Array) -> Array:
    total = np.zeros_like(t)
    coefficient = 2.0 * 4.0 / 120.0  # 2 [(n + 1)!]²/(2n + 3)! at n = 1
    power = np.ones_like(t)
    for n in range(1, 26):
        power = power * t
        total += (-1.0) ** (n + 1) / n * coefficient * power
        coefficient *= (n + 2.0) ** 2 / ((2.0 * n + 4.0) * (2.0 * n + 5.0))
    return total


def a2_two_loop(mass_ratio: float) -> float:
    """Return A₂⁽⁴⁾, the vacuum polarisation of a lepton of mass ``mass_ratio`` × the external one, exactly.

    Parameters
    ----------
    mass_ratio
        x = m_loop/m_external: m_e/m_μ for the electron loop in a_μ. Good to 1e-14 for 1e-4 < x < 1e5.

    Raises
    ------
    PhysicsError
        The ratio is not positive.

    Examples
    --------
    >>> round(a2_two_loop(1.0), 12)      # 119/36 − π²/3
    0.015687421859
    """
    if not mass_ratio > 0:
        raise PhysicsError("a mass ratio must be positive", found=str(mass_ratio))

    def integrand(u: Array, o: Array) -> Array:
        return o * polarisation(u**2 / (o * mass_ratio**2))

    return unit_integral(integrand)


def _light_by_light(x: float) -> float:
    l = math.log(1.0 / x)  # noqa: E741
    pi4 = math.pi**4
    order0 = 2 / 3 * _PI2 * l + 59 / 270 * pi4 - 3 * _ZETA3 - 10 / 3 * _PI2 + 2 / 3
    order1 = 4 / 3 * _PI2 * l - 196 / 3 * _PI2 * _LN2 + 424 / 9 * _PI2
    order2 = (
        -2 / 3 * l**3
        + (_PI2 / 9 - 20 / 3) * l**2
        - (16 * pi4 / 135 + 4 * _ZETA3 - 32 * _PI2 / 9 + 61 / 3) * l
        + 4 / 3 * _PI2 * _ZETA3
        - 61 * pi4 / 270
        + 3 * _ZETA3
        + 25 * _PI2 / 18
        - 283 / 12
    )
    order3 = 10 / 9 * _PI2 * l - 11 / 9 * _PI2
    order4 = (
        7 / 9 * l**3 + 41 / 18 * l**2 + (13 * _PI2 / 9 + 517 / 108) * l + _ZETA3 / 2 + 191 * _PI2 / 216 + 13283 / 2592
    )
    return order0 + x * (order1 + x * (order2 + x * (order3 + x * order4)))


def _vacuum_polarisation(x: float) -> float:
    l = math.log(1.0 / x)  # noqa: E741
    pi3 = math.pi**3
    order0 = (
        2 / 9 * l**2
        + (_ZETA3 - 2 / 3 * _PI2 * _LN2 + _PI2 / 9 + 31 / 27) * l
        + 11 * math.pi**4 / 216
        - 2 / 9 * _PI2 * _LN2**2
        - 8 / 3 * _LI4_HALF
        - _LN2**4 / 9
        - 3 * _ZETA3
        + 5 / 3 * _PI2 * _LN2
        - 25 / 18 * _PI2
        + 1075 / 216
    )
    order1 = -13 / 18 * pi3 - 16 / 9 * _PI2 * _LN2 + 3199 / 1080 * _PI2
    order2 = 10 / 3 * l**2 - 11 / 9 * l - 14 / 3 * _PI2 * _LN2 - 2 * _ZETA3 + 49 * _PI2 / 12 - 131 / 54
    order3 = 4 / 3 * _PI2 * l + 35 / 12 * pi3 - 16 / 3 * _PI2 * _LN2 - 5771 / 1080 * _PI2
    order4 = -25 / 9 * l**3 - 1369 / 180 * l**2 - (2 * _ZETA3 - 4 * _PI2 * _LN2 + 269 * _PI2 / 144 + 7496 / 675) * l
    return order0 + x * (order1 + x * (order2 + x * (order3 + x * order4)))


def a2_three_loop_electron(mass_ratio: float) -> tuple[float, float]:
    """Return the (light-by-light, vacuum-polarisation) parts of A₂⁽⁶⁾(m_μ/m_e) by expansion in m_e/m_μ.

    Through the fourth power (Laporta; Laporta and Remiddi 1993), whose constant term in the vacuum polarisation is not
    known to us and left out: 1e-8 of the sum at the physical ratio.

    Parameters
    ----------
    mass_ratio
        m_μ/m_e, at least 10.

    Raises
    ------
    PhysicsError
        The expansion is not valid at this ratio.
    """
    if mass_ratio < 10.0:
        raise PhysicsError("the expansion in m_e/m_μ needs a large ratio", expected="≥ 10", found=str(mass_ratio))
    x = 1.0 / mass_ratio
    return _light_by_light(x), _vacuum_polarisation(x)


@dataclass(frozen=True)
class QEDInputs:
    """What a QED evaluation takes: 1/α, the two mass ratios and the evaluation of A₁⁽¹⁰⁾ (:data:`A1_FIVE_LOOP`)."""

    alpha_inv: Quantity
    m_mu_over_m_e: Quantity
    m_mu_over_m_tau: Quantity
    five_loop: str = "wp20"

    @classmethod
    def choose(cls, alpha: str = "cs18", five_loop: str = "wp20", masses: str = "wp20") -> QEDInputs:
        """Return named inputs.

        Parameters
        ----------
        alpha
            Key of :data:`ALPHA_SETS`.
        five_loop
            Key of :data:`A1_FIVE_LOOP`.
        masses
            ``wp20`` or a CODATA year as text, for m_μ/m_e.

        Raises
        ------
        PhysicsError
            Unknown name; the message gives the nearest.
        """
        for word, known, what in ((alpha, ALPHA_SETS, "value of alpha"), (five_loop, A1_FIVE_LOOP, "five-loop term")):
            if word not in known:
                raise PhysicsError(f"no {what} '{word}'", hint=nearest(word, known))
        ratio = published("theory.qed.m_mu_over_m_e") if masses == "wp20" else codata(int(masses)).m_mu_over_m_e
        return cls(published(ALPHA_SETS[alpha]), ratio, published("theory.qed.m_mu_over_m_tau"), five_loop)


@dataclass(frozen=True)
class QEDResult:
    """The QED contribution.

    Attributes
    ----------
    prediction
        a_μ(QED) and its derivatives by source.
    sources
        The nuisance vector of these sources.
    orders
        Contribution of each order α¹ … α⁵.
    coefficients
        C₂ … C₁₀.
    """

    prediction: Prediction
    sources: NuisanceVector
    orders: tuple[float, ...]
    coefficients: tuple[float, ...]

    @property
    def value(self) -> float:
        """a_μ(QED)."""
        return self.prediction.value

    @property
    def sigma(self) -> float:
        """One standard uncertainty."""
        return self.sources.sigma_of(self.prediction)


def _value(name: str) -> float:
    return float(published(f"theory.qed.{name}"))


def _sigma(*names: str) -> float:
    return math.hypot(*(published(f"theory.qed.{name}").sigma for name in names))


def _coefficients(ratio_e: float, ratio_tau: float, five_loop: str) -> tuple[float, ...]:
    """Return C₂ … C₁₀; the measured dependence on the mass ratios is carried by the second and third order."""
    anchor_e = float(published("theory.qed.m_mu_over_m_e"))
    anchor_tau = float(published("theory.qed.m_mu_over_m_tau"))
    two = universal_two_loop() + a2_two_loop(1.0 / ratio_e) + a2_two_loop(1.0 / ratio_tau)
    shift = sum(a2_three_loop_electron(ratio_e)) - sum(a2_three_loop_electron(anchor_e))
    heavy = _value("A2_6_tau") * (ratio_tau / anchor_tau) ** 2
    three = universal_three_loop() + _value("A2_6_e") + shift + heavy + _value("A3_6")
    four = _value("A1_8") + _value("A2_8_e") + _value("A2_8_tau") + _value("A3_8")
    a1_five = float(published(A1_FIVE_LOOP[five_loop]))
    five = a1_five + _value("A2_10_e") + _value("A2_10_tau") + _value("A3_10")
    return 0.5, two, three, four, five


def _sum_orders(coefficients: tuple[float, ...], alpha_inv: float) -> tuple[float, ...]:
    ratio = 1.0 / (math.pi * alpha_inv)
    return tuple(c * ratio ** (n + 1) for n, c in enumerate(coefficients))


def qed_contribution(inputs: QEDInputs | None = None) -> QEDResult:
    """Return a_μ(QED) with its error budget.

    Sources of the budget: ``alpha_inv``, ``m_mu_over_m_e`` (the same source as in the extraction of a_μ),
    ``m_mu_over_m_tau``, ``qed_8th`` and ``qed_10th`` (numerical integration of C₈, C₁₀) and ``qed_12th`` (an estimate
    of what is not calculated). Derivatives by the mass ratios are central differences of the exact two-loop and
    expanded three-loop terms.

    Examples
    --------
    >>> f"{qed_contribution().value * 1e11:.3f}"
    '116584718.931'
    """
    chosen = inputs or QEDInputs.choose()
    alpha_inv = float(chosen.alpha_inv)
    ratio_e, ratio_tau = float(chosen.m_mu_over_m_e), float(chosen.m_mu_over_m_tau)

    def total(re: float, rt: float) -> float:
        return math.fsum(_sum_orders(_coefficients(re, rt, chosen.five_loop), alpha_inv))

    coefficients = _coefficients(ratio_e, ratio_tau, chosen.five_loop)
    orders = _sum_orders(coefficients, alpha_inv)
    step = 1e-4
    by_e = (total(ratio_e * (1 + step), ratio_tau) - total(ratio_e * (1 - step), ratio_tau)) / (2 * step * ratio_e)
    by_tau = (total(ratio_e, ratio_tau * (1 + step)) - total(ratio_e, ratio_tau * (1 - step))) / (2 * step * ratio_tau)
    x = 1.0 / (math.pi * alpha_inv)
    gradient = {
        "alpha_inv": -sum((n + 1) * part for n, part in enumerate(orders)) / alpha_inv,
        "m_mu_over_m_e": by_e,
        "m_mu_over_m_tau": by_tau,
        "qed_8th": x**4,
        "qed_10th": x**5,
        "qed_12th": 1.0,
    }
    a1_five = published(A1_FIVE_LOOP[chosen.five_loop])
    sources = NuisanceVector.independent(
        {
            "alpha_inv": (alpha_inv, chosen.alpha_inv.sigma),
            "m_mu_over_m_e": (ratio_e, chosen.m_mu_over_m_e.sigma),
            "m_mu_over_m_tau": (ratio_tau, chosen.m_mu_over_m_tau.sigma),
            "qed_8th": (0.0, _sigma("A2_8_e", "A2_8_tau", "A3_8")),
            "qed_10th": (0.0, math.hypot(a1_five.sigma, _sigma("A2_10_e", "A2_10_tau", "A3_10"))),
            "qed_12th": (0.0, _sigma("twelfth_order") * 1e-11),
        }
    )
    return QEDResult(Prediction(math.fsum(orders), gradient), sources, orders, coefficients)
