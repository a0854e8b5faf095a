"""What each method fits: counts above a threshold, asymmetry-weighted counts, ratio, energy flow.

Variances are not Poisson: pairs in the pileup construction and weights enter them. They are smoothed with a fit of the
variance spectrum itself, so that weights do not follow the fluctuations of the counts (``docs/physics/omega_a.md``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gminus2.data import TimeHistogram
from gminus2.data.campaign import AXES
from gminus2.errors import FitError
from gminus2.precession.corrections.convolution import propagation_matrix
from gminus2.precession.fitting.engine import fit
from gminus2.precession.fitting.ratio import RatioSeries, ratio_of_copies
from gminus2.precession.fitting.settings import FitSettings
from gminus2.precession.methods.asymmetry import EnergyAsymmetry
from gminus2.precession.methods.prepared import Prepared, brought_forward, separation_us
from gminus2.units import omega_reference

__all__ = ["Method", "MethodSpectrum", "method_spectrum", "smooth_ratio_variance", "usable_stop"]

Array = NDArray[np.float64]
Method = Literal["T", "A", "R", "Q"]
_WIDTH: Final = AXES["time_width_us"]
_ENERGY: Final = AXES["energy_width_mev"]
#: Fewest effective counts per bin in the window.
_FEWEST: Final = 12.0


@dataclass(frozen=True)
class MethodSpectrum:
    """What is fitted.

    Attributes
    ----------
    histogram
        Corrected (weighted) counts of all calorimeters with variances; for R the counts of the unshifted sum.
    ratio
        The ratio of the R method, else ``None``.
    weights
        Weight of a positron by energy, shape (128,).
    stop_us
        Last time with enough counts per bin.
    variance_factor
        Variance at 30 µs over that of independent positrons.
    """

    method: Method
    histogram: TimeHistogram
    ratio: RatioSeries | None
    weights: Array
    stop_us: float
    variance_factor: float


def usable_stop(variance: Array, scale: float, latest_us: float) -> float:
    """Return the end of the last bin whose effective counts (variance/scale) suffice."""
    enough = np.flatnonzero(variance / scale >= _FEWEST)
    return min(latest_us, _WIDTH * (float(enough[-1]) + 1.0)) if enough.size else 0.0


def _smooth(squares: Array, fourth: float, start_us: float, latest_us: float) -> tuple[Array, float]:
    """Return Σw² as fitted by five parameters, by time, and the usable stop.

    ``fourth`` is Σw⁴/Σw²: squares/fourth are effective counts.
    """
    effective = np.maximum(squares / fourth, 0.0)
    # The running mean over one precession period falls to the limit here.
    mean = ndimage.uniform_filter1d(effective, 29, mode="nearest")
    peak = int(np.argmax(mean))
    below = np.flatnonzero(mean[peak:] < 1.6 * _FEWEST)
    stop = min(latest_us, _WIDTH * (peak + int(below[0]))) if below.size else latest_us
    if stop < start_us + 40.0:
        raise FitError(
            "the dataset has too few positrons for a precession fit",
            expected=f"more than {_FEWEST:g} per time bin for 40 µs from {start_us:g} µs on",
            found=f"that until {stop:.1f} µs",
        )
    found = fit(
        TimeHistogram(effective[None, :], np.zeros(1), _WIDTH, ("variance",)),
        "five",
        FitSettings(window_us=(start_us, stop)),
        start={"R": 0.0},
    )
    smooth = np.full(squares.size, np.nan)
    spectrum = found.spectra[0]
    first = round(float(spectrum.centres_us[0]) / _WIDTH - 0.5)
    smooth[first : first + spectrum.model.size] = spectrum.model * fourth
    return smooth, stop


def _pair_excess(prepared: Prepared, weights: Array) -> float:
    """Return Σ over pairs of [2(w₁+w₂) - w₁₂]² - w₁² - w₂² after 30 µs, for the shadow window."""
    pairs = prepared.dataset.reconstruction(prepared.reconstruction)["pileup_pairs"].astype(np.float64)
    coarse = weights[: 2 * pairs.shape[0]].reshape(-1, 2).mean(axis=1)
    both = np.arange(coarse.size)[:, None] + np.arange(coarse.size)[None, :]
    sum_weight = np.interp(both + 1.0, np.arange(coarse.size) + 0.5, coarse)
    single = coarse[:, None] + coarse[None, :]
    excess = (2.0 * single - sum_weight) ** 2 - coarse[:, None] ** 2 - coarse[None, :] ** 2
    return float((pairs * excess).sum())


def _variance_growth(prepared: Prepared, weights: Array, squares: Array) -> float:
    """Return κ in variance = Σw² (1 + κ n(t)), n the raw counts per bin: what pileup adds."""
    after = slice(math.ceil(30.0 / _WIDTH), None)
    n = prepared.raw.sum(axis=0)[after]
    if n.sum() <= 0 or prepared.options.pileup == "none":
        return 0.0
    base = float((squares[after] * n).sum())
    if prepared.options.pileup == "shadow":
        return _pair_excess(prepared, weights) / base if base > 0 else 0.0
    dead = separation_us(prepared.dataset, prepared.reconstruction)
    mean = prepared.raw[:, after] @ n / n.sum() / 24.0
    matrix = propagation_matrix(mean, dead, _WIDTH, prepared.fills)
    with_pileup = float(((weights @ matrix) ** 2) @ mean)
    without = float(weights**2 @ mean)
    return (with_pileup / without - 1.0) / (24.0 * float(mean.sum())) if without > 0 else 0.0


def method_spectrum(
    prepared: Prepared,
    method: Method,
    *,
    threshold_mev: float = 1700.0,
    asymmetry: EnergyAsymmetry | None = None,
    weight_range_mev: tuple[float, float] = (1000.0, 3100.0),
    start_us: float = 30.0,
    stop_us: float = 650.0,
) -> MethodSpectrum:
    """Return what a method fits.

    Parameters
    ----------
    threshold_mev
        Of T and R, on an edge of the energy axis.
    asymmetry
        Weights of the A method.
    weight_range_mev
        Energies that the A method uses.

    Raises
    ------
    FitError
        Too few positrons, or the A method without asymmetry.
    """
    axis = _ENERGY * (np.arange(prepared.raw.shape[0]) + 0.5)
    if method in ("T", "R"):
        weights = (axis > threshold_mev).astype(np.float64)
    elif method == "A":
        if asymmetry is None or not asymmetry.weight.any():
            raise FitError("the A method needs the asymmetry by energy", hint="measure it with the T method first")
        weights = np.where((axis > weight_range_mev[0]) & (axis < weight_range_mev[1]), asymmetry.weight, 0.0)
    else:
        least = float(prepared.dataset.settings["reduction"]["q_threshold_mev"])
        weights = np.where(axis > least, axis, 0.0)
    if method == "Q":
        counts, squares = _energy_flow(prepared)
    else:
        counts = weights @ prepared.counts
        squares = weights**2 @ prepared.raw
    total = float((weights**2 @ prepared.raw).sum())
    fourth = float((weights**4 @ prepared.raw).sum()) / max(total, 1e-300)
    smooth, stop = _smooth(squares, fourth, start_us - 1.0, stop_us)
    growth = 0.0 if method == "Q" else _variance_growth(prepared, weights, squares)
    n = ndimage.uniform_filter1d(prepared.raw.sum(axis=0), 29, mode="nearest")
    variance = smooth * (1.0 + growth * n)
    histogram = TimeHistogram(
        counts=counts[None, :],
        start_us=np.zeros(1),
        width_us=_WIDTH,
        labels=("all",),
        variances=np.nan_to_num(variance, nan=0.0)[None, :],
    )
    at_start = round(30.0 / _WIDTH) + 2
    factor = float(1.0 + growth * n[at_start])
    ratio = _ratio(prepared, threshold_mev, stop, factor) if method == "R" else None
    return MethodSpectrum(method, histogram, ratio, weights, stop, factor)


def _energy_flow(prepared: Prepared) -> tuple[Array, Array]:
    """Return the energy flow with gain corrected, and its sum of squares."""
    shared = prepared.dataset.shared
    flow = shared["energy_flow"].sum(axis=0).astype(np.float64)
    squares = shared["energy_flow_squared"].sum(axis=0).astype(np.float64)
    loss = prepared.gain_loss
    if loss.any():
        least = float(prepared.dataset.settings["reduction"]["q_threshold_mev"])
        edge = round(least / _ENERGY)
        density = 0.5 * (prepared.raw[edge] + prepared.raw[edge - 1]) / _ENERGY
        # Every pulse grows by 1/(1 - δ); those within δ below the threshold had been left out.
        flow = flow / (1.0 - loss) + density * loss * least**2
    return brought_forward(flow, prepared.options), squares


def _set_shares(dataset_settings: Any) -> tuple[tuple[float, float, float], float, float]:
    s = dataset_settings["reduction"]
    half = 0.5 * float(s["precession_period_us"])
    up, down = math.exp(half / float(s["lifetime_us"])), math.exp(-half / float(s["lifetime_us"]))
    total = 2.0 + up + down
    return (up / total, down / total, 2.0 / total), half, float(s["lifetime_us"])


def smooth_ratio_variance(series: RatioSeries, total: Array) -> Array:
    """Return (1 - r²)/(U + V), r a linear wiggle fit at ω_ref: an observed r near ±1 would get all the weight."""
    angle = omega_reference * series.centres_us
    good = np.isfinite(series.covariance) & (total > 0)
    basis = np.stack([np.cos(angle), np.sin(angle)])
    weight = np.where(good, total, 0.0)
    found = np.linalg.solve((basis * weight) @ basis.T, (basis * weight) @ series.values)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(good, (1.0 - np.minimum((found @ basis) ** 2, 0.99)) / total, np.inf)


def _ratio(prepared: Prepared, threshold_mev: float, stop_us: float, factor: float) -> RatioSeries:
    """Return the ratio from the four random sets, each with its expected share of the pileup subtracted.

    A set filled at t ± T/2 holds pileup and gain of the time its positrons had, so both are moved along.
    """
    sets = prepared.dataset.reconstruction(prepared.reconstruction)["random_sets"]
    (plus, minus, unmoved), half, lifetime = _set_shares(prepared.dataset.settings)
    edge = round(threshold_mev / _ENERGY)
    pileup = prepared.pileup[edge:].sum(axis=0)

    def corrected(index: slice, share: float, shift_us: float) -> Array:
        part = sets[index].sum(axis=0)
        counts = part[edge:].sum(axis=0).astype(np.float64)
        moved = ndimage.shift(pileup, shift_us / _WIDTH, order=3, mode="constant") if shift_us else pileup
        loss = ndimage.shift(prepared.gain_loss, shift_us / _WIDTH, order=1, mode="nearest")
        above, below = part[edge].astype(np.float64), part[edge - 1].astype(np.float64)
        reach = edge * loss
        gained = reach * (0.5 * (above + below) - 0.5 * reach * (above - below))
        return brought_forward(np.asarray(counts - share * moved + gained), prepared.options)

    u = corrected(slice(0, 1), plus, -half) + corrected(slice(1, 2), minus, half)
    v = corrected(slice(2, 4), unmoved, 0.0)
    n_stop = round(stop_us / _WIDTH)

    def histogram(counts: Array) -> TimeHistogram:
        return TimeHistogram(
            counts[None, :n_stop], np.zeros(1), _WIDTH, ("all",), variances=np.abs(counts[None, :n_stop])
        )

    series = ratio_of_copies(histogram(v), histogram(u), shift_us=half, lifetime_us=lifetime)
    return RatioSeries(
        series.label,
        series.centres_us,
        series.values,
        smooth_ratio_variance(series, (u + v)[:n_stop]) * factor,
        series.shift_us,
        series.lifetime_us,
        series.width_us,
        series.caveats,
    )
