"""What is left after a fit: pulls and their Fourier spectrum with named lines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gminus2.precession.result import FitResult, FittedSpectrum

__all__ = ["NamedLine", "PullSummary", "ResidualSpectrum", "pull_summary", "residual_spectrum", "result_spectra"]


@dataclass(frozen=True)
class NamedLine:
    """A frequency of the ring that may show in the residuals [MHz], and the amplitude found near it."""

    name: str
    f_mhz: float
    amplitude: float


@dataclass(frozen=True)
class ResidualSpectrum:
    """Amplitude a = |FFT(pulls)|/√(N/2): white noise gives rms √2 and an expected maximum √(2 ln(N/2)) · √… .

    Attributes
    ----------
    f_mhz, amplitude
        Shape (N//2,), without the constant.
    expected_maximum
        Of white noise with as many bins.
    top
        The strongest line, named if it is a known one.
    lines
        Known lines with what was found there.
    """

    label: str
    f_mhz: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    expected_maximum: float
    top: NamedLine
    lines: tuple[NamedLine, ...]


@dataclass(frozen=True)
class PullSummary:
    """Moments of the pulls of one detector with their own errors, lag-1 autocorrelation, normality p-value."""

    label: str
    mean: float
    mean_error: float
    rms: float
    rms_error: float
    kurtosis: float
    autocorrelation: float
    normality_p_value: float


def residual_spectrum(spectrum: FittedSpectrum, *, field_index: float = 0.108) -> ResidualSpectrum:
    """Fourier-transform the pulls of one detector and look at the known frequencies of a ring of this field index."""
    raise NotImplementedError


def pull_summary(spectrum: FittedSpectrum) -> PullSummary:
    """Return the moments of the pulls of one detector."""
    raise NotImplementedError


def result_spectra(result: FitResult, *, field_index: float = 0.108) -> tuple[ResidualSpectrum, ...]:
    """Return the residual spectrum of every detector of a fit."""
    raise NotImplementedError
