"""What is corrected in the spectra before the fit: pileup, gain, lost muons (``docs/physics/omega_a.md``)."""

from gminus2.precession.corrections.convolution import CHAIN, FROM_FIRST, SMOOTH, MergingRule, convolution_pileup
from gminus2.precession.corrections.gain import GainModel, measure_gain, shift_energies
from gminus2.precession.corrections.lost_muons import lost_muon_spectrum
from gminus2.precession.corrections.pileup import PileupScale, fit_pileup_scale, shadow_error_factor

__all__ = [
    "CHAIN",
    "FROM_FIRST",
    "SMOOTH",
    "GainModel",
    "MergingRule",
    "PileupScale",
    "convolution_pileup",
    "fit_pileup_scale",
    "lost_muon_spectrum",
    "measure_gain",
    "shadow_error_factor",
    "shift_energies",
]
