"""Where the time of the ω_a stage goes, and the T fit beside iminuit and scipy, in one run.

    python benchmarks/omega_a.py FILE.h5 [REPEATS]

FILE is a dataset (L2) of any size: every step works on arrays of fixed size. Prints CPU and wall seconds and shares of
the steps of one dataset, one thread, first calls (compiled kernels read from the cache) apart; then the full T fit by
the project's engine, by iminuit on the same model and cost, and five parameters by scipy.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import curve_fit

from gminus2.data.campaign import CampaignDataset
from gminus2.precession.campaign import DEFAULT_TEAMS, Variation, measure_dataset, scan_dataset
from gminus2.precession.campaign.measurement import bootstrap
from gminus2.precession.fitting.engine import fit
from gminus2.precession.fitting.settings import FitSettings
from gminus2.report.omega_a_figures import omega_a_figures
from gminus2.units import omega_reference


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    result = work()
    return result, time.process_time() - cpu, time.perf_counter() - wall


def five(t: np.ndarray, n: float, tau: float, a: float, r: float, phi: float) -> np.ndarray:
    return np.asarray(n * np.exp(-t / tau) * (1.0 + a * np.cos(omega_reference * (1.0 + 1e-6 * r) * t + phi)))


def main() -> None:
    path = Path(sys.argv[1])
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    first, warm_cpu, _ = timed(lambda: measure_dataset(CampaignDataset.read(path), systematics=False))
    scan_dataset(first.analyser, first.measured[0])
    steps: list[tuple[str, float, float]] = []

    def step(name: str, work: Callable[[], Any]) -> Any:
        result, cpu, wall = timed(work)
        steps.append((name, cpu, wall))
        return result

    dataset = step("read", lambda: CampaignDataset.read(path))
    found = step("six analyses", lambda: measure_dataset(dataset, DEFAULT_TEAMS, systematics=False))
    both = timed(lambda: measure_dataset(dataset, DEFAULT_TEAMS, systematics=True))
    steps.append(("systematics", both[1] - steps[-1][1], both[2] - steps[-1][2]))
    scans = step("scans, lines", lambda: scan_dataset(found.analyser, found.measured[0]))
    with tempfile.TemporaryDirectory() as folder:
        step("figures", lambda: omega_a_figures(found, scans, Path(folder)))
    cpu, wall = sum(s[1] for s in steps), sum(s[2] for s in steps)
    print(f"one dataset of {dataset.hits:.3g} hits, one thread (first calls before: {warm_cpu:.1f} s CPU)")
    print(f"{'step':16} {'CPU s':>7} {'share':>6} {'wall s':>7}")
    for name, c, w in steps:
        print(f"{name:16} {c:7.2f} {100 * c / cpu:5.0f}% {w:7.2f}")
    print(f"{'sum':16} {cpu:7.2f} {'':6} {wall:7.2f}    four datasets on two cores: {2.0 * cpu:.0f} s of CPU per core")
    _, c, _ = timed(lambda: bootstrap(found, 10))
    print(f"bootstrap, per replica: {c / 10:.2f} s CPU")

    nominal = found.measured[0]
    model = found.analyser.model(nominal.analysis, Variation(), found.analyser.positrons(nominal.analysis))
    start = {name: nominal.fit.value(name) for name in ("N0", "tau", "A", "R", "phi")}
    settings = FitSettings(window_us=nominal.fit.window_us, statistic="weighted")
    minuit = FitSettings(window_us=nominal.fit.window_us, statistic="weighted", minimizer="minuit")
    histogram = nominal.spectrum.histogram
    spectrum = nominal.fit.spectra[0]

    def scipy_five() -> float:
        p0 = [start[name] for name in ("N0", "tau", "A", "R", "phi")]
        values, _ = curve_fit(five, spectrum.centres_us, spectrum.data, p0=p0, sigma=spectrum.sigma)
        return float(values[3])

    rows: list[tuple[str, Callable[[], float]]] = [
        ("full model, ours", lambda: fit(histogram, model, settings, start=start).value("R")),
        ("full model, iminuit", lambda: fit(histogram, model, minuit, start=start).value("R")),
        ("five, ours", lambda: fit(histogram, "five", settings, start=start).value("R")),
        ("five, iminuit", lambda: fit(histogram, "five", minuit, start=start).value("R")),
        ("five, scipy curve_fit", scipy_five),
    ]
    free = len(nominal.fit.free)
    print(f"\nT fit, {spectrum.data.size} bins, {free} free parameters; median of {repeats}, interleaved")
    times: dict[str, list[float]] = {name: [] for name, _ in rows}
    values: dict[str, float] = {}
    for _ in range(repeats):
        for name, work in rows:
            values[name], c, _ = timed(work)
            times[name].append(c)
    for name, _ in rows:
        own = np.median(times["full model, ours" if name.startswith("full") else "five, ours"])
        ms = 1e3 * float(np.median(times[name]))
        difference = values[name] - values["full model, ours" if name.startswith("full") else "five, ours"]
        print(f"{name:22} {ms:9.2f} ms   ratio {ms / (1e3 * own):6.1f}   R - R(ours) {difference:+.5f} ppm")


if __name__ == "__main__":
    main()
