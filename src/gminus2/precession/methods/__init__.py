"""From the histograms of a dataset to the spectra that are fitted: T, A, R and Q (``docs/physics/omega_a.md``)."""

from gminus2.precession.methods.asymmetry import EnergyAsymmetry, measure_asymmetry
from gminus2.precession.methods.oscillations import BeamOscillations, measure_oscillations
from gminus2.precession.methods.prepared import Prepared, PrepareOptions, prepare
from gminus2.precession.methods.spectra import MethodSpectrum, method_spectrum

__all__ = [
    "BeamOscillations",
    "EnergyAsymmetry",
    "MethodSpectrum",
    "PrepareOptions",
    "Prepared",
    "measure_asymmetry",
    "measure_oscillations",
    "method_spectrum",
    "prepare",
]
