"""C_pa that a campaign's own voltages make: damaged resistors against repaired ones, without counting noise.

Usage: ``python validation/phase_acceptance_presets.py [CAMPAIGN …]``. 3·10⁴ muons of each dataset's stored beam are
followed through the time-dependent lattice and put through the phase map; ``repaired`` is the same beam without damaged
plates.
"""

from __future__ import annotations

import sys

import numpy as np

from gminus2.beam.fit_response import PseudoExperiment
from gminus2.beam.phase_maps import load_maps
from gminus2.config.campaign import BeamConfig, Effects, load_campaign
from gminus2.simulation.beams import stored_beam

TIMES = np.concatenate([np.arange(30.0, 120.0, 10.0), np.arange(120.0, 640.0, 40.0)])


def phase_acceptance_of(config: BeamConfig, effects: Effects, seed: int, index: int) -> tuple[float, float, float]:
    """Return C_pa [ppb] and the change of mean y [mm] and ⟨y²⟩ [mm²] from 30 µs to the end.

    Every muon keeps its betatron phases and its azimuth, so that only the lattice changes from one time to the next:
    what remains of the beam when all fast oscillations are averaged, almost free of noise.
    """
    beam = stored_beam(config, effects, seed=seed, dataset=index, count=30_000)
    phase_map, experiment = load_maps(), PseudoExperiment()
    count = len(beam)
    generator = np.random.default_rng(1)
    azimuth = generator.integers(0, beam.lattice.points, count)
    cos_x, cos_y = (np.cos(generator.uniform(0.0, 2.0 * np.pi, count)) for _ in range(2))
    columns = {name: beam.lattice.column(name) for name in ("beta_x", "beta_y", "dispersion", "orbit_x", "orbit_y")}
    phase, height, square = [], [], []
    for t in TIMES:
        here = {}
        for name, table in columns.items():
            now = [np.interp(t, beam.lattice.time_us, table[:, k]) for k in range(table.shape[1])]
            here[name] = np.array(now)[azimuth]
        x = here["orbit_x"] + here["dispersion"] * beam.delta + np.sqrt(2.0 * beam.action_x_mm * here["beta_x"]) * cos_x
        y = here["orbit_y"] + np.sqrt(2.0 * beam.action_y_mm * here["beta_y"]) * cos_y
        weight = phase_map.rate_at(x, y) * phase_map.asymmetry_at(x, y)
        phase.append(np.angle((weight * np.exp(1j * phase_map.phase_at(x, y))).sum()))
        height.append(-y.mean())
        square.append((y**2).mean())
    drift = np.unwrap(phase)
    shift = experiment.shift_ppb(lambda t: -np.interp(t, TIMES, drift - drift[-1]))
    return -shift, height[0] - height[-1], square[0] - square[-1]


def main() -> None:
    """Print the table."""
    print(f"{'campaign':18s} {'dataset':8s} {'plates':10s} {'C_pa ppb':>9s} {'Δ mean y mm':>12s} {'Δ<y²> mm²':>10s}")
    for name in sys.argv[1:] or ["demo", "damaged-resistors"]:
        campaign = load_campaign(name)
        for index, data in enumerate(campaign.datasets):
            repaired = data.beam.model_copy(update={"damaged_plates": ()})
            for plates, config in (("damaged", data.beam), ("repaired", repaired)):
                found = phase_acceptance_of(config, campaign.effects, campaign.seed, index)
                print(
                    f"{name:18s} {data.name:8s} {plates:10s} {found[0]:9.1f} {found[1]:12.2f} {found[2]:10.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
