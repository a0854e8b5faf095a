"""The whole R(s) from pieces (data, narrow states, perturbative QCD, threshold) and every integral over it.

A piece is a discrete measure: nodes s and weights μ with ∫ (ds/s) F(s) R(s) = Σ μ F(s). On it the dispersion
integral, the space-like form, the time-momentum form, windows and NLO are different functionals of the same R.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gminus2.constants import published, published_table
from gminus2.errors import DataError, PhysicsError, nearest
from gminus2.random import stream
from gminus2.theory.hvp.form_factor import r_from_form_factor, threshold_form_factor_squared
from gminus2.theory.hvp.functionals import leading_order, nlo_2a, nlo_2b, window_functional
from gminus2.theory.hvp.pqcd import FLAVOUR_THRESHOLDS, PerturbativeQCD
from gminus2.theory.hvp.space_like import from_running, nlo_2c
from gminus2.theory.hvp.spectrum import Functional, Spectrum
from gminus2.theory.parameters import parameters
from gminus2.theory.quadrature import gauss_legendre

__all__ = [
    "HadronicR",
    "NextToLeading",
    "Piece",
    "from_function",
    "hvp_tension",
    "inclusive",
    "measured",
    "narrow_resonance",
    "narrow_resonances",
    "perturbative",
    "threshold",
]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Piece:
    """A part of R(s).

    Attributes
    ----------
    name
        What it is.
    s, measure
        Nodes [GeV²] and weights of ∫ (ds/s) F R.
    spectrum, low, high
        The data and range behind the nodes, for uncertainties and replicas; ``None`` for a formula.
    relative_sigma
        Relative uncertainty of a formula, common to the whole piece.
    """

    name: str
    s: Array
    measure: Array
    spectrum: Spectrum | None = None
    low: float = 0.0
    high: float = 0.0
    relative_sigma: float = 0.0

    def integral(self, functional: Functional) -> float:
        """Return ∫ (ds/s) F R of this piece."""
        return float(functional(self.s) @ self.measure)

    def sigma(self, functional: Functional) -> float:
        """Return the standard uncertainty of :meth:`integral`."""
        if self.spectrum is None:
            return self.relative_sigma * abs(self.integral(functional))
        return self.spectrum.integral_sigma(self.spectrum.weights(functional, self.low, self.high))


def measured(spectrum: Spectrum, low: float | None = None, high: float | None = None, *, name: str = "") -> Piece:
    """Return data over a range in √s [GeV]; bare data only.

    Raises
    ------
    DataError
        The data are dressed (undress them first), or do not cover the range.
    """
    if spectrum.vp != "bare":
        raise DataError(
            "the data still contain vacuum polarisation",
            where=spectrum.source,
            expected="bare cross-sections",
            found="dressed",
            hint="undress them first (theory.hvp.combine.undress), else α runs twice: +2 % in 2π, +4 % at the φ",
        )
    a, b = spectrum.checked_range(low, high)
    nodes = spectrum.nodes(a, b)
    r = (1.0 - nodes.share) * spectrum.r[nodes.left] + nodes.share * spectrum.r[nodes.right]
    return Piece(name or spectrum.source, nodes.s, nodes.measure * r, spectrum, a, b)


def from_function(
    name: str, r: Callable[[Array], Array], low: float, high: float, *, panels: int = 60, relative_sigma: float = 0.0
) -> Piece:
    """Return R given as a function of s [GeV²] over a range in √s [GeV].

    Gauss–Legendre nodes of order 8 in ``panels`` equal steps of ln √s.
    """
    if not 0 < low < high:
        raise PhysicsError("an empty range of energies", where=name, found=f"{low} … {high} GeV")
    node, weight = gauss_legendre(8)
    step = math.log(high / low) / panels
    s = np.exp(2.0 * (math.log(low) + step * (np.arange(panels)[:, None] + node))).ravel()
    return Piece(name, s, 2.0 * step * np.tile(weight, panels) * r(s), relative_sigma=relative_sigma)


def threshold(high: float = 0.30) -> Piece:
    """Return ππ from threshold to ``high`` (≤ 0.32 GeV) from the expansion of the form factor; 3 % uncertainty."""
    if not 2.0 * parameters().m_pi < high <= 0.3200001:
        raise PhysicsError("the threshold expansion ends at 0.32 GeV", found=f"{high} GeV")

    def r(s: Array) -> Array:
        return r_from_form_factor(s, threshold_form_factor_squared(s))

    return from_function("2π threshold", r, 2.0 * parameters().m_pi, high, panels=8, relative_sigma=0.03)


def perturbative(low: float, high: float = math.inf, *, alpha_s: float | None = None) -> Piece:
    """Return perturbative QCD over a range in √s [GeV] (1e5 GeV stands for infinity); 0.5 % uncertainty."""
    qcd = PerturbativeQCD(alpha_s)
    top = min(high, 1e5)
    edges = [low, *(edge for edge in FLAVOUR_THRESHOLDS if low < edge < top), top]
    parts = [
        from_function("pQCD", lambda s: qcd.r(np.sqrt(s)), a, b, panels=1 + round(14 * math.log(b / a)))
        for a, b in itertools.pairwise(edges)
    ]
    s = np.concatenate([part.s for part in parts])
    return Piece("perturbative QCD", s, np.concatenate([part.measure for part in parts]), relative_sigma=0.005)


def narrow_resonance(name: str) -> Piece:
    """Return a zero-width state of the reference table (``jpsi``, ``psi2s``, …), bare; 2 % uncertainty."""
    table = published_table("theory.narrow")
    if name not in table:
        raise PhysicsError(f"no narrow state '{name}'", hint=nearest(name, table))
    value = table[name].value
    assert isinstance(value, tuple)
    mass, width_kev, factor = value
    area = 9.0 * math.pi * width_kev * 1e-6 * factor / (parameters().alpha ** 2 * mass)
    return Piece(name, np.array([mass**2]), np.array([area]), relative_sigma=0.02)


def narrow_resonances() -> list[Piece]:
    """Return all narrow ψ and Υ states below open flavour."""
    return [narrow_resonance(name) for name in published_table("theory.narrow")]


def inclusive(spectrum: Spectrum, *, join: float = 11.2, alpha_s: float | None = None) -> HadronicR:
    """Return the whole R(s) around an inclusive table: threshold, narrow states, and pQCD above ``join`` [GeV].

    The table must reach from at most 0.32 GeV to ``join`` and must not contain narrow states (the PDG table does not).

    Raises
    ------
    DataError
        The table starts too high or ends too low, is dressed, or is not inclusive (mean R at 2 … 3.5 GeV outside 1.5
        … 3.5: another unit, or a single channel).
    """
    first = float(spectrum.energy[0])
    if first > 0.3200001:
        raise DataError(
            "an inclusive table must start near threshold",
            where=spectrum.source,
            expected="≤ 0.32 GeV",
            found=f"{first:.4g} GeV",
            hint="a single channel or a partial range is integrated on its own, without threshold and pQCD",
        )
    inside = (spectrum.energy > 2.0) & (spectrum.energy < 3.5)
    if inside.any() and not 1.5 < float(np.mean(spectrum.r[inside])) < 3.5:
        raise DataError(
            "this is not an inclusive R(s): perturbative QCD gives 2.2 between 2 and 3.5 GeV",
            where=spectrum.source,
            found=f"mean {float(np.mean(spectrum.r[inside])):.4g}",
            hint="check the unit of the second column, or integrate the channel on its own",
        )
    pieces = [threshold(first)] if first > 2.0 * parameters().m_pi else []
    pieces += [measured(spectrum, first, join), *narrow_resonances(), perturbative(join, alpha_s=alpha_s)]
    return HadronicR(tuple(pieces))


@dataclass(frozen=True)
class NextToLeading:
    """NLO hadronic vacuum polarisation: 2a (extra photon), 2b (lepton loops e and τ), 2c (two insertions)."""

    photon: float
    electron: float
    tau: float
    double: float

    @property
    def total(self) -> float:
        """Their sum."""
        return self.photon + self.electron + self.tau + self.double


@dataclass(frozen=True)
class HadronicR:
    """R(s) as a sum of pieces."""

    pieces: tuple[Piece, ...]

    @property
    def s(self) -> Array:
        """All nodes [GeV²]."""
        return np.concatenate([piece.s for piece in self.pieces])

    @property
    def measure(self) -> Array:
        """All weights."""
        return np.concatenate([piece.measure for piece in self.pieces])

    def integral(self, functional: Functional) -> float:
        """Return ∫ (ds/s) F R."""
        return float(functional(self.s) @ self.measure)

    def leading_order(self) -> tuple[float, float]:
        """Return a_μ(HVP, LO) by the dispersion integral and its uncertainty (pieces independent)."""
        sigma = math.hypot(*(piece.sigma(leading_order) for piece in self.pieces))
        return self.integral(leading_order), sigma

    def window(self, name: str) -> tuple[float, float]:
        """Return a Euclidean window (``SD``, ``W``, ``LD``) or the time-momentum total, with its uncertainty."""
        functional = window_functional(name)
        return self.integral(functional), math.hypot(*(piece.sigma(functional) for piece in self.pieces))

    def running_space_like(self, q_squared: Array) -> Array:
        """Return Δα_had(−Q²), Q² in GeV², shape of ``q_squared``."""
        q = np.atleast_1d(np.asarray(q_squared, dtype=np.float64))
        s, measure = self.s, self.measure
        total = np.empty_like(q)
        for start in range(0, len(q), 64):
            part = q[start : start + 64, None]
            total[start : start + 64] = (part / (s + part)) @ measure
        return (parameters().alpha / (3.0 * math.pi) * total).reshape(np.shape(q_squared))

    def space_like(self) -> float:
        """Return a_μ(HVP, LO) from Δα_had(−Q²): the route of a space-like experiment."""
        return from_running(self.running_space_like)

    def next_to_leading(self) -> NextToLeading:
        """Return the NLO contributions."""
        p = parameters()
        return NextToLeading(
            photon=self.integral(nlo_2a),
            electron=self.integral(nlo_2b(p.m_e)),
            tau=self.integral(nlo_2b(p.m_tau)),
            double=nlo_2c(self.running_space_like),
        )

    def cumulative(self, energies: Array) -> Array:
        """Return ∫ up to √s = ``energies`` [GeV] of the dispersion integral."""
        order = np.argsort(self.s)
        s = self.s[order]
        running = np.concatenate([[0.0], np.cumsum(leading_order(s) * self.measure[order])])
        result: Array = running[np.searchsorted(s, np.asarray(energies) ** 2, side="right")]
        return result

    def replicas(self, count: int, seed: int) -> Array:
        """Return ``count`` Gaussian replicas of a_μ(HVP, LO): data points and piece normalisations are varied."""
        total = np.zeros(count)
        for piece in self.pieces:
            if piece.spectrum is not None:
                w = piece.spectrum.weights(leading_order, piece.low, piece.high)
                total += piece.spectrum.replicas(count, seed) @ w
            else:
                factor = stream(seed, "hvp-replicas", piece.name).standard_normal(count)
                total += piece.integral(leading_order) * (1.0 + piece.relative_sigma * factor)
        return total


def hvp_tension() -> float:
    """Return the extra uncertainty for the disagreement of the input experiments (half the BaBar–KLOE spread)."""
    return published("theory.hvp.systematic.hvp_tension").sigma * 1e-10
