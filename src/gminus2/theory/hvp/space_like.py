"""Space-like representation and the NLO double insertion: a_μ from Δα_had(−Q²).

a_μ = (α/π) ∫₀¹ dx (1 − x) Δα_had(−x²m_μ²/(1 − x)) (Lautrup, Peterman, de Rafael 1972); the square of Δα gives the NLO
diagram 2c. Formulas: ``docs/physics/theory.md``, section Space-like form.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gminus2.theory.parameters import parameters
from gminus2.theory.quadrature import unit_nodes

__all__ = ["from_running", "nlo_2c", "space_like_momenta"]

Array = NDArray[np.float64]


def space_like_momenta() -> Array:
    """Return the Q² [GeV²], shape (601,), at which Δα_had(−Q²) is needed."""
    x, o, _ = unit_nodes()
    result: Array = x * x * parameters().m_mu ** 2 / o
    return result


def from_running(delta_alpha: Array | Callable[[Array], Array]) -> float:
    """Return a_μ from Δα_had at :func:`space_like_momenta` (an array, or a function of Q²)."""
    values = delta_alpha(space_like_momenta()) if callable(delta_alpha) else delta_alpha
    _, o, weight = unit_nodes()
    return parameters().alpha / math.pi * float(np.dot(weight * o, values))


def nlo_2c(delta_alpha: Array | Callable[[Array], Array]) -> float:
    """Return the NLO diagram with two hadronic insertions (2c)."""
    values = delta_alpha(space_like_momenta()) if callable(delta_alpha) else delta_alpha
    return from_running(np.asarray(values) ** 2)
