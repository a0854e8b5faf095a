"""Figures of the theory room: contributions, running integral, history, regions of new physics, CLFV reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from numpy.typing import NDArray

from gminus2.report.plotting import COLOURS, new_figure
from gminus2.theory.budget import Budget, Experiment
from gminus2.theory.clfv import Limit, reach
from gminus2.theory.hvp.hadrons import HadronicR
from gminus2.theory.new_physics.models import Model
from gminus2.theory.new_physics.reach import COUPLINGS, DeltaInterval, mass_reach

__all__ = [
    "clfv_reach_figure",
    "contributions_figure",
    "history_figure",
    "mass_reach_figure",
    "region_figure",
    "running_integral_figure",
]

Array = NDArray[np.float64]


def contributions_figure(budgets: Sequence[Budget]) -> Figure:
    """Draw the size and the uncertainty of each group of contributions, one colour per budget."""
    figure, (left, right) = new_figure(1, 2, size=(9.5, 4.0))
    names = list(budgets[0].groups())
    height = 0.8 / len(budgets)
    for k, one in enumerate(budgets):
        groups = one.groups()
        at = np.arange(len(names)) + (k - (len(budgets) - 1) / 2) * height
        values = np.array([groups[name][0] for name in names])
        sigmas = np.array([groups[name][1] for name in names])
        left.barh(at, values, height * 0.9, color=COLOURS[k], label=one.name)
        right.barh(at, sigmas, height * 0.9, color=COLOURS[k], label=one.name)
        for y, value, sigma in zip(at, values, sigmas, strict=True):
            left.text(value * 1.3, y, f"{value:.1f}", va="center", fontsize=8)
            right.text(sigma * 1.15, y, f"{sigma:.2g}" if sigma < 1 else f"{sigma:.1f}", va="center", fontsize=8)
    left.set(xscale="log", xlim=(30, 1e12), xlabel=r"contribution to $a_\mu$  [$10^{-11}$]")
    right.set(xscale="log", xlim=(0.03, 400), xlabel=r"uncertainty  [$10^{-11}$]")
    for axis in (left, right):
        axis.set_yticks(np.arange(len(names)), names)
        axis.invert_yaxis()
        axis.grid(axis="y", visible=False)
    left.legend(loc="lower right")
    return figure


def running_integral_figure(hadrons: HadronicR, label: str, *, energies: Array | None = None) -> Figure:
    """Draw the share of a_μ(HVP, LO) per logarithm of energy, and the integral up to √s."""
    grid = np.geomspace(0.28, 40.0, 700) if energies is None else energies
    figure, (top, bottom) = new_figure(2, 1, size=(7.0, 5.5), sharex=True)
    total, _ = hadrons.leading_order()
    integral = hadrons.cumulative(grid) * 1e10
    edges = np.geomspace(0.28, 40.0, 241)
    density = np.diff(hadrons.cumulative(edges)) * 1e10 / np.diff(np.log(edges))
    top.stairs(density, edges, color=COLOURS[0], fill=True, alpha=0.35)
    top.stairs(density, edges, color=COLOURS[0])
    top.set(ylabel=r"$\mathrm{d}a_\mu/\mathrm{d}\ln\sqrt{s}$  [$10^{-10}$]")
    top.set_title(label, loc="left")
    bottom.plot(grid, integral, color=COLOURS[1])
    bottom.axhline(total * 1e10, color="0.4", linestyle="--", linewidth=1.0)
    bottom.text(0.285, total * 1e10, f" all energies: {total * 1e10:.1f}", va="bottom", fontsize=9, color="0.3")
    bottom.set(
        xscale="log",
        xlabel=r"$\sqrt{s}$  [GeV]",
        ylabel=r"$a_\mu^{\rm HVP,LO}$ below $\sqrt{s}$  [$10^{-10}$]",
        ylim=(0, 1.15 * total * 1e10),
    )
    bottom.set_xticks([0.3, 0.5, 1, 2, 5, 10, 20, 40], ["0.3", "0.5", "1", "2", "5", "10", "20", "40"])
    bottom.xaxis.set_minor_formatter(NullFormatter())
    bottom.set_xlim(0.28, 40.0)
    return figure


_OFFSET = 116_590_000.0


def history_figure(experiments: Sequence[Experiment], budgets: Sequence[Budget]) -> Figure:
    """Draw measured values with the bands of the budgets, in the order of the years."""
    figure, (axis,) = new_figure(size=(7.5, 4.6))
    ordered = sorted(experiments, key=lambda one: one.year)
    for k, one in enumerate(budgets):
        value = one.value - _OFFSET
        axis.axvspan(value - one.sigma, value + one.sigma, color=COLOURS[k], alpha=0.22, linewidth=0)
        axis.axvline(value, color=COLOURS[k], label=f"{one.name}: {value:.0f}({one.sigma:.0f})")
    for row, measured in enumerate(ordered):
        world = measured.name.startswith("world")
        axis.errorbar(
            measured.value - _OFFSET,
            row,
            xerr=measured.sigma,
            fmt="o" if world else "s",
            markersize=6,
            capsize=3,
            color="black" if world else "0.45",
            markerfacecolor="black" if world else "white",
        )
    axis.set_yticks(range(len(ordered)), [f"{one.label}" for one in ordered])
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    axis.set(xlabel=r"$a_\mu \times 10^{11} - 116\,590\,000$")
    axis.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=min(3, len(budgets)))
    return figure


def mass_reach_figure(intervals: Mapping[str, DeltaInterval]) -> Figure:
    """Draw Δa = C (m_μ/M)² against M for the benchmarks of C, with measured differences as bands or limits."""
    figure, (axis,) = new_figure(size=(7.0, 4.6))
    masses = np.geomspace(10.0, 2e4, 200)
    for k, (name, coefficient) in enumerate(COUPLINGS.items()):
        scale = mass_reach(coefficient, 1e-11)
        axis.plot(masses, (scale / masses) ** 2, color=COLOURS[k], label=f"C = {name}")
    for k, (label, one) in enumerate(intervals.items()):
        colour = COLOURS[3 + k]
        if one.significance > 3.0:
            low, high = (one.value - one.sigma) * 1e11, (one.value + one.sigma) * 1e11
            axis.axhspan(low, high, color=colour, alpha=0.35, linewidth=0, label=f"{label}: {one.value * 1e11:.0f}")
        else:
            axis.axhline(
                one.upper * 1e11, color=colour, linestyle="--", label=f"{label}: < {one.upper * 1e11:.0f} (95 %)"
            )
    axis.set(xscale="log", yscale="log", ylim=(1, 1e5), xlabel="mass M of new physics  [GeV]")
    axis.set_ylabel(r"$\Delta a_\mu$  [$10^{-11}$]")
    axis.legend(loc="upper right")
    return figure


def region_figure(
    chosen: Model, xs: Array, ys: Array, values: Array, interval: DeltaInterval, *, title: str, fixed: str = ""
) -> Figure:
    """Draw the region of a plane that a difference prefers (above 3σ) or excludes (one-sided 95 % limits).

    Parameters
    ----------
    xs, ys, values
        Grid and Δa, shape (y, x), from :func:`gminus2.theory.new_physics.models.scan_plane`.
    """
    figure, (axis,) = new_figure(size=(7.0, 5.2))
    # Scales before contours, so that their labels lie on the lines.
    axis.set(
        xscale="log" if chosen.x.log else "linear",
        yscale="log" if chosen.y.log else "linear",
        xlabel=chosen.x.label,
        ylabel=chosen.y.label,
        xlim=(xs[0], xs[-1]),
        ylim=(ys[0], ys[-1]),
    )
    finite = np.where(np.isfinite(values), values, 0.0)
    prefers = interval.significance > 3.0
    lower = min(interval.lower, 0.0) if not prefers else interval.lower
    handles: list[tuple[str, str]] = []
    if prefers:
        pull = (finite - interval.value) / interval.sigma
        for limit, alpha, label in ((2.0, 0.30, "within 2σ"), (1.0, 0.65, "within 1σ")):
            axis.contourf(xs, ys, np.abs(pull), levels=[0.0, limit], colors=[COLOURS[2]], alpha=alpha)
            handles.append((label, COLOURS[2]))
    excess = (finite - max(interval.upper, 0.0)) / interval.sigma
    deficit = (lower - finite) / interval.sigma
    for name, field, colour in (("too positive", excess, COLOURS[1]), ("too negative", deficit, COLOURS[0])):
        if prefers and name == "too negative":
            # Below a preferred band a model is merely too small; only the wrong sign counts against it.
            field = (-finite - interval.sigma) / interval.sigma
        if (field > 0).any():
            axis.contourf(xs, ys, field, levels=[0.0, max(float(field.max()), 1.0)], colors=[colour], alpha=0.18)
            handles.append((f"{name}: excluded at 95 %", colour))
    _value_contours(axis, xs, ys, finite)
    note = r"grey lines: $\Delta a_\mu$ in $10^{-11}$" + (f"; fixed: {fixed}" if fixed else "")
    axis.set_title(note, loc="left", fontsize=8, color="0.35")
    figure.suptitle(title, fontsize=11, x=0.02, ha="left")
    for label, colour in handles:
        alpha = 0.65 if "1σ" in label else 0.3
        axis.fill_between([], [], color=colour, alpha=alpha, label=label)
    if handles:
        axis.legend(loc="best", frameon=True, framealpha=0.9)
    return figure


def _value_contours(axis: Axes, xs: Array, ys: Array, values: Array) -> None:
    decades = [10.0**k for k in range(-13, -5)]
    levels = sorted([-d for d in decades] + decades)
    inside = [level for level in levels if values.min() < level < values.max()]
    if not inside:
        return
    lines = axis.contour(xs, ys, values, levels=inside, colors="0.35", linewidths=0.7, linestyles="solid")
    axis.clabel(lines, fmt=FuncFormatter(lambda v, _: f"{v * 1e11:g}"), fontsize=7)


def clfv_reach_figure(limits: Sequence[Limit]) -> Figure:
    """Draw the reach in Λ against κ of each limit or goal; goals dashed."""
    figure, (axis,) = new_figure(size=(9.0, 4.8))
    kappa = np.geomspace(0.01, 100.0, 200)
    colours = {"mu_e_gamma": COLOURS[0], "mu_3e": COLOURS[2], "mu_e": COLOURS[1]}
    names = {"mu_e_gamma": "μ → eγ", "mu_3e": "μ → 3e", "mu_e": "μN → eN"}
    styles: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
    used: dict[str, int] = {}
    for one in sorted(limits, key=lambda one: list(colours).index(one.channel)):
        style = styles[used.get(one.channel, 0) % len(styles)]
        used[one.channel] = used.get(one.channel, 0) + 1
        scale = np.array([reach(one, float(k)) for k in kappa]) / 1e3
        label = f"{names[one.channel]}  {one.label}: {float(one.quantity):.2g}"
        axis.plot(kappa, scale, linestyle=style, color=colours[one.channel], label=label)
    axis.set(
        xscale="log", yscale="log", xlabel=r"$\kappa$  (small: dipole, large: contact)", ylabel=r"$\Lambda$  [TeV]"
    )
    axis.set(xlim=(0.01, 100.0), ylim=(100, 2e4))
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8)
    return figure
