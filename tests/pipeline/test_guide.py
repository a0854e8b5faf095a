"""The guide is executed: every command in it runs, and prints what the guide says."""

from __future__ import annotations

import doctest
import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from gminus2.cli.main import main
from gminus2.errors import GMinus2Error

ROOT = Path(__file__).parents[2]


def _commands(text: str) -> list[tuple[str, str]]:
    """Return (command, expected output) of all console blocks."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", text, flags=re.S):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, expected = part.partition("\n")
            found.append((command, expected))
    return found


def _agree(expected: str, printed: str) -> bool:
    checker = doctest.OutputChecker()
    return checker.check_output(expected, printed, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)


def test_what_the_guide_says_is_what_its_commands_print(
    guide_file: Path, guide_output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "examples").mkdir()
    shutil.copy(guide_file, tmp_path / "examples")
    # The campaign was measured once for all tests; here its steps come from the store.
    shutil.copytree(guide_output, tmp_path / "guide")
    monkeypatch.chdir(tmp_path)
    commands = _commands((ROOT / "docs" / "guide.md").read_text(encoding="utf-8"))
    assert len(commands) >= 10
    for command, expected in commands:
        program, *arguments = shlex.split(command)
        assert program == "gminus2"
        found = CliRunner().invoke(main, arguments, env={"COLUMNS": "200"})
        printed = found.output
        if isinstance(found.exception, GMinus2Error):
            printed += f"error: {found.exception}\n"
        assert _agree(expected, printed), f"$ {command}\n{printed}\n--- the guide says\n{expected}"
    assert not (tmp_path / "nothing").exists()
    assert not (tmp_path / "new").exists()
