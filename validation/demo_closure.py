"""Closure of the whole chain: sealed demos with their own seeds and truths, measured blind, opened, compared.

    python validation/demo_closure.py [SEEDS] [FILLS] [FOLDER] [--first N] [--threads N] [--table]

Default: 20 demos of 6144 fills per dataset, seeds 1001 and after. Each has its own truth (another phrase), seed and
seal and goes through ``gminus2 measure``: blind, frozen, opened. What is left of it is a small JSON file,
``FOLDER/closure-FILLS-SEED.json``, so that a killed run goes on where it was, and two calls with different ``--first``
can share a folder. The table is of all demos of that size in the folder; ``--table`` prints it and runs nothing.

Pulls are (measured − true)/error. Errors of means and widths come from the scatter of the *seeds*: the datasets of one
demo share the instruments of its field. ``ok`` says |mean| ≤ 3 σ and |width − 1| ≤ 3 σ (a_mu: |width − 1| ≤ 0.35);
``narrow`` that the stated errors, systematics included, are larger than what happened, ``wide`` that they are smaller.
Printed output is kept in docs/validation/demo_closure.md.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from gminus2.config.campaign import Campaign, changed_campaign, load_campaign
from gminus2.errors import GMinus2Error
from gminus2.execution import make_executor
from gminus2.measurement.blinding import HiddenOffsets, open_seal, read_seal, unlock_record
from gminus2.pipeline.simulated_measurement import build_pipeline, measure_campaign
from gminus2.pipeline.stages.analysis import beam_file, omega_a_file
from gminus2.pipeline.stages.hardware import Keyring, passphrases, truth_file
from gminus2.precession.campaign.teams import DEFAULT_TEAMS
from gminus2.units import omega_reference

F_REFERENCE_MHZ = omega_reference / (2.0 * math.pi)
METHODS = tuple(team.name for team in DEFAULT_TEAMS)
CORRECTIONS = ("C_e", "C_p", "C_ml", "C_pa", "C_dd")
FIELD = ("f_p", "B_k", "B_q")


def campaign_of(seed: int, fills: int) -> Campaign:
    """Return the demo with a seed and truth of its own, all analyses of ω_a, no scans, no systematic variations."""
    fields = ("name", "reconstruction", "method", "pileup")
    teams = ",".join("{" + ",".join(f'{key}="{getattr(team, key)}"' for key in fields) + "}" for team in DEFAULT_TEAMS)
    changes = (
        f'truth.phrase="closure {seed}"',
        "measurement.omega_a.systematics=false",
        "measurement.omega_a.scans=false",
        f"measurement.omega_a.teams=[{teams}]",
    )
    return changed_campaign(load_campaign("demo"), seed=seed, fills=fills, changes=changes)


def compared(value: float, error: float, truth: float) -> dict[str, float]:
    """Return a measurement beside its truth."""
    return {"value": value, "error": error, "truth": truth, "pull": (value - truth) / error}


def opened(
    raw: dict[str, Any], beam: dict[str, Any], truth: dict[str, Any], own: dict[str, float], clock: float
) -> Any:
    """Return ω_a by analysis, corrections and their sum of one dataset, beside the truth.

    Parameters
    ----------
    raw, beam
        What the stages ``omega-a`` and ``beam`` wrote.
    truth, own, clock
        The locked record of the muons, their true corrections [ppb], the hidden offset of the clock.
    """
    mean_field = truth["f_a_mhz"] * (1.0 + 1e-9 * truth["pool"]["field_ppb"])
    # What the clock showed of the muons that were analysed; and what it would have shown of ideal ones.
    seen = truth["f_a_mhz"] * (1.0 + 1e-9 * truth["analysed_omega_a_shift_ppb"]) / (1.0 + clock)
    true_ppm, ideal_ppm = (1e6 * (f / F_REFERENCE_MHZ - 1.0) for f in (seen, mean_field / (1.0 + clock)))
    measured = {
        name: compared(raw["analyses"][name]["R_ppm"]["value"], raw["analyses"][name]["R_ppm"]["statistical"], true_ppm)
        | {"p_value": raw["analyses"][name]["p_value"]}
        for name in METHODS
    }
    corrections = {
        name: compared(beam[name]["value_ppb"], beam[name]["uncertainty_ppb"], own[name]) for name in CORRECTIONS
    }
    total = 1e-3 * sum(c["value"] for c in corrections.values())
    error = 1e-3 * math.hypot(*(c["error"] for c in corrections.values()))
    best, sigma = raw["R_ppm"]["value"], raw["R_ppm"]["statistical"]
    value = 1e6 * ((1.0 + 1e-6 * best) * (1.0 + 1e-6 * total) - 1.0)
    return {
        "omega_a_ppm": measured,
        "corrections_ppb": corrections
        | {
            # The sum against the true sum, and against what the muons' own mean shift must be undone by.
            "sum": compared(1e3 * total, 1e3 * error, sum(own.values())),
            "C_e + C_p": compared(
                corrections["C_e"]["value"] + corrections["C_p"]["value"],
                math.hypot(corrections["C_e"]["error"], corrections["C_p"]["error"]),
                truth["pool"]["field_ppb"] - truth["analysed_omega_a_shift_ppb"],
            ),
        },
        "corrected_ppm": compared(value, math.hypot(sigma, error), ideal_ppm),
    }


def one(seed: int, fills: int, folder: Path, threads: int) -> dict[str, Any]:
    """Measure one demo, open it, and return everything that has a truth."""
    campaign = campaign_of(seed, fills)
    output = folder / f"work-{fills}-{seed}"
    began = time.monotonic()
    with make_executor("threads", threads) as executor:
        pipeline = build_pipeline(campaign, output, output)
        document = measure_campaign(campaign, pipeline, output, executor=executor).document
    records = pipeline.run()
    keyring = Keyring(output / "seal")
    seal = read_seal(keyring.seal)
    keys = passphrases(seal, keyring.files())
    offsets: HiddenOffsets = open_seal(seal, keys)

    def read(name: str) -> Any:
        return json.loads(pipeline.path(records, name).read_text(encoding="utf-8"))

    datasets = {}
    for config in campaign.datasets:
        name = config.name
        truth = json.loads(unlock_record(seal, keys, pipeline.path(records, truth_file(name)).read_bytes()))
        own = truth["beam_corrections_ppb"]
        datasets[name] = opened(read(omega_a_file(name)), read(beam_file(name)), truth, own, offsets.clock)
        found = document["truth"]["datasets"][name]
        datasets[name]["R_mu"] = {"difference_ppb": found["R_mu_difference_ppb"], "pull": found["R_mu_pull"]}
        datasets[name]["field_ppb"] = {
            key: compared(found[key]["measured_ppb"], found[key]["uncertainty_ppb"], found[key]["true_ppb"])
            for key in FIELD
        }
        datasets[name]["hits"] = next(v["value"] for k, v in document["numbers"].items() if k == f"hits.{name}")
    a, c = document["truth"], document["combination"]
    result = {
        "seed": seed,
        "fills": fills,
        "a_mu": compared(a["a_mu"] + a["difference"], a["uncertainty"], a["a_mu"]),
        "chi2": c["chi2"],
        "ndf": c["ndf"],
        "p_value": float(stats.chi2.sf(c["chi2"], c["ndf"])),
        "datasets": datasets,
        "seconds": time.monotonic() - began,
        "stages_s": {step["name"]: round(step["seconds"], 2) for step in document["steps"]},
    }
    target = folder / f"closure-{fills}-{seed}.json"
    partial = target.with_suffix(".part")
    partial.write_text(json.dumps(result, indent=1), encoding="utf-8")
    partial.replace(target)
    (folder / f"failed-{fills}-{seed}.txt").unlink(missing_ok=True)
    shutil.rmtree(output)
    return result


# The table ------------------------------------------------------------------------------------------------------------


def summary(pulls: np.ndarray) -> tuple[float, float, float, float]:
    """Return mean, its error, width and its error of pulls (seed, dataset); both errors by leaving seeds out."""
    n = len(pulls)
    mean, width = float(pulls.mean()), _width(pulls)
    if n < 2:
        return mean, math.nan, width, math.nan
    without = [np.delete(pulls, k, axis=0) for k in range(n)]
    means = np.array([p.mean() for p in without])
    mean_error = math.sqrt((n - 1) / n * ((means - means.mean()) ** 2).sum())
    if n < 3:
        return mean, mean_error, width, math.nan
    widths = np.array([_width(p) for p in without])
    return mean, mean_error, width, math.sqrt((n - 1) / n * ((widths - widths.mean()) ** 2).sum())


def _width(pulls: np.ndarray) -> float:
    return float(pulls.std(ddof=1)) if pulls.size > 1 else math.nan


def verdict(mean: float, mean_error: float, width: float, width_error: float, span: float | None = None) -> str:
    """Say whether mean and width are what they should be."""
    limit = 3.0 * width_error if span is None else span
    if not (math.isfinite(mean_error) and math.isfinite(limit)):
        return "too few"
    words = []
    if abs(mean) > 3.0 * mean_error:
        words.append("mean off")
    if abs(width - 1.0) > limit:
        words.append("wide" if width > 1.0 else "narrow")
    return ", ".join(words) or "ok"


def rows(found: list[dict[str, Any]]) -> Iterator[tuple[str, np.ndarray, float, float | None]]:
    """Yield name, pulls (seed, dataset), mean error of the quantity, and the allowed departure of the width."""

    def of(*path: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        entries = [[_at(d, path) for d in one["datasets"].values()] for one in found]
        return tuple(np.array([[e.get(key, math.nan) for e in row] for row in entries]) for key in _KEYS)  # type: ignore[return-value]

    a_mu = [one["a_mu"] for one in found]
    yield "a_mu [1e-11]", np.array([[a["pull"]] for a in a_mu]), float(np.mean([a["error"] for a in a_mu])), 0.35
    yield "R'_mu, datasets", of("R_mu")[0], math.nan, None
    for name in METHODS:
        pull, error, left = of("omega_a_ppm", name)
        yield f"omega_a {name} [ppm]", pull, float(error.mean()), None
        weight = 1.0 / error**2
        sigma = 1.0 / np.sqrt(weight.sum(axis=1))
        mean = ((weight * left).sum(axis=1) * sigma)[:, None]
        yield "  mean of the datasets", mean, float(sigma.mean()), None
    pull, error, _ = of("corrected_ppm")
    yield "omega_a (1 + sum C) [ppm]", pull, float(error.mean()), None
    for name in (*CORRECTIONS, "sum", "C_e + C_p"):
        pull, error, _ = of("corrections_ppb", name)
        yield f"{name} [ppb]", pull, float(error.mean()), None
    for name in FIELD:
        pull, error, _ = of("field_ppb", name)
        yield f"{name} [ppb]", pull, float(error.mean()), None


_KEYS = ("pull", "error", "left")


def _at(dataset: dict[str, Any], path: tuple[str, ...]) -> dict[str, float]:
    entry = dataset
    for key in path:
        entry = entry[key]
    return entry | {"left": entry.get("value", math.nan) - entry.get("truth", math.nan)}


def differences(found: list[dict[str, Any]], name: str) -> tuple[float, float, float]:
    """Return mean measured − true, its error over the seeds, and the mean truth of a correction [ppb]."""
    entries = [[d["corrections_ppb"][name] for d in one["datasets"].values()] for one in found]
    left = np.array([np.mean([e["value"] - e["truth"] for e in row]) for row in entries])
    error = float(left.std(ddof=1) / math.sqrt(len(left))) if len(left) > 1 else math.nan
    return float(left.mean()), error, float(np.mean([e["truth"] for row in entries for e in row]))


def uniform(values: list[float]) -> str:
    """Say how p-values are distributed."""
    p = np.array(values)
    # The clamp stands for "no smaller than a float64 can say".
    test = stats.kstest(np.clip(p, 1e-300, 1.0), "uniform").pvalue if len(p) > 1 else math.nan
    return (
        f"{len(p)}, smallest {p.min():.2g}, below 5 %: {100.0 * (p < 0.05).mean():.0f} %, uniform with p = {test:.2f}"
    )


def table(folder: Path, fills: int) -> None:
    """Print what is in the folder."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob(f"closure-{fills}-*.json"))]
    if not found:
        raise SystemExit(f"no demo of {fills} fills in {folder}")
    failed = sorted(path.stem.rpartition("-")[2] for path in folder.glob(f"failed-{fills}-*.txt"))
    hits = np.mean([d["hits"] for one in found for d in one["datasets"].values()])
    print(f"{len(found)} sealed demos, {fills} fills and {hits:.3g} hits per dataset, all effects on")
    print(f"failed: {', '.join(failed) or 'none'}\n")
    print(
        f"{'seed':>6s} {'true a_mu':>13s} {'measured-true':>13s} {'sigma':>7s} {'pull':>6s} {'chi2/ndf':>9s} {'p':>6s}"
    )
    for one in found:
        a = one["a_mu"]
        print(
            f"{one['seed']:6d} {a['truth']:13.1f} {a['value'] - a['truth']:9.1f} {a['error']:7.1f} {a['pull']:6.2f} "
            f"{one['chi2']:7.2f}/{one['ndf']} {one['p_value']:6.3f}"
        )
    chi2, ndf = sum(one["chi2"] for one in found), sum(one["ndf"] for one in found)
    print(f"chi2 of the datasets: {chi2:.1f}/{ndf}, p = {stats.chi2.sf(chi2, ndf):.3f}")
    print(f"its p-values: {uniform([one['p_value'] for one in found])}\n")
    print(f"{'pulls of':26s} {'mean error':>10s} {'mean':>16s} {'width':>16s}")
    for name, pulls, error, span in rows(found):
        mean, mean_error, width, width_error = summary(pulls)
        shown = f"{error:10.2f}" if math.isfinite(error) else f"{'':10s}"
        print(
            f"{name:26s} {shown} {mean:+8.2f} ± {mean_error:5.2f} {width:8.2f} ± {width_error:5.2f}  "
            f"{verdict(mean, mean_error, width, width_error, span)}"
        )
    print(f"\n{'correction':10s} {'mean truth':>11s} {'measured - true, mean of all [ppb]':>36s}")
    for name in (*CORRECTIONS, "sum", "C_e + C_p"):
        left, error, truth = differences(found, name)
        print(f"{name:10s} {truth:11.1f} {left:+25.1f} ± {error:.1f}")
    print("\np-values of the fits of omega_a")
    for name in METHODS:
        values = [d["omega_a_ppm"][name]["p_value"] for one in found for d in one["datasets"].values()]
        print(f"{name:10s} {uniform(values)}")


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description="closure of the whole chain")
    parser.add_argument("seeds", type=int, nargs="?", default=20)
    parser.add_argument("fills", type=int, nargs="?", default=6144)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--first", type=int, default=1001)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--table", action="store_true", help="print the table of the folder, run nothing")
    given = parser.parse_args()
    folder: Path = given.folder or Path(tempfile.mkdtemp(prefix="closure-"))
    folder.mkdir(parents=True, exist_ok=True)
    seeds = [] if given.table else range(given.first, given.first + given.seeds)
    for seed in seeds:
        if (folder / f"closure-{given.fills}-{seed}.json").exists():
            print(f"seed {seed}: done before", file=sys.stderr, flush=True)
            continue
        try:
            found = one(seed, given.fills, folder, given.threads)
        except GMinus2Error as error:
            print(f"seed {seed}: FAILED: {error}", file=sys.stderr, flush=True)
            (folder / f"failed-{given.fills}-{seed}.txt").write_text(f"{error}\n", encoding="utf-8")
            continue
        a = found["a_mu"]
        print(
            f"seed {seed}: pull of a_mu {a['pull']:+.2f}, chi2 {found['chi2']:.2f}/{found['ndf']}, "
            f"{found['seconds']:.0f} s",
            file=sys.stderr,
            flush=True,
        )
    table(folder, given.fills)


if __name__ == "__main__":
    main()
