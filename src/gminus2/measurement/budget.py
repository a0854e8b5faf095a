"""The uncertainty budget: correction and uncertainty per row, totals, and the impact of each source on the result.

Source of the layout: the final table of the Run-1 letter, PRL 126, 141801.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from gminus2.constants import Quantity, Status, published_table, weakest_status
from gminus2.measurement.anomaly import ConversionFactor
from gminus2.measurement.combination import Combination
from gminus2.measurement.datasets import Dataset

__all__ = [
    "ROW_LABELS",
    "BudgetRow",
    "budget_of_combination",
    "budget_totals",
    "has_correction",
    "published_budget",
    "row_kind",
]

#: Row name → how a table prints it.
ROW_LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "omega_a_stat": "ω_a (statistical)",
        "omega_a_syst": "ω_a (systematic)",
        "C_e": "C_e electric field",
        "C_p": "C_p pitch",
        "C_ml": "C_ml muon loss",
        "C_pa": "C_pa phase acceptance",
        "C_dd": "C_dd differential decay",
        "field": "field ⟨ω'_p × M⟩",
        "field_mapping": "field mapping",
        "field_calibration": "field calibration",
        "field_transients": "field transients",
        "B_k": "B_k kicker transient",
        "B_q": "B_q quadrupole transient",
        "mu_p_shielded": "μ'_p(T_r)/μ_e",
        "mu_e_H_over_mu_e": "μ_e(H)/μ_e",
        "m_mu_over_m_e": "m_μ/m_e",
        "g_e": "g_e/2",
        "total_syst": "total systematic",
        "total_external": "total external",
        "total": "total",
    }
)

_EXTERNAL: Final = ("mu_p_shielded", "mu_e_H_over_mu_e", "m_mu_over_m_e", "g_e")
_TOTALS: Final = ("total_syst", "total_external", "total")


@dataclass(frozen=True)
class BudgetRow:
    """One line of the budget [ppb]. ``correction_ppb`` is the term itself (B terms enter R' with a minus sign)."""

    name: str
    kind: str
    correction_ppb: float | None
    uncertainty_ppb: float
    status: Status

    @property
    def label(self) -> str:
        """How a table prints the row."""
        return ROW_LABELS.get(self.name, self.name.replace("_", " "))

    def to_json(self, scale_1e11: float | None = None) -> dict[str, Any]:
        """Return plain values; with a_μ in 10⁻¹¹ as ``scale_1e11`` also the impact on a_μ per standard deviation."""
        row = {
            "name": self.name,
            "label": self.label,
            "kind": self.kind,
            "correction_ppb": self.correction_ppb,
            "uncertainty_ppb": self.uncertainty_ppb,
            "status": self.status,
        }
        if scale_1e11 is not None:
            row["impact_1e11"] = scale_1e11 * self.uncertainty_ppb * 1e-9
        return row


def row_kind(name: str) -> str:
    """Return ``stat``, ``syst``, ``external`` or ``total`` of a budget row by its name."""
    if name in _TOTALS:
        return "total"
    if name in _EXTERNAL:
        return "external"
    return "stat" if name.endswith("_stat") else "syst"


def has_correction(name: str) -> bool:
    """Return whether a row corrects R' (C and B terms, and the total) or only carries an uncertainty."""
    return name.startswith(("C_", "B_")) or name == "total"


def published_budget(group: str) -> list[BudgetRow]:
    """Return the rows of a published summary table, totals included, e.g. ``experiment.e989.run1.summary``."""
    return [
        BudgetRow(
            name, row_kind(name), float(quantity) if has_correction(name) else None, quantity.sigma, quantity.status
        )
        for name, quantity in published_table(group).items()
    ]


def budget_of_combination(
    datasets: Sequence[Dataset],
    combination: Combination,
    factor: ConversionFactor | None,
    terms: Mapping[str, Quantity] | None = None,
) -> list[BudgetRow]:
    """Return the budget of a combined result.

    Parameters
    ----------
    factor
        K, for the external rows; ``None`` where the result stops before a_μ.
    terms
        Corrections of the whole run, used where a correction is not known per dataset. B_k and B_q are contained in the
        proton frequencies: they are listed, and their uncertainty is part of ``field`` and not counted twice.
    """
    status = weakest_status(dataset.status for dataset in datasets)
    terms = terms or {}
    rows = []
    for name, sigma in combination.by_source.items():
        single = [dataset.corrections_ppb.get(name) for dataset in datasets]
        correction: float | None = None
        if all(t is not None for t in single):
            correction = float(sum(w * t for w, t in zip(combination.weights, single, strict=True) if t is not None))
        elif name in terms:
            correction = float(terms[name])
        rows.append(BudgetRow(name, row_kind(name), correction, sigma, status))
    for name, quantity in terms.items():
        if name.startswith("B_"):
            rows.append(BudgetRow(name, "in field", float(quantity), quantity.sigma, quantity.status))
    if factor is not None:
        rows += [
            BudgetRow(name, "external", None, sigma, factor.status)
            for name, sigma in factor.parts_ppb.items()
            if sigma > 0
        ]
    return rows + budget_totals(rows)


def budget_totals(rows: Sequence[BudgetRow]) -> list[BudgetRow]:
    """Return total systematic, total external and total of the rows.

    The total correction counts B terms with a minus sign: Run-1 489 + 180 − 11 − 158 − (−27) − (−17) = 544.

    Examples
    --------
    >>> rows = [row for row in published_budget("experiment.e989.run1.summary") if row.kind != "total"]
    >>> [(round(row.correction_ppb or 0), round(row.uncertainty_ppb)) for row in budget_totals(rows)]
    [(0, 157), (0, 24), (544, 462)]
    """
    terms = [row for row in rows if row.kind != "total"]

    def quadrature(*kinds: str) -> float:
        return math.hypot(*(row.uncertainty_ppb for row in terms if row.kind in kinds))

    correction = sum(
        (-row.correction_ppb if row.name.startswith("B_") else row.correction_ppb)
        for row in terms
        if row.correction_ppb is not None
    )
    has_external = any(row.kind == "external" for row in terms)
    totals = [BudgetRow("total_syst", "total", None, quadrature("syst"), weakest_status(r.status for r in terms))]
    if has_external:
        totals.append(
            BudgetRow("total_external", "total", None, quadrature("external"), weakest_status(r.status for r in terms))
        )
    total = quadrature("stat", "syst", "external")
    return [*totals, BudgetRow("total", "total", correction, total, weakest_status(r.status for r in terms))]
