"""Tables of the theory room for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from rich.console import Console
from rich.table import Table

from gminus2.theory.budget import Budget, Comparison
from gminus2.theory.electron import ElectronResult, measured_electron_anomaly
from gminus2.theory.electroweak import ElectroweakResult
from gminus2.theory.hvp.analysis import HVPAnalysis
from gminus2.theory.qed import QEDResult

__all__ = ["print_budget", "print_computed", "print_hvp", "print_lattice", "print_tensions", "with_error"]


def with_error(value: float, sigma: float, digits: int) -> str:
    """Return ``value(sigma)`` with the uncertainty in units of the last digit where it is below one."""
    if sigma < 1.0 and digits:
        return f"{value:.{digits}f}({round(sigma * 10**digits)})"
    return f"{value:.{digits}f}({sigma:.{digits}f})"


def print_budget(console: Console, one: Budget) -> None:
    """Print a budget line by line, with sources and status."""
    table = Table(title=f"{one.label} ({one.name})  [1e-11]", title_justify="left")
    columns: tuple[tuple[str, Literal["left", "right"]], ...] = (
        ("contribution", "left"),
        ("value", "right"),
        ("σ", "right"),
        ("source", "left"),
        ("status", "left"),
    )
    for name, justify in columns:
        table.add_column(name, justify=justify)
    for line in one.contributions:
        digits = 3 if line.group == "QED" else 1
        table.add_row(line.label, f"{line.value:.{digits}f}", f"{line.sigma:.{digits}f}", line.source, line.status)
    table.add_section()
    value, sigma = one.group("HVP")
    table.add_row("HVP, all orders", f"{value:.1f}", f"{sigma:.1f}", "", "")
    table.add_row("sum of lines", f"{one.sum_of_lines:.1f}", f"{one.sum_sigma:.1f}", "", "")
    if one.total is not None:
        table.add_row("published total", f"{one.value:.0f}", f"{one.sigma:.0f}", one.total.source, one.total.status)
    console.print(table)


def print_computed(
    console: Console, qed: QEDResult, weak: ElectroweakResult, electron: ElectronResult, alpha: str, five_loop: str
) -> None:
    """Print what the package computes itself: QED, electroweak and a_e."""
    seen, sigma = measured_electron_anomaly()
    pull = (seen - electron.value) / (sigma**2 + electron.sigma**2) ** 0.5
    console.print(f"computed here   (1/α {alpha}, five-loop term {five_loop})")
    console.print(f"  QED           {qed.value * 1e11:.3f} ± {qed.sigma * 1e11:.3f} e-11")
    console.print(f"  electroweak   one loop {weak.one_loop.total * 1e11:.2f} e-11")
    console.print(
        f"                with two-loop items \\[unverified] {weak.value * 1e11:.1f} ± {weak.sigma * 1e11:.1f} e-11"
    )
    console.print(f"  a_e           {electron.value * 1e12:.3f} ± {electron.sigma * 1e12:.3f} e-12")
    console.print(f"                measured 2023 − predicted: {pull:+.1f} σ")


def print_tensions(console: Console, comparisons: Sequence[Comparison]) -> None:
    """Print measured minus predicted for every pair."""
    table = Table(title="measured − predicted  [1e-11]", title_justify="left")
    for name in ("measurement", "a_μ", "budget", "difference", "tension"):
        table.add_column(name, justify="left" if name in ("measurement", "budget") else "right")
    for one in comparisons:
        digits = 1 if one.experiment.value % 1 else 0
        table.add_row(
            one.experiment.label,
            f"{one.experiment.value:.{digits}f}({one.experiment.sigma:.{digits}f})",
            one.budget.name,
            f"{one.difference:.0f}({one.sigma:.0f})",
            f"{one.significance:.1f} σ",
        )
    console.print(table)
    console.print("The budgets are alternatives and are never averaged.")


def print_hvp(console: Console, result: HVPAnalysis, name: str) -> None:
    """Print the integrals over a user's R(s), in 1e-10."""
    nlo = result.next_to_leading
    low, high = result.range_gev
    console.print(f"HVP from {name}, {low:.4g} … {high:.4g} GeV ({result.scope})  [1e-10]")
    for step in result.steps:
        console.print(f"  {step}")
    console.print(
        f"  leading order   {result.leading_order * 1e10:.2f} ± {result.sigma * 1e10:.2f} (uncertainties of the file)"
    )
    if result.scope == "inclusive":
        console.print(
            f"                  ± {result.sigma_with_tension * 1e10:.1f} with the disagreement of experiments"
        )
    console.print(f"  space-like      {result.space_like * 1e10:.4f}")
    console.print(f"  time-momentum   {result.time_momentum * 1e10:.4f}")
    for key, (value, sigma) in result.windows.items():
        console.print(f"  window {key:<9}{value * 1e10:.2f} ± {sigma * 1e10:.2f}")
    console.print(
        f"  NLO             {nlo.total * 1e10:.2f}: photon {nlo.photon * 1e10:.2f}, e loop {nlo.electron * 1e10:.2f},"
    )
    console.print(f"                  τ loop {nlo.tau * 1e10:.3f}, double {nlo.double * 1e10:.2f}")
    if result.replicas is not None:
        count, mean, sigma = result.replicas
        console.print(f"  {count} replicas   {mean * 1e10:.2f} ± {sigma * 1e10:.2f}")


def print_lattice(console: Console, result: Mapping[str, tuple[float, float]], name: str) -> None:
    """Print the integrals over a lattice correlator, in 1e-10."""
    console.print(f"HVP from the correlator {name}  [1e-10]")
    for key, (value, sigma) in result.items():
        console.print(f"  {key:<6} {value * 1e10:.2f} ± {sigma * 1e10:.2f}")
