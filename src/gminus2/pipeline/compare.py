"""Two results, number by number: what differs, by how much, and what in their inputs differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["compare_results"]

_HEADS = ("a_mu", "R_mu", "R_mu_blinded")


def compare_results(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    """Return the differences between two result documents (b − a).

    Returns
    -------
    dict
        ``identical`` (all numbers equal), ``numbers`` (values of the head numbers and of every number both have),
        ``budget`` (rows in either), ``settings`` and ``files`` that differ, ``only_in_a``, ``only_in_b``.
    """
    numbers_a, numbers_b = a["numbers"], b["numbers"]
    shared = [name for name in numbers_a if name in numbers_b and _computed(numbers_a[name])]
    changed = [_difference(name, numbers_a[name], numbers_b[name]) for name in shared]
    heads = [_difference(name, _as_number(a[name]), _as_number(b[name])) for name in _HEADS if name in a and name in b]
    leaves_a = {name: _identity(e) for name, e in numbers_a.items() if not _computed(e)}
    leaves_b = {name: _identity(e) for name, e in numbers_b.items() if not _computed(e)}
    inputs = [
        {"name": name, "a": leaves_a.get(name), "b": leaves_b.get(name)}
        for name in sorted(set(leaves_a) | set(leaves_b))
        if leaves_a.get(name) != leaves_b.get(name)
    ]
    return {
        "identical": not inputs
        and all(entry["difference"] == 0 for entry in changed)
        and set(numbers_a) == set(numbers_b),
        "heads": heads,
        "numbers": [entry for entry in changed if entry["difference"] != 0],
        "unchanged": sum(entry["difference"] == 0 for entry in changed),
        "budget": _budget(a, b),
        "inputs": inputs,
        "only_in_a": sorted(n for n in set(numbers_a) - set(numbers_b) if _computed(numbers_a[n])),
        "only_in_b": sorted(n for n in set(numbers_b) - set(numbers_a) if _computed(numbers_b[n])),
        "code_versions": [a["provenance"]["code_version"], b["provenance"]["code_version"]],
        "statuses": [a["status"], b["status"]],
        "failed_checks": [[c["name"] for c in document["checks"] if c["ok"] is False] for document in (a, b)],
    }


def _computed(entry: Mapping[str, Any]) -> bool:
    return "formula" in entry


def _identity(entry: Mapping[str, Any]) -> Any:
    return entry.get("sha256", entry["value"])


def _as_number(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {"value": entry["value"], "uncertainty": entry["uncertainty"], "unit": entry.get("unit", "1")}


def _difference(name: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    difference = b["value"] - a["value"]
    sigma = a.get("uncertainty") or 0.0
    return {
        "name": name,
        "a": a["value"],
        "b": b["value"],
        "uncertainty_a": a.get("uncertainty"),
        "uncertainty_b": b.get("uncertainty"),
        "unit": a.get("unit", ""),
        "difference": difference,
        "ppb": difference / a["value"] * 1e9 if a["value"] else None,
        "in_sigma_of_a": difference / sigma if sigma else None,
    }


def _budget(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows_a = {row["name"]: row for row in a.get("budget", [])}
    rows_b = {row["name"]: row for row in b.get("budget", [])}
    return [
        {
            "name": name,
            "label": (rows_a.get(name) or rows_b[name])["label"],
            "a": rows_a.get(name, {}).get("uncertainty_ppb"),
            "b": rows_b.get(name, {}).get("uncertainty_ppb"),
            "correction_a": rows_a.get(name, {}).get("correction_ppb"),
            "correction_b": rows_b.get(name, {}).get("correction_ppb"),
        }
        for name in dict.fromkeys([*rows_a, *rows_b])
    ]
