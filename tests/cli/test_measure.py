"""The commands around a measurement, as a user calls them."""

from __future__ import annotations

import html.parser
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gminus2.cli.main import main
from gminus2.data import read_result
from gminus2.errors import BlindingError, ConfigError, GMinus2Error
from gminus2.measurement.blinding import open_seal, read_seal

KEYS = {"A. Keyholder": "first long passphrase", "B. Keyholder": "second long passphrase"}


def run(*words: str | Path, env: dict[str, str] | None = None) -> Result:
    answer = CliRunner().invoke(main, [str(w) for w in words], env=env)
    if answer.exception is not None and not isinstance(answer.exception, SystemExit):
        raise answer.exception
    return answer


@pytest.fixture(scope="module")
def run1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run1")
    assert run("measure", "run1-published", "--output", folder, "--quiet").output == ""
    return folder


def test_run1_published_gives_the_published_a_mu_with_stable_keys(run1: Path) -> None:
    result = read_result(run1 / "result.json", "measurement")
    assert round(result["a_mu"]["value"]) == 116592040
    assert round(result["a_mu"]["uncertainty"]) == 54
    assert result["R_mu"]["value"] == pytest.approx(0.00370730035, abs=5e-12)
    assert result["R_mu"]["uncertainty"] == pytest.approx(1.71e-9, abs=1e-11)
    assert result["status"] == "cross-checked"
    assert [d["label"] for d in result["datasets"]] == ["Run-1a", "Run-1b", "Run-1c", "Run-1d"]
    budget = {row["name"]: row for row in result["budget"]}
    assert round(budget["omega_a_stat"]["uncertainty_ppb"]) == 434
    assert round(budget["C_e"]["correction_ppb"]) == 489
    assert all(check["ok"] for check in result["checks"])
    for absent in ("omega_a", "stopped", "blinding", "R_mu_blinded"):
        assert absent not in result


def test_a_single_step_of_a_fresh_campaign_writes_no_result(tmp_path: Path) -> None:
    answer = run("measure", "run1-published", "--only", "inputs", "--output", tmp_path)
    assert "not done: combine" in answer.output
    assert not (tmp_path / "result.json").exists()
    assert not (tmp_path / "report.html").exists()


class _Page(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "action", "srcset", "data"):
                self.addresses.append(value or "")
            if name == "id":
                self.ids.append(value or "")


def test_the_report_is_one_file_without_network_with_the_number_first(run1: Path) -> None:
    text = (run1 / "report.html").read_text(encoding="utf-8")
    page = _Page()
    page.feed(text)
    assert all(a.startswith(("#", "data:")) for a in page.addresses)
    assert "script" not in page.tags
    assert not re.search(r"@import|url\(\s*['\"]?http", text)
    assert len(set(page.ids)) == len(page.ids)
    body = text[text.index("<body") :]
    assert body.index("116592040.2(54.0)") < body.index("<table")
    assert page.tags.count("svg") == page.tags.count("figcaption") == 4
    assert 'name="viewport"' in text
    assert "cross-checked" in text
    assert len(text) < 500_000


def test_a_failed_check_and_an_unverified_input_stand_red_at_the_top_of_the_report(run1: Path) -> None:
    from gminus2.report.measurement_report import measurement_html

    result = read_result(run1 / "result.json", "measurement")
    result["checks"][1]["ok"] = False
    result["status"] = "unverified"
    result["provisional"] = ["constants.external.T_r_run456"]
    text = measurement_html(result, {}, result["provenance"])
    assert "1 check failed: a_mu (1e-11)" in text
    assert text.index('role="alert"') < text.index("116592040.2")
    assert 'tr class="failed"' in text
    assert "T_r_run456" in text


def test_text_from_a_campaign_file_cannot_become_markup_in_the_report(run1: Path) -> None:
    from gminus2.report.measurement_report import measurement_html

    result = read_result(run1 / "result.json", "measurement")
    result["title"] = "<script>alert(1)</script>"
    result["datasets"][0]["label"] = "<b>x</b>"
    text = measurement_html(result, {}, result["provenance"])
    assert "<script>" not in text
    assert "<b>x</b>" not in text


def test_explain_reaches_every_constant_and_the_file_they_stand_in(run1: Path) -> None:
    answer = run("explain", "a_mu", run1, "--json")
    found = json.loads(answer.output)
    leaves = {name for name, entry in found.items() if entry.get("leaf")}
    for dataset in "abcd":
        for name in ("f_a", "f_p_shielded", "omega_a_stat", "omega_a_syst", "C_e", "C_p", "C_pa", "C_ml"):
            assert f"experiment.e989.run1.{dataset}.{name}" in leaves
    assert {"constants.codata2018.g_e", "constants.codata2018.m_mu_over_m_e", "setting:combination.codata"} <= leaves
    assert found["file:published.toml"]["leaf"] == "file"
    # Nothing hangs in the air: every computed number has parents, every leaf has none but its file.
    for name, entry in found.items():
        if not entry.get("leaf"):
            assert entry["parents"], name
    text = run("explain", "R_mu.Run-1c", run1).output
    assert "experiment.e989.run1.c.f_a" in text
    assert "sha256" in text


def test_explain_answers_an_unknown_number_with_the_nearest(run1: Path) -> None:
    with pytest.raises(GMinus2Error, match="did you mean 'a_mu'"):
        run("explain", "amu", run1)


def test_compare_finds_what_differs_and_where_it_comes_from(run1: Path, tmp_path: Path) -> None:
    same = run("compare", run1, run1, "--output", tmp_path)
    assert "identical" in same.output
    campaign = tmp_path / "other.toml"
    campaign.write_text('title = "x"\n[published]\nrun = "run1"\n[combination]\ncorrelation = "uncorrelated"\n')
    run("measure", campaign, "--output", tmp_path / "other", "--quiet")
    run("compare", run1, tmp_path / "other", "--output", tmp_path, "--quiet")
    found = read_result(tmp_path / "compare.json", "comparison")
    assert found["identical"] is False
    (head,) = [h for h in found["heads"] if h["name"] == "a_mu"]
    assert head["difference"] == pytest.approx(41.62 - 40.24, abs=0.01)
    changed = {entry["name"] for entry in found["inputs"]}
    assert "setting:combination.correlation" in changed
    assert not any(name.startswith("experiment.") for name in changed)


def test_a_second_measure_takes_everything_from_the_store_and_dry_run_says_so(run1: Path) -> None:
    before = (run1 / "result.json").read_text()
    answer = run("measure", "run1-published", "--output", run1, "--dry-run")
    assert "inputs: stored (nothing changed)" in answer.output
    assert "combine: stored (nothing changed)" in answer.output
    assert (run1 / "result.json").read_text() == before
    answer = run("measure", "run1-published", "--output", run1, "--dry-run", "--from", "combine")
    assert "combine: run (asked for)" in answer.output
    with pytest.raises(ConfigError, match="did you mean 'combine'"):
        run("measure", "run1-published", "--output", run1, "--only", "combin")


def test_first_look_ends_with_a_mu_and_a_fit_that_finds_its_truth(tmp_path: Path) -> None:
    answer = run("measure", "first-look", "--output", tmp_path)
    result = read_result(tmp_path / "result.json", "measurement")
    assert "116592040.2(54.0)" in answer.output
    assert result["omega_a"]["origin"] == "generated"
    pull = (result["omega_a"]["R_ppm"]["value"] + 20.0) / result["omega_a"]["R_ppm"]["uncertainty"]
    assert abs(pull) < 4
    assert all(check["ok"] for check in result["checks"])
    assert read_result(tmp_path / "fit.json", "fit")["converged"] is True
    # The generated fit does not enter a_mu, and its own number is explained down to the seed.
    found = json.loads(run("explain", "fit.R", tmp_path, "--json").output)
    assert found["setting:pseudo_data.seed"]["value"] == 20210407
    assert not any(n.startswith("fit.") for n in json.loads(run("explain", "a_mu", tmp_path, "--json").output))


def test_the_real_run3b_histogram_is_fitted_and_stops_before_a_mu_with_the_reason(
    tmp_path: Path, data_dir: Path
) -> None:
    answer = run("measure", "run3b-public", "--data", data_dir / "e989_run3b" / "Run3B.csv", "--output", tmp_path)
    result = read_result(tmp_path / "result.json", "measurement")
    assert "a_mu" not in result
    assert "R_mu" not in result
    assert result["stopped"]["before"] == "a_mu"
    assert "clock offset" in result["stopped"]["reason"]
    assert "no a_μ" in answer.output
    assert result["omega_a"]["R_ppm"]["value"] == pytest.approx(-53.039, abs=0.02)
    assert result["omega_a"]["R_ppm"]["uncertainty"] == pytest.approx(1.007, abs=0.003)
    assert "Stopped before a_μ" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert json.loads(run("explain", "fit.R", tmp_path, "--json").output)["file:histogram"]["sha256"]


# Blinding, end to end ------------------------------------------------------------------------------------------------


def _key_files(folder: Path) -> list[Path]:
    paths = []
    for index, key in enumerate(KEYS.values()):
        path = folder / f"key{index}.txt"
        path.write_text(key + "\n")
        paths.append(path)
    return paths


@pytest.fixture(scope="module")
def blind(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A sealed campaign: Run-1d and Run-1c in the units of a hidden clock and a hidden field calibration."""
    folder = tmp_path_factory.mktemp("blind")
    keys = _key_files(folder)
    holders = [word for name in KEYS for word in ("--holder", name)]
    files = [word for path in keys for word in ("--key-file", str(path))]
    run("seal", *holders, *files, "--output", folder, "--label", "test")
    offsets = open_seal(read_seal(folder / "seal.json"), KEYS)
    truth = {"c": (229081.26, 61791845.4), "d": (229081.23, 61792003.4)}
    text = 'title = "blind"\n[blinding]\nseal = "seal.json"\n'
    for name, (f_a, f_p) in truth.items():
        text += (
            f'[[dataset]]\nlabel = "{name}"\nf_a_hz = {f_a / (1 + offsets.clock)!r}\n'
            f"f_p_shielded_hz = {f_p / (1 + offsets.field)!r}\nreference_temperature_c = 34.7\n"
            "uncertainties_ppb = { omega_a_stat = 700.0, field = 100.0 }\n"
        )
    (folder / "blind.toml").write_text(text)
    ratio = sum(f_a / f_p for f_a, f_p in truth.values()) / 2
    run("measure", folder / "blind.toml", "--output", folder / "out", "--quiet")
    return {"folder": folder, "files": files, "keys": keys, "ratio": ratio, "offsets": offsets}


def test_a_blinded_measurement_shows_no_unblinded_number_anywhere(blind: dict[str, Any]) -> None:
    result = read_result(blind["folder"] / "out" / "result.json", "measurement")
    assert "a_mu" not in result
    assert "R_mu" not in result
    assert result["R_mu_blinded"]["value"] != pytest.approx(blind["ratio"], rel=1e-9)
    # Every file of the output, searched for the hidden offsets, the true ratio and the true a_mu.
    a_mu = blind["ratio"] * 0.314493106014
    offsets = blind["offsets"]
    secrets = {f"{blind['ratio']:.9f}"[2:], f"{a_mu * 1e11:.0f}", f"{offsets.clock * 1e6:.5f}", *KEYS.values()}
    secrets |= {f"{offsets.clock:.8g}", f"{offsets.field:.8g}", f"{(1 + offsets.clock) / (1 + offsets.field):.10f}"}
    for path in sorted((blind["folder"] / "out").rglob("*")):
        if path.is_file() and path.suffix != ".png":
            text = path.read_text(encoding="utf-8", errors="replace")
            found = [secret for secret in secrets if secret in text]
            assert not found, f"{path}: {found}"
    with pytest.raises(GMinus2Error, match="no number 'a_mu'"):
        run("explain", "a_mu", blind["folder"] / "out")
    report = (blind["folder"] / "out" / "report.html").read_text(encoding="utf-8")
    assert "The result is blinded" in report


def test_freeze_then_unblind_gives_the_true_a_mu_and_the_folder_may_not_change(blind: dict[str, Any]) -> None:
    out, seal = blind["folder"] / "out", blind["folder"] / "seal.json"
    with pytest.raises(BlindingError, match="not frozen"):
        run("unblind", out, "--seal", seal, *blind["files"])
    assert "frozen version 1" in run("freeze", out, "--who", "analysis").output
    with pytest.raises(BlindingError, match="only with both keys"):
        run("unblind", out, "--seal", seal, "--key-file", blind["keys"][0], env={"GMINUS2_KEY_2": ""})
    with pytest.raises(BlindingError, match="frozen result"):
        run("measure", blind["folder"] / "blind.toml", "--output", out)
    first, second = KEYS.values()
    answer = run("unblind", out, "--seal", seal, env={"GMINUS2_KEY_1": first, "GMINUS2_KEY_2": second})
    opened = read_result(out / "unblinded.json", "unblinded")
    assert opened["R_mu"]["value"] == pytest.approx(blind["ratio"], rel=1e-13)
    assert opened["a_mu"]["value"] == pytest.approx(blind["ratio"] * 0.314493106014e11, abs=2e-3)
    assert "keys of A. Keyholder and B. Keyholder" in " ".join(answer.output.split())
    (out / "report.html").write_text("other")
    with pytest.raises(BlindingError, match="changed after it was frozen"):
        run("unblind", out, "--seal", seal, *blind["files"])


def test_seal_takes_no_passphrase_on_the_command_line_and_refuses_half_a_set(tmp_path: Path) -> None:
    help_text = run("seal", "--help").output
    assert "--key-file" in help_text
    assert "--passphrase" not in help_text
    with pytest.raises(BlindingError, match="exactly two"):
        run("seal", "--holder", "one", "--output", tmp_path)
    key = tmp_path / "key"
    key.write_text("only one passphrase")
    with pytest.raises(BlindingError, match="no passphrase of two"):
        run("seal", "--holder", "one", "--holder", "two", "--key-file", key, "--output", tmp_path,
            env={"GMINUS2_KEY_1": "", "GMINUS2_KEY_2": ""})  # fmt: skip
    assert not (tmp_path / "seal.json").exists()
    with pytest.raises(BlindingError, match="cannot read the key file"):
        run("seal", "--holder", "one", "--holder", "two", "--key-file", tmp_path / "gone", "--output", tmp_path)
