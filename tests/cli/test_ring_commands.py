"""The commands of the ring: results under stable keys, figures, clear errors."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from gminus2.cli.main import main
from gminus2.data import read_result
from gminus2.errors import ConfigError, PhysicsError
from gminus2.ring.ensemble import StoredBeam


def run(*words: str) -> str:
    answer = CliRunner().invoke(main, list(words), catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_track_prints_the_shift_of_each_muon_beside_the_closed_form(tmp_path: Path) -> None:
    text = run("track", "--turns", "200", "-o", str(tmp_path))
    result = read_result(tmp_path / "track.json", "track")
    assert result["omega_a_shift"][2] == pytest.approx(result["expected_shift"][2], rel=1e-2)
    assert result["lost_turn"] == [-1, -1, -1, -1]
    assert "omega_a shift [ppb]" in text
    assert (tmp_path / "orbits.png").stat().st_size > 10_000


def test_optics_command_reports_tunes_and_frequencies(tmp_path: Path) -> None:
    run("optics", "--voltage", "20.4", "--points", "5", "--no-measure", "-o", str(tmp_path))
    here = read_result(tmp_path / "optics.json", "optics")["here"]
    assert here["field_index"] == pytest.approx(0.1202, abs=2e-4)
    assert here["f_vw_mhz"] == pytest.approx(2.045, abs=0.01)
    assert (tmp_path / "frequencies.png").exists()


def test_inject_command_writes_a_beam_that_can_be_read(tmp_path: Path) -> None:
    text = run("inject", "--preset", "run1a", "--count", "6000", "--turns", "80", "-o", str(tmp_path))
    assert "stored" in text
    result = read_result(tmp_path / "inject.json", "inject")
    assert 0.03 < result["stored_fraction"] < 0.09
    assert (tmp_path / "injection.png").exists()
    assert not (tmp_path / "beam.h5").exists()
    quiet = run("inject", "--scan", "kick", "--range", "150", "250", "2", "--count", "3000", "-q", "-o", str(tmp_path))
    assert quiet == ""
    assert read_result(tmp_path / "inject.json", "inject")["values"] == [150.0, 250.0]
    with pytest.raises(Exception, match="no such file"):
        StoredBeam.read(tmp_path / "beam.h5")


@pytest.mark.parametrize(
    ("words", "error", "text"),
    [
        (("track", "-n", "1.3"), PhysicsError, "stores no beam"),
        (("track", "-m", "60,0,0,0,0"), PhysicsError, "outside the aperture"),
        (("track", "-m", "1,2"), ConfigError, "five numbers"),
        (("track", "-n", "0.1", "--voltage", "18"), ConfigError, "not both"),
        (("optics", "--voltage", "-3"), PhysicsError, "negative"),
        (("optics", "--geometry", "e98"), PhysicsError, "e989"),
        (("inject", "--preset", "run9"), PhysicsError, "no ring preset"),
        (("inject", "--kick", "-20", "--count", "100"), PhysicsError, "negative strength"),
    ],
)
def test_bad_input_is_one_clear_error(
    words: tuple[str, ...], error: type[Exception], text: str, tmp_path: Path
) -> None:
    answer = CliRunner().invoke(main, [*words, "-o", str(tmp_path / "out")])
    assert isinstance(answer.exception, error)
    assert text in str(answer.exception)
    assert not (tmp_path / "out").exists()
