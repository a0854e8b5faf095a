"""Named Standard-Model budgets and their comparison with measured values.

WP20 (2020) and WP25 (2025) are alternatives: the first takes hadronic vacuum polarisation from e⁺e⁻ data, the second
from the lattice, and they differ by 223·10⁻¹¹. They are **never averaged**; every function here returns one of them
or all side by side. A budget is immutable, and each number knows its source and how far it is verified. Unit of this
module: 1e-11.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from gminus2.constants import Quantity, Status, published, weakest_status
from gminus2.errors import PhysicsError, nearest
from gminus2.theory.nuisance import NuisanceVector, Prediction
from gminus2.theory.qed import QEDInputs, qed_contribution

__all__ = [
    "BUDGETS",
    "EXPERIMENTS",
    "Budget",
    "Comparison",
    "Contribution",
    "Experiment",
    "budget",
    "cmd3_shift",
    "compare",
    "compare_all",
    "experiment",
    "hlbl_pheno_wp20",
]

#: Derivative of ln a_μ(exp) by ln(m_μ/m_e): a_μ = K R′ is proportional to the mass ratio.
_MASS_RATIO: Final = "m_mu_over_m_e"


@dataclass(frozen=True)
class Contribution:
    """One line of a budget, in 1e-11.

    Attributes
    ----------
    key
        Nuisance source of this line (``hvp_lo_ee``, ``hlbl_wp25`` …).
    group
        Line of the short table it belongs to: ``QED``, ``Electroweak``, ``HVP``, ``HLbL``.
    """

    key: str
    label: str
    group: str
    value: float
    sigma: float
    source: str
    status: Status


@dataclass(frozen=True)
class Budget:
    """A named Standard-Model prediction.

    Attributes
    ----------
    contributions
        Lines in 1e-11.
    total
        The published total (rounded by its authors); ``None`` for a budget made here.
    alpha, five_loop
        Inputs with which this package recomputes the QED line.
    hvp_orders_correlated
        Whether NLO and NNLO come from the same R(s) as LO: then they are −100 % and +100 % correlated with it.
    """

    name: str
    label: str
    year: int
    contributions: tuple[Contribution, ...]
    total: Quantity | None = None
    alpha: str = "cs18"
    five_loop: str = "wp20"
    hvp_orders_correlated: bool = True

    @property
    def value(self) -> float:
        """The total [1e-11]: as published, or the sum of the lines."""
        return float(self.total) if self.total is not None else self.sum_of_lines

    @property
    def sigma(self) -> float:
        """Its standard uncertainty [1e-11]."""
        return self.total.sigma if self.total is not None else self.sum_sigma

    @property
    def sum_of_lines(self) -> float:
        """Sum of the lines [1e-11]."""
        return math.fsum(line.value for line in self.contributions)

    @property
    def sum_sigma(self) -> float:
        """Uncertainty of the sum of the lines [1e-11], with the correlations of the HVP orders."""
        prediction, sources = self.as_prediction()
        return sources.sigma_of(prediction)

    @property
    def status(self) -> Status:
        """The weakest status among the lines, or that of the published total."""
        if self.total is not None:
            return self.total.status
        return weakest_status(line.status for line in self.contributions)

    def group(self, name: str) -> tuple[float, float]:
        """Return value and uncertainty of a group (``QED``, ``Electroweak``, ``HVP``, ``HLbL``) [1e-11]."""
        lines = [line for line in self.contributions if line.group == name]
        if not lines:
            known = sorted({line.group for line in self.contributions})
            raise PhysicsError(f"no group '{name}' in the budget", hint=nearest(name, known))
        part = replace(self, contributions=tuple(lines), total=None)
        return part.sum_of_lines, part.sum_sigma

    def groups(self) -> dict[str, tuple[float, float]]:
        """Return the short table: group → (value, uncertainty) [1e-11]."""
        return {name: self.group(name) for name in dict.fromkeys(line.group for line in self.contributions)}

    def as_prediction(self, masses: str = "wp20") -> tuple[Prediction, NuisanceVector]:
        """Return the sum of lines on named sources [1e-11]: QED on its inputs, every other line on its own source.

        The source ``m_mu_over_m_e`` is the one on which a measured a_μ depends as well; ``masses`` chooses its value,
        ``wp20`` or a CODATA year, which must be that of the measured a_μ.
        """
        sources: dict[str, tuple[float, float]] = {}
        gradient: dict[str, float] = {}
        value = 0.0
        vector: NuisanceVector | None = None
        for line in self.contributions:
            value += line.value
            if line.group == "QED":
                result = qed_contribution(QEDInputs.choose(self.alpha, self.five_loop, masses))
                gradient |= {name: slope * 1e11 for name, slope in result.prediction.gradient.items()}
                vector = result.sources
                # What the published uncertainty holds beyond these inputs stays a source of its own.
                rest = line.sigma**2 - (result.sigma * 1e11) ** 2
                if rest > 0:
                    sources["qed_rest"] = (0.0, math.sqrt(rest))
                    gradient["qed_rest"] = 1.0
                continue
            sources[line.key] = (line.value, line.sigma)
            gradient[line.key] = 1.0
        own = NuisanceVector.independent(sources)
        if self.hvp_orders_correlated:
            orders = [line.key for line in self.contributions if line.key.startswith("hvp_")]
            own = own.correlated({(a, b): _order_sign(a) * _order_sign(b) for a in orders for b in orders if a < b})
        return Prediction(value, gradient), own if vector is None else vector.joined(own)

    def with_hvp(self, name: str, lo: float, sigma: float, *, nlo: float | None = None) -> Budget:
        """Return a budget of its own whose LO (and NLO) vacuum polarisation is replaced [1e-11]; the rest stays."""
        lines = []
        for line in self.contributions:
            if line.key.startswith("hvp_lo"):
                key = "hvp_lo_user"
                lines.append(Contribution(key, f"HVP LO ({name})", "HVP", lo, sigma, name, "computed"))
            elif line.key.startswith("hvp_nlo") and nlo is not None:
                lines.append(replace(line, label=f"HVP NLO ({name})", value=nlo, source=name, status="computed"))
            else:
                lines.append(line)
        return replace(
            self,
            name=f"{self.name}+{name}",
            label=f"{self.label}, HVP from {name}",
            contributions=tuple(lines),
            total=None,
            hvp_orders_correlated=True,
        )

    def with_line(self, line: Contribution) -> Budget:
        """Return a budget of its own with one more line, e.g. ``cmd3_shift``; the published total no longer applies."""
        return replace(
            self,
            name=f"{self.name}+{line.key}",
            label=f"{self.label} with {line.label}",
            contributions=(*self.contributions, line),
            total=None,
        )


def cmd3_shift() -> Contribution:
    """Return what ππ of CMD-3 (2023) would add to the average of the other e⁺e⁻ experiments [1e-11]."""
    shift = published("theory.hvp.systematic.cmd3_shift")
    return Contribution(
        "cmd3_shift", "shift of ππ to CMD-3", "HVP", float(shift) * 10.0, shift.sigma * 10.0, shift.source, shift.status
    )


def _order_sign(key: str) -> float:
    """NLO falls when LO rises (−1); NNLO rises with it."""
    return -1.0 if key.startswith("hvp_nlo") else 1.0


def _line(key: str, label: str, group: str, path: str) -> Contribution:
    quantity = published(path)
    return Contribution(key, label, group, float(quantity), quantity.sigma, quantity.source, quantity.status)


def _wp20() -> Budget:
    lines = (
        _line("qed", "QED, five loops", "QED", "theory.wp20.qed"),
        _line("electroweak", "Electroweak", "Electroweak", "theory.wp20.electroweak"),
        _line("hvp_lo_ee", "HVP LO (e⁺e⁻ data)", "HVP", "theory.wp20.hvp_lo_ee"),
        _line("hvp_nlo_ee", "HVP NLO", "HVP", "theory.wp20.hvp_nlo_ee"),
        _line("hvp_nnlo_ee", "HVP NNLO", "HVP", "theory.wp20.hvp_nnlo_ee"),
        _line("hlbl_wp20", "HLbL, with NLO", "HLbL", "theory.wp20.hlbl_total"),
    )
    return Budget("WP20", "White Paper 2020", 2020, lines, published("theory.wp20.sm_total"))


def _wp25() -> Budget:
    lines = (
        _line("qed", "QED, five loops", "QED", "theory.wp25.qed"),
        _line("electroweak", "Electroweak", "Electroweak", "theory.wp25.electroweak"),
        _line("hvp_lo_lattice", "HVP LO (lattice)", "HVP", "theory.wp25.hvp_lo_lattice"),
        _line("hvp_nlo_wp25", "HVP NLO", "HVP", "theory.wp25.hvp_nlo_ee"),
        _line("hvp_nnlo_wp25", "HVP NNLO", "HVP", "theory.wp25.hvp_nnlo_ee"),
        _line("hlbl_wp25", "HLbL, with NLO", "HLbL", "theory.wp25.hlbl_total"),
    )
    total = published("theory.wp25.sm_total")
    return Budget(
        "WP25", "White Paper 2025", 2025, lines, total, alpha="codata22", five_loop="wp25", hvp_orders_correlated=False
    )


#: Names of the budgets that ship with the package.
BUDGETS: Final = ("WP20", "WP25")


def budget(name: str) -> Budget:
    """Return a named budget.

    Raises
    ------
    PhysicsError
        Unknown name.
    """
    upper = name.upper()
    if upper not in BUDGETS:
        raise PhysicsError(f"no budget '{name}'", hint=nearest(upper, BUDGETS))
    return _wp20() if upper == "WP20" else _wp25()


@dataclass(frozen=True)
class Experiment:
    """A measured a_μ: value and total uncertainty [1e-11], and the year it was current from."""

    name: str
    label: str
    year: float
    quantity: Quantity

    @property
    def value(self) -> float:
        """a_μ [1e-11]."""
        return float(self.quantity)

    @property
    def sigma(self) -> float:
        """One standard uncertainty [1e-11]."""
        return self.quantity.sigma

    def as_prediction(self, ratio: tuple[float, float]) -> tuple[Prediction, NuisanceVector]:
        """Return a_μ [1e-11] on the sources ``m_mu_over_m_e`` (value, σ) and ``exp_<name>`` (all the rest)."""
        value, sigma = ratio
        slope = self.value / value
        rest = self.sigma**2 - (slope * sigma) ** 2
        own = f"exp_{self.name}"
        sources = NuisanceVector.independent({_MASS_RATIO: ratio, own: (0.0, math.sqrt(max(0.0, rest)))})
        return Prediction(self.value, {_MASS_RATIO: slope, own: 1.0}), sources


_EXPERIMENTS: Final = {
    "bnl": ("BNL E821", 2006.0, "experiment.e821.a_mu_rescaled"),
    "run1": ("FNAL Run-1", 2021.0, "experiment.e989.run1.a_mu"),
    "world2021": ("world 2021", 2021.3, "experiment.combinations.world_2021"),
    "run23": ("FNAL Run-2/3", 2023.0, "experiment.e989.run23.a_mu"),
    "fnal2023": ("FNAL Run-1/2/3", 2023.2, "experiment.combinations.fnal_2023"),
    "world2023": ("world 2023", 2023.4, "experiment.combinations.world_2023"),
    "run456": ("FNAL Run-4/5/6", 2024.9, "experiment.e989.run456.a_mu"),
    "fnal2025": ("FNAL final", 2025.0, "experiment.combinations.fnal_2025"),
    "world2025": ("world 2025", 2025.3, "experiment.combinations.world_2025"),
}

#: Names of the measured values that ship with the package.
EXPERIMENTS: Final = tuple(_EXPERIMENTS)


def experiment(name: str) -> Experiment:
    """Return a published measurement by name (:data:`EXPERIMENTS`).

    Raises
    ------
    PhysicsError
        Unknown name.
    """
    if name not in _EXPERIMENTS:
        raise PhysicsError(f"no measurement '{name}'", hint=nearest(name, _EXPERIMENTS))
    label, year, path = _EXPERIMENTS[name]
    return Experiment(name, label, year, published(path))


@dataclass(frozen=True)
class Comparison:
    """Measured minus predicted [1e-11], its uncertainty, and their ratio in standard deviations."""

    experiment: Experiment
    budget: Budget
    difference: float
    sigma: float

    @property
    def significance(self) -> float:
        """Difference in standard deviations."""
        return self.difference / self.sigma


def compare(measured: Experiment, predicted: Budget) -> Comparison:
    """Return measured − predicted with its uncertainty.

    The source m_μ/m_e, which both use, enters with its covariance (2.6·10⁻¹¹ in the experiment, 0.004·10⁻¹¹ in QED).
    The values are the published totals; their uncertainties too, so that 279(76), 251(59) and 38(63) come out.
    """
    prediction, sources = predicted.as_prediction()
    ratio = (sources.value(_MASS_RATIO), sources.sigma(_MASS_RATIO))
    seen, own = measured.as_prediction(ratio)
    joint = sources.joined(own)
    covariance = joint.covariance_of([seen, prediction])[0, 1]
    variance = measured.sigma**2 + predicted.sigma**2 - 2.0 * covariance
    return Comparison(measured, predicted, measured.value - predicted.value, math.sqrt(variance))


def compare_all(measured: Iterable[str] = EXPERIMENTS, predicted: Iterable[str] = BUDGETS) -> list[Comparison]:
    """Return the comparison of every measurement with every budget."""
    budgets = [budget(name) for name in predicted]
    return [compare(experiment(name), one) for name in measured for one in budgets]


def hlbl_pheno_wp20() -> tuple[float, float]:
    """Return the phenomenological HLbL sum of WP20 [1e-11]: three in quadrature, three linearly, then charm."""
    items = {name: published(f"theory.hlbl.wp20.{name}") for name in _HLBL}
    independent = math.hypot(*(items[name].sigma for name in ("pole", "box", "rescattering")))
    common = math.fsum(items[name].sigma for name in ("scalar_tensor", "axial", "short_distance"))
    sigma = math.hypot(independent, common, items["charm"].sigma)
    return math.fsum(float(item) for item in items.values()), sigma


_HLBL: Final = ("pole", "box", "rescattering", "scalar_tensor", "axial", "short_distance", "charm")
