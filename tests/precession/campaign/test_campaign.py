"""ω_a of a dataset by all methods: truth comes back, errors are right, and nothing of the run shows the hidden R."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import campaign_tools
import numpy as np
import pytest
from click.testing import CliRunner

from gminus2.cli.main import main
from gminus2.data.campaign import AXES, CampaignDataset
from gminus2.errors import ConfigError, DataError, FitError
from gminus2.pipeline.omega_a_campaign import find_datasets
from gminus2.precession import Blinding
from gminus2.precession.campaign import (
    DEFAULT_TEAMS,
    Analysis,
    DatasetAnalyser,
    DatasetOmegaA,
    calorimeter_lines,
    load_teams,
    measure_dataset,
)
from gminus2.precession.campaign.measurement import bootstrap

PHRASE = "three words here"


@pytest.fixture(scope="module")
def dataset() -> CampaignDataset:
    return campaign_tools.toy_dataset(1.0e8)


@pytest.fixture(scope="module")
def found(dataset: CampaignDataset) -> DatasetOmegaA:
    return measure_dataset(dataset, phrase=PHRASE)


def hidden(team: str) -> float:
    return Blinding.from_phrase(f"{PHRASE}/{team}", dataset="toy").hidden_offset_ppm()


def test_every_method_returns_the_truth(found: DatasetOmegaA) -> None:
    for name, value, error, measured in zip(
        found.analyses, found.values_ppm, found.errors_ppm, found.measured, strict=True
    ):
        assert measured.fit.converged, name
        assert measured.fit.p_value > 1e-4, name
        assert abs(value - hidden(name) - campaign_tools.TRUE_R) < 4.0 * error, name
    common = Blinding.from_phrase(PHRASE, dataset="toy").hidden_offset_ppm()
    assert abs(found.r_ppm - common - campaign_tools.TRUE_R) < 4e-3 * found.statistical_ppb


def test_errors_of_the_methods_are_those_of_statistics(found: DatasetOmegaA) -> None:
    """A is better than T, R equals T, Q is worse than A; T's error is the exact one for its counts."""
    error = dict(zip(found.analyses, found.errors_ppm, strict=True))
    t = next(m for m in found.measured if m.analysis.name == "T-global")
    a = t.fit.value("A")
    counts = t.fit.spectra[0].data.sum()
    low, high = t.fit.window_us
    assert high - low > 350.0
    exact = 1.0 / (t.fit.value("tau") * math.sqrt(counts * (1.0 - math.sqrt(1.0 - a * a))))
    assert error["T-global"] == pytest.approx(1e6 * exact / (2.0 * math.pi * 0.2291), rel=0.03)
    assert 0.80 < error["A-global"] / error["T-global"] < 0.95
    assert error["R-global"] == pytest.approx(error["T-global"], rel=0.02)
    assert error["Q"] > error["A-global"]


def test_correlations_of_methods(found: DatasetOmegaA) -> None:
    """ρ(T, A) of an efficient estimator is σ_A/σ_T; the covariance is positive."""
    rho, order = found.correlation_stat, list(found.analyses)
    error = dict(zip(found.analyses, found.errors_ppm, strict=True))
    t, a, r = order.index("T-global"), order.index("A-global"), order.index("R-global")
    assert rho[t, a] == pytest.approx(error["A-global"] / error["T-global"], abs=0.02)
    assert 0.95 < rho[t, r] < 1.0
    assert np.linalg.eigvalsh(found.covariance_stat_ppb2).min() > -1e-6 * found.covariance_stat_ppb2.max()
    for pair in found.pairs:
        if pair.first == "A-global" and pair.second == "T-global":
            assert abs(pair.significance) < 4.0


def test_correlation_against_independent_datasets() -> None:
    """The scatter of T and A over independent datasets shows the correlation that the influence predicts."""
    differences = []
    for seed in range(6):
        small = campaign_tools.toy_dataset(3.0e6, seed=100 + seed)
        teams = [team for team in DEFAULT_TEAMS if team.name in ("T-global", "A-global")]
        one = measure_dataset(small, teams, systematics=False)
        differences.append((one.values_ppm[1] - one.values_ppm[0]) / (one.pairs[0].allowed_ppm))
    pulls = np.array(differences)
    assert abs(pulls.mean()) < 4.0 / math.sqrt(pulls.size)
    assert 0.3 < pulls.std(ddof=1) < 2.0


def _numbers(text: str) -> Iterator[float]:
    for word in re.findall(r"[-+]?\d+\.\d+(?:[eE][-+]?\d+)?", text):
        yield float(word)


def test_no_output_shows_the_hidden_frequency(dataset: CampaignDataset, tmp_path: Path) -> None:
    """Every number of every file and line is searched for R, f_a and ω_a of every analysis without its blind."""
    dataset.write(tmp_path / "in" / "toy.h5")
    arguments = ["omega-a", str(tmp_path / "in"), "--blind", PHRASE, "--output", str(tmp_path / "out")]
    run = CliRunner().invoke(main, arguments)
    assert run.exit_code == 0, run.output
    document = json.loads((tmp_path / "out" / "omega-a.json").read_text())
    common = Blinding.from_phrase(PHRASE, dataset="toy").hidden_offset_ppm()
    result = document["datasets"]["toy"]
    secret = [result["R_ppm"]["value"] - common, campaign_tools.TRUE_R]
    secret += [a["R_ppm"]["value"] - hidden(name) for name, a in result["analyses"].items()]
    offsets = [common, *(hidden(name) for name in result["analyses"])]
    texts = {"stdout": run.output}
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            texts[path.name] = path.read_bytes().decode("latin-1")
    assert len(texts) >= 7
    for name, text in texts.items():
        assert PHRASE not in text, name
        values = np.array(list(_numbers(text)) if not name.endswith(".png") else [0.0])
        for r in secret:
            f = 0.2291 * (1.0 + 1e-6 * r)
            for number, tolerance in ((r, 1e-5), (f, 1e-12), (1e6 * f, 1e-6), (2 * math.pi * f, 1e-11)):
                assert np.abs(values - number).min() > tolerance, (name, number)
        for offset in offsets:
            assert np.abs(np.abs(values) - abs(offset)).min() > 1e-5, name
    assert set(result["scans"]) >= {"start", "stop", "calorimeter", "bunch", "threshold", "pileup", "split_seed"}
    assert len(result["scans"]["calorimeter"]["x"]) == 24
    assert result["scans"]["calorimeter"]["p_value"] > 1e-4
    assert result["covariance_statistical_ppb2"][0][0] > 0.0


def test_bootstrap_agrees_with_the_predicted_correlations(found: DatasetOmegaA) -> None:
    replicas = bootstrap(found, 16, phrase=PHRASE)
    names = list(replicas.analyses)
    assert names == ["T-global", "A-global", "R-global", "Q"]
    own = [found.analyses.index(name) for name in names]
    predicted = found.correlation_stat[np.ix_(own, own)]
    assert np.all(np.abs(replicas.correlation - predicted) < 4.0 * replicas.correlation_error + 0.02)
    spread = replicas.shifts_ppm.std(axis=0, ddof=1)
    assert np.all(np.abs(spread / found.errors_ppm[own] - 1.0) < 4.0 / math.sqrt(2 * 15))
    with pytest.raises(FitError):
        bootstrap(found, 2, phrase=PHRASE)


def test_no_variation_ends_in_another_minimum(found: DatasetOmegaA) -> None:
    """The data of these variations stay the same but for a small change, so R stays within a part of its error."""
    for row in found.systematics:
        if row.source.startswith(("CBO", "gain", "lost muons", "bin width")):
            for name, error in zip(found.analyses, found.errors_ppm, strict=True):
                assert abs(row.shifts_ppb[name]) < 0.05 * 1e3 * error


def test_randomisation_row_is_the_derived_spread_and_not_added(found: DatasetOmegaA) -> None:
    rows = {row.source: row for row in found.systematics}
    # One seed moves R by σ ωΔ/√6; the row is that of the mean of fifty.
    jitter = 1e3 * found.errors_ppm[0] * 2.0 * math.pi * 0.2291 * 0.1492 / math.sqrt(6.0 * 50.0)
    assert rows["randomisation seed"].shifts_ppb["T-global"] == pytest.approx(jitter, rel=0.05)
    assert rows["randomisation seed"].jitter
    assert "randomisation seed" not in found.systematic_rows_ppb()


def test_cbo_of_single_calorimeters_stands_out_once_around_the_ring(dataset: CampaignDataset) -> None:
    rng = np.random.default_rng(3)
    t = AXES["time_width_us"] * (np.arange(int(AXES["n_time"])) + 0.5)
    arrays = dict(dataset.reconstruction("global"))
    mean = arrays["counts"].mean(axis=0)
    azimuth = 2.0 * math.pi * np.arange(24) / 24.0
    ripple = 1.0 + 0.02 * np.exp(-t / 200.0) * np.cos(2.0 * math.pi * 0.37 * t - azimuth[:, None])
    arrays["counts"] = rng.poisson(mean * ripple[:, None, :])
    turned = replace(dataset, reconstructions={"global": arrays})
    analyser = DatasetAnalyser(turned)
    lines = calorimeter_lines(analyser, analyser.measure(Analysis("T")))
    assert lines is not None
    cbo = next(line for line in lines.lines if line.name == "f_cbo")
    assert cbo.amplitude > 10.0
    assert cbo.found_mhz == pytest.approx(0.37, abs=2e-3)
    assert cbo.p_value < 1e-6
    near = np.abs(lines.f_mhz - 0.37) < 0.003
    assert lines.aligned[2, near].max() < 0.4 * cbo.amplitude


def test_teams_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "teams.toml"
    path.write_text('[[teams]]\nname = "east"\nreconstruction = "local"\nmethod = "A"\npileup = "convolution"\n')
    (team,) = load_teams(path)
    assert (team.name, team.method, team.reconstruction) == ("east", "A", "local")
    path.write_text('[[teams]]\nname = "east"\nmethode = "A"\n')
    with pytest.raises(ConfigError, match="method"):
        load_teams(path)


def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no datasets"):
        find_datasets(tmp_path)
    (tmp_path / "a.h5").write_bytes(b"nothing")
    with pytest.raises(DataError, match="no dataset 'b'"):
        find_datasets(tmp_path, ("b",))
