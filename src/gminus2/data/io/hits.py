"""Hits of others: ROOT trees and Parquet tables with one row per hit, read into :class:`HitBlock` and written from it.

Columns (the documented schema of foreign hits, ``docs/formats.md``):

==============  =======  =====================================================================
``fill``        integer  number of the fill, not decreasing from row to row
``calorimeter`` integer  1 … 24
``time``        float    ticks of 1.25 ns nominal since the start of the fill
``energy``      float    MeV
``x``, ``y``    float    optional: mm from the storage-side edge, height in mm (default: centre)
``compact``     integer  optional: 1 for fewer than three crystals
==============  =======  =====================================================================
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gminus2.data.hits import (
    LASER_DTYPE,
    MAX_ENERGY_CODE,
    MAX_TIME_CODE,
    TRACK_DTYPE,
    U_UNIT_MM,
    Y_OFFSET_MM,
    Y_UNIT_MM,
    HitBlock,
    pack_hits,
    unpack_hits,
)
from gminus2.data.writing import atomic_path
from gminus2.errors import DataError, MissingExtraError, nearest

__all__ = ["COLUMNS", "export_hits", "import_hits", "read_hits"]

#: Column → required.
COLUMNS: Final[dict[str, bool]] = {
    "fill": True,
    "calorimeter": True,
    "time": True,
    "energy": True,
    "x": False,
    "y": False,
    "compact": False,
}
_TREE: Final = "hits"


def _package(name: str, extra: str, purpose: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingExtraError(name, extra, purpose) from None


def read_hits(path: Path) -> HitBlock:
    """Read L1 hits of any known format by the file's suffix (``.h5``, ``.root``, ``.parquet``).

    Raises
    ------
    DataError
        Absent, truncated, foreign, or with impossible values.
    """
    if path.suffix in (".h5", ".hdf5"):
        return HitBlock.read(path)
    if path.suffix in (".root", ".parquet"):
        return import_hits(path)
    raise DataError("unknown format of hits", where=str(path), expected=".h5, .root or .parquet")


def export_hits(block: HitBlock, path: Path) -> None:
    """Write hits as a ROOT tree ``hits`` or a Parquet table, by the suffix of the path."""
    fields = unpack_hits(block.words)
    table: dict[str, NDArray[Any]] = {
        "fill": np.repeat(block.first_fill + np.arange(block.fills), np.diff(block.offsets)).astype(np.uint32),
        "calorimeter": (fields["station"] + 1).astype(np.uint8),
        "time": (fields["time"] + 0.5) / 16.0,
        "energy": (fields["energy"] + 0.5).astype(np.float32),
        "x": ((fields["u"] + 0.5) * U_UNIT_MM).astype(np.float32),
        "y": ((fields["y"] + 0.5) * Y_UNIT_MM - Y_OFFSET_MM).astype(np.float32),
        "compact": fields["compact"].astype(np.uint8),
    }
    if path.suffix == ".root":
        uproot = _package("uproot", "root", "writing ROOT files")
        with atomic_path(path) as temporary, uproot.recreate(temporary) as file:
            file.mktree(_TREE, {name: values.dtype for name, values in table.items()})
            file[_TREE].extend(table)
    elif path.suffix == ".parquet":
        arrow = _package("pyarrow", "parquet", "writing Parquet files")
        parquet = _package("pyarrow.parquet", "parquet", "writing Parquet files")
        metadata = {"first_fill": str(block.first_fill), "fills": str(block.fills), "dataset": block.dataset}
        with atomic_path(path) as temporary:
            parquet.write_table(arrow.table(table).replace_schema_metadata(metadata), temporary)
    else:
        raise DataError("unknown format of hits", where=str(path), expected=".root or .parquet")


def import_hits(path: Path) -> HitBlock:
    """Read foreign hits; they are sorted by calorimeter and time within each fill.

    Raises
    ------
    DataError
        Absent, not a table, a column missing or with impossible values.
    """
    if not path.exists():
        raise DataError("no such file", where=str(path))
    if path.suffix == ".root":
        uproot = _package("uproot", "root", "reading ROOT files")
        try:
            with uproot.open(path) as file:
                tree = file[_TREE]
                _check_columns(list(tree.keys()), path)
                table = {name: tree[name].array(library="np") for name in COLUMNS if name in tree.keys()}  # noqa: SIM118
        except (OSError, KeyError, ValueError) as error:
            raise DataError(f"this is not a ROOT file with a tree '{_TREE}' ({error})", where=str(path)) from None
    else:
        parquet = _package("pyarrow.parquet", "parquet", "reading Parquet files")
        arrow = importlib.import_module("pyarrow")
        try:
            read = parquet.read_table(path)
        except (OSError, arrow.ArrowInvalid) as error:
            raise DataError(f"this is not a Parquet file ({error})", where=str(path)) from None
        _check_columns(read.column_names, path)
        table = {name: read[name].to_numpy() for name in COLUMNS if name in read.column_names}
    return _block(table, path)


def _check_columns(found: list[str], path: Path) -> None:
    for name, required in COLUMNS.items():
        if required and name not in found:
            raise DataError(
                f"the table of hits lacks the column '{name}'",
                where=str(path),
                expected=", ".join(COLUMNS),
                found=", ".join(found) or "no columns",
                hint=nearest(name, found) if found else None,
            )


def _block(table: dict[str, NDArray[Any]], path: Path) -> HitBlock:
    size = table["fill"].size
    if size == 0:
        raise DataError("the table holds no hits", where=str(path))
    for name, values in table.items():
        bad = ~np.isfinite(values.astype(np.float64))
        if bad.any():
            raise DataError(f"'{name}' is not finite", where=f"{path}, row {int(np.argmax(bad))}")
    fill = table["fill"].astype(np.int64)
    wrong = np.flatnonzero(np.diff(fill) < 0)
    if wrong.size:
        raise DataError("fills must not decrease from row to row", where=f"{path}, row {int(wrong[0]) + 1}")
    code = np.floor(table["time"].astype(np.float64) * 16.0).astype(np.int64)
    limits = (
        ("calorimeter", table["calorimeter"].astype(np.int64), 1, 24),
        ("time", code, 0, MAX_TIME_CODE),
        ("energy", np.floor(table["energy"]).astype(np.int64), 0, 10**9),
    )
    for name, values, low, high in limits:
        bad = (values < low) | (values > high)
        if bad.any():
            row = int(np.argmax(bad))
            raise DataError(f"'{name}' is out of range", where=f"{path}, row {row}", found=str(table[name][row]))
    x = table.get("x", np.full(size, 113.4)).astype(np.float64)
    y = table.get("y", np.zeros(size)).astype(np.float64)
    words = pack_hits(
        code,
        table["calorimeter"].astype(np.int64) - 1,
        np.minimum(np.floor(table["energy"]).astype(np.int64), MAX_ENERGY_CODE),
        np.clip(np.floor(x / U_UNIT_MM), 0, 255).astype(np.int64),
        np.clip(np.floor((y + Y_OFFSET_MM) / Y_UNIT_MM), 0, 255).astype(np.int64),
        (table.get("compact", np.zeros(size)) != 0).astype(np.int64),
    )
    order = np.lexsort((words, fill))
    first, last = int(fill[0]), int(fill[-1])
    offsets = np.searchsorted(fill, np.arange(first, last + 2)).astype(np.int64)
    block = HitBlock(
        words=np.ascontiguousarray(words[order]),
        offsets=offsets,
        first_fill=first,
        tracks=np.empty(0, dtype=TRACK_DTYPE),
        laser=np.empty(0, dtype=LASER_DTYPE),
        dataset=path.stem,
        attributes={"simulated": False, "source": path.name},
    )
    block.check(where=str(path))
    return block
