"""``gminus2 inject``: bring a bunch into the ring and see what is stored."""

from __future__ import annotations

from pathlib import Path

import click

from gminus2.cli.common import output_options, printer

__all__ = ["inject"]


@click.command()
@click.option("--preset", default="run1a", show_default=True, help="Ring preset: run1a … run1d, repaired.")
@click.option("--kick", type=float, default=None, help="Peak field of the kickers [G]; default the preset's.")
@click.option("--timing", type=float, default=None, help="Peak of the pulse after the bunch centre [ns].")
@click.option("--voltage", type=float, default=None, help="Plate voltage [kV].")
@click.option(
    "--pulse",
    default=None,
    help="Kicker pulse: run1, run1-no-ringing, run1-recorded, cos2, lcr, or a file (ns, field).",
)
@click.option(
    "--profile", default=None, help="Bunch profile: w, trident, w0 … w7, gauss25, flat125, or a file (ns, intensity)."
)
@click.option("--count", type=click.IntRange(min=1), default=200_000, show_default=True, help="Muons at the inflector.")
@click.option(
    "--turns", type=click.IntRange(min=1), default=64, show_default=True, help="Turns a stored muon survives."
)
@click.option("--scan", type=click.Choice(["kick", "timing", "voltage"]), default=None, help="Scan one quantity.")
@click.option("--range", "span", nargs=3, type=float, default=None, help="First, last value and number of points.")
@click.option("--beam/--no-beam", "make_beam", default=False, help="Also fit the analytic form and write beam.h5.")
@click.option("--loss-turns", type=click.IntRange(min=0), default=0, help="With --beam: track losses for this long.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--workers", type=int, default=None, help="Threads; default all CPUs.")
@output_options
def inject(
    preset: str,
    kick: float | None,
    timing: float | None,
    voltage: float | None,
    pulse: str | None,
    profile: str | None,
    count: int,
    turns: int,
    scan: str | None,
    span: tuple[float, float, float] | None,
    make_beam: bool,
    loss_turns: int,
    seed: int,
    workers: int | None,
    output: Path,
    quiet: bool,
) -> None:
    """Inject muons: stored fraction, equilibrium radii, C_e, CBO amplitude, at one setting or as a scan.

    Examples: gminus2 inject --preset run1a; gminus2 inject --scan kick --range 150 300 7;
    gminus2 inject --preset run1d --beam --loss-turns 4000
    """
    from dataclasses import asdict, replace

    import numpy as np

    from gminus2.data import make_provenance, write_result
    from gminus2.errors import ConfigError
    from gminus2.report import save_figure
    from gminus2.report.ring_figures import injection_figure, loss_figure, scan_figure
    from gminus2.ring.calibration import check_against_tracking, stored_beam
    from gminus2.ring.commands import scan_injection
    from gminus2.ring.esq import ElectricField
    from gminus2.ring.injection import PROFILES, read_profile
    from gminus2.ring.injection import inject as run_injection
    from gminus2.ring.kicker import PULSES, read_pulse
    from gminus2.ring.losses import loss_rate
    from gminus2.ring.presets import ring_preset

    chosen = ring_preset(preset)
    ring, beam = chosen.ring, chosen.beam
    assert ring.kicker is not None
    kicker = ring.kicker
    if pulse is not None:
        kicker = replace(kicker, pulse=pulse if pulse in PULSES else read_pulse(Path(pulse)))
    if kick is not None:
        kicker = kicker.with_peak(kick)
    if timing is not None:
        kicker = replace(kicker, timing_us=1e-3 * timing)
    if voltage is not None:
        old = ring.electric
        ring = replace(
            ring,
            electric=ElectricField.from_voltage(
                voltage,
                ring.geometry,
                sextupole_switch=old.sextupole_switch,
                multipoles=old.multipoles,
                history=old.history,
            ),
        )
    ring = replace(ring, kicker=kicker)
    if profile is not None:
        beam = replace(beam, profile=profile if profile in PROFILES else read_profile(Path(profile)))
    settings = {
        "preset": preset,
        "kick_gauss": kicker.peak_gauss,
        "timing_us": kicker.timing_us,
        "pulse": kicker.shape().name,
        "profile": beam.profile if isinstance(beam.profile, str) else beam.profile.name,
        "field_index": ring.electric.field_index,
        "count": count,
        "turns": turns,
        "seed": seed,
    }
    provenance = make_provenance("inject", config=settings, seed=seed)
    console = printer(quiet)

    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    if scan is not None:
        default = {"kick": (120.0, 320.0, 11.0), "timing": (-60.0, 60.0, 9.0), "voltage": (14.0, 24.0, 6.0)}[scan]
        first, last, number = span or default
        if number != round(number) or number < 2:
            raise ConfigError("a scan needs a whole number of points, at least 2", where="--range", found=f"{number:g}")
        values = np.linspace(first, last, round(number)).tolist()
        done = scan_injection(ring, beam, scan, values, count, turns=turns, seed=seed, workers=workers, quiet=quiet)
        names = list(asdict(done.summaries[0]))
        rows = {name: done.column(name) for name in names}
        best, amplitude = done.best_cbo()
        content = {"settings": settings, "scan": scan, "values": values, "rows": rows}
        content |= {"best_value": best, "best_cbo_mm": amplitude}
        write_result(output / "inject.json", "inject", content, provenance)
        errors = {
            "stored_fraction": rows["stored_error"],
            "x_e_mean_mm": rows["x_e_error_mm"],
            "c_e": rows["c_e_error"],
            "cbo_mm": rows["cbo_error_mm"],
        }
        unit = {"kick": "kick [G]", "timing": "pulse timing [ns]", "voltage": "voltage [kV]"}[scan]
        save_figure(scan_figure(done.values, rows, errors, unit), output / "scan.png")
        say(f"{unit:>18}  stored %   x_e mean   rms [mm]   C_e [ppb]   CBO [mm]   corr(t, delta)")
        for value, s in zip(values, done.summaries, strict=True):
            say(
                f"{value:18.1f}  {100 * s.stored_fraction:8.2f}   {s.x_e_mean_mm:8.2f}   {s.x_e_rms_mm:8.2f}   "
                f"{1e9 * s.c_e:6.0f} ± {1e9 * s.c_e_error:.0f}   {s.cbo_mm:8.2f}   {s.time_momentum_correlation:+.3f}"
            )
        say(f"smallest CBO amplitude {amplitude:.1f} mm at {unit.partition(' [')[0]} {best:g}")
        say(f"written to {output}")
        return
    result = run_injection(ring, beam, count, turns=turns, seed=seed, workers=workers, quiet=quiet)
    summary = result.summary()
    content = {"settings": settings, **asdict(summary)}
    save_figure(injection_figure(result), output / "injection.png")
    say(
        f"{preset}: {summary.muons} of {count} stored ({100 * summary.stored_fraction:.2f} %)\n"
        f"  x_e {summary.x_e_mean_mm:.2f} mm, rms {summary.x_e_rms_mm:.2f} mm; C_e {1e9 * summary.c_e:.0f} ± "
        f"{1e9 * summary.c_e_error:.0f} ppb; C_p {1e9 * summary.c_p:.0f} ppb\n"
        f"  CBO {summary.cbo_mm:.1f} mm; y rms {summary.y_rms_mm:.1f} mm; corr(t, delta) "
        f"{summary.time_momentum_correlation:+.3f}"
    )
    if make_beam:
        stored = stored_beam(result, loss_turns=loss_turns, seed=seed, workers=workers, quiet=quiet)
        stored.write(output / "beam.h5", provenance)
        residual = check_against_tracking(stored, ring)
        content["analytic_form"] = asdict(residual)
        say(
            f"  analytic form against {residual.turns} tracked turns: omega_a {residual.omega_a_ppb:.3f} ppb rms, "
            f"x {residual.x_mm:.2f} mm, y {residual.y_mm:.2f} mm rms"
        )
        if loss_turns and np.isfinite(stored.loss_time_us).any():
            edges = np.linspace(stored.valid_from_us, stored.valid_from_us + loss_turns * ring.period_us, 9)
            rate = loss_rate(stored, edges)
            content["losses"] = asdict(rate)
            save_figure(loss_figure(rate), output / "losses.png")
            lost = float(np.isfinite(stored.loss_time_us).mean())
            say(f"  {100 * lost:.2f} % lost within {loss_turns} turns")
    write_result(output / "inject.json", "inject", content, provenance)
    say(f"written to {output}")
