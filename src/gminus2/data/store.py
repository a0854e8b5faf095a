"""Arrays in HDF5: named, with unit and description, with provenance, complete or refused.

Typed containers of other rooms (a stored beam, a field map, a histogram set) translate themselves to and from
:class:`StoredArrays`; the layout on disk lives only here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from gminus2.data.provenance import Provenance, check_data_model
from gminus2.data.results import plain
from gminus2.data.writing import atomic_path
from gminus2.errors import DataError, nearest

__all__ = ["StoredArray", "StoredArrays", "read_arrays", "write_arrays"]


@dataclass(frozen=True)
class StoredArray:
    """An array with its unit (``"us"``, ``"mm"``, ``"1"``, …) and one line of description."""

    values: NDArray[Any]
    unit: str
    description: str


@dataclass(frozen=True)
class StoredArrays:
    """A set of arrays of one kind with attributes and provenance. Names may contain ``/`` for groups."""

    kind: str
    arrays: Mapping[str, StoredArray]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=lambda: Provenance(made_by="unknown"))

    def __getitem__(self, name: str) -> NDArray[Any]:
        try:
            return self.arrays[name].values
        except KeyError:
            raise DataError(f"a stored '{self.kind}' without '{name}'", hint=nearest(name, self.arrays)) from None


def write_arrays(path: Path, content: StoredArrays, *, compress: bool = True) -> None:
    """Write arrays atomically; the file carries ``complete = true`` only when everything is in it.

    ``compress=False`` is for files that are read once and deleted.
    """
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        for name, array in content.arrays.items():
            options: dict[str, Any] = {}
            if compress and array.values.size > 1024:
                options = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
            dataset = file.create_dataset(name, data=array.values, **options)
            dataset.attrs["unit"] = array.unit
            dataset.attrs["description"] = array.description
        file.attrs["kind"] = content.kind
        file.attrs["attributes"] = json.dumps(plain(content.attributes))
        file.attrs["provenance"] = json.dumps(plain(content.provenance.to_json()))
        file.attrs["complete"] = True


def read_arrays(path: Path, kind: str) -> StoredArrays:
    """Read arrays back.

    Raises
    ------
    DataError
        Absent, not HDF5, truncated, incomplete, of another kind or data model.
    """
    if not path.exists():
        raise DataError("no such file", where=str(path))
    try:
        with h5py.File(path, "r") as file:
            found = str(file.attrs.get("kind", "none"))
            if found != kind:
                raise DataError("the file holds something else", where=str(path), expected=kind, found=found)
            if not bool(file.attrs.get("complete", False)):
                raise DataError("the file was never completed", where=str(path), hint="make it again")
            provenance = Provenance.from_json(json.loads(str(file.attrs["provenance"])))
            check_data_model(provenance.data_model, where=str(path))
            arrays: dict[str, StoredArray] = {}

            def visit(name: str, node: Any) -> None:
                if isinstance(node, h5py.Dataset):
                    arrays[name] = StoredArray(
                        np.asarray(node[()]), str(node.attrs["unit"]), str(node.attrs["description"])
                    )

            file.visititems(visit)
            attributes = json.loads(str(file.attrs["attributes"]))
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"the file is truncated or not a gminus2 HDF5 file ({error})", where=str(path)) from None
    return StoredArrays(kind, arrays, attributes, provenance)
