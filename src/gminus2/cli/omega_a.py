"""``gminus2 omega-a``: ω_a of the datasets of a campaign, by several analyses, with corrections and systematics."""

from __future__ import annotations

from pathlib import Path

import click

from gminus2.cli.common import output_options, printer

__all__ = ["omega_a"]


@click.command(name="omega-a")
@click.argument("campaign", type=click.Path(path_type=Path))
@click.option("--teams", "teams_file", type=click.Path(path_type=Path), help="TOML file of the teams.")
@click.option("--dataset", "datasets", multiple=True, metavar="NAME", help="Only this dataset (repeatable).")
@click.option("--blind", metavar="PHRASE", help="Words of the software blinds (each team has its own), stored nowhere.")
@click.option("--no-systematics", is_flag=True, help="Leave the systematic variations out.")
@click.option("--no-scans", is_flag=True, help="Leave the scans out.")
@click.option(
    "--bootstrap", type=click.IntRange(min=3), metavar="N", help="Correlations of the methods from N replicas too."
)
@click.option("--no-figures", is_flag=True, help="Write the result file only.")
@output_options
def omega_a(
    campaign: Path,
    teams_file: Path | None,
    datasets: tuple[str, ...],
    blind: str | None,
    no_systematics: bool,
    no_scans: bool,
    bootstrap: int | None,
    no_figures: bool,
    output: Path,
    quiet: bool,
) -> None:
    """Measure ω_a^m of every dataset in CAMPAIGN.

    CAMPAIGN is a folder of L2 files, as gminus2 simulate and gminus2 reduce write it, or one such file.
    """
    from gminus2.pipeline.omega_a_campaign import run_campaign
    from gminus2.report.omega_a_figures import omega_a_figures
    from gminus2.report.omega_a_text import omega_a_report

    run = run_campaign(
        campaign,
        output,
        teams_file=teams_file,
        datasets=datasets,
        phrase=blind,
        systematics=not no_systematics,
        scans=not no_scans,
        bootstrap=bootstrap or 0,
        draw=None if no_figures else omega_a_figures,
        quiet=quiet,
    )
    console = printer(quiet)
    console.print(omega_a_report(run))
    console.print(f"Written to {output}: {', '.join(path.name for path in run.written)}", style="dim")
