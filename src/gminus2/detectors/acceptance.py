"""What fraction of positrons reaches a calorimeter, with which asymmetry and phase: from decays and arcs, by counting.

No spin is tracked: positrons leave the muon isotropically in its rest frame, and each accepted one carries the weight
z = a_x (d_s − i d_r) e^{iω_a L/c}. Then the rate seen is 1 + P|⟨z⟩| cos(ω_a t + φ₀ − arg⟨z⟩); derivation in
``docs/physics/detectors.md`` §2.4. Grid points of a map share their random numbers, so that differences between points
are far more precise than the points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gminus2.constants import GAMMA_MAGIC, RING_RADIUS_MM, SPEED_OF_LIGHT_MM_PER_US
from gminus2.detectors.arcs import first_face
from gminus2.physics.decay import michel_energy, michel_quantile_table, rest_momentum
from gminus2.physics.numerics import philox, sincos_turns, uniform
from gminus2.random import key_words
from gminus2.units import omega_reference

__all__ = ["AcceptanceMap", "acceptance_map"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class AcceptanceMap:
    """Acceptance by decay position and positron energy, averaged over the decay azimuth.

    Attributes
    ----------
    x_mm, y_mm
        Decay positions, shapes (nx,), (ny,); x radially outward from the central orbit.
    energy_edges_mev
        Shape (ne + 1,).
    rate
        Hits per decay in each energy bin, shape (nx, ny, ne).
    z_real, z_imag
        Rate-weighted ⟨a_x (d_s − i d_r) e^{iωL/c}⟩ · rate, same shape: add them over bins and positions, then divide.
    path_mm
        Sum of path lengths per decay, same shape; divide by ``rate``.
    decays_per_point
        Decays simulated at each position.
    """

    x_mm: Array
    y_mm: Array
    energy_edges_mev: Array
    rate: Array
    z_real: Array
    z_imag: Array
    path_mm: Array
    decays_per_point: int

    def asymmetry(self, polarisation: float = 1.0) -> Array:
        """Return P|⟨z⟩| per cell (0 where nothing was accepted)."""
        with np.errstate(invalid="ignore"):
            return np.where(self.rate > 0, polarisation * np.hypot(self.z_real, self.z_imag) / self.rate, 0.0)

    def phase(self) -> Array:
        """Return φ_d = arg⟨z⟩ per cell [rad]; the wiggle is 1 + A cos(ω_a t + φ₀ − φ_d)."""
        return np.arctan2(self.z_imag, self.z_real)

    def above(self, threshold_mev: float) -> tuple[Array, Array, Array]:
        """Return (rate, asymmetry for P = 1, φ_d), each (nx, ny), of all positrons above a threshold on a bin edge."""
        first = int(np.searchsorted(self.energy_edges_mev, threshold_mev - 1e-6))
        rate = self.rate[..., first:].sum(axis=-1)
        re, im = self.z_real[..., first:].sum(axis=-1), self.z_imag[..., first:].sum(axis=-1)
        return rate, np.hypot(re, im) / rate, np.arctan2(im, re)


def acceptance_map(
    x_mm: Array,
    y_mm: Array,
    *,
    decays: int,
    seed: int = 0,
    energy_edges_mev: Array | None = None,
    weights: Array | None = None,
    spread_mm: tuple[float, float] = (0.0, 0.0),
    field_scale: float = 1.0,
    delta: float = 0.0,
) -> AcceptanceMap:
    """Return the acceptance on a grid of decay positions.

    Parameters
    ----------
    x_mm, y_mm
        Grid coordinates.
    decays
        Per grid point.
    spread_mm
        Gaussian widths added to the position, e.g. (14.5, 12.7) at the single point (0, 0) for the average over a beam.
    field_scale, delta
        Field relative to the nominal one; muon momentum deviation.
    """
    edges = np.arange(0.0, 3201.0, 50.0) if energy_edges_mev is None else np.asarray(energy_edges_mev, dtype=np.float64)
    x = np.atleast_1d(np.asarray(x_mm, dtype=np.float64))
    y = np.atleast_1d(np.asarray(y_mm, dtype=np.float64))
    shape = (x.size, y.size, edges.size - 1)
    sums = np.zeros((4, *shape))
    key = key_words(seed, "acceptance-map")
    k0, k1 = int(key[0] & np.uint64(0xFFFFFFFF)), int(key[0] >> np.uint64(32))
    _fill(
        sums,
        x,
        y,
        edges,
        decays,
        k0,
        k1,
        michel_quantile_table(),
        spread_mm[0],
        spread_mm[1],
        field_scale,
        GAMMA_MAGIC,
        delta,
    )
    sums /= decays
    return AcceptanceMap(x, y, edges, sums[0], sums[1], sums[2], sums[3], decays)


@njit(cache=True, nogil=True)
def _fill(sums, xs, ys, edges, decays, k0, k1, quantiles, spread_x, spread_y, field_scale, gamma_magic, delta):  # type: ignore[no-untyped-def]
    width = edges[1] - edges[0]
    u_magic = math.sqrt(gamma_magic * gamma_magic - 1.0)
    u = u_magic * (1.0 + delta)
    gamma = math.sqrt(u * u + 1.0)
    for i in range(decays):
        a = philox(i & 0xFFFFFFFF, i >> 32, 0, 0, k0, k1)
        b = philox(i & 0xFFFFFFFF, i >> 32, 1, 0, k0, k1)
        x = michel_energy(uniform(a[0]), quantiles)
        cosine = 2.0 * uniform(a[1]) - 1.0
        sine = math.sqrt(1.0 - cosine * cosine)
        sa, ca = sincos_turns(uniform(a[2]))
        azimuth = 2.0 * math.pi * uniform(a[3])
        radius_g = math.sqrt(-2.0 * math.log(uniform(b[0])))
        sg, cg = sincos_turns(uniform(b[1]))
        d_s, d_r, d_y = cosine, sine * sa, sine * ca
        e_rest, p_rest = rest_momentum(x)
        energy = gamma * e_rest + u * p_rest * d_s
        p_s = gamma * p_rest * d_s + u * e_rest
        bin_e = int((energy - edges[0]) / width)
        if energy < edges[0] or bin_e >= edges.size - 1:
            continue
        weight = (2.0 * x - 1.0) / (3.0 - 2.0 * x)
        for ix in range(xs.size):
            for iy in range(ys.size):
                station, _, _, path, _ = first_face(
                    azimuth,
                    RING_RADIUS_MM + xs[ix] + spread_x * radius_g * cg,
                    ys[iy] + spread_y * radius_g * sg,
                    p_rest * d_r,
                    p_s,
                    p_rest * d_y,
                    field_scale,
                )
                if station < 0:
                    continue
                phase = omega_reference * path / SPEED_OF_LIGHT_MM_PER_US
                co, si = math.cos(phase), math.sin(phase)
                sums[0, ix, iy, bin_e] += 1.0
                sums[1, ix, iy, bin_e] += weight * (d_s * co + d_r * si)
                sums[2, ix, iy, bin_e] += weight * (d_s * si - d_r * co)
                sums[3, ix, iy, bin_e] += path
