"""Closure of the field side: many simulated datasets, each with its own sealed field and instruments.

    python validation/field_closure.py [number] [fid]

For every seed a campaign is simulated (magnet, drift, feedback, probes, calibration, transients, all systematic errors
drawn within their stated uncertainties, every frequency multiplied by a sealed factor), analysed blind, unblinded
with the sealed record and compared with the truth. Printed are the pulls of ω̃'_p, B_k and B_q and the mean budget.
With ``fid`` the trolley runs are made and analysed at the level of digitized FIDs. Output:
docs/validation/field_closure.md.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from gminus2.config.field import FieldSection
from gminus2.execution import make_executor
from gminus2.field.campaign import analyse_campaign
from gminus2.simulation.magnet.dataset import simulate_field_dataset


def section(*, fid_level: bool, walk: float = 60.0) -> FieldSection:
    """Return a three-day dataset between two trolley runs at a coarser cadence than the experiment's."""
    return FieldSection.model_validate(
        {
            "world": {"fixed_cycle_s": 10.0, "walk_ppb_72h": walk},
            "trolley": {"azimuths": 720 if fid_level else 1500, "fid_level": fid_level},
            "analysis": {"bin_s": 30.0},
        }
    )


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    fid_level = "fid" in sys.argv[2:]
    pulls, errors, budgets = [], [], []
    start = time.perf_counter()
    with make_executor("threads") as executor:
        for seed in range(number):
            # The analysis believes 60 ppb from 14 earlier pairs, which fixes it to 19 %: the truth varies by that much.
            walk = 60.0 * float(np.exp(0.19 * np.random.default_rng(seed).normal()))
            s = section(fid_level=fid_level, walk=walk)
            data, truth, _ = simulate_field_dataset(s, s.datasets[0], seed=seed, index=0)
            blind = analyse_campaign(s, [data], executor=executor).results[0]
            result = blind.unblinded(truth.offset)
            error = (result.f_p_hz / truth.f_p_hz - 1) * 1e9
            errors.append(error)
            pulls.append(
                [
                    error / result.sigma_field_ppb,
                    (result.b_k_ppb - truth.b_k_ppb) / result.row("B_k").sigma_ppb,
                    (result.b_q_ppb - truth.b_q_ppb) / result.row("B_q").sigma_ppb,
                ]
            )
            budgets.append({row.name: row.sigma_ppb for row in result.budget} | {"field": result.sigma_field_ppb})
    p = np.array(pulls)
    level = "FID" if fid_level else "frequency"
    print(f"{number} datasets, trolley at {level} level, {time.perf_counter() - start:.0f} s")
    print("\n| quantity | mean pull | RMS pull | largest |\n|---|---|---|---|")
    for k, name in enumerate(("ω̃'_p", "B_k", "B_q")):
        print(f"| {name} | {p[:, k].mean():+.2f} ± {1 / np.sqrt(number):.2f} | {np.sqrt((p[:, k] ** 2).mean()):.2f} "
              f"± {1 / np.sqrt(2 * number):.2f} | {np.abs(p[:, k]).max():.2f} |")  # fmt: skip
    print(f"\nerror of ω̃'_p: mean {np.mean(errors):+.1f} ppb, RMS {np.sqrt(np.mean(np.square(errors))):.1f} ppb")
    print("\n| source | mean σ (ppb) | largest (ppb) |\n|---|---|---|")
    for name in budgets[0]:
        values = [b[name] for b in budgets]
        label = "**ω̃'_p without transients**" if name == "field" else name
        print(f"| {label} | {np.mean(values):.1f} | {np.max(values):.1f} |")


if __name__ == "__main__":
    main()
