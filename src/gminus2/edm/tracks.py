"""Positron tracks of a station: decays drawn from the spin library, through acceptance and resolution.

A track is (time, momentum, vertical angle), as a tracker measures it at the decay vertex. The time is that of the
decay, the angle p_y/p_T upwards. Decay kinematics: :mod:`gminus2.physics.decay`; which tracks cross enough modules:
:mod:`gminus2.detectors.tracker`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gminus2.constants import MAGIC_MOMENTUM_MEV, RING_RADIUS_MM
from gminus2.data import Provenance, StoredArray, StoredArrays, read_arrays, write_arrays
from gminus2.detectors.tracker import crosses_modules
from gminus2.edm.library import FACE_RAD, SpinLibrary
from gminus2.errors import DataError, PhysicsError
from gminus2.physics.decay import michel_quantile_table, positron
from gminus2.random import stream

__all__ = ["TrackerModel", "Tracks", "draw_tracks", "imposed_spin_tracks"]

Array = NDArray[np.float64]

#: Decays per chunk; the stream of a chunk is keyed by its index, so samples of any size share their beginning.
CHUNK: Final = 200_000
_CELLS: Final = 4096


@dataclass(frozen=True)
class TrackerModel:
    """What the tracker does to a positron.

    Attributes
    ----------
    angle_resolution_rad, momentum_resolution
        Standard deviations; the second is relative.
    roll_rad
        Rotation of the station about the beam: mixes the radial angle into the vertical one, like an EDM.
    polarisation
        Of the stored beam.
    """

    angle_resolution_rad: float = 1.0e-3
    momentum_resolution: float = 0.02
    roll_rad: float = 0.0
    polarisation: float = 0.95


@dataclass(frozen=True)
class Tracks:
    """Reconstructed tracks: time [µs], momentum [MeV], vertical (up) and radial (out) angle [rad]; shape (n,).

    Raises
    ------
    DataError
        Unequal lengths, or values that are not finite.
    """

    time_us: Array
    momentum_mev: Array
    angle_rad: Array
    radial_rad: Array

    def __post_init__(self) -> None:
        columns = {
            "time": self.time_us,
            "momentum": self.momentum_mev,
            "angle": self.angle_rad,
            "radial": self.radial_rad,
        }
        for name, values in columns.items():
            if values.shape != self.time_us.shape:
                raise DataError(f"'{name}' of the tracks has another length", expected=str(len(self)))
            if not np.isfinite(values).all():
                raise DataError(
                    f"'{name}' of a track is not finite", where=f"track {int(np.argmin(np.isfinite(values)))}"
                )

    def __len__(self) -> int:
        return int(self.time_us.size)

    def first(self, count: int) -> Tracks:
        """Return the first ``count`` tracks."""
        return Tracks(*(v[:count] for v in (self.time_us, self.momentum_mev, self.angle_rad, self.radial_rad)))

    def write(self, path: Path, provenance: Provenance) -> None:
        """Write to HDF5 (kind ``edm-tracks``)."""
        arrays = {
            "time_us": StoredArray(self.time_us, "us", "time of the decay vertex"),
            "momentum_mev": StoredArray(self.momentum_mev, "MeV", "momentum"),
            "angle_rad": StoredArray(self.angle_rad, "rad", "vertical angle, upwards"),
            "radial_rad": StoredArray(self.radial_rad, "rad", "radial angle, outwards"),
        }
        write_arrays(path, StoredArrays("edm-tracks", arrays, {}, provenance))

    @classmethod
    def read(cls, path: Path) -> Tracks:
        """Read tracks written by :meth:`write`."""
        stored = read_arrays(path, "edm-tracks")
        return cls(*(np.asarray(stored[name]) for name in ("time_us", "momentum_mev", "angle_rad", "radial_rad")))

    @classmethod
    def joined(cls, parts: Iterable[Tracks]) -> Tracks:
        """Return several sets as one."""
        found = list(parts)
        return cls(
            np.concatenate([p.time_us for p in found]),
            np.concatenate([p.momentum_mev for p in found]),
            np.concatenate([p.angle_rad for p in found]),
            np.concatenate([p.radial_rad for p in found]),
        )


@cache
def _michel() -> Array:
    return michel_quantile_table(_CELLS)


@njit(cache=True, nogil=True)
def _decays(states, rows, columns, uniforms, table, polarisation, roll, face, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (4, n) with the true values of accepted tracks from given library entries; return their number."""
    scale = RING_RADIUS_MM / MAGIC_MOMENTUM_MEV
    kept = 0
    for i in range(rows.size):
        state = states[rows[i], columns[i]]
        s_r, s_s, s_y = state[7], state[8], state[9]
        flat = math.sqrt(s_r * s_r + s_s * s_s)
        at = uniforms[0, i] * _CELLS
        cell = min(int(at), _CELLS - 1)
        x = table[cell] + (at - cell) * (table[cell + 1] - table[cell])
        energy, p_r, p_s, p_y = positron(
            x,
            uniforms[1, i],
            uniforms[2, i],
            -s_r / flat,
            s_s / flat,
            s_y,
            flat,
            polarisation,
            state[6],
            state[4],
            state[5],
        )
        if p_s <= 0.0 or energy < 300.0:
            continue
        p_t = math.sqrt(p_r * p_r + p_s * p_s)
        rho = p_t * scale
        radius = RING_RADIUS_MM + state[2]
        c_x = radius - rho * p_s / p_t
        c_y = rho * p_r / p_t
        slope = p_y / p_t
        if not crosses_modules(state[1], face, radius, c_x, c_y, rho, state[3], slope):
            continue
        # Upwards is −y; the radial angle turns into the vertical one when the station is rolled.
        out[0, kept] = state[0]
        out[1, kept] = energy
        out[2, kept] = -slope + roll * p_r / p_t
        out[3, kept] = p_r / p_t
        kept += 1
    return kept


def _sample(states: Array, rows: NDArray[np.int64], tracker: TrackerModel, generator: np.random.Generator) -> Tracks:
    n = rows.size
    out = np.empty((4, n))
    kept = _decays(
        states,
        rows,
        generator.integers(0, states.shape[1], n),
        generator.random((3, n)),
        _michel(),
        tracker.polarisation,
        tracker.roll_rad,
        FACE_RAD,
        out,
    )
    smear = generator.standard_normal((3, kept))
    return Tracks(
        out[0, :kept].copy(),
        out[1, :kept] * (1.0 + tracker.momentum_resolution * smear[0]),
        out[2, :kept] + tracker.angle_resolution_rad * smear[1],
        out[3, :kept] + tracker.angle_resolution_rad * smear[2],
    )


def draw_tracks(
    library: SpinLibrary, count: int, *, tracker: TrackerModel | None = None, seed: int = 1, stream_name: str = "data"
) -> Iterator[Tracks]:
    """Yield chunks of tracks, ``count`` in all, of decays at e^(−t/γτ) from a spin library.

    Parameters
    ----------
    stream_name
        Keeps independent samples of one seed apart (``("edm", stream_name, chunk)``).

    Raises
    ------
    PhysicsError
        No tracks asked for.
    """
    if count < 1:
        raise PhysicsError("at least one track is needed", found=str(count))
    model = tracker or TrackerModel()
    turns = library.states.shape[0]
    ratio = library.period_us / library.lifetime_us
    span = -math.expm1(-turns * ratio)
    missing, chunk = count, 0
    while missing > 0:
        generator = stream(seed, "edm", stream_name, chunk)
        # Turn k with probability ∝ e^(−k T/γτ).
        k = np.floor(-np.log1p(-span * generator.random(CHUNK)) / ratio).astype(np.int64)
        tracks = _sample(library.states, np.minimum(k, turns - 1), model, generator)
        if len(tracks) > missing:
            tracks = tracks.first(missing)
        missing -= len(tracks)
        chunk += 1
        yield tracks


def imposed_spin_tracks(
    library: SpinLibrary, vertical_spin: float, decays: int, *, tracker: TrackerModel | None = None, seed: int = 1
) -> Iterator[Tracks]:
    """Yield tracks of decays whose spin has a given upward component and a horizontal part of random phase.

    The calibration sample of the dilution: positions, slopes and acceptance are those of the library, its spins are
    not used. In place of the time stands the phase ψ [rad] of the horizontal spin.
    """
    if not -1.0 < vertical_spin < 1.0:
        raise PhysicsError("a spin component lies between −1 and 1", found=str(vertical_spin))
    flat = math.sqrt(1.0 - vertical_spin**2)
    for chunk in range(-(-decays // CHUNK)):
        generator = stream(seed, "edm", "dilution", "up" if vertical_spin > 0 else "down", chunk)
        rows = generator.integers(0, library.states.shape[0], CHUNK)
        psi = 2.0 * math.pi * generator.random(library.states.shape[:2])
        states = library.states.copy()
        states[..., 0] = psi
        states[..., 7] = -flat * np.sin(psi)
        states[..., 8] = flat * np.cos(psi)
        states[..., 9] = -vertical_spin
        yield _sample(states, rows, tracker or TrackerModel(), generator)
