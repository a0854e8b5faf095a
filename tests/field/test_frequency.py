"""FID frequencies against the Cramér–Rao bound, the true frequency of simulated records, and the prototype's table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gminus2.errors import ConfigError, DataError
from gminus2.field.extraction import gradient_bias_ppb
from gminus2.field.frequency import Flag, frequency, make_template, window_crlb
from gminus2.field.reference_estimators import hilbert, zero_crossing
from gminus2.physics.nmr import (
    HZ_PER_PPB,
    RecordFormat,
    crlb,
    degradation_factor,
    long_record_crlb,
    probe_sample,
    record_format,
)
from gminus2.simulation.magnet.fid import FLAT, Baseline, envelope_table, simulate_fids

FIXED = record_format("fixed").with_(noise_adc=15.0)
TROLLEY = record_format("trolley")


def _truth(n: int, seed: int = 3) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.random.default_rng(seed).uniform(48e3, 52e3, n)


def _records(record: RecordFormat, f: Any, gradient: float = 0.0, curvature: float = 0.0, **options: Any) -> Any:
    table = envelope_table(record, probe_sample(record.name), [gradient], [curvature])
    return simulate_fids(record, table, f, seed=1, **options)


@pytest.mark.parametrize(("record", "t2_ms"), [(FIXED, 0.5), (FIXED, 1.0), (TROLLEY, 4.0)])
def test_every_model_reaches_the_cramer_rao_bound_and_states_its_error(record: RecordFormat, t2_ms: float) -> None:
    record = record.with_(t2_ms=t2_ms)
    f = _truth(2000)
    y = _records(record, f, baseline=FLAT)
    first = int(np.ceil(record.pulse_sample + 60e-6 * record.fs_hz))
    tau = (first - record.pulse_sample + np.arange(record.n_samples - first)) / record.fs_hz
    for model in ("p1", "odd3", "odd5", "p3", "p5"):
        result = frequency(y, record.fs_hz, record.t_pulse_s, model, 0.10)
        error = result.f_hz - f
        bound = window_crlb(result, tau[0], record.fs_hz, np.exp(-tau / (t2_ms * 1e-3)), model, record.snr)
        assert 0.95 < np.sqrt(np.mean((error / bound) ** 2)) < 1.10, model
        assert np.std(error / result.sigma_hz) == pytest.approx(1.0, abs=0.05), model
        assert abs(np.mean(error / bound)) < 0.09, model  # 4 standard errors of the mean


def test_bound_of_a_long_record_is_the_closed_form() -> None:
    tau = np.arange(0, 30e-3, 1e-6) + 0.5e-6
    for degree, model in ((1, "p1"), (3, "p3"), (5, "p5")):
        expected = long_record_crlb(500.0, 1e-6, 1e-3) * degradation_factor(degree)
        assert crlb(tau, np.exp(-tau / 1e-3), 500.0, model) == pytest.approx(expected, rel=2e-3)
    odd = crlb(tau, np.exp(-tau / 1e-3), 500.0, "odd5") / long_record_crlb(500.0, 1e-6, 1e-3)
    assert odd == pytest.approx(1.626, abs=3e-3)


def test_pulls_stay_one_when_the_noise_is_band_limited() -> None:
    f = _truth(1500, 5)
    y = _records(FIXED.with_(noise_adc=30.0), f, baseline=FLAT, noise_lowpass_hz=200e3)
    result = frequency(y, FIXED.fs_hz, FIXED.t_pulse_s, "odd5", 0.10)
    assert np.std((result.f_hz - f) / result.sigma_hz) == pytest.approx(1.0, abs=0.06)


def test_bias_without_gradient_is_below_a_tenth_of_a_ppb() -> None:
    f = _truth(400)
    for record in (FIXED, TROLLEY):
        y = _records(record.with_(noise_adc=0.0), f, baseline=FLAT)
        for model in ("p1", "odd3", "odd5"):
            error = frequency(y, record.fs_hz, record.t_pulse_s, model).f_hz - f
            assert abs(error.mean()) < 0.1 * HZ_PER_PPB


def test_bias_with_the_trolley_gradient_is_below_half_a_ppb() -> None:
    # 0.16 ppm/mm and 1.6 ppb/mm²
    assert abs(gradient_bias_ppb(10.0, 0.1)) < 0.5


@pytest.mark.parametrize(
    ("probe", "gradient", "curvature", "model", "window", "expected", "tolerance"),
    [
        # docs/physics/field.md §4, rows D and E of the prototype's table (bias in ppb)
        ("fixed", 30.0, 0.5, "p1", 0.10, -254.0, 3.0),
        ("fixed", 30.0, 0.5, "odd5", 0.10, -72.0, 2.0),
        ("fixed", 30.0, 0.5, "odd5", 0.37, -5.7, 0.6),
        ("fixed", 30.0, 0.5, "p3", 0.10, -390.0, 5.0),
        ("fixed", 30.0, 0.5, "p3", 0.37, -59.0, 4.0),
        ("trolley", 10.0, 0.1, "p1", 0.10, -15.0, 0.6),
        ("trolley", 10.0, 0.1, "odd5", 0.10, -1.8, 0.1),
        ("trolley", 10.0, 0.1, "odd5", 0.37, -0.36, 0.03),
        ("trolley", 10.0, 0.1, "p3", 0.10, -6.3, 0.2),
    ],
)
def test_bad_gradient_table(
    probe: str, gradient: float, curvature: float, model: str, window: float, expected: float, tolerance: float
) -> None:
    assert gradient_bias_ppb(gradient, curvature, model, window, probe) == pytest.approx(expected, abs=tolerance)


def test_a_pure_gradient_with_baseline_leaves_no_bias() -> None:
    f = _truth(400)
    y = _records(FIXED.with_(t2_ms=40.0), f, gradient=45.0, baseline=Baseline())
    for model, spread in (("p1", 1.1), ("odd5", 3.8)):
        error = (frequency(y, FIXED.fs_hz, FIXED.t_pulse_s, model, 0.10).f_hz - f) / HZ_PER_PPB
        assert abs(error.mean()) < 4 * spread / 20
        assert error.std() < spread


def test_template_reaches_the_precision_of_a_line_with_a_constant_offset() -> None:
    f = _truth(400)
    y = _records(FIXED.with_(t2_ms=40.0), f, gradient=30.0, curvature=0.5, baseline=FLAT)
    template = make_template(y[:200], FIXED.fs_hz, FIXED.t_pulse_s)
    error = frequency(y, FIXED.fs_hz, FIXED.t_pulse_s, "template", 0.1, template=template).f_hz - f
    assert error.std() < 0.6 * HZ_PER_PPB
    assert abs(error.mean()) < 10 * HZ_PER_PPB


def test_comparison_estimators_agree_within_their_own_scatter() -> None:
    f = _truth(60)
    y = _records(FIXED, f, baseline=FLAT)
    for estimate, spread in ((zero_crossing, 25.0), (hilbert, 2.5)):
        error = (estimate(y, FIXED.fs_hz, FIXED.t_pulse_s) - f) / HZ_PER_PPB
        assert error.std() < spread
        assert abs(error.mean()) < 4 * spread / np.sqrt(60)


def test_noise_does_not_depend_on_where_the_adc_puts_zero() -> None:
    y = _records(FIXED, _truth(20))
    shifted = (y.astype(np.int32) + 32768).astype(np.uint16)
    a = frequency(y, FIXED.fs_hz, FIXED.t_pulse_s)
    b = frequency(shifted, FIXED.fs_hz, FIXED.t_pulse_s)
    np.testing.assert_array_equal(a.f_hz, b.f_hz)


def test_bad_records_are_flagged_and_do_not_disturb_the_others() -> None:
    y = _records(FIXED, np.full(9, 50.3e3)).astype(np.float64)
    clean = frequency(y, FIXED.fs_hz, FIXED.t_pulse_s)
    assert clean.is_good.all()
    bad = y.copy()
    bad[0, 100] = np.nan
    bad[1] = 0.0
    bad[2] = 15.0 * np.random.default_rng(1).normal(size=4096)
    bad[3, 900] += 2e5
    bad[4, 2000:] += 3000.0
    result = frequency(bad, FIXED.fs_hz, FIXED.t_pulse_s)
    assert result.flags[0] & Flag.NOT_FINITE
    assert np.isnan(result.f_hz[0])
    assert result.flags[1] & (Flag.NO_SIGNAL | Flag.LOW_AMPLITUDE)
    assert not result.is_good[2]
    assert result.flags[3] & (Flag.SPIKE | Flag.BAD_FIT)
    assert result.flags[4] & Flag.BASELINE_JUMP
    np.testing.assert_array_equal(result.f_hz[5:], clean.f_hz[5:])
    assert not result.flags[5:].any()


def test_saturation_gradient_and_band_are_flagged() -> None:
    loud = _records(FIXED.with_(amplitude_adc=60e3), [50e3])
    assert frequency(loud, FIXED.fs_hz, FIXED.t_pulse_s).flags[0] & Flag.SATURATION
    steep = _records(FIXED.with_(t2_ms=40.0), _truth(50), gradient=60.0, curvature=2.0)
    flags = frequency(steep, FIXED.fs_hz, FIXED.t_pulse_s, window=0.1).flags
    assert np.mean((flags & int(Flag.GRADIENT_LIMITED | Flag.NODE | Flag.SHORT_WINDOW)) != 0) > 0.9
    wrong_rate = frequency(_records(FIXED, [50e3] * 3), 1.4e6, FIXED.pulse_sample / 1.4e6, f_start_hz=55e3)
    assert (wrong_rate.flags & int(Flag.OUT_OF_BAND | Flag.BAD_FIT | Flag.NO_SIGNAL)).all()


def test_impossible_requests_are_refused() -> None:
    y = np.zeros((2, 4096), dtype=np.int16)
    with pytest.raises(ConfigError, match="no frequency model 'odd7'"):
        frequency(y, 1e6, 0.4e-3, "odd7")
    with pytest.raises(ConfigError, match=r"1\.5 carrier periods"):
        frequency(y, 1e6, 0.4e-3, block=20, short_block=20)
    with pytest.raises(DataError, match="n_fid, n_sample"):
        frequency(np.zeros(10), 1e6, 0.0)
    with pytest.raises(DataError, match="many FIDs"):
        make_template(y, 1e6, 0.4e-3)
