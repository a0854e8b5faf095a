"""What the fit does with bounds, links, fixed values, odd starts and bad input."""

from __future__ import annotations

import math
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
from precession_tools import pseudo_data

from gminus2.data import TimeHistogram, make_provenance
from gminus2.errors import BlindingError, ConfigError, DataError, FitError
from gminus2.execution import make_executor
from gminus2.precession import (
    Blinding,
    FitSettings,
    LostMuonSpectrum,
    Model,
    expected_histogram,
    fit,
    fit_correlated,
    load_model,
    preset,
    read_fit,
    run_toys,
)
from gminus2.precession.fitting.binding import bind
from gminus2.precession.fitting.referee import contour
from gminus2.precession.fitting.statistics import poisson_deviance

FIVE = {"N0": 5.825e6, "tau": 64.44, "A": 0.3746, "R": -50.0, "phi": 2.1665}
CBO = {"A_cbo": 0.004, "tau_cbo": 180.0, "f_cbo": 0.3709, "phi_cbo": 0.3}
ALL = FitSettings(window_us=None)


@pytest.fixture(scope="module")
def data() -> TimeHistogram:
    return pseudo_data(preset("cbo").started({**FIVE, **CBO}), seed=11)


def test_deviance_at_1e9_counts_agrees_with_50_digits() -> None:
    random = np.random.default_rng(1)
    mu = 1e9 * np.exp(-np.arange(300) / 15.0)
    n = random.poisson(mu).astype(float)
    with mp.workdps(50):
        exact = mp.fsum(
            2 * (mp.mpf(m) - mp.mpf(k) + (mp.mpf(k) * mp.log(mp.mpf(k) / mp.mpf(m)) if k > 0 else 0))
            for k, m in zip(n, mu, strict=True)
        )
    assert poisson_deviance(n, mu) == pytest.approx(float(exact), rel=1e-10)


def test_result_is_input_again(data: TimeHistogram, tmp_path: Path) -> None:
    result = fit(data, "cbo")
    result.write(tmp_path / "fit.json", make_provenance("test"))
    back = read_fit(tmp_path / "fit.json")
    assert back.parameters == result.parameters
    assert back.free == result.free
    assert np.array_equal(back.covariance, result.covariance)
    assert (back.statistic_value, back.ndf, back.window_us) == (result.statistic_value, result.ndf, (30.0, 650.0))
    again = fit(data, load_model(tmp_path / "fit.json"))
    assert again.evaluations == 1
    assert again.value("R") == result.value("R")
    (tmp_path / "cut.json").write_text((tmp_path / "fit.json").read_text()[:500])
    with pytest.raises(DataError, match="not a complete JSON"):
        read_fit(tmp_path / "cut.json")


def test_window_holds_the_bins_whose_centre_lies_inside(data: TimeHistogram) -> None:
    result = fit(data, "cbo")
    low, high = result.window_edges_us["all"]
    assert result.n_bins == 4156
    assert (low, high) == pytest.approx((201 * 0.1492, 4357 * 0.1492))
    assert result.to_json()["window_rule"] == "lo < bin centre < hi"
    assert result.ndf == result.n_bins - 9


def test_fixed_bounded_and_linked_parameters(data: TimeHistogram) -> None:
    free = fit(data, "cbo")
    fixed = fit(data, preset("cbo").fixed(tau_cbo=200.0))
    assert fixed.value("tau_cbo") == 200.0
    assert fixed.ndf == free.ndf + 1
    edge = free.value("A") + 5.0 * free.error("A")
    bounded = fit(data, preset("cbo").bounded("A", lower=edge))
    assert bounded["A"].state == "at bound"
    assert bounded.value("A") == edge
    # The profile of a parabola: ΔD = 25 five σ away.
    assert bounded.statistic_value - free.statistic_value == pytest.approx(25.0, rel=0.02)
    assert any("bound" in note for note in bounded.notes)
    linked = fit(data, preset("full").linked("tau_vw", "tau_cbo", 0.5).fixed(A_y=0.0, tau_y=60.0, f_y=2.2, phi_y=0.0))
    assert linked["tau_vw"].state == "linked"
    assert linked.value("tau_vw") == pytest.approx(0.5 * linked.value("tau_cbo"))
    assert linked.error("tau_vw") == pytest.approx(0.5 * linked.error("tau_cbo"))


def test_period_of_every_oscillation_is_its_frequency() -> None:
    # A term whose cosine carried ω/2 (or 2ω) would fit another frequency than the one put in by hand here.
    t = 30.0 + 0.1492 * (np.arange(4000) + 0.5)
    for f in (0.2291, 0.3709, 2.3):
        mu = 1e6 * np.exp(-t / 64.4) * (1.0 + 0.05 * np.cos(2.0 * math.pi * f * t + 0.4))
        histogram = TimeHistogram(mu, np.array([30.0]), 0.1492, ("x",))
        terms = [{"term": "decay"}, {"term": "precession", "frequency": "MHz"}]
        result = fit(histogram, Model.from_config({"terms": terms}), FitSettings(window_us=None, bin_rule="centre"))
        assert result.value("f") == pytest.approx(f, abs=1e-9)
        assert result.value("phi") == pytest.approx(0.4, abs=1e-6)
        assert result.value("A") == pytest.approx(0.05, abs=1e-7)


def test_negative_amplitudes_come_back_positive_with_the_phase_turned_by_exactly_pi(data: TimeHistogram) -> None:
    usual = fit(data, "cbo")
    flipped = fit(
        data, "cbo", start={**usual.values, "A": -usual.value("A"), "phi": usual.value("phi") + 5.0 * math.pi}
    )
    assert flipped.value("A") == pytest.approx(usual.value("A"), rel=1e-9)
    assert flipped.value("phi") == pytest.approx(usual.value("phi"), abs=1e-9)
    i, j = usual.free.index("A"), usual.free.index("phi")
    assert flipped.covariance[i, j] == pytest.approx(usual.covariance[i, j], rel=1e-4)


def test_drift_relaxation_and_losses_are_recovered_from_pseudo_data() -> None:
    edges = np.linspace(0.0, 700.0, 701)
    losses = LostMuonSpectrum(edges, np.exp(-edges[:-1] / 64.44) * (1.0 + 3.0 * np.exp(-edges[:-1] / 20.0)))
    terms = [
        {"term": "decay"},
        {"term": "precession"},
        {"term": "cbo", "drift": {"form": "tracker", "table": "K:60h"}},
        {"term": "lost_muons"},
    ]
    model = Model.from_config({"terms": terms}).with_losses(losses)
    true = {**FIVE, **CBO, "f_cbo": 2.3376 / (2.0 * math.pi), "kappa_loss": 0.004}
    result = fit(pseudo_data(model.started(true), seed=3), model)
    assert result.converged
    assert result["drift_A_cbo"].state == "fixed"
    for name, value in true.items():
        assert abs(result.value(name) - value) < 4.0 * result.error(name), name
    assert result.p_value > 1e-3
    for relaxation, rate in (("exponential", "lambda"), ("gaussian", "sigma"), ("stretched", "lambda")):
        terms = [
            {"term": "decay", "density": "ns"},
            {"term": "precession", "frequency": "MHz", "relaxation": relaxation},
            {"term": "background"},
        ]
        truth = {"N0": 800.0, "tau": 2.197, "A": 0.25, "f": 0.9, "phi": 1.0, rate: 0.4, "background": 5.0}
        if relaxation == "stretched":
            truth["beta"] = 1.3
        spin = Model.from_config({"terms": terms})
        expected = expected_histogram(spin.started(truth), bins=1950, start_us=0.05, width_us=0.005)
        counts = np.random.default_rng(4).poisson(expected.counts).astype(float)
        result = fit(TimeHistogram(counts, np.array([0.05]), 0.005, ("x",)), spin, ALL)
        assert result.converged
        for name, value in truth.items():
            assert abs(result.value(name) - value) < 4.0 * result.error(name), (relaxation, name)


@pytest.mark.parametrize("statistic", ["poisson", "neyman", "pearson", "weighted"])
def test_pull_widths_of_every_statistic_are_one(statistic: str) -> None:
    # Neyman and Pearson are biased where counts are few (N0, tau, a little A); R is what the experiment quotes.
    model = preset("five").started({**FIVE, "N0": 5e4})
    settings = FitSettings(window_us=None, statistic=statistic, bin_rule="centre")  # type: ignore[arg-type]
    truth = expected_histogram(model, bins=1200, start_us=30.0, width_us=0.1492, settings=settings)
    truth = TimeHistogram(truth.counts, truth.start_us, truth.width_us, truth.labels, truth.counts)
    with make_executor("threads", 2) as executor:
        study = run_toys(truth, model, 500, seed=8, settings=settings, executor=executor)
    assert study.converged.all()
    table = study.pull_table()
    for name in ("A", "R", "phi") if statistic in ("neyman", "pearson") else study.names:
        mean, mean_error, width, width_error = table[name]
        assert abs(mean) < 3.0 * mean_error or (statistic == "neyman" and name == "A"), name
        assert abs(width - 1.0) < 3.0 * width_error, name
    chi2 = study.statistic
    assert abs(chi2.mean() - study.ndf) < 4.0 * math.sqrt(2.0 * study.ndf / len(chi2)) + 0.002 * study.ndf


def test_pulls_of_a_20_parameter_fit_have_mean_0_and_width_1() -> None:
    edges = np.linspace(0.0, 700.0, 701)
    losses = LostMuonSpectrum(edges, np.exp(-edges[:-1] / 64.44) * (1.0 + 3.0 * np.exp(-edges[:-1] / 20.0)))
    terms = [
        {"term": "decay"},
        {"term": "precession"},
        {"term": "cbo", "modulates": ["N1", "N2", "A1", "phi1"]},
        {"term": "vertical_waist"},
    ]
    more = {"A_2cbo": 2e-3, "phi_2cbo": 1.0, "A_cbo_A": 2e-3, "phi_cbo_A": -0.5, "A_cbo_phi": 2e-3, "phi_cbo_phi": 2.0}
    waist = {"A_vw": 0.03, "tau_vw": 40.0, "f_vw": 2.3, "phi_vw": 0.7, "kappa_loss": 2e-3}
    model = Model.from_config({"terms": terms}).with_losses(losses).started({**FIVE, **CBO, **more, **waist})
    settings = FitSettings(window_us=None, bin_rule="centre")
    truth = expected_histogram(model, bins=4156, start_us=29.9892, width_us=0.1492, settings=settings)
    with make_executor("threads", 2) as executor:
        study = run_toys(truth, model, 300, seed=9, settings=settings, executor=executor)
    assert len(study.names) == 20
    assert study.converged.all()
    for name, (mean, mean_error, width, width_error) in study.pull_table().items():
        # 40 numbers: three of their own errors, and a little for the look elsewhere.
        assert abs(mean) < 3.5 * mean_error, name
        assert abs(width - 1.0) < 3.5 * width_error, name


def test_toys_are_the_same_on_any_number_of_workers() -> None:
    model = preset("five").started({**FIVE, "N0": 1e4})
    truth = expected_histogram(model, bins=600, start_us=30.0, width_us=0.1492)
    studies = []
    for workers in (1, 2):
        with make_executor("threads", workers) as executor:
            studies.append(run_toys(truth, model, 120, seed=5, executor=executor))
    assert np.array_equal(studies[0].values, studies[1].values)


def test_covariance_fit_has_the_right_errors_for_correlated_bins() -> None:
    # Neighbouring bins share noise (a pedestal window does that): V = G Gᵀ with a moving sum G.
    model = preset("five").started({**FIVE, "N0": 1e5})
    truth = expected_histogram(model, bins=800, start_us=30.0, width_us=0.1492)
    mu = truth.counts[0]
    n = mu.size
    mixing = np.eye(n) + 0.5 * np.eye(n, k=1) + 0.5 * np.eye(n, k=-1)
    covariance = mixing @ np.diag(mu) @ mixing.T
    band = np.zeros((3, n))
    for k in range(3):
        band[k, : n - k] = np.diagonal(covariance, -k)
    random = np.random.default_rng(6)
    pulls = []
    for _ in range(60):
        noisy = mu + mixing @ (np.sqrt(mu) * random.normal(size=n))
        histogram = TimeHistogram(noisy, truth.start_us, truth.width_us, ("x",))
        result = fit_correlated(histogram, model, band, ALL, banded=True)
        pulls.append((result.value("R") - FIVE["R"]) / result.error("R"))
    assert abs(np.mean(pulls)) < 3.0 / math.sqrt(60)
    assert np.std(pulls) == pytest.approx(1.0, abs=3.0 / math.sqrt(120))
    full = fit_correlated(histogram, model, covariance, ALL)
    assert full.value("R") == pytest.approx(result.value("R"), abs=1e-6 * result.error("R"))
    assert full.statistic == "covariance"


def test_bad_input_is_refused(data: TimeHistogram) -> None:
    with pytest.raises(FitError, match="no bin lies in the fit window"):
        fit(data, "five", FitSettings(window_us=(900.0, 1000.0)))
    with pytest.raises(FitError, match="fewer bins"):
        fit(data, "five", FitSettings(window_us=(30.0, 30.5)))
    with pytest.raises(FitError, match="needs variances"):
        fit(data, "five", FitSettings(statistic="weighted"))
    with pytest.raises(FitError, match="no counts"):
        fit(TimeHistogram(np.zeros(5000), np.array([0.0]), 0.1492, ("x",)), "five")
    with pytest.raises(FitError, match="no parameter 'Rr'"):
        fit(data, "five", start={"Rr": 0.0})
    with pytest.raises(FitError, match="no loss spectrum"):
        fit(data, Model.from_config({"terms": [{"term": "decay"}, {"term": "precession"}, {"term": "lost_muons"}]}))
    with pytest.raises(ConfigError, match="unknown statistic"):
        FitSettings(statistic="possion")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="end after it starts"):
        FitSettings(window_us=(650.0, 30.0))
    with pytest.raises(BlindingError, match="shows the frequency otherwise"):
        fit(data, "msr", blinding=Blinding.from_phrase("x"))


def test_hopeless_fit_says_so(data: TimeHistogram) -> None:
    # Two precession terms with the same frequency are degenerate.
    terms = [{"term": "decay"}, {"term": "precession"}, {"term": "precession", "label": "b"}]
    model = Model.from_config({"terms": terms}).linked("R_b", "R")
    start = {**FIVE, "A_b": 0.1, "phi_b": FIVE["phi"], "A": 0.27}
    result = fit(data, model, start=start)
    assert not result.converged
    assert result.is_alarming
    assert any("NOT CONVERGED" in note for note in result.notes)


def test_minos_contour_is_the_ellipse_of_the_covariance(data: TimeHistogram) -> None:
    result = fit(data, "five", FitSettings(window_us=(30.0, 200.0), bin_rule="centre"))
    binding = bind(data, preset("five"), FitSettings(window_us=(30.0, 200.0), bin_rule="centre"))
    centre = np.array([result.value(name) for name in result.free])
    points = contour(binding, centre, "R", "phi", level=0.68, points=12)
    i, j = result.free.index("R"), result.free.index("phi")
    offset = points - centre[[i, j]]
    inverse = np.linalg.inv(result.covariance[np.ix_([i, j], [i, j])])
    distance = np.einsum("ki,ij,kj->k", offset, inverse, offset)
    assert distance == pytest.approx(-2.0 * math.log(1.0 - 0.68), rel=0.02)
    with pytest.raises(FitError, match="no free parameter"):
        contour(binding, centre, "R", "phase")
