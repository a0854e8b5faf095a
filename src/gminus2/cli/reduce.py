"""``gminus2 reduce``: hits to the histograms of a dataset."""

from __future__ import annotations

from pathlib import Path

import click

from gminus2.cli.common import output_options, printer

__all__ = ["reduce"]


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--name", help="Name of the dataset (default: the one in the files).")
@click.option("--campaign", help="Preset or file whose [reduction] section to use.")
@click.option("--split-seed", type=click.IntRange(min=0), help="Seed of the random times and of the R-method sets.")
@output_options
def reduce(
    files: tuple[Path, ...], name: str | None, campaign: str | None, split_seed: int | None, output: Path, quiet: bool
) -> None:
    """Reduce FILES of hits (.h5, .root, .parquet) to histograms, as `simulate` does on the fly.

    The schema of foreign hits is in docs/formats.md.
    """
    from gminus2.config.campaign import Reduction, load_campaign
    from gminus2.data import make_provenance, write_result
    from gminus2.pipeline.batches import reduction_of
    from gminus2.pipeline.reduce import reduce_files

    settings = reduction_of(load_campaign(campaign)) if campaign else Reduction()
    if split_seed is not None:
        settings = settings.model_copy(update={"split_seed": split_seed})
    dataset = reduce_files(files, settings, name=name, quiet=quiet)
    target = output / f"{dataset.name}.h5"
    dataset.write(target)
    content = {"dataset": dataset.name, "file": target.name, "fills": dataset.fills, "hits": dataset.hits}
    content["clusters"] = {r: int(a["counts"].sum()) for r, a in dataset.reconstructions.items()}
    provenance = make_provenance("reduce", config=settings.model_dump(mode="json"), inputs=list(files))
    write_result(output / "reduce.json", "reduce", content, provenance)
    printer(quiet).print(f"{dataset.name}: {dataset.fills:,} fills, {dataset.hits:,} hits → {target}")
