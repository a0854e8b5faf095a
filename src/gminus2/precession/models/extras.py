"""Exponents that are no phasor: relaxation shapes, CBO frequency drift, field-index frequencies; with derivatives.

For each phasor with an extra, ``rows`` hold the factor (real and imaginary part) and the derivatives of the exponent
with respect to the extra's parameters (real for relaxation, imaginary for phases).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gminus2.constants import F_CYCLOTRON_MHZ
from gminus2.precession.arrays import Floats, Ints
from gminus2.precession.models.program import EXTRA_PARAMETERS, EXTRA_REAL, Extra

__all__ = ["ROWS_PER_EXTRA", "drift_phase", "fill_extras"]

#: Factor (2 rows) and derivatives.
ROWS_PER_EXTRA = 2 + EXTRA_PARAMETERS

_GAUSSIAN, _STRETCHED, _TRACKER, _ORIGINAL, _SINGLE, _WAIST, _BETATRON = (
    Extra.GAUSSIAN,
    Extra.STRETCHED,
    Extra.TRACKER,
    Extra.ORIGINAL,
    Extra.SINGLE,
    Extra.WAIST,
    Extra.BETATRON,
)
_OMEGA_C = 2.0 * np.pi * F_CYCLOTRON_MHZ


@njit(cache=True, nogil=True)
def _drift(kind: int, t: float, q: Floats, at: int, out: Floats, shift: int) -> float:
    """Return the drift phase beyond ωt and put its derivatives into ``out[shift:]``; parameters are ``q[at:]``."""
    if kind in (_TRACKER, _SINGLE):
        e1 = np.exp(-t / q[at + 1])
        phase = q[at] * e1
        out[shift] = e1
        out[shift + 1] = q[at] * e1 * t / (q[at + 1] * q[at + 1])
        if kind == _TRACKER:
            e2 = np.exp(-t / q[at + 3])
            phase += q[at + 2] * e2
            out[shift + 2] = e2
            out[shift + 3] = q[at + 2] * e2 * t / (q[at + 3] * q[at + 3])
        return float(phase)
    # ORIGINAL: ω, dw, a, τa, b, τb
    e1 = np.exp(-t / q[at + 3])
    e2 = np.exp(-t / q[at + 5])
    wt = q[at] * t
    bracket = q[at + 1] * t + q[at + 2] * e1 + q[at + 4] * e2
    out[shift] = t * bracket
    out[shift + 1] = wt * t
    out[shift + 2] = wt * e1
    out[shift + 3] = wt * q[at + 2] * e1 * t / (q[at + 3] * q[at + 3])
    out[shift + 4] = wt * e2
    out[shift + 5] = wt * q[at + 4] * e2 * t / (q[at + 5] * q[at + 5])
    return float(wt * bracket)


@njit(cache=True, nogil=True)
def _exponent(kind: int, drift: int, t: float, q: Floats, out: Floats) -> float:
    """Return the exponent (its only non-zero part) at ``t`` and its derivatives in ``out``; NaN where impossible."""
    if kind == _GAUSSIAN:
        out[0] = -q[0] * t * t
        return float(-0.5 * q[0] * q[0] * t * t)
    if kind == _STRETCHED:
        x = q[0] * t
        if x <= 0.0:
            out[0] = 0.0
            out[1] = 0.0
            return 0.0 if x == 0.0 else np.nan
        power = x ** q[1]
        out[0] = -q[1] * power / q[0]
        out[1] = -power * np.log(x)
        return float(-power)
    if kind != _WAIST and kind != _BETATRON:
        return _drift(kind, t, q, 0, out, 0)
    # Field-index forms: q = κ, ω, drift parameters; ω'(t) = (1 + κ) Φ_CBO(t)/t.
    for i in range(2, out.size):
        out[i] = 0.0
    phase = q[1] * t
    out[1] = t
    if drift != 0:
        # The drift derivatives stand after κ and ω; ORIGINAL repeats ω as its first parameter.
        phase += _drift(drift, t, q, 2, out, 2)
    bent = (1.0 + q[0]) * phase  # ω'(t) t
    wc_t = _OMEGA_C * t
    square = 2.0 * wc_t * bent - bent * bent
    if square <= 0.0:
        return np.nan
    root = np.sqrt(square)  # ω_y(t) t
    slope = (wc_t - bent) / root
    value = root
    if kind == _WAIST:
        value = wc_t - 2.0 * root
        slope = -2.0 * slope
    for i in range(1, out.size):
        out[i] *= slope * (1.0 + q[0])
    out[0] = slope * phase
    return float(value)


@njit(cache=True, nogil=True)
def fill_extras(
    theta: Floats, oscillators: Ints, extras: Ints, times: NDArray[np.float64], known: Floats, rows: Floats
) -> bool:
    """Compute the rows of all extras whose parameters differ from ``known`` (updated here).

    Parameters
    ----------
    times
        Times of all nodes [µs], shape (nodes,).
    known
        Parameters of the rows as they are, shape (phasors, EXTRA_PARAMETERS); NaN forces the computation.
    rows
        Shape (rows, nodes).

    Returns
    -------
    bool
        False where an exponent does not exist (negative rate, field index outside 0 … 1).
    """
    q = np.zeros(extras.shape[1])
    out = np.zeros(extras.shape[1])
    for o in range(oscillators.shape[0]):
        kind = oscillators[o, 2]
        if kind == 0:
            continue
        same = True
        for i in range(extras.shape[1]):
            q[i] = theta[extras[o, i]] if extras[o, i] >= 0 else 0.0
            if q[i] != known[o, i]:
                same = False
        if same:
            continue
        first = oscillators[o, 3]
        for k in range(times.size):
            value = _exponent(kind, oscillators[o, 4], times[k], q, out)
            if not np.isfinite(value):
                known[o, 0] = np.nan
                return False
            if kind <= EXTRA_REAL:
                rows[first, k] = np.exp(value)
                rows[first + 1, k] = 0.0
            else:
                rows[first, k] = np.cos(value)
                rows[first + 1, k] = np.sin(value)
            for i in range(out.size):
                rows[first + 2 + i, k] = out[i]
        for i in range(extras.shape[1]):
            known[o, i] = q[i]
    return True


@njit(cache=True, nogil=True)
def drift_phase(kind: int, times: NDArray[np.float64], q: Floats) -> NDArray[np.float64]:
    """Return the drift phase beyond ωt at many times; ``q`` in the order of :class:`Extra`."""
    result = np.empty(times.size)
    out = np.zeros(8)
    for k in range(times.size):
        result[k] = _drift(kind, times[k], q, 0, out, 0)
    return result
