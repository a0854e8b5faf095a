"""``gminus2 theory``, ``new-physics`` and ``clfv`` as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from gminus2.cli.main import main
from gminus2.data import read_result
from gminus2.errors import ConfigError, DataError, PhysicsError


def test_theory_prints_the_table_and_every_tension(tmp_path: Path) -> None:
    answer = CliRunner().invoke(main, ["theory", "--output", str(tmp_path)], catch_exceptions=False)
    assert answer.exit_code == 0
    for text in ("116584718.931", "6845.1", "116591810", "116592033", "251(59)", "4.2 σ", "0.6 σ", "never averaged"):
        assert text in answer.output
    result = read_result(tmp_path / "theory.json", "theory")
    assert result["electroweak"]["one_loop"] == pytest.approx(194.81, abs=5e-3)
    assert len(result["comparisons"]) == 18
    assert all((tmp_path / f"{name}.png").stat().st_size > 10_000 for name in ("contributions", "history"))


def test_theory_with_a_users_table_changes_the_first_budget(tmp_path: Path) -> None:
    energy = np.geomspace(0.3, 11.4, 900)
    r = 2.2 + 8.0 * np.exp(-(((energy - 0.77) / 0.08) ** 2))
    table = tmp_path / "mine.csv"
    table.write_text("energy,y,ey\n" + "\n".join(f"{a},{b},{0.01 * b}" for a, b in zip(energy, r, strict=True)))
    arguments = ["theory", "--hvp", str(table), "--format", "csv", "--replicas", "50", "-q", "-o", str(tmp_path / "o")]
    answer = CliRunner().invoke(main, [*arguments, "--budget", "WP20", "--experiment", "world2025"])
    assert answer.exit_code == 0
    assert answer.output == ""
    result = json.loads((tmp_path / "o" / "theory.json").read_text())
    value = result["hvp"]["leading_order"]["value"]
    lines = result["budgets"]["WP20+mine"]["lines"]
    assert [line["value"] for line in lines if line["key"] == "hvp_lo_user"] == [pytest.approx(value * 1e11)]
    assert result["hvp"]["space_like"] == pytest.approx(value, rel=1e-4)
    assert "mine.csv" in result["provenance"]["inputs"]


def test_theory_refuses_bad_input(tmp_path: Path) -> None:
    table = tmp_path / "mev.csv"
    table.write_text("energy,y,ey\n600,3,0.1\n610,3,0.1\n")
    run = CliRunner().invoke
    with pytest.raises(DataError, match="unit or the kind of axis"):
        run(main, ["theory", "--hvp", str(table), "--format", "csv", "-o", str(tmp_path)], catch_exceptions=False)
    with pytest.raises(ConfigError, match="format"):
        run(main, ["theory", "--hvp", str(table), "-o", str(tmp_path)], catch_exceptions=False)
    with pytest.raises(ConfigError, match="not a muon anomaly"):
        run(main, ["theory", "--a-mu", "2071", "14", "-o", str(tmp_path)], catch_exceptions=False)
    assert not (tmp_path / "theory.json").exists()


def test_new_physics_writes_the_point_and_the_plane(tmp_path: Path) -> None:
    arguments = ["new-physics", "leptoquark-s1", "--points", "20", "--set", "mass=3000", "-o", str(tmp_path)]
    answer = CliRunner().invoke(main, [*arguments, "--experiment", "world2021", "--budget", "WP20"])
    assert answer.exit_code == 0
    result = read_result(tmp_path / "new_physics_leptoquark-s1.json", "new-physics")
    assert result["parameters"]["mass"]["value"] == 3000
    assert np.array(result["plane"]["delta_a"]).shape == (20, 20)
    assert (tmp_path / "new_physics_leptoquark-s1.png").exists()


def test_new_physics_overview_and_errors(tmp_path: Path) -> None:
    answer = CliRunner().invoke(main, ["new-physics", "--delta", "251", "59", "-o", str(tmp_path)])
    assert "2109" in answer.output
    with pytest.raises(PhysicsError, match="did you mean 'scalar'"):
        CliRunner().invoke(main, ["new-physics", "scalr", "-o", str(tmp_path)], catch_exceptions=False)
    with pytest.raises(ConfigError, match="NAME=VALUE"):
        CliRunner().invoke(
            main, ["new-physics", "scalar", "--set", "mass", "-o", str(tmp_path)], catch_exceptions=False
        )


def test_a_limit_excludes_both_signs(tmp_path: Path) -> None:
    answer = CliRunner().invoke(
        main, ["new-physics", "axial", "--limit", "100", "--points", "15", "-o", str(tmp_path)], catch_exceptions=False
    )
    assert "-100 < Δa < 100" in answer.output
    with pytest.raises(ConfigError, match="must be positive"):
        CliRunner().invoke(main, ["new-physics", "--limit", "-1", "-o", str(tmp_path)], catch_exceptions=False)


def test_cmd3_is_a_budget_of_its_own(tmp_path: Path) -> None:
    answer = CliRunner().invoke(main, ["theory", "--cmd3", "--experiment", "world2025", "-q", "-o", str(tmp_path)])
    assert answer.exit_code == 0
    budgets = read_result(tmp_path / "theory.json", "theory")["budgets"]
    assert list(budgets) == ["WP20", "WP25", "WP20+cmd3_shift"]
    assert budgets["WP20+cmd3_shift"]["value"] == pytest.approx(budgets["WP20"]["sum_of_lines"] + 200.0)


def test_clfv_table(tmp_path: Path) -> None:
    answer = CliRunner().invoke(main, ["clfv", "--scale", "1000", "-o", str(tmp_path)])
    assert answer.exit_code == 0
    assert "7693" in answer.output
    result = read_result(tmp_path / "clfv.json", "clfv")
    assert result["dipole_ratios"]["mu_e_al"] == pytest.approx(0.00267, abs=5e-6)
    assert (tmp_path / "clfv_reach.png").exists()
