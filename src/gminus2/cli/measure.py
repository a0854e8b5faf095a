"""``gminus2 measure``: run a campaign to a_μ, or as far as its data allow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gminus2.cli.common import output_options, printer

if TYPE_CHECKING:
    from rich.console import Console

    from gminus2.pipeline.measure import Measurement
    from gminus2.pipeline.steps import Pipeline

__all__ = ["measure"]


@click.command()
@click.argument("campaign", required=False)
@click.option("--data", type=click.Path(path_type=Path), help="Histogram file, for campaigns that fit one.")
@click.option("--from", "from_step", metavar="STEP", help="Do STEP and all after it again.")
@click.option("--only", metavar="STEP", help="Do STEP again and no other.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and why; do nothing.")
@click.option("--workers", type=int, help="Threads; default: the CPUs of this process.")
@click.option("--list", "list_", is_flag=True, help="List the campaigns that come with the package.")
@output_options
def measure(
    campaign: str | None,
    data: Path | None,
    from_step: str | None,
    only: str | None,
    dry_run: bool,
    workers: int | None,
    list_: bool,
    output: Path,
    quiet: bool,
) -> None:
    """Run CAMPAIGN: a campaign of the package (see --list) or a TOML file.

    Steps whose inputs did not change are taken from the store in the output folder, also after a kill.
    """
    from gminus2.execution import make_executor
    from gminus2.pipeline.campaign import DEFAULT_CAMPAIGN, load_campaign, shipped_campaigns
    from gminus2.pipeline.measure import build_pipeline, refuse_frozen, run_campaign

    console = printer(quiet)
    if list_:
        for key in shipped_campaigns():
            _, content, _ = load_campaign(key)
            console.print(f"[bold]{key}[/bold]{' (default)' if key == DEFAULT_CAMPAIGN else ''}: {content.title}")
        return
    name, settings, folder = load_campaign(campaign or DEFAULT_CAMPAIGN)
    pipeline = build_pipeline(settings, folder, output, data)
    if dry_run:
        _print_plan(console, pipeline, from_step, only)
        return
    refuse_frozen(output)
    with make_executor("threads", workers) as executor:
        measurement = run_campaign(
            name,
            settings,
            pipeline,
            from_step=from_step,
            only=only,
            executor=executor,
            quiet=quiet,
            notify=lambda step, action, why: console.print(f"  {step.title or step.name}: {action} ({why})"),
        )
    missing = [step for step in pipeline.names() if step not in measurement.records]
    if missing:
        console.print(f"not done: {', '.join(missing)}; no result is written before every step is done")
        return
    _write(measurement, output, [data] if data else [])
    _print(console, measurement, output)


def _print_plan(console: Console, pipeline: Pipeline, from_step: str | None, only: str | None) -> None:
    for plan in pipeline.plan(from_step=from_step, only=only):
        console.print(f"  {plan.step}: {plan.action} ({plan.reason})")


def _write(measurement: Measurement, output: Path, files: list[Path]) -> None:
    """Write figures, report and result, the result last: a folder with result.json is complete."""
    from gminus2.data import make_provenance, write_result, write_text
    from gminus2.pipeline.stages.omega_a import FIT_ARRAYS
    from gminus2.report.measurement_report import measurement_figures, measurement_html
    from gminus2.report.plotting import save_figure

    document, records, pipeline = measurement.document, measurement.records, measurement.pipeline
    arrays = pipeline.path(records, FIT_ARRAYS) if "omega_a" in document else None
    provenance = make_provenance("gminus2 measure", config=document["settings"], inputs=files)
    figures = measurement_figures(document, arrays)
    written = ["report.html"]
    for name, figure in figures.items():
        save_figure(figure, output / "figures" / f"{name}.png")
        written.append(f"figures/{name}.png")
    write_text(output / "report.html", measurement_html(document, figures, provenance.to_json()))
    if arrays is not None:
        write_result(output / "fit.json", "fit", document["omega_a"]["fit"], provenance)
        written.append("fit.json")
    write_result(output / "result.json", "measurement", {**document, "files": written}, provenance)


def _print(console: Console, measurement: Measurement, output: Path) -> None:
    from gminus2.report.measurement_report import budget_table, datasets_table, head_numbers
    from gminus2.report.published_tables import checks_table
    from gminus2.report.tables import to_rich

    document = measurement.document
    console.print()
    if "datasets" in document:
        console.print(to_rich(datasets_table(document)))
    if "budget" in document:
        console.print(to_rich(budget_table(document)))
    console.print(to_rich(checks_table(document["checks"])))
    for box in head_numbers(document):
        console.print(f"[bold]{box.label}: {box.value}[/bold]")
        for line in box.lines:
            console.print(f"  {line}")
    console.print(f"status of the inputs: {document['status']}")
    failed = [check["name"] for check in document["checks"] if check["ok"] is False]
    if failed:
        console.print(f"[red]{len(failed)} checks failed: {'; '.join(failed)}. Do not quote these numbers.[/red]")
    console.print(f"result: {output / 'result.json'}\nreport: {output / 'report.html'}")
