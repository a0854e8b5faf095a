"""Corrections measured from the detectors of a simulated campaign, beside what its own muons did.

Usage: ``python validation/beam_closure.py CAMPAIGN_FOLDER …`` (made with ``gminus2 simulate``). The truth is the sealed
record's (:mod:`gminus2.pipeline.beam_truth`): from the stored beam that the simulation used, not from histograms.
"""

from __future__ import annotations

import sys
from pathlib import Path

from gminus2.beam.campaign import analyse_dataset
from gminus2.config.campaign import load_campaign
from gminus2.data.campaign import CampaignDataset
from gminus2.pipeline.beam_truth import beam_truth


def main() -> None:
    """Print the table."""
    print(f"{'dataset':8s} {'correction':10s} {'measured':>10s} {'error':>8s} {'truth':>10s} {'pull':>6s}")
    for folder in map(Path, sys.argv[1:]):
        campaign = load_campaign(str(folder / "campaign.toml"))
        for index, config in enumerate(campaign.datasets):
            if not (folder / f"{config.name}.h5").exists():
                continue
            analysis = analyse_dataset(CampaignDataset.read(folder / f"{config.name}.h5"))
            truth = beam_truth(config.beam, campaign.effects, seed=campaign.seed, dataset=index).corrections_ppb
            rows = [(c.name, c.value_ppb, c.uncertainty_ppb, truth[c.name]) for c in analysis.corrections.values()]
            rows.append(("sum", analysis.sum_ppb, analysis.sum_uncertainty_ppb, sum(truth.values())))
            for name, value, error, true in rows:
                pull = (value - true) / error
                print(f"{config.name:8s} {name:10s} {value:10.1f} {error:8.1f} {true:10.1f} {pull:6.2f}", flush=True)


if __name__ == "__main__":
    main()
