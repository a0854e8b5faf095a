"""The ``[field]`` section: the magnet in the hall, its probes, their calibration and the analysis of the field.

Usable alone (``gminus2 field CAMPAIGN.toml``, schema :class:`FieldCampaign`) and as a section of a larger campaign.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from gminus2.config.base import StrictModel

__all__ = [
    "AnalysisSection",
    "CalibrationSection",
    "FeedbackSection",
    "FieldCampaign",
    "FieldDatasetSection",
    "FieldSection",
    "MuonSection",
    "TransientSection",
    "TrolleySection",
    "WorldSection",
]


class FieldDatasetSection(StrictModel):
    """One dataset: a stretch of running between the first and the last of its trolley runs."""

    name: str = Field("1a", min_length=1, description="Name of the dataset.")
    file: Path | None = Field(None, description="Recorded data (HDF5); simulated where absent.")
    days_between_trolley_runs: float = Field(3.0, gt=0.2, le=14, description="Time between trolley runs [days].")
    trolley_runs: int = Field(
        2, ge=1, le=30, description="Number of trolley runs, the first at the start, the last at the end."
    )
    mean_field_hz: float = Field(
        51_871.0, gt=45e3, lt=58e3, description="Ring-mean dipole above 61.74 MHz that the feedback is set to [Hz]."
    )
    hall_temperature_c: float = Field(25.5, gt=5, lt=45, description="Mean temperature of the hall [degC].")
    hall_swing_c: float = Field(0.5, ge=0, lt=10, description="Amplitude of the daily temperature cycle [degC].")
    drift_ppm_per_degc: float = Field(2.0, ge=-20, le=20, description="Drift of the dipole with the hall temperature.")


class WorldSection(StrictModel):
    """How the magnet behaves."""

    dipole_spread_hz: float = Field(
        350.0, ge=0, lt=2000, description="RMS variation of the dipole along the azimuth [Hz]."
    )
    gradient_spread_ppm: float = Field(
        0.5, ge=0, lt=20, description="RMS azimuthal variation of the other moments [ppm]."
    )
    slow_drift_ppb: float = Field(
        130.0, ge=0, lt=5000, description="RMS of the slow drift of the quadrupoles; the other moments scale with it."
    )
    oscillation_ppb: float = Field(
        30.0, ge=0, lt=1000, description="Amplitude of the periodic oscillation of the dipole."
    )
    oscillation_period_s: float = Field(130.0, gt=5, lt=3600, description="Its period.")
    steps_per_day: float = Field(0.5, ge=0, lt=50, description="Mean number of sudden dipole changes.")
    step_ppb: float = Field(500.0, ge=0, lt=10_000, description="RMS size of these steps.")
    walk_ppb_72h: float = Field(
        60.0,
        ge=0,
        lt=1000,
        description="Ring-wide random walk between fixed probes and field, RMS of the dipole after 72 h.",
    )
    local_walk_ppb_72h: float = Field(70.0, ge=0, lt=1000, description="The same for each station by itself.")
    footprint_hz: float = Field(25.0, ge=0, lt=500, description="Image of the trolley in a fixed-probe station [Hz].")
    fixed_noise_ppb: float = Field(11.0, gt=0, lt=1000, description="Median single-shot resolution of a fixed probe.")
    spike_fraction: float = Field(2e-4, ge=0, lt=0.2, description="Share of fixed-probe readings that are wild.")
    dead_probes: int = Field(4, ge=0, lt=60, description="Fixed probes that never work.")
    fixed_cycle_s: float = Field(1.67, gt=0.5, le=60, description="Time between readings of a fixed probe.")


class FeedbackSection(StrictModel):
    """The loop from the fixed probes to the power supply."""

    on: bool = Field(True, description="Whether the loop runs.")
    proportional: float = Field(0.15, ge=0, lt=2, description="P, in units of field per error.")
    integral_per_s: float = Field(0.08, ge=0, lt=2, description="I.")
    derivative_s: float = Field(0.0, ge=0, lt=10, description="D.")
    integral_clamp_hz_s: float = Field(
        5000.0, gt=0, description="Bound of the integral; the experiment's 20 Hz s gives 0.32 ppm x I of authority."
    )


class TrolleySection(StrictModel):
    """Trolley runs."""

    azimuths: int = Field(8781, ge=360, le=20_000, description="Readings of all 17 probes along one pass.")
    pass_s: float = Field(4386.0, gt=600, lt=20_000, description="Duration of a pass.")
    return_pass: bool = Field(False, description="Use the recorded way back as well.")
    fid_level: bool = Field(
        False, description="Make and analyse every FID (16 000 samples) instead of drawing frequencies."
    )
    temperature_c: float = Field(28.5, gt=10, lt=60, description="Mean temperature of the trolley.")
    temperature_spread_c: float = Field(0.7, ge=0, lt=10, description="RMS from run to run.")
    position_sigma_mm: float = Field(
        0.3, ge=0, lt=5, description="Uncertainty of the transverse position of the trolley."
    )
    azimuth_sigma_mm: float = Field(2.0, ge=0, lt=50, description="Uncertainty of the longitudinal position.")
    spike_fraction: float = Field(1e-3, ge=0, lt=0.2, description="Share of bad trolley readings.")


class CalibrationSection(StrictModel):
    """The plunging-probe campaign."""

    water_temperature_c: float = Field(25.8, gt=5, lt=60, description="Temperature of the plunging probe's water.")
    swaps: int = Field(4, ge=2, le=50, description="Exchanges of trolley and plunging probe per trolley probe.")
    swap_s: float = Field(120.0, gt=1, description="Time between two readings of an exchange.")
    reading_noise_hz: float = Field(0.22, gt=0, lt=50, description="Noise of one averaged reading.")
    drift_hz_per_h: float = Field(4.0, ge=0, description="Field drift during the campaign.")
    misalignment_mm: float = Field(
        0.5, ge=0, lt=5, description="Distance of plunging and trolley probe before alignment, RMS."
    )
    imposed_gradient_hz_per_mm: float = Field(30.0, gt=0, description="Gradient imposed by the surface coils.")
    shim_gradient_hz_per_mm: float = Field(
        0.5, ge=0, description="Gradient of the shimmed field at the calibration spot, RMS."
    )
    per_probe_ppb: float = Field(20.0, ge=0, description="Further independent uncertainty per probe (reproducibility).")
    common_ppb: float = Field(
        12.0, ge=0, description="Further uncertainty common to all probes (holder, image, swap effect)."
    )


class MuonSection(StrictModel):
    """The muons that weigh the field."""

    profile: Path | None = Field(
        None, description="HDF5 file with tracker profiles along the azimuth; a Gaussian where absent."
    )
    mean_x_mm: float = Field(5.7, gt=-40, lt=40, description="Radial mean of the default profile.")
    mean_y_mm: float = Field(0.3, gt=-40, lt=40, description="Vertical mean.")
    width_x_mm: float = Field(9.3, gt=0, lt=40, description="Radial width.")
    width_y_mm: float = Field(12.8, gt=0, lt=40, description="Vertical width.")
    closed_orbit_mm: float = Field(
        1.0, ge=0, lt=20, description="Amplitude of the radial closed orbit, first harmonic."
    )
    alignment_sigma_mm: float = Field(
        0.5, ge=0, lt=10, description="Uncertainty of the mean position in each direction."
    )
    width_relative_sigma: float = Field(0.03, ge=0, lt=0.5, description="Relative uncertainty of the widths.")
    closed_orbit_sigma_mm: float = Field(0.5, ge=0, lt=10, description="Uncertainty of the closed orbit's amplitude.")


class TransientSection(StrictModel):
    """The campaigns for the fast transients of kicker and quadrupoles."""

    kick_amplitude_ppb: float = Field(-3000.0, description="Field of the eddy currents at the kick, in units of B.")
    kick_tau_us: float = Field(50.0, gt=1, lt=1000, description="Their decay time.")
    kick_shots: int = Field(60, ge=2, description="Averaged traces of the magnetometer.")
    kick_noise_ppb: float = Field(600.0, gt=0, description="Noise of one trace and time bin.")
    kick_scale_sigma: float = Field(
        0.5, ge=0, description="Relative uncertainty of the magnetometer's scale and position."
    )
    kick_baseline_ppb: float = Field(34.0, ge=0, description="Uncertainty from vibrations, as part of B_k.")
    quad_amplitude_ppb: float = Field(
        -40.0, description="Mean over bunches of the field between the plates, in units of B."
    )
    quad_mode_ppb: float = Field(
        250.0, ge=0, description="Amplitude of the mechanical modes, different for each bunch."
    )
    quad_spread: float = Field(1.0, ge=0, description="Relative RMS of the amplitude between spots along the plates.")
    quad_spots: int = Field(3, ge=2, le=40, description="Spots between the plates where the probe was placed.")
    quad_offset_ppb: float = Field(
        88.0, ge=0, description="Uncertainty of B_q from spots never mapped and repeatability."
    )
    fit_start_us: float = Field(30.0, ge=0, description="Start of the fit of the precession after the kick.")
    fit_end_us: float = Field(650.0, gt=50, description="Its end.")


class AnalysisSection(StrictModel):
    """The analysis of the field."""

    bin_s: float = Field(10.0, ge=1, le=600, description="Common time grid.")
    model: Literal["p1", "odd3", "odd5", "p3", "p5"] = Field("odd5", description="Phase model of the FIDs.")
    window: float = Field(0.37, gt=0.02, lt=0.95, description="End of the FID fit as a fraction of the peak amplitude.")
    tracking: Literal["linear", "kalman"] = Field(
        "linear", description="Interpolation of the synchronisation between runs."
    )
    walk_prior_ppb_72h: float = Field(
        60.0, ge=0, description="Ring-mean random walk known from other running, RMS after 72 h."
    )
    walk_prior_pairs: int = Field(14, ge=0, description="Number of trolley pairs behind that knowledge.")
    average: Literal["kernel", "decay"] = Field(
        "kernel", description="How a transient acts on the fitted frequency; both are reported."
    )


def _default_datasets() -> tuple[FieldDatasetSection, ...]:
    return (FieldDatasetSection(),)


class FieldSection(StrictModel):
    """The magnetic field: magnet, probes, calibration, analysis."""

    reference_temperature_c: float = Field(34.7, gt=0, lt=60, description="T_r of the shielded proton [degC].")
    blind_ppb: float = Field(
        1000.0, ge=0, le=25_000, description="The sealed offset of all recorded frequencies is drawn within this range."
    )
    world: WorldSection = Field(default_factory=WorldSection)
    feedback: FeedbackSection = Field(default_factory=FeedbackSection)
    trolley: TrolleySection = Field(default_factory=TrolleySection)
    calibration: CalibrationSection = Field(default_factory=CalibrationSection)
    muons: MuonSection = Field(default_factory=MuonSection)
    transients: TransientSection = Field(default_factory=TransientSection)
    analysis: AnalysisSection = Field(default_factory=AnalysisSection)
    datasets: tuple[FieldDatasetSection, ...] = Field(default_factory=_default_datasets, min_length=1)

    @model_validator(mode="after")
    def _names_differ(self) -> FieldSection:
        names = [dataset.name for dataset in self.datasets]
        if len(set(names)) != len(names):
            raise ValueError(f"two datasets have the same name: {', '.join(names)}")
        if self.transients.fit_end_us <= self.transients.fit_start_us + 50:
            raise ValueError("the fit of the precession must last longer than 50 us")
        return self


class FieldCampaign(StrictModel):
    """A campaign of the magnetic field alone."""

    name: str = Field("field-demo", min_length=1, description="Name of the campaign.")
    seed: int = Field(1, ge=0, lt=2**64, description="Root seed of everything drawn.")
    field: FieldSection = Field(default_factory=FieldSection)
