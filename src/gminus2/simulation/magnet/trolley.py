"""Trolley runs: 17 probes carried around the ring, as frequencies or down to every digitized FID."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gminus2.config.field import FieldSection
from gminus2.data.nmr import TrolleyFids, TrolleyRun
from gminus2.physics.multipoles import MOMENTS, basis
from gminus2.physics.nmr import F_PROTON_HZ, RecordFormat, crlb, probe_sample, record_format
from gminus2.physics.probes import N_TROLLEY_PROBES, trolley_positions_mm
from gminus2.random import stream
from gminus2.simulation.magnet.fid import EnvelopeTable, envelope_table, simulate_fids
from gminus2.simulation.magnet.fixed import TrolleyPath, blinded
from gminus2.simulation.magnet.truth import InstrumentTruth
from gminus2.simulation.magnet.world import MagnetWorld

__all__ = ["RunConditions", "SimulatedFids", "simulate_trolley_run", "trolley_path"]

FloatArray = NDArray[np.float64]
#: Classes of gradient [Hz/mm] and curvature [Hz/mm²] for which envelopes are tabulated.
_GRADIENTS: Final = np.array([0.0, 1.0, 2.0, 4.0, 6.0, 9.0, 13.0, 20.0])
_CURVATURES: Final = np.array([-0.12, -0.04, -0.01, 0.0, 0.01, 0.04, 0.12])


@dataclass(frozen=True)
class RunConditions:
    """What the analysis does not know about a run: the temperature of its sensors is known, the position is not."""

    start_s: float
    temperature_c: float


def trolley_path(section: FieldSection, start_s: float) -> TrolleyPath:
    """Return the trolley's azimuth on its readings: once around, and back where the return pass is used."""
    n = section.trolley.azimuths
    forward = (np.arange(n) + 0.5) * 360.0 / n
    azimuth = np.concatenate([forward, forward[::-1]]) if section.trolley.return_pass else forward
    time = start_s + (np.arange(len(azimuth)) + 0.5) * section.trolley.pass_s / n
    return TrolleyPath(time, azimuth)


@dataclass(frozen=True)
class SimulatedFids:
    """The FIDs of a run, made batch by batch (:class:`gminus2.data.nmr.FidSource`)."""

    record: RecordFormat
    table: EnvelopeTable
    f_hz: FloatArray
    kind: NDArray[np.int64]
    silent: NDArray[np.bool_]
    seed: int
    key: tuple[int | str, ...]

    @property
    def n_fid(self) -> int:
        """Number of FIDs."""
        return len(self.f_hz)

    def batch(self, first: int, last: int) -> NDArray[np.int16]:
        """Return records first … last − 1; the noise depends on ``first``, so use a fixed batch length."""
        part = slice(first, last)
        amplitude = np.where(self.silent[part], 10.0, self.record.amplitude_adc)
        return simulate_fids(
            self.record,
            self.table,
            self.f_hz[part],
            seed=self.seed,
            key=("field", "trolley-fid", *self.key, first),
            kind=self.kind[part],
            amplitude_adc=amplitude,
        )


def simulate_trolley_run(
    section: FieldSection,
    world: MagnetWorld,
    instrument: InstrumentTruth,
    run: RunConditions,
    seed: int,
    key: tuple[int | str, ...],
    *,
    offset: float,
) -> TrolleyRun | TrolleyFids:
    """Simulate a run: readings, or with ``trolley.fid_level`` a source of its digitized FIDs.

    Parameters
    ----------
    key
        Names the run in the random streams.
    offset
        The sealed relative offset of all recorded frequencies.
    """
    path = trolley_path(section, run.start_s)
    rng = stream(seed, "field", "trolley", *key)
    m = world.moments(path.azimuth_deg, path.time_s)
    position = trolley_positions_mm() + instrument.trolley_shift_mm
    true_field = m @ basis(position[:, 0], position[:, 1], MOMENTS).T
    temperature = run.temperature_c + 0.05 * np.cumsum(rng.normal(size=len(m))) / np.sqrt(len(m))
    reading = true_field - instrument.trolley_constant_hz
    reading += (instrument.trolley_slope * (temperature - instrument.calibration_temperature_c) * F_PROTON_HZ)[:, None]
    recorded = blinded(reading, offset)
    azimuth = (path.azimuth_deg + np.degrees(section.trolley.azimuth_sigma_mm * rng.normal() / 7112.0)) % 360.0
    n_bad = rng.poisson(section.trolley.spike_fraction * recorded.size)
    rows, columns = rng.integers(0, len(m), n_bad), rng.integers(0, N_TROLLEY_PROBES, n_bad)
    record = record_format("trolley")
    if section.trolley.fid_level:
        silent = np.zeros(recorded.shape, dtype=bool)
        silent[rows, columns] = True
        table, kind = _class_table(), _classes(world, path)
        source = SimulatedFids(record, table, recorded.ravel(), kind, silent.ravel(), seed, key)
        return TrolleyFids(path.time_s, azimuth, temperature, source)
    tau = np.arange(60e-6, record.t2_ms * 1e-3, 1 / record.fs_hz)
    bound = crlb(tau, np.exp(-tau / (record.t2_ms * 1e-3)), record.snr, section.analysis.model)
    sigma = np.full(recorded.shape, 1.03 * bound)
    f = recorded + sigma * rng.normal(size=recorded.shape)
    good = np.ones(f.shape, dtype=bool)
    # Bad readings: half lost and known to be, half wild and not.
    lost = np.arange(n_bad) % 2 == 0
    f[rows[lost], columns[lost]] = np.nan
    good[rows[lost], columns[lost]] = False
    wild = int((~lost).sum())
    f[rows[~lost], columns[~lost]] += rng.choice([-1, 1], wild) * rng.uniform(30, 3000, wild)
    return TrolleyRun(path.time_s, azimuth, temperature, f, sigma, good)


@cache
def _class_table() -> EnvelopeTable:
    """Return the trolley's envelopes for all classes of local gradient and curvature along the sample."""
    gradients, curvatures = np.meshgrid(_GRADIENTS, _CURVATURES, indexing="ij")
    sample = probe_sample("trolley", slices=81)
    return envelope_table(record_format("trolley"), sample, gradients.ravel(), curvatures.ravel())


def _classes(world: MagnetWorld, path: TrolleyPath) -> NDArray[Any]:
    """Return the class of every FID of a run."""
    first, second = world.dipole_derivatives(path.azimuth_deg)
    # A reflected sample has the same envelope: only the size of the gradient counts.
    row = np.abs(np.abs(first)[:, None] - _GRADIENTS).argmin(axis=1)
    column = np.abs(second[:, None] - _CURVATURES).argmin(axis=1)
    return np.asarray(np.repeat(row * len(_CURVATURES) + column, N_TROLLEY_PROBES))
