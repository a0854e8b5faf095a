"""The figures of ``gminus2 published``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from gminus2.measurement.averages import STANDARD_MODELS, releases, standard_model
from gminus2.measurement.budget import row_kind
from gminus2.measurement.publication_parts import quantity_json
from gminus2.report.measurement_figures import (
    budget_figure,
    datasets_figure,
    e821_figure,
    history_figure,
    stability_figure,
)

__all__ = ["publication_figures"]

_SHOWN = ("e821", "run1", "run23", "run456", "fnal_2025", "world_2025")


def publication_figures(document: Mapping[str, Any]) -> dict[str, Figure]:
    """Return the figures of a publication document by name; ``history`` is always there."""
    theory = {name: quantity_json(standard_model(name)) for name in STANDARD_MODELS}
    results = [vars(release) for name, release in releases().items() if name in _SHOWN]
    has_datasets = document["what"] in ("run1", "run23")
    own = (
        ("recomputed " + document["what"], document["a_mu"]["value"], document["a_mu"]["uncertainty"])
        if has_datasets
        else None
    )
    figures = {"history": history_figure(results, theory, own)}
    if has_datasets:
        figures["datasets"] = datasets_figure(document)
        figures["stability"] = stability_figure(document)
        rows = [
            {"name": row["name"], "label": row["label"], "kind": row_kind(row["name"]), **row["computed"]}
            for row in document["summary"]
            if row["computed"]
        ]
        figures["budget"] = budget_figure(rows)
    if document["what"] == "e821":
        figures["years"] = e821_figure(document)
    return figures
