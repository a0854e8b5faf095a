"""The time histogram: what every ω_a fit, correction and simulation exchanges."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hist
import numpy as np
from numpy.typing import NDArray

from gminus2.data.provenance import Provenance
from gminus2.data.store import StoredArray, StoredArrays, read_arrays, write_arrays
from gminus2.errors import DataError

__all__ = ["TimeHistogram"]


@dataclass(frozen=True)
class TimeHistogram:
    """Counts in equal time bins for one or several detectors.

    Attributes
    ----------
    counts
        Shape (detectors, bins). Need not be integers after corrections, must be finite.
    start_us, width_us
        Lower edge of the first bin and the bin width [µs]; bin k is [start + k·width, start + (k+1)·width).
        For several detectors each may have its own start: shape (detectors,).
    labels
        One name per detector.
    variances
        Shape of ``counts``; ``None`` means Poisson (variance = counts).
    caveats
        What a user must know before trusting a result from these data (offsets, randomisation, …).

    Raises
    ------
    DataError
        Wrong shapes, non-finite values, non-positive width, or negative counts with Poisson variances.
    """

    counts: NDArray[np.float64]
    start_us: NDArray[np.float64]
    width_us: float
    labels: tuple[str, ...]
    variances: NDArray[np.float64] | None = None
    caveats: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        counts = np.atleast_2d(np.asarray(self.counts, dtype=np.float64))
        object.__setattr__(self, "counts", counts)
        starts = np.broadcast_to(np.asarray(self.start_us, dtype=np.float64), (len(counts),)).copy()
        object.__setattr__(self, "start_us", starts)
        if len(self.labels) != len(counts):
            raise DataError(
                "a histogram needs one label per detector",
                expected=f"{len(counts)} labels",
                found=str(len(self.labels)),
            )
        if not (np.isfinite(self.width_us) and self.width_us > 0):
            raise DataError("the bin width must be positive", found=f"{self.width_us} µs")
        if not np.isfinite(starts).all():
            raise DataError("the start of the first bin is not finite", found=str(starts))
        self._check(counts, "counts", negative=self.variances is not None)
        if self.variances is not None:
            variances = np.atleast_2d(np.asarray(self.variances, dtype=np.float64))
            if variances.shape != counts.shape:
                raise DataError(
                    "variances and counts differ in shape",
                    expected=str(counts.shape),
                    found=str(variances.shape),
                )
            self._check(variances, "variances", negative=False)
            object.__setattr__(self, "variances", variances)

    def _check(self, values: NDArray[np.float64], name: str, *, negative: bool) -> None:
        for problem, bad in (("not finite", ~np.isfinite(values)), ("negative", values < 0)):
            if problem == "negative" and negative:
                continue
            if bad.any():
                detector, k = (int(i) for i in np.argwhere(bad)[0])
                raise DataError(
                    f"{name} are {problem} in {int(bad.sum())} bins",
                    where=f"detector '{self.labels[detector]}', bin {k}",
                    found=str(values[detector, k]),
                )

    @property
    def n_detectors(self) -> int:
        """Number of detectors."""
        return int(self.counts.shape[0])

    @property
    def n_bins(self) -> int:
        """Number of bins per detector."""
        return int(self.counts.shape[1])

    def edges_us(self, detector: int = 0) -> NDArray[np.float64]:
        """Return the ``n_bins + 1`` bin edges of a detector [µs]."""
        edges: NDArray[np.float64] = self.start_us[detector] + self.width_us * np.arange(self.n_bins + 1)
        return edges

    def centres_us(self, detector: int = 0) -> NDArray[np.float64]:
        """Return the bin centres of a detector [µs]."""
        centres: NDArray[np.float64] = self.start_us[detector] + self.width_us * (np.arange(self.n_bins) + 0.5)
        return centres

    def rebinned(self, factor: int) -> TimeHistogram:
        """Return the histogram with ``factor`` neighbouring bins added; a last incomplete group is dropped."""
        if not 1 <= factor <= self.n_bins:
            raise DataError("impossible packing factor", expected=f"1 … {self.n_bins}", found=str(factor))
        kept = self.n_bins // factor
        shape = (self.n_detectors, kept, factor)

        def grouped(values: NDArray[np.float64]) -> NDArray[np.float64]:
            total: NDArray[np.float64] = values[:, : kept * factor].reshape(shape).sum(axis=2)
            return total

        return TimeHistogram(
            counts=grouped(self.counts),
            start_us=self.start_us,
            width_us=self.width_us * factor,
            labels=self.labels,
            variances=None if self.variances is None else grouped(self.variances),
            caveats=self.caveats,
        )

    def to_hist(self, detector: int = 0) -> hist.Hist[Any]:
        """Return a detector's spectrum as a ``hist.Hist`` (Weight storage where variances are given)."""
        edges = self.edges_us(detector)
        axis = hist.axis.Regular(self.n_bins, edges[0], edges[-1], name="time_us", label="time [µs]")
        if self.variances is None:
            plain = hist.Hist(axis, storage=hist.storage.Double(), name=self.labels[detector])
            plain.view()[...] = self.counts[detector]
            return plain
        weighted = hist.Hist(axis, storage=hist.storage.Weight(), name=self.labels[detector])
        weighted.view().value = self.counts[detector]
        weighted.view().variance = self.variances[detector]
        return weighted

    def write(self, path: Path, provenance: Provenance) -> None:
        """Write to HDF5; :meth:`read` gives the same object back."""
        arrays = {
            "counts": StoredArray(self.counts, "1", "counts per detector and bin"),
            "start_us": StoredArray(self.start_us, "us", "lower edge of the first bin per detector"),
        }
        if self.variances is not None:
            arrays["variances"] = StoredArray(self.variances, "1", "variance of the counts")
        attributes = {"width_us": self.width_us, "labels": self.labels, "caveats": self.caveats}
        write_arrays(path, StoredArrays("time-histogram", arrays, attributes, provenance))

    @classmethod
    def read(cls, path: Path) -> TimeHistogram:
        """Read a histogram written by :meth:`write`."""
        stored = read_arrays(path, "time-histogram")
        return cls(
            counts=stored["counts"],
            start_us=stored["start_us"],
            width_us=float(stored.attributes["width_us"]),
            labels=tuple(stored.attributes["labels"]),
            variances=stored["variances"] if "variances" in stored.arrays else None,
            caveats=tuple(stored.attributes["caveats"]),
        )
