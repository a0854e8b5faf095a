"""``gminus2 track``: follow a few muons, or a stored beam, around the ring."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gminus2.cli.common import output_options, printer

__all__ = ["track"]


@click.command()
@click.option("--geometry", default="e989", show_default=True, help="Geometry by name (e989, e821) or file.")
@click.option("--field-index", "-n", type=float, default=None, help="Averaged field index; default 0.108.")
@click.option("--voltage", type=float, default=None, help="Plate voltage [kV] instead of the field index.")
@click.option("--preset", default=None, help="Ring preset (run1a … run1d, repaired); its beam is injected and tracked.")
@click.option("--multipoles", type=click.Choice(["none", "main", "all"]), default="none", show_default=True)
@click.option("--muon", "-m", "muons", multiple=True, help="A muon as x,x',y,y',delta in mm, mrad, 1e-3; repeatable.")
@click.option("--count", type=int, default=20_000, show_default=True, help="Muons to inject with --preset.")
@click.option("--turns", type=int, default=300, show_default=True)
@click.option("--edm", type=float, default=0.0, help="Electric dipole moment [e cm].")
@click.option("--slices", type=int, default=1, show_default=True, help="4th-order slices per plate (4 kicks each).")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--workers", type=int, default=None, help="Threads; default all CPUs.")
@output_options
def track(
    geometry: str,
    field_index: float | None,
    voltage: float | None,
    preset: str | None,
    multipoles: str,
    muons: tuple[str, ...],
    count: int,
    turns: int,
    edm: float,
    slices: int,
    seed: int,
    workers: int | None,
    output: Path,
    quiet: bool,
) -> None:
    """Track muons with spin: orbits, tunes, precession, polarisation.

    Without --preset a few muons are followed in constant voltages and their ω_a is compared with the closed forms.
    With --preset a beam is injected, and its centroid, widths, CBO and polarisation are followed.
    """
    from dataclasses import replace

    from gminus2.data import make_provenance, write_result
    from gminus2.errors import ConfigError
    from gminus2.physics.spin import eta_from_edm
    from gminus2.report import save_figure
    from gminus2.report.ring_figures import beam_figure, cbo_figure, track_figure
    from gminus2.ring.cbo import cbo_curve, fit_decay
    from gminus2.ring.commands import parse_muon, track_few
    from gminus2.ring.esq import ElectricField
    from gminus2.ring.geometry import load_geometry
    from gminus2.ring.injection import inject
    from gminus2.ring.presets import ring_preset
    from gminus2.ring.program import Observer, Scheme
    from gminus2.ring.tracking import Ring
    from gminus2.ring.tracking import track as track_muons

    console = printer(quiet)

    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    settings: dict[str, Any] = {"geometry": geometry, "turns": turns, "edm_e_cm": edm, "preset": preset, "seed": seed}
    provenance = make_provenance("track", config=settings, seed=seed)
    if preset is not None:
        if muons or field_index is not None or voltage is not None:
            raise ConfigError("--preset brings its own ring and beam", hint="drop --muon, --field-index and --voltage")
        chosen = ring_preset(preset)
        injected = inject(chosen.ring, chosen.beam, count, turns=64, seed=seed, workers=workers, quiet=quiet)
        summary = injected.summary()
        ring = replace(
            chosen.ring,
            edm_eta=eta_from_edm(edm),
            observers=(Observer("azimuth 0", 0.0), Observer("azimuth 180", 3.141592653589793)),
        )
        result = track_muons(
            ring,
            injected.muons,
            turns,
            moments=True,
            seed=seed,
            workers=workers,
            quiet=quiet,
            check_start=False,
            begin=injected.turns,
        )
        curve = cbo_curve(result.moments[:, 0], ring.optics())
        content: dict[str, Any] = {
            "stored_muons": summary.muons,
            "stored_fraction": summary.stored_fraction,
            "x_e_mean_mm": summary.x_e_mean_mm,
            "x_e_rms_mm": summary.x_e_rms_mm,
            "muons_left": len(result.muons),
            "cbo_amplitude_mm": float(curve.amplitude_mm[: max(1, turns // 20)].mean()),
            "time_us": curve.time_us,
            "cbo_frequency_mhz": curve.frequency_mhz if turns > 20 else [],
        }
        if turns >= 300:
            content["cbo_decay_us"] = fit_decay(curve, float(curve.time_us[0]), float(curve.time_us[-1]))[1]
        write_result(output / "track.json", "track", {"settings": settings, **content}, provenance)
        save_figure(beam_figure(result.moments, [o.name for o in ring.observers]), output / "beam.png")
        if turns > 20:
            drift = chosen.drift
            published = (
                {preset: (drift.omega0, drift.slow, drift.slow_us, drift.fast, drift.fast_us)} if drift else None
            )
            save_figure(cbo_figure({preset: curve}, published), output / "cbo.png")
        say(
            f"{preset}: {summary.muons} of {count} muons stored ({100 * summary.stored_fraction:.2f} %), "
            f"x_e {summary.x_e_mean_mm:.2f} ± {summary.x_e_rms_mm:.2f} mm, {len(result.muons)} left after {turns} turns"
        )
        if "cbo_decay_us" in content:
            say(f"CBO amplitude {content['cbo_amplitude_mm']:.1f} mm, decay {content['cbo_decay_us']:.0f} us")
        say(f"written to {output}")
        return
    ring_geometry = load_geometry(geometry)
    if field_index is not None and voltage is not None:
        raise ConfigError("give the field index or the voltage, not both")
    kind: Any = multipoles
    electric = (
        ElectricField.from_voltage(voltage, ring_geometry, multipoles=kind)
        if voltage is not None
        else ElectricField(0.108 if field_index is None else field_index, multipoles=kind)
    )
    ring = Ring(ring_geometry, electric, scheme=Scheme(slices=slices), edm_eta=eta_from_edm(edm))
    start = parse_muon(muons or ("0,0,0,0,0", "10.5,0,0,0,1.32", "0,0,20,0,0", "10,1,10,0.5,-1"))
    few = track_few(ring, start, turns, workers=workers)
    write_result(output / "track.json", "track", {"settings": settings, **few.to_json()}, provenance)
    save_figure(track_figure(few.time_us, few.x_mm, few.y_mm, few.phase, ring.omega_a), output / "orbits.png")
    say(f"{geometry}, n = {electric.field_index:.4f}, {ring.program().kicks_per_turn} kicks per turn, {turns} turns")
    say("muon      nu_x      nu_y   omega_a shift [ppb]   E field + pitch [ppb]")
    for i in range(len(start)):
        say(
            f"{i:4d}  {few.nu_x[i]:8.5f}  {few.nu_y[i]:8.5f}   {1e9 * few.omega_a_shift[i]:19.3f}   "
            f"{1e9 * few.expected_shift[i]:21.3f}"
            + ("" if few.lost_turn[i] < 0 else f"   lost in turn {few.lost_turn[i]}")
        )
    say(f"written to {output}")
