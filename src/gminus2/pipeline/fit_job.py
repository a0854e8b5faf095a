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
from gminus2.pipeline.fit_ratio import fit_shifted_ratio
from gminus2.pipeline.fit_summary import DetectorQuality, alarms, derived, quality, residuals, scan_json
from gminus2.precession import (
    Blinding,
    FitResult,
    FitSettings,
    LostMuonSpectrum,
    Model,
    PullSummary,
    ResidualSpectrum,
    WindowScan,
    fit,
    pull_summary,
    scan_window,
)

__all__ = ["FitRun", "default_model", "good_bins", "read_data", "run_fit"]

#: A histogram that reaches later than this [µs] is storage-ring data and gets the usual window.
_RING_DATA_US: Final = 100.0
_RING_WINDOW_US: Final = (30.0, 650.0)


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
            "scans": [scan_json(scan) for scan in self.scans],
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
    histogram = _beyond_data(request, histogram)
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
    if request.fit.statistic == "ratio":
        result, scans = fit_shifted_ratio(request, histogram, model, settings, blinding)
    else:
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
        quality=tuple(quality(result, spectrum) for spectrum in result.spectra),
        pulls=tuple(pull_summary(spectrum) for spectrum in result.spectra),
        residuals=residuals(request, result),
        scans=scans,
        derived=derived(request, result),
        alarms=alarms(result),
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


def _beyond_data(request: FitFile, histogram: TimeHistogram) -> TimeHistogram:
    """Add a caveat where the window reaches beyond the data of a detector."""
    caveats = list(histogram.caveats)
    assert request.fit.start_us is not None
    assert request.fit.stop_us is not None
    for i, label in enumerate(histogram.labels):
        low, high = (float(histogram.edges_us(i)[k]) for k in (0, -1))
        where = f" of {label}" if histogram.n_detectors > 1 else ""
        if request.fit.start_us < low - histogram.width_us:
            caveats.append(f"the window begins at {request.fit.start_us:g} µs, the data{where} at {low:.6g} µs")
        if request.fit.stop_us > high + histogram.width_us:
            caveats.append(f"the window ends at {request.fit.stop_us:g} µs, the data{where} at {high:.6g} µs")
    return replace(histogram, caveats=tuple(caveats))


def _end_us(histogram: TimeHistogram) -> float:
    return max(float(histogram.edges_us(i)[-1]) for i in range(histogram.n_detectors))


def _settings(request: FitFile) -> FitSettings:
    options = request.fit
    assert options.start_us is not None
    assert options.stop_us is not None
    return FitSettings(
        window_us=(options.start_us, options.stop_us),
        statistic="poisson" if options.statistic == "ratio" else options.statistic,
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
    blinding = Blinding.from_phrase(phrase, dataset=request.fit.dataset, convention=request.fit.blind_convention)
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
