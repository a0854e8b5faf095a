"""Frequency to momentum to C_e, against published relations and the ring's own formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gminus2.beam.electric_field import electric_field_ppb, frequency_range, momentum_offset, ring_optics
from gminus2.constants import F_CYCLOTRON_MHZ, GAMMA_MAGIC, MUON_MASS_MEV, RING_RADIUS_MM, SPEED_OF_LIGHT_MM_PER_US


def test_alpha_p_of_a_continuous_ring_is_1_over_1_minus_n() -> None:
    optics = ring_optics(0.12, "continuous")
    assert optics.alpha_p == pytest.approx(1.0 / 0.88, rel=1e-9)
    assert (optics.nu_x, optics.nu_y) == pytest.approx((math.sqrt(0.88), math.sqrt(0.12)), rel=1e-9)


def test_discrete_plates_lower_c_e_by_seven_permille_at_fixed_radius() -> None:
    # At fixed ⟨x_e²⟩ the ratio is [(α−1)/α²] over n(1−n); the tabulated lumped ring has 0.9934.
    alpha = ring_optics(0.108).alpha_p
    assert (alpha - 1.0) / alpha**2 / (0.108 * 0.892) == pytest.approx(0.9934, abs=0.002)


def test_momentum_from_frequency_agrees_with_a_circular_orbit() -> None:
    alpha = ring_optics(0.108).alpha_p
    delta = np.array([-4e-3, -1e-3, 2e-4, 3e-3])
    momentum = MUON_MASS_MEV * math.sqrt(GAMMA_MAGIC**2 - 1.0) * (1.0 + delta)
    speed = momentum / np.hypot(momentum, MUON_MASS_MEV) * SPEED_OF_LIGHT_MM_PER_US
    magic = math.sqrt(1.0 - GAMMA_MAGIC**-2) * SPEED_OF_LIGHT_MM_PER_US
    frequency = F_CYCLOTRON_MHZ * (speed / magic) / (1.0 + alpha * delta)
    assert momentum_offset(frequency, alpha) == pytest.approx(delta, rel=1e-9)


def test_c_e_of_1_32_permille_is_418_ppb() -> None:
    # Tracked muon of δ = 1.32e-3 in the lumped ring of n = 0.108: −417.88 ppb.
    alpha = 1.120055
    delta = 1.32e-3
    frequency = F_CYCLOTRON_MHZ * (1.0 - (alpha - GAMMA_MAGIC**-2) * delta)
    assert float(electric_field_ppb(np.array([frequency]), alpha)[0]) == pytest.approx(417.88, rel=4e-3)


def test_the_aperture_limits_the_frequencies() -> None:
    low, high = frequency_range(1.12)
    x = RING_RADIUS_MM * 1.12 * momentum_offset(np.array([low, high]), 1.12)
    assert x == pytest.approx([45.0, -45.0], rel=2e-3)
