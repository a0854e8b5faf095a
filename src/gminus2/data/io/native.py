"""This package's own HDF5 histograms (:meth:`gminus2.data.TimeHistogram.write`)."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import h5py
import numpy as np

from gminus2.data.histograms import TimeHistogram
from gminus2.data.io.report import Parsed, ReadOptions
from gminus2.errors import DataError

__all__ = ["is_native", "read_native"]


def is_native(raw: bytes) -> bool:
    """Return whether an HDF5 content was written by this package (any kind of object)."""
    try:
        with h5py.File(io.BytesIO(raw), "r") as file:
            return "kind" in file.attrs and "provenance" in file.attrs
    except OSError:
        return False


def read_native(raw: bytes, where: str, options: ReadOptions) -> Parsed:
    """Read a histogram written by :meth:`TimeHistogram.write`.

    Raises
    ------
    DataError
        Another kind of object, incomplete, or of another data model.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / Path(where).name
        copy.write_bytes(raw)
        try:
            histogram = TimeHistogram.read(copy)
        except DataError as error:
            raise DataError(
                error.message, where=where, expected=error.expected, found=error.found, hint=error.hint
            ) from None
    if options.t0 is not None:
        starts = -histogram.width_us * (np.array(options.t0) + 0.5)
        histogram = TimeHistogram(
            histogram.counts, starts, histogram.width_us, histogram.labels, histogram.variances, histogram.caveats
        )
    return Parsed(histogram, "gminus2 HDF5", t0_bin=options.t0)
