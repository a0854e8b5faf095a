"""The engine: one block of muons through many turns. Compiled code; :mod:`gminus2.ring.tracking` is the way in.

A muon that hits a collimator, leaves the ring or decays is written to its row of ``losses`` or ``decays`` and frozen
on the design orbit; the caller packs the survivors together now and then.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gminus2.ring.kernel import ROWS, WIDTH, bend, electric_kick, electric_kick_multipoles
from gminus2.ring.program import BEND, COLLIMATOR, EKICK, KICKER, MKICK

__all__ = ["LOST_AT_COLLIMATOR", "LOST_OUTSIDE", "MOMENTS", "Fields", "Physics", "run_blocks"]

FloatArray = NDArray[np.float64]

LOST_AT_COLLIMATOR: Final = 1.0
LOST_OUTSIDE: Final = 2.0

#: Columns of the moment table: count, then sums over live muons of x, x², y, y² [m], the spin in the plane as cos and
#: sin of ψ − a b₀ τ, S_y, τ [m], x', y'.
MOMENTS: Final = 11

#: A muon further out than this at the end of a turn is gone [m]; multipoles would blow up.
_FAR2: Final = 0.12**2


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
def _numbers(table: Any, t: int, which: int) -> Any:
    """Return the 15 multipole coefficients of a plate as plain numbers."""
    v = table[t, which]
    return (v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], v[11], v[12], v[13], v[14])


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
def _kicker(block: Any, low: int, high: int, k: int, eddy: float, fields: Fields, physics: Physics) -> None:
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
def _magnetic(block: Any, low: int, high: int, row: int, angle: float, fields: Fields, physics: Physics) -> None:
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
def _record_end(out: Any, block: Any, i: int, muon: int, turn: int, azimuth: float, kind: float) -> None:
    out[muon, 0] = kind
    out[muon, 1] = turn
    out[muon, 2] = azimuth
    for row in range(9):
        out[muon, 3 + row] = block[row * WIDTH + i]


@njit(cache=True, nogil=True)
def _freeze(block: Any, i: int, alive: Any, u_magic: float) -> None:
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
def _collimator(
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
                _record_end(losses, block, i, muon, turn, azimuth, 1.0)
                _freeze(block, i, alive, physics.u_magic)
                continue
            if not r2 <= physics.exit2:
                _record_end(losses, block, i, muon, turn, azimuth, 2.0)
                _freeze(block, i, alive, physics.u_magic)
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
def _observe(
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


@njit(cache=True, nogil=True)
def run_blocks(
    blocks: Any,
    alive: Any,
    ids: Any,
    decay_tau: Any,
    counts: Any,
    first_turn: int,
    turns: int,
    table_turn: int,
    steps: Any,
    fields: Fields,
    physics: Physics,
    record: Any,
    moments: Any,
    losses: Any,
    decays: Any,
    hits: Any,
) -> None:
    """Run blocks (B, ROWS·WIDTH) from turn ``first_turn`` through ``turns`` turns.

    Parameters
    ----------
    alive, ids, decay_tau
        (B, WIDTH): 1 or 0, row of the muon in the outputs, τ of its decay [m] (infinite: stable).
    counts
        (B,) muons per block.
    table_turn
        Turn of the first row of the field tables, of ``record`` and of ``moments``.
    record
        (T, observers, M, 9): rows of the state for muons with id < M; may be empty.
    moments
        (T, observers, 11), see :data:`MOMENTS`; may be empty.
    losses, decays
        (N, 12): kind, turn, azimuth and the first nine rows of the state at the end of a muon.
    hits
        (N,) collimator crossings.
    """
    reach = 1.05 * 2.0 * np.pi * physics.radius
    last = fields.quad.shape[0] - 1
    size = steps.what.size
    start, before = np.empty(ROWS), np.empty(ROWS)
    for b in range(blocks.shape[0]):
        block, lives, muons, ends = blocks[b], alive[b], ids[b], decay_tau[b]
        count = counts[b]
        for n in range(turns):
            turn = first_turn + n
            t = min(turn - table_turn, last)
            # Muons that may decay in this turn go first, one by one; job ``count`` is everybody. All steps stand once
            # in this loop: the compiler would otherwise make every kernel twice.
            for job in range(count + 1):
                single = job < count
                low, high = 0, count
                if single:
                    if not (ends[job] < block[4 * WIDTH + job] + reach and lives[job] > 0.0):
                        continue
                    low, high = job, job + 1
                    for row in range(ROWS):
                        start[row] = block[row * WIDTH + job]
                for e in range(size):
                    what, angle, which = steps.what[e], steps.angle[e], steps.which[e]
                    if what == BEND:
                        if single:
                            for row in range(ROWS):
                                before[row] = block[row * WIDTH + job]
                        cos, sin = steps.cos[e], steps.sin[e]
                        cut = False
                        while True:
                            bend(
                                block,
                                low,
                                high,
                                angle,
                                cos,
                                sin,
                                physics.b0,
                                physics.radius,
                                physics.anomaly,
                                physics.eta,
                            )
                            if not single or cut or angle <= 0.0 or block[4 * WIDTH + job] < ends[job]:
                                break
                            share = (ends[job] - before[4]) / (block[4 * WIDTH + job] - before[4])
                            for row in range(ROWS):
                                block[row * WIDTH + job] = before[row]
                            angle = share * angle
                            cos, sin, cut = np.cos(angle), np.sin(angle), True
                        if cut:
                            _record_end(decays, block, job, muons[job], turn, steps.azimuth[e] + angle, 1.0)
                            _freeze(block, job, lives, physics.u_magic)
                    elif what == EKICK:
                        k, order = fields.quad[t, which], fields.order[which]
                        if order == 0:
                            electric_kick(
                                block,
                                low,
                                high,
                                angle,
                                k,
                                physics.switch,
                                physics.radius,
                                physics.anomaly,
                                physics.eta,
                            )
                        else:
                            electric_kick_multipoles(
                                block,
                                low,
                                high,
                                angle,
                                k,
                                physics.switch,
                                physics.radius,
                                physics.anomaly,
                                physics.eta,
                                _numbers(fields.normal, t, which),
                                _numbers(fields.skew, t, which),
                            )
                    elif what == KICKER:
                        _kicker(block, low, high, which, fields.eddy[t, which], fields, physics)
                    elif what == MKICK:
                        _magnetic(block, low, high, which, angle, fields, physics)
                    elif what == COLLIMATOR:
                        _collimator(
                            block,
                            lives,
                            muons,
                            low,
                            high,
                            e,
                            turn,
                            steps.azimuth[e],
                            fields.collimator2[which],
                            physics,
                            losses,
                            hits,
                        )
                    elif not single:
                        _observe(
                            block,
                            lives,
                            muons,
                            count,
                            turn - table_turn,
                            which,
                            record,
                            moments,
                            physics.anomaly * physics.b0,
                        )
                    if single and lives[job] == 0.0:
                        break
                if single and lives[job] > 0.0:
                    for row in range(ROWS):
                        block[row * WIDTH + job] = start[row]
            for i in range(count):
                if lives[i] > 0.0 and not block[i] ** 2 + block[2 * WIDTH + i] ** 2 <= _FAR2:
                    _record_end(losses, block, i, muons[i], turn, 2.0 * np.pi, 2.0)
                    _freeze(block, i, lives, physics.u_magic)
