"""Paired bias: the same campaign with an effect on (amplified) and off, from the same random numbers.

    python validation/omega_a_paired.py [SEEDS] [FILLS]

For pileup at five times the rate, gain losses ten times and muon losses ten times their size: the shift of R, of the
lifetime and of the asymmetry that the effect makes without its correction, and what is left with it. Errors are from
the scatter of the seeds.
"""

from __future__ import annotations

import math
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from gminus2.config.campaign import changed_campaign, load_campaign
from gminus2.data.campaign import CampaignDataset
from gminus2.pipeline.simulated import simulate_campaign
from gminus2.precession.campaign import Analysis, DatasetAnalyser

#: Effect → settings with it, settings without it, the analysis that corrects it and the one that does not.
PAIRS: dict[str, tuple[tuple[str, ...], tuple[str, ...], dict[str, object]]] = {
    "pileup, 5 x rate": (("effects.rate=5.0",), ("effects.rate=5.0", "effects.pileup=false"), {"pileup": "none"}),
    "gain, 10 x": (
        ("effects.gain_infill=10.0", "effects.gain_rate=10.0"),
        ("effects.gain_infill=0.0", "effects.gain_rate=0.0"),
        {"gain": False},
    ),
    "lost muons, 10 x": (("effects.lost_muons=10.0",), ("effects.lost_muons=0.0",), {"lost_muons": False}),
}
NAMES = ("R", "tau", "A")


def measured(
    changes: tuple[str, ...], analyses: list[Analysis], seed: int, fills: int, folder: Path
) -> list[list[float]]:
    """Simulate and return (R [ppm], tau [ns], A [1e-5]) of each analysis."""
    campaign = changed_campaign(load_campaign("demo"), seed=seed, fills=fills, datasets=("a",), changes=changes)
    simulate_campaign(campaign, folder)
    analyser = DatasetAnalyser(CampaignDataset.read(folder / "a.h5"))
    result = []
    for analysis in analyses:
        fit = analyser.measure(analysis).fit
        result.append([fit.value("R"), 1e3 * fit.value("tau"), 1e5 * fit.value("A")])
    return result


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    fills = int(sys.argv[2]) if len(sys.argv) > 2 else 512
    full = Analysis("T", stop_us=300.0)
    print(f"{seeds} seeds, {fills} fills of demo/a, T method above 1.7 GeV; difference effect on - off")
    print(f"{'effect':18} {'':12} " + " ".join(f"{n:>20}" for n in ("R [ppm]", "tau [ns]", "A [1e-5]")))
    for effect, (on, off, without) in PAIRS.items():
        raw, left = [], []
        bare = replace(full, **without)  # type: ignore[arg-type]
        for seed in range(301, 301 + seeds):
            with tempfile.TemporaryDirectory() as name:
                off_values = np.array(measured(off, [full, bare], seed, fills, Path(name) / "off"))
                on_values = np.array(measured(on, [full, bare], seed, fills, Path(name) / "on"))
            left.append(on_values[0] - off_values[1])
            raw.append(on_values[1] - off_values[1])
        for label, rows in (("uncorrected", np.array(raw)), ("corrected", np.array(left))):
            mean, error = rows.mean(axis=0), rows.std(axis=0, ddof=1) / math.sqrt(seeds)
            text = " ".join(f"{m:+10.2f} ± {e:7.2f}" for m, e in zip(mean, error, strict=True))
            print(f"{effect:18} {label:12} {text}", flush=True)


if __name__ == "__main__":
    main()
