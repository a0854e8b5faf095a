"""Systematic uncertainties: each a named variation of one ingredient, the shift of R it makes, and their covariance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gminus2.precession.blinding import Blinding
from gminus2.precession.campaign.analyses import Analysis, DatasetAnalyser, Measured, Variation

__all__ = ["SOURCES", "Systematic", "systematic_shifts", "variations"]

Array = NDArray[np.float64]

#: Rows of the table → what they are.
SOURCES: dict[str, str] = {
    "gain in-fill amplitude": "one standard error of the drop at injection, from the laser",
    "gain in-fill recovery": "one standard error of its recovery",
    "gain sag": "one standard error of the loss per GeV",
    "gain double pulse": "the short-term double-pulse loss off by 20 %",
    "pileup amplitude": "one standard error of the factor above the endpoint",
    "pileup time": "half the dead time of 5 ns",
    "pileup energy": "1 % of the energy of a doublet",
    "pileup triples": "with and without three merged pulses",
    "CBO frequency": "one standard error of the trackers' frequency",
    "CBO drift": "a constant frequency, scaled by the error of the drift over its size",
    "CBO lifetime": "one standard error of the trackers' lifetime",
    "CBO envelope": "no decay at all, halved",
    "lost muons accidentals": "accidentals not subtracted",
    "lost muons quadruples": "quadruples not subtracted",
    "lost muons time": "spectrum from 25 us instead of 15 us",
}


@dataclass(frozen=True)
class Systematic:
    """A source and the shift of each analysis [ppb], scaled to one standard deviation; 0 where it does not apply."""

    source: str
    description: str
    shifts_ppb: dict[str, float]


def variations(analyser: DatasetAnalyser, analysis: Analysis) -> list[tuple[Variation, float]]:
    """Return the variations of an analysis with the factor that scales each shift to one standard deviation."""
    result: list[tuple[Variation, float]] = []

    def add(source: str, scale: float = 1.0, **changes: object) -> None:
        result.append((Variation(name=source, source=source, **changes), scale))  # type: ignore[arg-type]

    gain = analyser.gain if analysis.gain else None
    if gain is not None:
        add("gain in-fill amplitude", gain={"flash": gain.flash + gain.flash_error})
        tau = gain.flash_recovery_us
        add("gain in-fill recovery", gain={"flash_recovery_us": tau + min(gain.flash_recovery_error_us, tau)})
        add("gain sag", gain={"sag_per_gev": gain.sag_per_gev + gain.sag_error})
        add("gain double pulse", gain={"double_per_gev": 1.2 * gain.double_per_gev})
    if analysis.pileup != "none" and analysis.method != "Q":
        scale = analyser.prepared(analysis, Variation()).scale
        relative = scale.error / max(scale.value, 1e-9)
        # A step of at least 10 % of the amplitude keeps the shift above rounding; it is scaled back.
        step = max(relative, 0.1)
        add("pileup amplitude", relative / step, prepare={"pileup_factor": 1.0 + step})
        # Made with the convolution, which has little noise that a moved spectrum could turn into a shift of R.
        add("pileup time", prepare={"pileup": "convolution", "pileup_time_us": 0.0025})
        add("pileup energy", prepare={"pileup": "convolution", "pileup_energy": 0.01})
        add("pileup triples", prepare={"pileup": "convolution", "triples": False})
    cbo = analyser.oscillations.cbo
    if cbo is not None:
        add("CBO frequency", cbo_frequency=cbo.f_error)
        if cbo.drift_rad:
            add("CBO drift", min(1.0, cbo.drift_error / abs(cbo.drift_rad)), cbo_drift=False)
        add("CBO lifetime", cbo_tau=min(cbo.tau_error, 0.5 * cbo.tau_us))
        add("CBO envelope", 0.5, cbo_envelope="constant")
    if analysis.lost_muons:
        add("lost muons accidentals", losses={"accidentals": False})
        add("lost muons quadruples", losses={"quadruples": False})
        add("lost muons time", losses={"start_us": 25.0})
    return result


def systematic_shifts(
    analyser: DatasetAnalyser, nominal: Sequence[tuple[Measured, Blinding | None]]
) -> tuple[list[Systematic], Array]:
    """Vary every source in every analysis.

    Returns
    -------
    The table, and the systematic covariance [ppb²]: each source fully correlated between analyses, sources independent.
    """
    table: dict[str, dict[str, float]] = {source: {} for source in SOURCES}
    for measured, blinding in nominal:
        smooth: float | None = None
        for variation, scale in variations(analyser, measured.analysis):
            changed = analyser.measure(
                measured.analysis, blinding=blinding, variation=variation, start=measured.fit.values
            )
            reference = measured.r_ppm
            if variation.prepare.get("pileup") == "convolution" and measured.analysis.pileup != "convolution":
                if smooth is None:
                    base = Variation(prepare={"pileup": "convolution"})
                    smooth = analyser.measure(
                        measured.analysis, blinding=blinding, variation=base, start=measured.fit.values
                    ).r_ppm
                reference = smooth
            table[variation.source][measured.analysis.name] = 1e3 * scale * (changed.r_ppm - reference)
    names = [measured.analysis.name for measured, _ in nominal]
    rows = [
        Systematic(source, SOURCES[source], {name: shifts.get(name, 0.0) for name in names})
        for source, shifts in table.items()
        if shifts
    ]
    covariance = np.zeros((len(names), len(names)))
    for row in rows:
        vector = np.array([row.shifts_ppb[name] for name in names])
        covariance += np.outer(vector, vector)
    return rows, covariance
