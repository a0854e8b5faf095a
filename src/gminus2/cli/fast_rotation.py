"""``gminus2 fast-rotation``: momenta of the stored muons and C_e from an early-time histogram."""

from __future__ import annotations

from pathlib import Path

import click

from gminus2.cli.common import output_options, printer

__all__ = ["fast_rotation"]


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--start", type=float, default=4.0, show_default=True, metavar="US", help="Begin of the window.")
@click.option("--stop", type=float, metavar="US", help="End of the window.  [default: 250, or the end of the data]")
@click.option("--field-index", "-n", type=float, default=0.108, show_default=True, help="Field index n.")
@click.option(
    "--lattice",
    type=click.Choice(["discrete", "continuous"]),
    default="discrete",
    show_default=True,
    help="E989's quadrupole plates, or quadrupoles smeared around the ring.",
)
@click.option("--harmonics", type=click.IntRange(1, 12), default=6, show_default=True, help="Harmonics to use.")
@click.option(
    "--azimuths",
    type=click.Choice(["auto", "even", "aligned"]),
    default="auto",
    show_default=True,
    help="Where several detectors stand: evenly around the ring, or shifted in time to one azimuth already.",
)
@click.option("--detector", "detectors", multiple=True, metavar="LABEL", help="Use only this detector (repeatable).")
@click.option("--histogram", "histograms", multiple=True, metavar="NAME", help="Histogram in the file (repeatable).")
@click.option("--columns", metavar="ROLES", help="Columns of a table, e.g. time=1,counts=2,error=3.")
@click.option("--time-unit", type=click.Choice(["ns", "us", "ms", "s"]), help="Unit of time in the file.")
@click.option("--bin-width", type=float, help="Bin width in the time unit, for files without times.")
@click.option("--scan-start", metavar="US,US,…", help="Repeat the analysis with these starts.")
@output_options
def fast_rotation(
    file: Path,
    start: float,
    stop: float | None,
    field_index: float,
    lattice: str,
    harmonics: int,
    azimuths: str,
    detectors: tuple[str, ...],
    histograms: tuple[str, ...],
    columns: str | None,
    time_unit: str | None,
    bin_width: float | None,
    scan_start: str | None,
    output: Path,
    quiet: bool,
) -> None:
    """Reconstruct momenta, injection times and C_e from FILE.

    FILE holds counts (or an already normalised signal) against time in bins of about 1 ns: CSV, NumPy, ROOT, HDF5.
    """
    from dataclasses import replace

    from gminus2.beam.fast_rotation import FastRotationOptions, analyse_fast_rotation
    from gminus2.data import make_provenance, write_result
    from gminus2.data.io import ReadOptions, read_histogram
    from gminus2.errors import ConfigError, GMinus2Error
    from gminus2.report.beam_figures import fast_rotation_figures

    options = FastRotationOptions(
        start_us=start,
        stop_us=stop,
        field_index=field_index,
        lattice=lattice,  # type: ignore[arg-type]
        harmonics=harmonics,
        azimuths=azimuths,  # type: ignore[arg-type]
    )
    try:
        starts = [float(word) for word in scan_start.split(",")] if scan_start else []
    except ValueError:
        raise ConfigError("the starts of the scan must be numbers", where="--scan-start", found=scan_start) from None
    histogram, report = read_histogram(
        file,
        ReadOptions(columns=columns, time_unit=time_unit, bin_width=bin_width, histograms=histograms),
        detectors=detectors,
    )
    result = analyse_fast_rotation(histogram, options)
    scan: list[dict[str, object]] = []
    for early in starts:
        try:
            other = analyse_fast_rotation(histogram, replace(options, start_us=early)).correction
            scan.append({"start_us": early, "C_e_ppb": other.value_ppb, "error_ppb": _fit_error(other.rows_ppb)})
        except GMinus2Error as refusal:
            scan.append({"start_us": early, "refused": refusal.message})
    content = result.to_json()
    content["scan_start"] = scan
    content["read"] = {"format": report.format, "bins": report.n_bins, "width_ns": 1e3 * report.width_us}
    provenance = make_provenance("fast-rotation", inputs=[file])
    write_result(output / "fast_rotation.json", "fast-rotation", content, provenance)
    figures = fast_rotation_figures(result, output, scan)

    console = printer(quiet)
    rows = result.correction.rows_ppb
    console.print(
        f"{file.name}: {report.format}, {report.n_bins} bins of {1e3 * report.width_us:.4g} ns, "
        f"{len(report.detectors)} detector(s), {result.counts:.4g} counts in "
        f"{result.window_us[0]:g} to {result.window_us[1]:g} µs"
    )
    console.print(f"t0           {1e3 * result.t0_us:10.2f} ns (mean injection time, modulo one turn)")
    console.print(f"<x_e>        {result.mean_x_e_mm[0]:10.3f} ± {result.mean_x_e_mm[1]:.3f} mm")
    console.print(f"width        {result.width_x_e_mm[0]:10.3f} ± {result.width_x_e_mm[1]:.3f} mm")
    console.print(f"correlation  {result.correlation:+10.3f} (momentum, injection time)")
    console.print(f"C_e          {result.correction.value_ppb:10.1f} ± {result.correction.uncertainty_ppb:.1f} ppb")
    for name, value in rows.items():
        console.print(f"  {name.replace('_', ' '):20s}{value:7.2f} ppb")
    console.print(f"  with smeared quadrupoles, 2n(1-n)β²<x_e²>/R0²: {result.continuous_ppb:.1f} ppb")
    if result.cosine_ppb is not None:
        console.print(f"  cosine transform: {result.cosine_ppb[0]:.1f} ± {result.cosine_ppb[1]:.1f} ppb (statistics)")
    console.print(f"χ²/ndf       {result.chi2:.1f}/{result.ndf:.1f}, p = {result.p_value:.3g}")
    for item in scan:
        text = (
            f"refused: {item['refused']}" if "refused" in item else f"{item['C_e_ppb']:.1f} ± {item['error_ppb']:.1f}"
        )
        console.print(f"  start {item['start_us']:g} µs: {text}")
    for warning in result.warnings:
        console.print(f"warning: {warning}")
    for path in (output / "fast_rotation.json", *figures):
        console.print(f"  {path}")


def _fit_error(rows: object) -> float:
    from math import hypot

    assert hasattr(rows, "__getitem__")
    return hypot(rows["statistics"], rows["fourier_method"], rows["momentum_time"])
