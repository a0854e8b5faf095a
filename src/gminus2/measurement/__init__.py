"""The last step: R'_μ, a_μ, correlated averages, budget, comparison with theory, hardware blinding.

    >>> from gminus2.measurement import anomaly, combine_datasets, published_datasets
    >>> ratio, combination = combine_datasets(published_datasets("run1"))
    >>> round(anomaly(ratio).value_1e11)
    116592040

Formulas, conventions and sources: ``docs/physics/measurement.md``.
"""

from gminus2.measurement.anomaly import Anomaly, ConversionFactor, anomaly, conversion_factor
from gminus2.measurement.averages import Release, Tension, average, release, releases, tension
from gminus2.measurement.brookhaven import anomaly_from_free_proton
from gminus2.measurement.budget import BudgetRow, budget_of_combination, published_budget
from gminus2.measurement.combination import Combination, Source, combine
from gminus2.measurement.datasets import Dataset, combine_datasets, published_datasets
from gminus2.measurement.publication import PUBLICATIONS, publication
from gminus2.measurement.ratio import FrequencyRatio, ShieldedFrequency, frequency_ratio, ratio_of_measurement

__all__ = [
    "PUBLICATIONS",
    "Anomaly",
    "BudgetRow",
    "Combination",
    "ConversionFactor",
    "Dataset",
    "FrequencyRatio",
    "Release",
    "ShieldedFrequency",
    "Source",
    "Tension",
    "anomaly",
    "anomaly_from_free_proton",
    "average",
    "budget_of_combination",
    "combine",
    "combine_datasets",
    "conversion_factor",
    "frequency_ratio",
    "publication",
    "published_budget",
    "published_datasets",
    "ratio_of_measurement",
    "release",
    "releases",
    "tension",
]
