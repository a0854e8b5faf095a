"""From R'_μ to a_μ: the external constants, their uncertainties, and which of them stand at which temperature.

a_μ = R'_μ(T_r) · (μ'_p(T_r)/μ_e(H)) · (μ_e(H)/μ_e) · (m_μ/m_e) · (|g_e|/2)        route ``hydrogen``
a_μ = R'_μ(25 °C) · (μ'_p/μ_B) · (m_μ/m_e)                                          route ``bohr``

Signs: CODATA gives g_e < 0 and μ_e/μ'_p < 0; the formulas use magnitudes. Source: ``docs/physics/measurement.md``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

from gminus2.constants import Quantity, Status, codata, published, weakest_status
from gminus2.errors import ConfigError, PhysicsError, nearest
from gminus2.measurement.ratio import FrequencyRatio

__all__ = ["ROUTES", "Anomaly", "ConversionFactor", "Route", "anomaly", "conversion_factor"]

Route = Literal["hydrogen", "bohr"]
ROUTES: Final[tuple[str, ...]] = get_args(Route)


@dataclass(frozen=True)
class ConversionFactor:
    """K = a_μ/R'_μ at a reference temperature.

    Attributes
    ----------
    parts_ppb
        Relative uncertainty by constant.
    inputs
        The published numbers it was made from.
    """

    value: float
    t_r_c: float
    codata_year: int
    route: Route
    parts_ppb: Mapping[str, float]
    inputs: tuple[Quantity, ...]

    @property
    def sigma_ppb(self) -> float:
        """Relative external uncertainty (the constants are independent)."""
        return math.hypot(*self.parts_ppb.values())

    @property
    def status(self) -> Status:
        """The weakest status of the constants."""
        return weakest_status(quantity.status for quantity in self.inputs)


@dataclass(frozen=True)
class Anomaly:
    """a_μ with the part of its uncertainty from R'_μ and the part from the constants; dimensionless."""

    value: float
    sigma_ratio: float
    sigma_external: float
    ratio: FrequencyRatio
    factor: ConversionFactor

    @property
    def sigma(self) -> float:
        """Total standard uncertainty."""
        return math.hypot(self.sigma_ratio, self.sigma_external)

    @property
    def value_1e11(self) -> float:
        """a_μ in units of 10⁻¹¹."""
        return self.value * 1e11

    @property
    def sigma_1e11(self) -> float:
        """Standard uncertainty in units of 10⁻¹¹."""
        return self.sigma * 1e11


def _relative_ppb(quantity: Quantity) -> float:
    return abs(quantity.sigma / float(quantity)) * 1e9


def conversion_factor(t_r_c: float = 34.7, year: int = 2018, route: Route = "hydrogen") -> ConversionFactor:
    """Return K = a_μ/R'_μ(T_r).

    Parameters
    ----------
    t_r_c
        Reference temperature of the R'_μ it will multiply: 34.7 or 25 °C for ``hydrogen``, 25 °C for ``bohr``.
    year
        CODATA adjustment, 2014, 2018 or 2022.
    route
        ``hydrogen`` (Run-1, Run-2/3) or ``bohr`` (μ'_p/μ_B of CODATA, from 2018 on).

    Raises
    ------
    PhysicsError
        No measured moment ratio stands at this temperature: convert R'_μ first.
    ConfigError
        Unknown route or year, or ``bohr`` with an adjustment that has no μ'_p/μ_B here.

    Examples
    --------
    >>> f"{conversion_factor(34.7, 2018).value:.12f}"
    '0.314493106014'
    """
    constants = codata(year)
    mass = constants.m_mu_over_m_e
    if route == "bohr":
        _need_temperature(t_r_c, (25.0,))
        moment = constants.mu_p_shielded_over_mu_b
        if moment is None:
            raise ConfigError(
                f"CODATA {year} has no mu'_p/mu_B in the table", hint="use 2018 or 2022, or the route 'hydrogen'"
            )
        return ConversionFactor(
            value=float(moment) * float(mass),
            t_r_c=t_r_c,
            codata_year=year,
            route=route,
            parts_ppb={"mu_p_shielded": _relative_ppb(moment), "m_mu_over_m_e": _relative_ppb(mass)},
            inputs=(moment, mass),
        )
    if route != "hydrogen":
        raise ConfigError(f"unknown route '{route}'", hint=nearest(str(route), ROUTES))
    at = _need_temperature(t_r_c, (34.7, 25.0))
    moment = published(f"constants.external.mu_e_H_over_mu_p_shielded_{'34C7' if at == 34.7 else '25C'}")
    bound = published("constants.external.mu_e_H_over_mu_e")
    g_e = constants.g_e
    return ConversionFactor(
        value=float(bound) * float(mass) * abs(float(g_e)) / 2.0 / abs(float(moment)),
        t_r_c=t_r_c,
        codata_year=year,
        route=route,
        parts_ppb={
            "mu_p_shielded": _relative_ppb(moment),
            "mu_e_H_over_mu_e": _relative_ppb(bound),
            "m_mu_over_m_e": _relative_ppb(mass),
            "g_e": _relative_ppb(g_e),
        },
        inputs=(moment, bound, mass, g_e),
    )


def _need_temperature(t_r_c: float, known: tuple[float, ...]) -> float:
    for temperature in known:
        if abs(t_r_c - temperature) < 1e-6:
            return temperature
    raise PhysicsError(
        "the magnetic-moment ratio is not tabulated at this reference temperature",
        expected=" or ".join(f"{t:g} °C" for t in known),
        found=f"{t_r_c:g} °C",
        hint="convert the ratio explicitly: R.at(T_r)",
    )


def anomaly(ratio: FrequencyRatio, year: int = 2018, route: Route = "hydrogen") -> Anomaly:
    """Return a_μ from R'_μ; the constants are taken at the ratio's own T_r.

    Examples
    --------
    >>> run23 = FrequencyRatio(0.00370730088, 7.9e-13, 34.7)
    >>> round(anomaly(run23).value_1e11)
    116592057
    """
    factor = conversion_factor(ratio.t_r_c, year, route)
    value = ratio.value * factor.value
    return Anomaly(value, ratio.sigma * factor.value, value * factor.sigma_ppb * 1e-9, ratio, factor)
