"""ROOT files: one-dimensional histograms (``TH1*``), read through uproot (extra ``root``)."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np

from gminus2.data.io.report import Parsed, ReadOptions
from gminus2.data.io.spectra import Spectrum, combine, select
from gminus2.errors import DataError, MissingExtraError

__all__ = ["read_root"]


def read_root(raw: bytes, where: str, options: ReadOptions) -> Parsed:
    """Read one or several TH1 of a ROOT file; several become detectors.

    Raises
    ------
    MissingExtraError
        uproot is not installed.
    DataError
        Damaged file, no TH1, or several of them and none named (the message lists them).
    """
    try:
        import uproot
    except ImportError:
        raise MissingExtraError("uproot", "root", "reading a ROOT file") from None
    _check_length(raw, where)
    try:
        with uproot.open(io.BytesIO(raw)) as file:
            classes = file.classnames(recursive=True)
            histograms = {name.rpartition(";")[0]: name for name, kind in classes.items() if kind.startswith("TH1")}
            chosen = select(list(histograms), options.histograms, where, "TH1 histogram", sorted(set(classes.values())))
            spectra = [_spectrum(file[histograms[name]], name, where) for name in chosen]
    except DataError:
        raise
    except Exception as error:  # uproot raises many kinds for a damaged file
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(
            f"the ROOT file is truncated or damaged ({type(error).__name__}: {reason})",
            where=where,
            hint="get the file again",
        ) from None
    return combine(spectra, where, options, "ROOT TH1")


def _check_length(raw: bytes, where: str) -> None:
    """Compare with the length the file header records, so that a cut file is refused whatever it still holds."""
    version = struct.unpack_from(">i", raw, 4)[0] if len(raw) >= 24 else 0
    end = struct.unpack_from(">q" if version >= 1_000_000 else ">i", raw, 12)[0] if version else 24
    if len(raw) < end:
        raise DataError(
            "the ROOT file is truncated or damaged (shorter than its header says)",
            where=where,
            expected=f"{end} bytes",
            found=str(len(raw)),
            hint="get the file again",
        )


def _spectrum(histogram: Any, name: str, where: str) -> Spectrum:
    axis = histogram.axis()
    values = np.asarray(histogram.values(), dtype=np.float64)
    edges = np.asarray(axis.edges(), dtype=np.float64)
    sumw2 = histogram.member("fSumw2", none_if_missing=True)
    variances = histogram.variances() if sumw2 is not None and len(sumw2) > 0 else None
    flow = np.asarray(histogram.values(flow=True), dtype=np.float64)
    return Spectrum(
        name=name.rpartition("/")[2],
        values=values,
        edges=edges,
        variances=None if variances is None else np.asarray(variances, dtype=np.float64),
        title=str(axis.member("fTitle", none_if_missing=True) or "").strip(),
        outside=float(flow[0] + flow[-1]),
    )
