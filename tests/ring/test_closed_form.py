"""The closed-form beam: what it refuses, and its losses."""

from __future__ import annotations

import numpy as np
import pytest

from gminus2.errors import PhysicsError
from gminus2.random import stream
from gminus2.ring.closed_form import closed_form_beam


def test_an_impossible_field_index_is_refused() -> None:
    with pytest.raises(PhysicsError, match="field index"):
        closed_form_beam(stream(1, "beam"), 10, field_index=1.2)


def test_losses_follow_the_requested_rate() -> None:
    beam = closed_form_beam(stream(3, "loss"), 100_000, loss_rate_per_us=2e-4, loss_decay_us=60.0)
    expected = 1.0 - np.exp(-2e-4 * 60.0)
    assert np.isfinite(beam.loss_time_us).mean() == pytest.approx(expected, rel=0.1)


def test_losses_at_large_vertical_amplitude_narrow_the_beam_and_keep_the_mean_rate() -> None:
    """Exponential actions (cut at the aperture): those lost with J¹ have ⟨J²⟩/⟨J⟩, and the beam narrows accordingly."""
    even, tall = (
        closed_form_beam(
            stream(3, "loss"), 200_000, loss_rate_per_us=1e-4, loss_decay_us=250.0, loss_vertical_power=power
        )
        for power in (0.0, 1.0)
    )
    assert np.isfinite(tall.loss_time_us).mean() == pytest.approx(np.isfinite(even.loss_time_us).mean(), rel=0.04)
    action = tall.action_y_mm
    lost = np.isfinite(tall.loss_time_us)
    assert action[lost].mean() == pytest.approx(np.mean(action**2) / action.mean(), rel=0.03)
    left = tall.loss_time_us > 300.0
    share = 1e-4 * 250.0 * (1.0 - np.exp(-300.0 / 250.0))
    excess = np.mean(action**2) / action.mean() - action.mean()
    assert action[left].mean() - action.mean() == pytest.approx(-share * excess, rel=0.1)
