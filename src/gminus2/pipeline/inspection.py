"""What a file holds, in words: for ``gminus2 inspect``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from gminus2.data.campaign import AXES, CampaignDataset
from gminus2.data.hits import TIME_UNIT_US, HitBlock, unpack_hits
from gminus2.data.io.hits import read_hits
from gminus2.data.store import read_arrays
from gminus2.errors import DataError

__all__ = ["Description", "describe"]


@dataclass(frozen=True)
class Description:
    """Summary values by name, arrays as (name, shape, unit, description), the dataset if the file is one."""

    summary: dict[str, Any]
    arrays: list[tuple[str, str, str, str]]
    dataset: CampaignDataset | None = None


def describe(path: Path) -> Description:
    """Describe a file.

    Raises
    ------
    DataError
        Absent, truncated or of no known kind.
    """
    if path.suffix in (".root", ".parquet"):
        return _hits(read_hits(path))
    kind = _kind(path)
    if kind == "campaign-dataset":
        return _dataset(CampaignDataset.read(path), path)
    if kind == "hits":
        return _hits(HitBlock.read(path))
    stored = read_arrays(path, kind)
    arrays = [(name, str(a.values.shape), a.unit, a.description) for name, a in stored.arrays.items()]
    return Description({"kind": kind, **stored.attributes}, arrays)


def _kind(path: Path) -> str:
    if not path.exists():
        raise DataError("no such file", where=str(path))
    try:
        with h5py.File(path, "r") as file:
            kind = file.attrs.get("kind")
    except OSError as error:
        raise DataError(f"the file is truncated or not HDF5 ({error})", where=str(path)) from None
    if kind is None:
        raise DataError("an HDF5 file that gminus2 did not write", where=str(path), expected="an attribute 'kind'")
    return str(kind)


def _dataset(dataset: CampaignDataset, path: Path) -> Description:
    first = int(np.ceil(30.0 / AXES["time_width_us"]))
    threshold = float(dataset.settings["reduction"]["threshold_mev"])
    summary: dict[str, Any] = {
        "kind": "campaign-dataset",
        "name": dataset.name,
        "fills": dataset.fills,
        "hits": dataset.hits,
        "tracks": int(dataset.shared["track_momentum"].sum()),
        "conditions": dict(dataset.conditions),
        "seed": dataset.provenance.seed,
    }
    for name, arrays in dataset.reconstructions.items():
        wiggle = dataset.above(threshold, name).counts[:, first:]
        summary[f"{name}: positrons above {threshold:g} MeV after 30 us"] = int(wiggle.sum())
        summary[f"{name}: lost-muon triples"] = int(arrays["coincidences"][0].sum())
    stored = read_arrays(path, "campaign-dataset")
    arrays_list = [(name, str(a.values.shape), a.unit, a.description) for name, a in stored.arrays.items()]
    return Description(summary, arrays_list, dataset)


def _hits(block: HitBlock) -> Description:
    fields = unpack_hits(block.words)
    summary = {
        "kind": "hits",
        "dataset": block.dataset,
        "fills": f"{block.first_fill} to {block.first_fill + block.fills - 1}",
        "hits": int(block.words.size),
        "tracks": int(block.tracks.size),
        "laser pulses": int(block.laser.size),
        "mean energy [MeV]": round(float(fields["energy"].mean()), 1) if block.words.size else None,
        "last hit [us]": round(float(fields["time"].max() * TIME_UNIT_US), 3) if block.words.size else None,
    }
    return Description(summary, [("words", str(block.words.shape), "1", "8 bytes per hit")])
