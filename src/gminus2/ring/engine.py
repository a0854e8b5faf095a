"""The engine: one block of muons through many turns. Compiled code; :mod:`gminus2.ring.tracking` is the way in.

A muon that hits a collimator, leaves the ring or decays is written to its row of ``losses`` or ``decays`` and frozen
on the design orbit; the caller packs the survivors together now and then.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from gminus2.ring.elements import (
    Fields,
    Physics,
    collimate,
    freeze,
    kicker_kick,
    magnetic_kick,
    observe,
    record_end,
)
from gminus2.ring.kernel import ROWS, WIDTH, bend, electric_kick, electric_kick_multipoles
from gminus2.ring.program import BEND, COLLIMATOR, EKICK, KICKER, MKICK

__all__ = ["run_blocks"]

#: A muon further out than this at the end of a turn is gone [m]; multipoles would blow up.
_FAR2: Final = 0.12**2


@njit(cache=True, nogil=True)
def _numbers(table: Any, t: int, which: int) -> Any:
    """Return the 15 multipole coefficients of a plate as plain numbers."""
    v = table[t, which]
    return (v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], v[11], v[12], v[13], v[14])


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
                            record_end(decays, block, job, muons[job], turn, steps.azimuth[e] + angle, 1.0)
                            freeze(block, job, lives, physics.u_magic)
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
                        kicker_kick(block, low, high, which, fields.eddy[t, which], fields, physics)
                    elif what == MKICK:
                        magnetic_kick(block, low, high, which, angle, fields, physics)
                    elif what == COLLIMATOR:
                        collimate(
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
                        observe(
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
                    record_end(losses, block, i, muons[i], turn, 2.0 * np.pi, 2.0)
                    freeze(block, i, lives, physics.u_magic)
