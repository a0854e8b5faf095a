"""What the results depend on besides their inputs: the code of this package and its table of published numbers."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from pathlib import Path

import gminus2

__all__ = ["code_digest", "figures_digest", "published_file"]

#: Rooms that only show results: a change there redoes nothing.
_SHOWING = frozenset({"cli", "report"})


@cache
def code_digest() -> str:
    """Return the SHA-256 of all Python files of the package but those that only show results.

    A stored result is used only by the code that made it: a changed formula under an unchanged version number would
    otherwise never be noticed.
    """
    root = Path(gminus2.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if relative.parts[0] not in _SHOWING:
            digest.update(relative.as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def figures_digest() -> str:
    """Return the SHA-256 of the room that draws: a setting of steps that keep figures."""
    root = Path(gminus2.__file__).parent / "report"
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def published_file() -> Path:
    """Return the file of published numbers, an input of every step that uses them."""
    return Path(str(resources.files("gminus2.reference").joinpath("published.toml")))
