"""The kernel of the block least-squares demodulator; :mod:`gminus2.field.frequency` is its public face.

A record is cut into blocks of M samples. In each block the signal is fitted with {cos, sin} of the carrier, their
products with the in-block time (decay and residual frequency) and a straight baseline; even and odd functions decouple
into two 3 × 3 systems, the same for all blocks, so that a block costs two dot products. The de-rotated block phasors
z_k then carry the phase that a weighted polynomial fit turns into the frequency at τ = 0. ``docs/physics/field.md`` §4.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["N_OUTPUTS", "OUTPUTS", "demodulate"]

#: Columns of the kernel's result.
OUTPUTS: Final = (
    "f_hz",
    "sigma_hz",
    "chi2",
    "n_dof",
    "n_blocks",
    "noise",
    "amplitude",
    "phase",
    "f_odd3_hz",
    "worst_residual",
    "rebound",
    "block",
    "noise_dof",
    "iterations",
    "f_demodulated_hz",
)
N_OUTPUTS: Final = len(OUTPUTS)

_MAX_P: Final = 6


@njit(cache=True, nogil=True)
def _solve3(g: NDArray[np.float64], inverse_row: NDArray[np.float64]) -> None:  # pragma: no cover - compiled
    """Put the first row of the inverse of a symmetric 3 × 3 matrix into ``inverse_row``."""
    c00 = g[1, 1] * g[2, 2] - g[1, 2] * g[1, 2]
    c01 = g[0, 2] * g[1, 2] - g[0, 1] * g[2, 2]
    c02 = g[0, 1] * g[1, 2] - g[0, 2] * g[1, 1]
    det = g[0, 0] * c00 + g[0, 1] * c01 + g[0, 2] * c02
    inverse_row[0] = c00 / det
    inverse_row[1] = c01 / det
    inverse_row[2] = c02 / det


@njit(cache=True, nogil=True)
def _rows(
    omega: float, m: int, a: NDArray[np.float64], b: NDArray[np.float64], work: NDArray[np.float64]
) -> float:  # pragma: no cover - compiled
    """Fill the rows that give the cosine and sine coefficient of a block; return g = ½[(Ge⁻¹)00 + (Go⁻¹)00]."""
    h = 0.5 * (m - 1)
    even = work[0:3]
    odd = work[3:6]
    even[:] = 0.0
    odd[:] = 0.0
    step_c = np.cos(omega)
    step_s = np.sin(omega)
    c = np.cos(omega * h)
    s = -np.sin(omega * h)
    for j in range(m):
        u = (j - h) / h
        a[j] = c
        b[j] = s
        us = u * s
        uc = u * c
        even[0, 0] += c * c
        even[0, 1] += c * us
        even[0, 2] += c
        even[1, 1] += us * us
        even[1, 2] += us
        odd[0, 0] += s * s
        odd[0, 1] += s * uc
        odd[0, 2] += us
        odd[1, 1] += uc * uc
        odd[1, 2] += uc * u
        odd[2, 2] += u * u
        t = c * step_c - s * step_s
        s = c * step_s + s * step_c
        c = t
    even[2, 2] = m
    row_e = work[6, 0:3]
    row_o = work[7, 0:3]
    _solve3(even, row_e)
    _solve3(odd, row_o)
    for j in range(m):
        u = (j - h) / h
        c = a[j]
        s = b[j]
        a[j] = row_e[0] * c + row_e[1] * u * s + row_e[2]
        b[j] = row_o[0] * s + row_o[1] * u * c + row_o[2] * u
    return float(0.5 * (row_e[0] + row_o[0]))


@njit(cache=True, nogil=True, fastmath=True)
def _dot2(y: Any, start: int, a: NDArray[np.float64], b: NDArray[np.float64], m: int) -> tuple[float, float]:
    """Return (a·y, b·y) for m samples from ``start``."""  # pragma: no cover - compiled
    sa = 0.0
    sb = 0.0
    for j in range(m):
        v = np.float64(y[start + j])
        sa += a[j] * v
        sb += b[j] * v
    return sa, sb


@njit(cache=True, nogil=True)
def _sums(
    x: NDArray[np.float64],
    phi: NDArray[np.float64],
    weight: NDArray[np.float64],
    n: int,
    highest: int,
    sums: NDArray[np.float64],
) -> None:  # pragma: no cover - compiled
    """Fill sums[0, p] = Σ w xᵖ (p ≤ 2·highest) and sums[1, p] = Σ w φ xᵖ (p ≤ highest)."""
    sums[:] = 0.0
    for k in range(n):
        w = weight[k]
        for p in range(2 * highest + 1):
            sums[0, p] += w
            if p <= highest:
                sums[1, p] += w * phi[k]
            w *= x[k]


@njit(cache=True, nogil=True)
def _solve(
    powers: NDArray[np.int64],
    sums: NDArray[np.float64],
    normal: NDArray[np.float64],
    dense: NDArray[np.float64],
) -> float:  # pragma: no cover - compiled
    """Solve the weighted least squares; put the coefficient of xᵖ in dense[p], return the slope's variance."""
    p = powers.size
    slope = 0
    for i in range(p):
        if powers[i] == 1:
            slope = i
        for j in range(p):
            normal[i, j] = sums[0, powers[i] + powers[j]]
        normal[i, p] = sums[1, powers[i]]
    for i in range(p):
        normal[i, p + 1] = 1.0 if i == slope else 0.0
    # Gauss–Jordan with the right-hand side and the unit vector of the slope; the matrix is positive definite.
    for i in range(p):
        pivot = normal[i, i]
        if not pivot > 0.0:
            dense[:] = np.nan
            return np.nan
        for j in range(i, p + 2):
            normal[i, j] /= pivot
        for r in range(p):
            if r != i:
                factor = normal[r, i]
                for j in range(i, p + 2):
                    normal[r, j] -= factor * normal[i, j]
    dense[:] = 0.0
    for i in range(p):
        dense[powers[i]] = normal[i, p]
    return float(normal[slope, p + 1])


@njit(cache=True, nogil=True)
def _residuals(
    x: NDArray[np.float64],
    phi: NDArray[np.float64],
    weight: NDArray[np.float64],
    n: int,
    dense: NDArray[np.float64],
) -> tuple[float, float]:  # pragma: no cover - compiled
    """Return Σ w r² and the largest w r²."""
    total = 0.0
    worst = 0.0
    for k in range(n):
        value = 0.0
        for p in range(_MAX_P - 1, -1, -1):
            value = value * x[k] + dense[p]
        r2 = weight[k] * (phi[k] - value) ** 2
        total += r2
        worst = max(worst, r2)
    return total, worst


@njit(cache=True, nogil=True)
def _phasors(
    y: Any,
    first: int,
    begin: int,
    end: int,
    m: int,
    omega: float,
    pulse: float,
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    z_re: NDArray[np.float64],
    z_im: NDArray[np.float64],
    fraction: float,
) -> int:  # pragma: no cover - compiled
    """De-rotate blocks begin … end−1 that start at sample ``first``; stop below ``fraction`` of the running peak."""
    angle = omega * (first + 0.5 * (m - 1) + begin * m - pulse)
    c = np.cos(angle)
    s = np.sin(angle)
    step_c = np.cos(omega * m)
    step_s = np.sin(omega * m)
    peak = 0.0
    for k in range(begin, end):
        sa, sb = _dot2(y, first + k * m, a, b, m)
        z_re[k] = sa * c - sb * s
        z_im[k] = -sa * s - sb * c
        t = c * step_c - s * step_s
        s = c * step_s + s * step_c
        c = t
        if fraction > 0.0:
            size = z_re[k] * z_re[k] + z_im[k] * z_im[k]
            if size < fraction * fraction * peak:
                return k
            peak = max(peak, size)
    return end


@njit(cache=True, nogil=True)
def demodulate(
    records: Any,
    fs: float,
    pulse: float,
    dead: float,
    f_start: NDArray[np.float64],
    block_long: int,
    block_short: int,
    short_below: int,
    fraction: float,
    powers: NDArray[np.int64],
    known_noise: NDArray[np.float64],
    template: NDArray[np.float64],
    out: NDArray[np.float64],
    keep_re: NDArray[np.float64],
    keep_im: NDArray[np.float64],
) -> None:  # pragma: no cover - compiled
    """Extract frequencies; columns of ``out`` are :data:`OUTPUTS`. ``keep_*`` receive the phasors if not empty.

    ``pulse`` and ``dead`` in samples; ``known_noise`` per FID [ADC], NaN where it shall be estimated; ``template``
    phases of the blocks (block_long) to subtract, may be empty.
    """
    n_fid, n = records.shape
    first = int(np.ceil(pulse + dead))
    most = (n - first) // min(block_long, block_short) + 1
    a = np.empty(max(block_long, block_short))
    b = np.empty(max(block_long, block_short))
    work = np.empty((8, 3))
    z_re = np.empty(most)
    z_im = np.empty(most)
    x = np.empty(most)
    phi = np.empty(most)
    weight = np.empty(most)
    normal = np.empty((_MAX_P, _MAX_P + 2))
    dense = np.empty(_MAX_P)
    sums = np.empty((2, 2 * _MAX_P))
    line = np.array([0, 1])
    odd3 = np.array([0, 1, 3])
    two_pi = 2.0 * np.pi
    highest = powers[-1]
    for i in range(n_fid):
        y = records[i]
        f = f_start[i]
        m = block_long
        n_used = 0
        g = 0.0
        iterations = 0
        variance = np.nan
        scale = 1.0
        last_step = 1e9
        final = False
        while True:
            omega = two_pi * f / fs
            g = _rows(omega, m, a, b, work)
            n_all = (n - first) // m
            n_used = _phasors(y, first, 0, n_all, m, omega, pulse, a, b, z_re, z_im, fraction)
            iterations += 1
            if n_used < short_below and m != block_short and template.size == 0:
                m = block_short
                continue
            if n_used < powers.size + 1:
                break
            previous = 0.0
            for k in range(n_used):
                angle = np.arctan2(z_im[k], z_re[k])
                if template.size > 0:
                    angle -= template[min(k, template.size - 1)]
                if k > 0:
                    angle += two_pi * np.round((previous - angle) / two_pi)
                phi[k] = angle
                previous = angle
                weight[k] = z_re[k] * z_re[k] + z_im[k] * z_im[k]
                x[k] = (first + 0.5 * (m - 1) + k * m - pulse) / fs
            scale = x[n_used - 1]
            for k in range(n_used):
                x[k] /= scale
            final = (abs(last_step) < 3000.0 and iterations > 1) or iterations >= 5
            _sums(x, phi, weight, n_used, highest if final else 1, sums)
            variance = _solve(powers if final else line, sums, normal, dense)
            last_step = dense[1] / (two_pi * scale)
            f += last_step
            if final or not np.isfinite(f) or f <= 0.0 or f >= 0.5 * fs:
                break
        if not final or not np.isfinite(f) or f <= 0.0 or f >= 0.5 * fs:
            for q in range(out.shape[1]):
                out[i, q] = np.nan
            out[i, 4] = n_used
            continue
        phase = dense[0]
        residual, worst = _residuals(x, phi, weight, n_used, dense)
        f_odd3 = np.nan
        if n_used > 3 and highest >= 3:
            variance3 = _solve(odd3, sums, normal, dense)
            if np.isfinite(variance3):
                f_odd3 = f - last_step + dense[1] / (two_pi * scale)
        # Noise near the carrier: blocks before the pulse, and fourth differences of the phasors after the window.
        amplitude = 0.0
        for k in range(n_used):
            amplitude = max(amplitude, weight[k])
        amplitude = np.sqrt(amplitude)
        sum_noise = 0.0
        dof_noise = 0.0
        n_before = int(pulse - 5) // m
        for k in range(n_before):
            sa, sb = _dot2(y, k * m, a, b, m)
            sum_noise += (sa * sa + sb * sb) / g
            dof_noise += 2.0
        omega = two_pi * (f - last_step) / fs
        n_all = (n - first) // m
        _phasors(y, first, n_used, n_all, m, omega, pulse, a, b, z_re, z_im, 0.0)
        rebound = 0.0
        for k in range(n_used, n_all):
            rebound = max(rebound, np.sqrt(z_re[k] ** 2 + z_im[k] ** 2))
        for k in range(n_used + 2, n_all - 2):
            d_re = z_re[k - 2] - 4.0 * z_re[k - 1] + 6.0 * z_re[k] - 4.0 * z_re[k + 1] + z_re[k + 2]
            d_im = z_im[k - 2] - 4.0 * z_im[k - 1] + 6.0 * z_im[k] - 4.0 * z_im[k + 1] + z_im[k + 2]
            # 70 = Σ (1 4 6 4 1)²; 0.381 = 70²/Σ (autocovariance)², the independent share of overlapping differences.
            sum_noise += 0.381 * (d_re * d_re + d_im * d_im) / (70.0 * g)
            dof_noise += 2.0 * 0.381
        n_dof = n_used - powers.size
        if not np.isnan(known_noise[i]):
            noise2 = known_noise[i] ** 2
            best_noise2 = noise2
        elif dof_noise >= 8.0:
            noise2 = sum_noise / dof_noise
            # The scatter of the phases inside the window is a measurement of the same noise.
            best_noise2 = (sum_noise + residual / g) / (dof_noise + n_dof)
        elif n_dof > 0:
            noise2 = residual / g / n_dof
            best_noise2 = noise2
            dof_noise = n_dof
        else:
            noise2 = np.nan
            best_noise2 = np.nan
        out[i, 0] = f
        out[i, 1] = np.sqrt(variance * g * best_noise2) / (two_pi * scale)
        out[i, 2] = residual / (g * noise2) if noise2 > 0.0 else np.nan
        out[i, 3] = n_dof
        out[i, 4] = n_used
        out[i, 5] = np.sqrt(noise2)
        out[i, 6] = amplitude
        out[i, 7] = phase
        out[i, 8] = f_odd3
        out[i, 9] = np.sqrt(worst / (g * noise2)) if noise2 > 0.0 else np.nan
        out[i, 10] = rebound / amplitude if amplitude > 0.0 else np.nan
        out[i, 11] = m
        out[i, 12] = dof_noise
        out[i, 13] = iterations
        out[i, 14] = f - last_step
        if keep_re.shape[0] > 0:
            for k in range(min(n_all, keep_re.shape[1])):
                keep_re[i, k] = z_re[k]
                keep_im[i, k] = z_im[k]
