"""The one entry: recognise a file by its content, read it, and say what was understood."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gminus2.data.histograms import TimeHistogram
from gminus2.data.io.known import identify
from gminus2.data.io.native import is_native, read_native
from gminus2.data.io.numpy_files import read_npy, read_npz
from gminus2.data.io.psi_bin import read_psi_bin
from gminus2.data.io.report import Parsed, ReadOptions, ReadReport
from gminus2.data.io.root import read_root
from gminus2.data.io.text import read_text
from gminus2.data.io.uhi_hdf5 import read_uhi
from gminus2.errors import DataError, nearest

__all__ = ["FORMATS", "read_histogram"]

#: Formats that :func:`read_histogram` knows, for messages and documents.
FORMATS: Final = ("CSV or other text table (also gzip)", "NumPy .npy and .npz", "ROOT TH1", "UHI-HDF5", "PSI-BIN",
                  "gminus2 HDF5")  # fmt: skip

_Reader = Callable[[bytes, str, ReadOptions], Parsed]


def read_histogram(
    path: Path | str, options: ReadOptions | None = None, *, detectors: Sequence[str] = ()
) -> tuple[TimeHistogram, ReadReport]:
    """Read a time histogram in any of the :data:`FORMATS`.

    Parameters
    ----------
    path
        The file.
    options
        What the file does not say: columns, unit, bin width, t0, which histogram.
    detectors
        Keep only these labels, in this order; all where empty.

    Returns
    -------
    TimeHistogram, ReadReport
        The data and what was understood; the histogram carries the caveats too.

    Raises
    ------
    DataError
        Not a file, unknown format, truncated, wrong columns, NaN, negative counts, gaps, unequal bins, no counts.
    MissingExtraError
        The format needs a package that is not installed.
    """
    path = Path(path)
    raw = _bytes(path)
    digest = hashlib.sha256(raw).hexdigest()
    content, packed = _unpacked(raw, str(path))
    parsed = _reader(content, str(path))(content, str(path), options or ReadOptions())
    known = identify(parsed.histogram, " ".join(parsed.metadata.values()) + " ".join(parsed.histogram.caveats))
    caveats = list(parsed.histogram.caveats)
    new = (*(known.caveats if known else ()), *_rounding_caveat(parsed.histogram.counts))
    caveats += [text for text in new if text not in caveats]
    parsed = replace(parsed, histogram=replace(parsed.histogram, caveats=tuple(caveats)))
    if not parsed.histogram.counts.any():
        raise DataError("all bins are empty", where=str(path))
    if detectors:
        parsed = _selected(parsed, detectors, str(path))
    histogram = parsed.histogram
    edges = [histogram.edges_us(i) for i in range(histogram.n_detectors)]
    report = ReadReport(
        path=path.name,
        format=parsed.format + (", gzip" if packed else ""),
        detectors=histogram.labels,
        n_bins=histogram.n_bins,
        width_us=histogram.width_us,
        window_us=tuple((float(e[0]), float(e[-1])) for e in edges),
        counts=tuple(float(x) for x in histogram.counts.sum(axis=1)),
        has_variances=histogram.variances is not None,
        notes=parsed.notes,
        caveats=histogram.caveats,
        t0_bin=parsed.t0_bin,
        first_good_bin=parsed.first_good_bin,
        last_good_bin=parsed.last_good_bin,
        metadata=parsed.metadata,
        known_data=f"{known.name} ({known.citation})" if known else None,
        no_a_mu=known.no_a_mu if known else None,
        sha256=digest,
    )
    return histogram, report


def _bytes(path: Path) -> bytes:
    if path.is_dir():
        raise DataError("this is a folder, not a file", where=str(path), hint="name a file in it")
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DataError("no such file", where=str(path)) from None
    except OSError as error:
        raise DataError(f"cannot read the file: {error.strerror or error}", where=str(path)) from None
    if not raw.strip():
        raise DataError("the file is empty", where=str(path))
    return raw


def _unpacked(raw: bytes, where: str) -> tuple[bytes, bool]:
    if not raw.startswith(b"\x1f\x8b"):
        return raw, False
    try:
        content = gzip.decompress(raw)
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(
            f"the gzip file is truncated or damaged ({error})", where=where, hint="get the file again"
        ) from None
    if not content.strip():
        raise DataError("the file is empty", where=where)
    return content, True


def _reader(content: bytes, where: str) -> _Reader:
    """Return the reader of a content, by its first bytes."""
    if content.startswith(b"\x93NUMPY"):
        return read_npy
    if content.startswith(b"PK\x03\x04"):
        return read_npz
    if content.startswith(b"\x89HDF\r\n\x1a\n"):
        return read_native if is_native(content) else read_uhi
    if content.startswith(b"root"):
        return read_root
    if content.startswith(b"1N") and b"\0" in content[:1024]:
        return read_psi_bin
    if content[:2] in (b"T4", b"T5", b"M3") and b"\0" in content[:64]:
        raise DataError(
            "PSI-MDU files are not read", where=where, hint="convert the file to PSI-BIN with the tools of PSI"
        )
    head = content[:4096]
    kind = "a text file" if all(byte >= 32 or byte in (9, 10, 12, 13) for byte in head) else "a binary file"
    if kind == "a binary file" or head.lstrip()[:1] in (b"{", b"[", b"<"):
        raise DataError(
            "the format is not known",
            where=where,
            expected="; ".join(FORMATS),
            found=f"{kind} that starts with {content[:12]!r}",
        )
    return read_text


def _rounding_caveat(counts: NDArray[np.float64]) -> tuple[str, ...]:
    """Say when counts were printed with few digits: all bins of the largest decade end in zeros."""
    if counts.max() < 1e5 or (counts != np.round(counts)).any():
        return ()
    decade = 10.0 ** np.floor(np.log10(counts.max()))
    big = counts[counts >= decade]
    for digits in (3, 4, 5, 6, 7):
        step = 10.0 * decade / 10.0**digits
        if step >= 10 and len(big) >= 10 and (big % step == 0).all():
            return (
                f"counts are rounded to {digits} significant digits: all {len(big)} bins above {decade:.0e} are "
                f"multiples of {step:.0f}",
            )
    return ()


def _selected(parsed: Parsed, detectors: Sequence[str], where: str) -> Parsed:
    labels = parsed.histogram.labels
    indices = []
    for name in detectors:
        if name not in labels:
            raise DataError(f"no detector '{name}' in the file", where=where, hint=nearest(name, labels))
        if labels.index(name) in indices:
            raise DataError(f"the detector '{name}' is named twice", where=where)
        indices.append(labels.index(name))
    h = parsed.histogram

    def pick(values: tuple[object, ...] | None) -> object:
        return None if values is None else tuple(values[i] for i in indices)

    chosen = TimeHistogram(
        counts=h.counts[indices],
        start_us=h.start_us[indices],
        width_us=h.width_us,
        labels=tuple(labels[i] for i in indices),
        variances=None if h.variances is None else h.variances[indices],
        caveats=h.caveats,
    )
    return Parsed(
        **{
            **vars(parsed),
            "histogram": chosen,
            "t0_bin": pick(parsed.t0_bin),
            "first_good_bin": pick(parsed.first_good_bin),
            "last_good_bin": pick(parsed.last_good_bin),
        }
    )
