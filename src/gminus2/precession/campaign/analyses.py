"""One analysis of one dataset: reconstruction × method × options → spectrum → fit, under its own software blind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from gminus2.data.campaign import AXES, CampaignDataset
from gminus2.precession.blinding import Blinding
from gminus2.precession.corrections.gain import GainModel, measure_gain
from gminus2.precession.corrections.lost_muons import lost_muon_spectrum
from gminus2.precession.corrections.pileup import PileupScale
from gminus2.precession.fitting.correlated import fit_ratio
from gminus2.precession.fitting.engine import fit
from gminus2.precession.fitting.result import FitResult
from gminus2.precession.fitting.settings import BinRule, FitSettings
from gminus2.precession.methods.asymmetry import EnergyAsymmetry, measure_asymmetry
from gminus2.precession.methods.oscillations import BeamOscillations, measure_oscillations
from gminus2.precession.methods.prepared import (
    PileupMethod,
    Prepared,
    PrepareOptions,
    constructed_pileup,
    convolution_orders,
    prepare,
)
from gminus2.precession.methods.spectra import Method, MethodSpectrum, method_spectrum
from gminus2.precession.models.config import (
    CboTerm,
    DecayTerm,
    DriftConfig,
    ModelConfig,
    PrecessionTerm,
    TermConfig,
    VerticalWaistTerm,
)
from gminus2.precession.models.model import Model
from gminus2.units import omega_reference

__all__ = ["Analysis", "DatasetAnalyser", "Measured", "Variation"]

Array = NDArray[np.float64]

#: Positrons in the fit above which the small CBO terms (2ω, A, φ) and the vertical waist are fitted.
_MANY: Final = 2.0e7
_WAIST: Final = 4.0e6
#: Fits of nearly the same data are subtracted: they must stand at their minimum to 1e-4 of the error.
_TOLERANCE: Final = 1e-9


@dataclass(frozen=True)
class Analysis:
    """What a team does.

    Attributes
    ----------
    name
        Of the team, also the key of its software blind.
    reconstruction, method
        On which clusters, and how they are counted.
    pileup
        How pileup is constructed.
    threshold_mev
        Of T and R.
    gain, lost_muons
        Whether these corrections are made.
    start_us, stop_us
        Window of the fit; it ends earlier where there are too few counts per bin.
    """

    name: str
    reconstruction: str = "global"
    method: Method = "T"
    pileup: PileupMethod = "shadow"
    threshold_mev: float = 1700.0
    gain: bool = True
    lost_muons: bool = True
    start_us: float = 30.0
    stop_us: float = 650.0


@dataclass(frozen=True)
class Variation:
    """A named change of one ingredient; all defaults: the nominal analysis.

    Attributes
    ----------
    prepare, gain, losses
        Changes of :class:`PrepareOptions`, of :class:`GainModel` fields, of the loss spectrum's options.
    cbo_frequency, cbo_tau
        Shifts of the tracker's CBO [MHz], [µs].
    cbo_drift
        Whether the frequency drifts.
    cbo_envelope
        ``exponential`` or ``constant`` (no decay).
    cbo_free
        Fit the CBO frequency and lifetime instead of taking the tracker's.
    no_losses
        No loss term.
    bin_rule
        Of the fit.
    """

    name: str = "nominal"
    source: str = ""
    prepare: Mapping[str, Any] = field(default_factory=dict)
    gain: Mapping[str, Any] = field(default_factory=dict)
    losses: Mapping[str, Any] = field(default_factory=dict)
    cbo_frequency: float = 0.0
    cbo_tau: float = 0.0
    cbo_drift: bool = True
    cbo_envelope: Literal["exponential", "constant"] = "exponential"
    cbo_free: bool = False
    no_losses: bool = False
    bin_rule: BinRule = "integral"
    start_us: float | None = None
    stop_us: float | None = None


@dataclass(frozen=True)
class Measured:
    """A fit with the spectrum it was made of."""

    analysis: Analysis
    variation: str
    spectrum: MethodSpectrum
    fit: FitResult

    @property
    def r_ppm(self) -> float:
        """R as blinded."""
        return self.fit.value("R")

    @property
    def error_ppm(self) -> float:
        """Its statistical error."""
        return self.fit.error("R")


class DatasetAnalyser:
    """A dataset with what all its analyses share, computed once: gain, oscillations, pileup, A(E).

    Parameters
    ----------
    dataset
        L2 histograms.
    """

    def __init__(self, dataset: CampaignDataset) -> None:
        self.dataset = dataset
        self._raw: dict[str, Array] = {}
        self._pileup: dict[tuple[str, str, bool], tuple[Array, PileupScale]] = {}
        self._orders: dict[str, tuple[Array, Array]] = {}
        self._asymmetry: dict[str, EnergyAsymmetry] = {}
        self._nominal: dict[Analysis, tuple[MethodSpectrum, float]] = {}

    @cached_property
    def gain(self) -> GainModel | None:
        """The gain from laser pulses."""
        first = next(iter(self.dataset.reconstructions))
        detector = self.dataset.settings.get("detector", {})
        laser = float(detector.get("laser_energy_mev", 1500.0))
        counts = self.dataset.reconstruction(first)["counts"]
        width = AXES["laser_time_width_us"]
        steps = float(detector.get("laser_step_us", 0.0)) / width
        # Shots that step by whole bins are always at the same place in their bins, else on average in the middle.
        whole = steps >= 1.0 and abs(steps - round(steps)) < 1e-6
        inside = float(detector.get("laser_first_us", 0.0)) % width if whole else 0.5 * width
        return measure_gain(self.dataset.shared, counts, self.dataset.fills, laser, inside_us=inside)

    @cached_property
    def oscillations(self) -> BeamOscillations:
        """CBO and vertical waist from the trackers."""
        return measure_oscillations(self.dataset)

    def raw(self, reconstruction: str) -> Array:
        """Return counts by (energy, time) of all calorimeters."""
        if reconstruction not in self._raw:
            counts = self.dataset.reconstruction(reconstruction)["counts"]
            self._raw[reconstruction] = counts.sum(axis=0, dtype=np.float64)
        return self._raw[reconstruction]

    def pileups(self) -> Mapping[tuple[str, str, bool], tuple[Array, PileupScale]]:
        """Return the pileup spectra made so far by (reconstruction, construction, triples)."""
        return self._pileup

    def prepared(self, analysis: Analysis, variation: Variation) -> Prepared:
        """Return the corrected spectra an analysis uses."""
        options = replace(PrepareOptions(pileup=analysis.pileup, gain=analysis.gain), **variation.prepare)
        key = (analysis.reconstruction, options.pileup, options.triples)
        if key not in self._pileup:
            name = analysis.reconstruction
            if options.pileup != "none" and name not in self._orders:
                self._orders[name] = convolution_orders(self.dataset, name)
            self._pileup[key] = constructed_pileup(
                self.dataset, name, options.pileup, triples=options.triples, orders=self._orders.get(name)
            )
        gain = self.gain
        if gain is not None and variation.gain:
            gain = gain.varied(**variation.gain)
        return prepare(
            self.dataset,
            analysis.reconstruction,
            gain,
            options,
            pileup=self._pileup[key],
            raw=self.raw(analysis.reconstruction),
        )

    def wiggle_phase(self, analysis: Analysis) -> float:
        """Return the phase of the counts above 1.7 GeV at ω_ref; no blind enters, and none can be seen in it."""
        width = AXES["time_width_us"]
        t = width * (np.arange(int(AXES["n_time"])) + 0.5)
        use = (t > 30.0) & (t < 100.0)
        counts = self.raw(analysis.reconstruction)[round(1700.0 / AXES["energy_width_mev"]) :].sum(axis=0)
        wave = (counts * np.exp(t / 64.4))[use] @ np.exp(-1j * omega_reference * t[use])
        return float(np.angle(wave))

    def asymmetry(self, analysis: Analysis) -> EnergyAsymmetry:
        """Return A(E) and φ(E) of a reconstruction."""
        name = analysis.reconstruction
        if name not in self._asymmetry:
            nominal = Analysis("asymmetry", name, "T", analysis.pileup)
            prepared = self.prepared(nominal, Variation())
            # The frequency of this fit is used and dropped; nothing of it is printed or stored.
            found = self._five(method_spectrum(prepared, "T"), 30.0, None)
            self._asymmetry[name] = measure_asymmetry(
                prepared, found.value("R"), found.value("tau"), found.value("phi")
            )
        return self._asymmetry[name]

    @staticmethod
    def _five(spectrum: MethodSpectrum, start_us: float, blinding: Blinding | None) -> FitResult:
        settings = FitSettings(window_us=(start_us, spectrum.stop_us), statistic="weighted")
        return fit(spectrum.histogram, "five", settings, blinding=blinding)

    def model(self, analysis: Analysis, variation: Variation, positrons: float) -> Model:
        """Return the model of a fit: what the trackers and coincidences show, as far as the statistics bear it."""
        terms: list[TermConfig] = [DecayTerm(), PrecessionTerm()]
        fixed: dict[str, float] = {}
        start: dict[str, float] = {}
        o = self.oscillations
        if o.cbo is not None:
            many = positrons > _MANY
            drift = DriftConfig(form="single") if variation.cbo_drift and o.cbo.drift_rad else None
            terms.append(CboTerm(modulates=("N1", "N2", "A1", "phi1") if many else ("N1",), drift=drift))
            values = {"f_cbo": o.cbo.f_mhz + variation.cbo_frequency, "tau_cbo": o.cbo.tau_us + variation.cbo_tau}
            if variation.cbo_envelope == "constant":
                values["tau_cbo"] = 9.0e3
            if variation.cbo_free and positrons > _WAIST:
                start.update(values)
            else:
                fixed.update(values)
            if drift is not None:
                fixed.update({"drift_A_cbo": o.cbo.drift_rad, "drift_tau_A_cbo": o.cbo.drift_tau_us})
        if o.waist is not None and positrons > _WAIST:
            terms.append(VerticalWaistTerm(factor_of="own"))
            fixed.update({"f_vw": o.waist.f_mhz, "tau_vw": o.waist.tau_us})
        model = Model(ModelConfig(name="omega_a", terms=tuple(terms)))
        if analysis.lost_muons and not variation.no_losses:
            coincidences = self.dataset.reconstruction(analysis.reconstruction)["coincidences"]
            losses = lost_muon_spectrum(coincidences, **variation.losses)
            if losses is not None:
                model = model.with_losses(losses)
        return model.fixed(**fixed).started(start)

    def _spectrum(
        self, analysis: Analysis, variation: Variation, begin: float, stop: float
    ) -> tuple[MethodSpectrum, float]:
        """Return what is fitted, and the positrons above 1.7 GeV in the window."""
        nominal = not (variation.prepare or variation.gain or variation.start_us or variation.stop_us)
        if nominal and analysis in self._nominal:
            return self._nominal[analysis]
        prepared = self.prepared(analysis, variation)
        spectrum = method_spectrum(
            prepared,
            analysis.method,
            threshold_mev=analysis.threshold_mev,
            asymmetry=self.asymmetry(analysis) if analysis.method == "A" else None,
            start_us=begin,
            stop_us=stop,
        )
        positrons = float(prepared.above(1700.0)[round(begin / AXES["time_width_us"]) :].sum())
        if nominal:
            self._nominal[analysis] = spectrum, positrons
        return spectrum, positrons

    def positrons(self, analysis: Analysis) -> float:
        """Return the positrons above 1.7 GeV in the window of an analysis."""
        return self._spectrum(analysis, Variation(), analysis.start_us, analysis.stop_us)[1]

    def measure(
        self,
        analysis: Analysis,
        *,
        blinding: Blinding | None = None,
        variation: Variation | None = None,
        start: Mapping[str, float] | None = None,
    ) -> Measured:
        """Make an analysis of the dataset.

        Parameters
        ----------
        variation
            What is changed against the nominal analysis.
        start
            Values of an earlier fit of this analysis.
        """
        variation = variation or Variation()
        begin = analysis.start_us if variation.start_us is None else variation.start_us
        stop = analysis.stop_us if variation.stop_us is None else variation.stop_us
        spectrum, positrons = self._spectrum(analysis, variation, begin, stop)
        model = self.model(analysis, variation, positrons)
        if start is None or analysis.method == "R":
            # The parameters of a ratio hold no counts: starting from them the fit of the counts ends elsewhere.
            start = self._five(spectrum, begin, blinding).values
        settings = FitSettings(
            window_us=(begin, spectrum.stop_us),
            statistic="weighted",
            bin_rule=variation.bin_rule,
            tolerance=_TOLERANCE,
        )
        known = {name: value for name, value in start.items() if name in model.parameter_names}
        if analysis.method == "R":
            assert spectrum.ratio is not None
            # A ratio holds little of slow losses and ripples: everything but the wiggle is taken from the counts.
            counts = fit(spectrum.histogram, model, settings, start=known, blinding=blinding)
            kept = {
                name: p.value for name, p in counts.parameters.items() if name not in ("N0", "tau", "A", "R", "phi")
            }
            model = model.fixed(**kept)
            known = {name: counts.value(name) for name in ("A", "R", "phi")}
            return Measured(
                analysis,
                variation.name,
                spectrum,
                fit_ratio(
                    spectrum.ratio, model, replace(settings, statistic="poisson"), start=known, blinding=blinding
                ),
            )
        return Measured(
            analysis,
            variation.name,
            spectrum,
            fit(spectrum.histogram, model, settings, start=known, blinding=blinding),
        )
