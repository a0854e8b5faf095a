"""The tables of ``gminus2 published``: the published numbers beside the recomputed ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gminus2.report.tables import PROVISIONAL, Table, mark, number, pm, short_a_mu

__all__ = ["checks_table", "publication_tables"]

_PART_LABELS: Final = {
    "stat": "stat. uncertainty",
    "fourier": "Fourier method",
    "momentum_time": "momentum–time",
    "quad_calibration": "quadrupole calibration",
    "field_index": "field index",
    "tracker_reco": "tracker reconstruction",
    "tracker_res_acc": "tracker resolution, acceptance",
    "beta_y_calo_acc": "β_y(φ), calorimeter acceptance",
    "amplitude_fit": "amplitude fit",
    "tracker_cbo": "tracker and CBO",
    "phase_maps": "phase maps",
    "beam_dynamics": "beam dynamics",
    "phase_momentum": "phase–momentum",
    "form_of_l": "form of l(t)",
    "f_loss": "f_loss function",
    "gain": "gain",
    "pileup": "pileup",
    "cbo": "CBO",
    "time_randomization": "time randomization",
    "early_to_late": "early-to-late",
}
_PROBE_LABELS: Final = {
    "shielding_T": "δ^T shielding, temperature",
    "bulk_susceptibility": "δ^b bulk susceptibility",
    "material": "δ^s material perturbation",
    "water_holder": "δ^w water sample and holder",
    "radiation_damping": "δ^RD radiation damping",
    "proton_dipolar": "δ^d proton dipolar fields",
    "total": "total",
}
_CONDITION_LABELS: Final = {
    "field_index": ("field index n", "{:.3f}"),
    "kicker_voltage": ("kicker (kV)", "{:.0f}"),
    "fills": ("fills (10⁴)", "{:.0f}"),
    "positrons": ("positrons (10⁹)", "{:.2f}"),
    "rms_x_e": ("rms x_e (mm)", "{:.2f}"),
    "rms_y": ("rms y (mm)", "{:.2f}"),
}
_CONDITION_SCALE: Final = {"fills": 1e-4, "positrons": 1e-9}


def publication_tables(document: Mapping[str, Any]) -> list[Table]:
    """Return the tables of a publication document, in reading order, checks last."""
    tables: list[Table] = []
    if document["what"] in ("run1", "run23"):
        tables += [_datasets(document), *_corrections(document), *_parts(document), *_probe(document)]
        tables += [_summary(document), _result(document), _models(document), _leave_one_out(document)]
        tables += _conditions(document)
    elif document["what"] == "run456":
        tables += [_summary(document), _run456_result(document)]
    elif document["what"] == "e821":
        tables += [_e821_years(document), _e821_result(document)]
    elif document["what"] == "final":
        tables += [_releases(document), _final_split(document), _final_corrections(document)]
    if "averages" in document:
        tables += [_averages(document)]
    if "tensions" in document:
        tables += [_releases(document), _tensions(document)]
    return [*tables, *([checks_table(document["checks"])] if document["checks"] else [])]


def checks_table(checks: list[Mapping[str, Any]]) -> Table:
    """Return computed against published; failures are marked, documented mismatches named."""
    rows, failed = [], set()
    for index, check in enumerate(checks):
        ok = check["ok"]
        verdict = "documented mismatch" if ok is None else "ok" if ok else "FAILS"
        if ok is False:
            failed.add(index)
        rows.append(
            (check["name"], verdict, _free(check["computed"]), _free(check["published"]), _free(check["tolerance"]))
        )
    notes = tuple(dict.fromkeys(f"{c['name']}: {c['note']}" for c in checks if c["note"]))
    return Table(
        "Checks", ("check", "", "computed", "expected", "tolerance"), tuple(rows), notes, failures=frozenset(failed)
    )


def _free(value: float | None) -> str:
    """Return a number with as many digits as its size deserves."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    size = abs(value)
    is_ratio = 0.0036 < size < 0.0038
    text = (
        f"{value:.12f}"
        if is_ratio
        else f"{value:.3g}"
        if size < 0.1
        else f"{value:.5g}"
        if size < 1000
        else f"{value:.2f}"
    )
    return text.replace("-", "−")


def _datasets(document: Mapping[str, Any]) -> Table:
    rows = []
    for d in document["datasets"]:
        printed = d["R_mu"]["published"]
        rows.append(
            (
                d["label"] + (f" ({d['nickname']})" if d["nickname"] else ""),
                mark(
                    pm(d["f_a_hz"]["value"], d["f_a_hz"]["uncertainty"], 2 if document["what"] == "run1" else 3),
                    d["status"],
                ),
                pm(d["f_p_hz"]["value"], d["f_p_hz"]["uncertainty"], 1),
                pm(printed["value"] * 1e3, printed["uncertainty"] * 1e3, 7),
                pm(d["R_mu"]["value"] * 1e3, d["R_mu"]["uncertainty"] * 1e3, 8),
                number(d["weight"], 4),
                number(d["pull"], 2),
            )
        )
    t_r = document["R_mu"]["t_r_c"]
    return Table(
        "Per dataset",
        ("dataset", "f_a (Hz)", f"f'_p({t_r:g} °C) (Hz)", "R'·10³ published", "R'·10³ computed", "weight", "pull"),
        tuple(rows),
        ("f_a contains the beam corrections; frequencies are ω/2π; the uncertainty of R' is the quadrature of all.",),
    )


def _corrections(document: Mapping[str, Any]) -> list[Table]:
    datasets = document["datasets"]
    names = list(datasets[0]["uncertainties_ppb"])
    names = [n for n in names if n != "field_transients"]
    rows = []
    for name in names:
        cells = []
        for d in datasets:
            correction = d["corrections_ppb"].get(name)
            sigma = d["uncertainties_ppb"][name]
            cells.append(f"{number(correction, 0)}({sigma:.0f})" if correction is not None else f"({sigma:.0f})")
        rows.append((name.replace("omega_a_", "ω_a "), *cells))
    sums = [d["corrections_ppb"] for d in datasets]
    if all(sums):
        rows.append(("Σ C", *(number(sum(c.values()), 0) for c in sums)))
        rows.append(("f_a before corrections (Hz)", *(f"{d['f_a_measured_hz']:.3f}" for d in datasets)))
    return [
        Table(
            "Corrections and uncertainties per dataset (ppb)",
            ("", *(d["label"] for d in datasets)),
            tuple(rows),
        )
    ]


def _parts(document: Mapping[str, Any]) -> list[Table]:
    tables = []
    for name, content in document.get("tables", {}).items():
        columns = content["columns"]
        parts = columns[0]["parts"]
        rows: list[tuple[str, ...]] = []
        if name.startswith("C_"):
            rows.append((name, *(number(c["value"], 0) for c in columns)))
        for part in parts:
            rows.append(
                (
                    _PART_LABELS.get(part, part),
                    *("<1" if c["parts"][part] == 0.5 else f"{c['parts'][part]:.0f}" for c in columns),
                )
            )
        linear = columns[0]["combine"] == "linear"
        rows.append(("total published", *(f"{c['published_total']:.0f}" for c in columns)))
        rows.append(
            (
                f"total computed ({'linear sum' if linear else 'quadrature'})",
                *(f"{c['computed_total']:.1f}" for c in columns),
            )
        )
        tables.append(
            Table(
                f"{content['label']} (ppb)",
                ("", *(c["label"] for c in columns)),
                tuple(rows),
                emphasis=frozenset({0} if name.startswith("C_") else set()) | {len(rows) - 1, len(rows) - 2},
            )
        )
    return tables


def _probe(document: Mapping[str, Any]) -> list[Table]:
    rows = []
    for row in document.get("calibration_probe", []):
        low, high = row["value"]
        text = number(low) if low == high else f"{number(low)} to {number(high)}"
        computed = row.get("computed")
        rows.append(
            (
                _PROBE_LABELS[row["name"]],
                text,
                f"{row['uncertainty']:.0f}",
                ""
                if computed is None
                else f"{number(computed['value'][0])} to {number(computed['value'][1])}, {computed['uncertainty']:.1f}",
            )
        )
    if not rows:
        return []
    return [
        Table(
            "Plunging-probe calibration (ppb)",
            ("quantity", "value", "uncertainty", "computed"),
            tuple(rows),
            emphasis=frozenset({len(rows) - 1}),
        )
    ]


def _summary(document: Mapping[str, Any]) -> Table:
    rows, strong = [], set()
    for index, row in enumerate(document["summary"]):
        published, computed = row["published"], row["computed"] or {}
        if row["name"].startswith("total"):
            strong.add(index)
        rows.append(
            (
                row["label"],
                mark(number(published["correction_ppb"], 0), published["status"]),
                mark(number(published["uncertainty_ppb"], 0), published["status"]),
                number(computed.get("correction_ppb")),
                number(computed.get("uncertainty_ppb")),
                published["status"],
            )
        )
    return Table(
        "Corrections and uncertainties of the result (ppb)",
        ("quantity", "corr. publ.", "unc. publ.", "corr. comp.", "unc. comp.", "status of input"),
        tuple(rows),
        ("The total correction counts B terms with a minus sign: they stand in the denominator of R'.",),
        emphasis=frozenset(strong),
    )


def _result(document: Mapping[str, Any]) -> Table:
    r, a = document["R_mu"], document["a_mu"]
    printed_r, printed_a = r["published"], a["published"]
    rows = [
        (
            f"R'_μ({r['t_r_c']:g} °C)",
            pm(r["value"], r["uncertainty"], 11),
            mark(
                pm(printed_r["value"], printed_r["uncertainty"], 10 if document["what"] == "run1" else 11),
                printed_r["status"],
            ),
            printed_r["status"],
        ),
        (
            f"a_μ (10⁻¹¹), CODATA {document['codata']}",
            short_a_mu(a["value"], a["uncertainty"], 1),
            short_a_mu(printed_a["value"], printed_a["uncertainty"]),
            printed_a["status"],
        ),
        *((f"a_μ with CODATA {year}", f"{value:.2f}", "", "") for year, value in document["a_mu_by_codata"].items()),
    ]
    c = document["combination"]
    return Table(
        f"Result, correlation model '{document['correlation_model']}'",
        ("", "computed", "published", "status"),
        tuple(rows),
        (f"χ² of the datasets {c['chi2']:.2f} for {c['ndf']} degrees of freedom, p = {c['p_value']:.3f}",),
        emphasis=frozenset({1}),
    )


def _models(document: Mapping[str, Any]) -> Table:
    labels = [d["label"] for d in document["datasets"]]
    rows = [
        (
            name + (" ←" if name == document["correlation_model"] else ""),
            *(number(w, 4) for w in m["weights"]),
            f"{m['R_mu']:.11f}",
            number(m["uncertainty_ppb"]),
            f"{m['a_mu']:.2f}",
            number(m["chi2"], 2),
        )
        for name, m in document["models"].items()
    ]
    return Table(
        "How much the correlation between datasets matters",
        ("model", *(f"w {x}" for x in labels), "R'_μ", "σ (ppb)", "a_μ (10⁻¹¹)", "χ²"),
        tuple(rows),
        ("The covariance between datasets is not published. σ without the external constants.",),
    )


def _leave_one_out(document: Mapping[str, Any]) -> Table:
    rows = [
        (
            f"without {x['label']}",
            number(x["shift"], 0),
            number(x["allowed"], 0),
            number(x["shift"] / x["allowed"] if x["allowed"] else None, 2),
        )
        for x in document["combination"]["leave_one_out"]
    ]
    return Table("Leave one out: shift of R'_μ (ppb)", ("", "shift", "allowed (1σ)", "shift/allowed"), tuple(rows))


def _conditions(document: Mapping[str, Any]) -> list[Table]:
    if "conditions" not in document:
        return []
    rows = []
    for name, entry in document["conditions"].items():
        label, form = _CONDITION_LABELS[name]
        scale = _CONDITION_SCALE.get(name, 1.0)
        rows.append((label, *(mark(form.format(v * scale), entry["status"]) for v in entry["value"]), entry["status"]))
    return [
        Table(
            "Running conditions (not used in the result)",
            ("", *(d["label"] for d in document["datasets"]), "status"),
            tuple(rows),
            (f"{PROVISIONAL} unverified: nobody has compared this number with its document yet.",),
        )
    ]


def _run456_result(document: Mapping[str, Any]) -> Table:
    r, a = document["R_mu"], document["a_mu"]
    rows = [
        ("a_μ (10⁻¹¹)", short_a_mu(a["value"], a["uncertainty"], 1), a["published"]["status"]),
        (f"R'_μ({r['t_r_c']:g} °C){PROVISIONAL}, derived", pm(r["value"], r["uncertainty"], 11), document["status"]),
        ("R'_μ(34.7 °C), converted", pm(r["at_34.7"], r["uncertainty"], 11), document["status"]),
    ]
    return Table("Result", ("", "value", "status"), tuple(rows), (r["note"],), emphasis=frozenset({0}))


def _e821_years(document: Mapping[str, Any]) -> Table:
    rows: list[tuple[str, ...]] = [
        (
            e["label"],
            e["charge"],
            "",
            "",
            "",
            "",
            mark(short_a_mu(e["a_mu"]["value"], e["a_mu"]["uncertainty"]), e["a_mu"]["status"]),
            "",
            "",
        )
        for e in document["earlier"]
    ]
    for d in document["datasets"]:
        printed = d["R"]["published"]
        rows.append(
            (
                d["label"],
                d["charge"].replace("-", "−"),
                pm(d["f_a_hz"]["value"], d["f_a_hz"]["uncertainty"], 2),
                pm(d["f_p_hz"]["value"], d["f_p_hz"]["uncertainty"], 0),
                pm(printed["value"] * 1e3, printed["uncertainty"] * 1e3, 7),
                f"{d['R']['value'] * 1e3:.8f}",
                short_a_mu(d["a_mu"]["published"]["value"], d["a_mu"]["published"]["uncertainty"]),
                short_a_mu(d["a_mu"]["value"], d["a_mu"]["uncertainty"]),
                number(d["weight"], 3),
            )
        )
    return Table(
        "Per year (free proton; a_μ with the λ of 1998)",
        ("year", "μ", "f_a (Hz)", "f_p (Hz)", "R·10³ publ.", "f_a/f_p·10³", "a_μ publ. (10⁻¹¹)", "a_μ comp.", "weight"),
        tuple(rows),
        (
            f"{PROVISIONAL} unverified",
            "1997 and 1998 enter the published mean with little weight; no frequencies here.",
        ),
    )


def _e821_result(document: Mapping[str, Any]) -> Table:
    printed = document["R"]["published"]
    rows = [
        (
            "mean R",
            pm(document["R"]["value"], document["R"]["uncertainty"], 10),
            "",
            pm(printed["value"], printed["uncertainty"], 10),
        )
    ]
    for year, entry in document["a_mu_by_lambda"].items():
        published = entry["published"]
        rows.append(
            (
                f"a_μ with λ of {year} (10⁻¹¹)",
                f"{entry['from_mean']:.1f}",
                f"{entry['from_printed_R']:.1f}",
                short_a_mu(published["value"], published["uncertainty"]),
            )
        )
    c = document["combination"]
    return Table(
        "Result: a_μ = R/(λ − R)",
        ("", "from the years", "from the printed R", "published"),
        tuple(rows),
        (f"χ² of the years {c['chi2']:.2f} for {c['ndf']}, p = {c['p_value']:.2f}; systematics common to the years",),
    )


def _releases(document: Mapping[str, Any]) -> Table:
    rows = [
        (
            r["label"],
            str(r["year"]),
            mark(short_a_mu(r["value"], r["sigma"], 1), r["status"]),
            number(r["sigma"] / r["value"] * 1e9, 0),
            r["status"],
        )
        for r in document["releases"]
    ]
    return Table("Published results", ("result", "year", "a_μ (10⁻¹¹)", "ppb", "status"), tuple(rows))


def _final_split(document: Mapping[str, Any]) -> Table:
    rows = [
        (label, number(document["split_1e11"][key]), number(document["split_ppb"][key], 0))
        for key, label in (("stat", "statistical"), ("syst", "systematic"), ("ext", "external"))
    ]
    a = document["a_mu"]
    rows.append(("total published", number(a["uncertainty"]), number(a["uncertainty"] / a["value"] * 1e9, 0)))
    return Table("Uncertainty of the final result", ("", "10⁻¹¹", "ppb"), tuple(rows), emphasis=frozenset({3}))


def _final_corrections(document: Mapping[str, Any]) -> Table:
    rows = [(name, *(number(v, 0) for v in values)) for name, values in document["corrections_ppb"].items()]
    return Table("Corrections by run (ppb)", ("", "Run-1", "Run-2/3", "Run-4/5/6"), tuple(rows))


def _averages(document: Mapping[str, Any]) -> Table:
    rows = []
    for entry in document["averages"].values():
        verdict = {True: "ok", False: "FAILS", None: "documented mismatch"}[entry["agrees"]]
        rows.append(
            (
                entry["label"],
                pm(entry["value"], entry["uncertainty"], 2),
                short_a_mu(entry["published"]["value"], entry["published"]["uncertainty"], 1),
                ", ".join(f"{w:.3f}" for w in entry["weights"]),
                number(entry["chi2"], 2),
                verdict,
            )
        )
    return Table(
        "Averages (10⁻¹¹)",
        ("average of", "computed", "published", "weights", "χ²", ""),
        tuple(rows),
        tuple(f"{e['label']}: {e['note']}" for e in document["averages"].values() if e["note"]),
    )


def _tensions(document: Mapping[str, Any]) -> Table:
    rows = [
        (t["experiment"], t["model"], f"{number(t['difference'])}({t['sigma']:.1f})", f"{number(t['n_sigma'], 2)}")
        for t in document["tensions"]
    ]
    return Table(
        "Experiment minus Standard Model (10⁻¹¹)",
        ("experiment", "theory", "difference", "σ"),
        tuple(rows),
        ("WP20 and WP25 are alternatives and differ by 223; they are never averaged.",),
    )
