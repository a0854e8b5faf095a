"""Write a commented starter file from a schema, so that the file and its documentation cannot drift apart."""

from __future__ import annotations

import textwrap
from typing import Any

import tomli_w
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from gminus2.config.base import _models_in

__all__ = ["starter_toml"]


def starter_toml(schema: type[BaseModel], values: BaseModel | None = None) -> str:
    """Return a TOML text with every key of a schema, its description as a comment and its default as value.

    Parameters
    ----------
    values
        Take the values from here instead of the defaults.
    """
    return "\n".join(_section(schema, values, "")).strip() + "\n"


def _section(schema: type[BaseModel], values: BaseModel | None, prefix: str) -> list[str]:
    lines: list[str] = []
    tables: list[str] = []
    if schema.__doc__:
        lines += _comment(schema.__doc__.strip().splitlines()[0])
    if prefix:
        lines.append(f"[{prefix}]")
    for name, info in schema.model_fields.items():
        value = getattr(values, name) if values is not None else info.get_default(call_default_factory=True)
        path = f"{prefix}.{name}" if prefix else name
        if isinstance(value, BaseModel):
            tables += ["", *_comment(info.description), *_section(type(value), value, path)]
            continue
        if isinstance(value, (list, tuple)) and value and isinstance(value[0], BaseModel):
            tables += ["", *_comment(info.description)]
            for element in value:
                body = _section(type(element), element, path)
                tables += [line.replace(f"[{path}]", f"[[{path}]]", 1) for line in body]
            continue
        if value is None and (models := _models_in(info.annotation)):
            # An optional section: all its keys, commented out.
            body = [*_comment(info.description), *_section(models[0], None, path)]
            tables += ["", *(line if not line or line.startswith("#") else f"# {line}" for line in body)]
            continue
        if isinstance(value, dict):
            # A free table comes after the keys of its section, or it would swallow them.
            nested = _plain(value)
            for part in reversed(path.split(".")):
                nested = {part: nested}
            tables += ["", *_comment(info.description), tomli_w.dumps(nested).strip()]
            continue
        lines += _comment(info.description)
        if value is PydanticUndefined or value is None:
            lines.append(f"# {name} =")
        else:
            lines.append(tomli_w.dumps({name: _plain(value)}).strip())
    return lines + tables


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_none=True)
    if isinstance(value, (list, tuple)):
        return [_plain(element) for element in value]
    if isinstance(value, dict):
        return {str(key): _plain(element) for key, element in value.items()}
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def _comment(text: str | None) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(" ".join(text.split()), 100)] if text else []
