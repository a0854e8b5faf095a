"""Cited constants and published results. Every number knows its source and how far it has been verified.

``published("experiment.e989.run1.a.C_e")`` returns a :class:`Quantity`; ``codata(2018)`` a set of constants;
the names below (``MAGIC_GAMMA``, ``RING_RADIUS_MM``, …) are floats in internal units for use in formulas.

Status, from strong to weak: ``source`` (compared with the document named), ``computed`` (first principles),
``derived`` (arithmetic on entries of the table), ``cross-checked`` (fits compared numbers by arithmetic),
``unverified`` (provisional: reports must say so). A result carries the weakest status among its inputs.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Final, Literal

from gminus2.errors import ConfigError, nearest

__all__ = [
    "BETA_MAGIC",
    "CODATA_YEARS",
    "F_CYCLOTRON_MHZ",
    "GAMMA_MAGIC",
    "MAGIC_FIELD_T",
    "MAGIC_MOMENTUM_MEV",
    "MUON_LIFETIME_US",
    "MUON_MASS_MEV",
    "RING_RADIUS_MM",
    "SPEED_OF_LIGHT_MM_PER_US",
    "ConstantsSet",
    "Quantity",
    "Status",
    "codata",
    "published",
    "published_groups",
    "published_label",
    "published_sources",
    "published_table",
    "weakest_status",
]

Status = Literal["source", "computed", "derived", "cross-checked", "unverified"]

_STRENGTH: Final[Mapping[str, int]] = MappingProxyType(
    {"source": 0, "computed": 0, "derived": 1, "cross-checked": 2, "unverified": 3}
)


@dataclass(frozen=True)
class Quantity:
    """A published number.

    Attributes
    ----------
    value
        Central value, or several values in the documented order.
    uncertainty
        One standard deviation (same shape); ``None`` where none is quoted, 0 where exact. From ``stat``, ``syst``
        and ``ext`` in quadrature where only these are given.
    unit
        As printed by the source (``"1"``, ``"ppb"``, ``"1e-11"``, ``"Hz"``, …).
    source
        Key of :func:`published_sources`.
    status
        How far the number is verified.
    parts
        Components of the uncertainty by name, combined as ``combine`` says (``quadrature`` or ``linear``).
    """

    name: str
    value: float | tuple[float, ...]
    unit: str
    source: str
    status: Status
    uncertainty: float | tuple[float, ...] | None = None
    stat: float | None = None
    syst: float | None = None
    ext: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    combine: str = "quadrature"
    note: str = ""

    def __float__(self) -> float:
        if isinstance(self.value, tuple):
            raise TypeError(f"{self.name} has {len(self.value)} values")
        return self.value

    @property
    def sigma(self) -> float:
        """The one standard uncertainty of a scalar; 0 where none is quoted."""
        if isinstance(self.uncertainty, tuple):
            raise TypeError(f"{self.name} has {len(self.uncertainty)} uncertainties")
        return self.uncertainty or 0.0

    @property
    def is_provisional(self) -> bool:
        """Whether a report must mark the number as unverified."""
        return self.status == "unverified"


def _numbers(raw: Any) -> float | tuple[float, ...]:
    return tuple(float(x) for x in raw) if isinstance(raw, list) else float(raw)


def _is_entry(node: Any) -> bool:
    return isinstance(node, dict) and "value" in node and "verified" in node


def _quantity(name: str, raw: Mapping[str, Any]) -> Quantity:
    uncertainty = _numbers(raw["uncertainty"]) if "uncertainty" in raw else None
    split = {key: float(raw[key]) for key in ("stat", "syst", "ext") if key in raw}
    if uncertainty is None and split:
        uncertainty = math.hypot(*split.values())
    return Quantity(
        name=name,
        value=_numbers(raw["value"]),
        unit=str(raw["unit"]),
        source=str(raw["source"]),
        status=raw["verified"],
        uncertainty=uncertainty,
        parts={k: float(v) for k, v in raw.get("parts", {}).items()},
        combine=str(raw.get("combine", "quadrature")),
        note=str(raw.get("note", "")),
        **split,
    )


#: The tables of ``gminus2.reference``; each adds to the ones before it and may not redefine anything.
_FILES: Final = ("published.toml", "theory.toml")


@cache
def _table() -> Mapping[str, Any]:
    merged: dict[str, Any] = {}
    for name in _FILES:
        text = resources.files("gminus2.reference").joinpath(name).read_text(encoding="utf-8")
        raw = tomllib.loads(text)
        raw.pop("schema_version", None)
        _add_table(merged, raw, name)
    return MappingProxyType(merged)


def _add_table(target: dict[str, Any], extra: Mapping[str, Any], where: str) -> None:
    for key, value in extra.items():
        if key not in target:
            target[key] = value
        elif isinstance(value, dict) and isinstance(target[key], dict) and not _is_entry(target[key]):
            _add_table(target[key], value, f"{where}: {key}")
        else:
            raise ConfigError(f"the reference tables define '{key}' twice", where=where)


def _walk(node: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key, child in node.items():
        path = f"{prefix}.{key}" if prefix else key
        if _is_entry(child):
            yield path, child
        elif isinstance(child, dict):
            yield from _walk(child, path)


@cache
def _entries() -> Mapping[str, Quantity]:
    return MappingProxyType({path: _quantity(path, raw) for path, raw in _walk(_table(), "")})


def published(path: str) -> Quantity:
    """Return a published number by its dotted path.

    Raises
    ------
    ConfigError
        No such entry; the message names the nearest ones.

    Examples
    --------
    >>> published("experiment.e989.run1.summary.C_e").value, published("design.ring.f_c").unit
    (489.0, 'MHz')
    """
    try:
        return _entries()[path]
    except KeyError:
        raise ConfigError(f"no published number '{path}'", hint=nearest(path, _entries())) from None


def published_table(group: str) -> dict[str, Quantity]:
    """Return all entries directly below a group, by their last name, e.g. ``experiment.e989.run1.a``."""
    prefix = group + "."
    found = {
        path.removeprefix(prefix): quantity
        for path, quantity in _entries().items()
        if path.startswith(prefix) and "." not in path.removeprefix(prefix)
    }
    if not found:
        raise ConfigError(f"no published table '{group}'", hint=nearest(group, published_groups()))
    return found


def published_groups() -> list[str]:
    """Return the names of all groups that hold entries."""
    return sorted({path.rpartition(".")[0] for path in _entries()})


def published_label(group: str, key: str) -> str:
    """Return a text attribute of a group (``label``, ``nickname``, ``charge``), or an empty string."""
    node: Any = _table()
    for part in group.split("."):
        node = node.get(part, {})
    return str(node.get(key, ""))


def published_sources() -> dict[str, str]:
    """Return the bibliography: source key → document."""
    return dict(_table()["sources"])


def weakest_status(statuses: Iterable[Status]) -> Status:
    """Return the weakest of several statuses; a result is no better than its inputs.

    >>> weakest_status(["source", "unverified", "cross-checked"])
    'unverified'
    """
    return max(statuses, key=lambda status: _STRENGTH[status], default="source")


CODATA_YEARS: Final = (2014, 2018, 2022)


@dataclass(frozen=True)
class ConstantsSet:
    """The external constants of one CODATA adjustment, signs as in CODATA (g_e < 0, μ_e/μ'_p < 0)."""

    year: int
    m_mu_over_m_e: Quantity
    g_e: Quantity
    mu_e_over_mu_p_shielded: Quantity
    alpha_inverse: Quantity
    mu_p_shielded_over_mu_b: Quantity | None


def codata(year: int = 2018) -> ConstantsSet:
    """Return the constants of an adjustment.

    Raises
    ------
    ConfigError
        The year is not one of :data:`CODATA_YEARS`.
    """
    if year not in CODATA_YEARS:
        raise ConfigError("no such CODATA adjustment", expected=" or ".join(map(str, CODATA_YEARS)), found=str(year))
    table = published_table(f"constants.codata{year}")
    return ConstantsSet(
        year=year,
        m_mu_over_m_e=table["m_mu_over_m_e"],
        g_e=table["g_e"],
        mu_e_over_mu_p_shielded=table["mu_e_over_mu_p_shielded"],
        alpha_inverse=table["alpha_inverse"],
        mu_p_shielded_over_mu_b=table.get("mu_p_shielded_over_mu_B"),
    )


#: Exact by definition of the metre [mm/µs].
SPEED_OF_LIGHT_MM_PER_US: Final = 299_792.458
#: CODATA 2018 and 2022 [MeV]; 105.658 375 5(23).
MUON_MASS_MEV: Final = 105.6583755
#: PDG, at rest [µs]; 2.196 981 1(22).
MUON_LIFETIME_US: Final = 2.1969811
#: Central orbit of E989 [mm].
RING_RADIUS_MM: Final = 7112.0
#: γ at which a transverse electric field does not turn the spin: √(1 + 1/a_μ).
GAMMA_MAGIC: Final = 29.3034
BETA_MAGIC: Final = math.sqrt(1.0 - 1.0 / GAMMA_MAGIC**2)
#: [MeV/c] and [T], gm2ringsim.
MAGIC_MOMENTUM_MEV: Final = 3094.34963
MAGIC_FIELD_T: Final = 1.45129912
#: Revolution frequency at the magic momentum on the central orbit [MHz].
F_CYCLOTRON_MHZ: Final = 6.70495794
