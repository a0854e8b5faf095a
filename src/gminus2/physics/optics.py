"""Linear optics of a weak-focusing storage ring: closed forms for a continuous ring, matrices for a real one.

*Use what when.* The closed forms (:func:`continuous_tunes`, :func:`cbo_frequency`, …) describe quadrupoles smeared
around the ring; they are within 1 % for E989. :func:`linear_optics` walks through the real plates and is exact to
first order in the coordinates; it also takes many voltage settings at once, and gives the closed orbit that unequal
plates produce.

Lengths are mm, frequencies MHz, actions J = A²/(2β) in mm·rad. Azimuth θ grows downstream. Derivations are in
``docs/physics/beam.md``.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gminus2.constants import BETA_MAGIC, F_CYCLOTRON_MHZ, RING_RADIUS_MM
from gminus2.errors import PhysicsError

__all__ = [
    "FocusingSection",
    "LinearOptics",
    "cbo_frequency",
    "check_field_index",
    "continuous_tunes",
    "electric_field_correction",
    "electric_field_shift",
    "equilibrium_offset",
    "field_index_from_gradient",
    "field_index_from_volts",
    "gradient_from_field_index",
    "linear_optics",
    "momentum_acceptance",
    "pitch_correction",
    "pitch_shift",
    "revolution_frequency",
    "slip_factor",
    "vertical_waist_frequency",
    "volts_from_field_index",
]

FloatArray = NDArray[np.float64]

#: Half distance of opposite quadrupole plates [mm] and the share of the circumference they cover (E989).
PLATE_HALF_GAP_MM: Final = 50.0
COVERED_FRACTION: Final = 156.0 / 360.0
#: Quadrupole component relative to 2V/d² of infinite hyperbolic plates, and lengthening of the hard edge
#: (finite-difference solution of the plate cross-section; effective field boundary of arXiv:2606.09903).
PLATE_SHAPE_FACTOR: Final = 1.029
FIELD_BOUNDARY_FACTOR: Final = 1.010


def check_field_index(n: float) -> float:
    """Return n, or refuse a field index with which no ring stores a beam.

    Raises
    ------
    PhysicsError
        n is not inside (0, 1): no vertical focusing below, no radial focusing above.
    """
    if not (math.isfinite(n) and 0.0 < n < 1.0):
        raise PhysicsError(
            "this field index stores no beam",
            where="field index n",
            expected="0 < n < 1 (E989: 0.107 to 0.120)",
            found=f"{n:g}",
            hint="vertical focusing needs n > 0, radial focusing n < 1",
        )
    return n


def continuous_tunes(n: float) -> tuple[float, float]:
    """Return (ν_x, ν_y) = (√(1−n), √n) of quadrupoles smeared around the ring.

    >>> nu_x, nu_y = continuous_tunes(0.108)
    >>> round(nu_x, 6), round(nu_y, 6)
    (0.944458, 0.328634)
    """
    check_field_index(n)
    return math.sqrt(1.0 - n), math.sqrt(n)


def cbo_frequency(nu_x: ArrayLike, f_revolution: float = F_CYCLOTRON_MHZ) -> FloatArray:
    """Return f_CBO = f_c (1 − ν_x) [MHz], seen by a detector at a fixed azimuth."""
    return np.asarray(f_revolution * (1.0 - np.asarray(nu_x, dtype=float)))


def vertical_waist_frequency(nu_y: ArrayLike, f_revolution: float = F_CYCLOTRON_MHZ) -> FloatArray:
    """Return f_VW = f_c (1 − 2ν_y) [MHz], the aliased breathing of the vertical width."""
    return np.asarray(f_revolution * (1.0 - 2.0 * np.asarray(nu_y, dtype=float)))


def slip_factor(alpha_p: float, gamma: float) -> float:
    """Return η with ΔT/T = η δ, η = α_p − 1/γ²."""
    return alpha_p - 1.0 / gamma**2


def revolution_frequency(
    delta: ArrayLike, alpha_p: float, gamma: float, f_revolution: float = F_CYCLOTRON_MHZ
) -> FloatArray:
    """Return f(δ) = f_c [1 − (α_p − 1/γ²) δ] [MHz] to first order in the momentum offset δ."""
    return np.asarray(f_revolution * (1.0 - slip_factor(alpha_p, gamma) * np.asarray(delta, dtype=float)))


def equilibrium_offset(delta: ArrayLike, n: float, radius_mm: float = RING_RADIUS_MM) -> FloatArray:
    """Return x_e = R₀ δ/(1 − n) [mm], the equilibrium radius of a momentum offset in a continuous ring."""
    check_field_index(n)
    return np.asarray(radius_mm * np.asarray(delta, dtype=float) / (1.0 - n))


def momentum_acceptance(n: float, aperture_mm: float = 45.0, radius_mm: float = RING_RADIUS_MM) -> float:
    """Return δ_max = (1 − n) a/R₀ of an aperture a.

    >>> round(momentum_acceptance(0.108), 5)
    0.00564
    """
    check_field_index(n)
    return (1.0 - n) * aperture_mm / radius_mm


def gradient_from_field_index(
    n: float,
    magnetic_field_t: float,
    beta: float = BETA_MAGIC,
    radius_mm: float = RING_RADIUS_MM,
    fraction: float = COVERED_FRACTION,
) -> float:
    """Return the plate gradient dE_r/dr [V/mm²] that makes an azimuthally averaged index n.

    n = R₀ ⟨dE_r/dr⟩/(β c B₀); inside the plates the gradient is 1/fraction larger.
    """
    return n * beta * 299_792_458.0 * magnetic_field_t / (radius_mm * 1e-3 * fraction) * 1e-6


def field_index_from_gradient(
    gradient_v_per_mm2: float,
    magnetic_field_t: float,
    beta: float = BETA_MAGIC,
    radius_mm: float = RING_RADIUS_MM,
    fraction: float = COVERED_FRACTION,
) -> float:
    """Return the averaged index of a plate gradient; the inverse of :func:`gradient_from_field_index`."""
    return gradient_v_per_mm2 / gradient_from_field_index(1.0, magnetic_field_t, beta, radius_mm, fraction)


def field_index_from_volts(
    voltage_kv: float,
    magnetic_field_t: float,
    beta: float = BETA_MAGIC,
    radius_mm: float = RING_RADIUS_MM,
    fraction: float = COVERED_FRACTION,
    factor: float = PLATE_SHAPE_FACTOR * FIELD_BOUNDARY_FACTOR,
) -> float:
    """Return the effective index of plates at ±``voltage_kv``: gradient 2V/d² times the shape and edge factors.

    Raises
    ------
    PhysicsError
        Negative voltage: it would defocus vertically.

    >>> round(field_index_from_volts(18.3, 1.451299), 3)
    0.108
    """
    if not voltage_kv >= 0.0:
        raise PhysicsError(
            "a negative quadrupole voltage defocuses vertically",
            where="quadrupole voltage [kV]",
            expected="0 or more",
            found=f"{voltage_kv:g}",
        )
    gradient = 2.0 * voltage_kv * 1e3 / PLATE_HALF_GAP_MM**2 * factor
    return field_index_from_gradient(gradient, magnetic_field_t, beta, radius_mm, fraction)


def volts_from_field_index(
    n: float,
    magnetic_field_t: float,
    beta: float = BETA_MAGIC,
    radius_mm: float = RING_RADIUS_MM,
    fraction: float = COVERED_FRACTION,
    factor: float = PLATE_SHAPE_FACTOR * FIELD_BOUNDARY_FACTOR,
) -> float:
    """Return the plate voltage [kV] of an effective index; the inverse of :func:`field_index_from_volts`."""
    return n / field_index_from_volts(1.0, magnetic_field_t, beta, radius_mm, fraction, factor)


def electric_field_shift(delta: ArrayLike, alpha_p: float, beta: float = BETA_MAGIC) -> FloatArray:
    """Return Δω_a/ω_a = −2β²δ²(α_p − 1) of a muon with momentum offset δ, in any lattice of this kind.

    δ counts from the magic momentum. It holds because ⟨n x⟩ = ⟨x⟩ − R₀ δ on the closed orbit.
    """
    return np.asarray(-2.0 * beta**2 * (alpha_p - 1.0) * np.asarray(delta, dtype=float) ** 2)


def electric_field_correction(
    mean_square_offset_mm2: float, alpha_p: float, beta: float = BETA_MAGIC, radius_mm: float = RING_RADIUS_MM
) -> float:
    """Return C_e (relative, > 0) from ⟨x_e²⟩ = ⟨x_e⟩² + variance, x_e being the azimuthally averaged offset.

    C_e = 2β² ⟨x_e²⟩/R₀² · (α_p − 1)/α_p²; with α_p = 1/(1 − n) it is the usual 2n(1 − n)β²⟨x_e²⟩/R₀².

    >>> round(1e9 * electric_field_correction(9.0**2 + 6.0**2, 1.0 / (1.0 - 0.108)))
    445
    """
    return 2.0 * beta**2 * mean_square_offset_mm2 / radius_mm**2 * (alpha_p - 1.0) / alpha_p**2


def pitch_shift(action_y_mm: ArrayLike, mean_gamma_y_per_mm: float) -> FloatArray:
    """Return Δω_a/ω_a = −(J_y/2)⟨γ_y⟩ of a vertical oscillation with action J_y = A²/(2β_y) [mm·rad]."""
    return np.asarray(-0.5 * np.asarray(action_y_mm, dtype=float) * mean_gamma_y_per_mm)


def pitch_correction(mean_square_y_mm2: float, mean_gamma_y_per_mm: float, local_beta_y_mm: float) -> float:
    """Return C_p (relative, > 0) from ⟨y²⟩ seen where β_y is ``local_beta_y_mm``: ⟨J_y⟩ = ⟨y²⟩/β_y."""
    return 0.5 * mean_gamma_y_per_mm * mean_square_y_mm2 / local_beta_y_mm


@dataclass(frozen=True)
class FocusingSection:
    """A stretch of the ring with constant fields.

    Attributes
    ----------
    begin_rad, end_rad
        Azimuths, 0 ≤ begin < end ≤ 2π.
    index
        Local field index n_q, a number or one value per setting (shape M).
    radial_curvature, vertical_curvature
        Electric dipole e/(uβ) [1/mm] that bends outwards and along +y, number or shape M.
    """

    begin_rad: float
    end_rad: float
    index: ArrayLike
    radial_curvature: ArrayLike = 0.0
    vertical_curvature: ArrayLike = 0.0


@dataclass(frozen=True)
class LinearOptics:
    """Optics functions on an azimuth grid for M settings; arrays are (M, A) or (M,), lengths in mm.

    ``phase_*`` is the betatron phase advance from θ = 0 to the grid point. ``orbit_*`` is the closed orbit of a
    magic-momentum muon. ``alpha_p`` = ⟨D⟩/R₀, ``mean_gamma_y`` = ⟨(1 + α_y²)/β_y⟩ [1/mm] are ring averages.
    """

    azimuth_rad: FloatArray
    nu_x: FloatArray
    nu_y: FloatArray
    beta_x: FloatArray
    alpha_x: FloatArray
    phase_x: FloatArray
    beta_y: FloatArray
    alpha_y: FloatArray
    phase_y: FloatArray
    dispersion: FloatArray
    dispersion_slope: FloatArray
    orbit_x: FloatArray
    orbit_x_slope: FloatArray
    orbit_y: FloatArray
    orbit_y_slope: FloatArray
    alpha_p: FloatArray
    mean_gamma_x: FloatArray
    mean_gamma_y: FloatArray


def _arc(focusing: FloatArray, angle: float, radius: float) -> tuple[FloatArray, FloatArray]:
    """Return the matrix (M, 2, 2) of x'' + K x = 0 over an angle, K = focusing/R², and its drive integrals (M, 2).

    The drive column answers to a constant right-hand side of 1/R² · mm, i.e. x'' + K x = 1/R² · R = curvature 1/R.
    """
    root = np.sqrt(np.abs(focusing))
    phi = root * angle
    stable = focusing > 1e-12
    unstable = focusing < -1e-12
    cos = np.where(stable, np.cos(phi), np.where(unstable, np.cosh(phi), 1.0))
    safe = np.where(root > 1e-6, root, 1.0)
    sine = np.where(stable, np.sin(phi) / safe, np.where(unstable, np.sinh(phi) / safe, angle))
    matrix = np.empty((*focusing.shape, 2, 2))
    matrix[..., 0, 0] = cos
    matrix[..., 0, 1] = radius * sine
    matrix[..., 1, 0] = -focusing * sine / radius
    matrix[..., 1, 1] = cos
    drive = np.empty((*focusing.shape, 2))
    ratio = np.where(np.abs(focusing) > 1e-12, (1.0 - cos) / np.where(focusing == 0.0, 1.0, focusing), 0.5 * angle**2)
    drive[..., 0] = radius * ratio
    drive[..., 1] = sine
    return matrix, drive


@dataclass
class _Plane:
    """Transfer from θ = 0 to every grid point in one plane: matrix, and the response to the dipoles and to δ."""

    matrices: FloatArray
    orbit: FloatArray
    dispersive: FloatArray


def _transport(
    steps: list[tuple[float, FloatArray, FloatArray]], wanted: NDArray[np.bool_], radius: float, bend: float
) -> tuple[_Plane, FloatArray, FloatArray, FloatArray]:
    count = steps[0][1].shape[0]
    total: FloatArray = np.broadcast_to(np.eye(2), (count, 2, 2)).copy()
    orbit = np.zeros((count, 2))
    dispersive = np.zeros((count, 2))
    kept: list[tuple[FloatArray, FloatArray, FloatArray]] = []
    for (angle, focusing, curvature), keep in zip(steps, wanted, strict=True):
        if keep:
            kept.append((total, orbit, dispersive))
        matrix, drive = _arc(focusing, angle, radius)
        total = np.asarray(matrix @ total, dtype=np.float64)
        orbit = np.asarray((matrix @ orbit[..., None])[..., 0] + drive * (curvature * radius)[:, None])
        dispersive = np.asarray((matrix @ dispersive[..., None])[..., 0] + bend * drive)
    plane = _Plane(*(np.stack([k[i] for k in kept], axis=1) for i in range(3)))
    return plane, total, orbit, dispersive


def _twiss(plane: _Plane, turn: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    cos_mu = 0.5 * (turn[:, 0, 0] + turn[:, 1, 1])
    if np.any(np.abs(cos_mu) >= 1.0) or np.any(~np.isfinite(cos_mu)):
        raise PhysicsError(
            "the ring has no stable orbit with these voltages",
            expected="|trace of the one-turn matrix| < 2",
            found=f"{2 * float(np.max(np.abs(cos_mu))):.4f}",
            hint="lower the voltage or the field index",
        )
    sin_mu = np.sign(turn[:, 0, 1]) * np.sqrt(1.0 - cos_mu**2)
    mu = np.arctan2(sin_mu, cos_mu) % (2.0 * np.pi)
    beta0 = turn[:, 0, 1] / sin_mu
    alpha0 = 0.5 * (turn[:, 0, 0] - turn[:, 1, 1]) / sin_mu
    a, b = plane.matrices[..., 0, 0], plane.matrices[..., 0, 1]
    c, d = plane.matrices[..., 1, 0], plane.matrices[..., 1, 1]
    u = a * beta0[:, None] - b * alpha0[:, None]
    w = c * beta0[:, None] - d * alpha0[:, None]
    beta = (u**2 + b**2) / beta0[:, None]
    alpha = -(u * w + b * d) / beta0[:, None]
    phase = np.asarray(np.unwrap(np.arctan2(b, u), axis=1))
    return mu / (2.0 * np.pi), beta, alpha, phase


def _closed(turn: FloatArray, drive: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.solve(np.eye(2) - turn, drive[..., None])[..., 0], dtype=np.float64)


def linear_optics(
    sections: list[FocusingSection], *, radius_mm: float = RING_RADIUS_MM, points: int = 360, step_rad: float = 0.02
) -> LinearOptics:
    """Return the optics functions of a ring whose plates are ``sections`` (field-free of E elsewhere).

    Parameters
    ----------
    sections
        Plates in order of azimuth, without overlap.
    points
        Grid points per turn, at θ = 2π i/points.
    step_rad
        Largest step of the walk; ring averages use Simpson's rule on it.

    Raises
    ------
    PhysicsError
        Overlapping sections, or no stable orbit. Tunes are the fractional parts in (0, 1).
    """
    counts = [
        np.atleast_1d(np.asarray(q, dtype=float)).size
        for s in sections
        for q in (s.index, s.radial_curvature, s.vertical_curvature)
    ]
    settings = max(counts, default=1)

    def wide(value: ArrayLike) -> FloatArray:
        return np.ascontiguousarray(np.broadcast_to(np.asarray(value, dtype=float), (settings,)))

    grid = 2.0 * np.pi * np.arange(points) / points
    edges = {0.0, 2.0 * math.pi, *grid.tolist()}
    end = 0.0
    for s in sections:
        if s.begin_rad < end - 1e-12 or s.end_rad <= s.begin_rad or s.end_rad > 2.0 * math.pi + 1e-12:
            raise PhysicsError(
                "ring sections overlap or are out of order",
                where=f"section {math.degrees(s.begin_rad):.3f}° to {math.degrees(s.end_rad):.3f}°",
                expected=f"begin at or after {math.degrees(end):.3f}°, end above begin and at most 360°",
            )
        end = s.end_rad
        edges |= {s.begin_rad, s.end_rad}
    marks = np.array(sorted(edges))
    marks = marks[np.concatenate(([True], np.diff(marks) > 1e-12))]
    fine: list[float] = []
    for low, high in itertools.pairwise(marks.tolist()):
        parts = 2 * max(1, math.ceil((high - low) / (2.0 * step_rad)))  # even, for Simpson
        fine += list(low + (high - low) * np.arange(parts) / parts)
    walk = np.array([*fine, 2.0 * math.pi])
    zero, one = np.zeros(settings), np.ones(settings)
    middle = 0.5 * (walk[:-1] + walk[1:])
    horizontal, vertical = [], []
    for angle, centre in zip(np.diff(walk), middle, strict=True):
        inside = next((s for s in sections if s.begin_rad < centre < s.end_rad), None)
        index = wide(inside.index) if inside else zero
        horizontal.append((float(angle), one - index, wide(inside.radial_curvature) if inside else zero))
        vertical.append((float(angle), index, wide(inside.vertical_curvature) if inside else zero))
    everywhere = np.ones(len(middle), dtype=bool)
    plane_x, turn_x, orbit_x, disp_x = _transport(horizontal, everywhere, radius_mm, 1.0)
    plane_y, turn_y, orbit_y, _ = _transport(vertical, everywhere, radius_mm, 0.0)
    nu_x, beta_x, alpha_x, phase_x = _twiss(plane_x, turn_x)
    nu_y, beta_y, alpha_y, phase_y = _twiss(plane_y, turn_y)

    def propagate(plane: _Plane, start: FloatArray, local: FloatArray) -> FloatArray:
        return np.asarray(np.einsum("maij,mj->mai", plane.matrices, start) + local)

    dispersion = propagate(plane_x, _closed(turn_x, disp_x), plane_x.dispersive)
    x_orbit = propagate(plane_x, _closed(turn_x, orbit_x), plane_x.orbit)
    y_orbit = propagate(plane_y, _closed(turn_y, orbit_y), plane_y.orbit)

    def mean(values: FloatArray) -> FloatArray:
        closed = np.concatenate([values, values[:, :1]], axis=1)
        width = walk[2::2] - walk[:-2:2]
        simpson = (closed[:, :-2:2] + 4.0 * closed[:, 1::2] + closed[:, 2::2]) / 6.0
        return np.asarray((simpson * width).sum(axis=1) / (2.0 * np.pi))

    pick = np.searchsorted(walk[:-1], grid - 1e-12)
    return LinearOptics(
        azimuth_rad=grid,
        nu_x=nu_x,
        nu_y=nu_y,
        beta_x=beta_x[:, pick],
        alpha_x=alpha_x[:, pick],
        phase_x=phase_x[:, pick],
        beta_y=beta_y[:, pick],
        alpha_y=alpha_y[:, pick],
        phase_y=phase_y[:, pick],
        dispersion=dispersion[:, pick, 0],
        dispersion_slope=dispersion[:, pick, 1],
        orbit_x=x_orbit[:, pick, 0],
        orbit_x_slope=x_orbit[:, pick, 1],
        orbit_y=y_orbit[:, pick, 0],
        orbit_y_slope=y_orbit[:, pick, 1],
        alpha_p=mean(dispersion[..., 0]) / radius_mm,
        mean_gamma_x=mean((1.0 + alpha_x**2) / beta_x),
        mean_gamma_y=mean((1.0 + alpha_y**2) / beta_y),
    )
