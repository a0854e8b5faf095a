"""How a key holder's passphrase reaches a command: file, environment variable or prompt, never the command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from gminus2.errors import BlindingError

__all__ = ["key_file_option", "read_passphrases"]

#: Environment variables of the first and the second holder.
KEY_VARIABLES = ("GMINUS2_KEY_1", "GMINUS2_KEY_2")

key_file_option = click.option(
    "--key-file",
    "key_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="File with a holder's passphrase, once per holder in the order of the seal. Else the environment variables "
    "GMINUS2_KEY_1 and GMINUS2_KEY_2, else a prompt.",
)


def read_passphrases(holders: Sequence[str], key_files: Sequence[Path], *, confirm: bool) -> dict[str, str]:
    """Return holder → passphrase for the holders whose passphrase can be had.

    Parameters
    ----------
    confirm
        Ask twice at a prompt (when a seal is made).

    Raises
    ------
    BlindingError
        A file that cannot be read or is empty; more files than holders.
    """
    if len(key_files) > len(holders):
        raise BlindingError("more key files than key holders", expected=str(len(holders)), found=str(len(key_files)))
    found: dict[str, str] = {}
    for index, holder in enumerate(holders):
        if index < len(key_files):
            found[holder] = _from_file(key_files[index])
        elif os.environ.get(KEY_VARIABLES[index]):
            found[holder] = os.environ[KEY_VARIABLES[index]]
        elif sys.stdin.isatty():
            found[holder] = click.prompt(
                f"passphrase of {holder}", hide_input=True, confirmation_prompt=confirm, err=True
            )
    return found


def _from_file(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BlindingError("cannot read the key file", where=str(path), found=type(error).__name__) from None
    if not text:
        raise BlindingError("the key file is empty", where=str(path))
    return text
