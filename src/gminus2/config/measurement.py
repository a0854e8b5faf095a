"""Sections of a campaign file that say how it is measured: ω_a, beam corrections, combination, hardware blinding."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gminus2.config.base import StrictModel

__all__ = ["BeamSection", "BlindSection", "CombinationSettings", "MeasurementSection", "OmegaASection", "TeamSection"]

Positive = Annotated[float, Field(gt=0.0)]
NonNegative = Annotated[float, Field(ge=0.0)]


class CombinationSettings(StrictModel):
    """How datasets are averaged and turned into a_μ."""

    correlation: Literal["systematics-correlated", "transients-common", "statistics-only", "uncorrelated"] = (
        "systematics-correlated"
    )
    """Correlation between datasets."""
    correlations: dict[str, float] = Field(default_factory=dict)
    """Source name → correlation between datasets (0 to 1), over the model above."""
    codata: Literal[2014, 2018, 2022] = 2018
    """CODATA adjustment of the external constants."""
    route: Literal["hydrogen", "bohr"] = "hydrogen"
    """Constants used: hydrogen (μ_e(H)/μ'_p, m_μ/m_e, g_e) or bohr (μ'_p/μ_B, m_μ/m_e, at 25 °C)."""
    standard_model: Literal["wp20", "wp25"] = "wp25"
    """Standard-Model value to compare with."""


class BlindSection(StrictModel):
    """Hardware blinding: hidden offsets of the clock and of the field, drawn once per output folder and sealed."""

    clock_range_ppm: Annotated[float, Field(ge=0.0, le=1000.0)] = 25.0
    """The clock offset is drawn within ± this."""
    field_range_ppm: Annotated[float, Field(ge=0.0, le=1000.0)] = 25.0
    """The field offset is drawn within ± this."""
    holders: tuple[str, str] = ("first holder", "second holder")
    """Names of the two key holders."""
    unblind: bool = True
    """Freeze the blinded result and open it with the keys that lie beside it; off: stop at the blinded result."""


class TeamSection(StrictModel):
    """One analysis of ω_a."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    """Its name, also the key of its software blind."""
    reconstruction: str = "global"
    """Reconstruction it takes."""
    method: Literal["T", "A", "R", "Q"] = "T"
    """How positrons are counted."""
    pileup: Literal["shadow", "convolution", "none"] = "shadow"
    """Construction of the pileup spectrum."""
    threshold_mev: Positive = 1700.0
    """Energy threshold of T and R [MeV], a multiple of 50."""
    gain: bool = True
    """Correct the gain."""
    lost_muons: bool = True
    """Fit the lost muons."""
    start_us: Positive = 30.0
    """Start of the fit window [µs]."""
    stop_us: Positive = 650.0
    """Stop of the fit window [µs]; earlier where there are too few counts."""

    @model_validator(mode="after")
    def _window(self) -> TeamSection:
        if self.stop_us <= self.start_us + 100.0:
            raise ValueError("the fit window must be longer than 100 us")
        return self


class OmegaASection(StrictModel):
    """The analyses of ω_a."""

    systematics: bool = True
    """Vary every ingredient and take the shifts as uncertainties."""
    scans: bool = False
    """Scan start, stop, calorimeters, bunches, seeds."""
    teams: tuple[TeamSection, ...] = (
        TeamSection(name="T-global"),
        TeamSection(name="T-local", reconstruction="local", pileup="convolution"),
        TeamSection(name="A-global", method="A"),
        TeamSection(name="A-local", reconstruction="local", method="A", pileup="convolution"),
    )
    """The teams; the mean of those with method A is the result (of all where there is none)."""

    @model_validator(mode="after")
    def _names(self) -> OmegaASection:
        names = [team.name for team in self.teams]
        if not names or len(set(names)) != len(names):
            raise ValueError("there must be at least one team, each with a name of its own")
        return self


class BeamSection(StrictModel):
    """Inputs of the beam-dynamics corrections that calorimeters and trackers do not measure."""

    rotation_start_us: Positive = 4.0
    """Start of the fast-rotation analysis [µs]."""
    phase_per_momentum_rad: float = 1.0
    """dφ/dδ of the beamline [rad]; 1.0 is 10 mrad per percent."""
    phase_per_momentum_error: NonNegative = 0.16
    """Its uncertainty [rad]."""
    loss_slope: float = -300.0
    """Relative change of the loss probability per unit dp/p."""
    triple_efficiency: Positive = 0.72
    """Triple coincidences per lost muon."""
    damaged_section: Literal["Q1S", "Q1L", "Q2S", "Q2L", "Q3S", "Q3L", "Q4S", "Q4L"] = "Q1L"
    """Quadrupole section where the slow drift of the beam comes from."""


class MeasurementSection(StrictModel):
    """How a simulated campaign is measured."""

    omega_a: OmegaASection = OmegaASection()
    """The fit of ω_a."""
    beam: BeamSection = BeamSection()
    """Beam-dynamics corrections."""
    combination: CombinationSettings = CombinationSettings()
    """Average of the datasets, a_μ and its comparison."""
    blinding: BlindSection = BlindSection()
    """Hardware blinding."""
