"""All datasets of a campaign: prepared one by one, then finished with one rate of the fixed probes' random walk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gminus2.config.field import FieldSection
from gminus2.data.nmr import FieldData
from gminus2.execution import Executor
from gminus2.field.analysis import (
    FieldTracking,
    PreparedDataset,
    campaign_walk_rate,
    finish_dataset,
    prepare_dataset,
)
from gminus2.field.result import FieldResult

__all__ = ["FieldAnalysis", "analyse_campaign"]


@dataclass(frozen=True)
class FieldAnalysis:
    """Results of all datasets with what the figures need."""

    results: tuple[FieldResult, ...]
    prepared: tuple[PreparedDataset, ...]
    tracking: tuple[FieldTracking, ...]
    walk_rate: float
    walk_rate_relative_sigma: float


def analyse_campaign(
    section: FieldSection,
    datasets: Iterable[FieldData],
    *,
    executor: Executor | None = None,
    quiet: bool = True,
    blinded: bool = True,
) -> FieldAnalysis:
    """Analyse datasets in their order.

    Parameters
    ----------
    datasets
        May be a generator: each is reduced before the next is asked for.
    blinded
        Whether the recorded frequencies carry a sealed factor.
    """
    prepared = [prepare_dataset(section, data, executor=executor, quiet=quiet) for data in datasets]
    rate, relative = campaign_walk_rate(section, prepared)
    finished = [
        finish_dataset(section, one, rate=rate, rate_relative_sigma=relative, blinded=blinded) for one in prepared
    ]
    return FieldAnalysis(
        results=tuple(result for result, _ in finished),
        prepared=tuple(prepared),
        tracking=tuple(tracking for _, tracking in finished),
        walk_rate=rate,
        walk_rate_relative_sigma=relative,
    )
