"""A correction of ω_a with its uncertainty rows, as the published tables list them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gminus2.errors import DataError

__all__ = ["Correction", "covariance_of_datasets"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Correction:
    """ω_a(true) = ω_a(measured)(1 + ΣC).

    Attributes
    ----------
    name
        ``C_e``, ``C_p``, ``C_ml``, ``C_pa`` or ``C_dd``.
    value_ppb
        The correction.
    rows_ppb
        Uncertainty rows by name, standard deviations.
    combine
        How the systematic rows add to each other: ``quadrature`` or ``linear``; ``statistics`` is always in quadrature.
    parts_ppb
        What the value is made of, where it is a sum.
    notes
        What a reader must know.
    """

    name: str
    value_ppb: float
    rows_ppb: Mapping[str, float]
    combine: Literal["quadrature", "linear"] = "quadrature"
    parts_ppb: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for key, value in {"value": self.value_ppb, **self.rows_ppb}.items():
            if not math.isfinite(value):
                raise DataError(f"{self.name} has no finite {key}", hint="the input does not determine it")

    @property
    def uncertainty_ppb(self) -> float:
        """The total standard uncertainty."""
        systematic = [abs(v) for k, v in self.rows_ppb.items() if k != "statistics"]
        joined = sum(systematic) if self.combine == "linear" else math.hypot(*systematic)
        return math.hypot(joined, self.rows_ppb.get("statistics", 0.0))

    def to_json(self) -> dict[str, Any]:
        """Return plain values under stable keys."""
        return {
            "value_ppb": self.value_ppb,
            "uncertainty_ppb": self.uncertainty_ppb,
            "rows_ppb": dict(self.rows_ppb),
            "combine": self.combine,
            "parts_ppb": dict(self.parts_ppb),
            "notes": list(self.notes),
        }


def covariance_of_datasets(corrections: Sequence[Correction]) -> FloatArray:
    """Return the covariance [ppb²] of one correction over datasets: statistics independent, systematics in common.

    The systematic rows stem from the same method and the same detectors, so they are fully correlated between
    datasets (the published combination treats them so).
    """
    systematic = [
        math.sqrt(max(c.uncertainty_ppb**2 - c.rows_ppb.get("statistics", 0.0) ** 2, 0.0)) for c in corrections
    ]
    statistical = [c.rows_ppb.get("statistics", 0.0) for c in corrections]
    matrix: FloatArray = np.outer(systematic, systematic) + np.diag(np.square(statistical))
    return matrix
