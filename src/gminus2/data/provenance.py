"""What made a stored object: code version, configuration, inputs, seed.

Data model history (raise :data:`DATA_MODEL_VERSION` with every change of a stored layout):

1.0  first layout.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gminus2 import __version__
from gminus2.errors import DataError

__all__ = [
    "DATA_MODEL_VERSION",
    "Provenance",
    "check_data_model",
    "content_digest",
    "file_digest",
    "make_provenance",
]

DATA_MODEL_VERSION = "1.0"


@dataclass(frozen=True)
class Provenance:
    """The record stored with every object.

    Attributes
    ----------
    made_by
        Command or function.
    config_digest
        SHA-256 of the canonical configuration, empty where there is none.
    inputs
        Input name → SHA-256 of its bytes.
    seed
        Root seed, ``None`` where nothing was drawn.
    """

    made_by: str
    code_version: str = __version__
    data_model: str = DATA_MODEL_VERSION
    config_digest: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    python: str = platform.python_version()
    created: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Provenance:
        """Rebuild a record written by :meth:`to_json`."""
        return cls(**dict(raw))


def make_provenance(
    made_by: str,
    *,
    config: Mapping[str, Any] | None = None,
    inputs: Iterable[Path] = (),
    seed: int | None = None,
) -> Provenance:
    """Record the present moment, the configuration and the digests of the input files."""
    return Provenance(
        made_by=made_by,
        config_digest=content_digest(config) if config is not None else "",
        inputs={path.name: file_digest(path) for path in inputs},
        seed=seed,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def content_digest(content: Any) -> str:
    """Return the SHA-256 of plain values, independent of key order."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_data_model(found: str, *, where: str) -> None:
    """Refuse an object written by another major version of the data model."""
    if found.partition(".")[0] != DATA_MODEL_VERSION.partition(".")[0]:
        raise DataError(
            "the file was written with another data model",
            where=where,
            expected=f"version {DATA_MODEL_VERSION.partition('.')[0]}.x",
            found=found or "none",
            hint="read it with the gminus2 version named in its provenance, or make it again",
        )
