"""Configuration: TOML files checked against a schema; unknown keys are errors that name the nearest valid key."""

from gminus2.config.base import StrictModel, load_config, parse_config, read_toml
from gminus2.config.starter import starter_toml

__all__ = ["StrictModel", "load_config", "parse_config", "read_toml", "starter_toml"]
