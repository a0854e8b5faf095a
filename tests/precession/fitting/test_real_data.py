"""The fitter on recorded data: the public E989 Run-3b histogram and PSI GPS PbO spectra."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from precession_tools import pbo, run3b

from gminus2.data import TimeHistogram
from gminus2.precession import (
    FitSettings,
    fit,
    fit_ratio,
    preset,
    pull_summary,
    ratio_of_shifts,
    residual_spectrum,
    scan_window,
)

CENTRE = FitSettings(window_us=(30.0, 650.0), bin_rule="centre")
INTEGRAL = FitSettings(window_us=(30.0, 650.0))


@pytest.fixture(scope="module")
def histogram(data_dir: Path) -> TimeHistogram:
    return run3b(data_dir)


@pytest.mark.parametrize(
    ("model", "statistic", "stop", "value", "ndf", "r"),
    [
        ("five", "neyman", 500.0, 7236.64, 3145, -54.393),
        ("five", "poisson", 500.0, 7235.72, 3145, -54.397),
        ("five", "poisson", 650.0, 8245.03, 4151, -54.415),
        ("cbo", "poisson", 500.0, 3128.05, 3141, -52.987),
        ("cbo", "neyman", 650.0, 4141.96, 4147, -53.032),
        ("cbo", "poisson", 650.0, 4137.88, 4147, -53.039),
    ],
)
def test_run3b_reference_fits_come_out(
    histogram: TimeHistogram, model: str, statistic: str, stop: float, value: float, ndf: int, r: float
) -> None:
    result = fit(histogram, model, replace(CENTRE, window_us=(30.0, stop), statistic=statistic))  # type: ignore[arg-type]
    assert result.converged
    assert result.statistic_value == pytest.approx(value, abs=0.01)
    assert result.ndf == ndf == result.n_bins - len(result.free)
    assert result.value("R") == pytest.approx(r, abs=0.003)


def test_run3b_nine_parameters_have_the_reference_values_and_errors(histogram: TimeHistogram) -> None:
    result = fit(histogram, "cbo", CENTRE)
    reference = {
        "R": (-53.039, 1.007, 1e-3),
        "tau": (64.42254, 1.63e-3, 1e-5),
        "A": (0.374570, 3.4e-5, 1e-6),
        "phi": (2.166513, 1.65e-4, 1e-6),
        "A_cbo": (0.003238, 1.0e-4, 2e-6),
        "tau_cbo": (236.8, 20.8, 0.2),
        "f_cbo": (0.370917, 6.0e-5, 1e-6),
        "phi_cbo": (0.0857, 3.12e-2, 3e-4),
        "N0": (5825233.0, 262.0, 2.0),
    }
    for name, (value, error, tolerance) in reference.items():
        assert result.value(name) == pytest.approx(value, abs=tolerance), name
        assert result.error(name) == pytest.approx(error, rel=0.02), name
    assert result.error("R") == pytest.approx(1.007, abs=5e-4)
    assert result.correlation[result.free.index("R"), result.free.index("phi")] == pytest.approx(-0.826, abs=0.003)


def test_bin_integral_changes_amplitudes_by_the_sinc_and_leaves_r(histogram: TimeHistogram) -> None:
    centre, integral = fit(histogram, "cbo", CENTRE), fit(histogram, "cbo", INTEGRAL)
    assert integral.statistic_value == pytest.approx(4137.76, abs=0.01)
    assert integral.value("A") == pytest.approx(0.375291, abs=1e-6)
    assert integral.value("A_cbo") == pytest.approx(0.003254, abs=1e-6)
    assert abs(integral.value("R") - centre.value("R")) < 1e-3
    half = math.pi * 0.2291 * 0.1492
    assert centre.value("A") / integral.value("A") == pytest.approx(math.sin(half) / half, abs=2e-6)


def test_iminuit_finds_the_same_minimum(histogram: TimeHistogram) -> None:
    for model in ("five", "cbo"):
        ours = fit(histogram, model, INTEGRAL)
        referee = fit(histogram, model, replace(INTEGRAL, minimizer="minuit", minos=model == "five"))
        assert referee.converged
        assert ours.statistic_value <= referee.statistic_value + 1e-6
        assert referee.statistic_value - ours.statistic_value < 0.01
        assert abs(referee.value("R") - ours.value("R")) < 0.01 * ours.error("R")
        assert referee.error("R") == pytest.approx(ours.error("R"), rel=5e-3)
        if model == "five":
            low, high = referee["R"].minos or (0.0, 0.0)
            assert (-low, high) == pytest.approx((ours.error("R"), ours.error("R")), rel=5e-3)


def test_residuals_of_the_nine_parameter_fit_are_white(histogram: TimeHistogram) -> None:
    five, nine = fit(histogram, "five", CENTRE), fit(histogram, "cbo", CENTRE)
    before = residual_spectrum(five.spectra[0], f_cbo_mhz=0.3709)
    assert before.top.name == "f_cbo"
    assert before.top.f_mhz == pytest.approx(0.3709, abs=2e-4)
    assert before.top.amplitude == pytest.approx(32.4, abs=0.1)
    after = residual_spectrum(nine.spectra[0], f_cbo_mhz=0.3709)
    assert after.expected_maximum == pytest.approx(3.9, abs=0.02)
    assert after.top.amplitude == pytest.approx(3.6, abs=0.05)
    assert after.top_p_value > 0.1
    pulls = pull_summary(nine.spectra[0])
    assert pulls.mean == pytest.approx(0.002, abs=5e-4)
    assert pulls.rms == pytest.approx(0.998, abs=5e-4)
    assert pulls.normality_p_value > 0.01
    assert abs(pulls.autocorrelation) < 3.0 / math.sqrt(pulls.bins)
    assert five.is_alarming
    assert any("BAD FIT" in note for note in five.notes)
    assert not nine.is_alarming


def test_start_scan_has_the_reference_values_and_stays_within_the_allowed_band(histogram: TimeHistogram) -> None:
    reference = {40.0: (-52.703, 1.091), 70.0: (-53.036, 1.382), 100.0: (-53.954, 1.742), 130.0: (-53.565, 2.202)}
    scan = scan_window(histogram, "cbo", [30.0, *reference], settings=CENTRE)
    assert scan.times_us[0] == 30.0
    for i, (r, sigma) in enumerate(reference.values(), start=1):
        assert scan.values("R")[i] == pytest.approx(r, abs=0.02)
        assert scan.errors("R")[i] == pytest.approx(sigma, abs=0.003)
    assert (np.abs(scan.shifts("R")[1:]) < 1.2 * scan.allowed("R")[1:]).all()
    assert (np.abs(scan.reduced() - 1.0) < 0.006).all()
    stops = scan_window(histogram, "cbo", [450.0, 650.0], edge="stop", settings=CENTRE)
    assert list(stops.times_us) == [650.0, 450.0]


def test_every_start_within_40_percent_1000_ppm_and_0_8_rad_reaches_the_same_minimum(histogram: TimeHistogram) -> None:
    best = fit(histogram, "five", INTEGRAL)
    random = np.random.default_rng(5)
    for _ in range(200):
        start = {
            "N0": best.value("N0") * random.uniform(0.6, 1.4),
            "tau": 64.4,
            "A": 0.37,
            "R": best.value("R") + random.uniform(-1000.0, 1000.0),
            "phi": best.value("phi") + random.uniform(-0.8, 0.8),
        }
        result = fit(histogram, "five", INTEGRAL, start=start)
        assert result.converged
        assert result.statistic_value == pytest.approx(best.statistic_value, abs=1e-3)
        assert result.value("R") == pytest.approx(best.value("R"), abs=0.01 * best.error("R"))


def test_full_model_converges_and_moves_r_by_less_than_0_3_ppm(histogram: TimeHistogram) -> None:
    nine, full = fit(histogram, "cbo", INTEGRAL), fit(histogram, "full", INTEGRAL)
    assert len(full.free) >= 20
    assert full.converged
    assert full.statistic_value < nine.statistic_value
    assert abs(full.value("R") - nine.value("R")) < 0.3
    drop_cbo = fit(histogram, "five", INTEGRAL)
    assert drop_cbo.value("R") - nine.value("R") == pytest.approx(-1.38, abs=0.01)


def test_ratio_of_shifted_bins_gives_the_same_frequency(histogram: TimeHistogram) -> None:
    settings = FitSettings(window_us=(34.0, 640.0))
    counts = fit(histogram, "cbo", settings)
    ratio = fit_ratio(ratio_of_shifts(histogram, bins=15, lifetime_us=64.44), "cbo", settings, start=counts.values)
    assert ratio.converged
    assert ratio.p_value > 0.01
    # Nearly the same hits: the difference is far below the error of either.
    assert abs(ratio.value("R") - counts.value("R")) < 0.1 * counts.error("R")
    assert ratio.error("R") == pytest.approx(counts.error("R"), rel=0.02)
    assert ratio["N0"].state == "fixed"


PBO = {
    "Forw": (2035.67, 0.67543, 41e-5, 0.2694, 2.1909, 4.94, 636.32, 3.3536),
    "Back": (1983.69, 0.67529, 51e-5, 0.2509, 2.1936, 2.52, 451.34, 0.2261),
    "Up": (1871.65, 0.67491, 34e-5, 0.2745, 2.1952, 9.66, 944.72, 4.8994),
    "Down": (1911.69, 0.67502, 33e-5, 0.2769, 2.1928, 8.85, 940.16, 1.8318),
}
PSI = FitSettings(window_us=(0.05, 9.8), nodes=5)


def test_pbo_spectra_come_out_detector_by_detector(data_dir: Path) -> None:
    histogram = pbo(data_dir)
    together = fit(histogram, "msr", PSI)
    assert together.converged
    assert together.spectra[0].centres_us[0] == pytest.approx(0.051875, abs=1e-9)
    for d, (label, row) in enumerate(PBO.items()):
        deviance, f, sigma_f, a, tau, background, n0, phi = row
        alone = TimeHistogram(histogram.counts[d], histogram.start_us[d : d + 1], histogram.width_us, (label,))
        single = fit(alone, "msr", PSI)
        assert single.statistic_value == pytest.approx(deviance, abs=0.02)
        assert single.ndf == 1944
        assert abs(single.value("tau") - 2.1969811) < 2.0 * single.error("tau")
        for result, tail in ((single, ""), (together, f"[{label}]")):
            assert result.value(f"f{tail}") == pytest.approx(f, abs=2e-5)
            assert result.error(f"f{tail}") == pytest.approx(sigma_f, abs=1e-5)
            assert result.value(f"A{tail}") == pytest.approx(a, abs=1e-4)
            assert result.value(f"tau{tail}") == pytest.approx(tau, abs=1e-4)
            assert result.value(f"background{tail}") == pytest.approx(background, abs=0.01)
            assert result.value(f"N0{tail}") == pytest.approx(n0, abs=0.02)
            assert math.cos(result.value(f"phi{tail}") - phi) > 1.0 - 1e-6
    # "Righ" is parallel to the spin: nearly no asymmetry.
    assert together.value("A[Righ]") < 0.02


def test_shared_parameters_make_one_fit_of_two_detectors(data_dir: Path) -> None:
    histogram = pbo(data_dir)
    two = TimeHistogram(histogram.counts[2:4], histogram.start_us[2:4], histogram.width_us, ("Up", "Down"))
    result = fit(two, preset("msr").shared("f", "A", "tau"), PSI)
    assert result.statistic_value == pytest.approx(3786.1, abs=0.05)
    assert result.ndf == 3891
    assert result.value("f") == pytest.approx(0.67497, abs=1e-5)
    assert result.error("f") == pytest.approx(23e-5, abs=1e-5)
    assert result.value("tau") == pytest.approx(2.1948, abs=1e-4)
    # The same fit with the field in tesla, γ_µ/2π = 135.5388 MHz/T.
    terms = [
        {"term": "decay", "density": "ns"},
        {"term": "precession", "frequency": "tesla", "gamma_mhz_per_tesla": 135.5388},
        {"term": "background"},
    ]
    field = fit(two, preset("msr").from_config({"terms": terms}).shared("B", "A", "tau"), PSI)
    assert field.value("B") == pytest.approx(49.799e-4, abs=1e-7)
    assert field.error("B") == pytest.approx(0.017e-4, abs=1e-7)
    four = TimeHistogram(histogram.counts[:4], histogram.start_us[:4], histogram.width_us, histogram.labels[:4])
    stiff = fit(four, preset("msr").shared("f", "A", "tau"), PSI)
    assert stiff.statistic_value == pytest.approx(8045.2, abs=0.1)
    assert stiff.ndf == 7785
