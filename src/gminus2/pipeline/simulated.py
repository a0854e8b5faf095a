"""Run a simulated campaign: batches through an executor, stored as they finish, resumed after a kill.

Layout of the output folder::

    campaign.toml        the campaign as run
    <dataset>.h5         L2 histograms, written when the dataset is complete
    hits/<dataset>-*.h5  L1 hits, on request
    truth/truth.json     what nature chose and what the muons did: for closure and unblinding only
    .work/               finished batches of unfinished datasets
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gminus2 import __version__
from gminus2.config.campaign import Campaign, DatasetConfig
from gminus2.config.starter import starter_toml
from gminus2.data import DATA_MODEL_VERSION, Provenance, make_provenance, write_text
from gminus2.data.campaign import CampaignDataset
from gminus2.data.provenance import content_digest
from gminus2.errors import ConfigError, DataError, StoreError
from gminus2.execution import Executor, Future, make_executor, progress, worker_count
from gminus2.pipeline.batches import Batch, BatchTask, add_batch, reduction_of, run_batch
from gminus2.pipeline.beam_truth import beam_truth
from gminus2.reconstruction.reduction import Reducer
from gminus2.simulation.dataset import LASER_FIRST_US, prepare_dataset
from gminus2.simulation.fills import TRUTH_SUMS
from gminus2.simulation.muons import POOL_SUMS
from gminus2.simulation.truth import Nature, draw_nature, write_truth

__all__ = ["CampaignRun", "DatasetWork", "campaign_executor", "simulate_campaign"]

_WORK: Final = ".work"
#: Decays per muon of a finite ensemble above which its users are warned.
_MAX_USES: Final = 20.0


@dataclass(frozen=True)
class CampaignRun:
    """What a run left behind.

    Attributes
    ----------
    datasets
        Dataset → L2 file.
    truth
        The sealed record.
    decays, hits
        Simulated muon decays and detector hits, in all datasets.
    seconds
        Wall-clock time of this call.
    batches_done, batches_resumed
        Batches made by this call, and found from an earlier one.
    warnings
        What a reader of the datasets must not overlook.
    """

    datasets: dict[str, Path]
    truth: Path
    decays: int
    hits: int
    seconds: float
    batches_done: int
    batches_resumed: int
    warnings: tuple[str, ...] = ()


@contextmanager
def campaign_executor(backend: str, workers: int | None, scheduler: str | None) -> Iterator[tuple[Executor, int]]:
    """Yield an executor by back end, and how many tasks to keep in flight."""
    if scheduler is not None or backend == "dask":
        from gminus2.pipeline.dask import DaskExecutor

        dask = DaskExecutor(scheduler, workers)
        try:
            yield dask, 2 * dask.workers + 1
        finally:
            dask.shutdown()
        return
    with make_executor(backend, workers) as executor:
        yield executor, 1 if backend == "serial" else (workers or worker_count()) + 1


def simulate_campaign(
    campaign: Campaign,
    output: Path,
    *,
    nature: Nature | None = None,
    folder: Path | None = None,
    backend: str = "threads",
    workers: int | None = None,
    scheduler: str | None = None,
    keep_hits: bool = False,
    quiet: bool = True,
) -> CampaignRun:
    """Simulate and reduce a campaign of mode ``events``.

    Parameters
    ----------
    output
        Folder of the results; if it holds a part of the same campaign, that part is kept.
    nature
        The hidden numbers; default: drawn from the campaign's phrase.
    folder
        Where relative paths of the campaign file start.
    backend, workers, scheduler
        ``threads``, ``processes``, ``serial`` or ``dask``; the address of a Dask scheduler.
    keep_hits
        Write the L1 hits too.

    Raises
    ------
    ConfigError
        The folder belongs to another campaign.
    StoreError
        The disk is full or not writable; nothing half-written is left that could pass for a result.
    """
    began = time.monotonic()
    nature = nature or draw_nature(campaign.truth)
    folder = folder or Path()
    json = campaign.model_dump_json()
    digest = content_digest(
        {"campaign": json, "nature": nature.commitment(), "code": __version__, "data_model": DATA_MODEL_VERSION}
    )
    _claim(output, campaign, digest)
    provenance = make_provenance("simulate", config=campaign.model_dump(mode="json"), seed=campaign.seed)
    datasets: dict[str, Path] = {}
    truth: dict[str, dict[str, Any]] = {}
    decays = hits = done = resumed = 0
    total = sum(_batches(campaign.datasets[k], campaign.fills_per_batch) for k in campaign.selected())
    with (
        campaign_executor(backend, workers, scheduler) as (executor, in_flight),
        progress(f"simulate {campaign.name}", total, quiet=quiet) as advance,
    ):
        for index in campaign.selected():
            config = campaign.datasets[index]
            target = output / f"{config.name}.h5"
            collected = DatasetWork(campaign, index, nature, folder, output, digest, provenance, json, keep_hits)
            new, old = collected.run(executor, in_flight, advance)
            collected.finish(target)
            done, resumed = done + new, resumed + old
            datasets[config.name] = target
            truth[config.name] = collected.truth_record()
            decays += int(collected.truth[0])
            hits += collected.reducer.hits
    record = output / "truth" / "truth.json"
    write_truth(record, nature, truth, provenance)
    _tidy(output)
    warnings = tuple(text for name, own in truth.items() if (text := _reuse_warning(name, own)))
    return CampaignRun(datasets, record, decays, hits, time.monotonic() - began, done, resumed, warnings)


def _reuse_warning(name: str, record: Mapping[str, Any]) -> str:
    """Return what to say of a finite ensemble, or nothing."""
    muons = record["pool"].get("ensemble_muons", 0.0)
    uses = record["sums"]["decays"] / muons if muons else 0.0
    if uses <= _MAX_USES:
        return ""
    return (
        f"dataset '{name}': each of the {muons:.0f} muons of the ensemble decays {uses:.0f} times; beam motion that "
        "depends on single muons (fast rotation) fluctuates more than the counts tell"
    )


def _batches(dataset: DatasetConfig, size: int) -> int:
    return -(-dataset.fills // size)


def _claim(output: Path, campaign: Campaign, digest: str) -> None:
    """Mark the folder as this campaign's, or refuse one that holds another's work."""
    mark = output / _WORK / "campaign.digest"
    if mark.exists():
        found = mark.read_text(encoding="utf-8").strip()
        if found != digest:
            raise ConfigError(
                "the folder holds unfinished work of another campaign, seed or version",
                where=str(output),
                hint=f"choose another --output, or remove {output / _WORK}",
            )
    else:
        write_text(mark, digest + "\n")
    write_text(output / "campaign.toml", starter_toml(Campaign, campaign))


def _tidy(output: Path) -> None:
    work = output / _WORK
    for path in work.glob("*"):
        path.unlink(missing_ok=True)
    work.rmdir()


class DatasetWork:
    """The batches of one dataset: what is there, what is missing, and their sum."""

    def __init__(
        self,
        campaign: Campaign,
        index: int,
        nature: Nature,
        folder: Path,
        output: Path,
        digest: str,
        provenance: Provenance,
        json: str,
        keep_hits: bool,
    ) -> None:
        self.campaign, self.index, self.nature, self.folder, self.output = campaign, index, nature, folder, output
        self.digest, self.provenance, self.json, self.keep_hits = digest, provenance, json, keep_hits
        self.config = campaign.datasets[index]
        self.reducer = Reducer(reduction_of(campaign), self.config.fills)
        self.truth: NDArray[np.int64] = np.zeros(len(TRUTH_SUMS) + len(POOL_SUMS), dtype=np.int64)
        self.added: set[int] = set()

    def _path(self, batch: int) -> Path:
        return self.output / _WORK / f"{self.config.name}-{batch:06d}.h5"

    def _hits_path(self, batch: int) -> Path:
        return self.output / "hits" / f"{self.config.name}-{batch:06d}.h5"

    def _tasks(self) -> list[BatchTask]:
        size, fills = self.campaign.fills_per_batch, self.config.fills
        return [
            BatchTask(
                self.json,
                str(self.folder),
                self.index,
                self.nature,
                batch,
                batch * size,
                min(size, fills - batch * size),
                self.keep_hits,
                self.digest,
            )
            for batch in range(_batches(self.config, size))
        ]

    def run(self, executor: Executor, in_flight: int, advance: Any) -> tuple[int, int]:
        """Make what is missing; return (batches made, batches found)."""
        waiting = []
        for task in self._tasks():
            if self._resume(task):
                advance(1)
            else:
                waiting.append(task)
        resumed = len(self.added)
        pending: list[Future] = []
        try:
            while waiting or pending:
                while waiting and len(pending) < in_flight:
                    pending.append(executor.submit(run_batch, waiting.pop(0)))
                finished = next(iter(executor.as_completed(pending)))
                pending.remove(finished)
                batch: Batch = finished.result()
                self._keep(batch)
                advance(1)
        except BaseException:
            for future in pending:
                future.cancel()
            raise
        return len(self.added) - resumed, resumed

    def _resume(self, task: BatchTask) -> bool:
        path = self._path(task.batch)
        if not path.exists() or (self.keep_hits and not self._hits_path(task.batch).exists()):
            return False
        try:
            batch = Batch.read(path)
        except DataError:  # truncated by a full disk or a crash of the machine: make it again
            return False
        if (batch.digest, batch.dataset, batch.batch, batch.fills) != (
            self.digest,
            task.dataset,
            task.batch,
            task.fills,
        ):
            return False
        self._add(batch)
        return True

    def _keep(self, batch: Batch) -> None:
        if batch.block is not None:
            batch.block.write(self._hits_path(batch.batch), self.provenance)
        batch.write(self._path(batch.batch), self.provenance)
        self._add(batch)

    def _add(self, batch: Batch) -> None:
        if batch.batch in self.added:
            raise StoreError("a batch was about to be counted twice", where=f"{self.config.name}, batch {batch.batch}")
        add_batch(self.reducer, batch)
        self.truth = self.truth + batch.truth
        self.added.add(batch.batch)

    def finish(self, target: Path) -> None:
        """Write the dataset's L2 file."""
        self.dataset().write(target)

    def dataset(self) -> CampaignDataset:
        """Return the dataset's L2 histograms.

        Raises
        ------
        StoreError
            Fills are missing.
        """
        if self.reducer.fills != self.config.fills:
            raise StoreError(
                "fills are missing from the dataset",
                where=self.config.name,
                expected=str(self.config.fills),
                found=str(self.reducer.fills),
            )
        return CampaignDataset(
            name=self.config.name,
            fills=self.reducer.fills,
            hits=self.reducer.hits,
            reconstructions=self.reducer.reconstructions,
            shared=self.reducer.shared,
            settings={
                "reduction": self.reducer.settings.model_dump(mode="json"),
                "detector": {
                    "laser_energy_mev": self.campaign.detector.laser_energy_mev,
                    "laser_first_us": LASER_FIRST_US,
                    "laser_step_us": self.campaign.detector.laser_step_us,
                    "tracker_x_mm": self.campaign.detector.tracker_x_mm,
                    "tracker_y_mm": self.campaign.detector.tracker_y_mm,
                    "tracker_angle_mrad": self.campaign.detector.tracker_angle_mrad,
                },
            },
            conditions={
                "campaign": self.campaign.name,
                "simulated": True,
                "field_index": self.config.beam.field_index,
                "quad_kv": self.config.quad_kv,
                "kick_gauss": self.config.kick_gauss,
                "omega_p_shielded_mhz": self.config.field.omega_p_shielded_mhz,
                "temperature_c": self.config.temperature_c,
                "truth_commitment": self.nature.commitment(),
            },
            provenance=self.provenance,
        )

    def truth_record(self) -> dict[str, Any]:
        """Return what the dataset's muons did."""
        simulation = prepare_dataset(self.campaign, self.index, self.nature, self.folder)
        events, muons = self.truth[: len(TRUTH_SUMS)], self.truth[len(TRUTH_SUMS) :]
        sums = dict(zip(TRUTH_SUMS, (int(v) for v in events), strict=True))
        analysed = max(1, sums["analysed"])
        corrections = beam_truth(
            self.config.beam,
            self.campaign.effects,
            seed=self.campaign.seed,
            dataset=self.index,
            folder=self.folder,
            threshold_mev=self.campaign.reduction.threshold_mev,
        )
        return {
            "beam_corrections_ppb": corrections.corrections_ppb,
            "f_a_mhz": simulation.f_a_mhz,
            "pool": simulation.muons.truth(muons),
            "sums": sums,
            "analysed_omega_a_shift_ppb": 1e-3 * sums["analysed_shift_ppt"] / analysed,
            "analysed_delta": 1e-12 * sums["analysed_delta_1e12"] / analysed,
            "lost_fraction": sums["lost"] / max(1, sums["lost"] + sums["decays"]),
        }
