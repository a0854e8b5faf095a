"""Lines of the beam in five-parameter fits of single calorimeters.

The betatron phase a calorimeter sees at a given time goes m times around the ring, so that oscillations with m ≠ 0
cancel in the sum over calorimeters. Here the residuals of each calorimeter are Fourier-transformed, turned back by m
times its azimuth, and added: the amplitude of a line with that m grows 24-fold, that of noise √24-fold
(``docs/physics/omega_a.md``, section 8).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gminus2.constants import F_CYCLOTRON_MHZ
from gminus2.data import TimeHistogram
from gminus2.data.campaign import AXES
from gminus2.errors import FitError
from gminus2.precession.blinding import Blinding
from gminus2.precession.campaign.analyses import DatasetAnalyser, Measured, Variation
from gminus2.precession.fitting.engine import fit
from gminus2.precession.fitting.settings import FitSettings
from gminus2.units import omega_reference, to_mhz

__all__ = ["BeamLine", "CalorimeterLines", "calorimeter_lines"]

Array = NDArray[np.float64]
_WIDTH: Final = AXES["time_width_us"]
_ENERGY: Final = AXES["energy_width_mev"]
#: Half-width of the search for a line that lives as long as the fill [MHz], and least search and step.
_SEARCH: Final = 0.007
_STEP: Final = 0.0005


@dataclass(frozen=True)
class BeamLine:
    """A line where the optics put it, and what is found near it.

    Attributes
    ----------
    name, turns
        Of the line; how often its phase goes around the ring.
    expected_mhz, found_mhz, error_mhz
        From trackers and optics; where the amplitude is largest near it; its error √3/(π T a) as for one wave, T the
        time over which the line lives.
    amplitude
        Of the aligned sum, weighted in time as the line decays, in units of noise.
    p_value
        That noise does as much somewhere in the searched range.
    """

    name: str
    turns: int
    expected_mhz: float
    found_mhz: float
    error_mhz: float
    amplitude: float
    p_value: float


@dataclass(frozen=True)
class CalorimeterLines:
    """Aligned residual spectra.

    Attributes
    ----------
    f_mhz
        Shape (bins,).
    aligned
        Amplitude [noise] of the sum with its phases turned back 0, 1, 2 times, shape (3, bins).
    power
        Mean over calorimeters of the squared amplitude (2 for noise), shape (bins,).
    lines
        The known lines.
    """

    f_mhz: Array
    aligned: Array
    power: Array
    lines: tuple[BeamLine, ...]

    def to_json(self) -> list[dict[str, Any]]:
        """Return the lines."""
        return [{name: getattr(line, name) for name in line.__dataclass_fields__} for line in self.lines]


def _expected(analyser: DatasetAnalyser) -> dict[str, tuple[float, int, float]]:
    """Return frequency [MHz], turns and lifetime [µs] of each line, as trackers and field index say."""
    o = analyser.oscillations
    n = float(analyser.dataset.conditions.get("field_index", 0.108))
    f_cbo = F_CYCLOTRON_MHZ * (1.0 - math.sqrt(1.0 - n))
    if o.cbo is not None:
        # Mean over the decay of positrons and of the oscillation from 30 µs on.
        rate = 1.0 / 64.4 + 1.0 / o.cbo.tau_us
        weight = 0.5 * rate / (0.5 * rate + 1.0 / o.cbo.drift_tau_us) * math.exp(-30.0 / o.cbo.drift_tau_us)
        f_cbo = o.cbo.f_mhz - o.cbo.drift_rad / (2.0 * math.pi * o.cbo.drift_tau_us) * weight
    f_vw = F_CYCLOTRON_MHZ * (1.0 - 2.0 * math.sqrt(n)) if o.waist is None else o.waist.f_mhz
    f_a = to_mhz(omega_reference)
    long = 200.0 if o.cbo is None else o.cbo.tau_us
    short = 25.0 if o.waist is None else o.waist.tau_us
    # f_c - 2 f_y is the waist, so f_y itself follows from it.
    return {
        "f_cbo": (f_cbo, 1, long),
        "f_cbo - f_a": (f_cbo - f_a, 1, long),
        "f_cbo + f_a": (f_cbo + f_a, 1, long),
        "2 f_cbo": (2.0 * f_cbo, 2, 0.5 * long),
        "f_vw": (f_vw, 1, short),
        "f_y": (0.5 * (F_CYCLOTRON_MHZ - f_vw), 0, 2.0 * short),
    }


def calorimeter_lines(
    analyser: DatasetAnalyser, nominal: Measured, blinding: Blinding | None = None
) -> CalorimeterLines | None:
    """Fit five parameters to every calorimeter and transform the residuals; ``None`` where a calorimeter lacks counts.

    Parameters
    ----------
    nominal
        T-method measurement.

    Notes
    -----
    The residuals enter up to where the sum still has counts; noise is white, a² is χ² with two degrees of freedom.
    """
    analysis = nominal.analysis
    arrays = analyser.dataset.reconstruction(analysis.reconstruction)
    edge = round(analysis.threshold_mev / _ENERGY)
    raw = arrays["counts"][:, edge:].sum(axis=1, dtype=np.float64)
    pileup = analyser.prepared(analysis, Variation()).pileup[edge:].sum(axis=0)
    share = raw.sum(axis=1) / max(raw.sum(), 1.0)
    variances = nominal.spectrum.histogram.variances
    assert variances is not None
    window = (analysis.start_us, min(nominal.fit.window_us[1], 400.0))
    settings = FitSettings(window_us=window, statistic="weighted")
    transforms, residuals = [], []
    first = 0.0
    for k in range(raw.shape[0]):
        counts = raw[k] - pileup * share[k] ** 2 / (share**2).sum()
        histogram = TimeHistogram(
            counts[None, :], np.zeros(1), _WIDTH, ("part",), variances=(variances[0] * share[k])[None, :]
        )
        start = {**nominal.fit.values, "N0": nominal.fit.value("N0") * share[k]}
        start = {name: start[name] for name in ("N0", "tau", "A", "R", "phi")}
        try:
            found = fit(histogram, "five", settings, start=start, blinding=blinding)
        except FitError:
            return None
        pulls = np.nan_to_num(found.spectra[0].pulls)
        first = float(found.spectra[0].centres_us[0])
        transforms.append(np.fft.rfft(pulls, 4 * pulls.size) / math.sqrt(pulls.size / 2.0))
        residuals.append(pulls)
        size = pulls.size
    z = np.array(transforms)
    f = np.asarray(np.fft.rfftfreq(4 * size, _WIDTH), dtype=np.float64)
    azimuth = np.asarray(2.0 * math.pi * np.arange(24) / 24.0, dtype=np.float64)
    z = z * np.exp(-2j * math.pi * f * first)
    aligned = np.stack([_turned(z, azimuth, turns) for turns in range(3)])
    lines = [_line(name, np.array(residuals), first, azimuth, *where) for name, where in _expected(analyser).items()]
    return CalorimeterLines(f, aligned, np.asarray((np.abs(z) ** 2).mean(axis=0)), tuple(lines))


def _turned(z: NDArray[np.complex128], azimuth: Array, turns: int) -> Array:
    """Return the amplitude of the sum over calorimeters with the phases of cos(ωt - mθ) turned back."""
    total = np.exp(1j * turns * azimuth) @ z
    result: Array = np.abs(total) / math.sqrt(azimuth.size)
    return result


def _line(
    name: str, pulls: Array, first_us: float, azimuth: Array, expected: float, turns: int, lifetime_us: float
) -> BeamLine:
    """Look for a line with a filter that falls as the line does, the pulls themselves falling with √N."""
    t = first_us + _WIDTH * np.arange(pulls.shape[1])
    rate = 1.0 / lifetime_us + 0.5 / 64.4
    weight = np.exp(-(t - t[0]) * rate)
    length = min(1.0 / rate, float(t[-1] - t[0]))
    search = max(_SEARCH, 0.25 / length)
    grid = expected + np.arange(-search, search + _STEP, _STEP)
    total = (np.exp(1j * turns * azimuth) @ pulls) * weight
    wave = np.exp(-2j * math.pi * grid[:, None] * t)
    amplitude = np.abs(wave @ total) / math.sqrt(0.5 * azimuth.size * float(weight @ weight))
    # The noise of Re and Im is 1 each: a² is χ² with two degrees of freedom.
    best = int(np.argmax(amplitude))
    a = float(amplitude[best])
    trials = max(1.0, 2.0 * search * length)
    chance = min(math.exp(-0.5 * a * a), 1.0 - 1e-15)
    return BeamLine(
        name,
        turns,
        expected,
        float(grid[best]),
        math.sqrt(3.0) / (math.pi * length * max(a, 1e-9)),
        a,
        float(-np.expm1(trials * np.log1p(-chance))),
    )
