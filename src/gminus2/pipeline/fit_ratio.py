"""The ratio fit of a job: one histogram against itself, shifted by about half a precession period."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from gminus2.data import TimeHistogram
from gminus2.errors import FitError
from gminus2.pipeline.fit_file import FitFile
from gminus2.precession import (
    Blinding,
    FitResult,
    FitSettings,
    Model,
    RatioSeries,
    WindowScan,
    fit,
    fit_ratio,
    ratio_of_shifts,
)
from gminus2.precession.models.config import PrecessionTerm
from gminus2.units import omega_reference

__all__ = ["fit_shifted_ratio"]


def fit_shifted_ratio(
    request: FitFile, histogram: TimeHistogram, model: Model, settings: FitSettings, blinding: Blinding | None
) -> tuple[FitResult, tuple[WindowScan, ...]]:
    """Fit the ratio of a histogram and its copies shifted by whole bins, and scan its window.

    The counts are fitted first: their values are the start, their lifetime goes into the weights.

    Raises
    ------
    FitError
        Several detectors, ``minuit`` or MINOS asked for, no precession in R, or no room for the shift.
    """
    if histogram.n_detectors != 1:
        raise FitError(
            "a ratio is made of one detector", found=", ".join(histogram.labels), hint="choose with --detector"
        )
    if settings.minimizer != "fisher" or settings.minos:
        raise FitError("a ratio is fitted by the own engine, without MINOS", where="--minimizer, --minos")
    if not any(isinstance(term, PrecessionTerm) and term.frequency == "R" for term in model.config.terms):
        raise FitError("a ratio fit needs the frequency as R", hint="use --units R")
    assert settings.window_us is not None
    bins = round(math.pi / omega_reference / histogram.width_us)
    _part(histogram, settings.window_us, bins)  # refuses a window that is too short before anything is fitted
    counts = fit(histogram, model, settings, blinding=blinding)
    lifetime = counts.value("tau")
    note = (
        f"ratio with copies shifted by {bins} bins; weights with the lifetime of the counts, {lifetime:.6g} µs; bins "
        f"{bins} and {2 * bins} apart share counts, so the pulls are correlated and their spectrum is not white"
    )

    def one(window: tuple[float, float]) -> FitResult:
        result = fit_ratio(series, model, replace(settings, window_us=window), start=counts.values, blinding=blinding)
        return replace(result, notes=(note, *result.notes))

    low, high = settings.window_us
    scans = []
    if request.fit.scan_start_us:
        starts = sorted({*request.fit.scan_start_us, low})
        series = _series(histogram, (starts[0], high), bins, lifetime)
        scans.append(WindowScan("start", np.array(starts), tuple(one((t, high)) for t in starts)))
    if request.fit.scan_stop_us:
        stops = sorted({*request.fit.scan_stop_us, high}, reverse=True)
        series = _series(histogram, (low, stops[0]), bins, lifetime)
        scans.append(WindowScan("stop", np.array(stops), tuple(one((low, t)) for t in stops)))
    series = _series(histogram, settings.window_us, bins, lifetime)
    return one(settings.window_us), tuple(scans)


def _series(histogram: TimeHistogram, window_us: tuple[float, float], bins: int, lifetime_us: float) -> RatioSeries:
    return ratio_of_shifts(_part(histogram, window_us, bins), bins=bins, lifetime_us=lifetime_us)


def _part(histogram: TimeHistogram, window_us: tuple[float, float], bins: int) -> TimeHistogram:
    """Return the bins of a window and one shift on either side, as far as there are any."""
    centres = histogram.centres_us()
    inside = np.flatnonzero((centres > window_us[0]) & (centres < window_us[1]))
    if len(inside) < 2 * bins + 2:
        raise FitError(
            "the window is too short for a ratio", expected=f"more than {2 * bins} bins", found=str(len(inside))
        )
    first, last = max(int(inside[0]) - bins, 0), min(int(inside[-1]) + bins + 1, histogram.n_bins)
    return TimeHistogram(
        counts=histogram.counts[:, first:last],
        start_us=histogram.start_us + first * histogram.width_us,
        width_us=histogram.width_us,
        labels=histogram.labels,
        variances=None if histogram.variances is None else histogram.variances[:, first:last],
        caveats=histogram.caveats,
    )
