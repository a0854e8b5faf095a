"""``gminus2 measure``: run a campaign to a_μ, or as far as its data allow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gminus2.cli.common import output_options, printer

if TYPE_CHECKING:
    from rich.console import Console

    from gminus2.config.campaign import Campaign as SimulatedCampaign
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
@click.option("--scheduler", metavar="ADDRESS", help="Simulate on a Dask cluster, e.g. tcp://host:8786.")
@click.option("--seed", type=click.IntRange(min=0), help="Another root seed of a simulated campaign.")
@click.option("--fills", type=click.IntRange(min=1), help="Another number of fills per dataset of a simulated one.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a key of a simulated campaign.")
@click.option("--list", "list_", is_flag=True, help="List the campaigns that come with the package.")
@output_options
def measure(
    campaign: str | None,
    data: Path | None,
    from_step: str | None,
    only: str | None,
    dry_run: bool,
    workers: int | None,
    scheduler: str | None,
    seed: int | None,
    fills: int | None,
    changes: tuple[str, ...],
    list_: bool,
    output: Path,
    quiet: bool,
) -> None:
    """Run CAMPAIGN: a campaign of the package (see --list) or a TOML file; without it, demo.

    Steps whose inputs did not change are taken from the store in the output folder, also after a kill.
    """
    from gminus2.errors import ConfigError
    from gminus2.execution import make_executor
    from gminus2.pipeline.campaign import DEFAULT_CAMPAIGN, is_simulated, load_campaign
    from gminus2.pipeline.measure import build_pipeline, refuse_frozen, run_campaign

    console = printer(quiet)
    chosen = campaign or DEFAULT_CAMPAIGN
    if list_:
        _print_list(console)
        return
    if is_simulated(chosen):
        if data is not None:
            raise ConfigError("a simulated campaign reads no histogram, so --data has no use", found=str(data))
        campaign_settings = _simulated(chosen, seed, fills, changes)
        _measure_simulated(
            console, chosen, campaign_settings, output, quiet, from_step, only, dry_run, workers, scheduler
        )
        return
    if any(value is not None for value in (scheduler, seed, fills)) or changes:
        raise ConfigError("--scheduler, --seed, --fills and --set belong to simulated campaigns", found=chosen)
    name, settings, folder = load_campaign(chosen)
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
    from gminus2.report.measurement_report import head_numbers, print_measurement

    print_measurement(console, measurement.document, head_numbers(measurement.document), output)


def _print_list(console: Console) -> None:
    from gminus2.config.campaign import load_campaign as load_simulated
    from gminus2.config.campaign import preset_names
    from gminus2.pipeline.campaign import DEFAULT_CAMPAIGN, load_campaign, shipped_campaigns

    for key in preset_names():
        content = load_simulated(key)
        if content.field is not None:
            default = " (default)" if key == DEFAULT_CAMPAIGN else ""
            console.print(f"[bold]{key}[/bold]{default}: {content.description}")
    for key in shipped_campaigns():
        console.print(f"[bold]{key}[/bold]: {load_campaign(key)[1].title}")


def _simulated(name: str, seed: int | None, fills: int | None, changes: tuple[str, ...]) -> SimulatedCampaign:
    from gminus2.config.campaign import changed_campaign, load_campaign

    settings = load_campaign(name)
    if seed is not None or fills is not None or changes:
        settings = changed_campaign(settings, seed=seed, fills=fills, changes=changes)
    return settings


def _measure_simulated(
    console: Console,
    name: str,
    settings: SimulatedCampaign,
    output: Path,
    quiet: bool,
    from_step: str | None,
    only: str | None,
    dry_run: bool,
    workers: int | None,
    scheduler: str | None,
) -> None:
    from gminus2.pipeline.simulated import campaign_executor
    from gminus2.pipeline.simulated_measurement import build_pipeline, measure_campaign
    from gminus2.pipeline.steps import stage_of
    from gminus2.report.campaign_report import campaign_painter, print_campaign, write_campaign

    path = Path(name)
    pipeline = build_pipeline(
        settings, path.parent if path.suffix == ".toml" else Path.cwd(), output, campaign_painter()
    )
    if dry_run:
        if not (output / "seal" / "seal.json").exists():
            pipeline.forced(from_step, only)
            console.print("  nothing is done in this folder yet; a seal would be made, then:")
            for step in pipeline.names():
                asked = only is None or only in (step, stage_of(step))
                console.print(f"  {step}: {'run (never done)' if asked else 'skip (not asked for, and never done)'}")
            return
        _print_plan(console, pipeline, from_step, only)
        return
    with campaign_executor("threads", workers, scheduler) as (executor, _):
        measured = measure_campaign(
            settings,
            pipeline,
            output,
            from_step=from_step,
            only=only,
            executor=executor,
            quiet=quiet,
            notify=lambda step, action, why: console.print(f"  {step.title or step.name}: {action} ({why})"),
        )
    if not measured.complete:
        console.print(f"not done: {', '.join(measured.missing)}; no result is written before every step is done")
        return
    write_campaign(measured, output)
    print_campaign(console, measured, output)


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
