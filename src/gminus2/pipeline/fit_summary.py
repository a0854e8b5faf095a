"""What is said about a fit beside its parameters: quality per detector, residual lines, derived numbers, alarms."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from gminus2.pipeline.fit_file import FitFile
from gminus2.precession import FitResult, FittedSpectrum, NamedLine, ResidualSpectrum, WindowScan, result_spectra
from gminus2.precession.fitting.result import P_VALUE_ALARM
from gminus2.precession.models.config import PrecessionTerm
from gminus2.units import omega_reference, ppm

__all__ = ["MUON_GAMMA", "DetectorQuality", "alarms", "derived", "quality", "residuals", "scan_json"]

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


def scan_json(scan: WindowScan) -> dict[str, Any]:
    """Return a scan under the stable keys of ``fit.json``."""
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


def quality(result: FitResult, spectrum: FittedSpectrum) -> DetectorQuality:
    """Return a detector's share of the statistic; the shares add up to the value at the minimum."""
    if len(result.labels) == 1:
        value = result.statistic_value
    elif result.statistic == "poisson":
        n, mu = spectrum.data, spectrum.model
        ratio = np.where(n > 0, mu / np.where(n > 0, n, 1.0) - 1.0, 0.0)
        value = 2.0 * float(np.where(n > 0, n * (ratio - np.log1p(ratio)), mu).sum())
    else:
        value = float((spectrum.pulls**2).sum())
    many = len(result.labels) > 1
    own = [name for name in result.free if not many or name.endswith(f"[{spectrum.label}]")]
    return DetectorQuality(spectrum.label, value, len(spectrum.data), len(own))


def residuals(request: FitFile, result: FitResult) -> tuple[ResidualSpectrum, ...]:
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


def derived(request: FitFile, result: FitResult) -> dict[str, tuple[float, float, str]]:
    """Return the frequency of every precession term in the other units; nothing of a blinded one."""
    found: dict[str, tuple[float, float, str]] = {}
    if result.blinded:
        return found
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
                found[target + tail + bracket + rest] = (value, factor * parameter.error, unit)
    return found


def alarms(result: FitResult) -> tuple[str, ...]:
    """Return why a result must not be quoted as it stands; nothing where all is well."""
    found = []
    if not result.converged:
        found.append("THE FIT DID NOT CONVERGE: its values and errors mean nothing.")
    if result.ndf < 1:
        found.append("NO DEGREES OF FREEDOM: as many parameters as bins; the fit tests nothing.")
    elif not result.p_value >= P_VALUE_ALARM:
        found.append(
            f"THE MODEL DOES NOT DESCRIBE THE DATA: p-value {result.p_value:.1e} is below {P_VALUE_ALARM:.0e}. "
            "Values may be biased and errors are too small; look at the residual spectrum."
        )
    at_bound = [name for name, p in result.parameters.items() if p.state == "at bound"]
    if at_bound:
        found.append(f"AT A BOUND: {', '.join(at_bound)}; no error can be given, and the other errors are conditional.")
    return tuple(found)
