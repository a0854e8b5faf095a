"""Does the result depend on how it was made: R'_μ by each analysis of ω_a beside what their correlation allows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

__all__ = ["MethodShift", "shifts_by_method"]


@dataclass(frozen=True)
class MethodShift:
    """The average over all datasets made with one analysis of ω_a in place of the chosen mean.

    Attributes
    ----------
    shift_ppb
        By how much R' moves.
    allowed_ppb
        One standard deviation of that shift: the analyses share most of their positrons.
    statistical_ppb
        Statistical error of R' by this analysis alone.
    """

    name: str
    method: str
    shift_ppb: float
    allowed_ppb: float
    statistical_ppb: float

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def shifts_by_method(omega: Sequence[Mapping[str, Any]], weights: Iterable[float]) -> list[MethodShift]:
    """Return the shift of R' by every analysis that all datasets have.

    With C the statistical covariance of the analyses of a dataset and w the weights of the chosen mean, analysis m
    differs from it with variance C_mm − 2 (Cw)_m + wᵀCw. Datasets are independent and keep their weights W in the
    average: shift = Σ_d W_d (R_m − R_mean)_d, variance Σ_d W_d² var_d. Corrections and field are common and cancel.

    Parameters
    ----------
    omega
        ω_a per dataset as :meth:`gminus2.precession.campaign.DatasetOmegaA.to_json` writes it.
    weights
        Of the datasets in the average.
    """
    names = [name for name in omega[0]["order"] if all(name in one["order"] for one in omega)]
    shares = list(weights)
    found = []
    for name in names:
        shift = variance = own = 0.0
        for one, weight in zip(omega, shares, strict=True):
            order = list(one["order"])
            covariance = 1e-6 * np.asarray(one["covariance_statistical_ppb2"])  # ppm²
            chosen = np.array([float(one["combined_from"].get(other, 0.0)) for other in order])
            k = order.index(name)
            difference = float(covariance[k, k] - 2.0 * (covariance @ chosen)[k] + chosen @ covariance @ chosen)
            shift += weight * (one["analyses"][name]["R_ppm"]["value"] - one["R_ppm"]["value"])
            variance += weight**2 * max(difference, 0.0)
            own += weight**2 * float(covariance[k, k])
        method = str(omega[0]["analyses"][name]["method"])
        found.append(MethodShift(name, method, 1e3 * shift, 1e3 * math.sqrt(variance), 1e3 * math.sqrt(own)))
    return found
