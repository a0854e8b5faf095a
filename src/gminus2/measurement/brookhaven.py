"""The Brookhaven result E821: free-proton frequency ratios per year, and a_μ = R/(λ − R) with λ = μ_μ⁺/μ_p.

Source: PRD 73, 072003 (2006), equation for a_μ and Table of the yearly results.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from gminus2.constants import Quantity, published, published_label, published_table
from gminus2.errors import PhysicsError
from gminus2.measurement.combination import Combination, Source, combine

__all__ = ["LAMBDA_1998", "LAMBDA_2006", "YearResult", "anomaly_from_free_proton", "e821_average", "e821_years"]

#: Names of the two λ: of the publication of 2006 (CODATA 1998), and of the later rescaled value.
LAMBDA_1998: Final = "constants.external.mu_mu_over_mu_p_1998"
LAMBDA_2006: Final = "constants.external.mu_mu_over_mu_p_2006"


def anomaly_from_free_proton(ratio: float, sigma: float, lam: float, lam_sigma: float = 0.0) -> tuple[float, float]:
    """Return a_μ = R/(λ − R) and its uncertainty from R = ω_a/ω_p of the free proton.

    Examples
    --------
    >>> value, _ = anomaly_from_free_proton(0.0037072063, 2e-9, 3.18334539)
    >>> round(value * 1e10, 1)
    11659208.0
    """
    if not 0 < ratio < lam:
        raise PhysicsError("R must lie between 0 and lambda", found=f"R = {ratio}, lambda = {lam}")
    value = ratio / (lam - ratio)
    slope = lam / (lam - ratio) ** 2
    return value, math.hypot(slope * sigma, ratio / (lam - ratio) ** 2 * lam_sigma)


@dataclass(frozen=True)
class YearResult:
    """One year of E821: the frequencies as published, their quotient, and a_μ with the λ of the publication."""

    year: int
    charge: str
    f_a: Quantity
    f_p: Quantity
    ratio_published: Quantity
    a_mu_published: Quantity
    ratio: float
    ratio_sigma: float
    a_mu_1e11: float
    a_mu_sigma_1e11: float


def e821_years() -> tuple[YearResult, ...]:
    """Return the three years with published frequencies: 1999 and 2000 (μ⁺), 2001 (μ⁻)."""
    lam = published(LAMBDA_1998)
    found = []
    for year in (1999, 2000, 2001):
        group = f"experiment.e821.run{year}"
        table = published_table(group)
        f_a, f_p = table["f_a"], table["f_p"]
        ratio = float(f_a) / float(f_p)
        # The printed uncertainty of R knows the correlation of the parts that the frequencies' do not.
        sigma = table["R"].sigma
        value, error = anomaly_from_free_proton(ratio, sigma, float(lam), lam.sigma)
        found.append(
            YearResult(
                year,
                published_label(group, "charge"),
                f_a,
                f_p,
                table["R"],
                table["a_mu"],
                ratio,
                sigma,
                value * 1e11,
                error * 1e11,
            )
        )
    return tuple(found)


def e821_average() -> Combination:
    """Return the average of R over the years.

    The systematic part of each year, taken from the a_μ of that year, is common to the years: with it the printed total
    of 2.0·10⁻⁹ is met, which independent years (1.7·10⁻⁹) do not give.

    Examples
    --------
    >>> mean = e821_average()
    >>> f"{mean.value:.10f}", f"{mean.sigma * 1e9:.1f}"
    ('0.0037072064', '2.0')
    """
    years = e821_years()
    per_1e11 = years[0].ratio / years[0].a_mu_1e11
    syst = tuple((y.a_mu_published.syst or 0.0) * per_1e11 for y in years)
    stat = tuple(math.sqrt(y.ratio_sigma**2 - s**2) for y, s in zip(years, syst, strict=True))
    sources = [Source("statistics", stat, 0.0, "stat"), Source("systematics", syst, 1.0, "syst")]
    return combine([y.ratio for y in years], sources, [f"{y.year} μ{y.charge}" for y in years])
