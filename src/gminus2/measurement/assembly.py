"""Stages put together: ω_a, corrections, field and transients of each dataset with one named nuisance per source.

R'_μ = ω_a^m (1 + ΣC) / { f'_p (1 + B_k + B_q) }. A source that several datasets share is one nuisance parameter
(ρ = 1); statistical parts are independent (ρ = 0).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gminus2.constants import Status, weakest_status
from gminus2.errors import ConfigError, nearest
from gminus2.measurement.anomaly import ConversionFactor
from gminus2.measurement.budget import BudgetRow, budget_totals
from gminus2.measurement.combination import Combination, Source, combine
from gminus2.measurement.ratio import FrequencyRatio, ShieldedFrequency, common_temperature, ratio_of_measurement

__all__ = ["MeasuredDataset", "Term", "budget_of_measurement", "combine_measured"]


@dataclass(frozen=True)
class Term:
    """One uncertainty of a dataset's R'.

    Attributes
    ----------
    name
        The nuisance parameter; the same name in two datasets is the same one.
    row
        Row of the budget it belongs to.
    sigma_ppb
        Shift of R' per standard deviation.
    correlated
        Common to all datasets, or each dataset's own.
    """

    name: str
    row: str
    sigma_ppb: float
    correlated: bool = True
    kind: str = "syst"


@dataclass(frozen=True)
class MeasuredDataset:
    """What the stages found of one dataset; frequencies as recorded, the hidden offsets of clock and field in them."""

    label: str
    f_a_hz: float
    f_p_hz: float
    t_r_c: float
    corrections_ppb: Mapping[str, float]
    transients_ppb: Mapping[str, float]
    terms: tuple[Term, ...]
    status: Status = "unverified"

    @property
    def sigma_ppb(self) -> float:
        """Total relative uncertainty of R'."""
        return math.hypot(*(term.sigma_ppb for term in self.terms))

    def sigma_of_ppb(self, *rows: str) -> float:
        """Relative uncertainty from the terms of some budget rows."""
        return math.hypot(*(term.sigma_ppb for term in self.terms if term.row in rows))

    @property
    def f_a_corrected_hz(self) -> float:
        """ω_a/2π with the beam corrections."""
        return self.f_a_hz * (1.0 + 1e-9 * sum(self.corrections_ppb.values()))

    def ratio(self) -> FrequencyRatio:
        """Return R'_μ with the quadrature of all terms."""
        field = ShieldedFrequency(self.f_p_hz, 0.0, self.t_r_c)
        value = ratio_of_measurement(self.f_a_hz, self.corrections_ppb, field, self.transients_ppb).value
        return FrequencyRatio(value, value * self.sigma_ppb * 1e-9, self.t_r_c)


def _sources(
    datasets: Sequence[MeasuredDataset], model: str, correlations: Mapping[str, float]
) -> tuple[tuple[Source, ...], dict[str, str]]:
    found: dict[str, Term] = {}
    for dataset in datasets:
        for term in dataset.terms:
            found.setdefault(term.name, term)
    if model not in ("systematics-correlated", "statistics-only", "uncorrelated"):
        raise ConfigError(
            f"the correlation model '{model}' is one of published inputs",
            expected="systematics-correlated, statistics-only or uncorrelated",
        )
    for name in correlations:
        if name not in found:
            raise ConfigError(f"a correlation is given for the unknown source '{name}'", hint=nearest(name, found))
    sources = []
    for name, first in found.items():
        if model == "statistics-only" and first.kind != "stat":
            continue
        impact = tuple(sum(t.sigma_ppb for t in d.terms if t.name == name) for d in datasets)
        rho = correlations.get(name, 1.0 if first.correlated and model != "uncorrelated" else 0.0)
        sources.append(Source(name, impact, rho, first.kind))
    return tuple(sources), {name: term.row for name, term in found.items()}


def combine_measured(
    datasets: Sequence[MeasuredDataset],
    model: str = "systematics-correlated",
    correlations: Mapping[str, float] | None = None,
) -> tuple[FrequencyRatio, Combination, dict[str, str]]:
    """Return the best linear unbiased average, the combination behind it, and the budget row of each source.

    Raises
    ------
    ConfigError
        A correlation of an unknown source, or a model for published inputs.
    PhysicsError
        Unequal reference temperatures.
    """
    common_temperature([d.ratio() for d in datasets], where="the datasets of the campaign")
    single = [d.ratio() for d in datasets]
    origin = single[0].value
    deviations = [(ratio.value / origin - 1.0) * 1e9 for ratio in single]
    sources, rows = _sources(datasets, model, correlations or {})
    combination = combine(deviations, sources, [d.label for d in datasets])
    mean = origin * (1.0 + combination.value * 1e-9)
    return FrequencyRatio(mean, mean * combination.sigma * 1e-9, single[0].t_r_c), combination, rows


def budget_of_measurement(
    datasets: Sequence[MeasuredDataset],
    combination: Combination,
    rows: Mapping[str, str],
    factor: ConversionFactor | None,
) -> list[BudgetRow]:
    """Return the budget: a row per correction, ω_a, field and transient, the external constants, and totals."""
    status = weakest_status(d.status for d in datasets)
    sigmas: dict[str, float] = {}
    kinds: dict[str, str] = {}
    for name, sigma in combination.by_source.items():
        row = rows[name]
        sigmas[row] = math.hypot(sigmas.get(row, 0.0), sigma)
        kinds[row] = "stat" if row.endswith("_stat") else "syst"
    result = []
    for row, sigma in sigmas.items():
        values = [d.corrections_ppb.get(row, d.transients_ppb.get(row)) for d in datasets]
        correction = None
        if all(v is not None for v in values):
            correction = float(np.dot(combination.weights, np.array(values, dtype=np.float64)))
        result.append(BudgetRow(row, kinds[row], correction, sigma, status))
    if factor is not None:
        result += [
            BudgetRow(name, "external", None, sigma, factor.status)
            for name, sigma in factor.parts_ppb.items()
            if sigma > 0
        ]
    return result + budget_totals(result)
