"""Speed of the theory room: full Standard-Model table, HVP on an 1300-point R(s) with 1000 replicas, model scans.

Run: python benchmarks/theory_speed.py [PDG R(s) table]
CPU seconds of this process, best of three after a first call; without a file a synthetic R(s) of the same size is used.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from gminus2.theory import budget, electron_anomaly, electroweak_contribution, qed_contribution
from gminus2.theory.budget import BUDGETS, compare_all
from gminus2.theory.hvp import Spectrum, inclusive, read_pdg_table
from gminus2.theory.hvp.functionals import leading_order
from gminus2.theory.new_physics import MODELS, scan_plane


def best(function: Callable[[], object]) -> float:
    """Return the best CPU time of three calls after a first one."""
    function()
    times = []
    for _ in range(3):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def spectrum() -> Spectrum:
    """Return the PDG table named on the command line, or a synthetic one of its size."""
    if len(sys.argv) > 1:
        return read_pdg_table(Path(sys.argv[1]))
    energy = np.concatenate([np.linspace(0.3, 2.0, 900), np.geomspace(2.01, 12.0, 420)])
    r = 2.2 + 7.0 * np.exp(-(((energy - 0.77) / 0.08) ** 2))
    zero = np.zeros_like(r)
    return Spectrum(energy, r, 0.02 * r, zero, "points", "bare", "synthetic", allow_gaps=True)


def main() -> None:
    """Print the table."""
    data = spectrum()
    hadrons = inclusive(data)

    def table() -> None:
        qed_contribution()
        electroweak_contribution()
        electron_anomaly()
        for name in BUDGETS:
            budget(name).groups()
        compare_all()

    def replicas() -> None:
        inclusive(data).replicas(1000, 1)

    # The loop that a weight vector saves: one full integral per replica.
    drawn = data.replicas(20, 1)
    start = time.process_time()
    for sample in drawn:
        data.scaled(sample / data.r).integral(leading_order, 0.3, 11.2)
    naive = (time.process_time() - start) / 20 * 1000

    print("| task | CPU time [s] | asked |")
    print("|---|---|---|")
    print(f"| full Standard-Model table (QED, EW, a_e, budgets, 18 tensions) | {best(table):.3f} | < 1 |")
    fast = best(replicas)
    print(f"| HVP of {len(data.energy)} points with 1000 replicas, from the spectrum | {fast:.3f} | < 1 |")
    print(f"| the same, 1000 full integrals (extrapolated from 20) | {naive:.1f} | ratio {naive / fast:.0f} |")
    print(f"| leading order and its uncertainty | {best(hadrons.leading_order):.3f} | |")
    print(f"| space-like form (601 momenta) | {best(hadrons.space_like):.3f} | |")
    print(
        f"| three windows with uncertainties | {best(lambda: [hadrons.window(n) for n in ('SD', 'W', 'LD')]):.3f} | |"
    )
    print(f"| NLO, four terms | {best(hadrons.next_to_leading):.3f} | |")
    for name in ("scalar", "2hdm", "mssm"):
        print(f"| plane of 80 × 80 points, {name} | {best(lambda n=name: scan_plane(MODELS[n], {}, count=80)):.2f} | |")
    code = (
        "import gminus2.theory as t, time; s = time.process_time(); t.qed_contribution(); t.compare_all();"
        "print(time.process_time() - s)"
    )
    first = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    print(f"| first call in a fresh process, after import | {float(first):.3f} | < 1 |")


if __name__ == "__main__":
    main()
