"""Correlations of the methods by a Poisson bootstrap over clusters, beside those predicted by influence functions.

Each cluster of a reconstruction enters a replica k times, k Poisson of mean 1: the finely binned histogram (100 MeV,
18.65 ns) is drawn anew, and T, A, R and Q are filled from the same draw and fitted as the data are. The sets of the R
method are drawn once, as in the data (``docs/physics/omega_a.md``, section 7).

What it cannot do: the two reconstructions are different histograms of the same hits, so a replica holds one of them;
and pileup is subtracted as in the data, its own noise (some tenths of a percent of the variance) is not drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gminus2.data import TimeHistogram
from gminus2.data.campaign import AXES
from gminus2.errors import FitError
from gminus2.precession.blinding import Blinding
from gminus2.precession.campaign.analyses import DatasetAnalyser, Measured, Variation
from gminus2.precession.fitting.correlated import fit_ratio
from gminus2.precession.fitting.engine import fit
from gminus2.precession.fitting.ratio import ratio_of_copies
from gminus2.precession.fitting.settings import FitSettings
from gminus2.precession.methods.spectra import smooth_ratio_variance
from gminus2.precession.models.model import Model
from gminus2.random import stream

__all__ = ["Bootstrap", "bootstrap_methods"]

Array = NDArray[np.float64]
_WIDTH: Final = AXES["time_width_us"]
_COARSE: Final = AXES["coarse_energy_width_mev"]
_PER: Final = int(AXES["fine_per_time"])


@dataclass(frozen=True)
class Bootstrap:
    """Replicas of R.

    Attributes
    ----------
    analyses
        Names; analyses of other reconstructions than the first are not among them.
    shifts_ppm
        R of each replica less that of the nominal fit, shape (replicas, analyses).
    """

    analyses: tuple[str, ...]
    shifts_ppm: Array

    @property
    def correlation(self) -> Array:
        """Correlation matrix of the replicas."""
        return np.asarray(np.corrcoef(self.shifts_ppm, rowvar=False), dtype=np.float64)

    @property
    def correlation_error(self) -> Array:
        """Its standard error, (1 - ρ²)/√(n - 1)."""
        result: Array = (1.0 - self.correlation**2) / math.sqrt(max(1, len(self.shifts_ppm) - 1))
        return result

    def to_json(self) -> dict[str, Any]:
        """Return replicas, widths and correlations."""
        return {
            "order": list(self.analyses),
            "replicas": len(self.shifts_ppm),
            "spread_ppm": self.shifts_ppm.std(axis=0, ddof=1),
            "correlation": self.correlation,
            "correlation_error": self.correlation_error,
        }


def _histogram(counts: Array, variance: Array | None = None) -> TimeHistogram:
    variances = None if variance is None else variance[None, :]
    return TimeHistogram(counts[None, :], np.zeros(1), _WIDTH, ("all",), variances=variances)


class _Sample:
    """The clusters above and below the threshold, those above in the sets of the R method."""

    def __init__(self, analyser: DatasetAnalyser, reconstruction: str, threshold_mev: float, key: int) -> None:
        reduction = analyser.dataset.settings["reduction"]
        lifetime = float(reduction["lifetime_us"])
        fine = analyser.dataset.reconstruction(reconstruction)["fine"].astype(np.int64)
        self.edge = round(threshold_mev / _COARSE)
        self.shift = round(0.5 * float(reduction["precession_period_us"]) / (_WIDTH / _PER))
        self.half = self.shift * _WIDTH / _PER
        self.lifetime = lifetime
        up, down = math.exp(self.half / lifetime), math.exp(-self.half / lifetime)
        total = 2.0 + up + down
        generator = stream(key, "bootstrap", "sets")
        above = fine[self.edge :]
        plus = generator.binomial(above, up / total)
        minus = generator.binomial(above - plus, (down / total) / (1.0 - up / total))
        self.parts = [plus, minus, above - plus - minus]
        self.below = fine[: self.edge]

    def draw(self, generator: np.random.Generator | None) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
        """Return a replica (``None``: the data) of the three sets and of what is below the threshold."""
        if generator is None:
            return self.parts, self.below
        return [generator.poisson(part) for part in self.parts], generator.poisson(self.below)

    def by_energy(self, parts: list[NDArray[np.int64]], below: NDArray[np.int64]) -> Array:
        """Return counts by (100 MeV, time bin)."""
        whole = np.concatenate([below, parts[0] + parts[1] + parts[2]])
        result: Array = whole.reshape(whole.shape[0], -1, _PER).sum(axis=2).astype(np.float64)
        return result

    def ratio_counts(self, parts: list[NDArray[np.int64]]) -> tuple[Array, Array]:
        """Return the unmoved counts and the sum of the moved ones by time bin."""
        plus, minus, unmoved = (part.sum(axis=0) for part in parts)
        moved = np.zeros_like(plus)
        moved[: -self.shift] += plus[self.shift :]
        moved[self.shift :] += minus[: -self.shift]
        v, u = (x.reshape(-1, _PER).sum(axis=1).astype(np.float64) for x in (unmoved, moved))
        return v, u


def _weights(measured: Measured, rows: int) -> Array:
    """Return the weights of an analysis by 100 MeV."""
    result: Array = measured.spectrum.weights[: 2 * rows].reshape(rows, 2).mean(axis=1)
    return result


def bootstrap_methods(
    analyser: DatasetAnalyser,
    measured: Sequence[tuple[Measured, Blinding | None]],
    replicas: int,
    *,
    seed: int = 1,
) -> Bootstrap:
    """Draw replicas of the clusters and fit them with every analysis of the first one's reconstruction.

    Parameters
    ----------
    measured
        Nominal fits, each with its blind.

    Raises
    ------
    FitError
        Fewer than three replicas.
    """
    if replicas < 3:
        raise FitError("correlations need at least three replicas", found=str(replicas))
    reconstruction = measured[0][0].analysis.reconstruction
    chosen = [(m, b) for m, b in measured if m.analysis.reconstruction == reconstruction]
    thresholds = {m.analysis.threshold_mev for m, _ in chosen if m.analysis.method == "R"}
    sample = _Sample(analyser, reconstruction, next(iter(thresholds), 1700.0), seed)
    models = []
    for m, _ in chosen:
        model = analyser.model(m.analysis, Variation(), analyser.positrons(m.analysis))
        kept = {
            name: p.value for name, p in m.fit.parameters.items() if p.state != "free" and name in model.parameter_names
        }
        models.append(model.fixed(**kept))
    nominal_counts = sample.by_energy(*sample.draw(None))
    rows = nominal_counts.shape[0]
    weights = [_weights(m, rows) for m, _ in chosen]
    reference = [_ratio_fit(sample, sample.parts, m, model, b) for (m, b), model in zip(chosen, models, strict=True)]
    shifts = np.zeros((replicas, len(chosen)))
    for n in range(replicas):
        parts, below = sample.draw(stream(seed, "bootstrap", n))
        change = sample.by_energy(parts, below) - nominal_counts
        for i, ((m, b), model, w) in enumerate(zip(chosen, models, weights, strict=True)):
            if m.spectrum.ratio is not None:
                value = _ratio_fit(sample, parts, m, model, b)
                shifts[n, i] = value - reference[i]
                continue
            variances = m.spectrum.histogram.variances
            assert variances is not None
            histogram = _histogram(m.spectrum.histogram.counts[0] + w @ change, variances[0])
            settings = FitSettings(window_us=m.fit.window_us, statistic="weighted")
            shifts[n, i] = fit(histogram, model, settings, start=m.fit.values, blinding=b).value("R") - m.r_ppm
    return Bootstrap(tuple(m.analysis.name for m, _ in chosen), shifts)


def _ratio_fit(
    sample: _Sample, parts: list[NDArray[np.int64]], measured: Measured, model: Model, blinding: Blinding | None
) -> float:
    """Return R of the ratio of a replica; 0 for other methods."""
    if measured.spectrum.ratio is None:
        return 0.0
    v, u = sample.ratio_counts(parts)
    stop = round(measured.fit.window_us[1] / _WIDTH)
    series = ratio_of_copies(
        _histogram(v[:stop]), _histogram(u[:stop]), shift_us=sample.half, lifetime_us=sample.lifetime
    )
    series = replace(series, covariance=smooth_ratio_variance(series, (u + v)[:stop]))
    start = {name: measured.fit.value(name) for name in ("A", "R", "phi")}
    return fit_ratio(
        series, model, FitSettings(window_us=measured.fit.window_us), start=start, blinding=blinding
    ).value("R")
