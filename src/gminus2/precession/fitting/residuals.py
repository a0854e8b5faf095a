"""What is left after a fit: pulls and their Fourier spectrum with named lines."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from gminus2.constants import F_CYCLOTRON_MHZ
from gminus2.errors import FitError
from gminus2.precession.fitting.result import FitResult, FittedSpectrum
from gminus2.units import omega_reference, to_mhz

__all__ = [
    "NamedLine",
    "PullSummary",
    "ResidualSpectrum",
    "expected_lines",
    "folded_pulls",
    "pull_summary",
    "residual_spectrum",
    "result_spectra",
]

_SLOW_MHZ = 0.02


@dataclass(frozen=True)
class NamedLine:
    """A frequency that may show in the residuals [MHz], and the largest amplitude found within two FFT bins of it."""

    name: str
    f_mhz: float
    amplitude: float


@dataclass(frozen=True)
class ResidualSpectrum:
    """Amplitudes a_k = |FFT(pulls)|/√(N/2).

    For white noise a² is χ² with two degrees of freedom, so the largest of N/2 is expected at √(2 ln(N/2)).

    Attributes
    ----------
    f_mhz, amplitude
        Shape (N//2,), without the constant.
    expected_maximum
        √(2 ln(N/2)).
    top_p_value
        Probability that white noise has a line as strong as the strongest.
    top
        The strongest line, named after a known one if it lies within two FFT bins of it.
    lines
        Known lines with what was found there.
    """

    label: str
    f_mhz: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    expected_maximum: float
    top_p_value: float
    top: NamedLine
    lines: tuple[NamedLine, ...]


@dataclass(frozen=True)
class PullSummary:
    """Moments of the pulls of one detector with their own errors.

    ``kurtosis`` is the excess (0 for a Gaussian), ``autocorrelation`` that of neighbouring bins,
    ``normality_p_value`` that of skewness and kurtosis together (Jarque-Bera).
    """

    label: str
    bins: int
    mean: float
    mean_error: float
    rms: float
    rms_error: float
    kurtosis: float
    kurtosis_error: float
    autocorrelation: float
    normality_p_value: float


def expected_lines(field_index: float, nyquist_mhz: float, f_a_mhz: float | None = None) -> dict[str, float]:
    """Return the known lines of a ring with continuous quadrupoles, folded below the Nyquist frequency [MHz].

    f_CBO = f_c(1 - √(1 - n)), f_y = f_c √n, f_VW = f_c - 2 f_y (``docs/physics/precession.md``, section 5).
    """
    f_a = to_mhz(omega_reference) if f_a_mhz is None else f_a_mhz
    f_cbo = F_CYCLOTRON_MHZ * (1.0 - math.sqrt(1.0 - field_index))
    f_y = F_CYCLOTRON_MHZ * math.sqrt(field_index)
    lines = {
        "f_cbo - f_a": f_cbo - f_a,
        "f_a": f_a,
        "f_cbo": f_cbo,
        "f_cbo + f_a": f_cbo + f_a,
        "2 f_cbo": 2.0 * f_cbo,
        "f_vw": abs(F_CYCLOTRON_MHZ - 2.0 * f_y),
        "f_y": f_y,
        "f_c": F_CYCLOTRON_MHZ,
    }
    return {name: _fold(f, nyquist_mhz) for name, f in lines.items()}


def _fold(f: float, nyquist: float) -> float:
    rest = f % (2.0 * nyquist)
    return min(rest, 2.0 * nyquist - rest)


def residual_spectrum(
    spectrum: FittedSpectrum, *, field_index: float = 0.108, f_cbo_mhz: float | None = None
) -> ResidualSpectrum:
    """Fourier-transform the pulls of one detector and look at the known frequencies of the ring.

    Parameters
    ----------
    field_index
        Of the quadrupoles (0.108 or 0.120 in Run-1).
    f_cbo_mhz
        A measured CBO frequency; replaces the field index, n = f_CBO(2f_c - f_CBO)/f_c².

    Raises
    ------
    FitError
        Fewer than 8 bins.
    """
    pulls = np.nan_to_num(spectrum.pulls)
    n = pulls.size
    if n < 8:
        raise FitError("a residual spectrum needs at least 8 bins", found=str(n))
    if f_cbo_mhz is not None:
        field_index = f_cbo_mhz * (2.0 * F_CYCLOTRON_MHZ - f_cbo_mhz) / F_CYCLOTRON_MHZ**2
    frequency = np.asarray(np.fft.rfftfreq(n, spectrum.width_us)[1 : n // 2 + 1], dtype=np.float64)
    amplitude = np.abs(np.fft.rfft(pulls))[1 : n // 2 + 1] / math.sqrt(n / 2.0)
    step = float(frequency[0])
    found = []
    slow = frequency < _SLOW_MHZ
    if slow.any():
        k = int(np.argmax(amplitude[slow]))
        found.append(NamedLine("slow", float(frequency[k]), float(amplitude[k])))
    for name, f in expected_lines(field_index, 0.5 / spectrum.width_us).items():
        near = np.abs(frequency - f) <= 2.0 * step
        found.append(NamedLine(name, f, float(amplitude[near].max()) if near.any() else 0.0))
    k = int(np.argmax(amplitude))
    f_top = float(frequency[k])
    name = "slow" if f_top < _SLOW_MHZ else "unknown"
    known = [line for line in found if line.name != "slow" and abs(line.f_mhz - f_top) <= 2.5 * step]
    if known:
        name = min(known, key=lambda line: abs(line.f_mhz - f_top)).name
    top = float(amplitude[k])
    return ResidualSpectrum(
        label=spectrum.label,
        f_mhz=frequency,
        amplitude=amplitude,
        expected_maximum=math.sqrt(2.0 * math.log(n / 2.0)),
        top_p_value=float(-np.expm1((n // 2) * np.log1p(-math.exp(-0.5 * top * top)))),
        top=NamedLine(name, f_top, top),
        lines=tuple(found),
    )


def pull_summary(spectrum: FittedSpectrum) -> PullSummary:
    """Return the moments of the pulls of one detector."""
    pulls = spectrum.pulls[np.isfinite(spectrum.pulls)]
    n = pulls.size
    mean, rms = float(pulls.mean()), float(pulls.std())
    centred = (pulls - mean) / rms if rms > 0 else pulls * 0.0
    skewness, kurtosis = float((centred**3).mean()), float((centred**4).mean() - 3.0)
    jarque_bera = n / 6.0 * (skewness**2 + kurtosis**2 / 4.0)
    return PullSummary(
        label=spectrum.label,
        bins=n,
        mean=mean,
        mean_error=rms / math.sqrt(n),
        rms=rms,
        rms_error=rms / math.sqrt(2.0 * n),
        kurtosis=kurtosis,
        kurtosis_error=math.sqrt(24.0 / n),
        autocorrelation=float((centred[1:] * centred[:-1]).mean()) if n > 1 else 0.0,
        normality_p_value=float(special.chdtrc(2.0, jarque_bera)),
    )


def folded_pulls(
    spectrum: FittedSpectrum, period_us: float, bins: int = 24
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return phase (0 … 1), mean pull and its error in bins of the phase t mod period, shape (bins,) each."""
    good = np.isfinite(spectrum.pulls)
    phase = (spectrum.centres_us[good] / period_us) % 1.0
    index = np.minimum((phase * bins).astype(np.int64), bins - 1)
    number = np.bincount(index, minlength=bins)
    total = np.bincount(index, weights=spectrum.pulls[good], minlength=bins)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (np.arange(bins) + 0.5) / bins, total / number, 1.0 / np.sqrt(number)


def result_spectra(result: FitResult, *, field_index: float = 0.108) -> tuple[ResidualSpectrum, ...]:
    """Return the residual spectrum of every detector of a fit, lines placed by its own f_cbo where it has one."""
    spectra = []
    for spectrum in result.spectra:
        names = [name for name in (f"f_cbo[{spectrum.label}]", "f_cbo") if name in result.parameters]
        f_cbo = result.value(names[0]) if names else None
        spectra.append(residual_spectrum(spectrum, field_index=field_index, f_cbo_mhz=f_cbo))
    return tuple(spectra)
