"""Published results beside what this package recomputes from their inputs, as plain documents under stable keys.

A document is what ``gminus2 published`` writes; printing and drawing belong to :mod:`gminus2.report`.
"""

from __future__ import annotations

from typing import Any, Final

from gminus2.errors import ConfigError, nearest
from gminus2.measurement.datasets import CorrelationModel
from gminus2.measurement.publication_runs import run456_document, run_document
from gminus2.measurement.publication_world import averages_document, e821_document, final_document

__all__ = ["PUBLICATIONS", "publication"]

PUBLICATIONS: Final = ("run1", "run23", "run456", "final", "e821", "averages")


def publication(what: str, model: CorrelationModel = "systematics-correlated", year: int = 2018) -> dict[str, Any]:
    """Return one publication as a document.

    Parameters
    ----------
    what
        One of :data:`PUBLICATIONS`.
    model
        Correlation between datasets (run1, run23).
    year
        CODATA adjustment for a_μ.

    Returns
    -------
    dict
        ``what``, ``title``, ``status`` (weakest of the inputs), ``provisional`` (unverified inputs by name), ``checks``
        (computed against published) and the tables of that publication.
    """
    if what not in PUBLICATIONS:
        raise ConfigError(f"no publication '{what}'", hint=nearest(what, PUBLICATIONS))
    if what in ("run1", "run23"):
        return run_document(what, model, year)
    documents = {
        "run456": run456_document,
        "final": final_document,
        "e821": e821_document,
        "averages": averages_document,
    }
    return documents[what]()
