"""``gminus2 explain``: walk a number of a result back to every input file, constant and setting."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gminus2.cli.common import printer

if TYPE_CHECKING:
    from rich.tree import Tree

__all__ = ["explain"]


@click.command()
@click.argument("number")
@click.argument("folder", type=click.Path(path_type=Path), default=Path("gminus2-output"))
@click.option("--json", "as_json", is_flag=True, help="Print the ancestors as JSON.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
def explain(number: str, folder: Path, as_json: bool, quiet: bool) -> None:
    """Show where NUMBER (a_mu, R_mu, R_mu.Run-1a, fit.R, …) of the result in FOLDER came from."""
    import json

    from gminus2.data import read_result
    from gminus2.pipeline.trace import ancestors

    document = read_result(folder / "result.json", "measurement")
    numbers = document["numbers"]
    names = ancestors(numbers, number)
    console = printer(quiet)
    if as_json:
        if not quiet:
            click.echo(json.dumps({name: numbers[name] for name in names}, ensure_ascii=False, indent=1))
        return
    console.print(_tree(numbers, number))
    _totals(console, document, {name: numbers[name] for name in names})


def _line(name: str, entry: dict[str, Any]) -> str:
    from rich.markup import escape

    value = entry["value"]
    text = f"[bold]{escape(name)}[/bold] = {escape(_value(value))}"
    if entry.get("uncertainty"):
        text += f" ± {escape(_value(entry['uncertainty']))}"
    if entry.get("unit") and entry["unit"] != "1":
        text += f" {entry['unit']}"
    leaf = entry.get("leaf")
    if leaf == "constant":
        return f"{text}   [cyan]{entry['source']}, {entry['status']}[/cyan]"
    if leaf == "file":
        return f"{text}   [cyan]sha256 {entry['sha256'][:16]}…[/cyan]"
    if leaf:
        return text
    return f"{text}   [dim]{escape(entry['formula'])}[/dim]   [magenta]step {entry['step']}[/magenta]"


def _value(value: Any) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _tree(numbers: dict[str, Any], root: str) -> Tree:
    from rich.tree import Tree

    seen: set[str] = set()

    def add(parent: Tree | None, name: str) -> Tree:
        entry = numbers[name]
        again = name in seen and "formula" in entry
        label = _line(name, entry) + ("   (above)" if again else "")
        branch = Tree(label) if parent is None else parent.add(label)
        if not again:
            seen.add(name)
            for child in entry["parents"]:
                # The table that all published numbers come from stands in the summary, not below each of them.
                if entry.get("leaf") != "constant":
                    add(branch, child)
        return branch

    return add(None, root)


def _totals(console: Any, document: dict[str, Any], found: dict[str, Any]) -> None:
    leaves = [entry.get("leaf") for entry in found.values()]
    statuses = sorted({entry["status"] for entry in found.values() if "status" in entry})
    provenance = document["provenance"]
    console.print(
        f"\n{leaves.count('constant')} published numbers ({', '.join(statuses) or 'none'}), "
        f"{leaves.count('file')} files, {leaves.count('setting')} settings"
    )
    console.print(
        f"campaign '{document['campaign']}', configuration {provenance['config_digest'][:16]}, gminus2 "
        f"{provenance['code_version']}, made {provenance['created']}; weakest status {document['status']}"
    )
    for entry in found.values():
        if entry.get("leaf") == "file":
            console.print(f"  file {entry['value']}: sha256 {entry['sha256']}", soft_wrap=True)
    used = {entry["step"] for entry in found.values() if "step" in entry}
    for step in document["steps"]:
        if step["name"] in used:
            inputs = ", ".join(f"{name} {digest[:12]}" for name, digest in step["inputs"].items()) or "none"
            seed = "" if step["seed"] is None else f", seed {step['seed']}"
            console.print(f"  step {step['name']}: key {step['key'][:12]}, inputs: {inputs}{seed}")
