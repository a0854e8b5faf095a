"""Reduction of hand-made hits: merging, pileup windows, coincidences, random sets, laser, tracks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gminus2.config.campaign import Clustering, Reduction
from gminus2.data.hits import LASER_DTYPE, TIME_UNIT_US, TRACK_DTYPE, HitBlock, pack_hits
from gminus2.reconstruction.reduction import Reducer

Hit = tuple[float, int, int]  # time [ns], station, energy [MeV]


def block(fills: list[list[Hit]], compact: bool = False, u: int = 100, laser: object = None) -> HitBlock:
    words, sizes = [], []
    for hits in fills:
        t, station, energy = (np.array(v) for v in zip(*hits, strict=True)) if hits else (np.empty(0),) * 3
        n = len(hits)
        packed = pack_hits(
            np.floor(t * 1e-3 / TIME_UNIT_US).astype(np.int64),
            station.astype(np.int64),
            energy.astype(np.int64),
            np.full(n, u),
            np.full(n, 128),
            np.full(n, int(compact)),
        )
        words.append(np.sort(packed))
        sizes.append(n)
    records = np.empty(0, dtype=LASER_DTYPE) if laser is None else np.asarray(laser)
    return HitBlock(
        np.concatenate(words), np.concatenate(([0], np.cumsum(sizes))), 0, np.empty(0, dtype=TRACK_DTYPE), records
    )


PLAIN = Reduction(randomise_fast_rotation=False)


def reduced(fills: list[list[Hit]], settings: Reduction = PLAIN, **options: bool) -> Reducer:
    reducer = Reducer(settings, len(fills))
    reducer.add(block(fills, **options))
    return reducer


def spectrum(reducer: Reducer, name: str = "global") -> dict[int, int]:
    counts = reducer.reconstructions[name]["counts"].sum(axis=(0, 2))
    return {int(e) * 50: int(counts[e]) for e in np.flatnonzero(counts)}


def test_hits_within_the_separation_become_one_cluster_with_the_sum_of_energies() -> None:
    reducer = reduced([[(50_000.0, 3, 1000), (50_004.0, 3, 830)]])
    assert spectrum(reducer, "global") == {1800: 1}  # 5 ns
    assert spectrum(reducer, "local") == {950: 1, 800: 1}  # 3 ns; 0.7 % of the energy left out


def test_the_separation_is_a_chain_and_ends_at_other_calorimeters_and_fills() -> None:
    chain = [(50_000.0, 3, 500), (50_004.0, 3, 500), (50_008.0, 3, 500)]
    assert spectrum(reduced([chain])) == {1500: 1}
    assert spectrum(reduced([[(50_000.0, 3, 500), (50_000.0, 4, 500)]])) == {500: 2}
    assert spectrum(reduced([[(50_000.0, 3, 500)], [(50_001.0, 3, 500)]])) == {500: 2}


def test_spatial_separation_keeps_distant_hits_apart() -> None:
    spatial = Reduction(
        randomise_fast_rotation=False, clusterings=(Clustering(name="near", separation_ns=5.0, distance_mm=40.0),)
    )
    a = block([[(50_000.0, 3, 500)]], u=20)
    b = block([[(50_002.0, 3, 500)]], u=200)
    both = HitBlock(np.concatenate([a.words, b.words]), np.array([0, 2]), 0, a.tracks, a.laser)
    reducer = Reducer(spatial, 1)
    reducer.add(both)
    assert spectrum(reducer, "near") == {500: 2}


def test_a_cluster_stands_at_the_energy_weighted_time() -> None:
    late = 149.2 * 400 + 2.0  # 2 ns after an edge: the weighted time stays in the bin only with the right weights
    reducer = reduced([[(late - 3.0, 3, 300), (late + 1.0, 3, 2700)]])
    assert int(np.flatnonzero(reducer.reconstructions["global"]["counts"].sum(axis=(0, 1)))[0]) == 400
    reducer = reduced([[(late - 3.0, 3, 2700), (late + 1.0, 3, 300)]])
    assert int(np.flatnonzero(reducer.reconstructions["global"]["counts"].sum(axis=(0, 1)))[0]) == 399


def test_the_shadow_window_makes_a_doublet_and_takes_away_two_singles() -> None:
    inside = [(60_000.0, 3, 1000), (60_012.0, 3, 900)]
    outside = [(60_000.0, 5, 1000), (60_016.0, 5, 900)]
    arrays = reduced([inside + outside]).reconstructions["global"]
    net = arrays["pileup_net"].sum(axis=2)
    assert (net[3, 1900 // 50], net[3, 1000 // 50], net[3, 900 // 50]) == (1, -1, -1)
    assert not net[5].any()
    assert arrays["pileup_doublets"].sum() == 1
    assert arrays["pileup_singles"].sum() == 2
    assert arrays["pileup_pairs"][10, 9] == 1
    # Energy is conserved: one doublet has the energy of its singles.
    energy = 50.0 * np.arange(128)
    assert float(net.sum(axis=0) @ energy) == 0.0


def test_merging_and_shadow_windows_of_a_constant_rate_follow_poisson_statistics() -> None:
    rng = np.random.default_rng(5)
    n_fills, n_hits, start, stop = 60, 5000, 31_000.0, 600_000.0
    fills = [[(float(x), 2, 400) for x in np.sort(rng.uniform(start, stop, n_hits))] for _ in range(n_fills)]
    arrays = reduced(fills).reconstructions["global"]
    number, rate = n_fills * n_hits, n_hits * 5.0 / (stop - start)
    counts = arrays["counts"].sum(axis=(0, 2)).astype(float)
    # A chain of k hits: gaps before and after longer, k - 1 gaps shorter than the separation.
    for k in (1, 2, 3):
        expected = number * math.exp(-2 * rate) * (1 - math.exp(-rate)) ** (k - 1)
        assert counts[8 * k] == pytest.approx(expected, abs=4.5 * math.sqrt(expected))
    # Two single hits 10 to 15 ns apart: empty before, after the first, before and after the second.
    expected = number * rate * math.exp(-4 * rate)
    assert arrays["pileup_pairs"][4, 4] == pytest.approx(expected, abs=4.5 * math.sqrt(expected))
    # The prediction is what merging did, to second order.
    net = arrays["pileup_net"].sum(axis=(0, 2)).astype(float)
    for k, single in ((1, number), (2, 0.0), (3, 0.0)):
        change = counts[8 * k] - single
        error = math.hypot(4.5 * math.sqrt(counts[8 * k] if k > 1 else 4.0 * counts[16]), 12.0 * number * rate**3)
        assert net[8 * k] == pytest.approx(change, abs=error)


def test_shadow_windows_predict_the_merged_energies_to_a_percent() -> None:
    rng = np.random.default_rng(8)
    n_fills, n_hits, start, stop = 200, 5000, 31_000.0, 200_000.0
    fills = []
    for _ in range(n_fills):
        t = rng.uniform(start, stop, n_hits)
        hits = zip(
            t.tolist(), rng.integers(0, 4, n_hits).tolist(), rng.exponential(700.0, n_hits).tolist(), strict=True
        )
        fills.append([(x, k, 100 + int(min(e, 1900.0))) for x, k, e in hits])
    settings = Reduction(
        randomise_fast_rotation=False,
        clusterings=(Clustering(name="five", separation_ns=5.0), Clustering(name="three", separation_ns=3.0)),
    )
    reducer = reduced(fills, settings)
    for name in ("five", "three"):
        arrays = reducer.reconstructions[name]
        # No single hit reaches 2 GeV: what lies above 2.05 GeV is pileup.
        data = float(arrays["counts"][:, 41:].sum())
        predicted = float(arrays["pileup_net"][:, 41:].sum())
        assert data > 3_000
        assert predicted == pytest.approx(data, abs=4.0 * math.sqrt(2 * data) + 0.002 * data)
        raw = float(arrays["pileup_doublets"][41:].sum())
        assert raw > predicted  # doublets of merged clusters count triples twice


def test_shadow_doublets_obey_the_distance_of_the_reconstruction() -> None:
    near = Clustering(name="near", separation_ns=5.0, distance_mm=40.0)
    settings = Reduction(randomise_fast_rotation=False, clusterings=(near,))
    for u, doublets in ((110, 1), (200, 0)):
        a, b = block([[(50_000.0, 3, 500)]], u=100), block([[(50_012.0, 3, 500)]], u=u)
        reducer = Reducer(settings, 1)
        reducer.add(HitBlock(np.concatenate([a.words, b.words]), np.array([0, 2]), 0, a.tracks, a.laser))
        assert reducer.reconstructions["near"]["pileup_doublets"].sum() == doublets


def test_three_small_pulses_in_neighbouring_calorimeters_are_a_lost_muon() -> None:
    triple = [(40_000.0, 22, 170), (40_006.2, 23, 170), (40_012.4, 0, 170)]
    arrays = reduced([triple], compact=True).reconstructions["global"]
    assert arrays["coincidences"].sum(axis=1).tolist() == [1, 0, 0, 0]
    assert int(np.argmax(arrays["coincidence_dt"])) in (61, 62)
    four = [*triple, (40_018.6, 1, 170)]
    assert reduced([four], compact=True).reconstructions["global"]["coincidences"].sum(axis=1).tolist() == [2, 0, 0, 1]
    too_large = [(40_000.0, 22, 170), (40_006.2, 23, 300), (40_012.4, 0, 170)]
    assert reduced([too_large], compact=True).reconstructions["global"]["coincidences"].sum() == 0
    assert reduced([triple], compact=False).reconstructions["global"]["coincidences"].sum() == 0
    accidental = [(40_000.0, 22, 170), (40_006.2, 23, 170), (40_009.2, 0, 170)]
    sums = reduced([accidental], compact=True).reconstructions["global"]["coincidences"].sum(axis=1)
    assert sums.tolist() == [0, 1, 0, 0]


def _uniform_fills(n_fills: int, n_hits: int, seed: int = 1) -> list[list[Hit]]:
    rng = np.random.default_rng(seed)
    return [
        [
            (float(t), int(k), 2000)
            for t, k in zip(rng.uniform(2e4, 6e5, n_hits), rng.integers(0, 24, n_hits), strict=True)
        ]
        for _ in range(n_fills)
    ]


def test_the_four_random_sets_have_their_weights_and_shifts() -> None:
    settings = Reduction(clusterings=(Clustering(name="global", separation_ns=0.0),))
    arrays = reduced(_uniform_fills(40, 3000), settings).reconstructions["global"]
    sizes = arrays["random_sets"].sum(axis=(1, 2)).astype(float)
    half = 0.5 * settings.precession_period_us / settings.lifetime_us
    weights = np.array([math.exp(half), math.exp(-half), 1.0, 1.0]) / (2 + math.exp(half) + math.exp(-half))
    total = 40 * 3000
    assert np.abs(sizes / total - weights).max() < 4 * math.sqrt(0.25 * 0.75 / total)
    bins = np.arange(4700)
    # A uniform density from 20 to 600 µs: the mean time of each set shows its shift.
    means = (arrays["random_sets"].sum(axis=1) @ bins) / sizes * 0.1492
    spread = 4 * 580 / math.sqrt(12 * total / 4)
    assert means[0] - means[2] == pytest.approx(-2.1827, abs=2 * spread)
    assert arrays["fine"].sum() == arrays["counts"].sum() == total


def test_splitting_again_gives_other_sets_and_the_same_total() -> None:
    fills = _uniform_fills(4, 500)
    one = reduced(fills, Reduction(split_seed=1)).reconstructions["global"]
    two = reduced(fills, Reduction(split_seed=2)).reconstructions["global"]
    assert not np.array_equal(one["random_sets"], two["random_sets"])
    assert one["counts"].sum() == two["counts"].sum()


def test_randomisation_is_uniform_over_a_cyclotron_period_and_spares_the_fast_rotation() -> None:
    # All hits at one time: randomised they spread over T_c, 149.14 ns.
    fills = [[(60_000.0 + 0.078125 * k, station, 2000) for k, station in enumerate(range(24))] for _ in range(400)]
    reducer = Reducer(Reduction(), 400)
    reducer.add(block(fills))
    fine = reducer.reconstructions["global"]["fine"].sum(axis=0)
    times = 0.01865 * (np.flatnonzero(fine) + 0.5)
    assert np.ptp(times) == pytest.approx(0.149, abs=0.02)
    fast = np.flatnonzero(reducer.shared["fast_rotation"].sum(axis=0))
    assert fast.min() >= 59_999
    assert fast.max() <= 60_003


def test_one_nanosecond_bins_show_no_comb_of_the_time_unit() -> None:
    # 1 ns is 12.8 time units: without dither neighbouring bins would differ by 8 %.
    reducer = reduced(_uniform_fills(60, 5000, seed=3))
    fast = reducer.shared["fast_rotation"].sum(axis=0)[20_000:600_000:1][:250_000].astype(float)
    folded = fast.reshape(-1, 5).sum(axis=0)  # five bins are 64 units
    assert np.abs(folded / folded.mean() - 1).max() < 5 / math.sqrt(folded.mean())


def test_energy_flow_is_blind_to_merging() -> None:
    together = reduced([[(50_000.0, 3, 1000), (50_001.0, 3, 800)]]).shared
    assert together["energy_flow"].sum() == 1802  # both centres of 1 MeV codes, rounded
    assert together["energy_flow"][3].sum() == together["energy_flow"].sum()


def test_laser_pulses_between_fills_correct_the_energy() -> None:
    laser = np.zeros(24, dtype=LASER_DTYPE)
    laser["station"] = np.arange(24)
    laser["response"] = 900_000
    fills = [[(50_000.0, 3, 1800)]]
    on, off = Reducer(PLAIN, 1), Reducer(PLAIN.model_copy(update={"out_of_fill_correction": False}), 1)
    for reducer in (on, off):
        reducer.add(block(fills, laser=laser))
    assert spectrum(on) == {2000: 1}
    assert spectrum(off) == {1800: 1}
    assert on.shared["laser_outfill"][5].sum(axis=0).tolist() == [1, -100_000, 100_000**2]


def test_an_in_fill_gain_table_scales_energies_by_time() -> None:
    gain = np.ones((24, 3))
    gain[:, 0] = 0.5  # linear from 0.5 at 0 to 1 in the middle of the time code's range (655 µs)
    reducer = Reducer(PLAIN, 1, gain=gain)
    reducer.add(block([[(655_360.0 / 2, 3, 1500)]]))
    assert spectrum(reducer) == {2000: 1}


def test_tracks_fill_profiles_with_the_tangency_bias_removed() -> None:
    tracks = np.zeros(2, dtype=TRACK_DTYPE)
    tracks["time"] = round(50.0 / TIME_UNIT_US)
    tracks["x"] = 100 * 7 + 116
    tracks["y"] = [-2150, 2150]
    tracks["p"] = 2010
    empty = block([[(50_000.0, 3, 1000)]])
    reducer = Reducer(PLAIN, 1)
    reducer.add(HitBlock(empty.words, empty.offsets, 0, tracks, empty.laser))
    x = np.flatnonzero(reducer.shared["track_x"][0].sum(axis=1))
    assert x.tolist() == [33]  # 6 … 8 mm
    assert np.flatnonzero(reducer.shared["track_y"][0].sum(axis=1)).tolist() == [19, 40]
    assert reducer.shared["track_momentum"][0, 40] == 2
