"""The command line: quick help, nearest verb, one message and exit code 2 for a user's error."""

from __future__ import annotations

import resource
import subprocess
import sys

from click.testing import CliRunner

from gminus2.cli.main import VERBS, main


def test_help_lists_every_verb_and_costs_less_than_300_ms_cpu() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-m", "gminus2", "--help"], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    assert all(verb in done.stdout for verb in VERBS)
    assert cpu < 0.3


def test_unknown_verb_is_answered_with_the_nearest() -> None:
    answer = CliRunner().invoke(main, ["confg"])
    assert answer.exit_code == 2
    assert "did you mean 'config'?" in answer.output


def test_a_users_error_is_one_message_without_traceback_and_exit_code_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gminus2", "config", "new", "nonsense"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_every_verb_loads_and_shows_help() -> None:
    for verb in VERBS:
        answer = CliRunner().invoke(main, [verb, "--help"])
        assert answer.exit_code == 0, (verb, answer.output)
