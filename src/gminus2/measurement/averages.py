"""Averages of published results, and their distance from the Standard Model.

Within Fermilab the systematic and external uncertainties of two releases are taken as fully correlated, statistics as
independent; E821 is independent of Fermilab. The Theory Initiative's values of 2020 and 2025 are alternatives and are
never averaged. Source: ``docs/physics/measurement.md`` sections 5 and 6.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from gminus2.constants import Quantity, Status, published, weakest_status
from gminus2.errors import ConfigError, nearest
from gminus2.measurement.combination import Combination, Source, combine

__all__ = [
    "STANDARD_MODELS",
    "Average",
    "Release",
    "Tension",
    "average",
    "published_averages",
    "release",
    "releases",
    "standard_model",
    "tension",
]

#: Name of a Standard-Model value → (entry, how a table prints it).
STANDARD_MODELS: Final = MappingProxyType(
    {"wp20": ("theory.wp20.sm_total", "WP20"), "wp25": ("theory.wp25.sm_total", "WP25")}
)


@dataclass(frozen=True)
class Release:
    """A published a_μ [10⁻¹¹]. ``common`` is the part of the uncertainty shared within ``experiment``."""

    name: str
    label: str
    experiment: str
    year: int
    value: float
    sigma: float
    common: float
    status: Status


def _run1_common() -> float:
    summary = "experiment.e989.run1.summary"
    ppb = math.hypot(published(f"{summary}.total_syst").sigma, published(f"{summary}.total_external").sigma)
    return ppb * 1e-9 * float(published("experiment.e989.run1.a_mu"))


def _run23_common() -> float:
    summary = "experiment.e989.run23.summary"
    ppb = math.hypot(published(f"{summary}.total_syst").sigma, published(f"{summary}.total_external").sigma)
    return ppb * 1e-9 * float(published("experiment.e989.run23.a_mu"))


# The average of 2023 is 86 % Run-2/3, so it takes that run's common part; the published split is not available.
def _run456_common() -> float:
    summary = "experiment.e989.run456.summary"
    parts = (f"{summary}.total_syst", f"{summary}.mu_p_shielded", f"{summary}.m_mu_over_m_e")
    return math.hypot(*(published(p).sigma for p in parts)) * 1e-9 * float(published("experiment.e989.run456.a_mu"))


_RELEASES: Final = MappingProxyType(
    {
        "e821": ("experiment.e821.a_mu_rescaled", "BNL E821", "E821", 2006, None),
        "run1": ("experiment.e989.run1.a_mu", "FNAL Run-1", "E989", 2021, _run1_common),
        "run23": ("experiment.e989.run23.a_mu", "FNAL Run-2/3", "E989", 2023, _run23_common),
        "run456": ("experiment.e989.run456.a_mu", "FNAL Run-4/5/6", "E989", 2025, _run456_common),
        "fnal_2023": ("experiment.combinations.fnal_2023", "FNAL Run-1–3", "E989", 2023, _run23_common),
        "fnal_2025": ("experiment.combinations.fnal_2025", "FNAL Run-1–6", "E989", 2025, None),
        "world_2021": ("experiment.combinations.world_2021", "world 2021", "world", 2021, None),
        "world_2023": ("experiment.combinations.world_2023", "world 2023", "world", 2023, None),
        "world_2025": ("experiment.combinations.world_2025", "world 2025", "world", 2025, None),
    }
)


def releases() -> dict[str, Release]:
    """Return every published result and average by name."""
    return {name: release(name) for name in _RELEASES}


def release(name: str) -> Release:
    """Return a published result by name: ``e821``, ``run1``, ``run23``, ``run456``, ``fnal_2023``, ``world_2025``, …"""
    if name not in _RELEASES:
        raise ConfigError(f"no published result '{name}'", hint=nearest(name, _RELEASES))
    path, label, experiment, year, common = _RELEASES[name]
    quantity = published(path)
    return Release(
        name,
        label,
        experiment,
        year,
        float(quantity),
        quantity.sigma,
        common() if common is not None else 0.0,
        quantity.status,
    )


def average(members: Sequence[Release], *, correlated: bool = True) -> Combination:
    """Return the average of releases [10⁻¹¹].

    Parameters
    ----------
    correlated
        Take the ``common`` parts of one experiment's releases as one nuisance; else everything as independent.

    Examples
    --------
    >>> mean = average([release("fnal_2025"), release("e821")])
    >>> f"{mean.value - 116592000:.2f}({mean.sigma:.2f})"
    '71.47(14.41)'
    """
    sources = [
        Source(
            "separate",
            tuple(math.sqrt(r.sigma**2 - r.common**2) if correlated else r.sigma for r in members),
            0.0,
            "stat",
        )
    ]
    if correlated:
        for experiment in dict.fromkeys(r.experiment for r in members):
            impact = tuple(r.common if r.experiment == experiment else 0.0 for r in members)
            if any(impact):
                sources.append(Source(f"common to {experiment}", impact, 1.0, "syst"))
    return combine([r.value for r in members], sources, [r.label for r in members])


@dataclass(frozen=True)
class Average:
    """An average recomputed, beside the published one. ``agrees`` is ``None`` where a mismatch is documented."""

    name: str
    label: str
    members: tuple[str, ...]
    combination: Combination
    published: Quantity
    tolerance: float
    note: str = ""
    closure: bool = True

    @property
    def agrees(self) -> bool | None:
        """Whether value and uncertainty meet the published ones within the tolerance."""
        if not self.closure:
            return None
        return (
            abs(self.combination.value - float(self.published)) <= self.tolerance
            and abs(self.combination.sigma - self.published.sigma) <= self.tolerance
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "label": self.label,
            "members": list(self.members),
            "value": self.combination.value,
            "uncertainty": self.combination.sigma,
            "weights": self.combination.weights.tolist(),
            "chi2": self.combination.chi2,
            "p_value": self.combination.p_value,
            "published": {
                "value": float(self.published),
                "uncertainty": self.published.sigma,
                "status": self.published.status,
            },
            "agrees": self.agrees,
            "note": self.note,
        }


#: name, label, members, correlated, published entry, tolerance, note, closure
_AVERAGES: Final[tuple[tuple[str, str, tuple[str, ...], str, float, str, bool], ...]] = (
    ("world_2021", "Run-1 + E821", ("run1", "e821"), "world_2021", 0.5, "", True),
    (
        "fnal_2023",
        "Run-1 + Run-2/3",
        ("run1", "run23"),
        "fnal_2023",
        1.0,
        "computed from the rounded results",
        True,
    ),
    ("world_2023", "FNAL 2023 + E821", ("fnal_2023", "e821"), "world_2023", 0.5, "", True),
    ("world_2025", "FNAL 2025 + E821", ("fnal_2025", "e821"), "world_2025", 0.1, "", True),
    (
        "fnal_2025_from_published",
        "published Run-1–3 + Run-4/5/6",
        ("fnal_2023", "run456"),
        "fnal_2025",
        0.1,
        "does not close: the final average moved the Run-1–3 inputs by about +120 ppb and those are not published",
        False,
    ),
)


def published_averages() -> tuple[Average, ...]:
    """Return the steps of the published averages, recomputed."""
    return tuple(
        Average(
            name,
            label,
            members,
            average([release(m) for m in members]),
            published(f"experiment.combinations.{entry}"),
            tolerance,
            note,
            closure,
        )
        for name, label, members, entry, tolerance, note, closure in _AVERAGES
    )


@dataclass(frozen=True)
class Tension:
    """Experiment minus Standard Model [10⁻¹¹]; the two are independent but for constants far below their errors."""

    experiment: str
    model: str
    difference: float
    sigma: float
    status: Status

    @property
    def n_sigma(self) -> float:
        """The difference in standard deviations."""
        return self.difference / self.sigma

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**vars(self), "n_sigma": self.n_sigma}


def standard_model(name: str) -> Quantity:
    """Return a Standard-Model value by name: ``wp20`` or ``wp25``."""
    if name not in STANDARD_MODELS:
        raise ConfigError(f"no Standard-Model value '{name}'", hint=nearest(name, STANDARD_MODELS))
    return published(STANDARD_MODELS[name][0])


def tension(value_1e11: float, sigma_1e11: float, model: str, *, label: str = "", status: Status = "source") -> Tension:
    """Return the distance of an a_μ from a Standard-Model value.

    Examples
    --------
    >>> t = tension(116592061, 41, "wp20")
    >>> f"{t.difference:.0f}({t.sigma:.0f}), {t.n_sigma:.1f} sigma"
    '251(59), 4.2 sigma'
    """
    theory = standard_model(model)
    return Tension(
        label,
        STANDARD_MODELS[model][1],
        value_1e11 - float(theory),
        math.hypot(sigma_1e11, theory.sigma),
        weakest_status([status, theory.status]),
    )
