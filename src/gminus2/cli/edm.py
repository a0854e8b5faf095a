"""``gminus2 edm``: search for a muon EDM in simulated or recorded tracks, and the limit for a number of tracks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gminus2.cli.common import output_options, printer

if TYPE_CHECKING:
    from rich.console import Console

    from gminus2.edm.analysis import EdmFit
    from gminus2.edm.systematics import CorrectedEdm, Systematics
    from gminus2.edm.tracks import Tracks

__all__ = ["edm"]


@click.command()
@click.option("--edm", "injected", type=float, default=0.0, show_default=True, help="EDM of the simulated muon [e cm].")
@click.option(
    "--tracks", type=click.IntRange(min=1000), default=1_000_000, show_default=True, help="Tracks to simulate."
)
@click.option(
    "--data", type=click.Path(path_type=Path), default=None, help="Analyse these recorded tracks (HDF5) instead."
)
@click.option("--save-tracks", is_flag=True, help="Write the simulated tracks (at most 5 million).")
@click.option("--radial-field", type=float, default=0.0, show_default=True, help="Mean radial field in the ring [ppm].")
@click.option("--roll", type=float, default=0.0, show_default=True, help="Roll of the tracker station [mrad].")
@click.option(
    "--known-radial-field", type=(float, float), default=(0.0, 1.0), show_default=True, help="Value and sigma [ppm]."
)
@click.option(
    "--known-roll", type=(float, float), default=(0.0, 0.01), show_default=True, help="Value and sigma [mrad]."
)
@click.option("--calibration-decays", type=click.IntRange(min=100_000), default=12_000_000, show_default=True)
@click.option("--blind", "phrase", default=None, help="Hide the result behind an offset that only this phrase opens.")
@click.option(
    "--open", "opened", type=click.Path(path_type=Path), default=None, help="Open a blinded result with --phrase."
)
@click.option("--phrase", "key", default=None, help="Phrase for --open.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True)
@output_options
def edm(
    injected: float,
    tracks: int,
    data: Path | None,
    save_tracks: bool,
    radial_field: float,
    roll: float,
    known_radial_field: tuple[float, float],
    known_roll: tuple[float, float],
    calibration_decays: int,
    phrase: str | None,
    opened: Path | None,
    key: str | None,
    seed: int,
    output: Path,
    quiet: bool,
) -> None:
    """Search for a muon EDM: the vertical angle of decay positrons 90 degrees from the g-2 oscillation.

    Without --data, muons are tracked through the ring with the EDM in its spin term and their decays make the tracks.
    """
    from gminus2.data import make_provenance, write_result
    from gminus2.edm.analysis import tilt_from_edm
    from gminus2.edm.blinding import hide_edm
    from gminus2.edm.systematics import Systematics, corrected
    from gminus2.report.edm_figures import limit_figure, search_figure
    from gminus2.report.plotting import save_figure

    console = printer(quiet)
    if opened is not None:
        _open(console, opened, key)
        return
    offset, hidden = hide_edm(phrase) if phrase is not None else (0.0, None)
    fit, truth, sample = _search(
        injected, tracks, data, radial_field, roll, calibration_decays, seed, save_tracks, quiet=quiet
    )
    effects = Systematics(
        radial_field_ppm=known_radial_field[0],
        radial_field_sigma_ppm=known_radial_field[1],
        roll_mrad=known_roll[0],
        roll_sigma_mrad=known_roll[1],
    )
    result = corrected(fit, effects)
    content = _content(fit, result, effects, offset, hidden.to_json() if hidden else None, truth)
    inputs = [data] if data is not None else []
    settings = {"tracks": tracks, "radial_field": radial_field, "roll": roll, "calibration": calibration_decays}
    provenance = make_provenance("gminus2 edm", config=settings, inputs=inputs, seed=seed)
    write_result(output / "edm.json", "edm", content, provenance)
    if sample is not None:
        sample.write(output / "tracks.h5", provenance)
    tilt = 0.0 if hidden is None else tilt_from_edm(offset)
    shown = truth if hidden is None else None
    save_figure(search_figure(fit, injected_e_cm=shown, offset_tilt=tilt), output / "edm_search.png")
    save_figure(limit_figure(fit.edm_sigma, fit.tracks, result.floor), output / "edm_limit.png")
    _print(console, fit, result, content)
    console.print(f"written: {output}/edm.json, edm_search.png and edm_limit.png")


def _search(
    injected: float,
    tracks: int,
    data: Path | None,
    radial_field: float,
    roll: float,
    calibration_decays: int,
    seed: int,
    keep: bool,
    *,
    quiet: bool,
) -> tuple[EdmFit, float | None, Tracks | None]:
    """Return the fit, the injected EDM (None for recorded data) and the tracks where they are to be kept."""
    from collections.abc import Iterator

    from gminus2.edm.analysis import calibrate_dilution, fit_edm, fit_rate, profile_tracks
    from gminus2.edm.library import spin_library
    from gminus2.edm.tracks import TrackerModel, Tracks, draw_tracks
    from gminus2.errors import ConfigError
    from gminus2.execution import progress

    if keep and tracks > 5_000_000:
        raise ConfigError("that many tracks are not written", where="--save-tracks", expected="at most 5000000 tracks")
    reference = spin_library(0.0, seed=seed)
    dilution = calibrate_dilution(reference, decays=calibration_decays, seed=seed)
    kept: list[Tracks] = []

    def simulated() -> Iterator[Tracks]:
        library = spin_library(injected, radial_field_ppm=radial_field, seed=seed)
        model = TrackerModel(roll_rad=roll * 1e-3)
        with progress("tracks", tracks, quiet=quiet) as advance:
            for chunk in draw_tracks(library, tracks, tracker=model, seed=seed):
                advance(len(chunk))
                if keep:
                    kept.append(chunk)
                yield chunk

    source = simulated() if data is None else iter([Tracks.read(data)])
    profile = profile_tracks(
        source, start_us=reference.start_us, stop_us=reference.stop_us, width_us=reference.period_us
    )
    fit = fit_edm(profile, dilution, fit_rate(profile, reference.omega_a))
    return fit, injected if data is None else None, Tracks.joined(kept) if kept else None


def _content(
    fit: EdmFit,
    result: CorrectedEdm,
    effects: Systematics,
    offset: float,
    hidden: dict[str, Any] | None,
    truth: float | None,
) -> dict[str, Any]:
    import math

    from gminus2.constants import published
    from gminus2.edm.limits import median_limit, tracks_for_limit

    old, goal = (float(published(f"edm.{name}")) * 1e-19 for name in ("limit_e821", "target_e989"))
    content: dict[str, Any] = {
        "blinded": hidden is not None,
        "blinding": hidden,
        "tracks": fit.tracks,
        "edm_e_cm": result.edm + offset,
        "statistical_e_cm": result.statistical,
        "systematic_e_cm": result.systematic,
        "systematics_e_cm": result.budget,
        "known_false_tilt_rad": effects.false_tilt(fit.roll_response),
        "chi2": fit.chi2,
        "dof": fit.dof,
        "rate": {
            "omega_rad_per_us": fit.rate.omega,
            "phase_rad": fit.rate.phase,
            "amplitude": fit.rate.amplitude,
        },
        "momentum_edges_mev": fit.profile.edges_mev,
        "dilution_rad": fit.dilution.kappa,
        "dilution_sigma_rad": fit.dilution.sigma,
        "in_phase_rad": fit.in_phase,
        "in_phase_sigma_rad": fit.in_phase_sigma,
        "median_limit_e_cm": median_limit(math.hypot(result.statistical, result.floor)),
        "limit_e821_e_cm": old,
        "goal_e989_e_cm": goal,
        "tracks_for_e821_limit": tracks_for_limit(old, fit.edm_sigma, fit.tracks),
        "tracks_for_goal": tracks_for_limit(goal, fit.edm_sigma, fit.tracks),
    }
    if hidden is None:
        content |= {
            "injected_e_cm": truth,
            "limit_95_e_cm": result.interval.upper,
            "lower_95_e_cm": result.interval.lower,
            "tilt_rad": fit.tilt,
            "bin_tilt_rad": fit.bin_tilt,
            "bin_sigma_rad": fit.bin_sigma,
        }
    return content


def _print(console: Console, fit: EdmFit, result: CorrectedEdm, content: dict[str, Any]) -> None:
    console.print(f"{fit.tracks} tracks, ω = {fit.rate.omega:.5f} rad/µs, rate amplitude {fit.rate.amplitude:.3f}")
    console.print(f"momentum bins agree: χ² = {fit.chi2:.1f} for {fit.dof}")
    word = "blinded d" if content["blinded"] else "d"
    console.print(
        f"{word} = ({content['edm_e_cm'] * 1e19:.2f} ± {result.statistical * 1e19:.2f} (stat)"
        f" ± {result.systematic * 1e19:.3f} (syst)) e-19 e·cm"
    )
    if not content["blinded"]:
        if content["injected_e_cm"] is not None:
            console.print(f"injected: {content['injected_e_cm'] * 1e19:.2f}e-19 e·cm")
        if result.interval.lower > 0:
            console.print(
                f"95 % interval (Feldman–Cousins): {result.interval.lower * 1e19:.2f} < |d| < "
                f"{result.interval.upper * 1e19:.2f} e-19 e·cm"
            )
        else:
            console.print(f"|d| < {result.interval.upper:.2e} e·cm (95 %, Feldman–Cousins)")
    console.print(f"median limit for d = 0 with these tracks: {content['median_limit_e_cm']:.2e} e·cm")
    console.print(
        f"E821:          {content['limit_e821_e_cm']:.1e} e·cm, {content['tracks_for_e821_limit']:.1e} tracks"
    )
    console.print(f"goal of E989:  {content['goal_e989_e_cm']:.1e} e·cm, {content['tracks_for_goal']:.1e} tracks")


def _open(console: Console, path: Path, phrase: str | None) -> None:
    """Print the true value of a blinded result."""
    import math

    from gminus2.data import read_result
    from gminus2.edm.blinding import HiddenEdm, open_edm
    from gminus2.edm.limits import modulus_interval
    from gminus2.errors import BlindingError

    content = read_result(path, "edm")
    if not content.get("blinding"):
        raise BlindingError("this result is not blinded", where=str(path))
    if phrase is None:
        raise BlindingError("the phrase is missing", where="--phrase")
    hidden = HiddenEdm(str(content["blinding"]["salt"]), str(content["blinding"]["commitment"]))
    value = float(content["edm_e_cm"]) - open_edm(hidden, phrase)
    sigma = math.hypot(float(content["statistical_e_cm"]), float(content["systematic_e_cm"]))
    interval = modulus_interval(value, sigma)
    console.print(f"d = ({value * 1e19:.2f} ± {sigma * 1e19:.2f}) e-19 e·cm")
    console.print(f"95 % interval of |d| (Feldman–Cousins): {interval.lower:.2e} … {interval.upper:.2e} e·cm")
