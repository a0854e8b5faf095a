"""Campaign files: what ships works, every kind of mistake is answered with what was expected, nothing is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from gminus2.config import starter_toml
from gminus2.config.campaign import preset_names
from gminus2.errors import ConfigError
from gminus2.pipeline.campaign import DEFAULT_CAMPAIGN, Campaign, load_campaign, shipped_campaigns
from gminus2.pipeline.measure import build_pipeline, run_campaign

OWN = """
title = "two datasets"

[[dataset]]
label = "A"
f_a_hz = 229081.06
f_p_shielded_hz = 61791871.2
reference_temperature_c = 34.7
uncertainties_ppb = { omega_a_stat = 900.0, C_e = 50.0, field = 110.0 }

[[dataset]]
label = "B"
f_a_hz = 229081.40
f_p_shielded_hz = 61791937.8
reference_temperature_c = 34.7
uncertainties_ppb = { omega_a_stat = 700.0, C_e = 50.0, field = 120.0 }
"""


def _write(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_every_shipped_campaign_is_valid_and_the_default_is_one_of_them() -> None:
    names = shipped_campaigns()
    assert DEFAULT_CAMPAIGN in preset_names()
    for name in names:
        assert load_campaign(name)[1].title


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (OWN.replace("f_a_hz = 229081.06", "f_a_Hz = 229081.06"), "did you mean 'f_a_hz'"),
        (OWN.replace("[[dataset]]", "[[datasets]]"), "did you mean 'dataset'"),
        (OWN + '[combination]\ncorelation = "uncorrelated"\n', "did you mean 'correlation' or 'correlations'"),
        (OWN + "[combination]\ncodata = 2020\n", "2014, 2018 or 2022"),
        (OWN + '[combination]\nstandard_model = "wp30"\n', "'wp20' or 'wp25'"),
        (OWN.replace("229081.06", '"fast"'), "valid number"),
        (OWN.replace("229081.06", "-1.0"), "greater than 0"),
        (OWN.replace("229081.06", "nan"), "finite number"),
        (OWN.replace("omega_a_stat = 900.0, ", ""), "no statistical uncertainty"),
        (OWN.replace("C_e = 50.0, field = 110.0", "C_e = -50.0"), "must not be negative"),
        (OWN.replace('label = "B"', 'label = "A"'), "same label"),
        (OWN + '[published]\nrun = "run1"\n', "not both"),
        (OWN + "[pseudo_data]\nseed = 1\n", "go together"),
        (OWN + '[fit]\nmodel = "five"\n', "go together"),
        ('[published]\nrun = "run1"\n[blinding]\nseal = "seal.json"\n', "published inputs are open"),
        ('[histogram]\nfile = "x"\n[pseudo_data]\nseed = 1\n[fit]\n', "not both"),
        ("[pseudo_data]\nseed = 1\n[fit]\nstart_us = 650.0\nstop_us = 30.0\n", "window is empty"),
        ('title = "empty"\n', "nothing to measure"),
        ('[published]\nrun = "run1"\n[stop]\nbefore = "a_mu"\n', "missing key 'stop.reason'"),
        ("title = [", "not valid TOML"),
    ],
)
def test_each_kind_of_mistake_in_a_campaign_is_answered(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_campaign(_write(tmp_path, text))
    assert message in str(caught.value)
    assert "mine.toml" in str(caught.value)
    assert list(tmp_path.iterdir()) == [tmp_path / "mine.toml"]


def test_unknown_campaign_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'run1-published'"):
        load_campaign("run1-publisched")
    with pytest.raises(ConfigError, match="no such configuration file"):
        load_campaign("nowhere.toml")


def test_a_simulated_campaign_is_sent_to_its_own_command(tmp_path: Path) -> None:
    for name in ("demo", _write(tmp_path, 'kind = "simulated"\n')):
        with pytest.raises(ConfigError, match="gminus2 simulate") as caught:
            load_campaign(name)
        assert "simulated campaign" in str(caught.value)


def test_a_histogram_where_none_is_read_and_none_where_one_is_needed_are_refused(tmp_path: Path) -> None:
    _, run1, folder = load_campaign("run1-published")
    with pytest.raises(ConfigError, match="no use"):
        build_pipeline(run1, folder, tmp_path, Path("x.csv"))
    _, run3b, folder = load_campaign("run3b-public")
    with pytest.raises(ConfigError, match="--data FILE"):
        build_pipeline(run3b, folder, tmp_path)
    with pytest.raises(ConfigError, match="no such file"):
        build_pipeline(run3b, folder, tmp_path, tmp_path / "gone.csv").run()


def test_own_datasets_go_to_a_mu_with_their_unverified_status(tmp_path: Path) -> None:
    name, campaign, folder = load_campaign(_write(tmp_path, OWN))
    document = run_campaign(name, campaign, build_pipeline(campaign, folder, tmp_path / "out")).document
    assert document["status"] == "unverified"
    # Independent route: hand average. Common parts 50 and (110, 120) ppb, statistics 900 and 700.
    a, b = 900.0**2 + 50**2 + 110**2, 700.0**2 + 50**2 + 120**2
    c = 50.0**2 + 110 * 120
    weight = (b - c) / (a + b - 2 * c)
    assert document["datasets"][0]["weight"] == pytest.approx(weight)
    ratio = weight * 229081.06 / 61791871.2 + (1 - weight) * 229081.40 / 61791937.8
    assert document["R_mu"]["value"] == pytest.approx(ratio, rel=1e-14)
    assert document["a_mu"]["value"] == pytest.approx(ratio * 0.314493106014e11, abs=2e-3)
    assert "average_with_e821" not in document["comparison"]
    assert "omega_a" not in document


def test_datasets_at_a_temperature_without_constants_end_with_one_error(tmp_path: Path) -> None:
    name, campaign, folder = load_campaign(_write(tmp_path, OWN.replace("= 34.7", "= 30.0")))
    with pytest.raises(Exception, match="not tabulated"):
        run_campaign(name, campaign, build_pipeline(campaign, folder, tmp_path / "out"))


def test_the_starter_file_of_a_campaign_is_itself_a_campaign_and_names_every_section(tmp_path: Path) -> None:
    text = starter_toml(Campaign, Campaign.example())
    for key in (
        "title",
        "[combination]",
        "correlation",
        "# [published]",
        "# [pseudo_data]",
        "# [blinding]",
        "# seal =",
    ):
        assert key in text
    assert load_campaign(_write(tmp_path, text))[1] == Campaign.example()
