"""Track muons with spin around a ring: the way in to the engine, in package units (mm, µs, rad).

>>> import numpy as np
>>> from gminus2.ring.geometry import Geometry
>>> ring = Ring(Geometry.lumped())
>>> muons = Muons.at_rest_in_beam(delta=np.array([0.0, 1e-3]), x_mm=np.array([0.0, 8.0]))
>>> result = track(ring, muons, turns=3)
>>> bool(np.all(np.abs(result.muons.x_mm) < 10.0))
True
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gminus2.constants import MUON_LIFETIME_US, SPEED_OF_LIGHT_MM_PER_US
from gminus2.errors import PhysicsError
from gminus2.execution import make_executor, map_ordered
from gminus2.random import stream
from gminus2.ring.elements import MOMENTS
from gminus2.ring.engine import run_blocks
from gminus2.ring.fields import build_fields, build_physics, from_blocks, to_blocks
from gminus2.ring.kernel import ROWS, WIDTH
from gminus2.ring.machine import Ring
from gminus2.ring.muons import Muons
from gminus2.ring.program import Program

__all__ = ["CHUNK", "Muons", "Ring", "Tracked", "build_fields", "build_physics", "to_blocks", "track"]

FloatArray = NDArray[np.float64]

#: Muons per task.
CHUNK: Final = 4096
_C_M_PER_US: Final = SPEED_OF_LIGHT_MM_PER_US * 1e-3


@dataclass(frozen=True)
class Tracked:
    """What tracking gives.

    Attributes
    ----------
    muons
        Survivors at azimuth 0 after the last turn, in the order of the start.
    losses, decays
        (N, 12) by muon of the start, NaN where it did not happen: kind, turn, azimuth [rad], x [m], p_r/mc, y [m],
        p_y/mc, τ [m], g, S_r, S_s, S_y.
    hits
        (N,) collimator crossings.
    record
        (turns, observers, M, 9) for the first M muons: x [m], p_r, y, p_y, τ [m], g, S_r, S_s, S_y; NaN when gone.
    moments
        (turns, observers, 11) over live muons: count, Σx, Σx², Σy, Σy² [m], Σ of the spin in the plane as cos and
        sin of ψ − a e B/m t, ΣS_y, Στ [m], Σx', Σy'.
    """

    muons: Muons
    losses: FloatArray
    decays: FloatArray
    hits: NDArray[np.int64]
    record: FloatArray
    moments: FloatArray

    @property
    def recorded_time_us(self) -> FloatArray:
        """Times of the record (turns, observers, M) [µs]."""
        return np.asarray(self.record[..., 4] / _C_M_PER_US)

    @property
    def recorded_phase(self) -> FloatArray:
        """Unwrapped precession phase of the record, along turns [rad]."""
        return np.asarray(np.unwrap(np.arctan2(-self.record[..., 6], self.record[..., 7]), axis=0))


def _segments(turns: int, changing: bool) -> Iterator[tuple[int, int]]:
    """Yield (first turn, turns): short at the beginning, when many are lost, and bounded tables later."""
    at = 0
    while at < turns:
        step = min(max(2, at), 512) if changing or at < 64 else 2048
        step = min(step, turns - at)
        yield at, step
        at += step


def _repack(
    blocks: FloatArray, alive: FloatArray, ids: NDArray[np.int64], ends: FloatArray
) -> tuple[FloatArray, FloatArray, NDArray[np.int64], FloatArray, NDArray[np.int64]]:
    """Pack live muons into as few blocks as possible, order kept."""
    live = alive.ravel() > 0.0
    size = int(live.sum())
    count = -(-size // WIDTH)
    old = blocks.reshape(-1, ROWS, WIDTH).transpose(1, 0, 2).reshape(ROWS, -1)
    rows = np.repeat(old[:, :1], max(count, 1) * WIDTH, axis=1)
    rows[:, :size] = old[:, live]
    new_alive, new_ids = np.zeros(count * WIDTH), np.zeros(count * WIDTH, dtype=np.int64)
    new_ends = np.full(count * WIDTH, math.inf)
    new_alive[:size], new_ids[:size], new_ends[:size] = 1.0, ids.ravel()[live], ends.ravel()[live]
    packed = np.ascontiguousarray(rows[:, : count * WIDTH].reshape(ROWS, count, WIDTH).transpose(1, 0, 2))
    return (
        packed.reshape(count, ROWS * WIDTH),
        new_alive.reshape(count, WIDTH),
        new_ids.reshape(count, WIDTH),
        new_ends.reshape(count, WIDTH),
        np.minimum(WIDTH, size - WIDTH * np.arange(count)).astype(np.int64),
    )


def track_chunk(
    ring: Ring,
    program: Program,
    muons: Muons,
    turns: int,
    record: int,
    moments: bool,
    seed: int,
    decay: bool,
    begin: int = 0,
) -> Tracked:
    """Track one chunk in this thread from turn ``begin``; ``ident`` of the muons keys decay and scattering."""
    size = len(muons)
    physics = build_physics(ring, seed)
    blocks, counts = to_blocks(ring, muons)
    shape = (blocks.shape[0], WIDTH)
    ids = np.arange(blocks.shape[0] * WIDTH, dtype=np.int64).reshape(shape)
    alive = (ids < size).astype(np.float64)
    ends = np.full(shape, math.inf)
    if decay:
        first = int(muons.ident[0]) if size else 0
        proper = stream(seed, "decay in flight", first).exponential(size=size) * MUON_LIFETIME_US
        u = ring.u_magic * (1.0 + muons.delta)
        ends.ravel()[:size] = (muons.time_us + proper * np.sqrt(1.0 + u * u)) * _C_M_PER_US
    losses, decays = np.full((size, 12), np.nan), np.full((size, 12), np.nan)
    hits = np.zeros(size, dtype=np.int64)
    watched = len(program.observers)
    recorded = np.full((turns if record else 0, watched, min(record, size), 9), np.nan)
    sums = np.zeros((turns if moments else 0, watched, MOMENTS))
    changing = not ring.electric.history.is_constant or ring.kicker is not None
    for first_turn, step in _segments(turns, changing):
        if not counts.size or counts[0] <= 0:
            break
        run_blocks(
            blocks,
            alive,
            ids,
            ends,
            counts,
            begin + first_turn,
            step,
            begin + first_turn,
            program.steps,
            build_fields(ring, program, begin + first_turn, step),
            physics,
            recorded[first_turn : first_turn + step],
            sums[first_turn : first_turn + step],
            losses,
            decays,
            hits,
        )
        if alive.sum() < 0.9 * counts.sum():
            blocks, alive, ids, ends, counts = _repack(blocks, alive, ids, ends)
    blocks, alive, ids, ends, counts = _repack(blocks, alive, ids, ends)
    left = ids.ravel()[: int(alive.sum())]
    return Tracked(from_blocks(ring, blocks, left.size, muons.ident[left]), losses, decays, hits, recorded, sums)


def track(
    ring: Ring,
    muons: Muons,
    turns: int,
    *,
    record: int = 0,
    moments: bool = False,
    decay: bool = False,
    seed: int = 0,
    workers: int | None = None,
    quiet: bool = True,
    check_start: bool = True,
    begin: int = 0,
) -> Tracked:
    """Track muons from azimuth 0 through a number of turns.

    Parameters
    ----------
    record
        Record this many muons (the first) at every observer and turn.
    moments
        Sum positions and spins of all live muons at every observer and turn.
    decay
        Let muons decay in flight with their own γτ.
    seed
        Of decays and scattering.
    check_start
        Refuse muons outside the aperture at the start (switch off for injection).
    begin
        Number of the first turn, which dates the voltages and the eddy field.

    Returns
    -------
    Tracked
        The same numbers on any number of workers.

    Raises
    ------
    PhysicsError
        No turns, no muons, or a muon outside the aperture at the start.
    """
    if turns < 1 or len(muons) < 1:
        raise PhysicsError("tracking needs at least one muon and one turn", found=f"{len(muons)} muons, {turns} turns")
    aperture = ring.geometry.aperture_mm
    radius = np.hypot(muons.x_mm, muons.y_mm)
    if check_start and np.any(radius > aperture):
        worst = int(np.argmax(radius))
        raise PhysicsError(
            f"{int(np.sum(radius > aperture))} of {len(muons)} muons start outside the aperture",
            where=f"muon {worst}: x = {muons.x_mm[worst]:g} mm, y = {muons.y_mm[worst]:g} mm",
            expected=f"x² + y² ≤ ({aperture:g} mm)²",
            hint="bring them inside, or inject them through the inflector",
        )
    muons = replace(muons, ident=np.arange(len(muons)))
    program = ring.program()
    pieces = [muons.select(np.arange(i, min(i + CHUNK, len(muons)))) for i in range(0, len(muons), CHUNK)]

    def one(piece: Muons) -> Tracked:
        wanted = max(0, min(record - int(piece.ident[0]), len(piece)))
        return track_chunk(ring, program, piece, turns, wanted, moments, seed, decay, begin)

    with make_executor("threads", workers) as executor:
        parts = map_ordered(executor, one, pieces, title="tracking", quiet=quiet)
    kept = [p for p in parts if p.record.shape[2] > 0] or parts[:1]
    return Tracked(
        Muons.concatenate([p.muons for p in parts]),
        np.concatenate([p.losses for p in parts]),
        np.concatenate([p.decays for p in parts]),
        np.concatenate([p.hits for p in parts]),
        np.concatenate([p.record for p in kept], axis=2) if record else parts[0].record,
        np.sum([p.moments for p in parts], axis=0),
    )
