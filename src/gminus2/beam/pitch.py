"""Pitch correction C_p from the vertical distribution that a tracker records.

A muon of amplitude A shows f(y|A) = 1/(π√(A² − y²)); the recorded profile is that density times the tracker's
acceptance, smeared with its resolution. Unfolding gives the amplitudes g(A), which are reweighted with the rate that
the calorimeters count, and C_p = ½⟨γ_y⟩⟨A²⟩/(2β_y) with β_y at the station (``docs/physics/beam_corrections.md``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.special import ndtr

from gminus2.beam.corrections import Correction
from gminus2.errors import DataError
from gminus2.physics.optics import pitch_correction

__all__ = ["AmplitudeDistribution", "VerticalProfile", "pitch", "unfold_amplitudes"]

FloatArray = NDArray[np.float64]

_AMPLITUDE_STEP_MM: Final = 1.5
_FINE: Final = 8
_LEAST_TRACKS: Final = 2000.0


@dataclass(frozen=True)
class VerticalProfile:
    """Tracks of one station against height, and what is known of the station.

    Attributes
    ----------
    counts, edges_mm
        Histogram of the height, upward, (K,) and (K + 1,).
    resolution_mm
        rms of the reconstructed height about the decay height (track fit and emission angle together).
    acceptance
        Relative track acceptance at the fine grid ``fine_mm``.
    beta_y_mm
        β_y where the tracks start.
    """

    counts: FloatArray
    edges_mm: FloatArray
    resolution_mm: float
    acceptance: FloatArray
    beta_y_mm: float

    @property
    def fine_mm(self) -> FloatArray:
        """Fine grid of heights on which acceptance is given (cell centres)."""
        return fine_grid(self.edges_mm)


def fine_grid(edges_mm: FloatArray) -> FloatArray:
    """Return the fine heights for a histogram's edges."""
    step = (edges_mm[1] - edges_mm[0]) / _FINE
    count = round((edges_mm[-1] - edges_mm[0]) / step)
    grid: FloatArray = edges_mm[0] + step * (np.arange(count) + 0.5)
    return grid


@dataclass(frozen=True)
class AmplitudeDistribution:
    """Amplitudes [mm] and their shares among stored muons; centre of the oscillation; fit quality."""

    amplitude_mm: FloatArray
    share: FloatArray
    centre_mm: float
    chi2: float
    ndf: int
    fitted: FloatArray

    def mean_square_y(self, weight: FloatArray | None = None) -> float:
        """Return ⟨y²⟩ = ⟨A²⟩/2 [mm²], muons weighted with ``weight`` per amplitude."""
        share = self.share if weight is None else self.share * weight
        return float(0.5 * (share * self.amplitude_mm**2).sum() / share.sum())


def _dwell(amplitude: float, low: FloatArray, high: FloatArray) -> FloatArray:
    """Return the share of time a muon spends between heights."""
    edges = (np.arcsin(np.clip(e / amplitude, -1.0, 1.0)) / np.pi for e in (low, high))
    first, last = edges
    return np.asarray(last - first)


def _response(profile: VerticalProfile, amplitudes: FloatArray, centre: float) -> FloatArray:
    fine = profile.fine_mm
    half = 0.5 * (fine[1] - fine[0])
    smear = np.diff(ndtr((profile.edges_mm[:, None] - fine[None, :]) / profile.resolution_mm), axis=0)
    columns = [smear @ (_dwell(a, fine - half - centre, fine + half - centre) * profile.acceptance) for a in amplitudes]
    return np.stack(columns, axis=1)


def unfold_amplitudes(profile: VerticalProfile, *, smoothness: float = 1.0) -> AmplitudeDistribution:
    """Return the amplitude distribution behind a profile by regularised non-negative least squares.

    Raises
    ------
    DataError
        Too few tracks.
    """
    total = float(profile.counts.sum())
    if total < _LEAST_TRACKS:
        raise DataError(
            "too few tracks for the pitch correction", expected=f"{_LEAST_TRACKS:.0f} or more", found=f"{total:.0f}"
        )
    middle = 0.5 * (profile.edges_mm[:-1] + profile.edges_mm[1:])
    corrected = profile.counts / np.interp(middle, profile.fine_mm, profile.acceptance)
    centre = float((corrected * middle).sum() / corrected.sum())
    # Cell centres in A, so that the first cell [0, step] has a sensible arcsine.
    amplitudes = np.asarray(_AMPLITUDE_STEP_MM * (np.arange(round(45.0 / _AMPLITUDE_STEP_MM)) + 0.5), np.float64)
    matrix = _response(profile, amplitudes, centre)
    error = np.sqrt(np.maximum(profile.counts, 1.0))
    rough = np.diff(np.eye(len(amplitudes)), n=3, axis=0)
    # In units of the statistical error of a typical cell, so that the penalty fades as tracks accumulate.
    strength = smoothness * np.sqrt(len(amplitudes)) / np.sqrt(total)
    solution, _ = nnls(
        np.vstack([matrix * total / error[:, None], strength / (0.05 / len(amplitudes)) * rough]),
        np.concatenate([profile.counts / error, np.zeros(len(rough))]),
        maxiter=3000,
    )
    fitted = total * matrix @ solution
    used = int((solution > 0.0).sum())
    return AmplitudeDistribution(
        amplitude_mm=amplitudes,
        share=solution / solution.sum(),
        centre_mm=centre,
        chi2=float((((profile.counts - fitted) / error) ** 2)[profile.counts > 0].sum()),
        ndf=max(int((profile.counts > 0).sum()) - used, 1),
        fitted=fitted,
    )


def _moment_y(profile: VerticalProfile) -> float:
    """Return ⟨y²⟩ from the second moment with acceptance divided out and the resolution subtracted."""
    middle = 0.5 * (profile.edges_mm[:-1] + profile.edges_mm[1:])
    width = profile.edges_mm[1] - profile.edges_mm[0]
    # Smear the acceptance too: tracks at a reconstructed height come from around it.
    fine = profile.fine_mm
    seen = np.exp(-0.5 * ((middle[:, None] - fine[None, :]) / profile.resolution_mm) ** 2)
    seen *= np.exp(-0.5 * (fine / 13.0) ** 2)
    acceptance = (seen * profile.acceptance).sum(axis=1) / seen.sum(axis=1)
    weights = profile.counts / acceptance
    mean = (weights * middle).sum() / weights.sum()
    spread = float((weights * (middle - mean) ** 2).sum() / weights.sum())
    return float(spread - profile.resolution_mm**2 - width**2 / 12.0)


def _station(
    profile: VerticalProfile, mean_gamma_y: float, calorimeter: FloatArray, calorimeter_weight: float
) -> tuple[float, AmplitudeDistribution]:
    amplitudes = unfold_amplitudes(profile)
    fine = profile.fine_mm
    half = 0.5 * (fine[1] - fine[0])
    seen = np.array([_dwell(a, fine - half, fine + half) @ calorimeter for a in amplitudes.amplitude_mm])
    weight = 1.0 + calorimeter_weight * (seen / seen[0] - 1.0)
    square = amplitudes.mean_square_y(weight)
    return 1e9 * pitch_correction(square, mean_gamma_y, profile.beta_y_mm), amplitudes


def pitch(
    profiles: Sequence[VerticalProfile],
    mean_gamma_y_per_mm: float,
    calorimeter: FloatArray,
    *,
    resolution_error: float = 0.10,
    acceptance_error: float = 0.10,
    beta_error: float = 0.005,
    gradient_error: float = 0.010,
    alignment_error: float = 0.02,
    replicas: int = 20,
    seed: int = 1,
) -> tuple[Correction, list[AmplitudeDistribution]]:
    """Return C_p with the rows of the published table, and the amplitudes per station.

    Parameters
    ----------
    profiles
        One per station.
    mean_gamma_y_per_mm
        Ring average of γ_y.
    calorimeter
        Rate times asymmetry that calorimeters count against height, on the fine grid.
    resolution_error, acceptance_error
        Relative uncertainty of the resolution, and of the departure of the acceptance from 1.
    beta_error, gradient_error
        Relative uncertainty of β_y at the station and of the quadrupole gradient.
    alignment_error
        Relative uncertainty of the vertical scale from track reconstruction and alignment.
    """

    def mean(changed: Sequence[VerticalProfile], weight: float = 1.0) -> float:
        return float(np.mean([_station(p, mean_gamma_y_per_mm, calorimeter, weight)[0] for p in changed]))

    results = [_station(p, mean_gamma_y_per_mm, calorimeter, 1.0) for p in profiles]
    value = float(np.mean([r[0] for r in results]))
    generator = np.random.Generator(np.random.Philox(key=seed))
    drawn = [
        mean([replace(p, counts=generator.poisson(p.counts).astype(np.float64)) for p in profiles])
        for _ in range(replicas)
    ]
    sharper = mean([replace(p, resolution_mm=p.resolution_mm * (1.0 + resolution_error)) for p in profiles])
    flatter = mean([replace(p, acceptance=1.0 + (1.0 + acceptance_error) * (p.acceptance - 1.0)) for p in profiles])
    by_moment = float(
        np.mean([1e9 * pitch_correction(_moment_y(p), mean_gamma_y_per_mm, p.beta_y_mm) for p in profiles])
    )
    unweighted = mean(profiles, 0.0)
    stations = 0.5 * abs(results[0][0] - results[-1][0]) if len(results) > 1 else 0.0
    statistics = float(np.std(drawn))
    rows = {
        "statistics": statistics,
        # The stations agree within their statistics in a perfect detector; what is beyond it is reconstruction.
        "tracker_reconstruction": float(
            np.hypot(2.0 * alignment_error * value, max(stations**2 - statistics**2, 0.0) ** 0.5)
        ),
        "tracker_resolution_acceptance": float(np.hypot(sharper - value, flatter - value)),
        "beta_y_calorimeters": float(np.hypot(beta_error * value, 0.1 * (unweighted - value))),
        "amplitude_fit": max(abs(by_moment - unweighted) ** 2 - statistics**2, 0.0) ** 0.5,
        "quad_calibration": gradient_error * value,
    }
    return Correction("C_p", value, rows), [r[1] for r in results]
