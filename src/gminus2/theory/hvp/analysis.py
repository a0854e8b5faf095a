"""From a spectrum to every number a user wants of it: dispersion integral, windows, NLO, replicas, in one call."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from gminus2.errors import DataError
from gminus2.theory.hvp.builtin import builtin_running
from gminus2.theory.hvp.combine import undress, undress_channels, with_final_state_radiation
from gminus2.theory.hvp.hadrons import HadronicR, NextToLeading, hvp_tension, inclusive, measured
from gminus2.theory.hvp.spectrum import Spectrum

__all__ = ["HVPAnalysis", "analyse"]


@dataclass(frozen=True)
class HVPAnalysis:
    """The integrals over one spectrum (pure numbers, not scaled).

    Attributes
    ----------
    steps
        What was done to the data before integrating.
    leading_order, sigma, sigma_with_tension
        a_μ(HVP, LO); uncertainty from the file; with the spread of the input experiments (inclusive only).
    space_like, time_momentum
        The same by two other representations.
    windows
        Name → (value, σ).
    replicas
        (count, mean, σ) of Gaussian replicas, or ``None``.
    """

    scope: Literal["inclusive", "channel"]
    hadrons: HadronicR
    steps: tuple[str, ...]
    range_gev: tuple[float, float]
    leading_order: float
    sigma: float
    sigma_with_tension: float
    space_like: float
    time_momentum: float
    windows: dict[str, tuple[float, float]]
    next_to_leading: NextToLeading
    replicas: tuple[int, float, float] | None

    def to_json(self) -> dict[str, Any]:
        """Return plain values under stable keys."""
        nlo = self.next_to_leading
        return {
            "unit": "1",
            "scope": self.scope,
            "steps": list(self.steps),
            "range_gev": list(self.range_gev),
            "leading_order": {
                "value": self.leading_order,
                "sigma": self.sigma,
                "sigma_with_tension": self.sigma_with_tension,
            },
            "space_like": self.space_like,
            "time_momentum": self.time_momentum,
            "windows": {name: {"value": value, "sigma": sigma} for name, (value, sigma) in self.windows.items()},
            "next_to_leading": {
                "2a": nlo.photon,
                "2b_electron": nlo.electron,
                "2b_tau": nlo.tau,
                "2c": nlo.double,
                "total": nlo.total,
            },
            "replicas": None
            if self.replicas is None
            else dict(zip(("count", "mean", "sigma"), self.replicas, strict=True)),
        }


def analyse(
    spectrum: Spectrum,
    scope: Literal["inclusive", "channel"] = "inclusive",
    *,
    low: float | None = None,
    high: float | None = None,
    replicas: int = 0,
    seed: int = 0,
) -> HVPAnalysis:
    """Return all integrals over a spectrum.

    Dressed data are undressed (an inclusive table with its own Δα, a channel with that of the built-in
    parametrisation); ππ data without final-state photons get them.

    Parameters
    ----------
    scope
        ``inclusive``: the whole R(s); threshold, narrow states and perturbative QCD above ``high`` (11.2 GeV) are
        added. ``channel``: only what the file holds, between ``low`` and ``high``.
    replicas
        Number of Gaussian replicas; 0 for none.

    Raises
    ------
    DataError
        The data do not fit the scope or the range.
    """
    steps = []
    if scope == "inclusive" and low is not None:
        raise DataError("an inclusive R(s) starts at threshold", found=f"low = {low}", hint="use the scope 'channel'")
    if spectrum.vp == "dressed":
        if scope == "inclusive":
            spectrum = undress_channels({"all": spectrum}, join=high or 11.2)[0]["all"]
            steps.append("vacuum polarisation removed, iterated on the data themselves")
        else:
            spectrum = undress(spectrum, builtin_running())
            steps.append("vacuum polarisation removed with the built-in parametrisation")
    if spectrum.fsr == "excluded":
        spectrum = with_final_state_radiation(spectrum)
        steps.append("final-state photons of two pions added")
    if scope == "inclusive":
        hadrons = inclusive(spectrum, join=high or 11.2)
        limits = (float(spectrum.energy[0]), high or 11.2)
    else:
        piece = measured(spectrum, low, high)
        hadrons = HadronicR((piece,))
        limits = (piece.low, piece.high)
    value, sigma = hadrons.leading_order()
    drawn = hadrons.replicas(replicas, seed) if replicas > 1 else None
    return HVPAnalysis(
        scope=scope,
        hadrons=hadrons,
        steps=tuple(steps),
        range_gev=limits,
        leading_order=value,
        sigma=sigma,
        sigma_with_tension=math.hypot(sigma, hvp_tension()) if scope == "inclusive" else sigma,
        space_like=hadrons.space_like(),
        time_momentum=hadrons.window("total")[0],
        windows={name: hadrons.window(name) for name in ("SD", "W", "LD")},
        next_to_leading=hadrons.next_to_leading(),
        replicas=None if drawn is None else (replicas, float(drawn.mean()), float(drawn.std(ddof=1))),
    )
