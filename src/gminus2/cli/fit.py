"""``gminus2 fit``: a precession fit of a time histogram, with figures and a file that can be fitted again."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from gminus2.cli.common import output_options, printer

__all__ = ["fit"]

F = TypeVar("F", bound=Callable[..., Any])
_PATH = click.Path(path_type=Path)


def _options(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Return a decorator that adds options in reading order."""

    def add(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return add


_how = _options(
    click.option("--model", "-m", help="five, cbo, full, msr, a model file (TOML), or the fit.toml or fit.json of an "
                 "earlier fit.  [default: cbo for storage-ring data, msr for shorter ones]"),
    click.option("--from", "earlier", type=_PATH, help="Repeat the fit of this fit.toml; other options change it."),
    click.option("--start", type=float, metavar="US", help="Begin of the window.  [default: 30, or first good bin]"),
    click.option("--stop", type=float, metavar="US", help="End of the window.  [default: 650, or last good bin]"),
    click.option("--statistic", type=click.Choice(["poisson", "neyman", "pearson", "weighted", "ratio"]),
                 help="[default: poisson]"),
    click.option("--bins", type=click.Choice(["integral", "centre"]),
                 help="Model averaged over the bin, or at its centre.  [default: integral]"),
    click.option("--nodes", type=click.IntRange(1, 5), help="Nodes of the bin integral.  [default: 3]"),
    click.option("--minimizer", type=click.Choice(["own", "minuit"]), help="[default: own]"),
    click.option("--minos/--no-minos", default=None, help="Asymmetric errors."),
    click.option("--scan-start", metavar="TIMES", help="Scan the start: LO:HI:STEP, or a list 30,50,80."),
    click.option("--scan-stop", metavar="TIMES", help="Scan the stop of the window."),
    click.option("--blind", metavar="PHRASE", help="Blind R by a phrase, which is stored nowhere."),
    click.option("--blind-convention", type=click.Choice(["native", "e989"]),
                 help="Generator of the blind; e989 repeats the collaboration's utility.  [default: native]"),
    click.option("--dataset", metavar="NAME", help="Name of the data set; each has a blind of its own."),
)  # fmt: skip

_parameters = _options(
    click.option("--fix", multiple=True, metavar="NAME[=V]", help="Fix a parameter."),
    click.option("--free", multiple=True, metavar="NAME", help="Free a parameter that the model fixes."),
    click.option("--set", "start_values", multiple=True, metavar="NAME=V", help="Start value of a parameter."),
    click.option("--bound", multiple=True, metavar="NAME=LO:HI", help="Bounds; either side may be empty."),
    click.option("--link", multiple=True, metavar="NAME=EXPR", help="Tie parameters: tau_vw=0.5*tau_y."),
    click.option("--share", multiple=True, metavar="NAME[,NAME]",
                 help="Parameters common to all detectors; the others are per detector."),
    click.option("--units", type=click.Choice(["R", "MHz", "tesla"]), help="What the frequency is fitted as."),
    click.option("--gamma", type=float, metavar="MHZ_PER_T", help="γ/2π for tesla.  [default: muon, 135.538817]"),
)  # fmt: skip

_input = _options(
    click.option("--detector", multiple=True, metavar="LABEL", help="Fit only this detector; repeat for several."),
    click.option("--pack", type=click.IntRange(min=1), metavar="N", help="Add N neighbouring bins."),
    click.option("--losses", type=_PATH, help="Lost-muon spectrum, in any format of a histogram."),
    click.option("--columns", metavar="ROLES", help="Columns of a table: time=1,counts=3 (roles: time, low, high, "
                 "bin, counts, error, variance)."),
    click.option("--time-unit", type=click.Choice(["ns", "us", "ms", "s"]), help="Unit of the times in the file."),
    click.option("--bin-width", type=float, metavar="W", help="Bin width, for files without times."),
    click.option("--t0", metavar="BIN[,BIN…]", help="Bin whose centre is t = 0, one or one per detector."),
    click.option("--histogram", multiple=True, metavar="NAME",
                 help="Histogram in a file that holds several; repeat to get detectors."),
    click.option("--field-index", type=float, help="Field index, to name residual lines.  [default: 0.108]"),
    click.option("--pseudo", is_flag=False, flag_value="cbo", metavar="MODEL",
                 help="Fit a pseudo-histogram made by the package instead of a FILE."),
    click.option("--counts", type=float, help="Counts of the pseudo-histogram.  [default: 1e9]"),
    click.option("--seed", type=int, help="Seed of the pseudo-histogram.  [default: 1]"),
)  # fmt: skip


@click.command()
@click.argument("file", required=False, type=_PATH)
@_how
@_parameters
@_input
@click.option("--no-figures", is_flag=True, help="Write the result files only.")
@output_options
def fit(output: Path, quiet: bool, no_figures: bool, earlier: Path | None, blind: str | None, **options: Any) -> None:
    """Fit the precession of a time histogram.

    FILE is a CSV, NumPy, ROOT, UHI-HDF5, PSI-BIN or gminus2 file. Writes fit.json (the result), fit.toml (input and
    result in one, for --from) and figures.
    """
    from gminus2.cli.fit_options import input_and_settings, with_model
    from gminus2.pipeline.fit_file import FitFile, read_fit_file
    from gminus2.pipeline.fit_job import default_model, read_data, run_fit
    from gminus2.report.fit_text import alarm_text, fit_report

    base = read_fit_file(earlier) if earlier is not None else FitFile()
    expected = str(base.result.get("blinding_label", ""))
    request = input_and_settings(base, options, blind=blind is not None)
    data = read_data(request)
    request = with_model(request, options, default=default_model(data[0]) if earlier is None else None)
    run = run_fit(request, data=data, phrase=blind, expected_blinding=expected, quiet=quiet)
    written = [*run.write(output)]
    if not no_figures:
        from gminus2.report.fit_figures import fit_figures

        written += fit_figures(run, output)
    console = printer(quiet)
    console.print(fit_report(run))
    console.print(f"Written to {output}: {', '.join(path.name for path in written)}", style="dim")
    if run.alarms and (quiet or not sys.stdout.isatty()):
        # On a terminal the report shows them already.
        click.echo(alarm_text(run), err=True)
