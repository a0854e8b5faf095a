"""Imperfections of the magnet: multipoles in ppm at 45 mm that vary along the azimuth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gminus2.errors import PhysicsError

__all__ = ["AZIMUTHAL_MEAN_PPM", "MagneticMultipoles"]

FloatArray = NDArray[np.float64]

#: Normal and skew multipoles of order 1 to 4, azimuthal mean, ppm at 45 mm (gm2ringsim, an early map).
AZIMUTHAL_MEAN_PPM: Final = ((0.24, -0.53, -0.10, 0.82), (0.29, -1.06, -0.15, 0.54))

MULTIPOLE_RADIUS_MM: Final = 45.0


@dataclass(frozen=True)
class MagneticMultipoles:
    """B = B₀ [1 + Σ (r/45 mm)^m (normal_m cos mφ + skew_m sin mφ)] in laboratory axes (x outward, y up).

    Attributes
    ----------
    normal_ppm, skew_ppm
        Shape (A, M + 1): azimuths 2π i/A, order m = 0 … M. One row means the same everywhere. Order 0 changes the
        field itself, and with it ω_a.
    """

    normal_ppm: FloatArray
    skew_ppm: FloatArray

    def __post_init__(self) -> None:
        if self.normal_ppm.ndim != 2 or self.normal_ppm.shape != self.skew_ppm.shape:
            raise PhysicsError("magnetic multipoles need two tables of the same shape (azimuths, orders)")
        if not (np.all(np.isfinite(self.normal_ppm)) and np.all(np.isfinite(self.skew_ppm))):
            raise PhysicsError("magnetic multipoles must be finite")

    @classmethod
    def azimuthal_mean(cls) -> MagneticMultipoles:
        """Return the published azimuthal means without variation around the ring."""
        normal, skew = ((0.0, *row) for row in AZIMUTHAL_MEAN_PPM)
        return cls(np.array([normal]), np.array([skew]))

    def average(self, begin: float, end: float) -> tuple[FloatArray, FloatArray]:
        """Return (normal, skew) relative multipoles averaged from azimuth ``begin`` to ``end`` [rad]."""
        fine = begin + (end - begin) * (np.arange(16) + 0.5) / 16.0
        rows = self.normal_ppm.shape[0]
        grid = 2.0 * np.pi * np.arange(rows + 1) / rows
        out = []
        for table in (self.normal_ppm, self.skew_ppm):
            closed = np.concatenate([table, table[:1]])
            at = [np.interp(fine % (2.0 * np.pi), grid, closed[:, m]).mean() for m in range(table.shape[1])]
            out.append(1e-6 * np.array(at))
        return out[0], out[1]
