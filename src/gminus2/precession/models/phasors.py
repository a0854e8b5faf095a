"""The model and its Jacobian in blocks of 64 bins, without sine or exponential per bin.

A damped oscillation on equal bins is a geometric series: its value in a block is the exact value at the block's start
times a table common to all blocks (built by doubling, so its error stays at 1e-15). One table per phasor and
Gauss-Legendre node gives the bin integral; harmonics, fixed phases and partial derivatives are products.

One Gauss-Legendre node of one block is computed at a time, in rows of BLOCK numbers that stay in the first-level cache.
Rows are indexed, never sliced: a slice costs two atomic operations. Tables and node arrays are node-major: element
``n * BLOCK + k`` is node n of bin k.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from gminus2.precession.arrays import Bools, Floats, Ints
from gminus2.precession.models.program import (
    BLOCK,
    EXTRA_REAL,
    SLOT_ASYMMETRY,
    SLOT_PHASE_MULTIPLICATIVE,
)

__all__ = ["FIXED_ROWS", "fill_block", "fill_tables", "workspace_rows"]

# Vectorised sums need reassociation; NaN and infinity keep their meaning.
_MATH = {"reassoc", "contract", "arcp", "nsz"}

# Rows of the workspace: time, count factor times weight, Σ a c, asymmetry factor, phase modulation, Σ a s, signal,
# derivative by amplitude and by phase of the term at hand.
_T, _G, _Q, _Y, _M, _R, _SIG, _FU, _FV = range(9)
FIXED_ROWS = 9
_ASYMMETRY, _MULTIPLICATIVE = SLOT_ASYMMETRY, SLOT_PHASE_MULTIPLICATIVE
# |δ| up to which the Taylor series of the phase modulation is exact to rounding.
_SMALL_PHASE = 0.1


def workspace_rows(oscillators: int, components: int, modulations: int, factors: int) -> int:
    """Return how many rows of the workspace a model needs."""
    return FIXED_ROWS + factors + 2 * (oscillators + components + modulations)


@njit(cache=True, nogil=True)
def _double(real: Floats, imaginary: Floats, at: int, rate: float, omega: float, dt: float) -> None:
    """Extend element ``at`` of a table to BLOCK elements by doubling."""
    filled = 1
    while filled < BLOCK:
        step = filled * dt
        size = np.exp(-rate * step)
        c, s = size * np.cos(omega * step), size * np.sin(omega * step)
        for k in range(filled):
            x, y = real[at + k], imaginary[at + k]
            real[at + filled + k] = x * c - y * s
            imaginary[at + filled + k] = x * s + y * c
        filled *= 2


@njit(cache=True, nogil=True)
def _rate(theta: Floats, oscillators: Ints, o: int) -> float:
    """Return the damping rate of a phasor [1/µs]."""
    rate = 0.0
    if oscillators[o, 1] >= 0:
        rate = 1.0 / theta[oscillators[o, 1]]
    if oscillators[o, 5] >= 0:
        rate += theta[oscillators[o, 5]]
    return rate


@njit(cache=True, nogil=True)
def fill_tables(theta: Floats, header: Ints, oscillators: Ints, dt: float, xi: Floats, tables: Floats) -> bool:
    """Fill the in-block tables: row 0 time, 1 decay, then (real, imaginary) per phasor.

    Returns
    -------
    bool
        False where a lifetime is not positive.
    """
    n_nodes = xi.size
    rate = 0.0
    if header[1] >= 0:
        if not theta[header[1]] > 0.0:
            return False
        rate = 1.0 / theta[header[1]]
    scratch = tables[2 + 2 * oscillators.shape[0]]
    for n in range(n_nodes):
        at = n * BLOCK
        for k in range(BLOCK):
            tables[0, at + k] = (k + xi[n]) * dt
        tables[1, at] = np.exp(-rate * xi[n] * dt)
        scratch[at] = 0.0
        _double(tables[1], scratch, at, rate, 0.0, dt)
    for o in range(oscillators.shape[0]):
        omega = theta[oscillators[o, 0]] if oscillators[o, 0] >= 0 else 0.0
        if oscillators[o, 1] >= 0 and not theta[oscillators[o, 1]] > 0.0:
            return False
        rate = _rate(theta, oscillators, o)
        for n in range(n_nodes):
            at = n * BLOCK
            size = np.exp(-rate * xi[n] * dt)
            tables[2 + 2 * o, at] = size * np.cos(omega * xi[n] * dt)
            tables[3 + 2 * o, at] = size * np.sin(omega * xi[n] * dt)
            _double(tables[2 + 2 * o], tables[3 + 2 * o], at, rate, omega, dt)
    return True


@njit(cache=True, nogil=True, fastmath=_MATH)
def _rotate_by(ws: Floats, delta: int, scale: float, c: int, s: int) -> None:
    """Rotate the rows (c, s) by the phase ``scale · delta``."""
    large = 0
    for k in range(BLOCK):
        large += abs(scale * ws[delta, k]) >= _SMALL_PHASE
    if large == 0:
        for k in range(BLOCK):
            d = scale * ws[delta, k]
            x = d * d
            cd = 1.0 - x * (0.5 - x * (1.0 / 24.0 - x * (1.0 / 720.0 - x * (1.0 / 40320.0))))
            sd = d * (1.0 - x * (1.0 / 6.0 - x * (1.0 / 120.0 - x * (1.0 / 5040.0 - x * (1.0 / 362880.0)))))
            a, b = ws[c, k], ws[s, k]
            ws[c, k] = a * cd - b * sd
            ws[s, k] = b * cd + a * sd
    else:
        for k in range(BLOCK):
            d = scale * ws[delta, k]
            cd, sd = np.cos(d), np.sin(d)
            a, b = ws[c, k], ws[s, k]
            ws[c, k] = a * cd - b * sd
            ws[s, k] = b * cd + a * sd


@njit(cache=True, nogil=True, fastmath=_MATH)
def _add(jac: Floats, i: int, ws: Floats, row: int) -> None:
    """jac[i] += row."""
    for k in range(BLOCK):
        jac[i, k] += ws[row, k]


@njit(cache=True, nogil=True, fastmath=_MATH)
def _add_product(jac: Floats, i: int, ws: Floats, row: int, other: int, scale: float) -> None:
    """jac[i] += scale · row · other."""
    for k in range(BLOCK):
        jac[i, k] += scale * ws[row, k] * ws[other, k]


@njit(cache=True, nogil=True, fastmath=_MATH)
def _add_slope(jac: Floats, i: int, ws: Floats, row: int, slopes: Floats, which: int, at: int, scale: float) -> None:
    """jac[i] += scale · row · slopes[which, at:]."""
    for k in range(BLOCK):
        jac[i, k] += scale * ws[row, k] * slopes[which, at + k]


@njit(cache=True, nogil=True, fastmath=_MATH)
def _add_four(
    jac: Floats, i_a: int, i_phi: int, i_tau: int, i_omega: int, ws: Floats, c_tau: float, c_omega: float
) -> None:
    """Add the derivatives of a damped oscillation by amplitude, phase, lifetime and frequency in one pass."""
    for k in range(BLOCK):
        by_a, by_phi, t = ws[_FU, k], ws[_FV, k], ws[_T, k]
        jac[i_a, k] += by_a
        jac[i_phi, k] += by_phi
        jac[i_tau, k] += c_tau * by_a * t
        jac[i_omega, k] += c_omega * by_phi * t


@njit(cache=True, nogil=True, fastmath=_MATH)
def _emit(
    jac: Floats,
    need: Bools,
    theta: Floats,
    oscillators: Ints,
    extras: Ints,
    o: int,
    h: float,
    i_a: int,
    i_phi: int,
    ws: Floats,
    rows: Floats,
    at: int,
) -> None:
    """Add the derivatives of one phasor term by amplitude, phase, frequency, lifetime, rate and extra parameters.

    Row FU is the (weighted) derivative with respect to the amplitude, FV that with respect to the phase.
    """
    a = theta[i_a]
    i_omega, i_tau, i_rate, kind = oscillators[o, 0], oscillators[o, 1], oscillators[o, 5], oscillators[o, 2]
    if i_omega >= 0 and i_tau >= 0:
        _add_four(jac, i_a, i_phi, i_tau, i_omega, ws, h * a / (theta[i_tau] * theta[i_tau]), h)
    else:
        _add(jac, i_a, ws, _FU)
        _add(jac, i_phi, ws, _FV)
        if i_omega >= 0 and need[i_omega]:
            _add_product(jac, i_omega, ws, _FV, _T, h)
        if i_tau >= 0 and need[i_tau]:
            _add_product(jac, i_tau, ws, _FU, _T, h * a / (theta[i_tau] * theta[i_tau]))
    if i_rate >= 0 and need[i_rate]:
        _add_product(jac, i_rate, ws, _FU, _T, -h * a)
    if kind != 0:
        first = oscillators[o, 3] + 2
        for i in range(extras.shape[1]):
            target = extras[o, i]
            if target >= 0 and need[target]:
                if kind <= EXTRA_REAL:
                    _add_slope(jac, target, ws, _FU, rows, first + i, at, h * a)
                else:
                    _add_slope(jac, target, ws, _FV, rows, first + i, at, h)


@njit(cache=True, nogil=True, fastmath=_MATH)
def _phasor_rows(
    theta: Floats, oscillators: Ints, tb: float, tables: Floats, node: int, rows: Floats, at: int, ws: Floats, z: int
) -> None:
    """Fill the (real, imaginary) rows of all phasors from row ``z`` on."""
    base = node * BLOCK
    for o in range(oscillators.shape[0]):
        omega = theta[oscillators[o, 0]] if oscillators[o, 0] >= 0 else 0.0
        size = np.exp(-tb * _rate(theta, oscillators, o))
        c0, s0 = size * np.cos(omega * tb), size * np.sin(omega * tb)
        re, im, tr, ti = z + 2 * o, z + 2 * o + 1, 2 + 2 * o, 3 + 2 * o
        for k in range(BLOCK):
            x, y = tables[tr, base + k], tables[ti, base + k]
            ws[re, k] = c0 * x - s0 * y
            ws[im, k] = c0 * y + s0 * x
        if oscillators[o, 2] != 0:
            row = oscillators[o, 3]
            for k in range(BLOCK):
                c, s = ws[re, k], ws[im, k]
                x, y = rows[row, at + k], rows[row + 1, at + k]
                ws[re, k] = c * x - s * y
                ws[im, k] = c * y + s * x


@njit(cache=True, nogil=True, fastmath=_MATH)
def _modulation_rows(theta: Floats, modulations: Ints, ws: Floats, x0: int, z: int, u0: int) -> int:
    """Fill the rows of all modulations and add them to their factors; return 0, 1 or 2 by the phase modulation.

    0: none, 1: additive, 2: multiplicative.
    """
    phase_form = 0
    for j in range(modulations.shape[0]):
        slot, o, h = modulations[j, 0], modulations[j, 1], modulations[j, 2]
        a, phi = theta[modulations[j, 3]], theta[modulations[j, 4]]
        re, im, u, v = z + 2 * o, z + 2 * o + 1, u0 + 2 * j, u0 + 2 * j + 1
        c0, s0 = np.cos(phi), np.sin(phi)
        if h == 1:
            for k in range(BLOCK):
                x, y = ws[re, k], ws[im, k]
                ws[u, k] = c0 * x - s0 * y
                ws[v, k] = -a * (s0 * x + c0 * y)
        else:
            for k in range(BLOCK):
                c, s = ws[re, k], ws[im, k]
                x, y = c * c - s * s, 2.0 * c * s
                ws[u, k] = c0 * x - s0 * y
                ws[v, k] = -a * (s0 * x + c0 * y)
        target = _Y
        if slot >= 0:
            target = x0 + slot
        elif slot != _ASYMMETRY:
            target = _M
            phase_form = 2 if slot == _MULTIPLICATIVE else 1
        for k in range(BLOCK):
            ws[target, k] += a * ws[u, k]
    return phase_form


@njit(cache=True, nogil=True, fastmath=_MATH)
def _partials(
    theta: Floats,
    header: Ints,
    oscillators: Ints,
    extras: Ints,
    components: Ints,
    modulations: Ints,
    need: Bools,
    loss: Floats,
    rows: Floats,
    at: int,
    ws: Floats,
    multiplicative: bool,
    jac: Floats,
) -> None:
    """Add the partial derivatives of one node (its weight is in the rows) to the Jacobian."""
    x0 = FIXED_ROWS
    c0 = x0 + header[4] + 2 * oscillators.shape[0]
    u0 = c0 + 2 * components.shape[0]
    i_norm, i_tau, i_loss = header[0], header[1], header[3]
    # At N0 = 0 (its bound) the slope is not known from the value; 0 keeps the step where it is.
    inverse = 1.0 / theta[i_norm] if theta[i_norm] != 0.0 else 0.0
    for k in range(BLOCK):
        jac[i_norm, k] += inverse * ws[_SIG, k]
    if i_tau >= 0 and need[i_tau]:
        _add_product(jac, i_tau, ws, _SIG, _T, 1.0 / (theta[i_tau] * theta[i_tau]))
    if i_loss >= 0 and need[i_loss]:
        kappa = theta[i_loss]
        for k in range(BLOCK):
            x = loss[at + k]
            jac[i_loss, k] -= ws[_SIG, k] * x / (1.0 - kappa * x)
    for i in range(components.shape[0]):
        o, i_a, i_phi = components[i, 0], components[i, 1], components[i, 2]
        a, c, s = theta[i_a], c0 + 2 * i, c0 + 2 * i + 1
        for k in range(BLOCK):
            x = ws[_G, k] * ws[_Y, k]
            ws[_FU, k] = x * ws[c, k]
            ws[_FV, k] = -a * x * ws[s, k]
        if multiplicative:
            _add_product(jac, i_phi, ws, _FV, _M, 1.0)
        _emit(jac, need, theta, oscillators, extras, o, 1.0, i_a, i_phi, ws, rows, at)
    # From here on a factor's row holds signal / factor, one division for all its terms.
    for f in range(header[4]):
        for k in range(BLOCK):
            ws[x0 + f, k] = ws[_SIG, k] / ws[x0 + f, k]
    for j in range(modulations.shape[0]):
        slot, o, h = modulations[j, 0], modulations[j, 1], modulations[j, 2]
        i_a, i_phi = modulations[j, 3], modulations[j, 4]
        u, v = u0 + 2 * j, u0 + 2 * j + 1
        if slot >= 0:
            row = x0 + slot
            for k in range(BLOCK):
                x = ws[row, k]
                ws[_FU, k] = x * ws[u, k]
                ws[_FV, k] = x * ws[v, k]
        elif slot == _ASYMMETRY:
            for k in range(BLOCK):
                x = ws[_G, k] * ws[_Q, k]
                ws[_FU, k] = x * ws[u, k]
                ws[_FV, k] = x * ws[v, k]
        else:
            for k in range(BLOCK):
                x = -ws[_G, k] * ws[_Y, k] * ws[_R, k]
                ws[_FU, k] = x * ws[u, k]
                ws[_FV, k] = x * ws[v, k]
        _emit(jac, need, theta, oscillators, extras, o, float(h), i_a, i_phi, ws, rows, at)


@njit(cache=True, nogil=True, fastmath=_MATH)
def fill_block(
    theta: Floats,
    header: Ints,
    oscillators: Ints,
    extras: Ints,
    components: Ints,
    modulations: Ints,
    need: Bools,
    tb: float,
    tables: Floats,
    weights: Floats,
    loss: Floats,
    rows: Floats,
    at: int,
    ws: Floats,
    derivatives: bool,
    mu: Floats,
    jac: Floats,
) -> None:
    """Compute the expectation and its partial derivatives in one block of bins.

    Parameters
    ----------
    tb
        Lower edge of the block's first bin [µs].
    tables
        From :func:`fill_tables`.
    weights
        Gauss-Legendre weights (sum 1), shape (nodes,).
    loss, rows, at
        Loss integral and extra rows at all nodes, and where this block begins in them.
    mu, jac
        Output: shape (BLOCK,), (θ, BLOCK).
    """
    n_comp, n_fac = components.shape[0], header[4]
    x0 = FIXED_ROWS
    z = x0 + n_fac
    c0 = z + 2 * oscillators.shape[0]
    u0 = c0 + 2 * n_comp
    background = theta[header[2]] if header[2] >= 0 else 0.0
    for k in range(BLOCK):
        mu[k] = background
    if derivatives:
        for i in range(jac.shape[0]):
            for k in range(BLOCK):
                jac[i, k] = 0.0
        if header[2] >= 0:
            for k in range(BLOCK):
                jac[header[2], k] = 1.0
    scale = theta[header[0]]
    if header[1] >= 0:
        scale *= np.exp(-tb / theta[header[1]])
    for node in range(weights.size):
        base = node * BLOCK
        here = at + base
        weighted = weights[node] * scale
        for k in range(BLOCK):
            ws[_T, k] = tb + tables[0, base + k]
            ws[_G, k] = weighted * tables[1, base + k]
            ws[_Y, k] = 1.0
            ws[_M, k] = 0.0
            ws[_Q, k] = 0.0
            ws[_R, k] = 0.0
        if header[3] >= 0:
            kappa = theta[header[3]]
            for k in range(BLOCK):
                ws[_G, k] *= 1.0 - kappa * loss[here + k]
        for f in range(n_fac):
            for k in range(BLOCK):
                ws[x0 + f, k] = 1.0
        _phasor_rows(theta, oscillators, tb, tables, node, rows, here, ws, z)
        phase_form = _modulation_rows(theta, modulations, ws, x0, z, u0)
        for i in range(n_comp):
            o = components[i, 0]
            a, phi = theta[components[i, 1]], theta[components[i, 2]]
            re, im, c, s = z + 2 * o, z + 2 * o + 1, c0 + 2 * i, c0 + 2 * i + 1
            cp, sp = np.cos(phi), np.sin(phi)
            for k in range(BLOCK):
                x, y = ws[re, k], ws[im, k]
                ws[c, k] = cp * x - sp * y
                ws[s, k] = sp * x + cp * y
            reach = phi if phase_form == 2 else 1.0
            if phase_form != 0:
                _rotate_by(ws, _M, reach, c, s)
            for k in range(BLOCK):
                ws[_Q, k] += a * ws[c, k]
                ws[_R, k] += reach * a * ws[s, k]
        for f in range(n_fac):
            for k in range(BLOCK):
                ws[_G, k] *= ws[x0 + f, k]
        for k in range(BLOCK):
            x = ws[_G, k] * (1.0 + ws[_Y, k] * ws[_Q, k])
            ws[_SIG, k] = x
            mu[k] += x
        if derivatives:
            _partials(
                theta,
                header,
                oscillators,
                extras,
                components,
                modulations,
                need,
                loss,
                rows,
                here,
                ws,
                phase_form == 2,
                jac,
            )
