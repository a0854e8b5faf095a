"""C_e from fast-rotation toys with known truth: correlated or not, late starts, 24 detectors, bad input."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import hypot

import numpy as np
import pytest

from gminus2.beam.electric_field import electric_field_ppb, ring_optics
from gminus2.beam.fast_rotation import FastRotationOptions, FastRotationResult, analyse_fast_rotation
from gminus2.beam.joint_density import time_covariance
from gminus2.beam.rotation_toy import RotationToy, gaussian_toy, make_toy
from gminus2.data import TimeHistogram
from gminus2.errors import DataError, FitError, PhysicsError
from gminus2.random import stream

OPTICS = ring_optics(0.108)


def truth_of(toy: RotationToy) -> float:
    return toy.mean(lambda f: electric_field_ppb(f, OPTICS.alpha_p))


def fit_error(result: FastRotationResult) -> float:
    rows = result.correction.rows_ppb
    return hypot(rows["statistics"], rows["fourier_method"], rows["momentum_time"])


@cache
def toy_with(khz_per_ns: float) -> RotationToy:
    return gaussian_toy(khz_per_ns=khz_per_ns)


@cache
def histogram_with(khz_per_ns: float) -> TimeHistogram:
    return toy_with(khz_per_ns).sample(stream(11, "rotation-toy", int(1e3 * khz_per_ns)), 1e8)


@pytest.mark.parametrize("khz_per_ns", [0.0, 0.1, -0.1])
def test_c_e_of_1e8_muons_is_within_1_percent_whatever_the_momentum_time_correlation(khz_per_ns: float) -> None:
    result = analyse_fast_rotation(histogram_with(khz_per_ns))
    truth = truth_of(toy_with(khz_per_ns))
    assert abs(result.correction.value_ppb / truth - 1.0) < 0.01
    assert abs(result.correction.value_ppb - truth) < 3.0 * fit_error(result)
    assert fit_error(result) < 5.0
    assert result.p_value > 1e-3
    # ⟨τ|f⟩ = s f with s = cov/var: 0.1·25² ns·kHz over (10² + 2.5²) kHz², momenta run against frequencies.
    expected = -0.1 * 25.0**2 / (25.0 * hypot(10.0, 2.5)) * np.sign(khz_per_ns)
    assert result.correlation == pytest.approx(expected, abs=0.02)


def test_the_cosine_transform_is_right_without_correlation_and_its_bias_is_announced_with_it() -> None:
    plain = analyse_fast_rotation(histogram_with(0.0))
    assert plain.cosine_ppb is not None
    value, error = plain.cosine_ppb
    assert abs(value - truth_of(toy_with(0.0))) < 4.0 * error + 4.0
    assert not plain.warnings
    correlated = analyse_fast_rotation(histogram_with(0.1))
    assert correlated.cosine_ppb is not None
    assert correlated.cosine_ppb[0] < 0.75 * truth_of(toy_with(0.1))
    assert any("cosine transform differs" in warning for warning in correlated.warnings)


@pytest.mark.parametrize("start_us", [10.0, 20.0])
def test_a_later_start_agrees_within_its_larger_error(start_us: float) -> None:
    early = analyse_fast_rotation(histogram_with(0.1))
    late = analyse_fast_rotation(histogram_with(0.1), FastRotationOptions(start_us=start_us))
    assert fit_error(late) > 1.3 * fit_error(early)
    assert abs(late.correction.value_ppb - truth_of(toy_with(0.1))) < 3.0 * fit_error(late)


def test_a_start_after_the_bunches_have_spread_is_refused_with_the_reason() -> None:
    with pytest.raises((DataError, FitError), match=r"does not determine C_e|no fast rotation|did not converge"):
        analyse_fast_rotation(histogram_with(0.0), FastRotationOptions(start_us=45.0))


def test_a_trident_bunch_with_curved_correlation_is_reconstructed() -> None:
    def density(f: np.ndarray, tau: np.ndarray) -> np.ndarray:
        bunch = sum(
            height * np.exp(-0.5 * ((tau - at) / width) ** 2)
            for height, at, width in ((0.7, -35.0, 11.0), (1.0, 0.0, 13.0), (0.8, 38.0, 10.0))
        )
        mean = 6702.0 - 5.0 * (tau / 40.0) ** 2 + 0.06 * tau
        return np.asarray(np.exp(-0.5 * ((f - mean) / 9.0) ** 2) * bunch * (1.0 + 0.5 * np.tanh((f - 6700.0) / 8.0)))

    toy = make_toy(density)
    result = analyse_fast_rotation(toy.sample(stream(12, "trident"), 1e8))
    assert abs(result.correction.value_ppb - truth_of(toy)) < 3.0 * fit_error(result)
    assert abs(result.correction.value_ppb / truth_of(toy) - 1.0) < 0.05
    # The three heads of the bunch are seen.
    profile, tau = result.density.time_density, result.density.tau_us
    peaks = [k for k in range(1, len(tau) - 1) if profile[k] == profile[k - 1 : k + 2].max() > 0.3 * profile.max()]
    assert len(peaks) == 3


def test_four_detectors_around_the_ring_give_what_one_gives() -> None:
    toy = gaussian_toy(khz_per_ns=0.1, detectors=4)
    histogram = toy.sample(stream(13, "detectors"), 1e8)
    result = analyse_fast_rotation(histogram)
    assert abs(result.correction.value_ppb - truth_of(toy)) < 3.0 * fit_error(result)
    # Added up in time without their phases, the detectors show no rotation.
    summed = TimeHistogram(histogram.counts.sum(axis=0)[None], 0.0, histogram.width_us, ("sum",))
    with pytest.raises((DataError, FitError)):
        analyse_fast_rotation(summed)


def test_an_already_normalised_signal_without_errors_is_understood() -> None:
    counts = histogram_with(0.0).counts[0]
    t = histogram_with(0.0).centres_us(0)
    expected = np.exp(-t / 64.38) * (1.0 + 0.37 * np.cos(1.4393 * t + 2.1))
    signal = counts / expected
    signal /= signal[4000:].mean()
    result = analyse_fast_rotation(TimeHistogram(signal[None], 0.0, 1e-3, ("signal",)))
    assert abs(result.correction.value_ppb - truth_of(toy_with(0.0))) < 4.0 * fit_error(result)


def test_covariance_of_momentum_and_time_is_measured() -> None:
    result = analyse_fast_rotation(histogram_with(0.1))
    found = time_covariance(result.density, lambda f: 1e3 * f)
    # cov(f, τ) = slope · σ_τ²: 0.1 kHz/ns · (25 ns)² = 0.0625 kHz µs.
    assert found.value == pytest.approx(0.0625, abs=max(4.0 * found.total, 0.0007))


def _coarse() -> TimeHistogram:
    return histogram_with(0.0).rebinned(30)


def _short() -> TimeHistogram:
    whole = histogram_with(0.0)
    return TimeHistogram(whole.counts[:, :30_000], 0.0, 1e-3, whole.labels)


def _randomised() -> TimeHistogram:
    t = histogram_with(0.0).centres_us(0)
    rate = 2e3 * np.exp(-t / 64.38) * (1.0 + 0.37 * np.cos(1.4393 * t + 2.1))
    return TimeHistogram(stream(14, "flat").poisson(rate)[None].astype(float), 0.0, 1e-3, ("flat",))


def _few() -> TimeHistogram:
    return toy_with(0.0).sample(stream(15, "few"), 1e4)


def _undecaying() -> TimeHistogram:
    return TimeHistogram(stream(16, "undecaying").poisson(50.0, (1, 200_000)).astype(float), 0.0, 1e-3, ("dark",))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_coarse, "too coarse"),
        (_short, "too short"),
        (_randomised, "no fast rotation"),
        (_few, "too few counts"),
        (_undecaying, "do not decay|no fast rotation"),
    ],
)
def test_data_without_a_usable_rotation_are_refused(make: Callable[[], TimeHistogram], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        analyse_fast_rotation(make())


@pytest.mark.parametrize("field_index", [-0.1, 0.0, 1.2])
def test_a_field_index_that_stores_no_beam_is_refused(field_index: float) -> None:
    with pytest.raises(PhysicsError, match="stores no beam"):
        analyse_fast_rotation(histogram_with(0.0), FastRotationOptions(field_index=field_index))


def test_windows_outside_the_data_are_refused() -> None:
    with pytest.raises(DataError, match="beyond the data"):
        analyse_fast_rotation(histogram_with(0.0), FastRotationOptions(stop_us=400.0))
