"""The campaign file: datasets, beam, detectors, effects, reduction, truth. See ``docs/commands/simulate.md``."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from gminus2.config.base import StrictModel, parse_config, read_toml
from gminus2.config.field import FieldSection
from gminus2.config.measurement import MeasurementSection
from gminus2.constants import F_CYCLOTRON_MHZ
from gminus2.errors import ConfigError, nearest

__all__ = [
    "BeamConfig",
    "BunchConfig",
    "Campaign",
    "Clustering",
    "DamagedPlate",
    "DatasetConfig",
    "DetectorConfig",
    "Effects",
    "FieldConfig",
    "Reduction",
    "TruthConfig",
    "VoltageComponent",
    "changed_campaign",
    "load_campaign",
    "preset_names",
]

Positive = Annotated[float, Field(gt=0.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Plate = Literal["Q1S", "Q1L", "Q2S", "Q2L", "Q3S", "Q3L", "Q4S", "Q4L"]


class TruthConfig(StrictModel):
    """What nature chose: drawn from a phrase and sealed, or given openly."""

    mode: Literal["sealed", "open"] = "sealed"
    """``sealed``: a_mu and the clock offset are drawn from the phrase; ``open``: the values below."""
    phrase: str = "gminus2"
    """Words that seal the truth; another phrase is another nature."""
    a_mu: Positive = 1.16592061e-3
    """Centre of the drawn interval, or the value itself."""
    a_mu_span_ppm: NonNegative = 10.0
    """Half width of the interval of a_mu [ppm]."""
    clock_offset_ppm: float = 0.0
    """Offset of the clock when open [ppm]."""
    clock_span_ppm: NonNegative = 25.0
    """Half width of the interval of the clock offset when sealed [ppm]."""


class VoltageComponent(StrictModel):
    """One exponential approach of all quadrupole voltages to their final value: V = V0 (1 - fraction e^(-t/time))."""

    fraction: float
    """Missing fraction at injection."""
    time_us: Positive
    """Time constant."""


class DamagedPlate(StrictModel):
    """A plate that charges through a damaged resistor: its voltage misses ``fraction`` e^(-t/time)."""

    plate: Plate
    """Section the plate belongs to (S: 13 degrees, L: 26 degrees)."""
    side: Literal["top", "bottom", "inner", "outer"] = "top"
    """Which of its four plates."""
    fraction: float
    """Missing fraction at injection."""
    time_us: Positive
    """Time constant."""


class BunchConfig(StrictModel):
    """Shape of one of the eight bunches relative to the beam's common time profile."""

    offset_ns: float = 0.0
    """Shift of its centre."""
    scale: Positive = 1.0
    """Factor on its length."""


class BeamConfig(StrictModel):
    """The stored beam: closed-form optics with Gaussian distributions, or an ensemble tracked by the ring stage."""

    ensemble: str = ""
    """HDF5 file of a stored beam (relative to the campaign file); empty: the parameters below."""
    field_index: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.108
    """Effective field index."""
    momentum_mean: float = 0.75e-3
    """Mean of dp/p relative to the magic momentum."""
    momentum_rms: Positive = 1.12e-3
    """Its rms."""
    bunch_rms_ns: Positive = 25.0
    """rms of the injection time."""
    time_per_momentum_ns: float = 0.0
    """Change of the mean injection time per unit dp/p."""
    x_beta_rms_mm: Positive = 10.0
    """Incoherent horizontal betatron rms."""
    cbo_amplitude_mm: NonNegative = 8.0
    """Coherent horizontal amplitude."""
    cbo_phase_rad: float = 3.14159265
    """Its phase at azimuth 0 and t = 0."""
    y_rms_mm: Positive = 12.8
    """Vertical rms."""
    vertical_mismatch: float = 0.0
    """Relative modulation of the vertical width at twice the betatron frequency (the vertical waist)."""
    spin_phase_rad: float = 2.08
    """Mean precession phase at injection."""
    spin_per_momentum_rad: float = 1.0
    """Change of the spin phase per unit dp/p; 1.0 is 10 mrad per percent."""
    chromaticity_x: float = -0.177
    """Horizontal tune change per unit dp/p; default: of the effective sextupole of the ring presets (switch 0.75)."""
    chromaticity_y: float = 0.528
    """Vertical tune change per unit dp/p; default: as the horizontal one."""
    loss_rate_per_us: NonNegative = 8.0e-5
    """Loss rate per muon at t = 0, falling with ``loss_decay_us``."""
    loss_decay_us: Positive = 60.0
    """Decay time of the loss rate."""
    loss_momentum_slope: float = -0.3
    """Relative change of the loss rate per 1e-3 of dp/p; negative: low momenta are lost faster."""
    loss_vertical_power: NonNegative = 0.0
    """Loss rate grows as the vertical action to this power (mean rate unchanged); 0: whatever the amplitude."""
    radial_field_ppm: float = 0.0
    """Mean radial magnetic field [ppm of the dipole]: raises the beam by R0/n times it, 0.066 mm/ppm at n = 0.108."""
    polarisation: Fraction = 0.95
    """Of the stored muons."""
    voltages: tuple[VoltageComponent, ...] = ()
    """Approach of the quadrupole voltages to their final value."""
    damaged_plates: tuple[DamagedPlate, ...] = ()
    """Plates behind damaged resistors."""
    bunches: tuple[BunchConfig, ...] = (
        BunchConfig(offset_ns=0.0, scale=1.0),
        BunchConfig(offset_ns=2.0, scale=0.95),
        BunchConfig(offset_ns=-1.5, scale=1.05),
        BunchConfig(offset_ns=0.5, scale=1.0),
        BunchConfig(offset_ns=3.0, scale=0.9),
        BunchConfig(offset_ns=-2.5, scale=1.1),
        BunchConfig(offset_ns=1.0, scale=1.0),
        BunchConfig(offset_ns=-0.5, scale=0.98),
    )
    """Shapes of the eight bunches, in the order of injection."""

    @model_validator(mode="after")
    def _eight(self) -> BeamConfig:
        if len(self.bunches) != 8:
            raise ValueError(f"there are eight bunches, not {len(self.bunches)}")
        return self


class FieldConfig(StrictModel):
    """The magnetic field of a dataset."""

    omega_p_shielded_mhz: Positive = 61.79187
    """Shielded-proton frequency of the dipole field at 34.7 C [MHz], not angular."""
    normal_ppm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Normal quadrupole, sextupole, octupole, ppm at 45 mm, azimuthal average."""
    skew_ppm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Skew quadrupole, sextupole, octupole, ppm at 45 mm."""


class DatasetConfig(StrictModel):
    """One dataset: days with the same settings."""

    name: str
    """Name, also of its files."""
    fills: Annotated[int, Field(ge=1)] = 2000
    """Number of fills."""
    muons_per_fill: Positive = 5000.0
    """Mean number of stored muons."""
    intensity_rms: NonNegative = 0.1
    """Relative fluctuation of the intensity from fill to fill, on top of Poisson."""
    quad_kv: Positive = 18.3
    """Nominal quadrupole voltage (for the record)."""
    kick_gauss: Positive = 204.0
    """Peak kicker field (for the record, and for tracked ensembles)."""
    temperature_c: float = 25.0
    """Mean temperature of the detectors."""
    temperature_swing_c: NonNegative = 0.5
    """Amplitude of its daily swing."""
    temperature_period_fills: Positive = 4000.0
    """Fills per day."""
    beam: BeamConfig = BeamConfig()
    """The stored beam."""
    field: FieldConfig = FieldConfig()
    """The magnetic field."""


class DetectorConfig(StrictModel):
    """Calorimeters, laser, trackers."""

    threshold_mev: Positive = 50.0
    """Smallest pulse that is kept."""
    resolution_stochastic: NonNegative = 0.043
    """Energy resolution at 1 GeV, stochastic part."""
    resolution_constant: NonNegative = 0.015
    """Constant part of the energy resolution."""
    time_resolution_ns: NonNegative = 0.025
    """Time resolution."""
    position_resolution_mm: NonNegative = 2.0
    """Position resolution."""
    flash_gain_drop: NonNegative = 8.0e-4
    """Gain drop at injection, mean over calorimeters (it varies by a third around the ring)."""
    flash_recovery_us: Positive = 60.0
    """Recovery of that drop."""
    sag_per_gev: NonNegative = 4.27e-5
    """Gain lost per GeV in a calorimeter."""
    sag_recovery_us: Positive = 18.0
    """Recovery of that loss."""
    double_pulse_per_gev: NonNegative = 0.02
    """Gain lost at once in a crystal per GeV of the pulse before (short-term double pulse)."""
    double_pulse_recovery_ns: Positive = 15.0
    """Recovery of that loss."""
    gain_per_degree: float = -2.0e-3
    """Relative gain change per degree."""
    mip_energy_mev: Positive = 165.0
    """Energy of a lost muon in a calorimeter."""
    mip_width: NonNegative = 0.08
    """Its relative width."""
    background_per_us: NonNegative = 2.0e-5
    """Accidental pulses per calorimeter and microsecond."""
    background_energy_mev: Positive = 150.0
    """Slope of their energy."""
    laser_infill_fraction: Fraction = 0.0625
    """Fraction of the fills with in-fill laser pulses."""
    laser_resolution: NonNegative = 0.003
    """Relative resolution of one laser pulse."""
    laser_shots: Annotated[int, Field(ge=0)] = 3
    """In-fill pulses per such fill, ``laser_spacing_us`` apart, moved by ``laser_step_us`` from one to the next."""
    laser_spacing_us: Positive = 200.0
    """Distance of in-fill pulses."""
    laser_step_us: Positive = 2.5
    """Step by which they move."""
    laser_outfill_pulses: Annotated[int, Field(ge=0)] = 1
    """Pulses between fills, per fill."""
    laser_double_pulses: Annotated[int, Field(ge=0)] = 1
    """Double pulses between fills, per fill."""
    laser_energy_mev: Positive = 1500.0
    """Size of a laser pulse."""
    tracker_x_mm: NonNegative = 4.0
    """Resolution of the radius of tangency."""
    tracker_y_mm: NonNegative = 3.0
    """Resolution of the height of tangency."""
    tracker_angle_mrad: NonNegative = 2.0
    """Resolution of the vertical angle."""
    tracker_momentum: NonNegative = 0.02
    """Relative momentum resolution."""
    tracker_efficiency: Fraction = 0.9
    """Of finding and fitting a track that crosses enough modules."""


class Effects(StrictModel):
    """Switches and amplification of single effects; 1 as configured, 0 off."""

    electric_field: bool = True
    """Shift of omega_a by the electric field."""
    pitch: bool = True
    """Shift of omega_a by vertical oscillation."""
    field_multipoles: bool = True
    """Shift of omega_a by the local field."""
    polarisation: bool = True
    """Spin: off gives an unpolarised beam."""
    cbo: bool = True
    """Coherent betatron oscillation and vertical mismatch."""
    voltage_history: bool = True
    """Time dependence of the quadrupole voltages."""
    lost_muons: NonNegative = 1.0
    """Losses."""
    pileup: bool = True
    """Hits of one calorimeter merge within the separation; off: every hit is its own cluster."""
    gain_infill: NonNegative = 1.0
    """Gain drop from the flash."""
    gain_rate: NonNegative = 1.0
    """Gain drop from the rate."""
    double_pulse: NonNegative = 1.0
    """Short-term double-pulse effect."""
    temperature: NonNegative = 1.0
    """Temperature drift of the gain."""
    background: NonNegative = 1.0
    """Accidental background."""
    rate: Positive = 1.0
    """Factor on the muons per fill."""
    spin_momentum: bool = True
    """Correlation of spin phase and momentum."""
    edm_tilt_mrad: float = 0.0
    """Tilt of the precession plane by an electric dipole moment [mrad, rest frame]."""


class Clustering(StrictModel):
    """One reconstruction of the hits."""

    name: str
    """Name, key of the arrays in the dataset."""
    separation_ns: NonNegative = 5.0
    """Hits closer than this in one calorimeter merge (chain rule: each gap counts from the previous hit)."""
    distance_mm: NonNegative = 0.0
    """Merge only hits that are also closer than this on the face; 0: merge whatever the distance."""
    threshold_mev: NonNegative = 50.0
    """Hits below are ignored before merging."""
    leakage: Fraction = 0.0
    """Relative energy that this definition of the energy leaves out."""


class Reduction(StrictModel):
    """How hits become histograms."""

    clusterings: tuple[Clustering, ...] = (
        Clustering(name="global", separation_ns=5.0),
        Clustering(name="local", separation_ns=3.0, threshold_mev=80.0, leakage=0.007),
    )
    """Reconstructions to run on the same hits."""
    threshold_mev: Positive = 1700.0
    """Threshold of the T method for the histograms that have no energy axis."""
    q_threshold_mev: NonNegative = 250.0
    """Hits below do not enter the energy flow of the Q method."""
    randomise_fast_rotation: bool = True
    """Move each cluster by a uniform time within half a cyclotron period."""
    cyclotron_period_us: Positive = 1.0 / F_CYCLOTRON_MHZ
    """Width of that interval."""
    randomise_vertical_waist_us: NonNegative = 0.0
    """Width of a second interval, against the vertical waist; 0: off."""
    precession_period_us: Positive = 4.365411
    """Guess of the precession period for the R method."""
    lifetime_us: Positive = 64.4
    """Guess of the dilated lifetime for the weights of the R method."""
    shadow_gap_ns: Positive = 10.0
    """Shadow window for pileup: from this time after the trigger …"""
    shadow_window_ns: NonNegative = 0.0
    """… this long; 0: as long as the separation of the clustering."""
    mip_low_mev: NonNegative = 100.0
    """Energy window of lost-muon candidates, lower edge."""
    mip_high_mev: Positive = 250.0
    """Energy window of lost-muon candidates, upper edge."""
    tangency_bias_mm: float = 1.16
    """Subtracted from the radius of a track's point of tangency."""
    out_of_fill_correction: bool = True
    """Divide energies by the laser response between fills."""
    fills_per_laser_group: Annotated[int, Field(ge=1)] = 16
    """Fills over which laser pulses between fills are averaged for that correction."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the random times and of the R-method sets."""

    @model_validator(mode="after")
    def _names(self) -> Reduction:
        names = [c.name for c in self.clusterings]
        if not names or len(set(names)) != len(names):
            raise ValueError("every reconstruction needs a name of its own")
        return self


class Campaign(StrictModel):
    """A simulated campaign."""

    kind: Literal["simulated"] = "simulated"
    """Tells a simulated campaign from one of published numbers or recorded data."""
    name: str = "campaign"
    """Name of the campaign."""
    description: str = ""
    """One sentence for people."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """Root seed of everything that is drawn."""
    mode: Literal["events", "fast", "expected"] = "events"
    """``events``: every muon and hit; ``fast``: time and energy only; ``expected``: the rate without counting noise."""
    pool_muons: Annotated[int, Field(ge=1000)] = 262_144
    """Muons in the sample of the modes ``fast`` and ``expected``, and at most in a supercycle of ``events``."""
    decays_per_muon: Annotated[int, Field(ge=1)] = 4
    """Decays for which one drawn muon serves in mode ``events``; every supercycle of 16 fills draws its own."""
    expected_muons: Annotated[int, Field(ge=10)] = 400
    """Muons over which the mode ``expected`` integrates (about 25 ms each)."""
    expected_decays: Annotated[int, Field(ge=100_000)] = 2_000_000
    """Decays from which that mode takes the acceptance."""
    fills_per_batch: Annotated[int, Field(ge=16, multiple_of=16)] = 1024
    """Fills per stored piece of work; any value gives the same result."""
    end_us: Annotated[float, Field(gt=0.0, le=700.0)] = 700.0
    """End of the fill."""
    truth: TruthConfig = TruthConfig()
    """What nature chose."""
    effects: Effects = Effects()
    """Switches."""
    detector: DetectorConfig = DetectorConfig()
    """Detectors."""
    reduction: Reduction = Reduction()
    """From hits to histograms."""
    only: tuple[str, ...] = ()
    """Datasets to run; none: all. The others keep their place, so that random numbers do not move."""
    datasets: tuple[DatasetConfig, ...] = (DatasetConfig(name="a"),)
    """The datasets."""
    field: FieldSection | None = None
    """The magnet, its probes and their analysis, for gminus2 measure; its datasets are those above."""
    measurement: MeasurementSection = MeasurementSection()
    """How gminus2 measure takes the campaign to a_mu."""

    @model_validator(mode="after")
    def _datasets(self) -> Campaign:
        names = [d.name for d in self.datasets]
        if not names:
            raise ValueError("a campaign needs at least one dataset")
        if len(set(names)) != len(names):
            raise ValueError("two datasets share a name and would draw the same muons")
        for name in names:
            if not name or not all(c.isalnum() or c in "-_" for c in name):
                raise ValueError(f"a dataset's name may hold letters, digits, - and _, not '{name}'")
        unknown = [name for name in self.only if name not in names]
        if unknown:
            raise ValueError(f"'only' names a dataset that is not there: {', '.join(unknown)}")
        if self.field is not None and [d.name for d in self.field.datasets] != names:
            raise ValueError(
                f"the datasets of [field] must be those of the campaign in the same order: {', '.join(names)}"
            )
        return self

    def simulated_part(self) -> Campaign:
        """Return the campaign without what the muons and detectors do not depend on: field analysis, measurement."""
        return self.model_copy(update={"field": None, "measurement": MeasurementSection()})

    def selected(self) -> list[int]:
        """Return the indices of the datasets to run."""
        return [k for k, d in enumerate(self.datasets) if not self.only or d.name in self.only]


def preset_names() -> list[str]:
    """Return the names of the simulated campaigns that ship with the package."""
    folder = resources.files("gminus2.reference").joinpath("campaigns")
    names = []
    for entry in folder.iterdir():
        if entry.name.endswith(".toml") and 'kind = "simulated"' in entry.read_text(encoding="utf-8"):
            names.append(entry.name.removesuffix(".toml"))
    return sorted(names)


def load_campaign(name_or_path: str) -> Campaign:
    """Return a campaign by the name of a preset or the path of a TOML file.

    Raises
    ------
    ConfigError
        Neither a preset nor a file, or mistakes in the file.
    """
    path = Path(name_or_path)
    if not path.suffix and name_or_path in preset_names():
        path = Path(str(resources.files("gminus2.reference").joinpath("campaigns", f"{name_or_path}.toml")))
    elif not path.is_file():
        raise ConfigError(
            f"no campaign '{name_or_path}'",
            expected="a TOML file or the name of a preset",
            hint=nearest(name_or_path, preset_names()),
        )
    return parse_config(read_toml(path), Campaign, where=str(path))


def changed_campaign(
    campaign: Campaign,
    *,
    seed: int | None = None,
    fills: int | None = None,
    datasets: tuple[str, ...] = (),
    without: tuple[str, ...] = (),
    changes: tuple[str, ...] = (),
) -> Campaign:
    """Return a campaign with changes from a command line.

    Parameters
    ----------
    datasets
        Names of the datasets to keep; none: all. The others' random numbers do not change.
    without
        Effects to switch off.
    changes
        ``section.key=value`` in TOML notation.

    Raises
    ------
    ConfigError
        Unknown dataset, effect or key, or a value that does not fit.
    """
    raw = campaign.model_dump(mode="json", exclude_none=True)
    if seed is not None:
        raw["seed"] = seed
    known = [d["name"] for d in raw["datasets"]]
    for name in datasets:
        if name not in known:
            raise ConfigError(f"no dataset '{name}'", hint=nearest(name, known))
    for dataset in raw["datasets"]:
        if fills is not None:
            dataset["fills"] = fills
    for effect in without:
        value = Effects.model_fields.get(effect)
        if value is None:
            raise ConfigError(f"no effect '{effect}'", where="--without", hint=nearest(effect, Effects.model_fields))
        raw["effects"][effect] = False if isinstance(value.default, bool) else 0.0
    for change in changes:
        path, equals, text = change.partition("=")
        if not equals:
            raise ConfigError("a change needs a key and a value", where=f"--set {change}", expected="section.key=value")
        try:
            parsed = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            parsed = text
        *sections, key = path.strip().split(".")
        place = raw
        for section in sections:
            place = place.setdefault(section, {}) if isinstance(place, dict) else {}
        place[key] = parsed
    if datasets:
        raw["only"] = list(datasets)
    return parse_config(raw, Campaign, where="the campaign with the changes of the command line")
