"""Theory against published numbers, in one table per subject.

Run: python validation/theory_numbers.py [folder with the R(s) tables (hvp/csv, hvp/pdg, hvp/yoda)]
The folder defaults to GMINUS2_DATA; without it the tables on real data are left out.
"""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

from gminus2.constants import published, published_table
from gminus2.theory import (
    QEDInputs,
    budget,
    compare,
    electron_anomaly,
    electroweak_contribution,
    experiment,
    qed_contribution,
)
from gminus2.theory.clfv import dipole_ratio_conversion, dipole_ratio_three_electrons, reach
from gminus2.theory.hvp import (
    Layout,
    Spectrum,
    cluster,
    inclusive,
    leading_order,
    read_csv_spectrum,
    read_pdg_table,
    read_yoda,
    undress,
    undress_channels,
)
from gminus2.theory.hvp.hadrons import narrow_resonances, perturbative, threshold
from gminus2.theory.new_physics import MSSM, TwoHiggsDoublets, mass_reach
from gminus2.theory.parameters import parameters

P = parameters()


def table(title: str, *heads: str) -> None:
    """Print the head of a table."""
    print(f"\n## {title}\n\n| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))


def row(*cells: object) -> None:
    """Print a row."""
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def standard_model() -> None:
    """QED, electroweak, a_e and budgets."""
    table("QED [1e-11]", "1/α, five-loop term", "here", "published or reference")
    for alpha, five, reference in (
        ("cs18", "wp20", "116584718.931(104) WP20"),
        ("ae2008", "wp20", "116584718.842 WP20"),
        ("rb20", "wp20", "116584718.79405"),
        ("rb20", "volkov24", "116584718.78833"),
        ("codata22", "wp25", "116584718.81307; WP25 718.8"),
    ):
        result = qed_contribution(QEDInputs.choose(alpha, five))
        row(f"{alpha}, {five}", f"{result.value * 1e11:.5f} ± {result.sigma * 1e11:.3f}", reference)
    table("a_e [1e-12]", "1/α, five-loop term", "here", "reference")
    for alpha, five, text in (
        ("cs18", "wp20", "1159652181.606(229)"),
        ("rb20", "wp20", "1159652180.252(95) published, 180.2545"),
        ("rb20", "volkov24", "1159652180.1973"),
    ):
        anomaly = electron_anomaly(alpha, five)
        row(f"{alpha}, {five}", f"{anomaly.value * 1e12:.4f} ± {anomaly.sigma * 1e12:.3f}", text)
    weak = electroweak_contribution()
    table("Electroweak [1e-11]", "part", "here", "published")
    row(
        "W, Z, Higgs",
        f"{weak.one_loop.w * 1e11:.4f}, {weak.one_loop.z * 1e11:.4f}, {weak.one_loop.higgs * 1e11:.6f}",
        "",
    )
    row("one loop", f"{weak.one_loop.total * 1e11:.4f}", "194.81 (194.80(1))")
    row("with two-loop items [unverified]", f"{weak.value * 1e11:.2f} ± {weak.sigma * 1e11:.2f}", "153.6(1.0)")
    table("Budgets [1e-11]", "budget", "sum of lines", "published total")
    for name in ("WP20", "WP25"):
        one = budget(name)
        row(name, f"{one.sum_of_lines:.1f} ± {one.sum_sigma:.1f}", f"{one.value:.0f} ± {one.sigma:.0f}")
    table("Measured − predicted [1e-11]", "pair", "here", "published")
    for measured, predicted, text in (
        ("world2021", "WP20", "251(59), 4.2σ"),
        ("bnl", "WP20", "279(76), 3.7σ"),
        ("run1", "WP20", "230(69), 3.3σ"),
        ("world2023", "WP25", "26(66)"),
        ("world2025", "WP25", "38(63), 0.6σ"),
        ("world2025", "WP20", "262(45), 5.8σ"),
    ):
        pair = compare(experiment(measured), budget(predicted))
        row(f"{measured} − {predicted}", f"{pair.difference:.1f}({pair.sigma:.1f}), {pair.significance:.2f}σ", text)


def new_physics() -> None:
    """MSSM, two Higgs doublets, mass reach, flavour violation."""
    table("MSSM, one loop", "tan β, μ, M₁, M₂, m_L, m_R", "here", "GM2Calc 2.3.1", "relative difference")
    for point, reference in (
        ((40, 500, 250, 500, 300, 300), 3.54409368e-9),
        ((50, 500, 500, 500, 500, 500), 2.72719896e-9),
        ((10, 350, 150, 300, 400, 400), 1.08302744e-9),
        ((3, -300, 150, 300, 400, 300), -3.82347347e-10),
    ):
        value = MSSM(*point, m_mu=0.1056583715, m_w=80.385).delta_a()
        row(", ".join(map(str, point)), f"{value:.8e}", f"{reference:.8e}", f"{value / reference - 1:.1e}")
    table(
        "Two Higgs doublets",
        "m_H, m_A, m_H+, tan β, type",
        "one loop",
        "Barr–Zee",
        "GM2Calc: one loop, two loop (fermionic)",
    )
    fermions = {"t": 173.34, "b": 4.18, "c": 1.28, "tau": 1.77684, "mu": P.m_mu}
    for masses, kind, text in (
        ((300, 50, 300, 40), "II", "-1.72206e-10, 1.19509e-9"),
        ((250, 60, 250, 60), "X", "-2.67768e-10, 9.62116e-10"),
    ):
        point2 = TwoHiggsDoublets(*masses, kind, fermions)
        row(f"{masses}, {kind}", f"{point2.one_loop():.5e}", f"{point2.barr_zee():.5e}", text)
    table("Mass reach of Δa = C (m_μ/M)² [GeV]", "Δa [1e-11]", "C = 1", "1/16π²", "α/4π", "reference")
    for delta, text in ((251, "2109, 168, 50.8"), (142, "2807, 223, 67.6")):
        reaches = [mass_reach(c, delta * 1e-11) for c in (1, 1 / (16 * math.pi**2), P.alpha / (4 * math.pi))]
        row(delta, *(f"{x:.1f}" for x in reaches), text)
    table("Flavour violation: reach in Λ [TeV]", "limit", "κ = 0.01", "1", "100", "reference")
    for name, text in (
        ("mu_e_gamma", "2184, 1552, 218"),
        ("mu_e_gamma_goal", "2746, 1952, 275"),
        ("mu_3e_phase1", "1798, 1317, 1078"),
        ("mu_3e_phase2", "3803, 2786, 2280"),
        ("mu_e_al", "3356, 5935, 7693"),
        ("mu_e_al_run1", "2011, 3557, 4610"),
    ):
        label = published(f"clfv.limits.{name}").note
        row(label, *(f"{reach(name, kappa) / 1e3:.0f}" for kappa in (0.01, 1.0, 100.0)), text)
    row(
        "dipole: 3e/eγ, Al/eγ",
        f"{dipole_ratio_three_electrons():.5f}",
        f"{dipole_ratio_conversion():.5f}",
        "",
        "0.00613, 0.00267",
    )


def partial_integrals(folder: Path) -> None:
    """Per-experiment integrals."""
    gev, in_s, mev = (
        Layout(bins="xerr", value="nb"),
        Layout(axis="s", bins="xerr", value="nb"),
        Layout(unit="MeV", value="nb"),
    )
    table("HVP: partial integrals per experiment [1e-10]", "data", "range [GeV]", "here", "published", "difference")
    for file, dataset, layout, low, high, key, extra in (
        ("BABAR_2009_I829441", "d01-x01-y01", gev, 0.6, 0.9, "babar09_2pi_06_09", 0.0),
        ("BABAR_2009_I829441", "d01-x01-y01", gev, 0.3, 1.8, "babar12_2pi_threshold_18", 0.3),
        ("KLOE2_2017_I1634981", "d01-x01-y01", in_s, 0.1**0.5, 0.95**0.5, "kloe17_2pi_010_095", 0.0),
        ("KLOE2_2017_I1634981", "d01-x01-y01", in_s, 0.6, 0.9, "kloe17_2pi_06_09", 0.0),
        ("KLOE_2009_I797438", "d02-x01-y01", in_s, 0.35**0.5, 0.95**0.5, "kloe08_2pi_035_095", 0.0),
        ("BESIII_2016_I1385603", "d01-x01-y01", mev, 0.6, 0.9, "bes16_2pi_06_09", 0.0),
        ("SND_2020_I1789269", "d01-x01-y04", mev, 0.525, 0.883, "snd20_2pi_0525_0883", 0.0),
        ("BABAR_2021_I1937349", "d01-x01-y01", gev, 0.62, 2.0, "babar21_3pi_062_20", 0.0),
        ("BABAR_2013_I1238807", "d01-x01-y01", gev, None, 1.8, "babar13_kk_threshold_18", 0.0),
        ("BABAR_2012_I1086164", "d01-x01-y02", mev, 0.6, 1.8, "babar12_4pi_06_18", 0.0),
        ("BABAR_2017_I1621593", "d01-x01-y02", gev, 0.85, 1.8, "babar17_2pi2pi0_085_18", 0.0),
    ):
        value, _ = read_yoda(folder / "yoda" / f"{file}.yoda", dataset, layout).integral(leading_order, low, high)
        value += threshold(extra).integral(leading_order) if extra else 0.0
        reference = published(f"theory.hvp.partial.{key}")
        span = f"{low:.3f}–{high:.3f}" if low else f"threshold–{high}"
        difference = f"{(value * 1e10 / float(reference) - 1) * 100:+.3f} %"
        row(
            file,
            span + (" + threshold" if extra else ""),
            f"{value * 1e10:.3f}",
            f"{float(reference)}({reference.sigma:.1f}) {reference.status}",
            difference,
        )
    cmd2 = read_yoda(folder / "yoda/CMD2_2007_I728302.yoda", "d02-x01-y01", mev).integral(leading_order, 0.630, 0.958)[
        0
    ]
    row(
        "CMD2_2007_I728302",
        "0.630–0.958",
        f"{cmd2 * 1e10:.3f}",
        "360.2(3.3)",
        "+0.52 %: points against the fit of the paper",
    )


def whole_r(folder: Path) -> None:
    """The PDG route, representations, windows, NLO."""
    older = read_yoda(folder / "pdg/R_PDG_2018.yoda", "d01-x01-y01", Layout(sort=True, allow_gaps=True))
    spectrum = read_pdg_table(folder / "pdg/R_PDG_2020.txt", older=older)
    hadrons = inclusive(spectrum)
    value, sigma = hadrons.leading_order()
    table("HVP: PDG 2020 route [1e-10]", "piece", "here", "reference")
    row("threshold – 0.30", f"{threshold(0.30).integral(leading_order) * 1e10:.3f}", "0.519")
    row("0.30–1.937", f"{spectrum.integral(leading_order, 0.3, 1.937)[0] * 1e10:.2f}", "637.79")
    row("1.937–11.2", f"{spectrum.integral(leading_order, 1.937, 11.2)[0] * 1e10:.2f}", "43.38")
    row("narrow ψ, Υ", f"{sum(one.integral(leading_order) for one in narrow_resonances()) * 1e10:.2f}", "7.86")
    row("pQCD above 11.2", f"{perturbative(11.2).integral(leading_order) * 1e10:.3f}", "2.07")
    row("**sum**, time-like", f"**{value * 1e10:.2f}** ± {sigma * 1e10:.2f} (file)", "691–692; WP20 693.1(4.0)")
    row("space-like", f"{hadrons.space_like() * 1e10:.4f}", f"relative {hadrons.space_like() / value - 1:.1e}")
    momentum = hadrons.window("total")[0]
    row("time-momentum", f"{momentum * 1e10:.4f}", f"relative {momentum / value - 1:.1e}")
    for name, reference in (("SD", "68.4(5)"), ("W", "229.4(1.4)"), ("LD", "395.1(2.4)")):
        part, error = hadrons.window(name)
        row(f"window {name}", f"{part * 1e10:.2f} ± {error * 1e10:.2f}", f"{reference} e⁺e⁻, unverified")
    nlo = hadrons.next_to_leading()
    row("NLO", f"{nlo.total * 1e10:.3f}", "WP20 −9.83(7); −9.87 for a LO of 698.2")
    row("NLO scaled to a LO of 698.24", f"{nlo.total / value * 698.24:.3f}", "−9.87")
    row(
        "2a, 2b(e), 2b(τ), 2c",
        f"{nlo.photon * 1e10:.2f}, {nlo.electron * 1e10:.2f}, {nlo.tau * 1e10:.4f}, {nlo.double * 1e10:.3f}",
        "−20.90, 10.68, –, 0.35",
    )


def channels(folder: Path) -> None:
    """Undressing of exclusive channels."""
    layout = Layout(value="alpha_r_over_3", vp="dressed", fsr="included", sort=True, allow_gaps=True)
    dressed: dict[str, Spectrum] = {}
    for path in sorted((folder / "csv").glob("*.csv")):
        name = path.name.split(".cvpl")[0]
        dressed[name] = cluster(read_csv_spectrum(path, layout).values(), name=name)
    bare, running = undress_channels(dressed)
    table("HVP: exclusive channels below 1.8 GeV [1e-10]", "channel", "dressed", "bare", "reference")
    reference = {
        "pi+pi-": "518.12, 508.70",
        "pi+pi-pi0": "50.69, 48.85",
        "pi+pi-pi+pi-": "14.11, 13.60",
        "pi+pi-pi0pi0": "18.89, 18.20",
        "k+k-": "24.57, 23.55",
        "kskl": "13.64, 13.06",
        "pi0gamma": "4.74, 4.57",
        "etagamma": "0.705, 0.683",
        "omegapi0_pi0pi0gamma": "0.915, 0.881",
        "etapi+pi-": "1.234, 1.190",
        "kskpi": "0.839, 0.808",
    }
    sums = [0.0, 0.0]
    for name, text in reference.items():
        values = []
        for k, one in enumerate((dressed[name], bare[name])):
            low = 0.32 if name == "pi+pi-" else None
            value = one.integral(leading_order, low, min(1.8, float(one.energy[-1])))[0]
            value += threshold(0.32).integral(leading_order) if low else 0.0
            values.append(value * 1e10)
            sums[k] += value * 1e10
        row(name, f"{values[0]:.3f}", f"{values[1]:.3f}", text)
    row("**sum**", f"{sums[0]:.2f}", f"{sums[1]:.2f}", "648.45, 634.10")
    kloe = Layout(axis="s", position="lower_edge", bins="width", width=0.01, value="nb", vp="dressed")
    five = read_yoda(folder / "yoda/KLOE_2005_I655225.yoda", "d02-x01-y01", kloe)
    row(
        "KLOE05, 0.35 < s < 0.95",
        f"{five.integral(leading_order)[0] * 1e10:.2f}",
        f"{undress(five, running).integral(leading_order)[0] * 1e10:.2f}",
        "396.00, 388.7(5.0) published",
    )


def main() -> None:
    """Print all tables."""
    print("# Theory against published numbers")
    standard_model()
    new_physics()
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("GMINUS2_DATA", "")
    folder = Path(given) / "hvp" if given and (Path(given) / "hvp").is_dir() else Path(given)
    if given and (folder / "yoda").is_dir():
        partial_integrals(folder)
        whole_r(folder)
        channels(folder)
    table("Lattice, as data [1e-10]", "entry", "value", "status")
    for name, quantity in published_table("theory.lattice.results").items():
        sigma = f"({quantity.sigma:.2f})" if quantity.sigma else ", no uncertainty typed"
        row(name, f"{float(quantity)}{sigma}", quantity.status)


if __name__ == "__main__":
    main()
