"""One dataset ready to be simulated: hits of any range of its fills on request, the same whoever asks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gminus2.config.campaign import Campaign, DatasetConfig
from gminus2.data.hits import LASER_DTYPE, TIME_UNIT_US, TRACK_DTYPE, HitBlock
from gminus2.detectors.clock import Clock
from gminus2.errors import ConfigError
from gminus2.physics.decay import michel_quantile_table
from gminus2.random import key_words, stream
from gminus2.simulation.beams import stored_beam
from gminus2.simulation.fills import TRUTH_SUMS, FillSettings, simulate_fills
from gminus2.simulation.muons import POOL_SUMS, MuonSource
from gminus2.simulation.pool import FieldMultipoles, MuonPool
from gminus2.simulation.truth import Nature

__all__ = ["LASER_FIRST_US", "SUPERCYCLE", "DatasetSimulation", "muons_per_supercycle", "prepare_dataset"]

#: Fills of one accelerator supercycle: two batches of eight bunches.
SUPERCYCLE: Final = 16
#: First in-fill laser pulse of a fill.
LASER_FIRST_US: Final = 5.0


@dataclass
class DatasetSimulation:
    """A dataset's muons, detectors and random keys. Call :meth:`block` from any number of threads.

    Fills of one supercycle share its muons: each is used at most ``decays_per_muon`` times, give or take the
    fluctuation of the intensity.
    """

    campaign: Campaign
    index: int
    nature: Nature
    muons: MuonSource
    settings: FillSettings
    f_a_mhz: float

    @property
    def config(self) -> DatasetConfig:
        """The dataset's section of the campaign file."""
        return self.campaign.datasets[self.index]

    @cached_property
    def pool(self) -> MuonPool:
        """A sample of ``pool_muons`` muons of the same beam, for work that needs no fills."""
        return self.muons.pool(self.campaign.pool_muons)

    def fill_table(self, first: int, count: int) -> dict[str, NDArray[Any]]:
        """Return the numbers of stored muons, first rows, temperatures and laser shots of fills; any range agrees."""
        cycles = range(first // SUPERCYCLE, (first + count - 1) // SUPERCYCLE + 1)
        parts = [self._cycle(cycle) for cycle in cycles]
        skip = first - cycles[0] * SUPERCYCLE
        return {name: np.concatenate([p[name] for p in parts])[skip : skip + count] for name in parts[0]}

    def _cycle(self, cycle: int) -> dict[str, NDArray[Any]]:
        data, detector, effects = self.config, self.campaign.detector, self.campaign.effects
        generator = stream(self.campaign.seed, "fills", self.index, cycle)
        luck = generator.standard_normal(SUPERCYCLE)
        rms = data.intensity_rms
        # Lognormal: positive, mean 1.
        width = math.sqrt(math.log1p(rms * rms))
        mean = data.muons_per_fill * effects.rate * np.exp(width * luck - 0.5 * width * width)
        muons = generator.poisson(mean)
        fill = cycle * SUPERCYCLE + np.arange(SUPERCYCLE)
        swing = data.temperature_swing_c * np.sin(2.0 * math.pi * fill / data.temperature_period_fills)
        warm = data.temperature_c - 25.0 + swing
        gain = 1.0 + effects.temperature * detector.gain_per_degree * warm
        every = round(1.0 / detector.laser_infill_fraction) if detector.laser_infill_fraction > 0 else 0
        shift = np.full(SUPERCYCLE, -1.0)
        if every and detector.laser_shots:
            steps = max(1, round(detector.laser_spacing_us / detector.laser_step_us))
            shot = fill % every == every - 1
            shift[shot] = ((fill[shot] // every) % steps) * detector.laser_step_us
        return {
            "muons": muons.astype(np.int64),
            "starts": ((np.cumsum(muons) - muons) % self.muons.count).astype(np.int64),
            "gain": gain,
            "laser_shift_us": shift,
        }

    def block(self, first: int, count: int) -> tuple[HitBlock, NDArray[np.int64]]:
        """Simulate fills ``first … first + count − 1``.

        Returns
        -------
        The hits, and integer truth sums: those of :data:`~gminus2.simulation.fills.TRUTH_SUMS` over the fills, then
        those of :data:`~gminus2.simulation.muons.POOL_SUMS` over the muons of the supercycles that begin in them.
        """
        table = self.fill_table(first, count)
        cycles = range(first // SUPERCYCLE, (first + count - 1) // SUPERCYCLE + 1)
        drawn = [self.muons.rows(cycle) for cycle in cycles]
        own = [sums for cycle, (_, sums) in zip(cycles, drawn, strict=True) if cycle * SUPERCYCLE >= first]
        pool_sums = np.sum(own, axis=0) if own else np.zeros(len(POOL_SUMS), dtype=np.int64)
        rows = drawn[0][0] if len(drawn) == 1 else np.concatenate([part for part, _ in drawn])
        bases = ((np.arange(first, first + count) // SUPERCYCLE) - cycles[0]) * self.muons.count
        total = int(table["muons"].sum())
        largest = int(table["muons"].max(initial=0))
        background = self.settings.background_per_us * self.settings.end_us * 24.0
        capacity = int(largest + 2.0 * background + 24 * self.settings.laser_shots + 1000)
        hit_f, hit_i = np.empty((capacity, 4)), np.empty((capacity, 4), dtype=np.int64)
        order = np.empty(capacity, dtype=np.int64)
        words = np.empty(int(0.6 * total) + count * int(2.0 * background + 400), dtype=np.int64)
        offsets = np.zeros(count + 1, dtype=np.int64)
        tracks = np.empty((int(0.05 * total) + 200, 7), dtype=np.int64)
        shots = int(np.sum(table["laser_shift_us"] >= 0.0)) * 24 * self.settings.laser_shots
        laser = np.empty((shots, 5), dtype=np.int64)
        truth = np.zeros(len(TRUTH_SUMS), dtype=np.int64)
        factors = self.muons.factors
        n_hits, n_tracks, n_laser = simulate_fills(
            self.settings,
            rows,
            factors.functions,
            factors.coefficients,
            factors.step_us,
            first,
            table["muons"],
            bases,
            self.muons.count,
            table["starts"],
            table["gain"],
            table["laser_shift_us"],
            hit_f,
            hit_i,
            order,
            words,
            offsets,
            tracks,
            laser,
            truth,
        )
        if n_hits < 0:
            raise ConfigError("more hits in a fill than expected", where=f"fills {first} … {first + count - 1}")
        track_records = np.empty(n_tracks, dtype=TRACK_DTYPE)
        for k, name in enumerate(("fill", "time", "x", "y", "angle", "p", "station")):
            track_records[name] = tracks[:n_tracks, k]
        laser_records = np.empty(n_laser, dtype=LASER_DTYPE)
        for k, name in enumerate(("fill", "time", "response", "station", "kind")):
            laser_records[name] = laser[:n_laser, k]
        block = HitBlock(
            words=words[:n_hits].copy(),
            offsets=offsets,
            first_fill=first,
            tracks=track_records,
            laser=np.concatenate([laser_records, *self._dedicated(first, count, table["gain"])]),
            dataset=self.config.name,
            attributes={"campaign": self.campaign.name, "simulated": True},
        )
        return block, np.concatenate([truth, pool_sums])

    def _dedicated(self, first: int, count: int, gain: NDArray[np.float64]) -> list[NDArray[Any]]:
        """Return the laser pulses between fills: single ones against drift, double ones at stepped separations."""
        detector, effects = self.campaign.detector, self.campaign.effects
        single, double = detector.laser_outfill_pulses, detector.laser_double_pulses
        parts = []
        for cycle in range(first // SUPERCYCLE, (first + count - 1) // SUPERCYCLE + 1):
            generator = stream(self.campaign.seed, "laser", self.index, cycle)
            noise = generator.standard_normal((2, SUPERCYCLE, 24, max(single, double, 1)))
            low = max(first, cycle * SUPERCYCLE)
            high = min(first + count, (cycle + 1) * SUPERCYCLE)
            fills = np.arange(low, high)
            own = noise[:, fills - cycle * SUPERCYCLE]
            relative = gain[fills - first][:, None, None]
            steps = 64
            delay_us = 2.5e-3 * (fills % steps + 0.5)
            drop = (
                effects.double_pulse
                * detector.double_pulse_per_gev
                * 1e-3
                * detector.laser_energy_mev
                * np.exp(-delay_us / (1e-3 * detector.double_pulse_recovery_ns))
            )
            for kind, pulses, response in (
                (0, single, relative * (1.0 + detector.laser_resolution * own[0, :, :, :single])),
                (2, double, (1.0 - drop[:, None, None]) * (1.0 + detector.laser_resolution * own[1, :, :, :double])),
            ):
                if not pulses:
                    continue
                records = np.zeros((fills.size, 24, pulses), dtype=LASER_DTYPE)
                records["fill"] = fills[:, None, None]
                records["station"] = np.arange(24)[None, :, None]
                records["kind"] = kind
                records["response"] = np.rint(1e6 * response).astype(np.int32)
                if kind == 2:
                    records["time"] = np.floor(delay_us / TIME_UNIT_US).astype(np.uint32)[:, None, None]
                parts.append(records.ravel())
        return parts


def muons_per_supercycle(campaign: Campaign, data: DatasetConfig) -> int:
    """Return how many muons the fills of a supercycle share; at most ``pool_muons``, so that memory stays bounded."""
    decays = SUPERCYCLE * data.muons_per_fill * campaign.effects.rate
    return max(1, min(campaign.pool_muons, math.ceil(decays / campaign.decays_per_muon)))


def prepare_dataset(campaign: Campaign, index: int, nature: Nature, folder: Path | None = None) -> DatasetSimulation:
    """Build the source of muons and the detector settings of a dataset."""
    data, detector, effects = campaign.datasets[index], campaign.detector, campaign.effects
    f_a = nature.f_a_mhz(data.field.omega_p_shielded_mhz)
    beam = stored_beam(data.beam, effects, seed=campaign.seed, dataset=index, folder=folder)
    field = FieldMultipoles(data.field.normal_ppm, data.field.skew_ppm) if effects.field_multipoles else None
    muons = MuonSource.of(
        beam,
        data.beam,
        effects,
        seed=campaign.seed,
        dataset=index,
        count=muons_per_supercycle(campaign, data),
        omega_a=2.0 * math.pi * f_a,
        field=field,
    )
    key = int(key_words(campaign.seed, "events", index)[0])
    around = 1.0 + 0.33 * np.sin(2.0 * math.pi * np.arange(24) / 24.0)
    tilt = 1e-3 * effects.edm_tilt_mrad
    settings = FillSettings(
        key_low=key & 0xFFFFFFFF,
        key_high=key >> 32,
        field_scale=1.0,
        polarisation=muons.polarisation,
        sin_tilt=math.sin(tilt),
        cos_tilt=math.cos(tilt),
        end_us=campaign.end_us,
        ticks_per_us=Clock(nature.clock_offset).ticks_per_us,
        threshold_mev=detector.threshold_mev,
        resolution_constant=detector.resolution_constant,
        resolution_stochastic=detector.resolution_stochastic,
        time_resolution_us=1e-3 * detector.time_resolution_ns,
        position_resolution_mm=detector.position_resolution_mm,
        flash_amplitude=effects.gain_infill * detector.flash_gain_drop * around,
        flash_decay_us=detector.flash_recovery_us,
        sag_per_mev=1e-3 * effects.gain_rate * detector.sag_per_gev,
        sag_recovery_us=detector.sag_recovery_us,
        double_pulse_per_gev=effects.double_pulse * detector.double_pulse_per_gev,
        double_pulse_recovery_us=1e-3 * detector.double_pulse_recovery_ns,
        mip_energy_mev=detector.mip_energy_mev,
        mip_width=detector.mip_width,
        mip_spacing_us=6.21e-3,
        background_per_us=effects.background * detector.background_per_us,
        background_energy_mev=detector.background_energy_mev,
        laser_energy_mev=detector.laser_energy_mev,
        laser_resolution=detector.laser_resolution,
        laser_first_us=LASER_FIRST_US,
        laser_spacing_us=detector.laser_spacing_us,
        laser_shots=detector.laser_shots,
        tracker_x_mm=detector.tracker_x_mm,
        tracker_y_mm=detector.tracker_y_mm,
        tracker_angle_rad=1e-3 * detector.tracker_angle_mrad,
        tracker_momentum=detector.tracker_momentum,
        tracker_efficiency=detector.tracker_efficiency,
        truth_threshold_mev=campaign.reduction.threshold_mev,
        truth_start_us=30.0,
        bunch_offset_us=1e-3 * np.array([b.offset_ns for b in data.beam.bunches]),
        bunch_scale=np.array([b.scale for b in data.beam.bunches]),
        quantiles=michel_quantile_table(),
    )
    return DatasetSimulation(campaign, index, nature, muons, settings, f_a)
