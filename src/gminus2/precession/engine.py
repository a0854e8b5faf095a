"""The fit."""

from __future__ import annotations

from collections.abc import Mapping

from gminus2.data import TimeHistogram
from gminus2.precession.blinding import Blinding
from gminus2.precession.model import Model
from gminus2.precession.result import FitResult
from gminus2.precession.settings import FitSettings

__all__ = ["fit"]


def fit(
    histogram: TimeHistogram,
    model: Model | str,
    settings: FitSettings | None = None,
    *,
    start: Mapping[str, float] | None = None,
    blinding: Blinding | None = None,
) -> FitResult:
    """Fit a model to a histogram.

    Parameters
    ----------
    histogram
        One or several detectors.
    model
        A :class:`Model` or the name of a preset.
    settings
        Window, statistic, bin rule, minimiser; default :class:`FitSettings`.
    start
        Start values by name; found automatically where absent.
    blinding
        Hide R (the model must have ``frequency = "R"``).

    Raises
    ------
    FitError
        Fewer bins in the window than free parameters, an empty window, no counts, a ``weighted`` fit without
        variances, a lost-muon term without spectrum.
    """
    raise NotImplementedError
