"""The steps that a block of muons takes one by one: kickers, magnet multipoles, collimators, observers. Compiled code.

The smooth steps (bends and electric kicks) are in :mod:`gminus2.ring.kernel`; the order of all steps is the engine's.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gminus2.ring.kernel import WIDTH

__all__ = [
    "LOST_AT_COLLIMATOR",
    "LOST_OUTSIDE",
    "MOMENTS",
    "Fields",
    "Physics",
    "collimate",
    "freeze",
    "kicker_kick",
    "magnetic_kick",
    "observe",
    "record_end",
]

FloatArray = NDArray[np.float64]

LOST_AT_COLLIMATOR: Final = 1.0
LOST_OUTSIDE: Final = 2.0

#: Columns of the moment table: count, then sums over live muons of x, x², y, y² [m], the spin in the plane as cos and
#: sin of ψ − a b₀ τ, S_y, τ [m], x', y'.
MOMENTS: Final = 11


class Physics(NamedTuple):
    """Constants of a run: b₀ [1/m], R₀ [m], a, η, s + 1, p_m/(mc), and what a collimator does.

    ``energy_loss`` [mc²] and ``scatter`` [rad] per crossing; zero energy loss means black. ``exit2`` [m²] is where a
    muon with energy loss leaves the storage region. ``seed`` feeds the scattering.
    """

    b0: float
    radius: float
    anomaly: float
    eta: float
    switch: float
    u_magic: float
    energy_loss: float
    scatter: float
    exit2: float
    seed: np.uint64


class Fields(NamedTuple):
    """Fields by turn (first axis; the last row holds for later turns).

    ``quad`` (T, S), ``normal`` and ``skew`` (T, S, 15), ``order`` (S,) highest multipole in use, ``kick_angle`` (K,)
    [rad], ``kick_tau`` (K,) peak times [m], ``pulse`` with ``pulse_start`` and ``pulse_step`` [m], ``eddy`` (T, K)
    [rad], ``kick_map`` (3,) and ``kick_radius`` [m], ``kick_vertical`` 1 or 0,
    magnetic ``mag_normal`` and ``mag_skew`` (A, M) in 1/m^m,
    ``collimator2`` (C,) [m²].
    """

    quad: FloatArray
    normal: FloatArray
    skew: FloatArray
    order: NDArray[np.int64]
    kick_angle: FloatArray
    kick_tau: FloatArray
    pulse: FloatArray
    pulse_start: float
    pulse_step: float
    eddy: FloatArray
    kick_map: FloatArray
    kick_radius: float
    kick_vertical: float
    mag_normal: FloatArray
    mag_skew: FloatArray
    collimator2: FloatArray


@njit(cache=True, nogil=True)
def _random(seed: Any, muon: int, turn: int, step: int, draw: int) -> float:
    """A uniform number in (0, 1) that depends only on the key (SplitMix64 finaliser)."""
    z = np.uint64(seed) + np.uint64(muon) * np.uint64(0x9E3779B97F4A7C15)
    z = z ^ (
        np.uint64(turn) * np.uint64(0xD1B54A32D192ED03) + np.uint64(step * 8 + draw) * np.uint64(0x8CB92BA72F3D8DD7)
    )
    for _ in range(2):
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (float(z >> np.uint64(11)) + 0.5) * (1.0 / 9007199254740992.0)


@njit(cache=True, nogil=True)
def _rotate(block: Any, i: int, wr: float, ws: float, wy: float) -> None:
    """Rotate the spin of one muon by a small vector, exactly in norm."""
    w2 = wr * wr + ws * ws + wy * wy
    h = 0.5 + w2 * (1.0 / 24.0)
    wr, ws, wy = wr * h, ws * h, wy * h
    f = 2.0 / (1.0 + w2 * h * h)
    sr, ss, sy = block[6 * WIDTH + i], block[7 * WIDTH + i], block[8 * WIDTH + i]
    cr = ws * sy - wy * ss
    cs = wy * sr - wr * sy
    cy = wr * ss - ws * sr
    block[6 * WIDTH + i] = sr + f * (cr + ws * cy - wy * cs)
    block[7 * WIDTH + i] = ss + f * (cs + wy * cr - wr * cy)
    block[8 * WIDTH + i] = sy + f * (cy + wr * cs - ws * cr)


@njit(cache=True, nogil=True)
def _impulse(block: Any, i: int, dpr: float, dpy: float, a: float) -> None:
    """Give one muon a magnetic impulse: dp_r = r dθ b_y, dp_y = −r dθ b_r, and the spin rotation that belongs to it."""
    g = block[5 * WIDTH + i]
    pr, py = block[WIDTH + i], block[3 * WIDTH + i]
    ps = np.sqrt(g * g - 1.0 - (pr + 0.5 * dpr) ** 2 - (py + 0.5 * dpy) ** 2)
    block[WIDTH + i] = pr + dpr
    block[3 * WIDTH + i] = py + dpy
    block[9 * WIDTH + i] = 1.0 / np.sqrt(g * g - 1.0 - (py + dpy) ** 2)
    # b dτ = (dp_y, dp_r) g/p_s with signs; dψ = −a b_y dτ about y, −(a + 1/g) b_r dτ about r, and the small
    # component along s from (β·b) β.
    by, br = dpr * g / ps, -dpy * g / ps
    along = (py * by + pr * br) / (g * g)
    _rotate(block, i, -(a + 1.0 / g) * br, a * g * g / (g + 1.0) * along * ps / g, -a * by)


@njit(cache=True, nogil=True)
def kicker_kick(block: Any, low: int, high: int, k: int, eddy: float, fields: Fields, physics: Physics) -> None:
    last = fields.pulse.size - 1
    for i in range(low, high):
        u = (block[4 * WIDTH + i] - fields.kick_tau[k] - fields.pulse_start) / fields.pulse_step
        strength = eddy
        if 0.0 <= u < last:
            j = int(u)
            w = u - j
            strength += fields.kick_angle[k] * ((1.0 - w) * fields.pulse[j] + w * fields.pulse[j + 1])
        if strength == 0.0:
            continue
        x, y = block[i] / fields.kick_radius, block[2 * WIDTH + i] / fields.kick_radius
        # The published map ends at 45 mm; further out take the value on that circle.
        r = np.sqrt(x * x + y * y)
        if r > 2.25:
            x, y = x * 2.25 / r, y * 2.25 / r
        re2, im2 = x * x - y * y, 2.0 * x * y
        re4, im4 = re2 * re2 - im2 * im2, 2.0 * re2 * im2
        re6, im6 = re4 * re2 - im4 * im2, re4 * im2 + im4 * re2
        m = fields.kick_map
        size = physics.u_magic * strength
        _impulse(
            block,
            i,
            size * (1.0 + m[0] * re2 + m[1] * re4 + m[2] * re6),
            -size * fields.kick_vertical * (m[0] * im2 + m[1] * im4 + m[2] * im6),
            physics.anomaly,
        )


@njit(cache=True, nogil=True)
def magnetic_kick(block: Any, low: int, high: int, row: int, angle: float, fields: Fields, physics: Physics) -> None:
    order = fields.mag_normal.shape[1] - 1
    for i in range(low, high):
        # Laboratory multipoles have y up; internal y is down, hence the conjugate.
        x, y = block[i], -block[2 * WIDTH + i]
        re, im = fields.mag_normal[row, order], -fields.mag_skew[row, order]
        for m in range(order - 1, -1, -1):
            re, im = re * x - im * y + fields.mag_normal[row, m], re * y + im * x - fields.mag_skew[row, m]
        scale = (physics.radius + block[i]) * angle * physics.b0
        _impulse(block, i, -scale * re, -scale * im, physics.anomaly)


@njit(cache=True, nogil=True)
def record_end(out: Any, block: Any, i: int, muon: int, turn: int, azimuth: float, kind: float) -> None:
    out[muon, 0] = kind
    out[muon, 1] = turn
    out[muon, 2] = azimuth
    for row in range(9):
        out[muon, 3 + row] = block[row * WIDTH + i]


@njit(cache=True, nogil=True)
def freeze(block: Any, i: int, alive: Any, u_magic: float) -> None:
    alive[i] = 0.0
    for row in range(4):
        block[row * WIDTH + i] = 0.0
    g = np.sqrt(1.0 + u_magic * u_magic)
    block[5 * WIDTH + i] = g
    block[6 * WIDTH + i] = 0.0
    block[7 * WIDTH + i] = 1.0
    block[8 * WIDTH + i] = 0.0
    block[9 * WIDTH + i] = 1.0 / u_magic
    block[10 * WIDTH + i] = 1.0 / g
    block[11 * WIDTH + i] = 1.0 / (g + 1.0)


@njit(cache=True, nogil=True)
def collimate(
    block: Any,
    alive: Any,
    ids: Any,
    low: int,
    high: int,
    step: int,
    turn: int,
    azimuth: float,
    radius2: float,
    physics: Physics,
    losses: Any,
    hits: Any,
) -> None:
    for i in range(low, high):
        r2 = block[i] ** 2 + block[2 * WIDTH + i] ** 2
        # "not ≤" also catches NaN.
        if alive[i] > 0.0 and not r2 <= radius2:
            muon = ids[i]
            hits[muon] += 1
            if physics.energy_loss <= 0.0:
                record_end(losses, block, i, muon, turn, azimuth, 1.0)
                freeze(block, i, alive, physics.u_magic)
                continue
            if not r2 <= physics.exit2:
                record_end(losses, block, i, muon, turn, azimuth, 2.0)
                freeze(block, i, alive, physics.u_magic)
                continue
            g = block[5 * WIDTH + i]
            p = np.sqrt(g * g - 1.0)
            g1 = g - physics.energy_loss
            p1 = np.sqrt(g1 * g1 - 1.0)
            size = physics.scatter * np.sqrt(-2.0 * np.log(_random(physics.seed, muon, turn, step, 0)))
            turned = 2.0 * np.pi * _random(physics.seed, muon, turn, step, 1)
            block[WIDTH + i] = p1 * (block[WIDTH + i] / p + size * np.cos(turned))
            block[3 * WIDTH + i] = p1 * (block[3 * WIDTH + i] / p + size * np.sin(turned))
            block[5 * WIDTH + i] = g1
            block[9 * WIDTH + i] = 1.0 / np.sqrt(g1 * g1 - 1.0 - block[3 * WIDTH + i] ** 2)
            block[10 * WIDTH + i] = 1.0 / g1
            block[11 * WIDTH + i] = 1.0 / (g1 + 1.0)


@njit(cache=True, nogil=True)
def observe(
    block: Any, alive: Any, ids: Any, count: int, row: int, observer: int, record: Any, moments: Any, rate: float
) -> None:
    recorded = record.shape[2]
    for i in range(count):
        if alive[i] == 0.0:
            continue
        muon = ids[i]
        if muon < recorded:
            for k in range(9):
                record[row, observer, muon, k] = block[k * WIDTH + i]
        if moments.shape[0] > 0:
            x, y = block[i], block[2 * WIDTH + i]
            sr, ss = block[6 * WIDTH + i], block[7 * WIDTH + i]
            m = moments[row, observer]
            m[0] += 1.0
            m[1] += x
            m[2] += x * x
            m[3] += y
            m[4] += y * y
            # In the frame that turns with a e B/m: muons of different momentum pass at different times.
            turned = rate * block[4 * WIDTH + i]
            cos, sin = np.cos(turned), np.sin(turned)
            m[5] += ss * cos - sr * sin
            m[6] += -sr * cos - ss * sin
            m[7] += block[8 * WIDTH + i]
            m[8] += block[4 * WIDTH + i]
            m[9] += block[WIDTH + i] * block[9 * WIDTH + i]
            m[10] += block[3 * WIDTH + i] * block[9 * WIDTH + i]
