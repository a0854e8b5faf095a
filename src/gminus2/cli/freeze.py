"""``gminus2 freeze``: fix a blinded result so that it may be unblinded."""

from __future__ import annotations

from pathlib import Path

import click

from gminus2.cli.common import printer

__all__ = ["freeze"]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--new-version", metavar="REASON", help="Replace an earlier frozen result, and why.")
@click.option("--replaces", type=click.Path(path_type=Path), help="Folder of the frozen result it replaces.")
@click.option("--who", help="Who freezes it; default: the user.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
def freeze(folder: Path, new_version: str | None, replaces: Path | None, who: str | None, quiet: bool) -> None:
    """Freeze the blinded result in FOLDER: the digests of all its files, who, when."""
    from gminus2.measurement.unblinding import FROZEN
    from gminus2.measurement.unblinding import freeze as freeze_result

    record = freeze_result(folder, new_version=new_version, replaces=replaces, who=who)
    console = printer(quiet)
    console.print(f"frozen version {record['version']} by {record['frozen_by']}, {record['frozen_at']}")
    console.print(f"digest {record['digest']}")
    console.print(f"record: {folder / FROZEN}")
