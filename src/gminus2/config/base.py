"""The base of every configuration schema, and the translation of its errors into one clear message."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from gminus2.errors import ConfigError, nearest

__all__ = ["StrictModel", "load_config", "parse_config", "read_toml"]


class StrictModel(BaseModel):
    """A frozen section of a configuration file that refuses unknown keys and NaN.

    Give every field a unit in its name (``_us``, ``_mm``, ``_ppm``) and a ``Field(description=…)``: the commented
    starter file is written from them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


Model = TypeVar("Model", bound=BaseModel)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    ConfigError
        The file is absent or not TOML; the message gives the line.
    """
    try:
        with path.open("rb") as stream:
            return tomllib.load(stream)
    except FileNotFoundError:
        raise ConfigError("no such configuration file", where=str(path)) from None
    except OSError as error:
        raise ConfigError(f"cannot read the configuration file: {error.strerror}", where=str(path)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"this is not valid TOML: {error}", where=str(path)) from None


def load_config(path: Path, schema: type[Model]) -> Model:
    """Read a TOML file into a schema; see :func:`parse_config`."""
    return parse_config(read_toml(path), schema, where=str(path))


def parse_config(raw: Mapping[str, Any], schema: type[Model], *, where: str) -> Model:
    """Check a table against a schema.

    Parameters
    ----------
    where
        The file or option the table came from, for messages.

    Raises
    ------
    ConfigError
        All mistakes at once: unknown keys with the nearest valid one, wrong types, impossible values.
    """
    try:
        return schema.model_validate(raw)
    except ValidationError as error:
        lines = [_describe(item, schema) for item in error.errors(include_url=False)]
        plural = "s" if len(lines) > 1 else ""
        raise ConfigError(
            f"{len(lines)} mistake{plural} in the configuration\n" + "\n".join(f"  - {line}" for line in lines),
            where=where,
        ) from None


def _describe(item: Any, schema: type[BaseModel]) -> str:
    location: tuple[int | str, ...] = item["loc"]
    key = ".".join(str(part) for part in location)
    if item["type"] == "extra_forbidden":
        known = _known_keys(schema, location[:-1])
        return f"unknown key '{key}': {nearest(str(location[-1]), known)}"
    if item["type"] == "missing":
        return f"missing key '{key}'"
    found = repr(item["input"])
    if len(found) > 80:
        found = found[:77] + "..."
    return f"'{key}': {item['msg'].lower() if item['type'] != 'value_error' else item['msg']}, found {found}"


def _known_keys(schema: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the valid keys of the (possibly nested) section at ``location``."""
    models = [schema]
    for part in location:
        inner: list[type[BaseModel]] = []
        for model in models:
            if isinstance(part, str) and (info := model.model_fields.get(part)):
                inner += _models_in(info.annotation)
        # A list index, a dictionary key or the tag of a union keeps the candidates.
        models = inner or models
    return sorted({name for model in models for name in model.model_fields})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]
