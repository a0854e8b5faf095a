"""Polynomials in a muon's momentum offset and actions: how its tunes, period and precession follow from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["MuonPolynomial", "monomials"]

FloatArray = NDArray[np.float64]


def monomials(
    delta: FloatArray, action_x: FloatArray, action_y: FloatArray, exponents: NDArray[np.int64]
) -> Iterator[FloatArray]:
    """Yield δ^a J_x^b J_y^c for each row of ``exponents``; powers are made once."""
    powers = []
    for values, column in zip((delta, action_x, action_y), exponents.T, strict=True):
        table = [np.ones_like(values, dtype=float)]
        for _ in range(int(column.max(initial=0))):
            table.append(table[-1] * values)
        powers.append(table)
    for a, b, c in exponents.tolist():
        yield powers[0][a] * powers[1][b] * powers[2][c]


@dataclass(frozen=True)
class MuonPolynomial:
    """A polynomial in (δ, J_x [mm], J_y [mm]): Σ c_k δ^a J_x^b J_y^c with rows (a, b, c) of ``exponents``."""

    exponents: NDArray[np.int64]
    coefficients: FloatArray

    @classmethod
    def from_terms(cls, terms: Mapping[tuple[int, int, int], float]) -> MuonPolynomial:
        """Build from {(a, b, c): coefficient}."""
        return cls(np.array(list(terms), dtype=np.int64).reshape(-1, 3), np.array(list(terms.values()), dtype=float))

    def __call__(self, delta: FloatArray, action_x_mm: FloatArray, action_y_mm: FloatArray) -> FloatArray:
        """Evaluate for arrays of equal shape."""
        total = np.zeros(np.shape(delta))
        terms = monomials(np.asarray(delta), np.asarray(action_x_mm), np.asarray(action_y_mm), self.exponents)
        for value, term in zip(self.coefficients.tolist(), terms, strict=True):
            total += value * term
        return total
