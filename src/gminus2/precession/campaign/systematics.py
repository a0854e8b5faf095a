"""Systematic uncertainties: each a named variation of one ingredient, the shift of R it makes, and their covariance.

Rows that are statistical jitter (the seed of the randomisation) are shown and not added (:attr:`Systematic.jitter`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gminus2.precession.blinding import Blinding
from gminus2.precession.campaign.analyses import Analysis, DatasetAnalyser, Measured, Variation
from gminus2.precession.campaign.correlations import influence
from gminus2.precession.methods.prepared import separation_us

__all__ = ["SOURCES", "Systematic", "systematic_shifts", "variations"]

Array = NDArray[np.float64]

#: Rows of the table → what they are.
SOURCES: dict[str, str] = {
    "gain in-fill amplitude": "one standard error of the drop at injection, from the laser",
    "gain in-fill recovery": "one standard error of its recovery",
    "gain sag": "one standard error of the loss per GeV",
    "gain double pulse": "the short-term double-pulse loss off by 20 %",
    "gain residual": "a loss that falls with the lifetime, a fifth of it with the wiggle, of the laser's error",
    "pileup amplitude": "one standard error of the factor above the endpoint",
    "pileup time": "doublets at their first pulse instead of the energy-weighted time: a quarter of the dead time",
    "pileup energy": "1 % of the energy of a doublet",
    "pileup triples": "with and without three merged pulses",
    "CBO frequency": "one standard error of the trackers' frequency",
    "CBO drift": "a constant frequency, scaled by the error of the drift over its size",
    "CBO lifetime": "one standard error of the trackers' lifetime",
    "CBO envelope": "no decay at all, halved",
    "lost muons accidentals": "accidentals not subtracted",
    "lost muons quadruples": "quadruples not subtracted",
    "lost muons time": "spectrum from 25 us instead of 15 us",
    "bin width": "the model at bin centres instead of its mean over the bins",
    "time early to late": "clusters late by 10 ps falling with the lifetime (assumed: no timing laser in the data)",
    "randomisation seed": "expected spread over seeds of the fast-rotation randomisation, mean of 50 seeds",
}
#: Shift of the times at the beginning of a fill that the assumption above stands for [µs].
_LATE_US: Final = 1e-5
#: Seeds over which the published analyses average.
_SEEDS: Final = 50.0
#: Rows that are a part of the statistical error of one data set: shown, and not added.
JITTER: Final = frozenset({"randomisation seed"})


@dataclass(frozen=True)
class Systematic:
    """A source and the shift of each analysis [ppb], scaled to one standard deviation; 0 where it does not apply.

    ``jitter`` marks a source that is statistical: it falls with √statistics, the statistical error holds it already,
    and the covariance leaves it out.
    """

    source: str
    description: str
    shifts_ppb: dict[str, float]
    jitter: bool = False


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
        # A slow recovery follows the wiggle of the rate by a quarter of a turn.
        lag = analyser.wiggle_phase(analysis) - 0.5 * math.pi
        add("gain residual", prepare={"residual_gain": gain.flash_error, "residual_phase": lag})
    if analysis.pileup != "none" and analysis.method != "Q":
        scale = analyser.prepared(analysis, Variation()).scale
        relative = scale.error / max(scale.value, 1e-9)
        # A step of at least 10 % of the amplitude keeps the shift above rounding; it is scaled back.
        step = max(relative, 0.1)
        add("pileup amplitude", relative / step, prepare={"pileup_factor": 1.0 + step})
        # Made with the convolution, which has little noise that a moved spectrum could turn into a shift of R.
        late = 0.25 * separation_us(analyser.dataset, analysis.reconstruction)
        add("pileup time", prepare={"pileup": "convolution", "pileup_time_us": late})
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
    add("bin width", bin_rule="centre")
    add("time early to late", prepare={"late_us": _LATE_US})
    return result


def randomisation_spread(measured: Measured, counts: Array) -> float:
    """Return the standard deviation of R [ppb] over seeds of the fast-rotation randomisation.

    A time that moves by a uniform number as long as a bin falls into one of two neighbouring bins, f and 1 - f; its
    influence g changes by the difference of theirs, with the variance f(1 - f)(Δg)², 1/6 on average. Summed over
    positrons; for g = cos ωt it is σ ωΔ/√6 (``docs/physics/omega_a.md``, section 7).

    Parameters
    ----------
    counts
        Positrons by (energy, time).
    """
    found = influence(measured, {})
    step = np.diff(found.mean, append=0.0)
    used = np.flatnonzero(found.mean)
    if not used.size:
        return 0.0
    inside = slice(int(used[0]), int(used[-1]))
    rate = found.weights**2 @ np.maximum(counts[:, inside], 0.0)
    return 1e3 * math.sqrt(float(rate @ step[inside] ** 2) / 6.0)


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
        spread = randomisation_spread(measured, analyser.raw(measured.analysis.reconstruction))
        table["randomisation seed"][measured.analysis.name] = spread / math.sqrt(_SEEDS)
    names = [measured.analysis.name for measured, _ in nominal]
    rows = [
        Systematic(source, SOURCES[source], {name: shifts.get(name, 0.0) for name in names}, source in JITTER)
        for source, shifts in table.items()
        if shifts
    ]
    covariance = np.zeros((len(names), len(names)))
    for row in rows:
        if row.jitter:
            continue
        vector = np.array([row.shifts_ppb[name] for name in names])
        covariance += np.outer(vector, vector)
    return rows, covariance
