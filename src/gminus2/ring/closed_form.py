"""The closed-form beam: linear optics, Gaussian distributions, detuning and losses by amplitude and momentum."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gminus2.constants import F_CYCLOTRON_MHZ, GAMMA_MAGIC, RING_RADIUS_MM
from gminus2.errors import PhysicsError
from gminus2.physics.optics import (
    COVERED_FRACTION,
    FocusingSection,
    check_field_index,
    electric_field_shift,
    pitch_shift,
    slip_factor,
)
from gminus2.ring.ensemble import StoredBeam
from gminus2.ring.lattice import Lattice
from gminus2.ring.polynomial import MuonPolynomial

__all__ = ["closed_form_beam", "closed_form_loss_times", "relative_loss"]

FloatArray = NDArray[np.float64]


def closed_form_beam(
    generator: np.random.Generator,
    count: int,
    *,
    field_index: float = 0.108,
    lattice: Lattice | None = None,
    momentum_mean: float = 0.75e-3,
    momentum_rms: float = 1.12e-3,
    bunch_rms_us: float = 0.025,
    time_per_momentum_us: float = 0.0,
    x_beta_rms_mm: float = 10.0,
    cbo_amplitude_mm: float = 8.0,
    cbo_phase_rad: float = math.pi,
    y_rms_mm: float = 12.8,
    spin_phase_rad: float = 0.0,
    spin_per_momentum_rad: float = 1.0,
    chromaticity_x: float = -0.0675,
    chromaticity_y: float = 0.2044,
    detuning_x_at_40_mm: float = 9.8e-4,
    detuning_y_at_40_mm: float = -3.35e-3,
    loss_rate_per_us: float = 0.0,
    loss_decay_us: float = 40.0,
    loss_momentum_slope: float = 0.0,
    loss_vertical_power: float = 0.0,
    aperture_mm: float = 45.0,
    polarisation: float = 0.95,
) -> StoredBeam:
    """Return a beam from closed-form optics and Gaussian distributions, without tracking.

    Parameters
    ----------
    lattice
        Default: four lumped plates of 39° with this field index.
    momentum_mean, momentum_rms
        Of δ (defaults: ⟨x_e⟩ = 6 mm, σ = 9 mm).
    time_per_momentum_us
        Correlation ⟨t_inj|δ⟩ = slope · (δ − mean).
    x_beta_rms_mm, cbo_amplitude_mm, cbo_phase_rad, y_rms_mm
        Incoherent betatron rms and coherent amplitude, phase at azimuth 0 and t = 0, at the mean β.
    chromaticity_x, chromaticity_y
        dν/dδ (defaults: curved quadrupoles with sextupole switch −1).
    detuning_x_at_40_mm, detuning_y_at_40_mm
        Tune shift at 40 mm amplitude by the 20-pole, growing as A⁸ (cross terms are left to tracking).
    loss_rate_per_us, loss_decay_us, loss_momentum_slope, loss_vertical_power
        Loss rate per muon l(t) = rate · exp(−t/decay) · :func:`relative_loss`: max(0, 1 + slope·δ/10⁻³) times
        J_y^power over its mean. With a power above 0 the muons of large vertical amplitude go first and the beam
        becomes narrower.

    Notes
    -----
    Muons with |D δ| + A_x or A_y beyond the aperture are drawn again. ω_a shifts are the lattice identities
    −2β²(α_p − 1)δ² and −(J_y/2)⟨γ_y⟩.
    """
    check_field_index(field_index)
    if lattice is None:
        quarter = math.pi / 2.0
        plates = [
            FocusingSection(quarter * k, quarter * (k + 39.0 / 90.0), field_index / COVERED_FRACTION) for k in range(4)
        ]
        lattice = Lattice.constant(plates)
    if count < 1 or not momentum_rms > 0.0:
        raise PhysicsError("a beam needs muons and a momentum spread", found=f"{count} muons, {momentum_rms:g}")
    mean_beta = {axis: float(np.mean(lattice.column(f"beta_{axis}")[-1])) for axis in "xy"}
    dispersion = lattice.alpha_p * RING_RADIUS_MM
    kept: list[FloatArray] = []
    found = 0
    for _ in range(1000):
        size = max(1024, 2 * (count - found))
        normal = generator.standard_normal((6, size))
        delta = momentum_mean + momentum_rms * normal[0]
        x = x_beta_rms_mm * normal[1] + cbo_amplitude_mm * math.cos(cbo_phase_rad)
        px = x_beta_rms_mm * normal[2] + cbo_amplitude_mm * math.sin(cbo_phase_rad)
        y, py = y_rms_mm * normal[3], y_rms_mm * normal[4]
        stored = (np.abs(dispersion * delta) + np.hypot(x, px) < aperture_mm) & (np.hypot(y, py) < aperture_mm)
        block = np.stack([delta, x, px, y, py, normal[5]])[:, stored]
        kept.append(block)
        found += block.shape[1]
        if found >= count:
            break
    else:
        raise PhysicsError("hardly any muon fits into the aperture", hint="lower the spreads or the CBO amplitude")
    delta, x, px, y, py, extra = np.concatenate(kept, axis=1)[:, :count]
    action_x, action_y = 0.5 * (x**2 + px**2) / mean_beta["x"], 0.5 * (y**2 + py**2) / mean_beta["y"]
    centre = float(np.mean(delta))
    edge = {axis: 40.0**2 / (2.0 * mean_beta[axis]) for axis in "xy"}
    period = 1.0 / F_CYCLOTRON_MHZ
    models = {
        "nu_x": MuonPolynomial.from_terms(
            {
                (0, 0, 0): lattice.nu_x_final,
                (1, 0, 0): chromaticity_x,
                (0, 4, 0): detuning_x_at_40_mm / edge["x"] ** 4,
            }
        ),
        "nu_y": MuonPolynomial.from_terms(
            {
                (0, 0, 0): lattice.nu_y_final,
                (1, 0, 0): chromaticity_y,
                (0, 0, 4): detuning_y_at_40_mm / edge["y"] ** 4,
            }
        ),
        "period_us": MuonPolynomial.from_terms(
            {(0, 0, 0): period, (1, 0, 0): period * slip_factor(lattice.alpha_p, GAMMA_MAGIC)}
        ),
        "equilibrium_offset_mm": MuonPolynomial.from_terms({(1, 0, 0): dispersion}),
        "omega_a_shift": MuonPolynomial.from_terms(
            {
                (2, 0, 0): float(electric_field_shift(1.0, lattice.alpha_p)),
                (0, 0, 1): float(pitch_shift(1.0, lattice.mean_gamma_y_per_mm)),
            }
        ),
    }
    loss_time = closed_form_loss_times(
        generator.exponential(size=count),
        relative_loss(delta, action_y, loss_momentum_slope, loss_vertical_power),
        rate_per_us=loss_rate_per_us,
        decay_us=loss_decay_us,
    )
    zeros = np.zeros(count)
    bare = StoredBeam(
        delta=delta,
        injection_time_us=bunch_rms_us * extra + time_per_momentum_us * (delta - centre),
        action_x_mm=action_x,
        phase_x_rad=np.arctan2(px, x),
        action_y_mm=action_y,
        phase_y_rad=np.arctan2(py, y),
        spin_phase_rad=spin_phase_rad + spin_per_momentum_rad * delta,
        loss_time_us=loss_time,
        weight=np.ones(count),
        equilibrium_offset_mm=zeros,
        nu_x=zeros,
        nu_y=zeros,
        period_us=zeros,
        omega_a_shift=zeros,
        lattice=lattice,
        models=models,
        field_index=field_index,
        polarisation=polarisation,
        description="closed-form optics and Gaussian distributions",
    )
    given = ("delta", "injection_time_us", "action_x_mm", "phase_x_rad", "action_y_mm", "phase_y_rad")
    return bare.rebuilt(**{name: getattr(bare, name) for name in (*given, "spin_phase_rad", "loss_time_us", "weight")})


def relative_loss(
    delta: FloatArray,
    action_y_mm: FloatArray,
    momentum_slope: float,
    vertical_power: float,
    mean_power: float | None = None,
) -> FloatArray:
    """Return how much likelier than the average a muon is lost: (1 + slope·δ/10⁻³ ≥ 0) · J_y^power/⟨J_y^power⟩.

    ``mean_power`` is ⟨J_y^power⟩ of the beam; default: that of the muons given.
    """
    by_height = action_y_mm**vertical_power
    mean = float(by_height.mean()) if mean_power is None else mean_power
    relative: FloatArray = np.maximum(0.0, 1.0 + momentum_slope * delta * 1e3) * by_height / mean
    return relative


def closed_form_loss_times(
    exponent: FloatArray, relative: FloatArray, *, rate_per_us: float, decay_us: float
) -> FloatArray:
    """Return when muons of a closed-form beam are lost [µs], inf if never.

    Parameters
    ----------
    exponent
        ∫ l dt at which each muon is lost: exponentially distributed with mean 1.
    relative, rate_per_us, decay_us
        The loss rate l(t) = rate · exp(−t/decay) · :func:`relative_loss`.
    """
    # Survival to t: exp(-∫ l), solved for t; an exponent that is never reached means no loss.
    reach = exponent / np.maximum(rate_per_us * relative * decay_us, 1e-300)
    lost = reach < 1.0
    times = np.full(exponent.shape, np.inf)
    times[lost] = -decay_us * np.log1p(-reach[lost])
    return times
