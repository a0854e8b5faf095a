"""C_pa and C_ml without maps, moments or formulas: the shift of a fitted ω_a when one cause is switched on.

Usage: ``python validation/beam_drifts_paired.py [CAMPAIGN] [DATASET] [MUONS] [DECAYS]``. The rate of the same muons is
integrated without counting noise through simulated arcs of decays (:mod:`gminus2.simulation.expected`) in four worlds
that differ by one thing each: nothing drifts; the plates of the campaign; its losses from large amplitudes, the same
for all momenta; its losses by momentum, the same for all amplitudes. CBO and vertical mismatch are off and the bunch is
short, so that a five-parameter fit describes the rate. Minus the fitted shift stands beside the correction of the truth
record, which takes it from the phase map, and from the slope of the phase against momentum. The arcs are counted anew
in two halves; how their phase answers to a wider beam is printed beside the map's answer, as C_pa rests on it.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np

from gminus2.beam.phase_acceptance import detected_phasor
from gminus2.beam.phase_maps import load_maps
from gminus2.config.campaign import BeamConfig, Campaign, load_campaign
from gminus2.data import TimeHistogram
from gminus2.data.campaign import AXES
from gminus2.execution import make_executor, map_ordered
from gminus2.pipeline.beam_truth import beam_truth
from gminus2.precession.fitting.engine import fit
from gminus2.precession.fitting.settings import FitSettings
from gminus2.ring.closed_form import relative_loss
from gminus2.simulation.dataset import prepare_dataset
from gminus2.simulation.expected import Acceptance, expected_rate, project_acceptance
from gminus2.simulation.pool import ROW
from gminus2.simulation.truth import Nature

NATURE = Nature(a_mu=1.16592061e-3, clock_offset=0.0)
#: Groups by momentum, and each of them by vertical amplitude: a lost muon would be a step in the rate.
GROUPS = 3, 8
BLOCKS = 4


def world(campaign: Campaign, index: int, **changes: object) -> Campaign:
    """Return the campaign with one short bunch without coherent motion, and changes of the beam."""
    effects = campaign.effects.model_copy(update={"cbo": False, "field_multipoles": False})
    datasets = list(campaign.datasets)
    quiet = {"bunch_rms_ns": 0.2, "vertical_mismatch": 0.0, **changes}
    datasets[index] = datasets[index].model_copy(update={"beam": datasets[index].beam.model_copy(update=quiet)})
    return campaign.model_copy(update={"effects": effects, "datasets": tuple(datasets)})


def counted(campaign: Campaign, index: int, decays: int) -> Acceptance:
    """Return the acceptance from two halves of the decays, and print what each says of a wider beam."""
    pool = prepare_dataset(campaign, index, NATURE).pool
    halves = [project_acceptance(pool, decays=decays // 2, seed=seed) for seed in (1, 2)]
    first = round(campaign.reduction.threshold_mev / AXES["energy_width_mev"])
    answers = []
    for half in halves:
        _, re, im = half.coefficients[:, :, first:].sum(axis=2)
        nodes, weights = np.polynomial.hermite_e.hermegauss(21)
        angles = []
        for width in (12.5, 13.3):
            y, x = 0.1 * width * nodes, 0.7
            terms = [np.ones_like(y), x, x * x + 2.0, y**2, y**4, x * y**2]
            chosen = (0, 1, 3, 6, 9, 10)
            z = sum((re[k] + 1j * im[k]) * (weights * term).sum() for k, term in zip(chosen, terms, strict=True))
            angles.append(np.angle(z))
        answers.append(1e3 * (angles[1] - angles[0]) / (13.3**2 - 12.5**2))
    shape = np.array([[7.0] * 2, [200.0] * 2, [0.0] * 2, [12.5**2, 13.3**2]])
    known = np.diff(np.angle(detected_phasor(load_maps(campaign.reduction.threshold_mev), shape)[0]))[0]
    known *= 1e3 / (13.3**2 - 12.5**2)
    print(
        f"phase against width squared, mrad/mm²: arcs {answers[0]:.4f} and {answers[1]:.4f}, map {known:.4f}",
        flush=True,
    )
    return Acceptance(0.5 * (halves[0].coefficients + halves[1].coefficients), decays)


def shifts_ppm(campaign: Campaign, index: int, muons: int, acceptance: Acceptance) -> np.ndarray:
    """Return R [ppm] of a five-parameter fit for each block of the same muons."""
    simulation = prepare_dataset(campaign, index, NATURE)
    beam: BeamConfig = campaign.datasets[index].beam
    t = AXES["time_width_us"] * (np.arange(int(AXES["n_time"])) + 0.5)
    reach = beam.loss_rate_per_us * beam.loss_decay_us * (1.0 - np.exp(-t / beam.loss_decay_us))

    def one(block: int) -> float:
        rows = simulation.pool.rows[block * muons : (block + 1) * muons].copy()
        rows[:, ROW["loss_time_us"]] = np.inf
        total = np.zeros_like(t)
        for part in np.array_split(rows[np.argsort(rows[:, ROW["delta"]])], GROUPS[0]):
            for group in np.array_split(part[np.argsort(part[:, ROW["root_2jy"]])], GROUPS[1]):
                rate = expected_rate(
                    replace(simulation.pool, rows=group),
                    acceptance,
                    muons=len(group),
                    decays=1e10 * len(group) / muons,
                    clock_offset=0.0,
                    resolution_stochastic=campaign.detector.resolution_stochastic,
                    resolution_constant=campaign.detector.resolution_constant,
                )
                height = 0.5 * group[:, ROW["root_2jy"]] ** 2
                relative = relative_loss(
                    group[:, ROW["delta"]],
                    height,
                    beam.loss_momentum_slope,
                    beam.loss_vertical_power,
                    simulation.muons.mean_power,
                )
                left = np.exp(-relative[:, None] * reach).mean(axis=0)
                total += left * rate.above(campaign.reduction.threshold_mev).sum(axis=0)
        # Survival of the whole beam is what Λ(t) of a fit takes out.
        relative = relative_loss(
            rows[:, ROW["delta"]],
            0.5 * rows[:, ROW["root_2jy"]] ** 2,
            beam.loss_momentum_slope,
            beam.loss_vertical_power,
            simulation.muons.mean_power,
        )
        known = np.exp(-relative[:, None] * reach).mean(axis=0)
        histogram = TimeHistogram(total / known, np.zeros(1), AXES["time_width_us"], ("all",))
        return fit(histogram, "five", FitSettings(window_us=(30.0, 650.0))).value("R")

    with make_executor("threads", 1) as executor:
        return np.array(list(map_ordered(executor, one, range(BLOCKS), title="rate", quiet=True)))


def main() -> None:
    """Print the comparison."""
    name = sys.argv[1] if len(sys.argv) > 1 else "demo"
    wanted = sys.argv[2] if len(sys.argv) > 2 else "a"
    muons = int(sys.argv[3]) if len(sys.argv) > 3 else 400
    decays = int(float(sys.argv[4])) if len(sys.argv) > 4 else 60_000_000
    campaign = load_campaign(name)
    index = [d.name for d in campaign.datasets].index(wanted)
    still = {"damaged_plates": (), "voltages": (), "loss_rate_per_us": 0.0}
    lost = {"damaged_plates": (), "voltages": ()}
    worlds = {
        "plates": ({"loss_rate_per_us": 0.0}, "C_pa"),
        "losses by amplitude": ({**lost, "loss_momentum_slope": 0.0}, "C_pa"),
        "losses by momentum": ({**lost, "loss_vertical_power": 0.0}, "C_ml"),
    }
    acceptance = counted(world(campaign, index, **still), index, decays)
    base = shifts_ppm(world(campaign, index, **still), index, muons, acceptance)
    print(f"{name} {wanted}, {BLOCKS} blocks of {muons} muons; errors: scatter of the blocks")
    print(f"{'cause':22s} {'correction':10s} {'truth record':>12s} {'-fitted shift':>13s} {'error':>6s} {'left':>6s}")
    for label, (changes, correction) in worlds.items():
        here = world(campaign, index, **changes)
        difference = -1e3 * (shifts_ppm(here, index, muons, acceptance) - base)
        truth = beam_truth(here.datasets[index].beam, here.effects, seed=here.seed, dataset=index).corrections_ppb[
            correction
        ]
        value, error = difference.mean(), difference.std(ddof=1) / np.sqrt(BLOCKS)
        print(f"{label:22s} {correction:10s} {truth:12.1f} {value:13.1f} {error:6.1f} {value - truth:6.1f}", flush=True)


if __name__ == "__main__":
    main()
