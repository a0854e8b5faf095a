"""The corrections that a dataset's own muons need."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gminus2.config.campaign import BeamConfig, DamagedPlate, Effects, load_campaign
from gminus2.pipeline.beam_truth import beam_truth
from gminus2.units import omega_reference


def test_run1_needs_a_large_phase_acceptance_correction_and_the_repaired_ring_a_small_one() -> None:
    """Published Run-1a … d: −184(96), −165(74), −117(60), −164(80) ppb; Run-2/3: −27(13) (unverified)."""
    demo = load_campaign("demo")
    published = {"a": (-184.0, 96.0), "d": (-164.0, 80.0)}
    for index, data in enumerate(demo.datasets):
        if data.name not in published:
            continue
        found = beam_truth(data.beam, demo.effects, seed=demo.seed, dataset=index)
        value, error = published[data.name]
        assert abs(found.corrections_ppb["C_pa"] - value) < error
        # Recorded in Run-1: the mean height drops by about 1 mm/ms, the width by about 0.5 mm/ms.
        early = found.time_us < 300.0
        slopes = [
            np.polyfit(1e-3 * found.time_us[early], v[early], 1)[0] for v in (found.height_mm, found.square_mm2**0.5)
        ]
        assert slopes[0] == pytest.approx(-1.0, abs=0.35)
        assert slopes[1] == pytest.approx(-0.5, abs=0.3)
    repaired = load_campaign(str(Path(__file__).parents[2] / "validation" / "repaired.toml"))
    found = beam_truth(repaired.datasets[0].beam, repaired.effects, seed=repaired.seed, dataset=0)
    assert -40.0 < found.corrections_ppb["C_pa"] < -5.0


def test_a_constant_beam_needs_no_phase_acceptance_correction() -> None:
    config = BeamConfig(loss_rate_per_us=0.0, radial_field_ppm=60.0)
    found = beam_truth(config, Effects(), seed=1, dataset=0)
    assert abs(found.corrections_ppb["C_pa"]) < 0.01
    assert abs(found.corrections_ppb["C_ml"]) < 0.01
    assert np.ptp(found.height_mm) < 1e-9


def test_a_falling_orbit_acts_through_the_height_at_which_the_beam_lies() -> None:
    """φ_d grows as |y|²: the same fall needs opposite corrections above and below the middle plane."""
    plates = (DamagedPlate(plate="Q1L", side="top", fraction=0.1, time_us=60.0),
              DamagedPlate(plate="Q3L", side="bottom", fraction=-0.1, time_us=60.0))  # fmt: skip
    above, middle, below = (
        beam_truth(
            BeamConfig(loss_rate_per_us=0.0, damaged_plates=plates, radial_field_ppm=field),
            Effects(),
            seed=1,
            dataset=0,
        )
        for field in (60.0, 0.0, -60.0)
    )
    base = middle.corrections_ppb["C_pa"]
    assert above.corrections_ppb["C_pa"] - base < -5.0
    assert above.corrections_ppb["C_pa"] - base == pytest.approx(base - below.corrections_ppb["C_pa"], rel=0.2)


def test_losses_move_the_mean_phase_by_the_closed_form() -> None:
    """C_ml = (dφ/dδ)(dδ/dt) seen by a straight line; the loss rate nearly constant."""
    config = BeamConfig(loss_rate_per_us=5e-5, loss_decay_us=1e5, loss_momentum_slope=-0.3)
    found = beam_truth(config, Effects(), seed=3, dataset=0)
    slope = 1.0 - 7.97e3 * 0.0509e-3
    drift = slope * 5e-5 * 300.0 * 1.12e-3**2
    assert found.corrections_ppb["C_ml"] == pytest.approx(-1e9 * drift / omega_reference, rel=0.12)
