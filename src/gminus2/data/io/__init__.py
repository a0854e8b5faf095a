"""Time histograms from files: CSV, NumPy, ROOT, UHI-HDF5, PSI-BIN and this package's own HDF5.

:func:`read_histogram` is the one entry. It recognises the format by the file's content, never by the suffix alone, and
says what it understood. ``docs/formats.md`` describes every format and how to bring data of your own.
"""

from gminus2.data.io.known import KNOWN, KnownData, identify
from gminus2.data.io.reading import FORMATS, read_histogram
from gminus2.data.io.report import ReadOptions, ReadReport
from gminus2.data.io.uhi_hdf5 import write_uhi

__all__ = ["FORMATS", "KNOWN", "KnownData", "ReadOptions", "ReadReport", "identify", "read_histogram", "write_uhi"]
