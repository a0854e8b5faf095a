"""All effects on and off, without counting noise: what is left of R'_μ when everything measured has been corrected.

    python validation/demo_paired.py [FOLDER] [--datasets a,b,…] [--factors 1,5] [--fills N] [--muons N] [--blocks N]
                                     [--seed N] [--threads N] [--decays N]

Two worlds per dataset of the demo, from the same random numbers:

* **off**: muons without electric field, pitch, CBO, vertical mismatch, voltage history, losses and spin–momentum
  correlation, detectors without pileup and gain changes; a magnet without drifts, steps, walks, azimuthal variation and
  transients, averaged over a beam in its centre;
* **on**: all of it, as shipped (×1) or amplified (×5, see ``amplified``).

ω_a^m comes from datasets without counting noise (``gminus2.simulation.expected_dataset``): by the A and T methods with
all corrections and the full model in the world with effects, with five parameters in the other. C_e … C_dd and the
muons' profile come from simulated detectors of the world with effects, with the recorded statistics; ω̃'_p, B_k and B_q
from probes, trolley and calibration of each world. Then

    bias = R'_on/R'_off − 1,   R' = f_a (1 + ΣC) / [f'_p (1 + B_k + B_q)]

with the error of the pair: the finite number of integrated muons (scatter of blocks), the errors of the corrections,
and those rows of the field that do not cancel between the two worlds. What is made is kept in FOLDER.
Printed output is kept in docs/validation/demo_paired.md.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gminus2.beam.campaign import BeamAnalysis, analyse_dataset
from gminus2.config.campaign import Campaign, changed_campaign, load_campaign
from gminus2.data.campaign import AXES, CampaignDataset
from gminus2.data.nmr import FieldData
from gminus2.execution import make_executor, map_ordered
from gminus2.field.analysis import campaign_walk_rate, finish_dataset, prepare_dataset
from gminus2.field.result import FieldResult
from gminus2.field.trolley import extract_frequencies
from gminus2.pipeline.beam_truth import beam_truth
from gminus2.pipeline.simulated import simulate_campaign
from gminus2.pipeline.stages.analysis import beam_options, muon_profile, with_profile
from gminus2.precession.campaign import Analysis, DatasetAnalyser
from gminus2.ring.closed_form import relative_loss
from gminus2.simulation.dataset import DatasetSimulation
from gminus2.simulation.dataset import prepare_dataset as prepare_muons
from gminus2.simulation.expected import Acceptance, project_acceptance, true_rate
from gminus2.simulation.expected_dataset import expected_dataset, expected_world
from gminus2.simulation.expected_losses import survival
from gminus2.simulation.joint import JointField, simulate_joint_field
from gminus2.simulation.pool import ROW
from gminus2.simulation.truth import Nature, a_mu_per_frequency_ratio
from gminus2.units import omega_reference

NATURE = Nature(a_mu=1.16592061e-3, clock_offset=0.0)
F_REFERENCE_HZ = omega_reference / (2.0 * math.pi) * 1e6
WINDOW = (30.0, 650.0)
OFF = (
    "electric_field",
    "pitch",
    "field_multipoles",
    "cbo",
    "voltage_history",
    "lost_muons",
    "pileup",
    "gain_infill",
    "gain_rate",
    "double_pulse",
    "temperature",
    "background",
    "spin_momentum",
)
#: Rows of the field that are the same in both worlds: the plunging probe is off by one factor in either.
COMMON = ("absolute_calibration",)
#: Groups by momentum, and each of them by vertical amplitude, with their own losses.
GROUPS = 3, 6
METHODS: tuple[Literal["A", "T"], ...] = ("A", "T")
#: Scale of the noise-free datasets: Run-1a.
FILLS = 1_500_000
CORRECTIONS = ("C_e", "C_p", "C_ml", "C_pa", "C_dd")


# The worlds -----------------------------------------------------------------------------------------------------------


def amplified(campaign: Campaign, factor: float) -> Campaign:
    """Return the demo with everything amplified that can be.

    Rate (pileup), flash, sag, double pulse, temperature, background, losses, damaged resistors, vertical mismatch, spin
    phase per momentum; azimuthal variation, drifts, oscillation, steps and walks of the magnet. Left as they are:
    momentum and its spread, widths and CBO (the aperture bounds them), and the transients of the field, whose
    uncertainty is a part of their size.
    """
    names = ("gain_infill", "gain_rate", "double_pulse", "temperature", "background", "rate")
    effects = campaign.effects.model_copy(update=dict.fromkeys(names, factor))
    datasets = []
    for config in campaign.datasets:
        beam = config.beam
        plates = tuple(p.model_copy(update={"fraction": min(factor * p.fraction, 0.95)}) for p in beam.damaged_plates)
        changes = {
            "damaged_plates": plates,
            # Through the rate of the beam: more losses of the same dependence on momentum.
            "loss_rate_per_us": factor * beam.loss_rate_per_us,
            "vertical_mismatch": min(factor, 2.0) * beam.vertical_mismatch,
            "spin_per_momentum_rad": factor * beam.spin_per_momentum_rad,
        }
        datasets.append(config.model_copy(update={"beam": beam.model_copy(update=changes)}))
    section = campaign.measurement.beam
    known = section.model_copy(
        update={
            "phase_per_momentum_rad": factor * section.phase_per_momentum_rad,
            "phase_per_momentum_error": factor * section.phase_per_momentum_error,
        }
    )
    assert campaign.field is not None
    world = campaign.field.world
    scaled = (
        "dipole_spread_hz",
        "gradient_spread_ppm",
        "slow_drift_ppb",
        "oscillation_ppb",
        "step_ppb",
        "walk_ppb_72h",
        "local_walk_ppb_72h",
    )
    world = world.model_copy(update={name: factor * getattr(world, name) for name in scaled})
    field_datasets = tuple(
        d.model_copy(update={"drift_ppm_per_degc": factor * d.drift_ppm_per_degc}) for d in campaign.field.datasets
    )
    return campaign.model_copy(
        update={
            "effects": effects,
            "datasets": tuple(datasets),
            "measurement": campaign.measurement.model_copy(update={"beam": known}),
            "field": campaign.field.model_copy(update={"world": world, "datasets": field_datasets}),
        }
    )


def without_effects(campaign: Campaign) -> Campaign:
    """Return the demo with every effect off."""
    campaign = changed_campaign(campaign, without=OFF)
    datasets = tuple(
        d.model_copy(update={"beam": d.beam.model_copy(update={"vertical_mismatch": 0.0})}) for d in campaign.datasets
    )
    assert campaign.field is not None
    still = ("dipole_spread_hz", "gradient_spread_ppm", "slow_drift_ppb", "oscillation_ppb", "steps_per_day")
    world = campaign.field.world.model_copy(
        update=dict.fromkeys((*still, "walk_ppb_72h", "local_walk_ppb_72h", "footprint_hz"), 0.0)
    )
    none = ("kick_amplitude_ppb", "kick_baseline_ppb", "quad_amplitude_ppb", "quad_mode_ppb", "quad_offset_ppb")
    transients = campaign.field.transients.model_copy(update=dict.fromkeys(none, 0.0))
    centre = {"mean_x_mm": 0.0, "mean_y_mm": 0.0, "width_x_mm": 0.01, "width_y_mm": 0.01, "closed_orbit_mm": 0.0}
    muons = campaign.field.muons.model_copy(update=centre)
    field_datasets = tuple(
        d.model_copy(update={"drift_ppm_per_degc": 0.0, "hall_swing_c": 0.0}) for d in campaign.field.datasets
    )
    section = campaign.field.model_copy(
        update={"world": world, "transients": transients, "muons": muons, "datasets": field_datasets}
    )
    return campaign.model_copy(update={"datasets": datasets, "field": section})


# The field ------------------------------------------------------------------------------------------------------------


def record_field(campaign: Campaign, index: int, threads: int) -> tuple[FieldData, JointField]:
    """Return what the probes of a dataset recorded, and the field of its muons."""
    assert campaign.field is not None
    section, dataset = campaign.field, campaign.field.datasets[index]
    data, joint = simulate_joint_field(section, dataset, seed=campaign.seed, index=index, offset=0.0)
    with make_executor("threads", threads) as executor:
        options = section.analysis
        runs = tuple(extract_frequencies(r, options.model, options.window, executor=executor) for r in data.trolley)
    return replace(data, trolley=runs), joint


def analyse_field(campaign: Campaign, data: FieldData, profile: dict[str, float] | None) -> FieldResult:
    """Return ω̃'_p, B_k and B_q with their budget."""
    assert campaign.field is not None
    section = campaign.field if profile is None else with_profile(campaign.field, profile)
    prepared = prepare_dataset(section, data)
    rate, relative = campaign_walk_rate(section, [prepared])
    return finish_dataset(section, prepared, rate=rate, rate_relative_sigma=relative)[0]


@dataclass(frozen=True)
class Given:
    """The command line."""

    folder: Path
    fills: int
    muons: int
    blocks: int
    threads: int
    decays: float


# ω_a without counting noise -------------------------------------------------------------------------------------------


def in_field(campaign: Campaign, index: int, field: JointField) -> Campaign:
    """Return a campaign whose muons precess in the field of the probes."""
    datasets = list(campaign.datasets)
    datasets[index] = datasets[index].model_copy(update={"field": field.for_muons()})
    return campaign.model_copy(update={"datasets": tuple(datasets), "only": (datasets[index].name,)})


def lasting(simulation: DatasetSimulation, rows: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Return the fraction of muons like ``rows`` that losses leave until t, as a density."""
    beam = simulation.config.beam
    height = 0.5 * rows[:, ROW["root_2jy"]] ** 2
    relative = relative_loss(
        rows[:, ROW["delta"]], height, beam.loss_momentum_slope, beam.loss_vertical_power, simulation.muons.mean_power
    )
    reach = beam.loss_rate_per_us * beam.loss_decay_us * (1.0 - np.exp(-t / beam.loss_decay_us))
    return np.asarray(np.exp(-relative[:, None] * reach).mean(axis=0))


def acceptance_of(simulation: DatasetSimulation, decays: float, threads: int, folder: Path) -> Acceptance:
    """Return the acceptance for all worlds, of so many decays that its noise does not count.

    C_pa comes from how the phase answers to the height of a decay: 4e7 decays know that to 20 % only.
    """
    kept = folder / f"acceptance-{simulation.campaign.seed}-{decays:.0e}.npy"
    if not kept.exists():
        parts = 8
        pool = simulation.pool

        def one(part: int) -> np.ndarray:
            return project_acceptance(pool, decays=round(decays / parts), seed=part).coefficients

        with make_executor("threads", threads) as executor:
            found = list(map_ordered(executor, one, range(parts), title="acceptance", quiet=True))
        np.save(kept, np.mean(found, axis=0))
    return Acceptance(np.load(kept), round(decays))


def noise_free(simulation: DatasetSimulation, acceptance: Acceptance, block: int, muons: int) -> CampaignDataset:
    """Return the expected dataset of a block of the pool, with pileup, gain and losses as the effects say.

    A muon that is lost is a step in the rate of a block; so losses multiply groups of like momentum and amplitude.
    """
    t = AXES["time_width_us"] * (np.arange(int(AXES["n_time"]), dtype=np.float64) + 0.5)
    rows = simulation.pool.rows[block * muons : (block + 1) * muons]
    lost = simulation.campaign.effects.lost_muons > 0.0
    total = np.zeros(())
    for part in np.array_split(rows[np.argsort(rows[:, ROW["delta"]])], GROUPS[0]):
        for group in np.array_split(part[np.argsort(part[:, ROW["root_2jy"]])], GROUPS[1]):
            rate = true_rate(
                replace(simulation.pool, rows=group),
                acceptance,
                muons=len(group),
                decays=simulation.config.muons_per_fill * len(group) / muons,
                clock_offset=0.0,
                losses=False,
                start_us=0.5,
            )
            if lost:
                rate *= lasting(simulation, group, t)
            total = total + rate
    if lost:
        # The dataset multiplies by the pool's mean survival, which is in the groups already.
        total = total / survival(simulation, t)
    return expected_dataset(simulation, expected_world(simulation, total), fills=FILLS)


def blocks_ppm(
    simulation: DatasetSimulation, seen: DatasetAnalyser | None, acceptance: Acceptance, given: Given
) -> np.ndarray:
    """Return R [ppm] by (block, method), the mean shift of a block's muons replaced by that of the pool.

    ``seen`` is what the trackers of the world with effects recorded: the beam's oscillations come from there.
    """
    muons = given.muons
    whole = 1e-6 * simulation.pool.rows[:, ROW["shift_ppt"]].mean()

    def one(block: int) -> list[float]:
        analyser = DatasetAnalyser(noise_free(simulation, acceptance, block, muons))
        if seen is not None:
            analyser.__dict__["oscillations"] = seen.oscillations
        own = 1e-6 * simulation.pool.rows[block * muons : (block + 1) * muons, ROW["shift_ppt"]].mean()
        analyses = [Analysis(m, "global", m, start_us=WINDOW[0], stop_us=WINDOW[1]) for m in METHODS]
        if seen is None:
            analyses = [replace(a, pileup="none", gain=False, lost_muons=False) for a in analyses]
        return [analyser.measure(analysis).r_ppm - own + whole for analysis in analyses]

    with make_executor("threads", given.threads) as executor:
        return np.array(list(map_ordered(executor, one, range(given.blocks), title="expected", quiet=True)))


# The comparison -------------------------------------------------------------------------------------------------------


def detectors(campaign: Campaign, index: int, given: Given, label: str) -> tuple[DatasetAnalyser, BeamAnalysis]:
    """Return what the simulated detectors of the world with effects recorded, analysed."""
    name = campaign.datasets[index].name
    folder = given.folder / f"events-{label}-{name}"
    if not (folder / f"{name}.h5").exists():
        simulate_campaign(campaign, folder, nature=NATURE, workers=given.threads)
    dataset = CampaignDataset.read(folder / f"{name}.h5")
    return DatasetAnalyser(dataset), analyse_dataset(dataset, beam_options(campaign.measurement.beam, WINDOW))


def pair(campaign: Campaign, index: int, factor: float, given: Given) -> dict[str, Any]:
    """Return the comparison of one dataset; all in ppb."""
    fills = campaign.datasets[index].fills
    on, off = amplified(campaign, factor), without_effects(campaign)
    data, field = record_field(on, index, given.threads)
    data_off, field_off = record_field(off, index, given.threads)
    on, off = in_field(on, index, field), in_field(off, index, field_off)
    analyser, beam = detectors(on, index, given, f"{factor:g}")
    found, found_off = analyse_field(on, data, muon_profile(beam)), analyse_field(off, data_off, None)
    del data, data_off
    muons, muons_off = (prepare_muons(c, index, NATURE) for c in (on, off))
    # One acceptance for all worlds: that of the first dataset asked for.
    acceptance = acceptance_of(muons, given.decays, given.threads, given.folder)
    r_on = blocks_ppm(muons, analyser, acceptance, given)
    r_off = blocks_ppm(muons_off, None, acceptance, given)

    # The frequency of an ideal muon in the field that the muons weigh.
    true_on = 1e6 * muons.f_a_mhz * (1.0 + 1e-9 * muons.pool.truth["field_ppb"])
    true_off = 1e6 * muons_off.f_a_mhz
    corrections = {name: beam.corrections[name] for name in CORRECTIONS}
    total = sum(c.value_ppb for c in corrections.values())
    (f_on, t_on), (f_off, t_off) = (F_REFERENCE_HZ * (1.0 + 1e-6 * r.mean(axis=0)) for r in (r_on, r_off))
    scatter = 1e3 * (r_on - r_off)[:, 0]
    n = len(scatter)
    errors = {
        "integration": float(scatter.std(ddof=1) / math.sqrt(n)) if n > 1 else math.nan,
        **{name: c.uncertainty_ppb for name, c in corrections.items()},
        **{row.name: row.sigma_ppb for row in found.budget if row.name not in COMMON},
        # Of the other world only what is its own.
        "field, off": math.hypot(*(row.sigma_ppb for row in found_off.budget if not row.correlated)),
        "transients, off": math.hypot(found_off.row("B_k").sigma_ppb, found_off.row("B_q").sigma_ppb),
    }

    # What another dataset would draw anew.
    independent = math.hypot(
        errors["integration"],
        errors["field, off"],
        *(c.to_json()["rows_ppb"].get("statistics", 0.0) for c in corrections.values()),
        *(row.sigma_ppb for row in found.budget if not row.correlated),
    )

    def ratio(f_a: float, total: float, p: FieldResult) -> float:
        return f_a * (1.0 + 1e-9 * total) / (p.f_p_hz * (1.0 + 1e-9 * (p.b_k_ppb + p.b_q_ppb)))

    def left(measured: float, true: float) -> float:
        return 1e9 * (measured / true - 1.0)

    true_ratio = NATURE.a_mu / a_mu_per_frequency_ratio()
    p_on = field.f_p_hz * (1.0 + 1e-9 * muons.pool.truth["field_ppb"])
    r_mu_on, r_mu_off = ratio(f_on, total, found), ratio(f_off, 0.0, found_off)
    field_error = math.hypot(*(v for k, v in errors.items() if k not in (*CORRECTIONS, "integration", "B_k", "B_q")))
    c_error = math.hypot(*(c.uncertainty_ppb for c in corrections.values()))
    own = beam_truth(on.datasets[index].beam, on.effects, seed=on.seed, dataset=index).corrections_ppb
    true_total = sum(own.values())
    rows = [
        ["omega_a^m (T) - true", left(t_on, true_on), left(t_off, true_off), errors["integration"]],
        ["omega_a^m (A) - true", left(f_on, true_on), left(f_off, true_off), errors["integration"]],
        *([name, c.value_ppb, 0.0, c.uncertainty_ppb] for name, c in corrections.items()),
        ["sum C", total, 0.0, c_error],
        [
            "omega_a - true",
            left(f_on * (1.0 + 1e-9 * total), true_on),
            left(f_off, true_off),
            math.hypot(c_error, errors["integration"]),
        ],
        ["sum C of the truth", true_total, 0.0, 0.0],
        [
            "omega_a - true",
            left(f_on * (1.0 + 1e-9 * true_total), true_on),
            left(f_off, true_off),
            errors["integration"],
        ],
        ["f'_p - true", left(found.f_p_hz, p_on), left(found_off.f_p_hz, field_off.f_p_hz), field_error],
        ["B_k - true", found.b_k_ppb - field.b_k_ppb, found_off.b_k_ppb - field_off.b_k_ppb, errors["B_k"]],
        ["B_q - true", found.b_q_ppb - field.b_q_ppb, found_off.b_q_ppb - field_off.b_q_ppb, errors["B_q"]],
        ["R'_mu - true", left(r_mu_on, true_ratio), left(r_mu_off, true_ratio), math.hypot(*errors.values())],
    ]
    return {
        "dataset": campaign.datasets[index].name,
        "factor": factor,
        "fills": fills,
        "hits": analyser.dataset.hits,
        "blocks": n,
        "muons": given.muons,
        "rows": rows,
        "errors_ppb": errors,
        "independent_ppb": independent,
        "bias_ppb": left(r_mu_on, r_mu_off),
        "error_ppb": math.hypot(*errors.values()),
    }


def show(found: dict[str, Any]) -> None:
    """Print one dataset."""
    print(
        f"\ndataset {found['dataset']}, effects x {found['factor']:g}: {found['hits']:.3g} hits, "
        f"{found['blocks']} blocks of {found['muons']} muons; ppb"
    )
    print(f"{'':20s} {'on':>10s} {'off':>10s} {'on - off':>10s} {'error':>8s}")
    for name, on, off, error in found["rows"]:
        print(f"{name:20s} {on:10.1f} {off:10.1f} {on - off:10.1f} {error:8.1f}")
    verdict = "within" if abs(found["bias_ppb"]) <= found["error_ppb"] else "OUTSIDE"
    print(f"bias of R'_mu: {found['bias_ppb']:+.1f} ± {found['error_ppb']:.1f} ppb: {verdict} one standard error")


def show_mean(found: list[dict[str, Any]]) -> None:
    """Print the mean of the datasets: independent errors fall, common ones stay."""
    n = len(found)
    bias = sum(one["bias_ppb"] for one in found) / n
    independent = math.hypot(*(one["independent_ppb"] for one in found)) / n
    common = sum(math.sqrt(max(one["error_ppb"] ** 2 - one["independent_ppb"] ** 2, 0.0)) for one in found) / n
    error = math.hypot(independent, common)
    names = ", ".join(one["dataset"] for one in found)
    print(
        f"\nmean of {names}, effects x {found[0]['factor']:g}: bias of R'_mu {bias:+.1f} ± {independent:.1f} "
        f"(independent) ± {common:.1f} (common) ppb, {bias / error:+.2f} standard errors of {error:.1f}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="paired campaign, all effects on and off")
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--datasets", default="a")
    parser.add_argument("--factors", default="1,5")
    parser.add_argument("--fills", type=int, default=6144)
    parser.add_argument("--muons", type=int, default=600, help="muons of a block")
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--decays", type=float, default=4e8, help="decays of the acceptance")
    parser.add_argument("--seed", type=int, default=2001)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    folder: Path = asked.folder or Path(tempfile.mkdtemp(prefix="paired-"))
    folder.mkdir(parents=True, exist_ok=True)
    given = Given(folder, asked.fills, asked.muons, asked.blocks, asked.threads, asked.decays)
    campaign = changed_campaign(load_campaign("demo"), seed=asked.seed, fills=asked.fills)
    names = [d.name for d in campaign.datasets]
    for factor in (float(f) for f in asked.factors.split(",")):
        done = []
        for name in asked.datasets.split(","):
            kept = folder / f"pair-{asked.seed}-{factor:g}-{name}.json"
            began = time.monotonic()
            if not kept.exists():
                found = pair(campaign, names.index(name), factor, given)
                kept.write_text(json.dumps(found, indent=1), encoding="utf-8")
                print(f"{name} x {factor:g}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
            done.append(json.loads(kept.read_text(encoding="utf-8")))
            show(done[-1])
        if len(done) > 1:
            show_mean(done)


if __name__ == "__main__":
    main()
