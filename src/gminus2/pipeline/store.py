"""A content-addressed store: what a step made is kept under the digest of its bytes, and found by what went into it.

``objects/ab/abcdef…``  bytes, named by their SHA-256; never changed.
``records/<key>.json``  one finished run of a step: its inputs, its outputs, its numbers. The key is the digest of
                        everything that can change the result (step, version, settings, input digests, seed, code).
``work/<pid>-…``        where a step writes; renamed into ``objects`` when the step is done, so that a killed run
                        leaves nothing that could be mistaken for a result.

A record is written after its objects, by rename. Whatever is half done is absent.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gminus2.data.provenance import file_digest
from gminus2.data.results import plain
from gminus2.data.writing import write_text
from gminus2.errors import StoreError

__all__ = ["Record", "Store"]


@dataclass(frozen=True)
class Record:
    """One finished run of a step.

    Attributes
    ----------
    inputs
        Input name → digest of the object or file.
    outputs
        Output name → digest of the object.
    numbers
        The step's part of the trace (:mod:`gminus2.pipeline.trace`).
    """

    step: str
    key: str
    version: int
    code_version: str
    code: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    numbers: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    seconds: float = 0.0
    created: str = ""


class Store:
    """The store of one output folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def object_path(self, digest: str) -> Path:
        """Return where an object lies."""
        return self.root / "objects" / digest[:2] / digest

    def _record_path(self, key: str) -> Path:
        return self.root / "records" / f"{key}.json"

    def find(self, key: str) -> Record | None:
        """Return the record of a key if it is complete and all its objects are intact, else ``None``.

        A damaged record or object counts as absent: the step is done again.
        """
        try:
            raw = json.loads(self._record_path(key).read_text(encoding="utf-8"))
            record = Record(**raw)
        except (OSError, ValueError, TypeError):
            return None
        for digest in record.outputs.values():
            path = self.object_path(digest)
            if not path.is_file() or file_digest(path) != digest:
                return None
        return record

    @contextmanager
    def work_folder(self, step: str) -> Iterator[Path]:
        """Yield a folder to write in; it is removed afterwards, with those that killed processes left."""
        base = self.root / "work"
        try:
            base.mkdir(parents=True, exist_ok=True)
            self._sweep(base)
            folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-{step}-", dir=base))
        except OSError as error:
            raise StoreError(f"the store cannot be written: {error.strerror or error}", where=str(self.root)) from error
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @staticmethod
    def _sweep(base: Path) -> None:
        for folder in base.iterdir():
            pid = folder.name.partition("-")[0]
            if pid.isdigit() and not _alive(int(pid)):
                shutil.rmtree(folder, ignore_errors=True)

    def keep(self, file: Path) -> str:
        """Move a finished file into the objects and return its digest."""
        digest = file_digest(file)
        target = self.object_path(digest)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
            file.replace(target)
        except OSError as error:
            raise StoreError(f"cannot keep a result: {error.strerror or error}", where=str(target)) from error
        return digest

    def write(self, record: Record) -> None:
        """Write a record; from now on the step counts as done."""
        text = json.dumps(plain(asdict(record)), ensure_ascii=False, allow_nan=False, indent=1)
        write_text(self._record_path(record.key), text + "\n")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
