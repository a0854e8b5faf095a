"""An independent reference: an 8th-order Runge–Kutta integration of orbit and spin in cylindrical components.

It shares nothing with the production map: kinetic momenta, the laboratory's rotating (r, s, y) frame, Thomas–BMT as a
vector equation, and at a hard plate edge the jump of energy together with the spin kick of the longitudinal field.
Slow (hundreds of turns per second) and meant for tests and for validating a new field.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.integrate import DOP853

from gminus2.ring.tracking import Muons, Ring

__all__ = ["ReferenceTrack", "reference_track"]

FloatArray = NDArray[np.float64]

_A: FloatArray = np.ascontiguousarray(np.asarray(DOP853.A, dtype=np.float64)[:12, :12])
_B: FloatArray = np.ascontiguousarray(np.asarray(DOP853.B, dtype=np.float64)[:12])


@dataclass(frozen=True)
class ReferenceTrack:
    """Once per turn at azimuth 0: τ [m], x, y [m], ψ (unwrapped), S_y (momentum frame); (turns + 1, N)."""

    tau_m: FloatArray
    x_m: FloatArray
    y_m: FloatArray
    phase: FloatArray
    spin_y: FloatArray


@njit(cache=True, nogil=True)
def _field(r: float, y: float, k: float, switch: float, radius: float, out: Any) -> None:
    """Write e_r, e_y, Φ of a curved quadrupole of gradient k; s = switch − 1."""
    x = r - radius
    big_x = x / radius
    q = radius / r
    lift = big_x + 0.5 * big_x * big_x * q
    slope = (1.0 + big_x * q - 0.5 * big_x * big_x * q * q) / radius
    out[0] = k * ((r * r - radius * radius) / (2.0 * r) + switch * 0.5 * (x * big_x - y * y * slope))
    out[1] = -k * y * (1.0 + switch * lift)
    well = 0.25 * (r * r - radius * radius) - 0.5 * radius * radius * math.log1p(big_x)
    out[2] = -k * (well - 0.5 * y * y + switch * (x**3 / (6.0 * radius) - 0.5 * y * y * lift))


@njit(cache=True, nogil=True)
def _spin_rate(u: Any, g: float, b0: float, er: float, ey: float, a: float, eta: float, out: Any) -> None:
    """Write Ω (r, s, y) of dS/dτ = Ω × S for b = (0, 0, −b₀), e = (e_r, 0, e_y)."""
    br, bs, by = u[0] / g, u[1] / g, u[2] / g
    along_b = -by * b0
    along_e = br * er + by * ey
    cross_e = (bs * ey, by * er - br * ey, -bs * er)
    cross_b = (-bs * b0, br * b0, 0.0)
    c1, c2, c3 = a + 1.0 / g, a * g / (g + 1.0) * along_b, a + 1.0 / (g + 1.0)
    d = g / (g + 1.0) * along_e
    out[0] = -(0.0 - c2 * br - c3 * cross_e[0]) - 0.5 * eta * (er - d * br + cross_b[0])
    out[1] = -(0.0 - c2 * bs - c3 * cross_e[1]) - 0.5 * eta * (0.0 - d * bs + cross_b[1])
    out[2] = -(-c1 * b0 - c2 * by - c3 * cross_e[2]) - 0.5 * eta * (ey - d * by + cross_b[2])


@njit(cache=True, nogil=True)
def _derivative(
    s: Any, k: float, switch: float, b0: float, radius: float, a: float, eta: float, work: Any, out: Any
) -> None:
    """State: r, y, τ, u_r, u_s, u_y, S_r, S_s, S_y; derivative with respect to the azimuth."""
    r = s[0]
    _field(r, s[1], k, switch, radius, work)
    er, ey = work[0], work[1]
    g = math.sqrt(1.0 + s[3] ** 2 + s[4] ** 2 + s[5] ** 2)
    rate = r * g / s[4]
    out[0] = r * s[3] / s[4]
    out[1] = r * s[5] / s[4]
    out[2] = rate
    out[3] = s[4] + rate * (er - s[4] / g * b0)
    out[4] = -s[3] + rate * (s[3] / g * b0)
    out[5] = rate * ey
    _spin_rate(s[3:6], g, b0, er, ey, a, eta, work[3:6])
    wr, ws, wy = work[3], work[4], work[5]
    out[6] = s[7] + rate * (ws * s[8] - wy * s[7])
    out[7] = -s[6] + rate * (wy * s[6] - wr * s[8])
    out[8] = rate * (wr * s[7] - ws * s[6])


@njit(cache=True, nogil=True)
def _edge(s: Any, dphi: float, a: float) -> None:
    """Cross a hard edge where the potential rises by ``dphi``: u_s changes, and E_s turns the spin (not at |w|²)."""
    g = math.sqrt(1.0 + s[3] ** 2 + s[4] ** 2 + s[5] ** 2)
    g1 = g - dphi
    us = math.sqrt(g1 * g1 - 1.0 - s[3] ** 2 - s[5] ** 2)
    impulse = us - s[4]
    gm = 0.5 * (g + g1)
    c = (a + 1.0 / (gm + 1.0)) * impulse / gm
    wr, wy = -c * s[5], c * s[3]
    sr, ss, sy = s[6], s[7], s[8]
    s[6] = sr - wy * ss
    s[7] = ss + wy * sr - wr * sy
    s[8] = sy + wr * ss
    s[4] = us


@njit(cache=True, nogil=True)
def _run(
    s: Any,
    turns: int,
    angles: Any,
    gradients: Any,
    step: float,
    switch: float,
    b0: float,
    radius: float,
    a: float,
    eta: float,
    coefficients: Any,
    weights: Any,
    out: Any,
) -> None:
    stages = np.empty((12, 9))
    trial = np.empty(9)
    work = np.empty(6)
    for turn in range(turns + 1):
        flat = math.sqrt(s[3] ** 2 + s[4] ** 2)
        cos, sin = s[4] / flat, s[3] / flat
        forward, side = s[7] * cos + s[6] * sin, s[6] * cos - s[7] * sin
        out[0, turn], out[1, turn], out[2, turn] = s[2], s[0] - radius, s[1]
        out[3, turn], out[4, turn] = math.atan2(-side, forward), s[8]
        if turn == turns:
            break
        for e in range(angles.size):
            k = gradients[e]
            if k != 0.0:
                _field(s[0], s[1], k, switch, radius, work)
                _edge(s, work[2], a)
            count = math.ceil(angles[e] / step)
            h = angles[e] / count
            for _ in range(count):
                for stage in range(12):
                    for i in range(9):
                        total = 0.0
                        for j in range(stage):
                            total += coefficients[stage, j] * stages[j, i]
                        trial[i] = s[i] + h * total
                    _derivative(trial, k, switch, b0, radius, a, eta, work, stages[stage])
                for i in range(9):
                    total = 0.0
                    for stage in range(12):
                        total += weights[stage] * stages[stage, i]
                    s[i] += h * total
            if k != 0.0:
                _field(s[0], s[1], k, switch, radius, work)
                _edge(s, -work[2], a)


def reference_track(ring: Ring, muons: Muons, turns: int, *, step_rad: float = 0.06) -> ReferenceTrack:
    """Integrate muons through a ring of constant plates without kicker, collimators and multipoles.

    Parameters
    ----------
    step_rad
        Largest step of the 8th-order method; halve it to check convergence (at 0.06 it is below 1e-4 ppb of ω_a).
    """
    quad, _, _ = ring.electric.potential(ring.geometry, np.array([math.inf]), ring.anomaly)
    angles, gradients, at = [], [], 0.0
    for plate, k in sorted(zip(ring.geometry.plates, quad[0], strict=True), key=lambda p: p[0].begin):
        if plate.begin - at > 1e-12:
            angles.append(plate.begin - at)
            gradients.append(0.0)
        angles.append(plate.angle)
        gradients.append(float(k))
        at = plate.end
    if 2.0 * math.pi - at > 1e-12:
        angles.append(2.0 * math.pi - at)
        gradients.append(0.0)
    radius = ring.geometry.radius_mm * 1e-3
    out = np.empty((len(muons), 5, turns + 1))
    for i in range(len(muons)):
        u = ring.u_magic * (1.0 + muons.delta[i])
        norm = math.sqrt(1.0 + muons.x_slope[i] ** 2 + muons.y_slope[i] ** 2)
        ur, us, uy = u * muons.x_slope[i] / norm, u / norm, u * muons.y_slope[i] / norm
        flat = math.hypot(ur, us)
        cos, sin = us / flat, ur / flat
        sr, ss, sy = muons.spin[:, i]
        state = np.array(
            [
                radius + muons.x_mm[i] * 1e-3,
                muons.y_mm[i] * 1e-3,
                muons.time_us[i] * 299.792458,
                ur,
                us,
                uy,
                sr * cos + ss * sin,
                ss * cos - sr * sin,
                sy,
            ]
        )
        _run(
            state,
            turns,
            np.array(angles),
            np.array(gradients),
            step_rad,
            1.0 + ring.electric.switch(ring.geometry),
            ring.b0_per_m,
            radius,
            ring.anomaly,
            ring.edm_eta,
            _A,
            _B,
            out[i],
        )
    turned = out.transpose(1, 2, 0)
    return ReferenceTrack(turned[0], turned[1], turned[2], np.asarray(np.unwrap(turned[3], axis=0)), turned[4])
