"""Optics measured by tracking: closed orbit, tunes, dispersion, chromaticity, amplitude detuning.

What :func:`gminus2.physics.optics.linear_optics` calculates to first order, these functions observe on the full map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gminus2.errors import PhysicsError
from gminus2.ring.analysis import refined_tune
from gminus2.ring.program import Observer
from gminus2.ring.tracking import Muons, Ring, track

__all__ = ["Chromaticity", "chromaticity", "closed_orbit", "dispersion", "measured_tunes"]

FloatArray = NDArray[np.float64]


def _bare(ring: Ring) -> Ring:
    return replace(ring, collimators="open", observers=(Observer("start", 0.0),), kicker=None)


def closed_orbit(ring: Ring, delta: Sequence[float] | FloatArray) -> Muons:
    """Return muons on the closed orbit at azimuth 0 for each momentum offset (final voltages, no kicker).

    Raises
    ------
    PhysicsError
        Newton's method does not converge: the ring stores no such momentum.
    """
    bare = _bare(ring)
    offsets = np.asarray(delta, dtype=float)
    # Numbers (x [mm], x', y [mm], y') with steps that suit them.
    steps = np.array([1e-2, 1e-6, 1e-2, 1e-6])
    guess = np.zeros((offsets.size, 4))
    guess[:, 0] = offsets * ring.geometry.radius_mm / (1.0 - ring.electric.field_index)
    for _ in range(12):
        trials = np.repeat(guess[:, None, :], 5, axis=1)
        for i in range(4):
            trials[:, i + 1, i] += steps[i]
        flat = trials.reshape(-1, 4)
        start = Muons.at_rest_in_beam(
            x_mm=flat[:, 0], x_slope=flat[:, 1], y_mm=flat[:, 2], y_slope=flat[:, 3], delta=np.repeat(offsets, 5)
        )
        end = track(bare, start, 1, check_start=False).muons
        if len(end) != len(start):
            break
        after = np.stack([end.x_mm, end.x_slope, end.y_mm, end.y_slope], axis=1).reshape(-1, 5, 4)
        residual = after[:, 0] - guess
        jacobian = (after[:, 1:] - after[:, :1]).transpose(0, 2, 1) / steps
        move = np.linalg.solve(np.eye(4) - jacobian, residual[..., None])[..., 0]
        guess = guess + move
        if np.all(np.abs(move) < np.array([1e-9, 1e-12, 1e-9, 1e-12])):
            return Muons.at_rest_in_beam(
                x_mm=guess[:, 0], x_slope=guess[:, 1], y_mm=guess[:, 2], y_slope=guess[:, 3], delta=offsets
            )
    raise PhysicsError(
        "no closed orbit found",
        found=f"momentum offsets {offsets.min():g} to {offsets.max():g}",
        hint="the momentum is outside what this ring stores",
    )


def dispersion(ring: Ring, azimuth_rad: float, step: float = 1e-4) -> float:
    """Return the dispersion [mm] at an azimuth from the closed orbits of ±``step``."""
    observed = replace(_bare(ring), observers=(Observer("here", azimuth_rad),))
    result = track(observed, closed_orbit(ring, [step, -step]), 1, record=2, check_start=False)
    return float((result.record[0, 0, 0, 0] - result.record[0, 0, 1, 0]) * 1e3 / (2.0 * step))


def measured_tunes(
    ring: Ring,
    delta: Sequence[float] | FloatArray = (0.0,),
    amplitude_mm: Sequence[tuple[float, float]] = ((0.2, 0.2),),
    turns: int = 4096,
) -> FloatArray:
    """Return fractional tunes (ν_x, ν_y), shape (len(delta)·len(amplitude), 2), from the spectrum of the turns.

    Parameters
    ----------
    delta, amplitude_mm
        Every combination is tracked; amplitudes (x, y) are offsets from the closed orbit at azimuth 0.

    Notes
    -----
    The branch is the one of a weak-focusing ring: ν_x in (0.5, 1), ν_y in (0, 0.5).
    """
    orbit = closed_orbit(ring, delta)
    pairs = [(i, a) for i in range(len(orbit)) for a in amplitude_mm]
    pick = np.array([i for i, _ in pairs])
    start = Muons.at_rest_in_beam(
        x_mm=orbit.x_mm[pick] + np.array([a[0] for _, a in pairs]),
        x_slope=orbit.x_slope[pick],
        y_mm=orbit.y_mm[pick] + np.array([a[1] for _, a in pairs]),
        y_slope=orbit.y_slope[pick],
        delta=orbit.delta[pick],
    )
    record = track(_bare(ring), start, turns, record=len(pairs), check_start=False).record[:, 0]
    tunes = np.empty((len(pairs), 2))
    for j in range(len(pairs)):
        if not np.all(np.isfinite(record[:, j, 0])):
            raise PhysicsError("a muon was lost while its tune was measured", found=f"amplitude {pairs[j][1]} mm")
        tunes[j] = (1.0 - refined_tune(record[:, j, 0], 0.01, 0.49), refined_tune(record[:, j, 2], 0.01, 0.49))
    return tunes


@dataclass(frozen=True)
class Chromaticity:
    """Tunes at δ = 0 and their derivatives dν/dδ."""

    nu_x: float
    nu_y: float
    xi_x: float
    xi_y: float


def chromaticity(ring: Ring, step: float = 5e-4, amplitude_mm: float = 0.2, turns: int = 4096) -> Chromaticity:
    """Return tunes and chromaticities from the 4-point central difference at ±step, ±2 step."""
    nu = measured_tunes(ring, [0.0, -2 * step, -step, step, 2 * step], [(amplitude_mm, amplitude_mm)], turns)
    slope = (nu[1] - 8.0 * nu[2] + 8.0 * nu[3] - nu[4]) / (12.0 * step)
    return Chromaticity(float(nu[0, 0]), float(nu[0, 1]), float(slope[0]), float(slope[1]))
