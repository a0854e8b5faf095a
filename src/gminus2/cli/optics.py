"""``gminus2 optics``: beta functions, dispersion, tunes and frequencies of the ring."""

from __future__ import annotations

from pathlib import Path

import click

from gminus2.cli.common import output_options, printer

__all__ = ["optics"]


@click.command()
@click.option("--geometry", default="e989", show_default=True, help="Geometry by name (e989, e821) or file.")
@click.option("--field-index", "-n", type=float, default=None, help="Averaged field index; default 0.108.")
@click.option("--voltage", type=float, default=None, help="Plate voltage [kV] instead of the field index.")
@click.option("--scan", nargs=2, type=float, default=(0.09, 0.14), show_default=True, help="Range of n of the table.")
@click.option("--points", type=click.IntRange(2, 2000), default=26, show_default=True, help="Rows of the table.")
@click.option("--measure/--no-measure", default=True, show_default=True, help="Measure chromaticities by tracking.")
@output_options
def optics(
    geometry: str,
    field_index: float | None,
    voltage: float | None,
    scan: tuple[float, float],
    points: int,
    measure: bool,
    output: Path,
    quiet: bool,
) -> None:
    """Show the optics at one setting and tunes and frequencies against field index and voltage."""
    import math

    import numpy as np

    from gminus2.data import make_provenance, write_result
    from gminus2.errors import ConfigError
    from gminus2.report import save_figure
    from gminus2.report.ring_figures import optics_figure, optics_scan_figure
    from gminus2.ring.commands import optics_scan
    from gminus2.ring.esq import ElectricField
    from gminus2.ring.geometry import load_geometry
    from gminus2.ring.measure import chromaticity
    from gminus2.ring.tracking import Ring

    if field_index is not None and voltage is not None:
        raise ConfigError("give the field index or the voltage, not both")
    if not scan[0] < scan[1]:
        raise ConfigError("the scan must rise", where="--scan", found=f"{scan[0]:g} {scan[1]:g}")
    ring_geometry = load_geometry(geometry)
    electric = (
        ElectricField.from_voltage(voltage, ring_geometry)
        if voltage is not None
        else ElectricField(0.108 if field_index is None else field_index)
    )
    ring = Ring(ring_geometry, electric)
    here = ring.optics()
    table = optics_scan(ring_geometry, np.linspace(scan[0], scan[1], points))
    point = optics_scan(ring_geometry, np.array([electric.field_index]))
    now = {name: float(values[0]) for name, values in point.rows.items()}
    now |= {"field_index": electric.field_index, "voltage_kv": float(point.voltage_kv[0])}
    console = printer(quiet)

    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    if measure:
        chroma = chromaticity(ring, turns=2048)
        now |= {"xi_x": chroma.xi_x, "xi_y": chroma.xi_y}
    content = {
        "geometry": ring_geometry.name,
        "geometry_status": ring_geometry.status,
        "here": now,
        "scan": {"field_index": table.field_index, "voltage_kv": table.voltage_kv, **table.rows},
        "azimuth_deg": np.degrees(here.azimuth_rad),
        "beta_x_m": 1e-3 * here.beta_x[0],
        "beta_y_m": 1e-3 * here.beta_y[0],
        "dispersion_m": 1e-3 * here.dispersion[0],
    }
    settings = {"geometry": geometry, "field_index": electric.field_index, "scan": scan, "points": points}
    write_result(output / "optics.json", "optics", content, make_provenance("optics", config=settings))
    plates = [(math.degrees(p.begin), math.degrees(p.end)) for p in ring_geometry.plates]
    title = f"{ring_geometry.name}, n = {electric.field_index:.4f} ({now['voltage_kv']:.1f} kV)"
    save_figure(optics_figure(here, plates, title), output / "optics.png")
    save_figure(
        optics_scan_figure(table.field_index, table.voltage_kv, table.rows, electric.field_index),
        output / "frequencies.png",
    )
    say(title)
    say(
        f"  nu_x {now['nu_x']:.6f}  nu_y {now['nu_y']:.6f}  f_CBO {now['f_cbo_mhz']:.5f} MHz  "
        f"f_y {now['f_y_mhz']:.4f} MHz  f_VW {now['f_vw_mhz']:.4f} MHz"
    )
    say(
        f"  beta_x {now['beta_x_min_m']:.3f}-{now['beta_x_max_m']:.3f} m  beta_y {now['beta_y_min_m']:.2f}-"
        f"{now['beta_y_max_m']:.2f} m  D {now['dispersion_min_m']:.3f}-{now['dispersion_max_m']:.3f} m  "
        f"alpha_p {now['alpha_p']:.5f}"
    )
    if measure:
        say(f"  chromaticity xi_x {now['xi_x']:+.4f}  xi_y {now['xi_y']:+.4f} (tracking)")
    say("\n      n   kV     nu_x      nu_y   f_CBO     f_y    f_VW [MHz]")
    for i in range(table.field_index.size):
        r = {name: values[i] for name, values in table.rows.items()}
        say(
            f"  {table.field_index[i]:.4f} {table.voltage_kv[i]:5.2f} {r['nu_x']:8.5f}  {r['nu_y']:8.5f}  "
            f"{r['f_cbo_mhz']:.4f}  {r['f_y_mhz']:.4f}  {r['f_vw_mhz']:.4f}"
        )
    say(f"written to {output}")
