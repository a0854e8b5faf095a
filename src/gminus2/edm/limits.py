"""Limits on |d_μ|: Feldman–Cousins for the modulus of a Gaussian estimate, sensitivity, and the scaling with tracks.

The estimate d̂ is Gaussian about d; the sign carries no meaning for a limit on the modulus, so x = |d̂|/σ follows the
folded normal law. Intervals order x by the likelihood ratio (Feldman and Cousins 1998), which never gives an empty
interval and decides by itself between a limit and a two-sided interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from gminus2.errors import PhysicsError

__all__ = ["ModulusInterval", "median_limit", "modulus_interval", "tracks_for_limit"]

Array = NDArray[np.float64]

_X = np.linspace(0.0, 14.0, 5601)
_MU = np.linspace(0.0, 9.0, 1801)


@dataclass(frozen=True)
class ModulusInterval:
    """Interval of |d| in the unit of the estimate; ``lower`` is 0 for a limit."""

    lower: float
    upper: float
    level: float


def _density(x: Array, mu: float) -> Array:
    result: Array = (np.exp(-0.5 * (x - mu) ** 2) + np.exp(-0.5 * (x + mu) ** 2)) / math.sqrt(2.0 * math.pi)
    return result


@cache
def _belt(level: float) -> tuple[Array, Array]:
    """Return for each μ of the grid the accepted range of x."""
    # The best μ for a given x: 0 up to x = 1, then the maximum of the folded law.
    best = np.max([_density(_X, float(mu)) for mu in np.linspace(0.0, 14.0, 1401)], axis=0)
    step = _X[1] - _X[0]
    low, high = np.empty_like(_MU), np.empty_like(_MU)
    for i, mu in enumerate(_MU):
        density = _density(_X, float(mu))
        order = np.argsort(-density / best, kind="stable")
        cumulative = np.cumsum(density[order]) * step
        taken = _X[order[: int(np.searchsorted(cumulative, level)) + 1]]
        low[i], high[i] = taken.min(), taken.max()
    return low, high


def modulus_interval(estimate: float, sigma: float, *, level: float = 0.95) -> ModulusInterval:
    """Return the Feldman–Cousins interval of |d| for a Gaussian estimate.

    Parameters
    ----------
    estimate, sigma
        d̂ and its total standard uncertainty, in any unit.

    Raises
    ------
    PhysicsError
        σ is not positive, the level is not between 0.5 and 0.999.

    Examples
    --------
    >>> round(modulus_interval(-0.1, 0.9).upper, 1)      # the estimate of E821 in 1e-19 e·cm
    1.7
    """
    if not (sigma > 0 and math.isfinite(estimate) and 0.5 <= level <= 0.999):
        raise PhysicsError(
            "a limit needs an estimate with positive uncertainty", found=f"{estimate} ± {sigma}, {level}"
        )
    x = abs(estimate) / sigma
    if x > 4.0:
        # The folded law is Gaussian there.
        quantile = _two_sided(level)
        return ModulusInterval((x - quantile) * sigma, (x + quantile) * sigma, level)
    low, high = _belt(level)
    inside = np.flatnonzero((low <= x) & (x <= high))
    return ModulusInterval(float(_MU[inside[0]]) * sigma, float(_MU[inside[-1]]) * sigma, level)


def _two_sided(level: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(0.5 * (1.0 + level)))


def median_limit(sigma: float, *, level: float = 0.95) -> float:
    """Return the median upper limit on |d| where d = 0: the limit at x = 0.6745, the median of the folded law."""
    return modulus_interval(0.6744897501960817 * sigma, sigma, level=level).upper


def tracks_for_limit(
    target: float, sigma: float, tracks: int, *, systematic: float = 0.0, level: float = 0.95
) -> float:
    """Return how many tracks give a median limit of ``target``; inf where systematics forbid it.

    Parameters
    ----------
    target, sigma, systematic
        In one unit; ``sigma`` is statistical at ``tracks`` and falls like 1/√N.
    """
    needed = target / median_limit(1.0, level=level)
    if needed <= systematic:
        return math.inf
    return tracks * sigma**2 / (needed**2 - systematic**2)
