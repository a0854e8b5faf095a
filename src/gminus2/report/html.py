"""The report of a measurement: one HTML file without network, readable on a phone; the number first."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import jinja2
import matplotlib as mpl
from matplotlib.figure import Figure

from gminus2.report.tables import Table

__all__ = ["InlineFigure", "NumberBox", "Section", "inline_svg", "render_report"]

#: A curve with more points than this is drawn as pixels inside the SVG.
_DENSE: Final = 400
#: Figures wider than this [inches] keep a readable size on a phone and scroll in their own frame.
_WIDE_INCHES: Final = 6.5

_STATUS_TEXT: Final[Mapping[str, str]] = {
    "source": "Every input was compared with the document it is from.",
    "computed": "Every input was computed or compared with its document.",
    "derived": "Some inputs are arithmetic on published numbers.",
    "cross-checked": "Some inputs were not compared with their document; they satisfy arithmetic relations with those "
    "that were.",
    "unverified": "Some inputs are provisional: nobody has compared them with their document yet.",
}


@dataclass(frozen=True)
class InlineFigure:
    """A figure as SVG text with the sentence that explains it."""

    svg: str
    caption: str
    wide: bool = False

    @classmethod
    def of(cls, figure: Figure, name: str, caption: str) -> InlineFigure:
        """Return a figure ready to be set; ``name`` is unique on the page."""
        return cls(inline_svg(figure, name), caption, figure.get_figwidth() > _WIDE_INCHES)


@dataclass(frozen=True)
class NumberBox:
    """A number at the head of the report. ``kind`` is empty, ``stopped`` or ``blinded``."""

    label: str
    value: str
    lines: tuple[str, ...] = ()
    kind: str = ""


@dataclass(frozen=True)
class Section:
    """A stage in the report."""

    title: str
    text: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[InlineFigure, ...] = field(default=())


def inline_svg(figure: Figure, prefix: str) -> str:
    """Return a figure as an SVG element that scales with the page.

    Parameters
    ----------
    prefix
        Makes the ids inside this SVG different from those of other figures on the page.
    """
    for axes in figure.axes:
        for line in axes.lines:
            # Thousands of points as vector paths would make the file ten times larger and slow to scroll.
            if len(line.get_xdata(orig=True)) > _DENSE:  # type: ignore[arg-type]
                line.set_rasterized(True)
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": f"gminus2-{prefix}", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", dpi=140, metadata={"Date": None, "Creator": "gminus2"})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    # Glyphs are shared inside one SVG by id; on a page of several the ids must differ.
    text = re.sub(r'id="([^"]+)"', rf'id="{prefix}-\1"', text)
    text = re.sub(r'(xlink:href|href)="#([^"]+)"', rf'\1="#{prefix}-\2"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", text)
    return re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)


def render_report(
    document: Mapping[str, Any],
    *,
    numbers: Sequence[NumberBox],
    sections: Sequence[Section],
    steps: Table,
    provenance: Mapping[str, Any],
) -> str:
    """Return the HTML text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gminus2.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("measurement.html.j2").render(
        title=document["title"],
        description=document["description"],
        status=document["status"],
        status_text=_STATUS_TEXT[document["status"]],
        provisional=document["provisional"],
        failures=[check["name"] for check in document["checks"] if check["ok"] is False],
        numbers=numbers,
        sections=sections,
        steps=steps,
        provenance=provenance,
    )
