"""What every publication document shares: its head, quoted numbers, and checks against print."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from gminus2.constants import Quantity, weakest_status

__all__ = ["agreement", "document_head", "quantity_json"]

_TITLES: Final = {
    "run1": "FNAL E989 Run-1 (2021)",
    "run23": "FNAL E989 Run-2/3 (2023)",
    "run456": "FNAL E989 Run-4/5/6 (2025)",
    "final": "FNAL E989 final result, Run-1 to Run-6 (2025)",
    "e821": "BNL E821, by year",
    "averages": "World averages and the Standard Model",
}


def quantity_json(quantity: Quantity) -> dict[str, Any]:
    """Return value, uncertainty, unit, status and source of a published number."""
    return {
        "value": quantity.value,
        "uncertainty": quantity.uncertainty,
        "unit": quantity.unit,
        "status": quantity.status,
        "source": quantity.source,
        "path": quantity.name,
    }


def agreement(name: str, computed: float, expected: float, tolerance: float, note: str = "") -> dict[str, Any]:
    """Return one check: computed against published within a tolerance."""
    return {
        "name": name,
        "computed": computed,
        "published": expected,
        "tolerance": tolerance,
        "ok": bool(abs(computed - expected) <= tolerance),
        "note": note,
    }


def document_head(what: str, inputs: Iterable[Quantity]) -> dict[str, Any]:
    """Return title, status (the weakest of the inputs), unverified inputs and sources of a document."""
    used = {quantity.name: quantity for quantity in inputs}
    return {
        "what": what,
        "title": _TITLES[what],
        "status": weakest_status(q.status for q in used.values()),
        "provisional": sorted(name for name, q in used.items() if q.is_provisional),
        "sources": sorted({q.source for q in used.values()}),
    }
