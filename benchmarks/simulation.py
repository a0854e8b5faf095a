"""Speed of the simulation: events with all effects, and fast toys, beside what the same machine can do at most.

The limit is the same job without physics: the random numbers it draws and the histogram cells it fills, nothing else.
CPU time of one thread where "per core" is said, wall-clock time of two threads otherwise (other jobs on the machine
make that one worse). Prints the time for Run-1's 8.2e9 analysed positrons.
"""

from __future__ import annotations

import concurrent.futures
import time

import numpy as np
from numba import njit

from gminus2.config.campaign import load_campaign
from gminus2.physics.numerics import philox
from gminus2.reconstruction.reduction import Reducer
from gminus2.simulation.dataset import DatasetSimulation, prepare_dataset
from gminus2.simulation.fast import FAST_CHUNK, energy_table, fast_chunk
from gminus2.simulation.truth import draw_nature

FILLS = 16
ROUNDS = 20
ANALYSED_RUN1 = 8.2e9


@njit(cache=True, nogil=True)
def _bare_events(decays, hits, counts):  # type: ignore[no-untyped-def]
    """Two Philox calls per decay, one per hit, and five histogram cells per hit and reconstruction."""
    n = counts.size
    total = 0
    for i in range(decays):
        a = philox(i, 0, 0, 0, 1, 2)
        b = philox(i, 0, 1, 0, 1, 2)
        total += (a[0] ^ b[0]) & 1
        if (a[1] & 1023) < hits:
            c = philox(i, 0, 2, 0, 1, 2)
            for k in range(5):
                counts[(c[0] * 2654435761 + c[1] + k * 977_777) % n] += 1
                counts[(c[2] * 2654435761 + c[3] + k * 977_777) % n] += 1
    return total


@njit(cache=True, nogil=True)
def _bare_fast(events, state, counts):  # type: ignore[no-untyped-def]
    """Two xoshiro words and one histogram cell per event."""
    n = np.uint64(counts.size - 1)
    words = np.empty((2, 1024), dtype=np.uint64)
    for _ in range(events // 1024):
        for w in range(2):
            for s in range(16):
                for lane in range(64):
                    s0, s1, s2, s3 = state[0, lane], state[1, lane], state[2, lane], state[3, lane]
                    mixed = s0 + s3
                    words[w, s * 64 + lane] = ((mixed << np.uint64(23)) | (mixed >> np.uint64(41))) + s0
                    shifted = s1 << np.uint64(17)
                    s2 ^= s0
                    s3 ^= s1
                    s1 ^= s2
                    s0 ^= s3
                    s2 ^= shifted
                    state[0, lane], state[1, lane], state[2, lane] = s0, s1, s2
                    state[3, lane] = (s3 << np.uint64(45)) | (s3 >> np.uint64(19))
        for i in range(1024):
            counts[(words[0, i] ^ (words[1, i] >> np.uint64(7))) & n] += np.uint32(1)


def _events(simulation: DatasetSimulation, reducer: Reducer, first: int, rounds: int) -> tuple[int, int, float, float]:
    decays = analysed = 0
    simulated = reduced = 0.0
    for k in range(rounds):
        t0 = time.thread_time()
        block, truth = simulation.block(first + FILLS * k, FILLS)
        t1 = time.thread_time()
        reducer.add(block)
        reduced += time.thread_time() - t1
        simulated += t1 - t0
        decays += int(truth[0])
        analysed += int(truth[3])
    return decays, analysed, simulated, reduced


def main() -> None:
    campaign = load_campaign("demo")
    simulation = prepare_dataset(campaign, 0, draw_nature(campaign.truth))
    reducers = [Reducer(campaign.reduction, 8192) for _ in range(2)]
    for reducer in reducers:
        _events(simulation, reducer, 0, 2)

    decays, analysed, simulated, reduced = _events(simulation, reducers[0], 0, ROUNDS)
    counts = np.zeros(1 << 25, dtype=np.uint32)
    _bare_events(1000, 409, counts)
    t = time.thread_time()
    _bare_events(decays, 409, counts)
    bare = time.thread_time() - t
    cost = simulated + reduced
    print("events: every effect on, two reconstructions, direct to histograms")
    print(
        f"  per core: simulate {1e9 * simulated / decays:.0f} + reduce {1e9 * reduced / decays:.0f} ns per muon decay"
        f" = {decays / cost / 1e6:.2f}e6 decays/s"
    )
    print(
        f"  random numbers and histogram cells alone: {1e9 * bare / decays:.0f} ns, so {bare / cost:.0%} of the limit"
    )
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        began = time.monotonic()
        jobs = [pool.submit(_events, simulation, r, 100_000 * (k + 1), ROUNDS) for k, r in enumerate(reducers)]
        done = [job.result() for job in jobs]
        wall = time.monotonic() - began
    total = sum(d[0] for d in done)
    cpu = sum(d[2] + d[3] for d in done)
    free = 2 * total / cpu
    print(f"  two threads: {total / wall / 1e6:.2f}e6 decays/s wall clock, {free / 1e6:.2f}e6 with both cores free")
    share = analysed / decays
    hours = ANALYSED_RUN1 / share / free / 3600
    print(
        f"  {share:.4f} analysed positrons (> 1.7 GeV, > 30 us) per decay:"
        f" Run-1's 8.2e9 take {hours:.1f} h on two free cores"
    )

    table = energy_table(polarisation=0.95, spin_phase_rad=2.08)
    fast_chunk(table, 1024, f_a_mhz=0.22908, seed=1, dataset=0, chunk=0)
    best = min(
        _timed(lambda k=k: fast_chunk(table, FAST_CHUNK, f_a_mhz=0.22908, seed=1, dataset=0, chunk=k)) for k in range(4)
    )
    small = np.zeros(1 << 19, dtype=np.uint32)
    state = np.arange(1, 257, dtype=np.uint64).reshape(4, 64)
    _bare_fast(1024, state, small)
    limit = min(_timed(lambda: _bare_fast(FAST_CHUNK, state, small)) for _ in range(4))
    middle = 0.5 * (table.energy[1:] + table.energy[:-1])
    above = float((middle > 1700.0).mean()) * np.exp(-30.0 / 64.4)
    rate = FAST_CHUNK / best
    print("fast: time and energy of detected positrons")
    print(f"  per core: {1e9 * best / FAST_CHUNK:.2f} ns per positron = {rate / 1e6:.0f}e6/s (best of four chunks)")
    bare = 1e9 * limit / FAST_CHUNK
    print(f"  random numbers and histogram cells alone: {bare:.2f} ns, so {limit / best:.0%} of the limit")
    seconds = ANALYSED_RUN1 / above / (2 * rate)
    print(f"  {above:.3f} analysed per positron: Run-1's 8.2e9 take {seconds:.0f} s on two cores")


def _timed(work: object) -> float:
    t = time.thread_time()
    work()  # type: ignore[operator]
    return time.thread_time() - t


if __name__ == "__main__":
    main()
