"""The statistic of a block of bins: its value, and the weights of gradient and curvature.

For a statistic D(μ) the engine needs half its slope, ½ dD/dμ, and its expected curvature, ½⟨d²D/dμ²⟩, per bin:

============  ========================================  =====================  =========
name          D                                         ½ dD/dμ                curvature
============  ========================================  =====================  =========
``poisson``   2 Σ μ[(1 + x)ln(1 + x) - x], x = n/μ - 1  1 - n/μ                1/μ
``pearson``   Σ (n - μ)²/μ                              ½(1 - n²/μ²)           1/μ
``neyman``    Σ (n - μ)²/n                              (μ - n)/n              1/n
``weighted``  Σ (n - μ)²/σ²                             (μ - n)/σ²             1/σ²
============  ========================================  =====================  =========

The deviance is summed as written, not as μ - n ln μ: at 10⁹ counts the latter loses 2e-5 of it. Bins without variance
(``neyman``: empty bins) carry no weight and do not count in the degrees of freedom.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gminus2.precession.arrays import Floats
from gminus2.precession.fitting.settings import StatisticName

__all__ = ["STATISTIC_KINDS", "block_statistic", "poisson_deviance"]

_POISSON, _WEIGHTED, _PEARSON = 0, 1, 2
#: Kernel code of each statistic; Neyman is weighted with σ² = n.
STATISTIC_KINDS: Final[dict[StatisticName, int]] = {
    "poisson": _POISSON,
    "neyman": _WEIGHTED,
    "weighted": _WEIGHTED,
    "pearson": _PEARSON,
}

_MATH = {"reassoc", "contract", "arcp", "nsz"}
# |n/μ - 1| below which the series is exact to rounding (its first dropped term is 2e-16 of the sum).
_SERIES = 0.01


@njit(cache=True, nogil=True, fastmath=_MATH)
def block_statistic(kind: int, n: Floats, w: Floats, mu: Floats, size: int, slope: Floats, curvature: Floats) -> float:
    """Return the statistic of ``size`` bins and fill the slope and curvature weights.

    Parameters
    ----------
    n, w
        Counts, and 1/σ² for the weighted kind.

    Returns
    -------
    float
        Infinity where the model is not positive but must be.
    """
    total = 0.0
    if kind == _WEIGHTED:
        for k in range(size):
            d = mu[k] - n[k]
            slope[k] = w[k] * d
            curvature[k] = w[k]
            total += w[k] * d * d
        return total
    positive = 0.0
    for k in range(size):
        positive += 1.0 if mu[k] > 0.0 else 0.0
    if positive < size:
        return np.inf
    if kind == _PEARSON:
        for k in range(size):
            inverse = 1.0 / mu[k]
            x = n[k] * inverse
            slope[k] = 0.5 * (1.0 - x * x)
            curvature[k] = inverse
            d = n[k] - mu[k]
            total += d * d * inverse
        return total
    # With x = n/μ - 1: n ln(n/μ) - (n - μ) = μ[(1 + x) ln(1 + x) - x], for small x a series without cancellation.
    far = 0.0
    for k in range(size):
        inverse = 1.0 / mu[k]
        x = n[k] * inverse - 1.0
        slope[k] = -x
        curvature[k] = inverse
        far += 1.0 if abs(x) >= _SERIES else 0.0
        series = 1.0 / 12.0 - x * (0.05 - x * (1.0 / 30.0 - x * (1.0 / 42.0 - x * (1.0 / 56.0 - x / 72.0))))
        total += mu[k] * x * x * (0.5 - x * (1.0 / 6.0 - x * series))
    if far == 0.0:
        return 2.0 * total
    total = 0.0
    for k in range(size):
        x = (n[k] - mu[k]) / mu[k]
        if abs(x) < _SERIES:
            series = 1.0 / 12.0 - x * (0.05 - x * (1.0 / 30.0 - x * (1.0 / 42.0 - x * (1.0 / 56.0 - x / 72.0))))
            total += mu[k] * x * x * (0.5 - x * (1.0 / 6.0 - x * series))
        elif n[k] > 0.0:
            total += n[k] * np.log1p(x) - (n[k] - mu[k])
        else:
            total += mu[k]
    return 2.0 * total


def poisson_deviance(counts: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    """Return the Poisson deviance of counts given their expectation (any shape, expectation positive).

    >>> poisson_deviance(np.array([0.0, 4.0]), np.array([1.0, 4.0]))
    2.0
    """
    n = np.ascontiguousarray(counts, dtype=np.float64).ravel()
    mu = np.ascontiguousarray(expected, dtype=np.float64).ravel()
    unused = np.empty(n.size)
    return float(block_statistic(_POISSON, n, unused, mu, n.size, unused, np.empty(n.size)))
