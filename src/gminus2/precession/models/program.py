"""A model in the form that the kernels read: plain arrays of integers, and the constants of their layout.

The kernels know *natural* parameters θ only (normalisation per bin, lifetimes, angular frequencies, amplitudes,
phases); each of them is an affine function of at most one fit parameter, θ_i = offset_i + factor_i · p[source_i]. So
units (R, MHz, tesla), links, fixed values, sharing among detectors and blinding never reach a kernel.

    μ(t) = N e^(-t/τ) Λ(t) ∏_f X_f(t) · [1 + Y(t) Σ_c a_c Re e^(i(φ_c + δ_c(t))) z_c(t)] + b

with damped phasors z = exp(-t/τ_z + iωt + extra(t)), X_f and Y = 1 + Σ a Re(e^(iφ) z^h), and the phase modulation δ
of the same form (``docs/physics/precession.md``, section 2).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BLOCK",
    "EXTRA_PARAMETERS",
    "EXTRA_REAL",
    "SLOT_ASYMMETRY",
    "SLOT_PHASE_ADDITIVE",
    "SLOT_PHASE_MULTIPLICATIVE",
    "Extra",
    "Program",
]

#: Bins per block: phasors are restarted exactly at every block.
BLOCK: Final = 64

#: Targets of a modulation: 0, 1, … are factors of the counts.
SLOT_ASYMMETRY: Final = -1
SLOT_PHASE_ADDITIVE: Final = -2
SLOT_PHASE_MULTIPLICATIVE: Final = -3

#: Columns for the parameters of an extra exponent.
EXTRA_PARAMETERS: Final = 8


class Extra:
    """Kinds of exponents that are no phasor (and their parameters, in order)."""

    NONE: Final = 0
    GAUSSIAN: Final = 1  # -(σt)²/2: σ
    STRETCHED: Final = 2  # -(λt)^β: λ, β
    TRACKER: Final = 3  # i(A e^(-t/τA) + B e^(-t/τB)): A, τA, B, τB
    ORIGINAL: Final = 4  # iωt(dw t + a e^(-t/τa) + b e^(-t/τb)): ω, dw, a, τa, b, τb
    SINGLE: Final = 5  # iA e^(-t/τA): A, τA
    WAIST: Final = 6  # i ω_VW(t) t of a CBO: κ, ω, drift parameters of the CBO
    BETATRON: Final = 7  # i ω_y(t) t of a CBO: κ, ω, drift parameters of the CBO


#: Kinds up to this one are real exponents, the others imaginary.
EXTRA_REAL: Final = 2


class Program(NamedTuple):
    """What the kernels read.

    Attributes
    ----------
    header
        (normalisation, lifetime, background, loss) indices into θ (-1: absent) and the number of count factors.
    oscillators
        One row per phasor: (ω, τ) indices into θ, kind of extra, first extra row, drift kind of the CBO behind a
        WAIST or BETATRON, relaxation rate index into θ (a phasor decays with 1/τ + rate).
    extras
        θ indices of the parameters of the extra of each phasor, shape (phasors, EXTRA_PARAMETERS), -1 padded.
    components
        One row per precession term: (phasor, amplitude, phase).
    modulations
        One row per modulation: (slot, phasor, harmonic, amplitude, phase).
    """

    header: NDArray[np.int64]
    oscillators: NDArray[np.int64]
    extras: NDArray[np.int64]
    components: NDArray[np.int64]
    modulations: NDArray[np.int64]
