"""``gminus2 published``: published results beside what the package recomputes from their inputs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gminus2.cli.common import output_options, printer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["published"]


@click.command()
@click.argument("what", required=False, default="run1")
@click.option("--correlation", "model", default="systematics-correlated", show_default=True,
              help="Correlation between datasets: systematics-correlated, transients-common, statistics-only, "
                   "uncorrelated.")  # fmt: skip
@click.option("--codata", type=int, default=2018, show_default=True, help="CODATA adjustment: 2014, 2018 or 2022.")
@output_options
def published(what: str, model: str, codata: int, output: Path, quiet: bool) -> None:
    """Print the tables of WHAT beside the recomputed numbers.

    WHAT is run1, run23, run456, final, e821, averages, or all.
    """
    from gminus2.errors import ConfigError, nearest
    from gminus2.measurement.publication import PUBLICATIONS

    if what != "all" and what not in PUBLICATIONS:
        raise ConfigError(f"no publication '{what}'", hint=nearest(what, (*PUBLICATIONS, "all")))
    for name in PUBLICATIONS if what == "all" else (what,):
        _one(name, model, codata, output, quiet)


def _one(what: str, model: str, codata: int, output: Path, quiet: bool) -> None:
    from gminus2.data import make_provenance, write_result
    from gminus2.measurement.publication import publication
    from gminus2.report.plotting import save_figure
    from gminus2.report.published_tables import publication_tables
    from gminus2.report.tables import to_rich

    document = publication(what, model, codata)  # type: ignore[arg-type]
    options = {"what": what, "correlation": model, "codata": codata}
    write_result(
        output / f"published-{what}.json", "publication", document, make_provenance("gminus2 published", config=options)
    )
    for name, figure in _figures(document).items():
        save_figure(figure, output / f"published-{what}-{name}.png")
    console = printer(quiet)
    console.print(f"[bold]{document['title']}[/bold]   inputs: {document['status']}\n")
    for table in publication_tables(document):
        console.print(to_rich(table))
    if document["provisional"]:
        console.print("† unverified inputs: " + ", ".join(document["provisional"]))
    failed = [check["name"] for check in document["checks"] if check["ok"] is False]
    if failed:
        console.print(f"[red]{len(failed)} checks fail: {', '.join(failed)}[/red]")
    console.print(f"result and figures: {output}")


def _figures(document: dict[str, Any]) -> dict[str, Figure]:
    from gminus2.measurement.averages import STANDARD_MODELS, releases, standard_model
    from gminus2.measurement.publication import quantity_json
    from gminus2.report.measurement_figures import (
        budget_figure,
        datasets_figure,
        e821_figure,
        history_figure,
        stability_figure,
    )

    theory = {name: quantity_json(standard_model(name)) for name in STANDARD_MODELS}
    shown = ("e821", "run1", "run23", "run456", "fnal_2025", "world_2025")
    results = [vars(release) for name, release in releases().items() if name in shown]
    own = None
    if document["what"] in ("run1", "run23"):
        own = ("recomputed " + document["what"], document["a_mu"]["value"], document["a_mu"]["uncertainty"])
    figures = {"history": history_figure(results, theory, own)}
    if document["what"] in ("run1", "run23"):
        figures["datasets"] = datasets_figure(document)
        figures["stability"] = stability_figure(document)
        rows = [
            {"name": r["name"], "label": r["label"], "kind": _kind(r["name"]), **r["computed"]}
            for r in document["summary"]
            if r["computed"]
        ]
        figures["budget"] = budget_figure(rows)
    if document["what"] == "e821":
        figures["years"] = e821_figure(document)
    return figures


def _kind(name: str) -> str:
    if name.startswith("total"):
        return "total"
    if name.endswith("_stat"):
        return "stat"
    return "external" if name in ("mu_p_shielded", "m_mu_over_m_e", "g_e") else "syst"
