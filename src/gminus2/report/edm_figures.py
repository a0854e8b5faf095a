"""Figures of the EDM search: vertical angle against g−2 phase, tilt per momentum bin, limit against tracks."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from gminus2.constants import published
from gminus2.edm.analysis import EdmFit, tilt_from_edm
from gminus2.edm.limits import median_limit
from gminus2.report.plotting import COLOURS, new_figure

__all__ = ["limit_figure", "search_figure"]


def search_figure(fit: EdmFit, *, injected_e_cm: float | None = None, offset_tilt: float = 0.0) -> Figure:
    """Draw the mean vertical angle against g−2 phase, and tilt and dilution per momentum bin.

    Parameters
    ----------
    injected_e_cm
        Truth to draw beside the result; ``None`` where it is not known or hidden.
    offset_tilt
        Hidden tilt [rad] that is added to what is shown.
    """
    figure, (left, middle, right) = new_figure(1, 3, size=(12.5, 3.9))
    profile = fit.profile
    psi = (fit.rate.omega * profile.times_us + fit.rate.phase - fit.dilution.rate_phase) % (2.0 * np.pi)
    bins = 16
    edges = np.linspace(0.0, 2.0 * np.pi, bins + 1)
    which = np.digitize(psi, edges) - 1
    count = np.array([profile.count[:, which == k].sum() for k in range(bins)])
    total = np.array([profile.total[:, which == k].sum() for k in range(bins)])
    squares = np.array([profile.squares[:, which == k].sum() for k in range(bins)])
    mean = total / count
    error = np.sqrt((squares / count - mean**2) / count)
    centres = 0.5 * (edges[:-1] + edges[1:])
    share = profile.count.sum(axis=1) / profile.count.sum()
    kappa = float(share @ fit.dilution.kappa)
    mean = mean - 0.95 * kappa * offset_tilt * np.sin(centres)
    level = float(np.average(mean, weights=count))
    left.errorbar(centres / (2 * np.pi), (mean - level) * 1e6, error * 1e6, fmt="o", markersize=3.5, color="black")
    fine = np.linspace(0.0, 2.0 * np.pi, 200)
    model = -0.95 * kappa * (fit.tilt + offset_tilt) * np.sin(fine)
    left.plot(fine / (2 * np.pi), model * 1e6, color=COLOURS[1], label=r"fit: $-\kappa P\,\delta \sin\psi$")
    rate = profile.count[profile.edges_mev[:-1] >= 1750.0].sum(axis=0)
    folded = np.array([rate[which == k].sum() for k in range(bins)], dtype=float)
    scale = 2.0 * float(np.abs(mean - level).max()) / max(float(np.ptp(folded)), 1.0)
    left.step(
        centres / (2 * np.pi),
        (folded - folded.mean()) * scale * 0.5 * 1e6,
        where="mid",
        color="0.7",
        zorder=0,
        label="rate (scaled)",
    )
    left.set(xlabel=r"g−2 phase $\psi/2\pi$", ylabel="mean vertical angle [µrad]")
    bottom, top = left.get_ylim()
    left.set_ylim(bottom - 0.3 * (top - bottom), top)
    left.legend(loc="lower left", ncols=2, frameon=False)
    momenta = 0.5 * (profile.edges_mev[1:] + profile.edges_mev[:-1]) / 1e3
    widths = 0.5 * np.diff(profile.edges_mev) / 1e3
    shown = fit.bin_tilt + offset_tilt
    middle.errorbar(momenta, shown * 1e3, fit.bin_sigma * 1e3, xerr=widths, fmt="o", markersize=4, color="black")
    middle.axhspan(
        (fit.tilt + offset_tilt - fit.tilt_sigma) * 1e3,
        (fit.tilt + offset_tilt + fit.tilt_sigma) * 1e3,
        color=COLOURS[1],
        alpha=0.3,
        linewidth=0,
        label="mean",
    )
    if injected_e_cm is not None:
        middle.axhline(tilt_from_edm(injected_e_cm) * 1e3, color=COLOURS[0], linestyle="--", label="injected")
    middle.set(xlabel="momentum [GeV]", ylabel=r"tilt $\delta$ [mrad]")
    bottom, top = middle.get_ylim()
    middle.set_ylim(bottom - 0.2 * (top - bottom), top)
    middle.legend(loc="lower right", ncols=2, frameon=False)
    right.errorbar(
        momenta,
        fit.dilution.kappa * 1e3,
        fit.dilution.sigma * 1e3,
        xerr=widths,
        fmt="o",
        markersize=4,
        label="vertical",
    )
    right.plot(momenta, fit.dilution.radial * 1e3, "s", markersize=4, color=COLOURS[2], label="radial")
    right.set(xlabel="momentum [GeV]", ylabel="angle per unit of spin [mrad]", ylim=(0.0, None))
    right.legend()
    return figure


def limit_figure(sigma_e_cm: float, tracks: int, systematic_e_cm: float) -> Figure:
    """Draw the median 95 % limit on |d| against the number of tracks, beside E821 and the goal of E989."""
    figure, (axis,) = new_figure(size=(7.0, 4.6))
    n = np.geomspace(1e4, 1e13, 181)
    unit = median_limit(1.0)
    statistical = sigma_e_cm * np.sqrt(tracks / n)
    axis.plot(n, unit * np.hypot(statistical, systematic_e_cm), color=COLOURS[0], label="with systematics")
    axis.plot(n, unit * statistical, color=COLOURS[0], linestyle=":", label=r"statistics alone, $1/\sqrt{N}$")
    for path, label, colour in (
        ("edm.limit_e821", "E821", COLOURS[1]),
        ("edm.target_e989", "E989 goal", COLOURS[2]),
    ):
        value = float(published(path)) * 1e-19
        axis.axhline(value, color=colour, linestyle="--", label=f"{label}: {value:.1e} e·cm")
    axis.plot([tracks], [unit * np.hypot(sigma_e_cm, systematic_e_cm)], "o", color="black", label="this sample")
    axis.set(xscale="log", yscale="log", xlabel="tracks", ylabel=r"median limit on $|d_\mu|$ (95 %)  [e·cm]")
    axis.legend()
    return figure
