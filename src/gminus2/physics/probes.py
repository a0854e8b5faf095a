"""Where the NMR probes are: 378 fixed probes in 72 stations, 17 probes on the trolley.

The rules stand in ``reference/nmr.toml`` with their source; ``docs/physics/field.md`` §2 explains them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gminus2.errors import ConfigError, nearest
from gminus2.physics.multipoles import TRACKED, basis

__all__ = [
    "N_FIXED_PROBES",
    "N_STATIONS",
    "N_TROLLEY_PROBES",
    "Station",
    "fixed_probe_basis",
    "nmr_table",
    "probe_station",
    "station_azimuths_deg",
    "station_edges_deg",
    "stations",
    "trolley_positions_mm",
]

N_FIXED_PROBES: Final = 378
N_STATIONS: Final = 72
N_TROLLEY_PROBES: Final = 17


@cache
def _document() -> Mapping[str, Any]:
    text = resources.files("gminus2.reference").joinpath("nmr.toml").read_text(encoding="utf-8")
    return MappingProxyType(tomllib.loads(text))


def nmr_table(path: str) -> Mapping[str, Any]:
    """Return a table of ``reference/nmr.toml`` (with its ``source`` and ``verified``) by dotted path.

    >>> nmr_table("cycle")["fixed_s"], nmr_table("stations")["verified"]
    (1.67, 'derived')
    """
    node: Any = _document()
    for part in path.split("."):
        if not isinstance(node, Mapping) or part not in node:
            raise ConfigError(f"no NMR constants '{path}'", hint=nearest(path, _document()))
        node = node[part]
    return MappingProxyType(node)


@dataclass(frozen=True)
class Station:
    """A fixed-probe station.

    Attributes
    ----------
    index
        0 … 71 along the azimuth.
    kind
        ``six``, ``four``, or the two odd layouts ``37/39`` and ``41``.
    names
        Position names in the order of ``probe_ids``: T/B (top, bottom), I/M/O (inner, middle, outer).
    azimuth_deg
        Centre of the active region in the trolley's barcode frame, in (−10°, 350°).
    """

    index: int
    kind: str
    names: tuple[str, ...]
    probe_ids: tuple[int, ...]
    x_mm: tuple[float, ...]
    y_mm: tuple[float, ...]
    azimuth_deg: float

    @property
    def is_six(self) -> bool:
        """Whether the station measures the normal sextupole itself."""
        return self.kind == "six"


def _kind(index: int, six_chambers: list[int]) -> str:
    chamber, slot = divmod(index, 6)
    if chamber in six_chambers or slot % 2 == 0:
        return "six"
    return {37: "37/39", 39: "37/39", 41: "41"}.get(index, "four")


@cache
def stations() -> tuple[Station, ...]:
    """Return the 72 stations; together they hold every probe number 0 … 377 once."""
    table = nmr_table("stations")
    six_chambers = list(table["six_probe_chambers"])
    layouts = {
        "six": table["layout_six"],
        "four": table["layout_four"],
        "37/39": table["layout_37_39"],
        "41": table["layout_41"],
    }
    result: list[Station] = []
    for chamber in range(12):
        members = [6 * chamber + slot for slot in range(6)]
        names_of = {s: list(layouts[_kind(s, six_chambers)]) for s in members}
        number = int(table["chamber_first_probe"][chamber])
        ids: dict[int, dict[str, int]] = {s: {} for s in members}
        for row in "TB":  # all top probes of a chamber come first, in station order
            for s in members:
                for name in (n for n in names_of[s] if n[0] == row):
                    ids[s][name] = number
                    number += 1
        for s in members:
            shift = float(table["inflector_shift_mm"]) if s < int(table["inflector_stations"]) else 0.0
            slot = s % 6
            azimuth = (
                30.0 * chamber + table["slot_azimuth_deg"][slot] + table["azimuth_offset_cdeg"][chamber][slot] / 100
            )
            result.append(
                Station(
                    index=s,
                    kind=_kind(s, six_chambers),
                    names=tuple(names_of[s]),
                    probe_ids=tuple(ids[s][n] for n in names_of[s]),
                    x_mm=tuple(float(table["x_mm"][n[1]]) + shift for n in names_of[s]),
                    y_mm=tuple(float(table["y_mm"]) * (1 if n[0] == "T" else -1) for n in names_of[s]),
                    azimuth_deg=float(azimuth),
                )
            )
    return tuple(result)


def station_azimuths_deg() -> NDArray[np.float64]:
    """Return the 72 azimuths [deg], increasing, in (−10°, 350°)."""
    return np.array([station.azimuth_deg for station in stations()])


def station_edges_deg() -> NDArray[np.float64]:
    """Return lower and upper edge [deg] of each station's part of the ring, shape (72, 2).

    Edges are the midpoints between neighbours on the circle; the first lower edge lies below the first station and the
    last upper edge equals it plus 360°.
    """
    azimuth = station_azimuths_deg()
    around = np.concatenate([[azimuth[-1] - 360.0], azimuth, [azimuth[0] + 360.0]])
    middle = 0.5 * (around[1:] + around[:-1])
    return np.stack([middle[:-1], middle[1:]], axis=1)


@cache
def _probe_station() -> tuple[int, ...]:
    owner = [-1] * N_FIXED_PROBES
    for station in stations():
        for probe in station.probe_ids:
            owner[probe] = station.index
    return tuple(owner)


def probe_station() -> NDArray[np.int64]:
    """Return the station of each fixed probe, shape (378,)."""
    return np.array(_probe_station(), dtype=np.int64)


def fixed_probe_basis() -> NDArray[np.float64]:
    """Return the five tracked basis functions at every fixed probe, shape (378, 5)."""
    result = np.zeros((N_FIXED_PROBES, len(TRACKED)))
    for station in stations():
        result[list(station.probe_ids)] = basis(station.x_mm, station.y_mm, TRACKED)
    return result


def trolley_positions_mm() -> NDArray[np.float64]:
    """Return (x, y) of the 17 trolley probes [mm], shape (17, 2): the centre, a ring of 4, a ring of 12."""
    table = nmr_table("trolley")
    rows = [
        (radius * np.sin(2 * np.pi * i / count), -radius * np.cos(2 * np.pi * i / count))
        for radius, count in zip(table["ring_radii_mm"], table["ring_probes"], strict=True)
        for i in range(count)
    ]
    return np.array(rows) + 0.0
