"""``gminus2 unblind``: open a frozen result with both keys, on record."""

from __future__ import annotations

from pathlib import Path

import click

from gminus2.cli.common import printer
from gminus2.cli.keys import key_file_option, read_passphrases

__all__ = ["unblind"]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--seal", "seal_path", type=click.Path(path_type=Path), required=True, help="The seal (seal.json).")
@click.option("--who", help="Who unblinds; default: the user.")
@key_file_option
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors; the files are written all the same.")
def unblind(folder: Path, seal_path: Path, who: str | None, key_files: tuple[Path, ...], quiet: bool) -> None:
    """Unblind the frozen result in FOLDER.

    Refused with one key, with a result that changed after it was frozen, and for a second, different result. Writes
    FOLDER/unblinded.json and a line in the register beside the seal.
    """
    from gminus2.measurement.blinding import read_seal
    from gminus2.measurement.unblinding import UNBLINDED, check_frozen
    from gminus2.measurement.unblinding import unblind as open_result
    from gminus2.report.tables import pm, short_a_mu

    check_frozen(folder)
    holders = [holder.name for holder in read_seal(seal_path).holders]
    document = open_result(folder, seal_path, read_passphrases(holders, key_files, confirm=False), who=who)
    a, r = document["a_mu"], document["R_mu"]
    console = printer(quiet)
    console.print(f"R'_mu({r['t_r_c']:g} °C) = {pm(r['value'], r['uncertainty'], 11)}")
    console.print(f"[bold]a_mu = {short_a_mu(a['value'], a['uncertainty'], 1)} × 10⁻¹¹[/bold]")
    console.print(f"unblinded by {document['who']}, {document['when']}; keys of {' and '.join(document['holders'])}")
    console.print(f"record: {folder / UNBLINDED}")
