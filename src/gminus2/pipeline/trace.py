"""Where a number came from: every number names its formula and its parents, down to constants, files and settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gminus2.constants import Quantity
from gminus2.errors import DataError, nearest

__all__ = ["Trace", "ancestors", "find_number"]


@dataclass
class Trace:
    """The numbers of one step, each with the names of the numbers it was computed from.

    Names are global in a campaign (``R_mu.Run-1a``); a leaf has ``leaf``: ``constant`` (a published number, with source
    and status), ``file`` (an input file with its SHA-256), ``setting`` (a key of the campaign) or ``seed``.
    """

    numbers: dict[str, dict[str, Any]] = field(default_factory=dict)

    def constant(self, quantity: Quantity, table: str = "") -> str:
        """Record a published number, with the name of the file it is from, and return its name."""
        name = quantity.name
        self.numbers[name] = {
            "value": quantity.value,
            "uncertainty": quantity.uncertainty,
            "unit": quantity.unit,
            "leaf": "constant",
            "source": quantity.source,
            "status": quantity.status,
            "parents": [table] if table else [],
        }
        return name

    def file(self, name: str, path: str, digest: str) -> str:
        """Record an input file and return its name in the trace."""
        key = f"file:{name}"
        self.numbers[key] = {"value": path, "sha256": digest, "leaf": "file", "parents": []}
        return key

    def setting(self, key: str, value: Any) -> str:
        """Record a key of the campaign and return its name in the trace."""
        name = f"setting:{key}"
        self.numbers[name] = {"value": value, "leaf": "setting", "parents": []}
        return name

    def number(
        self,
        name: str,
        value: Any,
        *,
        unit: str,
        formula: str,
        parents: Iterable[str],
        uncertainty: float | None = None,
    ) -> str:
        """Record a computed number and return its name."""
        self.numbers[name] = {
            "value": value,
            "uncertainty": uncertainty,
            "unit": unit,
            "formula": formula,
            "parents": list(parents),
        }
        return name


def find_number(numbers: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return one number of a result.

    Raises
    ------
    DataError
        No number of that name; the message names the nearest.
    """
    if name not in numbers:
        raise DataError(f"the result has no number '{name}'", hint=nearest(name, numbers))
    return dict(numbers[name])


def ancestors(numbers: Mapping[str, Any], name: str) -> list[str]:
    """Return all numbers that a number depends on, itself first, each once, parents after children.

    Raises
    ------
    DataError
        A parent that was never recorded, or a circle: the trace is broken and explains nothing.
    """
    done: dict[str, None] = {}
    path: list[str] = []

    def visit(node: str) -> None:
        if node in path:
            raise DataError("the provenance of a number goes in a circle", where=" → ".join([*path, node]))
        if node in done:
            return
        entry = find_number(numbers, node)
        done[node] = None
        path.append(node)
        for parent in entry["parents"]:
            visit(parent)
        path.pop()

    visit(name)
    return list(done)
