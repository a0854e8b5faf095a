"""The model and its Jacobian in blocks of 64 bins, without sine or exponential per bin.

A damped oscillation on equal bins is a geometric series: its value in a block is the exact value at the block's start
times a table common to all blocks (built by doubling, so its error stays at 1e-15). One table per phasor and
Gauss-Legendre node gives the bin integral; harmonics, fixed phases and partial derivatives are products.

The in-block layout is node-major: element ``n * BLOCK + k`` is node n of bin k.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from gminus2.precession.arrays import Bools, Floats, Ints
from gminus2.precession.program import (
    BLOCK,
    EXTRA_REAL,
    SLOT_ASYMMETRY,
    SLOT_PHASE_ADDITIVE,
    SLOT_PHASE_MULTIPLICATIVE,
)

__all__ = ["FIXED_ROWS", "fill_block", "fill_tables", "workspace_rows"]

# Vectorised sums need reassociation; NaN and infinity keep their meaning.
_MATH = {"reassoc", "contract", "arcp", "nsz"}

# Rows of the workspace.
_T, _G, _Q, _Y, _M, _S, _SIG, _FU, _FV, _R = range(10)
FIXED_ROWS = 10
_ASYMMETRY, _ADDITIVE, _MULTIPLICATIVE = SLOT_ASYMMETRY, SLOT_PHASE_ADDITIVE, SLOT_PHASE_MULTIPLICATIVE
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
def _rotate_by(delta: Floats, scale: float, c: Floats, s: Floats, nn: int) -> None:
    """Rotate (c, s) by the phase ``scale · delta``."""
    largest = 0.0
    for k in range(nn):
        largest = max(largest, abs(delta[k]))
    if largest * abs(scale) < _SMALL_PHASE:
        for k in range(nn):
            d = scale * delta[k]
            x = d * d
            cd = 1.0 - x * (0.5 - x * (1.0 / 24.0 - x * (1.0 / 720.0 - x * (1.0 / 40320.0))))
            sd = d * (1.0 - x * (1.0 / 6.0 - x * (1.0 / 120.0 - x * (1.0 / 5040.0 - x * (1.0 / 362880.0)))))
            a, b = c[k], s[k]
            c[k] = a * cd - b * sd
            s[k] = b * cd + a * sd
    else:
        for k in range(nn):
            cd, sd = np.cos(scale * delta[k]), np.sin(scale * delta[k])
            a, b = c[k], s[k]
            c[k] = a * cd - b * sd
            s[k] = b * cd + a * sd


@njit(cache=True, nogil=True, fastmath=_MATH)
def _add(target: Floats, row: Floats, scale: float, n_nodes: int) -> None:
    """target[k] += scale · Σ_n row[n, k]."""
    for n in range(n_nodes):
        for k in range(BLOCK):
            target[k] += scale * row[n * BLOCK + k]


@njit(cache=True, nogil=True, fastmath=_MATH)
def _add_product(target: Floats, row: Floats, other: Floats, scale: float, n_nodes: int) -> None:
    """target[k] += scale · Σ_n row[n, k] · other[n, k]."""
    for n in range(n_nodes):
        for k in range(BLOCK):
            target[k] += scale * row[n * BLOCK + k] * other[n * BLOCK + k]


@njit(cache=True, nogil=True, fastmath=_MATH)
def _emit(
    jac: Floats,
    need: Bools,
    theta: Floats,
    oscillators: Ints,
    extras: Ints,
    o: int,
    h: int,
    a: float,
    ws: Floats,
    rows: Floats,
    at: int,
    n_nodes: int,
) -> None:
    """Add the derivatives of one phasor term with respect to its frequency, lifetime and extra parameters.

    ``ws[_FU]`` is the (weighted) derivative with respect to the amplitude, ``ws[_FV]`` that with respect to the phase.
    """
    i_omega, i_tau = oscillators[o, 0], oscillators[o, 1]
    if i_omega >= 0 and need[i_omega]:
        _add_product(jac[i_omega], ws[_FV], ws[_T], h, n_nodes)
    if i_tau >= 0 and need[i_tau]:
        _add_product(jac[i_tau], ws[_FU], ws[_T], h * a / (theta[i_tau] * theta[i_tau]), n_nodes)
    i_rate = oscillators[o, 5]
    if i_rate >= 0 and need[i_rate]:
        _add_product(jac[i_rate], ws[_FU], ws[_T], -h * a, n_nodes)
    kind = oscillators[o, 2]
    if kind != 0:
        first = oscillators[o, 3] + 2
        nn = n_nodes * BLOCK
        for i in range(extras.shape[1]):
            target = extras[o, i]
            if target >= 0 and need[target]:
                slope = rows[first + i, at : at + nn]
                if kind <= EXTRA_REAL:
                    _add_product(jac[target], ws[_FU], slope, h * a, n_nodes)
                else:
                    _add_product(jac[target], ws[_FV], slope, h, n_nodes)


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
    n_nodes = weights.size
    nn = n_nodes * BLOCK
    n_osc, n_comp, n_mod, n_fac = oscillators.shape[0], components.shape[0], modulations.shape[0], header[4]
    first_x = FIXED_ROWS
    first_z = first_x + n_fac
    first_c = first_z + 2 * n_osc
    first_u = first_c + 2 * n_comp

    time, g, q, y, m, sums, sig, fu, fv, r = (
        ws[_T],
        ws[_G],
        ws[_Q],
        ws[_Y],
        ws[_M],
        ws[_S],
        ws[_SIG],
        ws[_FU],
        ws[_FV],
        ws[_R],
    )
    norm = theta[header[0]]
    scale = norm if header[1] < 0 else norm * np.exp(-tb / theta[header[1]])
    for k in range(nn):
        time[k] = tb + tables[0, k]
        g[k] = scale * tables[1, k]
        y[k] = 1.0
        m[k] = 0.0
        q[k] = 0.0
        r[k] = 0.0
    if header[3] >= 0:
        kappa = theta[header[3]]
        for k in range(nn):
            g[k] *= 1.0 - kappa * loss[at + k]
    for f in range(n_fac):
        x = ws[first_x + f]
        for k in range(nn):
            x[k] = 1.0

    for o in range(n_osc):
        omega = theta[oscillators[o, 0]] if oscillators[o, 0] >= 0 else 0.0
        size = np.exp(-tb * _rate(theta, oscillators, o))
        c0, s0 = size * np.cos(omega * tb), size * np.sin(omega * tb)
        zr, zi, tr, ti = ws[first_z + 2 * o], ws[first_z + 2 * o + 1], tables[2 + 2 * o], tables[3 + 2 * o]
        for k in range(nn):
            zr[k] = c0 * tr[k] - s0 * ti[k]
            zi[k] = c0 * ti[k] + s0 * tr[k]
        if oscillators[o, 2] != 0:
            er, ei = rows[oscillators[o, 3], at : at + nn], rows[oscillators[o, 3] + 1, at : at + nn]
            for k in range(nn):
                c, s = zr[k], zi[k]
                zr[k] = c * er[k] - s * ei[k]
                zi[k] = c * ei[k] + s * er[k]

    multiplicative = False
    phase_modulated = False
    for j in range(n_mod):
        slot, o, h = modulations[j, 0], modulations[j, 1], modulations[j, 2]
        a, phi = theta[modulations[j, 3]], theta[modulations[j, 4]]
        zr, zi, u, v = ws[first_z + 2 * o], ws[first_z + 2 * o + 1], ws[first_u + 2 * j], ws[first_u + 2 * j + 1]
        c0, s0 = np.cos(phi), np.sin(phi)
        if h == 1:
            for k in range(nn):
                u[k] = c0 * zr[k] - s0 * zi[k]
                v[k] = -a * (s0 * zr[k] + c0 * zi[k])
        else:
            for k in range(nn):
                c, s = zr[k] * zr[k] - zi[k] * zi[k], 2.0 * zr[k] * zi[k]
                u[k] = c0 * c - s0 * s
                v[k] = -a * (s0 * c + c0 * s)
        target = y
        if slot >= 0:
            target = ws[first_x + slot]
        elif slot != _ASYMMETRY:
            target = m
            phase_modulated = True
            if slot == _MULTIPLICATIVE:
                multiplicative = True
        for k in range(nn):
            target[k] += a * u[k]

    for i in range(n_comp):
        o = components[i, 0]
        a, phi = theta[components[i, 1]], theta[components[i, 2]]
        zr, zi, c, s = ws[first_z + 2 * o], ws[first_z + 2 * o + 1], ws[first_c + 2 * i], ws[first_c + 2 * i + 1]
        c0, s0 = np.cos(phi), np.sin(phi)
        for k in range(nn):
            c[k] = c0 * zr[k] - s0 * zi[k]
            s[k] = s0 * zr[k] + c0 * zi[k]
        reach = phi if multiplicative else 1.0
        if phase_modulated:
            _rotate_by(m, reach, c, s, nn)
        for k in range(nn):
            q[k] += a * c[k]
            r[k] += reach * a * s[k]

    for f in range(n_fac):
        x = ws[first_x + f]
        for k in range(nn):
            g[k] *= x[k]
    for n in range(n_nodes):
        w = weights[n]
        for k in range(n * BLOCK, (n + 1) * BLOCK):
            g[k] *= w
            sig[k] = g[k] * (1.0 + y[k] * q[k])
    background = theta[header[2]] if header[2] >= 0 else 0.0
    for k in range(BLOCK):
        mu[k] = 0.0
    _add(mu, sig, 1.0, n_nodes)

    if derivatives:
        for i in range(jac.shape[0]):
            for k in range(BLOCK):
                jac[i, k] = 0.0
        for k in range(BLOCK):
            jac[header[0], k] = mu[k] / norm
        if header[1] >= 0 and need[header[1]]:
            _add_product(jac[header[1]], sig, time, 1.0 / (theta[header[1]] * theta[header[1]]), n_nodes)
        if header[2] >= 0:
            for k in range(BLOCK):
                jac[header[2], k] = 1.0
        if header[3] >= 0 and need[header[3]]:
            kappa = theta[header[3]]
            for k in range(nn):
                fu[k] = loss[at + k] / (1.0 - kappa * loss[at + k])
            _add_product(jac[header[3]], sig, fu, -1.0, n_nodes)

        for i in range(n_comp):
            o, a, phi = components[i, 0], theta[components[i, 1]], theta[components[i, 2]]
            c, s = ws[first_c + 2 * i], ws[first_c + 2 * i + 1]
            for k in range(nn):
                fu[k] = g[k] * y[k] * c[k]
                fv[k] = -a * g[k] * y[k] * s[k]
            _add(jac[components[i, 1]], fu, 1.0, n_nodes)
            _add(jac[components[i, 2]], fv, 1.0, n_nodes)
            if multiplicative:
                _add_product(jac[components[i, 2]], fv, m, 1.0, n_nodes)
            _emit(jac, need, theta, oscillators, extras, o, 1, a, ws, rows, at, n_nodes)

        for j in range(n_mod):
            slot, o, h = modulations[j, 0], modulations[j, 1], modulations[j, 2]
            a = theta[modulations[j, 3]]
            u, v = ws[first_u + 2 * j], ws[first_u + 2 * j + 1]
            if slot >= 0:
                x = ws[first_x + slot]
                for k in range(nn):
                    sums[k] = sig[k] / x[k]
            elif slot == _ASYMMETRY:
                for k in range(nn):
                    sums[k] = g[k] * q[k]
            else:
                for k in range(nn):
                    sums[k] = -g[k] * y[k] * r[k]
            for k in range(nn):
                fu[k] = sums[k] * u[k]
                fv[k] = sums[k] * v[k]
            _add(jac[modulations[j, 3]], fu, 1.0, n_nodes)
            _add(jac[modulations[j, 4]], fv, 1.0, n_nodes)
            _emit(jac, need, theta, oscillators, extras, o, h, a, ws, rows, at, n_nodes)

    if background != 0.0:
        for k in range(BLOCK):
            mu[k] += background
