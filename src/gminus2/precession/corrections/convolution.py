"""Pileup by convolution of the measured spectrum with itself, to second order, with the covariance it leaves.

With ρ(E) true pulses, I = Σρ and ε = dead time/(bin width · fills), the measured spectrum is

    ρ_m = ρ + ε (ρ² - 2ρI) + ε² (a ρ³ + b ρ²I + c ρ I²),

powers meaning convolutions in energy; (a, b, c) depend on the rule by which pulses merge (``docs/physics/omega_a.md``,
section 2). The inverse to second order is applied per calorimeter and time bin, with the self terms of the observed
counts taken out (n_i n_j → n_i (n_i - 1) for i = j), so that the correction has no bias where a bin holds few counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from gminus2.errors import DataError

__all__ = ["CHAIN", "FROM_FIRST", "SMOOTH", "MergingRule", "convolution_pileup", "propagation_matrix"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MergingRule:
    """Second-order coefficients: of ρ³ (doublet of doublets), ρ²I and ρI². Energy is conserved: 3a + 2b + c = 0."""

    name: str
    triple: float
    double: float
    single: float


#: Each gap is measured from the previous hit, so that a third hit extends the window (our clustering).
CHAIN: Final = MergingRule("chain", 1.0, -2.5, 2.0)
#: The window is measured from the first hit.
FROM_FIRST: Final = MergingRule("from_first", 0.5, -2.0, 2.5)
#: Hits at a gap g are separated with efficiency 1 - e^(-g/Δ).
SMOOTH: Final = MergingRule("smooth", 1.0, -3.0, 3.0)


def _split_pairs(values: Array) -> Array:
    """Move pair sums from bin indices j + k to the two bins that j + k + 1 bin widths border on, half each."""
    result = 0.5 * values
    result[1:] += 0.5 * values[:-1]
    return result


def _split_triples(values: Array) -> Array:
    """The same for three: bins j + k + l … + 2 with weights 1/6, 2/3, 1/6."""
    result = values / 6.0
    result[1:] += values[:-1] * (2.0 / 3.0)
    result[2:] += values[:-2] / 6.0
    return result


def convolution_pileup(
    counts: NDArray[np.float64], dead_time_us: float, bin_width_us: float, fills: float, *, rule: MergingRule = CHAIN
) -> tuple[Array, Array]:
    """Return the expected pileup ρ_m - ρ of first and of second order, for a measured spectrum.

    Parameters
    ----------
    counts
        Measured pulses by (energy, time) of one calorimeter, the last energy bin as overflow, shape (energies, times).
    fills
        Number of fills (or effective number, with the fluctuation of the intensity) in the counts.

    Returns
    -------
    Two arrays of the shape of ``counts``; scale them with λ and λ² where the dead time has to be scaled by λ.

    Raises
    ------
    DataError
        Negative dead time or no fills.
    """
    if dead_time_us < 0.0 or fills <= 0.0 or bin_width_us <= 0.0:
        raise DataError("a dead time and a number of fills must be positive")
    epsilon = dead_time_us / (bin_width_us * fills)
    n = np.asarray(counts, dtype=np.float64)
    energies = n.shape[0]
    total = n.sum(axis=0)
    size = scipy.fft.next_fast_len(3 * energies, real=True)
    transform = scipy.fft.rfft(n, size, axis=0)
    pairs = scipy.fft.irfft(transform**2, size, axis=0)
    triples = scipy.fft.irfft(transform**3, size, axis=0)
    # Σ_{distinct} over ordered pairs and triples: take the self terms out.
    even = np.zeros((size, n.shape[1]))
    even[0 : 2 * energies : 2] = n
    cube = np.zeros((size, n.shape[1]))
    cube[0 : 3 * energies : 3] = n
    mixed = scipy.fft.irfft(scipy.fft.rfft(even, axis=0) * transform, size, axis=0)
    pair_two = pairs - even
    triple = triples - 3.0 * mixed + 2.0 * cube
    folded_two, folded_three = _split_pairs(pair_two), _split_triples(triple)

    def kept(values: Array) -> Array:
        result = values[:energies].copy()
        result[-1] += values[energies:].sum(axis=0)
        return result

    two = kept(folded_two)
    first = epsilon * (two - 2.0 * n * (total - 1.0))
    # ρ²I and ρI² over distinct pulses: a pair with a third pulse of any energy, one with two others.
    two_with_any = kept(_split_pairs(_distinct_with_any(pairs, even, mixed, cube, n, total)))
    one_with_two = n * (total - 1.0) * (total - 2.0)
    # ρ_m - ρ = εL[ρ_m] - ε²[(2-a)ρ_m³ - (6+b)ρ_m²I + (6-c)ρ_mI²]
    second = -(epsilon**2) * (
        (2.0 - rule.triple) * kept(folded_three)
        - (6.0 + rule.double) * two_with_any
        + (6.0 - rule.single) * one_with_two
    )
    return first, second


def _distinct_with_any(pairs: Array, even: Array, mixed: Array, cube: Array, n: Array, total: Array) -> Array:
    """Σ over ordered distinct (i, j, l) at index i + j: pairs of distinct pulses times (total - 2)."""
    del mixed, cube, n
    result: Array = (pairs - even) * (total - 2.0)
    return result


def propagation_matrix(spectrum: Array, dead_time_us: float, bin_width_us: float, fills: float) -> Array:
    """Return G = ∂(corrected)/∂(measured) to first order, shape (energies, energies).

    The covariance of the corrected spectrum is G diag(ρ) Gᵀ: its energy bins are correlated, and sums above a threshold
    or with weights w have the variance Σ_j (Σ_i w_i G_ij)² ρ_j.

    Parameters
    ----------
    spectrum
        Counts by energy of one calorimeter in one time bin (or the mean over such bins), shape (energies,).
    """
    epsilon = dead_time_us / (bin_width_us * fills)
    size = spectrum.size
    i = np.arange(size)
    lag = i[:, None] - i[None, :]
    split = _split_pairs(np.concatenate([spectrum, np.zeros(1)]))[:size]
    folded = np.where(lag >= 0, split[np.clip(lag, 0, size - 1)], 0.0)
    result: Array = np.eye(size) - 2.0 * epsilon * (
        folded - spectrum.sum() * np.eye(size) - np.broadcast_to(spectrum[:, None], (size, size))
    )
    return result
