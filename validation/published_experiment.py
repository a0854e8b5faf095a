"""Numeric checks of the published experimental inputs; driven by ``published_checks.py``."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gminus2.constants import CODATA_YEARS, Quantity, codata, published, published_table
from gminus2.measurement.anomaly import anomaly, conversion_factor
from gminus2.measurement.averages import average, release, tension
from gminus2.measurement.brookhaven import anomaly_from_free_proton, e821_average
from gminus2.measurement.combination import Source, combine
from gminus2.measurement.datasets import CORRELATION_MODELS, combine_datasets, published_datasets
from gminus2.measurement.ratio import FrequencyRatio, ShieldedFrequency, frequency_ratio, shielding_factor


@dataclass(frozen=True)
class Check:
    """One relation: ``computed`` must meet ``expected`` within ``tolerance``; ``mismatch`` where it is known not to."""

    group: str
    name: str
    computed: float
    expected: float
    tolerance: float
    mismatch: str = ""

    @property
    def agrees(self) -> bool:
        return abs(self.computed - self.expected) <= self.tolerance * (1 + 1e-12)

    @property
    def ok(self) -> bool:
        """Agreement, or disagreement where it is documented."""
        return self.agrees != bool(self.mismatch)


RUN1 = "experiment.e989.run1"
DATASETS = "abcd"
#: Half a unit of the last printed digit.
HALF = 0.5000001


def _quadrature(*values: float) -> float:
    return math.hypot(*values)


def _parts(quantity: Quantity) -> float:
    return sum(quantity.parts.values()) if quantity.combine == "linear" else _quadrature(*quantity.parts.values())


def codata_checks() -> list[Check]:
    """Value and uncertainty of every CODATA entry against the tables that SciPy carries."""
    from scipy.constants import _codata

    names = {
        "m_mu_over_m_e": "muon-electron mass ratio",
        "g_e": "electron g factor",
        "mu_e_over_mu_p_shielded": "electron to shielded proton mag. mom. ratio",
        "alpha_inverse": "inverse fine-structure constant",
        "mu_p_shielded_over_mu_B": "shielded proton mag. mom. to Bohr magneton ratio",
    }
    checks = []
    for year in CODATA_YEARS:
        reference = getattr(_codata, f"_physical_constants_{year}")
        for key, quantity in published_table(f"constants.codata{year}").items():
            value, _, sigma = reference[names[key]]
            # Equality of both: the distance of the pair.
            distance = abs(float(quantity) - value) + abs(quantity.sigma - sigma)
            checks.append(Check("CODATA", f"{year} {names[key]}", distance, 0.0, abs(value) * 1e-15))
    return checks


def constants_checks() -> list[Check]:
    group = "constants, K"
    printed = {2014: 0.314493105405, 2018: 0.314493106014, 2022: 0.314493105557}
    checks = [
        Check(group, f"K(34.7 °C) {year}", conversion_factor(34.7, year).value, value, HALF * 1e-12)
        for year, value in printed.items()
    ]
    for year, value in ((2018, 0.314493137531), (2022, 0.314493142678)):
        found = conversion_factor(25.0, year, "bohr").value
        checks.append(Check(group, f"K(25 °C) {year}", found, value, HALF * 1e-12))
        back = found * (2.0 - shielding_factor(25.0, 34.7)[0])
        ppb = (back / conversion_factor(34.7, year).value - 1.0) * 1e9
        note = "CODATA 2022 moved mu'_p/mu_B, the 34.7 °C ratio is the one of 1977" if year == 2022 else ""
        checks.append(Check(group, f"K(25 °C) at 34.7 °C against K(34.7 °C), {year} (ppb)", ppb, 0.0, 0.5, note))
        if year == 2022:
            checks.append(Check(group, "… the documented size of that mismatch (ppb)", ppb, 17.5, 0.1))
    hot, cold = (published(f"constants.external.mu_e_H_over_mu_p_shielded_{t}") for t in ("34C7", "25C"))
    factor, sigma = shielding_factor(25.0, 34.7)
    bound = float(published("constants.external.mu_e_H_over_mu_e"))
    mass = codata(2018).m_mu_over_m_e
    checks += [
        Check(group, "shielding factor 25 → 34.7 °C (ppb)", (factor - 1) * 1e9, 100.5, 0.05),
        Check(group, "its uncertainty (ppb)", sigma * 1e9, 2.9, 0.05),
        Check(group, "mu_e(H)/mu'_p 34.7 from 25 °C", abs(float(cold)) * factor, abs(float(hot)), 1e-7),
        Check(
            group,
            "mu_e(H)/mu'_p(25 °C) from CODATA",
            abs(float(codata(2018).mu_e_over_mu_p_shielded)) * bound,
            abs(float(cold)),
            2e-7,
        ),
        Check(group, "mu_e(H)/mu'_p uncertainty (ppb)", hot.sigma / abs(float(hot)) * 1e9, 10.5, 0.05),
        Check(group, "m_mu/m_e uncertainty (ppb)", mass.sigma / float(mass) * 1e9, 22.0, 0.5),
    ]
    mixed = anomaly(FrequencyRatio(0.00370730035, 0.0, 34.7)).value_1e11
    wrong = 0.00370730035 * conversion_factor(25.0, 2018).value * 1e11
    checks.append(Check(group, "a_mu with mixed temperatures is off by (1e-11)", wrong - mixed, 11.7, 0.05))
    return checks


def run1_dataset_checks() -> list[Check]:
    group = "Run-1 per dataset"
    checks = []
    totals = {"a": 1209.0, "b": 1025.0, "c": 825.0, "d": 676.0}
    sums = {"a": 449.0, "b": 495.0, "c": 601.0, "d": 460.0}
    measured = {"a": 229080.957, "b": 229081.287, "c": 229081.122, "d": 229081.125}
    blind = {"a": -83.120, "b": -81.682, "c": -82.399, "d": -82.389}
    quotient = {"a": 3.70730090, "b": 3.70730241, "c": 3.70730569, "d": 3.70729572}
    relative = {"a": (1222, 115), "b": (1048, 128), "c": (829, 125), "d": (698, 107)}
    for letter, dataset in zip(DATASETS, published_datasets("run1"), strict=True):
        table = published_table(f"{RUN1}.{letter}")
        f_a, f_p, printed = table["f_a"], table["f_p_shielded"], table["R_prime"]
        ratio = dataset.ratio()
        name = f"Run-1{letter}"
        checks += [
            Check(group, f"{name} R' = f_a/f'_p, printed digits", ratio.value, float(printed), HALF * 1e-10),
            Check(group, f"{name} R' to nine digits (1e-3)", ratio.value * 1e3, quotient[letter], HALF * 1e-8),
            Check(group, f"{name} uncertainty of R'", ratio.sigma, printed.sigma, HALF * 1e-10),
            # f_a's uncertainty is printed to 0.01 Hz.
            Check(group, f"{name} uncertainty of f_a (Hz)", dataset.sigma_a_ppb * 1e-9 * float(f_a), f_a.sigma, 0.005),
            Check(
                group, f"{name} printed f_a uncertainty (ppb)", f_a.sigma / float(f_a) * 1e9, relative[letter][0], 0.5
            ),
            Check(
                group, f"{name} printed f'_p uncertainty (ppb)", f_p.sigma / float(f_p) * 1e9, relative[letter][1], 0.5
            ),
        ]
        for key in ("omega_a_syst", "C_e", "C_p", "C_pa", "C_ml"):
            quantity = table[key]
            checks.append(Check(group, f"{name} {key} from its parts (ppb)", _parts(quantity), quantity.sigma, 1.0))
        stat, syst = table["omega_a_stat"].sigma, table["omega_a_syst"].sigma
        r_blind = (dataset.f_a_measured_hz / 229100.0 - 1.0) * 1e6
        checks += [
            Check(group, f"{name} omega_a total (ppb)", _quadrature(stat, syst), totals[letter], 1.0),
            Check(group, f"{name} sum of C (ppb)", sum(dataset.corrections_ppb.values()), sums[letter], 0.0),
            Check(group, f"{name} f_a before corrections (Hz)", dataset.f_a_measured_hz, measured[letter], 0.0006),
            Check(group, f"{name} R against 229100 Hz (ppm)", r_blind, blind[letter], 0.0006),
        ]
    return checks


def run1_summary_checks() -> list[Check]:
    group = "Run-1 weighted means, sums, totals"
    summary = published_table(f"{RUN1}.summary")
    datasets = published_datasets("run1")
    _, combined = combine_datasets(datasets)
    w = combined.weights
    checks = [
        Check(group, "omega_a statistical (ppb)", combined.by_source["omega_a_stat"], 434, HALF),
        Check(group, "omega_a systematic (ppb)", combined.by_source["omega_a_syst"], 56, HALF),
    ]
    for name, tolerance in (("C_e", HALF), ("C_p", HALF), ("C_ml", HALF), ("C_pa", 1.0)):
        mean = float(w @ [d.corrections_ppb[name] for d in datasets])
        note = "cause unknown; the uncertainty agrees" if name == "C_pa" else ""
        checks.append(Check(group, f"weighted {name} (ppb)", mean, float(summary[name]), tolerance, note))
        if name == "C_pa":
            checks.append(Check(group, "weighted C_pa within the documented ±5 (ppb)", mean, float(summary[name]), 5.0))
            checks.append(Check(group, "weighted C_pa, documented value (ppb)", mean, -153.7, 0.05))
        checks.append(Check(group, f"uncertainty of {name} (ppb)", combined.by_source[name], summary[name].sigma, HALF))
    terms = [q for key, q in summary.items() if key not in ("total_syst", "total_external", "total")]
    beam = [summary[k] for k in ("C_e", "C_p", "C_ml", "C_pa")]
    field = [summary[k].sigma for k in ("field", "B_k", "B_q")]
    whole = sum(float(q) for q in beam) - float(summary["B_k"]) - float(summary["B_q"])
    syst = [q.sigma for q in (*beam, summary["omega_a_syst"])] + field
    external = [summary[k].sigma for k in ("mu_p_shielded", "m_mu_over_m_e")]
    total = published(f"{RUN1}.omega_p_total")
    checks += [
        Check(group, "sum of beam corrections (ppb)", sum(float(q) for q in beam), 500.0, HALF),
        Check(group, "its uncertainty (ppb), printed 0.09 ppm", _quadrature(*(q.sigma for q in beam)), 90.0, 5.0),
        Check(group, "transients B_k ⊕ B_q (ppb)", _quadrature(*field[1:]), 99.0, HALF),
        Check(group, "omega'_p from 56 ⊕ 99 (ppb)", _parts(total), total.sigma, HALF),
        Check(group, "total correction (ppb)", whole, 544.0, 0.0),
        Check(group, "total systematic (ppb)", _quadrature(*syst), 157.0, HALF),
        Check(group, "total external (ppb)", _quadrature(*external), 25.0, 1.0),
        Check(group, "total (ppb)", _quadrature(*(q.sigma for q in terms)), 462.0, HALF),
    ]
    rest = (58.0, 81.0, 76.0, 40.0)
    for letter, dataset, expected in zip(DATASETS, datasets, rest, strict=True):
        found = math.sqrt(dataset.uncertainties_ppb["field"] ** 2 - 99.0**2)
        checks.append(Check(group, f"Run-1{letter} field without transients (ppb)", found, expected, 1.0))
    return checks


def run1_combination_checks() -> list[Check]:
    group = "Run-1 combination and a_mu"
    datasets = published_datasets("run1")
    mean, combined = combine_datasets(datasets)
    result = anomaly(mean)
    printed = published(f"{RUN1}.R_prime")
    from_printed = anomaly(FrequencyRatio(float(printed), 0.0, 34.7)).value_1e11 - 116592000
    weights = published(f"{RUN1}.combination.weights").value
    assert isinstance(weights, tuple)
    checks = [
        Check(group, f"weight of Run-1{x}", float(found), expected, HALF * 1e-4)
        for x, found, expected in zip(DATASETS, combined.weights, weights, strict=True)
    ]
    checks += [
        Check(group, "R'", mean.value, 0.00370730035, HALF * 1e-11),
        Check(group, "sigma (ppb)", combined.sigma, 462.2, 0.05),
        Check(group, "statistical part (ppb)", combined.by_kind["stat"], 433.8, 0.05),
        Check(group, "chi2", combined.chi2, 6.83, 0.1),
        Check(group, "P(chi2)", combined.p_value, 0.078, 0.002),
        Check(group, "a_mu − 116592000 (1e-11)", result.value_1e11 - 116592000, 40.0, HALF),
        Check(group, "its uncertainty (1e-11)", result.sigma_1e11, 54.0, HALF),
        Check(group, "relative precision (ppm)", result.sigma / result.value * 1e6, 0.46, 0.005),
        Check(
            group,
            "a_mu from the printed R' − 116592000 (1e-11)",
            from_printed,
            40.0,
            HALF,
            "half a unit of the tenth decimal is 1.6e-11",
        ),
        Check(group, "… within the documented ±1.6 (1e-11)", from_printed, 40.0, 1.6),
        Check(group, "… its documented value", from_printed, 38.6, 0.05),
    ]
    table = {
        "systematics-correlated": ((0.1279, 0.1782, 0.2782, 0.4156), 0.00370730035, 462.2, 40.24),
        "transients-common": ((0.1282, 0.1793, 0.2787, 0.4138), 0.00370730036, 459.2, 40.65),
        "statistics-only": ((0.1291, 0.1801, 0.2778, 0.4129), 0.00370730037, 433.8, 40.70),
        "uncorrelated": ((0.1315, 0.1820, 0.2783, 0.4083), 0.00370730040, 442.1, 41.62),
    }
    for model in CORRELATION_MODELS:
        weights, ratio, sigma, a_mu = table[model]
        found, c = combine_datasets(datasets, model)  # type: ignore[arg-type]
        checks += [
            Check(group, f"{model}: weights", float(np.abs(c.weights - weights).max()), 0.0, HALF * 1e-4),
            Check(group, f"{model}: R'", found.value, ratio, HALF * 1e-11),
            # The common 99 ppb of the table is √(37² + 92²) = 99.16.
            Check(group, f"{model}: sigma (ppb)", c.sigma, sigma, 0.06),
            Check(group, f"{model}: a_mu − 116592000", anomaly(found).value_1e11 - 116592000, a_mu, 0.006),
        ]
    rows = {
        0.0037073003: (38.40, 38.63, 38.46),
        0.00370730035: (39.97, 40.20, 40.03),
        0.00370730088: (56.64, 56.87, 56.70),
        0.00370730082: (54.76, 54.98, 54.81),
    }
    for ratio, expected in rows.items():
        for year, value in zip(CODATA_YEARS, expected, strict=True):
            found = anomaly(FrequencyRatio(ratio, 0.0, 34.7), year).value_1e11 - 116592000
            checks.append(Check(group, f"a_mu({ratio:.11g}, CODATA {year}) − 116592000", found, value, 0.006))
    return checks


def probe_checks() -> list[Check]:
    group = "probe corrections, beam sizes"
    table = published_table(f"{RUN1}.calibration_probe")
    terms = [q for name, q in table.items() if name != "total"]
    total, slope = table["total"], float(published("constants.external.shielding_slope"))
    checks = [
        Check(group, f"sum of probe corrections, {end} (ppb)", sum(q.value[i] for q in terms), total.value[i], 0.051)
        for i, end in enumerate(("low", "high"))
    ]
    checks.append(Check(group, "its uncertainty (ppb)", _quadrature(*(q.sigma for q in terms)), total.sigma, HALF))
    for value, expected in zip(table["shielding_T"].value, (25.13, 26.40), strict=True):
        checks.append(Check(group, "temperature of the probe (°C)", 34.7 + value * 1e-9 / slope, expected, 0.006))
    conditions = published_table(f"{RUN1}.conditions")
    indices = conditions["field_index"].value
    beta2 = 1.0 - 1.0 / float(published("design.ring.magic_gamma")) ** 2
    r0 = float(published("design.ring.radius")) * 1e3
    for i, (letter, n) in enumerate(zip(DATASETS, indices, strict=True)):
        c_e, c_p = (float(published(f"{RUN1}.{letter}.{k}")) * 1e-9 for k in ("C_e", "C_p"))
        x_e, y = conditions["rms_x_e"].value[i], conditions["rms_y"].value[i]
        found_x = r0 * math.sqrt(c_e / (2 * n * (1 - n) * beta2))
        found_y = r0 * math.sqrt(2 * c_p / n)
        checks.append(Check(group, f"Run-1{letter} rms x_e (mm)", found_x, x_e, 0.01))
        checks.append(Check(group, f"Run-1{letter} rms y (mm)", found_y, y, 0.01))
    return checks


def later_runs_checks() -> list[Check]:
    group = "Run-2/3, Run-4/5/6"
    checks = []
    datasets = published_datasets("run23")
    for key, dataset in zip(("2", "3a", "3b"), datasets, strict=True):
        printed = published(f"experiment.e989.run23.{key}.R_prime")
        tolerance = 1e-10 if key == "3b" else HALF * 1e-10
        checks += [
            Check(group, f"Run-{key} R' = f_a/f'_p", dataset.ratio().value, float(printed), tolerance),
            Check(group, f"Run-{key} uncertainty of R'", dataset.ratio().sigma, printed.sigma, HALF * 1e-10),
        ]
    checks.append(Check(group, "Run-3b quotient (1e-3)", datasets[2].ratio().value * 1e3, 3.70730284, HALF * 1e-8))
    mean, combined = combine_datasets(datasets)
    printed = published("experiment.e989.run23.R_prime")
    printed_sigma = [published(f"experiment.e989.run23.{k}.R_prime").sigma for k in ("2", "3a", "3b")]
    printed_values = [float(published(f"experiment.e989.run23.{k}.R_prime")) for k in ("2", "3a", "3b")]
    inverse = np.array(printed_sigma) ** -2
    quotients = np.array([d.ratio().value for d in datasets])
    by_print = float(inverse @ quotients / inverse.sum())
    checks += [
        Check(group, "Run-2/3 mean R'", mean.value, float(printed), 4e-11),
        Check(group, "Run-2/3 mean with printed uncertainties as weights", by_print, float(printed), 4e-11),
        Check(
            group,
            "Run-2/3 mean of the printed R'",
            float(inverse @ printed_values / inverse.sum()),
            float(printed),
            4e-11,
        ),
        Check(group, "Run-2/3 uncertainty of R'", mean.sigma, printed.sigma, 1e-11),
        Check(group, "Run-2/3 statistical (ppb)", combined.by_kind["stat"], 201.0, 1.0),
        Check(
            group, "Run-2/3 a_mu from the printed R' − 116592000",
            anomaly(FrequencyRatio(float(printed), 0.0, 34.7)).value_1e11 - 116592000, 57.0, HALF,
        ),
        Check(group, "Run-2/3 uncertainty of a_mu (1e-11)", anomaly(mean).sigma_1e11, 25.0, HALF),
        Check(
            group, "FNAL 2023 a_mu from its R' − 116592000",
            anomaly(FrequencyRatio(0.00370730082, 0.0, 34.7)).value_1e11 - 116592000, 55.0, HALF,
        ),
    ]  # fmt: skip
    for run, label in (("run23", "Run-2/3"), ("run456", "Run-4/5/6")):
        summary = published_table(f"experiment.e989.{run}.summary")
        rows = {k: q for k, q in summary.items() if not k.startswith("total")}
        correction = sum(-float(q) if k.startswith("B_") else float(q) for k, q in rows.items())
        external = [rows.pop(k).sigma for k in ("mu_p_shielded", "m_mu_over_m_e")]
        stat = rows.pop("omega_a_stat").sigma
        syst = _quadrature(*(q.sigma for q in rows.values()))
        total = _quadrature(stat, syst, *external)
        checks += [
            Check(group, f"{label} total correction (ppb)", correction, float(summary["total"]), 1.0),
            Check(group, f"{label} total systematic (ppb)", syst, summary["total_syst"].sigma, 1.0),
            Check(group, f"{label} total (ppb)", total, summary["total"].sigma, 1.0),
        ]
        if "total_external" in summary:
            ext = summary["total_external"].sigma
            checks.append(Check(group, f"{label} external (ppb)", _quadrature(*external), ext, 1.0))
        a_mu = published(f"experiment.e989.{run}.a_mu")
        checks.append(Check(group, f"{label} uncertainty (1e-11)", total * 1e-9 * float(a_mu), a_mu.sigma, HALF))
        r0, beta2 = 7112.0, 1.0 - 1.0 / 29.3034**2
        sizes = {"run23": (10.89, 12.62), "run456": (9.55, 12.80)}[run]
        x_e = r0 * math.sqrt(float(summary["C_e"]) * 1e-9 / (2 * 0.108 * 0.892 * beta2))
        y = r0 * math.sqrt(2 * float(summary["C_p"]) * 1e-9 / 0.108)
        checks += [
            Check(group, f"{label} rms x_e at n = 0.108 (mm)", x_e, sizes[0], 0.01),
            Check(group, f"{label} rms y at n = 0.108 (mm)", y, sizes[1], 0.01),
        ]
    factor = conversion_factor(25.0, 2022, "bohr").value
    for path, digits, label in (
        ("experiment.e989.run456.a_mu", 0.0037073008972, "Run-4/5/6"),
        ("experiment.combinations.fnal_2025", 0.0037073008813, "FNAL 2025"),
        ("experiment.combinations.world_2025", 0.0037073009131, "world 2025"),
    ):
        found = float(published(path)) * 1e-11 / factor
        checks.append(Check(group, f"{label} R'(25 °C, CODATA 2022)", found, digits, HALF * 1e-13))
    at_hot = FrequencyRatio(0.0037073008972, 0.0, 25.0).at(34.7).value
    checks.append(Check(group, "Run-4/5/6 R' at 34.7 °C", at_hot, 0.00370730127, HALF * 1e-11))
    return checks


def average_checks() -> list[Check]:
    group = "averages"

    def of(*names: str, correlated: bool = True) -> tuple[float, float, float]:
        c = average([release(n) for n in names], correlated=correlated)
        return c.value - 116592000, c.sigma, float(c.weights[0])

    world21, fnal23, world23 = of("run1", "e821"), of("run1", "run23"), of("fnal_2023", "e821")
    world25, final = of("fnal_2025", "e821"), published("experiment.combinations.fnal_2025")
    apart, together = of("fnal_2023", "run456", correlated=False), of("fnal_2023", "run456")
    why = "the final average moved the Run-1–3 inputs; they are not published"
    parts = [final.stat or 0.0, final.syst or 0.0, final.ext or 0.0]
    scale = 1e9 / float(final)
    run123 = combine(
        [116592069.0, float(published("experiment.e989.run456.a_mu"))],
        [Source("all", (24.0, 16.2), 0.0, "stat")],
        ["a", "b"],
    )
    return [
        Check(group, "2021 world, value − 116592000", world21[0], 61.0, HALF),
        Check(group, "2021 world, to two digits", world21[0], 60.75, 0.006),
        Check(group, "2021 world, uncertainty", world21[1], 41.0, HALF),
        Check(group, "2023 FNAL, value − 116592000", fnal23[0], 55.0, 1.0),
        Check(group, "2023 FNAL, to one digit", fnal23[0], 54.5, 0.051),
        Check(group, "2023 FNAL, uncertainty", fnal23[1], 24.0, HALF),
        Check(group, "2023 FNAL, weight of Run-1", fnal23[2], 0.145, 0.001),
        Check(group, "2023 world, value − 116592000", world23[0], 59.0, HALF),
        Check(group, "2023 world, uncertainty", world23[1], 22.0, HALF),
        Check(group, "2025 world, value − 116592000", world25[0], 71.5, 0.05),
        Check(group, "2025 world, to two digits", world25[0], 71.47, 0.006),
        Check(group, "2025 world, uncertainty", world25[1], 14.5, 0.1),
        Check(group, "2025 FNAL, uncertainty from its parts", _quadrature(*parts), 14.8, 0.1),
        Check(group, "2025 FNAL, statistical (ppb)", parts[0] * scale, 98.0, HALF),
        Check(group, "2025 FNAL, systematic (ppb)", parts[1] * scale, 78.0, HALF),
        Check(group, "2025 FNAL, external (ppb)", parts[2] * scale, 18.0, HALF),
        Check(group, "published Run-1–3 + Run-4/5/6, independent", apart[0], 70.5, 0.5, why),
        Check(group, "… its documented value", apart[0], 66.0, 0.05),
        Check(group, "published Run-1–3 + Run-4/5/6, correlated", together[0], 70.5, 0.5, why),
        Check(group, "… its documented value, correlated", together[0], 66.7, 0.05),
        Check(group, "… its uncertainty lies in 13.4–14.7", together[1], 14.05, 0.65),
        Check(group, "Run-1–3 at 069 gives the final average", run123.value - 116592000, 70.5, 0.2),
        Check(group, "known movers of Run-1–3: B_k, C_dd, moment ratio (ppb), 'about 75'", _movers(), 75.0, 2.0),
    ]


def _movers() -> float:
    """Return how far three known changes between 2023 and 2025 move R' [ppb]."""
    old, new = (published_table(f"experiment.e989.{run}.summary") for run in ("run23", "run456"))
    ratio = conversion_factor(25.0, 2022, "bohr").value * (2.0 - shielding_factor(25.0, 34.7)[0])
    moment = (ratio / conversion_factor(34.7, 2018).value - 1.0) * 1e9
    return float(old["B_k"]) - float(new["B_k"]) + float(new["C_dd"]) - float(old["C_dd"]) + moment


def e821_checks() -> list[Check]:
    group = "E821"
    checks = []
    for year in (1999, 2000, 2001):
        table = published_table(f"experiment.e821.run{year}")
        f_p = ShieldedFrequency(float(table["f_p"]), table["f_p"].sigma, 25.0)
        quotient = frequency_ratio(float(table["f_a"]), table["f_a"].sigma, f_p).value
        checks.append(Check(group, f"R of {year}", quotient, float(table["R"]), HALF * 1e-10))
    lam98 = float(published("constants.external.mu_mu_over_mu_p_1998"))
    lam06 = float(published("constants.external.mu_mu_over_mu_p_2006"))
    printed = float(published("experiment.e821.R"))
    mean = e821_average()
    a_mu = published("experiment.e821.a_mu")
    old, new = (anomaly_from_free_proton(printed, 0.0, lam)[0] for lam in (lam98, lam06))
    return [
        *checks,
        Check(group, "mean R", mean.value, printed, 1.5e-10),
        Check(group, "uncertainty of the mean R", mean.sigma, 2.0e-9, HALF * 1e-10),
        Check(group, "a_mu with lambda 1998 (1e-10)", old * 1e10, 11659208.0, 0.05),
        Check(group, "a_mu with lambda 2006 − 116592000 (1e-11)", new * 1e11 - 116592000, 89.0, HALF),
        Check(group, "… to one digit", new * 1e11 - 116592000, 89.4, 0.05),
        Check(group, "uncertainty 5.4 ⊕ 3.3 (1e-11)", _quadrature(a_mu.stat or 0, a_mu.syst or 0), 63.0, HALF),
    ]


def difference_checks() -> list[Check]:
    """Experiment minus Standard Model; counted with the Standard Model in the notes."""
    group = "Standard Model sums and differences"
    e821, w21, w23, w25 = (release(n) for n in ("e821", "world_2021", "world_2023", "world_2025"))
    t = {
        "E821 − WP20": (tension(e821.value, e821.sigma, "wp20"), 279.0, 76.0),
        "2021 − WP20": (tension(w21.value, w21.sigma, "wp20"), 251.0, 59.0),
        "2023 − WP25": (tension(w23.value, w23.sigma, "wp25"), 26.0, 66.0),
        "2025 − WP25": (tension(w25.value, w25.sigma, "wp25"), 38.0, 63.0),
    }
    checks = []
    for name, (found, value, sigma) in t.items():
        checks += [
            Check(group, name, found.difference, value, 1.0),
            Check(group, f"uncertainty of {name}", found.sigma, sigma, 1.0),
        ]
    return [
        *checks,
        Check(group, "E821 − WP20 in sigma", t["E821 − WP20"][0].n_sigma, 3.7, 0.05),
        Check(group, "2021 − WP20 in sigma", t["2021 − WP20"][0].n_sigma, 4.2, 0.05),
        Check(group, "2025 − WP25 in sigma", t["2025 − WP25"][0].n_sigma, 0.6, 0.05),
    ]


def experiment_checks() -> list[Check]:
    """Return all checks of the experimental side."""
    return [
        *codata_checks(),
        *constants_checks(),
        *run1_dataset_checks(),
        *run1_summary_checks(),
        *run1_combination_checks(),
        *probe_checks(),
        *later_runs_checks(),
        *average_checks(),
        *e821_checks(),
        *difference_checks(),
    ]
