"""One quadrature rule for all loop integrals over the unit interval.

With x = 1/(1 + e⁻ʸ) and o = 1 − x = 1/(1 + eʸ) the trapezoid in y converges exponentially, also where the integrand has
an end-point layer of width (m/M)². The integrand gets x *and* o, so that it never has to form 1 − x and lose digits.
Source: ``docs/physics/theory.md``, section Numerics.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["gauss_legendre", "unit_integral", "unit_nodes"]

Array = NDArray[np.float64]

_STEP = 0.2
_REACH = 60.0


@cache
def unit_nodes() -> tuple[Array, Array, Array]:
    """Return (x, 1 − x, weight), shape (601,), of the rule on [0, 1]; read-only."""
    y = np.arange(-_REACH, _REACH + _STEP / 2, _STEP)
    x, o = 1.0 / (1.0 + np.exp(-y)), 1.0 / (1.0 + np.exp(y))
    weight = _STEP * x * o
    for array in (x, o, weight):
        array.setflags(write=False)
    return x, o, weight


def unit_integral(f: Callable[[Array, Array], Array]) -> float:
    """Return ∫₀¹ f(x, 1 − x) dx for an integrand that is analytic inside the interval.

    Parameters
    ----------
    f
        Called once with the nodes x and o = 1 − x, shape (601,).

    Examples
    --------
    >>> round(unit_integral(lambda x, o: x * o), 12)
    0.166666666667
    """
    x, o, weight = unit_nodes()
    return float(np.dot(weight, f(x, o)))


@cache
def gauss_legendre(order: int) -> tuple[Array, Array]:
    """Return nodes and weights of the Gauss–Legendre rule on [0, 1]; read-only."""
    node, weight = np.polynomial.legendre.leggauss(order)
    x, w = 0.5 * (node + 1.0), 0.5 * weight
    x.setflags(write=False)
    w.setflags(write=False)
    return x, w
