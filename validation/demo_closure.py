"""Closure of the whole chain: demos with their own seeds, truths and seals; pulls of a_μ and χ² of the datasets.

    python validation/demo_closure.py [COUNT] [FILLS] [WORKERS]       default 20 demos of the shipped size, one worker

Each demo has its own truth (another phrase), seed and seal. Printed output is kept in docs/validation/demo_closure.md.
"""

from __future__ import annotations

import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from gminus2.config.campaign import changed_campaign, load_campaign
from gminus2.execution import make_executor
from gminus2.pipeline.simulated_measurement import build_pipeline, measure_campaign


def one(seed: int, fills: int | None) -> dict[str, Any]:
    """Measure one demo in a folder of its own and return truth and combination."""
    changes = (
        f'truth.phrase="closure {seed}"',
        "measurement.omega_a.systematics=false",
        'measurement.omega_a.teams=[{name="A-global",method="A"}]',
    )
    campaign = changed_campaign(load_campaign("demo"), seed=seed, fills=fills, changes=changes)
    with tempfile.TemporaryDirectory() as folder, make_executor("threads", 1) as executor:
        output = Path(folder)
        document = measure_campaign(
            campaign, build_pipeline(campaign, output, output), output, executor=executor
        ).document
    return {"seed": seed, "truth": document["truth"], "combination": document["combination"]}


def main() -> None:
    """Print a line per demo and the summary."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    fills = int(sys.argv[2]) if len(sys.argv) > 2 else None
    workers = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    pulls: list[float] = []
    chi2: list[float] = []
    parts: dict[str, list[float]] = {}
    print(f"{'seed':>6s} {'true a_mu':>13s} {'measured-true':>13s} {'sigma':>7s} {'pull':>6s} {'chi2/ndf':>9s}")
    with ProcessPoolExecutor(workers) as pool:
        for found in pool.map(one, range(1001, 1001 + count), [fills] * count):
            truth, c = found["truth"], found["combination"]
            pulls.append(truth["pull"])
            chi2.append(c["chi2"])
            for dataset in truth["datasets"].values():
                for key in ("f_p", "C_e", "C_p", "B_k", "B_q"):
                    parts.setdefault(key, []).append(dataset[key]["pull"])
            print(
                f"{found['seed']:6d} {truth['a_mu']:13.1f} {truth['difference']:13.1f} {truth['uncertainty']:7.1f} "
                f"{truth['pull']:6.2f} {c['chi2']:6.2f}/{c['ndf']}",
                flush=True,
            )
    p = np.array(pulls)
    width = p.std(ddof=1)
    print(f"pulls of a_mu: mean {p.mean():.2f} ± {width / np.sqrt(len(p)):.2f}, width {width:.2f}")
    print(f"chi2 of the datasets: {sum(chi2):.1f} for {len(chi2) * 3}")
    for key, values in parts.items():
        v = np.array(values)
        print(f"{key}: mean pull {v.mean():+.2f}, rms {np.sqrt((v**2).mean()):.2f} ({len(v)} datasets)")


if __name__ == "__main__":
    main()
