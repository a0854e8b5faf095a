"""Phase-acceptance correction C_pa: a beam that moves or breathes slowly drifts in phase.

Tracker profiles in slices of whole CBO periods give mean and variance in x and y against time; each is described by a
constant and a relaxation. The optics carry them around the ring, the maps turn them into φ_d(t) and A(t) per
calorimeter, and pseudo-data fitted with five parameters tell the shift of ω_a (``docs/physics/beam_corrections.md``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gminus2.beam.corrections import Correction
from gminus2.beam.fit_response import PseudoExperiment, slope_kernel
from gminus2.beam.phase_maps import PhaseMap
from gminus2.errors import DataError

__all__ = ["BeamMoments", "MomentDrift", "PhaseDrift", "RingResponse", "fit_moments", "phase_acceptance"]

FloatArray = NDArray[np.float64]

MOMENTS: Final = ("mean_x", "variance_x", "mean_y", "variance_y")


@dataclass(frozen=True)
class BeamMoments:
    """Moments of the decay position at one station against time.

    ``values`` and ``errors`` have shape (4, slices) in the order of :data:`MOMENTS`, mm and mm².
    """

    time_us: FloatArray
    values: FloatArray
    errors: FloatArray


@dataclass(frozen=True)
class MomentDrift:
    """m(t) = final + amplitude · e^{−t/relaxation}, one row per moment."""

    final: FloatArray
    amplitude: FloatArray
    covariance: FloatArray
    relaxation_us: float
    chi2: float
    ndf: int

    def at(self, time_us: FloatArray) -> FloatArray:
        """Return the moments, shape (4, times)."""
        return np.asarray(self.final[:, None] + self.amplitude[:, None] * np.exp(-time_us / self.relaxation_us))


@dataclass(frozen=True)
class RingResponse:
    """How the drift amplitudes at the stations continue around the ring.

    ``orbit_y`` and ``beta_y`` are the responses (any unit) of vertical orbit and β_y/β̄_y to the source at the
    calorimeters' decay regions, shape (24,), and at the stations, shape (stations,). Radial moments change little and
    are taken from the mean of the stations.
    """

    orbit_y_calorimeters: FloatArray
    orbit_y_stations: FloatArray
    beta_y_calorimeters: FloatArray
    beta_y_stations: FloatArray

    def spread(self, station_values: FloatArray, errors: FloatArray, kind: str) -> FloatArray:
        """Return the amplitude at every calorimeter from those at the stations by a one-parameter fit."""
        here, there = {
            "orbit_y": (self.orbit_y_stations, self.orbit_y_calorimeters),
            "beta_y": (self.beta_y_stations, self.beta_y_calorimeters),
        }[kind]
        weight = 1.0 / errors**2
        # Stations near a node of the pattern say little about the source: the fit weights them so.
        scale = (weight * here * station_values).sum() / max((weight * here**2).sum(), 1e-300)
        return np.asarray(scale * there)


@dataclass(frozen=True)
class PhaseDrift:
    """φ_d(t) − φ_d(end) [rad] and A(t)/A(end) averaged over the calorimeters, for figures; per calorimeter shifts."""

    time_us: FloatArray
    phase_rad: FloatArray
    asymmetry: FloatArray
    shift_ppb: FloatArray
    drifts: tuple[MomentDrift, ...]


def slice_moments(
    counts_x: FloatArray,
    counts_y: FloatArray,
    positions_mm: FloatArray,
    acceptance_x: FloatArray,
    acceptance_y: FloatArray,
    time_us: FloatArray,
    resolution_mm: tuple[float, float],
) -> BeamMoments:
    """Return the moments from histograms (positions, slices), acceptance divided out, resolution subtracted."""
    values = np.empty((4, len(time_us)))
    errors = np.empty((4, len(time_us)))
    for row, (counts, acceptance, sigma) in enumerate(
        ((counts_x, acceptance_x, resolution_mm[0]), (counts_y, acceptance_y, resolution_mm[1]))
    ):
        weighted = counts / acceptance[:, None]
        total = weighted.sum(axis=0)
        effective = total**2 / np.maximum((counts / acceptance[:, None] ** 2).sum(axis=0), 1e-300)
        mean = (weighted * positions_mm[:, None]).sum(axis=0) / total
        offset = positions_mm[:, None] - mean
        variance = (weighted * offset**2).sum(axis=0) / total
        fourth = (weighted * offset**4).sum(axis=0) / total
        values[2 * row], values[2 * row + 1] = mean, variance - sigma**2
        errors[2 * row] = np.sqrt(variance / effective)
        errors[2 * row + 1] = np.sqrt(np.maximum(fourth - variance**2, 0.0) / effective)
    return BeamMoments(time_us, values, errors)


def fit_moments(moments: BeamMoments, relaxation_us: float) -> MomentDrift:
    """Fit a constant and a relaxation to each moment.

    Raises
    ------
    DataError
        Fewer than five slices, or one without tracks.
    """
    if len(moments.time_us) < 5 or not np.isfinite(moments.values).all() or not (moments.errors > 0.0).all():
        raise DataError(
            "too few tracks for the beam moments", expected="five slices with tracks", found=f"{len(moments.time_us)}"
        )
    design = np.stack([np.ones_like(moments.time_us), np.exp(-moments.time_us / relaxation_us)], axis=1)
    final, amplitude, covariance, chi2 = np.empty(4), np.empty(4), np.empty((4, 2, 2)), 0.0
    for m in range(4):
        weighted = design / moments.errors[m][:, None]
        covariance[m] = np.linalg.inv(weighted.T @ weighted)
        final[m], amplitude[m] = covariance[m] @ (weighted.T @ (moments.values[m] / moments.errors[m]))
        residual = (moments.values[m] - design @ np.array([final[m], amplitude[m]])) / moments.errors[m]
        chi2 += float(residual @ residual)
    ndf = 4 * (len(moments.time_us) - 2)
    return MomentDrift(final, amplitude, covariance, relaxation_us, chi2, ndf)


def detected_phasor(
    phase_map: PhaseMap, moments: FloatArray, half: int | None = None
) -> tuple[NDArray[np.complex128], FloatArray]:
    """Return Σ N A e^{iφ_d}/Σ N for Gaussian beams with given moments (4, times), and ΣN; cut at 45 mm."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(11)
    x = moments[0][:, None, None] + np.sqrt(np.maximum(moments[1], 1.0))[:, None, None] * nodes[None, :, None]
    y = moments[2][:, None, None] + np.sqrt(np.maximum(moments[3], 1.0))[:, None, None] * nodes[None, None, :]
    x, y = np.broadcast_arrays(x, y)
    inside = 1.0 / (1.0 + np.exp((np.hypot(x, y) - 45.0) / 1.5))
    share = weights[:, None] * weights[None, :] * inside
    x, y = np.clip(x, -45.0, 45.0), np.clip(y, -45.0, 45.0)
    rate = share * phase_map.rate_at(x, y)
    phasor = (rate * phase_map.asymmetry_at(x, y) * np.exp(1j * phase_map.phase_at(x, y, half))).sum(axis=(1, 2))
    total = rate.sum(axis=(1, 2))
    return phasor / total, total


def _table(times: FloatArray, values: FloatArray) -> Callable[[FloatArray], FloatArray]:
    """Return the linear interpolation of values at times as a function."""
    return lambda t: np.asarray(np.interp(t, times, values))


def _ring_moments(drifts: Sequence[MomentDrift], response: RingResponse | None, times: FloatArray) -> list[FloatArray]:
    """Return moments (4, times) at every calorimeter; without a response the mean of the stations for all."""
    final = np.mean([d.final for d in drifts], axis=0)
    amplitude = np.stack([d.amplitude for d in drifts])
    errors = np.stack([np.sqrt(d.covariance[:, 1, 1]) for d in drifts])
    weight = 1.0 / errors**2
    common = (weight * amplitude).sum(axis=0) / weight.sum(axis=0)
    relax = np.exp(-times / drifts[0].relaxation_us)
    if response is None:
        return [final[:, None] + common[:, None] * relax]
    orbit = response.spread(amplitude[:, 2], errors[:, 2], "orbit_y")
    beta = response.spread(amplitude[:, 3], errors[:, 3], "beta_y")
    rows = []
    for k in range(len(orbit)):
        here = np.array([common[0], common[1], orbit[k], beta[k]])
        rows.append(final[:, None] + here[:, None] * relax)
    return rows


def phase_acceptance(
    stations: Sequence[BeamMoments],
    phase_map: PhaseMap,
    response: RingResponse,
    *,
    relaxation_us: float = 65.0,
    relaxation_error_us: float = 15.0,
    experiment: PseudoExperiment | None = None,
    map_error: float = 0.20,
    moment_scale_error: float = 0.10,
    replicas: int = 30,
    seed: int = 1,
) -> tuple[Correction, PhaseDrift]:
    """Return C_pa with the rows of the published table.

    Parameters
    ----------
    stations
        Moments at the tracker stations.
    response
        Optics from the stations to the calorimeters.
    relaxation_us, relaxation_error_us
        Time constant of the slow voltage component (from the CBO frequency), and its uncertainty.
    map_error
        Relative uncertainty of the phase maps beyond their statistics (material, fringe field).
    moment_scale_error
        Relative uncertainty of the drifts of the moments (resolution, acceptance, CBO averaging).
    """
    experiment = experiment or PseudoExperiment()
    times = experiment.start_us + (experiment.stop_us - experiment.start_us) * np.linspace(0.0, 1.0, 49) ** 2
    kernel = slope_kernel(experiment.times_us, lifetime_us=experiment.lifetime_us)

    def phases(drifts: Sequence[MomentDrift], ring: RingResponse | None, half: int | None = None) -> list[FloatArray]:
        return [np.unwrap(np.angle(detected_phasor(phase_map, m, half)[0])) for m in _ring_moments(drifts, ring, times)]

    def slope_ppb(drifts: Sequence[MomentDrift], ring: RingResponse | None, half: int | None = None) -> float:
        """Return the correction by the straight-line kernel, mean of the calorimeters."""
        mean = np.mean(phases(drifts, ring, half), axis=0)
        return float(1e9 * (kernel @ np.interp(experiment.times_us, times, mean)) / experiment.omega_a)

    drifts = [fit_moments(s, relaxation_us) for s in stations]
    shifts = []
    all_phases, all_scales = [], []
    for moments in _ring_moments(drifts, response, times):
        phasor, _ = detected_phasor(phase_map, moments)
        phase = np.unwrap(np.angle(phasor))
        scale = np.abs(phasor) / np.abs(phasor[-1])
        all_phases.append(phase - phase[-1])
        all_scales.append(scale)
        shifts.append(experiment.shift_ppb(_table(times, phase[-1] - phase), asymmetry=_table(times, scale)))
    value = -float(np.mean(shifts))
    nominal = slope_ppb(drifts, response)
    generator = np.random.Generator(np.random.Philox(key=seed))
    toys = []
    for _ in range(replicas):
        moved = []
        for d in drifts:
            jumps = np.stack([generator.multivariate_normal(np.zeros(2), c) for c in d.covariance])
            moved.append(replace(d, final=d.final + jumps[:, 0], amplitude=d.amplitude + jumps[:, 1]))
        toys.append(slope_ppb(moved, response))
    slower = [
        slope_ppb([fit_moments(s, relaxation_us + sign * relaxation_error_us) for s in stations], response)
        for sign in (-1.0, 1.0)
    ]
    halves = [slope_ppb(drifts, response, half) for half in (0, 1)]
    average_only = slope_ppb(drifts, None)
    statistics = float(np.std(toys))
    rows = {
        "statistics": statistics,
        "tracker_cbo": float(np.hypot(moment_scale_error * value, 0.5 * (slower[1] - slower[0]))),
        "phase_maps": float(np.hypot(map_error * value, 0.5 * (halves[1] - halves[0]))),
        # How far the optics carry the stations' view; what statistics explains is counted there already.
        "beam_dynamics": max((0.5 * (average_only - nominal)) ** 2 - statistics**2, 0.0) ** 0.5,
    }
    drift = PhaseDrift(
        time_us=times,
        phase_rad=np.mean(all_phases, axis=0),
        asymmetry=np.mean(all_scales, axis=0),
        shift_ppb=np.array(shifts),
        drifts=tuple(drifts),
    )
    return Correction("C_pa", value, rows), drift
