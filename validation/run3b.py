"""The real E989 Run-3b positron histogram against an independent analysis of the same file.

    python validation/run3b.py DATA/e989_run3b/Run3B.csv > docs/validation/run3b.md

The reference values come from two codes written separately from this package (bin centre, window rule
lo < centre < hi). Data: Muon g-2 Collaboration (Fermilab), Run-3B data set, doi:10.5281/zenodo.19632588,
CC BY 4.0. The histogram carries a frequency offset that is not public: no a_μ follows from it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from gminus2.pipeline.fit_file import FitFile, FitSection, InputSection
from gminus2.pipeline.fit_job import FitRun, run_fit
from gminus2.precession import Model, preset

# model, statistic, start, stop: deviance, ndf, R, sigma_R, tau, A, phi
FITS = (
    ("five", "neyman", 30, 500, 7236.64, 3145, -54.393, 1.022, 64.42299, 0.374581, 2.166826),
    ("five", "poisson", 30, 500, 7235.72, 3145, -54.397, 1.022, 64.42328, 0.374581, 2.166827),
    ("five", "poisson", 30, 650, 8245.03, 4151, -54.415, 1.006, 64.42325, 0.374582, 2.166829),
    ("cbo", "poisson", 30, 500, 3128.05, 3141, -52.987, 1.023, 64.42255, 0.374568, 2.166508),
    ("cbo", "neyman", 30, 650, 4141.96, 4147, -53.032, 1.007, 64.42189, 0.374571, 2.166512),
    ("cbo", "poisson", 30, 650, 4137.88, 4147, -53.039, 1.007, 64.42254, 0.374570, 2.166513),
)
# start: R, sigma
START_SCAN = {
    40: (-52.703, 1.091),
    50: (-53.593, 1.183),
    60: (-53.930, 1.273),
    70: (-53.036, 1.382),
    80: (-53.113, 1.490),
    90: (-54.112, 1.615),
    100: (-53.954, 1.742),
    110: (-53.246, 1.885),
    120: (-52.926, 2.048),
    130: (-53.565, 2.202),
}


def fitted(file: Path, model: str | Model, scan: Sequence[float] = (), **settings: object) -> FitRun:
    """Run one fit as the command does."""
    chosen = preset(model) if isinstance(model, str) else model
    options = {"bins": "centre", "start_us": 30.0, "stop_us": 650.0, **settings}
    request = FitFile(
        input=InputSection(file=str(file)), fit=FitSection(scan_start_us=tuple(scan), **options), model=chosen.config
    )
    return run_fit(request)


def row(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def header(*cells: str) -> None:
    row(*cells)
    row(*("---" for _ in cells))


def main(file: Path) -> None:
    print("# Run-3b: this package against an independent analysis of the same histogram\n")
    print("Made by `python validation/run3b.py FILE`. Each cell: ours / reference.\n")
    print("## Fits (bin centre)\n")
    header("model", "statistic", "window µs", "D or χ²", "ndf", "R ppm", "σ_R ppm", "τ µs", "A", "φ")
    for model, statistic, start, stop, value, ndf, r, sigma, tau, a, phi in FITS:
        result = fitted(file, model, statistic=statistic, start_us=float(start), stop_us=float(stop)).result
        p = result.parameters
        row(
            model, statistic, f"{start}-{stop}", f"{result.statistic_value:.2f} / {value:.2f}", f"{result.ndf} / {ndf}",
            f"{p['R'].value:.3f} / {r:.3f}", f"{p['R'].error:.3f} / {sigma:.3f}",
            f"{p['tau'].value:.5f} / {tau:.5f}", f"{p['A'].value:.6f} / {a:.6f}", f"{p['phi'].value:.6f} / {phi:.6f}",
        )  # fmt: skip

    run = fitted(file, "cbo", scan=tuple(START_SCAN))
    p = run.result.parameters
    print("\n## The CBO term and the residuals of the 9-parameter fit\n")
    header("quantity", "ours", "reference")
    for name, reference in (
        ("A_cbo", "0.003238(100)"),
        ("tau_cbo", "236.8(20.8) µs"),
        ("f_cbo", "0.370917(60) MHz"),
        ("phi_cbo", "0.0857(312)"),
        ("N0", "5825233(262)"),
    ):
        row(name, f"{p[name].value:.6g} ± {p[name].error:.3g}", reference)
    pulls, residual = run.pulls[0], run.residuals[0]
    row("pulls: mean, width", f"{pulls.mean:.3f}, {pulls.rms:.3f}", ".002, .998")
    row("largest line of the residual FFT", f"{residual.top.amplitude:.2f}", "3.6 (white noise: 3.9)")
    top = fitted(file, "five").residuals[0].top
    row("the same, 5 parameters", f"{top.amplitude:.1f} at {top.f_mhz:.4f} MHz ({top.name})", "32.4 at .3709 MHz")
    integral = fitted(file, "cbo", bins="integral").result
    row("bin integral: D", f"{integral.statistic_value:.2f}", "4137.76")
    row("bin integral: A, A_cbo", f"{integral.value('A'):.6f}, {integral.value('A_cbo'):.6f}", ".375291, .003254")
    row("bin integral: shift of R, ppm", f"{integral.value('R') - p['R'].value:+.5f}", ".0003")
    correlation = run.result.correlation
    i, j = run.result.free.index("R"), run.result.free.index("phi")
    row("correlation of R and φ", f"{correlation[i, j]:.3f}", "-.826")

    print("\n## iminuit as referee (9 parameters)\n")
    referee = fitted(file, "cbo", minimizer="minuit").result
    header("", "own engine", "iminuit", "difference")
    row("deviance", f"{run.result.statistic_value:.4f}", f"{referee.statistic_value:.4f}",
        f"{run.result.statistic_value - referee.statistic_value:+.1e}")  # fmt: skip
    shift = (p["R"].value - referee.value("R")) / p["R"].error
    row("R, ppm", f"{p['R'].value:.5f}", f"{referee.value('R'):.5f}", f"{shift:+.1e} σ")
    row("σ_R, ppm", f"{p['R'].error:.5f}", f"{referee.error('R'):.5f}",
        f"{p['R'].error / referee.error('R') - 1:+.1e}")  # fmt: skip
    row("evaluations", run.result.evaluations, referee.evaluations, "")

    print("\n## The ratio of the same histogram, shifted by 15 bins (9 parameters)\n")
    ratio = fitted(file, "cbo", statistic="ratio").result
    header("", "counts", "ratio")
    row("R ± σ, ppm", f"{p['R'].value:.3f} ± {p['R'].error:.3f}", f"{ratio.value('R'):.3f} ± {ratio.error('R'):.3f}")
    row("statistic / ndf", f"{run.result.statistic_value:.1f} / {run.result.ndf}",
        f"{ratio.statistic_value:.1f} / {ratio.ndf}")  # fmt: skip

    print("\n## Start scan (9 parameters, to 650 µs)\n")
    header("start µs", "R ppm", "σ ppm", "shift", "allowed 1σ", "shift / allowed", "D/ndf")
    scan = run.scans[0]
    values, errors, shifts, allowed = (f("R") for f in (scan.values, scan.errors, scan.shifts, scan.allowed))
    for k, start in enumerate(scan.times_us):
        r, sigma = START_SCAN.get(round(float(start)), (-53.039, 1.007))
        row(
            f"{start:g}", f"{values[k]:.3f} / {r:.3f}", f"{errors[k]:.3f} / {sigma:.3f}", f"{shifts[k]:+.3f}",
            f"{allowed[k]:.3f}", f"{shifts[k] / allowed[k]:+.2f}" if allowed[k] else "-", f"{scan.reduced()[k]:.4f}",
        )  # fmt: skip

    print("\n## More terms move R little (9 parameters and …)\n")
    header("added", "R ppm", "shift ppm", "D", "ndf", "p-value")
    for name, terms in (
        ("nothing", ["N1"]),
        ("2 f_CBO", ["N1", "N2"]),
        ("CBO in A", ["N1", "A1"]),
        ("CBO in φ", ["N1", "phi1"]),
    ):
        model = preset("cbo")
        raw = model.config.model_dump(exclude_none=True)
        raw["terms"][2]["modulates"] = terms
        result = fitted(file, Model.from_config(raw)).result
        row(name, f"{result.value('R'):.3f}", f"{result.value('R') - p['R'].value:+.3f}",
            f"{result.statistic_value:.2f}", result.ndf, f"{result.p_value:.3f}")  # fmt: skip
    print("\nThe reference finds shifts below 0.3 ppm.\n\n## What a user is told with every one of these\n")
    for caveat in run.result.caveats:
        print(f"- {caveat}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
