"""The fast-rotation signal: counts divided by the wiggle, and its harmonics of the revolution frequency.

A bunch of muons turns with slightly different frequencies f. Each muon, injected at time τ, passes a detector at
azimuth θ at τ + (m + θ/2π)/f, m = 0, 1, 2, …. By Poisson's summation the rate divided by decay and wiggle is

    S(t) = 1 + 2 Re Σ_h e^{−ihθ} z_h(t),      z_h(t) = ∫∫ ρ(f, τ) e^{2πi h f (t − τ)} df dτ,

so the harmonics h of the 24 detectors differ only by the known phase hθ, and z_h is the characteristic function of
the joint density ρ(f, τ) along the ray (h t, h f). See ``docs/physics/beam_corrections.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit

from gminus2.constants import F_CYCLOTRON_MHZ
from gminus2.data import TimeHistogram
from gminus2.errors import DataError

__all__ = ["HarmonicData", "RotationSignal", "demodulate", "detector_phases", "normalise"]

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

#: A revolution period must be cut into at least this many bins.
_MIN_BINS_PER_TURN: Final = 12.0
#: Counts that a detector must have after the start for a wiggle fit.
_MIN_COUNTS: Final = 2e4


@dataclass(frozen=True)
class RotationSignal:
    """Counts over the expectation without rotation, per detector.

    Attributes
    ----------
    signal, variance
        Shape (detectors, bins); the mean of ``signal`` is 1.
    start_us
        Lower edge of the first bin [µs], shape (detectors,).
    width_us
        Bin width [µs].
    counts
        Counts per detector, used as weights.
    """

    signal: FloatArray
    variance: FloatArray
    start_us: FloatArray
    width_us: float
    counts: FloatArray

    def centres_us(self, detector: int = 0) -> FloatArray:
        """Return the bin centres [µs]."""
        centres: FloatArray = self.start_us[detector] + self.width_us * (np.arange(self.signal.shape[1]) + 0.5)
        return centres


@dataclass(frozen=True)
class HarmonicData:
    """Demodulated harmonics in blocks of time.

    Attributes
    ----------
    time_us
        Centres of the blocks [µs], shape (B,).
    values
        z_h per block as (Re z_1 … Re z_H, Im z_1 … Im z_H), shape (B, 2H).
    covariance
        Their covariance per block, shape (B, 2H, 2H). Harmonics are correlated because the noise follows the bunches.
    block_us
        Length of a block [µs].
    bin_us
        Bin width of the histogram [µs].
    harmonics
        H.
    counts
        Counts used.
    azimuth_rad, weight
        Azimuth and weight of each detector.
    """

    time_us: FloatArray
    values: FloatArray
    covariance: FloatArray
    block_us: float
    bin_us: float
    harmonics: int
    counts: float
    azimuth_rad: FloatArray
    weight: FloatArray

    def coherence(self, order: int) -> complex:
        """Return Σ_d w_d e^{i·order·θ_d}: what is left of a term that the azimuth phases should cancel."""
        return complex((self.weight * np.exp(1j * order * self.azimuth_rad)).sum())

    def complex_values(self, harmonic: int) -> ComplexArray:
        """Return z_h(t), shape (B,)."""
        z: ComplexArray = self.values[:, harmonic - 1] + 1j * self.values[:, self.harmonics + harmonic - 1]
        return z

    def errors(self, harmonic: int) -> FloatArray:
        """Return the standard deviation of Re z_h (that of Im is alike), shape (B,)."""
        sigma: FloatArray = np.sqrt(self.covariance[:, harmonic - 1, harmonic - 1])
        return sigma


def _wiggle(at: FloatArray, n: float, tau: float, a: float, omega: float, phi: float) -> FloatArray:
    """Return the wiggle averaged over counts with mean time ``at[0]`` and variance ``at[1]``."""
    t, spread = at
    values: FloatArray = n * np.exp(-t / tau) * (1.0 + a * np.exp(-0.5 * omega**2 * spread) * np.cos(omega * t + phi))
    return values


def _per_turn(values: FloatArray, per_turn: float, turns: int) -> FloatArray:
    """Return sums over exact revolution periods (fractions of a bin at the edges), shape (turns,).

    Whole bins would leave a beat between the bins and the rotation, 2e-3 of the counts in the first microseconds.
    """
    cumulative = np.concatenate([[0.0], np.cumsum(values)])
    at_edges = np.interp(per_turn * np.arange(turns + 1), np.arange(len(cumulative)), cumulative)
    sums: FloatArray = np.diff(at_edges)
    return sums


def _fit_wiggle(at: FloatArray, y: FloatArray, sigma: FloatArray, where: str) -> FloatArray:
    """Fit N e^{−t/τ}[1 + A cos(ω t + φ)] to the counts of each turn; return the five parameters.

    While the muons are bunched, a turn's counts tell the rate at the bunch and not at the middle of the turn.
    """
    scale = float(y[:30].mean() * np.exp(at[0, 0] / 64.4)) or 1.0
    best: tuple[float, FloatArray] | None = None
    for phase in (0.0, 0.5 * np.pi, np.pi, 1.5 * np.pi):
        try:
            values, _ = curve_fit(
                _wiggle, at, y, p0=(scale, 64.4, 0.35, 1.4394, phase), sigma=sigma, absolute_sigma=True, maxfev=400
            )
        except RuntimeError:
            continue
        chi2 = float((((y - _wiggle(at, *values)) / sigma) ** 2).sum())
        if best is None or chi2 < best[0]:
            best = chi2, values
        if chi2 < 2.0 * len(y):
            break
    if best is None or not 20.0 < best[1][1] < 300.0:
        raise DataError(
            "the counts do not decay like stored muons",
            where=where,
            expected="an exponential with the boosted lifetime, about 64.4 µs",
            found="no fit" if best is None else f"{best[1][1]:.3g} µs",
            hint="pass counts against time since injection, or a normalised signal",
        )
    return best[1]


def normalise(
    histogram: TimeHistogram,
    start_us: float,
    stop_us: float,
    *,
    revolution_mhz: float = F_CYCLOTRON_MHZ,
) -> RotationSignal:
    """Divide the counts of each detector by the wiggle fitted to turn averages.

    A histogram whose values neither decay nor exceed a few units is taken as a signal that somebody normalised
    already; its noise is then measured between the harmonics of the revolution frequency where no variances are given.

    Parameters
    ----------
    histogram
        About 1 ns per bin.
    start_us, stop_us
        Window to use [µs].

    Raises
    ------
    DataError
        Bins too coarse to see the rotation, window outside the data, too few counts, or no decay.
    """
    per_turn = 1.0 / (revolution_mhz * histogram.width_us)
    if per_turn < _MIN_BINS_PER_TURN:
        raise DataError(
            "the bins are too coarse to see the fast rotation",
            expected=f"at most {1e3 / revolution_mhz / _MIN_BINS_PER_TURN:.1f} ns per bin (1 ns is usual)",
            found=f"{histogram.width_us * 1e3:.4g} ns",
            hint="use a histogram filled before the 149 ns binning and without time randomisation",
        )
    if not start_us < stop_us:
        raise DataError("the window is empty", expected="start before stop", found=f"{start_us} to {stop_us} µs")
    first = np.ceil((start_us - histogram.start_us) / histogram.width_us - 1e-6).astype(int)
    last = np.floor((stop_us - histogram.start_us) / histogram.width_us + 1e-6).astype(int)
    if np.any(first < 0) or np.any(last > histogram.n_bins):
        low = float(histogram.start_us.max())
        high = float(histogram.start_us.min()) + histogram.n_bins * histogram.width_us
        raise DataError(
            "the window reaches beyond the data",
            expected=f"inside {low:.3f} to {high:.3f} µs",
            found=f"{start_us:.3f} to {stop_us:.3f} µs",
        )
    size = int((last - first).min())
    starts = histogram.start_us + first * histogram.width_us
    shape = (histogram.n_detectors, size)
    signal, variance, total = np.empty(shape), np.empty(shape), np.empty(histogram.n_detectors)
    turns = int(size / per_turn) - 1
    for d in range(histogram.n_detectors):
        y = histogram.counts[d, first[d] : first[d] + size]
        given = None if histogram.variances is None else histogram.variances[d, first[d] : first[d] + size]
        where = f"detector '{histogram.labels[d]}'"
        t = starts[d] + histogram.width_us * (np.arange(size) + 0.5)
        coarse = _per_turn(y, per_turn, turns)
        # A turn without counts has its middle for a centroid; a fraction of a count still has its own.
        filled = coarse > 1e-6
        divisor = np.where(filled, coarse, 1.0)
        middle = histogram.width_us * per_turn * (np.arange(turns) + 0.5)
        centroid = np.where(filled, _per_turn(y * (t - t[0]), per_turn, turns) / divisor, middle)
        spread = np.where(filled, _per_turn(y * (t - t[0]) ** 2, per_turn, turns) / divisor - centroid**2, 0.0)
        third = len(coarse) // 3
        flat = coarse[-third:].mean() > 0.5 * coarse[:third].mean() > 0.0 and stop_us - start_us > 60.0
        if flat and y.max() < 100.0 and abs(y.mean() - round(y.mean())) < 0.2:
            signal[d], variance[d] = _normalised_already(y, given, per_turn, histogram.width_us)
            total[d] = 1.0 / variance[d].mean() * size
            continue
        if y.sum() < _MIN_COUNTS:
            raise DataError(
                "too few counts for a fast-rotation analysis",
                where=where,
                expected=f"at least {_MIN_COUNTS:.0f} in the window",
                found=f"{y.sum():.0f}",
            )
        noise = coarse if given is None else _per_turn(given, per_turn, turns)
        at = np.vstack([t[0] + centroid, np.clip(spread, 0.0, None)])
        values = _fit_wiggle(at, coarse, np.sqrt(np.maximum(noise, 1.0)), where)
        smooth = _wiggle(np.vstack([t, np.zeros_like(t)]), *values)
        smooth *= y.sum() / smooth.sum()
        signal[d] = y / smooth
        variance[d] = (y if given is None else given) / smooth**2
        total[d] = y.sum()
    return RotationSignal(signal, variance, starts, histogram.width_us, total)


def _normalised_already(
    y: FloatArray, given: FloatArray | None, per_turn: float, width_us: float
) -> tuple[FloatArray, FloatArray]:
    """Return a signal with mean 1 and its variance; a signal around 0 is S − 1."""
    signal = y + 1.0 if abs(y.mean()) < 0.2 else y / y.mean()
    if given is not None and given.any():
        return signal, given
    # White noise that grows as the counts decay: measure it half-way between high harmonics, block by block.
    size = len(signal)
    block = max(64, size // 24)
    levels, times = [], []
    for k in range(0, size - block + 1, block):
        spectrum = np.abs(np.fft.rfft(signal[k : k + block] - signal[k : k + block].mean())) ** 2 / block
        harmonic = np.arange(len(spectrum)) / block * per_turn
        quiet = (np.abs(harmonic - np.round(harmonic)) > 0.3) & (harmonic > 8.0)
        if quiet.sum() < 4:
            quiet = np.abs(harmonic - np.round(harmonic)) > 0.3
        levels.append(np.median(spectrum[quiet]) / np.log(2.0))
        times.append((k + 0.5 * block) * width_us)
    slope, level = np.polyfit(times, np.log(np.maximum(levels, 1e-30)), 1)
    t = (np.arange(size) + 0.5) * width_us
    return signal, np.exp(level + slope * t) * np.maximum(signal, 0.05)


def detector_phases(
    signal: RotationSignal, *, revolution_mhz: float = F_CYCLOTRON_MHZ, span_us: float = 10.0
) -> FloatArray:
    """Return the azimuth phase of each detector [rad], in [−π, π) relative to the first.

    Measured from the fundamental in the first ``span_us``: a detector further downstream sees the bunch later.
    """
    size = min(signal.signal.shape[1], round(span_us / signal.width_us))
    phases = np.empty(len(signal.signal))
    for d in range(len(phases)):
        t = signal.centres_us(d)[:size]
        phases[d] = -np.angle(((signal.signal[d, :size] - 1.0) * np.exp(-2j * np.pi * revolution_mhz * t)).sum())
    relative: FloatArray = (phases - phases[0] + np.pi) % (2.0 * np.pi) - np.pi
    return relative


def demodulate(
    signal: RotationSignal,
    azimuth_rad: FloatArray,
    *,
    harmonics: int,
    turns: int = 18,
    revolution_mhz: float = F_CYCLOTRON_MHZ,
) -> HarmonicData:
    """Return the harmonics 1 … H of the revolution frequency, all detectors combined with their azimuth phase.

    A block is a whole number of turns (18 turns are one period of the coherent betatron oscillation, whose sidebands
    then average out); z_h of a block is the mean of (S − 1) e^{−2πi h f₀ t + ihθ}.

    Parameters
    ----------
    azimuth_rad
        Azimuth of each detector, shape (detectors,).

    Raises
    ------
    DataError
        Fewer than four blocks.
    """
    per_block = round(turns / (revolution_mhz * signal.width_us))
    blocks = signal.signal.shape[1] // per_block
    if blocks < 4:
        raise DataError(
            "the signal is too short for a fast-rotation analysis",
            expected=f"at least {4 * per_block * signal.width_us:.1f} µs after the start",
            found=f"{signal.signal.shape[1] * signal.width_us:.3g} µs",
        )
    h = np.arange(1, harmonics + 1)
    weight = signal.counts / signal.counts.sum()
    values = np.zeros((blocks, 2 * harmonics))
    covariance = np.zeros((blocks, 2 * harmonics, 2 * harmonics))
    size = blocks * per_block
    starts = signal.start_us
    for d in range(len(weight)):
        t = signal.centres_us(d)[:size]
        turn = np.exp(-1j * (2.0 * np.pi * revolution_mhz * t - azimuth_rad[d]))
        wave = np.empty((2 * harmonics, size))
        current = np.ones(size, dtype=np.complex128)
        for k in h - 1:
            current = current * turn
            wave[k], wave[harmonics + k] = current.real, current.imag
        wave = wave.reshape(2 * harmonics, blocks, per_block).transpose(1, 0, 2)
        rest = (signal.signal[d, :size] - 1.0).reshape(blocks, per_block, 1)
        values += weight[d] * (wave @ rest)[..., 0] / per_block
        noisy = wave * (signal.variance[d, :size].reshape(blocks, 1, per_block))
        covariance += weight[d] ** 2 * (noisy @ wave.transpose(0, 2, 1)) / per_block**2
    # Detectors with their own first bin start at most one bin apart; the block centre is the weighted mean.
    centre = float(weight @ starts) + signal.width_us * per_block * (np.arange(blocks) + 0.5)
    return HarmonicData(
        time_us=centre,
        values=values,
        covariance=covariance,
        block_us=per_block * signal.width_us,
        bin_us=signal.width_us,
        harmonics=harmonics,
        counts=float(signal.counts.sum()),
        azimuth_rad=azimuth_rad,
        weight=weight,
    )
