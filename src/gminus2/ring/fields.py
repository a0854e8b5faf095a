"""What the engine reads, made from a ring: constants of a run, field tables by turn, blocks of muons in its units."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gminus2.constants import MUON_MASS_MEV, SPEED_OF_LIGHT_MM_PER_US
from gminus2.random import key_words
from gminus2.ring import kicker as kicker_module
from gminus2.ring.elements import Fields, Physics
from gminus2.ring.kernel import ROWS, WIDTH, refresh
from gminus2.ring.machine import Ring
from gminus2.ring.magnet import MULTIPOLE_RADIUS_MM
from gminus2.ring.muons import Muons
from gminus2.ring.program import Program

__all__ = ["build_fields", "build_physics", "from_blocks", "to_blocks"]

FloatArray = NDArray[np.float64]

_C_M_PER_US: Final = SPEED_OF_LIGHT_MM_PER_US * 1e-3


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
