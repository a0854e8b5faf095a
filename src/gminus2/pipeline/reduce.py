"""Reduce stored or foreign hits to a dataset: the path of recorded data, the same as the simulation's."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gminus2.config.campaign import Reduction
from gminus2.data import make_provenance
from gminus2.data.campaign import CampaignDataset
from gminus2.data.hits import HitBlock
from gminus2.data.io.hits import read_hits
from gminus2.errors import DataError
from gminus2.execution import progress
from gminus2.reconstruction.reduction import Reducer

__all__ = ["reduce_files"]


def reduce_files(
    files: Sequence[Path], settings: Reduction, *, name: str | None = None, quiet: bool = True
) -> CampaignDataset:
    """Return the dataset of hit files.

    Parameters
    ----------
    files
        HDF5, ROOT or Parquet; the order does not matter.
    name
        Of the dataset; default: the one in the files.

    Raises
    ------
    DataError
        No files, a bad file, files of different datasets, or the same fills twice (a file given twice, or two
        campaigns of one seed).
    """
    if not files:
        raise DataError("there is nothing to reduce", expected="at least one file of hits")
    spans: list[tuple[int, int, Path]] = []
    names: set[str] = set()
    total = 0
    for path in files:  # first pass: what is in the files, before any work is done
        block = read_hits(path)
        spans.append((block.first_fill, block.first_fill + block.fills, path))
        names.add(block.dataset)
        total = max(total, block.first_fill + block.fills)
    if len(names) > 1 and name is None:
        raise DataError("the files belong to different datasets", found=", ".join(sorted(names)), hint="give --name")
    spans.sort()
    for (_, end, before), (begin, _, after) in itertools.pairwise(spans):
        if begin < end:
            raise DataError(
                "two files hold the same fills, whose hits would count twice",
                where=f"{before.name} and {after.name}",
                hint="a file given twice, or two campaigns with the same seed",
            )
    reducer = Reducer(settings, total)
    first: HitBlock | None = None
    with progress("reduce", len(spans), quiet=quiet) as advance:
        for _, _, path in spans:
            block = read_hits(path)
            first = first or block
            reducer.add(block)
            advance(1)
    assert first is not None
    conditions: dict[str, Any] = {
        **first.attributes,
        "mean_hits_per_fill": float(np.round(reducer.hits / reducer.fills, 3)),
    }
    return CampaignDataset(
        name=name or names.pop(),
        fills=reducer.fills,
        hits=reducer.hits,
        reconstructions=reducer.reconstructions,
        shared=reducer.shared,
        settings={"reduction": settings.model_dump(mode="json")},
        conditions=conditions,
        provenance=make_provenance("reduce", config=settings.model_dump(mode="json"), inputs=list(files)),
    )
