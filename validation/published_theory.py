"""Numeric checks of the published theory inputs and design numbers; driven by ``published_checks.py``.

Everything here is arithmetic on the table of published numbers, independent of the package's theory room.
"""

from __future__ import annotations

import math

import numpy as np
from published_experiment import HALF, Check

from gminus2.constants import published, published_table

ALPHA_UNIT = 1e11


def _q(*values: float) -> float:
    return math.hypot(*values)


def standard_model_checks() -> list[Check]:
    group = "Standard Model sums and differences"
    w20, w25 = published_table("theory.wp20"), published_table("theory.wp25")
    v20 = {k: float(q) for k, q in w20.items()}
    v25 = {k: float(q) for k, q in w25.items()}
    # NLO is fully anticorrelated with LO, NNLO correlated: 40 − 0.7 + 0.1.
    hvp_sigma = w20["hvp_lo_ee"].sigma - w20["hvp_nlo_ee"].sigma + w20["hvp_nnlo_ee"].sigma
    lattice = {"ud": (6502, 116), "s": (532, 3), "c": (146, 1), "disconnected": (-137, 29), "isospin": (72, 34)}
    pieces = float(sum(v for v, _ in lattice.values()))
    pheno = [93.8, -16.4, -8.0, -1.0, 6.0, 15.0, 3.0]
    pheno_sigma = _q(_q(4.0, 0.2, 1.0), 3.0 + 6.0 + 10.0, 1.0)
    # Averaged without charm, then charm and NLO are added.
    no_charm, no_charm_sigma = sum(pheno[:-1]), _q(_q(4.0, 0.2, 1.0), 19.0)
    lat, lat_sigma = 78.7, 35.4
    w = (1 / no_charm_sigma**2) / (1 / no_charm_sigma**2 + 1 / lat_sigma**2)
    hlbl = w * no_charm + (1 - w) * lat + 3.0 + v20["hlbl_nlo"]
    hlbl_sigma = _q(1 / math.sqrt(1 / no_charm_sigma**2 + 1 / lat_sigma**2), 1.0) + 1.0
    total20 = v20["qed"] + v20["electroweak"] + v20["hvp_total"] + v20["hlbl_total"]
    sigma20 = _q(w20["hvp_total"].sigma, w20["hlbl_total"].sigma, w20["electroweak"].sigma, w20["qed"].sigma)
    total25 = v25["qed"] + v25["electroweak"] + v25["hvp_total"] + v25["hlbl_total"]
    sigma25 = _q(w25["hvp_total"].sigma, w25["hlbl_total"].sigma, w25["electroweak"].sigma, w25["qed"].sigma)
    return [
        Check(group, "WP20 HVP LO + NLO + NNLO", v20["hvp_lo_ee"] + v20["hvp_nlo_ee"] + v20["hvp_nnlo_ee"], 6845, HALF),
        Check(group, "WP20 HVP uncertainty, anticorrelated NLO", hvp_sigma, 39.4, 0.05),
        Check(group, "WP20 HVP uncertainty as printed", hvp_sigma, w20["hvp_total"].sigma, 1.0),
        Check(group, "WP20 lattice HVP from its pieces", pieces, v20["hvp_lo_lattice"], 1.0),
        Check(
            group, "WP20 lattice HVP uncertainty, linear", sum(s for _, s in lattice.values()),
            w20["hvp_lo_lattice"].sigma, 1.0,
        ),
        Check(group, "WP20 HLbL phenomenology", sum(pheno), v20["hlbl_pheno"], 1.0),
        Check(group, "WP20 HLbL phenomenology uncertainty", pheno_sigma, w20["hlbl_pheno"].sigma, 1.0),
        Check(group, "WP20 HLbL total", hlbl, 91.9, 0.2),
        Check(group, "WP20 HLbL total as printed", hlbl, v20["hlbl_total"], 1.0),
        Check(group, "WP20 HLbL total uncertainty", hlbl_sigma, w20["hlbl_total"].sigma, 1.0),
        Check(group, "WP20 total − 116592000", total20 - 116592000, v20["sm_total"] - 116592000, 1.0),
        Check(group, "WP20 total, documented", total20 - 116591000, 809.5, 0.05),
        Check(group, "WP20 total uncertainty", sigma20, w20["sm_total"].sigma, 1.0),
        Check(group, "WP20 total uncertainty, documented", sigma20, 43.9, 0.05),
        Check(
            group, "WP25 HVP LO + NLO + NNLO", v25["hvp_lo_lattice"] + v25["hvp_nlo_ee"] + v25["hvp_nnlo_ee"],
            v25["hvp_total"], 1.0,
        ),
        Check(group, "WP25 HVP uncertainty", w25["hvp_lo_lattice"].sigma, w25["hvp_total"].sigma, 1.0),
        # 115.2: the sub-items are unverified.
        Check(group, "WP25 HLbL items", v25["hlbl_pheno_lattice"] + v25["hlbl_nlo"], v25["hlbl_total"], 1.0),
        Check(
            group, "WP25 HLbL uncertainty", _q(w25["hlbl_pheno_lattice"].sigma, w25["hlbl_nlo"].sigma),
            w25["hlbl_total"].sigma, 1.0,
        ),
        Check(group, "WP25 total − 116592000", total25 - 116592000, v25["sm_total"] - 116592000, 1.0),
        Check(group, "WP25 total, documented", total25 - 116592000, 33.7, 0.05),
        Check(group, "WP25 total uncertainty", sigma25, w25["sm_total"].sigma, 1.0),
        Check(group, "WP25 − WP20", v25["sm_total"] - v20["sm_total"], 223.0, 0.0),
    ]  # fmt: skip


def _coefficients() -> np.ndarray:
    t = {k: float(q) for k, q in published_table("theory.qed").items() if not isinstance(q.value, tuple)}
    return np.array(
        [
            t["A1_2"],
            t["A1_4"] + t["A2_4_e"] + t["A2_4_tau"],
            t["A1_6"] + t["A2_6_e"] + t["A2_6_tau"] + t["A3_6"],
            t["A1_8"] + t["A2_8_e"] + t["A2_8_tau"] + t["A3_8"],
            t["A1_10"] + t["A2_10_e"] + t["A2_10_tau"] + t["A3_10"],
        ]
    )


def _series(coefficients: np.ndarray, alpha_inverse: float) -> np.ndarray:
    x = 1.0 / (alpha_inverse * math.pi)
    return coefficients * x ** np.arange(1, 6)


def _electron(alpha_inverse: float, a1_10: float) -> float:
    """Return a_e(SM) in 1e-12."""
    t = published_table("theory.qed")
    e = published_table("electron")

    def both(name: str) -> float:
        value = e[name].value
        return sum(value) if isinstance(value, tuple) else value

    c = np.array(
        [
            float(t["A1_2"]),
            float(t["A1_4"]) + both("A2_4"),
            float(t["A1_6"]) + both("A2_6") + both("A3_6"),
            float(t["A1_8"]) + both("A2_8") + both("A3_8"),
            a1_10 + both("A2_10"),
        ]
    )
    return float(_series(c, alpha_inverse).sum()) * 1e12 + float(e["hadronic"]) + float(e["weak"])


def _vacuum_polarisation(ratio: float) -> float:
    """Return A2⁽⁴⁾(m_loop/m) by integration of the photon-mass kernel, an independent route to the table.

    A2 = ∫₀¹ dx (1 − x) Π(x²/(1 − x) · m²/m_loop²) with the one-loop Π.
    """
    from scipy.integrate import quad

    def polarisation(t: float) -> float:
        if t < 1e-3:
            return t / 15.0 - t * t / 140.0 + t**3 / 945.0
        b = math.sqrt(1.0 + 4.0 / t)
        return -8.0 / 9.0 + b * b / 3.0 + (0.5 - b * b / 6.0) * b * 2.0 * math.asinh(math.sqrt(t) / 2.0)

    def integrand(y: float) -> float:
        x = 1.0 / (1.0 + math.exp(-y))
        o = 1.0 / (1.0 + math.exp(y))
        return o * polarisation(x * x / (o * ratio * ratio)) * x * o

    return float(quad(integrand, -60.0, 60.0, limit=400, epsabs=0.0, epsrel=1e-12)[0])


def qed_checks() -> list[Check]:
    group = "QED, electron, EDM"
    t = published_table("theory.qed")
    e = published_table("electron")
    c = _coefficients()
    printed = t["C_n"].value
    assert isinstance(printed, tuple)
    digits = (1e-15, 1.0e-9, 1.5e-8, 5e-5, 5e-3)
    checks = [
        Check(group, f"C_{n}", float(found), expected, tolerance)
        for n, (found, expected, tolerance) in enumerate(zip(c, printed, digits, strict=True), start=1)
    ]
    cs, rb, ae08 = (float(t[f"alpha_inverse_{k}"]) for k in ("cs", "rb", "ae2008"))
    orders = _series(c, cs) * ALPHA_UNIT
    expected = (116140973.3208, 413217.6258, 30141.9024, 381.0036, 5.0783)
    checks += [
        Check(group, f"order {2 * n} with Cs (1e-11)", float(found), value, 1.0e-4)
        for n, (found, value) in enumerate(zip(orders, expected, strict=True), start=1)
    ]
    sigma = t["alpha_inverse_cs"].sigma / cs * float(orders @ np.arange(1, 6))
    eighth = _q(t["A2_8_e"].sigma, t["A2_8_tau"].sigma, t["A3_8"].sigma) * (1 / (cs * math.pi)) ** 4 * ALPHA_UNIT
    tenth = _q(t["A1_10"].sigma, t["A2_10_e"].sigma, t["A3_10"].sigma) * (1 / (cs * math.pi)) ** 5 * ALPHA_UNIT
    tau = float(t["A2_4_tau"]) * 2 * t["m_mu_over_m_tau"].sigma / float(t["m_mu_over_m_tau"])
    tau *= (1 / (cs * math.pi)) ** 2 * ALPHA_UNIT
    whole = _q(sigma, eighth, tenth, tau, t["twelfth_order"].sigma)
    with_new = c.copy()
    with_new[4] += float(t["A1_10_wp25"]) - float(t["A1_10"])
    base = 116584000.0

    def total(coefficients: np.ndarray, alpha_inverse: float) -> float:
        return float(_series(coefficients, alpha_inverse).sum()) * ALPHA_UNIT - base

    a1, volkov = float(t["A1_10"]), float(t["A1_10_volkov"])
    checks += [
        Check(group, "QED total with Cs − 116584000", total(c, cs), 718.931, HALF * 1e-3),
        Check(group, "… to four digits", total(c, cs), float(t["total_cs"]) - base, 1e-4),
        Check(group, "QED total with a_e 2008 − 116584000", total(c, ae08), 718.842, HALF * 1e-3),
        Check(group, "… to four digits", total(c, ae08), float(t["total_ae2008"]) - base, 1e-4),
        Check(group, "QED total with Rb − 116584000", total(c, rb), 718.794, HALF * 1e-3),
        Check(group, "QED total with Rb, A1 = 5.887", total(with_new, rb), 718.788, HALF * 1e-3),
        Check(group, "uncertainty from alpha (Cs)", sigma, 0.023, HALF * 1e-3),
        Check(group, "uncertainty of the 8th order", eighth, 0.017, HALF * 1e-3),
        Check(group, "uncertainty of the 10th order", tenth, 0.006, HALF * 1e-3),
        Check(group, "uncertainty from the tau mass", tau, 0.006, HALF * 1e-3),
        Check(group, "QED uncertainty (Cs)", whole, 0.1045, 2e-4),
        Check(group, "A2(4) of the electron loop, by integration",
              _vacuum_polarisation(1.0 / float(t["m_mu_over_m_e"])), float(t["A2_4_e"]), 3e-10),
        Check(group, "A2(4) of the tau loop, by integration",
              _vacuum_polarisation(1.0 / float(t["m_mu_over_m_tau"])), float(t["A2_4_tau"]), 1e-10),
        Check(group, "a_e(SM) with Cs (1e-12)", _electron(cs, a1), float(e["a_e_sm_cs"]), 1e-3),
        Check(group, "a_e(SM) with Rb (1e-12)", _electron(rb, a1), float(e["a_e_sm_rb"]), 3e-3),
        Check(group, "a_e(SM) with Rb, A1 = 5.891 (1e-12)", _electron(rb, volkov), 1159652180.197, 1e-3),
        Check(group, "relative uncertainty of (g/2)_e 2008 (ppt)",
              e["g_over_2_2008"].sigma / float(e["g_over_2_2008"]) * 1e12, 0.28, 0.005),
        Check(group, "uncertainty of 1/alpha(a_e 2008) from 0.28 ppt",
              e["g_over_2_2008"].sigma * 2 * math.pi * ae08**2, 3.3e-8, 0.1e-8),
        Check(group, "mass sensitivity (m_mu/m_e)²", float(t["m_mu_over_m_e"]) ** 2, 42753.0, HALF),
        Check(group, "alpha/pi (the slides' 0.00232)", 1.0 / (cs * math.pi), 0.00232, 5e-6),
    ]  # fmt: skip
    # e ħ/(4 m c) [e cm]: ħc = 197.3269804 MeV fm, m = 105.6583755 MeV.
    magneton = 197.3269804 / (4.0 * 105.6583755) * 1e-13
    edm = published_table("edm")
    checks += [
        Check(group, "e ħ/(4 m c) (e cm)", magneton, float(edm["e_hbar_over_4mc"]), HALF * 1e-19),
        Check(
            group, "EDM target of E989 / E821 limit", float(edm["target_e989"]) / float(edm["limit_e821"]), 0.01, 0.0
        ),
    ]
    return checks


def design_checks() -> list[Check]:
    group = "design relations"
    ring = published_table("design.ring")
    gamma, r0 = float(ring["magic_gamma"]), float(ring["radius"])
    beta = math.sqrt(1.0 - 1.0 / gamma**2)
    mass, c = 105.6583755, 299.792458
    a_mu = float(published("experiment.combinations.world_2025")) * 1e-11
    magic = float(ring["magic_momentum"]) * 1e3
    p = gamma * beta * mass
    field = p / (c * r0)
    f_c = beta * c / (2 * math.pi * r0)
    # ω_a = a_mu e B/m: a_mu γ times the cyclotron frequency.
    f_a = a_mu * gamma * f_c
    checks = [
        Check(group, "beta = p/E of the magic momentum", magic / math.hypot(magic, mass), 0.999417549, HALF * 1e-9),
        # γ is rounded to 29.3034.
        Check(group, "beta from gamma", beta, 0.999417549, 2e-9),
        Check(group, "gamma from a_mu", math.sqrt(1 + 1 / a_mu), gamma, HALF * 1e-4),
        Check(group, "momentum (MeV/c)", p, float(ring["magic_momentum"]) * 1e3, 0.01),
        Check(group, "field (T)", field, float(ring["magic_field"]), 5e-6),
        Check(group, "f_c (MHz)", f_c, float(ring["f_c"]), 1e-7),
        Check(group, "omega_c (rad/us)", 2 * math.pi * f_c, 42.12849, HALF * 1e-5),
        Check(group, "f_a (MHz)", f_a, float(ring["f_a"]), 1.0e-6),
        Check(group, "omega_a (rad/us)", 2 * math.pi * f_a, 1.43934034, 6e-6),
        Check(group, "f_s = f_c + f_a (MHz)", float(ring["f_c"]) + float(ring["f_a"]), 6.93403606, 2e-8),
        Check(group, "T_c (ns)", 1e3 / float(ring["f_c"]), 149.14, HALF * 1e-2),
        Check(group, "T_a (us)", 1.0 / float(ring["f_a"]), 4.365, HALF * 1e-3),
        Check(group, "dilated lifetime (us)", gamma * float(ring["tau_rest"]), float(ring["tau_lab"]), HALF * 1e-3),
    ]
    table = published_table("design.betatron")
    f_c0 = float(ring["f_c"])
    for i, n in enumerate((0.107, 0.108, 0.120)):
        f_x, f_y = f_c0 * math.sqrt(1 - n), f_c0 * math.sqrt(n)
        for name, found, digits in (("f_cbo", f_c0 - f_x, 5), ("f_y", f_y, 4), ("f_vw", f_c0 - 2 * f_y, 4)):
            value = table[name].value
            assert isinstance(value, tuple)
            checks.append(Check(group, f"{name} at n = {n} (MHz)", found, value[i], 1.01 * 10.0**-digits))
        checks.append(Check(group, f"f_x at n = {n} (MHz)", f_x, {0: 6.3361, 1: 6.3325, 2: 6.2898}[i], HALF * 1e-4))
    detectors, nmr = published_table("design.detectors"), published_table("design.nmr")
    crystals = detectors["crystals"].value
    sections = ring["esq_sections"].value
    assert isinstance(crystals, tuple)
    assert isinstance(sections, tuple)
    kickers = published("design.beam.kicker_azimuths").value
    assert isinstance(kickers, tuple)
    return [
        *checks,
        Check(group, "SiPM channels", float(detectors["calorimeters"]) * crystals[0] * crystals[1], 1296, 0),
        Check(group, "fixed probes", 45 * 6 + 27 * 4, float(nmr["fixed_probes"]), 0),
        Check(group, "fixed-probe stations", 45 + 27, float(nmr["fixed_probe_stations"]), 0),
        Check(group, "trolley probes", 1 + 4 + 12, float(nmr["trolley_probes"]), 0),
        Check(group, "quadrupole coverage", 4 * (sections[0] + sections[2]) / 360.0, 0.4333, HALF * 1e-4),
        Check(group, "kicker spacing (deg)", kickers[1] - kickers[0], kickers[2] - kickers[1], 0.02),
        Check(group, "mean rate of fills (Hz)", 16 / 1.4, 11.4, HALF * 0.1),
    ]


def theory_checks() -> list[Check]:
    """Return all checks of theory and design."""
    return [*standard_model_checks(), *qed_checks(), *design_checks()]
