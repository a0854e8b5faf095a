"""L1: detector hits of whole fills, eight bytes each.

A hit is one positive int64 word; from the lowest bit:

====  ======  ==================================================================
bits  field   meaning
====  ======  ==================================================================
8     u       position from the storage-side edge of the face, units of 0.9 mm
8     y       height + 76.8 mm, units of 0.6 mm (upwards)
1     compact fewer than three crystals, most of the energy in one
1     –       reserved, 0
13    energy  MeV, 0 … 8190; 8191 means overflow
24    time    1/16 tick of the digitiser since the start of the fill (78.125 ps in nominal time)
5     station 0 … 23 (calorimeter 1 … 24)
====  ======  ==================================================================

Hits of a fill are sorted by (station, time), which is the order of their words. Times are floors: spread them
uniformly over their unit before filling bins that are not multiples of it (:mod:`gminus2.reconstruction.reduction`
does)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gminus2.data.provenance import Provenance
from gminus2.data.store import StoredArray, StoredArrays, read_arrays, write_arrays
from gminus2.errors import DataError

__all__ = [
    "COMPACT_SHIFT",
    "ENERGY_BITS",
    "ENERGY_SHIFT",
    "LASER_DTYPE",
    "MAX_ENERGY_CODE",
    "MAX_TIME_CODE",
    "STATION_SHIFT",
    "TIME_SHIFT",
    "TIME_UNIT_US",
    "TRACK_DTYPE",
    "U_UNIT_MM",
    "Y_OFFSET_MM",
    "Y_UNIT_MM",
    "HitBlock",
    "pack_hits",
    "unpack_hits",
]

U_UNIT_MM: Final = 0.9
Y_UNIT_MM: Final = 0.6
Y_OFFSET_MM: Final = 76.8
#: Nominal 1.25 ns / 16 [µs].
TIME_UNIT_US: Final = 1.25e-3 / 16.0
ENERGY_BITS: Final = 13
MAX_ENERGY_CODE: Final = 8191
COMPACT_SHIFT: Final = 16
ENERGY_SHIFT: Final = 18
TIME_SHIFT: Final = 31
STATION_SHIFT: Final = 55
MAX_TIME_CODE: Final = (1 << 24) - 1

#: One reconstructed track: fill, station (0: ahead of calorimeter 13, 1: ahead of 19), time of the decay vertex in hit
#: time units, vertex x (outward) and y (up) in 0.01 mm, vertical angle (up) in 0.01 mrad, momentum in MeV.
TRACK_DTYPE: Final = np.dtype(
    [("fill", "<u4"), ("time", "<u4"), ("x", "<i2"), ("y", "<i2"), ("angle", "<i2"), ("p", "<u2"), ("station", "<u2")]
)
#: One laser pulse: fill, station, kind (0: between fills, 1: in the fill, 2: second of a double pulse), time in hit
#: time units (for kind 2 the separation), response relative to the nominal one in units of 1e-6.
LASER_DTYPE: Final = np.dtype(
    [("fill", "<u4"), ("time", "<u4"), ("response", "<i4"), ("station", "<u2"), ("kind", "<u2")]
)

_KIND: Final = "hits"


def pack_hits(
    time: NDArray[np.int64],
    station: NDArray[np.int64],
    energy: NDArray[np.int64],
    u: NDArray[np.int64],
    y: NDArray[np.int64],
    compact: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return hit words of integer fields in the units of the module's table.

    Raises
    ------
    DataError
        A field does not fit.
    """
    limits = {"time": MAX_TIME_CODE, "station": 23, "energy": MAX_ENERGY_CODE, "u": 255, "y": 255, "compact": 1}
    given = {"time": time, "station": station, "energy": energy, "u": u, "y": y, "compact": compact}
    fields = {name: np.asarray(values, dtype=np.int64) for name, values in given.items()}
    for name, values in fields.items():
        if values.size and (values.min() < 0 or values.max() > limits[name]):
            raise DataError(
                f"hit field '{name}' is out of range",
                expected=f"0 … {limits[name]}",
                found=f"{values.min()} … {values.max()}",
            )
    words: NDArray[np.int64] = (
        (fields["time"] << TIME_SHIFT)
        | (fields["station"] << STATION_SHIFT)
        | (fields["energy"] << ENERGY_SHIFT)
        | (fields["compact"] << COMPACT_SHIFT)
        | (fields["y"] << 8)
        | fields["u"]
    )
    return words


def unpack_hits(words: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Return the integer fields of hit words by name."""
    words = np.asarray(words, dtype=np.int64)
    return {
        "time": (words >> TIME_SHIFT) & MAX_TIME_CODE,
        "station": (words >> STATION_SHIFT) & 31,
        "energy": (words >> ENERGY_SHIFT) & MAX_ENERGY_CODE,
        "compact": (words >> COMPACT_SHIFT) & 1,
        "y": (words >> 8) & 255,
        "u": words & 255,
    }


@dataclass(frozen=True)
class HitBlock:
    """All hits, tracks and laser pulses of consecutive fills.

    Attributes
    ----------
    words
        Hit words, (H,), fills in order, within a fill by station, then time.
    offsets
        (F + 1,): fill i owns ``words[offsets[i]:offsets[i + 1]]``.
    first_fill
        Number of the first fill in its dataset.
    tracks, laser
        Records of :data:`TRACK_DTYPE` and :data:`LASER_DTYPE`.
    dataset
        Name of the dataset.
    attributes
        What a reader should know about the origin (never the truth).
    """

    words: NDArray[np.int64]
    offsets: NDArray[np.int64]
    first_fill: int
    tracks: NDArray[Any]
    laser: NDArray[Any]
    dataset: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fills(self) -> int:
        """Number of fills."""
        return int(self.offsets.size - 1)

    def check(self, where: str = "hits") -> None:
        """Refuse a block whose parts do not belong together.

        Raises
        ------
        DataError
            Offsets that do not match the words, a station that does not exist, hits that are not in order.
        """
        offsets, words = self.offsets, self.words
        if offsets.size < 1 or offsets[0] != 0 or offsets[-1] != words.size or np.any(np.diff(offsets) < 0):
            raise DataError("fill offsets do not match the hits", where=where, found=f"{words.size} hits")
        if words.size == 0:
            return
        if int(words.min()) < 0:
            raise DataError("negative hit words", where=where, hint="read the format in docs/formats.md")
        station = (words >> STATION_SHIFT) & 31
        if int(station.max()) > 23:
            raise DataError("a hit in a calorimeter that does not exist", where=where, found=f"station {station.max()}")
        order = words >> TIME_SHIFT
        fill_of = np.repeat(np.arange(self.fills), np.diff(offsets))
        wrong = (np.diff(order) < 0) & (np.diff(fill_of) == 0)
        if wrong.any():
            where_hit = int(np.argmax(wrong))
            raise DataError(
                "hits of a fill must be sorted by station, then time",
                where=f"{where}, fill {self.first_fill + int(fill_of[where_hit])}, hit {where_hit}",
            )

    def write(self, path: Path, provenance: Provenance) -> None:
        """Write to HDF5 (kind ``hits``)."""
        arrays = {
            "words": StoredArray(self.words, "1", "hit words, see gminus2.data.hits"),
            "offsets": StoredArray(self.offsets, "1", "first hit of each fill, and the number of hits"),
            "tracks": StoredArray(self.tracks, "1", "reconstructed tracks, see gminus2.data.hits"),
            "laser": StoredArray(self.laser, "1", "laser pulses, see gminus2.data.hits"),
        }
        attributes = {"first_fill": self.first_fill, "dataset": self.dataset, "origin": dict(self.attributes)}
        write_arrays(path, StoredArrays(_KIND, arrays, attributes, provenance))

    @classmethod
    def read(cls, path: Path) -> HitBlock:
        """Read a block back and check it.

        Raises
        ------
        DataError
            Absent, truncated, foreign, of another data model, or inconsistent.
        """
        stored = read_arrays(path, _KIND)
        try:
            block = cls(
                words=np.ascontiguousarray(stored["words"], dtype=np.int64),
                offsets=np.ascontiguousarray(stored["offsets"], dtype=np.int64),
                first_fill=int(stored.attributes["first_fill"]),
                tracks=np.ascontiguousarray(stored["tracks"].astype(TRACK_DTYPE)),
                laser=np.ascontiguousarray(stored["laser"].astype(LASER_DTYPE)),
                dataset=str(stored.attributes["dataset"]),
                attributes=stored.attributes.get("origin", {}),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"these hits are damaged ({error})", where=str(path), hint="make the file again") from None
        block.check(where=str(path))
        return block
