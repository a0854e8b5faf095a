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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gminus2.constants import MUON_LIFETIME_US, MUON_MASS_MEV, SPEED_OF_LIGHT_MM_PER_US
from gminus2.errors import PhysicsError
from gminus2.execution import make_executor, map_ordered
from gminus2.physics.optics import LinearOptics, linear_optics
from gminus2.physics.spin import ANOMALY, anomalous_frequency, magic_field, magic_gamma
from gminus2.random import key_words, stream
from gminus2.ring import kicker as kicker_module
from gminus2.ring.engine import MOMENTS, Fields, Physics, run_blocks
from gminus2.ring.esq import ElectricField
from gminus2.ring.geometry import Geometry, load_geometry
from gminus2.ring.kernel import ROWS, WIDTH, refresh
from gminus2.ring.kicker import KickerField
from gminus2.ring.lattice import Lattice
from gminus2.ring.magnet import MULTIPOLE_RADIUS_MM, MagneticMultipoles
from gminus2.ring.program import Observer, Program, Scheme

__all__ = ["CHUNK", "Muons", "Ring", "Tracked", "build_fields", "build_physics", "track"]

FloatArray = NDArray[np.float64]

#: Where a changing lattice is tabulated [µs]: densely while the plates charge.
LATTICE_TIMES_US: Final = np.concatenate([np.arange(0.0, 40.0, 0.5), 40.0 * 1.045 ** np.arange(67)])
#: Muons per task.
CHUNK: Final = 4096
_C_M_PER_US: Final = SPEED_OF_LIGHT_MM_PER_US * 1e-3


@dataclass(frozen=True)
class Muons:
    """Muons at azimuth 0; arrays (N,).

    ``x_slope``, ``y_slope`` are p_r/p_s and p_y/p_s; ``delta`` is the momentum offset from the magic momentum in a
    place free of electric potential; ``spin`` (3, N) has the components (r, s, y) in the momentum frame (s along the
    horizontal momentum), a unit vector; ``ident`` numbers the muons of the start.
    """

    x_mm: FloatArray
    x_slope: FloatArray
    y_mm: FloatArray
    y_slope: FloatArray
    delta: FloatArray
    time_us: FloatArray
    spin: FloatArray
    ident: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.x_mm.size)

    @classmethod
    def at_rest_in_beam(
        cls,
        *,
        delta: ArrayLike = 0.0,
        x_mm: ArrayLike = 0.0,
        x_slope: ArrayLike = 0.0,
        y_mm: ArrayLike = 0.0,
        y_slope: ArrayLike = 0.0,
        time_us: ArrayLike = 0.0,
        phase_rad: ArrayLike = 0.0,
    ) -> Muons:
        """Return muons with the spin along the momentum, turned by the precession phase in the horizontal plane."""
        given = np.broadcast_arrays(
            *(
                np.atleast_1d(np.asarray(v, dtype=float))
                for v in (x_mm, x_slope, y_mm, y_slope, delta, time_us, phase_rad)
            )
        )
        x, xs, y, ys, d, t, psi = (np.ascontiguousarray(v) for v in given)
        for name, values in zip(("x", "x slope", "y", "y slope", "delta", "time", "phase"), given, strict=True):
            if not np.all(np.isfinite(values)):
                raise PhysicsError("a muon has a coordinate that is not a number", where=name)
        sine = ys / np.sqrt(1.0 + xs**2 + ys**2)
        flat = np.sqrt(1.0 - sine**2)
        return cls(x, xs, y, ys, d, t, np.stack([-flat * np.sin(psi), flat * np.cos(psi), sine]), np.arange(x.size))

    @property
    def phase_rad(self) -> FloatArray:
        """Precession phase ψ = atan2(−S_r, S_s)."""
        return np.asarray(np.arctan2(-self.spin[0], self.spin[1]))

    def select(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Muons:
        """Return some of the muons."""
        return Muons(
            self.x_mm[chosen],
            self.x_slope[chosen],
            self.y_mm[chosen],
            self.y_slope[chosen],
            self.delta[chosen],
            self.time_us[chosen],
            self.spin[:, chosen],
            self.ident[chosen],
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Muons]) -> Muons:
        """Return the muons of several sets in order."""
        return cls(
            np.concatenate([p.x_mm for p in parts]),
            np.concatenate([p.x_slope for p in parts]),
            np.concatenate([p.y_mm for p in parts]),
            np.concatenate([p.y_slope for p in parts]),
            np.concatenate([p.delta for p in parts]),
            np.concatenate([p.time_us for p in parts]),
            np.concatenate([p.spin for p in parts], axis=1),
            np.concatenate([p.ident for p in parts]),
        )


@dataclass(frozen=True)
class Ring:
    """A ring with everything that acts on a muon.

    Attributes
    ----------
    kicker
        ``None``: no kick (a beam already stored).
    collimators
        ``black`` kills, ``copper`` takes energy and scatters, ``open`` does nothing.
    edm_eta
        η of d = η eħ/(4mc).
    observers
        Planes where positions are recorded every turn.
    """

    geometry: Geometry = field(default_factory=load_geometry)
    electric: ElectricField = field(default_factory=ElectricField)
    kicker: KickerField | None = None
    magnet: MagneticMultipoles | None = None
    collimators: Literal["black", "copper", "open"] = "black"
    observers: tuple[Observer, ...] = (Observer("start", 0.0),)
    scheme: Scheme = field(default_factory=Scheme)
    anomaly: float = ANOMALY
    edm_eta: float = 0.0

    @property
    def u_magic(self) -> float:
        """p_magic/(mc)."""
        return 1.0 / math.sqrt(self.anomaly)

    @property
    def b0_per_m(self) -> float:
        """qB₀/(mc) [1/m]."""
        return self.u_magic / (self.geometry.radius_mm * 1e-3)

    @property
    def field_t(self) -> float:
        """B₀ [T]."""
        return magic_field(self.geometry.radius_mm, self.anomaly)

    @property
    def omega_a(self) -> float:
        """a e B₀/m [rad/µs], without electric field and pitch."""
        return float(anomalous_frequency(self.field_t, self.anomaly))

    @property
    def period_us(self) -> float:
        """Revolution period of the magic momentum on the central orbit [µs]."""
        gamma = magic_gamma(self.anomaly)
        return 2.0 * math.pi * self.geometry.radius_mm * 1e-3 * gamma / (self.u_magic * _C_M_PER_US)

    def program(self) -> Program:
        """Return the steps of one turn."""
        return Program.build(
            self.geometry,
            scheme=self.scheme,
            observers=self.observers,
            magnet=self.magnet,
            kickers=self.kicker is not None,
            collimators=self.collimators != "open",
        )

    def optics(self, time_us: FloatArray | float = np.inf, points: int = 360) -> LinearOptics:
        """Return the linear optics at one or several times (default: the final voltages)."""
        sections = self.electric.sections(self.geometry, time_us, self.anomaly)
        return linear_optics(sections, radius_mm=self.geometry.radius_mm, points=points)

    def lattice(self, points: int = 360) -> Lattice:
        """Return the lattice in azimuth and time; one time where the voltages are constant."""
        final = self.optics(points=points)
        if self.electric.history.is_constant:
            return Lattice.from_optics(final, final, np.zeros(1))
        return Lattice.from_optics(self.optics(LATTICE_TIMES_US, points), final, LATTICE_TIMES_US)


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


def build_physics(ring: Ring, seed: int = 0) -> Physics:
    """Return the constants of a run for the engine."""
    geometry = ring.geometry
    copper = ring.collimators == "copper"
    loss = geometry.collimator_thickness_mm * geometry.copper_loss_mev_per_mm / MUON_MASS_MEV
    lengths = geometry.collimator_thickness_mm / geometry.copper_radiation_length_mm
    p_mev = ring.u_magic * MUON_MASS_MEV
    scatter = 13.6 / p_mev * math.sqrt(lengths) * (1.0 + 0.038 * math.log(lengths))
    return Physics(
        b0=ring.b0_per_m,
        radius=geometry.radius_mm * 1e-3,
        anomaly=ring.anomaly,
        eta=ring.edm_eta,
        switch=1.0 + ring.electric.switch(geometry),
        u_magic=ring.u_magic,
        energy_loss=loss if copper else 0.0,
        scatter=scatter if copper else 0.0,
        exit2=0.06**2,
        seed=key_words(seed, "collimator scattering", words=1)[0],
    )


def build_fields(ring: Ring, program: Program, first_turn: int, turns: int) -> Fields:
    """Return the field tables of a stretch of turns; one row where nothing changes."""
    geometry = ring.geometry
    kicks = len(geometry.kickers)
    changing = not ring.electric.history.is_constant
    eddy_on = ring.kicker is not None and ring.kicker.eddy.amplitude_ppm != 0.0
    injecting = ring.kicker is not None and first_turn == 0 and ring.electric.multipoles != "none"
    rows = turns if changing or eddy_on or injecting else 1
    n = first_turn + np.arange(rows)
    period = ring.period_us
    plates = geometry.plates
    if changing:
        parts = [
            [
                part[:, i]
                for part in ring.electric.potential(
                    geometry, np.asarray(period * (n + centre), dtype=np.float64), ring.anomaly
                )
            ]
            for i, centre in enumerate(0.5 * (p.begin + p.end) / (2.0 * math.pi) for p in plates)
        ]
        quad, normal, skew = (np.stack([p[k] for p in parts], axis=1) for k in range(3))
    else:
        one = ring.electric.potential(geometry, np.array([math.inf]), ring.anomaly)
        quad, normal, skew = (np.repeat(part, rows, axis=0) for part in one)
    if injecting:
        # On its first pass the beam is outside the plates, where the expansion at 45 mm has no meaning.
        normal[0], skew[0] = 0.0, 0.0
    used = (np.abs(normal) + np.abs(skew)).max(axis=0) > 0.0
    order = np.array([int(np.max(np.nonzero(u)[0])) if u.any() else 0 for u in used], dtype=np.int64)
    if ring.kicker is not None:
        shape = ring.kicker.shape()
        centres = np.array([k.centre for k in geometry.kickers])
        peak = ring.kicker.timings(geometry) + centres / (2.0 * math.pi) * period
        angles = ring.kicker.angles(geometry)
        pulse, start = shape.value, float(shape.time_us[0])
        step = float(shape.time_us[1] - shape.time_us[0])
        eddy = np.zeros((rows, kicks))
        if eddy_on:
            tail, arcs = ring.kicker.eddy, np.array([k.end - k.begin for k in geometry.kickers])
            decay = np.exp(-period * n / tail.time_constant_us)
            eddy = -1e-6 * tail.amplitude_ppm * decay[:, None] * arcs
    else:
        peak, angles, pulse, start, step = np.zeros(kicks), np.zeros(kicks), np.zeros(2), 0.0, 1.0
        eddy = np.zeros((rows, kicks))
    kick_map = ring.kicker.transverse_map if ring.kicker is not None else "full"
    scale = (MULTIPOLE_RADIUS_MM * 1e-3) ** -np.arange(program.multipoles[0].shape[1], dtype=float)
    return Fields(
        quad=np.ascontiguousarray(quad),
        normal=np.ascontiguousarray(normal),
        skew=np.ascontiguousarray(skew),
        order=order,
        kick_angle=angles,
        kick_tau=peak * _C_M_PER_US,
        pulse=np.ascontiguousarray(pulse),
        pulse_start=start * _C_M_PER_US,
        pulse_step=step * _C_M_PER_US,
        eddy=eddy,
        kick_map=np.array(kicker_module.TRANSVERSE_MAP if kick_map != "uniform" else (0.0, 0.0, 0.0)),
        kick_vertical=0.0 if kick_map == "radial" else 1.0,
        kick_radius=kicker_module.MAP_RADIUS_MM * 1e-3,
        mag_normal=program.multipoles[0] * scale,
        mag_skew=program.multipoles[1] * scale,
        collimator2=np.array([(c.radius_mm * 1e-3) ** 2 for c in geometry.collimators]),
    )


def to_blocks(ring: Ring, muons: Muons) -> tuple[FloatArray, NDArray[np.int64]]:
    """Return (blocks, counts) of muons in the kernel's units."""
    size = len(muons)
    count = max(1, -(-size // WIDTH))
    rows = np.zeros((ROWS, count * WIDTH))
    u = ring.u_magic * (1.0 + muons.delta)
    forward = u / np.sqrt(1.0 + muons.x_slope**2 + muons.y_slope**2)
    values = (
        muons.x_mm * 1e-3,
        forward * muons.x_slope,
        muons.y_mm * 1e-3,
        forward * muons.y_slope,
        muons.time_us * _C_M_PER_US,
        np.sqrt(1.0 + u * u),
        *muons.spin,
    )
    for row, value in enumerate(values):
        rows[row, :size] = value
    rows[5, size:] = math.sqrt(1.0 + ring.u_magic**2)
    rows[7, size:] = 1.0
    blocks = np.ascontiguousarray(rows.reshape(ROWS, count, WIDTH).transpose(1, 0, 2)).reshape(count, ROWS * WIDTH)
    for block in blocks:
        refresh(block, WIDTH)
    counts = np.minimum(WIDTH, size - WIDTH * np.arange(count)).astype(np.int64)
    return blocks, counts


def from_blocks(ring: Ring, blocks: FloatArray, size: int, ident: NDArray[np.int64]) -> Muons:
    """Return the first ``size`` muons of blocks in package units."""
    rows = blocks.reshape(-1, ROWS, WIDTH).transpose(1, 0, 2).reshape(ROWS, -1)[:, :size]
    u = np.sqrt(rows[5] ** 2 - 1.0)
    forward = np.sqrt(u**2 - rows[1] ** 2 - rows[3] ** 2)
    return Muons(
        rows[0] * 1e3,
        rows[1] / forward,
        rows[2] * 1e3,
        rows[3] / forward,
        u / ring.u_magic - 1.0,
        rows[4] / _C_M_PER_US,
        rows[6:9].copy(),
        ident,
    )


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
