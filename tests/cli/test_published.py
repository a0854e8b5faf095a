"""``gminus2 published``: tables beside recomputed numbers, with their statuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from gminus2.cli.main import main
from gminus2.data import read_result
from gminus2.errors import ConfigError
from gminus2.measurement.publication import PUBLICATIONS


def _run(*words: str) -> str:
    answer = CliRunner().invoke(main, ["published", *words], env={"COLUMNS": "160"})
    if answer.exception is not None and not isinstance(answer.exception, SystemExit):
        raise answer.exception
    return answer.output


def test_run1_prints_the_talks_tables_beside_the_recomputed_numbers(tmp_path: Path) -> None:
    text = _run("run1", "--output", str(tmp_path))
    for expected in (
        "C_e electric field (ppb)", "momentum–time", "C_pa phase acceptance (ppb)", "phase maps", "linear sum",
        "−1589.8 to −1576.4", "3.7073009(45)", "116592040.2(54.0)", "116592040(54)", "0.120†", "−153.7",
        "transients-common", "without Run-1d",
    ):  # fmt: skip
        assert expected in text, expected
    assert "FAILS" not in text
    assert {path.name for path in tmp_path.iterdir()} == {
        "published-run1.json",
        *(f"published-run1-{name}.png" for name in ("history", "datasets", "stability", "budget")),
    }


@pytest.mark.parametrize("what", PUBLICATIONS)
def test_every_publication_writes_a_result_with_stable_keys(what: str, tmp_path: Path) -> None:
    assert _run(what, "--quiet", "--output", str(tmp_path)) == ""
    document = read_result(tmp_path / f"published-{what}.json", "publication")
    assert {"what", "title", "status", "provisional", "checks", "sources"} <= set(document)
    assert all(check["ok"] is not False for check in document["checks"])
    assert (tmp_path / f"published-{what}-history.png").stat().st_size > 10_000


def test_the_correlation_model_and_the_constants_are_options(tmp_path: Path) -> None:
    text = _run("run1", "--correlation", "uncorrelated", "--codata", "2022", "--output", str(tmp_path))
    assert "uncorrelated ←" in text
    assert "FAILS" not in text
    document = read_result(tmp_path / "published-run1.json", "publication")
    assert (document["correlation_model"], document["codata"]) == ("uncorrelated", 2022)
    # The table of models gives 41.62 with CODATA 2018; the constants of 2022 take 0.17 away.
    assert document["a_mu"]["value"] - 116592000 == pytest.approx(41.45, abs=0.01)
    # The comparison with the published result belongs to the model that reproduces it.
    assert document["checks"] == []


def test_wrong_words_are_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'run23'"):
        _run("run2", "--output", str(tmp_path))
    with pytest.raises(ConfigError, match="2014 or 2018 or 2022"):
        _run("run1", "--codata", "2020", "--output", str(tmp_path))
    with pytest.raises(ConfigError, match="did you mean 'uncorrelated'"):
        _run("run1", "--correlation", "uncorelated", "--output", str(tmp_path))
