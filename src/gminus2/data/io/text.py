"""CSV and other tables of text: any delimiter, comments, an optional JSON header, names or not.

A number that cannot be read is refused with its line. Plain UTF-8 and gzip are read alike.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gminus2.data.io.columns import parse_table
from gminus2.data.io.regular import resolutions
from gminus2.data.io.report import Parsed, ReadOptions
from gminus2.data.io.roles import Table
from gminus2.errors import DataError

__all__ = ["read_text"]


def read_text(raw: bytes, where: str, options: ReadOptions) -> Parsed:
    """Read a table of text.

    Raises
    ------
    DataError
        Not text, no rows, a cell that is no number (with line and column), rows of different length.
    """
    header, names, rows, lines = _split(_decode(raw, where), where)
    width = len(rows[0])
    for row, line in zip(rows, lines, strict=True):
        if len(row) != width:
            last = line == lines[-1]
            raise DataError(
                "the last line is cut off: the file is truncated" if last else "a row of another length",
                where=f"{where}, line {line}",
                expected=f"{width} cells",
                found=f"{len(row)}: {' '.join(row)[:60]}",
                hint="get the file again" if last else None,
            )
    if names is not None and len(names) != width:
        raise DataError(
            "the header does not fit the rows", where=where, expected=f"{width} names", found=", ".join(names)
        )
    columns = tuple(_numbers([row[c] for row in rows], c, names, lines, where) for c in range(width))
    _check_last(raw, columns, lines, where)
    table = Table(
        where=where,
        columns=columns,
        names=names,
        resolution=lambda c: resolutions([row[c] for row in rows]),
        row=lambda i: f"line {lines[i]}",
        header=header,
    )
    return parse_table(table, options, "text table with a JSON header" if set(header) - {"comment"} else "text table")


def _decode(raw: bytes, where: str) -> str:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")  # a degree or micro sign of an older program
    if "\0" in text:
        raise DataError("this is not a text table", where=where, found="zero bytes")
    return text


def _split(text: str, where: str) -> tuple[dict[str, Any], tuple[str, ...] | None, list[list[str]], list[int]]:
    """Return JSON header, column names, cells, and the line number of every row."""
    header: dict[str, Any] = {}
    comment: str | None = None
    comments: list[str] = []
    names: tuple[str, ...] | None = None
    rows: list[list[str]] = []
    lines: list[int] = []
    delimiter: str | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped:
            continue
        if stripped[0] in "#%!":
            content = stripped.lstrip("#%! ")
            if content.startswith("{"):
                header.update(_json_header(content, f"{where}, line {number}"))
            elif content and not rows:
                comment = content
                comments.append(content)
            continue
        if not rows and names is None:
            delimiter = _delimiter(stripped)
        cells = _cells(stripped, delimiter)
        if not rows and names is None and not _is_number(cells[0]):
            names = tuple(cells)
            continue
        rows.append(cells)
        lines.append(number)
    if not rows:
        raise DataError(
            "the file holds no rows of numbers",
            where=where,
            hint="expected columns like time, counts (see docs/formats.md)",
        )
    if comments:
        header.setdefault("comment", " | ".join(comments)[:2000])
    if names is None and comment is not None:
        words = tuple(_cells(comment, delimiter))
        # A commented line of names, as NumPy's savetxt writes it.
        if len(words) == len(rows[0]) > 1 and not any(_is_number(word) for word in words):
            names = words
    return header, names, rows, lines


def _json_header(content: str, where: str) -> Mapping[str, Any]:
    try:
        found = json.loads(content)
    except json.JSONDecodeError as error:
        raise DataError(f"the JSON header cannot be read: {error}", where=where) from None
    return dict(found)


def _delimiter(line: str) -> str | None:
    """Return the delimiter of a line; ``None`` is white space."""
    for candidate in (",", ";", "\t", "|"):
        if candidate in line:
            return candidate
    return None


def _cells(line: str, delimiter: str | None) -> list[str]:
    cells = line.split() if delimiter is None else line.strip(delimiter if delimiter == "\t" else "").split(delimiter)
    return [cell.strip().strip('"') for cell in cells]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _numbers(
    cells: Sequence[str], column: int, names: Sequence[str] | None, lines: Sequence[int], where: str
) -> NDArray[np.float64]:
    try:
        return np.array(cells, dtype=np.float64)
    except ValueError:
        pass
    for cell, line in zip(cells, lines, strict=True):
        if not _is_number(cell):
            name = names[column] if names is not None else str(column + 1)
            comma = re.fullmatch(r"[-+]?\d+,\d+", cell) is not None
            raise DataError(
                "an empty cell" if not cell else "a cell is not a number",
                where=f"{where}, line {line}, column '{name}'",
                expected="a number",
                found=repr(cell),
                hint="write decimals with a point" if comma else None,
            )
    raise AssertionError("unreachable: some cell was refused by NumPy")  # pragma: no cover


def _check_last(raw: bytes, columns: Sequence[NDArray[np.float64]], lines: Sequence[int], where: str) -> None:
    """Refuse a last number that was cut in its digits: no line end, and far below its neighbours."""
    if raw.endswith((b"\n", b"\r")) or len(lines) < 4:
        return
    last, neighbours = columns[-1][-1], columns[-1][-4:-1]
    if last < 0.2 * neighbours.min() and neighbours.min() - last > 10.0 * np.sqrt(neighbours.min()):
        raise DataError(
            "the last number is cut off: the file is truncated",
            where=f"{where}, line {lines[-1]}",
            expected=f"about {neighbours.mean():.6g}",
            found=f"{last:g} and no end of line",
            hint="get the file again",
        )
