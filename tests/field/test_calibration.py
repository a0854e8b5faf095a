"""The calibration chain against the talk's table, and the swap algebra against Monte Carlo."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gminus2.config.field import FieldSection
from gminus2.errors import DataError
from gminus2.field.calibration import aba_matrix, aba_weight, absolute_table, calibrate_trolley
from gminus2.physics.nmr import HZ_PER_PPB, plunging_probe_correction, water_density, water_susceptibility
from gminus2.simulation.magnet.campaigns import simulate_calibration
from gminus2.simulation.magnet.truth import draw_instruments


def test_rows_and_totals_of_the_talks_table() -> None:
    rows = {row["symbol"]: row for row in absolute_table()}
    printed = {
        "delta_T": (-99.1, -86.0, 5),
        "delta_b": (-1505.9, -1505.6, 6),
        "delta_s": (15.2, 15.2, 12),
        "delta_w": (0, 0, 2),
        "delta_RD": (0, 0, 3),
        "delta_d": (0, 0, 2),
        "total": (-1589.8, -1576.4, 15),
    }
    for symbol, (low, high, sigma) in printed.items():
        assert rows[symbol]["low_ppb"] == pytest.approx(low, abs=0.11), symbol
        assert rows[symbol]["high_ppb"] == pytest.approx(high, abs=0.11), symbol
        assert rows[symbol]["sigma_ppb"] == pytest.approx(sigma, abs=0.15), symbol


def test_bulk_correction_shrinks_with_temperature_because_water_expands() -> None:
    slope = (water_susceptibility(26.4) / water_susceptibility(25.13) - 1) / 1.27
    assert slope == pytest.approx(-1.3e-4, abs=0.1e-4)
    # Density of water against handbook values.
    assert water_density(4.0) == pytest.approx(0.999972, abs=3e-6)
    assert water_density(30.0) == pytest.approx(0.995649, abs=3e-6)
    # 0.4 % of χ is the ±6 ppb of the table.
    delta_b = plunging_probe_correction(25.5, 34.7).rows["delta_b"][0]
    assert abs(delta_b) * 0.004 * 1e9 == pytest.approx(6.0, abs=0.3)


def test_aba_is_exact_for_a_linear_drift_and_its_variance_is_the_stated_one() -> None:
    time = np.array([0.0, 110.0, 240.0, 370.0, 480.0])
    rows = aba_matrix(time)
    drift = 3.0 + 0.02 * time
    readings = drift + np.where(np.arange(5) % 2 == 1, 5.0, 0.0)
    np.testing.assert_allclose(rows @ readings, 5.0, atol=1e-12)
    w = aba_weight(0.0, 110.0, 240.0)
    noise = np.random.default_rng(1).normal(size=(40_000, 5)) * np.array([1.0, 2.0, 0.5, 1.0, 1.0])
    differences = noise @ rows.T
    assert differences[:, 0].var() == pytest.approx(2.0**2 + w**2 * 0.5**2 + (1 - w) ** 2 * 1.0, rel=0.03)
    shared = rows @ np.diag(np.array([1.0, 2.0, 0.5, 1.0, 1.0]) ** 2) @ rows.T
    np.testing.assert_allclose(np.cov(differences.T), shared, atol=0.06)


def test_constants_of_a_simulated_campaign_come_back_within_their_errors() -> None:
    pulls = []
    for seed in range(12):
        section = FieldSection()
        instrument = draw_instruments(section, seed, perfect=True)
        campaign = simulate_calibration(section, instrument, seed, 0.0)
        found = calibrate_trolley(campaign, 34.7, per_probe_ppb=0.0, common_ppb=0.0)
        pulls.append((found.constants_hz - instrument.calibration_constant_hz) / found.per_probe_hz)
        assert found.chi2 == pytest.approx(found.n_dof, abs=5 * np.sqrt(2 * found.n_dof))
    assert np.std(pulls) == pytest.approx(1.0, abs=0.15)
    assert np.median(found.per_probe_hz) < 20 * HZ_PER_PPB


def test_misaligned_probes_are_corrected_with_the_imposed_gradients() -> None:
    section = FieldSection.model_validate(
        {"calibration": {"misalignment_mm": 3.0, "shim_gradient_hz_per_mm": 2.0, "reading_noise_hz": 1e-4}}
    )
    instrument = draw_instruments(section, 3, perfect=True)
    campaign = simulate_calibration(section, instrument, 3, 0.0)
    found = calibrate_trolley(campaign, 34.7, per_probe_ppb=0.0, common_ppb=0.0)
    error = found.constants_hz - instrument.calibration_constant_hz
    # The gradient at the spot is known to 10 %: that is what is left of a shift of about 10 Hz.
    assert np.std(error / found.alignment_hz) == pytest.approx(1.0, abs=0.35)
    flat = replace(campaign, shim_gradient_hz_per_mm=np.zeros((17, 3)))
    ignored = calibrate_trolley(flat, 34.7, per_probe_ppb=0.0, common_ppb=0.0)
    assert np.std(ignored.constants_hz - instrument.calibration_constant_hz) > 5 * np.std(error)


def test_impossible_campaigns_are_refused() -> None:
    section = FieldSection()
    campaign = simulate_calibration(section, draw_instruments(section, 1, perfect=True), 1, 0.0)
    with pytest.raises(DataError, match="wrong shape"):
        calibrate_trolley(replace(campaign, swap_f_hz=campaign.swap_f_hz[:16]), 34.7, per_probe_ppb=0, common_ppb=0)
    broken = campaign.swap_f_hz.copy()
    broken[2, 1] = np.nan
    with pytest.raises(DataError, match="not finite"):
        calibrate_trolley(replace(campaign, swap_f_hz=broken), 34.7, per_probe_ppb=0, common_ppb=0)
    with pytest.raises(DataError, match="same device"):
        aba_matrix(np.arange(4.0))
    with pytest.raises(DataError, match="order of time"):
        aba_weight(0.0, 5.0, 4.0)
