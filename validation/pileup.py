"""Clusters above the endpoint against the shadow windows: toy hits with a constant rate, then the simulation.

Usage: python validation/pileup.py [FILLS], default 1600 (four times as many with every effect; three minutes of CPU).
No positron reaches 3.4 GeV, so every cluster above is pileup. The simulation runs at four times the demo's rate; its
variants are paired (same random numbers).
"""

from __future__ import annotations

import math
import sys

import numpy as np

from gminus2.config.campaign import Campaign, Clustering, Reduction, changed_campaign, load_campaign
from gminus2.data.hits import LASER_DTYPE, TIME_UNIT_US, TRACK_DTYPE, HitBlock, pack_hits
from gminus2.reconstruction.reduction import Reducer
from gminus2.simulation.dataset import prepare_dataset
from gminus2.simulation.truth import draw_nature

FIRST = 202


def ratios(reducer: Reducer, name: str, low_mev: int, first: int = FIRST) -> str:
    """Return data over prediction above an energy: doublets minus singles alone, and with the second order."""
    arrays = reducer.reconstructions[name]
    bins = slice(low_mev // 50, None)
    data = float(arrays["counts"][:, bins, first:].sum())
    once = float(arrays["pileup_doublets"][bins, first:].sum()) - float(arrays["pileup_singles"][bins, first:].sum())
    twice = float(arrays["pileup_net"][:, bins, first:].sum())
    error = math.sqrt(1.0 / data + 1.0 / once)
    return f"{data:9.0f}   {data / once:.4f}         {data / twice:.4f} +- {error * data / twice:.4f}"


def toy(rate_per_us: float, fills: int) -> str:
    """Return the ratios of hits at a constant rate with exponential energies up to 2 GeV."""
    rng = np.random.default_rng(round(1000 * rate_per_us))
    start, stop, stations = 31.0, 400.0, 24
    settings = Reduction(clusterings=(Clustering(name="g", separation_ns=5.0),), randomise_fast_rotation=False)
    reducer = Reducer(settings, fills)
    for fill in range(fills):
        n = rng.poisson(rate_per_us * (stop - start) * stations)
        words = pack_hits(
            np.floor(rng.uniform(start, stop, n) / TIME_UNIT_US).astype(np.int64),
            rng.integers(0, stations, n),
            100 + np.minimum(rng.exponential(700.0, n), 1899.0).astype(np.int64),
            np.full(n, 100),
            np.full(n, 128),
            np.zeros(n, dtype=np.int64),
        )
        empty = np.empty(0, dtype=TRACK_DTYPE), np.empty(0, dtype=LASER_DTYPE)
        reducer.add(HitBlock(np.sort(words), np.array([0, n]), fill, *empty))
    return ratios(reducer, "g", 2050, 0)


def simulated(campaign: Campaign, fills: int, gaps_ns: tuple[float, ...]) -> list[Reducer]:
    """Simulate a dataset and reduce its hits with several distances of the shadow window."""
    simulation = prepare_dataset(campaign, 0, draw_nature(campaign.truth))
    settings = campaign.reduction
    reducers = [Reducer(settings.model_copy(update={"shadow_gap_ns": gap}), fills) for gap in gaps_ns]
    for first in range(0, fills, 16):
        block, _ = simulation.block(first, min(16, fills - first))
        for reducer in reducers:
            reducer.add(block)
    return reducers


def main(fills: int) -> None:
    print("                                                        clusters   first order    with the second order")
    for rate in (1.0, 4.0):
        print(f"constant rate {rate:g}/us, exponential energies, > 2.05 GeV     {toy(rate, round(1200 / rate)):s}")
    base = changed_campaign(load_campaign("demo"), datasets=("a",), fills=fills, changes=("effects.rate=4.0",))
    print(f"simulation at four times the demo's rate, {fills} fills (every effect: {4 * fills}), > 3.4 GeV after 30 us")
    turn = 149.1
    for title, without, gaps in (
        ("every effect", (), (10.0, turn)),
        ("no double-pulse drop", ("double_pulse",), (10.0, turn)),
        ("no gain effects at all", ("double_pulse", "gain_rate", "gain_infill", "temperature"), (10.0, turn)),
    ):
        campaign = changed_campaign(base, without=without)
        number = 4 * fills if not without else fills
        for gap, reducer in zip(gaps, simulated(campaign, number, gaps), strict=True):
            for name in ("global", "local"):
                where = "10 ns later" if gap == 10.0 else "one turn later"
                print(f"  {title:22s} {name:6s} window {where:14s} {ratios(reducer, name, 3400)}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1600)
