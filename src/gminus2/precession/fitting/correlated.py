"""Fits of bins that are not independent: asymmetry-weighted histograms and ratios, with their covariance.

χ² = rᵀ V⁻¹ r. The covariance is given as variances, as a band (lower diagonals, as SciPy stores them) or as a full
matrix; the residuals and the Jacobian are whitened with its Cholesky factor, and damped Gauss-Newton does the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from gminus2.data import TimeHistogram
from gminus2.errors import FitError
from gminus2.precession.blinding import Blinding
from gminus2.precession.fitting.binding import Binding, bind
from gminus2.precession.fitting.engine import Minimum, assemble, check_blinding
from gminus2.precession.fitting.ratio import RatioSeries
from gminus2.precession.fitting.result import FitResult, FittedSpectrum
from gminus2.precession.fitting.scoring import STATUS, damped_step, expectation, invert_curvature
from gminus2.precession.fitting.settings import FitSettings
from gminus2.precession.fitting.starts import find_starts
from gminus2.precession.fitting.whitening import Whitener
from gminus2.precession.models.model import Model, load_model

__all__ = ["fit_correlated", "fit_ratio"]

Array = NDArray[np.float64]


def _minimise(
    model: Callable[[Array], tuple[Array, Array]],
    data: Array,
    whiten: Whitener,
    start: Array,
    bounds: tuple[Array, Array],
    limit: int,
    tolerance: float,
) -> Minimum:
    """Damped Gauss-Newton on the whitened residuals; ``model`` returns (n,) values and the (p, n) Jacobian."""
    n = start.size
    lower, upper = bounds

    def evaluate(p: Array) -> tuple[float, Array, Array]:
        try:
            values, jacobian = model(p)
        except FitError:
            return math.inf, np.zeros(n), np.eye(n)
        residual = whiten(values - data)
        slope = whiten(np.ascontiguousarray(jacobian.T))
        return float(residual @ residual), slope.T @ residual, np.ascontiguousarray(slope.T @ slope)

    p = np.clip(start, lower, upper)
    value, g, h = evaluate(p)
    evaluations, damping, status, edm = 1, 0.0, 2, math.inf
    matrix, delta, covariance = np.zeros((n, n)), np.zeros(n), np.zeros((n, n))
    if not math.isfinite(value):
        return Minimum(p, covariance * np.nan, value, math.inf, STATUS[1], evaluations)
    free = np.arange(n)
    while True:
        outward = ((p <= lower) & (g > 0)) | ((p >= upper) & (g < 0))
        free = np.flatnonzero(~outward).astype(np.int64)
        edm = damped_step(g, h, free, free.size, 0.0, matrix, delta)
        singular = edm < 0.0
        if not singular and edm < tolerance:
            status = 0
            break
        if evaluations >= limit or damping > 1e12:
            status = 4 if singular else (3 if damping > 1e12 else 2)
            break
        if singular or damping > 0.0:
            damping = max(damping, 1e-3)
            damped_step(g, h, free, free.size, damping, matrix, delta)
        trial = p.copy()
        trial[free] = np.clip(p[free] + delta[: free.size], lower[free], upper[free])
        new, g_new, h_new = evaluate(trial)
        evaluations += 1
        if new <= value * (1.0 + 1e-10):
            p, value, g, h = trial, new, g_new, h_new
            damping = damping / 10.0 if damping >= 1e-3 else 0.0
        else:
            damping = max(1e-3, 10.0 * damping)
    if not invert_curvature(h, free, free.size, matrix, delta, covariance) and status == 0:
        status = 4
    return Minimum(p, covariance, value, max(edm, 0.0), STATUS[status], evaluations)


def fit_correlated(
    histogram: TimeHistogram,
    model: Model | str,
    covariance: Array,
    settings: FitSettings | None = None,
    *,
    banded: bool = False,
    start: Mapping[str, float] | None = None,
    blinding: Blinding | None = None,
) -> FitResult:
    """Fit one detector's bins with their covariance (asymmetry-weighted or pileup-subtracted counts, …).

    Parameters
    ----------
    histogram
        One detector.
    covariance
        Of all bins of the histogram: shape (bins, bins), or with ``banded`` its lower band, shape (diagonals, bins).

    Raises
    ------
    FitError
        Several detectors, a covariance of another size, and all that :func:`gminus2.precession.fit` refuses.
    DataError
        The covariance of the window is not positive definite.
    """
    settings = settings or FitSettings()
    model = load_model(model) if isinstance(model, str) else model
    if histogram.n_detectors != 1:
        raise FitError("a fit with covariance takes one detector", found=str(histogram.n_detectors))
    expected_shape = "(diagonals, bins)" if banded else "(bins, bins)"
    fits = covariance.ndim == 2 and covariance.shape[1] == histogram.n_bins
    if not fits or not (banded or covariance.shape[0] == covariance.shape[1]):
        raise FitError(
            "the covariance does not fit the histogram", expected=expected_shape, found=str(covariance.shape)
        )
    offset = 0.0
    if blinding is not None:
        check_blinding(model)
        offset = blinding.hidden_offset_ppm()
    variances = covariance[0] if banded else np.diag(covariance)
    weighted = replace(histogram, variances=np.asarray(variances, dtype=np.float64)[None, :])
    binding = bind(weighted, model, replace(settings, statistic="weighted"), start=start, offset_ppm=offset)
    a, n = int(binding.selection.first[0]), int(binding.selection.bins[0])
    part = covariance[:, a : a + n].copy() if banded else covariance[a : a + n, a : a + n]
    if banded:
        for k in range(1, len(part)):
            part[k, max(n - k, 0) :] = 0.0
    whiten = Whitener(part, banded=banded)
    first = find_starts(binding)
    workspace = binding.workspace()

    def expected(p: Array) -> tuple[Array, Array]:
        mu, jacobian = expectation(p, binding.problem, binding.program, workspace, partials=True)
        return mu[:n], jacobian[:, :n]

    bounds = binding.table.lower[binding.free], binding.table.upper[binding.free]
    minimum = _minimise(
        expected, binding.problem.counts[:n], whiten, first, bounds, settings.max_iterations, settings.tolerance
    )
    spectrum = FittedSpectrum(
        label=histogram.labels[0],
        centres_us=histogram.centres_us()[a : a + n],
        data=binding.problem.counts[:n].copy(),
        model=expectation(minimum.p, binding.problem, binding.program, workspace)[0][:n],
        sigma=np.sqrt(whiten.variances),
        width_us=histogram.width_us,
    )
    return assemble(binding, first, minimum, settings, blinding, (spectrum,), histogram.caveats, statistic="covariance")


def fit_ratio(
    series: RatioSeries,
    model: Model | str,
    settings: FitSettings | None = None,
    *,
    start: Mapping[str, float],
    blinding: Blinding | None = None,
) -> FitResult:
    """Fit a ratio (2f₀ - f₊ - f₋)/(2f₀ + f₊ + f₋), f± = f(t ± shift) e^(±shift/lifetime).

    Parameters
    ----------
    model
        Any model without background; its N0 and tau drop out of the ratio and are fixed.
    start
        Start values of all other parameters, e.g. ``fit(…).values`` of the counts the ratio was made from; names that
        the model does not have are passed over.

    Raises
    ------
    FitError
        A parameter without start value, a background term, no bin in the window.
    """
    settings = settings or FitSettings()
    model = load_model(model) if isinstance(model, str) else model
    if "background" in model.parameter_names:
        raise FitError("a flat background does not drop out of a ratio", hint="use a model without it")
    offset = 0.0
    if blinding is not None:
        check_blinding(model)
        offset = blinding.hidden_offset_ppm()
    # e^(-t/τ) cancels in the ratio but for its slope inside a bin, which the lifetime of the weights keeps.
    model = model.fixed(N0=1.0, tau=series.lifetime_us)
    known = {
        name: value for name, value in start.items() if name in model.parameter_names and name not in ("N0", "tau")
    }
    inside = series.inside(settings.window_us)
    centres = series.centres_us[inside]
    bindings: list[Binding] = []
    for shift in (0.0, series.shift_us, -series.shift_us):
        low = float(centres[0]) - 0.5 * series.width_us + shift
        grid = TimeHistogram(np.ones((1, centres.size)), np.array([low]), series.width_us, (series.label,))
        bindings.append(bind(grid, model, replace(settings, window_us=None), start=known, offset_ppm=offset))
    binding = bindings[0]
    first = binding.table.start[binding.free]
    if not np.isfinite(first).all():
        missing = binding.table.names[int(binding.free[np.flatnonzero(~np.isfinite(first))[0]])]
        raise FitError(f"a ratio fit needs a start value of '{missing}'", hint="take the values of a fit of the counts")
    workspaces = [b.workspace() for b in bindings]
    weight = math.exp(series.shift_us / series.lifetime_us)
    n = centres.size

    def expected(p: Array) -> tuple[Array, Array]:
        (f0, j0), (fp, jp), (fm, jm) = (
            expectation(p, b.problem, b.program, w, partials=True) for b, w in zip(bindings, workspaces, strict=True)
        )
        for values, scale in ((fp, weight), (jp, weight), (fm, 1.0 / weight), (jm, 1.0 / weight)):
            values *= scale
        top, bottom = (2.0 * f0 - fp - fm)[:n], (2.0 * f0 + fp + fm)[:n]
        slope_top, slope_bottom = (2.0 * j0 - jp - jm)[:, :n], (2.0 * j0 + jp + jm)[:, :n]
        return top / bottom, (slope_top * bottom - slope_bottom * top) / bottom**2

    whiten = Whitener(series.variances(inside))
    binding = replace(binding, used=int(np.isfinite(whiten.variances).sum()))
    bounds = binding.table.lower[binding.free], binding.table.upper[binding.free]
    data = series.values[inside]
    minimum = _minimise(expected, data, whiten, first, bounds, settings.max_iterations, settings.tolerance)
    values, jacobian = expected(minimum.p)
    minimum, p_value = _with_overlap(minimum, series, inside, jacobian, binding.used)
    spectrum = FittedSpectrum(
        label=series.label,
        centres_us=centres,
        data=data,
        model=values,
        sigma=np.sqrt(whiten.variances),
        width_us=series.width_us,
    )
    return assemble(
        binding, first, minimum, settings, blinding, (spectrum,), series.caveats, statistic="ratio", p_value=p_value
    )


def _with_overlap(
    minimum: Minimum, series: RatioSeries, inside: slice, jacobian: Array, used: int
) -> tuple[Minimum, float | None]:
    """Return the minimum with the covariance that the overlap of the copies gives, and the p-value.

    The weights are the inverse variances alone: modes in which the overlap cancels nearly all noise (sums of R over
    many periods) have no use for the frequency and would magnify the second-order bias of a ratio. The covariance is
    then C Jᵀ W V W J C, C = (Jᵀ W J)⁻¹, and χ² follows a scaled χ² distribution with the first two moments of
    tr(W V) (F. E. Satterthwaite, Biometrics Bulletin 2 (1946) 110).
    """
    if series.covariance.ndim == 1 or not minimum.converged:
        return minimum, None
    weighted = jacobian.T / series.variances(inside)[:, None]
    inner = weighted.T @ series.times_covariance(inside, weighted)
    covariance = minimum.covariance @ inner @ minimum.covariance
    band = series.covariance[:, inside]
    n = band.shape[1]
    second = float(n) + 2.0 * sum(
        float((band[k, : n - k] ** 2 / (band[0, : n - k] * band[0, k:])).sum()) for k in range(1, len(band))
    )
    first = float(used - minimum.p.size)
    scale = second / n
    return replace(minimum, covariance=covariance), float(special.chdtrc(first / scale, minimum.value / scale))
