"""What a simulated campaign knows and its analysis must not: the sealed offset, the true state of the instruments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from gminus2.config.field import FieldSection
from gminus2.data.muon_profile import MuonProfile, gaussian_profile
from gminus2.physics.multipoles import basis
from gminus2.physics.nmr import HZ_PER_PPB
from gminus2.physics.probes import N_TROLLEY_PROBES, nmr_table, trolley_positions_mm
from gminus2.random import stream

__all__ = ["FieldTruth", "InstrumentTruth", "draw_instruments", "sealed_offset"]

FloatArray = NDArray[np.float64]
#: One standard uncertainty of the plunging probe's corrections other than temperature [ppb], the talk's table.
_ABSOLUTE_PPB: Final = {
    "bulk": 6.0,
    "material": 12.0,
    "water_holder": 2.0,
    "radiation_damping": 3.0,
    "proton_dipolar": 2.0,
}


@dataclass(frozen=True)
class InstrumentTruth:
    """The true state of the instruments, the same for all datasets of a campaign.

    Attributes
    ----------
    absolute_error
        True minus assumed relative correction of the plunging probe.
    trolley_constant_hz
        True δ_i of the trolley probes during runs: field − reading, shape (17,).
    calibration_constant_hz
        The same as the calibration campaign realises it (reproducibility, swap effects).
    trolley_slope, calibration_temperature_c
        Relative change of a trolley reading per °C, and the temperature of the calibration.
    trolley_shift_mm
        True displacement of the trolley in its runs (x, y).
    profile
        The true muon profile.
    kick_scale, kick_baseline_ppb, quad_offset_ppb
        Scale error of the magnetometer; parts of B_k and B_q that the campaigns do not see.
    """

    absolute_error: float
    trolley_constant_hz: FloatArray
    calibration_constant_hz: FloatArray
    trolley_slope: float
    calibration_temperature_c: float
    trolley_shift_mm: FloatArray
    profile: MuonProfile
    kick_scale: float
    kick_baseline_ppb: float
    quad_offset_ppb: float


@dataclass(frozen=True)
class FieldTruth:
    """The sealed record of one dataset; compare it with a result only at the end.

    Attributes
    ----------
    f_p_hz
        True ω̃'_p/2π at T_r [Hz].
    offset
        The recorded frequencies are (1 + offset) times the true ones.
    b_k_ppb, b_q_ppb
        True transient corrections.
    """

    name: str
    f_p_hz: float
    reference_temperature_c: float
    offset: float
    b_k_ppb: float
    b_q_ppb: float

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> FieldTruth:
        """Rebuild a record written by :meth:`to_json`."""
        return cls(**{key: raw[key] for key in cls.__dataclass_fields__})


class _Draws(Protocol):
    """What is asked of a generator here."""

    def normal(self, *, size: Any = None) -> Any: ...


class _NoDraws:
    """A generator that draws the mean."""

    def normal(self, *, size: Any = None) -> Any:
        return 0.0 if size is None else np.zeros(size)


def sealed_offset(section: FieldSection, seed: int) -> float:
    """Draw the relative offset of all recorded frequencies of a campaign."""
    return float(stream(seed, "field", "seal").uniform(-1, 1)) * section.blind_ppb * 1e-9


def draw_instruments(section: FieldSection, seed: int, *, perfect: bool = False) -> InstrumentTruth:
    """Draw the true state of the instruments within their stated uncertainties.

    ``perfect`` instruments are exactly what the analysis assumes: what remains of an error is the analysis' own.
    """
    rng: _Draws = _NoDraws() if perfect else stream(seed, "field", "instruments")
    water, trolley = nmr_table("water"), nmr_table("trolley_calibration")
    slope_part = float(water["shielding_slope_sigma_ppb_per_degC"]) * (
        section.reference_temperature_c - section.calibration.water_temperature_c
    )
    thermometer = 5.0  # the talk's ±5 of the temperature correction contains slope and thermometer
    absolute = np.array([*_ABSOLUTE_PPB.values(), max(thermometer, abs(slope_part))]) * rng.normal(size=6)
    position = trolley_positions_mm()
    shape = trolley["constants_moments_hz"]
    constant = basis(position[:, 0], position[:, 1], tuple(shape)) @ np.array([float(v) for v in shape.values()])
    constant += 10.0 * rng.normal(size=N_TROLLEY_PROBES)
    c = section.calibration
    error = c.per_probe_ppb * rng.normal(size=N_TROLLEY_PROBES) + c.common_ppb * rng.normal()
    muons = section.muons
    profile = (
        gaussian_profile(
            muons.mean_x_mm + muons.alignment_sigma_mm * rng.normal(),
            muons.mean_y_mm + muons.alignment_sigma_mm * rng.normal(),
            muons.width_x_mm * (1 + muons.width_relative_sigma * rng.normal()),
            muons.width_y_mm * (1 + muons.width_relative_sigma * rng.normal()),
            closed_orbit_mm=muons.closed_orbit_mm + muons.closed_orbit_sigma_mm * rng.normal(),
        )
        if muons.profile is None
        else MuonProfile.read(muons.profile)
    )
    t = section.transients
    return InstrumentTruth(
        absolute_error=float(absolute.sum()) * 1e-9,
        trolley_constant_hz=constant,
        calibration_constant_hz=constant + error * HZ_PER_PPB,
        trolley_slope=1e-9
        * (
            float(trolley["temperature_ppb_per_degC"]) + float(trolley["temperature_sigma_ppb_per_degC"]) * rng.normal()
        ),
        calibration_temperature_c=section.trolley.temperature_c + section.trolley.temperature_spread_c * rng.normal(),
        trolley_shift_mm=section.trolley.position_sigma_mm * rng.normal(size=2),
        profile=profile,
        kick_scale=1 + t.kick_scale_sigma * rng.normal(),
        kick_baseline_ppb=t.kick_baseline_ppb * rng.normal(),
        quad_offset_ppb=t.quad_offset_ppb * rng.normal(),
    )
