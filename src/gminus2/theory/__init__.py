"""The Standard-Model prediction of a_μ, its alternatives, and what a difference would mean. Works in GeV."""

from gminus2.theory.budget import (
    BUDGETS,
    EXPERIMENTS,
    Budget,
    Comparison,
    Experiment,
    budget,
    compare,
    compare_all,
    experiment,
)
from gminus2.theory.electron import electron_anomaly
from gminus2.theory.electroweak import electroweak_contribution, electroweak_one_loop
from gminus2.theory.nuisance import NuisanceVector, Prediction
from gminus2.theory.qed import QEDInputs, qed_contribution

__all__ = [
    "BUDGETS",
    "EXPERIMENTS",
    "Budget",
    "Comparison",
    "Experiment",
    "NuisanceVector",
    "Prediction",
    "QEDInputs",
    "budget",
    "compare",
    "compare_all",
    "electron_anomaly",
    "electroweak_contribution",
    "electroweak_one_loop",
    "experiment",
    "qed_contribution",
]
