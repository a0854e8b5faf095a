"""iminuit as the independent referee: MIGRAD with numerical derivatives, HESSE, MINOS and contours.

The referee is not the engine: it stops up to 0.015 ppm from the minimum and is a hundred times slower.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from iminuit import Minuit  # type: ignore[import-untyped,unused-ignore]
from numpy.typing import NDArray

from gminus2.errors import FitError, nearest
from gminus2.precession.fitting.binding import Binding
from gminus2.precession.fitting.scoring import evaluate

__all__ = ["RefereeMinimum", "contour", "minuit_minimum"]


@dataclass(frozen=True)
class RefereeMinimum:
    """What Minuit says: values and covariance of the free parameters, validity, number of cost evaluations."""

    p: NDArray[np.float64]
    covariance: NDArray[np.float64]
    value: float
    edm: float
    valid: bool
    calls: int
    minos: tuple[tuple[float, float] | None, ...] = ()


def _minuit(binding: Binding, start: NDArray[np.float64], steps: NDArray[np.float64] | None) -> Minuit:
    workspace = binding.workspace()

    def cost(p: NDArray[np.float64]) -> float:
        value = evaluate(np.asarray(p, dtype=np.float64), binding.problem, binding.program, workspace)
        return value if np.isfinite(value) else 1e30

    names = [binding.table.names[int(i)] for i in binding.free]
    minuit = Minuit(cost, start, name=names)
    minuit.errordef = Minuit.LEAST_SQUARES  # a deviance is -2 ln L
    minuit.strategy = 1
    minuit.tol = 0.01
    for k, i in enumerate(binding.free):
        lower, upper = binding.table.lower[i], binding.table.upper[i]
        if np.isfinite(lower) or np.isfinite(upper):
            minuit.limits[k] = (lower, upper)
        size = abs(start[k])
        minuit.errors[k] = steps[k] if steps is not None and steps[k] > 0 else (1e-3 * size if size > 0 else 1e-3)
    return minuit


def minuit_minimum(
    binding: Binding,
    start: NDArray[np.float64],
    *,
    covariance: NDArray[np.float64] | None = None,
    minos: bool = False,
) -> RefereeMinimum:
    """Minimise with MIGRAD and take the covariance from HESSE (ΔD = 1).

    Parameters
    ----------
    start
        Values of the free parameters.
    covariance
        An estimate of the covariance, for step sizes.
    minos
        Also compute MINOS errors of every free parameter.
    """
    steps = None if covariance is None else np.sqrt(np.abs(np.diag(covariance)))
    minuit = _minuit(binding, start, steps)
    minuit.migrad(ncall=50_000, iterate=10)
    minuit.hesse()
    n = len(start)
    matrix = np.full((n, n), np.nan) if minuit.covariance is None else np.array(minuit.covariance, dtype=np.float64)
    asymmetric: list[tuple[float, float] | None] = []
    if minos and minuit.valid:
        minuit.minos()
        for name in minuit.parameters:
            error: Any = minuit.merrors[name]
            asymmetric.append((float(error.lower), float(error.upper)) if error.is_valid else None)
    return RefereeMinimum(
        p=np.array(minuit.values, dtype=np.float64),
        covariance=matrix,
        value=float(minuit.fval or np.nan),
        edm=float(minuit.fmin.edm) if minuit.fmin is not None else np.nan,
        valid=bool(minuit.valid),
        calls=int(minuit.nfcn),
        minos=tuple(asymmetric),
    )


def contour(
    binding: Binding, minimum: NDArray[np.float64], x: str, y: str, *, level: float = 0.68, points: int = 40
) -> NDArray[np.float64]:
    """Return a MINOS contour of two free parameters at a confidence level, shape (points, 2).

    Raises
    ------
    FitError
        Unknown parameter, or Minuit cannot follow the contour.
    """
    names = [binding.table.names[int(i)] for i in binding.free]
    for name in (x, y):
        if name not in names:
            raise FitError(f"'{name}' is no free parameter of this fit", hint=nearest(name, names))
    minuit = _minuit(binding, minimum, None)
    minuit.migrad(ncall=50_000, iterate=10)
    minuit.hesse()
    if not minuit.valid:
        raise FitError("Minuit found no valid minimum, so there is no contour")
    result: NDArray[np.float64] = np.asarray(minuit.mncontour(x, y, cl=level, size=points), dtype=np.float64)
    return result
