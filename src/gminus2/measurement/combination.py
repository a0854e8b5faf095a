"""Correlated averages: every uncertainty is a named source, one source is one nuisance parameter.

The covariance of n values is V = Σ_k V_k with V_k,ij = ρ_k σ_ik σ_jk for i ≠ j and σ_ik² on the diagonal. The best
linear unbiased estimate has weights w = V⁻¹ 1 / (1ᵀ V⁻¹ 1). A fully correlated source (ρ = 1) with signed impacts
σ_ik moves the average by Σ_i w_i σ_ik per standard deviation of its nuisance parameter, which is its row in the budget.

Source: A. C. Aitken, Proc. R. Soc. Edinburgh 55, 42 (1935); ``docs/physics/measurement.md`` section 4.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2 as chi2_distribution

from gminus2.errors import PhysicsError

__all__ = ["Combination", "LeaveOneOut", "Source", "combine", "covariance", "fixed_weights"]


@dataclass(frozen=True)
class Source:
    """One source of uncertainty acting on n values.

    Attributes
    ----------
    impact
        Signed shift of each value per standard deviation, shape (n,), in the unit of the values.
    correlation
        ρ between any two values: 0 (independent) to 1 (one common nuisance parameter).
    kind
        ``stat``, ``syst`` or ``external``; for subtotals.
    """

    name: str
    impact: tuple[float, ...]
    correlation: float = 1.0
    kind: str = "syst"

    def __post_init__(self) -> None:
        if not all(math.isfinite(x) for x in self.impact):
            raise PhysicsError("the impact of an uncertainty must be finite", where=self.name, found=str(self.impact))
        if not 0.0 <= self.correlation <= 1.0:
            raise PhysicsError(
                "a correlation must lie between 0 and 1 (opposite signs go into the impacts)",
                where=self.name,
                found=str(self.correlation),
            )

    def covariance(self) -> NDArray[np.float64]:
        """Return V_k, shape (n, n)."""
        sigma = np.asarray(self.impact, dtype=np.float64)
        return np.asarray(
            self.correlation * np.outer(sigma, sigma) + (1.0 - self.correlation) * np.diag(sigma**2), dtype=np.float64
        )


@dataclass(frozen=True)
class LeaveOneOut:
    """The average without one value, its distance from the full one and the allowed distance √(σ₋ᵢ² − σ²)."""

    label: str
    value: float
    sigma: float
    shift: float
    allowed: float


@dataclass(frozen=True)
class Combination:
    """A correlated average; values and sigmas in the unit of the input.

    Attributes
    ----------
    weights
        Shape (n,), sum 1.
    pulls
        (x_i − mean)/√(V_ii − σ²): unit normal if the covariance is right.
    by_source
        Contribution of each source to the uncertainty, √(wᵀ V_k w); their quadrature is ``sigma``.
    impacts
        Signed shift per standard deviation for fully correlated sources.
    """

    labels: tuple[str, ...]
    values: NDArray[np.float64]
    covariance: NDArray[np.float64]
    weights: NDArray[np.float64]
    value: float
    sigma: float
    chi2: float
    ndf: int
    p_value: float
    pulls: NDArray[np.float64]
    by_source: Mapping[str, float]
    by_kind: Mapping[str, float]
    impacts: Mapping[str, float]
    leave_one_out: tuple[LeaveOneOut, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values under stable keys."""
        return {
            "value": self.value,
            "uncertainty": self.sigma,
            "chi2": self.chi2,
            "ndf": self.ndf,
            "p_value": self.p_value,
            "labels": list(self.labels),
            "values": self.values.tolist(),
            "weights": self.weights.tolist(),
            "pulls": self.pulls.tolist(),
            "covariance": self.covariance.tolist(),
            "by_source": dict(self.by_source),
            "by_kind": dict(self.by_kind),
            "impacts": dict(self.impacts),
            "leave_one_out": [vars(item) for item in self.leave_one_out],
        }


def covariance(sources: Sequence[Source], n: int) -> NDArray[np.float64]:
    """Return V = Σ V_k of n values.

    Raises
    ------
    PhysicsError
        A source with another number of impacts, two sources of one name, or a matrix that is not positive definite.
    """
    names = [source.name for source in sources]
    if len(set(names)) != len(names):
        raise PhysicsError("two sources of uncertainty have the same name", found=", ".join(names))
    total = np.zeros((n, n))
    for source in sources:
        if len(source.impact) != n:
            raise PhysicsError(
                "a source needs one impact per value", where=source.name, expected=str(n), found=str(len(source.impact))
            )
        total += source.covariance()
    scale = np.sqrt(np.diag(total))
    if (scale <= 0).any() or np.linalg.eigvalsh(total / np.outer(scale, scale)).min() < 1e-12:
        raise PhysicsError(
            "the covariance of the values is singular: some combination would have no uncertainty",
            hint="give every value an uncorrelated (statistical) uncertainty, or combine fewer values",
        )
    return total


def combine(values: ArrayLike, sources: Sequence[Source], labels: Sequence[str]) -> Combination:
    """Return the best linear unbiased average of values with common and separate uncertainties.

    Parameters
    ----------
    values
        Shape (n,), n ≥ 1.
    sources
        All uncertainties, each under its own name.

    Examples
    --------
    >>> stat = Source("stat", (54.0, 63.0), correlation=0.0, kind="stat")
    >>> world = combine([116592040, 116592089], [stat], ["FNAL", "BNL"])
    >>> round(world.value - 116592000, 2), round(world.sigma, 1)
    (60.75, 41.0)
    """
    x = np.asarray(values, dtype=np.float64)
    if len(labels) != len(x):
        raise PhysicsError("every value needs a label", expected=str(len(x)), found=str(len(labels)))
    total = covariance(sources, len(x))
    inverse_one = np.linalg.solve(total, np.ones(len(x)))
    weights = inverse_one / inverse_one.sum()
    return _averaged(x, sources, tuple(labels), total, weights)


def fixed_weights(
    values: ArrayLike, sources: Sequence[Source], labels: Sequence[str], weights: ArrayLike
) -> Combination:
    """Return the average with given weights (normalised), with the same diagnostics as :func:`combine`."""
    x = np.asarray(values, dtype=np.float64)
    w = np.asarray(weights, dtype=np.float64)
    return _averaged(x, sources, tuple(labels), covariance(sources, len(x)), w / w.sum())


def _averaged(
    x: NDArray[np.float64],
    sources: Sequence[Source],
    labels: tuple[str, ...],
    total: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> Combination:
    n = len(x)
    # Differences first: the values may agree in their first eight digits.
    origin = float(x[0])
    mean = origin + float(weights @ (x - origin))
    variance = float(weights @ total @ weights)
    residual = x - mean
    chi2 = float(residual @ np.linalg.solve(total, residual))
    spread = np.diag(total) - 2.0 * total @ weights + variance
    pulls = np.divide(residual, np.sqrt(np.maximum(spread, 0.0)), out=np.zeros(n), where=spread > 1e-12 * variance)
    by_source = {s.name: math.sqrt(max(float(weights @ s.covariance() @ weights), 0.0)) for s in sources}
    kinds = {s.kind: 0.0 for s in sources}
    for source in sources:
        kinds[source.kind] = math.hypot(kinds[source.kind], by_source[source.name])
    return Combination(
        labels=labels,
        values=x,
        covariance=total,
        weights=weights,
        value=mean,
        sigma=math.sqrt(variance),
        chi2=chi2,
        ndf=n - 1,
        p_value=float(chi2_distribution.sf(chi2, n - 1)) if n > 1 else 1.0,
        pulls=pulls,
        by_source=by_source,
        by_kind=kinds,
        impacts={s.name: float(weights @ np.asarray(s.impact)) for s in sources if s.correlation == 1.0},
        leave_one_out=_leave_one_out(x, total, labels, mean, variance) if n > 1 else (),
    )


def _leave_one_out(
    x: NDArray[np.float64], total: NDArray[np.float64], labels: tuple[str, ...], mean: float, variance: float
) -> tuple[LeaveOneOut, ...]:
    found = []
    for i, label in enumerate(labels):
        keep = np.arange(len(x)) != i
        inverse_one = np.linalg.solve(total[np.ix_(keep, keep)], np.ones(len(x) - 1))
        weights = inverse_one / inverse_one.sum()
        sigma2 = 1.0 / float(inverse_one.sum())
        value = x[0] + float(weights @ (x[keep] - x[0]))
        found.append(LeaveOneOut(label, value, math.sqrt(sigma2), value - mean, math.sqrt(max(sigma2 - variance, 0.0))))
    return tuple(found)
