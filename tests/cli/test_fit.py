"""``gminus2 fit`` on real data and on bad input, as a user calls it."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from gminus2.cli.main import run
from gminus2.data import TimeHistogram, make_provenance


class Answer(NamedTuple):
    code: int
    out: str
    err: str
    folder: Path

    @property
    def fit(self) -> dict[str, Any]:
        return json.loads((self.folder / "fit.json").read_text())


Command = Callable[..., Answer]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Call ``gminus2 fit`` in this process, with its exit code and what it prints."""

    def call(*words: object, figures: bool = False, output: str = "out") -> Answer:
        extra = [] if figures else ["--no-figures"]
        argv = ["gminus2", "fit", *(str(w) for w in words), "--output", str(tmp_path / output), *extra]
        monkeypatch.setattr(sys, "argv", argv)
        code = 0
        try:
            run()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return Answer(code, out, err, tmp_path / output)

    return call


@pytest.fixture
def run3b(data_dir: Path) -> Path:
    return data_dir / "e989_run3b" / "Run3B.csv"


@pytest.fixture
def psi(data_dir: Path) -> Path:
    return data_dir / "psi_gps_pbo_tf50" / "psi_convert_test_bin_1.bin"


# Real data ------------------------------------------------------------------------------------------------------------


def test_run3b_five_parameters_miss_the_cbo_and_say_so_loudly(command: Command, run3b: Path) -> None:
    answer = command(run3b, "--model", "five", "--bins", "centre", "--start", 30, "--stop", 650)
    fit = answer.fit
    assert answer.code == 0
    assert fit["statistic"]["value"] == pytest.approx(8245.03, abs=0.1)
    assert (fit["ndf"], fit["n_bins"], fit["converged"]) == (4151, 4156, True)
    assert fit["parameters"]["R"]["value"] == pytest.approx(-54.415, abs=0.005)
    assert fit["p_value"] < 1e-6
    assert any("DOES NOT DESCRIBE" in alarm for alarm in fit["alarms"])
    assert "DOES NOT DESCRIBE" in answer.out
    assert "DOES NOT DESCRIBE" in answer.err
    # The line that is missing is the CBO.
    top = fit["per_detector"]["all"]["fft_maximum"]
    assert top["f_mhz"] == pytest.approx(0.3709, abs=0.001)
    assert top["amplitude"] == pytest.approx(32.4, abs=0.3)


def test_run3b_nine_parameters_give_the_reference_fit_and_the_caveat(command: Command, run3b: Path) -> None:
    answer = command(run3b, "--model", "cbo", "--bins", "centre", "--scan-start", "40,100", figures=True)
    fit = answer.fit
    assert answer.code == 0
    assert answer.err == ""
    for name, value, error in (
        ("R", -53.039, 1.007),
        ("tau", 64.42254, 0.00163),
        ("A", 0.374570, 0.000034),
        ("phi", 2.166513, 0.000165),
        ("A_cbo", 0.003238, 0.000101),
        ("f_cbo", 0.370917, 0.000059),
    ):
        assert fit["parameters"][name]["value"] == pytest.approx(value, abs=0.02 * error), name
        assert fit["parameters"][name]["error"] == pytest.approx(error, rel=0.02), name
    assert fit["statistic"]["value"] == pytest.approx(4137.88, abs=0.05)
    assert fit["ndf"] == 4147
    assert fit["alarms"] == []
    assert "no a_μ follows" in " ".join(answer.out.replace("│", " ").split())
    assert any("no a_μ follows" in caveat for caveat in fit["caveats"])
    assert fit["no_a_mu"]
    assert fit["input"]["sha256"].startswith("8e60ace7")
    # Start scan, against the table of an independent fit of the same data.
    scan = fit["scans"][0]["parameters"]["R"]
    assert fit["scans"][0]["times_us"] == [30.0, 40.0, 100.0]
    assert scan["value"] == pytest.approx([-53.039, -52.703, -53.954], abs=0.03)
    assert scan["error"] == pytest.approx([1.007, 1.091, 1.742], abs=0.005)
    assert scan["allowed"][1] == pytest.approx(np.sqrt(1.091**2 - 1.007**2), abs=0.02)
    names = {path.name for path in answer.folder.iterdir()}
    assert names == {"fit.json", "fit.toml", "wiggle.png", "pulls.png", "fft.png", "scan_start.png", "correlation.png"}


def test_iminuit_finds_the_same_minimum(command: Command, run3b: Path) -> None:
    options = (run3b, "--model", "cbo", "--quiet")
    own, referee = (command(*options, "--minimizer", m).fit for m in ("own", "minuit"))
    assert referee["minimizer"] == "minuit"
    assert own["statistic"]["value"] == pytest.approx(referee["statistic"]["value"], abs=0.01)
    sigma = own["parameters"]["R"]["error"]
    assert own["parameters"]["R"]["value"] == pytest.approx(referee["parameters"]["R"]["value"], abs=0.01 * sigma)


def test_the_ratio_of_run3b_gives_the_same_frequency_without_the_decay(command: Command, run3b: Path) -> None:
    counts = command(run3b, "--model", "cbo", "-q").fit["parameters"]["R"]
    answer = command(run3b, "--model", "cbo", "--statistic", "ratio", "--scan-start", "60", figures=True, output="r")
    ratio = answer.fit
    assert ratio["statistic"]["name"] == "ratio"
    assert ratio["p_value"] > 0.01
    # Same hits but for the bins at the end that have no partner: far closer than one standard deviation.
    assert ratio["parameters"]["R"]["value"] == pytest.approx(counts["value"], abs=0.3 * counts["error"])
    assert ratio["parameters"]["R"]["error"] == pytest.approx(counts["error"], rel=0.02)
    assert ratio["parameters"]["tau"]["state"] == "fixed"
    assert (answer.folder / "scan_start.png").exists()
    again = command("--from", answer.folder / "fit.toml", "-q", output="again").fit
    assert again["statistic"]["value"] == pytest.approx(ratio["statistic"]["value"], abs=1e-3)


PBO = {
    "Forw": (2035.67, 0.67543, 0.00041, 0.2694, 2.1909, 4.94, 636.32),
    "Back": (1983.69, 0.67529, 0.00051, 0.2509, 2.1936, 2.52, 451.34),
    "Up": (1871.65, 0.67491, 0.00034, 0.2745, 2.1952, 9.66, 944.72),
    "Down": (1911.69, 0.67502, 0.00033, 0.2769, 2.1928, 8.85, 940.16),
}
PBO_WINDOW = ("--pack", 4, "--start", 0.05, "--stop", 9.8, "--nodes", 5)


def test_pbo_every_detector_alone_gives_the_tabled_fit(command: Command, psi: Path) -> None:
    chosen = [word for label in PBO for word in ("--detector", label)]
    fit = command(psi, *chosen, *PBO_WINDOW, "--quiet").fit
    assert fit["ndf"] == 4 * 1944
    for label, (deviance, f, sigma_f, asymmetry, tau, background, n0) in PBO.items():
        assert fit["per_detector"][label]["statistic"] == pytest.approx(deviance, abs=0.05), label
        assert fit["per_detector"][label]["n_bins"] == 1950
        found = {name: fit["parameters"][f"{name}[{label}]"] for name in ("f", "A", "tau", "background", "N0")}
        assert found["f"]["value"] == pytest.approx(f, abs=0.03 * sigma_f)
        assert found["f"]["error"] == pytest.approx(sigma_f, rel=0.02)
        assert found["A"]["value"] == pytest.approx(asymmetry, abs=1e-4)
        assert found["tau"]["value"] == pytest.approx(tau, abs=1e-4)
        assert found["background"]["value"] == pytest.approx(background, abs=0.02)
        assert found["N0"]["value"] == pytest.approx(n0, abs=0.02)
        # The muon's lifetime, measured elsewhere.
        assert abs(found["tau"]["value"] - 2.1969811) < 2.0 * found["tau"]["error"]


def test_pbo_up_and_down_share_frequency_asymmetry_and_lifetime(command: Command, psi: Path) -> None:
    fit = command(psi, "--detector", "Up", "--detector", "Down", "--share", "f,A,tau", *PBO_WINDOW, "-q").fit
    assert fit["statistic"]["value"] == pytest.approx(3786.1, abs=0.1)
    assert fit["ndf"] == 3891
    assert fit["parameters"]["f"]["value"] == pytest.approx(0.67497, abs=1e-5)
    assert fit["derived"]["B_mu"]["value"] == pytest.approx(49.799e-4, abs=2e-7)
    assert fit["derived"]["B_mu"]["error"] == pytest.approx(0.017e-4, rel=0.03)
    assert fit["parameters"]["tau"]["value"] == pytest.approx(2.1948, abs=1e-4)


def test_pbo_field_can_be_fitted_in_tesla(command: Command, psi: Path) -> None:
    options = (psi, "--detector", "Up", *PBO_WINDOW, "-q", "--gamma", 135.5388)
    tesla, mhz = command(*options, "--units", "tesla").fit, command(*options).fit
    assert tesla["parameters"]["B"]["value"] == pytest.approx(mhz["parameters"]["f"]["value"] / 135.5388, rel=1e-7)
    assert tesla["parameters"]["B"]["unit"] == "T"
    assert tesla["derived"]["f"]["value"] == pytest.approx(mhz["parameters"]["f"]["value"], rel=1e-7)
    assert tesla["derived"]["f"]["error"] == pytest.approx(mhz["parameters"]["f"]["error"], rel=1e-3)


# One file that is input and result -----------------------------------------------------------------------------------


def test_a_fit_is_repeated_from_its_own_file(command: Command, run3b: Path) -> None:
    first = command(run3b, "--model", "cbo", "--fix", "tau=64.44", "--bound", "tau_cbo=50:500", "--start", 50, "-q")
    second = command("--from", first.folder / "fit.toml", "-q", output="again")
    third = command(run3b, "--model", first.folder / "fit.toml", "--start", 50, "-q", output="third")
    for answer in (second, third):
        assert answer.code == 0
        assert answer.fit["statistic"]["value"] == pytest.approx(first.fit["statistic"]["value"], abs=1e-6)
        assert answer.fit["window_us"] == [50.0, 650.0]
        assert answer.fit["parameters"]["tau"]["state"] == "fixed"
        assert answer.fit["parameters"]["tau_cbo"]["lower"] == 50.0
        assert answer.fit["parameters"]["R"]["start"] == first.fit["parameters"]["R"]["value"]
    files = [tomllib.loads((answer.folder / "fit.toml").read_text()) for answer in (first, second)]
    for section in ("input", "fit"):
        assert files[0][section] == files[1][section]
    for name, before in files[0]["result"]["parameters"].items():
        after = files[1]["result"]["parameters"][name]
        assert after["value"] == pytest.approx(before["value"], abs=0.01 * before["error"] + 1e-12)
        assert after["state"] == before["state"]
    changed = command("--from", first.folder / "fit.toml", "--stop", 500, "--free", "tau", "-q", output="changed").fit
    assert changed["window_us"] == [50.0, 500.0]
    assert changed["parameters"]["tau"]["state"] == "free"


def test_a_changed_data_file_is_noticed_when_a_fit_is_repeated(command: Command, tmp_path: Path) -> None:
    file = _toy(tmp_path)
    command(file, "--model", "five", "-q")
    changed = TimeHistogram.read(file)
    counts = changed.counts.copy()
    counts[0, 300] += 1.0
    TimeHistogram(counts, changed.start_us, changed.width_us, changed.labels).write(file, make_provenance("test"))
    fit = command("--from", tmp_path / "out" / "fit.toml", "-q", output="again").fit
    assert any("digest has changed" in caveat for caveat in fit["caveats"])


def _toy(folder: Path, *, r_ppm: float = 0.0, detectors: int = 1) -> Path:
    """Write a five-parameter histogram with counts equal to the expectation, made here and nowhere else."""
    t = 0.1492 * (np.arange(2000) + 0.5)
    omega = 2.0 * np.pi * 0.2291 * (1.0 + 1e-6 * r_ppm)
    rng = np.random.default_rng(5)
    mean = 2e4 * np.exp(-t / 64.4) * (1.0 + 0.37 * np.cos(omega * t + 2.0))
    counts = rng.poisson(mean, (detectors, len(t))).astype(float)
    labels = tuple(f"calo {i + 1}" for i in range(detectors))
    TimeHistogram(counts, np.zeros(detectors), 0.1492, labels).write(folder / "toy.h5", make_provenance("test"))
    return folder / "toy.h5"


# Blinding -------------------------------------------------------------------------------------------------------------


def _numbers(text: str) -> np.ndarray:
    return np.array([float(x) for x in re.findall(r"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?", text)])


def test_a_blinded_fit_shows_neither_offset_nor_true_frequency_anywhere(command: Command, tmp_path: Path) -> None:
    file = _toy(tmp_path, r_ppm=-12.0)
    scans = ("--scan-start", "30,60", "--scan-stop", "200,250", "--minos")
    open_, blinded = (
        command(file, "-m", "five", *scans),
        command(file, "-m", "five", *scans, "--blind", "a phrase", output="b"),
    )
    true, hidden = (answer.fit["parameters"]["R"]["value"] for answer in (open_, blinded))
    offset = hidden - true
    assert abs(offset) > 0.1
    assert blinded.fit["blinded"] is True
    assert "f_a" in open_.fit["derived"]
    assert blinded.fit["derived"] == {}
    assert blinded.fit["parameters"]["R"]["error"] == pytest.approx(open_.fit["parameters"]["R"]["error"], rel=1e-6)
    texts = [blinded.out, blinded.err, *(p.read_text() for p in blinded.folder.glob("fit.*"))]
    open_scans = [v for scan in open_.fit["scans"] for v in scan["parameters"]["R"]["value"]]
    f_a = 0.2291 * (1.0 + 1e-6 * true)
    secrets = [offset, -offset, true, f_a, 1e6 * f_a, 2 * np.pi * f_a, *open_scans]
    for text in texts:
        assert "a phrase" not in text
        found = _numbers(text)
        for secret in secrets:
            assert not (np.abs(found - secret) < 1e-7 * abs(secret)).any(), secret
    assert np.abs(_numbers(texts[2]) - hidden).min() < 1e-9  # the search does find numbers


def test_a_blinded_fit_is_repeated_only_with_its_phrase(command: Command, tmp_path: Path) -> None:
    file = _toy(tmp_path)
    first = command(file, "-m", "five", "--blind", "open sesame", "--dataset", "1a", "-q")
    toml = first.folder / "fit.toml"
    again = command("--from", toml, "--blind", "open sesame", "-q", output="again")
    assert again.fit["parameters"]["R"]["value"] == pytest.approx(first.fit["parameters"]["R"]["value"], abs=1e-6)
    for words, message in (
        (("--from", toml), "this fit is blinded"),
        (("--from", toml, "--blind", "open simsim"), "not the phrase of the earlier fit"),
        ((file, "--model", toml), "comes from a blinded fit"),
        ((file, "--model", first.folder / "fit.json"), "comes from a blinded fit"),
        ((file, "-m", "five", "--units", "MHz", "--blind", "x"), "hides R"),
        ((file, "-m", "five", "--blind", " "), "phrase"),
        ((file, "-m", "five", "--blind", "x", "--blind-convention", "e989", "--dataset", "1a"), "knows no dataset"),
    ):
        answer = command(*words, output="refused")
        assert (answer.code, answer.out) == (2, ""), message
        assert message in answer.err
        assert not answer.folder.exists()


def test_the_convention_of_the_collaboration_moves_r_by_its_known_offset(command: Command, tmp_path: Path) -> None:
    # ω(R = 0)/ω_ref - 1 = +12.486945 ppm for this phrase, so the same ω is reached at an R that is smaller by as much.
    file = _toy(tmp_path)
    open_ = command(file, "-m", "five", "-q").fit["parameters"]["R"]
    words = (file, "-m", "five", "-q", "--blind", "test string", "--blind-convention", "e989")
    hidden = command(*words, output="b").fit["parameters"]["R"]
    assert hidden["value"] - open_["value"] == pytest.approx(-12.486945, abs=1e-4)


# Options --------------------------------------------------------------------------------------------------------------


def test_a_fit_that_does_not_converge_says_so_loudly(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gminus2.pipeline import fit_job
    from gminus2.precession import FitSettings

    file = _toy(tmp_path)
    few = FitSettings(window_us=(30.0, 250.0), max_iterations=1)
    monkeypatch.setattr(fit_job, "_settings", lambda request: few)
    answer = command(file, "-m", "five", "--set", "R=900", "--set", "phi=0.5", figures=True)
    assert answer.fit["converged"] is False
    assert any("DID NOT CONVERGE" in alarm for alarm in answer.fit["alarms"])
    assert "DID NOT CONVERGE" in answer.out
    assert "DID NOT CONVERGE" in answer.err
    assert "converged = false" in (answer.folder / "fit.toml").read_text()


def test_the_starter_file_of_a_fit_is_a_valid_fit_file(command: Command, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from gminus2.cli.main import main

    starter = tmp_path / "starter.toml"
    for words in (["new", "fit", "--to", str(starter)], ["check", "fit", str(starter)]):
        assert CliRunner().invoke(main, ["config", *words]).exit_code == 0
    assert "no histogram to fit" in command("--from", starter).err
    assert command(_toy(tmp_path), "--from", starter, "-q").fit["model"]["name"] == "custom"


@pytest.mark.parametrize("length_us", [2, 4, 10])
def test_a_window_of_few_periods_ends_with_a_fit_or_an_alarm(command: Command, tmp_path: Path, length_us: int) -> None:
    answer = command(_toy(tmp_path), "-m", "five", "--start", 60, "--stop", 60 + length_us, "-q")
    assert answer.code == 0
    assert answer.fit["converged"] or "DID NOT CONVERGE" in answer.err


def test_quiet_prints_nothing_and_still_writes(command: Command, tmp_path: Path) -> None:
    answer = command(_toy(tmp_path), "-m", "five", "--quiet")
    assert (answer.code, answer.out, answer.err) == (0, "", "")
    assert answer.fit["kind"] == "fit"
    assert answer.fit["provenance"]["inputs"].keys() == {"toy.h5"}


def test_detectors_fitted_together_and_linked_parameters(command: Command, tmp_path: Path) -> None:
    file = _toy(tmp_path, detectors=3)
    shared = command(file, "-m", "five", "--share", "R,tau", "-q").fit
    assert shared["detectors"] == ["calo 1", "calo 2", "calo 3"]
    assert len(shared["free_parameters"]) == 2 + 3 * 3
    assert sum(q["statistic"] for q in shared["per_detector"].values()) == pytest.approx(shared["statistic"]["value"])
    one = command(file, "-m", "five", "--detector", "calo 2", "-q").fit
    assert one["detectors"] == ["calo 2"]
    assert shared["parameters"]["R"]["error"] == pytest.approx(one["parameters"]["R"]["error"] / np.sqrt(3), rel=0.02)
    linked = command(file, "-m", "five", "--detector", "calo 1", "--link", "phi=4*A+0.5", "-q").fit
    a, phi = linked["parameters"]["A"], linked["parameters"]["phi"]
    assert phi["value"] == pytest.approx(4 * a["value"] + 0.5)
    assert phi["state"] == "linked"


def test_a_parameter_at_its_bound_gets_no_error_and_an_alarm(command: Command, tmp_path: Path) -> None:
    answer = command(_toy(tmp_path), "-m", "five", "--bound", "tau=70:90", figures=True)
    assert answer.code == 0
    assert answer.fit["parameters"]["tau"]["state"] == "at bound"
    assert any("AT A BOUND: tau" in alarm for alarm in answer.fit["alarms"])
    assert (answer.folder / "correlation.png").exists()


def test_a_window_that_reaches_beyond_the_data_is_cut_and_says_so(command: Command, tmp_path: Path) -> None:
    fit = command(_toy(tmp_path), "-m", "five", "--start", 30, "--stop", 700, "-q").fit
    assert fit["window_edges_us"]["calo 1"][1] == pytest.approx(298.4)
    assert any("ends at 700 µs, the data at 298.4 µs" in caveat for caveat in fit["caveats"])


def test_packing_adds_counts_and_keeps_the_frequency(command: Command, tmp_path: Path) -> None:
    file = _toy(tmp_path)
    single, packed = (command(file, "-m", "five", "--pack", n, "-q").fit for n in (1, 3))
    assert packed["n_bins"] in (single["n_bins"] // 3, single["n_bins"] // 3 + 1)
    sigma = single["parameters"]["R"]["error"]
    assert packed["parameters"]["R"]["value"] == pytest.approx(single["parameters"]["R"]["value"], abs=0.5 * sigma)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--fix", "tauu=3"), "did you mean 'tau'"),
        (("--fix", "tau=long"), "not a number"),
        (("--fix", "tau"), "has no value"),
        (("--bound", "tau=3"), "NAME=LO:HI"),
        (("--bound", "tau=80:50"), "lower bound must be below"),
        (("--link", "tau~A"), "a link is NAME=OTHER"),
        (("--link", "tau=Q"), "no parameter 'Q'"),
        (("--link", "tau=phi", "--link", "phi=tau"), "circle"),
        (("--set", "tau"), "NAME=VALUE"),
        (("--share", "Rr"), "did you mean 'R'"),
        (("--model", "fvie"), "did you mean 'five'"),
        (("--model", "none.toml"), "no such configuration file"),
        (("--scan-start", "30:20:1"), "LO:HI:STEP"),
        (("--scan-start", "30:40:1e-9"), "too many points"),
        (("--t0", "x"), "not a number"),
        (("--pseudo",), "not both"),
        (("--counts", "5"), "add --pseudo"),
        (("--detector", "calo1"), "did you mean 'calo 1'"),
        (("--start", "900"), "outside the data"),
        (("--stop", "-5"), "outside the data"),
        (("--start", "60", "--stop", "50"), "must end after it starts"),
        (("--start", "60", "--stop", "60.5"), "fewer bins than the model has free parameters"),
        (("--statistic", "weighted"), "variances"),
        (("--columns", "time=1"), None),
        (("--statistic", "ratio", "--minos"), "own engine"),
        (("--statistic", "ratio", "--start", "60", "--stop", "64"), "too short for a ratio"),
        (("--statistic", "cash"), "not one of"),
    ],
)
def test_wrong_options_are_refused(
    command: Command, tmp_path: Path, words: tuple[str, ...], message: str | None
) -> None:
    answer = command(_toy(tmp_path), *(() if "--model" in words else ("-m", "five")), *words)
    if message is None:
        assert answer.code == 0  # an option for tables does not matter to HDF5
        return
    assert answer.code == 2, answer
    assert answer.out == ""
    assert message in answer.err, answer.err
    assert "Traceback" not in answer.err
    assert not answer.folder.exists()


# Bad input ------------------------------------------------------------------------------------------------------------

ROWS = [f"{149.2 * (k + 0.5):.1f},{int(1e5 * np.exp(-k / 432.0))}" for k in range(300)]
HEAD = "time (ns),counts\n"
GOOD = HEAD + "\n".join(ROWS) + "\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", "", "the file is empty"),
        ("header-only.csv", HEAD, "no rows of numbers"),
        ("truncated.csv", GOOD[: GOOD.rindex(",")], "truncated"),
        ("truncated.csv.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "truncated"),
        ("columns.csv", GOOD.replace("counts", "a").replace("time (ns)", "b"), "no column of times"),
        ("nan.csv", GOOD.replace(ROWS[50], ROWS[50].partition(",")[0] + ",nan"), "line 52"),
        ("negative.csv", GOOD.replace(ROWS[50], ROWS[50].partition(",")[0] + ",-5"), "negative"),
        ("gap.csv", GOOD.replace(ROWS[50] + "\n", ""), "1 bin is missing"),
        ("unequal.csv", GOOD.replace(ROWS[50].partition(",")[0] + ",", "7560.0,"), "not equally wide"),
        ("word.csv", GOOD.replace(ROWS[50], ROWS[50].partition(",")[0] + ",many"), "line 52, column 'counts'"),
        ("zeros.csv", re.sub(r",\d+", ",0", GOOD), "all bins are empty"),
        ("unknown.dat", b"\x00\x01\x02\x03\x04", "format is not known"),
        ("program.json", '{"counts": [1, 2]}', "format is not known"),
    ],
)
def test_bad_files_give_one_clear_error_and_no_number(
    command: Command, tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    answer = command(file, "-m", "five")
    assert answer.code == 2, answer
    assert answer.out == ""
    assert answer.err.startswith("error: ")
    assert message in answer.err
    assert not answer.folder.exists()


def test_no_file_a_folder_and_a_missing_extra_give_one_clear_error(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uproot", None)
    (tmp_path / "h.root").write_bytes(b"root" + bytes(100))
    for words, message in (
        ((), "no histogram to fit"),
        ((tmp_path / "none.csv",), "no such file"),
        ((tmp_path,), "folder, not a file"),
        ((tmp_path / "h.root",), "gminus2[root]"),
    ):
        answer = command(*words)
        assert (answer.code, answer.out) == (2, "")
        assert message in answer.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('nme = "x"\n', "did you mean 'name'"),
        ('[[terms]]\nterm = "decay"\n[[terms]]\nterm = "cbo"\nmodulate = ["N1"]\n', "did you mean 'modulates'"),
        ('[[terms]]\nterm = "decai"\n', "decay"),
        ("[parameters.tau]\nfixd = true\n", "did you mean 'fixed'"),
        ("[parameters.tow]\nvalue = 3\n", "no parameter 'tow'"),
        ("name = \n", "not valid TOML"),
        ("[input]\nfil = 'x'\n[model]\n", "did you mean 'file'"),
        ("[fit]\nstart = 3\n[model]\n", "did you mean 'start_us'"),
    ],
)
def test_a_model_file_with_a_mistake_names_the_key(command: Command, tmp_path: Path, text: str, message: str) -> None:
    model = tmp_path / "model.toml"
    model.write_text(text)
    answer = command(_toy(tmp_path), "--model", model)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err


def test_a_model_of_ones_own_is_fitted(command: Command, tmp_path: Path) -> None:
    model = tmp_path / "own.toml"
    model.write_text(
        'name = "five and background"\n[[terms]]\nterm = "decay"\n[[terms]]\nterm = "precession"\n'
        '[[terms]]\nterm = "background"\n[parameters.background]\nvalue = 0.0\nfixed = true\n'
    )
    answer = command(_toy(tmp_path), "--model", model)
    assert answer.fit["model"]["name"] == "five and background"
    assert answer.fit["ndf"] == answer.fit["n_bins"] - 5
    assert "five and background" in answer.out


# Pseudo-data ----------------------------------------------------------------------------------------------------------


def test_a_pseudo_histogram_made_by_the_package_is_fitted_and_gives_its_truth_back(command: Command) -> None:
    answer = command("--pseudo", "five", "--counts", 1e8, "--seed", 3)
    again = command("--from", answer.folder / "fit.toml", "-q", output="again")
    fit = answer.fit
    assert fit["parameters"]["R"]["value"] == again.fit["parameters"]["R"]["value"]
    assert abs(fit["parameters"]["R"]["value"]) < 4.0 * fit["parameters"]["R"]["error"]
    assert fit["provenance"]["seed"] == 3
    assert fit["input"]["pseudo"]["counts"] == 1e8
    assert "Pseudo-histogram" in answer.out
