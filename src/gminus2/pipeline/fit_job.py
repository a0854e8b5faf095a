"""The fit as a job: read, choose bins and model, fit, scan, and write everything a reader of the result needs.

:func:`run_fit` does the work of ``gminus2 fit`` and of the campaigns that fit a file; it prints and draws nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from gminus2.data import Provenance, TimeHistogram, make_provenance, write_result, write_text
from gminus2.data.io import ReadOptions, ReadReport, read_histogram
from gminus2.errors import BlindingError, DataError
from gminus2.execution import make_executor
from gminus2.pipeline.fit_file import FitFile, fit_file_text
from gminus2.precession import (
    Blinding,
    FitResult,
    FitSettings,
    FittedSpectrum,
    LostMuonSpectrum,
    Model,
    NamedLine,
    PullSummary,
    ResidualSpectrum,
    WindowScan,
    fit,
    pull_summary,
    result_spectra,
    scan_window,
)
from gminus2.precession.config import PrecessionTerm
from gminus2.precession.result import P_VALUE_ALARM
from gminus2.units import omega_reference, ppm

__all__ = ["MUON_GAMMA", "DetectorQuality", "FitRun", "default_model", "good_bins", "read_data", "run_fit"]

#: A histogram that reaches later than this [µs] is storage-ring data and gets the usual window.
_RING_DATA_US: Final = 100.0
_RING_WINDOW_US: Final = (30.0, 650.0)
#: γ/2π of the muon [MHz/T]; used where a model in MHz names no other.
MUON_GAMMA: Final = 135.538817
#: Reference frequency of R [MHz].
F_REF: Final = omega_reference / (2.0 * np.pi)


@dataclass(frozen=True)
class DetectorQuality:
    """How well one detector of a simultaneous fit is described.

    Attributes
    ----------
    statistic_value
        Share of this detector in the minimum.
    n_bins, n_parameters
        Bins in the window; free parameters that belong to this detector alone.
    """

    label: str
    statistic_value: float
    n_bins: int
    n_parameters: int


@dataclass(frozen=True)
class FitRun:
    """Everything a fit produced.

    Attributes
    ----------
    request
        What was asked, with window and start values resolved.
    alarms
        Why the result must not be quoted as it stands; empty where nothing is wrong.
    derived
        Quantities computed from the fitted ones, (value, error, unit); none of a blinded frequency.
    """

    request: FitFile
    report: ReadReport | None
    histogram: TimeHistogram
    result: FitResult
    quality: tuple[DetectorQuality, ...]
    pulls: tuple[PullSummary, ...]
    residuals: tuple[ResidualSpectrum, ...]
    scans: tuple[WindowScan, ...]
    derived: Mapping[str, tuple[float, float, str]]
    alarms: tuple[str, ...]
    provenance: Provenance

    def to_json(self) -> dict[str, Any]:
        """Return the result under the stable keys of ``fit.json``."""
        source = {"pseudo": self.request.input.pseudo.model_dump()} if self.request.input.pseudo else {}
        if self.report is not None:
            source = self.report.to_json()
        return {
            **self.result.to_json(),
            "alarms": list(self.alarms),
            "input": source,
            "pack": self.request.input.pack,
            "derived": {name: {"value": v, "error": e, "unit": u} for name, (v, e, u) in self.derived.items()},
            "per_detector": {
                q.label: {
                    "statistic": q.statistic_value,
                    "n_bins": q.n_bins,
                    "own_free_parameters": q.n_parameters,
                    "pull_mean": p.mean,
                    "pull_rms": p.rms,
                    "pull_kurtosis": p.kurtosis,
                    "pull_autocorrelation": p.autocorrelation,
                    "normality_p_value": p.normality_p_value,
                    "fft_maximum": {"f_mhz": r.top.f_mhz, "amplitude": r.top.amplitude, "name": r.top.name},
                    "fft_expected_maximum": r.expected_maximum,
                    "fft_maximum_p_value": r.top_p_value,
                    "fft_lines": {line.name: {"f_mhz": line.f_mhz, "amplitude": line.amplitude} for line in r.lines},
                }
                for q, p, r in zip(self.quality, self.pulls, self.residuals, strict=True)
            },
            "scans": [_scan_json(scan) for scan in self.scans],
            "no_a_mu": self.report.no_a_mu if self.report is not None else None,
        }

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write ``fit.json`` and ``fit.toml`` and return their paths."""
        json_path, toml_path = folder / "fit.json", folder / "fit.toml"
        write_result(json_path, "fit", self.to_json(), self.provenance)
        write_text(toml_path, fit_file_text(self.request, self.result, folder))
        return json_path, toml_path


def run_fit(
    request: FitFile,
    *,
    data: tuple[TimeHistogram, ReadReport | None] | None = None,
    phrase: str | None = None,
    expected_blinding: str = "",
    made_by: str = "gminus2 fit",
    quiet: bool = True,
) -> FitRun:
    """Do what a fit file asks for.

    Parameters
    ----------
    data
        What :func:`read_data` gave for the same request, where it has been read already.
    phrase
        Blinding phrase; needed where the request is blinded, and used nowhere else.
    expected_blinding
        Label of the blinding an earlier result carries; another phrase is refused.

    Raises
    ------
    GMinus2Error
        Bad input, an impossible window, a model that does not fit the data, a missing or different blinding phrase.
    """
    histogram, report = data if data is not None else read_data(request)
    histogram = good_bins(histogram, report, request.input.pack)
    request = _resolve_window(request, histogram)
    if report is not None:
        resolved_input = request.input.model_copy(update={"sha256": report.sha256})
        if request.input.sha256 not in ("", report.sha256):
            note = "the data file is not the one of the earlier fit (its digest has changed)"
            histogram = replace(histogram, caveats=(*histogram.caveats, note))
        request = request.model_copy(update={"input": resolved_input})
    blinding = _blinding(request, phrase, expected_blinding)
    model = Model.from_config(request.model.model_dump(exclude_none=True), where="model")
    losses = _losses(request)
    if losses is not None:
        model = model.with_losses(losses)
        request = request.model_copy(update={"model": model.config})
    settings = _settings(request)
    result = fit(histogram, model, settings, blinding=blinding)
    scans = _scans(request, histogram, model, settings, blinding, quiet)
    inputs = [Path(name) for name in (request.input.file, request.input.losses) if name]
    provenance = make_provenance(
        made_by,
        config={**request.model_dump(mode="json"), "result": {}},
        inputs=inputs,
        seed=request.input.pseudo.seed if request.input.pseudo else None,
    )
    return FitRun(
        request=request,
        report=report,
        histogram=histogram,
        result=result,
        quality=tuple(_quality(result, spectrum) for spectrum in result.spectra),
        pulls=tuple(pull_summary(spectrum) for spectrum in result.spectra),
        residuals=_residuals(request, result),
        scans=scans,
        derived=_derived(request, result),
        alarms=_alarms(result),
        provenance=provenance,
    )


def good_bins(histogram: TimeHistogram, report: ReadReport | None, pack: int = 1) -> TimeHistogram:
    """Return the bins between first and last good bin of every detector, packed from the first good bin.

    Raises
    ------
    DataError
        No bins are left.
    """
    if report is None or report.first_good_bin is None:
        return histogram.rebinned(pack) if pack > 1 else histogram
    first = np.array(report.first_good_bin)
    last = np.array(report.last_good_bin if report.last_good_bin is not None else [histogram.n_bins - 1] * len(first))
    kept = int((np.minimum(last, histogram.n_bins - 1) - first + 1).min()) // pack * pack
    if kept < pack:
        raise DataError("no good bins", expected="first good bin before last good bin", found=f"{first} … {last}")

    def cut(values: Any) -> Any:
        return np.stack([row[begin : begin + kept] for row, begin in zip(values, first, strict=True)])

    good = TimeHistogram(
        counts=cut(histogram.counts),
        start_us=histogram.start_us + first * histogram.width_us,
        width_us=histogram.width_us,
        labels=histogram.labels,
        variances=None if histogram.variances is None else cut(histogram.variances),
        caveats=histogram.caveats,
    )
    return good.rebinned(pack) if pack > 1 else good


# Steps ----------------------------------------------------------------------------------------------------------------


def default_model(histogram: TimeHistogram) -> str:
    """Return the preset for a histogram: ``cbo`` for storage-ring data, ``msr`` for shorter ones."""
    return "cbo" if _end_us(histogram) > _RING_DATA_US else "msr"


def read_data(request: FitFile) -> tuple[TimeHistogram, ReadReport | None]:
    """Read the file of a request, or make its pseudo-histogram (then without report)."""
    source = request.input
    if source.pseudo is not None:
        if source.file:
            raise DataError("give a file or a pseudo-histogram, not both", found=source.file)
        from gminus2.pipeline.pseudo import pseudo_histogram

        return pseudo_histogram(source.pseudo), None
    if not source.file:
        raise DataError("no histogram to fit", hint="name a FILE, or try --pseudo")
    options = ReadOptions(
        columns=source.columns,
        time_unit=source.time_unit,
        bin_width=source.bin_width,
        t0=source.t0 or None,
        histograms=source.histograms,
    )
    return read_histogram(Path(source.file), options, detectors=source.detectors)


def _losses(request: FitFile) -> LostMuonSpectrum | None:
    if not request.input.losses:
        return None
    spectrum, _ = read_histogram(Path(request.input.losses))
    return LostMuonSpectrum(edges_us=spectrum.edges_us(), counts=spectrum.counts.sum(axis=0))


def _resolve_window(request: FitFile, histogram: TimeHistogram) -> FitFile:
    """Fill in the window and refuse one that lies outside the data."""
    low = min(float(histogram.edges_us(i)[0]) for i in range(histogram.n_detectors))
    high = _end_us(histogram)
    ring = high > _RING_DATA_US
    start = request.fit.start_us if request.fit.start_us is not None else max(low, _RING_WINDOW_US[0]) if ring else low
    stop = request.fit.stop_us if request.fit.stop_us is not None else min(high, _RING_WINDOW_US[1]) if ring else high
    for name, value, outside in (("start", start, start >= high), ("stop", stop, stop <= low)):
        if outside:
            raise DataError(
                f"the {name} of the window lies outside the data",
                where=f"--{name} {value:g}",
                expected=f"{low:.6g} … {high:.6g} µs",
                found=f"{value:g} µs",
            )
    if start >= stop:
        raise DataError(
            "the window must end after it starts", where="--start, --stop", found=f"{start:g} … {stop:g} µs"
        )
    changed = request.fit.model_copy(update={"start_us": float(start), "stop_us": float(stop)})
    return request.model_copy(update={"fit": changed})


def _end_us(histogram: TimeHistogram) -> float:
    return max(float(histogram.edges_us(i)[-1]) for i in range(histogram.n_detectors))


def _settings(request: FitFile) -> FitSettings:
    options = request.fit
    assert options.start_us is not None
    assert options.stop_us is not None
    return FitSettings(
        window_us=(options.start_us, options.stop_us),
        statistic=options.statistic,
        bin_rule=options.bins,
        nodes=options.nodes,
        minimizer="fisher" if options.minimizer == "own" else "minuit",
        minos=options.minos,
    )


def _blinding(request: FitFile, phrase: str | None, expected: str) -> Blinding | None:
    if not request.fit.blind:
        return None
    if not phrase:
        raise BlindingError("this fit is blinded", expected="the phrase", hint="give it with --blind PHRASE")
    blinding = Blinding.from_phrase(phrase, dataset=request.fit.dataset)
    if expected and blinding.label != expected:
        raise BlindingError(
            "this is not the phrase of the earlier fit",
            expected=f"the phrase (and data set name) of blinding '{expected}'",
            hint="results blinded with different phrases must not be compared",
        )
    return blinding


def _scans(
    request: FitFile,
    histogram: TimeHistogram,
    model: Model,
    settings: FitSettings,
    blinding: Blinding | None,
    quiet: bool,
) -> tuple[WindowScan, ...]:
    """Scan start and stop; the window of the fit itself is always among the points, so that it can be the reference."""
    scans = []
    assert settings.window_us is not None
    with make_executor("threads") as executor:
        for edge, times, own in (
            ("start", request.fit.scan_start_us, settings.window_us[0]),
            ("stop", request.fit.scan_stop_us, settings.window_us[1]),
        ):
            if not times:
                continue
            scans.append(
                scan_window(
                    histogram,
                    model,
                    (*times, own),
                    edge="start" if edge == "start" else "stop",
                    settings=replace(settings, minos=False),
                    blinding=blinding,
                    executor=executor,
                    quiet=quiet,
                )
            )
    return tuple(scans)


def _scan_json(scan: WindowScan) -> dict[str, Any]:
    names = scan.results[0].free if scan.results else ()
    return {
        "edge": scan.edge,
        "times_us": scan.times_us,
        "statistic": [r.statistic_value for r in scan.results],
        "ndf": [r.ndf for r in scan.results],
        "p_value": [r.p_value for r in scan.results],
        "converged": [r.converged for r in scan.results],
        "parameters": {
            name: {
                "value": scan.values(name),
                "error": scan.errors(name),
                "shift": scan.shifts(name),
                "allowed": scan.allowed(name),
            }
            for name in names
        },
    }


def _quality(result: FitResult, spectrum: FittedSpectrum) -> DetectorQuality:
    """Return a detector's share of the statistic; the shares add up to the value at the minimum."""
    if result.statistic == "poisson":
        n, mu = spectrum.data, spectrum.model
        ratio = np.where(n > 0, mu / np.where(n > 0, n, 1.0) - 1.0, 0.0)
        value = 2.0 * float(np.where(n > 0, n * (ratio - np.log1p(ratio)), mu).sum())
    else:
        value = float((spectrum.pulls**2).sum())
    many = len(result.labels) > 1
    own = [name for name in result.free if not many or name.endswith(f"[{spectrum.label}]")]
    return DetectorQuality(spectrum.label, value, len(spectrum.data), len(own))


def _residuals(request: FitFile, result: FitResult) -> tuple[ResidualSpectrum, ...]:
    """Return the residual spectra; the lines of a storage ring are named only in a fit of storage-ring data."""
    found = result_spectra(result, field_index=request.fit.field_index)
    terms = [term for term in request.model.terms if isinstance(term, PrecessionTerm)]
    if any(term.frequency == "R" for term in terms):
        return found
    return tuple(_own_lines(spectrum, result, terms) for spectrum in found)


def _own_lines(spectrum: ResidualSpectrum, result: FitResult, terms: list[PrecessionTerm]) -> ResidualSpectrum:
    """Replace the lines of a ring by the fitted precession frequencies and their doubles."""
    lines = []
    for term in terms:
        tail = f"_{term.label}" if term.label else ""
        base, scale = ("f", 1.0) if term.frequency == "MHz" else ("B", term.gamma_mhz_per_tesla or MUON_GAMMA)
        for name in (f"{base}{tail}[{spectrum.label}]", base + tail):
            if name in result.parameters:
                f = scale * result.value(name)
                lines += [(f"f{tail}", f), (f"2 f{tail}", 2.0 * f)]
                break
    step = float(spectrum.f_mhz[1] - spectrum.f_mhz[0])
    named = tuple(
        NamedLine(name, f, float(spectrum.amplitude[np.argmin(np.abs(spectrum.f_mhz - f))])) for name, f in lines
    )
    top_name = next((name for name, f in lines if abs(f - spectrum.top.f_mhz) < 2.0 * step), "unknown")
    return replace(spectrum, lines=named, top=replace(spectrum.top, name=top_name))


def _derived(request: FitFile, result: FitResult) -> dict[str, tuple[float, float, str]]:
    """Return the frequency of every precession term in the other units; nothing of a blinded one."""
    derived: dict[str, tuple[float, float, str]] = {}
    if result.blinded:
        return derived
    for term in request.model.terms:
        if not isinstance(term, PrecessionTerm):
            continue
        tail = f"_{term.label}" if term.label else ""
        gamma = term.gamma_mhz_per_tesla or MUON_GAMMA
        source, target, factor, constant, unit = {
            "R": ("R", "f_a", F_REF * ppm, F_REF, "MHz"),
            "MHz": ("f", "B_mu" if term.gamma_mhz_per_tesla is None else "B", 1.0 / gamma, 0.0, "T"),
            "tesla": ("B", "f", gamma, 0.0, "MHz"),
        }[term.frequency]
        for name, parameter in result.parameters.items():
            base, bracket, rest = name.partition("[")
            if base == source + tail:
                value = constant + factor * parameter.value
                derived[target + tail + bracket + rest] = (value, factor * parameter.error, unit)
    return derived


def _alarms(result: FitResult) -> tuple[str, ...]:
    alarms = []
    if not result.converged:
        alarms.append("THE FIT DID NOT CONVERGE: its values and errors mean nothing.")
    if result.ndf < 1:
        alarms.append("NO DEGREES OF FREEDOM: as many parameters as bins; the fit tests nothing.")
    elif not result.p_value >= P_VALUE_ALARM:
        alarms.append(
            f"THE MODEL DOES NOT DESCRIBE THE DATA: p-value {result.p_value:.1e} is below {P_VALUE_ALARM:.0e}. "
            "Values may be biased and errors are too small; look at the residual spectrum."
        )
    at_bound = [name for name, p in result.parameters.items() if p.state == "at bound"]
    if at_bound:
        alarms.append(
            f"AT A BOUND: {', '.join(at_bound)}; no error can be given, and the other errors are conditional."
        )
    return tuple(alarms)
