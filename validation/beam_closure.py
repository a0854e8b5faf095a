"""Corrections measured from the detectors of a simulated campaign, beside what its own muons did.

Usage: ``python validation/beam_closure.py CAMPAIGN_FOLDER`` (made with ``gminus2 simulate``). The truth is computed
from the stored beam that the simulation used, not from histograms: C_e and C_p are the muons' own shifts, C_pa follows
them through the lattice and the phase map, C_ml and C_dd follow their mean phase through losses and decay.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from gminus2.beam.campaign import analyse_dataset
from gminus2.beam.fit_response import PseudoExperiment
from gminus2.config.campaign import load_campaign
from gminus2.constants import MUON_LIFETIME_US
from gminus2.data.campaign import CampaignDataset
from gminus2.simulation.beams import stored_beam
from gminus2.simulation.truth import read_truth
from gminus2.units import omega_reference

sys.path.insert(0, str(Path(__file__).parent))
from phase_acceptance_presets import phase_acceptance_of


def true_corrections(campaign: object, index: int, truth: dict[str, object]) -> dict[str, float]:
    """Return the corrections of a dataset from its muons."""
    config, effects = campaign.datasets[index], campaign.effects  # type: ignore[attr-defined]
    beam = stored_beam(config.beam, effects, seed=campaign.seed, dataset=index)  # type: ignore[attr-defined]
    experiment = PseudoExperiment()
    count = len(beam)
    c_pa, _, _ = phase_acceptance_of(config.beam, effects, campaign.seed, index)  # type: ignore[attr-defined]

    gamma = beam.gamma_magic * (1.0 + beam.delta)
    lifetime = gamma * MUON_LIFETIME_US
    d_phase = 1e-3 * 0.0509 * beam.equilibrium_offset_mm
    muon_phase = beam.spin_phase_rad - omega_reference * beam.injection_time_us - d_phase

    def drift(with_loss: bool, with_decay: bool) -> float:
        """Return the shift of the mean phase of muons that are left, losses and decay on or off."""
        t = np.arange(0.0, 650.0, 2.0)
        mean = np.empty(len(t))
        for i, now in enumerate(t):
            weight = np.ones(count)
            if with_loss:
                weight = weight * (beam.loss_time_us > now)
            if with_decay:
                weight = weight * np.exp(-now / lifetime + now / lifetime.mean())
            mean[i] = np.average(muon_phase, weights=weight)
        smooth = mean
        if with_loss:
            # The pool loses few muons: a smooth curve through the steps.
            basis = np.stack([np.ones_like(t), np.exp(-t / 60.0)], axis=1)
            smooth = basis @ np.linalg.lstsq(basis, mean, rcond=None)[0]
        return -experiment.shift_ppb(lambda u: np.interp(u, t, smooth - smooth[0]))

    pool = truth["pool"]
    assert isinstance(pool, dict)
    # The loss–phase covariance of 10⁵ muons is too noisy for ppb; its expectation follows from the slopes.
    slope = float(np.polyfit(beam.delta, muon_phase, 1)[0])
    rms = float(np.std(beam.delta))
    loss_slope = 1e3 * config.beam.loss_momentum_slope
    mean_factor = 1.0 + loss_slope * float(np.mean(beam.delta))
    rate = config.beam.loss_rate_per_us * mean_factor * effects.lost_muons
    decay = config.beam.loss_decay_us
    excess = loss_slope * rms**2 / mean_factor
    c_ml = -experiment.shift_ppb(lambda t: -slope * excess * rate * decay * (1.0 - np.exp(-t / decay)))
    return {
        "C_e": -float(pool["electric_field_ppb"]),
        "C_p": -float(pool["pitch_ppb"]),
        "C_ml": c_ml,
        "C_pa": c_pa,
        "C_dd": drift(False, True),
    }


def main() -> None:
    """Print the table."""
    folder = Path(sys.argv[1])
    campaign = load_campaign(str(folder / "campaign.toml"))
    record = read_truth(folder / "truth" / "truth.json")["datasets"]
    print(f"{'dataset':8s} {'correction':10s} {'measured':>10s} {'error':>8s} {'truth':>10s} {'pull':>6s}")
    for index, config in enumerate(campaign.datasets):
        if not (folder / f"{config.name}.h5").exists():
            continue
        analysis = analyse_dataset(CampaignDataset.read(folder / f"{config.name}.h5"))
        truth = true_corrections(campaign, index, record[config.name])
        for name, correction in analysis.corrections.items():
            value, error = correction.value_ppb, correction.uncertainty_ppb
            pull = (value - truth[name]) / error
            print(f"{config.name:8s} {name:10s} {value:10.1f} {error:8.1f} {truth[name]:10.1f} {pull:6.2f}")
        total = sum(truth.values())
        pull = (analysis.sum_ppb - total) / analysis.sum_uncertainty_ppb
        print(
            f"{config.name:8s} {'sum':10s} {analysis.sum_ppb:10.1f} {analysis.sum_uncertainty_ppb:8.1f} "
            f"{total:10.1f} {pull:6.2f}"
        )


if __name__ == "__main__":
    main()
