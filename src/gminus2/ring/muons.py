"""Muons at one azimuth, in package units (mm, µs, rad)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gminus2.errors import PhysicsError

__all__ = ["Muons"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Muons:
    """Muons at azimuth 0; arrays (N,).

    ``x_slope``, ``y_slope`` are p_r/p_s and p_y/p_s; ``delta`` is the momentum offset from the magic momentum in a
    place free of electric potential; ``spin`` (3, N) has the components (r, s, y) in the momentum frame (s along the
    horizontal momentum), a unit vector; ``ident`` numbers the muons of the start.
    """

    x_mm: FloatArray
    x_slope: FloatArray
    y_mm: FloatArray
    y_slope: FloatArray
    delta: FloatArray
    time_us: FloatArray
    spin: FloatArray
    ident: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.x_mm.size)

    @classmethod
    def at_rest_in_beam(
        cls,
        *,
        delta: ArrayLike = 0.0,
        x_mm: ArrayLike = 0.0,
        x_slope: ArrayLike = 0.0,
        y_mm: ArrayLike = 0.0,
        y_slope: ArrayLike = 0.0,
        time_us: ArrayLike = 0.0,
        phase_rad: ArrayLike = 0.0,
    ) -> Muons:
        """Return muons with the spin along the momentum, turned by the precession phase in the horizontal plane."""
        given = np.broadcast_arrays(
            *(
                np.atleast_1d(np.asarray(v, dtype=float))
                for v in (x_mm, x_slope, y_mm, y_slope, delta, time_us, phase_rad)
            )
        )
        x, xs, y, ys, d, t, psi = (np.ascontiguousarray(v) for v in given)
        for name, values in zip(("x", "x slope", "y", "y slope", "delta", "time", "phase"), given, strict=True):
            if not np.all(np.isfinite(values)):
                raise PhysicsError("a muon has a coordinate that is not a number", where=name)
        sine = ys / np.sqrt(1.0 + xs**2 + ys**2)
        flat = np.sqrt(1.0 - sine**2)
        return cls(x, xs, y, ys, d, t, np.stack([-flat * np.sin(psi), flat * np.cos(psi), sine]), np.arange(x.size))

    @property
    def phase_rad(self) -> FloatArray:
        """Precession phase ψ = atan2(−S_r, S_s)."""
        return np.asarray(np.arctan2(-self.spin[0], self.spin[1]))

    def select(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Muons:
        """Return some of the muons."""
        return Muons(
            self.x_mm[chosen],
            self.x_slope[chosen],
            self.y_mm[chosen],
            self.y_slope[chosen],
            self.delta[chosen],
            self.time_us[chosen],
            self.spin[:, chosen],
            self.ident[chosen],
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Muons]) -> Muons:
        """Return the muons of several sets in order."""
        return cls(
            np.concatenate([p.x_mm for p in parts]),
            np.concatenate([p.x_slope for p in parts]),
            np.concatenate([p.y_mm for p in parts]),
            np.concatenate([p.y_slope for p in parts]),
            np.concatenate([p.delta for p in parts]),
            np.concatenate([p.time_us for p in parts]),
            np.concatenate([p.spin for p in parts], axis=1),
            np.concatenate([p.ident for p in parts]),
        )
