"""``gminus2 beam``: the beam-dynamics corrections of a campaign from what its detectors recorded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gminus2.cli.common import output_options, printer

if TYPE_CHECKING:
    from gminus2.beam.campaign import BeamAnalysis

__all__ = ["beam"]


@click.command()
@click.argument("campaign", type=click.Path(path_type=Path))
@click.option("--dataset", "datasets", multiple=True, help="Only this dataset (repeatable).")
@click.option("--rotation-start", type=float, default=4.0, show_default=True, metavar="US", help="Fast-rotation start.")
@click.option("--start", type=float, default=30.1384, show_default=True, metavar="US", help="Begin of the ω_a fit.")
@click.option("--stop", type=float, default=650.0, show_default=True, metavar="US", help="End of the ω_a fit.")
@click.option(
    "--phase-per-momentum",
    type=float,
    default=1.0,
    show_default=True,
    help="dφ/dδ of the beamline [rad], 1.0 being 10 mrad per percent.",
)
@click.option("--loss-slope", type=float, default=-300.0, show_default=True, help="Relative loss probability per δ.")
@click.option("--triple-efficiency", type=float, default=0.72, show_default=True, help="Triples per lost muon.")
@click.option("--damaged-section", default="Q1L", show_default=True, help="Section where the slow drift comes from.")
@output_options
def beam(
    campaign: Path,
    datasets: tuple[str, ...],
    rotation_start: float,
    start: float,
    stop: float,
    phase_per_momentum: float,
    loss_slope: float,
    triple_efficiency: float,
    damaged_section: str,
    output: Path,
    quiet: bool,
) -> None:
    """Measure C_e, C_p, C_ml, C_pa and C_dd of every dataset in CAMPAIGN, the folder of a simulated campaign.

    The truth record is not read.
    """
    from gminus2.beam.campaign import BeamOptions, analyse_dataset
    from gminus2.beam.corrections import covariance_of_datasets
    from gminus2.beam.lost_muons import LossFunction
    from gminus2.data import make_provenance, write_result
    from gminus2.data.campaign import CampaignDataset
    from gminus2.errors import ConfigError, DataError, nearest
    from gminus2.execution import progress
    from gminus2.report.beam_figures import beam_figures

    if not campaign.is_dir():
        raise DataError(
            "there is no such campaign folder", where=str(campaign), hint="make one with: gminus2 simulate demo"
        )
    files = {path.stem: path for path in sorted(campaign.glob("*.h5"))}
    if not files:
        raise DataError("the folder holds no datasets", where=str(campaign), expected="<dataset>.h5")
    for name in datasets:
        if name not in files:
            raise ConfigError(f"no dataset '{name}'", where=str(campaign), hint=nearest(name, files))
    chosen = {name: path for name, path in files.items() if not datasets or name in datasets}
    options = BeamOptions(
        rotation_start_us=rotation_start,
        fit_start_us=start,
        fit_stop_us=stop,
        phase_per_momentum_rad=phase_per_momentum,
        loss=LossFunction(slope=loss_slope),
        triple_efficiency=triple_efficiency,
        damaged_section=damaged_section,
    )
    analyses = []
    with progress("beam corrections", len(chosen), quiet=quiet) as advance:
        for path in chosen.values():
            analyses.append(analyse_dataset(CampaignDataset.read(path), options))
            advance(1)
    names = list(analyses[0].corrections)
    content: dict[str, Any] = {
        "datasets": {a.name: a.to_json() for a in analyses},
        "covariance_ppb2": {n: covariance_of_datasets([a.corrections[n] for a in analyses]) for n in names},
        "inputs": {
            "phase_per_momentum_rad": [options.phase_per_momentum_rad, options.phase_per_momentum_error],
            "loss_slope": [options.loss.slope, options.loss.slope_error],
            "triple_efficiency": [options.triple_efficiency, options.triple_efficiency_error],
            "damaged_section": options.damaged_section,
            "window_us": [start, stop],
        },
        "status": "unverified",
        "status_reason": "dφ/dδ of the beamline is an unverified publication",
    }
    provenance = make_provenance("beam", config=content["inputs"], inputs=chosen.values())
    write_result(output / "beam.json", "beam", content, provenance)
    figures = beam_figures(analyses, output)
    console = printer(quiet)
    _print_tables(console, analyses)
    for written in (output / "beam.json", *figures):
        console.print(f"  {written}")


def _print_tables(console: Any, analyses: list[BeamAnalysis]) -> None:
    from rich.table import Table

    for name in analyses[0].corrections:
        table = Table(title=f"{name} [ppb]", title_justify="left")
        table.add_column("dataset")
        for title in ("value", "total", *analyses[0].corrections[name].rows_ppb):
            table.add_column(title.replace("_", " "), justify="right")
        for analysis in analyses:
            correction = analysis.corrections[name]
            numbers = (correction.value_ppb, correction.uncertainty_ppb, *correction.rows_ppb.values())
            table.add_row(analysis.name, *(f"{number:.1f}" for number in numbers))
        console.print(table)
    table = Table(title="sum [ppb]", title_justify="left")
    for title in ("dataset", "sum", "total"):
        table.add_column(title, justify="left" if title == "dataset" else "right")
    for analysis in analyses:
        table.add_row(analysis.name, f"{analysis.sum_ppb:.1f}", f"{analysis.sum_uncertainty_ppb:.1f}")
    console.print(table)
    for analysis in analyses:
        for warning in analysis.rotation.warnings:
            console.print(f"warning: dataset {analysis.name}: {warning}")
