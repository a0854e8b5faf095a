"""Other ways to get a frequency from an FID: zero crossings, Hilbert phase, spectral peak, matrix pencil.

None of them is as good as :func:`gminus2.field.frequency.frequency` (``docs/benchmarks/fid.md`` has the figures), but
they err differently. All take records of shape (n_fid, n_sample) and return frequencies [Hz] of shape (n_fid,), NaN
where the record holds no signal. The fit ends where the envelope first falls below ``window`` of its peak.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from gminus2.errors import ConfigError
from gminus2.field.frequency import frequency
from gminus2.physics.nmr import PHASE_MODELS

__all__ = ["hilbert", "lorentz", "matrix_pencil", "zero_crossing"]


@njit(cache=True, nogil=True)
def _crossings(
    y: Any, first: int, hold: int, fraction: float, baseline: float, fs: float
) -> tuple[int, float]:  # pragma: no cover - compiled
    """Count crossings and return (number, time between the first and the last [s]).

    After a crossing the next quarter period is blind, so that noise near zero cannot make two of one.
    """
    count = 0
    t_first = 0.0
    t_last = 0.0
    peak = 0.0
    largest = 0.0
    blind = 0
    for j in range(first + 1, y.size):
        v0 = np.float64(y[j - 1]) - baseline
        v1 = np.float64(y[j]) - baseline
        largest = max(largest, abs(v1))
        if blind > 0:
            blind -= 1
            continue
        if (v0 < 0.0) != (v1 < 0.0):
            t = (j - 1 + v0 / (v0 - v1)) / fs
            if count == 0:
                t_first = t
            else:
                # ``largest`` is the height of the half cycle just ended.
                if largest < fraction * peak:
                    break
                peak = max(peak, largest)
            t_last = t
            count += 1
            largest = 0.0
            blind = hold
    return count, t_last - t_first


@njit(cache=True, nogil=True)
def _zero_crossing_batch(
    records: Any, first: int, hold: int, fraction: float, n_base: int, fs: float, out: NDArray[np.float64]
) -> None:  # pragma: no cover - compiled
    for i in range(records.shape[0]):
        baseline = 0.0
        for j in range(n_base):
            baseline += records[i, records.shape[1] - 1 - j]
        count, span = _crossings(records[i], first, hold, fraction, baseline / max(n_base, 1), fs)
        out[i] = (count - 1) / (2.0 * span) if count > 2 else np.nan


def zero_crossing(
    records: ArrayLike,
    fs_hz: float,
    t_pulse_s: float,
    *,
    window: float = 0.1,
    f_start_hz: float = 50e3,
    dead_s: float = 60e-6,
) -> NDArray[np.float64]:
    """Count interpolated zero crossings: f = (N − 1)/(2 Δt). The baseline is the mean of the last tenth."""
    y = np.atleast_2d(np.asarray(records))
    out = np.full(len(y), np.nan)
    first = int(np.ceil((t_pulse_s + dead_s) * fs_hz))
    hold = int(0.25 * fs_hz / f_start_hz)
    _zero_crossing_batch(y, first, hold, window, y.shape[1] // 10, fs_hz, out)
    return out


def _cut(modulus: NDArray[np.float64], window: float) -> int:
    below = np.flatnonzero(modulus < window * np.maximum.accumulate(modulus))
    return int(below[0]) if below.size else len(modulus)


def hilbert(
    records: ArrayLike,
    fs_hz: float,
    t_pulse_s: float,
    *,
    model: str = "p1",
    window: float = 0.1,
    band_hz: tuple[float, float] = (20e3, 80e3),
    f_start_hz: float = 50e3,
    dead_s: float = 60e-6,
    smooth: bool = True,
) -> NDArray[np.float64]:
    """Fit the phase of the analytic signal (FFT, band pass), smoothed twice over one carrier period.

    The covariance of this phase is nearly singular, so no uncertainty is returned.
    """
    if model not in PHASE_MODELS:
        raise ConfigError(f"no phase model '{model}'", found=model)
    y = np.atleast_2d(np.asarray(records, dtype=np.float64))
    n = y.shape[1]
    start = int(np.ceil(t_pulse_s * fs_hz))
    cut = y[:, start:]
    spectrum = fft.fft(cut - cut.mean(axis=1, keepdims=True), axis=1)
    f_axis = fft.fftfreq(cut.shape[1], 1 / fs_hz)
    spectrum *= 2.0 * ((f_axis >= band_hz[0]) & (f_axis <= band_hz[1]))
    analytic = fft.ifft(spectrum, axis=1)
    tau = (np.arange(start, n) / fs_hz) - t_pulse_s
    phase = np.unwrap(np.angle(analytic), axis=1) - 2 * np.pi * f_start_hz * tau
    modulus = np.abs(analytic)
    if smooth:
        width = round(fs_hz / f_start_hz)
        kernel = np.ones(width) / width
        for _ in range(2):
            phase = np.apply_along_axis(np.convolve, 1, phase, kernel, "same")
    first = int(np.ceil(dead_s * fs_hz))
    powers = PHASE_MODELS[model]
    out = np.full(len(y), np.nan)
    for i in range(len(y)):
        end = first + _cut(modulus[i, first:], window)
        if end - first < 8 * len(powers):
            continue
        x = tau[first:end] / tau[end - 1]
        columns = np.stack([x**p for p in powers], axis=1) * modulus[i, first:end, None]
        solution = np.linalg.lstsq(columns, phase[i, first:end] * modulus[i, first:end], rcond=None)[0]
        out[i] = f_start_hz + solution[powers.index(1)] / (2 * np.pi * tau[end - 1])
    return out


def lorentz(
    records: ArrayLike, fs_hz: float, t_pulse_s: float, *, band_hz: tuple[float, float] = (40e3, 60e3), pad: int = 4
) -> NDArray[np.float64]:
    """Return the vertex of 1/PSD (a parabola for a Lorentzian) through the highest points of the padded spectrum."""
    y = np.atleast_2d(np.asarray(records, dtype=np.float64))
    cut = y[:, int(np.ceil(t_pulse_s * fs_hz)) :]
    size = pad * cut.shape[1]
    power = np.abs(fft.rfft(cut - cut.mean(axis=1, keepdims=True), size, axis=1)) ** 2
    f_axis = fft.rfftfreq(size, 1 / fs_hz)
    inside = (f_axis >= band_hz[0]) & (f_axis <= band_hz[1])
    offset = int(np.flatnonzero(inside)[0])
    peak = power[:, inside].argmax(axis=1) + offset
    rows = np.arange(len(y))
    left, mid, right = (1.0 / power[rows, peak + d] for d in (-1, 0, 1))
    shift = 0.5 * (left - right) / (left - 2 * mid + right)
    vertex: NDArray[np.float64] = (peak + shift) * fs_hz / size
    return vertex


def matrix_pencil(
    records: ArrayLike, fs_hz: float, t_pulse_s: float, *, terms: int = 1, n_block: int = 64, dead_s: float = 60e-6
) -> NDArray[np.float64]:
    """Fit damped exponentials to the demodulator's phasors (SVD matrix pencil): ω(0) = Im Σ a_k s_k / Σ a_k."""
    y = np.atleast_2d(np.asarray(records))
    first = int(np.ceil((t_pulse_s + dead_s) * fs_hz))
    block = max(40, (y.shape[1] - first) // n_block)
    shape = (len(y), (y.shape[1] - first) // block)
    re, im = np.zeros(shape), np.zeros(shape)
    result = frequency(y, fs_hz, t_pulse_s, "p1", 0.1, dead_s=dead_s, block=block, short_block=block, phasors=(re, im))
    centre, step = (first + 0.5 * (block - 1)) / fs_hz - t_pulse_s, block / fs_hz
    half = shape[1] // 2
    out = np.full(len(y), np.nan)
    for i in np.flatnonzero(np.isfinite(result.f_hz)):
        row = re[i] + 1j * im[i]
        hankel = np.lib.stride_tricks.sliding_window_view(row, half)
        v = np.linalg.svd(hankel, full_matrices=False)[2][:terms].T
        poles = np.linalg.eigvals(np.linalg.pinv(v[:-1]) @ v[1:])
        amplitudes = np.linalg.lstsq(poles[None, :] ** np.arange(shape[1])[:, None], row, rcond=None)[0]
        s = np.log(poles) / step
        a = amplitudes * np.exp(-s * centre)
        out[i] = result.f_demodulated_hz[i] + float(np.imag((a * s).sum() / a.sum())) / (2 * np.pi)
    return out
