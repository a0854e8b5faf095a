"""``gminus2 fit``: a precession fit of a time histogram, with figures and a file that can be fitted again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gminus2.cli.common import output_options, printer
from gminus2.errors import ConfigError, nearest

if TYPE_CHECKING:
    from gminus2.pipeline.fit_file import FitFile

__all__ = ["fit"]

#: γ/2π of the muon [MHz/T], for frequencies in tesla.
MUON_GAMMA: Final = 135.538817


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--model", "-m", help="five, cbo, full, msr, a model file (TOML), or an earlier fit.toml or fit.json.  "
              "[default: cbo]")  # fmt: skip
@click.option("--from", "earlier", type=click.Path(path_type=Path), help="Repeat the fit of this fit.toml; other options "
              "change it.")  # fmt: skip
@click.option("--start", type=float, metavar="US", help="Begin of the window.  [default: 30, or the first good bin]")
@click.option("--stop", type=float, metavar="US", help="End of the window.  [default: 650, or the last good bin]")
@click.option("--statistic", type=click.Choice(["poisson", "neyman", "pearson", "weighted"]), help="[default: poisson]")
@click.option("--bins", type=click.Choice(["integral", "centre"]), help="Model averaged over the bin, or at its centre.  "
              "[default: integral]")  # fmt: skip
@click.option("--minimizer", type=click.Choice(["own", "minuit"]), help="[default: own]")
@click.option("--minos/--no-minos", default=None, help="Asymmetric errors.")
@click.option("--fix", multiple=True, metavar="NAME[=V]", help="Fix a parameter (at its start value where no V).")
@click.option("--free", multiple=True, metavar="NAME", help="Free a parameter that the model fixes.")
@click.option("--set", "start_values", multiple=True, metavar="NAME=V", help="Start value of a parameter.")
@click.option("--bound", multiple=True, metavar="NAME=LO:HI", help="Bounds; either side may be empty.")
@click.option("--link", multiple=True, metavar="NAME=EXPR", help="Tie parameters: tau_vw=0.5*tau_y, f[Up]=f[Down]+0.1.")
@click.option("--share", multiple=True, metavar="NAME[,NAME]", help="Parameters common to all detectors; the others are "
              "per detector.")  # fmt: skip
@click.option("--detector", multiple=True, metavar="LABEL", help="Fit only this detector; repeat for several.")
@click.option("--pack", type=click.IntRange(min=1), metavar="N", help="Add N neighbouring bins.")
@click.option("--units", type=click.Choice(["R", "MHz", "tesla"]), help="Parameter of the frequency.")
@click.option("--gamma", type=float, metavar="MHZ_PER_T", help=f"γ/2π for tesla.  [default: muon, {MUON_GAMMA}]")
@click.option("--blind", metavar="PHRASE", help="Blind R by a phrase, which is stored nowhere.")
@click.option("--dataset", metavar="NAME", help="Name of the data set; each has a blind of its own.")
@click.option("--scan-start", metavar="TIMES", help="Scan the start: LO:HI:STEP, or a list 30,50,80.")
@click.option("--scan-stop", metavar="TIMES", help="Scan the stop of the window.")
@click.option("--losses", type=click.Path(path_type=Path), help="Lost-muon spectrum, in any format of a histogram.")
@click.option("--columns", metavar="ROLES", help="Columns of a table: time=1,counts=3 (roles: time, low, high, bin, "
              "counts, error, variance).")  # fmt: skip
@click.option("--time-unit", type=click.Choice(["ns", "us", "ms", "s"]), help="Unit of the times in the file.")
@click.option("--bin-width", type=float, metavar="W", help="Bin width in the time unit, for files without times.")
@click.option("--t0", metavar="BIN[,BIN…]", help="Bin whose centre is t = 0, one or one per detector.")
@click.option("--histogram", multiple=True, metavar="NAME", help="Histogram in a file that holds several; repeat for "
              "detectors.")  # fmt: skip
@click.option("--field-index", type=float, help="Field index, for the names of residual lines.  [default: 0.108]")
@click.option("--pseudo", is_flag=False, flag_value="cbo", metavar="MODEL", help="Fit a pseudo-histogram made by the "
              "package instead of a FILE.")  # fmt: skip
@click.option("--counts", type=float, help="Counts of the pseudo-histogram.  [default: 1e9]")
@click.option("--seed", type=int, help="Seed of the pseudo-histogram.  [default: 1]")
@click.option("--no-figures", is_flag=True, help="Write the result files only.")
@output_options
def fit(output: Path, quiet: bool, no_figures: bool, earlier: Path | None, blind: str | None, **options: Any) -> None:
    """Fit the precession of a time histogram.

    FILE is a CSV, NumPy, ROOT, UHI-HDF5, PSI-BIN or gminus2 file. Writes fit.json (the result), fit.toml (input and
    result in one, for --from) and figures.
    """
    from gminus2.pipeline.fit_file import FitFile, read_fit_file
    from gminus2.pipeline.fit_job import run_fit
    from gminus2.report.fit_text import alarm_text, fit_report

    base = read_fit_file(earlier) if earlier is not None else FitFile()
    expected = str(base.result.get("blinding_label", ""))
    request = _request(base, options, has_earlier=earlier is not None, blind=blind is not None)
    run = run_fit(request, phrase=blind, expected_blinding=expected, quiet=quiet)
    written = [*run.write(output)]
    if not no_figures:
        from gminus2.report.fit_figures import fit_figures

        written += fit_figures(run, output)
    console = printer(quiet)
    console.print(fit_report(run))
    console.print(f"Written to {output}: {', '.join(path.name for path in written)}", style="dim")
    if run.alarms:
        click.echo(alarm_text(run), err=True)


def _request(base: FitFile, options: dict[str, Any], *, has_earlier: bool, blind: bool) -> FitFile:
    """Return the fit file that the options describe; unset options keep what the earlier fit had."""
    from gminus2.config import parse_config

    raw = base.model_dump(exclude_none=True)
    source, settings = raw["input"], raw["fit"]
    raw["result"] = {}
    if options["file"] is not None:
        source.pop("pseudo", None)
        source.update(file=str(options["file"]), sha256="")
    _pseudo(source, options)
    for key, option in (
        ("columns", "columns"),
        ("time_unit", "time_unit"),
        ("bin_width", "bin_width"),
        ("pack", "pack"),
    ):
        if options[option] is not None:
            source[key] = options[option]
    if options["losses"] is not None:
        source["losses"] = str(options["losses"])
    if options["t0"] is not None:
        source["t0"] = _numbers(options["t0"], "--t0")
    for key, option in (("detectors", "detector"), ("histograms", "histogram")):
        if options[option]:
            source[key] = options[option]
    for key, option in (
        ("start_us", "start"),
        ("stop_us", "stop"),
        ("statistic", "statistic"),
        ("bins", "bins"),
        ("minimizer", "minimizer"),
        ("minos", "minos"),
        ("dataset", "dataset"),
        ("field_index", "field_index"),
    ):
        if options[option] is not None:
            settings[key] = options[option]
    for key, option in (("scan_start_us", "scan_start"), ("scan_stop_us", "scan_stop")):
        if options[option] is not None:
            settings[key] = _times(options[option], "--" + option.replace("_", "-"))
    if blind:
        settings["blind"] = True
    raw["model"] = _model(raw["model"], options, has_earlier=has_earlier)
    return parse_config(raw, type(base), where="command line")


def _pseudo(source: dict[str, Any], options: dict[str, Any]) -> None:
    if options["pseudo"] is not None:
        if options["file"] is not None:
            raise ConfigError("give a FILE or --pseudo, not both")
        source["file"] = ""
        source["pseudo"] = {**source.get("pseudo", {}), "model": options["pseudo"]}
    for key in ("counts", "seed"):
        if options[key] is not None:
            if "pseudo" not in source:
                raise ConfigError(f"--{key} belongs to a pseudo-histogram", hint="add --pseudo")
            source["pseudo"][key] = options[key]


def _model(current: dict[str, Any], options: dict[str, Any], *, has_earlier: bool) -> dict[str, Any]:
    """Return the table of the model with everything the options change."""
    name = options["model"]
    raw = _named_model(name or "cbo") if name is not None or not has_earlier else current
    parameters: dict[str, dict[str, Any]] = {k: dict(v) for k, v in raw.get("parameters", {}).items()}
    raw = {**raw, "parameters": parameters, "links": list(raw.get("links", ()))}
    if options["units"] is not None or options["gamma"] is not None:
        raw["terms"] = [_with_units(dict(term), parameters, options) for term in raw["terms"]]
    if options["share"]:
        _share(raw, [n.strip() for text in options["share"] for n in text.split(",") if n.strip()])
    for text in options["start_values"]:
        key, value = _assignment(text, "--set")
        parameters.setdefault(key, {})["value"] = value
    for text in options["fix"]:
        key, equals, value_text = text.partition("=")
        entry = parameters.setdefault(key.strip(), {})
        entry["fixed"] = True
        if equals:
            entry["value"] = _number(value_text, f"--fix {text}")
    for key in options["free"]:
        parameters.setdefault(key, {})["fixed"] = False
    for text in options["bound"]:
        key, _, interval = text.partition("=")
        low, colon, high = interval.partition(":")
        if not colon or not (low.strip() or high.strip()):
            raise ConfigError(
                "a bound is NAME=LO:HI", where=f"--bound {text}", hint="for example --bound tau_cbo=50:500"
            )
        entry = parameters.setdefault(key.strip(), {})
        for side, bound in (("lower", low), ("upper", high)):
            if bound.strip():
                entry[side] = _number(bound, f"--bound {text}")
    raw["links"] += [_link(text) for text in options["link"]]
    return raw


def _named_model(name: str) -> dict[str, Any]:
    """Return the table of a preset, a model file or an earlier fit."""
    from gminus2.config import read_toml
    from gminus2.pipeline.fit_file import read_fit_file
    from gminus2.precession import PRESETS, load_model

    path = Path(name)
    if name not in PRESETS and path.suffix.lower() == ".toml":
        content = read_toml(path)
        if isinstance(content.get("model"), dict):
            return read_fit_file(path).model.model_dump(exclude_none=True)
    elif name not in PRESETS and not path.exists():
        raise ConfigError(f"no model '{name}'", hint=f"{nearest(name, PRESETS)} A model file ends in .toml")
    return load_model(path if name not in PRESETS else name).config.model_dump(exclude_none=True)


def _with_units(term: dict[str, Any], parameters: dict[str, dict[str, Any]], options: dict[str, Any]) -> dict[str, Any]:
    if term["term"] != "precession":
        return term
    units = options["units"] or term["frequency"]
    if options["gamma"] is not None or units == "tesla":
        term["gamma_mhz_per_tesla"] = options["gamma"] or term.get("gamma_mhz_per_tesla") or MUON_GAMMA
    if units != term["frequency"]:
        # What was known of the frequency was in the other unit.
        for key in list(parameters):
            if key.partition("[")[0] in {f"{base}{suffix}" for base in ("R", "f", "B")
                                         for suffix in ("", term["label"], f"_{term['label']}")}:  # fmt: skip
                del parameters[key]
        term["frequency"] = units
    return term


def _share(raw: dict[str, Any], names: list[str]) -> None:
    from gminus2.precession import Model

    raw["per_detector"] = Model.from_config(raw, where="model").shared(*names).config.model_dump()["per_detector"]


def _link(text: str) -> dict[str, Any]:
    """Read ``NAME=[FACTOR*]OTHER[±OFFSET]``."""
    number = r"[0-9.]+(?:[eE][-+]?[0-9]+)?"
    pattern = rf"\s*([^=]+?)\s*=\s*(?:(-?{number})\s*\*\s*)?([A-Za-z_]\w*(?:\[[^\]]+\])?)\s*([-+]\s*{number})?\s*"
    found = re.fullmatch(pattern, text)
    if found is None:
        raise ConfigError(
            "a link is NAME=OTHER, NAME=FACTOR*OTHER or NAME=FACTOR*OTHER+OFFSET", where=f"--link {text}",
            hint="for example --link tau_vw=0.5*tau_y",
        )  # fmt: skip
    name, factor, other, offset = found.groups()
    return {
        "parameter": name,
        "to": other,
        "factor": _number(factor, "--link") if factor else 1.0,
        "offset": _number(offset.replace(" ", ""), "--link") if offset else 0.0,
    }


def _assignment(text: str, option: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"{option} needs NAME=VALUE", where=f"{option} {text}")
    return name.strip(), _number(value, f"{option} {text}")


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError("this is not a number", where=where, found=repr(text)) from None


def _numbers(text: str, where: str) -> list[float]:
    return [_number(part, where) for part in text.split(",") if part.strip()]


def _times(text: str, where: str) -> list[float]:
    """Read ``LO:HI:STEP`` or a list of times."""
    if ":" not in text:
        return _numbers(text, where)
    parts = [_number(part, where) for part in text.split(":")]
    if len(parts) != 3 or parts[2] <= 0 or parts[1] < parts[0]:
        raise ConfigError(
            "a scan is LO:HI:STEP or a list of times", where=f"{where} {text}", hint="for example 30:130:10"
        )
    low, high, step = parts
    count = int((high - low) / step + 1e-9) + 1
    if count > 10_000:
        raise ConfigError("too many points in the scan", where=f"{where} {text}", found=str(count))
    return [low + i * step for i in range(count)]
