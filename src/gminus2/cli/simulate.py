"""``gminus2 simulate``: muons, positrons and detectors of a campaign, reduced to its L2 histograms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gminus2.cli.common import output_options, printer

if TYPE_CHECKING:
    from gminus2.config.campaign import Campaign

__all__ = ["simulate"]


@click.command()
@click.argument("campaign")
@click.option("--seed", type=int, help="Root seed instead of the campaign's.")
@click.option("--fills", type=click.IntRange(min=1), help="Fills per dataset instead of the campaign's.")
@click.option("--dataset", "datasets", multiple=True, help="Only this dataset (repeatable).")
@click.option(
    "--without",
    "without",
    multiple=True,
    help="Switch an effect off (repeatable); all other random numbers stay: the partner of a paired run.",
)
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a key, e.g. effects.gain_rate=10.")
@click.option("--mode", type=click.Choice(["events", "fast", "expected"]), help="Mode instead of the campaign's.")
@click.option("--hits", is_flag=True, help="Write the L1 hits too (8 bytes each).")
@click.option("--backend", type=click.Choice(["threads", "processes", "serial", "dask"]), default="threads")
@click.option("--workers", type=click.IntRange(min=1), help="Workers (default: all processors).")
@click.option("--scheduler", help="Address of a running Dask scheduler.")
@output_options
def simulate(
    campaign: str,
    seed: int | None,
    fills: int | None,
    datasets: tuple[str, ...],
    without: tuple[str, ...],
    changes: tuple[str, ...],
    mode: str | None,
    hits: bool,
    backend: str,
    workers: int | None,
    scheduler: str | None,
    output: Path,
    quiet: bool,
) -> None:
    """Simulate CAMPAIGN, a preset (demo, run1, …) or a TOML file, and reduce it to histograms.

    Run it again after a kill and it continues where it was; the result is the same.
    """
    from gminus2.config.campaign import changed_campaign, load_campaign
    from gminus2.data import make_provenance, write_result
    from gminus2.pipeline.simulated import simulate_campaign

    if mode is not None:
        changes = (*changes, f'mode="{mode}"')
    config = changed_campaign(
        load_campaign(campaign), seed=seed, fills=fills, datasets=datasets, without=without, changes=changes
    )
    path = Path(campaign)
    console = printer(quiet)
    provenance = make_provenance("simulate", config=config.model_dump(mode="json"), seed=config.seed)
    if config.mode != "events":
        _other_mode(config, output, path, backend, workers, scheduler, quiet)
        return
    run = simulate_campaign(
        config,
        output,
        folder=path.parent if path.is_file() else Path(),
        backend=backend,
        workers=workers,
        scheduler=scheduler,
        keep_hits=hits,
        quiet=quiet,
    )
    result = {
        "campaign": config.name,
        "datasets": {name: file.name for name, file in run.datasets.items()},
        "decays": run.decays,
        "hits": run.hits,
        "seconds": run.seconds,
        "decays_per_second": run.decays / max(run.seconds, 1e-9) if not run.batches_resumed else None,
        "batches_done": run.batches_done,
        "batches_resumed": run.batches_resumed,
        "warnings": list(run.warnings),
    }
    write_result(output / "simulate.json", "simulate", result, provenance)
    console.print(f"{config.name}: {run.decays:,} muon decays, {run.hits:,} hits in {run.seconds:.1f} s")
    if run.batches_resumed:
        console.print(f"{run.batches_resumed} batches were there already, {run.batches_done} made now")
    for file in run.datasets.values():
        console.print(f"  {file}")
    for text in run.warnings:
        console.print(f"warning: {text}")
    console.print(f"sealed truth: {run.truth} (for closure and unblinding only)")


def _other_mode(
    config: Campaign,
    output: Path,
    path: Path,
    backend: str,
    workers: int | None,
    scheduler: str | None,
    quiet: bool,
) -> None:
    from gminus2.data import make_provenance, write_result
    from gminus2.pipeline.modes import simulate_expected, simulate_fast
    from gminus2.pipeline.simulated import campaign_executor

    with campaign_executor(backend, workers, scheduler) as (executor, _):
        if config.mode == "fast":
            run = simulate_fast(config, output, executor, quiet=quiet)
        else:
            folder = path.parent if path.is_file() else Path()
            run = simulate_expected(config, output, executor, folder=folder, quiet=quiet)
    result = {
        "campaign": config.name,
        "mode": config.mode,
        "datasets": {name: file.name for name, file in run.datasets.items()},
        "events": run.events,
        "seconds": run.seconds,
    }
    provenance = make_provenance("simulate", config=config.model_dump(mode="json"), seed=config.seed)
    write_result(output / "simulate.json", "simulate", result, provenance)
    what = "positrons" if config.mode == "fast" else "decays represented"
    console = printer(quiet)
    console.print(f"{config.name} ({config.mode}): {run.events:,} {what} in {run.seconds:.1f} s")
    for file in run.datasets.values():
        console.print(f"  {file}")
