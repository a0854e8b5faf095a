"""The 24 calorimeter faces and the arc of a positron from its decay to the first face it meets.

Uniform vertical field, no material: acceptances are upper bounds. Geometry and derivation:
``docs/physics/detectors.md`` §2. Azimuth grows along the beam, 0 at the inflector exit; station k = 0…23 here is
calorimeter k + 1 of the experiment.
"""

from __future__ import annotations

import math
from typing import Final

from numba import njit

from gminus2.constants import MAGIC_MOMENTUM_MEV, RING_RADIUS_MM

__all__ = [
    "CALORIMETER_AZIMUTH_DEG",
    "COLUMNS",
    "CRYSTAL_PITCH_MM",
    "FACE_HALF_HEIGHT_MM",
    "FACE_RADIUS_MM",
    "FACE_WIDTH_MM",
    "N_CALORIMETERS",
    "ROWS",
    "first_face",
]

N_CALORIMETERS: Final = 24
#: Azimuth of the outer edge of calorimeter 1 [deg]; the others follow every 15°.
CALORIMETER_AZIMUTH_DEG: Final = 17.71
#: Radius of the outer (storage-side) edge of a face [mm].
FACE_RADIUS_MM: Final = 7014.18
#: 9 columns × 6 rows of crystals at a pitch of 25.2 mm.
COLUMNS: Final = 9
ROWS: Final = 6
CRYSTAL_PITCH_MM: Final = 25.2
FACE_WIDTH_MM: Final = COLUMNS * CRYSTAL_PITCH_MM
FACE_HALF_HEIGHT_MM: Final = 0.5 * ROWS * CRYSTAL_PITCH_MM
#: The inner end of a face lies upstream of the radius through its outer end by this angle [deg].
FACE_TILT_DEG: Final = 3.41
#: An arc that dips below this radius has met the inner wall of the vacuum chamber or a yoke pole [mm].
INNER_WALL_MM: Final = 6400.0

_PITCH: Final = 2.0 * math.pi / N_CALORIMETERS
_FIRST: Final = math.radians(CALORIMETER_AZIMUTH_DEG)
_COS_PITCH, _SIN_PITCH = math.cos(_PITCH), math.sin(_PITCH)
_COS_TILT, _SIN_TILT = math.cos(math.radians(FACE_TILT_DEG)), math.sin(math.radians(FACE_TILT_DEG))
_MM_PER_MEV: Final = RING_RADIUS_MM / MAGIC_MOMENTUM_MEV
_MAX_PLANES: Final = 14


@njit(cache=True)
def first_face(azimuth, radius, y, p_r, p_s, p_y, field_scale):  # type: ignore[no-untyped-def]
    """Return (station, u, y_hit, path, χ) at the first calorimeter face met; station −1 where there is none.

    Parameters
    ----------
    azimuth
        Of the decay [rad], in [0, 2π).
    radius, y
        Of the decay [mm].
    p_r, p_s, p_y
        Positron momentum, radial, along the beam and vertical [MeV].
    field_scale
        Field over the field in which the magic momentum has the radius of the central orbit.

    Returns
    -------
    station, u, y_hit, path, chi
        Station 0…23; position on the face from its storage-side edge [mm]; height [mm]; path length [mm];
        turning angle in the bending plane [rad].
    """
    p_t = math.sqrt(p_r * p_r + p_s * p_s)
    rho = p_t * _MM_PER_MEV / field_scale
    a_x = p_s / p_t
    a_y = -p_r / p_t  # unit vector from the centre of the circle to the decay
    c_x = radius - rho * a_x
    c_y = -rho * a_y
    distance = math.sqrt(c_x * c_x + c_y * c_y)
    r_min = abs(distance - rho)
    if r_min > FACE_RADIUS_MM:
        return -1, 0.0, 0.0, 0.0, 0.0
    first = math.ceil((azimuth - _FIRST) / _PITCH)
    relative = _FIRST + first * _PITCH - azimuth
    co = math.cos(relative)
    si = math.sin(relative)
    for j in range(_MAX_PLANES):
        u_x = co * _COS_TILT - si * _SIN_TILT
        u_y = si * _COS_TILT + co * _SIN_TILT
        d_x = FACE_RADIUS_MM * co - c_x
        d_y = FACE_RADIUS_MM * si - c_y
        b = d_x * u_x + d_y * u_y
        disc = b * b - (d_x * d_x + d_y * d_y) + rho * rho
        if disc < 0.0:
            return -1, 0.0, 0.0, 0.0, 0.0
        q = b - math.sqrt(disc)
        if q > FACE_WIDTH_MM:
            if r_min < INNER_WALL_MM:
                return -1, 0.0, 0.0, 0.0, 0.0
        elif q >= 0.0:
            h_x = (d_x - q * u_x) / rho
            h_y = (d_y - q * u_y) / rho
            if h_x * u_x + h_y * u_y > 0.0:  # turning towards +azimuth: met from the front
                chi = math.atan2(a_x * h_y - a_y * h_x, a_x * h_x + a_y * h_y)
                if chi < 0.0:
                    chi += 2.0 * math.pi
                slope = p_y / p_t
                y_hit = y + slope * rho * chi
                if abs(y_hit) > FACE_HALF_HEIGHT_MM:
                    return -1, 0.0, 0.0, 0.0, 0.0
                station = (first + j) % N_CALORIMETERS
                return station, q, y_hit, rho * chi * math.sqrt(1.0 + slope * slope), chi
        co, si = co * _COS_PITCH - si * _SIN_PITCH, si * _COS_PITCH + co * _SIN_PITCH
    return -1, 0.0, 0.0, 0.0, 0.0
