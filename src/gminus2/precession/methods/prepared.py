"""A reconstruction of a dataset with pileup subtracted and gain corrected, by (energy, time)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gminus2.data.campaign import AXES, CampaignDataset
from gminus2.errors import DataError
from gminus2.precession.corrections.convolution import CHAIN, convolution_pileup
from gminus2.precession.corrections.gain import GainModel, shift_energies
from gminus2.precession.corrections.pileup import PileupScale, fit_pileup_scale
from gminus2.units import omega_reference

__all__ = [
    "PileupMethod",
    "PrepareOptions",
    "Prepared",
    "brought_forward",
    "constructed_pileup",
    "convolution_orders",
    "prepare",
]

Array = NDArray[np.float64]
PileupMethod = Literal["shadow", "convolution", "none"]
_WIDTH = AXES["time_width_us"]
#: Early-to-late effects that nothing measures fall with the rate [µs].
_EARLY_US = 64.44


@dataclass(frozen=True)
class PrepareOptions:
    """What is done to the spectra before the fit, and how it is varied.

    Attributes
    ----------
    pileup
        Construction of the pileup spectrum.
    pileup_factor
        Factor on the fitted amplitude (1: as fitted).
    pileup_time_us
        Shift of the pileup spectrum.
    pileup_energy
        Relative change of its energy scale.
    triples
        Second order, from the convolution.
    gain
        Correct the gain.
    residual_gain, residual_phase
        A loss g e^(-t/64.44 µs) (1 + 0.2 cos(ω_ref t + phase)) on top of the gain model: what the laser did not see.
    late_us
        Clusters late by this e^(-t/64.44 µs).
    """

    pileup: PileupMethod = "shadow"
    pileup_factor: float = 1.0
    pileup_time_us: float = 0.0
    pileup_energy: float = 0.0
    triples: bool = True
    gain: bool = True
    residual_gain: float = 0.0
    residual_phase: float = 0.0
    late_us: float = 0.0


@dataclass(frozen=True)
class Prepared:
    """Corrected spectra of one reconstruction.

    Attributes
    ----------
    name, reconstruction
        Of the dataset and the reconstruction.
    raw
        Counts by (energy, time), all calorimeters, shape (128, 4700).
    pileup
        What was subtracted, the same shape.
    counts
        After pileup and gain.
    scale
        Amplitude of the pileup.
    gain_loss
        δ(t), mean of the calorimeters weighted with their counts, shape (4700,).
    """

    name: str
    reconstruction: str
    raw: Array
    pileup: Array
    counts: Array
    scale: PileupScale
    gain_loss: Array
    options: PrepareOptions
    fills: int
    dataset: CampaignDataset = field(repr=False, compare=False)

    def above(self, threshold_mev: float) -> Array:
        """Return corrected counts above a threshold on a bin edge, shape (4700,)."""
        total: Array = self.counts[round(threshold_mev / AXES["energy_width_mev"]) :].sum(axis=0)
        return total


def separation_us(dataset: CampaignDataset, reconstruction: str) -> float:
    """Return the dead time of a reconstruction's clustering [µs].

    Raises
    ------
    DataError
        The settings of the dataset do not name it.
    """
    for clustering in dataset.settings.get("reduction", {}).get("clusterings", []):
        if clustering.get("name") == reconstruction:
            return 1e-3 * float(clustering["separation_ns"])
    raise DataError(
        f"the dataset does not say how the reconstruction '{reconstruction}' separates pulses",
        where=dataset.name,
        hint="give pileup = 'shadow'",
    )


def fast_rotation_factor(dataset: CampaignDataset) -> Array:
    """Return what the fast rotation adds to pairs, ⟨n(t)n(t+g)⟩/⟨n⟩² at 1-5 ns by time bin, shape (4700,).

    A time bin is as long as a turn, so its counts do not show that the beam comes in a bunch; hits in bins of 1 ns do.
    1 where the statistics leave more than 2 % of error, and after the end of that histogram.
    """
    fine = dataset.shared["fast_rotation"]
    factor = np.ones(int(AXES["n_time"]))
    turn = round(_WIDTH / AXES["fast_width_us"])
    group = 5000
    lags = (1, 3, 5)
    size = fine.shape[1] // group
    pairs, plain, number = np.zeros(size), np.zeros(size), np.zeros(size)
    for k in range(fine.shape[0]):
        if not fine[k].any():
            continue
        n = fine[k].astype(np.float64)
        mean = ndimage.uniform_filter1d(n, turn, mode="nearest")
        # A hit is in the running mean at its own place and at the other's: n̄(t)n̄(t+g) counts it with itself.
        expected = mean * mean - mean / turn
        plain += expected[: size * group].reshape(size, group).sum(axis=1)
        for lag in lags:
            product = np.zeros_like(n)
            product[:-lag] = n[:-lag] * n[lag:]
            found = product[: size * group].reshape(size, group).sum(axis=1)
            pairs += found / len(lags)
            number += found
    if number.sum() <= 0.0:
        return factor
    good = (number > 2500.0) & (plain > 0.0)
    last = size if good.all() else int(np.argmin(good))
    if last < 8:
        return factor
    at = AXES["fast_width_us"] * group * (np.arange(last) + 0.5)
    centre = _WIDTH * (np.arange(factor.size) + 0.5)
    found = pairs[:last] / plain[:last]
    inside = centre < at[-1]
    factor[inside] = np.interp(centre[inside], at, found)
    return factor


def convolution_orders(dataset: CampaignDataset, reconstruction: str) -> tuple[Array, Array]:
    """Return double and triple pileup of all calorimeters by (energy, time), for the nominal dead time."""
    counts = dataset.reconstruction(reconstruction)["counts"]
    dead = separation_us(dataset, reconstruction)
    first, second = np.zeros(counts.shape[1:]), np.zeros(counts.shape[1:])
    for k in range(counts.shape[0]):
        a, b = convolution_pileup(counts[k], dead, _WIDTH, dataset.fills, rule=CHAIN)
        first += a
        second += b
    factor = fast_rotation_factor(dataset)
    return first * factor, second * factor**2


def constructed_pileup(
    dataset: CampaignDataset,
    reconstruction: str,
    method: PileupMethod,
    *,
    triples: bool = True,
    orders: tuple[Array, Array] | None = None,
) -> tuple[Array, PileupScale]:
    """Return the pileup of all calorimeters by (energy, time), scaled by the region above the endpoint.

    ``orders``: what :func:`convolution_orders` returned, where it is there already.
    """
    arrays = dataset.reconstruction(reconstruction)
    counts = arrays["counts"].sum(axis=0, dtype=np.float64)
    if method == "none":
        return np.zeros_like(counts), PileupScale(0.0, 0.0, 0.0, 0.0, measured=False)
    first, second = orders or convolution_orders(dataset, reconstruction)
    second = second * float(triples)
    if method == "shadow":
        # Pairs are counted; of three pulses, which the window does not hold, the convolution knows.
        first = _shadow_pairs(dataset, reconstruction)
    scale = fit_pileup_scale(counts, first + second, constructed_is_counted=method == "shadow")
    # The dead time scales by λ: first order by λ, second by λ².
    return scale.value * first + scale.value**2 * second, scale


def _shadow_pairs(dataset: CampaignDataset, reconstruction: str) -> Array:
    """Return doublets less their singles, (energy, time), for all pairs and not only the first in the window.

    A trigger takes the first cluster of its window. One before it would have merged with it if the window is not longer
    than the separation; else pairs are short by what lies earlier, rate · (window - separation)²/(2 window) on average.
    """
    arrays = dataset.reconstruction(reconstruction)
    dead = separation_us(dataset, reconstruction)
    length = 1e-3 * float(dataset.settings["reduction"].get("shadow_window_ns") or 0.0) or dead
    short = 0.5 * max(0.0, length - dead) ** 2 / max(length, 1e-9)
    if short == 0.0:
        return np.asarray(arrays["pileup_net"].sum(axis=0, dtype=np.float64))
    net = np.zeros(arrays["pileup_net"].shape[1:])
    for k in range(arrays["counts"].shape[0]):
        passed = arrays["counts"][k].sum(axis=0, dtype=np.float64) * (short / (_WIDTH * dataset.fills))
        net += arrays["pileup_net"][k] * (1.0 + passed)
    return net


def _moved(pileup: Array, options: PrepareOptions) -> Array:
    result = pileup * options.pileup_factor
    if options.pileup_time_us:
        # A small part of a bin: the first derivative suffices.
        result = result - (options.pileup_time_us / _WIDTH) * np.gradient(result, axis=1)
    if options.pileup_energy:
        result = shift_energies(result, np.full(result.shape[1], options.pileup_energy))
    return result


def brought_forward(counts: Array, options: PrepareOptions) -> Array:
    """Return counts by (…, time) moved to earlier times by ``late_us`` e^(-t/64.44 µs), to first order."""
    if not options.late_us:
        return counts
    t = _WIDTH * (np.arange(counts.shape[-1]) + 0.5)
    late = options.late_us * np.exp(-t / _EARLY_US)
    # The flow of counts through the edges of the bins, so that none is lost.
    flow = late * counts / _WIDTH
    result: Array = counts + np.gradient(flow, axis=-1)
    return result


def weighted_loss(dataset: CampaignDataset, reconstruction: str, gain: GainModel) -> Array:
    """Return δ(t) averaged over the calorimeters with their counts, shape (times,)."""
    counts = dataset.reconstruction(reconstruction)["counts"].sum(axis=(1, 2), dtype=np.float64)
    weights = counts / max(counts.sum(), 1.0)
    result: Array = weights @ gain.loss()
    return result


def prepare(
    dataset: CampaignDataset,
    reconstruction: str,
    gain: GainModel | None,
    options: PrepareOptions | None = None,
    *,
    pileup: tuple[Array, PileupScale] | None = None,
    raw: Array | None = None,
) -> Prepared:
    """Subtract pileup, correct the gain.

    Parameters
    ----------
    pileup, raw
        What :func:`constructed_pileup` returned for these options, and the summed counts, where they are there already.
    """
    options = options or PrepareOptions()
    if raw is None:
        raw = dataset.reconstruction(reconstruction)["counts"].sum(axis=0, dtype=np.float64)
    made, scale = pileup or constructed_pileup(dataset, reconstruction, options.pileup, triples=options.triples)
    subtracted = _moved(made, options)
    loss = np.zeros(raw.shape[1])
    counts = raw - subtracted
    if options.gain and gain is not None:
        loss = weighted_loss(dataset, reconstruction, gain)
    if options.residual_gain:
        t = _WIDTH * (np.arange(raw.shape[1]) + 0.5)
        wave = 1.0 + 0.2 * np.cos(omega_reference * t + options.residual_phase)
        loss = loss + options.residual_gain * np.exp(-t / _EARLY_US) * wave
    if loss.any():
        counts = shift_energies(counts, loss)
    counts = brought_forward(counts, options)
    return Prepared(dataset.name, reconstruction, raw, subtracted, counts, scale, loss, options, dataset.fills, dataset)
