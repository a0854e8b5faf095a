"""Pileup, gain and lost muons against events and against other derivations."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gminus2.data.campaign import AXES, CampaignDataset, empty_shared
from gminus2.errors import DataError
from gminus2.precession.corrections import (
    CHAIN,
    FROM_FIRST,
    SMOOTH,
    convolution_pileup,
    fit_pileup_scale,
    lost_muon_spectrum,
    shadow_error_factor,
    shift_energies,
)
from gminus2.precession.corrections.convolution import propagation_matrix
from gminus2.precession.corrections.gain import sag_shape
from gminus2.precession.corrections.lost_muons import lost_muon_counts
from gminus2.precession.methods.prepared import fast_rotation_factor

BIN_US = 0.1492
DEAD_US = 0.005


def _hits(rng: np.random.Generator, fills: int, mean: float) -> tuple[np.ndarray, np.ndarray]:
    """Times and energies of pulses of one calorimeter, all fills one after the other, far apart."""
    number = rng.poisson(mean, fills)
    fill = np.repeat(np.arange(fills), number)
    time = fill * 10.0 + rng.random(fill.size) * BIN_US * 4.0
    order = np.argsort(time)
    # Energies on the grid of the bins' centres, between 0.5 and 3 GeV.
    return time[order], 25.0 + 50.0 * rng.integers(10, 60, fill.size)


def _chain(time: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """Energies after merging with the chain rule, pulse by pulse."""
    first = np.concatenate([[True], np.diff(time) >= DEAD_US])
    return np.bincount(np.cumsum(first) - 1, weights=energy)


def _spectrum(energy: np.ndarray, bins: int = 256) -> np.ndarray:
    return np.histogram(energy, bins=bins, range=(0.0, 50.0 * bins))[0].astype(float)


def test_convolution_recovers_the_true_spectrum_of_events() -> None:
    """Double and triple pileup of a toy at 10 % occupancy: above the endpoint nothing is left."""
    rng = np.random.default_rng(4)
    fills, mean = 150_000, 12.0
    time, energy = _hits(rng, fills, mean)
    merged = _chain(time, energy)
    # Energies on bin centres: sums of two lie on edges, which the convolution splits and this histogram does too.
    merged = merged + rng.uniform(-25.0, 25.0, merged.size)
    measured, true = _spectrum(merged), _spectrum(energy + rng.uniform(-25.0, 25.0, energy.size))
    first, second = convolution_pileup(measured[:, None], DEAD_US, 4.0 * BIN_US, fills, rule=CHAIN)
    above = slice(62, 250)
    left_one = measured[above].sum() - true[above].sum() - first[above, 0].sum()
    left_two = left_one - second[above, 0].sum()
    noise = math.sqrt(measured[above].sum())
    third = measured.sum() * (DEAD_US / (4.0 * BIN_US) * mean) ** 3
    assert measured[above].sum() > 50_000
    assert abs(left_two) < 4.0 * noise + 3.0 * third
    assert abs(left_one) > 5.0 * abs(left_two)
    # Triples only: above twice the endpoint.
    triples = slice(121, 250)
    assert (measured - first[:, 0] - second[:, 0])[triples].sum() == pytest.approx(
        0.0, abs=5.0 * math.sqrt(measured[triples].sum()) + 3.0 * third
    )


@pytest.mark.parametrize("rule", [CHAIN, FROM_FIRST, SMOOTH])
def test_merging_rules_conserve_energy(rule: object) -> None:
    assert 3.0 * rule.triple + 2.0 * rule.double + rule.single == pytest.approx(0.0)  # type: ignore[attr-defined]
    rng = np.random.default_rng(1)
    counts = np.zeros((128, 3))
    counts[10:40] = rng.poisson(30.0, (30, 3))
    first, second = convolution_pileup(counts, DEAD_US, BIN_US, 500.0, rule=rule)  # type: ignore[arg-type]
    energy = np.arange(128) + 0.5
    flow = energy @ counts
    assert np.all(np.abs(energy @ first) < 2e-3 * flow)
    assert np.all(np.abs(first.sum(axis=0) + counts.sum(axis=0) * (counts.sum(axis=0) - 1.0) * DEAD_US / BIN_US / 500.0)
                  < 1e-6 * flow)  # fmt: skip
    assert np.isfinite(second).all()


def test_propagation_matrix_is_the_derivative_of_the_correction() -> None:
    rng = np.random.default_rng(2)
    spectrum = np.zeros(64)
    spectrum[5:30] = 1e4 + 1e3 * rng.random(25)
    fills = 2e4
    matrix = propagation_matrix(spectrum, DEAD_US, BIN_US, fills)
    step = np.zeros(64)
    step[12] = 10.0

    def corrected(values: np.ndarray) -> np.ndarray:
        first, _ = convolution_pileup(values[:, None], DEAD_US, BIN_US, fills)
        return values - first[:, 0]

    slope = (corrected(spectrum + step) - corrected(spectrum - step)) / 20.0
    # The last bin collects the overflow in one and not in the other.
    assert slope[:-1] == pytest.approx(matrix[:-1, 12], abs=3e-5)


def test_shadow_variance_against_poisson_pairs() -> None:
    """1 + (2 N_neither + 6 N_both)/N is the scatter of corrected counts, pair by pair."""
    rng = np.random.default_rng(3)
    toys, single, both, neither = 20_000, 200.0, 20.0, 15.0
    n_both, n_neither = rng.poisson(both, toys), rng.poisson(neither, toys)
    # Both above: two hits in the data, doublet - singles = -1. Neither above but the sum: +1.
    corrected = rng.poisson(single, toys) + 2 * n_both + n_both - n_neither
    content = corrected.mean()
    factor = shadow_error_factor(np.array(content), np.array(neither), np.array(both))
    assert corrected.var() / content == pytest.approx(float(factor), rel=0.03)


def test_pileup_scale() -> None:
    counts, pileup = np.zeros((128, 4700)), np.zeros((128, 4700))
    counts[75, 1000], pileup[75, 1000] = 420.0, 400.0
    scale = fit_pileup_scale(counts, pileup)
    assert scale.value == pytest.approx(1.05)
    assert scale.error == pytest.approx(1.05 * math.sqrt(1 / 420 + 1 / 400))
    assert not fit_pileup_scale(0.0 * counts, pileup).measured
    with pytest.raises(DataError):
        fit_pileup_scale(counts, pileup[:10])


def test_shifted_energies_are_those_of_scaled_pulses() -> None:
    """Correcting the histogram is correcting each pulse and filling again."""
    rng = np.random.default_rng(5)
    energy = 500.0 + 2000.0 * rng.beta(2.0, 2.0, 2_000_000)
    loss = 0.004
    measured = np.histogram(energy * (1.0 - loss), bins=128, range=(0.0, 6400.0))[0].astype(float)
    true = np.histogram(energy, bins=128, range=(0.0, 6400.0))[0].astype(float)
    corrected = shift_energies(measured[:, None], np.array([loss]))[:, 0]
    assert corrected.sum() == pytest.approx(measured.sum())
    before, after = measured[34:].sum() - true[34:].sum(), corrected[34:].sum() - true[34:].sum()
    assert abs(after) < 0.05 * abs(before)


def test_sag_shape_is_the_integral_over_the_past() -> None:
    flow = np.zeros((1, 400))
    flow[0, 50:120] = 2.0
    shape = sag_shape(flow, 18.0)[0]
    t = AXES["time_width_us"] * (np.arange(400) + 0.5)
    fine = np.arange(50 * 8, 120 * 8) * AXES["time_width_us"] / 8 + AXES["time_width_us"] / 16
    at = 200
    direct = (2.0 / 8.0 * np.exp(-(t[at] - fine) / 18.0)).sum()
    assert shape[at] == pytest.approx(direct, rel=1e-5)
    assert shape[49] == 0.0


def test_lost_muons_are_counted_once() -> None:
    """Muons that visit four calorimeters make two triples and one quadruple."""
    coincidences = np.zeros((4, 4700))
    coincidences[0, 200:3000], coincidences[3, 200:3000] = 20.0 + 2 * 5.0 + 2.5, 5.0
    coincidences[1, 200:3000], coincidences[2, 200:3000] = 2.0, 2.5
    assert lost_muon_counts(coincidences)[1000] == pytest.approx(25.0)
    losses = lost_muon_spectrum(coincidences)
    assert losses is not None
    assert losses.edges_us[0] == pytest.approx(15.0, abs=0.1)
    assert lost_muon_spectrum(np.zeros((4, 4700))) is None


def test_fast_rotation_raises_pairs_by_its_mean_square() -> None:
    """Hits that come in a bunch once a turn make more pairs than their mean: 1 + a²/2 for one wave."""
    rng = np.random.default_rng(8)
    shared = empty_shared()
    t = np.arange(shared["fast_rotation"].shape[1])
    mean = 12.0 * (1.0 + 0.3 * np.cos(2.0 * math.pi * t / 149.2) * np.exp(-t / 60_000.0))
    shared["fast_rotation"][:4] = rng.poisson(mean, (4, t.size))
    dataset = CampaignDataset("a", 1, 1, {}, shared)
    factor = fast_rotation_factor(dataset)
    for at in (20.0, 60.0, 200.0):
        wave = 0.3 * math.exp(-at / 60.0)
        expected = 1.0 + 0.5 * wave**2 * math.cos(2.0 * math.pi * 3.0 / 149.2)
        assert factor[round(at / AXES["time_width_us"])] == pytest.approx(expected, abs=0.004)
    assert factor[-1] == 1.0
    shared["fast_rotation"][:] = 0
    assert (fast_rotation_factor(dataset) == 1.0).all()
