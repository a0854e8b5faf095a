"""Station moments: what four or six fixed probes above and below the storage region tell about the field in it.

A station combines its probes into moments (matrix Θ, order :data:`~gminus2.physics.multipoles.TRACKED`); a Jacobian J
turns them into the moments at the centre of the storage region. Both follow from the probe positions:
J = (Θ · basis at the probes)⁻¹. A four-probe station cannot measure the normal sextupole: its NS is interpolated in
azimuth between the neighbouring six-probe stations. See ``docs/physics/field.md`` §5.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gminus2.errors import DataError
from gminus2.physics.multipoles import R0_MM, TRACKED, basis
from gminus2.physics.probes import (
    N_FIXED_PROBES,
    N_STATIONS,
    Station,
    fixed_probe_basis,
    station_azimuths_deg,
    stations,
)

__all__ = [
    "StationAlgebra",
    "jacobian",
    "noise_gain",
    "station_algebra",
    "station_matrix",
]

_Y: Final = 77.0
_X: Final = 30.0
_NS: Final = TRACKED.index("NS")


def station_matrix(station: Station) -> NDArray[np.float64]:
    """Return Θ, shape (5, n_probes): station moments D, NQ, SQ, NS, SS from the probes of a station [Hz → Hz].

    The row NS of a station without six probes is zero (see :func:`station_algebra`). Each row normalises the
    difference it forms by the lever arm of the nominal positions, in units of r0 = 45 mm.
    """
    sign_x = {"I": -1.0, "M": 0.0, "O": 1.0}
    top = np.array([1.0 if name[0] == "T" else -1.0 for name in station.names])
    side = np.array([sign_x[name[1]] for name in station.names])
    rows: dict[str, NDArray[np.float64]] = dict.fromkeys(TRACKED, np.zeros(len(top)))
    n = len(top)
    if station.is_six:
        rows["D"] = np.ones(n) / 6
        rows["NQ"] = side * R0_MM / (4 * _X)
        rows["SQ"] = top * R0_MM / (6 * _Y)
        rows["NS"] = (3 * side**2 - 2) * R0_MM**2 / (4 * _X**2)
        rows["SS"] = top * side * R0_MM**2 / (8 * _X * _Y)
    else:
        middle = side == 0
        rows["D"] = np.where(middle, 0.5, 0.0)
        # One pair per row (top, bottom): outer minus inner member of the pair.
        outward = np.zeros(n)
        for row in (1.0, -1.0):
            pair = np.flatnonzero(top == row)
            outward[pair[np.argmax(side[pair])]] = 1.0
            outward[pair[np.argmin(side[pair])]] = -1.0
        rows["NQ"] = outward * R0_MM / (2 * _X)
        rows["SQ"] = top * R0_MM / (4 * _Y)
        rows["SS"] = top * outward * R0_MM**2 / (4 * _X * _Y)
    return np.stack([rows[name] for name in TRACKED])


def jacobian(station: Station) -> NDArray[np.float64]:
    """Return J, shape (5, 5): true moments at the storage centre = J · station moments (order D, NQ, SQ, NS, SS).

    For a station without six probes the input NS is the true one, interpolated from elsewhere.
    """
    response = station_matrix(station) @ basis(station.x_mm, station.y_mm, TRACKED)
    if not station.is_six:
        response[_NS, _NS] = 1.0
    inverse: NDArray[np.float64] = np.asarray(np.linalg.inv(response), dtype=np.float64)
    inverse[np.abs(inverse) < 1e-12] = 0.0
    return inverse


@dataclass(frozen=True)
class StationAlgebra:
    """Everything linear between 378 probes and the moments at 72 stations.

    Attributes
    ----------
    from_probes
        Shape (72, 5, 378): true moments at each station from all probes, the interpolated NS included.
    to_probes
        Shape (378, 5): the five tracked basis functions at every fixed probe.
    """

    from_probes: NDArray[np.float64]
    to_probes: NDArray[np.float64]

    def moments(self, frequencies_hz: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the moments, shape (n, 72, 5), of readings with shape (n, 378) [Hz]."""
        if frequencies_hz.ndim != 2 or frequencies_hz.shape[1] != N_FIXED_PROBES:
            raise DataError(
                "fixed-probe readings have the wrong shape",
                expected=f"(n, {N_FIXED_PROBES})",
                found=str(frequencies_hz.shape),
            )
        flat = frequencies_hz @ self.from_probes.reshape(-1, N_FIXED_PROBES).T
        return flat.reshape(len(frequencies_hz), N_STATIONS, len(TRACKED))


def _neighbours(index: int, six: NDArray[np.int64]) -> tuple[int, int, float]:
    """Return the six-probe stations on both sides and the weight of the later one."""
    azimuth = station_azimuths_deg()
    after = int(six[np.searchsorted(six, index) % len(six)])
    before = int(six[(np.searchsorted(six, index) - 1) % len(six)])
    lower = azimuth[before] - (360.0 if azimuth[before] > azimuth[index] else 0.0)
    upper = azimuth[after] + (360.0 if azimuth[after] < azimuth[index] else 0.0)
    return before, after, float((azimuth[index] - lower) / (upper - lower))


@cache
def station_algebra() -> StationAlgebra:
    """Return the linear maps between probes and station moments."""
    local = np.zeros((N_STATIONS, len(TRACKED), N_FIXED_PROBES))
    for station in stations():
        local[station.index][:, station.probe_ids] = station_matrix(station)
    jacobians = np.stack([jacobian(station) for station in stations()])
    six = np.array([station.index for station in stations() if station.is_six])
    true_ns = {int(s): jacobians[s][_NS] @ local[s] for s in six}
    for station in stations():
        if not station.is_six:
            before, after, weight = _neighbours(station.index, six)
            local[station.index][_NS] = np.asarray((1 - weight) * true_ns[before] + weight * true_ns[after])
    from_probes = np.einsum("sij,sjp->sip", jacobians, local)
    from_probes.setflags(write=False)
    return StationAlgebra(from_probes, fixed_probe_basis())


def noise_gain(station: int, *, exact_ns: bool = False) -> dict[str, float]:
    """Return σ(moment)/σ(probe) of a station's moments for independent, equally good probes.

    Parameters
    ----------
    exact_ns
        Take the normal sextupole as known instead of interpolated or measured (what a four-probe station has alone).
    """
    if exact_ns:
        this = stations()[station]
        theta = station_matrix(this)
        theta[_NS] = 0.0
        matrix = jacobian(this) @ theta
    else:
        matrix = station_algebra().from_probes[station]
    return dict(zip(TRACKED, np.sqrt((matrix**2).sum(axis=1)).tolist(), strict=True))
