"""The sum of several seeds: pulls and correlations, systematic table, lines of fits and calorimeters, bootstrap.

    python validation/omega_a_sum.py FOLDER [REPLICAS] [FIGURES]

FOLDER holds one folder per seed with ``a.h5`` and ``truth/truth.json``, as ``gminus2 simulate`` writes them. Prints
pulls of each analysis, the sum against its truth, χ², the largest line of each full fit with its p-value over all
frequencies and what the first and second half of the seeds say at that frequency, the lines of the calorimeters
against trackers and optics, the systematic table, and predicted, seen and bootstrapped correlations.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np

from gminus2.data.campaign import CampaignDataset
from gminus2.precession.campaign import DatasetOmegaA, DatasetScans, calorimeter_lines, measure_dataset
from gminus2.precession.campaign.measurement import bootstrap
from gminus2.precession.fitting.residuals import residual_spectrum
from gminus2.report.omega_a_figures import omega_a_figures

sys.path.insert(0, str(Path(__file__).parent))
from omega_a_closure import true_r_ppm


def added(total: CampaignDataset | None, dataset: CampaignDataset) -> CampaignDataset:
    if total is None:
        return dataset
    for name, array in dataset.shared.items():
        total.shared[name][...] += array
    for reconstruction, arrays in dataset.reconstructions.items():
        for name, array in arrays.items():
            total.reconstructions[reconstruction][name][...] += array
    object.__setattr__(total, "fills", total.fills + dataset.fills)
    object.__setattr__(total, "hits", total.hits + dataset.hits)
    return total


def wave(found: DatasetOmegaA, i: int, f_mhz: float) -> complex:
    """Amplitude [noise] and phase of the pulls of an analysis at a frequency."""
    spectrum = found.measured[i].fit.spectra[0]
    pulls = np.nan_to_num(spectrum.pulls)
    return complex(pulls @ np.exp(-2j * math.pi * f_mhz * spectrum.centres_us)) / math.sqrt(pulls.size / 2.0)


def main() -> None:
    root = Path(sys.argv[1])
    replicas = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    folders = sorted(path.parent for path in root.glob("*/a.h5"))
    values, errors, truths = [], [], []
    halves: list[CampaignDataset | None] = [None, None]
    for n, folder in enumerate(folders):
        dataset = CampaignDataset.read(folder / "a.h5")
        found = measure_dataset(dataset, systematics=False)
        values.append(found.values_ppm)
        errors.append(found.errors_ppm)
        truths.append(true_r_ppm(folder, "a"))
        del found
        half = 2 * n // len(folders)
        halves[half] = added(halves[half], dataset)
        print(f"# {folder.name}", file=sys.stderr, flush=True)
    assert halves[0] is not None
    assert halves[1] is not None
    parts = [measure_dataset(half, systematics=False) for half in halves if half is not None]
    total = added(halves[0], halves[1])
    found = measure_dataset(total)
    v, e, t = np.array(values), np.array(errors), np.array(truths)
    pulls = (v - t[:, None]) / e
    print(f"{len(folders)} seeds, {total.hits:.3g} hits in all")
    print(f"{'analysis':10} {'pull mean':>15} {'width':>6}  {'sum - truth [ppm]':>18} {'χ²/ndf':>10} {'p':>6}")
    for i, name in enumerate(found.analyses):
        fit = found.measured[i].fit
        print(
            f"{name:10} {pulls[:, i].mean():+6.2f} ± {1 / math.sqrt(len(t)):.2f} {pulls[:, i].std(ddof=1):8.2f} "
            f"{found.values_ppm[i] - t.mean():+10.2f} ± {found.errors_ppm[i]:.2f} {fit.statistic_value:7.0f}/{fit.ndf} "
            f"{fit.p_value:6.3f}"
        )
    print("\nlargest line of the full fits: amplitude [noise], p over all frequencies; the two halves at its frequency")
    for i, name in enumerate(found.analyses):
        spectrum = residual_spectrum(found.measured[i].fit.spectra[0])
        a, b = (wave(part, i, spectrum.top.f_mhz) for part in parts)
        print(
            f"{name:10} {spectrum.top.f_mhz:.4f} MHz  {spectrum.top.amplitude:.2f}  p {spectrum.top_p_value:.3f}   "
            f"{abs(a):.2f} at {np.angle(a):+.2f} rad, {abs(b):.2f} at {np.angle(b):+.2f} rad"
        )
    lines = calorimeter_lines(found.analyser, found.measured[0])
    assert lines is not None
    print("\nlines of five-parameter fits of the calorimeters, phases turned back by their azimuth")
    for line in lines.lines:
        print(
            f"{line.name:12} x{line.turns}  expected {line.expected_mhz:.4f}  found {line.found_mhz:.4f} ± "
            f"{line.error_mhz:.4f} MHz  amplitude {line.amplitude:6.1f}  p {line.p_value:.1e}"
        )
    print(f"\nsystematic table [ppb] {'combined':>14} " + " ".join(f"{name:>9}" for name in found.analyses))
    rows = {**found.systematic_rows_ppb(), **found.systematic_rows_ppb(jitter=True)}
    for row in found.systematics:
        text = " ".join(f"{row.shifts_ppb[name]:+9.1f}" for name in found.analyses)
        print(f"{row.source:26} {rows[row.source]:10.1f} {text}" + ("  (jitter: not added)" if row.jitter else ""))
    print(f"{'total':26} {found.systematic_ppb:10.1f}   statistical {found.statistical_ppb:.0f}")
    replica = bootstrap(found, replicas)
    seen = np.corrcoef(v - t[:, None], rowvar=False)
    print(f"\ncorrelations: predicted, {replicas} replicas of the sum, scatter of the seeds")
    order = [found.analyses.index(name) for name in replica.analyses]
    for a, i in enumerate(order):
        for b, j in enumerate(order[:a]):
            print(
                f"{found.analyses[i]:9} {found.analyses[j]:9} {found.correlation_stat[i, j]:.3f}   "
                f"{replica.correlation[a, b]:.3f} ± {replica.correlation_error[a, b]:.3f}   {seen[i, j]:.3f} ± "
                f"{(1 - seen[i, j] ** 2) / math.sqrt(len(t) - 1):.3f}"
            )
    spread = replica.shifts_ppm.std(axis=0, ddof=1) / found.errors_ppm[order]
    print("spread of the replicas over the error of the fit: " + " ".join(f"{x:.3f}" for x in spread))
    if len(sys.argv) > 3:
        omega_a_figures(found, DatasetScans({}, lines), Path(sys.argv[3]))


if __name__ == "__main__":
    main()
