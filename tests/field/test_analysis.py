"""The whole field analysis on simulated datasets with sealed truth, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from gminus2.cli.fid import fid
from gminus2.cli.field import field
from gminus2.config.field import FieldSection
from gminus2.data import make_provenance, read_result
from gminus2.data.nmr import FieldData, FixedReadings, TrolleyRun
from gminus2.errors import DataError, GMinus2Error
from gminus2.field.analysis import prepare_dataset
from gminus2.field.campaign import FieldAnalysis, analyse_campaign
from gminus2.field.result import read_field_results, write_field_results
from gminus2.simulation.magnet.dataset import simulate_field_dataset
from gminus2.simulation.magnet.truth import FieldTruth, draw_instruments

SMALL: dict[str, Any] = {
    "world": {"fixed_cycle_s": 20.0},
    "trolley": {"azimuths": 720},
    "analysis": {"bin_s": 60.0},
}


def _section(**changes: Any) -> FieldSection:
    merged = {**SMALL, **{k: {**SMALL.get(k, {}), **v} if isinstance(v, dict) else v for k, v in changes.items()}}
    return FieldSection.model_validate(merged)


@cache
def _dataset(seed: int = 2) -> tuple[FieldSection, FieldData, FieldTruth]:
    section = _section()
    data, truth, _ = simulate_field_dataset(section, section.datasets[0], seed=seed, index=0)
    return section, replace(data, fixed=FixedReadings.collect(data.fixed)), truth


@cache
def _analysed() -> FieldAnalysis:
    section, data, _ = _dataset()
    return analyse_campaign(section, [data])


def _error_ppb(analysis: FieldAnalysis, truth: FieldTruth) -> float:
    return float((analysis.results[0].unblinded(truth.offset).f_p_hz / truth.f_p_hz - 1) * 1e9)


@pytest.mark.closure
def test_twenty_sealed_datasets_close_within_their_stated_errors() -> None:
    pulls, sigmas = [], []
    for seed in range(20):
        # Prior knowledge of the walk stands for 14 earlier pairs, 19 %: the truth varies by as much.
        walk = 60.0 * float(np.exp(0.19 * np.random.default_rng(seed).normal()))
        section = _section(world={"walk_ppb_72h": walk})
        data, truth, _ = simulate_field_dataset(section, section.datasets[0], seed=seed, index=0)
        analysis = analyse_campaign(section, [data])
        result = analysis.results[0]
        pulls.append(_error_ppb(analysis, truth) / result.sigma_field_ppb)
        sigmas.append(result.sigma_field_ppb)
        assert result.reference_temperature_c == 34.7
    assert np.sqrt(np.mean(np.square(pulls))) == pytest.approx(1.0, abs=0.2)
    assert abs(np.mean(pulls)) < 3 / np.sqrt(20)
    assert max(sigmas) <= 56.0


@pytest.mark.closure
def test_with_perfect_instruments_the_chain_itself_errs_by_a_few_ppb() -> None:
    errors = []
    for seed in range(3):
        section = _section(
            world={"walk_ppb_72h": 0.0, "local_walk_ppb_72h": 0.0},
            calibration={"reading_noise_hz": 1e-5, "misalignment_mm": 0.0},
        )
        instrument = draw_instruments(section, seed, perfect=True)
        data, truth, _ = simulate_field_dataset(section, section.datasets[0], seed=seed, index=0, instrument=instrument)
        errors.append(_error_ppb(analyse_campaign(section, [data]), truth))
    # At a reading every 20 s the synchronisation noise alone is 3 ppb.
    assert np.sqrt(np.mean(np.square(errors))) < 6.0


def test_budget_is_itemised_and_read_back(tmp_path: Path) -> None:
    results = _analysed().results
    names = [row.name for row in results[0].budget]
    assert names[:3] == ["extraction", "absolute_calibration", "trolley_calibration"]
    assert {"tracking", "muon_position", "B_k", "B_q"} <= set(names)
    assert results[0].row("tracking").correlated is False
    assert results[0].row("absolute_calibration").correlated is True
    assert results[0].row("absolute_calibration").sigma_ppb == pytest.approx(15, abs=0.2)
    assert results[0].sigma_transient_ppb == pytest.approx(99, abs=8)
    write_field_results(tmp_path / "field.json", results, make_provenance("test"))
    assert read_field_results(tmp_path / "field.json")[0].to_json() == results[0].to_json()
    with pytest.raises(DataError, match="no budget row 'nothing'"):
        results[0].row("nothing")


def test_a_sealed_factor_multiplies_the_result_and_nothing_else() -> None:
    section, _, _ = _dataset()
    results = []
    for offset in (0.0, 8e-6):
        data, truth, _ = simulate_field_dataset(section, section.datasets[0], seed=2, index=0, offset=offset)
        results.append(analyse_campaign(section, [data]).results[0])
        assert truth.offset == offset
    assert results[1].f_p_hz / results[0].f_p_hz - 1 == pytest.approx(8e-6, abs=2e-10)
    assert results[1].sigma_field_ppb == pytest.approx(results[0].sigma_field_ppb, rel=1e-3)
    assert results[1].unblinded(8e-6).blinded is False
    with pytest.raises(DataError, match="not blinded"):
        results[1].unblinded(8e-6).unblinded(0.0)


def test_data_are_stored_and_give_the_same_result_when_read(tmp_path: Path) -> None:
    section, data, _ = _dataset()
    data.write(tmp_path / "d.h5", make_provenance("test"))
    again = analyse_campaign(section, [FieldData.read(tmp_path / "d.h5")])
    assert again.results[0].f_p_hz == _analysed().results[0].f_p_hz


def test_trolley_at_fid_level_gives_the_same_field_as_at_frequency_level() -> None:
    short = {"azimuths": 360, "spike_fraction": 1e-3}  # 12 240 FIDs
    values = []
    for fid_level in (True, False):
        section = _section(trolley={**short, "fid_level": fid_level})
        data, _, _ = simulate_field_dataset(section, section.datasets[0], seed=4, index=0)
        values.append(analyse_campaign(section, [data]).results[0])
    assert values[0].f_p_hz == pytest.approx(values[1].f_p_hz, abs=0.5 * 0.06179)
    assert values[0].details["bad_trolley_fraction"][0] == pytest.approx(1e-3, abs=1e-3)
    assert values[0].details["trolley_single_shot_ppb"] == pytest.approx(0.65, abs=0.1)


def test_kalman_tracking_agrees_with_linear_tracking_for_precise_runs() -> None:
    section, data, _ = _dataset()
    kalman = section.model_copy(update={"analysis": section.analysis.model_copy(update={"tracking": "kalman"})})
    difference = analyse_campaign(kalman, [data]).results[0].f_p_hz - _analysed().results[0].f_p_hz
    assert abs(difference) < 1.0 * 0.06179


def test_without_a_closing_run_the_tracking_error_is_one_sided() -> None:
    section, data, _ = _dataset()
    alone = analyse_campaign(section, [replace(data, trolley=data.trolley[:1])]).results[0]
    # √(qT/3) against √(qT/12); pauses of the beam change both a little.
    assert alone.row("tracking").sigma_ppb / _analysed().results[0].row("tracking").sigma_ppb == pytest.approx(
        2.0, abs=0.25
    )
    assert any("one-sided" in warning for warning in alone.warnings)
    with pytest.raises(DataError, match="without a trolley run"):
        prepare_dataset(section, replace(data, trolley=()))


def test_defects_of_the_data_are_found_and_reported() -> None:
    section, data, _ = _dataset()
    run = data.trolley[0]
    assert isinstance(run, TrolleyRun)

    def with_run(changed: TrolleyRun) -> FieldData:
        return replace(data, trolley=(changed, *data.trolley[1:]))

    assert "4 dead fixed probes" in _analysed().results[0].warnings[0]
    swapped = run.f_hz.copy()
    swapped[:, [5, 8]] = swapped[:, [8, 5]]
    with pytest.raises(DataError, match="probes 5 and 8 look exchanged"):
        prepare_dataset(section, with_run(replace(run, f_hz=swapped)))
    # 1 MS/s taken for 61.74 MHz/62: all frequencies 0.4 % high.
    with pytest.raises(DataError, match="check the sampling rate"):
        prepare_dataset(section, with_run(replace(run, f_hz=run.f_hz * 62 / 61.74)))
    assert isinstance(data.fixed, FixedReadings)
    lost = data.fixed.f_hz.copy()
    lost[:, 10:20] = np.nan
    more = prepare_dataset(section, replace(data, fixed=FixedReadings(data.fixed.time_s, lost)))
    assert any("dead fixed probes" in w and " 15," in w for w in more.warnings)
    with pytest.raises(DataError, match=r"empty, negative or not finite"):
        analyse_campaign(section, [replace(data, muon_counts=0 * data.muon_counts)])
    with pytest.raises(DataError, match="in order of time"):
        prepare_dataset(section, replace(data, trolley=data.trolley[::-1]))


def test_commands_write_results_and_refuse_bad_input(tmp_path: Path) -> None:
    campaign = tmp_path / "c.toml"
    campaign.write_text(
        'name = "t"\nseed = 3\n[field.world]\nfixed_cycle_s = 30.0\n[field.trolley]\nazimuths = 400\n'
        '[field.analysis]\nbin_s = 60.0\n[[field.datasets]]\nname = "1a"\ndays_between_trolley_runs = 1.0\n'
    )
    out = tmp_path / "out"
    answer = CliRunner().invoke(field, [str(campaign), "--output", str(out), "--open-seal"], catch_exceptions=False)
    assert answer.exit_code == 0
    assert "seal opened" in answer.output
    assert read_field_results(out / "field.json")[0].blinded
    names = {path.name for path in out.iterdir()}
    figures = {"field-1a-azimuth.png", "field-1a-cross-section.png", "field-1a-tracking.png", "field-1a-feedback.png"}
    assert figures | {"field-transients.png", "field-budget.png", "field-truth.json"} <= names
    truth = read_result(out / "field-truth.json", "field-truth")["datasets"][0]
    # Nothing the analysis wrote tells the sealed factor or the true field.
    assert str(truth["offset"]) not in (out / "field.json").read_text()
    campaign.write_text("[field]\nbeam = 3\n")
    with pytest.raises(GMinus2Error, match=r"unknown key 'field\.beam'"):
        CliRunner().invoke(field, [str(campaign)], catch_exceptions=False)


def test_fid_command_reads_checks_and_writes(tmp_path: Path) -> None:
    from gminus2.physics.nmr import probe_sample, record_format
    from gminus2.simulation.magnet.fid import envelope_table, simulate_fids

    record = record_format("fixed")
    y = simulate_fids(record, envelope_table(record, probe_sample("fixed")), np.full(50, 50.5e3), seed=1)
    file = tmp_path / "f.npy"
    np.save(file, y)
    out = tmp_path / "out"
    answer = CliRunner().invoke(fid, [str(file), "--output", str(out)], catch_exceptions=False)
    assert answer.exit_code == 0
    summary = read_result(out / "fid.json", "fid")
    assert summary["n_good"] == 50
    assert summary["mean_f_hz"] == pytest.approx(50.5e3, abs=0.5)
    for arguments, message in (
        ([str(file), "--probe", "trolley"], "do not have the length of their format"),
        ([str(file), "--fs-hz", "1.3e6", "--output", str(out)], "is the sampling rate right"),
        ([str(tmp_path / "no.npy")], "no such file"),
    ):
        with pytest.raises(DataError, match=message):
            CliRunner().invoke(fid, arguments, catch_exceptions=False)
    (tmp_path / "cut.npy").write_bytes(file.read_bytes()[:5000])
    with pytest.raises(DataError, match="cannot read the FIDs"):
        CliRunner().invoke(fid, [str(tmp_path / "cut.npy")], catch_exceptions=False)
