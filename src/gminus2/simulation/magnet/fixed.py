"""Readings of the 378 fixed probes, made chunk by chunk so that memory does not grow with the length of a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gminus2.config.field import WorldSection
from gminus2.physics.nmr import F_LO_HZ, HZ_PER_PPB
from gminus2.physics.probes import N_FIXED_PROBES, fixed_probe_basis, probe_station, station_azimuths_deg
from gminus2.random import stream
from gminus2.simulation.magnet.world import MagnetWorld

__all__ = ["SimulatedFixed", "TrolleyPath", "blinded"]

FloatArray = NDArray[np.float64]
_CHUNK: Final = 4096
_SLOW_S: Final = 60.0
#: The trolley's image in a station: zero beyond this distance, centred a little behind the station [deg].
_IMAGE_DEG: Final = 11.0
_IMAGE_CENTRE_DEG: Final = -1.5


def blinded(frequency_hz: NDArray[np.floating], offset: float) -> NDArray[np.float64]:
    """Return recorded offsets from the local oscillator where every absolute frequency is multiplied by 1 + offset."""
    return np.asarray((F_LO_HZ + np.asarray(frequency_hz, dtype=np.float64)) * (1.0 + offset) - F_LO_HZ)


@dataclass(frozen=True)
class TrolleyPath:
    """Where the trolley is: azimuth [deg] on a time grid [s] for one run."""

    time_s: FloatArray
    azimuth_deg: FloatArray


@njit(cache=True, nogil=True)
def _readings(
    out: NDArray[np.float32],
    time: NDArray[np.float64],
    fast: NDArray[np.float64],
    slow: NDArray[np.float32],
    slow_start: int,
    static: NDArray[np.float64],
    sigma: NDArray[np.float32],
    dipole: NDArray[np.float64],
    trolley: NDArray[np.float64],
    station: NDArray[np.int64],
    azimuth: NDArray[np.float64],
    image: NDArray[np.float64],
    offset: float,
) -> None:  # pragma: no cover - compiled
    """Add everything to the normals already in ``out``."""
    f_lo = 61.74e6
    for n in range(time.size):
        position = time[n] / 60.0
        k = int(position)
        w = position - k
        k -= slow_start
        inside = not np.isnan(trolley[n])
        for p in range(out.shape[1]):
            f = static[p] + fast[n] * dipole[p] + slow[k, p] * (1 - w) + slow[k + 1, p] * w + out[n, p] * sigma[p]
            if inside:
                distance = (trolley[n] - azimuth[station[p]] + 1.5 + 540.0) % 360.0 - 180.0
                if abs(distance) < 11.0:
                    f += image[p] * np.cos(np.pi / 2 * distance / 11.0) ** 2
            out[n, p] = np.float32((f_lo + f) * (1.0 + offset) - f_lo)


@dataclass(frozen=True)
class SimulatedFixed:
    """A source of fixed-probe readings (:class:`gminus2.data.nmr.FixedSource`) of a simulated dataset."""

    world: MagnetWorld
    settings: WorldSection
    seed: int
    index: int
    offset: float
    paths: tuple[TrolleyPath, ...]

    def _trolley(self, time: FloatArray) -> FloatArray:
        where = np.full(len(time), np.nan)
        for path in self.paths:
            during = (time >= path.time_s[0]) & (time <= path.time_s[-1])
            if during.any():
                where[during] = np.interp(time[during], path.time_s, path.azimuth_deg)
        return where

    def chunks(self) -> Iterator[tuple[FloatArray, NDArray[np.float32]]]:
        """Yield (time [s], recorded frequency [Hz]); dead probes and lost readings are NaN."""
        basis = fixed_probe_basis()
        station = probe_station()
        slow = np.einsum("tpi,pi->tp", self.world.station_changes()[:, station, :], basis, optimize=True).astype(
            np.float32
        )
        rng = stream(self.seed, "field", "fixed-probes")  # the probes are the same in every dataset
        static = self.world.static_mean[0] + rng.normal(size=N_FIXED_PROBES) * 400.0
        sigma = self.settings.fixed_noise_ppb * HZ_PER_PPB * np.exp(0.35 * rng.normal(size=N_FIXED_PROBES))
        image = self.settings.footprint_hz * rng.uniform(0.5, 1.5, N_FIXED_PROBES)
        dead = rng.choice(N_FIXED_PROBES, self.settings.dead_probes, replace=False)
        step = self.settings.fixed_cycle_s
        n_total = int(self.world.duration_s / step)
        for chunk, first in enumerate(range(0, n_total, _CHUNK)):
            n = min(_CHUNK, n_total - first)
            time: FloatArray = np.asarray((first + np.arange(n)) * step, dtype=np.float64)
            draw = stream(self.seed, "field", "fixed", self.index, chunk)
            out = draw.standard_normal((n, N_FIXED_PROBES), dtype=np.float32)
            slow_start = int(time[0] / _SLOW_S)
            _readings(
                out,
                time,
                self.world.fast(time),
                slow[slow_start : int(time[-1] / _SLOW_S) + 2],
                slow_start,
                static,
                sigma.astype(np.float32),
                np.ascontiguousarray(basis[:, 0]),
                self._trolley(time),
                station,
                station_azimuths_deg(),
                image,
                self.offset,
            )
            n_spike = draw.poisson(self.settings.spike_fraction * out.size)
            rows, columns = draw.integers(0, n, n_spike), draw.integers(0, N_FIXED_PROBES, n_spike)
            out[rows, columns] += (draw.choice([-1, 1], n_spike) * draw.uniform(20, 5000, n_spike)).astype(np.float32)
            out[rows[: n_spike // 5], columns[: n_spike // 5]] = np.nan
            out[:, dead] = np.nan
            yield time, out
