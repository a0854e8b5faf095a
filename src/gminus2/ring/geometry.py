"""The ring as built: radius, plates, kickers, collimators, calorimeters, from a data file with a source per number."""

from __future__ import annotations

import itertools
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

from gminus2.config import read_toml
from gminus2.constants import Status, weakest_status
from gminus2.errors import DataError, PhysicsError, nearest

__all__ = ["GEOMETRIES", "Collimator", "Geometry", "Kicker", "Plate", "load_geometry"]

#: Geometries that ship with the package.
GEOMETRIES: Final = ("e989", "e821")


@dataclass(frozen=True)
class Plate:
    """One section of an electrostatic quadrupole: azimuths [rad]."""

    name: str
    begin: float
    end: float

    @property
    def angle(self) -> float:
        """Length in azimuth [rad]."""
        return self.end - self.begin


@dataclass(frozen=True)
class Kicker:
    """One kicker magnet: azimuths [rad]."""

    name: str
    begin: float
    end: float

    @property
    def centre(self) -> float:
        """Azimuth of the middle [rad]."""
        return 0.5 * (self.begin + self.end)


@dataclass(frozen=True)
class Collimator:
    """A round collimator: azimuth [rad], radius [mm]."""

    name: str
    azimuth: float
    radius_mm: float


@dataclass(frozen=True)
class Geometry:
    """The ring; see ``reference/geometry_e989.toml`` for the meaning and the source of each number.

    ``plate_response`` is per volt on one plate: multipoles of order 1 to 4 at the aperture radius.
    ``multipole_ratios`` are the multipoles 1, 2, … of the symmetric quadrupole relative to the quadrupole there.
    """

    name: str
    version: str
    radius_mm: float
    aperture_mm: float
    plates: tuple[Plate, ...]
    kickers: tuple[Kicker, ...] = ()
    collimators: tuple[Collimator, ...] = ()
    inflector_offset_mm: float = 77.0
    inflector_width_mm: float = 18.0
    inflector_height_mm: float = 56.0
    sextupole_switch: float = -1.0
    field_factor: float = 1.0
    multipole_ratios: tuple[float, ...] = ()
    plate_response: tuple[float, ...] = ()
    collimator_thickness_mm: float = 3.0
    copper_loss_mev_per_mm: float = 1.6
    copper_radiation_length_mm: float = 14.35
    calorimeter_azimuths: tuple[float, ...] = ()
    calorimeter_edge_mm: float = 7014.18
    calorimeter_width_mm: float = 226.8
    calorimeter_tilt: float = 0.0
    observers: Mapping[str, float] = field(default_factory=dict)
    status: Status = "source"

    def __post_init__(self) -> None:
        check_no_overlap([*self.plates, *self.kickers])
        if not self.radius_mm > self.aperture_mm > 0.0:
            raise PhysicsError("the aperture must be positive and smaller than the ring", where=self.name)
        for collimator in self.collimators:
            if not 0.0 <= collimator.azimuth < 2.0 * math.pi or collimator.radius_mm <= 0.0:
                raise PhysicsError("a collimator needs an azimuth in 0 to 360° and a radius", where=collimator.name)

    @property
    def covered_fraction(self) -> float:
        """Share of the circumference between plates."""
        return sum(plate.angle for plate in self.plates) / (2.0 * math.pi)

    def without_collimators(self) -> Geometry:
        """Return the ring with open apertures."""
        return replace(self, collimators=())

    @classmethod
    def continuous(cls, radius_mm: float = 7112.0) -> Geometry:
        """Return quadrupoles smeared around the ring, four quarters; for tests and teaching."""
        quarter = math.pi / 2.0
        plates = tuple(Plate(f"Q{k + 1}", k * quarter, (k + 1) * quarter) for k in range(4))
        return cls("continuous", "1.0", radius_mm, 45.0, plates)

    @classmethod
    def lumped(cls, degrees: float = 39.0, radius_mm: float = 7112.0) -> Geometry:
        """Return four plates of one length that begin at each quarter; for tests and fast studies."""
        plates = tuple(Plate(f"Q{k + 1}", math.radians(90.0 * k), math.radians(90.0 * k + degrees)) for k in range(4))
        return cls("lumped", "1.0", radius_mm, 45.0, plates)


def check_no_overlap(elements: Sequence[Plate | Kicker]) -> None:
    """Refuse elements that overlap or leave 0 to 360°.

    Raises
    ------
    PhysicsError
        Names the two elements.
    """
    ordered = sorted(elements, key=lambda e: e.begin)
    for element in ordered:
        if not 0.0 <= element.begin < element.end <= 2.0 * math.pi + 1e-12:
            raise PhysicsError(
                "a ring element has impossible azimuths",
                where=element.name,
                expected="0° ≤ begin < end ≤ 360°",
                found=f"{math.degrees(element.begin):g}° to {math.degrees(element.end):g}°",
            )
    for first, second in itertools.pairwise(ordered):
        if second.begin < first.end - 1e-12:
            raise PhysicsError(
                "two ring elements overlap",
                where=f"{first.name} and {second.name}",
                expected=f"{second.name} to begin at or after {math.degrees(first.end):g}°",
                found=f"{math.degrees(second.begin):g}°",
            )


def load_geometry(name: str | Path = "e989") -> Geometry:
    """Return a geometry that ships with the package, by name, or one from a file of the same layout.

    Raises
    ------
    PhysicsError
        Unknown name, overlapping or impossible elements.
    DataError
        The file misses numbers or a number misses its source.
    """
    if isinstance(name, str) and name in GEOMETRIES:
        return _shipped(name)
    path = Path(name)
    if not path.suffix and not path.exists():
        raise PhysicsError(f"no geometry '{name}'", hint=nearest(str(name), GEOMETRIES))
    return _from_table(read_toml(path), str(path))


@cache
def _shipped(name: str) -> Geometry:
    text = resources.files("gminus2.reference").joinpath(f"geometry_{name}.toml").read_text(encoding="utf-8")
    return _from_table(tomllib.loads(text), f"geometry_{name}.toml")


def _from_table(table: Mapping[str, Any], where: str) -> Geometry:
    statuses: list[Status] = []
    sources = table.get("sources", {})

    def number(entry: Mapping[str, Any], key: str) -> Any:
        node = entry[key]
        if not isinstance(node, dict) or "value" not in node or node.get("source") not in sources:
            raise DataError(f"'{key}' needs a value and a known source", where=where, hint="see [sources] of the file")
        statuses.append(node.get("status", "unverified"))
        return node["value"]

    try:
        ring, inflector, electric = table["ring"], table["inflector"], table["electrostatic"]
        material, calorimeters = table["material"], table["calorimeters"]
        volts = [float(v) for v in number(electric, "multipole_volts")]
        aperture = float(number(ring, "aperture_mm"))
        first = float(number(calorimeters, "first_deg"))
        count = int(number(calorimeters, "count"))
        return Geometry(
            name=str(table["name"]),
            version=str(table["version"]),
            radius_mm=float(number(ring, "radius_mm")),
            aperture_mm=aperture,
            plates=tuple(
                Plate(str(e["name"]), *(math.radians(d) for d in number(e, "degrees"))) for e in table["quadrupole"]
            ),
            kickers=tuple(
                Kicker(str(e["name"]), *(math.radians(d) for d in number(e, "degrees"))) for e in table["kicker"]
            ),
            collimators=tuple(
                Collimator(str(e["name"]), math.radians(number(e, "degrees")), aperture) for e in table["collimator"]
            ),
            inflector_offset_mm=float(number(inflector, "offset_mm")),
            inflector_width_mm=float(number(inflector, "width_mm")),
            inflector_height_mm=float(number(inflector, "height_mm")),
            sextupole_switch=float(number(electric, "sextupole_switch")),
            field_factor=float(number(electric, "shape_factor")) * float(number(electric, "boundary_factor")),
            multipole_ratios=tuple(v / volts[1] for v in volts),
            plate_response=tuple(float(v) for v in number(electric, "plate_response")),
            collimator_thickness_mm=float(number(material, "collimator_thickness_mm")),
            copper_loss_mev_per_mm=float(number(material, "copper_loss_mev_per_mm")),
            copper_radiation_length_mm=float(number(material, "copper_radiation_length_mm")),
            calorimeter_azimuths=tuple(math.radians(first + 360.0 / count * k) for k in range(count)),
            calorimeter_edge_mm=float(number(calorimeters, "outer_edge_radius_mm")),
            calorimeter_width_mm=float(number(calorimeters, "face_width_mm")),
            calorimeter_tilt=math.radians(number(calorimeters, "tilt_deg")),
            observers={str(e["name"]): math.radians(number(e, "degrees")) for e in table.get("observer", [])},
            status=weakest_status(statuses),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"this is not a complete ring geometry ({error!r})", where=where) from None
