"""Typed containers with a versioned data model, and their formats (one file per format in :mod:`gminus2.data.io`)."""

from gminus2.data.histograms import TimeHistogram
from gminus2.data.provenance import DATA_MODEL_VERSION, Provenance, file_digest, make_provenance
from gminus2.data.results import read_result, write_result
from gminus2.data.store import StoredArray, StoredArrays, read_arrays, write_arrays
from gminus2.data.writing import atomic_path, write_text

__all__ = [
    "DATA_MODEL_VERSION",
    "Provenance",
    "StoredArray",
    "StoredArrays",
    "TimeHistogram",
    "atomic_path",
    "file_digest",
    "make_provenance",
    "read_arrays",
    "read_result",
    "write_arrays",
    "write_result",
    "write_text",
]
