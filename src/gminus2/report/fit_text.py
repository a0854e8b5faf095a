"""A fit as text: what was read, the parameters with sensible digits, how good the fit is, and what is wrong with it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gminus2.pipeline.fit_job import FitRun
from gminus2.precession import FittedParameter, WindowScan

__all__ = ["alarm_text", "fit_report", "rounded"]

_STATISTICS = {"poisson": "Poisson deviance", "neyman": "Neyman χ²", "pearson": "Pearson χ²", "weighted": "weighted χ²"}


def rounded(value: float, error: float) -> tuple[str, str]:
    """Return value and error with two significant digits of the error (three where it begins with 1).

    >>> rounded(-53.0391, 1.0071), rounded(64.42254, 0.00163), rounded(5825233.1, 262.3)
    (('-53.04', '1.01'), ('64.42254', '0.00163'), ('5825230', '260'))
    >>> rounded(0.25, 0.0)
    ('0.25', '')
    """
    if not (math.isfinite(error) and error > 0 and math.isfinite(value)):
        return f"{value:.8g}", ""
    exponent = math.floor(math.log10(error))
    digits = 2 if error / 10.0**exponent < 1.995 else 1
    decimals = digits - exponent
    if decimals > 0:
        return f"{value:.{decimals}f}", f"{error:.{decimals}f}"
    return f"{round(value, decimals):.0f}", f"{round(error, decimals):.0f}"


def fit_report(run: FitRun) -> RenderableType:
    """Return everything to print about a fit."""
    parts: list[RenderableType] = [*_input(run), Text(), _parameters(run), *_quality(run)]
    parts += [_scan(scan) for scan in run.scans]
    if run.alarms:
        parts.append(Panel(Text("\n".join(run.alarms), style="bold"), title="WARNING", border_style="bold red"))
    if run.result.caveats:
        caveats = Text("\n".join(f"• {caveat}" for caveat in run.result.caveats))
        parts.append(Panel(caveats, title="Before you trust this", border_style="yellow", title_align="left"))
    return Group(*parts)


def alarm_text(run: FitRun) -> str:
    """Return the alarms as plain lines, for standard error."""
    return "\n".join(f"warning: {alarm}" for alarm in run.alarms)


def _input(run: FitRun) -> Iterator[RenderableType]:
    if run.report is not None:
        first, *rest = run.report.lines()
        yield Text(first, style="bold")
        yield from (Text(f"  {line}") for line in rest)
    elif run.request.input.pseudo is not None:
        pseudo = run.request.input.pseudo
        yield Text("Pseudo-histogram made by gminus2", style="bold")
        yield Text(
            f"  model {pseudo.model}, {pseudo.counts:g} counts expected, seed {pseudo.seed}, R = {pseudo.r_ppm:g} ppm"
        )
    result, low, high = run.result, *run.result.window_us
    bins = f"{result.n_bins} bins" + (f" of {1e3 * run.histogram.width_us:.6g} ns (packed {run.request.input.pack})"
                                      if run.request.input.pack > 1 else "")  # fmt: skip
    rule = "bin integral" if result.bin_rule == "integral" else "bin centre"
    engine = "iminuit" if result.minimizer == "minuit" else "Fisher scoring"
    yield Text(f"  window {low:.6g} … {high:.6g} µs: {bins}; {rule}; {engine}, {result.evaluations} evaluations")


def _parameters(run: FitRun) -> Table:
    result = run.result
    blind = " (R is blinded)" if result.blinded else ""
    table = Table(title=f"Model '{result.model.get('name', '')}'{blind}", title_justify="left", title_style="bold")
    table.add_column("parameter")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("error", justify="right", no_wrap=True)
    minos = any(p.minos for p in result.parameters.values())
    if minos:
        table.add_column("MINOS", justify="right", no_wrap=True)
    table.add_column("unit")
    table.add_column("")
    for parameter in result.parameters.values():
        value, error = rounded(parameter.value, parameter.error)
        cells = [parameter.name, value, error]
        if minos:
            cells.append(_minos(parameter))
        unit = "" if parameter.unit in ("1", "") else parameter.unit
        table.add_row(*cells, unit, "" if parameter.state == "free" else parameter.state)
    for name, (value_, error_, unit) in run.derived.items():
        value, error = rounded(value_, error_)
        table.add_row(name, value, error, *([""] if minos else []), unit, "derived")
    return table


def _minos(parameter: FittedParameter) -> str:
    if parameter.minos is None:
        return ""
    low, high = parameter.minos
    _, down = rounded(parameter.value, abs(low))
    _, up = rounded(parameter.value, abs(high))
    return f"-{down} +{up}"


def _quality(run: FitRun) -> Iterator[RenderableType]:
    result = run.result
    name = _STATISTICS.get(result.statistic, result.statistic)
    ratio = result.statistic_value / result.ndf if result.ndf else math.nan
    yield Text(f"{name} {result.statistic_value:.2f} for {result.ndf} degrees of freedom ({ratio:.4f}), "
               f"p-value {result.p_value:.3g}, {'converged' if result.converged else 'NOT CONVERGED'} "
               f"(distance to the minimum {result.edm:.1e})")  # fmt: skip
    for q, p, r in zip(run.quality, run.pulls, run.residuals, strict=True):
        where = f"{q.label}: {name} {q.statistic_value:.2f} in {q.n_bins} bins; " if len(run.quality) > 1 else ""
        line = f"'{r.top.name}'" if r.top.name else "no known line"
        yield Text(
            f"{where}pulls {p.mean:+.3f} ± {p.mean_error:.3f}, width {p.rms:.3f} ± {p.rms_error:.3f}; residual FFT at most "
            f"{r.top.amplitude:.1f} at {r.top.f_mhz:.4f} MHz ({line}), {r.expected_maximum:.1f} expected of white noise"
        )


def _scan(scan: WindowScan) -> Table:
    table = Table(title=f"Scan of the {scan.edge} of the window", title_justify="left", title_style="bold")
    main = scan_parameter(scan)
    for name in (scan.edge, f"{main}", "error", "shift", "allowed (1σ)", "statistic/ndf", "p-value", ""):
        table.add_column(name, justify="right")
    rows = zip(
        scan.times_us,
        scan.results,
        scan.values(main),
        scan.errors(main),
        scan.shifts(main),
        scan.allowed(main),
        strict=True,
    )
    for time, result, value, error, shift, allowed in rows:
        shown, shown_error = rounded(value, error)
        decimals = len(shown_error.partition(".")[2])
        table.add_row(
            f"{time:g} µs", shown, shown_error, f"{shift:+.{decimals}f}", f"{allowed:.{decimals}f}",
            f"{result.statistic_value / result.ndf:.4f}", f"{result.p_value:.2g}",
            "" if result.converged else "NOT CONVERGED",
        )  # fmt: skip
    return table


def scan_parameter(scan: WindowScan) -> str:
    """Return the parameter a scan is judged by: the frequency, in whatever unit it was fitted."""
    free = scan.results[0].free
    for base in ("R", "f", "B"):
        for name in free:
            if name.partition("[")[0] == base:
                return name
    return free[0]
