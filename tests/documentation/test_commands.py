"""Every command has a page, and the page names every option."""

from __future__ import annotations

import importlib
from pathlib import Path

import click
import pytest

from gminus2.cli.main import VERBS

PAGES = Path(__file__).parents[2] / "docs" / "commands"
#: Of all commands; the README of the pages tells them.
COMMON = {"--output", "--quiet"}


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_has_a_page_that_names_every_option(verb: str) -> None:
    page = PAGES / f"{verb}.md"
    text = page.read_text(encoding="utf-8")
    command = getattr(importlib.import_module(VERBS[verb][0]), verb.replace("-", "_"))
    commands = [command, *(command.commands.values() if isinstance(command, click.Group) else ())]
    options = {max(p.opts, key=len) for c in commands for p in c.params if isinstance(p, click.Option)}
    assert sorted(option for option in options - COMMON if option not in text) == []


def test_the_index_lists_every_page_and_no_other() -> None:
    index = (PAGES / "README.md").read_text(encoding="utf-8")
    assert {p.stem for p in PAGES.glob("*.md")} == {*VERBS, "README"}
    assert [verb for verb in VERBS if f"]({verb}.md)" not in index] == []
