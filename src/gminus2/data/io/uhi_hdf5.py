"""UHI-HDF5, the serialisation that ``hist`` and ``boost-histogram`` share (``uhi.io.hdf5``), read and written.

:func:`write_uhi` stores one UHI histogram per detector, each in a group of its own, because detectors may have their
own time zero. Any program that knows UHI reads them; this package reads them back as one histogram.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from gminus2.data.histograms import TimeHistogram
from gminus2.data.io.report import Parsed, ReadOptions
from gminus2.data.io.spectra import Spectrum, combine, select
from gminus2.data.writing import atomic_path
from gminus2.errors import DataError

__all__ = ["read_uhi", "write_uhi"]

_OURS = "gminus2_time_histogram"


def write_uhi(path: Path, histogram: TimeHistogram) -> None:
    """Write a histogram as UHI-HDF5, one group per detector named ``detector_<i>``."""
    import uhi.io.hdf5

    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        for i, label in enumerate(histogram.labels):
            group = file.create_group(f"detector_{i}")
            uhi.io.hdf5.write(group, histogram.to_hist(i))
            # Regular axes hold two edges; start and width as they were keep the bins exact.
            group.attrs[_OURS] = json.dumps(
                {
                    "label": label,
                    "start_us": float(histogram.start_us[i]),
                    "width_us": histogram.width_us,
                    "caveats": list(histogram.caveats),
                }
            )


def read_uhi(raw: bytes, where: str, options: ReadOptions) -> Parsed:
    """Read UHI histograms; those written by :func:`write_uhi` come back as they were.

    Raises
    ------
    DataError
        Damaged, no UHI histogram, several and none named, or one that is no histogram of counts against time.
    """
    import uhi.io.hdf5

    found: dict[str, tuple[Mapping[str, Any], dict[str, Any] | None]] = {}
    try:
        with h5py.File(io.BytesIO(raw), "r") as file:
            groups = [""] if "uhi_schema" in file.attrs else []

            def visit(name: str, node: Any) -> None:
                if isinstance(node, h5py.Group) and "uhi_schema" in node.attrs:
                    groups.append(name)

            file.visititems(visit)
            top = list(file)
            for name in groups:
                group = file[name] if name else file
                ours = group.attrs.get(_OURS)
                found[name or "/"] = (uhi.io.hdf5.read(group), json.loads(str(ours)) if ours is not None else None)
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"the HDF5 file is truncated or damaged ({error})", where=where) from None
    if found and all(ours is not None for _, ours in found.values()) and not options.histograms:
        return _our_own(found, where, options)
    chosen = select(list(found), options.histograms, where, "UHI histogram", top)
    return combine([_spectrum(found[name][0], name, where) for name in chosen], where, options, "UHI-HDF5")


def _our_own(
    found: Mapping[str, tuple[Mapping[str, Any], dict[str, Any] | None]], where: str, options: ReadOptions
) -> Parsed:
    records = [ours for _, ours in found.values() if ours is not None]
    spectra = [_spectrum(uhi, name, where) for name, (uhi, _) in found.items()]
    weighted = spectra[0].variances is not None
    if len({len(s.values) for s in spectra}) != 1 or len({r["width_us"] for r in records}) != 1:
        raise DataError("the detectors have different bins", where=where, hint="the file was changed")
    width = float(records[0]["width_us"])
    starts = np.array([float(r["start_us"]) for r in records])
    if options.t0 is not None:
        starts = -width * (np.array(options.t0) + 0.5)
    histogram = TimeHistogram(
        counts=np.stack([s.values for s in spectra]),
        start_us=starts,
        width_us=width,
        labels=tuple(str(r["label"]) for r in records),
        variances=np.stack([np.asarray(s.variances) for s in spectra]) if weighted else None,
        caveats=tuple(str(c) for c in records[0]["caveats"]),
    )
    return Parsed(histogram, "UHI-HDF5 (written by gminus2)", t0_bin=options.t0)


def _spectrum(content: Mapping[str, Any], name: str, where: str) -> Spectrum:
    place = f"{where}, histogram '{name}'"
    axes = list(content["axes"])
    if len(axes) != 1:
        raise DataError("the histogram is not one-dimensional", where=place, expected="counts against time",
                        found=f"{len(axes)} axes", hint="project it on its time axis first")  # fmt: skip
    axis = axes[0]
    if axis["type"] == "regular":
        edges = np.linspace(axis["lower"], axis["upper"], int(axis["bins"]) + 1)
    elif axis["type"] == "variable":
        edges = np.asarray(axis["edges"], dtype=np.float64)
    else:
        raise DataError(
            "the axis is no time axis", where=place, expected="regular or variable", found=str(axis["type"])
        )
    storage = content["storage"]
    if "index" in storage:
        from uhi.io import from_sparse

        storage = from_sparse(dict(content))["storage"]
    if storage["type"] not in ("int", "double", "weighted"):
        raise DataError("the histogram does not hold counts", where=place, expected="int, double or weighted storage",
                        found=str(storage["type"]))  # fmt: skip
    values = np.asarray(storage["values"], dtype=np.float64)
    variances = np.asarray(storage["variances"], dtype=np.float64) if storage["type"] == "weighted" else None
    low, high = int(bool(axis.get("underflow", False))), int(bool(axis.get("overflow", False)))
    inner = slice(low, len(values) - high)
    if len(values[inner]) != len(edges) - 1:
        raise DataError("values and axis do not fit", where=place, expected=f"{len(edges) - 1} bins",
                        found=str(len(values[inner])))  # fmt: skip
    title = " ".join(str(axis.get("metadata", {}).get(key, "")) for key in ("label", "name", "title")).strip()
    return Spectrum(
        name=name.rpartition("/")[2] or "all",
        values=values[inner],
        edges=edges,
        variances=None if variances is None else variances[inner],
        title=title,
        outside=float(values[:low].sum() + values[len(values) - high :].sum()),
    )
