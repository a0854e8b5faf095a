"""Two-dimensional multipoles of the field in the storage region, addressed by name and never by index.

B(x, y) = D + Σ_{n≥1} (r/r0)ⁿ [N_n cos nθ + S_n sin nθ], x radially outward, y up, θ = atan2(y, x), r0 = 45 mm. With
z = (x + iy)/r0 the basis functions are Re zⁿ and Im zⁿ. See ``docs/physics/field.md`` §1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gminus2.errors import ConfigError, nearest

__all__ = ["ALL_MOMENTS", "MOMENTS", "R0_MM", "TRACKED", "basis", "moment_order", "multipole_coefficients"]

#: Reference radius of the moments [mm].
R0_MM: Final = 45.0
#: The nine moments of a trolley map: dipole, normal and skew quadrupole, sextupole, octupole, decapole.
MOMENTS: Final = ("D", "NQ", "SQ", "NS", "SS", "NO", "SO", "ND", "SD")
#: The moments that a fixed-probe station can follow.
TRACKED: Final = ("D", "NQ", "SQ", "NS", "SS")
_HIGHER: Final = tuple(f"{kind}{n}" for n in range(5, 10) for kind in "NS")
ALL_MOMENTS: Final = MOMENTS + _HIGHER
_LETTERS: Final = {"Q": 1, "S": 2, "O": 3, "D": 4}


def moment_order(name: str) -> tuple[int, bool]:
    """Return (n, skew) of a moment; n = 5 … 9 are called ``N5``, ``S5``, ….

    >>> moment_order("D"), moment_order("NS"), moment_order("SD"), moment_order("S6")
    ((0, False), (2, False), (4, True), (6, True))
    """
    if name not in ALL_MOMENTS:
        raise ConfigError(f"no field moment '{name}'", hint=nearest(name, ALL_MOMENTS))
    if name == "D":
        return 0, False
    letter = name[1:]
    return (_LETTERS[letter] if letter in _LETTERS else int(letter)), name[0] == "S"


def basis(
    x_mm: ArrayLike, y_mm: ArrayLike, names: Sequence[str] = MOMENTS, r0_mm: float = R0_MM
) -> NDArray[np.float64]:
    """Return the basis functions at points: shape of ``x_mm`` plus one axis of ``len(names)``."""
    z = (np.asarray(x_mm, dtype=np.float64) + 1j * np.asarray(y_mm, dtype=np.float64)) / r0_mm
    columns = []
    for name in names:
        order, skew = moment_order(name)
        power = z**order
        columns.append(power.imag if skew else power.real)
    return np.stack(columns, axis=-1)


def multipole_coefficients(
    values: ArrayLike, x_mm: ArrayLike, y_mm: ArrayLike, cell_mm2: float, names: Sequence[str] = MOMENTS
) -> NDArray[np.float64]:
    """Return the multipole content of a function sampled on equal cells of the disc r < r0.

    c_n = (2n+2)/(π r0²) ∫ F Re zⁿ dA for n ≥ 1 and c_0 = ∫ F dA/(π r0²): the projection on functions that are
    orthogonal on the disc, ∫ |zⁿ|² cos² nθ dA = π r0²/(2n+2).
    """
    functions = basis(x_mm, y_mm, names)
    inside = np.hypot(np.asarray(x_mm), np.asarray(y_mm)) < R0_MM
    norms = np.array([(2 * n + 2 if n else 1) for n, _ in map(moment_order, names)]) / (np.pi * R0_MM**2)
    weighted = (np.asarray(values, dtype=np.float64) * inside)[..., None] * functions
    total: NDArray[np.float64] = weighted.sum(axis=tuple(range(weighted.ndim - 1))) * cell_mm2 * norms
    return total
