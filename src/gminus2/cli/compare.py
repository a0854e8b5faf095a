"""``gminus2 compare``: two result folders, number by number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gminus2.cli.common import output_options, printer

__all__ = ["compare"]


@click.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@output_options
def compare(a: Path, b: Path, output: Path, quiet: bool) -> None:
    """Compare the results in the folders A and B: numbers, budget, and the inputs that differ."""
    from gminus2.data import make_provenance, read_result, write_result
    from gminus2.pipeline.compare import compare_results
    from gminus2.report.tables import to_rich

    files = [folder / "result.json" for folder in (a, b)]
    documents = [read_result(file, "measurement") for file in files]
    found = compare_results(documents[0], documents[1])
    provenance = make_provenance("gminus2 compare", config={"a": str(a), "b": str(b)})
    write_result(output / "compare.json", "comparison", {"a": str(a), "b": str(b), **found}, provenance)
    console = printer(quiet)
    if found["identical"]:
        console.print(f"identical: {found['unchanged']} computed numbers and all inputs agree")
    for table in _tables(found):
        if table.rows:
            console.print(to_rich(table))
    for key, folder in (("only_in_a", a), ("only_in_b", b)):
        if found[key]:
            console.print(f"only in {folder}: {', '.join(found[key])}")
    console.print(f"result: {output / 'compare.json'}")


def _tables(found: dict[str, Any]) -> list[Any]:
    from gminus2.report.tables import Table, number

    def free(value: Any) -> str:
        return "–" if value is None else f"{value:.12g}" if isinstance(value, float) else str(value)

    def rows(entries: list[dict[str, Any]]) -> tuple[tuple[str, ...], ...]:
        return tuple(
            (e["name"], free(e["a"]), free(e["b"]), f"{e['difference']:.3g} {e['unit'] if e['unit'] != '1' else ''}",
             number(e["ppb"], 1), number(e["in_sigma_of_a"], 2))
            for e in entries
        )  # fmt: skip

    columns = ("number", "A", "B", "B − A", "ppb", "in σ of A")
    note = ("σ of A is the whole uncertainty; results of the same data are correlated, so 1 is not a random step.",)
    budget = tuple(
        (r["label"], number(r["correction_a"]), number(r["correction_b"]), number(r["a"]), number(r["b"]))
        for r in found["budget"]
    )
    inputs = tuple((i["name"], free(i["a"])[:40], free(i["b"])[:40]) for i in found["inputs"])
    return [
        Table("Result", columns, rows(found["heads"]), note),
        Table("Computed numbers that differ", columns, rows(found["numbers"])),
        Table("Budget (ppb)", ("row", "corr. A", "corr. B", "unc. A", "unc. B"), budget),
        Table("Inputs and settings that differ", ("input", "A", "B"), inputs),
    ]
