"""Minimal supersymmetry at one loop: neutralino–smuon and chargino–sneutrino (Martin and Wells 2001).

Real parameters, mass eigenstates from exact diagonalisation, loop functions by a quadrature that keeps all digits
where the printed forms cancel (equal masses). Two-loop effects enter only through :func:`logarithm_factor`. Formulas:
``docs/physics/theory.md``, section MSSM. Masses in GeV.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gminus2.errors import PhysicsError
from gminus2.theory.parameters import parameters
from gminus2.theory.quadrature import unit_integral

__all__ = ["MSSM", "f1_chargino", "f1_neutralino", "f2_chargino", "f2_neutralino", "logarithm_factor"]

Array = NDArray[np.float64]

#: α at the scale M_Z of the reference points (GM2Calc).
ALPHA_MZ = 0.0077552


def f1_neutralino(x: float) -> float:
    """Return F₁ᴺ(x), 1 at x = 1."""
    return 12.0 * unit_integral(lambda z, o: z * z * o / (z + o * x))


def f2_neutralino(x: float) -> float:
    """Return F₂ᴺ(x), 1 at x = 1."""
    return 6.0 * unit_integral(lambda z, o: z * o / (z + o * x))


def f1_chargino(x: float) -> float:
    """Return F₁ᶜ(x), 1 at x = 1."""
    return 12.0 * unit_integral(lambda z, o: z * z * o / (o + z * x))


def f2_chargino(x: float) -> float:
    """Return F₂ᶜ(x), 1 at x = 1."""
    return 3.0 * unit_integral(lambda z, o: z * z / (o + z * x))


def logarithm_factor(mass: float) -> float:
    """Return 1 − (4α/π) ln(M/m_μ), the leading two-loop QED logarithm that multiplies the one-loop result."""
    p = parameters()
    return 1.0 - 4.0 * p.alpha / math.pi * math.log(mass / p.m_mu)


@dataclass(frozen=True)
class MSSM:
    """A point of the MSSM.

    Attributes
    ----------
    tan_beta
        Ratio of the vacuum expectation values.
    mu, m1, m2
        Higgsino, bino and wino mass parameters [GeV]; may be negative.
    m_left, m_right
        Soft masses of the left (with the sneutrino) and right smuon [GeV].
    a_mu
        Trilinear coupling A_μ [GeV].
    m_mu, m_w, m_z
        Muon, W and Z mass [GeV]; defaults of :func:`~gminus2.theory.parameters.parameters` where ``None``.
    alpha
        Electromagnetic coupling at the electroweak scale.

    Raises
    ------
    PhysicsError
        tan β ≤ 0, or a smuon or sneutrino would be tachyonic.
    """

    tan_beta: float
    mu: float
    m1: float
    m2: float
    m_left: float
    m_right: float
    a_mu: float = 0.0
    m_mu: float | None = None
    m_w: float | None = None
    m_z: float | None = None
    alpha: float = ALPHA_MZ

    def __post_init__(self) -> None:
        if self.tan_beta <= 0:
            raise PhysicsError("tan beta must be positive", found=str(self.tan_beta))
        if self.smuons()[0].min() <= 0 or self.sneutrino_squared() <= 0:
            raise PhysicsError(
                "the point is impossible: a smuon or sneutrino has negative mass squared",
                found=f"smuons {self.smuons()[0]}, sneutrino {self.sneutrino_squared():.4g} GeV²",
                hint="raise m_left, m_right or lower |mu| tan beta",
            )

    @property
    def _masses(self) -> tuple[float, float, float]:
        p = parameters()
        return (
            p.m_mu if self.m_mu is None else self.m_mu,
            p.M_W if self.m_w is None else self.m_w,
            p.M_Z if self.m_z is None else self.m_z,
        )

    @property
    def _angles(self) -> tuple[float, float, float, float]:
        """sin β, cos β, sin θ_W, cos θ_W."""
        beta = math.atan(self.tan_beta)
        _, m_w, m_z = self._masses
        c_w = m_w / m_z
        return math.sin(beta), math.cos(beta), math.sqrt(1.0 - c_w * c_w), c_w

    def sneutrino_squared(self) -> float:
        """Return the sneutrino mass squared [GeV²]."""
        _, _, m_z = self._masses
        s_b, c_b, _, _ = self._angles
        return self.m_left**2 + 0.5 * m_z**2 * (c_b**2 - s_b**2)

    def smuons(self) -> tuple[Array, Array]:
        """Return the smuon masses squared [GeV²], shape (2,), and the mixing X with rows of mass eigenstates (L, R)."""
        m, _, m_z = self._masses
        s_b, c_b, s_w, _ = self._angles
        d_term = m_z**2 * (c_b**2 - s_b**2)
        off = m * (self.a_mu - self.mu * self.tan_beta)
        left = self.m_left**2 + (s_w**2 - 0.5) * d_term + m * m
        right = self.m_right**2 - s_w**2 * d_term + m * m
        squares, vectors = np.linalg.eigh(np.array([[left, off], [off, right]]))
        return squares, vectors.T

    def neutralinos(self) -> tuple[Array, Array]:
        """Return signed neutralino masses [GeV], shape (4,), and the real mixing N (rows: B, W, H_d, H_u parts)."""
        _, _, m_z = self._masses
        s_b, c_b, s_w, c_w = self._angles
        matrix = np.array(
            [
                [self.m1, 0.0, -m_z * c_b * s_w, m_z * s_b * s_w],
                [0.0, self.m2, m_z * c_b * c_w, -m_z * s_b * c_w],
                [-m_z * c_b * s_w, m_z * c_b * c_w, 0.0, -self.mu],
                [m_z * s_b * s_w, -m_z * s_b * c_w, -self.mu, 0.0],
            ]
        )
        masses, vectors = np.linalg.eigh(matrix)
        return masses, vectors.T

    def charginos(self) -> tuple[Array, Array, Array]:
        """Return chargino masses [GeV], shape (2,), and the mixings U, V with M = Uᵀ diag V."""
        _, m_w, _ = self._masses
        s_b, c_b, _, _ = self._angles
        root2 = math.sqrt(2.0)
        matrix = np.array([[self.m2, root2 * m_w * s_b], [root2 * m_w * c_b, self.mu]])
        left, masses, right = np.linalg.svd(matrix)
        return masses, left.T, right

    def neutralino_part(self) -> float:
        """Return the neutralino–smuon part of Δa_μ."""
        m, m_w, _ = self._masses
        _, c_b, s_w, c_w = self._angles
        e = math.sqrt(4.0 * math.pi * self.alpha)
        g1, g2 = e / c_w, e / s_w
        y = g2 * m / (math.sqrt(2.0) * m_w * c_b)
        masses, n = self.neutralinos()
        squares, mixing = self.smuons()
        total = 0.0
        for chi, row in zip(masses, n, strict=True):
            for square, (x_l, x_r) in zip(squares, mixing, strict=True):
                n_r = math.sqrt(2.0) * g1 * row[0] * x_r + y * row[2] * x_l
                n_l = (g2 * row[1] + g1 * row[0]) * x_l / math.sqrt(2.0) - y * row[2] * x_r
                ratio = float(chi * chi / square)
                total += -m / (12.0 * square) * (n_l**2 + n_r**2) * f1_neutralino(ratio)
                total += chi / (3.0 * square) * n_l * n_r * f2_neutralino(ratio)
        return float(m / (16.0 * math.pi**2) * total)

    def chargino_part(self) -> float:
        """Return the chargino–sneutrino part of Δa_μ."""
        m, m_w, _ = self._masses
        _, c_b, s_w, _ = self._angles
        g2 = math.sqrt(4.0 * math.pi * self.alpha) / s_w
        y = g2 * m / (math.sqrt(2.0) * m_w * c_b)
        masses, u, v = self.charginos()
        square = self.sneutrino_squared()
        total = 0.0
        for k, chi in enumerate(masses):
            c_r, c_l = y * u[k, 1], -g2 * v[k, 0]
            ratio = float(chi * chi / square)
            total += m / (12.0 * square) * (c_l**2 + c_r**2) * f1_chargino(ratio)
            total += 2.0 * chi / (3.0 * square) * c_l * c_r * f2_chargino(ratio)
        return float(m / (16.0 * math.pi**2) * total)

    def delta_a(self) -> float:
        """Return the one-loop Δa_μ."""
        return self.neutralino_part() + self.chargino_part()
