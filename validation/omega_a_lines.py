"""The lines of the beam at Run-1's statistics: five parameters per calorimeter, and the full fit.

    python validation/omega_a_lines.py [FOLDER] [--muons N] [--decays N] [--threads N]

Run-1a's positrons cannot be simulated one by one in minutes. So the rate is integrated over muons of dataset a of the
demo, with pileup, gain and losses (``demo_paired.noise_free``), scaled to 1.5 million fills (3e9 hits), and each bin is
then drawn from its Poisson distribution. CBO and vertical waist come from 6144 simulated fills of trackers, as always.
Prints where optics and trackers put each line and what a five-parameter fit of each calorimeter shows there, and the
largest line of the full T fit with its p-value.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from gminus2.config.campaign import changed_campaign, load_campaign
from gminus2.data.campaign import CampaignDataset
from gminus2.pipeline.simulated import simulate_campaign
from gminus2.precession.campaign import Analysis, DatasetAnalyser, calorimeter_lines
from gminus2.precession.fitting.residuals import residual_spectrum
from gminus2.random import stream
from gminus2.simulation.dataset import prepare_dataset

sys.path.insert(0, str(Path(__file__).parent))
from demo_paired import NATURE, acceptance_of, noise_free

SEED = 2001


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="lines of the beam at Run-1's statistics")
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--muons", type=int, default=1500)
    parser.add_argument("--decays", type=float, default=2e8)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    folder: Path = asked.folder or Path(tempfile.mkdtemp(prefix="lines-"))
    campaign = changed_campaign(load_campaign("demo"), seed=SEED, fills=6144, datasets=("a",))
    seen = folder / "events-1-a"
    if not (seen / "a.h5").exists():
        simulate_campaign(campaign, seen, nature=NATURE, workers=asked.threads)
    simulation = prepare_dataset(campaign, 0, NATURE)
    acceptance = acceptance_of(simulation, asked.decays, asked.threads, folder)
    dataset = noise_free(simulation, acceptance, 0, asked.muons)
    generator = stream(SEED, "lines")
    for arrays in dataset.reconstructions.values():
        arrays["counts"][...] = generator.poisson(np.maximum(arrays["counts"], 0.0))
    analyser = DatasetAnalyser(dataset)
    analyser.__dict__["oscillations"] = DatasetAnalyser(CampaignDataset.read(seen / "a.h5")).oscillations
    measured = analyser.measure(Analysis("T-global"))
    total = dataset.reconstructions["global"]["counts"].sum()
    print(f"dataset a at the size of Run-1a: {total:.2g} hits of {asked.muons} muons' orbits, Poisson noise")
    lines = calorimeter_lines(analyser, measured)
    assert lines is not None
    print("five-parameter fits of the calorimeters, phases turned back by their azimuth; amplitude in units of noise")
    for line in lines.lines:
        print(
            f"{line.name:12} x{line.turns}  expected {line.expected_mhz:.4f}  found {line.found_mhz:.4f} ± "
            f"{line.error_mhz:.4f} MHz  amplitude {line.amplitude:6.1f}  p {line.p_value:.1e}"
        )
    fit, spectrum = measured.fit, residual_spectrum(measured.fit.spectra[0])
    print(
        f"full T fit: χ² {fit.statistic_value:.0f}/{fit.ndf} (p {fit.p_value:.3f}), largest line at "
        f"{spectrum.top.f_mhz:.4f} MHz with {spectrum.top.amplitude:.2f} times noise, p {spectrum.top_p_value:.3f}"
    )


if __name__ == "__main__":
    main()
