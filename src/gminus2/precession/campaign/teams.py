"""Which analyses a campaign is given to: the default teams, or those of a TOML file.

::

    [[teams]]
    name = "east"
    reconstruction = "local"
    method = "A"
    pileup = "convolution"
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat, model_validator

from gminus2.config import StrictModel, parse_config, read_toml
from gminus2.precession.campaign.analyses import Analysis

__all__ = ["DEFAULT_TEAMS", "TeamConfig", "TeamsFile", "load_teams"]


class TeamConfig(StrictModel):
    """One team."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    """Its name, also the key of its software blind."""
    reconstruction: str = "global"
    """Name of the reconstruction in the datasets."""
    method: Literal["T", "A", "R", "Q"] = "T"
    """How positrons are counted."""
    pileup: Literal["shadow", "convolution", "none"] = "shadow"
    """Construction of the pileup spectrum."""
    threshold_mev: PositiveFloat = 1700.0
    """Energy threshold of T and R, a multiple of 50."""
    gain: bool = True
    """Correct the gain."""
    lost_muons: bool = True
    """Fit the lost muons."""
    start_us: PositiveFloat = 30.0
    """Begin of the fit."""
    stop_us: PositiveFloat = 650.0
    """End of the fit; earlier where there are too few counts."""

    def analysis(self) -> Analysis:
        """Return the analysis of the team."""
        return Analysis(**self.model_dump())


class TeamsFile(StrictModel):
    """A campaign's teams."""

    teams: tuple[TeamConfig, ...]
    """At least one."""

    @model_validator(mode="after")
    def _names(self) -> TeamsFile:
        names = [team.name for team in self.teams]
        if not names or len(set(names)) != len(names):
            raise ValueError("there must be at least one team, each with a name of its own")
        return self


#: Both reconstructions, four methods, two pileup constructions.
DEFAULT_TEAMS: tuple[Analysis, ...] = (
    Analysis("T-global", "global", "T", "shadow"),
    Analysis("T-local", "local", "T", "convolution"),
    Analysis("A-global", "global", "A", "shadow"),
    Analysis("A-local", "local", "A", "convolution"),
    Analysis("R-global", "global", "R", "shadow"),
    Analysis("Q", "global", "Q", "none", lost_muons=True),
)


def load_teams(path: Path | None) -> tuple[Analysis, ...]:
    """Return the teams of a file, or the default ones.

    Raises
    ------
    ConfigError
        Mistakes in the file.
    """
    if path is None:
        return DEFAULT_TEAMS
    return tuple(team.analysis() for team in parse_config(read_toml(path), TeamsFile, where=str(path)).teams)
