"""A model ready to be fitted: presets, TOML files, and changes (fix, free, bound, link)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from gminus2.config import parse_config, read_toml
from gminus2.errors import ConfigError, nearest
from gminus2.precession.models.config import (
    BackgroundTerm,
    CboTerm,
    DecayTerm,
    LinkConfig,
    LostMuonTerm,
    ModelConfig,
    ParameterConfig,
    PrecessionTerm,
    TermConfig,
    VerticalBetatronTerm,
    VerticalWaistTerm,
)
from gminus2.precession.models.layout import Layout
from gminus2.precession.models.losses import LostMuonSpectrum
from gminus2.precession.models.terms import build_layout

__all__ = ["PRESETS", "Model", "load_model", "preset"]

#: Name → one line of description.
PRESETS: Final[Mapping[str, str]] = {
    "five": "N0 exp(-t/tau) [1 + A cos(ω t + φ)]: 5 parameters",
    "cbo": "five plus the CBO in the counts: 9 parameters",
    "full": "cbo plus CBO at 2ω, in A and in φ, vertical waist, vertical betatron: 23, with lost muons 24 parameters",
    "msr": "transverse-field muon spin rotation: N0, tau, A, f [MHz], phi, background, per ns: 6 parameters",
}

_FIVE: tuple[TermConfig, ...] = (DecayTerm(), PrecessionTerm())
_TERMS: Final[dict[str, tuple[TermConfig, ...]]] = {
    "five": _FIVE,
    "cbo": (*_FIVE, CboTerm()),
    "full": (
        *_FIVE,
        CboTerm(modulates=("N1", "N2", "A1", "phi1")),
        VerticalWaistTerm(),
        VerticalBetatronTerm(),
    ),
    "msr": (DecayTerm(density="ns"), PrecessionTerm(frequency="MHz"), BackgroundTerm()),
}

_NAME = re.compile(r"^([A-Za-z0-9_]+)(?:\[(.+)\])?$")


def split_name(name: str) -> tuple[str, str]:
    """Return (parameter, detector label) of ``NAME`` or ``NAME[LABEL]``; the label is empty where absent.

    >>> split_name("A[Up]"), split_name("tau")
    (('A', 'Up'), ('tau', ''))
    """
    match = _NAME.match(name)
    if match is None:
        raise ConfigError("this is no parameter name", expected="NAME or NAME[LABEL]", found=name)
    return match[1], match[2] or ""


@dataclass(frozen=True)
class Model:
    """A composition of terms with its parameters.

    Attributes
    ----------
    config
        The written form.
    losses
        Lost-muon spectrum of a ``lost_muons`` term.

    Raises
    ------
    ConfigError
        Unknown parameter names, a parameter both fixed and linked, bounds that exclude the value, links in a circle.
    """

    config: ModelConfig
    losses: LostMuonSpectrum | None = None
    layout: Layout = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        layout = build_layout(self.config)
        object.__setattr__(self, "layout", layout)
        self._check()

    @classmethod
    def from_config(cls, raw: Mapping[str, Any], *, where: str = "model") -> Model:
        """Check a table (TOML or JSON) and build the model.

        Raises
        ------
        ConfigError
            Unknown keys, terms, parameter names; contradictions (a parameter both fixed and linked, …).
        """
        return cls(parse_config(raw, ModelConfig, where=where))

    def _check(self) -> None:
        names = self.parameter_names
        linked = {link.parameter for link in self.config.links}

        def known(name: str, where: str) -> None:
            if name not in names:
                raise ConfigError(
                    f"the model '{self.config.name}' has no parameter '{name}'",
                    where=where,
                    hint=nearest(name, names),
                )

        for key, parameter in self.config.parameters.items():
            base, _ = split_name(key)
            known(base, f"parameters.{key}")
            lower = parameter.lower if parameter.lower is not None else float("-inf")
            upper = parameter.upper if parameter.upper is not None else float("inf")
            if not lower < upper:
                raise ConfigError(
                    "the lower bound must be below the upper one", where=f"parameters.{key}", found=f"{lower} … {upper}"
                )
            if parameter.value is not None and not lower <= parameter.value <= upper:
                raise ConfigError(
                    "the value lies outside its bounds",
                    where=f"parameters.{key}",
                    expected=f"{lower} … {upper}",
                    found=str(parameter.value),
                )
            if base in linked and (parameter.fixed or parameter.lower is not None or parameter.upper is not None):
                raise ConfigError("a linked parameter cannot be fixed or bounded", where=f"parameters.{key}")
        targets = {link.parameter: link.to for link in self.config.links}
        for link in self.config.links:
            known(link.parameter, "links")
            known(link.to, "links")
            seen = {link.parameter}
            current = link.to
            while current in targets:
                if current in seen:
                    raise ConfigError("links form a circle", where="links", found=" → ".join([*sorted(seen), current]))
                seen.add(current)
                current = targets[current]
            if current in seen:
                raise ConfigError(f"'{link.parameter}' is linked to itself", where="links")
        if len(targets) != len(self.config.links):
            raise ConfigError("a parameter is linked twice", where="links")
        if self.config.per_detector != "all":
            for name in self.config.per_detector:
                known(name, "per_detector")

    @property
    def name(self) -> str:
        """Name of the model in results."""
        return self.config.name

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names without detector labels, in order."""
        return tuple(self.layout.parameters)

    def unit(self, name: str) -> str:
        """Return the unit of a parameter (without detector label)."""
        return self.layout.parameters[split_name(name)[0]].unit

    def is_per_detector(self, name: str) -> bool:
        """Return whether every detector has this parameter for itself."""
        return self.config.per_detector == "all" or name in self.config.per_detector

    def _with(self, **changes: Any) -> Model:
        return replace(self, config=self.config.model_copy(update=changes))

    def _with_parameters(self, changes: Mapping[str, Mapping[str, Any]]) -> Model:
        table = dict(self.config.parameters)
        for key, change in changes.items():
            table[key] = table.get(key, ParameterConfig()).model_copy(update=dict(change))
        return self._with(parameters=table)

    def with_losses(self, losses: LostMuonSpectrum) -> Model:
        """Return the model with this loss spectrum, adding a ``lost_muons`` term where there is none."""
        terms = self.config.terms
        if not any(isinstance(term, LostMuonTerm) for term in terms):
            terms = (*terms, LostMuonTerm())
        return replace(self, config=self.config.model_copy(update={"terms": terms}), losses=losses)

    def fixed(self, **values: float) -> Model:
        """Return the model with parameters fixed at values: ``model.fixed(tau=64.44)``."""
        return self._with_parameters({name: {"value": float(v), "fixed": True} for name, v in values.items()})

    def freed(self, *names: str) -> Model:
        """Return the model with parameters made free."""
        return self._with_parameters({name: {"fixed": False} for name in names})

    def bounded(self, name: str, lower: float | None = None, upper: float | None = None) -> Model:
        """Return the model with bounds on a parameter."""
        return self._with_parameters({name: {"lower": lower, "upper": upper}})

    def linked(self, name: str, to: str, factor: float = 1.0, offset: float = 0.0) -> Model:
        """Return the model with ``name = factor · to + offset`` (replaces an earlier link of the same parameter)."""
        kept = tuple(link for link in self.config.links if link.parameter != name)
        return self._with(links=(*kept, LinkConfig(parameter=name, to=to, factor=factor, offset=offset)))

    def started(self, values: Mapping[str, float]) -> Model:
        """Return the model with start values (keys ``NAME`` or ``NAME[LABEL]``)."""
        return self._with_parameters({name: {"value": float(v)} for name, v in values.items()})

    def shared(self, *names: str) -> Model:
        """Return the model with these parameters common to all detectors and all others per detector."""
        for name in names:
            if name not in self.parameter_names:
                raise ConfigError(
                    f"the model '{self.config.name}' has no parameter '{name}'",
                    hint=nearest(name, self.parameter_names),
                )
        return self._with(per_detector=tuple(n for n in self.parameter_names if n not in names))


def preset(name: str) -> Model:
    """Return a shipped model by name (:data:`PRESETS`).

    Raises
    ------
    ConfigError
        Unknown name.

    Examples
    --------
    >>> preset("cbo").parameter_names
    ('N0', 'tau', 'A', 'R', 'phi', 'A_cbo', 'tau_cbo', 'f_cbo', 'phi_cbo')
    """
    if name not in PRESETS:
        raise ConfigError(f"no model preset '{name}'", hint=nearest(name, PRESETS))
    return Model(ModelConfig(name=name, terms=_TERMS[name]))


def load_model(source: str | Path) -> Model:
    """Return a preset by name, or a model from a TOML file or from a fit result (JSON: its model and values).

    Raises
    ------
    ConfigError
        Neither a preset nor a readable file; or mistakes in it.
    DataError
        A JSON file that is no complete fit result.
    """
    if str(source) in PRESETS:
        return preset(str(source))
    path = Path(source)
    if path.suffix == ".toml":
        return Model.from_config(read_toml(path), where=str(path))
    if path.suffix == ".json":
        from gminus2.precession.fitting.result import read_fit

        result = read_fit(path)
        return Model.from_config(json.loads(json.dumps(result.model)), where=str(path)).started(
            {name: p.value for name, p in result.parameters.items() if p.state != "linked"}
        )
    raise ConfigError(
        f"no model '{source}'",
        expected="a preset (" + ", ".join(PRESETS) + "), a .toml file or the .json file of a fit",
        hint=nearest(str(source), PRESETS),
    )
