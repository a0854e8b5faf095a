"""From a ring to the list of steps that the engine runs every turn."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gminus2.errors import PhysicsError
from gminus2.ring.geometry import Geometry
from gminus2.ring.magnet import MagneticMultipoles

__all__ = ["BEND", "COLLIMATOR", "EKICK", "KICKER", "MKICK", "OBSERVE", "Observer", "Program", "Scheme", "Steps"]

FloatArray = NDArray[np.float64]

BEND: Final = 0
EKICK: Final = 1
KICKER: Final = 2
COLLIMATOR: Final = 3
OBSERVE: Final = 4
MKICK: Final = 5

# PEFRL coefficients (Omelyan, Mryglod, Folk 2002).
_XI: Final = 0.1786178958448091
_LAMBDA: Final = -0.2123418310626054
_CHI: Final = -0.06626458266981849
_PEFRL_BENDS: Final = (_XI, _CHI, 1.0 - 2.0 * (_CHI + _XI), _CHI, _XI)
_PEFRL_KICKS: Final = (0.5 * (1.0 - 2.0 * _LAMBDA), _LAMBDA, _LAMBDA, 0.5 * (1.0 - 2.0 * _LAMBDA))


class Steps(NamedTuple):
    """What the engine reads, one entry per step; ``azimuth`` is where the step begins.

    ``what`` is the code, ``angle`` the length of a bend or the weight of a kick, ``which`` the plate, kicker,
    collimator, observer or multipole row.
    """

    what: NDArray[np.int64]
    angle: FloatArray
    cos: FloatArray
    sin: FloatArray
    which: NDArray[np.int64]
    azimuth: FloatArray


@dataclass(frozen=True)
class Scheme:
    """How plates are cut: the composition and the number of slices per plate."""

    composition: Literal["pefrl", "strang"] = "pefrl"
    slices: int = 1

    def __post_init__(self) -> None:
        if self.composition not in ("pefrl", "strang") or self.slices < 1:
            raise PhysicsError("no such splitting", expected="pefrl or strang, at least one slice per plate")


@dataclass(frozen=True)
class Observer:
    """A plane at which positions are recorded every turn: azimuth [rad]."""

    name: str
    azimuth: float


@dataclass(frozen=True)
class Program:
    """The steps of one turn; built by :meth:`build`."""

    geometry: Geometry
    steps: Steps
    observers: tuple[Observer, ...]
    multipoles: tuple[FloatArray, FloatArray]
    scheme: Scheme = field(default_factory=Scheme)

    @property
    def kicks_per_turn(self) -> int:
        """Number of electric kicks per turn."""
        return int(np.sum(self.steps.what == EKICK))

    @classmethod
    def build(
        cls,
        geometry: Geometry,
        *,
        scheme: Scheme | None = None,
        observers: tuple[Observer, ...] = (),
        magnet: MagneticMultipoles | None = None,
        kickers: bool = False,
        collimators: bool = True,
    ) -> Program:
        """Return the steps of one turn that begins at azimuth 0.

        Observers inside a plate cut it into two slices, so that their positions are exact to the same order.

        Raises
        ------
        PhysicsError
            An observer outside 0 to 360°.
        """
        scheme = scheme or Scheme()
        names = [o.name for o in observers]
        if len(set(names)) != len(names):
            raise PhysicsError("two observers have the same name", found=", ".join(sorted(names)))
        points: list[tuple[float, int, int, float]] = []
        for i, observer in enumerate(observers):
            if not 0.0 <= observer.azimuth < 2.0 * math.pi:
                raise PhysicsError(
                    "an observer is outside the ring",
                    where=observer.name,
                    expected="0° to 360°",
                    found=f"{math.degrees(observer.azimuth):g}°",
                )
            points.append((observer.azimuth, OBSERVE, i, 0.0))
        if kickers:
            points += [(kicker.centre, KICKER, i, 0.0) for i, kicker in enumerate(geometry.kickers)]
        if collimators:
            points += [(c.azimuth, COLLIMATOR, i, 0.0) for i, c in enumerate(geometry.collimators)]
        normal, skew = np.zeros((0, 1)), np.zeros((0, 1))
        if magnet is not None:
            marks = sorted({0.0, *(e for p in geometry.plates for e in (p.begin, p.end)), *_gap_marks(geometry)})
            middles = [0.5 * (a + b) for a, b in zip(marks, [*marks[1:], marks[0] + 2.0 * math.pi], strict=True)]
            rows = []
            for i, mark in enumerate(marks):
                low = middles[i - 1] - (2.0 * math.pi if i == 0 else 0.0)
                rows.append(magnet.average(low, middles[i]))
                points.append((mark % (2.0 * math.pi), MKICK, i, middles[i] - low))
            normal, skew = np.stack([r[0] for r in rows]), np.stack([r[1] for r in rows])
        points.sort(key=lambda p: (p[0], p[1]))
        builder = _Builder()
        plates = sorted(enumerate(geometry.plates), key=lambda p: p[1].begin)
        for index, plate in plates:
            while points and points[0][0] <= plate.begin + 1e-12:
                builder.point(points.pop(0))
            builder.bend_to(plate.begin)
            cuts = sorted({p[0] for p in points if plate.begin + 1e-9 < p[0] < plate.end - 1e-9})
            edges = [plate.begin, *cuts, plate.end]
            for begin, end in itertools.pairwise(edges):
                while points and points[0][0] <= begin + 1e-9:
                    builder.point(points.pop(0), bend=False)
                slices = max(1, math.ceil(scheme.slices * (end - begin) / plate.angle - 1e-9))
                builder.plate(index, begin, end, slices, scheme.composition)
        for point in points:
            builder.point(point)
        builder.bend_to(2.0 * math.pi)
        return cls(geometry, builder.steps(), observers, (normal, skew), scheme)

    def halved(self) -> Program:
        """Return the same program with every bend split in two; a check of the sector map."""
        return self._with(_rebuild(self.steps, halve=True))

    def reversed(self) -> Program:
        """Return the program run backwards: reversed order, negative lengths; undoes a turn in static fields."""
        return self._with(_rebuild(self.steps, reverse=True))

    def _with(self, steps: Steps) -> Program:
        return Program(self.geometry, steps, self.observers, self.multipoles, self.scheme)


def _gap_marks(geometry: Geometry) -> list[float]:
    """Return azimuths that divide the gaps between plates into arcs of at most 15°."""
    edges = sorted((p.begin, p.end) for p in geometry.plates)
    marks: list[float] = []
    for (_, end), (begin, _) in zip(edges, [*edges[1:], (edges[0][0] + 2.0 * math.pi, 0.0)], strict=True):
        parts = math.ceil((begin - end) / math.radians(15.0))
        marks += [(end + (begin - end) * k / parts) % (2.0 * math.pi) for k in range(1, parts)]
    return marks


class _Builder:
    def __init__(self) -> None:
        self.rows: list[tuple[int, float, int, float]] = []
        self.at = 0.0

    def bend(self, angle: float) -> None:
        if self.rows and self.rows[-1][0] == BEND:
            what, old, index, azimuth = self.rows[-1]
            self.rows[-1] = (what, old + angle, index, azimuth)
        elif angle != 0.0:
            self.rows.append((BEND, angle, -1, self.at))
        self.at += angle

    def bend_to(self, azimuth: float) -> None:
        if azimuth - self.at > 1e-12:
            self.bend(azimuth - self.at)

    def point(self, point: tuple[float, int, int, float], bend: bool = True) -> None:
        if bend:
            self.bend_to(point[0])
        self.rows.append((point[1], point[3], point[2], point[0]))

    def plate(self, index: int, begin: float, end: float, slices: int, composition: str) -> None:
        length = (end - begin) / slices
        bends, kicks = (_PEFRL_BENDS, _PEFRL_KICKS) if composition == "pefrl" else ((0.5, 0.5), (1.0,))
        for _ in range(slices):
            for share, kick in zip(bends, (*kicks, None), strict=True):
                self.bend(share * length)
                if kick is not None:
                    self.rows.append((EKICK, kick * length, index, self.at))
        self.at = end

    def steps(self) -> Steps:
        return _pack(self.rows)


def _pack(rows: list[tuple[int, float, int, float]]) -> Steps:
    angle = np.array([r[1] for r in rows])
    return Steps(
        np.array([r[0] for r in rows], dtype=np.int64),
        angle,
        np.cos(angle),
        np.sin(angle),
        np.array([r[2] for r in rows], dtype=np.int64),
        np.array([r[3] for r in rows]),
    )


def _rebuild(steps: Steps, *, halve: bool = False, reverse: bool = False) -> Steps:
    rows = list(
        zip(steps.what.tolist(), steps.angle.tolist(), steps.which.tolist(), steps.azimuth.tolist(), strict=True)
    )
    if halve:
        rows = [
            half
            for row in rows
            for half in (
                [(BEND, 0.5 * row[1], row[2], row[3]), (BEND, 0.5 * row[1], row[2], row[3] + 0.5 * row[1])]
                if row[0] == BEND
                else [row]
            )
        ]
    if reverse:
        rows = [(what, -angle, index, azimuth) for what, angle, index, azimuth in reversed(rows)]
    return _pack(rows)
