"""One readable file that is the input of a fit and its result: ``fit.toml``.

``[input]`` says what was read, ``[fit]`` how it was fitted, ``[model]`` what was fitted, with the fitted values where
the next fit starts; ``[result]`` is what came out. ``gminus2 fit --from fit.toml`` repeats the fit from the file alone.
A blinding phrase is never in it.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from gminus2.config import StrictModel, parse_config, read_toml
from gminus2.errors import ConfigError
from gminus2.precession import FitResult, ModelConfig

__all__ = ["FitFile", "FitSection", "InputSection", "PseudoSection", "fit_file_text", "read_fit_file"]


class PseudoSection(StrictModel):
    """A pseudo-histogram made by the package in place of a file."""

    counts: PositiveFloat = 1e9
    """Expected number of counts in 0 … 700 µs."""
    seed: NonNegativeInt = 1
    """Seed of the Poisson numbers."""
    model: str = "cbo"
    """Preset that is the truth: five, cbo or full."""
    r_ppm: float = 0.0
    """True R."""


class InputSection(StrictModel):
    """What to read, and what the file does not say about itself."""

    file: str = ""
    """Histogram file; relative paths start at the folder of this file."""
    sha256: str = ""
    """Digest of the file at the time of the fit; a difference is reported."""
    columns: str | None = None
    """Roles of the columns of a table, e.g. time=1,counts=3."""
    time_unit: Literal["ns", "us", "ms", "s"] | None = None
    """Unit of the times, where the file does not say it."""
    bin_width: PositiveFloat | None = None
    """Bin width in time_unit (µs where none is given), for files without times."""
    t0: tuple[float, ...] = ()
    """Bin (from 0) whose centre is t = 0; one value or one per detector."""
    histograms: tuple[str, ...] = ()
    """Names of the histograms to take from a file of several."""
    detectors: tuple[str, ...] = ()
    """Labels of the detectors to fit; all where empty."""
    pack: PositiveInt = 1
    """How many neighbouring bins are added, beginning at the first good bin."""
    losses: str = ""
    """File with the lost-muon spectrum, for a lost_muons term."""
    pseudo: PseudoSection | None = None
    """Make a pseudo-histogram in place of reading a file."""


class FitSection(StrictModel):
    """How to fit."""

    start_us: float | None = None
    """Begin of the window [µs]; 30 for storage-ring data, else the first good bin."""
    stop_us: float | None = None
    """End of the window [µs]; 650 for storage-ring data, else the last good bin."""
    statistic: Literal["poisson", "neyman", "pearson", "weighted", "ratio"] = "poisson"
    """poisson (deviance), neyman (variance = counts), pearson (variance = model), weighted (errors of the file),
    ratio (the counts against themselves, shifted by half a period, with the covariance of the overlap)."""
    bins: Literal["integral", "centre"] = "integral"
    """Compare counts with the model's mean over the bin, or with its value at the centre."""
    nodes: Annotated[int, Field(ge=1, le=5)] = 3
    """Gauss-Legendre nodes of the bin integral."""
    minimizer: Literal["own", "minuit"] = "own"
    """own: damped Fisher scoring; minuit: iminuit, the referee."""
    minos: bool = False
    """Asymmetric errors."""
    scan_start_us: tuple[float, ...] = ()
    """Start times of a start scan [µs]."""
    scan_stop_us: tuple[float, ...] = ()
    """Stop times of a stop scan [µs]."""
    blind: bool = False
    """Whether R is blinded; the phrase is asked for with --blind and never stored."""
    blind_convention: Literal["native", "e989"] = "native"
    """native: this package's generator; e989: the offset the collaboration's utility draws for the phrase."""
    dataset: str = ""
    """Name of the data set, part of the blinding: each has an offset of its own."""
    field_index: Annotated[float, Field(gt=0.0, lt=0.25)] = 0.108
    """Field index of the ring, for the names of the lines in the residual spectrum."""


class FitFile(StrictModel):
    """Input and result of ``gminus2 fit``."""

    input: InputSection = InputSection()
    """What is read."""
    fit: FitSection = FitSection()
    """How it is fitted."""
    model: ModelConfig = ModelConfig()
    """What is fitted; the values are where the fit begins."""
    result: dict[str, Any] = Field(default_factory=dict)
    """Written by the program, ignored by the next fit."""


def read_fit_file(path: Path) -> FitFile:
    """Read a fit file; relative paths in it become relative to the current folder.

    Raises
    ------
    ConfigError
        Not TOML, unknown keys (with the nearest valid one), impossible values.
    """
    file = parse_config(read_toml(path), FitFile, where=str(path))

    def found(name: str) -> str:
        return name if not name or Path(name).is_absolute() else os.path.relpath(path.parent / name)

    changed = file.input.model_copy(update={"file": found(file.input.file), "losses": found(file.input.losses)})
    return file.model_copy(update={"input": changed})


def fit_file_text(file: FitFile, result: FitResult, folder: Path) -> str:
    """Return the text of a fit file: the request with the fitted values, and the result.

    Parameters
    ----------
    folder
        Where the file will stand; paths are written relative to it.
    """

    def relative(name: str) -> str:
        return Path(os.path.relpath(name, folder)).as_posix() if name else name

    given = file.input.model_dump(exclude_defaults=True, exclude_none=True)
    for key in ("file", "losses"):
        if key in given:
            given[key] = relative(given[key])
    pseudo = given.pop("pseudo", None)
    if file.input.pseudo is not None:
        pseudo = file.input.pseudo.model_dump()
    lines = [
        "# Input and result of one fit. Repeat it:  gminus2 fit --from fit.toml",
        "# The values under [model.parameters] are the fitted ones; the next fit starts there.",
        "",
        "[input]",
        *_entries(given),
    ]
    if pseudo is not None:
        lines += ["", "[input.pseudo]", *_entries(pseudo)]
    settings = file.fit.model_dump(exclude_none=True)
    if not file.fit.blind:
        settings.pop("blind_convention")
    if not file.fit.dataset:
        settings.pop("dataset")
    lines += ["", "[fit]", *_entries(settings)]
    lines += ["", *_model(file.model, result), "", *_result(result), ""]
    return "\n".join(lines)


def _entries(table: Mapping[str, Any]) -> list[str]:
    width = max((len(_key(key)) for key in table), default=0)
    return [f"{_key(key):<{width}} = {_value(value)}" for key, value in table.items()]


def _key(key: str) -> str:
    bare = key and all(c.isascii() and (c.isalnum() or c in "_-") for c in key)
    return key if bare else json.dumps(key, ensure_ascii=False)


def _value(value: Any) -> str:
    """Return a TOML value on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(str(k))} = {_value(v)}" for k, v in value.items() if v is not None) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    raise ConfigError(f"cannot write {type(value).__name__} to TOML", found=repr(value)[:60])


def _model(model: ModelConfig, result: FitResult) -> list[str]:
    raw = model.model_dump(exclude_none=True)
    head = {"name": raw["name"], "per_detector": raw["per_detector"]}
    lines = ["[model]", *_entries(head)]
    for term in raw["terms"]:
        lines += ["", "[[model.terms]]", *_entries(term)]
    for link in raw["links"]:
        lines += ["", "[[model.links]]", *_entries(link)]
    linked = {link["parameter"] for link in raw["links"]}
    parameters: dict[str, Any] = {}
    for name, fitted in result.parameters.items():
        if name in linked or fitted.state == "linked":
            continue
        general = raw["parameters"].get(name.partition("[")[0], {})
        own = {**general, **raw["parameters"].get(name, {})}
        if fitted.state == "fixed" and not own.get("fixed"):
            continue  # drops out of a ratio
        entry: dict[str, Any] = {"value": fitted.value} if math.isfinite(fitted.value) else {}
        if own.get("fixed"):
            entry["fixed"] = True
        for bound in ("lower", "upper"):
            if own.get(bound) is not None:
                entry[bound] = own[bound]
        parameters[name] = entry
    return [*lines, "", "[model.parameters]", *_entries(parameters)]


def _result(result: FitResult) -> list[str]:
    summary: dict[str, Any] = {
        "converged": result.converged,
        "statistic": result.statistic,
        "value": result.statistic_value,
        "ndf": result.ndf,
        "p_value": result.p_value,
        "n_bins": result.n_bins,
        "window_us": list(result.window_us),
        "blinded": result.blinded,
    }
    if result.blinded:
        summary["blinding_label"] = result.blinding_label
    if result.caveats:
        summary["caveats"] = list(result.caveats)
    fitted = {
        name: {"value": p.value, "error": p.error, "unit": p.unit, "state": p.state}
        for name, p in result.parameters.items()
    }
    return ["[result]", *_entries(summary), "", "[result.parameters]", *_entries(fitted)]
