"""PSI-BIN, the binary format of the muon-spin-rotation instruments of PSI (``*.bin``, magic ``1N``).

A header of 1024 bytes, little endian, then records of 32-bit counts. Fields used (offset: content)::

    2 int16 TDC resolution code          28 int16 bins per histogram        30 int16 histograms
    6 int16 run                         128 int16 records in the file      130 int16 bins per record
    132 int16 records per histogram     134 int16 histograms per record    138 sample, temperature, field (10 each)
    218 start date 9, 236 time 8        458, 490, 522 int16 t0, first good, last good bin of 16 histograms
    860 title 62                        948 labels 16 × 4                  1012 float32 bin width [µs]

A bin width of zero means a TDC whose resolution code r gives 0.625/8 · 2^r ns. Bins are counted from 0 and the muon
arrives at the centre of bin t0, so that bin i has its centre at (i - t0)·width. Layout and codes as in the readers of
PSI (A. Amato, MuSR_td_PSI_bin); checked on a GPS run of 2002.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import numpy as np

from gminus2.data.histograms import TimeHistogram
from gminus2.data.io.report import Parsed, ReadOptions
from gminus2.errors import DataError

__all__ = ["read_psi_bin"]

_HEADER: Final = 1024
_MOST: Final = 16


def read_psi_bin(raw: bytes, where: str, options: ReadOptions) -> Parsed:
    """Read a PSI-BIN file: every histogram is a detector with its own t0.

    Raises
    ------
    DataError
        Truncated file, impossible header values, or several histograms in one record (an unused form of the format).
    """
    if len(raw) < _HEADER:
        raise DataError("the PSI-BIN header is truncated", where=where, expected="1024 bytes", found=str(len(raw)))

    def int16(offset: int) -> int:
        return int(struct.unpack_from("<h", raw, offset)[0])

    def text(offset: int, length: int) -> str:
        return raw[offset : offset + length].split(b"\0")[0].decode("latin-1").strip()

    n_bins, n_histograms = int16(28), int16(30)
    records, record_bins, per_histogram = int16(128), int16(130), int16(132)
    if int16(134) != 1:
        raise DataError(
            "several histograms share a record", where=f"{where}, byte 134", expected="1", found=str(int16(134))
        )
    if not (
        0 < n_bins <= record_bins * per_histogram
        and 0 < n_histograms <= _MOST
        and n_histograms * per_histogram <= records
    ):
        raise DataError(
            "the PSI-BIN header contradicts itself",
            where=where,
            found=f"{n_histograms} histograms of {n_bins} bins in {records} records of {record_bins} bins, "
            f"{per_histogram} per histogram",
            hint="the file is damaged, or no PSI-BIN file",
        )
    needed = _HEADER + 4 * record_bins * per_histogram * n_histograms
    if len(raw) < needed:
        raise DataError("the PSI-BIN file is truncated", where=where, expected=f"{needed} bytes", found=str(len(raw)))
    words = np.frombuffer(raw, dtype="<i4", offset=_HEADER, count=record_bins * per_histogram * n_histograms)
    counts = words.reshape(n_histograms, record_bins * per_histogram)[:, :n_bins].astype(np.float64)
    width, source = _width_us(raw, int16(2), where)
    labels = _unique([text(948 + 4 * i, 4) for i in range(n_histograms)])
    t0 = options.t0 or tuple(float(int16(458 + 2 * i)) for i in range(n_histograms))
    if len(t0) not in (1, n_histograms):
        raise DataError("t0 needs one value, or one per detector", expected=str(n_histograms), found=str(len(t0)))
    t0 = t0 * n_histograms if len(t0) == 1 else t0
    first = tuple(int16(490 + 2 * i) for i in range(n_histograms))
    last = tuple(int16(522 + 2 * i) for i in range(n_histograms))
    if not all(0 <= begin < end < n_bins for begin, end in zip(first, last, strict=True)):
        raise DataError(
            "first and last good bin are impossible", where=where, expected=f"0 ≤ first < last < {n_bins}",
            found=f"{first} … {last}",
        )  # fmt: skip
    _check_totals(raw, counts, where)
    histogram = TimeHistogram(
        counts=counts, start_us=-width * (np.array(t0) + 0.5), width_us=width, labels=tuple(labels)
    )
    metadata = {
        "run": str(int16(6)),
        "title": text(860, 62),
        "sample": text(138, 10),
        "temperature": text(148, 10),
        "field": text(158, 10),
        "start": f"{text(218, 9)} {text(236, 8)}".strip(),
    }
    note = f"bin width {1e3 * width:.10g} ns ({source}); t = (i - t0)·width at the centre of bin i"
    if options.t0 is not None:
        note += "; t0 as given, not from the file"
    return Parsed(
        histogram=histogram,
        format="PSI-BIN",
        notes=(note,),
        t0_bin=t0,
        first_good_bin=first,
        last_good_bin=last,
        metadata={key: value for key, value in metadata.items() if value},
    )


def _width_us(raw: bytes, resolution: int, where: str) -> tuple[float, str]:
    """Return the bin width [µs]. Single precision is read by its shortest decimal: 0.00125, not 0.00125000006."""
    stored = np.frombuffer(raw, dtype="<f4", offset=1012, count=1)[0]
    if stored == 0:
        if not 0 <= resolution < 32:
            raise DataError("neither a bin width nor a TDC resolution", where=where, found=str(resolution))
        return 0.625e-3 / 8.0 * 2.0**resolution, f"TDC resolution code {resolution}"
    width = float(str(stored))
    if not (np.isfinite(width) and width > 0):
        raise DataError("the bin width must be positive", where=f"{where}, byte 1012", found=f"{width} µs")
    return width, "header"


def _unique(labels: list[str]) -> list[str]:
    named = [label or f"H{i + 1}" for i, label in enumerate(labels)]
    return [f"{label}{i + 1}" if named.count(label) > 1 else label for i, label in enumerate(named)]


def _check_totals(raw: bytes, counts: Any, where: str) -> None:
    """Compare with the totals of the header, where it has them: a swapped or shifted record shows here."""
    totals = np.frombuffer(raw, dtype="<i4", offset=296, count=len(counts)).astype(np.float64)
    found = counts.sum(axis=1)
    wrong = (totals > 0) & (np.abs(found - totals) > 0.02 * totals + 100.0)
    if wrong.any():
        i = int(np.argmax(wrong))
        raise DataError(
            "the counts do not add up to the total in the header",
            where=f"{where}, histogram {i + 1}",
            expected=f"{totals[i]:.0f}",
            found=f"{found[i]:.0f}",
            hint="the file is damaged",
        )
