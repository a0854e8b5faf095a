"""From named or numbered columns to a time histogram: which column is time, counts, error, and in which unit.

Used by every format that is a table: CSV, NumPy arrays, and their compressed forms. The rules stand in
``docs/formats.md``; what was decided for a file is told in the notes of the result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gminus2.data.histograms import TimeHistogram
from gminus2.data.io.regular import regular_times
from gminus2.data.io.report import Parsed, ReadOptions
from gminus2.errors import DataError, nearest

__all__ = ["UNITS_US", "Table", "parse_table", "split_unit"]

#: Unit of time → µs.
UNITS_US: Final[Mapping[str, float]] = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}

_UNIT_WORDS: Final = {
    "ns": "ns", "nanosecond": "ns", "nanoseconds": "ns", "nsec": "ns",
    "us": "us", "µs": "us", "μs": "us", "usec": "us", "mus": "us", "microsecond": "us", "microseconds": "us",
    "ms": "ms", "msec": "ms", "milliseconds": "ms", "s": "s", "sec": "s", "seconds": "s",
}  # fmt: skip

_ROLE_WORDS: Final[Mapping[str, frozenset[str]]] = {
    "time": frozenset(["time", "times", "t", "x", "centre", "center", "centres", "centers", "mid", "bincentre", "bincenter", "timecentre", "timecenter", "bincentres", "bincenters", "tcentre", "tcenter", "decaytime"]),
    "low": frozenset(["low", "lower", "left", "lowedge", "loweredge", "leftedge", "binlow", "binlower", "tlow", "timelow", "xlow", "edge", "edges", "binedge", "binedges", "start"]),
    "high": frozenset(["high", "upper", "right", "highedge", "upperedge", "rightedge", "binhigh", "binupper", "thigh", "timehigh", "xhigh", "stop"]),
    "bin": frozenset(["bin", "k", "i", "index", "channel", "binnumber", "binindex", "ch"]),
    "counts": frozenset(["count", "counts", "bincontent", "bincontents", "content", "contents", "n", "y", "value", "values", "positrons", "entries", "events", "numberofpositrons", "numberofcounts", "numberofevents", "hist", "histogram"]),
    "error": frozenset(["error", "errors", "err", "binerror", "binerrors", "sigma", "std", "uncertainty", "dn", "dy", "ey", "counterror", "countserror", "yerr", "counterr"]),
    "variance": frozenset(["variance", "variances", "var", "sumw2", "binvariance"]),
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """Numeric columns of equal length.

    Attributes
    ----------
    columns
        One array per column.
    names
        Names of the columns; ``None`` where the file has none.
    resolution
        Column index → half a unit in the last printed digit of its values; absent: taken from the floats.
    row
        Names a row for messages (``"line 17"``).
    header
        Values of a JSON header (``dt_ns``, ``t0_bin``, …).
    """

    where: str
    columns: tuple[NDArray[np.float64], ...]
    names: tuple[str, ...] | None = None
    resolution: Callable[[int], NDArray[np.float64] | None] = lambda column: None
    row: Callable[[int], str] = lambda i: f"row {i + 1}"
    header: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class _Roles:
    """Column index of each role; ``counts`` and ``errors`` run in parallel."""

    counts: tuple[int, ...]
    labels: tuple[str, ...]
    errors: tuple[int, ...] = ()
    variances: bool = False
    time: int | None = None
    low: int | None = None
    high: int | None = None
    bin: int | None = None
    notes: tuple[str, ...] = ()


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
    roles = _roles(table, options)
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


# Roles ----------------------------------------------------------------------------------------------------------------


def _roles(table: Table, options: ReadOptions) -> _Roles:
    if options.columns:
        return _given_roles(table, options.columns)
    if table.names is not None:
        return _named_roles(table, table.names, options)
    return _positional_roles(table, options)


def _given_roles(table: Table, text: str) -> _Roles:
    """Read ``--columns``."""
    place = f"--columns {text!r}"
    chosen: dict[str, list[int]] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        role, equals, column = (x.strip() for x in part.partition("="))
        if not equals or role not in _ROLE_WORDS:
            raise DataError(
                f"'{part}' is not ROLE=COLUMN",
                where=place,
                hint=nearest(role, _ROLE_WORDS) if equals else "write for example time=1,counts=2",
            )
        chosen.setdefault(role, []).append(_column_index(table, column, place))
    if "counts" not in chosen:
        raise DataError("no column is named as counts", where=place, hint="add counts=COLUMN")
    for role, found in chosen.items():
        if len(found) > 1 and role not in ("counts", "error", "variance"):
            raise DataError(f"the role '{role}' is given twice", where=place)
    errors = chosen.get("error", []) or chosen.get("variance", [])
    if "error" in chosen and "variance" in chosen:
        raise DataError("give errors or variances, not both", where=place)
    if errors and len(errors) != len(chosen["counts"]):
        raise DataError("give one error column per counts column, or none", where=place)
    times = [role for role in ("time", "low", "bin") if role in chosen]
    if len(times) > 1:
        raise DataError("give one of time, low and bin", where=place, found=" and ".join(times))
    single = {role: chosen[role][0] for role in ("time", "low", "high", "bin") if role in chosen}
    names = [_name(table, c) for c in chosen["counts"]]
    labels = tuple(names if len(names) > 1 else ["all"])
    return _Roles(
        counts=tuple(chosen["counts"]),
        labels=labels,
        errors=tuple(errors),
        variances="variance" in chosen,
        notes=(f"columns as given: {text}",),
        **single,
    )


def _column_index(table: Table, column: str, place: str) -> int:
    if table.names is not None and column in table.names:
        return table.names.index(column)
    if column.isdigit():
        number = int(column)
        if 1 <= number <= len(table.columns):
            return number - 1
        raise DataError(
            f"there is no column {number}", where=place, expected=f"1 … {len(table.columns)}", found=str(number)
        )
    if table.names is None:
        raise DataError(
            f"the file names no columns, so '{column}' cannot be found", where=place, hint="count the columns from 1"
        )
    raise DataError(f"there is no column '{column}'", where=place, hint=nearest(column, table.names))


def _name(table: Table, column: int) -> str:
    return table.names[column] if table.names is not None else f"column {column + 1}"


def split_unit(name: str) -> tuple[str, str | None]:
    """Return the bare lower-case name and the unit it carries.

    >>> split_unit("Time (ns)"), split_unit("t_us"), split_unit("Counts")
    (('time', 'ns'), ('t', 'us'), ('counts', None))
    """
    text = name.strip().strip("\"'").lower()
    unit: str | None = None
    if match := re.search(r"[(\[]\s*([^)\]]*?)\s*[)\]]", text):
        unit = _UNIT_WORDS.get(match.group(1))
        text = text[: match.start()] + text[match.end() :]
    elif match := re.search(r"[_\s/](ns|us|µs|μs|ms|s|usec|nsec)$", text):
        unit = _UNIT_WORDS[match.group(1)]
        text = text[: match.start()]
    return re.sub(r"[^\w]|_", "", text), unit


def _named_roles(table: Table, names: Sequence[str], options: ReadOptions) -> _Roles:
    bare = [split_unit(name)[0] for name in names]
    by_role = {role: [i for i, word in enumerate(bare) if word in words] for role, words in _ROLE_WORDS.items()}
    for role in ("time", "low", "high", "bin"):
        if len(by_role[role]) > 1:
            both = ", ".join(f"'{names[i]}'" for i in by_role[role])
            raise DataError(
                f"several columns could be the {role} of the bins: {both}",
                where=table.where,
                hint="say which with --columns, for example time=1,counts=2",
            )
    taken = {i for found in by_role.values() for i in found}
    others = [i for i in range(len(names)) if i not in taken]
    notes: list[str] = []
    counts = by_role["counts"]
    if not counts:
        # Columns with names of their own (Forw, Back, calo 1, …) are detectors.
        counts, others = _detector_columns(bare, others), []
    elif others:
        notes.append("not used: column " + ", ".join(f"'{names[i]}'" for i in others))
    if not counts:
        raise DataError(
            "no column of counts",
            where=table.where,
            found="columns " + ", ".join(f"'{n}'" for n in names),
            hint="name the columns (time, counts, error) or say which is which with --columns time=1,counts=2",
        )
    axes = [role for role in ("time", "low", "bin") if by_role[role]]
    if not axes and options.bin_width is None:
        raise DataError(
            "no column of times or bin numbers",
            where=table.where,
            found="columns " + ", ".join(f"'{n}'" for n in names),
            hint=f"{nearest(bare[0], _ROLE_WORDS['time'])} Or say which column it is with --columns, or give --bin-width",
        )
    errors, are_variances = _error_columns(bare, counts, by_role)
    if len(axes) == 2 and "bin" in axes:
        axes.remove("bin")
        notes.append("bin numbers not used, the times decide")
    labels = (
        tuple(names[i].strip() for i in counts) if len(counts) > 1 else _single_label(names[counts[0]], bare[counts[0]])
    )
    shown = [f"{axis} = '{names[by_role[axis][0]].strip()}'" for axis in axes]
    shown.append("counts = " + ", ".join(f"'{names[i].strip()}'" for i in counts))
    if errors:
        shown.append(
            f"{'variance' if are_variances else 'error'} = " + ", ".join(f"'{names[i].strip()}'" for i in errors)
        )
    return _Roles(
        counts=tuple(counts),
        labels=labels,
        errors=tuple(errors),
        variances=are_variances,
        time=by_role["time"][0] if "time" in axes else None,
        low=by_role["low"][0] if "low" in axes else None,
        high=by_role["high"][0] if by_role["high"] and "low" in axes else None,
        bin=by_role["bin"][0] if "bin" in axes else None,
        notes=("columns: " + "; ".join(shown), *notes),
    )


def _detector_columns(bare: Sequence[str], others: Sequence[int]) -> list[int]:
    errors = {f"{bare[i]}{word}" for i in others for word in _ROLE_WORDS["error"] | _ROLE_WORDS["variance"]}
    return [i for i in others if bare[i] not in errors]


def _error_columns(
    bare: Sequence[str], counts: Sequence[int], by_role: Mapping[str, list[int]]
) -> tuple[list[int], bool]:
    """Return the error (or variance) column of every counts column, or none at all."""
    for role in ("error", "variance"):
        plain = by_role[role]
        if plain and len(counts) == 1:
            return plain[:1], role == "variance"
        own = []
        for i in counts:
            own += [j for j, word in enumerate(bare) if any(word == bare[i] + w for w in _ROLE_WORDS[role])][:1]
        if own and len(own) == len(counts):
            return own, role == "variance"
    return [], False


def _single_label(name: str, bare: str) -> tuple[str, ...]:
    return ("all",) if bare in _ROLE_WORDS["counts"] else (name.strip(),)


def _positional_roles(table: Table, options: ReadOptions) -> _Roles:
    columns = table.columns
    n = len(columns)
    if n == 1:
        if options.bin_width is None:
            raise DataError(
                "one column without a name: the counts are there, the times are missing",
                where=table.where,
                hint="give --bin-width (and --t0, the bin whose centre is t = 0)",
            )
        return _Roles(counts=(0,), labels=("all",), notes=("one column without a name: counts",))
    if n == 2:
        return _Roles(counts=(1,), labels=("all",), time=0, notes=("columns by position: time (bin centre), counts",))
    if n in (3, 4) and _are_edges(columns[0], columns[1]):
        return _Roles(
            counts=(2,),
            labels=("all",),
            errors=(3,) if n == 4 else (),
            low=0,
            high=1,
            notes=("columns by position: lower edge, upper edge, counts" + (", error" if n == 4 else ""),),
        )
    if n == 3 and _looks_like_error(columns[1], columns[2]):
        return _Roles(
            counts=(1,),
            labels=("all",),
            errors=(2,),
            time=0,
            notes=("columns by position: time (bin centre), counts, error",),
        )
    raise DataError(
        f"{n} columns without names cannot be told apart",
        where=table.where,
        expected="time, counts | time, counts, error | low, high, counts[, error]",
        hint="say which is which with --columns, for example time=1,counts=2,counts=3",
    )


def _are_edges(low: NDArray[np.float64], high: NDArray[np.float64]) -> bool:
    step = float(np.median(np.diff(low))) if len(low) > 1 else 0.0
    return bool(step > 0 and np.allclose(high[:-1], low[1:], rtol=0, atol=0.05 * step))


def _looks_like_error(counts: NDArray[np.float64], error: NDArray[np.float64]) -> bool:
    filled = counts > 0
    if not filled.any() or not np.isfinite(error).all() or (error < 0).any():
        return False
    ratio = float(np.median(error[filled] ** 2 / counts[filled]))
    return 0.1 < ratio < 10.0


# Values ---------------------------------------------------------------------------------------------------------------


def _check_values(table: Table, column: int, *, allow_negative: bool) -> None:
    values = table.columns[column]
    for word, bad in (("not a finite number", ~np.isfinite(values)), ("negative", values < 0)):
        if bad.any() and not (allow_negative and word == "negative"):
            first = int(np.argmax(bad))
            raise DataError(
                f"the value is {word} in {int(bad.sum())} bin{'s' if bad.sum() > 1 else ''}",
                where=f"{table.where}, {table.row(first)}, column '{_name(table, column)}'",
                expected="counts ≥ 0" if word == "negative" else "a number",
                found=f"{values[first]:g}",
                hint="counts may be negative only where the file gives their errors" if word == "negative" else None,
            )


def _variances(
    table: Table, roles: _Roles, counts: NDArray[np.float64]
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


# Time axis ------------------------------------------------------------------------------------------------------------


def _axis(table: Table, roles: _Roles, options: ReadOptions) -> _Axis:
    if roles.time is not None or roles.low is not None:
        return _axis_of_times(table, roles, options)
    return _axis_of_bins(table, roles, options)


def _axis_of_bins(table: Table, roles: _Roles, options: ReadOptions) -> _Axis:
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
            hint='give --bin-width (with --time-unit ns, or in µs), or a JSON header like # {"dt_ns": 149.2, "t0_bin": -0.5}',
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


def _axis_of_times(table: Table, roles: _Roles, options: ReadOptions) -> _Axis:
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
                "the times are whole multiples of the bin width and were taken as bin centres; if they are lower edges, "
                "say --columns low=…,counts=… (φ changes by half a bin, the frequency does not)",
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
    word = _UNIT_WORDS.get(unit.lower())
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
