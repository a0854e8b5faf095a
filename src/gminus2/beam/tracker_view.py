"""What a tracker station sees of the beam: acceptance over decay position, and the smearing of the tangent point.

Positrons leave the muon isotropically in its rest frame, follow their arc, and are seen when they cross enough straw
modules and then reach the calorimeter behind. The polarisation averages out over precession periods.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gminus2.constants import GAMMA_MAGIC, MAGIC_MOMENTUM_MEV, RING_RADIUS_MM
from gminus2.detectors.arcs import CALORIMETER_AZIMUTH_DEG, first_face
from gminus2.detectors.tracker import TANGENCY_BIAS_MM, TRACKER_STATIONS, crosses_modules
from gminus2.physics.decay import michel_energy, michel_quantile_table, rest_momentum

__all__ = ["TrackerView", "tracker_view"]

FloatArray = NDArray[np.float64]

_FIRST = math.radians(CALORIMETER_AZIMUTH_DEG)
_PITCH = 2.0 * math.pi / 24.0


@dataclass(frozen=True)
class TrackerView:
    """Acceptance and smearing of a tracker station.

    Attributes
    ----------
    x_mm, y_mm
        Grid of decay positions, shapes (X,), (Y,); the view is symmetric in y.
    acceptance
        Tracks per decay near the station, relative to the centre, shape (X, Y).
    shift_x_mm
        Mean radius of tangency minus decay radius minus the nominal tangency bias.
    smear_x_mm, smear_y_mm
        rms of tangent point minus decay point.
    upstream_rad
        Mean distance of the decays upstream of the calorimeter face.
    """

    x_mm: FloatArray
    y_mm: FloatArray
    acceptance: FloatArray
    shift_x_mm: float
    smear_x_mm: float
    smear_y_mm: float
    upstream_rad: float

    def azimuth_rad(self, station: int) -> float:
        """Return the mean azimuth of the decays that station 0 or 1 (12 or 18) sees."""
        return _FIRST + _PITCH * TRACKER_STATIONS[station] - self.upstream_rad

    def along_y(self, y_mm: FloatArray, x_mean_mm: float = 0.0, x_rms_mm: float = 14.0) -> FloatArray:
        """Return the acceptance against |y| for a Gaussian radial profile, 1 at y = 0."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(7)
        profile = np.zeros(len(self.y_mm))
        for node, weight in zip(nodes, weights, strict=True):
            x = np.clip(x_mean_mm + x_rms_mm * node, self.x_mm[0], self.x_mm[-1])
            profile += weight * np.array([np.interp(x, self.x_mm, column) for column in self.acceptance.T])
        smooth = np.polynomial.Polynomial.fit(self.y_mm**2, profile / profile[0], 3)
        values: FloatArray = np.clip(smooth(np.minimum(np.abs(y_mm), self.y_mm[-1]) ** 2) / smooth(0.0), 1e-3, None)
        return values

    def along_x(self, x_mm: FloatArray, y_rms_mm: float = 12.8) -> FloatArray:
        """Return the acceptance against x for a Gaussian vertical profile, 1 at x = 0."""
        weight = np.exp(-0.5 * (self.y_mm / y_rms_mm) ** 2)
        profile = self.acceptance @ weight / weight.sum()
        smooth = np.polynomial.Polynomial.fit(self.x_mm, profile, 3)
        inside = np.clip(x_mm, self.x_mm[0], self.x_mm[-1])
        values: FloatArray = np.clip(smooth(inside) / smooth(0.0), 1e-3, None)
        return values


@njit(cache=True, nogil=True)
def _count(xs, ys, quantiles, randoms, face, gamma_magic, sums):  # type: ignore[no-untyped-def]
    u = math.sqrt(gamma_magic * gamma_magic - 1.0)
    for i in range(randoms.shape[0]):
        x = michel_energy(randoms[i, 0], quantiles)
        cosine = 2.0 * randoms[i, 1] - 1.0
        sine = math.sqrt(1.0 - cosine * cosine)
        angle = 2.0 * math.pi * randoms[i, 2]
        upstream = 0.6 * randoms[i, 3]
        e_rest, p_rest = rest_momentum(x)
        p_r = p_rest * sine * math.sin(angle)
        p_y = p_rest * sine * math.cos(angle)
        p_s = gamma_magic * p_rest * cosine + u * e_rest
        if p_s <= 0.0:
            continue
        p_t = math.sqrt(p_r * p_r + p_s * p_s)
        rho = p_t * RING_RADIUS_MM / MAGIC_MOMENTUM_MEV
        slope = p_y / p_t
        azimuth = face - upstream
        for ix in range(xs.size):
            radius = RING_RADIUS_MM + xs[ix]
            c_x = radius - rho * p_s / p_t
            c_y = rho * p_r / p_t
            distance = math.sqrt(c_x * c_x + c_y * c_y)
            a_x = p_s / p_t
            a_y = -p_r / p_t
            turn = math.atan2(a_x * c_y - a_y * c_x, a_x * c_x + a_y * c_y)
            for iy in range(ys.size):
                if not crosses_modules(azimuth, face, radius, c_x, c_y, rho, ys[iy], slope):
                    continue
                station, _, _, _, _ = first_face(azimuth, radius, ys[iy], p_r, p_s, p_y, 1.0)
                if station != 12:
                    continue
                dx = distance + rho - radius
                dy = slope * rho * turn
                sums[ix, iy, 0] += 1.0
                sums[ix, iy, 1] += dx
                sums[ix, iy, 2] += dx * dx
                sums[ix, iy, 3] += dy * dy
                sums[ix, iy, 4] += upstream


@cache
def tracker_view(decays: int = 150_000, seed: int = 1) -> TrackerView:
    """Return the view of the stations (both are alike), from ``decays`` decays per grid point, shared by the points."""
    x = np.array([-45.0, -30.0, -15.0, 0.0, 15.0, 30.0, 45.0])
    y = np.array([0.0, 6.0, 12.0, 18.0, 24.0, 30.0, 36.0, 45.0])
    sums = np.zeros((len(x), len(y), 5))
    randoms = np.random.Generator(np.random.Philox(key=seed)).random((decays, 4))
    _count(x, y, michel_quantile_table(), randoms, _FIRST + 12 * _PITCH, GAMMA_MAGIC, sums)
    weight = np.exp(-0.5 * (x[:, None] / 16.0) ** 2 - 0.5 * (y[None, :] / 12.8) ** 2)
    total = (weight[..., None] * sums).sum(axis=(0, 1))
    mean_x = total[1] / total[0]
    return TrackerView(
        x_mm=x,
        y_mm=y,
        acceptance=sums[..., 0] / sums[3, 0, 0],
        shift_x_mm=float(mean_x - TANGENCY_BIAS_MM),
        smear_x_mm=float(np.sqrt(total[2] / total[0] - mean_x**2)),
        smear_y_mm=float(np.sqrt(total[3] / total[0])),
        upstream_rad=float(total[4] / total[0]),
    )
