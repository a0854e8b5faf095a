"""``gminus2 field``: the magnetic field of a campaign, from FIDs and probe readings to ω̃'_p."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gminus2.cli.common import output_options, printer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from gminus2.config.field import FieldCampaign, FieldSection
    from gminus2.data.nmr import FieldData
    from gminus2.field.campaign import FieldAnalysis
    from gminus2.simulation.magnet.truth import FieldTruth
    from gminus2.simulation.magnet.world import MagnetWorld

__all__ = ["field"]


@click.command()
@click.argument("campaign", type=click.Path(path_type=Path))
@click.option("--workers", type=int, help="Threads for the FIDs; all CPUs by default.")
@click.option("--save-data", is_flag=True, help="Write the (simulated) recorded data of each dataset to HDF5.")
@click.option(
    "--open-seal", is_flag=True, help="At the end unblind a simulated campaign and compare it with its truth."
)
@output_options
def field(campaign: Path, workers: int | None, save_data: bool, open_seal: bool, output: Path, quiet: bool) -> None:
    """Measure the muon-weighted magnetic field of CAMPAIGN (TOML; start with: gminus2 config new field).

    Datasets that name a file are read, the others simulated. Frequencies of simulated datasets carry a sealed factor,
    so the printed values are blind; the truth goes to field-truth.json, which no analysis reads.
    """
    from gminus2.config import load_config
    from gminus2.config.field import FieldCampaign
    from gminus2.data import make_provenance, write_result
    from gminus2.execution import make_executor
    from gminus2.field.campaign import analyse_campaign
    from gminus2.field.result import write_field_results
    from gminus2.report.field_figures import (
        azimuth_figure,
        budget_figure,
        cross_section_figure,
        feedback_figure,
        tracking_figure,
        transient_figure,
    )
    from gminus2.report.plotting import save_figure

    settings = load_config(campaign, FieldCampaign)
    settings = _resolved(settings, campaign.parent)
    section = settings.field
    provenance = make_provenance(
        "gminus2 field",
        config=settings.model_dump(mode="json"),
        inputs=[campaign, *_files(section)],
        seed=settings.seed,
    )
    truths: list[FieldTruth] = []
    worlds: dict[str, MagnetWorld] = {}
    console = printer(quiet)
    simulated = any(d.file is None for d in section.datasets)
    with make_executor("threads", workers) as executor:
        analysis = analyse_campaign(
            section, _datasets(settings, truths, worlds), executor=executor, quiet=quiet, blinded=simulated
        )
    write_field_results(output / "field.json", analysis.results, provenance, campaign=settings.name)
    if truths:
        write_result(
            output / "field-truth.json", "field-truth", {"datasets": [t.to_json() for t in truths]}, provenance
        )
    if save_data:
        for k, one in enumerate(analysis.prepared):
            one.recorded().write(output / f"field-data-{analysis.results[k].name}.h5", provenance)
    for k, result in enumerate(analysis.results):
        prefix = f"field-{result.name}"
        save_figure(azimuth_figure(analysis.prepared[k]), output / f"{prefix}-azimuth.png")
        save_figure(cross_section_figure(analysis.prepared[k]), output / f"{prefix}-cross-section.png")
        save_figure(tracking_figure(analysis, k), output / f"{prefix}-tracking.png")
        if result.name in worlds:
            world = worlds[result.name]
            loop = feedback_figure(
                world.fast_t_s, world.free_hz, world.held_hz, f"{result.name}: power-supply feedback"
            )
            save_figure(loop, output / f"{prefix}-feedback.png")
    data = analysis.prepared[0].data
    t = section.transients
    transients = transient_figure(data.kicker, data.quads, t.fit_start_us, t.fit_end_us, analysis.results[0])
    save_figure(transients, output / "field-transients.png")
    save_figure(budget_figure(analysis.results), output / "field-budget.png")
    _print(console, analysis, settings.name)
    if open_seal:
        _compare(console, analysis, truths)
    console.print(f"written to {output}")


def _resolved(settings: FieldCampaign, folder: Path) -> FieldCampaign:
    """Return the campaign with file names taken relative to the campaign file."""
    section = settings.field
    datasets = tuple(d if d.file is None else d.model_copy(update={"file": folder / d.file}) for d in section.datasets)
    muons = section.muons
    if muons.profile is not None:
        muons = muons.model_copy(update={"profile": folder / muons.profile})
    return settings.model_copy(update={"field": section.model_copy(update={"datasets": datasets, "muons": muons})})


def _files(section: FieldSection) -> list[Path]:
    named = [section.muons.profile, *(d.file for d in section.datasets)]
    return [path for path in named if path is not None and path.exists()]


def _datasets(settings: FieldCampaign, truths: list[FieldTruth], worlds: dict[str, MagnetWorld]) -> Iterator[FieldData]:
    from gminus2.data.nmr import FieldData
    from gminus2.simulation.magnet.dataset import simulate_field_dataset

    for index, dataset in enumerate(settings.field.datasets):
        if dataset.file is not None:
            yield FieldData.read(dataset.file)
            continue
        data, truth, worlds[dataset.name] = simulate_field_dataset(
            settings.field, dataset, seed=settings.seed, index=index
        )
        truths.append(truth)
        yield data


def _print(console: Console, analysis: FieldAnalysis, name: str) -> None:
    from rich.table import Table

    from gminus2.field.result import budget_table

    results = list(analysis.results)
    scale = "blind" if any(r.blinded for r in results) else "recorded scale"
    console.print(f"[bold]{name}[/bold]: magnetic field at T_r = {results[0].reference_temperature_c:g} °C ({scale})")
    table = Table(show_edge=False)
    for heading in ("dataset", "ω̃'p/2π [Hz]", "σ [Hz]", "σ [ppb]", "B_k [ppb]", "B_q [ppb]"):
        table.add_column(heading, justify="left" if heading == "dataset" else "right")
    for r in results:
        b_k, b_q = r.row("B_k").sigma_ppb, r.row("B_q").sigma_ppb
        table.add_row(
            r.name,
            f"{r.f_p_hz:.2f}",
            f"{r.sigma_hz:.2f}",
            f"{r.sigma_field_ppb:.1f}",
            f"{r.b_k_ppb:+.0f} ± {b_k:.0f}",
            f"{r.b_q_ppb:+.0f} ± {b_q:.0f}",
        )
    console.print(table)
    budget = Table(title="uncertainties [ppb]", show_edge=False)
    budget.add_column("source")
    budget.add_column("common")
    for r in results:
        budget.add_column(r.name, justify="right")
    for label, common, values in budget_table(results):
        budget.add_row(label, "yes" if common else "", *(f"{v:.1f}" for v in values))
    console.print(budget)
    for r in results:
        for warning in r.warnings:
            console.print(f"[yellow]{r.name}: {warning}[/yellow]")


def _compare(console: Console, analysis: FieldAnalysis, truths: list[FieldTruth]) -> None:
    by_name: dict[str, Any] = {truth.name: truth for truth in truths}
    console.print("[bold]seal opened[/bold]: comparison with the truth")
    for result in analysis.results:
        if result.name not in by_name:
            continue
        truth = by_name[result.name]
        opened = result.unblinded(truth.offset)
        difference = (opened.f_p_hz / truth.f_p_hz - 1) * 1e9
        console.print(
            f"  {result.name}: {opened.f_p_hz:.2f} Hz, truth {truth.f_p_hz:.2f} Hz, difference {difference:+.1f} ppb = "
            f"{difference / result.sigma_field_ppb:+.2f} σ; B_k {result.b_k_ppb:+.0f} (truth {truth.b_k_ppb:+.0f}), "
            f"B_q {result.b_q_ppb:+.0f} (truth {truth.b_q_ppb:+.0f}) ppb"
        )
