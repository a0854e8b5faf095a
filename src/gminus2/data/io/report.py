"""What a reader is told, what it returns, and what it says it understood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gminus2.data.histograms import TimeHistogram

__all__ = ["Parsed", "ReadOptions", "ReadReport"]


@dataclass(frozen=True)
class ReadOptions:
    """What a user may say about a file, where the file does not say it or says it wrongly.

    Attributes
    ----------
    columns
        Roles of the columns of a table, ``"time=1,counts=3"`` or ``"low=t0,counts=Up,counts=Down"``; roles are ``time``
        (bin centre), ``low``, ``high``, ``bin`` (index), ``counts`` (repeatable), ``error``, ``variance``; a column
        is named or counted from 1.
    time_unit
        ``"ns"``, ``"us"``, ``"ms"`` or ``"s"``.
    bin_width
        In ``time_unit`` (µs where none is given), for files without times.
    t0
        Bin index (from 0) whose centre is t = 0; one value or one per detector. Fractions are allowed: -0.5 puts the
        lower edge of bin 0 at t = 0.
    histograms
        Names of the histograms to take from a file that holds several; each becomes a detector.
    """

    columns: str | None = None
    time_unit: str | None = None
    bin_width: float | None = None
    t0: tuple[float, ...] | None = None
    histograms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parsed:
    """What one format's reader returns.

    Attributes
    ----------
    format
        The format in words.
    notes
        How the content was understood, one sentence each.
    t0_bin, first_good_bin, last_good_bin
        Per detector, indices from 0, where the file gives them.
    metadata
        Further facts of the file (title, run, doi, …).
    """

    histogram: TimeHistogram
    format: str
    notes: tuple[str, ...] = ()
    t0_bin: tuple[float, ...] | None = None
    first_good_bin: tuple[int, ...] | None = None
    last_good_bin: tuple[int, ...] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ReadReport:
    """What :func:`gminus2.data.io.read_histogram` understood.

    Attributes
    ----------
    window_us
        Lower edge of the first and upper edge of the last bin, per detector [µs].
    counts
        Sum of counts per detector.
    known_data
        Name of the published data set that was recognised, else ``None``.
    no_a_mu
        Why no a_μ may be computed from the data; ``None`` where nothing forbids it.
    sha256
        Digest of the file's bytes.
    """

    path: str
    format: str
    detectors: tuple[str, ...]
    n_bins: int
    width_us: float
    window_us: tuple[tuple[float, float], ...]
    counts: tuple[float, ...]
    has_variances: bool
    notes: tuple[str, ...]
    caveats: tuple[str, ...]
    t0_bin: tuple[float, ...] | None
    first_good_bin: tuple[int, ...] | None
    last_good_bin: tuple[int, ...] | None
    metadata: Mapping[str, str]
    known_data: str | None
    no_a_mu: str | None
    sha256: str

    def to_json(self) -> dict[str, Any]:
        """Return plain values under stable keys."""
        return {
            "file": self.path,
            "sha256": self.sha256,
            "format": self.format,
            "detectors": list(self.detectors),
            "n_bins": self.n_bins,
            "width_us": self.width_us,
            "window_us": [list(window) for window in self.window_us],
            "counts": list(self.counts),
            "has_variances": self.has_variances,
            "t0_bin": None if self.t0_bin is None else list(self.t0_bin),
            "first_good_bin": None if self.first_good_bin is None else list(self.first_good_bin),
            "last_good_bin": None if self.last_good_bin is None else list(self.last_good_bin),
            "notes": list(self.notes),
            "caveats": list(self.caveats),
            "metadata": dict(self.metadata),
            "known_data": self.known_data,
            "no_a_mu": self.no_a_mu,
        }

    def lines(self) -> list[str]:
        """Return the report as short lines of text."""
        total = sum(self.counts)
        text = [
            f"{self.path}: {self.format}",
            f"{self.n_bins} bins of {1e3 * self.width_us:.10g} ns, {len(self.detectors)} detector"
            f"{'s' if len(self.detectors) > 1 else ''} ({', '.join(self.detectors)}), {_number(total)} counts",
        ]
        for i, label in enumerate(self.detectors):
            low, high = self.window_us[i]
            line = f"{low:.6g} … {high:.6g} µs, {_number(self.counts[i])} counts"
            for title, values in (
                ("t0 in bin", self.t0_bin),
                ("first good", self.first_good_bin),
                ("last good", self.last_good_bin),
            ):
                if values is not None:
                    line += f", {title} {values[i]:g}"
            text.append(f"{label}: {line}" if len(self.detectors) > 1 else line)
            if i == 31 and len(self.detectors) > 33:
                text.append(f"… and {len(self.detectors) - 32} more detectors")
                break
        return text + list(self.notes)


def _number(value: float) -> str:
    text = f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"
    return text.replace(",", " ")
