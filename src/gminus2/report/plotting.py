"""The house style of figures: one look, labelled axes with units, no global state.

Figures are built on :class:`matplotlib.figure.Figure` without pyplot, so that threads may draw and nothing leaks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gminus2.data.writing import atomic_path

__all__ = ["COLOURS", "new_figure", "save_figure"]

#: Colours that stay apart for colour-blind readers and in grey print (Okabe–Ito).
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")

_STYLE: Final[Any] = {
    "font.size": 10.0,
    "axes.titlesize": 11.0,
    "axes.labelsize": 10.0,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "axes.prop_cycle": cycler(color=COLOURS),
    "lines.linewidth": 1.3,
}


def new_figure(
    rows: int = 1, columns: int = 1, *, size: tuple[float, float] = (7.0, 4.5), **options: Any
) -> tuple[Figure, list[Axes]]:
    """Return a figure in the house style and its axes in reading order.

    Parameters
    ----------
    size
        Width and height in inches.
    options
        Passed to :meth:`matplotlib.figure.Figure.subplots` (``sharex``, ``height_ratios``, …).
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, list(axes.flat)


def save_figure(figure: Figure, path: Path, *, dpi: int = 130) -> None:
    """Write a figure atomically; the suffix of ``path`` is the format (``.png``, ``.svg``, ``.pdf``)."""
    with mpl.rc_context({"svg.hashsalt": "gminus2"}), atomic_path(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lstrip(".") or "png", dpi=dpi)
