"""A reconstruction of a dataset with pileup subtracted and gain corrected, by (energy, time)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gminus2.data.campaign import AXES, CampaignDataset
from gminus2.errors import DataError
from gminus2.precession.corrections.convolution import CHAIN, convolution_pileup
from gminus2.precession.corrections.gain import GainModel, shift_energies
from gminus2.precession.corrections.pileup import PileupScale, fit_pileup_scale

__all__ = ["PileupMethod", "PrepareOptions", "Prepared", "constructed_pileup", "convolution_orders", "prepare"]

Array = NDArray[np.float64]
PileupMethod = Literal["shadow", "convolution", "none"]
_WIDTH = AXES["time_width_us"]


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
        Second order of the convolution.
    gain
        Correct the gain.
    """

    pileup: PileupMethod = "shadow"
    pileup_factor: float = 1.0
    pileup_time_us: float = 0.0
    pileup_energy: float = 0.0
    triples: bool = True
    gain: bool = True


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


def convolution_orders(dataset: CampaignDataset, reconstruction: str) -> tuple[Array, Array]:
    """Return double and triple pileup of all calorimeters by (energy, time), for the nominal dead time."""
    counts = dataset.reconstruction(reconstruction)["counts"]
    dead = separation_us(dataset, reconstruction)
    first, second = np.zeros(counts.shape[1:]), np.zeros(counts.shape[1:])
    for k in range(counts.shape[0]):
        a, b = convolution_pileup(counts[k], dead, _WIDTH, dataset.fills, rule=CHAIN)
        first += a
        second += b
    return first, second


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
    if method == "shadow":
        net = arrays["pileup_net"].sum(axis=0, dtype=np.float64)
        scale = fit_pileup_scale(counts, net)
        return net * scale.value, scale
    first, second = orders or convolution_orders(dataset, reconstruction)
    second = second * float(triples)
    scale = fit_pileup_scale(counts, first + second, constructed_is_counted=False)
    # The dead time scales by λ: first order by λ, second by λ².
    return scale.value * first + scale.value**2 * second, scale


def _moved(pileup: Array, options: PrepareOptions) -> Array:
    result = pileup * options.pileup_factor
    if options.pileup_time_us:
        # A small part of a bin: the first derivative suffices.
        result = result - (options.pileup_time_us / _WIDTH) * np.gradient(result, axis=1)
    if options.pileup_energy:
        result = shift_energies(result, np.full(result.shape[1], options.pileup_energy))
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
        counts = shift_energies(counts, loss)
    return Prepared(dataset.name, reconstruction, raw, subtracted, counts, scale, loss, options, dataset.fills, dataset)
