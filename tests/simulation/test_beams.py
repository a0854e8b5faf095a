"""The closed-form beam of a campaign: radial field, damaged plates and the CBO frequency they make."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import curve_fit

from gminus2.config.campaign import BeamConfig, load_campaign
from gminus2.constants import RING_RADIUS_MM
from gminus2.precession.models.drifts import drift_table
from gminus2.simulation.beams import lattice_of


def test_a_radial_field_raises_the_beam_all_around_the_ring() -> None:
    """y = R₀ b/n for quadrupoles smeared around the ring; real plates: within 2 %, and flat to a fifth."""
    lattice = lattice_of(BeamConfig(radial_field_ppm=60.0))
    height = -lattice.column("orbit_y")[-1]
    assert height.mean() == pytest.approx(RING_RADIUS_MM * 60e-6 / 0.108, rel=0.02)
    assert np.ptp(height) < 0.2 * height.mean()
    assert np.abs(lattice.column("orbit_x")).max() < 1e-9
    assert np.abs(lattice_of(BeamConfig()).column("orbit_y")).max() == 0.0


@pytest.mark.parametrize("name", ["demo", "run1"])
def test_run1_plates_make_the_recorded_drift_of_the_cbo_phase(name: str) -> None:
    """The slow term A e^(−t/τ) of tracker station 12 for 60h, HighKick, 9day and EndGame."""
    campaign = load_campaign(name)
    for data, table in zip(campaign.datasets, ("K:60h", "K:HighKick", "K:9day", "K:EndGame"), strict=True):
        lattice = lattice_of(data.beam)
        phase = 2.0 * np.pi * (lattice.phase_shift_x[-1] - lattice.phase_shift_x)
        start = (3.0, 60.0, 1.0, 6.0)
        (slow, tau, _, _), _ = curve_fit(
            lambda t, a, ta, b, tb: a * np.exp(-t / ta) + b * np.exp(-t / tb), lattice.time_us, phase, p0=start
        )
        recorded = drift_table(table)
        assert abs(slow) == pytest.approx(recorded.amplitude, rel=0.03)
        assert tau == pytest.approx(recorded.tau_us, rel=0.02)
