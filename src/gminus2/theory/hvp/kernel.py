"""The kernel K(s) of the leading-order dispersion integral.

a_μ(HVP, LO) = (α²/3π²) ∫ (ds/s) K(s) R(s), K(s) = ∫₀¹ dx x²(1−x)/[x² + (1−x) s/m_μ²] (Brodsky and de Rafael 1968).
The closed forms below are arranged so that they keep 13 digits from the π⁰γ threshold to 10 TeV and at s = 4m²:
``docs/physics/theory.md``, section Dispersion integral.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gminus2.errors import PhysicsError
from gminus2.theory.parameters import parameters

__all__ = ["kernel"]

Array = NDArray[np.float64]


def kernel(s: ArrayLike) -> Array:
    """Return K(s) for s in GeV², shape of ``s``.

    Raises
    ------
    PhysicsError
        A value of s is not positive and finite.

    Examples
    --------
    >>> f"{float(kernel(1.0)):.10f}"
    '0.0033952542'
    """
    values = np.asarray(s, dtype=np.float64)
    t = np.atleast_1d(values) / parameters().m_mu ** 2
    if not (np.isfinite(t).all() and (t > 0).all()):
        raise PhysicsError("the kernel needs positive finite s", expected="GeV²", found=str(values))
    result = np.empty_like(t)
    low = t < 4.0
    if low.any():
        result[low] = _below(t[low])
    if not low.all():
        result[~low] = _above(t[~low])
    return result.reshape(values.shape)


def _below(t: Array) -> Array:
    y = np.sqrt(t * (4.0 - t))
    angle = np.arctan2(y, t) / y
    result: Array = 0.5 - t + t * (t - 2.0) / 2.0 * np.log(t) - t * (t * t - 4.0 * t + 2.0) * angle
    return result


def _above(t: Array) -> Array:
    b = np.sqrt(1.0 - 4.0 / t)
    # x = (1 − b)/(1 + b) without its cancellation, and 1 − x likewise.
    x = 4.0 / t / (1.0 + b) ** 2
    d = 2.0 * b / (1.0 + b)
    # ln x/(1 − x): 1 − x = d exactly; near x = 1 the logarithm is that of 1 − d.
    safe = np.where(d > 0, d, 1.0)
    log_over = np.where(d > 0, np.where(x < 0.5, np.log(x), np.log1p(-np.minimum(d, 0.9))) / safe, -1.0)
    series = x**3 * sum((-x) ** k / (k + 3.0) for k in range(12))
    bracket = np.where(x < 0.02, series, np.log1p(x) - x + x * x / 2.0)
    result: Array = (
        x * x * (2.0 - x * x) / 2.0 + (1.0 + x * x) * ((1.0 + x) / x) ** 2 * bracket + (1.0 + x) * x * x * log_over
    )
    return result
