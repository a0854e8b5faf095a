"""The written form of models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gminus2.errors import ConfigError, DataError
from gminus2.precession import DRIFT_TABLES, LostMuonSpectrum, Model, load_model, preset


def test_presets_have_the_stable_names() -> None:
    assert preset("five").parameter_names == ("N0", "tau", "A", "R", "phi")
    assert preset("cbo").parameter_names[5:] == ("A_cbo", "tau_cbo", "f_cbo", "phi_cbo")
    assert len(preset("full").parameter_names) == 23
    assert preset("msr").unit("background") == "1/ns"


def test_model_file_is_read_and_its_mistakes_are_named(tmp_path: Path) -> None:
    file = tmp_path / "model.toml"
    file.write_text(
        'name = "mine"\nper_detector = ["N0", "A", "phi"]\n[[terms]]\nterm = "decay"\n[[terms]]\nterm = "precession"\n'
        '[[terms]]\nterm = "cbo"\nmodulates = ["N1", "A1"]\n[parameters.tau]\nvalue = 64.44\nfixed = true\n'
        '[[links]]\nparameter = "phi_cbo_A"\nto = "phi_cbo"\noffset = 1.5\n'
    )
    model = load_model(file)
    assert model.name == "mine"
    assert model.is_per_detector("A")
    assert not model.is_per_detector("tau")
    file.write_text(file.read_text().replace("modulates", "modulate"))
    with pytest.raises(ConfigError, match="modulates"):
        load_model(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"terms": [{"term": "precession"}]}, "exactly one term 'decay'"),
        ({"terms": [{"term": "decay"}, {"term": "cbo"}, {"term": "cbo"}]}, "another label"),
        ({"terms": [{"term": "decay"}, {"term": "cbo", "modulates": ["A1"]}]}, "no precession"),
        ({"parameters": {"taus": {"value": 1.0}}}, "no parameter 'taus'"),
        ({"parameters": {"A": {"lower": 1.0, "upper": 0.0}}}, "lower bound"),
        ({"parameters": {"A": {"value": 2.0, "upper": 1.0}}}, "outside its bounds"),
        ({"links": [{"parameter": "A", "to": "phi"}, {"parameter": "phi", "to": "A"}]}, "circle"),
        ({"links": [{"parameter": "A", "to": "phi"}], "parameters": {"A": {"fixed": True}}}, "linked parameter"),
        ({"terms": [{"term": "decay"}, {"term": "precession", "frequency": "tesla"}]}, "gamma_mhz_per_tesla"),
        ({"terms": [{"term": "decay"}, {"term": "vertical_waist", "frequency": "field_index"}]}, "needs a cbo term"),
        ({"terms": [{"term": "decay"}, {"term": "cbo", "drift": {"form": "tracker", "table": "K:60"}}]}, "K:60h"),
        (
            {"terms": [{"term": "decay"}, {"term": "cbo", "drift": {"form": "single", "table": "K:60h"}}]},
            "another form",
        ),
    ],
)
def test_contradictions_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Model.from_config(change)


def test_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'five'"):
        load_model("fiv")


def test_both_drift_tables_are_shipped_by_name() -> None:
    assert {name.partition(":")[2] for name in DRIFT_TABLES if name.startswith("K:")} == {
        name.partition(":")[2] for name in DRIFT_TABLES if name.startswith("KT:")
    }
    assert DRIFT_TABLES["K:60h"].omega0 == 2.3376
    assert DRIFT_TABLES["KT:60h"].omega0 == 2.3389


def test_loss_integral_of_a_constant_rate_is_an_exponential() -> None:
    spectrum = LostMuonSpectrum(np.linspace(0.0, 500.0, 51), np.full(50, 10.0))
    t = np.array([-5.0, 0.0, 33.0, 250.0, 500.0, 600.0])
    expected = np.clip((np.exp(np.clip(t, 0, 500) / 64.44) - 1.0) / (np.exp(500.0 / 64.44) - 1.0), 0.0, 1.0)
    assert spectrum.integral(t, 64.44) == pytest.approx(expected, rel=1e-12)
    for edges, counts, message in (
        ([0.0, 1.0], [1.0, 2.0], "one edge more"),
        ([0.0, 1.0, 1.0], [1.0, 2.0], "must increase"),
        ([0.0, 1.0, 2.0], [1.0, np.nan], "not finite"),
        ([0.0, 1.0, 2.0], [0.0, 0.0], "empty"),
    ):
        with pytest.raises(DataError, match=message):
            LostMuonSpectrum(np.array(edges), np.array(counts))
