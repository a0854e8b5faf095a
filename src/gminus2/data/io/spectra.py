"""One-dimensional histograms with edges (ROOT, UHI) brought to one :class:`TimeHistogram`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gminus2.data.io.columns import parse_table
from gminus2.data.io.report import Parsed, ReadOptions
from gminus2.data.io.roles import Table, split_unit
from gminus2.errors import DataError, nearest

__all__ = ["Spectrum", "combine", "select"]


@dataclass(frozen=True)
class Spectrum:
    """A histogram as it stands in a file.

    Attributes
    ----------
    values
        Shape (bins,), without underflow and overflow.
    edges
        Shape (bins + 1,), in the unit of the file.
    variances
        Shape (bins,), or ``None`` for plain counts.
    title
        Title or name of the time axis, which may carry the unit.
    outside
        Counts in underflow and overflow.
    """

    name: str
    values: NDArray[np.float64]
    edges: NDArray[np.float64]
    variances: NDArray[np.float64] | None = None
    title: str = ""
    outside: float = 0.0


def select(
    present: Sequence[str], wanted: Sequence[str], where: str, kind: str, others: Sequence[str] = ()
) -> list[str]:
    """Return the names to read: those wanted, or the only one present.

    Raises
    ------
    DataError
        None present, a wanted one absent (nearest names), or several present and none wanted (their names).
    """
    if not present:
        raise DataError(f"the file holds no {kind}", where=where, found=", ".join(others) or "nothing")
    if not wanted:
        if len(present) == 1:
            return list(present)
        shown = ", ".join(f"'{name}'" for name in present[:12]) + (" …" if len(present) > 12 else "")
        raise DataError(
            f"the file holds {len(present)} histograms",
            where=where,
            found=shown,
            hint="say which with --histogram NAME; repeat it to read several as detectors",
        )
    short = {name.rpartition("/")[2]: name for name in reversed(present)}
    chosen = []
    for name in wanted:
        if name in present:
            chosen.append(name)
        elif name in short:
            chosen.append(short[name])
        else:
            raise DataError(f"no {kind} '{name}' in the file", where=where, hint=nearest(name, present))
    return chosen


def combine(spectra: Sequence[Spectrum], where: str, options: ReadOptions, format_name: str) -> Parsed:
    """Return spectra with equal bins as the detectors of one histogram."""
    first = spectra[0]
    step = float(np.median(np.diff(first.edges)))
    for other in spectra[1:]:
        if other.edges.shape != first.edges.shape or np.abs(other.edges - first.edges).max() > 1e-6 * abs(step):
            raise DataError(
                f"'{other.name}' and '{first.name}' have different bins",
                where=where,
                hint="read them one by one, or as detectors of a file with t0 per detector",
            )
    names = [f"low ({_unit_in(first.title)})" if _unit_in(first.title) else "low", "high"]
    columns = [first.edges[:-1], first.edges[1:]]
    labels = [s.name for s in spectra]
    if len(set(labels)) != len(labels):
        labels = [f"{label} {i + 1}" for i, label in enumerate(labels)]
    roles = ["low=1", "high=2"]
    has_errors = any(s.variances is not None for s in spectra)
    for spectrum, label in zip(spectra, labels, strict=True):
        names.append(label)
        columns.append(spectrum.values)
        roles.append(f"counts={len(columns)}")
        if has_errors:
            names.append(f"variance of {label}")
            columns.append(spectrum.values if spectrum.variances is None else spectrum.variances)
            roles.append(f"variance={len(columns)}")
    table = Table(where, tuple(columns), tuple(names), row=lambda i: f"bin {i + 1}")
    chosen = ReadOptions(
        columns=",".join(roles), time_unit=options.time_unit, bin_width=options.bin_width, t0=options.t0
    )
    parsed = parse_table(table, chosen, format_name)
    notes = [f"histogram '{s.name}'" + (f", axis '{s.title}'" if s.title else "") for s in spectra]
    outside = sum(s.outside for s in spectra)
    if outside:
        notes.append(f"{outside:.0f} counts in underflow and overflow are not used")
    return Parsed(**{**vars(parsed), "notes": (*notes, *parsed.notes[1:])})


def _unit_in(title: str) -> str | None:
    """Return the unit of time in an axis title: ``"time [ns]"``, ``"t (#mus)"``, ``"time_us"``."""
    return split_unit(title.replace("#mu", "µ").replace("\\mu", "µ"))[1]
