"""Differential-decay correction C_dd: high momenta live longer, so a phase that depends on momentum drifts.

d⟨δ⟩/dt = σ_δ²/(γτ) for any distribution, hence C_dd = −cov(φ, δ)/(γτ ω_a) over the stored muons that are counted. φ
depends on δ through the beamline, through the injection time (φ = −ω_a t_inj), and through the decay position
(φ = −φ_d(x_e)). See ``docs/physics/beam_corrections.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

from gminus2.beam.corrections import Correction
from gminus2.constants import GAMMA_MAGIC, MUON_LIFETIME_US
from gminus2.units import omega_reference

__all__ = ["PhaseCorrelations", "differential_decay"]


@dataclass(frozen=True)
class PhaseCorrelations:
    """How the phase depends on momentum, with standard errors.

    Attributes
    ----------
    momentum_rms
        σ_δ of the stored muons.
    beamline_rad
        dφ/dδ from the beamline and the injection, at fixed injection time [rad].
    time_covariance_us
        cov(t_inj, δ) [µs].
    position_rad
        −dφ_d/dx · ⟨D⟩, the phase per unit δ from where muons of that momentum decay [rad].
    """

    momentum_rms: float
    momentum_rms_error: float
    beamline_rad: float
    beamline_error: float
    time_covariance_us: float
    time_covariance_error: float
    position_rad: float
    position_error: float


def differential_decay(
    phases: PhaseCorrelations,
    *,
    lifetime_us: float = GAMMA_MAGIC * MUON_LIFETIME_US,
    omega_a: float = omega_reference,
) -> Correction:
    """Return C_dd with its three parts.

    >>> only_beamline = PhaseCorrelations(1.2e-3, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    >>> round(differential_decay(only_beamline, lifetime_us=64.379, omega_a=1.43934).value_ppb, 1)
    -15.5
    """
    variance = phases.momentum_rms**2
    per_phase = -1e9 * variance / (lifetime_us * omega_a)
    per_time = 1e9 / lifetime_us
    parts = {
        "momentum_phase": per_phase * phases.beamline_rad,
        "momentum_time": per_time * phases.time_covariance_us,
        "momentum_position": per_phase * phases.position_rad,
    }
    width = 2.0 * phases.momentum_rms_error / phases.momentum_rms if phases.momentum_rms else 0.0
    rows = {
        "statistics": abs(width * (parts["momentum_phase"] + parts["momentum_position"])),
        "momentum_phase": abs(per_phase * phases.beamline_error),
        "momentum_time": abs(per_time * phases.time_covariance_error),
        "momentum_position": abs(per_phase * phases.position_error),
    }
    return Correction("C_dd", sum(parts.values()), rows, parts_ppb=parts)
