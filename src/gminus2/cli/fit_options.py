"""From the options of ``gminus2 fit`` to a fit file: what is read, how it is fitted, the model with every change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gminus2.config import parse_config, read_toml
from gminus2.errors import BlindingError, ConfigError, nearest
from gminus2.pipeline.fit_file import FitFile, read_fit_file
from gminus2.pipeline.fit_summary import MUON_GAMMA
from gminus2.precession import PRESETS, Model, load_model, read_fit

__all__ = ["input_and_settings", "with_model"]


def input_and_settings(base: FitFile, options: Mapping[str, Any], *, blind: bool) -> FitFile:
    """Return a fit file with ``[input]`` and ``[fit]`` as the options say; unset ones keep what the base has.

    Raises
    ------
    ConfigError
        An option that cannot be read or contradicts another.
    """
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
        ("nodes", "nodes"),
        ("minimizer", "minimizer"),
        ("minos", "minos"),
        ("dataset", "dataset"),
        ("blind_convention", "blind_convention"),
        ("field_index", "field_index"),
    ):
        if options[option] is not None:
            settings[key] = options[option]
    for key, option in (("scan_start_us", "scan_start"), ("scan_stop_us", "scan_stop")):
        if options[option] is not None:
            settings[key] = _times(options[option], "--" + option.replace("_", "-"))
    if blind:
        settings["blind"] = True
    return parse_config(raw, type(base), where="command line")


def _pseudo(source: dict[str, Any], options: Mapping[str, Any]) -> None:
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


def with_model(request: FitFile, options: Mapping[str, Any], *, default: str | None) -> FitFile:
    """Return a fit file with the model that the options describe.

    Parameters
    ----------
    default
        Preset where no ``--model`` is given; ``None`` keeps the model of the request.

    Raises
    ------
    ConfigError
        Unknown models, terms or parameters, with the nearest known ones; contradictions.
    """
    name = options["model"] or default
    raw = (
        _named_model(name, blind=request.fit.blind) if name is not None else request.model.model_dump(exclude_none=True)
    )
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
    model = Model.from_config(raw, where="command line")
    return request.model_copy(update={"model": model.config})


def _named_model(name: str, *, blind: bool) -> dict[str, Any]:
    """Return the table of a preset, a model file or an earlier fit."""
    path = Path(name)
    if name in PRESETS:
        return load_model(name).config.model_dump(exclude_none=True)
    if path.suffix.lower() == ".toml":
        if not isinstance(read_toml(path).get("model"), dict):
            return load_model(path).config.model_dump(exclude_none=True)
        file = read_fit_file(path)
        blinded, model = bool(file.result.get("blinded", False)), file.model
    elif path.suffix.lower() == ".json":
        blinded, model = read_fit(path).blinded, load_model(path).config
    else:
        raise ConfigError(f"no model '{name}'", hint=f"{nearest(name, PRESETS)} A model file ends in .toml")
    if blinded and not blind:
        raise BlindingError(
            "the model comes from a blinded fit, and beside it an open one would show the offset",
            where=name,
            hint="give the phrase with --blind PHRASE",
        )
    return model.model_dump(exclude_none=True)


def _with_units(
    term: dict[str, Any], parameters: dict[str, dict[str, Any]], options: Mapping[str, Any]
) -> dict[str, Any]:
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
