"""The Cholesky factor of a covariance, applied to residuals and Jacobians."""

from __future__ import annotations

import numpy as np
import scipy.linalg

from gminus2.errors import DataError
from gminus2.precession.arrays import Floats

__all__ = ["Whitener"]


class Whitener:
    """Applies V^(-1/2).

    Parameters
    ----------
    covariance
        Variances, shape (n,), infinite where a bin has no weight; lower band, shape (diagonals, n), with ``banded``; or
        a matrix, shape (n, n).

    Raises
    ------
    DataError
        Not positive definite.
    """

    def __init__(self, covariance: Floats, *, banded: bool = False) -> None:
        self.banded = banded
        self._covariance = covariance
        try:
            if banded:
                self._factor = scipy.linalg.cholesky_banded(covariance, lower=True)
            elif covariance.ndim == 1:
                if not (covariance > 0).all():
                    raise np.linalg.LinAlgError
                self._factor = np.sqrt(covariance)
            else:
                self._factor = scipy.linalg.cholesky(covariance, lower=True)
        except (np.linalg.LinAlgError, ValueError):
            raise DataError(
                "the covariance of the bins is not positive definite",
                hint="leave bins without content out of the window",
            ) from None

    @property
    def variances(self) -> Floats:
        """Diagonal of the covariance, shape (n,)."""
        if self.banded:
            return np.asarray(self._covariance[0], dtype=np.float64)
        return self._covariance if self._covariance.ndim == 1 else np.diag(self._covariance).copy()

    def __call__(self, values: Floats) -> Floats:
        """Return V^(-1/2) applied along the first axis of (n,) or (n, columns) values."""
        if self.banded:
            below = len(self._factor) - 1
            return np.asarray(scipy.linalg.solve_banded((below, 0), self._factor, values), dtype=np.float64)
        if self._covariance.ndim == 1:
            scaled: Floats = values / (self._factor if values.ndim == 1 else self._factor[:, None])
            return scaled
        return np.asarray(scipy.linalg.solve_triangular(self._factor, values, lower=True), dtype=np.float64)
