"""Datasets: a corrected anomaly frequency, a proton frequency and named uncertainties; and how they are correlated.

The collaboration has not published the covariance between its datasets. The default model reproduces its result; the
other models of ``docs/physics/measurement.md`` section 4 show how much that choice matters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

import numpy as np

from gminus2.constants import Quantity, Status, published, published_label, published_table, weakest_status
from gminus2.errors import ConfigError, PhysicsError, nearest
from gminus2.measurement.combination import Combination, Source, combine
from gminus2.measurement.ratio import FrequencyRatio, ShieldedFrequency, common_temperature, frequency_ratio

__all__ = [
    "CORRECTIONS",
    "CORRELATION_MODELS",
    "CorrelationModel",
    "Dataset",
    "combine_datasets",
    "correlated_sources",
    "published_datasets",
    "ratios",
]

CorrelationModel = Literal["systematics-correlated", "transients-common", "statistics-only", "uncorrelated"]
CORRELATION_MODELS: Final[tuple[str, ...]] = get_args(CorrelationModel)

#: Beam-dynamics corrections in the order of the published tables; all multiply the numerator of R'.
CORRECTIONS: Final = ("C_e", "C_p", "C_ml", "C_pa", "C_dd")

#: Uncertainty of B_k ⊕ B_q that all Run-1 datasets share [ppb].
_RUN1_TRANSIENTS: Final = math.hypot(
    published("experiment.e989.run1.summary.B_k").sigma, published("experiment.e989.run1.summary.B_q").sigma
)


@dataclass(frozen=True)
class Dataset:
    """One dataset at the level of frequencies.

    Attributes
    ----------
    f_a_hz
        ω_a/2π with all beam corrections and the clock factor applied [Hz].
    f_p
        ω̃'_p/2π, muon-weighted, with transients, at its T_r.
    uncertainties_ppb
        Relative standard uncertainty of R' by source. ``omega_a_stat`` is the statistical one; ``field`` is
        everything in ω'_p. Where ``field_transients`` is given as well, it is the part of ``field`` common to all
        datasets.
    corrections_ppb
        C terms contained in ``f_a_hz``, for the table.
    inputs
        The published numbers it was made from; empty for a user's own.
    """

    label: str
    f_a_hz: float
    f_p: ShieldedFrequency
    uncertainties_ppb: Mapping[str, float]
    corrections_ppb: Mapping[str, float] = field(default_factory=dict)
    status: Status = "source"
    nickname: str = ""
    inputs: tuple[Quantity, ...] = ()

    def __post_init__(self) -> None:
        if not (math.isfinite(self.f_a_hz) and self.f_a_hz > 0):
            raise PhysicsError("an anomaly frequency must be positive", where=self.label, found=f"{self.f_a_hz} Hz")
        for name, value in self.uncertainties_ppb.items():
            if not (math.isfinite(value) and value >= 0):
                raise PhysicsError(
                    "an uncertainty must not be negative", where=f"{self.label}: {name}", found=str(value)
                )

    @property
    def sigma_a_ppb(self) -> float:
        """Relative uncertainty of f_a: all sources but the field's."""
        return math.hypot(*(v for k, v in self.uncertainties_ppb.items() if not k.startswith("field")))

    @property
    def f_a_measured_hz(self) -> float:
        """f_a before the beam corrections [Hz]."""
        return self.f_a_hz / (1.0 + sum(self.corrections_ppb.values()) * 1e-9)

    def ratio(self) -> FrequencyRatio:
        """Return R'_μ with the quadrature of all uncertainties."""
        sigma_a = self.f_a_hz * self.sigma_a_ppb * 1e-9
        f_p = ShieldedFrequency(
            self.f_p.value_hz, self.f_p.value_hz * self.uncertainties_ppb.get("field", 0.0) * 1e-9, self.f_p.t_r_c
        )
        return frequency_ratio(self.f_a_hz, sigma_a, f_p)


def published_datasets(run: str) -> tuple[Dataset, ...]:
    """Return the published datasets of ``run1`` (a–d) or ``run23`` (2, 3a, 3b).

    Run-2/3 gives only the total uncertainty of f_a per dataset: the systematic parts are those of the run's summary,
    common to the datasets, and the rest is statistical (its combination gives 201.7 ppb; published 201).
    """
    if run == "run1":
        return tuple(_run1_dataset(letter) for letter in "abcd")
    if run == "run23":
        return tuple(_run23_dataset(name) for name in ("2", "3a", "3b"))
    raise ConfigError(
        f"no per-dataset frequencies of '{run}' are published",
        expected="run1 or run23",
        hint=nearest(run, ("run1", "run23")),
    )


def _run1_dataset(letter: str) -> Dataset:
    group = f"experiment.e989.run1.{letter}"
    table = published_table(group)
    f_p = table["f_p_shielded"]
    t_r = published("constants.external.T_r_run1")
    names = [name for name in CORRECTIONS if name in table]
    used = [table[name] for name in ("f_a", "f_p_shielded", "omega_a_stat", "omega_a_syst", *names)]
    return Dataset(
        label=published_label(group, "label"),
        nickname=published_label(group, "nickname"),
        f_a_hz=float(table["f_a"]),
        f_p=ShieldedFrequency(float(f_p), f_p.sigma, float(t_r)),
        uncertainties_ppb={
            "omega_a_stat": table["omega_a_stat"].sigma,
            "omega_a_syst": table["omega_a_syst"].sigma,
            **{name: table[name].sigma for name in names},
            "field": f_p.sigma / float(f_p) * 1e9,
            "field_transients": _RUN1_TRANSIENTS,
        },
        corrections_ppb={name: float(table[name]) for name in names},
        status=weakest_status([*(q.status for q in used), t_r.status]),
        inputs=(*used, t_r),
    )


def _run23_dataset(name: str) -> Dataset:
    table = published_table(f"experiment.e989.run23.{name}")
    summary = published_table("experiment.e989.run23.summary")
    f_a, f_p, t_r = table["f_a"], table["f_p_shielded"], published("constants.external.T_r_run23")
    systematic = {key: summary[key].sigma for key in ("omega_a_syst", *CORRECTIONS)}
    total_a = f_a.sigma / float(f_a) * 1e9
    statistical = math.sqrt(total_a**2 - sum(x**2 for x in systematic.values()))
    used = (f_a, f_p, *(summary[key] for key in systematic), t_r)
    return Dataset(
        label=f"Run-{name}",
        f_a_hz=float(f_a),
        f_p=ShieldedFrequency(float(f_p), f_p.sigma, float(t_r)),
        uncertainties_ppb={"omega_a_stat": statistical, **systematic, "field": f_p.sigma / float(f_p) * 1e9},
        status=weakest_status(q.status for q in used),
        inputs=used,
    )


def ratios(datasets: Sequence[Dataset]) -> tuple[FrequencyRatio, ...]:
    """Return R'_μ of each dataset; all must share one T_r."""
    common_temperature([dataset.f_p for dataset in datasets], where="the datasets of a combination")
    return tuple(dataset.ratio() for dataset in datasets)


def correlated_sources(
    datasets: Sequence[Dataset],
    model: CorrelationModel = "systematics-correlated",
    correlations: Mapping[str, float] | None = None,
) -> tuple[Source, ...]:
    """Return the uncertainties of the datasets as named sources [ppb].

    Parameters
    ----------
    model
        ``systematics-correlated``: statistics ρ = 0, each systematic ρ = 1. ``transients-common``: the same, but of the
        field only ``field_transients`` is common. ``statistics-only``: nothing but statistics.
        ``uncorrelated``: everything ρ = 0.
    correlations
        Source name → ρ, over the model.

    Raises
    ------
    ConfigError
        Unknown model, a ρ for a source that no dataset has, or ``transients-common`` without ``field_transients``.
    """
    if model not in CORRELATION_MODELS:
        raise ConfigError(f"unknown correlation model '{model}'", hint=nearest(model, CORRELATION_MODELS))
    names = list(dict.fromkeys(name for d in datasets for name in d.uncertainties_ppb if name != "field_transients"))
    impacts = {name: np.array([d.uncertainties_ppb.get(name, 0.0) for d in datasets]) for name in names}
    rho = {name: 0.0 if name.endswith("_stat") or model == "uncorrelated" else 1.0 for name in names}
    if model == "statistics-only":
        impacts = {name: impacts[name] for name in names if name.endswith("_stat")}
    elif model == "transients-common":
        common = np.array([d.uncertainties_ppb.get("field_transients", math.nan) for d in datasets])
        rest2 = impacts.get("field", np.zeros(len(datasets))) ** 2 - common**2
        if not (rest2 >= 0).all():
            raise ConfigError(
                "the model 'transients-common' needs the common part of the field uncertainty",
                expected="'field_transients' in every dataset, not above 'field'",
                found=", ".join(f"{d.label}: {d.uncertainties_ppb.get('field_transients')}" for d in datasets),
            )
        impacts["field"], impacts["field_transients"] = np.sqrt(rest2), common
        rho["field"], rho["field_transients"] = 0.0, 1.0
    for name, value in (correlations or {}).items():
        if name not in impacts:
            raise ConfigError(f"a correlation is given for the unknown source '{name}'", hint=nearest(name, impacts))
        rho[name] = value
    return tuple(
        Source(name, tuple(float(x) for x in impact), rho[name], "stat" if name.endswith("_stat") else "syst")
        for name, impact in impacts.items()
    )


def combine_datasets(
    datasets: Sequence[Dataset],
    model: CorrelationModel = "systematics-correlated",
    correlations: Mapping[str, float] | None = None,
) -> tuple[FrequencyRatio, Combination]:
    """Return the average R'_μ and the combination behind it.

    The combination's values are (R'_i/R'_0 − 1) in ppb, where R'_0 is the first dataset's ratio; its uncertainty is
    relative.

    Examples
    --------
    >>> mean, combination = combine_datasets(published_datasets("run1"))
    >>> f"{mean.value:.11f}", f"{combination.sigma:.1f}", f"{combination.chi2:.2f}"
    ('0.00370730035', '462.2', '6.79')
    """
    single = ratios(datasets)
    origin = single[0].value
    deviations = [(ratio.value / origin - 1.0) * 1e9 for ratio in single]
    sources = correlated_sources(datasets, model, correlations)
    combination = combine(deviations, sources, [dataset.label for dataset in datasets])
    mean = origin * (1.0 + combination.value * 1e-9)
    return FrequencyRatio(mean, mean * combination.sigma * 1e-9, single[0].t_r_c), combination
