"""The kicker: pulse shapes, transverse map, eddy-current tail.

A kick opposes the main field and bends outward. Times are relative to the peak of the pulse, positive later.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator

from gminus2.errors import DataError, PhysicsError, nearest
from gminus2.physics.spin import magic_field
from gminus2.ring.geometry import Geometry

__all__ = ["PULSES", "TRANSVERSE_MAP", "EddyTail", "KickerField", "PulseShape", "cos2_pulse", "lcr_pulse", "read_pulse"]

FloatArray = NDArray[np.float64]

#: Field relative to the centre: 1 + Σ c_m Re(z/20 mm)^m for m = 2, 4, 6; fitted to the published map at ±20 and
#: ±45 mm, a harmonic function, so Maxwell's equations hold.
TRANSVERSE_MAP: Final = (0.08184, -0.02124, -0.003344)
MAP_RADIUS_MM: Final = 20.0

_RINGING: Final = (
    (0.128, 118.0, 31.0),
    (0.36, 346.0, 41.0),
    (-0.167, 467.0, 28.0),
    (-0.18, 561.0, 61.0),
    (0.179, 717.0, 28.0),
    (-0.168, 852.0, 42.0),
    (0.14, 1097.0, 35.0),
    (-0.085, 1210.0, 47.0),
)


#: A recorded Run-1 pulse with all its ringing: time from the peak [ns], field relative to the peak; read off a public
#: trace (mch285/gm2mt, ``traces-Ir``) at its turning points, zeros and shoulders, rounded. Joined by monotone cubics.
_RECORDED: Final = (
    "-140 0 -127 .016 -120 .06 -112 .18 -100 .38 -80 .61 -60 .77 -40 .885 -20 .96 0 1 20 .863 40 .63 60 .45 80 .33 "
    "100 .24 120 .19 140 .155 160 .06 180 .014 200 -.007 245 -.009 263 -.03 272 0 290 .17 310 .3 330 .34 355 .31 "
    "390 .22 407 .12 422 0 440 -.125 460 -.195 479 -.21 505 -.2 520 -.168 531 -.145 545 -.173 560 -.2 580 -.18 "
    "600 -.135 620 -.093 643 -.07 656 -.07 672 0 690 .115 712 .167 730 .14 750 .08 777 0 800 -.078 820 -.13 844 -.17 "
    "870 -.147 900 -.093 915 -.041 926 -.015 955 -.058 975 -.036 992 0 1010 .03 1028 .042 1050 .044 1075 .106 "
    "1096 .147 1115 .115 1150 0 1170 -.036 1192 -.081 1210 -.075 1229 -.078 1250 -.069 1270 -.04 1292 0 1305 .03 "
    "1318 .053 1335 .026 1357 -.003 1380 .019 1412 .055 1434 .046 1465 .059 1482 .07 1500 .051 1520 0 1545 -.045 "
    "1579 -.079 1600 -.05 1640 -.025 1666 0 1690 .031 1708 .049 1725 .03 1738 0 1753 -.011 1768 0 1801 .036 1827 .024 "
    "1840 .024 1865 .012 1895 0 1920 -.034 1945 -.046 1968 -.056 1985 -.039 2008 0 2060 .014 2092 .033 2127 0 "
    "2146 -.013 2164 0 2191 .023 2230 .008"
)


@dataclass(frozen=True)
class PulseShape:
    """A pulse as a table of field relative to its peak; zero outside.

    ``time_us`` increases and is equally spaced.
    """

    name: str
    time_us: FloatArray
    value: FloatArray

    def __call__(self, time_us: ArrayLike) -> FloatArray:
        """Return the field relative to the peak at times relative to the peak."""
        return np.asarray(np.interp(np.asarray(time_us, dtype=float), self.time_us, self.value, left=0.0, right=0.0))


def _grid(begin_us: float, end_us: float, step_us: float = 0.001) -> FloatArray:
    return np.asarray(begin_us + step_us * np.arange(round((end_us - begin_us) / step_us) + 1), dtype=np.float64)


def _run1(ringing: bool) -> PulseShape:
    t = _grid(-0.3, 2.1)
    ns = 1e3 * t
    value = np.where(ns < 0.0, np.exp(-(np.abs(ns / 96.4) ** 3.28)), np.exp(-(np.abs(ns / 65.7) ** 1.61)))
    for amplitude, centre, sigma in _RINGING[: None if ringing else 1]:
        value = value + amplitude * np.exp(-0.5 * ((ns - centre) / sigma) ** 2)
    return PulseShape("run1" if ringing else "run1-no-ringing", t, value / value.max())


def _recorded() -> PulseShape:
    nodes = np.array(_RECORDED.split(), dtype=float).reshape(-1, 2)
    t = _grid(1e-3 * nodes[0, 0], 1e-3 * nodes[-1, 0])
    return PulseShape("run1-recorded", t, PchipInterpolator(nodes[:, 0], nodes[:, 1])(1e3 * t))


def cos2_pulse(width_us: float) -> PulseShape:
    """Return a cos² pulse whose full width at half maximum is ``width_us``."""
    t = _grid(-width_us, width_us)
    return PulseShape("cos2", t, np.cos(0.5 * math.pi * t / width_us) ** 2)


def lcr_pulse(inductance_uh: float = 1.15, resistance_ohm: float = 11.35, capacitance_nf: float = 11.18) -> PulseShape:
    """Return exp(−Rt/2L) sin ωt of a discharge, relative to its peak (E821-style).

    Raises
    ------
    PhysicsError
        Overdamped circuit.
    """
    damping = resistance_ohm / (2.0 * inductance_uh)
    omega2 = 1e3 / (inductance_uh * capacitance_nf) - damping**2
    if omega2 <= 0.0:
        raise PhysicsError("this circuit is overdamped and makes no pulse", hint="lower the resistance")
    omega = math.sqrt(omega2)
    peak = math.atan(omega / damping) / omega
    t = _grid(0.0, 2.5)
    value = np.exp(-damping * t) * np.sin(omega * t)
    return PulseShape("lcr", t - peak, value / (math.exp(-damping * peak) * math.sin(omega * peak)))


def read_pulse(path: Path) -> PulseShape:
    """Read a pulse from a text table: time [ns] and field, two columns, any vertical scale.

    Raises
    ------
    DataError
        Absent, not numeric, times that do not increase, or no positive peak.
    """
    try:
        table = np.loadtxt(path, ndmin=2, delimiter="," if "," in path.read_text(encoding="utf-8") else None)
    except FileNotFoundError:
        raise DataError("no such pulse file", where=str(path)) from None
    except ValueError as error:
        raise DataError(f"this is not a table of numbers ({error})", where=str(path)) from None
    if table.shape[1] != 2 or table.shape[0] < 3 or np.any(np.diff(table[:, 0]) <= 0.0) or table[:, 1].max() <= 0.0:
        raise DataError("a pulse needs two columns, increasing times [ns] and a positive peak", where=str(path))
    ns, value = table[:, 0] - table[np.argmax(table[:, 1]), 0], table[:, 1] / table[:, 1].max()
    t = _grid(1e-3 * float(ns[0]), 1e-3 * float(ns[-1]))
    return PulseShape(path.stem, t, np.interp(1e3 * t, ns, value))


#: Pulse shapes by name.
PULSES: Final = ("run1", "run1-no-ringing", "run1-recorded", "cos2", "lcr")


def make_pulse(name: str) -> PulseShape:
    """Return a pulse by name.

    ``run1``: measured-like, ringing to 1.3 µs; ``run1-no-ringing``; ``run1-recorded``: as recorded, ringing to 2.2 µs;
    ``cos2``: 145 ns; ``lcr``: a discharge.
    """
    if name == "run1":
        return _run1(True)
    if name == "run1-no-ringing":
        return _run1(False)
    if name == "run1-recorded":
        return _recorded()
    if name == "cos2":
        return cos2_pulse(0.145)
    if name == "lcr":
        return lcr_pulse()
    raise PhysicsError(f"no kicker pulse '{name}'", hint=nearest(name, PULSES))


@dataclass(frozen=True)
class EddyTail:
    """Field of eddy currents between the kicker plates: ΔB/B = amplitude · exp(−t/time_constant)."""

    amplitude_ppm: float = 0.0
    time_constant_us: float = 50.0


@dataclass(frozen=True)
class KickerField:
    """The kickers of a ring.

    Attributes
    ----------
    peak_gauss
        Peak field of each kicker (one number for all or one per kicker), opposing the main field.
    pulse
        A shape or its name.
    timing_us
        Peak of the pulse relative to the passage of the bunch centre, one number for all or one per kicker.
    transverse_map
        ``full``: the field falls off away from the centre and, as Maxwell demands, has a radial component that kicks
        vertically; ``radial``: the fall-off without the vertical kick, as some public simulations have it;
        ``uniform``.
    """

    peak_gauss: float | Sequence[float] = 204.0
    pulse: PulseShape | str = "run1"
    timing_us: float | Sequence[float] = 0.0
    eddy: EddyTail = field(default_factory=EddyTail)
    transverse_map: Literal["full", "radial", "uniform"] = "full"

    def __post_init__(self) -> None:
        if self.transverse_map not in ("full", "radial", "uniform"):
            raise PhysicsError(f"no transverse map '{self.transverse_map}'", expected="full, radial or uniform")
        if isinstance(self.pulse, str):
            make_pulse(self.pulse)

    def shape(self) -> PulseShape:
        """Return the pulse shape."""
        return make_pulse(self.pulse) if isinstance(self.pulse, str) else self.pulse

    def with_peak(self, peak_gauss: float) -> KickerField:
        """Return the same kickers at another strength."""
        return replace(self, peak_gauss=peak_gauss)

    def angles(self, geometry: Geometry) -> FloatArray:
        """Return the kick angle B L/(B₀ R₀) [rad] of each kicker at its peak.

        Raises
        ------
        PhysicsError
            Wrong number of strengths, or a negative one.
        """
        peaks = per_kicker(self.peak_gauss, geometry, "kicker strength")
        if np.any(peaks < 0.0):
            raise PhysicsError("a kicker cannot have a negative strength", found=f"{peaks.min():g} G")
        lengths = np.array([k.end - k.begin for k in geometry.kickers])
        return np.asarray(1e-4 * peaks / magic_field(geometry.radius_mm) * lengths)

    def timings(self, geometry: Geometry) -> FloatArray:
        """Return the peak time of each kicker relative to the passage of the bunch centre [µs]."""
        return per_kicker(self.timing_us, geometry, "kicker timing")


def per_kicker(value: float | Sequence[float], geometry: Geometry, what: str) -> FloatArray:
    """Return one number per kicker."""
    numbers = np.atleast_1d(np.asarray(value, dtype=float))
    if numbers.size not in (1, len(geometry.kickers)):
        raise PhysicsError(
            f"{what}: give one number or one per kicker", expected=str(len(geometry.kickers)), found=str(numbers.size)
        )
    return np.broadcast_to(numbers, (len(geometry.kickers),)).astype(float)
