"""The response of the precession fit to transients against full five-parameter fits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import least_squares

from gminus2.data.nmr import KickerCampaign, QuadCampaign
from gminus2.errors import DataError
from gminus2.field.transients import (
    GAMMA_TAU_US,
    decay_kernel,
    fit_kernel,
    kicker_correction,
    quad_correction,
    response,
)

TAU, OMEGA = 64.44, 2 * np.pi * 0.2291


def _refit(shape: Callable[[np.ndarray], np.ndarray], start: float, end: float) -> float:
    """Inject δω(t) = ε shape(t) into noise-free wiggles and return the change of the fitted ω over ε.

    The response depends by ±1 % on the phase of the wiggle at the start of the fit: the mean over four phases is taken.
    """
    return float(np.mean([_refit_one(shape, start, end, k * np.pi / 2) for k in range(4)]))


def _refit_one(shape: Callable[[np.ndarray], np.ndarray], start: float, end: float, start_phase: float) -> float:
    t = np.arange(start, end, 0.1492)
    fine = np.arange(0.0, end + 0.1, 0.02)
    area = np.concatenate([[0.0], np.cumsum(0.5 * (shape(fine)[1:] + shape(fine)[:-1]) * 0.02)])
    epsilon = 2e-6 * OMEGA
    phase = epsilon * np.interp(t, fine, area)

    def model(p: np.ndarray, extra: np.ndarray | float = 0.0) -> np.ndarray:
        return np.asarray(p[0] * np.exp(-t / p[1]) * (1 + p[2] * np.cos(p[3] * t + p[4] + extra)))

    truth = np.array([1.0, TAU, 0.37, OMEGA, start_phase])
    data = model(truth, phase)
    sigma = np.sqrt(np.exp(-t / TAU))
    fit = least_squares(
        lambda p: (model(p) - data) / sigma, truth, x_scale=[1, 1, 1, 1e-5, 1e-3], xtol=1e-15, ftol=1e-15, gtol=1e-15
    )
    return float((fit.x[3] - OMEGA) / epsilon)


def _kernel(shape: Callable[[np.ndarray], np.ndarray], start: float, end: float, average: str) -> float:
    t = np.arange(0.0, 700.0, 0.5)
    weight = (fit_kernel if average == "kernel" else decay_kernel)(t, start, end, TAU)
    return float((weight * shape(t)).sum() / weight.sum())


@pytest.mark.parametrize(
    ("shape", "end", "tabled_mean", "tabled_fit"),
    [
        (lambda t: np.exp(-t / 20), 650.0, 0.0529, 0.0123),
        (lambda t: np.exp(-t / 50), 650.0, 0.2398, 0.1044),
        (lambda t: np.exp(-t / 60), 650.0, 0.2925, 0.1407),
        (lambda t: np.exp(-t / 100), 650.0, 0.4505, 0.2740),
        (lambda t: np.sin(2 * np.pi * t * 1e-3), 650.0, 0.503, 0.707),
        (lambda t: np.cos(2 * np.pi * t * 1e-3), 650.0, 0.779, 0.498),
        (lambda t: np.exp(-t / 50), 300.0, 0.2398, 0.1288),
    ],
)
def test_kernel_agrees_with_full_refits_of_injected_transients(
    shape: Callable[[np.ndarray], np.ndarray], end: float, tabled_mean: float, tabled_fit: float
) -> None:
    fitted = _refit(shape, 30.0, end)
    assert fitted == pytest.approx(tabled_fit, rel=0.03)  # the table was made at one phase
    assert _kernel(shape, 30.0, end, "kernel") == pytest.approx(fitted, rel=0.005)
    if end == 650.0:
        assert _kernel(shape, 30.0, end, "decay") == pytest.approx(tabled_mean, abs=0.004)


def test_a_constant_is_returned_exactly_by_both_averages() -> None:
    t = np.arange(0.0, 700.0, 5.0)
    for average in ("kernel", "decay"):
        value, weight = response(t, np.full(len(t), 3.0), 30.0, 650.0, average=average)
        assert float(value) == pytest.approx(3.0, rel=1e-12)
        assert weight.sum() == pytest.approx(1.0)


def test_a_linear_drift_is_seen_at_two_lifetimes_after_the_start() -> None:
    t = np.arange(0.0, 1000.0, 1.0)
    seen, _ = response(t, t, 30.0, 950.0)
    mean, _ = response(t, t, 30.0, 950.0, average="decay")
    assert float(seen) == pytest.approx(30 + 2 * GAMMA_TAU_US, rel=2e-3)
    assert float(mean) == pytest.approx(30 + GAMMA_TAU_US, rel=2e-3)


def test_kicker_and_quadrupole_corrections_have_the_published_size() -> None:
    t = np.arange(0.0, 800.0, 2.0)
    noise = np.random.default_rng(1).normal(size=(50, len(t)))
    kick = kicker_correction(
        KickerCampaign(t, -3000 * np.exp(-t / 50) + noise), 30.0, 650.0, scale_sigma=0.5, baseline_ppb=34.0
    )
    assert kick.value_ppb == pytest.approx(-27, abs=0.5)
    assert kick.decay_mean_ppb / kick.value_ppb == pytest.approx(2.3, abs=0.03)
    assert kick.sigma_ppb == pytest.approx(37, abs=1)
    spots = -40 * np.array([0.5, 1.0, 1.5])[None, :, None] * np.ones((8, 1, len(t)))
    quad = quad_correction(QuadCampaign(t, spots), 30.0, 650.0, offset_ppb=88.0)
    assert quad.value_ppb == pytest.approx(-17.3, abs=0.1)
    assert quad.statistical_ppb == pytest.approx(0.4333 * 20 / np.sqrt(3), rel=1e-3)


def test_a_trace_that_starts_late_is_refused() -> None:
    with pytest.raises(DataError, match="from the start of the fit"):
        response(np.arange(40.0, 800.0), np.zeros(760), 30.0, 650.0)
