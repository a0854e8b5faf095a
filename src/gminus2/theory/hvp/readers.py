"""Readers of R(s) tables: the PDG text file, YODA scatter blocks and CSV.

Nothing inside these files says what the axes are, so units, kind of axis, dressing and binning are **never
inferred**: the caller gives them in :class:`Layout`. Formats: ``docs/physics/theory.md``, section Formats of R(s).
"""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from gminus2.errors import DataError, nearest
from gminus2.theory.hvp.spectrum import Spectrum
from gminus2.theory.hvp.time_momentum import LatticeCorrelator
from gminus2.theory.parameters import parameters

__all__ = ["FORMATS", "Layout", "read_csv_spectrum", "read_pdg_table", "read_spectrum", "read_yoda", "yoda_datasets"]

Array = NDArray[np.float64]

#: Names of formats for the command line.
FORMATS: Final = ("pdg", "yoda", "csv")


@dataclass(frozen=True)
class Layout:
    """What the columns of a table mean.

    Attributes
    ----------
    axis
        ``sqrt_s`` or ``s``.
    unit
        ``GeV`` or ``MeV`` (then s is in MeV²).
    position
        Whether x is the ``centre`` of the bin (or the point) or its ``lower_edge``.
    bins
        ``none``: points; ``xerr``: the horizontal errors are half bins; ``width``: bins of ``width`` in units of x.
    width
        Bin width for ``bins="width"``.
    value
        ``R``; ``nb``, a cross-section; ``form_factor_squared``, |F_π|²; ``alpha_r_over_3``, αR/3.
    vp, fsr
        State of the data, see :class:`~gminus2.theory.hvp.spectrum.Spectrum`.
    sort
        Sort rows by energy (stable) instead of refusing an unsorted table.
    allow_gaps
        Accept holes.
    relative_syst
        A relative systematic uncertainty common to all points, added to what the file gives.
    """

    axis: Literal["sqrt_s", "s"] = "sqrt_s"
    unit: Literal["GeV", "MeV"] = "GeV"
    position: Literal["centre", "lower_edge"] = "centre"
    bins: Literal["none", "xerr", "width"] = "none"
    width: float = 0.0
    value: Literal["R", "nb", "form_factor_squared", "alpha_r_over_3"] = "R"
    vp: Literal["bare", "dressed"] = "bare"
    fsr: Literal["included", "excluded", "unknown"] = "unknown"
    sort: bool = False
    allow_gaps: bool = False
    relative_syst: float = 0.0


def _rows(lines: list[tuple[int, str]], columns: int, where: str) -> Array:
    parsed = []
    for number, line in lines:
        words = line.split()
        if len(words) != columns:
            raise DataError(
                "a row has the wrong number of columns",
                where=f"{where}, line {number}",
                expected=str(columns),
                found=f"{len(words)}: {line.strip()[:60]}",
            )
        try:
            parsed.append([float(word) for word in words])
        except ValueError:
            raise DataError(
                "a row holds something that is not a number", where=f"{where}, line {number}", found=line.strip()[:60]
            ) from None
    if not parsed:
        raise DataError("the table is empty", where=where)
    return np.array(parsed)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError("no such R(s) file", where=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the R(s) file: {error}", where=str(path)) from None


def _build(
    x: Array, x_low: Array, x_high: Array, y: Array, stat: Array, syst: Array, layout: Layout, source: str
) -> Spectrum:
    """Turn columns into a spectrum; ``x_low`` and ``x_high`` are distances to the bin edges."""
    if layout.bins == "width" and not layout.width > 0:
        raise DataError("bins of a given width need a positive width", where=source, found=str(layout.width))
    order = np.argsort(x, kind="stable") if layout.sort else np.arange(len(x))
    x, x_low, x_high, y, stat, syst = (v[order] for v in (x, x_low, x_high, y, stat, syst))
    if not np.isfinite(x).all() or (x <= 0).any():
        row = int(np.argmax(~(np.isfinite(x) & (x > 0))))
        raise DataError("an energy is not positive", where=f"{source}, row {row + 1}", found=str(x[row]))
    if layout.bins == "width":
        x_low = np.full_like(x, 0.5 * layout.width)
        x_high = x_low
    centre = x + 0.5 * layout.width if layout.position == "lower_edge" else x
    if layout.position == "lower_edge" and layout.bins != "width":
        raise DataError("rows given by lower bin edges need the bin width", where=source)
    scale = 1e-3 if layout.unit == "MeV" else 1.0
    if layout.axis == "s":
        scale *= scale
    low, high, centre = scale * (centre - x_low), scale * (centre + x_high), scale * centre
    if layout.axis == "s":
        energy, low, high = np.sqrt(centre), np.sqrt(np.clip(low, 0.0, None)), np.sqrt(high)
    else:
        energy = centre
    factor = _value_factor(energy, layout.value)
    binned = layout.bins != "none"
    rule: Literal["points", "bins_sqrt_s", "bins_s"] = "points"
    if binned:
        rule = "bins_s" if layout.axis == "s" else "bins_sqrt_s"
    extra = layout.relative_syst * np.abs(y)
    return Spectrum(
        energy=energy,
        r=y * factor,
        stat=stat * factor,
        syst=np.hypot(syst, extra) * factor,
        rule=rule,
        vp=layout.vp,
        fsr=layout.fsr,
        source=source,
        lower=low if binned else None,
        upper=high if binned else None,
        common_syst=layout.relative_syst > 0,
        allow_gaps=layout.allow_gaps,
    )


def _value_factor(energy: Array, value: str) -> Array:
    p = parameters()
    if value == "R":
        return np.ones_like(energy)
    if value == "nb":
        factor: Array = energy**2 * p.sigma_to_r
        return factor
    if value == "form_factor_squared":
        velocity = np.sqrt(np.clip(1.0 - 4.0 * (p.m_pi / energy) ** 2, 0.0, None))
        return 0.25 * velocity**3
    return np.full_like(energy, 3.0 / p.alpha)


def read_pdg_table(path: Path, *, older: Spectrum | None = None, layout: Layout | None = None) -> Spectrum:
    """Read the R(s) table of the Review of Particle Physics.

    Seven columns: √s [GeV], lower and upper end of its range, R, +stat, −stat, and the systematic uncertainty **in
    percent of R**. Below 2 GeV the table is an already combined sum of exclusive channels; narrow ψ and Υ states are
    not in it.

    Parameters
    ----------
    older
        An earlier edition: where both have the energy and the older total uncertainty is larger, it is taken (some
        systematics are zero in the newer file).
    layout
        Only ``vp``, ``fsr``, ``sort`` and ``allow_gaps`` are used; by default bare, with final-state photons, sorted.

    Raises
    ------
    DataError
        Not seven numbers in a row, or values no measurement can have.
    """
    chosen = layout or Layout(vp="bare", fsr="included", sort=True, allow_gaps=True)
    lines = [
        (number, line)
        for number, line in enumerate(_text(path).splitlines(), 1)
        if line.strip() and not line.lstrip().startswith(("#", "*"))
    ]
    table = _rows(lines, 7, str(path))
    x, y = table[:, 0], table[:, 3]
    for column, name in ((4, "+stat"), (5, "−stat"), (6, "systematic")):
        bad = table[:, column] < 0
        if bad.any():
            raise DataError(
                f"negative {name} uncertainty",
                where=f"{path}, line {lines[int(np.argmax(bad))][0]}",
                expected="a standard uncertainty ≥ 0",
                found=str(table[int(np.argmax(bad)), column]),
            )
    stat = 0.5 * (table[:, 4] + table[:, 5])
    syst = 0.01 * table[:, 6] * np.abs(y)
    zero = np.zeros_like(x)
    fixed = Layout(vp=chosen.vp, fsr=chosen.fsr, sort=chosen.sort, allow_gaps=chosen.allow_gaps)
    spectrum = _build(x, zero, zero, y, stat, syst, fixed, path.name)
    return spectrum if older is None else _with_older_errors(spectrum, older)


def _with_older_errors(new: Spectrum, old: Spectrum) -> Spectrum:
    syst = new.syst.copy()
    for i, energy in enumerate(new.energy):
        same = np.flatnonzero(np.abs(old.energy - energy) < 1e-4 * energy)
        if len(same) == 1:
            missing = old.sigma[same[0]] ** 2 - new.stat[i] ** 2
            syst[i] = max(syst[i], math.sqrt(max(0.0, missing)))
    return Spectrum(new.energy, new.r, new.stat, syst, new.rule, new.vp, new.source, fsr=new.fsr, allow_gaps=True)


_NUMBER_BLOCK = re.compile(r"^BEGIN\s+YODA_SCATTER2D\S*\s+(\S+)", re.IGNORECASE)


def _yoda_blocks(path: Path) -> dict[str, list[tuple[int, str]]]:
    blocks: dict[str, list[tuple[int, str]]] = {}
    name: str | None = None
    for number, line in enumerate(_text(path).splitlines(), 1):
        begin = _NUMBER_BLOCK.match(line)
        if begin:
            # A lost line break may glue the first header to the path.
            name = re.sub(r"IsRef:?$", "", begin.group(1)).rpartition("/")[2]
            blocks[name] = []
        elif line.startswith("END"):
            name = None
        elif name is not None and re.match(r"\s*[-+.\d]", line) and not line.startswith("---"):
            blocks[name].append((number, line))
    if name is not None:
        raise DataError("the file ends inside a block", where=str(path), expected="END", found=f"block '{name}'")
    if not blocks:
        raise DataError("no YODA scatter block in the file", where=str(path), expected="BEGIN YODA_SCATTER2D…")
    return blocks


def yoda_datasets(path: Path) -> list[str]:
    """Return the names of the scatter blocks of a YODA file."""
    return list(_yoda_blocks(path))


def read_yoda(path: Path, dataset: str, layout: Layout) -> Spectrum:
    """Read one two-dimensional scatter (x, xerr−, xerr+, y, yerr−, yerr+) of a YODA file.

    Asymmetric vertical errors are symmetrised; the file's errors are statistical ⊕ systematic and become ``stat``.

    Raises
    ------
    DataError
        No such dataset (the message lists them), wrong columns, truncated file, impossible values.
    """
    blocks = _yoda_blocks(path)
    if dataset not in blocks:
        raise DataError(f"no dataset '{dataset}'", where=str(path), hint=nearest(dataset, blocks))
    source = f"{path.name} {dataset}"
    table = _rows(blocks[dataset], 6, source)
    x, x_low, x_high, y, e_low, e_high = table.T
    bad = (e_low < 0) | (e_high < 0)
    if bad.any():
        raise DataError(
            "negative uncertainty",
            where=f"{source}, line {blocks[dataset][int(np.argmax(bad))][0]}",
            expected="a standard uncertainty ≥ 0",
        )
    sigma = 0.5 * (e_low + e_high)
    return _build(x, x_low, x_high, y, sigma, np.zeros_like(sigma), layout, source)


def read_csv_spectrum(path: Path, layout: Layout, *, label: str | None = None) -> dict[str, Spectrum]:
    """Read a CSV table and return one spectrum per label.

    The header names the columns: an energy column (``sqrts_GeV``, ``energy`` or ``x``), ``y`` (or ``R``), and
    optionally ``ex`` (half bin), ``ey`` or ``stat``, ``syst``, ``label``. Rows of one label must be sorted unless
    ``layout.sort``.

    Parameters
    ----------
    label
        Return only labels that contain this text.

    Raises
    ------
    DataError
        Missing columns, a value that is not a number, no row with the label, impossible values.
    """
    reader = csv.DictReader(_text(path).splitlines())
    header = [name.strip() for name in (reader.fieldnames or [])]
    reader.fieldnames = header
    x_name = _column(header, ("sqrts_GeV", "energy", "x", "sqrt_s", "s"), path)
    y_name = _column(header, ("y", "R", "r", "sigma"), path)
    groups: dict[str, list[tuple[float, ...]]] = {}
    assert x_name is not None
    assert y_name is not None
    for number, row in enumerate(reader, 2):
        name = (row.get("label") or "").strip()
        if label is not None and label not in name:
            continue
        groups.setdefault(name, []).append(_csv_row(row, x_name, y_name, f"{path}, line {number}"))
    if not groups:
        raise DataError("no row of the table fits", where=str(path), expected=f"label '{label}'" if label else "rows")
    result = {}
    for name, rows in groups.items():
        x, ex, y, stat, syst = np.array(rows).T
        result[name] = _build(x, ex, ex, y, stat, syst, layout, f"{path.name} {name}".strip())
    return result


def _column(header: list[str], known: tuple[str, ...], path: Path) -> str:
    for name in known:
        if name in header:
            return name
    raise DataError(
        "a column is missing", where=str(path), expected=" or ".join(known), found=", ".join(header) or "no header"
    )


def _csv_row(row: dict[str | Any, str | Any], x_name: str, y_name: str, where: str) -> tuple[float, ...]:
    def number(name: str) -> float:
        text = row.get(name)
        if text is None or not str(text).strip():
            return 0.0
        try:
            return float(text)
        except ValueError:
            raise DataError(f"column '{name}' is not a number", where=where, found=repr(text)) from None

    stat = number("stat") if "stat" in row else number("ey")
    for name, value in (("ey/stat", stat), ("syst", number("syst"))):
        if value < 0:
            raise DataError(
                f"negative uncertainty in column '{name}'",
                where=where,
                expected="a standard uncertainty ≥ 0",
                found=str(value),
            )
    return number(x_name), number("ex"), number(y_name), stat, number("syst")


def read_spectrum(path: Path, kind: str, layout: Layout, *, dataset: str = "", label: str | None = None) -> Spectrum:
    """Read one spectrum by format name (:data:`FORMATS`); a CSV with several labels needs ``label``."""
    if kind == "pdg":
        return read_pdg_table(path, layout=layout)
    if kind == "yoda":
        names = yoda_datasets(path)
        if not dataset and len(names) > 1:
            raise DataError("the file holds several datasets", where=str(path), found=", ".join(names))
        return read_yoda(path, dataset or names[0], layout)
    if kind == "csv":
        groups = read_csv_spectrum(path, layout, label=label)
        if len(groups) > 1:
            raise DataError(
                "the table holds several labels",
                where=str(path),
                found=", ".join(sorted(groups)),
                hint="choose one with a label, or combine them in Python",
            )
        return next(iter(groups.values()))
    raise DataError(f"unknown format '{kind}'", hint=nearest(kind, FORMATS))


def read_correlator(path: Path, covariance: Path | None = None) -> LatticeCorrelator:
    """Read a lattice correlator: CSV with header ``t_fm,g,sigma``, and optionally its covariance as a CSV matrix.

    Raises
    ------
    DataError
        Missing columns, values that are not numbers, a covariance of another size, unequal times.
    """
    reader = csv.DictReader(_text(path).splitlines())
    header = [name.strip() for name in (reader.fieldnames or [])]
    reader.fieldnames = header
    needed = ("t_fm", "g") if covariance is not None else ("t_fm", "g", "sigma")
    missing = [name for name in needed if name not in header]
    if missing:
        raise DataError(
            "a column is missing", where=str(path), expected=", ".join(needed), found=", ".join(header) or "no header"
        )
    table = []
    for number, row in enumerate(reader, 2):
        try:
            table.append([float(row[name]) for name in needed])
        except (TypeError, ValueError):
            raise DataError("a row holds something that is not a number", where=f"{path}, line {number}") from None
    values = np.array(table).reshape(-1, len(needed))
    if covariance is not None:
        try:
            matrix = np.loadtxt(_text(covariance).splitlines(), delimiter=",", ndmin=2)
        except ValueError as error:
            raise DataError(f"the covariance is not a matrix of numbers: {error}", where=str(covariance)) from None
    else:
        if (values[:, 2] < 0).any():
            raise DataError("negative uncertainty of the correlator", where=str(path))
        matrix = np.diag(values[:, 2] ** 2)
    return LatticeCorrelator(values[:, 0], values[:, 1], matrix)
