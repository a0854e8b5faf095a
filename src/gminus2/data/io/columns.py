"""From named or numbered columns to a time histogram: values checked, equal bins found, unit recognised.

Used by every format that is a table: CSV, NumPy arrays, and their compressed forms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gminus2.data.histograms import TimeHistogram
from gminus2.data.io.regular import regular_times
from gminus2.data.io.report import Parsed, ReadOptions
from gminus2.data.io.roles import UNIT_WORDS, UNITS_US, Roles, Table, find_roles, split_unit
from gminus2.errors import DataError, nearest

__all__ = ["parse_table"]


@dataclass(frozen=True)
class _Axis:
    start_us: NDArray[np.float64]
    width_us: float
    notes: tuple[str, ...]
    t0_bin: tuple[float, ...] | None = None
    caveats: tuple[str, ...] = ()


def parse_table(table: Table, options: ReadOptions, format_name: str) -> Parsed:
    """Turn a table into a histogram.

    Raises
    ------
    DataError
        Columns that cannot be told apart, bins that are not equal, NaN, negative counts; the message names the row.
    """
    if not table.columns or len(table.columns[0]) == 0:
        raise DataError("the table holds no rows", where=table.where, hint="check that the file was written completely")
    roles = find_roles(table, options)
    for column in (*roles.counts, *roles.errors):
        _check_values(table, column, allow_negative=bool(roles.errors) and column in roles.counts)
    axis = _axis(table, roles, options)
    counts = np.stack([table.columns[c] for c in roles.counts])
    if not counts.any():
        raise DataError("all bins are empty", where=table.where, hint="check which column holds the counts (--columns)")
    variances, note = _variances(table, roles, counts)
    header = table.header
    caveats = tuple(str(x) for x in _as_list(header.get("caveats", ())))
    histogram = TimeHistogram(
        counts=counts,
        start_us=axis.start_us,
        width_us=axis.width_us,
        labels=roles.labels,
        variances=variances,
        caveats=caveats + axis.caveats,
    )
    used = {"dt_ns", "t0_bin", "caveats", "labels", "first_good", "last_good"}
    return Parsed(
        histogram=histogram,
        format=format_name,
        notes=roles.notes + axis.notes + note,
        t0_bin=axis.t0_bin,
        first_good_bin=_good(header.get("first_good"), len(counts)),
        last_good_bin=_good(header.get("last_good"), len(counts)),
        metadata={key: str(value) for key, value in header.items() if key not in used},
    )


def _good(value: object, detectors: int) -> tuple[int, ...] | None:
    if value is None:
        return None
    bins = [int(float(str(x))) for x in _as_list(value)]
    return tuple(bins * detectors if len(bins) == 1 else bins)


def _as_list(value: object) -> list[object]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _check_values(table: Table, column: int, *, allow_negative: bool) -> None:
    values = table.columns[column]
    for word, bad in (("not a finite number", ~np.isfinite(values)), ("negative", values < 0)):
        if bad.any() and not (allow_negative and word == "negative"):
            first = int(np.argmax(bad))
            raise DataError(
                f"the value is {word} in {int(bad.sum())} bin{'s' if bad.sum() > 1 else ''}",
                where=f"{table.where}, {table.row(first)}, column '{table.name(column)}'",
                expected="counts ≥ 0" if word == "negative" else "a number",
                found=f"{values[first]:g}",
                hint="counts may be negative only where the file gives their errors" if word == "negative" else None,
            )


def _variances(
    table: Table, roles: Roles, counts: NDArray[np.float64]
) -> tuple[NDArray[np.float64] | None, tuple[str, ...]]:
    """Return variances where the given errors say more than √N."""
    if not roles.errors:
        return None, ()
    given = np.stack([table.columns[c] for c in roles.errors])
    variances = given if roles.variances else given**2
    # A common convention gives empty bins an error of one; printed errors have few digits.
    scale = np.where(counts > 0, np.abs(counts), 1.0)
    if (counts >= 0).all() and np.abs(variances / scale - (counts > 0))[counts > 0].max(initial=0.0) < 2e-4:
        return None, ("the errors are √counts: Poisson",)
    worst = float(np.median(np.sqrt(variances[counts > 0] / counts[counts > 0]))) if (counts > 0).any() else 0.0
    return variances, (
        f"the file gives errors of its own (median {worst:.4g} of √counts): --statistic weighted uses them",
    )


def _axis(table: Table, roles: Roles, options: ReadOptions) -> _Axis:
    if roles.time is not None or roles.low is not None:
        return _axis_of_times(table, roles, options)
    return _axis_of_bins(table, roles, options)


def _axis_of_bins(table: Table, roles: Roles, options: ReadOptions) -> _Axis:
    """Bins given by number, or not at all: the width and t0 come from the JSON header or the options."""
    header = table.header
    if options.bin_width is not None:
        width = options.bin_width * UNITS_US[_known_unit(options.time_unit or "us")]
        origin = "given"
    elif "dt_ns" in header:
        width = 1e-3 * _number(header["dt_ns"], "dt_ns", table.where)
        origin = "header"
    else:
        raise DataError(
            "the bins are numbered, but their width is not given",
            where=table.where,
            hint="give --bin-width (with --time-unit ns, or in µs), or a JSON header like "
            '# {"dt_ns": 149.2, "t0_bin": -0.5}',
        )
    if not (np.isfinite(width) and width > 0):
        raise DataError("the bin width must be positive", where=table.where, found=f"{width:g} µs")
    first = 0.0
    if roles.bin is not None:
        numbers = table.columns[roles.bin]
        _check_values(table, roles.bin, allow_negative=True)
        found = regular_times(
            numbers, table.resolution(roles.bin), row=table.row, where=table.where, name="bin numbers"
        )
        if found.width != 1.0 or found.shift > 0:
            raise DataError(
                "bin numbers must run in steps of one", where=table.where, found=f"steps of {found.width:g}"
            )
        first = found.first
    elif len(table.columns[0]) < 2:
        raise DataError("a histogram needs at least two bins", where=table.where, found="1")
    raw_t0 = options.t0 if options.t0 is not None else header.get("t0_bin")
    t0 = [-0.5] if raw_t0 is None else [_number(x, "t0_bin", table.where) for x in _as_list(raw_t0)]
    note = f"bin width {1e3 * width:.10g} ns ({origin}); " + (
        "no t0 given: the lower edge of bin 0 is t = 0"
        if raw_t0 is None
        else f"t0 in bin {', '.join(f'{x:g}' for x in t0)}"
    )
    t0_bins = _per_detector(t0, len(roles.counts), table.where)
    # t0 counts bins of the file's own numbering; the histogram's bin 0 is the file's bin `first`.
    start = width * (first - 0.5 - np.array(t0_bins))
    return _Axis(start, width, (note,), tuple(x - first for x in t0_bins) if raw_t0 is not None else None)


def _axis_of_times(table: Table, roles: Roles, options: ReadOptions) -> _Axis:
    column = roles.time if roles.time is not None else roles.low
    assert column is not None
    times = table.columns[column]
    _check_values(table, column, allow_negative=True)
    found = regular_times(times, table.resolution(column), row=table.row, where=table.where)
    unit, how = _time_unit(table, column, found.width, float(times[-1] - times[0]), options)
    notes = [f"times in {unit.replace('us', 'µs')} ({how})"]
    caveats: tuple[str, ...] = ()
    scale = UNITS_US[unit]
    # Decimal scaling by division keeps 149.2 ns at the float nearest to 0.1492 µs.
    width = found.width / round(1.0 / scale) if scale < 1 else found.width * scale
    if roles.time is not None:
        in_bins = found.first / found.width - 0.5
        notes.append("the times are bin centres")
        if abs(found.first / found.width - round(found.first / found.width)) < 1e-6 and found.first >= 0:
            caveats = (
                "the times are whole multiples of the bin width and were taken as bin centres; if they are lower "
                "edges, say --columns low=…,counts=… (φ changes by half a bin, the frequency does not)",
            )
    else:
        in_bins = found.first / found.width
        notes.append("the times are lower bin edges")
        if roles.high is not None:
            _check_upper_edges(table, roles.high, times, found.width)
    if found.shift > 1e-4 * found.width:
        notes.append(
            f"the times are rounded by up to {found.shift * scale * 1e3:.2g} ns; rebuilt as equal bins of "
            f"{1e3 * width:.10g} ns"
        )
    if abs(in_bins - round(in_bins)) < 1e-6:
        in_bins = round(in_bins)
        notes.append(f"bins k = {in_bins} … {in_bins + len(times) - 1}, each [k, k+1)·{1e3 * width:.10g} ns")
    start = np.full(len(roles.counts), in_bins * width)
    t0_bin = None
    if options.t0 is not None:
        t0_bin = _per_detector(options.t0, len(roles.counts), table.where)
        start = width * (-0.5 - np.array(t0_bin))
        notes.append("the time axis starts from the given t0 instead of the file's times")
    return _Axis(start, width, tuple(notes), t0_bin, caveats)


def _check_upper_edges(table: Table, high: int, low_values: NDArray[np.float64], width: float) -> None:
    off = np.abs(table.columns[high] - low_values - width)
    bad = ~(off < 0.05 * width)
    if bad.any():
        first = int(np.argmax(bad))
        raise DataError(
            "an upper edge does not meet the next lower edge",
            where=f"{table.where}, {table.row(first)}",
            expected=f"{low_values[first] + width:.10g}",
            found=f"{table.columns[high][first]:.10g}",
        )


def _per_detector(values: Sequence[float], detectors: int, where: str) -> tuple[float, ...]:
    if len(values) not in (1, detectors):
        raise DataError(
            "t0 needs one value, or one per detector", where=where, expected=str(detectors), found=str(len(values))
        )
    return tuple(float(x) for x in (list(values) * detectors if len(values) == 1 else values))


def _number(value: object, key: str, where: str) -> float:
    try:
        return float(str(value))
    except ValueError:
        raise DataError(f"'{key}' in the header is not a number", where=where, found=repr(value)) from None


def _known_unit(unit: str) -> str:
    word = UNIT_WORDS.get(unit.lower())
    if word is None:
        raise DataError(f"unknown unit of time '{unit}'", hint=nearest(unit, UNITS_US))
    return word


def _time_unit(table: Table, column: int, width: float, span: float, options: ReadOptions) -> tuple[str, str]:
    """Return the unit of the times and how it was found."""
    if options.time_unit is not None:
        return _known_unit(options.time_unit), "given"
    if table.names is not None and (unit := split_unit(table.names[column])[1]) is not None:
        return unit, "column name"
    # Bins of a precession histogram are at most a few µs wide and a histogram is 1 µs to a few ms long.
    plausible = [
        unit
        for unit in ("ns", "us")
        if 1e-5 <= width * UNITS_US[unit] <= 2.0 and 1.0 <= span * UNITS_US[unit] <= 2000.0
    ]
    if len(plausible) == 1:
        return plausible[0], "recognised by size"
    raise DataError(
        "the unit of the times is not given and cannot be recognised by size",
        where=table.where,
        found=f"bins of {width:g}, {span:g} long",
        hint="say --time-unit ns or --time-unit us",
    )
