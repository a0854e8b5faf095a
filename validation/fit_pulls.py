"""Pulls of fitted toys: mean 0 and width 1 within three of their own errors, for every parameter and statistic.

    .venv/bin/python validation/fit_pulls.py [toys [seed]]

1.7e9 positrons in 4156 bins of 149.2 ns (30 … 650 µs), Poisson bins of the model with the bin integral.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from gminus2.execution import make_executor
from gminus2.precession import FitSettings, LostMuonSpectrum, Model, expected_histogram, run_toys

FIVE = {"N0": 5.825e6, "tau": 64.44, "A": 0.3746, "R": -50.0, "phi": 2.1665}
CBO = {"A_cbo": 0.0040, "tau_cbo": 180.0, "f_cbo": 0.3709, "phi_cbo": 0.3}
MORE = {"A_2cbo": 2e-3, "phi_2cbo": 1.0, "A_cbo_A": 8e-3, "phi_cbo_A": -0.5, "A_cbo_phi": 8e-3, "phi_cbo_phi": 2.0}
VW = {"A_vw": 0.03, "tau_vw": 40.0, "f_vw": 2.3, "phi_vw": 0.7}
TERMS = [{"term": "decay"}, {"term": "precession"}]
ALL = {"term": "cbo", "modulates": ["N1", "N2", "A1", "phi1"]}
BINS, START_US, WIDTH_US = 4156, 201 * 0.1492, 0.1492


def losses() -> LostMuonSpectrum:
    """A loss spectrum: the muon decay with an early excess."""
    edges = np.linspace(0.0, 700.0, 701)
    t = 0.5 * (edges[1:] + edges[:-1])
    return LostMuonSpectrum(edges, np.exp(-t / 64.44) * (1.0 + 3.0 * np.exp(-t / 20.0)))


def models() -> dict[str, Model]:
    """The 5-, 9- and 20-parameter models with their true values."""
    five = Model.from_config({"name": "five", "terms": TERMS}).started(FIVE)
    nine = Model.from_config({"name": "nine", "terms": [*TERMS, {"term": "cbo"}]}).started({**FIVE, **CBO})
    twenty = Model.from_config({"name": "twenty", "terms": [*TERMS, ALL, {"term": "vertical_waist"}]}).started(
        {**FIVE, **CBO, **MORE, **VW}
    )
    return {"five": five, "nine": nine, "twenty": twenty.with_losses(losses()).started({"kappa_loss": 2e-3})}


def main() -> None:
    """Print one table per model and statistic."""
    toys = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    for name, model in models().items():
        truth = expected_histogram(model, bins=BINS, start_us=START_US, width_us=WIDTH_US)
        for statistic in ("poisson", "pearson") if name == "five" else ("poisson",):
            settings = FitSettings(window_us=None, statistic=statistic)
            begin = time.perf_counter()
            with make_executor("threads", 2) as executor:
                study = run_toys(truth, model, toys, seed=seed, settings=settings, executor=executor)
            rate = toys / (time.perf_counter() - begin)
            chi2 = study.statistic[study.converged]
            print(f"\n{name}, {len(study.names)} parameters, {statistic}: {study.converged.sum()} of {toys} converged")
            print(f"statistic {chi2.mean():.1f} ± {chi2.std() / toys**0.5:.1f} for {study.ndf}; {rate:.0f} toys/s")
            print(f"{'parameter':12s} {'mean':>8s} {'±':>7s} {'width':>8s} {'±':>7s}  within 3")
            for parameter, (mean, e_mean, width, e_width) in study.pull_table().items():
                good = abs(mean) < 3 * e_mean and abs(width - 1) < 3 * e_width
                print(
                    f"{parameter:12s} {mean:8.3f} {e_mean:7.3f} {width:8.3f} {e_width:7.3f}  {'yes' if good else 'NO'}"
                )


if __name__ == "__main__":
    main()
