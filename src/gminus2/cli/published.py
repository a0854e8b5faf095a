"""``gminus2 published``: published results beside what the package recomputes from their inputs."""

from __future__ import annotations

from pathlib import Path

import click

from gminus2.cli.common import output_options, printer

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
    from gminus2.report.published_figures import publication_figures
    from gminus2.report.published_tables import publication_tables
    from gminus2.report.tables import to_rich

    document = publication(what, model, codata)  # type: ignore[arg-type]
    options = {"what": what, "correlation": model, "codata": codata}
    write_result(
        output / f"published-{what}.json", "publication", document, make_provenance("gminus2 published", config=options)
    )
    for name, figure in publication_figures(document).items():
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
