"""``gminus2 new-physics``: Δa_μ of a model, and the region that a difference prefers or a limit excludes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gminus2.cli.common import output_options, printer

if TYPE_CHECKING:
    from rich.console import Console

    from gminus2.theory.new_physics.models import Model
    from gminus2.theory.new_physics.reach import DeltaInterval

__all__ = ["new_physics"]


@click.command("new-physics")
@click.argument("name", metavar="MODEL", required=False)
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="A parameter of the model; may be repeated."
)
@click.option("--experiment", default="world2025", show_default=True, help="Measurement of the difference.")
@click.option("--budget", "budget_name", default="WP25", show_default=True, help="Prediction of the difference.")
@click.option("--delta", type=(float, float), default=None, help="A difference of your own: value and sigma in 1e-11.")
@click.option("--limit", type=float, default=None, help="Exclude |contributions| above this, in 1e-11 (95 %).")
@click.option(
    "--points", type=click.IntRange(10, 400), default=80, show_default=True, help="Points per axis of the plane."
)
@output_options
def new_physics(
    name: str | None,
    settings: tuple[str, ...],
    experiment: str,
    budget_name: str,
    delta: tuple[float, float] | None,
    limit: float | None,
    points: int,
    output: Path,
    quiet: bool,
) -> None:
    """Print what MODEL adds to a_mu and draw where it fits a difference; without MODEL, list models and mass reach.

    Above three standard deviations the figure shows the preferred region, below it what is excluded at 95 %.
    """
    from gminus2.data import make_provenance, write_result
    from gminus2.report.plotting import save_figure
    from gminus2.report.theory_figures import mass_reach_figure, region_figure
    from gminus2.theory.budget import budget, compare
    from gminus2.theory.budget import experiment as measurement
    from gminus2.theory.new_physics.models import model, scan_plane
    from gminus2.theory.new_physics.reach import delta_interval

    console = printer(quiet)
    if limit is not None:
        label, interval = "limit", _limit(limit)
    elif delta is None:
        pair = compare(measurement(experiment), budget(budget_name))
        label = f"{pair.experiment.label} − {pair.budget.name}"
        interval = delta_interval(pair.difference * 1e-11, pair.sigma * 1e-11)
    else:
        label = "given"
        interval = delta_interval(delta[0] * 1e-11, delta[1] * 1e-11)
    content: dict[str, Any] = {"difference": _interval_json(label, interval)}
    provenance = make_provenance("gminus2 new-physics", config={"model": name, "set": settings, "label": label})
    _print_interval(console, label, interval)
    if name is None:
        content["mass_reach_gev"] = _print_overview(console, interval)
        write_result(output / "new_physics.json", "new-physics", content, provenance)
        save_figure(mass_reach_figure({label: interval}), output / "mass_reach.png")
        console.print(f"written: {output}/new_physics.json and mass_reach.png")
        return
    chosen = model(name)
    given = _settings(settings)
    complete = chosen.complete(given)
    value = chosen.evaluate(complete)
    _print_point(console, chosen, complete, value, interval)
    xs, ys, values = scan_plane(chosen, given, count=points)
    fixed = ", ".join(f"{key} = {v:g}" for key, v in complete.items() if key not in (chosen.x.name, chosen.y.name))
    shown = f"{label} = {interval.value * 1e11:.0f}({interval.sigma * 1e11:.0f})e-11"
    if limit is not None:
        shown = f"|Δa| < {limit:g}e-11"
    title = f"{chosen.label}: {shown}"
    content |= {
        "model": chosen.name,
        "label": chosen.label,
        "caveat": chosen.caveat,
        "parameters": {
            key: {"value": v, "unit": chosen.parameters[key].unit, "meaning": chosen.parameters[key].text}
            for key, v in complete.items()
        },
        "delta_a": value,
        "pull": (value - interval.value) / interval.sigma,
        "plane": {"x": chosen.x.name, "y": chosen.y.name, "x_values": xs, "y_values": ys, "delta_a": values},
    }
    write_result(output / f"new_physics_{chosen.name}.json", "new-physics", content, provenance)
    figure = region_figure(chosen, xs, ys, values, interval, title=title, fixed=fixed)
    save_figure(figure, output / f"new_physics_{chosen.name}.png")
    console.print(f"written: {output}/new_physics_{chosen.name}.json and its figure")


def _limit(value: float) -> DeltaInterval:
    """Return an interval about zero whose one-sided 95 % limits are ± the given value in 1e-11."""
    from gminus2.errors import ConfigError
    from gminus2.theory.new_physics.reach import delta_interval

    if not value > 0:
        raise ConfigError("a limit must be positive", where="--limit", expected="1e-11", found=str(value))
    return delta_interval(0.0, value * 1e-11 / 1.6448536269514722)


def _settings(settings: tuple[str, ...]) -> dict[str, float]:
    from gminus2.errors import ConfigError

    result = {}
    for setting in settings:
        key, separator, text = setting.partition("=")
        try:
            if not separator:
                raise ValueError
            result[key.strip()] = float(text)
        except ValueError:
            raise ConfigError(
                "a parameter is given as NAME=VALUE", where="--set", expected="e.g. mass=0.5", found=setting
            ) from None
    return result


def _interval_json(label: str, interval: DeltaInterval) -> dict[str, Any]:
    return {
        "label": label,
        "value": interval.value,
        "sigma": interval.sigma,
        "upper_95": interval.upper,
        "lower_95": interval.lower,
    }


def _print_interval(console: Console, label: str, interval: DeltaInterval) -> None:
    console.print(
        f"{label}: Δa = {interval.value * 1e11:.1f} ± {interval.sigma * 1e11:.1f} e-11 ({interval.significance:.1f} σ)"
    )
    console.print(f"one-sided 95 % limits: {interval.lower * 1e11:.0f} < Δa < {interval.upper * 1e11:.0f} e-11")


def _print_overview(console: Console, interval: DeltaInterval) -> dict[str, dict[str, float]]:
    import math

    from rich.table import Table

    from gminus2.theory.new_physics.models import MODELS
    from gminus2.theory.new_physics.reach import COUPLINGS, mass_reach

    table = Table(title="mass reach of Δa = C (m_μ/M)²  [GeV]", title_justify="left")
    for head in ("C", "M at the central value", "M above, from the upper limit"):
        table.add_column(head, justify="right")
    result = {}
    for label, coefficient in COUPLINGS.items():
        bound = mass_reach(coefficient, interval.upper)
        central = mass_reach(coefficient, interval.value) if interval.value else math.inf
        result[label] = {"central": central, "limit": bound}
        table.add_row(label, f"{central:.4g}" if interval.value else "–", f"{bound:.4g}")
    console.print(table)
    models = Table(title="models", title_justify="left")
    for head in ("name", "what", "parameters (default)"):
        models.add_column(head)
    for one in MODELS.values():
        text = ", ".join(f"{key} ({spec.default:g})" for key, spec in one.parameters.items())
        models.add_row(one.name, one.label, text)
    console.print(models)
    return result


def _print_point(
    console: Console, chosen: Model, parameters: dict[str, float], value: float, interval: DeltaInterval
) -> None:
    console.print(f"{chosen.label}")
    for key, number in parameters.items():
        spec = chosen.parameters[key]
        unit = "" if spec.unit == "1" else f" {spec.unit}"
        console.print(f"  {key:<12}{number:g}{unit}   {spec.text}")
    console.print(
        f"  Δa_μ = {value * 1e11:.6g} e-11, {(value - interval.value) / interval.sigma:+.1f} σ from the difference"
    )
    if chosen.caveat:
        console.print(f"  note: {chosen.caveat}")
