"""Speed of a full fit with errors, beside iminuit on the same bins in the same run.

    .venv/bin/python benchmarks/fit_speed.py

4156 bins, 1.7e9 counts, Poisson deviance, bin centre (the model a peer would write), start a few σ away. "iminuit +
numba" is MIGRAD and HESSE without gradient on a compiled cost with one cosine per term and bin; "iminuit + our cost"
is the same on the phasor kernel. CPU times; they vary with the load of the machine, the ratios within one run are what
counts.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from iminuit import Minuit
from numba import njit

from gminus2.data import TimeHistogram
from gminus2.execution import make_executor
from gminus2.precession import FitSettings, Model, expected_histogram, run_toys
from gminus2.precession.fitting.binding import Binding, bind
from gminus2.precession.fitting.engine import TOLERANCE
from gminus2.precession.fitting.scoring import evaluate, minimise

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "validation"))
from fit_pulls import BINS, START_US, WIDTH_US, losses, models

OMEGA_REF = 2.0 * np.pi * 0.2291
REPEATS = 5


@njit
def direct_cost(p, t, n, loss):  # type: ignore[no-untyped-def]
    """Poisson deviance of the 5- or 20-parameter model, straight from the formula."""
    total = 0.0
    full = p.size > 5
    omega = OMEGA_REF * (1.0 + p[3] * 1e-6)
    wc = 2.0 * np.pi * p[7] if full else 0.0
    wv = 2.0 * np.pi * p[17] if full else 0.0
    for k in range(t.size):
        x = t[k]
        nx, ny, ax, phase = 1.0, 1.0, 1.0, p[4]
        scale = p[0] * np.exp(-x / p[1])
        if full:
            damped = np.exp(-x / p[6])
            nx += p[5] * damped * np.cos(wc * x + p[8]) + p[9] * damped * damped * np.cos(2.0 * wc * x + p[10])
            ax += p[11] * damped * np.cos(wc * x + p[12])
            phase += p[13] * damped * np.cos(wc * x + p[14])
            ny += p[15] * np.exp(-x / p[16]) * np.cos(wv * x + p[18])
            scale *= 1.0 - p[19] * loss[k]
        mu = scale * nx * ny * (1.0 + p[2] * ax * np.cos(omega * x + phase))
        if mu <= 0.0:
            return 1e30
        if n[k] > 0.0:
            r = mu / n[k] - 1.0
            small = r * r * (0.5 - r * (1.0 / 3.0 - r * (0.25 - r * (0.2 - r / 6.0))))
            total += n[k] * (small if abs(r) < 1e-2 else r - np.log1p(r))
        else:
            total += mu
    return 2.0 * total


def times(function: Callable[[], object], repeats: int) -> float:
    """Return the median CPU time of a call [ms] (wall time would measure the neighbours on a shared machine)."""
    found = []
    for _ in range(repeats):
        begin = time.thread_time()
        function()
        found.append(1e3 * (time.thread_time() - begin))
    return median(found)


def our_fit(binding: Binding, start: np.ndarray) -> tuple[np.ndarray, float, int]:
    """Fisher scoring with the covariance."""
    p = start.copy()
    covariance = np.zeros((p.size, p.size))
    lower, upper = binding.table.lower[binding.free], binding.table.upper[binding.free]
    status, value, _, count = minimise(
        p, lower, upper, binding.problem, binding.program, binding.workspace(), TOLERANCE, 200, covariance
    )
    assert status == 0
    return p, value, count


def minuit_fit(cost: Callable[[np.ndarray], float], start: np.ndarray, steps: np.ndarray) -> Minuit:
    """MIGRAD and HESSE without gradient."""
    minuit = Minuit(cost, start)
    minuit.errordef = 1.0
    minuit.errors = steps
    minuit.migrad(ncall=100_000)
    minuit.hesse()
    return minuit


def one(name: str, model: Model) -> None:
    """Print the table of one model."""
    truth = expected_histogram(model, bins=BINS, start_us=START_US, width_us=WIDTH_US)
    counts = np.random.default_rng(3).poisson(truth.counts).astype(float)
    histogram = TimeHistogram(counts, truth.start_us, WIDTH_US, ("toy",))
    binding = bind(histogram, model, FitSettings(window_us=None, bin_rule="centre"))
    true = binding.table.start[binding.free]
    best, value, count = our_fit(binding, true)
    covariance = np.zeros((true.size, true.size))
    minimise(
        best.copy(),
        binding.table.lower[binding.free],
        binding.table.upper[binding.free],
        binding.problem,
        binding.program,
        binding.workspace(),
        TOLERANCE,
        200,
        covariance,
    )
    sigma = np.sqrt(np.diag(covariance))
    start = true + 3.0 * sigma * np.where(np.arange(true.size) % 2, 1.0, -1.0)
    t = histogram.centres_us()
    loss = losses().integral(t, 64.44)
    n = counts[0]
    workspace = binding.workspace()
    names = list(model.parameter_names)
    order = [names.index(x) for x in names]
    assert order == list(range(len(names)))

    def plain(p: np.ndarray) -> float:
        return direct_cost(np.asarray(p), t, n, loss)

    def phasor(p: np.ndarray) -> float:
        return evaluate(np.asarray(p), binding.problem, binding.program, workspace)

    assert abs(plain(best) - value) < 1e-6 * value, (plain(best), value)
    _, our_value, count = our_fit(binding, start)
    integral = bind(histogram, model, FitSettings(window_us=None))
    our_fit(integral, start)
    rows = []
    minuit = minuit_fit(plain, start, sigma)
    rows.append(("iminuit + numba, no gradient", None, minuit.nfcn, minuit.fval - our_value, minuit.valid))
    minuit2 = minuit_fit(phasor, start, sigma)
    rows.append(("iminuit + our cost, no gradient", None, minuit2.nfcn, minuit2.fval - our_value, minuit2.valid))
    ours, ours3, direct, ours_cost = [], [], [], []
    for _ in range(REPEATS):  # interleaved, so that a change of load hits all alike
        ours.append(times(lambda: our_fit(binding, start), 20))
        ours3.append(times(lambda: our_fit(integral, start), 20))
        direct.append(times(lambda: minuit_fit(plain, start, sigma), 1))
        ours_cost.append(times(lambda: minuit_fit(phasor, start, sigma), 1))
    a, b, c, d = median(ours), median(ours3), median(direct), median(ours_cost)
    print(f"\n{name}: {len(names)} parameters, {BINS} bins")
    print(f"{'':38s} {'ms':>9s} {'calls':>7s} {'D - D_ours':>11s} {'ours is':>9s}")
    print(f"{'Fisher scoring, bin centre':38s} {a:9.3f} {count:7d} {0.0:11.1e} {1.0:8.1f}x")
    print(f"{'Fisher scoring, bin integral (3 nodes)':38s} {b:9.3f} {count:7d} {'':11s} {b / a:8.1f}x")
    for (label, _, calls, difference, valid), ms in zip(rows, (c, d), strict=True):
        flag = "" if valid else " (invalid)"
        print(f"{label + flag:38s} {ms:9.1f} {calls:7d} {difference:11.1e} {ms / a:8.1f}x")


def toys(name: str, model: Model) -> None:
    """Print toys per second on one and two threads."""
    truth = expected_histogram(model, bins=BINS, start_us=START_US, width_us=WIDTH_US)
    for workers in (1, 2):
        for rule in ("centre", "integral"):
            settings = FitSettings(window_us=None, bin_rule=rule)  # type: ignore[arg-type]
            with make_executor("threads", workers) as executor:
                run_toys(truth, model, 50, seed=1, settings=settings, executor=executor)
                begin, busy = time.perf_counter(), time.process_time()
                study = run_toys(truth, model, 1000, seed=2, settings=settings, executor=executor)
                wall, cpu = time.perf_counter() - begin, time.process_time() - busy
            print(
                f"{name:8s} {rule:9s} {workers} threads: {1000 / wall:6.0f} toys/s with the {cpu / wall:4.2f} CPUs"
                f" it got; {1000 * workers / cpu:6.0f} toys/s with {workers} CPUs free;"
                f" {int(study.converged.sum())} converged"
            )


def main() -> None:
    """Run everything."""
    chosen = models()
    for name in ("five", "twenty"):
        one(name, chosen[name])
    print("\ngenerate and fit")
    for name in ("five", "twenty"):
        toys(name, chosen[name])


if __name__ == "__main__":
    main()
