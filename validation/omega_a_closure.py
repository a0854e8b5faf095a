"""Closure of ω_a: campaigns of different seeds with all effects, analysed blind by T, A, R and Q, against their truth.

    python validation/omega_a_closure.py [SEEDS] [FILLS] [FOLDER]

Simulates what FOLDER does not hold yet. Prints the pulls of each analysis (mean ± error, width ± error), the
statistical errors relative to T, the correlations with T (predicted, and from the scatter of the seeds), and the
same for the sum.
"""

from __future__ import annotations

import math
import sys
import tempfile
from pathlib import Path

import numpy as np

from gminus2.config.campaign import changed_campaign, load_campaign
from gminus2.data.campaign import CampaignDataset
from gminus2.pipeline.simulated import simulate_campaign
from gminus2.precession.campaign import measure_dataset
from gminus2.simulation.truth import read_truth

FIRST = 101


def true_r_ppm(folder: Path, dataset: str) -> float:
    """R in nominal clock units of the muons that were analysed."""
    truth = read_truth(folder / "truth" / "truth.json")
    own = truth["datasets"][dataset]
    f = own["f_a_mhz"] * (1.0 + 1e-9 * own["analysed_omega_a_shift_ppb"]) / (1.0 + truth["clock_offset"])
    return 1e6 * (f / 0.2291 - 1.0)


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    fills = int(sys.argv[2]) if len(sys.argv) > 2 else 2048
    root = Path(sys.argv[3]) if len(sys.argv) > 3 else Path(tempfile.mkdtemp())
    values, errors, truths, predicted, hits = [], [], [], [], 0
    total: CampaignDataset | None = None
    for seed in range(FIRST, FIRST + seeds):
        folder = root / str(seed)
        if not (folder / "truth" / "truth.json").exists():
            campaign = changed_campaign(load_campaign("demo"), seed=seed, fills=fills, datasets=("a",))
            simulate_campaign(campaign, folder)
        dataset = CampaignDataset.read(folder / "a.h5")
        hits += dataset.hits
        found = measure_dataset(dataset, systematics=False)
        values.append(found.values_ppm)
        errors.append(found.errors_ppm)
        predicted.append(found.correlation_stat[0])
        truths.append(true_r_ppm(folder, "a"))
        names = found.analyses
        del found
        if total is None:
            total = dataset
        else:
            for name, array in dataset.shared.items():
                total.shared[name][...] += array
            for reconstruction, arrays in dataset.reconstructions.items():
                for name, array in arrays.items():
                    total.reconstructions[reconstruction][name][...] += array
            object.__setattr__(total, "fills", total.fills + dataset.fills)
        print(f"# seed {seed} done", file=sys.stderr, flush=True)
    v, e, t = np.array(values), np.array(errors), np.array(truths)
    pulls = (v - t[:, None]) / e
    n = len(pulls)
    print(f"{n} seeds, {fills} fills each, {hits / n:.3g} detected hits per seed; all effects of the demo campaign on")
    print(
        f"{'analysis':10} {'σ [ppm]':>8} {'σ/σ_T':>6} {'pull mean':>16} {'pull width':>16} {'ρ(T) pred':>9} {'seen':>6}"
    )
    for i, name in enumerate(names):
        p = pulls[:, i]
        width = p.std(ddof=1)
        seen = np.corrcoef(v[:, 0] - t, v[:, i] - t)[0, 1]
        print(
            f"{name:10} {e[:, i].mean():8.2f} {e[:, i].mean() / e[:, 0].mean():6.3f} "
            f"{p.mean():+8.3f} ± {width / math.sqrt(n):.3f} {width:8.3f} ± {width / math.sqrt(2 * (n - 1)):.3f} "
            f"{np.mean([row[i] for row in predicted]):9.3f} {seen:6.3f}"
        )
    assert total is not None
    found = measure_dataset(total, systematics=True)
    print(f"\nsum of all seeds ({hits:.3g} hits): difference from the truth")
    for i, name in enumerate(names):
        difference = found.values_ppm[i] - t.mean()
        fit = found.measured[i].fit
        print(
            f"{name:10} {difference:+8.2f} ± {found.errors_ppm[i]:.2f} ppm  χ²/ndf {fit.statistic_value:.0f}/{fit.ndf} "
            f"p {fit.p_value:.3f}"
        )
    print("\nsystematic table of the combined value of the sum [ppb]")
    for source, value in found.systematic_rows_ppb().items():
        print(f"{source:26} {value:8.1f}")
    print(f"{'total':26} {found.systematic_ppb:8.1f}    statistical {found.statistical_ppb:.0f}")


if __name__ == "__main__":
    main()
