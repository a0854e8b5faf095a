"""The record of a measured R(s), its checks, and its exact linear map to integrals.

Every quantity of the hadronic vacuum polarisation is a linear functional of R, I = ∫ (ds/s) F(s) R(s). A
:class:`Spectrum` turns F into one weight per measured point, so that values, covariances and replicas are dot products.
Conventions: ``docs/physics/theory.md``, section Measured R(s).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gminus2.errors import DataError
from gminus2.random import stream
from gminus2.theory.quadrature import gauss_legendre

__all__ = ["Functional", "Nodes", "Spectrum"]

Array = NDArray[np.float64]
Functional = Callable[[Array], Array]
Rule = Literal["points", "bins_sqrt_s", "bins_s"]

#: Largest distance between neighbouring points, relative to their energy: more is a hole in the data.
MAX_GAP = 0.12
#: No measurement lies above. Below the Z, R of a cross-section without narrow states peaks at 53 on the φ.
MAX_ENERGY_GEV, MAX_R, BELOW_Z_GEV = 400.0, 100.0, 12.0
MIN_ENERGY_GEV = 0.1349768


#: Gauss–Legendre order between two points.
ORDER = 8


@dataclass(frozen=True)
class Nodes:
    """Quadrature nodes: s [GeV²], weight of ds/s, and the two points between which R is interpolated.

    R at a node is (1 − share) r[left] + share r[right].
    """

    s: Array
    measure: Array
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    share: Array


@dataclass(frozen=True)
class Spectrum:
    """Measured R(s), of one channel or inclusive.

    Attributes
    ----------
    energy
        √s at the point or bin centre [GeV], shape (n,), not decreasing; repeated energies are allowed for ``points``.
    r
        R = σ/(4πα²/3s).
    stat, syst
        Absolute standard uncertainties, shape (n,). ``stat`` is independent per point, ``syst`` as well unless
        ``common_syst`` says that one source moves all points together.
    rule
        ``points``: R is linear in √s between points; ``bins_sqrt_s``, ``bins_s``: averages in bins of √s or s.
    lower, upper
        Bin edges in √s [GeV], or ``None`` for points.
    vp
        ``bare`` (vacuum polarisation removed) or ``dressed``.
    fsr
        Whether final-state photons are ``included``, ``excluded`` or ``unknown``.
    covariance
        Full covariance of ``r``, shape (n, n); replaces ``stat`` and ``syst`` when given.
    allow_gaps
        Accept holes in the data (a sum of narrow features, a table that is known to have one).

    Raises
    ------
    DataError
        Whatever no measurement can be: unsorted or repeated energies, NaN, negative uncertainties, holes, energies
        below threshold or beyond LEP (usually MeV read as GeV), R above the φ peak (usually nb read as R).
    """

    energy: Array
    r: Array
    stat: Array
    syst: Array
    rule: Rule
    vp: Literal["bare", "dressed"]
    source: str
    lower: Array | None = None
    upper: Array | None = None
    fsr: Literal["included", "excluded", "unknown"] = "unknown"
    covariance: Array | None = None
    common_syst: bool = False
    allow_gaps: bool = False

    def __post_init__(self) -> None:
        for name in ("energy", "r", "stat", "syst", "lower", "upper", "covariance"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, np.asarray(value, dtype=np.float64))
        self._check_numbers()
        self._check_units()
        self._check_order()
        self._check_bins()
        self._check_covariance()

    def _check_numbers(self) -> None:
        n = len(self.energy)
        if n < 2:
            raise DataError("a spectrum needs at least two points", where=self.source, found=str(n))
        for name in ("energy", "r", "stat", "syst"):
            value = getattr(self, name)
            if value.shape != (n,):
                raise DataError(
                    f"'{name}' and energy differ in length", where=self.source, expected=str(n), found=str(value.shape)
                )
            bad = ~np.isfinite(value)
            if bad.any():
                row = int(np.argmax(bad))
                raise DataError(f"'{name}' is not a finite number", where=f"{self.source}, row {row + 1}")
        for name in ("stat", "syst"):
            bad = getattr(self, name) < 0
            if bad.any():
                row = int(np.argmax(bad))
                raise DataError(
                    f"negative {name} uncertainty in {int(bad.sum())} rows",
                    where=f"{self.source}, row {row + 1} (√s = {self.energy[row]:.6g} GeV)",
                    expected="a standard uncertainty ≥ 0",
                    found=f"{getattr(self, name)[row]:.6g}",
                )

    def _check_units(self) -> None:
        low, high = float(self.energy.min()), float(self.energy.max())
        if low < MIN_ENERGY_GEV or high > MAX_ENERGY_GEV:
            raise DataError(
                "energies outside every e⁺e⁻ → hadrons measurement: the unit or the kind of axis is wrong",
                where=self.source,
                expected=f"√s between m(π⁰) = {MIN_ENERGY_GEV:.3f} and {MAX_ENERGY_GEV:.0f} GeV",
                found=f"{low:.6g} … {high:.6g} GeV",
                hint="say whether the axis is sqrt_s or s, and whether it is in GeV or MeV",
            )
        top = int(np.argmax(np.where(self.energy < BELOW_Z_GEV, self.r, -np.inf)))
        if self.energy[top] < BELOW_Z_GEV and self.r[top] > MAX_R:
            raise DataError(
                "R is larger than at any light resonance: the values are probably a cross-section in nb",
                where=f"{self.source}, √s = {self.energy[top]:.6g} GeV",
                expected=f"R < {MAX_R:.0f}",
                found=f"{self.r[top]:.6g}",
                hint="say what the second column is (R, nb, form_factor_squared or alpha_r_over_3)",
            )

    def _check_order(self) -> None:
        step = np.diff(self.energy)
        if (step < 0).any():
            row = int(np.argmax(step < 0))
            raise DataError(
                "the energies are not sorted",
                where=f"{self.source}, rows {row + 1} and {row + 2}",
                found=f"{self.energy[row]:.6g} then {self.energy[row + 1]:.6g} GeV",
                hint="sort the table, or ask for sorting when it lists several experiments one after the other",
            )
        if self.rule != "points" or self.allow_gaps:
            return
        gap = step / self.energy[1:]
        if (gap > MAX_GAP).any():
            row = int(np.argmax(gap > MAX_GAP))
            raise DataError(
                "a hole in the data: nothing is measured between two neighbouring points",
                where=f"{self.source}, rows {row + 1} and {row + 2}",
                expected=f"steps below {100 * MAX_GAP:.0f} % of √s",
                found=f"{self.energy[row]:.6g} → {self.energy[row + 1]:.6g} GeV",
                hint="add the missing points, restrict the range, or allow gaps explicitly",
            )

    def _check_bins(self) -> None:
        if self.rule == "points":
            return
        if self.lower is None or self.upper is None:
            raise DataError("a binned spectrum needs bin edges", where=self.source)
        if not ((self.lower > 0).all() and (self.lower < self.upper).all()):
            row = int(np.argmax(~((self.lower > 0) & (self.lower < self.upper))))
            raise DataError("a bin has no width", where=f"{self.source}, row {row + 1}")
        slack = 1e-3 * (self.upper - self.lower)[1:]
        distance = self.lower[1:] - self.upper[:-1]
        overlap = distance < -slack
        if overlap.any():
            row = int(np.argmax(overlap))
            raise DataError(
                "bins overlap",
                where=f"{self.source}, rows {row + 1} and {row + 2}",
                found=f"{self.upper[row]:.6g} > {self.lower[row + 1]:.6g} GeV",
                hint="if the horizontal errors are energy uncertainties and not half bins, use the rule 'points'",
            )
        if (distance > slack).any() and not self.allow_gaps:
            row = int(np.argmax(distance > slack))
            raise DataError(
                "a hole in the data: neighbouring bins do not touch",
                where=f"{self.source}, rows {row + 1} and {row + 2}",
                found=f"{self.upper[row]:.6g} → {self.lower[row + 1]:.6g} GeV",
                hint="add the missing bins, restrict the range, or allow gaps explicitly",
            )

    def _check_covariance(self) -> None:
        if self.covariance is None:
            return
        n = len(self.energy)
        if self.covariance.shape != (n, n) or not np.allclose(
            self.covariance, self.covariance.T, rtol=1e-8, atol=1e-300
        ):
            raise DataError(
                "the covariance does not fit the spectrum", where=self.source, expected=f"symmetric ({n}, {n})"
            )
        if (np.diag(self.covariance) < 0).any():
            raise DataError("the covariance has a negative variance", where=self.source)

    @property
    def sigma(self) -> Array:
        """Total standard uncertainty per point."""
        if self.covariance is not None:
            return np.sqrt(np.diag(self.covariance))
        return np.hypot(self.stat, self.syst)

    def scaled(self, factor: Array | float, **changes: object) -> Spectrum:
        """Return the spectrum with ``r`` and its uncertainties times a factor per point, and attributes changed."""
        f = np.broadcast_to(np.asarray(factor, dtype=np.float64), self.energy.shape)
        covariance = None if self.covariance is None else self.covariance * np.outer(f, f)
        scaled = replace(self, r=self.r * f, stat=self.stat * f, syst=self.syst * f, covariance=covariance)
        return replace(scaled, **changes) if changes else scaled  # type: ignore[arg-type]

    def covered(self) -> tuple[float, float]:
        """Return the range in √s [GeV] over which integrals are defined."""
        if self.lower is not None and self.upper is not None:
            return float(self.lower[0]), float(self.upper[-1])
        step = np.diff(self.energy)
        return float(self.energy[0] - step[0]), float(self.energy[-1] + step[-1])

    def checked_range(self, low: float | None, high: float | None) -> tuple[float, float]:
        """Return the range of integration in √s [GeV], by default the ends of the data.

        Points are continued as constants to the range, by at most the neighbouring step or 10 MeV.

        Raises
        ------
        DataError
            The range is empty or not covered.
        """
        default_low, default_high = (
            (float(self.energy[0]), float(self.energy[-1])) if self.rule == "points" else self.covered()
        )
        a = default_low if low is None else low
        b = default_high if high is None else high
        first, last = self.covered()
        slack = 0.010 if self.rule == "points" else 1e-6
        if not a < b:
            raise DataError("an empty range of energies", where=self.source, found=f"{a} … {b} GeV")
        if a < min(first, default_low - slack) - 1e-9 or b > max(last, default_high + slack) + 1e-9:
            raise DataError(
                "the data do not cover the range of integration",
                where=self.source,
                expected=f"{a:.6g} … {b:.6g} GeV",
                found=f"{default_low:.6g} … {default_high:.6g} GeV",
                hint="choose a range inside the data; nothing is extrapolated",
            )
        return a, b

    def nodes(self, low: float | None = None, high: float | None = None) -> Nodes:
        """Return the quadrature of ∫ (ds/s) F(s) R(s) over a range in √s [GeV]: a sum over nodes of F · measure · R.

        Bins cut by the range count by their share.
        """
        a, b = self.checked_range(low, high)
        return self._bin_nodes(a, b) if self.rule != "points" else self._point_nodes(a, b)

    def _bin_nodes(self, a: float, b: float) -> Nodes:
        assert self.lower is not None
        assert self.upper is not None
        low, high = np.clip(self.lower, a, b), np.clip(self.upper, a, b)
        s = self.energy**2
        measure = (high**2 - low**2) / s if self.rule == "bins_s" else 2.0 * np.log(high / low)
        index = np.arange(len(s))
        keep = measure > 0
        return Nodes(s[keep], measure[keep], index[keep], index[keep], np.zeros(int(keep.sum())))

    def _point_nodes(self, a: float, b: float) -> Nodes:
        # Segments between points; outside of the data R is constant.
        n = len(self.energy)
        left = np.concatenate([[min(a, self.energy[0])], self.energy])
        right = np.concatenate([self.energy, [max(b, self.energy[-1])]])
        i_left = np.concatenate([[0], np.arange(n)])
        i_right = np.concatenate([np.arange(n), [n - 1]])
        lo, hi = np.clip(left, a, b), np.clip(right, a, b)
        keep = hi > lo
        left, right, lo, hi, i_left, i_right = (v[keep] for v in (left, right, lo, hi, i_left, i_right))
        node, weight = gauss_legendre(ORDER)
        energy = lo[:, None] + (hi - lo)[:, None] * node
        measure = weight * (hi - lo)[:, None] * 2.0 / energy  # ds/s = 2 dE/E
        share = (energy - left[:, None]) / (right - left)[:, None]
        return Nodes(
            (energy**2).ravel(), measure.ravel(), np.repeat(i_left, ORDER), np.repeat(i_right, ORDER), share.ravel()
        )

    def weights(self, functional: Functional, low: float | None = None, high: float | None = None) -> Array:
        """Return w, shape (n,), with ∫ (ds/s) F(s) R(s) = w · r over ``low`` … ``high`` in √s.

        Parameters
        ----------
        functional
            F, called with an array of s [GeV²].
        low, high
            Range in √s [GeV], see :meth:`checked_range`.

        Raises
        ------
        DataError
            The data do not cover the range.
        """
        nodes = self.nodes(low, high)
        values = functional(nodes.s) * nodes.measure
        n = len(self.energy)
        to_left = np.bincount(nodes.left, values * (1.0 - nodes.share), n)
        to_right = np.bincount(nodes.right, values * nodes.share, n)
        return np.asarray(to_left + to_right, dtype=np.float64)

    def integral(
        self, functional: Functional, low: float | None = None, high: float | None = None
    ) -> tuple[float, float]:
        """Return ∫ (ds/s) F R over the range and its standard uncertainty."""
        w = self.weights(functional, low, high)
        return float(np.dot(w, self.r)), self.integral_sigma(w)

    def integral_sigma(self, w: Array) -> float:
        """Return the standard uncertainty of w · r."""
        if self.covariance is not None:
            return math.sqrt(float(w @ self.covariance @ w))
        common = float(np.dot(w, self.syst)) ** 2 if self.common_syst else float(np.dot(w**2, self.syst**2))
        return math.sqrt(float(np.dot(w**2, self.stat**2)) + common)

    def replicas(self, count: int, seed: int) -> Array:
        """Return Gaussian replicas of ``r``, shape (count, n), drawn from the stream ``("hvp-replicas", source)``."""
        generator = stream(seed, "hvp-replicas", self.source)
        n = len(self.r)
        if self.covariance is not None:
            values, vectors = np.linalg.eigh(self.covariance)
            root = vectors * np.sqrt(np.clip(values, 0.0, None))
            drawn: Array = self.r + generator.standard_normal((count, n)) @ root.T
            return drawn
        result: Array = self.r + generator.standard_normal((count, n)) * self.stat
        if self.common_syst:
            result += generator.standard_normal((count, 1)) * self.syst
        else:
            result += generator.standard_normal((count, n)) * self.syst
        return result
