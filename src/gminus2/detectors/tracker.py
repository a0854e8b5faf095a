"""The two straw-tracker stations: which positrons cross enough modules to be reconstructed.

Eight modules of four layers stand upstream of calorimeters 13 and 19. A positron that crosses at least three modules
inside their straws leaves a track; its vertex is the point where the arc is tangent to the ring. Geometry and sources:
``docs/physics/detectors.md`` §7.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit

__all__ = ["MODULE_X_MM", "MODULE_Z_MM", "TANGENCY_BIAS_MM", "TRACKER_STATIONS", "crosses_modules"]

#: Stations (0…23) of the calorimeters behind the two trackers.
TRACKER_STATIONS: Final = (12, 18)
#: Module centres in the station frame: X radial at the station's azimuth, Z downstream along the tangent there [mm].
MODULE_X_MM: Final = np.array([6880.76, 6873.53, 6863.74, 6851.36, 6836.33, 6818.78, 6798.70, 6776.11])
MODULE_Z_MM: Final = np.array([291.97, 429.41, 566.13, 702.13, 837.39, 971.94, 1105.79, 1238.93])
#: The station's azimuth is upstream of the calorimeter's outer edge by this angle [deg].
STATION_UPSTREAM_DEG: Final = 11.96
#: Half widths of the active area, radial and vertical [mm].
HALF_WIDTH_MM: Final = 50.0
HALF_HEIGHT_MM: Final = 40.0
MIN_MODULES: Final = 3
#: ⟨r_tangent − r_decay⟩: an arc touches the ring a little outside its decay point [mm].
TANGENCY_BIAS_MM: Final = 1.16

_UPSTREAM: Final = math.radians(STATION_UPSTREAM_DEG)


@njit(cache=True)
def crosses_modules(azimuth, face, radius, c_x, c_y, rho, y, slope):  # type: ignore[no-untyped-def]
    """Return whether an arc crosses at least three modules of the station ahead of a calorimeter.

    Parameters
    ----------
    azimuth, face
        Of the decay and of the calorimeter's outer edge [rad].
    radius, c_x, c_y, rho, y, slope
        Decay radius, centre of the circle in the decay's (radial, tangential) frame, its radius, height of the decay,
        p_y/p_T [mm].
    """
    relative = face - _UPSTREAM - azimuth
    relative -= 2.0 * math.pi * math.floor(relative / (2.0 * math.pi) + 0.5)
    if abs(relative) > 1.4:
        return False
    co = math.cos(relative)
    si = math.sin(relative)
    x_c = c_x * co + c_y * si
    z_c = c_y * co - c_x * si
    z_0 = -radius * si
    start = (z_0 - z_c) / rho
    if abs(start) >= 1.0:
        return False
    phi_0 = math.asin(start)
    crossed = 0
    for k in range(MODULE_X_MM.size):
        dz = MODULE_Z_MM[k] - z_c
        if MODULE_Z_MM[k] < z_0 or abs(dz) >= rho:
            continue
        x = x_c + math.sqrt(rho * rho - dz * dz)
        if abs(x - MODULE_X_MM[k]) < HALF_WIDTH_MM:
            height = y + slope * rho * (math.asin(dz / rho) - phi_0)
            if abs(height) < HALF_HEIGHT_MM:
                crossed += 1
    return crossed >= MIN_MODULES
