"""What every verb shares: ``--output``, ``--quiet``, and a console that is quiet when asked."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["output_options", "printer"]

_WIDTH_OF_A_PIPE = 140

F = TypeVar("F", bound=Callable[..., Any])


def output_options(function: F) -> F:
    """Add ``--output DIR`` (argument ``output: Path``) and ``--quiet`` (``quiet: bool``) to a command."""
    function = click.option(
        "--quiet", "-q", is_flag=True, help="Print nothing but errors; the files are written all the same."
    )(function)
    return click.option(
        "--output",
        "-o",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("gminus2-output"),
        show_default=True,
        help="Folder for the JSON result, figures and data of this command.",
    )(function)


def printer(quiet: bool) -> Console:
    """Return a rich console for results on standard output; silent with ``quiet``.

    A pipe or a file has no width, and a number cut to fit one would be lost: there the lines are wide.
    """
    from rich.console import Console

    width = None if sys.stdout.isatty() else _WIDTH_OF_A_PIPE
    return Console(quiet=quiet, highlight=False, width=width)
