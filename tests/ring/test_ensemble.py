"""The stored beam: analytic states, drawing, files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gminus2.data import make_provenance
from gminus2.errors import DataError
from gminus2.random import stream
from gminus2.ring.closed_form import closed_form_beam
from gminus2.ring.ensemble import StoredBeam


@pytest.fixture(scope="module")
def beam() -> StoredBeam:
    return closed_form_beam(stream(1, "beam"), 20_000)


def test_states_of_a_beam_oscillate_with_the_cbo_frequency_at_a_fixed_azimuth(beam: StoredBeam) -> None:
    turns = np.arange(60)
    time = beam.injection_time_us[:, None] + (turns + 0.5) * beam.period_us[:, None]
    index = np.repeat(np.arange(len(beam)), turns.size)
    state = beam.states(index, time.ravel(), 1.43933)
    assert np.allclose(state.azimuth_rad, np.pi, atol=1e-6)
    mean = state.x_mm.reshape(len(beam), -1).mean(axis=0)
    # Project the centroid on the closed-form CBO of one turn: 2π(1 − ν_x).
    trial = np.linspace(0.04, 0.07, 601)
    power = np.abs(np.exp(-2j * np.pi * trial[:, None] * turns) @ (mean - mean.mean()))
    assert trial[np.argmax(power)] == pytest.approx(1.0 - beam.lattice.nu_x_final, abs=3e-4)
    assert np.ptp(mean) / 2 == pytest.approx(8.0, rel=0.15)


def test_corrections_of_the_default_beam_are_the_weighted_means_of_the_muons_shifts(beam: StoredBeam) -> None:
    total = beam.electric_field_correction() + beam.pitch_correction()
    assert beam.mean(beam.omega_a_shift) == pytest.approx(-total, rel=1e-3)
    assert 350e-9 < beam.electric_field_correction() < 550e-9
    assert 120e-9 < beam.pitch_correction() < 200e-9


def test_drawn_muons_keep_the_moments_and_the_correlations(beam: StoredBeam) -> None:
    drawn = beam.draw(stream(1, "draw"), 200_000)
    assert drawn.delta.mean() == pytest.approx(beam.delta.mean(), abs=4e-3 * beam.delta.std())
    assert drawn.delta.std() == pytest.approx(beam.delta.std(), rel=0.01)
    assert drawn.action_y_mm.mean() == pytest.approx(beam.action_y_mm.mean(), rel=0.01)
    assert drawn.spin_momentum_slope() == pytest.approx(1.0, rel=1e-6)
    assert np.unique(drawn.delta).size > 0.98 * len(drawn)


def test_a_beam_written_and_read_back_is_the_same(beam: StoredBeam, tmp_path: Path) -> None:
    path = tmp_path / "beam.h5"
    beam.write(path, make_provenance("test", seed=1))
    back = StoredBeam.read(path)
    assert np.array_equal(back.muon_matrix(), beam.muon_matrix())
    assert np.array_equal(back.loss_time_us, beam.loss_time_us)
    assert back.field_index == beam.field_index
    index, time = np.arange(100), np.linspace(20.0, 300.0, 100)
    assert np.array_equal(back.states(index, time, 1.4).x_mm, beam.states(index, time, 1.4).x_mm)
    again = back.draw(stream(2, "x"), 50)
    assert np.array_equal(again.delta, beam.draw(stream(2, "x"), 50).delta)


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "no.h5"
    path.write_bytes(b"nothing")
    with pytest.raises(DataError):
        StoredBeam.read(path)
