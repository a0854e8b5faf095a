"""``gminus2 config``: write a commented starter file, or check one, without running anything."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from gminus2.errors import ConfigError, nearest

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["SCHEMAS", "config"]

#: Kind of configuration file → "module:schema class".
SCHEMAS: Final[dict[str, str]] = {
    "campaign": "gminus2.config.campaign:Campaign",
    "analysis": "gminus2.pipeline.campaign:Campaign",
    "fit": "gminus2.pipeline.fit_file:FitFile",
    "field": "gminus2.config.field:FieldCampaign",
}


def _schema(kind: str) -> type[BaseModel]:
    if kind not in SCHEMAS:
        raise ConfigError(f"no configuration of kind '{kind}'", hint=nearest(kind, SCHEMAS))
    module, _, name = SCHEMAS[kind].partition(":")
    schema: type[BaseModel] = getattr(importlib.import_module(module), name)
    return schema


@click.group()
def config() -> None:
    """Write or check a configuration file."""


@config.command()
@click.argument("kind")
@click.option("--to", "target", type=click.Path(path_type=Path), help="File to write instead of printing.")
def new(kind: str, target: Path | None) -> None:
    """Write a commented starter file of KIND with every key and its default."""
    from gminus2.config import starter_toml
    from gminus2.data.writing import write_text

    schema = _schema(kind)
    # A schema whose defaults alone make no valid file brings an example of its own.
    example = getattr(schema, "example", None)
    text = starter_toml(schema, example() if example is not None else None)
    if target is None:
        click.echo(text, nl=False)
        return
    if target.exists():
        raise ConfigError("the file exists already", where=str(target), hint="choose another name")
    write_text(target, text)


@config.command()
@click.argument("kind")
@click.argument("file", type=click.Path(path_type=Path))
def check(kind: str, file: Path) -> None:
    """Check FILE against the schema of KIND and run nothing."""
    from gminus2.config import load_config

    load_config(file, _schema(kind))
    click.echo(f"{file}: ok")
