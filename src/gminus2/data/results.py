"""JSON results: plain values under stable keys, with provenance, written and read back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gminus2.data.provenance import Provenance, check_data_model
from gminus2.data.writing import write_text
from gminus2.errors import DataError

__all__ = ["plain", "read_result", "write_result"]


def plain(value: Any) -> Any:
    """Turn NumPy values, paths and tuples into what JSON holds. NaN and infinities become ``None``."""
    if isinstance(value, Mapping):
        return {str(key): plain(element) for key, element in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(element) for element in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)


def write_result(path: Path, kind: str, content: Mapping[str, Any], provenance: Provenance) -> None:
    """Write a result file atomically.

    Parameters
    ----------
    kind
        What it is (``"fit"``, ``"measurement"``, …); checked on reading.
    content
        The result under its stable keys; ``kind`` and ``provenance`` are added.
    """
    document = {"kind": kind, **plain(content), "provenance": plain(provenance.to_json())}
    write_text(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_result(path: Path, kind: str) -> dict[str, Any]:
    """Read a result file back.

    Raises
    ------
    DataError
        Absent, truncated, of another kind or of another major data model.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError("no such result file", where=str(path)) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(
            f"this is not a complete JSON result: {error}", where=str(path), hint="make the result again"
        ) from None
    found = document.get("kind") if isinstance(document, dict) else None
    if found != kind:
        raise DataError("this is another kind of result", where=str(path), expected=kind, found=str(found))
    check_data_model(str(document.get("provenance", {}).get("data_model", "")), where=str(path))
    return dict(document)
