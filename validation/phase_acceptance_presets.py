"""C_pa that a campaign's own beam makes, cause by cause and without counting noise.

Usage: ``python validation/phase_acceptance_presets.py [CAMPAIGN …]``. Per dataset: everything; without damaged plates;
without losses; without the radial field. 10⁵ muons are followed through lattice, losses and phase map
(:mod:`gminus2.pipeline.beam_truth`); the drifts are those of a straight line through 30 to 300 µs.
"""

from __future__ import annotations

import sys

import numpy as np

from gminus2.config.campaign import load_campaign
from gminus2.pipeline.beam_truth import beam_truth


def main() -> None:
    """Print the table."""
    columns = ("C_e", "C_p", "C_ml", "C_pa", "C_dd")
    print(f"{'campaign':24s} {'dataset':8s} {'beam':18s} " + " ".join(f"{c:>7s}" for c in columns), end="")
    print(f" {'dy/dt mm/ms':>12s} {'dσ_y/dt mm/ms':>14s}")
    for name in sys.argv[1:] or ["demo", "damaged-resistors"]:
        campaign = load_campaign(name)
        for index, data in enumerate(campaign.datasets):
            for label, change in (
                ("as configured", {}),
                ("repaired plates", {"damaged_plates": ()}),
                ("no losses", {"loss_rate_per_us": 0.0}),
                ("no radial field", {"radial_field_ppm": 0.0}),
            ):
                config = data.beam.model_copy(update=change)
                found = beam_truth(config, campaign.effects, seed=campaign.seed, dataset=index)
                early = found.time_us <= 300.0
                t = 1e-3 * found.time_us[early]
                slopes = [np.polyfit(t, v[early], 1)[0] for v in (found.height_mm, np.sqrt(found.square_mm2))]
                print(f"{name:24s} {data.name:8s} {label:18s} ", end="")
                print(" ".join(f"{found.corrections_ppb[c]:7.1f}" for c in columns), end="")
                print(f" {slopes[0]:12.2f} {slopes[1]:14.2f}", flush=True)


if __name__ == "__main__":
    main()
