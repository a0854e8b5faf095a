"""Muon weighting: moments against grid, Gaussian moments against algebra, shifts below the bin width."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gminus2.data import make_provenance
from gminus2.data.muon_profile import MuonProfile, gaussian_profile
from gminus2.errors import DataError
from gminus2.field.weighting import average_by_grid, average_by_moments, profile_shift_hz, rebin_counts
from gminus2.physics.multipoles import MOMENTS, basis

RING = np.array([51_871.0, 12.0, 37.0, -80.0, 28.0, 1.0, 17.0, 4.0, -86.0])


def test_moments_and_grid_agree_to_rounding() -> None:
    profile = gaussian_profile(5.7, 0.3, 9.3, 12.8, closed_orbit_mm=1.0)
    moments = np.random.default_rng(1).normal(size=(72, 9)) * 50 + RING
    by_moments = average_by_moments(moments, profile, profile.azimuth_deg)
    np.testing.assert_allclose(by_moments, average_by_grid(moments, profile), rtol=1e-13)


def test_binned_average_agrees_with_a_fine_integral_to_a_tenth_of_a_ppb() -> None:
    profile = gaussian_profile(4.0, -1.0, 9.0, 11.0, beta_modulation=0.0, n_azimuth=4)
    axis = np.arange(-45, 45, 0.1) + 0.05
    x, y = np.meshgrid(axis, axis)
    density = np.exp(-0.5 * ((x - 4) / 9) ** 2 - 0.5 * ((y + 1) / 11) ** 2) * (np.hypot(x, y) < 45)
    fine = float((density * (basis(x, y, MOMENTS) @ RING)).sum() / density.sum())
    # 2-mm bins: second moments are wider by 1/3 mm² in both directions, which cancels in the multipoles.
    assert average_by_moments(RING[None, :], profile, np.array([0.0]))[0] == pytest.approx(fine, abs=0.1 * 0.06179)


def test_moments_of_a_narrow_gaussian_are_the_analytic_ones() -> None:
    k = dict(zip(MOMENTS, gaussian_profile(5.0, 2.0, 6.0, 7.0, beta_modulation=0).moments()[0], strict=True))
    assert k["D"] == pytest.approx(1.0)
    assert k["NQ"] == pytest.approx(5 / 45, rel=1e-4)
    assert k["SQ"] == pytest.approx(2 / 45, rel=1e-4)
    assert k["NS"] == pytest.approx((25 + 36 - 4 - 49) / 45**2, abs=2e-5)
    assert k["SS"] == pytest.approx(2 * 5 * 2 / 45**2, rel=1e-3)


def test_a_millimetre_in_half_a_ppm_of_quadrupole_costs_11_ppb() -> None:
    ring = np.zeros(9)
    ring[MOMENTS.index("NQ")] = 0.5 * 61.79
    shift = profile_shift_hz(ring, gaussian_profile(5.7, 0.0, 9.3, 12.8), dx_mm=1.0)
    assert shift / 0.06179 == pytest.approx(11.1, abs=0.05)


def test_counts_are_conserved_when_rebinned() -> None:
    time, counts = np.arange(30.0, 6000.0, 60.0), np.random.default_rng(1).poisson(1000, 100).astype(float)
    edges = np.arange(-35.0, 6100.0, 7.0)
    moved = rebin_counts(time, counts, edges)
    assert moved.sum() == pytest.approx(counts.sum())
    centre = 0.5 * (edges[1:] + edges[:-1])
    assert moved @ centre / moved.sum() == pytest.approx(counts @ time / counts.sum(), abs=0.1)


def test_profiles_are_stored_and_bad_ones_refused(tmp_path: Path) -> None:
    profile = gaussian_profile(5.7, 0.3, 9.3, 12.8)
    profile.write(tmp_path / "m.h5", make_provenance("test"))
    np.testing.assert_array_equal(MuonProfile.read(tmp_path / "m.h5").weight, profile.weight)
    with pytest.raises(DataError, match="negative or non-finite"):
        MuonProfile(profile.azimuth_deg, profile.x_mm, profile.y_mm, -profile.weight)
    with pytest.raises(DataError, match="wrong shape"):
        MuonProfile(profile.azimuth_deg, profile.x_mm, profile.y_mm, profile.weight[:3])
    with pytest.raises(DataError, match="empty inside"):
        MuonProfile(profile.azimuth_deg, profile.x_mm, profile.y_mm, np.zeros_like(profile.weight))
