"""Hadronic vacuum polarisation from a measured, parametrised or lattice input."""

from gminus2.theory.hvp.combine import cluster, undress, undress_channels
from gminus2.theory.hvp.functionals import leading_order
from gminus2.theory.hvp.hadrons import HadronicR, NextToLeading, Piece, inclusive, measured
from gminus2.theory.hvp.kernel import kernel
from gminus2.theory.hvp.readers import Layout, read_csv_spectrum, read_pdg_table, read_spectrum, read_yoda
from gminus2.theory.hvp.spectrum import Spectrum
from gminus2.theory.hvp.time_momentum import LatticeCorrelator, correlator_integral, time_kernel

__all__ = [
    "HadronicR",
    "LatticeCorrelator",
    "Layout",
    "NextToLeading",
    "Piece",
    "Spectrum",
    "cluster",
    "correlator_integral",
    "inclusive",
    "kernel",
    "leading_order",
    "measured",
    "read_csv_spectrum",
    "read_pdg_table",
    "read_spectrum",
    "read_yoda",
    "time_kernel",
    "undress",
    "undress_channels",
]
