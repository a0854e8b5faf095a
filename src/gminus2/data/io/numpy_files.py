"""NumPy ``.npy`` and ``.npz``: structured arrays, plain tables, or named arrays of equal length.

The layout of the public E989 files is a table with the columns time [ns], bin_content, bin_error.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gminus2.data.io.columns import parse_table
from gminus2.data.io.report import Parsed, ReadOptions
from gminus2.data.io.roles import Table
from gminus2.errors import DataError

__all__ = ["read_npy", "read_npz"]

_MAX_COLUMNS = 64


def _load(raw: bytes, where: str) -> Any:
    try:
        return np.load(io.BytesIO(raw), allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        pickled = "allow_pickle" in str(error)
        raise DataError(
            "the file holds Python objects, which are not read (they could run code)"
            if pickled
            else f"the NumPy file is truncated or damaged ({error})",
            where=where,
            hint="save plain numeric arrays" if pickled else "get the file again",
        ) from None


def read_npy(raw: bytes, where: str, options: ReadOptions) -> Parsed:
    """Read a ``.npy`` file: a structured array, or a plain table with rows or columns as bins."""
    array = _load(raw, where)
    if array.dtype.names is not None:
        columns = {name: np.ravel(array[name]) for name in array.dtype.names}
        return _from_columns(columns, where, options, "NumPy structured array")
    array = np.squeeze(array)
    _check_numeric(array, "array", where)
    if array.ndim == 1:
        return _table([array], None, where, options, "NumPy array of counts")
    if array.ndim != 2:
        raise DataError(
            "the array is neither a list of counts nor a table",
            where=where,
            expected="shape (bins,) or (bins, columns)",
            found=str(array.shape),
        )
    by_rows = array.shape[0] < array.shape[1]
    table_array = array.T if by_rows else array
    if table_array.shape[1] > _MAX_COLUMNS:
        raise DataError("the array is no table of columns", where=where, found=f"shape {array.shape}")
    return _table([table_array[:, c] for c in range(table_array.shape[1])], None, where, options, "NumPy table")


def read_npz(raw: bytes, where: str, options: ReadOptions) -> Parsed:
    """Read a ``.npz`` file of named arrays: columns of equal length; ``edges`` has one more; ``counts`` may be 2-D."""
    archive = _load(raw, where)
    arrays: dict[str, NDArray[Any]] = {}
    for name in archive.files:
        try:
            arrays[name] = np.squeeze(archive[name])
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(
                f"the array '{name}' cannot be read ({error})", where=where, hint="save plain numeric arrays"
            ) from None
    metadata = {name: str(a) for name, a in arrays.items() if a.ndim == 0}
    arrays = {name: a for name, a in arrays.items() if a.ndim > 0}
    if not arrays:
        raise DataError("the archive holds no arrays", where=where)
    if len(arrays) == 1:
        (single,) = arrays.values()
        if single.ndim == 2 or single.dtype.names is not None:
            buffer = io.BytesIO()
            np.save(buffer, single)
            return read_npy(buffer.getvalue(), where, options)
    labels = arrays.pop("labels", None)
    columns: dict[str, NDArray[Any]] = {}
    for name, array in arrays.items():
        _check_numeric(array, name, where)
        if array.ndim == 1:
            columns[name] = array
        elif array.ndim == 2 and array.shape[0] <= _MAX_COLUMNS:
            for i, row in enumerate(array):
                columns[_detector_name(name, i, labels)] = row
        else:
            raise DataError(f"the array '{name}' has an unexpected shape", where=where, found=str(array.shape))
    lengths = {len(a) for a in columns.values()}
    if len(lengths) == 2 and max(lengths) == min(lengths) + 1:
        columns = _edges_to_low(columns, max(lengths), where)
    parsed = _from_columns(columns, where, options, "NumPy archive")
    return Parsed(**{**vars(parsed), "metadata": {**parsed.metadata, **metadata}})


def _detector_name(name: str, i: int, labels: NDArray[Any] | None) -> str:
    label = str(labels[i]) if labels is not None and labels.ndim == 1 and i < len(labels) else f"{i + 1}"
    for suffix in ("error", "variance"):
        if suffix in name.lower():
            return f"{label}_{suffix}"
    return label


def _edges_to_low(columns: Mapping[str, NDArray[Any]], longer: int, where: str) -> dict[str, NDArray[Any]]:
    """Turn one array of n + 1 edges into lower edges."""
    edges = [name for name, a in columns.items() if len(a) == longer]
    if len(edges) != 1:
        raise DataError("several arrays have one element more than the counts", where=where, found=", ".join(edges))
    unit = next((u for u in ("_ns", "_us", "_ms", "_s") if edges[0].lower().endswith(u)), "")
    rest = {name: a for name, a in columns.items() if name != edges[0]}
    values = columns[edges[0]]
    return {f"low{unit}": values[:-1], f"high{unit}": values[1:], **rest}


def _from_columns(columns: Mapping[str, NDArray[Any]], where: str, options: ReadOptions, format_name: str) -> Parsed:
    for name, column in columns.items():
        _check_numeric(column, name, where)
    lengths = {name: len(a) for name, a in columns.items()}
    if len(set(lengths.values())) != 1:
        raise DataError(
            "the arrays differ in length",
            where=where,
            expected="one value per bin in each (or one more, for edges)",
            found=", ".join(f"{name} {n}" for name, n in lengths.items()),
        )
    return _table(list(columns.values()), tuple(columns), where, options, format_name)


def _table(
    columns: Sequence[NDArray[Any]], names: tuple[str, ...] | None, where: str, options: ReadOptions, format_name: str
) -> Parsed:
    def resolution(c: int) -> NDArray[np.float64] | None:
        # Single precision rounds times like printing does; double precision shows its digits by itself.
        raw = columns[c]
        return np.abs(np.spacing(raw)).astype(np.float64) if raw.dtype in (np.float32, np.float16) else None

    plain = tuple(np.ascontiguousarray(column, dtype=np.float64) for column in columns)
    return parse_table(Table(where, plain, names, resolution), options, format_name)


def _check_numeric(array: NDArray[Any], name: str, where: str) -> None:
    if array.dtype.kind not in "iufb":
        raise DataError(f"'{name}' is not numeric", where=where, expected="integers or floats", found=str(array.dtype))
