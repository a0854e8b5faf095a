"""Paired bias: one effect on and off, without counting noise, through the corrections and fits of T, A, R and Q.

    python validation/omega_a_paired.py [MUONS] [ENSEMBLES] [EFFECT]

Expected datasets (``gminus2.simulation.expected_dataset``) of Run-1a's size, each effect as configured and amplified.
Printed: ΔR, Δτ, ΔA uncorrected and corrected, effect on - off; the ΔR of T expected by linear response from the
distortion at 30 µs alone; the part of ΔR that is removed. Several ENSEMBLES of muons: mean, and ± their
spread, which is the numerical error of the difference.
"""

from __future__ import annotations

import math
import sys
from dataclasses import replace

import numpy as np

from gminus2.config.campaign import changed_campaign, load_campaign
from gminus2.data.campaign import AXES, CampaignDataset
from gminus2.precession.campaign import Analysis, DatasetAnalyser
from gminus2.simulation.dataset import DatasetSimulation, prepare_dataset
from gminus2.simulation.expected import project_acceptance, true_rate
from gminus2.simulation.expected_dataset import expected_dataset, expected_world
from gminus2.simulation.expected_losses import survival
from gminus2.simulation.truth import draw_nature
from gminus2.units import omega_reference

FILLS = 1_500_000
NONE = {
    "pileup": "false",
    "gain_infill": "0",
    "gain_rate": "0",
    "double_pulse": "0",
    "lost_muons": "0",
    "temperature": "0",
    "background": "0",
}
SHADOW, CONVOLUTION = {"pileup": "shadow"}, {"pileup": "convolution"}
GAIN, LOSSES = {"gain": True}, {"lost_muons": True}
#: Effect → settings that switch it on, settings common to on and off, corrections, methods, recovery time of the phase.
CASES: list[tuple[str, dict[str, str], dict[str, str], list[dict[str, object]], str, float]] = [
    ("pileup x 1", {"pileup": "true"}, {}, [SHADOW, CONVOLUTION], "TAR", 64.4),
    ("pileup, 5 x rate", {"pileup": "true"}, {"rate": "5"}, [SHADOW, CONVOLUTION], "TAR", 64.4),
    ("gain drop x 1", {"gain_infill": "1"}, {}, [GAIN], "TARQ", 60.0),
    ("gain drop x 10", {"gain_infill": "10"}, {}, [GAIN], "TARQ", 60.0),
    ("gain sag x 1", {"gain_rate": "1"}, {}, [GAIN], "TARQ", 64.4),
    ("gain sag x 10", {"gain_rate": "10"}, {}, [GAIN], "TARQ", 64.4),
    ("double pulse x 1", {"double_pulse": "1"}, {}, [GAIN], "TARQ", 64.4),
    ("double pulse x 10", {"double_pulse": "10"}, {}, [GAIN], "TARQ", 64.4),
    ("lost muons x 1", {"lost_muons": "1"}, {}, [LOSSES], "TARQ", 0.0),
    ("lost muons x 10", {"lost_muons": "10"}, {}, [LOSSES], "TARQ", 0.0),
]
NAMES = ("R", "tau", "A")
SCALE = np.array([1e3, 1e3, 1e6])


def simulation(changes: dict[str, str]) -> DatasetSimulation:
    given = tuple(f"effects.{key}={value}" for key, value in {**NONE, **changes}.items())
    campaign = changed_campaign(load_campaign("demo"), seed=301, datasets=("a",), changes=given)
    return prepare_dataset(campaign, 0, draw_nature(campaign.truth))


def measured(dataset: CampaignDataset, analyses: list[Analysis]) -> list[np.ndarray]:
    analyser = DatasetAnalyser(dataset)
    result = []
    for analysis in analyses:
        first = analyser.measure(analysis).fit
        # Again from its own minimum: an undamped step more.
        fit = analyser.measure(analysis, start=first.values).fit
        values = [fit.value("R"), fit.value("tau") if "tau" in fit.parameters else math.nan, fit.value("A")]
        result.append(SCALE * np.array(values))
    return result


def predicted(on: CampaignDataset, off: CampaignDataset, recovery_us: float, alive: np.ndarray | None) -> float:
    """ΔR [ppb] that a distortion seen at 30 µs must make, by linear response; no fit of the distorted spectrum.

    Rate-driven effects: ΔN/N = (a + b cos ωt + c sin ωt) e^(-(t-30)/recovery), a, b, c from the counts above 1.7 GeV
    in the first eight periods only, the recovery from physics. Losses: ΔN/N = S(t) - 1 of the ensemble.
    """
    tau, width = 64.4, AXES["time_width_us"]
    t = width * (np.arange(int(AXES["n_time"])) + 0.5)
    n_off, n_on = (d.reconstruction("global")["counts"][:, 34:].sum(axis=(0, 1)) for d in (off, on))
    fit = (t > 30.0) & (t < 640.0)
    early = (t > 30.0) & (t < 30.0 + 16.0 * math.pi / omega_reference)
    c, s = np.cos(omega_reference * t), np.sin(omega_reference * t)
    basis = np.stack([np.ones_like(t), c, s])
    decay = np.exp(-(t - 30.0) / tau)
    coefficients = np.linalg.lstsq((basis * decay)[:, early].T, n_off[early], rcond=None)[0]
    wave = coefficients @ basis
    if alive is None:
        shape = np.exp(-(t - 30.0) / recovery_us)
        change = np.linalg.lstsq((basis * decay * shape)[:, early].T, (n_on - n_off)[early], rcond=None)[0]
        distortion = decay * shape * (change @ basis)
    else:
        distortion = decay * wave * (alive - 1.0)
    _, x, y = coefficients
    # Five parameters: N, τ, A (two quadratures stand for A and φ) and ω; weights 1/N.
    slope = decay * t * (y * c - x * s)
    jacobian = np.stack([slope, decay * wave, decay * wave * t, decay * c, decay * s])[:, fit]
    weighted = jacobian / (decay * wave)[fit]
    response = np.linalg.solve(weighted @ jacobian.T, weighted @ distortion[fit])[0]
    return float(1e9 * response / omega_reference)


def main() -> None:
    muons = int(sys.argv[1]) if len(sys.argv) > 1 else 150
    ensembles = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    only = sys.argv[3] if len(sys.argv) > 3 else ""
    base = simulation({})
    acceptance = project_acceptance(base.pool, decays=2_000_000, seed=301)
    rows: dict[tuple[str, str, str], list[np.ndarray]] = {}
    expected: dict[str, list[float]] = {}
    for number in range(ensembles):
        rate = true_rate(
            base.pool,
            acceptance,
            muons=muons,
            first_muon=number * muons,
            decays=base.config.muons_per_fill,
            clock_offset=base.nature.clock_offset,
            losses=False,
            start_us=0.5,
        )
        world = expected_world(base, rate)
        references: dict[str, tuple[CampaignDataset, dict[str, np.ndarray]]] = {}
        for effect, switch, common, corrections, methods, recovery in CASES:
            if only not in effect:
                continue
            key = str(common)
            plain = [Analysis(m, "global", m, "none", gain=False, lost_muons=False) for m in "TARQ"]  # type: ignore[arg-type]
            if key not in references:
                off = expected_dataset(simulation(common), world, fills=FILLS)
                references[key] = off, dict(zip("TARQ", measured(off, plain), strict=True))
            off, zero = references[key]
            on = expected_dataset(simulation({**common, **switch}), world, fills=FILLS)
            t = AXES["time_width_us"] * (np.arange(int(AXES["n_time"])) + 0.5)
            alive = None if recovery else survival(simulation({**common, **switch}), t)
            expected.setdefault(effect, []).append(predicted(on, off, recovery, alive))
            analyses = [a for a in plain if a.method in methods]
            for analysis, value in zip(analyses, measured(on, analyses), strict=True):
                rows.setdefault((effect, analysis.method, "uncorrected"), []).append(value - zero[analysis.method])
            for correction in corrections:
                label = str(correction.get("pileup", "corrected"))
                corrected = [replace(a, **correction) for a in analyses]  # type: ignore[arg-type]
                for analysis, value in zip(corrected, measured(on, corrected), strict=True):
                    rows.setdefault((effect, analysis.method, label), []).append(value - zero[analysis.method])
            print(f"# {effect}, ensemble {number + 1}", file=sys.stderr, flush=True)
            del on
    print(f"expected datasets of {FILLS} fills of demo/a, {muons} muons integrated, {ensembles} ensembles; on - off")
    print(f"{'effect':18} {'':1} {'':12} {'R [ppb]':>18} {'removed':>9} {'tau [ns]':>20} {'A [1e-6]':>18}")
    for (effect, method, label), values in rows.items():
        v = np.array(values)
        mean = v.mean(axis=0)
        error = v.std(axis=0, ddof=1) / math.sqrt(len(v)) if len(v) > 1 else np.full(3, math.nan)
        raw = np.mean(rows[(effect, method, "uncorrected")], axis=0)[0]
        removed = f"{100.0 * (1.0 - abs(mean[0] / raw)):8.1f}%" if label != "uncorrected" else 9 * " "
        hint = ""
        if label == "uncorrected" and method == "T" and effect in expected:
            hint = f"  expected {np.mean(expected[effect]):+.0f}"
        print(
            f"{effect:18} {method:1} {label:12} {mean[0]:+10.2f} ± {error[0]:5.2f} {removed} "
            f"{mean[1]:+12.3f} ± {error[1]:5.3f} {mean[2]:+10.2f} ± {error[2]:5.2f}{hint}"
        )


if __name__ == "__main__":
    main()
