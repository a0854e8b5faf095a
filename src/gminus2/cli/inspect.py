"""``gminus2 inspect``: what is in a file, and quick plots."""

from __future__ import annotations

from pathlib import Path

import click

from gminus2.cli.common import output_options, printer

__all__ = ["inspect"]


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--figures/--no-figures", default=True, help="Draw the quick plots of a dataset.")
@click.option(
    "--export", type=click.Path(path_type=Path), help="Write the hits in FILE as a ROOT tree or a Parquet table too."
)
@output_options
def inspect(file: Path, figures: bool, export: Path | None, output: Path, quiet: bool) -> None:
    """Show what is in FILE: a dataset of histograms, hits, or any other gminus2 HDF5 file."""
    from gminus2.data import make_provenance, write_result
    from gminus2.data.io.hits import export_hits, read_hits
    from gminus2.pipeline.inspection import describe

    console = printer(quiet)
    description = describe(file)
    if export is not None:
        export_hits(read_hits(file), export)
    content = {**description.summary, "arrays": [list(a) for a in description.arrays]}
    if description.dataset is not None and figures:
        from gminus2.report.simulation_figures import write_dataset_figures

        written = write_dataset_figures(description.dataset, output)
        content["figures"] = {name: path.name for name, path in written.items()}
    write_result(output / "inspect.json", "inspect", content, make_provenance("inspect", inputs=[file]))
    for key, value in description.summary.items():
        console.print(f"{key}: {value}", markup=False, soft_wrap=True)
    for name, shape, unit, text in description.arrays:
        console.print(f"  {name}  {shape}  [{unit}]  {text}", markup=False, soft_wrap=True)
    for name in content.get("figures", {}).values():
        console.print(str(output / name))
