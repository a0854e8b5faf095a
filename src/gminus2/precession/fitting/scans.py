"""Start- and stop-time scans with the band of allowed differences.

Nested windows share data: the difference of two fits has the variance σ² - σ_ref², not their sum
(``docs/physics/precession.md``, section 6).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gminus2.data import TimeHistogram
from gminus2.errors import FitError
from gminus2.execution import Executor, SerialExecutor, map_ordered
from gminus2.precession.blinding import Blinding
from gminus2.precession.fitting.engine import fit
from gminus2.precession.fitting.result import FitResult
from gminus2.precession.fitting.settings import FitSettings
from gminus2.precession.models.model import Model, load_model

__all__ = ["WindowScan", "scan_window"]


@dataclass(frozen=True)
class WindowScan:
    """Fits in nested windows.

    Attributes
    ----------
    edge
        ``start`` or ``stop``: which end moves.
    times_us
        The moving end [µs], shape (points,), in the order of the widest window first.
    results
        The fits, the same order.
    """

    edge: Literal["start", "stop"]
    times_us: NDArray[np.float64]
    results: tuple[FitResult, ...]

    def values(self, name: str) -> NDArray[np.float64]:
        """Return a parameter at every point, shape (points,)."""
        return np.array([result.value(name) for result in self.results])

    def errors(self, name: str) -> NDArray[np.float64]:
        """Return its standard errors, shape (points,)."""
        return np.array([result.error(name) for result in self.results])

    def allowed(self, name: str) -> NDArray[np.float64]:
        """Return the 1σ allowed difference to the widest window, √|σ² - σ_ref²|, shape (points,)."""
        sigma = self.errors(name)
        result: NDArray[np.float64] = np.sqrt(np.abs(sigma**2 - sigma[0] ** 2))
        return result

    def shifts(self, name: str) -> NDArray[np.float64]:
        """Return the difference to the widest window, shape (points,)."""
        values = self.values(name)
        result: NDArray[np.float64] = values - values[0]
        return result

    def reduced(self) -> NDArray[np.float64]:
        """Return the statistic per degree of freedom, shape (points,)."""
        return np.array([result.statistic_value / result.ndf for result in self.results])

    def to_json(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the scan of some parameters as plain values."""
        return {
            "edge": self.edge,
            "times_us": self.times_us,
            "statistic_per_ndf": self.reduced(),
            "converged": [result.converged for result in self.results],
            "parameters": {
                name: {
                    "value": self.values(name),
                    "error": self.errors(name),
                    "shift": self.shifts(name),
                    "allowed": self.allowed(name),
                }
                for name in names
            },
        }


def scan_window(
    histogram: TimeHistogram,
    model: Model | str,
    times_us: Sequence[float],
    *,
    edge: Literal["start", "stop"] = "start",
    settings: FitSettings | None = None,
    blinding: Blinding | None = None,
    executor: Executor | None = None,
    quiet: bool = True,
) -> WindowScan:
    """Fit in windows that differ in their start (or stop), each begun at the values of the widest.

    Parameters
    ----------
    times_us
        The moving end of the window [µs]; the other end is that of ``settings.window_us``.
    executor
        Where the fits run; one after the other where absent.

    Raises
    ------
    FitError
        No times, settings without a window, or a window without enough bins.
    """
    settings = settings or FitSettings()
    model = load_model(model) if isinstance(model, str) else model
    if settings.window_us is None:
        raise FitError("a scan needs a window in its settings")
    if not len(times_us):
        raise FitError("a scan needs at least one time")
    lo, hi = settings.window_us
    ordered = sorted({float(t) for t in times_us}, reverse=edge == "stop")
    windows = [(t, hi) if edge == "start" else (lo, t) for t in ordered]
    widest = fit(histogram, model, replace(settings, window_us=windows[0]), blinding=blinding)
    begin = {name: p.value for name, p in widest.parameters.items() if p.state in ("free", "at bound")}

    def one(window: tuple[float, float]) -> FitResult:
        result = fit(histogram, model, replace(settings, window_us=window), start=begin, blinding=blinding)
        # The spectra of hundreds of windows would only repeat the data.
        return replace(result, spectra=())

    others = map_ordered(executor or SerialExecutor(), one, windows[1:], title=f"{edge} scan", quiet=quiet)
    return WindowScan(edge, np.array(ordered), (widest, *others))
