"""Electrostatic quadrupoles: gradient, sextupole switch, multipoles, and the voltage of every plate in time.

Each section has four plates (outer, top, inner, bottom). With all four at the nominal voltage they make the gradient
and the symmetric multipoles; a plate that is low adds what :attr:`Geometry.plate_response` says, so scraping, charging
and damaged resistors are one mechanism. Internal y points physically down: the plate named ``bottom`` here is the
physical bottom plate and sits at +y.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from gminus2.errors import PhysicsError, nearest
from gminus2.physics.optics import FocusingSection, check_field_index, field_index_from_volts
from gminus2.physics.spin import ANOMALY, magic_field, magic_gamma
from gminus2.ring.geometry import Geometry

__all__ = [
    "SIDES",
    "ElectricField",
    "Scraping",
    "VoltageHistory",
    "VoltageTransient",
    "damaged_resistors",
]

FloatArray = NDArray[np.float64]
Side = Literal["outer", "top", "inner", "bottom"]

#: Plates of a section with their direction in the internal (x, y) plane and the sign of their voltage.
SIDES: Final[dict[str, tuple[float, float]]] = {
    "outer": (0.0, -1.0),
    "bottom": (0.5 * math.pi, 1.0),
    "inner": (math.pi, -1.0),
    "top": (1.5 * math.pi, 1.0),
}

#: Highest multipole the kernel knows.
ORDER: Final = 14


@dataclass(frozen=True)
class VoltageTransient:
    """Plates that reach their voltage late: V(t) = V₀ [1 − amplitude · exp(−t/time_constant)].

    ``sections`` are plate names of the geometry or ``("all",)``; ``sides`` names of :data:`SIDES`.
    """

    amplitude: float
    time_constant_us: float
    sections: tuple[str, ...] = ("all",)
    sides: tuple[str, ...] = ("outer", "top", "inner", "bottom")

    def __post_init__(self) -> None:
        if not (self.time_constant_us > 0.0 and abs(self.amplitude) <= 1.0):
            raise PhysicsError(
                "a voltage transient needs a positive time constant and an amplitude of at most 1",
                found=f"amplitude {self.amplitude:g}, time constant {self.time_constant_us:g} us",
                hint="an amplitude above 1 would reverse the voltage",
            )


@dataclass(frozen=True)
class Scraping:
    """Plates held at ``fraction`` of their voltage until ``until_us``, then charged with ``time_constant_us``."""

    fraction: float = 17.0 / 24.0
    until_us: float = 7.0
    time_constant_us: float = 5.0
    bottom_sections: tuple[str, ...] = ("all",)
    outer_sections: tuple[str, ...] = ("Q2S", "Q2L")

    def __post_init__(self) -> None:
        if not 0.0 <= self.fraction <= 1.0 or self.time_constant_us <= 0.0:
            raise PhysicsError(
                "scraping plates stay between zero and full voltage",
                where="scraping fraction",
                expected="0 to 1",
                found=f"{self.fraction:g}",
            )


@dataclass(frozen=True)
class VoltageHistory:
    """What the plates do in time; empty: constant voltages."""

    transients: tuple[VoltageTransient, ...] = ()
    scraping: Scraping | None = None

    def relative(self, geometry: Geometry, time_us: FloatArray) -> FloatArray:
        """Return V/V₀ of every plate, shape (T, sections, 4), sides in the order of :data:`SIDES`."""
        names = [plate.name for plate in geometry.plates]
        sides = list(SIDES)
        volts = np.ones((time_us.size, len(names), len(sides)))

        def chosen(wanted: Sequence[str]) -> list[int]:
            if "all" in wanted:
                return list(range(len(names)))
            for name in wanted:
                if name not in names:
                    raise PhysicsError(f"no quadrupole section '{name}'", hint=nearest(name, names))
            return [names.index(name) for name in wanted]

        late = np.maximum(time_us, 0.0)
        for transient in self.transients:
            for side in transient.sides:
                if side not in sides:
                    raise PhysicsError(f"no plate '{side}'", hint=nearest(side, sides))
                drop = transient.amplitude * np.exp(-late / transient.time_constant_us)
                volts[:, chosen(transient.sections), sides.index(side)] -= drop[:, None]
        if self.scraping is not None:
            s = self.scraping
            wait = np.maximum(time_us - s.until_us, 0.0)
            drop = (1.0 - s.fraction) * np.exp(-wait / s.time_constant_us)
            for wanted, side in ((s.bottom_sections, "bottom"), (s.outer_sections, "outer")):
                if wanted:
                    volts[:, chosen(wanted), sides.index(side)] -= drop[:, None]
        if np.any(volts < 0.0):
            raise PhysicsError("the voltage history reverses the voltage of a plate", hint="lower the amplitudes")
        return volts

    @property
    def is_constant(self) -> bool:
        """Whether nothing changes in time."""
        return not self.transients and self.scraping is None


def damaged_resistors(
    slow_amplitude: float,
    slow_us: float,
    *,
    section: str = "Q1L",
    fast_amplitude: float = 0.0,
    fast_us: float = 6.0,
    asymmetry: float = 0.1,
) -> tuple[VoltageTransient, ...]:
    """Return the transients of two plates (top and bottom of one section) charged through damaged resistors.

    Parameters
    ----------
    slow_amplitude, slow_us
        Missing share of the voltage at t = 0 and its time constant, mean of the two plates.
    fast_amplitude, fast_us
        Charging of all plates after scraping, the fast term of the frequency.
    asymmetry
        Relative difference of the two plates; it moves the vertical closed orbit.
    """
    parts = [
        VoltageTransient(slow_amplitude * (1.0 + sign * 0.5 * asymmetry), slow_us, (section,), (side,))
        for side, sign in (("bottom", 1.0), ("top", -1.0))
    ]
    if fast_amplitude:
        parts.append(VoltageTransient(fast_amplitude, fast_us))
    return tuple(parts)


@dataclass(frozen=True)
class ElectricField:
    """The quadrupoles of a ring: averaged field index, sextupole switch, multipoles, history.

    Attributes
    ----------
    field_index
        n at the final voltages, averaged over the ring.
    sextupole_switch
        s of the curved field, E_r ≈ k (x + s x²/(2R₀)); −1 is exact in closed form, ``None`` takes the geometry's.
    multipoles
        ``none``; ``main`` (12-, 20-, 28-pole); ``all`` (every published one except the sextupole, which is s).
    """

    field_index: float = 0.108
    sextupole_switch: float | None = None
    multipoles: Literal["none", "main", "all"] = "none"
    history: VoltageHistory = field(default_factory=VoltageHistory)

    def __post_init__(self) -> None:
        check_field_index(self.field_index)
        if self.multipoles not in ("none", "main", "all"):
            raise PhysicsError(f"no multipole set '{self.multipoles}'", expected="none, main or all")

    @classmethod
    def from_voltage(
        cls,
        voltage_kv: float,
        geometry: Geometry,
        *,
        sextupole_switch: float | None = None,
        multipoles: Literal["none", "main", "all"] = "none",
        history: VoltageHistory | None = None,
    ) -> ElectricField:
        """Return the field of plates at ±``voltage_kv``.

        Raises
        ------
        PhysicsError
            Negative voltage, or one too high to store a beam.
        """
        gamma = magic_gamma()
        n = field_index_from_volts(
            voltage_kv,
            magic_field(geometry.radius_mm),
            math.sqrt(1.0 - 1.0 / gamma**2),
            geometry.radius_mm,
            geometry.covered_fraction,
            geometry.field_factor,
        )
        return cls(n, sextupole_switch, multipoles, history or VoltageHistory())

    def switch(self, geometry: Geometry) -> float:
        """Return the sextupole switch in force."""
        return geometry.sextupole_switch if self.sextupole_switch is None else self.sextupole_switch

    def gradient_per_m2(self, geometry: Geometry, anomaly: float = ANOMALY) -> float:
        """Return k = q ∂E_r/∂r/(mc²) = n β b₀/(R₀ f) [1/m²] inside the plates at the final voltages."""
        gamma = magic_gamma(anomaly)
        beta = math.sqrt(1.0 - 1.0 / gamma**2)
        radius = geometry.radius_mm * 1e-3
        return self.field_index * beta * (gamma * beta / radius) / (radius * geometry.covered_fraction)

    def potential(
        self, geometry: Geometry, time_us: FloatArray, anomaly: float = ANOMALY
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return (k, normal, skew) of every section at given times for the kernel.

        k has shape (T, S) [1/m²]; normal and skew (T, S, 15) are the coefficients c_m of
        Φ += Re Σ (normal_m − i skew_m) z^m, z = x + iy in metres; orders 0 and 2 (main) are zero, a skew
        quadrupole cannot arise.
        """
        volts = self.history.relative(geometry, np.atleast_1d(np.asarray(time_us, dtype=float)))
        k0 = self.gradient_per_m2(geometry, anomaly)
        mean = volts.mean(axis=2)
        quad = k0 * mean
        normal = np.zeros((*mean.shape, ORDER + 1))
        skew = np.zeros_like(normal)
        aperture = geometry.aperture_mm * 1e-3
        wanted = {"none": (), "main": (6, 10, 14), "all": (1, *range(4, ORDER + 1))}[self.multipoles]
        for m in wanted:
            if m <= len(geometry.multipole_ratios):
                ratio = geometry.multipole_ratios[m - 1]
                normal[..., m] += -0.5 * quad * ratio * aperture ** (2 - m)
        if geometry.plate_response:
            quadrupole = geometry.plate_response[1]
            for m, response in enumerate(geometry.plate_response, start=1):
                if m == 2:
                    continue
                unit = k0 / 8.0 * aperture ** (2 - m) * response / quadrupole
                for p, (direction, sign) in enumerate(SIDES.values()):
                    normal[..., m] += sign * unit * volts[..., p] * math.cos(m * direction)
                    skew[..., m] += sign * unit * volts[..., p] * math.sin(m * direction)
        # What cancels in symmetric plates, or has died away, must not switch the slow path on; 1e-9 of the quadrupole
        # moves an orbit by less than 1e-7 mm.
        tiny = 1e-9 * k0 * aperture ** (2.0 - np.arange(ORDER + 1))
        normal[np.abs(normal) < tiny] = 0.0
        skew[np.abs(skew) < tiny] = 0.0
        return quad, normal, skew

    def sections(
        self, geometry: Geometry, time_us: FloatArray | float = np.inf, anomaly: float = ANOMALY
    ) -> list[FocusingSection]:
        """Return the plates for :func:`gminus2.physics.optics.linear_optics`, one setting per time."""
        times = np.atleast_1d(np.asarray(time_us, dtype=float))
        quad, normal, skew = self.potential(geometry, times, anomaly)
        gamma = magic_gamma(anomaly)
        beta = math.sqrt(1.0 - 1.0 / gamma**2)
        radius = geometry.radius_mm * 1e-3
        u = gamma * beta
        return [
            FocusingSection(
                plate.begin,
                plate.end,
                quad[:, i] * radius**2 / (beta * u),
                -normal[:, i, 1] / (beta * u) * 1e-3,
                -skew[:, i, 1] / (beta * u) * 1e-3,
            )
            for i, plate in enumerate(geometry.plates)
        ]
