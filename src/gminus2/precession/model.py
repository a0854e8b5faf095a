"""A model ready to be fitted: presets, TOML files, and changes (fix, free, bound, link)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gminus2.precession.config import ModelConfig
from gminus2.precession.losses import LostMuonSpectrum

__all__ = ["PRESETS", "Model", "load_model", "preset"]

#: Name → one line of description.
PRESETS: Mapping[str, str] = {
    "five": "N0 exp(-t/tau) [1 + A cos(ω t + φ)]: 5 parameters",
    "cbo": "five plus the CBO in the counts: 9 parameters",
    "full": "cbo plus 2ω, CBO in A and φ, vertical waist, vertical betatron, lost muons: 23 (24) parameters",
    "msr": "transverse-field muon spin rotation: N0, tau, A, f [MHz], phi, background per ns: 6 parameters",
}


@dataclass(frozen=True)
class Model:
    """A composition of terms with its parameters.

    Attributes
    ----------
    config
        The written form.
    losses
        Lost-muon spectrum of a ``lost_muons`` term.
    """

    config: ModelConfig
    losses: LostMuonSpectrum | None = None

    @classmethod
    def from_config(cls, raw: Mapping[str, Any], *, where: str = "model") -> Model:
        """Check a table (TOML or JSON) and build the model.

        Raises
        ------
        ConfigError
            Unknown keys, terms, parameter names; contradictions (a parameter both fixed and linked, …).
        """
        raise NotImplementedError

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names without detector labels, in order."""
        raise NotImplementedError

    def unit(self, name: str) -> str:
        """Return the unit of a parameter (without detector label)."""
        raise NotImplementedError

    def with_losses(self, losses: LostMuonSpectrum) -> Model:
        """Return the model with this loss spectrum, adding a ``lost_muons`` term where there is none."""
        raise NotImplementedError

    def fixed(self, **values: float) -> Model:
        """Return the model with parameters fixed at values: ``model.fixed(tau=64.44)``."""
        raise NotImplementedError

    def freed(self, *names: str) -> Model:
        """Return the model with parameters made free."""
        raise NotImplementedError

    def bounded(self, name: str, lower: float | None = None, upper: float | None = None) -> Model:
        """Return the model with bounds on a parameter."""
        raise NotImplementedError

    def linked(self, name: str, to: str, factor: float = 1.0, offset: float = 0.0) -> Model:
        """Return the model with ``name = factor · to + offset``."""
        raise NotImplementedError

    def started(self, values: Mapping[str, float]) -> Model:
        """Return the model with start values (keys ``NAME`` or ``NAME[LABEL]``)."""
        raise NotImplementedError

    def shared(self, *names: str) -> Model:
        """Return the model with these parameters common to all detectors and all others per detector."""
        raise NotImplementedError


def preset(name: str) -> Model:
    """Return a shipped model by name (:data:`PRESETS`).

    Raises
    ------
    ConfigError
        Unknown name.
    """
    raise NotImplementedError


def load_model(source: str | Path) -> Model:
    """Return a preset by name, or a model from a TOML file or from a fit result (JSON: its model and values).

    Raises
    ------
    ConfigError
        Neither a preset nor a readable file; or mistakes in it.
    """
    raise NotImplementedError
