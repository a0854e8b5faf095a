"""Configuration errors say what, where and the nearest valid key; starters are read back unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from gminus2.config import StrictModel, load_config, parse_config, starter_toml
from gminus2.errors import ConfigError


class Kicker(StrictModel):
    """The three kickers."""

    kick_voltage_kv: float = Field(130.0, gt=0, description="Voltage of each kicker.")


class Campaign(StrictModel):
    """A campaign."""

    seed: int = Field(1, ge=0, description="Root seed of all random streams.")
    name: str = Field("demo", description="Name shown in the report.")
    starts_us: tuple[float, ...] = Field((30.0, 40.0), description="Start times.")
    kicker: Kicker = Field(default_factory=Kicker, description="The kickers.")
    more: tuple[Kicker, ...] = Field((Kicker(), Kicker(kick_voltage_kv=137.0)), description="Scans.")


def test_unknown_nested_key_is_answered_with_the_nearest(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("[kicker]\nkick_voltage = 3\n")
    with pytest.raises(ConfigError, match=r"kicker\.kick_voltage'.*'kick_voltage_kv'") as caught:
        load_config(file, Campaign)
    assert str(file) in str(caught.value)


def test_all_mistakes_are_reported_at_once() -> None:
    with pytest.raises(ConfigError, match="3 mistakes") as caught:
        parse_config({"seed": -1, "nam": "x", "kicker": {"kick_voltage_kv": float("nan")}}, Campaign, where="test")
    for key in ("seed", "nam", "kick_voltage_kv"):
        assert key in str(caught.value)


def test_unknown_key_inside_a_list_of_tables_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="kick_voltage_kv"):
        parse_config({"more": [{"kick_volt_kv": 1.0}]}, Campaign, where="test")


def test_starter_file_reads_back_as_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "starter.toml"
    file.write_text(starter_toml(Campaign))
    assert load_config(file, Campaign) == Campaign()
    assert "# Root seed of all random streams." in file.read_text()


@pytest.mark.parametrize("content", ["a = [1,", "a = \x00"])
def test_broken_toml_is_one_clear_error(tmp_path: Path, content: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(content)
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_config(file, Campaign)
    with pytest.raises(ConfigError, match="no such configuration"):
        load_config(tmp_path / "absent.toml", Campaign)


class Fit(StrictModel):
    """A free table before other keys."""

    values: dict[str, Kicker] = Field(default_factory=dict, description="Kickers by name.")
    seed: int = Field(1, description="Comes after the table in the schema, before it in the file.")
    inner: Campaign = Field(default_factory=Campaign, description="A section.")


def test_a_free_table_in_a_starter_does_not_swallow_the_keys_after_it(tmp_path: Path) -> None:
    filled = Fit(values={"a": Kicker(), "b[Up]": Kicker(kick_voltage_kv=2.0)}, seed=3)
    for given in (None, filled):
        file = tmp_path / "starter.toml"
        file.write_text(starter_toml(Fit, given))
        assert load_config(file, Fit) == (given or Fit())
