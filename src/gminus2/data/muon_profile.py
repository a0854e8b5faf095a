"""Where the muons are in the storage region, as a function of azimuth: the weights of the field average."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from gminus2.data.provenance import Provenance
from gminus2.data.store import StoredArray, StoredArrays, read_arrays, write_arrays
from gminus2.errors import DataError
from gminus2.physics.multipoles import MOMENTS, R0_MM, basis

__all__ = ["MuonProfile", "gaussian_profile"]

_KIND: Final = "muon-profile"
#: Bin centres of the trackers' histograms [mm]: 60 bins of 2 mm.
TRACKER_BINS_MM: Final = np.arange(-59.0, 60.0, 2.0)


@dataclass(frozen=True)
class MuonProfile:
    """Tracker profiles along the azimuth.

    Attributes
    ----------
    azimuth_deg
        Shape (n_azimuth,), increasing, within [0, 360).
    x_mm, y_mm
        Bin centres, shapes (n_x,) and (n_y,).
    weight
        Shape (n_azimuth, n_y, n_x), non-negative; the scale of each azimuth does not matter.

    Raises
    ------
    DataError
        Wrong shapes, negative or non-finite weights, an empty profile.
    """

    azimuth_deg: NDArray[np.float64]
    x_mm: NDArray[np.float64]
    y_mm: NDArray[np.float64]
    weight: NDArray[np.float64]

    def __post_init__(self) -> None:
        expected = (len(self.azimuth_deg), len(self.y_mm), len(self.x_mm))
        if self.weight.shape != expected:
            raise DataError(
                "the muon profile has the wrong shape", expected=str(expected), found=str(self.weight.shape)
            )
        if not np.isfinite(self.weight).all() or (self.weight < 0).any():
            raise DataError("the muon profile holds negative or non-finite weights")
        azimuth = np.asarray(self.azimuth_deg)
        if (np.diff(azimuth) <= 0).any() or azimuth[0] < 0 or azimuth[-1] >= 360:
            raise DataError("profile azimuths must increase within [0, 360)", found=str(azimuth))
        if not (self.inside_weight().sum(axis=(1, 2)) > 0).all():
            raise DataError("a muon profile is empty inside r < 45 mm")

    def inside_weight(self) -> NDArray[np.float64]:
        """Return the weights with everything at r ≥ 45 mm set to zero."""
        inside: NDArray[np.float64] = self.weight * (np.hypot(self.x_mm[None, :], self.y_mm[:, None]) < R0_MM)
        return inside

    def moments(self, names: tuple[str, ...] = MOMENTS) -> NDArray[np.float64]:
        """Return k_i = ⟨basis_i⟩ over the muons at each azimuth, shape (n_azimuth, n_moment)."""
        functions = basis(self.x_mm[None, :], self.y_mm[:, None], names)
        weight = self.inside_weight()
        return np.asarray(np.einsum("ayx,yxm->am", weight, functions) / weight.sum(axis=(1, 2))[:, None])

    def moments_at(self, azimuth_deg: NDArray[np.float64], names: tuple[str, ...] = MOMENTS) -> NDArray[np.float64]:
        """Return k_i interpolated around the ring, shape (n, n_moment)."""
        k = self.moments(names)
        around = np.asarray(azimuth_deg) % 360.0
        columns = [np.interp(around, self.azimuth_deg, k[:, i], period=360.0) for i in range(k.shape[1])]
        return np.stack(columns, axis=1)

    def write(self, path: Path, provenance: Provenance) -> None:
        """Write to HDF5; :meth:`read` gives it back."""
        arrays = {
            "azimuth_deg": StoredArray(self.azimuth_deg, "deg", "azimuth of each profile"),
            "x_mm": StoredArray(self.x_mm, "mm", "radial bin centres, outward"),
            "y_mm": StoredArray(self.y_mm, "mm", "vertical bin centres"),
            "weight": StoredArray(self.weight, "1", "muons (azimuth, y, x)"),
        }
        write_arrays(path, StoredArrays(_KIND, arrays, {}, provenance))

    @classmethod
    def read(cls, path: Path) -> MuonProfile:
        """Read a profile written by :meth:`write`."""
        stored = read_arrays(path, _KIND)
        return cls(*(np.asarray(stored[n], dtype=np.float64) for n in ("azimuth_deg", "x_mm", "y_mm", "weight")))


def gaussian_profile(
    mean_x_mm: float,
    mean_y_mm: float,
    width_x_mm: float,
    width_y_mm: float,
    *,
    closed_orbit_mm: float = 0.0,
    closed_orbit_phase_deg: float = 0.0,
    beta_modulation: float = 0.02,
    n_azimuth: int = 72,
) -> MuonProfile:
    """Return Gaussian profiles on the trackers' 2-mm bins, each bin integrated exactly.

    The radial mean follows a first-harmonic closed orbit, the radial width the four-fold β function of the quadrupoles.
    """
    azimuth = np.arange(n_azimuth) * 360.0 / n_azimuth
    edges = np.append(TRACKER_BINS_MM - 1.0, TRACKER_BINS_MM[-1] + 1.0)
    mean = mean_x_mm + closed_orbit_mm * np.cos(np.radians(azimuth - closed_orbit_phase_deg))
    width = width_x_mm * (1.0 + beta_modulation * np.cos(4 * np.radians(azimuth)))

    def binned(centre: NDArray[np.float64], sigma: NDArray[np.float64]) -> NDArray[np.float64]:
        cdf = 0.5 * (1 + erf((edges[None, :] - centre[:, None]) / (np.sqrt(2) * sigma[:, None])))
        return np.asarray(np.diff(cdf, axis=1))

    radial = binned(mean, width)
    vertical = binned(np.full(n_azimuth, mean_y_mm), np.full(n_azimuth, width_y_mm))
    return MuonProfile(
        azimuth, TRACKER_BINS_MM.copy(), TRACKER_BINS_MM.copy(), vertical[:, :, None] * radial[:, None, :]
    )
