"""Named nuisance sources shared by theory and experiment, and linear error propagation on them.

A prediction is a value and its derivatives by source name; a :class:`NuisanceVector` holds central values and the
covariance of the sources. Covariances of any set of predictions are J V Jᵀ, so a difference of two numbers that share a
source (the mass ratio in a_μ(QED) and in a_μ(exp) = K R′) gets its covariance right by construction, and a − a = 0 ± 0.

Name of the sources that other rooms share: ``m_mu_over_m_e`` (extraction of a_μ), ``alpha_inv``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gminus2.errors import PhysicsError, nearest

__all__ = ["NuisanceVector", "Prediction"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Prediction:
    """A value and its derivatives with respect to named nuisance sources.

    Examples
    --------
    >>> a = Prediction(2.0, {"x": 1.0})
    >>> (a - a).gradient, (3 * a + 1).value
    ({'x': 0.0}, 7.0)
    """

    value: float
    gradient: Mapping[str, float] = field(default_factory=dict)

    def __add__(self, other: Prediction | float) -> Prediction:
        if not isinstance(other, Prediction):
            return Prediction(self.value + other, dict(self.gradient))
        names = dict.fromkeys([*self.gradient, *other.gradient])
        gradient = {name: self.gradient.get(name, 0.0) + other.gradient.get(name, 0.0) for name in names}
        return Prediction(self.value + other.value, gradient)

    __radd__ = __add__

    def __mul__(self, factor: float) -> Prediction:
        return Prediction(factor * self.value, {name: factor * slope for name, slope in self.gradient.items()})

    __rmul__ = __mul__

    def __neg__(self) -> Prediction:
        return -1.0 * self

    def __sub__(self, other: Prediction | float) -> Prediction:
        return self + (-other)

    def __truediv__(self, other: Prediction) -> Prediction:
        ratio = self.value / other.value
        numerator = self * (1.0 / other.value)
        denominator = other * (ratio / other.value)
        return Prediction(ratio, (numerator - denominator).gradient)


@dataclass(frozen=True)
class NuisanceVector:
    """Central values and covariance of named sources.

    Attributes
    ----------
    names
        Distinct names, shape (n,).
    central
        Values in the unit of each source, shape (n,).
    covariance
        Shape (n, n), symmetric, positive semi-definite.

    Raises
    ------
    PhysicsError
        Wrong shapes, repeated names, an asymmetric or indefinite covariance.
    """

    names: tuple[str, ...]
    central: Array
    covariance: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "central", np.asarray(self.central, dtype=np.float64))
        object.__setattr__(self, "covariance", np.asarray(self.covariance, dtype=np.float64))
        n = len(self.names)
        if len(set(self.names)) != n:
            raise PhysicsError("a nuisance source is named twice", found=", ".join(self.names))
        if self.central.shape != (n,) or self.covariance.shape != (n, n):
            raise PhysicsError(
                "nuisance names, values and covariance differ in size",
                expected=f"({n},) and ({n}, {n})",
                found=f"{self.central.shape} and {self.covariance.shape}",
            )
        if not np.allclose(self.covariance, self.covariance.T, rtol=1e-10, atol=0.0):
            raise PhysicsError("the covariance of the nuisance sources is not symmetric")
        scale = np.sqrt(np.clip(np.diag(self.covariance), 0.0, None))
        safe = np.where(scale > 0, scale, 1.0)
        if n and np.linalg.eigvalsh(self.covariance / np.outer(safe, safe)).min() < -1e-9:
            raise PhysicsError("the covariance of the nuisance sources has a negative eigenvalue")

    @classmethod
    def independent(cls, sources: Mapping[str, tuple[float, float]]) -> NuisanceVector:
        """Build from name → (value, standard uncertainty) without correlations."""
        central = np.array([value for value, _ in sources.values()])
        return cls(tuple(sources), central, np.diag([sigma**2 for _, sigma in sources.values()]))

    def index(self, name: str) -> int:
        """Return the position of a source."""
        try:
            return self.names.index(name)
        except ValueError:
            raise PhysicsError(f"no nuisance source '{name}'", hint=nearest(name, self.names)) from None

    def value(self, name: str) -> float:
        """Return the central value of a source."""
        return float(self.central[self.index(name)])

    def sigma(self, name: str) -> float:
        """Return the standard uncertainty of a source."""
        i = self.index(name)
        return math.sqrt(self.covariance[i, i])

    def correlated(self, correlations: Mapping[tuple[str, str], float]) -> NuisanceVector:
        """Return the vector with the correlations of some pairs of sources set, all at once."""
        covariance = self.covariance.copy()
        for (first, second), rho in correlations.items():
            i, j = self.index(first), self.index(second)
            covariance[i, j] = covariance[j, i] = rho * self.sigma(first) * self.sigma(second)
        return NuisanceVector(self.names, self.central, covariance)

    def joined(self, other: NuisanceVector) -> NuisanceVector:
        """Return the union. A source in both must have the same value and uncertainty: it is one and the same.

        Raises
        ------
        PhysicsError
            A shared source has two values.
        """
        for name in set(self.names) & set(other.names):
            mine, theirs = (self.value(name), self.sigma(name)), (other.value(name), other.sigma(name))
            if not np.allclose(mine, theirs, rtol=1e-12):
                raise PhysicsError(f"the shared source '{name}' has two values", expected=str(mine), found=str(theirs))
        new = [name for name in other.names if name not in self.names]
        names = (*self.names, *new)
        covariance = np.zeros((len(names), len(names)))
        for vector in (self, other):
            at = [names.index(name) for name in vector.names]
            covariance[np.ix_(at, at)] = vector.covariance
        central = np.concatenate([self.central, [other.value(name) for name in new]])
        return NuisanceVector(names, central, covariance)

    def jacobian(self, predictions: Sequence[Prediction]) -> Array:
        """Return J, shape (predictions, sources).

        Raises
        ------
        PhysicsError
            A prediction depends on a source that the vector does not hold.
        """
        matrix = np.zeros((len(predictions), len(self.names)))
        for row, prediction in enumerate(predictions):
            for name, slope in prediction.gradient.items():
                matrix[row, self.index(name)] = slope
        return matrix

    def covariance_of(self, predictions: Sequence[Prediction]) -> Array:
        """Return J V Jᵀ, shape (predictions, predictions)."""
        jacobian = self.jacobian(predictions)
        result: Array = jacobian @ self.covariance @ jacobian.T
        return result

    def sigma_of(self, prediction: Prediction) -> float:
        """Return the standard uncertainty of a prediction."""
        return math.sqrt(max(0.0, float(self.covariance_of([prediction])[0, 0])))

    def contributions(self, prediction: Prediction, sources: Iterable[str] | None = None) -> dict[str, float]:
        """Return |derivative| · σ per source: the error budget, before correlations."""
        chosen = prediction.gradient if sources is None else sources
        return {name: abs(prediction.gradient.get(name, 0.0)) * self.sigma(name) for name in chosen}
