"""Tables as plain data, printed on a terminal with rich or set in HTML by the report's template."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table as RichTable

__all__ = ["PROVISIONAL", "Table", "mark", "number", "pm", "short_a_mu", "to_rich"]

#: Printed behind every number that nobody has compared with its document.
PROVISIONAL = "†"


@dataclass(frozen=True)
class Table:
    """A titled table of text cells; the first column is left-aligned, the others right-aligned.

    Attributes
    ----------
    emphasis
        Rows printed bold (totals).
    failures
        Rows printed red.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    emphasis: frozenset[int] = field(default_factory=frozenset)
    failures: frozenset[int] = field(default_factory=frozenset)


def to_rich(table: Table) -> RichTable:
    """Return the table for a terminal."""
    from rich import box
    from rich.table import Table as RichTable

    rich = RichTable(
        title=table.title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        caption="\n".join(table.notes) or None,
        caption_justify="left",
    )
    for index, column in enumerate(table.columns):
        rich.add_column(column, justify="left" if index == 0 else "right", no_wrap=index == 0, overflow="fold")
    for index, row in enumerate(table.rows):
        style = "red" if index in table.failures else "bold" if index in table.emphasis else None
        rich.add_row(*row, style=style)
    return rich


def number(value: Any, digits: int = 1) -> str:
    """Return a number with a fixed count of decimals, or a dash where there is none.

    >>> number(-11.34, 1), number(None), number(0.0, 0)
    ('−11.3', '–', '0')
    """
    if value is None:
        return "–"
    return f"{value:.{digits}f}".replace("-", "−")


def pm(value: float, sigma: float, digits: int) -> str:
    """Return value and uncertainty in the last digits, as in print.

    >>> pm(229081.06, 0.28, 2), pm(61791871.2, 7.1, 1), pm(0.0037073009, 4.5e-9, 10)
    ('229081.06(28)', '61791871.2(7.1)', '0.0037073009(45)')
    """
    text = f"{value:.{digits}f}".replace("-", "−")
    scaled = sigma * 10**digits
    inner = f"{sigma:.{digits}f}" if sigma >= 1 and digits > 0 else f"{scaled:.0f}"
    return f"{text}({inner})"


def short_a_mu(value: float, sigma: float, digits: int = 0) -> str:
    """Return an a_μ in 10⁻¹¹ in the usual form.

    >>> short_a_mu(116592040.24, 53.96, 1)
    '116592040.2(54.0)'
    """
    return pm(value, sigma, digits)


def mark(text: str, status: str) -> str:
    """Return the text with a dagger where the number is unverified."""
    return text + PROVISIONAL if status == "unverified" else text
