"""EDM search: spins from tracking, kinematics, recovery of an injected EDM, pulls, limits, systematics, blinding."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import norm

from gminus2.cli.main import main
from gminus2.constants import published
from gminus2.data import make_provenance, read_result
from gminus2.edm import (
    Dilution,
    EdmFit,
    SpinLibrary,
    Systematics,
    TrackerModel,
    Tracks,
    calibrate_dilution,
    corrected,
    draw_tracks,
    edm_from_tilt,
    fit_edm,
    fit_rate,
    median_limit,
    modulus_interval,
    profile_tracks,
    spin_library,
    tilt_from_edm,
    tracks_for_limit,
)
from gminus2.edm.blinding import hide_edm, open_edm
from gminus2.errors import BlindingError, DataError, FitError, PhysicsError
from gminus2.physics.decay import E_MAX_MEV, mean_vertical_angle
from gminus2.physics.spin import EDM_UNIT_E_CM, eta_from_edm, frequency_with_edm


@cache
def library(edm_e_cm: float = 0.0, radial_field_ppm: float = 0.0) -> SpinLibrary:
    return spin_library(edm_e_cm, muons=48, turns=1500, radial_field_ppm=radial_field_ppm)


@cache
def dilution() -> Dilution:
    return calibrate_dilution(library(), decays=4_000_000)


def search(chosen: SpinLibrary, tracks: int, seed: int, tracker: TrackerModel | None = None) -> EdmFit:
    chunks = draw_tracks(chosen, tracks, seed=seed, tracker=tracker)
    profile = profile_tracks(chunks, start_us=chosen.start_us, stop_us=chosen.stop_us, width_us=chosen.period_us)
    return fit_edm(profile, dilution(), fit_rate(profile, chosen.omega_a))


def tilt_of_spins(chosen: SpinLibrary) -> tuple[float, float]:
    """Amplitudes of −sin ψ and cos ψ in the upward spin."""
    psi = np.arctan2(-chosen.states[..., 7], chosen.states[..., 8]).ravel()
    basis = np.stack([np.ones_like(psi), np.sin(psi), np.cos(psi)], axis=1)
    _, sine, cosine = np.linalg.lstsq(basis, -chosen.states[..., 9].ravel(), rcond=None)[0]
    return -float(sine), float(cosine)


def test_relation_of_edm_and_tilt() -> None:
    assert pytest.approx(4.66899e-14, rel=1e-5) == EDM_UNIT_E_CM
    assert eta_from_edm(1.8e-19) == pytest.approx(3.8552e-6, rel=1e-4)
    assert tilt_from_edm(1.8e-19) == pytest.approx(1.6523e-3, rel=1e-4)
    assert tilt_from_edm(1e-21) == pytest.approx(9.180e-6, rel=1e-4)
    assert math.tan(tilt_from_edm(1.8e-19)) / 29.3034 == pytest.approx(5.639e-5, rel=1e-3)
    assert edm_from_tilt(tilt_from_edm(3e-19)) == pytest.approx(3e-19, rel=1e-12)


def test_tracked_spins_tilt_by_the_angle_of_the_edm_90_degrees_from_the_rate() -> None:
    sine, cosine = tilt_of_spins(library(1e-18))
    assert sine == pytest.approx(math.sin(tilt_from_edm(1e-18)), rel=1e-3)
    assert abs(cosine) < 1e-6
    assert abs(tilt_of_spins(library())[0]) < 1e-6


def test_a_radial_field_tilts_the_spins_like_an_edm() -> None:
    sine, _ = tilt_of_spins(library(0.0, 200.0))
    assert sine == pytest.approx(200e-6, rel=5e-3)


def test_angles_per_spin_agree_with_the_closed_form_where_nothing_is_cut() -> None:
    result = dilution()
    centre = 0.5 * (result.edges_mev[1:] + result.edges_mev[:-1])
    closed = mean_vertical_angle(centre / E_MAX_MEV)
    # The radial angle is not cut by the height of the tracker, the vertical one is.
    np.testing.assert_allclose(result.radial[1:-1], closed[1:-1], rtol=0.2)
    assert (result.kappa < 0.75 * closed).all()
    assert (result.kappa > 0.25 * closed).all()


def test_the_rate_of_a_station_is_ahead_of_the_spin_by_its_detection_phase() -> None:
    fit = search(library(), 400_000, 3)
    # In the simulation ψ = ω_a t: what the fit finds beyond that is the phase of the calibration.
    psi_at_start = fit.rate.phase + (fit.rate.omega - library().omega_a) * 60.0
    error = math.hypot(0.02, dilution().rate_phase_sigma)
    assert psi_at_start == pytest.approx(dilution().rate_phase, abs=3 * error)
    assert abs(dilution().rate_phase) > 10 * dilution().rate_phase_sigma


def test_an_injected_edm_is_recovered() -> None:
    fit = search(library(8e-18), 400_000, 21)
    assert fit.edm_sigma < 1.6e-18
    assert abs(fit.edm - 8e-18) < 2.5 * fit.edm_sigma
    assert fit.edm > 4 * fit.edm_sigma
    assert fit.chi2 < 18
    # The EDM's own rotation adds in quadrature: +0.27 % here.
    expected = frequency_with_edm(library().omega_a, tilt_from_edm(8e-18))
    assert fit.rate.omega == pytest.approx(expected, abs=4 * fit.rate.omega_sigma)
    assert fit.rate.omega > library().omega_a + 4 * fit.rate.omega_sigma
    opposite = search(library(-8e-18), 400_000, 21)
    assert abs(opposite.edm + 8e-18) < 2.5 * opposite.edm_sigma


def test_pulls_of_50_null_toys_have_width_one() -> None:
    pulls = np.array([(fit := search(library(), 15_000, 500 + toy)).tilt / fit.tilt_sigma for toy in range(50)])
    assert abs(pulls.mean()) < 3 / math.sqrt(50)
    assert pulls.std(ddof=1) == pytest.approx(1.0, abs=0.2)


def test_uncertainty_and_limit_fall_with_the_root_of_the_number_of_tracks() -> None:
    small, large = search(library(), 25_000, 1), search(library(), 400_000, 1)
    assert small.edm_sigma / large.edm_sigma == pytest.approx(4.0, rel=0.05)
    assert median_limit(small.edm_sigma) / median_limit(large.edm_sigma) == pytest.approx(4.0, rel=0.05)
    needed = tracks_for_limit(1.9e-19, small.edm_sigma, small.tracks)
    assert tracks_for_limit(1.9e-19, large.edm_sigma, large.tracks) == pytest.approx(needed, rel=0.1)


def test_a_rolled_station_fakes_an_edm_by_its_response() -> None:
    fit = search(library(), 400_000, 31, TrackerModel(roll_rad=0.05))
    assert fit.tilt == pytest.approx(0.05 * fit.roll_response, abs=3 * fit.tilt_sigma)
    assert fit.tilt > 6 * fit.tilt_sigma
    known = corrected(fit, Systematics(roll_mrad=50.0, roll_sigma_mrad=0.1))
    assert abs(known.edm) < 3 * known.sigma


def test_limit_has_its_coverage() -> None:
    rng = np.random.default_rng(4)
    for truth in (0.0, 0.7, 2.0, 5.0):
        drawn = truth + rng.standard_normal(1500)
        hits = [modulus_interval(float(x), 1.0) for x in drawn]
        covered = np.mean([one.lower - 2e-2 <= truth <= one.upper + 2e-2 for one in hits])
        assert covered > 0.95 - 3 * math.sqrt(0.05 * 0.95 / 1500)


def test_limit_becomes_a_two_sided_gaussian_interval_far_from_zero() -> None:
    q = norm.ppf(0.975)
    far = modulus_interval(-5.0, 1.0)
    assert (far.lower, far.upper) == pytest.approx((5 - q, 5 + q))
    near = modulus_interval(3.9, 1.0)
    assert (near.lower, near.upper) == pytest.approx((3.9 - q, 3.9 + q), abs=0.05)
    assert modulus_interval(0.5, 1.0).lower == 0.0


def test_limit_from_the_numbers_of_e821_is_near_the_published_one() -> None:
    measured = published("edm.d_mu_e821")
    interval = modulus_interval(float(measured), measured.sigma)
    assert interval.lower == 0.0
    assert interval.upper == pytest.approx(float(published("edm.limit_e821")), abs=0.3)


def test_blinding_hides_and_opens_with_the_phrase_only() -> None:
    offset, hidden = hide_edm("a long phrase")
    assert abs(offset) <= 3e-18
    assert open_edm(hidden, "a long phrase") == offset
    assert str(offset) not in str(hidden.to_json())
    with pytest.raises(BlindingError, match="does not open"):
        open_edm(hidden, "another phrase")
    with pytest.raises(BlindingError, match="too short"):
        hide_edm("short")


def test_bad_tracks_and_settings_are_refused(tmp_path: Path) -> None:
    good = Tracks(*(np.ones(5) for _ in range(4)))
    with pytest.raises(DataError, match="not finite"):
        Tracks(np.ones(5), np.ones(5), np.array([1, 2, np.nan, 4, 5.0]), np.ones(5))
    with pytest.raises(DataError, match="another length"):
        Tracks(np.ones(5), np.ones(4), np.ones(5), np.ones(5))
    good.write(tmp_path / "t.h5", make_provenance("test"))
    assert len(Tracks.read(tmp_path / "t.h5")) == 5
    with pytest.raises(FitError, match="too few tracks"):
        fit_rate(profile_tracks([good], start_us=30, stop_us=300, width_us=0.149), 1.44)
    with pytest.raises(DataError, match="time bins"):
        profile_tracks([good], start_us=30, stop_us=31, width_us=0.149)
    with pytest.raises(PhysicsError, match="too large"):
        spin_library(1e-14)
    with pytest.raises(PhysicsError):
        modulus_interval(1.0, -1.0)


def test_command_recovers_blinds_and_opens(tmp_path: Path) -> None:
    common = ["--tracks", "60000", "--calibration-decays", "1000000", "-o"]
    answer = CliRunner().invoke(main, ["edm", "--edm", "2e-17", "--save-tracks", *common, str(tmp_path / "a")])
    assert answer.exit_code == 0, answer.output
    result = read_result(tmp_path / "a" / "edm.json", "edm")
    assert abs(result["edm_e_cm"] - 2e-17) < 3 * math.hypot(result["statistical_e_cm"], result["systematic_e_cm"])
    assert (tmp_path / "a" / "edm_search.png").exists()
    assert (tmp_path / "a" / "edm_limit.png").exists()
    arguments = ["edm", "--data", str(tmp_path / "a" / "tracks.h5"), "--blind", "a long phrase"]
    blinded = CliRunner().invoke(main, [*arguments, *common, str(tmp_path / "b")])
    assert blinded.exit_code == 0, blinded.output
    hidden = read_result(tmp_path / "b" / "edm.json", "edm")
    assert hidden["blinded"]
    assert "limit_95_e_cm" not in hidden
    assert abs(hidden["edm_e_cm"] - result["edm_e_cm"]) > 1e-22
    opened = CliRunner().invoke(
        main, ["edm", "--open", str(tmp_path / "b" / "edm.json"), "--phrase", "a long phrase", "-o", str(tmp_path)]
    )
    assert f"{result['edm_e_cm'] * 1e19:.2f}" in opened.output
