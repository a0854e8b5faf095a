"""``gminus2 seal``: draw the hidden offsets of a blind measurement and lock them with two keys."""

from __future__ import annotations

from pathlib import Path

import click

from gminus2.cli.common import output_options, printer
from gminus2.cli.keys import KEY_VARIABLES, key_file_option, read_passphrases

__all__ = ["seal"]


@click.command()
@click.option("--holder", "holders", multiple=True, required=True, help="Name of a key holder; give it twice.")
@click.option("--label", default="", help="What is measured; printed with the result.")
@click.option("--clock-range-ppm", type=float, default=25.0, show_default=True, help="Clock offset: ± this range.")
@click.option("--field-range-ppm", type=float, default=25.0, show_default=True, help="Field offset: ± this range.")
@key_file_option
@output_options
def seal(
    holders: tuple[str, ...],
    label: str,
    clock_range_ppm: float,
    field_range_ppm: float,
    key_files: tuple[Path, ...],
    output: Path,
    quiet: bool,
) -> None:
    """Draw clock and field offsets and encrypt them for two key holders.

    The seal opens only with both passphrases. Its commitment can be published at once: it fixes the offsets without
    telling them.
    """
    from gminus2.errors import BlindingError
    from gminus2.measurement.blinding import make_seal, write_seal

    if len(holders) != 2:
        raise BlindingError(
            "a seal needs exactly two key holders", found=str(len(holders)), hint="--holder A --holder B"
        )
    path = output / "seal.json"
    if path.exists():
        raise BlindingError("there is a seal already", where=str(path), hint="seal a new measurement in a new place")
    found = read_passphrases(holders, key_files, confirm=True)
    missing = [name for name in holders if name not in found]
    if missing:
        raise BlindingError(
            f"no passphrase of {' and '.join(missing)}",
            hint=f"use --key-file, the variables {' and '.join(KEY_VARIABLES)}, or a terminal",
        )
    made = make_seal(
        label,
        (holders[0], holders[1]),
        (found[holders[0]], found[holders[1]]),
        clock_range_ppm=clock_range_ppm,
        field_range_ppm=field_range_ppm,
    )
    write_seal(path, made)
    console = printer(quiet)
    console.print(f"sealed for {holders[0]} and {holders[1]}: {path}")
    console.print(f"commitment {made.commitment}")
