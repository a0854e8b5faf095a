"""The gain of the calorimeters during a fill, from laser pulses and from the rate, and how it moves the spectra.

Three parts (``docs/physics/omega_a.md``, section 3): the drop after injection, the sag that follows the energy a
calorimeter has just seen, and the short-term loss of a crystal that was hit a moment before. The first two are fitted
together to in-fill laser pulses (the shape of the sag is computed from the energy flow), the third to double pulses.
A spectrum is corrected by moving counts across its energy edges.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from scipy.signal import lfilter

from gminus2.data.campaign import AXES

__all__ = ["GainModel", "measure_gain", "shift_energies"]

Array = NDArray[np.float64]

_WIDTH: Final = AXES["time_width_us"]
_CRYSTAL_MM: Final = 25.2
#: Recovery of the sag where the laser cannot tell it from the drop at injection [µs] (N: nanditaraha simulation).
_SAG_RECOVERY_US: Final = 18.0
_FLASH_START_US: Final = 60.0
_SIGNIFICANT: Final = 3.0


@dataclass(frozen=True)
class GainModel:
    """Relative loss of gain δ: measured energy = true energy · (1 - δ).

    Attributes
    ----------
    flash, flash_error
        Drop at t = 0 per calorimeter, shape (24,), and the error of their mean.
    flash_recovery_us, flash_recovery_error_us
        Its recovery.
    sag_per_gev, sag_error
        Loss per GeV seen, recovered in ``sag_recovery_us``.
    double_per_gev, double_error, double_recovery_us
        Loss of a crystal's second pulse per GeV of the first, at zero distance, and its recovery.
    flow_gev
        Energy per fill and time bin in each calorimeter [GeV], shape (24, times).
    sharing
        Probability that the next pulse of a calorimeter hits the same crystal.
    chi2, ndf
        Of the fit to the in-fill laser pulses.
    """

    flash: Array
    flash_error: float
    flash_recovery_us: float
    flash_recovery_error_us: float
    sag_per_gev: float
    sag_error: float
    sag_recovery_us: float
    double_per_gev: float
    double_error: float
    double_recovery_us: float
    flow_gev: Array
    sharing: float
    chi2: float
    ndf: int

    def varied(self, **changes: Any) -> GainModel:
        """Return the model with other parameters (for systematics)."""
        return replace(self, **changes)

    def loss(self) -> Array:
        """Return δ per calorimeter at the centres of the time bins, shape (24, times)."""
        t = _WIDTH * (np.arange(self.flow_gev.shape[1]) + 0.5)
        result: Array = self.flash[:, None] * np.exp(-t / self.flash_recovery_us)
        result = result + self.sag_per_gev * sag_shape(self.flow_gev, self.sag_recovery_us)
        # A pulse finds its crystal lowered by what came within the recovery: rate · recovery · sharing.
        recent = self.flow_gev * (self.double_recovery_us / _WIDTH)
        return result + self.double_per_gev * self.sharing * recent

    def to_json(self) -> dict[str, Any]:
        """Return the parameters."""
        return {
            "infill_drop_mean": float(self.flash.mean()),
            "infill_drop_error": self.flash_error,
            "infill_recovery_us": self.flash_recovery_us,
            "infill_recovery_error_us": self.flash_recovery_error_us,
            "sag_per_gev": self.sag_per_gev,
            "sag_error": self.sag_error,
            "sag_recovery_us": self.sag_recovery_us,
            "double_pulse_per_gev": self.double_per_gev,
            "double_pulse_error": self.double_error,
            "double_pulse_recovery_ns": 1e3 * self.double_recovery_us,
            "laser_chi2": self.chi2,
            "laser_ndf": self.ndf,
        }


def sag_shape(flow_gev: Array, recovery_us: float) -> Array:
    """Return ∫ flow(t') e^(-(t-t')/recovery) dt' before each bin's middle, per fill [GeV], shape (24, times)."""
    keep = math.exp(-_WIDTH / recovery_us)
    memory = lfilter([1.0], [1.0, -keep], flow_gev, axis=1)
    # What came in this bin counts half; a bin before decays from its middle to the middle of this one.
    earlier = np.zeros_like(memory)
    earlier[:, 1:] = memory[:, :-1]
    result: Array = earlier * keep + 0.5 * flow_gev
    return result


def energy_flow(counts: NDArray[Any], fills: int) -> Array:
    """Return the energy per fill seen in each calorimeter and time bin [GeV], shape (24, times)."""
    middle = 1e-3 * AXES["energy_width_mev"] * (np.arange(counts.shape[1]) + 0.5)
    flow: Array = np.stack([middle @ counts[k] for k in range(counts.shape[0])])
    return flow / fills


def same_crystal(hit_map: NDArray[Any]) -> float:
    """Return the probability that two hits of a calorimeter share a crystal, from the map of hits."""
    cells = np.asarray(hit_map, dtype=np.float64)
    column = np.minimum((7.2 * (np.arange(cells.shape[1]) + 0.5) / _CRYSTAL_MM).astype(int), 8)
    row = np.clip((6.0 * (np.arange(cells.shape[2]) + 0.5) / _CRYSTAL_MM).astype(int), 0, 5)
    crystals = np.zeros((cells.shape[0], 9, 6))
    for i, c in enumerate(column):
        for j, r in enumerate(row):
            crystals[:, c, r] += cells[:, i, j]
    share = crystals / np.maximum(crystals.sum(axis=(1, 2), keepdims=True), 1.0)
    return float((share**2).sum(axis=(1, 2)).mean())


def _double_pulses(laser: NDArray[Any], energy_gev: float) -> tuple[float, float, float]:
    number = laser[..., 0].sum(axis=0).astype(np.float64)
    good = number > 1
    if good.sum() < 4:
        return 0.0, 0.0, 0.015
    total = laser[..., 1].sum(axis=0)[good] * 1e-6
    square = laser[..., 2].sum(axis=0)[good] * 1e-12
    mean = total / number[good]
    sigma = np.sqrt(np.maximum(square / number[good] - mean**2, 1e-12) / number[good])
    at = AXES["double_pulse_width_us"] * (np.arange(number.size)[good] + 0.5)

    def residual(p: Array) -> Array:
        return np.asarray((-p[0] * energy_gev * np.exp(-at / p[1]) - mean) / sigma)

    found = optimize.least_squares(residual, [0.01, 0.015], bounds=([-1.0, 1e-3], [1.0, 0.2]), x_scale=[0.01, 0.01])
    jacobian = np.asarray(found.jac)
    covariance = np.linalg.pinv(jacobian.T @ jacobian)
    return float(found.x[0]), float(math.sqrt(covariance[0, 0])), float(found.x[1])


def measure_gain(
    shared: Mapping[str, NDArray[Any]],
    counts: NDArray[Any],
    fills: int,
    laser_energy_mev: float,
    *,
    inside_us: float = 0.5 * AXES["laser_time_width_us"],
) -> GainModel | None:
    """Fit the gain to the laser pulses of a dataset.

    Parameters
    ----------
    shared
        ``laser_infill``, ``laser_double``, ``hit_map`` of a campaign dataset.
    counts
        Clusters by (calorimeter, energy, time).
    inside_us
        Where in their time bins the in-fill laser pulses are.

    Returns
    -------
    The model; ``None`` where there are too few laser pulses.
    """
    laser = shared["laser_infill"]
    flow = energy_flow(counts, fills)
    number = laser[..., 0].astype(np.float64)
    if number.sum() < 100:
        return None
    # In time: bins of all calorimeters; the amplitudes of the drop per calorimeter are linear.
    k, b = np.nonzero(number)
    n = number[k, b]
    value = laser[k, b, 1] * 1e-6 / n
    # One resolution for all pulses, from their own spread.
    spread = (laser[..., 2].sum() * 1e-12 - (laser[k, b, 1] * 1e-6 * value).sum()) / max(1.0, n.sum() - n.size)
    sigma = np.sqrt(max(float(spread), 1e-8) / n)
    at = AXES["laser_time_width_us"] * b + inside_us
    # Sag at the time of the pulse: linear between the middles of the bins.
    position = np.clip(at / _WIDTH - 0.5, 0.0, flow.shape[1] - 1.001)
    cell = position.astype(int)
    between = position - cell
    shape = sag_shape(flow, _SAG_RECOVERY_US)
    sag_all = ((1.0 - between) * shape[k, cell] + between * shape[k, cell + 1]) / sigma
    columns = np.zeros((k.size, 26))
    columns[:, 25] = 1.0 / sigma
    target = -value / sigma
    rows = np.arange(k.size)

    def solve(flash_us: float, with_sag: bool) -> tuple[Array, Array, float]:
        """Fit drops, sag and a constant (the laser sees the temperature too); return values, covariance, χ²."""
        columns[rows, k] = np.exp(-at / flash_us) / sigma
        columns[:, 24] = sag_all if with_sag else 0.0
        covariance: Array = np.asarray(np.linalg.pinv(columns.T @ columns), dtype=np.float64)
        found = covariance @ (columns.T @ target)
        return found, covariance, float(((target - columns @ found) ** 2).sum())

    def recovery(with_sag: bool) -> tuple[float, float]:
        def cost(p: float) -> float:
            return solve(math.exp(p), with_sag)[2]

        best = optimize.minimize_scalar(cost, bounds=(math.log(20.0), math.log(200.0)), method="bounded")
        step = 0.1
        curvature = (cost(best.x + step) + cost(best.x - step) - 2.0 * float(best.fun)) / step**2
        us = math.exp(float(best.x))
        error = us * math.sqrt(2.0 / curvature) if curvature > 0 else math.inf
        if error > 0.5 * us or not 25.0 < us < 180.0:
            return _FLASH_START_US, 0.3 * _FLASH_START_US  # too few pulses to fit it
        return us, error

    flash_us, tau_error = recovery(True)
    found, covariance, chi2 = solve(flash_us, True)
    sag_error = math.sqrt(float(covariance[24, 24]))
    if found[24] < _SIGNIFICANT * sag_error:
        # Not told apart from the drop at injection, which then stands for both.
        flash_us, tau_error = recovery(False)
        found, covariance, chi2 = solve(flash_us, False)
    amplitude, sag = found[:24].copy(), float(found[24])
    mean_error = math.sqrt(float(covariance[:24, :24].mean()))
    double = _double_pulses(shared["laser_double"], 1e-3 * laser_energy_mev)
    return GainModel(
        flash=amplitude,
        flash_error=mean_error,
        flash_recovery_us=flash_us,
        flash_recovery_error_us=tau_error,
        sag_per_gev=sag,
        sag_error=sag_error,
        sag_recovery_us=_SAG_RECOVERY_US,
        double_per_gev=double[0],
        double_error=double[1],
        double_recovery_us=double[2],
        flow_gev=flow,
        sharing=same_crystal(shared["hit_map"]),
        chi2=chi2,
        ndf=int(k.size) - 26,
    )


def shift_energies(counts: Array, loss: Array) -> Array:
    """Return a spectrum by (energy, time) with energies raised by 1/(1 - δ(t)), to second order in δ.

    The counts between E(1 - δ) and E cross the edge at E: E δ ρ(E) - ½ (E δ)² ρ'(E), with ρ at the edge the mean of its
    neighbours and ρ' their difference.

    Parameters
    ----------
    counts
        Shape (energies, times), from 0 in equal bins.
    loss
        δ, shape (times,).
    """
    energies = counts.shape[0]
    reach = np.arange(1, energies)[:, None] * loss[None, :]
    flux = reach * (0.5 * (counts[1:] + counts[:-1]) - 0.5 * reach * (counts[1:] - counts[:-1]))
    result: Array = np.array(counts, dtype=np.float64)
    result[1:] += flux
    result[:-1] -= flux
    return result
