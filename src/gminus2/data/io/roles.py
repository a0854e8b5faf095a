"""Which column of a table is time, counts or error: by what the user says, by name, or by position.

The rules stand in ``docs/formats.md``; what was decided for a file is told in the notes of the result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gminus2.data.io.report import ReadOptions
from gminus2.errors import DataError, nearest

__all__ = ["UNITS_US", "UNIT_WORDS", "Roles", "Table", "find_roles", "split_unit"]

#: Unit of time → µs.
UNITS_US: Final[Mapping[str, float]] = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}

UNIT_WORDS: Final = {
    "ns": "ns", "nanosecond": "ns", "nanoseconds": "ns", "nsec": "ns",
    "us": "us", "µs": "us", "μs": "us", "usec": "us", "mus": "us", "microsecond": "us", "microseconds": "us",
    "ms": "ms", "msec": "ms", "milliseconds": "ms", "s": "s", "sec": "s", "seconds": "s",
}  # fmt: skip

_ROLE_WORDS: Final[Mapping[str, frozenset[str]]] = {
    role: frozenset(words.split())
    for role, words in {
        "time": """time times t x mid centre center centres centers bincentre bincenter bincentres bincenters
                   timecentre timecenter tcentre tcenter decaytime""",
        "low": """low lower left start edge edges binedge binedges lowedge loweredge leftedge binlow binlower
                  tlow timelow xlow""",
        "high": "high upper right stop highedge upperedge rightedge binhigh binupper thigh timehigh xhigh",
        "bin": "bin k i index channel ch binnumber binindex",
        "counts": """count counts content contents bincontent bincontents n y value values entries events
                     positrons numberofpositrons numberofcounts numberofevents hist histogram""",
        "error": """error errors err yerr sigma std uncertainty dn dy ey binerror binerrors counterror countserror
                    counterr""",
        "variance": "variance variances var sumw2 binvariance",
    }.items()
}


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

    def name(self, column: int) -> str:
        """Return the name of a column, or its number counted from 1."""
        return self.names[column] if self.names is not None else f"column {column + 1}"


@dataclass(frozen=True)
class Roles:
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


def find_roles(table: Table, options: ReadOptions) -> Roles:
    """Return the roles of a table's columns.

    Raises
    ------
    DataError
        The columns cannot be told apart; the message says what to give as ``--columns``.
    """
    if options.columns:
        return _given_roles(table, options.columns)
    if table.names is not None:
        return _named_roles(table, table.names, options)
    return _positional_roles(table, options)


def _given_roles(table: Table, text: str) -> Roles:
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
    names = [table.name(c) for c in chosen["counts"]]
    labels = tuple(names if len(names) > 1 else ["all"])
    return Roles(
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


def split_unit(name: str) -> tuple[str, str | None]:
    """Return the bare lower-case name and the unit it carries.

    >>> split_unit("Time (ns)"), split_unit("t_us"), split_unit("Counts")
    (('time', 'ns'), ('t', 'us'), ('counts', None))
    """
    text = name.strip().strip("\"'").lower()
    unit: str | None = None
    if match := re.search(r"[(\[]\s*([^)\]]*?)\s*[)\]]", text):
        unit = UNIT_WORDS.get(match.group(1))
        text = text[: match.start()] + text[match.end() :]
    elif match := re.search(r"[_\s/](ns|us|µs|μs|ms|s|usec|nsec)$", text):
        unit = UNIT_WORDS[match.group(1)]
        text = text[: match.start()]
    return re.sub(r"[^\w]|_", "", text), unit


def _named_roles(table: Table, names: Sequence[str], options: ReadOptions) -> Roles:
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
            hint="say which column it is with --columns time=1,counts=2, or give --bin-width",
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
    return Roles(
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


def _positional_roles(table: Table, options: ReadOptions) -> Roles:
    columns = table.columns
    n = len(columns)
    if n == 1:
        if options.bin_width is None:
            raise DataError(
                "one column without a name: the counts are there, the times are missing",
                where=table.where,
                hint="give --bin-width (and --t0, the bin whose centre is t = 0)",
            )
        return Roles(counts=(0,), labels=("all",), notes=("one column without a name: counts",))
    if n == 2:
        return Roles(counts=(1,), labels=("all",), time=0, notes=("columns by position: time (bin centre), counts",))
    if n in (3, 4) and _are_edges(columns[0], columns[1]):
        return Roles(
            counts=(2,),
            labels=("all",),
            errors=(3,) if n == 4 else (),
            low=0,
            high=1,
            notes=("columns by position: lower edge, upper edge, counts" + (", error" if n == 4 else ""),),
        )
    if n == 3 and _looks_like_error(columns[1], columns[2]):
        return Roles(
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
