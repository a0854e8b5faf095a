"""A fit as text: what was read, the parameters with sensible digits, how good the fit is, and what is wrong with it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gminus2.pipeline.fit_job import FitRun
from gminus2.precession import FittedParameter, WindowScan

__all__ = ["alarm_text", "compact", "fit_report", "rounded", "scan_parameter"]

#: Detectors in one table.
_SIDE_BY_SIDE = 4
_STATISTICS = {
    "poisson": "Poisson deviance",
    "neyman": "Neyman χ²",
    "pearson": "Pearson χ²",
    "weighted": "weighted χ²",
    "ratio": "χ² of the ratio",
}


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


def compact(value: float, error: float) -> str:
    """Return value and error in one word.

    >>> compact(64.42254, 0.00163), compact(-53.039, 1.0071), compact(5825233.0, 262.0)
    ('64.42254(163)', '-53.04(1.01)', '5825230(260)')
    """
    shown, shown_error = rounded(value, error)
    if not shown_error:
        return shown
    return f"{shown}({shown_error.removeprefix('0.').lstrip('0') if shown_error.startswith('0.') else shown_error})"


def fit_report(run: FitRun) -> RenderableType:
    """Return everything to print about a fit."""
    parts: list[RenderableType] = [*_input(run), Text(), *_parameters(run), *_quality(run)]
    parts += [_scan(scan) for scan in run.scans]
    said = ("NOT CONVERGED", "BAD FIT", "ended at its bound")  # the alarms say it
    parts += [Text(f"note: {note}") for note in run.result.notes if not any(words in note for words in said)]
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
    count = f"{result.evaluations} evaluation{'s' if result.evaluations != 1 else ''}"
    yield Text(f"  window {low:.6g} … {high:.6g} µs: {bins}; {rule}; {engine}, {count}")


def _parameters(run: FitRun) -> Iterator[Table]:
    """Yield the table of the parameters; those that every detector has for itself stand side by side."""
    result = run.result
    title = f"Model '{result.model.get('name', '')}'{' (R is blinded)' if result.blinded else ''}"
    own = {label: f"[{label}]" for label in result.labels} if len(result.labels) > 1 else {}
    rows = [p for p in result.parameters.values() if not any(p.name.endswith(tail) for tail in own.values())]
    derived = {n: d for n, d in run.derived.items() if not any(n.endswith(tail) for tail in own.values())}
    if rows:
        yield _one_by_one(rows, derived, title)
    elif own:
        title += ", every detector for itself"
    labels = list(own)
    for first in range(0, len(labels), _SIDE_BY_SIDE):
        part = labels[first : first + _SIDE_BY_SIDE]
        yield _side_by_side(run, part, title if not rows and first == 0 else "Per detector" if first == 0 else "")


def _one_by_one(rows: list[FittedParameter], derived: Mapping[str, tuple[float, float, str]], title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("parameter")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("error", justify="right", no_wrap=True)
    minos = any(p.minos for p in rows)
    if minos:
        table.add_column("MINOS", justify="right", no_wrap=True)
    table.add_column("unit")
    table.add_column("")
    for parameter in rows:
        value, error = rounded(parameter.value, parameter.error)
        cells = [parameter.name, value, error]
        if minos:
            cells.append(_minos(parameter))
        table.add_row(*cells, _unit(parameter.unit), "" if parameter.state == "free" else parameter.state)
    for name, (value_, error_, unit) in derived.items():
        value, error = rounded(value_, error_)
        table.add_row(name, value, error, *([""] if minos else []), unit, "derived")
    return table


def _side_by_side(run: FitRun, labels: list[str], title: str) -> Table:
    table = Table(title=title or None, title_justify="left", title_style="bold")
    table.add_column("parameter")
    for label in labels:
        table.add_column(label, justify="right", no_wrap=True)
    table.add_column("unit")
    found = run.result.parameters
    names = dict.fromkeys(name.partition("[")[0] for name in found if name.endswith(f"[{labels[0]}]"))
    for base in names:
        chosen = [found[f"{base}[{label}]"] for label in labels]
        states = {"free": "", "linked": " =", "fixed": " fixed", "at bound": " AT BOUND"}
        cells = [compact(p.value, p.error) + states.get(p.state, p.state) for p in chosen]
        table.add_row(base, *cells, _unit(chosen[0].unit))
    derived = dict.fromkeys(name.partition("[")[0] for name in run.derived if name.endswith(f"[{labels[0]}]"))
    for base in derived:
        values = [run.derived[f"{base}[{label}]"] for label in labels]
        table.add_row(f"{base} (derived)", *(compact(v, e) for v, e, _ in values), values[0][2])
    return table


def _unit(unit: str) -> str:
    return {"1": "", "us": "µs"}.get(unit, unit)


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
        line = r.top.name if r.top.name not in ("", "unknown") else "no known line"
        pulls = f"pulls {p.mean:+.3f} ± {p.mean_error:.3f}, width {p.rms:.3f} ± {p.rms_error:.3f}"
        peak = f"residual FFT at most {r.top.amplitude:.1f} at {r.top.f_mhz:.4f} MHz ({line})"
        white = f", {r.expected_maximum:.1f} expected of white noise" if result.statistic != "ratio" else ""
        yield Text(f"{where}{pulls}; {peak}{white}")


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
