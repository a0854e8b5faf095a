"""Cross-checks of a dataset: start and stop of the window, calorimeters, bunches, threshold, pileup, seeds, bins."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from gminus2.data import TimeHistogram
from gminus2.data.campaign import AXES
from gminus2.errors import FitError
from gminus2.precession.blinding import Blinding
from gminus2.precession.campaign.analyses import Analysis, DatasetAnalyser, Measured, Variation
from gminus2.precession.campaign.lines import CalorimeterLines, calorimeter_lines
from gminus2.precession.fitting.correlated import fit_ratio
from gminus2.precession.fitting.engine import fit
from gminus2.precession.fitting.ratio import ratio_of_copies
from gminus2.precession.fitting.scans import scan_window
from gminus2.precession.fitting.settings import FitSettings
from gminus2.precession.methods.spectra import usable_stop
from gminus2.precession.models.model import Model
from gminus2.random import stream
from gminus2.units import omega_reference

__all__ = ["DatasetScans", "Scan", "scan_dataset"]

Array = NDArray[np.float64]
_WIDTH: Final = AXES["time_width_us"]
_ENERGY: Final = AXES["energy_width_mev"]


@dataclass(frozen=True)
class Scan:
    """R at several settings.

    Attributes
    ----------
    name, label
        What is varied, and its axis with unit.
    x, r_ppm, error_ppm
        Shape (points,).
    allowed_ppm
        Allowed difference to the reference where points share data; ``None`` for independent points.
    reference_ppm
        What they are compared with.
    extra
        Further numbers by point (χ², CBO phase, …).
    """

    name: str
    label: str
    x: Array
    r_ppm: Array
    error_ppm: Array
    allowed_ppm: Array | None
    reference_ppm: float
    extra: dict[str, Array]

    @property
    def chi2(self) -> float:
        """Of independent points around their mean; NaN where points share data."""
        if self.allowed_ppm is not None or self.x.size < 2:
            return math.nan
        w = 1.0 / self.error_ppm**2
        mean = float(w @ self.r_ppm / w.sum())
        return float(w @ (self.r_ppm - mean) ** 2)

    def to_json(self) -> dict[str, Any]:
        """Return the points and their consistency."""
        ndf = self.x.size - 1
        return {
            "x": self.x,
            "label": self.label,
            "R_ppm": self.r_ppm,
            "error_ppm": self.error_ppm,
            "allowed_ppm": self.allowed_ppm,
            "chi2": self.chi2,
            "ndf": ndf,
            "p_value": float(special.chdtrc(ndf, self.chi2)) if math.isfinite(self.chi2) else None,
            **self.extra,
        }


@dataclass(frozen=True)
class DatasetScans:
    """The scans of a dataset by name, and the lines of the beam in its calorimeters."""

    scans: dict[str, Scan]
    lines: CalorimeterLines | None = None

    def to_json(self) -> dict[str, Any]:
        """Return all scans."""
        return {name: scan.to_json() for name, scan in self.scans.items()}


def _fit_part(
    counts: Array, share: float, nominal: Measured, model: Model, blinding: Blinding | None, start_us: float
) -> Any:
    """Fit a part of the data: its variance is its share of the whole's."""
    variances = nominal.spectrum.histogram.variances
    assert variances is not None
    variance = variances[0] * share
    stop = min(nominal.fit.window_us[1], usable_stop(variance, 1.0, 400.0))
    if stop < start_us + 25.0:
        raise FitError("a part of the data has too few counts for a fit")
    histogram = TimeHistogram(counts[None, :], np.zeros(1), _WIDTH, ("part",), variances=variance[None, :])
    start = {**nominal.fit.values, "N0": nominal.fit.value("N0") * share}
    settings = FitSettings(window_us=(start_us, stop), statistic="weighted")
    return fit(histogram, model, settings, start=start, blinding=blinding)


def _parts(
    name: str,
    label: str,
    raw: Array,
    pileup: Array,
    nominal: Measured,
    model: Model,
    blinding: Blinding | None,
) -> Scan | None:
    """Fit each row of ``raw`` (parts, times) less its pileup."""
    start = nominal.analysis.start_us
    total = max(float(raw.sum()), 1.0)
    x, r, error, chi2, phase, size = [], [], [], [], [], []
    for k in range(raw.shape[0]):
        try:
            found = _fit_part(raw[k] - pileup[k], float(raw[k].sum()) / total, nominal, model, blinding, start)
        except FitError:
            continue
        if not found.converged:
            continue
        x.append(k + 1.0)
        r.append(found.value("R"))
        error.append(found.error("R"))
        chi2.append(found.statistic_value / max(found.ndf, 1))
        phase.append(found.value("phi_cbo") if "phi_cbo" in found.parameters else math.nan)
        size.append(found.value("A_cbo") if "A_cbo" in found.parameters else math.nan)
    if len(x) < 2:
        return None
    extra = {"chi2_per_ndf": np.array(chi2), "phi_cbo": np.array(phase), "A_cbo": np.array(size)}
    return Scan(name, label, np.array(x), np.array(r), np.array(error), None, nominal.r_ppm, extra)


def _windows(name: str, edge: str, times: list[float], nominal: Measured, model: Model, b: Blinding | None) -> Scan:
    settings = FitSettings(window_us=nominal.fit.window_us, statistic="weighted")
    scan = scan_window(
        nominal.spectrum.histogram,
        model.started({k: v for k, v in nominal.fit.values.items() if nominal.fit[k].state == "free"}),
        times,
        edge=edge,  # type: ignore[arg-type]
        settings=settings,
        blinding=b,
    )
    return Scan(
        name,
        f"{edge} of the fit [µs]",
        scan.times_us,
        scan.values("R"),
        scan.errors("R"),
        scan.allowed("R"),
        float(scan.values("R")[0]),
        {"chi2_per_ndf": np.array([f.statistic_value / f.ndf for f in scan.results])},
    )


def _seeds(analyser: DatasetAnalyser, nominal: Measured, seeds: int, blinding: Blinding | None) -> Scan:
    """Split the finely binned hits again and again into the sets of the R method."""
    fine = analyser.dataset.reconstruction(nominal.analysis.reconstruction)["fine"]
    counts = fine[round(nominal.analysis.threshold_mev / 100.0) :].sum(axis=0, dtype=np.int64)
    per = int(AXES["fine_per_time"])
    lifetime = float(analyser.dataset.settings["reduction"]["lifetime_us"])
    shift = round(0.5 * 4.365411 / (_WIDTH / per))
    half = shift * _WIDTH / per
    up, down = math.exp(half / lifetime), math.exp(-half / lifetime)
    total = 2.0 + up + down
    window = nominal.fit.window_us
    model = Model(analyser.model(nominal.analysis, Variation(no_losses=True), 0.0).config)
    values, errors = [], []
    for seed in range(seeds):
        generator = stream(seed, "r-method-split")
        plus = generator.binomial(counts, up / total)
        rest = counts - plus
        minus = generator.binomial(rest, (down / total) / (1.0 - up / total))
        unmoved = rest - minus
        u = np.zeros_like(counts)
        u[:-shift] += plus[shift:]
        u[shift:] += minus[:-shift]
        stop = round(window[1] / _WIDTH)

        def binned(values: NDArray[np.int64], stop: int = stop) -> TimeHistogram:
            grouped = values.reshape(-1, per).sum(axis=1)[:stop].astype(np.float64)
            return TimeHistogram(grouped[None, :], np.zeros(1), _WIDTH, ("all",))

        series = ratio_of_copies(binned(unmoved), binned(u), shift_us=half, lifetime_us=lifetime)
        found = fit_ratio(series, model, FitSettings(window_us=window), start=nominal.fit.values, blinding=blinding)
        values.append(found.value("R"))
        errors.append(found.error("R"))
    r = np.array(values)
    spread = float(r.std(ddof=1)) if r.size > 1 else 0.0
    return Scan(
        "split_seed",
        "seed of the R-method sets",
        np.arange(float(seeds)),
        r,
        np.array(errors),
        np.full(seeds, spread),
        float(r.mean()),
        {},
    )


def _bins(analyser: DatasetAnalyser, nominal: Measured, model: Model, blinding: Blinding | None) -> Scan:
    """Refit the finely binned counts (without pileup subtraction) with other bin widths and edges."""
    fine = analyser.dataset.reconstruction(nominal.analysis.reconstruction)["fine"]
    counts = fine[round(nominal.analysis.threshold_mev / 100.0) :].sum(axis=0, dtype=np.float64)
    step = _WIDTH / AXES["fine_per_time"]
    x, r, error, widths = [], [], [], []
    for width, edge in ((8, 0), (8, 2), (8, 4), (8, 6), (4, 0), (6, 0), (7, 0), (9, 0), (12, 0)):
        n = (counts.size - edge) // width
        grouped = counts[edge : edge + n * width].reshape(n, width).sum(axis=1)
        histogram = TimeHistogram(grouped[None, :], np.array([edge * step]), width * step, ("all",))
        start = {**nominal.fit.values, "N0": nominal.fit.value("N0") * width / 8.0}
        found = fit(histogram, model, FitSettings(window_us=nominal.fit.window_us), start=start, blinding=blinding)
        x.append(width + 0.1 * edge)
        widths.append(width * step)
        r.append(found.value("R"))
        error.append(found.error("R"))
    values, errors = np.array(r), np.array(error)
    return Scan(
        "bins",
        "bin width [18.65 ns] (+ 0.1 per step of the edge)",
        np.array(x),
        values,
        errors,
        _bin_band(np.array(widths), float(errors[0])),
        float(values[0]),
        {},
    )


def _bin_band(width_us: Array, error_ppm: float) -> Array:
    """Return the allowed difference to the first binning.

    Bins of width Δ lose (ωΔ)²/12 of the information, and two binnings lose different positrons' share of it.
    """
    lost = (omega_reference * width_us) ** 2 / 12.0
    result: Array = error_ppm * np.sqrt(lost + lost[0])
    result[0] = 0.0
    return result


def scan_dataset(
    analyser: DatasetAnalyser,
    nominal: Measured,
    blinding: Blinding | None = None,
    *,
    seeds: int = 12,
) -> DatasetScans:
    """Make the cross-checks of a T-method analysis.

    Parameters
    ----------
    nominal
        A T-method measurement with its fit.

    Raises
    ------
    FitError
        The measurement is not of the T method.
    """
    analysis: Analysis = nominal.analysis
    if analysis.method != "T":
        raise FitError("the scans are made with the T method", found=analysis.method)
    dataset = analyser.dataset
    arrays = dataset.reconstruction(analysis.reconstruction)
    edge = round(analysis.threshold_mev / _ENERGY)
    prepared = analyser.prepared(analysis, Variation())
    positrons = float(prepared.counts[edge:, round(30.0 / _WIDTH) :].sum())
    model = analyser.model(analysis, Variation(), positrons)
    low, high = nominal.fit.window_us
    scans: dict[str, Scan] = {}

    def keep(scan: Scan | None) -> None:
        if scan is not None:
            scans[scan.name] = scan

    keep(
        _windows(
            "start",
            "start",
            [low + 4.0 * k for k in range(18) if low + 4.0 * k < high - 60.0],
            nominal,
            model,
            blinding,
        )
    )
    keep(_windows("stop", "stop", list(np.linspace(low + 0.4 * (high - low), high, 10)), nominal, model, blinding))
    total = prepared.pileup[edge:].sum(axis=0)
    raw = arrays["counts"][:, edge:, :].sum(axis=1, dtype=np.float64)
    square = (raw.sum(axis=1) / max(raw.sum(), 1.0)) ** 2
    # Pileup of a calorimeter goes with the square of its rate.
    keep(_parts("calorimeter", "calorimeter", raw, np.outer(square / square.sum(), total), nominal, model, blinding))
    for name, label in (("bunch", "bunch"), ("rows", "crystal row")):
        part = arrays[name].astype(np.float64)
        if analysis.threshold_mev == float(dataset.settings["reduction"]["threshold_mev"]):
            share = part.sum(axis=1) / max(part.sum(), 1.0)
            keep(_parts(name, label, part, np.outer(share, total), nominal, model, blinding))
    x, r, error = [], [], []
    for threshold in np.arange(1200.0, 2250.0, 100.0):
        m = analyser.measure(replace(analysis, threshold_mev=float(threshold)), blinding=blinding)
        x.append(float(threshold))
        r.append(m.r_ppm)
        error.append(m.error_ppm)
    errors = np.array(error)
    counts = np.array([prepared.above(value)[round(30.0 / _WIDTH) :].sum() for value in x])
    best, own = nominal.error_ppm, prepared.above(analysis.threshold_mev)[round(30.0 / _WIDTH) :].sum()
    # One threshold counts a part of what the other counts: ρ = √(fewer/more).
    rho = np.sqrt(np.minimum(counts, own) / np.maximum(counts, own))
    allowed = np.sqrt(np.maximum(errors**2 + best**2 - 2.0 * rho * errors * best, 0.0))
    keep(Scan("threshold", "energy threshold [MeV]", np.array(x), np.array(r), errors, allowed, nominal.r_ppm, {}))
    x, r, error, chi2 = [], [], [], []
    for factor in (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5):
        changed = Variation(name="pileup scan", prepare={"pileup_factor": factor})
        m = analyser.measure(analysis, blinding=blinding, variation=changed, start=nominal.fit.values)
        x.append(factor)
        r.append(m.r_ppm)
        error.append(m.error_ppm)
        chi2.append(m.fit.statistic_value)
    keep(
        Scan(
            "pileup",
            "factor on the pileup amplitude",
            np.array(x),
            np.array(r),
            np.array(error),
            np.zeros(len(x)),
            nominal.r_ppm,
            {"chi2": np.array(chi2)},
        )
    )
    keep(_seeds(analyser, nominal, seeds, blinding))
    keep(_bins(analyser, nominal, model, blinding))
    return DatasetScans(scans, calorimeter_lines(analyser, nominal, blinding))
