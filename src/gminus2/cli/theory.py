"""``gminus2 theory``: the Standard-Model table, tensions, and HVP from a user's R(s) or lattice correlator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from gminus2.cli.common import output_options, printer

if TYPE_CHECKING:
    from gminus2.theory.budget import Budget, Comparison, Experiment
    from gminus2.theory.hvp.readers import Layout
    from gminus2.theory.hvp.spectrum import Spectrum

__all__ = ["theory"]


def _layout_options(function: Any) -> Any:
    options = [
        click.option("--format", "kind", type=click.Choice(["pdg", "yoda", "csv"]), help="Format of the R(s) file."),
        click.option("--dataset", default="", help="Dataset of a YODA file."),
        click.option("--label", default=None, help="Use the rows of a CSV file whose label contains this."),
        click.option("--axis", type=click.Choice(["sqrt_s", "s"]), default="sqrt_s", show_default=True),
        click.option("--unit", type=click.Choice(["GeV", "MeV"]), default="GeV", show_default=True),
        click.option("--position", type=click.Choice(["centre", "lower_edge"]), default="centre", show_default=True),
        click.option(
            "--bins",
            type=click.Choice(["none", "xerr", "width"]),
            default="none",
            show_default=True,
            help="Points, bins given by the horizontal errors, or bins of --bin-width.",
        ),
        click.option("--bin-width", type=float, default=0.0, help="Bin width in the unit of the axis."),
        click.option(
            "--value",
            type=click.Choice(["R", "nb", "form_factor_squared", "alpha_r_over_3"]),
            default="R",
            show_default=True,
            help="What the second column is.",
        ),
        click.option("--vp", type=click.Choice(["bare", "dressed"]), default="bare", show_default=True),
        click.option(
            "--fsr", type=click.Choice(["included", "excluded", "unknown"]), default="unknown", show_default=True
        ),
        click.option("--sort", is_flag=True, help="Sort the rows by energy instead of refusing an unsorted table."),
        click.option("--allow-gaps", is_flag=True, help="Accept holes in the data."),
        click.option("--relative-syst", type=float, default=0.0, help="Common relative systematic uncertainty."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@click.command()
@click.option(
    "--budget", "budgets", multiple=True, help="Budget(s) to show: WP20, WP25. Both by default; never averaged."
)
@click.option(
    "--experiment", "experiments", multiple=True, help="Measurement(s) to compare with; all published by default."
)
@click.option(
    "--a-mu", type=(float, float), default=None, help="A measured a_mu of your own: value and sigma in 1e-11."
)
@click.option(
    "--alpha", default="cs18", show_default=True, help="1/alpha: cs18, rb20, codata18, codata22, ae2008, ae2023."
)
@click.option("--five-loop", default="wp20", show_default=True, help="A1(10): wp20, wp25, volkov24, ahkn24.")
@click.option("--cmd3", is_flag=True, help="Show WP20 also with the pion cross-section of CMD-3 (2023).")
@click.option("--hvp", type=click.Path(path_type=Path), default=None, help="R(s) file for the dispersion integral.")
@click.option(
    "--scope",
    type=click.Choice(["inclusive", "channel"]),
    default="inclusive",
    show_default=True,
    help="Whether the file holds the whole R(s) or one channel.",
)
@click.option(
    "--older", type=click.Path(path_type=Path), default=None, help="Earlier PDG table (YODA) for missing errors."
)
@click.option("--low", type=float, default=None, help="Lower end of the range in sqrt(s) [GeV] (channel).")
@click.option(
    "--high",
    type=float,
    default=None,
    help="Upper end of the range in sqrt(s) [GeV]; for an inclusive table where pQCD takes over.",
)
@click.option(
    "--replicas", type=click.IntRange(min=0), default=1000, show_default=True, help="Replicas of the HVP integral."
)
@click.option("--seed", type=click.IntRange(min=0), default=20210407, show_default=True)
@click.option(
    "--correlator", type=click.Path(path_type=Path), default=None, help="Lattice G(t): CSV with t_fm, g, sigma."
)
@click.option(
    "--covariance", type=click.Path(path_type=Path), default=None, help="Covariance of the correlator (CSV matrix)."
)
@_layout_options
@output_options
def theory(
    budgets: tuple[str, ...],
    experiments: tuple[str, ...],
    a_mu: tuple[float, float] | None,
    alpha: str,
    five_loop: str,
    cmd3: bool,
    hvp: Path | None,
    scope: str,
    older: Path | None,
    low: float | None,
    high: float | None,
    replicas: int,
    seed: int,
    correlator: Path | None,
    covariance: Path | None,
    output: Path,
    quiet: bool,
    **columns: Any,
) -> None:
    """Print the Standard-Model prediction of a_mu and its tension with experiment.

    Without options: both White-Paper budgets line by line, the pieces this package computes (QED, one-loop
    electroweak, a_e), and measured minus predicted for every published pair. With --hvp FILE the leading hadronic
    vacuum polarisation is computed from the file and put in the place of that of the first budget.
    """
    from gminus2.data import make_provenance, write_result
    from gminus2.report.plotting import save_figure
    from gminus2.report.theory_figures import contributions_figure, history_figure, running_integral_figure
    from gminus2.report.theory_tables import print_budget, print_computed, print_hvp, print_lattice, print_tensions
    from gminus2.theory.budget import BUDGETS, EXPERIMENTS, budget, cmd3_shift, compare, experiment
    from gminus2.theory.electron import electron_anomaly, measured_electron_anomaly
    from gminus2.theory.electroweak import electroweak_contribution
    from gminus2.theory.hvp.analysis import analyse
    from gminus2.theory.hvp.builtin import builtin_r
    from gminus2.theory.qed import QEDInputs, qed_contribution

    console = printer(quiet)
    chosen = [budget(name) for name in (budgets or BUDGETS)]
    if cmd3:
        chosen.append(budget("WP20").with_line(cmd3_shift()))
    measured = [experiment(name) for name in (experiments or EXPERIMENTS)]
    if a_mu is not None:
        measured = [*(measured if experiments else []), _own(a_mu)]
    qed = qed_contribution(QEDInputs.choose(alpha, five_loop))
    weak = electroweak_contribution()
    electron = electron_anomaly(alpha, five_loop)

    content: dict[str, Any] = {"unit": "1e-11"}
    inputs = [path for path in (hvp, older, correlator, covariance) if path is not None]
    hadrons, hadron_label = None, "built-in parametrisation (multi-hadron channels below 1.8 GeV absent)"
    if hvp is not None:
        spectrum = _read(hvp, _layout(columns), columns, older)
        result = analyse(spectrum, cast(Any, scope), low=low, high=high, replicas=replicas, seed=seed)
        hadrons, hadron_label = result.hadrons, f"R(s) of {hvp.name}"
        content["hvp"] = result.to_json()
        if scope == "inclusive":
            lo, sigma, nlo = (
                x * 1e11 for x in (result.leading_order, result.sigma_with_tension, result.next_to_leading.total)
            )
            chosen.append(chosen[0].with_hvp(hvp.stem, lo, sigma, nlo=nlo))
        print_hvp(console, result, hvp.name)
    if correlator is not None:
        lattice = _lattice(correlator, covariance)
        content["lattice"] = {name: {"value": value, "sigma": sigma} for name, (value, sigma) in lattice.items()}
        print_lattice(console, lattice, correlator.name)
    comparisons = [compare(one, predicted) for one in measured for predicted in chosen]
    for one in chosen:
        print_budget(console, one)
    print_computed(console, qed, weak, electron, alpha, five_loop)
    print_tensions(console, comparisons)

    content |= {
        "budgets": {one.name: _budget_json(one) for one in chosen},
        "qed": {
            "alpha": alpha,
            "five_loop": five_loop,
            "value": qed.value * 1e11,
            "sigma": qed.sigma * 1e11,
            "orders": [order * 1e11 for order in qed.orders],
            "sources": {k: v * 1e11 for k, v in qed.sources.contributions(qed.prediction).items()},
        },
        "electroweak": {
            "one_loop": weak.one_loop.total * 1e11,
            "w": weak.one_loop.w * 1e11,
            "z": weak.one_loop.z * 1e11,
            "higgs": weak.one_loop.higgs * 1e11,
            "total": weak.value * 1e11,
            "sigma": weak.sigma * 1e11,
            "status": "unverified",
        },
        "electron": {"a_e": electron.value, "sigma": electron.sigma, "measured": measured_electron_anomaly()},
        "comparisons": [_comparison_json(one) for one in comparisons],
    }
    settings = {"alpha": alpha, "five_loop": five_loop, "scope": scope, "low": low, "high": high, **columns}
    provenance = make_provenance("gminus2 theory", config=settings, inputs=inputs, seed=seed)
    write_result(output / "theory.json", "theory", content, provenance)
    save_figure(contributions_figure(chosen), output / "contributions.png")
    running = running_integral_figure(hadrons or builtin_r(), hadron_label)
    save_figure(running, output / "hvp_running_integral.png")
    save_figure(history_figure(measured, chosen), output / "history.png")
    console.print(f"written: {output}/theory.json and three figures")


def _own(a_mu: tuple[float, float]) -> Experiment:
    from gminus2.constants import Quantity
    from gminus2.errors import ConfigError
    from gminus2.theory.budget import Experiment

    value, sigma = a_mu
    if not (sigma > 0 and 1.1e8 < value < 1.2e8):
        raise ConfigError(
            "this is not a muon anomaly in 1e-11",
            where="--a-mu",
            expected="a value near 116592000 and a positive sigma",
            found=f"{value} {sigma}",
        )
    quantity = Quantity("user", value, "1e-11", "user", "source", uncertainty=sigma)
    return Experiment("user", "your value", 2100.0, quantity)


def _layout(columns: dict[str, Any]) -> Layout:
    from gminus2.errors import ConfigError
    from gminus2.theory.hvp.readers import Layout

    if columns["kind"] is None:
        raise ConfigError("the format of the R(s) file must be given", where="--format", expected="pdg, yoda or csv")
    if columns["kind"] == "pdg":
        return Layout(vp="bare", fsr="included", sort=True, allow_gaps=True)
    return Layout(
        axis=columns["axis"],
        unit=columns["unit"],
        position=columns["position"],
        bins=columns["bins"],
        width=columns["bin_width"],
        value=columns["value"],
        vp=columns["vp"],
        fsr=columns["fsr"],
        sort=columns["sort"],
        allow_gaps=columns["allow_gaps"],
        relative_syst=columns["relative_syst"],
    )


def _read(path: Path, layout: Layout, columns: dict[str, Any], older: Path | None) -> Spectrum:
    from gminus2.theory.hvp.readers import Layout as MakeLayout
    from gminus2.theory.hvp.readers import read_pdg_table, read_spectrum, read_yoda, yoda_datasets

    if columns["kind"] == "pdg" and older is not None:
        before = read_yoda(older, yoda_datasets(older)[0], MakeLayout(sort=True, allow_gaps=True))
        return read_pdg_table(path, older=before)
    return read_spectrum(path, columns["kind"], layout, dataset=columns["dataset"], label=columns["label"])


def _lattice(path: Path, covariance: Path | None) -> dict[str, tuple[float, float]]:
    from gminus2.theory.hvp.readers import read_correlator
    from gminus2.theory.hvp.time_momentum import correlator_integral

    data = read_correlator(path, covariance)
    return {name: correlator_integral(data, name) for name in ("total", "SD", "W", "LD")}


def _budget_json(one: Budget) -> dict[str, Any]:
    return {
        "label": one.label,
        "value": one.value,
        "sigma": one.sigma,
        "status": one.status,
        "sum_of_lines": one.sum_of_lines,
        "sum_sigma": one.sum_sigma,
        "lines": [
            {
                "key": line.key,
                "label": line.label,
                "group": line.group,
                "value": line.value,
                "sigma": line.sigma,
                "source": line.source,
                "status": line.status,
            }
            for line in one.contributions
        ],
        "groups": {name: {"value": value, "sigma": sigma} for name, (value, sigma) in one.groups().items()},
    }


def _comparison_json(one: Comparison) -> dict[str, Any]:
    return {
        "experiment": one.experiment.name,
        "budget": one.budget.name,
        "difference": one.difference,
        "sigma": one.sigma,
        "tension": one.significance,
    }
