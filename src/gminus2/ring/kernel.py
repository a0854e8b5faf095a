"""The tracking kernel: a splitting in azimuth whose every step is a closed form, on blocks of muons that vectorise.

Units inside: metre, τ = ct [m], u = p/(mc), b = qB/(mc), e = qE/(mc²), Φ = qφ/(mc²). A block is one flat array of
:data:`ROWS` × :data:`WIDTH` numbers; row ``k`` of muon ``i`` is ``block[k * WIDTH + i]``, so that the compiler knows
every distance and needs no alias checks. Momenta are canonical, the energy is total (kinetic + Φ): hard plate edges
then need neither an energy nor a spin kick. Formulas, with their derivation: ``docs/physics/beam.md``.

The steps are free of divisions and of library functions: reciprocals are carried and refreshed by Newton steps, roots
and arcs are series in the slope. ``fastmath`` is safe here (no NaN logic); a muon that is lost is frozen on the design
orbit so that its numbers stay finite.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

__all__ = ["ROWS", "WIDTH", "bend", "electric_kick", "electric_kick_multipoles", "refresh"]

#: Muons per block.
WIDTH: Final = 256
#: x, p_r, y, p_y, τ, g, S_r, S_s, S_y, then carried reciprocals 1/p_t, 1/g, 1/(g+1).
ROWS: Final = 12

_X = np.uint64(0)
_PR = np.uint64(WIDTH)
_Y = np.uint64(2 * WIDTH)
_PY = np.uint64(3 * WIDTH)
_TAU = np.uint64(4 * WIDTH)
_G = np.uint64(5 * WIDTH)
_SR = np.uint64(6 * WIDTH)
_SS = np.uint64(7 * WIDTH)
_SY = np.uint64(8 * WIDTH)
_IPT = np.uint64(9 * WIDTH)
_IG = np.uint64(10 * WIDTH)
_IG1 = np.uint64(11 * WIDTH)


@njit(cache=True, nogil=True, inline="always")
def _root(z2: float) -> float:
    """√(1 − z²) for |z| < 0.03."""
    return 1.0 - z2 * (0.5 + z2 * (0.125 + z2 * (0.0625 + z2 * (0.0390625 + z2 * 0.02734375))))


@njit(cache=True, nogil=True, inline="always")
def _inverse_root(z2: float) -> float:
    """1/√(1 − z²) for |z| < 0.03."""
    return 1.0 + z2 * (0.5 + z2 * (0.375 + z2 * (0.3125 + z2 * (0.2734375 + z2 * 0.24609375))))


@njit(cache=True, nogil=True, inline="always")
def _arcsine(z: float) -> float:
    """asin z for |z| < 0.03."""
    z2 = z * z
    return z * (1.0 + z2 * (1.0 / 6.0 + z2 * (0.075 + z2 * (15.0 / 336.0 + z2 * (105.0 / 3456.0)))))


@njit(cache=True, nogil=True)
def refresh(block: Any, count: int) -> None:
    """Compute the carried reciprocals from scratch; call after setting or changing momenta or energies."""
    for i in range(count):
        g = block[5 * WIDTH + i]
        block[9 * WIDTH + i] = 1.0 / np.sqrt(g * g - 1.0 - block[3 * WIDTH + i] ** 2)
        block[10 * WIDTH + i] = 1.0 / g
        block[11 * WIDTH + i] = 1.0 / (g + 1.0)


@njit(cache=True, nogil=True, fastmath=True)
def bend(
    block: Any,
    low: int,
    high: int,
    angle: float,
    cos: float,
    sin: float,
    b0: float,
    radius: float,
    a: float,
    eta: float,
) -> None:
    """Move muons low…high − 1 through ``angle`` of uniform field: exact in orbit and spin."""
    ib0 = 1.0 / b0
    for j in range(low, high):
        i = np.uint64(j)
        pr, py, g, ipt = block[_PR + i], block[_PY + i], block[_G + i], block[_IPT + i]
        pt = (g * g - 1.0 - py * py) * ipt
        z = pr * ipt
        centre_r = radius + block[_X + i] - pt * _root(z * z) * ib0
        centre_s = pr * ib0
        pr1 = b0 * (centre_s * cos - centre_r * sin)
        z1 = pr1 * ipt
        block[_X + i] = centre_r * cos + centre_s * sin + pt * _root(z1 * z1) * ib0 - radius
        block[_PR + i] = pr1
        alpha = angle + _arcsine(z) - _arcsine(z1)
        block[_Y + i] += py * alpha * ib0
        block[_TAU + i] += alpha * g * ib0
        # Spin: exact rotation over the arc.
        turn = a * alpha
        pitch = py * block[_IG1 + i]
        wr = 0.5 * eta * alpha * pt
        ws = -turn * pitch * pt
        wy = turn * (g - py * pitch)
        w2 = wr * wr + ws * ws + wy * wy
        h = 0.5 + w2 * (1.0 / 24.0 + w2 * (1.0 / 240.0 + w2 * (17.0 / 40320.0)))
        wr, ws, wy = wr * h, ws * h, wy * h
        v2 = w2 * h * h
        f = 2.0 - 2.0 * v2 * (1.0 - v2 * (1.0 - v2 * (1.0 - v2 * (1.0 - v2 * (1.0 - v2)))))
        sr, ss, sy = block[_SR + i], block[_SS + i], block[_SY + i]
        cr = ws * sy - wy * ss
        cs = wy * sr - wr * sy
        cy = wr * ss - ws * sr
        block[_SR + i] = sr + f * (cr + ws * cy - wy * cs)
        block[_SS + i] = ss + f * (cs + wy * cr - wr * cy)
        block[_SY + i] = sy + f * (cy + wr * cs - ws * cr)


@njit(cache=True, nogil=True, inline="always")
def _finish_kick(
    block: Any,
    i: Any,
    c: float,
    r: float,
    er: float,
    ey: float,
    phi: float,
    ips: float,
    xm: float,
    a: float,
    eta: float,
) -> None:
    """Apply the impulses, the canonical displacement and the spin rotation of an electric kick; c = Δθ g/p_s."""
    pr, py, g, ipt = block[_PR + i], block[_PY + i], block[_G + i], block[_IPT + i]
    dpr = c * (r * er - phi)
    dpy = c * r * ey
    prm, pym = pr + 0.5 * dpr, py + 0.5 * dpy
    shift = c * r * phi * ips * ips
    block[_X + i] += shift * prm
    block[_Y + i] += shift * pym
    block[_PR + i] = pr + dpr
    block[_PY + i] = py + dpy
    # Spin with kinetic quantities at the middle.
    dtau = c * r
    ig, ig1 = block[_IG + i], block[_IG1 + i]
    gk = g - phi
    igk = ig + phi * ig * ig
    igk1 = ig1 + phi * ig1 * ig1
    pt2 = gk * gk - 1.0 - pym * pym
    iptm = ipt * (1.5 - 0.5 * pt2 * ipt * ipt)
    ptm = pt2 * iptm
    sinf = prm * iptm
    em = er * (1.0 - 0.5 * sinf * sinf)
    es = er * sinf
    big_a = (a + igk1) * igk
    wr = big_a * (ptm * ey - pym * es)
    ws = big_a * pym * em
    wy = em * (iptm - big_a * ptm)
    along = (ptm * es + pym * ey) * igk * igk * gk * igk1
    half = 0.5 * eta
    wr = dtau * (wr - half * em)
    ws = dtau * (ws - half * (es - along * ptm))
    wy = dtau * (wy - half * (ey - along * pym))
    w2 = wr * wr + ws * ws + wy * wy
    h = 0.5 + w2 * (1.0 / 24.0)
    wr, ws, wy = wr * h, ws * h, wy * h
    v2 = w2 * h * h
    f = 2.0 - 2.0 * v2 * (1.0 - v2 * (1.0 - v2))
    sr, ss, sy = block[_SR + i], block[_SS + i], block[_SY + i]
    cr = ws * sy - wy * ss
    cs = wy * sr - wr * sy
    cy = wr * ss - ws * sr
    block[_SR + i] = sr + f * (cr + ws * cy - wy * cs)
    block[_SS + i] = ss + f * (cs + wy * cr - wr * cy)
    block[_SY + i] = sy + f * (cy + wr * cs - ws * cr)
    # p_t of the new canonical p_y for the next bend.
    pn = py + dpy
    pt2 = g * g - 1.0 - pn * pn
    ipt = ipt * (1.5 - 0.5 * pt2 * ipt * ipt)
    block[_IPT + i] = ipt * (1.5 - 0.5 * pt2 * ipt * ipt)


@njit(cache=True, nogil=True, inline="always")
def _main_field(x: float, y: float, k: float, switch: float, ir: float) -> tuple[float, float, float]:
    """Return (e_r, e_y, Φ) of the quadrupole with its curved sextupole, ``switch`` = s + 1, ``ir`` = 1/R₀."""
    big_x = x * ir
    q = (1.0 - big_x) * (1.0 + big_x * big_x)
    q = q * (2.0 - (1.0 + big_x) * q)
    y2 = y * y
    lift = big_x * (1.0 + 0.5 * big_x * q)
    slope = (1.0 + big_x * q * (1.0 - 0.5 * big_x * q)) * ir
    er = k * (x * (1.0 + 0.5 * big_x) * q + switch * 0.5 * (x * big_x - y2 * slope))
    ey = -k * y * (1.0 + switch * lift)
    well = 0.5 - big_x * (1.0 / 6.0 - big_x * (0.125 - big_x * (0.1 - big_x * (1.0 / 12.0 - big_x / 14.0))))
    phi = -k * (x * x * (well + switch * big_x * (1.0 / 6.0)) - 0.5 * y2 * (1.0 + switch * lift))
    return er, ey, phi


@njit(cache=True, nogil=True, fastmath=True)
def electric_kick(
    block: Any, low: int, high: int, angle: float, k: float, switch: float, radius: float, a: float, eta: float
) -> None:
    """Kick by ``angle`` of an electrostatic quadrupole: implicit midpoint, gradient k, sextupole ``switch`` = s + 1."""
    ir = 1.0 / radius
    for j in range(low, high):
        i = np.uint64(j)
        x, pr, y, py, g, ipt = (
            block[_X + i],
            block[_PR + i],
            block[_Y + i],
            block[_PY + i],
            block[_G + i],
            block[_IPT + i],
        )
        z = pr * ipt
        ips = ipt * _inverse_root(z * z)
        w = -0.25 * angle * k * (x * x - y * y) * (radius + x) * g * ips * ips * ips
        xm, ym = x + w * pr, y + w * py
        er, ey, phi = _main_field(xm, ym, k, switch, ir)
        r = radius + xm
        half = 0.5 * angle * g * ips
        dr, dy = half * (r * er - phi), half * r * ey
        ips = ips * (1.0 + (dr * (pr + 0.5 * dr) + dy * (py + 0.5 * dy)) * ips * ips)
        _finish_kick(block, i, angle * g * ips, r, er, ey, phi, ips, xm, a, eta)


@njit(cache=True, nogil=True, fastmath=True)
def electric_kick_multipoles(
    block: Any,
    low: int,
    high: int,
    angle: float,
    k: float,
    switch: float,
    radius: float,
    a: float,
    eta: float,
    n: Any,
    s: Any,
) -> None:
    """Like :func:`electric_kick` with Φ += Re Σ (n_m − i s_m) z^m, z = x + iy [m]; n and s are tuples of 15 numbers."""
    ir = 1.0 / radius
    for j in range(low, high):
        i = np.uint64(j)
        x, pr, y, py, g, ipt = (
            block[_X + i],
            block[_PR + i],
            block[_Y + i],
            block[_PY + i],
            block[_G + i],
            block[_IPT + i],
        )
        z = pr * ipt
        ips = ipt * _inverse_root(z * z)
        r = radius + x
        # First guess of the middle from the main field; the multipoles shift it by less than 1e-9 m.
        w = -0.25 * angle * k * (x * x - y * y) * r * g * ips * ips * ips
        xm, ym = x + w * pr, y + w * py
        er, ey, phi = _main_field(xm, ym, k, switch, ir)
        # Horner for F(z) = Σ c_m z^m and F'(z), c = normal − i skew; Φ = Re F, E_x − i E_y = −F'. Written out, because
        # the compiler vectorises over muons only when the inner loop is gone and the coefficients are plain numbers.
        fr, fi, dr_, di = n[14], -s[14], 0.0, 0.0
        dr_, di = dr_ * xm - di * ym + fr, dr_ * ym + di * xm + fi
        fr, fi = fr * xm - fi * ym + n[13], fr * ym + fi * xm - s[13]
        dr_, di = dr_ * xm - di * ym + fr, dr_ * ym + di * xm + fi
        fr, fi = fr * xm - fi * ym + n[12], fr * ym + fi * xm - s[12]
        dr_, di = dr_ * xm - di * ym + fr, dr_ * ym + di * xm + fi
        fr, fi = fr * xm - fi * ym + n[11], fr * ym + fi * xm - s[11]
        dr_, di = dr_ * xm - di * ym + fr, dr_ * ym + di * xm + fi
        fr, fi = fr * xm - fi * ym + n[10], fr * ym + fi * xm - s[10]
        dr_, di = dr_ * xm - di * ym + fr, dr_ * ym + di * xm + fi
        fr, fi = fr * xm - fi * ym + n[9], fr * ym + fi * xm - s[9]
        dr_, di = dr_ * xm - di * ym + fr, dr_ * ym + di * xm + fi
        fr, fi = fr * xm - fi * ym + n[8], fr * ym + fi * xm - s[8]
        dr_, di = dr_ * xm - di * ym + fr, dr_ * ym + di * xm + fi
        fr, fi = fr * xm - fi * ym + n[7], fr * ym + fi * xm - s[7]
        dr_, di = dr_ * xm - di * ym + fr, dr_ * ym + di * xm + fi
        fr, fi = fr * xm - fi * ym + n[6], fr * ym + fi * xm - s[6]
        dr_, di = dr_ * xm - di * ym + fr, dr_ * ym + di * xm + fi
        fr, fi = fr * xm - fi * ym + n[5], fr * ym + fi * xm - s[5]
        dr_, di = dr_ * xm - di * ym + fr, dr_ * ym + di * xm + fi
        fr, fi = fr * xm - fi * ym + n[4], fr * ym + fi * xm - s[4]
        dr_, di = dr_ * xm - di * ym + fr, dr_ * ym + di * xm + fi
        fr, fi = fr * xm - fi * ym + n[3], fr * ym + fi * xm - s[3]
        dr_, di = dr_ * xm - di * ym + fr, dr_ * ym + di * xm + fi
        fr, fi = fr * xm - fi * ym + n[2], fr * ym + fi * xm - s[2]
        dr_, di = dr_ * xm - di * ym + fr, dr_ * ym + di * xm + fi
        fr, fi = fr * xm - fi * ym + n[1], fr * ym + fi * xm - s[1]
        dr_, di = dr_ * xm - di * ym + fr, dr_ * ym + di * xm + fi
        fr, fi = fr * xm - fi * ym + n[0], fr * ym + fi * xm - s[0]
        phi += fr
        er -= dr_
        ey += di
        r = radius + xm
        half = 0.5 * angle * g * ips
        dr, dy = half * (r * er - phi), half * r * ey
        ips = ips * (1.0 + (dr * (pr + 0.5 * dr) + dy * (py + 0.5 * dy)) * ips * ips)
        _finish_kick(block, i, angle * g * ips, r, er, ey, phi, ips, xm, a, eta)
