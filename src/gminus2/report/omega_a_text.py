"""The tables that ``gminus2 omega-a`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table

if TYPE_CHECKING:
    from gminus2.pipeline.omega_a_campaign import OmegaARun

__all__ = ["omega_a_report"]


def omega_a_report(run: OmegaARun) -> RenderableType:
    """Return one table of values and one of systematics."""
    values = Table(title="R in ppm by analysis, each under the blind of its team", title_justify="left")
    names = list(run.datasets)
    values.add_column("analysis")
    for name in names:
        values.add_column(name, justify="right")
    first = next(iter(run.datasets.values()))
    for analysis in first["order"]:
        cells = []
        for name in names:
            found = run.datasets[name]["analyses"].get(analysis)
            if found is None:
                cells.append("-")
                continue
            r = found["R_ppm"]
            bad = not found["converged"] or found["p_value"] < 1e-6
            cells.append(f"{r['value']:.3f} ± {r['statistical']:.3f}{' BAD FIT' if bad else ''}")
        values.add_row(analysis, *cells)
    values.add_section()
    values.add_row(
        "combined",
        *(
            f"{d['R_ppm']['value']:.3f} ± {d['R_ppm']['statistical']:.3f} ± {d['R_ppm']['systematic']:.3f}"
            for d in run.datasets.values()
        ),
    )
    parts: list[RenderableType] = [values]
    rows = sorted({row for d in run.datasets.values() for row in d["systematics_ppb"]})
    if rows:
        table = Table(title="Systematic uncertainty of the combined value in ppb", title_justify="left")
        table.add_column("source")
        for name in names:
            table.add_column(name, justify="right")
        for row in rows:
            table.add_row(row, *(f"{run.datasets[n]['systematics_ppb'].get(row, 0.0):.1f}" for n in names))
        table.add_section()
        table.add_row("total", *(f"{1e3 * run.datasets[n]['R_ppm']['systematic']:.1f}" for n in names))
        parts.append(table)
    return Group(*parts)
