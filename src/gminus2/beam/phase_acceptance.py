"""Phase-acceptance correction C_pa: a beam that moves or breathes slowly drifts in phase.

Tracker profiles in slices of whole CBO periods and the crystal rows of the calorimeters give mean height and width
against time. A fit answers with the slope of φ_d(t) in a straight line weighted like the data, hence
C_pa = Σ_m (∂φ_d/∂m) (dm/dt)/ω_a over the moments m of the beam: the slopes come from weighted straight lines, the
derivatives from the maps and the recorded vertical profile (``docs/physics/beam_corrections.md``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gminus2.beam.calorimeter_rows import RowDrift
from gminus2.beam.corrections import Correction
from gminus2.beam.fit_response import PseudoExperiment, slope_kernel
from gminus2.beam.phase_maps import PhaseMap
from gminus2.constants import GAMMA_MAGIC, MUON_LIFETIME_US
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
    calorimeters' decay regions, shape (24,), and at the stations, shape (stations,).

    ``beta_scale`` and ``cbo_rad_per_us`` are what one unit of missing strength of the section changes: the largest
    relative change of β_y, and the CBO frequency.
    """

    orbit_y_calorimeters: FloatArray
    orbit_y_stations: FloatArray
    beta_y_calorimeters: FloatArray
    beta_y_stations: FloatArray
    beta_scale: float = 0.0
    cbo_rad_per_us: float = 1.0

    def ring_orbit(self, values: FloatArray, errors: FloatArray) -> tuple[float, float]:
        """Return the ring's mean of an orbit drift seen at the stations, one-parameter fit, with its error."""
        # Stations near a node of the pattern say little about the source: the fit weights them so.
        gain = self.orbit_y_stations / float(np.mean(self.orbit_y_calorimeters))
        weight = 1.0 / errors**2
        norm = max(float((weight * gain**2).sum()), 1e-300)
        return float((weight * gain * values).sum() / norm), norm**-0.5


@dataclass(frozen=True)
class PhaseDrift:
    """φ_d(t) − φ_d(end) [rad] of the ring, smooth and as measured, and the shift at each calorimeter.

    ``slopes`` and ``slope_errors`` are those of the four moments of the ring [mm/µs, mm²/µs], ``sensitivity`` is
    ∂φ_d/∂m [rad/mm, rad/mm²].
    """

    time_us: FloatArray
    phase_rad: FloatArray
    point_time_us: FloatArray
    point_phase_rad: FloatArray
    point_error_rad: FloatArray
    shift_ppb: FloatArray
    drifts: tuple[MomentDrift, ...]
    slopes: FloatArray
    slope_errors: FloatArray
    sensitivity: FloatArray


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
    phase_map: PhaseMap,
    moments: FloatArray,
    half: int | None = None,
    shape: tuple[FloatArray, FloatArray] | None = None,
) -> tuple[NDArray[np.complex128], FloatArray]:
    """Return Σ N A e^{iφ_d}/Σ N for beams with given moments (4, times), and ΣN.

    ``shape``: vertical profile as heights in units of the width and weights (:func:`profile_nodes`); default: a
    Gaussian beam cut at 45 mm. A Gaussian has too long tails: its φ_d answers to height and width 15 % too little.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(11)
    y_nodes, y_weights = (nodes, weights) if shape is None else shape
    x = moments[0][:, None, None] + np.sqrt(np.maximum(moments[1], 1.0))[:, None, None] * nodes[None, :, None]
    y = moments[2][:, None, None] + np.sqrt(np.maximum(moments[3], 1.0))[:, None, None] * y_nodes[None, None, :]
    x, y = np.broadcast_arrays(x, y)
    share = weights[:, None] * y_weights[None, :] * np.ones_like(x)
    if shape is None:
        share = share / (1.0 + np.exp((np.hypot(x, y) - 45.0) / 1.5))
    x, y = np.clip(x, -45.0, 45.0), np.clip(y, -50.0, 50.0)
    rate = share * phase_map.rate_at(x, y)
    phasor = (rate * phase_map.asymmetry_at(x, y) * np.exp(1j * phase_map.phase_at(x, y, half))).sum(axis=(1, 2))
    total = rate.sum(axis=(1, 2))
    return phasor / total, total


_STEPS: Final = np.array([1.0, 20.0, 0.5, 10.0])


def sensitivity(
    phase_map: PhaseMap, base: FloatArray, shape: tuple[FloatArray, FloatArray] | None, half: int | None = None
) -> FloatArray:
    """Return ∂φ_d/∂m [rad/mm, rad/mm²] of the four moments at ``base``."""
    found = np.empty(4)
    for m, step in enumerate(_STEPS):
        pair = np.tile(base[:, None], 2)
        pair[m] += np.array([-step, step])
        phase = np.angle(detected_phasor(phase_map, pair, half, shape)[0])
        found[m] = (phase[1] - phase[0]) / (2.0 * step)
    return found


def straight_line(time_us: FloatArray, values: FloatArray, errors: FloatArray) -> tuple[float, float, float]:
    """Return (mean, slope, error of the slope) of a straight line weighted like the decays, with e^{−t/γτ}.

    That is how a fit of ω_a weights a phase, whatever its course; recorded decays have just these weights.
    """
    kernel = slope_kernel(time_us)
    decays = np.exp(-(time_us - time_us[0]) / (GAMMA_MAGIC * MUON_LIFETIME_US))
    mean = float((decays * values).sum() / decays.sum())
    return mean, float(kernel @ values), float(np.sqrt((kernel * errors) @ (kernel * errors)))


def _combined(values: Sequence[float], errors: Sequence[float]) -> tuple[float, float, FloatArray]:
    weight = np.array(errors) ** -2.0
    share = weight / weight.sum()
    return float(share @ np.array(values)), float(weight.sum() ** -0.5), share


def phase_acceptance(
    stations: Sequence[BeamMoments],
    phase_map: PhaseMap,
    response: RingResponse,
    *,
    rows: RowDrift | None = None,
    shape: tuple[FloatArray, FloatArray] | None = None,
    missing_strength: float = 0.0,
    missing_strength_error: float = 0.0,
    relaxation_us: float = 65.0,
    experiment: PseudoExperiment | None = None,
    map_error: float = 0.20,
    moment_scale_error: float = 0.05,
    pileup_error: float = 0.15,
    gain_error: float = 0.30,
    radial_slope_error: float = 1e-4,
    radial_square_slope_error: float = 5e-3,
) -> tuple[Correction, PhaseDrift]:
    """Return C_pa with the rows of the published table.

    Parameters
    ----------
    stations
        Moments at the tracker stations.
    response
        Optics from the stations to the calorimeters.
    rows
        Height and width from the crystal rows, the ring's mean.
    shape
        Vertical profile (:func:`~gminus2.beam.calorimeter_rows.profile_nodes`).
    missing_strength, missing_strength_error
        Relative strength that the damaged section misses at t = 0, from the drift of the CBO frequency; it widens the
        beam more at the stations than around the ring.
    relaxation_us
        Its time constant.
    map_error
        Relative uncertainty of the phase maps beyond their statistics (material, fringe field).
    moment_scale_error
        Relative uncertainty of the drifts of the moments (resolution, acceptance, vertical scale).
    pileup_error, gain_error
        Relative uncertainty of what pileup and gain add to the crystal rows.
    radial_slope_error, radial_square_slope_error
        How much mean [mm/µs] and variance [mm²/µs] of x may drift: top and bottom plates do not move the radial orbit,
        and what losses and decay by momentum do to it is counted in C_ml and C_dd.
    """
    experiment = experiment or PseudoExperiment()
    per_slope = 1e9 / experiment.omega_a
    drifts = tuple(fit_moments(s, relaxation_us) for s in stations)
    lines = np.array([[straight_line(s.time_us, s.values[m], s.errors[m]) for m in range(4)] for s in stations])
    base = lines[:, :, 0].mean(axis=0)
    if rows is not None:
        base[2] = (2.0 * base[2] + straight_line(rows.time_us, rows.values[0], rows.errors[0])[0]) / 3.0
    answer = sensitivity(phase_map, base, shape)

    # Radial: what the optics forbid, against what the stations see.
    slopes, errors = np.empty(4), np.empty(4)
    for m, prior in ((0, radial_slope_error), (1, radial_square_slope_error)):
        slopes[m], errors[m], _ = _combined([0.0, *lines[:, m, 1]], [prior, *lines[:, m, 2]])
    # Height: the pattern of one kick.
    height = response.ring_orbit(lines[:, 2, 1], lines[:, 2, 2])
    # Width: what the weak section does is known; the rest is alike all around the ring.
    relax = missing_strength * response.beta_scale * base[3]
    decay = np.exp(-experiment.times_us / relaxation_us)
    by_section = float(slope_kernel(experiment.times_us, lifetime_us=experiment.lifetime_us) @ decay)
    here, there = response.beta_y_stations, response.beta_y_calorimeters
    corrected = lines[:, 3, 1] + relax * by_section * (float(np.mean(there)) - here)
    width = _combined(list(corrected), list(lines[:, 3, 2]))
    share = np.zeros(2)
    seen = []
    if rows is None:
        (slopes[2], errors[2]), (slopes[3], errors[3]) = height, width[:2]
    else:
        seen = [straight_line(rows.time_us, rows.values[k], rows.errors[k]) for k in range(2)]
        slopes[2], errors[2], weights = _combined([height[0], seen[0][1]], [height[1], seen[0][2]])
        share[0] = weights[1]
        slopes[3], errors[3], weights = _combined([width[0], seen[1][1]], [width[1], seen[1][2]])
        share[1] = weights[1]
    value = per_slope * float(answer @ slopes)
    statistics = per_slope * float(np.hypot.reduce(answer * errors))

    taken_out = np.zeros(2)
    tension = 0.0
    if rows is not None:
        taken_out = np.array(
            [
                sum(
                    share[k] * answer[2 + k] * straight_line(rows.time_us, part[k], rows.errors[k])[1] for k in range(2)
                )
                for part in (rows.pileup, rows.gain)
            ]
        )
        alone = answer[2] * (seen[0][1] - height[0]) + answer[3] * (seen[1][1] - width[0])
        expected = np.hypot(answer[2] * np.hypot(seen[0][2], height[1]), answer[3] * np.hypot(seen[1][2], width[1]))
        # Tracks and rows agree within statistics in a perfect detector; what is beyond is shared between them.
        tension = 0.5 * per_slope * float(max(alone**2 - 4.0 * expected**2, 0.0) ** 0.5)
    halves = [float(sensitivity(phase_map, base, shape, half) @ slopes) * per_slope for half in (0, 1)]
    optics = relax * by_section * float(np.mean(there) - np.mean(here)) * (1.0 - share[1]) * answer[3] * per_slope
    doubt = missing_strength_error / missing_strength if missing_strength else 0.0
    systematic = per_slope * np.hypot(pileup_error * taken_out[0], gain_error * taken_out[1])
    found = {
        "statistics": statistics,
        "tracker_cbo": float(np.hypot.reduce([moment_scale_error * value, systematic, tension])),
        "phase_maps": float(np.hypot(map_error * value, 0.5 * (halves[1] - halves[0]))),
        # How the optics carry the stations' view around the ring.
        "beam_dynamics": float(np.hypot(doubt * optics, 0.25 * optics)),
    }

    pattern = response.orbit_y_calorimeters / float(np.mean(response.orbit_y_calorimeters))
    uneven = relax * by_section * (there - float(np.mean(there)))
    each = per_slope * (value / per_slope + answer[2] * slopes[2] * (pattern - 1.0) + answer[3] * uneven)
    times, curve, points = _phase_of_time(stations, rows, answer, relaxation_us, experiment)
    drift = PhaseDrift(times, curve, *points, -each, drifts, slopes, errors, answer)
    return Correction("C_pa", value, found), drift


def _phase_of_time(
    stations: Sequence[BeamMoments],
    rows: RowDrift | None,
    answer: FloatArray,
    relaxation_us: float,
    experiment: PseudoExperiment,
) -> tuple[FloatArray, FloatArray, tuple[FloatArray, FloatArray, FloatArray]]:
    """Return a smooth φ_d(t) − φ_d(end) and points (time, phase, error) from height and width, for figures."""
    sources = [(s.time_us, s.values[2:], s.errors[2:]) for s in stations]
    if rows is not None:
        sources.append((rows.time_us, rows.values, rows.errors))
    time, phase, error = [], [], []
    for t, values, errors in sources:
        drift = answer[2] * values[0] + answer[3] * values[1]
        own = np.hypot(answer[2] * errors[0], answer[3] * errors[1])
        time.append(t)
        # Sources differ by a constant (position of a station, offset of the rows): only changes matter.
        phase.append(drift - straight_line(t, drift, own)[0])
        error.append(own)
    t, p, e = (np.concatenate(part) for part in (time, phase, error))
    edges = np.linspace(t.min() - 1e-6, min(float(t.max()), 350.0), 16)
    index = np.digitize(t, edges) - 1
    inside = (index >= 0) & (index < len(edges) - 1)
    weight = np.bincount(index[inside], e[inside] ** -2.0, len(edges) - 1)
    mean_t, mean_p = (
        np.bincount(index[inside], v[inside] * e[inside] ** -2.0, len(edges) - 1) / np.maximum(weight, 1e-300)
        for v in (t, p)
    )
    grid = np.linspace(experiment.start_us, min(experiment.stop_us, 350.0), 60)

    def basis(at: FloatArray) -> FloatArray:
        return np.stack([np.ones_like(at), np.exp(-at / relaxation_us), at / 100.0], axis=1)

    design = basis(t) / e[:, None]
    curve: FloatArray = np.asarray(basis(grid) @ np.linalg.lstsq(design, p / e, rcond=None)[0])
    filled = weight > 0.0
    error_p: FloatArray = np.asarray(weight[filled] ** -0.5, dtype=np.float64)
    points = (np.asarray(mean_t[filled]), np.asarray(mean_p[filled] - curve[-1]), error_p)
    return grid, curve - curve[-1], points
