"""ω_a^m of a dataset: all teams, their covariance, systematics, comparison of pairs, and the combined value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gminus2.data.campaign import CampaignDataset
from gminus2.precession.blinding import Blinding
from gminus2.precession.campaign.analyses import Analysis, DatasetAnalyser, Measured
from gminus2.precession.campaign.bootstrap import Bootstrap, bootstrap_methods
from gminus2.precession.campaign.correlations import energy_scale, influence, statistical_covariance
from gminus2.precession.campaign.systematics import Systematic, systematic_shifts
from gminus2.precession.campaign.teams import DEFAULT_TEAMS
from gminus2.units import omega_reference

__all__ = ["DatasetOmegaA", "PairComparison", "bootstrap", "measure_dataset"]

Array = NDArray[np.float64]
_F_REFERENCE_HZ: Final = omega_reference / (2.0 * math.pi) * 1e6


@dataclass(frozen=True)
class PairComparison:
    """Difference of two analyses [ppm] beside what their correlation allows."""

    first: str
    second: str
    difference_ppm: float
    allowed_ppm: float

    @property
    def significance(self) -> float:
        """Difference over allowed difference."""
        return self.difference_ppm / self.allowed_ppm if self.allowed_ppm > 0 else math.nan


@dataclass(frozen=True)
class DatasetOmegaA:
    """The measured precession frequency of one dataset, in nominal clock units and under a common software blind.

    Attributes
    ----------
    dataset
        Name.
    r_ppm, statistical_ppb, systematic_ppb
        Combined R: ω_a^m = ω_ref (1 + R·10⁻⁶), and its errors.
    combined_from
        Analyses in the combined value, with their weights.
    analyses
        Names, the order of all arrays.
    values_ppm, errors_ppm
        Each analysis under the blind of its own team.
    covariance_stat_ppb2, covariance_syst_ppb2
        Between analyses.
    systematics
        The table.
    pairs
        Differences of analyses after the blinds of the teams were made one.
    blinded
        Whether there is a software blind on top of that of the clock.
    """

    dataset: str
    r_ppm: float
    statistical_ppb: float
    systematic_ppb: float
    combined_from: dict[str, float]
    analyses: tuple[str, ...]
    values_ppm: Array
    errors_ppm: Array
    covariance_stat_ppb2: Array
    covariance_syst_ppb2: Array
    systematics: tuple[Systematic, ...]
    pairs: tuple[PairComparison, ...]
    blinded: bool
    measured: tuple[Measured, ...] = field(repr=False)
    analyser: DatasetAnalyser = field(repr=False)

    @property
    def correlation_stat(self) -> Array:
        """Statistical correlation of the analyses."""
        sigma = np.sqrt(np.diag(self.covariance_stat_ppb2))
        result: Array = self.covariance_stat_ppb2 / np.outer(sigma, sigma)
        return result

    def systematic_rows_ppb(self, *, jitter: bool = False) -> dict[str, float]:
        """Return the systematic uncertainty of the combined value by source [ppb]; ``jitter``: the rows not added."""
        return {
            row.source: abs(sum(weight * row.shifts_ppb[name] for name, weight in self.combined_from.items()))
            for row in self.systematics
            if row.jitter == jitter
        }

    def to_json(self) -> dict[str, Any]:
        """Return the result under stable keys."""
        gain = self.analyser.gain
        return {
            "dataset": self.dataset,
            "R_ppm": {
                "value": self.r_ppm,
                "statistical": 1e-3 * self.statistical_ppb,
                "systematic": 1e-3 * self.systematic_ppb,
            },
            "f_a_hz": {
                "value": _F_REFERENCE_HZ * (1.0 + 1e-6 * self.r_ppm),
                "statistical": _F_REFERENCE_HZ * 1e-9 * self.statistical_ppb,
                "systematic": _F_REFERENCE_HZ * 1e-9 * self.systematic_ppb,
            },
            "software_blind": self.blinded,
            "clock_blind": "times are in nominal ticks",
            "combined_from": self.combined_from,
            "systematics_ppb": self.systematic_rows_ppb(),
            "jitter_ppb": self.systematic_rows_ppb(jitter=True),
            "analyses": {
                name: {
                    "reconstruction": m.analysis.reconstruction,
                    "method": m.analysis.method,
                    "pileup": m.analysis.pileup,
                    "R_ppm": {"value": self.values_ppm[i], "statistical": self.errors_ppm[i]},
                    "blinding_label": m.fit.blinding_label,
                    "window_us": list(m.fit.window_us),
                    "chi2": m.fit.statistic_value,
                    "ndf": m.fit.ndf,
                    "p_value": m.fit.p_value,
                    "converged": m.fit.converged,
                    "parameters": {k: [p.value, p.error] for k, p in m.fit.parameters.items() if k != "R"},
                    "systematics_ppb": {row.source: row.shifts_ppb[name] for row in self.systematics},
                    "notes": list(m.fit.notes),
                }
                for i, (name, m) in enumerate(zip(self.analyses, self.measured, strict=True))
            },
            "order": list(self.analyses),
            "covariance_statistical_ppb2": self.covariance_stat_ppb2,
            "covariance_systematic_ppb2": self.covariance_syst_ppb2,
            "correlation_statistical": self.correlation_stat,
            "pairs": [
                {
                    "first": p.first,
                    "second": p.second,
                    "difference_ppm": p.difference_ppm,
                    "allowed_ppm": p.allowed_ppm,
                    "significance": p.significance,
                }
                for p in self.pairs
            ],
            "gain": gain.to_json() if gain is not None else None,
            "oscillations": self.analyser.oscillations.to_json(),
            "pileup_scale": {
                f"{key[0]}/{key[1]}": {"value": s.value, "error": s.error, "measured": s.measured}
                for key, (_, s) in self.analyser.pileups().items()
                if key[1] != "none" and key[2]
            },
        }


def _blindings(
    analyses: Sequence[Analysis], phrase: str | None, dataset: str
) -> tuple[list[Blinding | None], Blinding | None]:
    if phrase is None:
        return [None] * len(analyses), None
    own: list[Blinding | None] = [Blinding.from_phrase(f"{phrase}/{a.name}", dataset=dataset) for a in analyses]
    return own, Blinding.from_phrase(phrase, dataset=dataset)


def _hidden(blinding: Blinding | None) -> float:
    return 0.0 if blinding is None else blinding.hidden_offset_ppm()


def bootstrap(found: DatasetOmegaA, replicas: int, *, phrase: str | None = None, seed: int = 1) -> Bootstrap:
    """Return bootstrap replicas of the methods of a measured dataset, under the blinds it was measured with."""
    blinds, _ = _blindings([m.analysis for m in found.measured], phrase, found.dataset)
    return bootstrap_methods(found.analyser, list(zip(found.measured, blinds, strict=True)), replicas, seed=seed)


def measure_dataset(
    dataset: CampaignDataset,
    analyses: Sequence[Analysis] = DEFAULT_TEAMS,
    *,
    phrase: str | None = None,
    systematics: bool = True,
) -> DatasetOmegaA:
    """Measure ω_a^m of a dataset with several analyses.

    Parameters
    ----------
    phrase
        Words of the software blind; each team has its own, made from them and its name. ``None``: only the clock
        hides the frequency.

    Raises
    ------
    DataError
        A reconstruction the dataset does not have.
    FitError
        Too few positrons.

    Notes
    -----
    The combined value is the mean of the A-method analyses (of all where there is none): they differ by what their
    reconstructions and corrections do, not by statistics. Weights that minimise the variance of strongly correlated
    values become negative and magnify what the covariance does not know.
    """
    analyser = DatasetAnalyser(dataset)
    blinds, common = _blindings(analyses, phrase, dataset.name)
    measured = [analyser.measure(a, blinding=b) for a, b in zip(analyses, blinds, strict=True)]
    names = tuple(a.name for a in analyses)
    errors = np.array([m.error_ppm for m in measured])
    values = np.array([m.r_ppm for m in measured])
    influences = [
        influence(m, dataset.settings["reduction"], _hidden(b)) for m, b in zip(measured, blinds, strict=True)
    ]
    reference = analyses[0].reconstruction
    spectra = {r: dataset.reconstruction(r)["spectrum"].sum(axis=0) for r in {a.reconstruction for a in analyses}}
    scale = {name: energy_scale(found, spectra[reference]) for name, found in spectra.items()}
    stat = 1e6 * statistical_covariance(
        influences,
        analyser.raw(reference),
        errors,
        scales=np.array([scale[a.reconstruction] for a in analyses]),
        # Pileup falls with the square of the rate, so a quarter of its effect at 30 µs counts for the frequency.
        excess=np.array([0.25 * (m.spectrum.variance_factor - 1.0) for m in measured]),
        construction=[(a.reconstruction, a.pileup) for a in analyses],
        split=["stored" if a.method == "R" else "" for a in analyses],
    )
    rows, syst = (
        systematic_shifts(analyser, list(zip(measured, blinds, strict=True))) if systematics else ([], 0 * stat)
    )
    # Team blinds are replaced by the common one; neither offset is kept.
    together = values + np.array([_hidden(common) - _hidden(b) for b in blinds])
    chosen = [i for i, a in enumerate(analyses) if a.method == "A"] or list(range(len(analyses)))
    weights = np.zeros(len(analyses))
    weights[chosen] = 1.0 / len(chosen)
    pairs = []
    for i in range(len(names)):
        for j in range(i):
            variance = stat[i, i] + stat[j, j] - 2.0 * stat[i, j]
            allowed = 1e-3 * math.sqrt(max(variance, 0.0))
            pairs.append(PairComparison(names[i], names[j], float(together[i] - together[j]), allowed))
    return DatasetOmegaA(
        dataset=dataset.name,
        r_ppm=float(weights @ together),
        statistical_ppb=math.sqrt(float(weights @ stat @ weights)),
        systematic_ppb=math.sqrt(float(weights @ syst @ weights)),
        combined_from={names[i]: float(weights[i]) for i in chosen},
        analyses=names,
        values_ppm=values,
        errors_ppm=errors,
        covariance_stat_ppb2=stat,
        covariance_syst_ppb2=syst,
        systematics=tuple(rows),
        pairs=tuple(pairs),
        blinded=phrase is not None,
        measured=tuple(measured),
        analyser=analyser,
    )
