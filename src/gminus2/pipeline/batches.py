"""Batches of fills: simulate and reduce one, store it, add it up. The unit of work, of resuming and of sending around.

A batch travels as *sparse* arrays (index and value of what is not zero), because the histograms are large and a batch
fills little of them. Everything in it is an integer, so any order of adding gives the same sum.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gminus2.config.campaign import Campaign, Reduction
from gminus2.data import Provenance, StoredArray, StoredArrays, read_arrays, write_arrays
from gminus2.data.hits import HitBlock
from gminus2.errors import DataError
from gminus2.reconstruction.reduction import Reducer
from gminus2.simulation.dataset import SUPERCYCLE, DatasetSimulation, prepare_dataset
from gminus2.simulation.truth import Nature

__all__ = ["Batch", "BatchTask", "add_batch", "reduction_of", "run_batch"]

_KIND: Final = "campaign-batch"
#: Fills simulated and reduced in one go: their hits stay in the processor's cache.
_FILLS_PER_STEP: Final = SUPERCYCLE


@dataclass(frozen=True)
class BatchTask:
    """What a worker needs to make a batch; small and picklable."""

    campaign: str
    folder: str
    dataset: int
    nature: Nature
    batch: int
    first_fill: int
    fills: int
    keep_hits: bool
    digest: str


@dataclass(frozen=True)
class Batch:
    """The result of a task.

    Attributes
    ----------
    arrays
        ``group/name`` → (flat indices, values); an empty index array means that the values are the whole array.
    """

    digest: str
    dataset: int
    batch: int
    fills: int
    hits: int
    truth: NDArray[np.int64]
    arrays: Mapping[str, tuple[NDArray[np.uint32], NDArray[Any]]]
    block: HitBlock | None = None

    def write(self, path: Path, provenance: Provenance) -> None:
        """Write to HDF5 without compression: it is read once and deleted."""
        arrays: dict[str, StoredArray] = {"truth": StoredArray(self.truth, "1", "truth sums")}
        for name, (index, values) in self.arrays.items():
            arrays[f"index/{name}"] = StoredArray(index, "1", "flat indices")
            arrays[f"value/{name}"] = StoredArray(values, "1", "values there")
        attributes = {
            "digest": self.digest,
            "dataset": self.dataset,
            "batch": self.batch,
            "fills": self.fills,
            "hits": self.hits,
            "names": list(self.arrays),
        }
        write_arrays(path, StoredArrays(_KIND, arrays, attributes, provenance), compress=False)

    @classmethod
    def read(cls, path: Path) -> Batch:
        """Read a stored batch.

        Raises
        ------
        DataError
            Absent, truncated or of another kind.
        """
        stored = read_arrays(path, _KIND)
        given = stored.attributes
        return cls(
            digest=str(given["digest"]),
            dataset=int(given["dataset"]),
            batch=int(given["batch"]),
            fills=int(given["fills"]),
            hits=int(given["hits"]),
            truth=stored["truth"],
            arrays={name: (stored[f"index/{name}"], stored[f"value/{name}"]) for name in given["names"]},
        )


def reduction_of(campaign: Campaign) -> Reduction:
    """Return the reduction settings of a campaign; without pileup nothing merges."""
    if campaign.effects.pileup:
        return campaign.reduction
    apart = tuple(c.model_copy(update={"separation_ns": 0.0}) for c in campaign.reduction.clusterings)
    return campaign.reduction.model_copy(update={"clusterings": apart, "shadow_window_ns": 5.0})


_lock = threading.Lock()
_local = threading.local()


@lru_cache(maxsize=2)
def _prepared(campaign: str, folder: str, dataset: int, nature: Nature) -> DatasetSimulation:
    return prepare_dataset(Campaign.model_validate_json(campaign), dataset, nature, Path(folder))


def _simulation(task: BatchTask) -> DatasetSimulation:
    with _lock:  # several threads want the same muons at once
        return _prepared(task.campaign, task.folder, task.dataset, task.nature)


def _reducer(settings: Reduction, fills_total: int) -> Reducer:
    """Return this thread's reducer, emptied: its arrays are large and are made once."""
    kept: Reducer | None = getattr(_local, "reducer", None)
    if kept is None or kept.settings != settings:
        kept = Reducer(settings, fills_total)
        _local.reducer = kept
        return kept
    kept.clear(fills_total)
    return kept


def run_batch(task: BatchTask) -> Batch:
    """Simulate and reduce the fills of a task."""
    simulation = _simulation(task)
    reducer = _reducer(reduction_of(simulation.campaign), simulation.config.fills)
    truth: NDArray[np.int64] | None = None
    kept: list[HitBlock] = []
    end = task.first_fill + task.fills
    for first in range(task.first_fill, end, _FILLS_PER_STEP):
        block, sums = simulation.block(first, min(_FILLS_PER_STEP, end - first))
        reducer.add(block)
        truth = sums if truth is None else truth + sums
        if task.keep_hits:
            kept.append(block)
    assert truth is not None
    return Batch(
        digest=task.digest,
        dataset=task.dataset,
        batch=task.batch,
        fills=task.fills,
        hits=reducer.hits,
        truth=truth,
        arrays=_sparse(reducer),
        block=_joined(kept) if kept else None,
    )


def _groups(reducer: Reducer) -> dict[str, Mapping[str, NDArray[Any]]]:
    return {"shared": reducer.shared} | {f"reco.{name}": arrays for name, arrays in reducer.reconstructions.items()}


def _sparse(reducer: Reducer) -> dict[str, tuple[NDArray[np.uint32], NDArray[Any]]]:
    result = {}
    for group, arrays in _groups(reducer).items():
        for name, values in arrays.items():
            flat = values.reshape(-1)
            index = np.flatnonzero(flat)
            if 8 * index.size < flat.nbytes:
                result[f"{group}/{name}"] = (index.astype(np.uint32), flat[index])
            else:
                result[f"{group}/{name}"] = (np.empty(0, dtype=np.uint32), flat.copy())
    return result


def add_batch(reducer: Reducer, batch: Batch) -> None:
    """Add a batch to the arrays of a dataset."""
    groups = _groups(reducer)
    for path, (index, values) in batch.arrays.items():
        group, _, name = path.partition("/")
        try:
            target = groups[group][name].reshape(-1)
        except KeyError:
            raise DataError(f"a batch with an unknown array '{path}'") from None
        if index.size or values.size == 0:
            target[index] += values
        else:
            target += values
    reducer.fills += batch.fills
    reducer.hits += batch.hits


def _joined(blocks: list[HitBlock]) -> HitBlock:
    sizes = np.concatenate([np.diff(b.offsets) for b in blocks])
    return HitBlock(
        words=np.concatenate([b.words for b in blocks]),
        offsets=np.concatenate(([0], np.cumsum(sizes))),
        first_fill=blocks[0].first_fill,
        tracks=np.concatenate([b.tracks for b in blocks]),
        laser=np.concatenate([b.laser for b in blocks]),
        dataset=blocks[0].dataset,
        attributes=blocks[0].attributes,
    )
