"""Start- and stop-time scans with the band of allowed differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gminus2.data import TimeHistogram
from gminus2.execution import Executor
from gminus2.precession.blinding import Blinding
from gminus2.precession.model import Model
from gminus2.precession.result import FitResult
from gminus2.precession.settings import FitSettings

__all__ = ["WindowScan", "scan_window"]


@dataclass(frozen=True)
class WindowScan:
    """Fits in nested windows.

    Attributes
    ----------
    edge
        ``start`` or ``stop``: which end moves.
    times_us
        The moving end [µs], shape (points,).
    results
        The fits, the same order; the reference is the widest window.
    """

    edge: Literal["start", "stop"]
    times_us: NDArray[np.float64]
    results: tuple[FitResult, ...]

    def values(self, name: str) -> NDArray[np.float64]:
        """Return a parameter at every point, shape (points,)."""
        raise NotImplementedError

    def errors(self, name: str) -> NDArray[np.float64]:
        """Return its standard errors, shape (points,)."""
        raise NotImplementedError

    def allowed(self, name: str) -> NDArray[np.float64]:
        """Return the 1σ allowed difference to the widest window, √|σ² - σ_ref²|, shape (points,)."""
        raise NotImplementedError

    def shifts(self, name: str) -> NDArray[np.float64]:
        """Return the difference to the widest window, shape (points,)."""
        raise NotImplementedError


def scan_window(
    histogram: TimeHistogram,
    model: Model | str,
    times_us: Sequence[float],
    *,
    edge: Literal["start", "stop"] = "start",
    settings: FitSettings | None = None,
    blinding: Blinding | None = None,
    reference: FitResult | None = None,
    executor: Executor | None = None,
    quiet: bool = True,
) -> WindowScan:
    """Fit in windows that differ in their start (or stop), each begun at the values of the widest."""
    raise NotImplementedError
