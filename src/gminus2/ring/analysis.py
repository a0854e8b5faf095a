"""From tracked turns to frequencies, tunes and actions."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

__all__ = ["refined_tune", "windowed_slope"]

FloatArray = NDArray[np.float64]


def windowed_slope(time: FloatArray, phase: FloatArray) -> FloatArray:
    """Return the slope of a straight line with weights sin⁴(πm/M) along the first axis.

    The window suppresses betatron ripple, which costs up to 1 ppb of ω_a without it.

    Parameters
    ----------
    time, phase
        (M + 1, …): one sample per turn, unwrapped.
    """
    m = np.arange(time.shape[0])
    weight = (np.sin(math.pi * m / (time.shape[0] - 1)) ** 4).reshape((-1,) + (1,) * (time.ndim - 1))
    weight = weight / weight.sum()
    centred = time - (weight * time).sum(axis=0)
    return np.asarray((weight * centred * phase).sum(axis=0) / (weight * centred**2).sum(axis=0))


def refined_tune(signal: FloatArray, low: float, high: float) -> float:
    """Return the frequency [1/sample] of the strongest line in (low, high), refined under a sin⁴ window.

    Parameters
    ----------
    signal
        (M,) real; the mean is removed.
    """
    size = signal.size
    n = np.arange(size)
    window = np.sin(math.pi * (n + 0.5) / size) ** 4
    data = window * (signal - np.average(signal, weights=window))
    spectrum = np.abs(np.fft.rfft(data, 4 * size))
    grid = np.arange(spectrum.size) / (4.0 * size)
    inside = (grid > low) & (grid < high)
    start = grid[inside][np.argmax(spectrum[inside])]

    def power(f: float) -> float:
        return -float(np.abs(np.dot(data, np.exp(-2j * math.pi * f * n))))

    width = 1.0 / size
    found = minimize_scalar(power, bounds=(start - width, start + width), method="bounded", options={"xatol": 1e-13})
    # The power is flat at its top: finish with the zero of its derivative by secant steps on the phase slope.
    f = float(found.x)
    for _ in range(4):
        phasor = data * np.exp(-2j * math.pi * f * n)
        zero, one, two = phasor.sum(), (phasor * (n - size / 2)).sum(), (phasor * (n - size / 2) ** 2).sum()
        slope = 2.0 * math.pi * (np.conj(zero) * one).imag
        curve = 4.0 * math.pi**2 * (abs(one) ** 2 - (np.conj(zero) * two).real)
        f += slope / -curve if curve < 0.0 else 0.0
    return f
