"""The result of one dataset: ω̃'_p at T_r, B_k, B_q and an itemised budget; written as JSON and read back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gminus2.data import Provenance, read_result, write_result
from gminus2.errors import DataError

__all__ = ["BudgetRow", "FieldResult", "budget_table", "read_field_results", "write_field_results"]

_KIND = "field"


@dataclass(frozen=True)
class BudgetRow:
    """One named source of uncertainty.

    Attributes
    ----------
    name
        Stable key, the same in all datasets.
    sigma_ppb
        One standard uncertainty.
    correlated
        Whether the source is common to all datasets (one nuisance) or independent.
    group
        ``field`` (within ω̃'_p) or ``transient``.
    label
        What it is, for tables.
    status
        Weakest verification status of the inputs behind it.
    """

    name: str
    sigma_ppb: float
    correlated: bool
    group: str
    label: str
    status: str = "computed"


def _quadrature(rows: Iterable[BudgetRow]) -> float:
    return math.sqrt(sum(row.sigma_ppb**2 for row in rows))


@dataclass(frozen=True)
class FieldResult:
    """ω̃'_p of a dataset.

    Attributes
    ----------
    f_p_hz
        ω̃'_p/2π [Hz] of the shielded proton at ``reference_temperature_c``, on the recorded scale: while ``blinded`` it
        carries the sealed factor. B_k and B_q are not applied; R' divides by f_p (1 + B_k + B_q).
    b_k_ppb, b_q_ppb, b_k_decay_mean_ppb, b_q_decay_mean_ppb
        Transients as the fit sees them, and with the decay-weighted mean.
    budget
        All sources.
    details
        Diagnostics with plain values.
    warnings
        What a reader must know before using the number.
    """

    name: str
    f_p_hz: float
    reference_temperature_c: float
    blinded: bool
    b_k_ppb: float
    b_q_ppb: float
    b_k_decay_mean_ppb: float
    b_q_decay_mean_ppb: float
    budget: tuple[BudgetRow, ...]
    details: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def row(self, name: str) -> BudgetRow:
        """Return a source by its key."""
        for row in self.budget:
            if row.name == name:
                return row
        raise DataError(f"no budget row '{name}'", found=", ".join(row.name for row in self.budget))

    @property
    def sigma_field_ppb(self) -> float:
        """Uncertainty of ω̃'_p without transients."""
        return _quadrature(row for row in self.budget if row.group == "field")

    @property
    def sigma_transient_ppb(self) -> float:
        """Uncertainty of B_k + B_q."""
        return _quadrature(row for row in self.budget if row.group == "transient")

    @property
    def sigma_total_ppb(self) -> float:
        """Everything."""
        return _quadrature(self.budget)

    @property
    def sigma_hz(self) -> float:
        """Uncertainty of ``f_p_hz`` without transients [Hz]."""
        return self.sigma_field_ppb * 1e-9 * self.f_p_hz

    def unblinded(self, offset: float) -> FieldResult:
        """Return the result with the sealed factor 1 + ``offset`` taken out."""
        if not self.blinded:
            raise DataError("this result is not blinded", where=self.name)
        values = {k: getattr(self, k) for k in self.__dataclass_fields__}
        return FieldResult(**{**values, "f_p_hz": self.f_p_hz / (1.0 + offset), "blinded": False})

    def to_json(self) -> dict[str, Any]:
        """Return plain values with the sums beside the rows."""
        return {
            **asdict(self),
            "sigma_field_ppb": self.sigma_field_ppb,
            "sigma_transient_ppb": self.sigma_transient_ppb,
            "sigma_total_ppb": self.sigma_total_ppb,
            "sigma_hz": self.sigma_hz,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> FieldResult:
        """Rebuild a result written by :meth:`to_json`."""
        values = {k: raw[k] for k in cls.__dataclass_fields__}
        values["budget"] = tuple(BudgetRow(**row) for row in raw["budget"])
        values["warnings"] = tuple(raw["warnings"])
        return cls(**values)


def write_field_results(path: Path, results: Iterable[FieldResult], provenance: Provenance, **more: Any) -> None:
    """Write the results of a campaign to one JSON file."""
    write_result(path, _KIND, {**more, "datasets": [result.to_json() for result in results]}, provenance)


def read_field_results(path: Path) -> list[FieldResult]:
    """Read results written by :func:`write_field_results`."""
    document = read_result(path, _KIND)
    try:
        return [FieldResult.from_json(raw) for raw in document["datasets"]]
    except (KeyError, TypeError) as error:
        raise DataError(f"the field result is incomplete ({error})", where=str(path)) from None


def budget_table(results: list[FieldResult]) -> list[tuple[str, bool, list[float]]]:
    """Return (label, correlated, σ per dataset [ppb]) for every source, then the sums."""
    if not results:
        return []
    table = [(row.label, row.correlated, [r.row(row.name).sigma_ppb for r in results]) for row in results[0].budget]
    return [
        *table,
        ("field without transients", False, [r.sigma_field_ppb for r in results]),
        ("transients", True, [r.sigma_transient_ppb for r in results]),
        ("total", False, [r.sigma_total_ppb for r in results]),
    ]
