"""A ring with everything that acts on a muon: geometry, fields, kicker, collimators, observers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from gminus2.constants import SPEED_OF_LIGHT_MM_PER_US
from gminus2.physics.optics import LinearOptics, linear_optics
from gminus2.physics.spin import ANOMALY, anomalous_frequency, magic_field, magic_gamma
from gminus2.ring.esq import ElectricField
from gminus2.ring.geometry import Geometry, load_geometry
from gminus2.ring.kicker import KickerField
from gminus2.ring.lattice import Lattice
from gminus2.ring.magnet import MagneticMultipoles
from gminus2.ring.program import Observer, Program, Scheme

__all__ = ["Ring"]

FloatArray = NDArray[np.float64]

#: Where a changing lattice is tabulated [µs]: densely while the plates charge.
LATTICE_TIMES_US: Final = np.concatenate([np.arange(0.0, 40.0, 0.5), 40.0 * 1.045 ** np.arange(67)])
_C_M_PER_US: Final = SPEED_OF_LIGHT_MM_PER_US * 1e-3


@dataclass(frozen=True)
class Ring:
    """A ring with everything that acts on a muon.

    Attributes
    ----------
    kicker
        ``None``: no kick (a beam already stored).
    collimators
        ``black`` kills, ``copper`` takes energy and scatters, ``open`` does nothing.
    edm_eta
        η of d = η eħ/(4mc).
    observers
        Planes where positions are recorded every turn.
    """

    geometry: Geometry = field(default_factory=load_geometry)
    electric: ElectricField = field(default_factory=ElectricField)
    kicker: KickerField | None = None
    magnet: MagneticMultipoles | None = None
    collimators: Literal["black", "copper", "open"] = "black"
    observers: tuple[Observer, ...] = (Observer("start", 0.0),)
    scheme: Scheme = field(default_factory=Scheme)
    anomaly: float = ANOMALY
    edm_eta: float = 0.0

    @property
    def u_magic(self) -> float:
        """p_magic/(mc)."""
        return 1.0 / math.sqrt(self.anomaly)

    @property
    def b0_per_m(self) -> float:
        """qB₀/(mc) [1/m]."""
        return self.u_magic / (self.geometry.radius_mm * 1e-3)

    @property
    def field_t(self) -> float:
        """B₀ [T]."""
        return magic_field(self.geometry.radius_mm, self.anomaly)

    @property
    def omega_a(self) -> float:
        """a e B₀/m [rad/µs], without electric field and pitch."""
        return float(anomalous_frequency(self.field_t, self.anomaly))

    @property
    def period_us(self) -> float:
        """Revolution period of the magic momentum on the central orbit [µs]."""
        gamma = magic_gamma(self.anomaly)
        return 2.0 * math.pi * self.geometry.radius_mm * 1e-3 * gamma / (self.u_magic * _C_M_PER_US)

    def program(self) -> Program:
        """Return the steps of one turn."""
        return Program.build(
            self.geometry,
            scheme=self.scheme,
            observers=self.observers,
            magnet=self.magnet,
            kickers=self.kicker is not None,
            collimators=self.collimators != "open",
        )

    def optics(self, time_us: FloatArray | float = np.inf, points: int = 360) -> LinearOptics:
        """Return the linear optics at one or several times (default: the final voltages)."""
        sections = self.electric.sections(self.geometry, time_us, self.anomaly)
        return linear_optics(sections, radius_mm=self.geometry.radius_mm, points=points)

    def lattice(self, points: int = 360) -> Lattice:
        """Return the lattice in azimuth and time; one time where the voltages are constant."""
        final = self.optics(points=points)
        if self.electric.history.is_constant:
            return Lattice.from_optics(final, final, np.zeros(1))
        return Lattice.from_optics(self.optics(LATTICE_TIMES_US, points), final, LATTICE_TIMES_US)
