"""``gminus2 clfv``: rates of charged-lepton flavour violation and the mass reach of the experiments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gminus2.cli.common import output_options, printer

__all__ = ["clfv"]


@click.command()
@click.option("--scale", type=float, default=None, help="Scale in TeV at which rates are printed.")
@click.option("--kappa", type=float, multiple=True, help="Weight of contact operators; 0.01, 1 and 100 by default.")
@click.option("--limit", "names", multiple=True, help="Limits and goals to show; all by default.")
@output_options
def clfv(scale: float | None, kappa: tuple[float, ...], names: tuple[str, ...], output: Path, quiet: bool) -> None:
    """Print the reach in the scale of new physics of mu -> e gamma, mu -> 3e and mu -> e conversion."""
    from rich.table import Table

    from gminus2.data import make_provenance, write_result
    from gminus2.report.plotting import save_figure
    from gminus2.report.theory_figures import clfv_reach_figure
    from gminus2.theory.clfv import LIMITS, dipole_ratio_conversion, dipole_ratio_three_electrons, limit, reach
    from gminus2.theory.dipole import mixing_reach

    console = printer(quiet)
    weights = kappa or (0.01, 1.0, 100.0)
    limits = [limit(name) for name in (names or LIMITS)]
    table = Table(title="reach in Λ [TeV]", title_justify="left")
    for head in ("experiment", "limit or goal", *(f"κ = {k:g}" for k in weights), "status"):
        table.add_column(head, justify="left" if head in ("experiment", "status") else "right")
    rows: dict[str, Any] = {}
    for one in limits:
        scales = [reach(one, k) / 1e3 for k in weights]
        table.add_row(one.label, f"{float(one.quantity):.2g}", *(f"{x:.0f}" for x in scales), one.quantity.status)
        rows[one.name] = {
            "label": one.label,
            "channel": one.channel,
            "limit": float(one.quantity),
            "status": one.quantity.status,
            "reach_tev": dict(zip(map(str, weights), scales, strict=True)),
        }
    console.print(table)
    ratios = {
        "mu_3e": dipole_ratio_three_electrons(),
        **{f"mu_e_{n}": dipole_ratio_conversion(n) for n in ("al", "ti", "au")},
    }
    console.print(
        "pure dipole, relative to BR(μ → eγ): " + ", ".join(f"{key} {value:.5f}" for key, value in ratios.items())
    )
    mixing = mixing_reach(250e-11, float(limit("mu_e_gamma").quantity))
    console.print(f"Δa_μ = 250e-11 from one dipole operator allows a mixing with the electron below {mixing:.2e}")
    content: dict[str, Any] = {"kappa": weights, "limits": rows, "dipole_ratios": ratios, "mixing_for_250e-11": mixing}
    if scale is not None:
        rates = {one.name: [one.rate(scale * 1e3, k) for k in weights] for one in limits}
        content["rates"] = {"scale_tev": scale, "kappa": weights, "values": rates}
        for one in limits:
            console.print(f"{one.label}, Λ = {scale:g} TeV: " + ", ".join(f"{x:.3g}" for x in rates[one.name]))
    provenance = make_provenance("gminus2 clfv", config={"scale": scale, "kappa": list(weights), "limits": list(names)})
    write_result(output / "clfv.json", "clfv", content, provenance)
    save_figure(clfv_reach_figure(limits), output / "clfv_reach.png")
    console.print(f"written: {output}/clfv.json and clfv_reach.png")
