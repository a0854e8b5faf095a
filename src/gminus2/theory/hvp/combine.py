"""Combining measurements of one channel, adding channels, and undressing a set of dressed channels with itself.

Source of the clustering rule and the iteration: ``docs/physics/theory.md``, sections Combination and Undressing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gminus2.errors import DataError
from gminus2.theory.hvp.pqcd import PerturbativeQCD
from gminus2.theory.hvp.spectrum import Spectrum
from gminus2.theory.hvp.vacuum_polarisation import HadronicRunning, final_state_factor, undressing_factor

__all__ = ["cluster", "continuum", "running_of", "undress", "undress_channels", "with_final_state_radiation"]

Array = NDArray[np.float64]

#: (below √s [GeV], cluster width [GeV]); narrow where a resonance is.
_WIDTHS: Final = ((0.775, 0.006), (0.79, 0.001), (1.01, 0.006), (1.03, 0.0004), (1.1, 0.006), (math.inf, 0.020))


def _width(energy: float) -> float:
    return next(width for edge, width in _WIDTHS if energy < edge)


def cluster(spectra: Iterable[Spectrum], *, name: str = "clustered") -> Spectrum:
    """Return one spectrum from several of the same channel: points closer than a cluster width are averaged.

    A cluster starts at its first point; weights are 1/max(σ, 0.5 % of |R|)², a missing σ counts as 20 %; the
    uncertainty of a cluster grows by √(χ²/(n − 1)) where that exceeds 1. Correlations between experiments are not
    used: the diagonal result is far too small for a final uncertainty (see
    :func:`~gminus2.theory.hvp.hadrons.hvp_tension`).

    Raises
    ------
    DataError
        No spectrum, or mixed dressing.
    """
    spectra = list(spectra)
    if not spectra:
        raise DataError("nothing to combine")
    if len({spectrum.vp for spectrum in spectra}) > 1:
        raise DataError("bare and dressed data cannot be averaged", where=name)
    energy = np.concatenate([spectrum.energy for spectrum in spectra])
    r = np.concatenate([spectrum.r for spectrum in spectra])
    sigma = np.concatenate([spectrum.sigma for spectrum in spectra])
    order = np.argsort(energy, kind="stable")
    energy, r, sigma = energy[order], r[order], sigma[order]
    sigma = np.where(sigma > 0, sigma, 0.2 * np.abs(r))
    sigma = np.maximum(sigma, np.maximum(0.005 * np.abs(r), 1e-300))
    starts = [0]
    for i in range(1, len(energy)):
        first = energy[starts[-1]]
        if energy[i] > first + _width(first):
            starts.append(i)
    out = np.empty((3, len(starts)))
    for k, (a, b) in enumerate(zip(starts, [*starts[1:], len(energy)], strict=True)):
        weight = 1.0 / sigma[a:b] ** 2
        total = weight.sum()
        mean = float(weight @ r[a:b] / total)
        chi2 = float(weight @ (r[a:b] - mean) ** 2)
        scale = math.sqrt(max(1.0, chi2 / (b - a - 1))) if b - a > 1 else 1.0
        out[:, k] = float(weight @ energy[a:b] / total), mean, scale / math.sqrt(total)
    return Spectrum(
        energy=out[0],
        r=out[1],
        stat=out[2],
        syst=np.zeros(len(starts)),
        rule="points",
        vp=spectra[0].vp,
        fsr=spectra[0].fsr,
        source=name,
        allow_gaps=True,
    )


def continuum(low: float, high: float = 1000.0, *, knots: int = 300) -> tuple[Array, Array]:
    """Return knots (√s [GeV], R) of perturbative QCD on a logarithmic grid, for the running of α."""
    energy = np.geomspace(low, high, knots)
    return energy, PerturbativeQCD().r(energy)


def _piecewise(spectrum: Spectrum, grid: Array) -> Array:
    return np.interp(grid, spectrum.energy, spectrum.r, left=0.0, right=0.0)


def running_of(
    spectra: Sequence[Spectrum], *, join: float = 1.8, states: tuple[tuple[float, float], ...] = ()
) -> HadronicRunning:
    """Return Δα_had from the sum of bare channels below ``join`` [GeV] and perturbative QCD above it."""
    knots = np.unique(np.concatenate([s.energy[s.energy < join] for s in spectra]))
    # R is linear in √s between points but the running takes it linear in s: two more knots per interval.
    grid = np.unique(np.concatenate([knots, *(knots[:-1] + f * np.diff(knots) for f in (1 / 3, 2 / 3))]))
    total = np.asarray(sum(_piecewise(s, grid) for s in spectra), dtype=np.float64)
    high, r_high = continuum(join)
    return HadronicRunning(np.concatenate([grid, high]), np.concatenate([total, r_high]), states)


def undress(spectrum: Spectrum, running: HadronicRunning) -> Spectrum:
    """Return the bare spectrum σ |1 − Δα(s)|² of a dressed one.

    Raises
    ------
    DataError
        The spectrum is bare already.
    """
    if spectrum.vp == "bare":
        raise DataError("the data are bare already", where=spectrum.source)
    factor = undressing_factor(spectrum.energy**2, running)
    return spectrum.scaled(factor, vp="bare")


def undress_channels(
    dressed: Mapping[str, Spectrum], *, join: float = 1.8, iterations: int = 3
) -> tuple[dict[str, Spectrum], HadronicRunning]:
    """Undress channels with the Δα of their own sum (from factor 1, ``iterations`` times).

    Returns
    -------
    channels, running
        The bare channels, and the running of the last iteration.
    """
    bare = {name: spectrum.scaled(1.0, vp="bare") for name, spectrum in dressed.items()}
    running = running_of(list(bare.values()), join=join)
    for _ in range(iterations):
        bare = {name: undress(spectrum, running) for name, spectrum in dressed.items()}
        running = running_of(list(bare.values()), join=join)
    return bare, running


def with_final_state_radiation(spectrum: Spectrum, factor: Callable[[Array], Array] = final_state_factor) -> Spectrum:
    """Return a ππ spectrum with final-state photons added.

    Raises
    ------
    DataError
        The photons are included already, or it is not known whether they are.
    """
    if spectrum.fsr != "excluded":
        raise DataError(
            "final-state radiation is added only to data that exclude it",
            where=spectrum.source,
            expected="fsr = excluded",
            found=f"fsr = {spectrum.fsr}",
        )
    return spectrum.scaled(factor(spectrum.energy**2), fsr="included")
