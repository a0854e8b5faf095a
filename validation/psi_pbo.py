"""A real muon-spin-rotation run (PSI GPS, PbO, 50 G) against an independent analysis, detector by detector.

    python validation/psi_pbo.py DATA/psi_gps_pbo_tf50/psi_convert_test_bin_1.bin > docs/validation/psi_pbo.md

The muon's lifetime and the field come out of data that this package's authors did not take. The file is from the
repository FrandsenGroup/beams (MIT licence).
"""

from __future__ import annotations

import sys
from pathlib import Path

from gminus2.data.io import read_histogram
from gminus2.pipeline.fit_file import FitFile, FitSection, InputSection
from gminus2.pipeline.fit_job import FitRun, run_fit
from gminus2.pipeline.fit_summary import MUON_GAMMA
from gminus2.precession import Model, preset
from gminus2.report.fit_text import compact

LIFETIME_US = 2.1969811
# deviance, f, A, tau, background per ns, N per ns, phi; background from the bins before t0
TABLE = {
    "Forw": (2035.67, ".67543(41)", ".2694(13)", "2.1909(40)", "4.94(13)", "636.32", 3.3536, "4.64(21)"),
    "Back": (1983.69, ".67529(51)", ".2509(15)", "2.1936(46)", "2.52(10)", "451.34", 0.2261, "2.72(16)"),
    "Up": (1871.65, ".67491(34)", ".2745(10)", "2.1952(31)", "9.66(16)", "944.72", 4.8994, "10.01(31)"),
    "Down": (1911.69, ".67502(33)", ".2769(10)", "2.1928(34)", "8.85(16)", "940.16", 1.8318, "8.95(30)"),
}


def fitted(file: Path, detectors: tuple[str, ...], model: Model) -> FitRun:
    """Run one fit as the command does."""
    request = FitFile(
        input=InputSection(file=str(file), detectors=detectors, pack=4),
        fit=FitSection(start_us=0.05, stop_us=9.8, nodes=5),
        model=model.config,
    )
    return run_fit(request)


def row(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def header(*cells: str) -> None:
    row(*cells)
    row(*("---" for _ in cells))


def main(file: Path) -> None:
    msr = preset("msr")
    print("# PSI GPS, PbO, 50 G transverse: this package against an independent analysis\n")
    print("Made by `python validation/psi_pbo.py FILE`. Packing 4 from the first good bin, 0.05-9.8 µs, Poisson, bin")
    print("integral with 5 nodes. Each cell: ours / reference.\n")
    header("detector", "D", "ndf", "f MHz", "A", "τ µs", "τ - τ_μ in σ", "B per ns", "N per ns", "φ")
    histogram, report = read_histogram(file)
    for label, (deviance, f, a, tau, background, n0, phi, _) in TABLE.items():
        result = fitted(file, (label,), msr).result
        p = result.parameters
        shown = {name: compact(q.value, q.error) for name, q in p.items()}
        offset = (p["tau"].value - LIFETIME_US) / p["tau"].error
        row(
            label, f"{result.statistic_value:.2f} / {deviance:.2f}", f"{result.ndf} / 1944", f"{shown['f']} / {f}",
            f"{shown['A']} / {a}", f"{shown['tau']} / {tau}", f"{offset:+.1f}", f"{shown['background']} / {background}",
            f"{p['N0'].value:.2f} / {n0}", f"{p['phi'].value % 6.283185307179586:.4f} / {phi:.4f}",
        )  # fmt: skip

    print("\n## Background: the fit against the bins before the muon comes\n")
    print("A test of t0 and of the bin width that no fit enters: bins 36 … t0 - 10.\n")
    header("detector", "bins before t0, per ns", "reference", "fit, per ns")
    assert report.t0_bin is not None
    for i, label in enumerate(report.detectors):
        if label not in TABLE:
            continue
        part = histogram.counts[i, 36 : int(report.t0_bin[i]) - 9]
        ns = 1e3 * histogram.width_us * len(part)
        before = compact(part.sum() / ns, part.sum() ** 0.5 / ns)
        q = fitted(file, (label,), msr).result.parameters["background"]
        row(label, before, TABLE[label][7], compact(q.value, q.error))

    print("\n## Detectors together\n")
    header("detectors", "shared", "D / ndf", "reference", "f MHz", "field G", "τ µs", "p-value")
    for detectors, shared, reference in (
        (("Up", "Down"), ("f", "A", "tau"), "3786.1/3891, f .67497(23), 49.799(17) G, τ 2.1948(23)"),
        (("Forw", "Back", "Up", "Down"), ("f", "A", "tau"), "8045.2/7785, τ 2.1935(18): one A is too stiff"),
        (("Forw", "Back", "Up", "Down"), ("f", "tau"), "-"),
    ):
        result = fitted(file, detectors, msr.shared(*shared)).result
        f, tau = result["f"], result["tau"]
        gauss = 1e4 / MUON_GAMMA
        row(
            ", ".join(detectors), ", ".join(shared), f"{result.statistic_value:.1f}/{result.ndf}", reference,
            compact(f.value, f.error), compact(f.value * gauss, f.error * gauss), compact(tau.value, tau.error),
            f"{result.p_value:.2g}",
        )  # fmt: skip

    print("\n## Null test: 'Righ' looks along the spin\n")
    p = fitted(file, ("Righ",), msr).result.parameters
    print(f"A = {compact(p['A'].value, p['A'].error)} (reference ≈ .011), against .25-.28 in the others.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
