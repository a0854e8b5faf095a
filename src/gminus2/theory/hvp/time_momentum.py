"""Time-momentum representation: kernel, Euclidean windows, and a user's lattice correlator.

a_μ = (α/π)² ∫₀^∞ dt k̃(t) G(t) (Bernecker and Meyer 2011). The kernel needs no Meijer function: a power series up to
m_μt = 8, the closed form in Bessel functions above. t in GeV⁻¹ unless said otherwise; 1 fm = 5.0677 GeV⁻¹. Formulas:
``docs/physics/theory.md``, section Time-momentum representation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from gminus2.errors import DataError, PhysicsError, nearest
from gminus2.theory.parameters import parameters

__all__ = ["WINDOWS_FM", "LatticeCorrelator", "correlator_integral", "time_kernel", "window"]

Array = NDArray[np.float64]

_TERMS: Final = 60
#: Edges of the standard windows and their smearing [fm].
WINDOWS_FM: Final[tuple[float, float, float]] = (0.4, 1.0, 0.15)


@cache
def _series() -> tuple[Array, Array]:
    n = np.arange(2, _TERMS + 2, dtype=np.float64)
    first = np.exp(-special.gammaln(n + 1.0) - special.gammaln(n)) / (n - 0.5)
    second = 4.0 * np.exp(-special.gammaln(n + 2.0) - special.gammaln(n + 1.0))
    a = first - second
    a[0] = 0.0
    b = (
        -(special.psi(n) + special.psi(n + 1.0)) * first
        - first / (n - 0.5)
        + second * (special.psi(n + 1.0) + special.psi(n + 2.0))
    )
    return a, b


def time_kernel(t: ArrayLike) -> Array:
    """Return k̃(t) [GeV⁻²], t > 0 in GeV⁻¹, shape of ``t``; π²m²t⁴/9 for small t.

    Raises
    ------
    PhysicsError
        A time is not positive and finite.

    Examples
    --------
    >>> f"{float(time_kernel(2.0)):.9f}"
    '0.191680354'
    """
    values = np.asarray(t, dtype=np.float64)
    flat = np.atleast_1d(values)
    if not (np.isfinite(flat).all() and (flat > 0).all()):
        raise PhysicsError("the time kernel needs positive finite times", expected="GeV⁻¹")
    m = parameters().m_mu
    x = m * flat
    result = np.empty_like(x)
    small = x <= 8.0
    if small.any():
        a, b = _series()
        z = x[small] ** 2
        log = np.log(z)
        total = np.zeros_like(z)
        for a_n, b_n in zip(a[::-1], b[::-1], strict=True):
            total = total * z + a_n * log + b_n
        result[small] = total * z * z
    if not small.all():
        y = x[~small]
        k1 = special.k1(2.0 * y)
        k0_integral = special.iti0k0(2.0 * y)[1]
        result[~small] = (
            -2.0
            + 8.0 * np.euler_gamma
            + 4.0 / y**2
            + y**2
            - 8.0 / y * k1
            + 8.0 * np.log(y)
            - 4.0 * y * k1
            - 4.0 * y * k0_integral
        )
    return (2.0 * math.pi**2 / m**2 * result).reshape(values.shape)


def window(name: str, t_fm: ArrayLike) -> Array:
    """Return the weight of a window at Euclidean time ``t_fm`` [fm].

    ``SD`` = 1 − Θ(0.4), ``W`` = Θ(0.4) − Θ(1.0), ``LD`` = Θ(1.0), ``total`` = 1, Θ(t') = [1 + tanh((t − t')/0.15)]/2.
    """
    t = np.asarray(t_fm, dtype=np.float64)
    short, long, smear = WINDOWS_FM

    def step(edge: float) -> Array:
        result: Array = 0.5 * (1.0 + np.tanh((t - edge) / smear))
        return result

    if name == "total":
        return np.ones_like(t)
    if name == "SD":
        return 1.0 - step(short)
    if name == "W":
        return step(short) - step(long)
    if name == "LD":
        return step(long)
    raise PhysicsError(f"no Euclidean window '{name}'", hint=nearest(name, ("SD", "W", "LD", "total")))


@dataclass(frozen=True)
class LatticeCorrelator:
    """A correlator from a lattice simulation.

    Attributes
    ----------
    t_fm
        Euclidean times [fm], positive, increasing, equally spaced from one spacing on; shape (n,).
    g
        G(t) = −(1/3) Σ_k ∫d³x ⟨j_k j_k⟩ [GeV³], shape (n,).
    covariance
        Of ``g``, shape (n, n).

    Raises
    ------
    DataError
        Unequal or unsorted times, wrong shapes, negative variances.
    """

    t_fm: Array
    g: Array
    covariance: Array

    def __post_init__(self) -> None:
        for name in ("t_fm", "g", "covariance"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64))
        n = len(self.t_fm)
        if n < 4 or self.g.shape != (n,) or self.covariance.shape != (n, n):
            raise DataError(
                "times, correlator and covariance differ in size",
                expected="n ≥ 4 times, (n,) and (n, n)",
                found=f"{self.t_fm.shape}, {self.g.shape}, {self.covariance.shape}",
            )
        if not all(np.isfinite(v).all() for v in (self.t_fm, self.g, self.covariance)):
            raise DataError("the correlator holds values that are not finite")
        spacing = np.diff(self.t_fm)
        if self.t_fm[0] <= 0 or (spacing <= 0).any() or not np.allclose(spacing, spacing[0], rtol=1e-6):
            raise DataError("the times of a correlator must be positive, increasing and equally spaced")
        if (np.diag(self.covariance) < 0).any():
            raise DataError("the covariance has a negative variance")


def correlator_integral(
    data: LatticeCorrelator, name: str = "total", *, tail_from_fm: float | None = None
) -> tuple[float, float]:
    """Return a_μ of a window (or ``total``) from a lattice correlator, and its uncertainty.

    Trapezoid over the measured times (the kernel vanishes like t⁴ at 0). Beyond the last time, or ``tail_from_fm``, a
    single exponential through the last two points before it continues the correlator; its effective mass is taken as
    fixed in the error, so that the result is linear in G: σ² = wᵀVw.

    Raises
    ------
    DataError
        The correlator does not fall at the tail.
    """
    hbar_c = parameters().hbar_c
    scale = (parameters().alpha / math.pi) ** 2
    cut = float(data.t_fm[-1]) if tail_from_fm is None else tail_from_fm
    last = int(np.searchsorted(data.t_fm, cut * (1.0 + 1e-9)) - 1)
    if last < 1:
        raise DataError("the tail starts before the second time of the correlator", found=f"{cut} fm")
    t = data.t_fm[: last + 1] / hbar_c
    step = float(t[1] - t[0])
    weight = np.zeros_like(data.g)
    weight[: last + 1] = step * time_kernel(t) * window(name, data.t_fm[: last + 1])
    weight[last] *= 0.5
    ratio = float(data.g[last - 1] / data.g[last])
    if not ratio > 1.0:
        raise DataError(
            "the correlator does not fall at the start of the tail",
            where=f"t = {data.t_fm[last]:.4g} fm",
            hint="start the tail earlier, where the signal is clear",
        )
    mass = math.log(ratio) / step
    tail = float(t[-1]) + np.arange(0, int(60.0 / (mass * step)) + 2) * step
    shape = np.exp(-mass * (tail - tail[0])) * time_kernel(tail) * window(name, tail * hbar_c)
    weight[last] += step * float(shape.sum() - 0.5 * shape[0])
    value = scale * float(weight @ data.g)
    return value, scale * math.sqrt(float(weight @ data.covariance @ weight))
