"""The modes ``fast`` and ``expected`` of a campaign: one small file per dataset instead of hits and histograms."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from gminus2.config.campaign import Campaign
from gminus2.data import make_provenance
from gminus2.data.campaign import AXES
from gminus2.execution import Executor, map_ordered
from gminus2.simulation.dataset import prepare_dataset
from gminus2.simulation.expected import ExpectedRate, expected_rate, project_acceptance
from gminus2.simulation.fast import FAST_CHUNK, EnergyTable, FastHistogram, energy_table, fast_chunk
from gminus2.simulation.truth import Nature, draw_nature, write_truth

__all__ = ["ModeRun", "simulate_expected", "simulate_fast"]


@dataclass(frozen=True)
class ModeRun:
    """Files by dataset, the sealed truth, events or decays represented, and the time taken."""

    datasets: dict[str, Path]
    truth: Path
    events: int
    seconds: float


def _chunk(
    table: EnergyTable, f_a_mhz: float, lifetime_us: float, seed: int, dataset: int, job: tuple[int, int]
) -> object:
    chunk, events = job
    return fast_chunk(table, events, f_a_mhz=f_a_mhz, lifetime_us=lifetime_us, seed=seed, dataset=dataset, chunk=chunk)


def simulate_fast(
    campaign: Campaign, output: Path, executor: Executor, *, nature: Nature | None = None, quiet: bool = True
) -> ModeRun:
    """Draw time and energy of the positrons of every dataset: ``<dataset>-fast.h5``.

    The frequency is the ensemble's mean ω_a in clock time; there is no beam motion, pileup or gain.
    """
    began = time.monotonic()
    nature = nature or draw_nature(campaign.truth)
    provenance = make_provenance("simulate fast", config=campaign.model_dump(mode="json"), seed=campaign.seed)
    clock = 1.0 + nature.clock_offset
    files: dict[str, Path] = {}
    truth = {}
    total = 0
    for index in campaign.selected():
        data = campaign.datasets[index]
        simulation = prepare_dataset(campaign, index, nature)
        shift = float(simulation.pool.truth["omega_a_shift_ppb"]) * 1e-9
        table = energy_table(
            polarisation=simulation.pool.polarisation,
            spin_phase_rad=data.beam.spin_phase_rad,
            spread_mm=(14.5, data.beam.y_rms_mm),
            resolution_stochastic=campaign.detector.resolution_stochastic,
            resolution_constant=campaign.detector.resolution_constant,
            threshold_mev=campaign.detector.threshold_mev,
            seed=campaign.seed,
        )
        lifetime = float(np.mean(simulation.pool.rows[:, 12]))
        # The fold loses what falls before 0 (1.7 %).
        kept = 0.5 * (1.0 + math.exp(-0.5 / (simulation.f_a_mhz * lifetime)))
        events = round(data.fills * data.muons_per_fill * campaign.effects.rate * table.per_decay / kept)
        jobs = [(k, min(FAST_CHUNK, events - k * FAST_CHUNK)) for k in range(-(-events // FAST_CHUNK))]
        work = partial(
            _chunk, table, simulation.f_a_mhz * (1.0 + shift) / clock, lifetime * clock, campaign.seed, index
        )
        counts = np.zeros((64, int(AXES["n_time"])), dtype=np.uint64)
        for part in map_ordered(executor, work, jobs, title=f"fast {data.name}", quiet=quiet):
            counts += np.asarray(part, dtype=np.uint64)
        files[data.name] = output / f"{data.name}-fast.h5"
        FastHistogram(counts, events).write(files[data.name], provenance)
        truth[data.name] = {"f_a_mhz": simulation.f_a_mhz, "pool": dict(simulation.pool.truth)}
        total += events
    record = output / "truth" / "truth.json"
    write_truth(record, nature, truth, provenance)
    return ModeRun(files, record, total, time.monotonic() - began)


def _expected(campaign: Campaign, nature: Nature, folder: str, index: int) -> tuple[ExpectedRate, dict[str, object]]:
    simulation = prepare_dataset(campaign, index, nature, Path(folder))
    data = simulation.config
    acceptance = project_acceptance(simulation.pool, decays=campaign.expected_decays, seed=campaign.seed)
    rate = expected_rate(
        simulation.pool,
        acceptance,
        muons=campaign.expected_muons,
        decays=data.fills * data.muons_per_fill * campaign.effects.rate,
        clock_offset=nature.clock_offset,
        resolution_stochastic=campaign.detector.resolution_stochastic,
        resolution_constant=campaign.detector.resolution_constant,
    )
    own = simulation.pool.rows[: campaign.expected_muons, 14]
    return rate, {
        "f_a_mhz": simulation.f_a_mhz,
        "pool": dict(simulation.pool.truth),
        "integrated_omega_a_shift_ppb": 1e-3 * float(own.mean()),
    }


def simulate_expected(
    campaign: Campaign,
    output: Path,
    executor: Executor,
    *,
    nature: Nature | None = None,
    folder: Path | None = None,
    quiet: bool = True,
) -> ModeRun:
    """Integrate the rate of every dataset over its ensemble: ``<dataset>-expected.h5``."""
    began = time.monotonic()
    nature = nature or draw_nature(campaign.truth)
    provenance = make_provenance("simulate expected", config=campaign.model_dump(mode="json"), seed=campaign.seed)
    work = partial(_expected, campaign, nature, str(folder or Path()))
    indices = campaign.selected()
    files: dict[str, Path] = {}
    truth = {}
    decays = 0.0
    for index, (rate, record) in zip(
        indices, map_ordered(executor, work, indices, title="expected rate", quiet=quiet), strict=True
    ):
        name = campaign.datasets[index].name
        files[name] = output / f"{name}-expected.h5"
        rate.write(files[name], provenance)
        truth[name] = record
        decays += rate.decays
    path = output / "truth" / "truth.json"
    write_truth(path, nature, truth, provenance)
    return ModeRun(files, path, round(decays), time.monotonic() - began)
