"""A campaign: one TOML file that says what to measure from what. Stages that are not in it are not in the result."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, field_validator, model_validator

from gminus2.config import StrictModel, parse_config, read_toml
from gminus2.config.campaign import preset_names
from gminus2.config.measurement import CombinationSettings
from gminus2.constants import Status
from gminus2.errors import ConfigError, nearest
from gminus2.pipeline.fit_file import PseudoSection

__all__ = [
    "DEFAULT_CAMPAIGN",
    "BlindingSettings",
    "Campaign",
    "CombinationSettings",
    "DatasetEntry",
    "FitSettings",
    "HistogramSettings",
    "PublishedInputs",
    "Stop",
    "is_simulated",
    "load_campaign",
    "shipped_campaigns",
]

#: What ``gminus2 measure`` runs when nothing is named.
DEFAULT_CAMPAIGN: Final = "demo"

Positive = Field(gt=0)


class PublishedInputs(StrictModel):
    """Take the per-dataset inputs that a collaboration has published."""

    run: Literal["run1", "run23"]
    """Which: run1 or run23."""


class DatasetEntry(StrictModel):
    """One dataset of your own, at the level of frequencies."""

    label: str = Field(min_length=1)
    """Name in tables and figures."""
    f_a_hz: float = Positive
    """Anomaly frequency ω_a/2π with all corrections applied [Hz]."""
    f_p_shielded_hz: float = Positive
    """Muon-weighted frequency of shielded protons, transients included [Hz]."""
    reference_temperature_c: float
    """Temperature T_r the proton frequency refers to [°C]; 34.7 or 25 where a_μ is wanted."""
    uncertainties_ppb: dict[str, float]
    """Relative uncertainty of R' by source [ppb]. Names ending in _stat are independent between datasets."""
    corrections_ppb: dict[str, float] = Field(default_factory=dict)
    """Corrections contained in f_a_hz, for the table [ppb]."""
    status: Status = "unverified"
    """How far the numbers are verified: source, computed, derived, cross-checked, unverified."""

    @field_validator("uncertainties_ppb")
    @classmethod
    def _check(cls, value: dict[str, float]) -> dict[str, float]:
        if not any(name.endswith("_stat") for name in value):
            raise ValueError("no statistical uncertainty: one name must end in _stat, e.g. omega_a_stat")
        if any(sigma < 0 for sigma in value.values()):
            raise ValueError("an uncertainty must not be negative")
        return value


class HistogramSettings(StrictModel):
    """A recorded histogram to fit; every reader of ``gminus2 fit`` may be used."""

    file: str = ""
    """Path, relative to the campaign file; empty where it is named on the command line with --data."""


class FitSettings(StrictModel):
    """The ω_a fit of the histogram."""

    model: str = "five"
    """Preset of gminus2 fit: five, cbo, full."""
    start_us: float = Field(default=30.0, ge=0)
    """Start of the fit window [µs]."""
    stop_us: float = Field(default=650.0, gt=0)
    """Stop of the fit window [µs]."""
    statistic: Literal["poisson", "neyman", "pearson"] = "poisson"
    """What is minimised."""

    @model_validator(mode="after")
    def _window(self) -> FitSettings:
        if self.stop_us <= self.start_us:
            raise ValueError("the fit window is empty: stop_us must be above start_us")
        return self


class BlindingSettings(StrictModel):
    """The datasets are hardware-blinded: the result stays blinded until it is frozen and unblinded."""

    seal: str = Field(min_length=1)
    """Path of the seal, relative to the campaign file."""


class Stop(StrictModel):
    """Where the campaign ends although the next stage would follow, and why."""

    before: Literal["R_mu", "a_mu"]
    """The number that is not computed."""
    reason: str = Field(min_length=10)
    """Why, printed in the result and the report."""


class Campaign(StrictModel):
    """One measurement, from its inputs to its result."""

    title: str = Field(default="a measurement", min_length=1)
    """One line for the head of the report."""
    description: str = ""
    """What the reader should know about it."""
    published: PublishedInputs | None = None
    """Take published inputs."""
    dataset: tuple[DatasetEntry, ...] = ()
    """Or give datasets of your own, one [[dataset]] each."""
    combination: CombinationSettings = CombinationSettings()
    """How datasets are combined."""
    histogram: HistogramSettings | None = None
    """A recorded histogram."""
    pseudo_data: PseudoSection | None = None
    """A histogram the package generates, with known truth."""
    fit: FitSettings | None = None
    """Fit of ω_a to the histogram."""
    blinding: BlindingSettings | None = None
    """Hardware blinding of the datasets."""
    stop: Stop | None = None
    """Stop early, with the reason."""

    @classmethod
    def example(cls) -> Campaign:
        """Return the example that ``gminus2 config new analysis`` writes: two datasets of one's own."""
        entries = (("A", 229081.06, 61791871.2, 900.0), ("B", 229081.40, 61791937.8, 700.0))
        return cls(
            dataset=tuple(
                DatasetEntry(
                    label=label,
                    f_a_hz=f_a,
                    f_p_shielded_hz=f_p,
                    reference_temperature_c=34.7,
                    uncertainties_ppb={"omega_a_stat": stat, "C_e": 50.0, "field": 110.0},
                )
                for label, f_a, f_p, stat in entries
            )
        )

    @model_validator(mode="after")
    def _consistent(self) -> Campaign:
        if self.published is not None and self.dataset:
            raise ValueError("give either [published] or [[dataset]], not both")
        if self.histogram is not None and self.pseudo_data is not None:
            raise ValueError("give either [histogram] or [pseudo_data], not both")
        has_histogram = self.histogram is not None or self.pseudo_data is not None
        if has_histogram != (self.fit is not None):
            raise ValueError("[fit] and a histogram ([histogram] or [pseudo_data]) go together")
        if not (self.published or self.dataset or has_histogram):
            raise ValueError("nothing to measure: give [published], [[dataset]], [histogram] or [pseudo_data]")
        if self.blinding is not None and not self.dataset:
            raise ValueError("[blinding] belongs to [[dataset]]: published inputs are open")
        labels = [entry.label for entry in self.dataset]
        if len(set(labels)) != len(labels):
            raise ValueError("two datasets have the same label")
        return self


def shipped_campaigns() -> dict[str, str]:
    """Return the campaigns of recorded or published inputs that come with the package: name → TOML text."""
    folder = resources.files("gminus2.reference").joinpath("campaigns")
    texts = {
        entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8")
        for entry in sorted(folder.iterdir(), key=lambda e: e.name)
        if entry.name.endswith(".toml")
    }
    return {name: text for name, text in texts.items() if tomllib.loads(text).get("kind") != "simulated"}


def is_simulated(name: str) -> bool:
    """Return whether a name or file is a simulated campaign; whatever is wrong with it shows when it is loaded."""
    if name in preset_names():
        return True
    path = Path(name)
    if path.suffix != ".toml" or not path.is_file():
        return False
    return read_toml(path).get("kind") == "simulated"


def load_campaign(name: str) -> tuple[str, Campaign, Path]:
    """Return name, campaign and the folder its paths are relative to.

    Parameters
    ----------
    name
        A shipped campaign or the path of a TOML file.

    Raises
    ------
    ConfigError
        Neither; or mistakes in the file, all at once, with the nearest valid keys.
    """
    shipped = shipped_campaigns()
    if name in shipped:
        return name, _parse(tomllib.loads(shipped[name]), f"campaign {name}"), Path.cwd()
    if name in preset_names():
        raise _simulated(name)
    path = Path(name)
    if path.suffix != ".toml" and not path.exists():
        raise ConfigError(
            f"no campaign '{name}'",
            expected="a campaign of the package or a TOML file",
            hint=nearest(name, [*shipped, *preset_names()]),
        )
    raw = read_toml(path)
    if raw.get("kind") == "simulated":
        raise _simulated(name)
    return path.stem, _parse(raw, str(path)), path.resolve().parent


def _simulated(name: str) -> ConfigError:
    return ConfigError(
        f"'{name}' is a simulated campaign; this command has no stages for it",
        hint=f"gminus2 simulate {name} makes its histograms, gminus2 fit analyses one",
    )


def _parse(raw: Mapping[str, Any], where: str) -> Campaign:
    return parse_config(raw, Campaign, where=where)
