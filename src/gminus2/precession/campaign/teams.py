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

from pydantic import model_validator

from gminus2.config import StrictModel, parse_config, read_toml
from gminus2.config.measurement import TeamSection
from gminus2.precession.campaign.analyses import Analysis

__all__ = ["DEFAULT_TEAMS", "TeamsFile", "analysis_of", "load_teams"]


def analysis_of(team: TeamSection) -> Analysis:
    """Return the analysis of a team as a campaign file describes it."""
    return Analysis(**team.model_dump())


class TeamsFile(StrictModel):
    """A campaign's teams."""

    teams: tuple[TeamSection, ...]
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
    return tuple(analysis_of(team) for team in parse_config(read_toml(path), TeamsFile, where=str(path)).teams)
