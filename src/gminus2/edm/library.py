"""Spins of tracked muons at the trackers: what the ring does to the spin, turn by turn, with an EDM in its spin term.

A few hundred muons are tracked through the ring with its electric quadrupoles; every pass of some azimuths upstream
of a tracker station is recorded. Decays are drawn from these records, weighted by e^(−t/γτ). Geometry: azimuth 0 at
the inflector exit; internal y points physically down, and so do the vertical slope and spin component kept here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gminus2.constants import MUON_LIFETIME_US, SPEED_OF_LIGHT_MM_PER_US
from gminus2.detectors.arcs import CALORIMETER_AZIMUTH_DEG
from gminus2.detectors.tracker import TRACKER_STATIONS
from gminus2.errors import PhysicsError
from gminus2.physics.spin import eta_from_edm, magic_gamma
from gminus2.random import stream
from gminus2.ring.magnet import MagneticMultipoles
from gminus2.ring.program import Observer
from gminus2.ring.tracking import Muons, Ring, track

__all__ = ["BeamSpread", "SpinLibrary", "spin_library"]

Array = NDArray[np.float64]

#: Outer edge of the calorimeter behind the first tracker station [rad].
FACE_RAD: Final = math.radians(CALORIMETER_AZIMUTH_DEG + 15.0 * TRACKER_STATIONS[0])
#: Recorded azimuths upstream of that edge [rad]: where positrons that cross the tracker come from.
UPSTREAM_RAD: Final = tuple(math.radians(x) for x in (16.0, 20.0, 24.0, 28.0))


@dataclass(frozen=True)
class BeamSpread:
    """Standard deviations of the stored beam: momentum offset, betatron x and y [mm], injection time [µs]."""

    delta: float = 1.1e-3
    x_mm: float = 6.0
    y_mm: float = 12.5
    time_us: float = 0.030

    def muons(self, count: int, seed: int) -> Muons:
        """Return ``count`` muons inside 42 mm at azimuth 0, drawn from the stream ``("edm", "beam")``."""
        generator = stream(seed, "edm", "beam")
        parts: list[Array] = []
        found = 0
        # β_x ≈ R/ν_x and β_y ≈ R/ν_y turn widths into slopes.
        widths = np.array([self.delta, self.x_mm, self.x_mm / 7530.0, self.y_mm, self.y_mm / 21640.0, self.time_us])
        while found < count:
            drawn = generator.standard_normal((6, 4 * count)) * widths[:, None]
            dispersed = 8000.0 * np.abs(drawn[0])
            amplitude_x = dispersed + np.hypot(drawn[1], 7530.0 * drawn[2])
            amplitude_y = np.hypot(drawn[3], 21640.0 * drawn[4])
            kept = drawn[:, np.hypot(amplitude_x, amplitude_y) < 42.0]
            parts.append(kept)
            found += kept.shape[1]
        d, x, xs, y, ys, t = np.concatenate(parts, axis=1)[:, :count]
        return Muons.at_rest_in_beam(delta=d, x_mm=x + 8000.0 * d, x_slope=xs, y_mm=y, y_slope=ys, time_us=t)


@dataclass(frozen=True)
class SpinLibrary:
    """Recorded passes.

    Attributes
    ----------
    first_turn
        Turn of the first row.
    period_us, lifetime_us
        Revolution period and γτ.
    omega_a
        a e B/m [rad/µs]: what the fit of the rate starts from.
    states
        (turns, entries, 10): time [µs], azimuth [rad], x [mm], y [mm], radial and vertical slope of the muon, γ, S_r,
        S_s, S_y in the muon's momentum frame (y down).
    edm_e_cm
        The EDM in the ring's spin term.
    """

    first_turn: int
    period_us: float
    lifetime_us: float
    omega_a: float
    states: Array
    edm_e_cm: float

    @property
    def start_us(self) -> float:
        """Time of the first recorded turn [µs]."""
        return self.first_turn * self.period_us

    @property
    def stop_us(self) -> float:
        """End of the last recorded turn [µs]."""
        return (self.first_turn + int(self.states.shape[0])) * self.period_us

    def vertical_spin(self) -> tuple[Array, Array]:
        """Return (time, mean vertical spin upwards) per turn, shape (turns,): truth for tests."""
        return self.states[..., 0].mean(axis=1), -self.states[..., 9].mean(axis=1)


def spin_library(
    edm_e_cm: float,
    *,
    muons: int = 64,
    turns: int = 2000,
    first_turn: int = 200,
    radial_field_ppm: float = 0.0,
    spread: BeamSpread | None = None,
    seed: int = 1,
) -> SpinLibrary:
    """Track muons with an EDM and record their spins upstream of a tracker.

    Parameters
    ----------
    edm_e_cm
        d_μ [e·cm].
    muons, turns, first_turn
        Muons to follow, turns to record, and turns before the recording (200 turns are 30 µs).
    radial_field_ppm
        Mean radial magnetic field, in ppm of the main field: it tilts the precession plane like an EDM does.

    Raises
    ------
    PhysicsError
        No muons, no turns, or |d| so large that η is not a small perturbation (above 1e-15 e·cm).
    """
    if muons < 1 or turns < 100 or first_turn < 0:
        raise PhysicsError("a spin library needs muons and at least 100 turns", found=f"{muons} muons, {turns} turns")
    if not abs(edm_e_cm) < 1e-15:
        raise PhysicsError("the EDM is too large for this search", expected="|d| < 1e-15 e·cm", found=f"{edm_e_cm:g}")
    magnet = None
    if radial_field_ppm:
        magnet = MagneticMultipoles(np.array([[0.0, 0.0]]), np.array([[radial_field_ppm, 0.0]]))
    observers = tuple(Observer(f"{k}", FACE_RAD - up) for k, up in enumerate(sorted(UPSTREAM_RAD, reverse=True)))
    ring = Ring(observers=observers, collimators="open", magnet=magnet, edm_eta=eta_from_edm(edm_e_cm))
    start = (spread or BeamSpread()).muons(muons, seed)
    result = track(ring, start, first_turn + turns, record=muons, seed=seed)
    record = result.record[first_turn:]
    if not np.isfinite(record).all():
        kept = np.isfinite(record).all(axis=(0, 1, 3))
        if not kept.any():
            raise PhysicsError("all muons of the spin library were lost", hint="check the field and the beam widths")
        record = record[:, :, kept]
    g = record[..., 5]
    forward = np.sqrt(g**2 - 1.0 - record[..., 1] ** 2 - record[..., 3] ** 2)
    azimuth = np.array([one.azimuth for one in observers])
    states = np.stack(
        [
            record[..., 4] / (SPEED_OF_LIGHT_MM_PER_US * 1e-3),
            np.broadcast_to(azimuth[None, :, None], g.shape),
            record[..., 0] * 1e3,
            record[..., 2] * 1e3,
            record[..., 1] / forward,
            record[..., 3] / forward,
            g,
            record[..., 6],
            record[..., 7],
            record[..., 8],
        ],
        axis=-1,
    )
    gamma = magic_gamma(ring.anomaly)
    return SpinLibrary(
        first_turn,
        ring.period_us,
        gamma * MUON_LIFETIME_US,
        ring.omega_a,
        np.ascontiguousarray(states.reshape(turns, -1, 10)),
        edm_e_cm,
    )
