"""Weighting the field with the muons: by moments, by grid, and in time; and what a wrong profile would cost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gminus2.data.muon_profile import MuonProfile
from gminus2.physics.multipoles import MOMENTS, basis

__all__ = ["average_by_grid", "average_by_moments", "profile_shift_hz", "profile_sigmas", "rebin_counts"]

FloatArray = NDArray[np.float64]


def average_by_moments(moments_hz: FloatArray, profile: MuonProfile, azimuth_deg: FloatArray) -> FloatArray:
    """Return Σ_i k_i(φ) m_i(φ) [Hz] at each azimuth; ``moments_hz`` has shape (n, 9)."""
    return np.asarray((moments_hz * profile.moments_at(azimuth_deg)).sum(axis=1))


def average_by_grid(moments_hz: FloatArray, profile: MuonProfile) -> FloatArray:
    """Return Σ M B/Σ M [Hz] over the bins at each azimuth of the profile; ``moments_hz`` has shape (n_azimuth, 9)."""
    functions = basis(profile.x_mm[None, :], profile.y_mm[:, None], MOMENTS)
    weight = profile.inside_weight()
    result = np.empty(len(weight))
    for k, m in enumerate(weight):
        result[k] = (m * (functions @ moments_hz[k])).sum() / m.sum()
    return result


def profile_shift_hz(
    moments_hz: FloatArray,
    profile: MuonProfile,
    *,
    dx_mm: float = 0.0,
    dy_mm: float = 0.0,
    scale_x: float = 1.0,
    scale_y: float = 1.0,
) -> float:
    """Return the change of the average for a displaced or widened profile [Hz].

    Each muon moves (no rebinning, so shifts far below the bin width are exact): x → x̄ + (x − x̄)·scale + dx.
    ``moments_hz`` are ring means, shape (9,).
    """
    weight = profile.inside_weight().sum(axis=0)
    weight = weight / weight.sum()
    mean_x = float((weight * profile.x_mm[None, :]).sum())
    mean_y = float((weight * profile.y_mm[:, None]).sum())
    x = mean_x + (profile.x_mm[None, :] - mean_x) * scale_x + dx_mm
    y = mean_y + (profile.y_mm[:, None] - mean_y) * scale_y + dy_mm
    x, y = np.broadcast_arrays(x, y)
    moved = basis(x, y, MOMENTS) @ moments_hz
    original = basis(profile.x_mm[None, :], profile.y_mm[:, None], MOMENTS) @ moments_hz
    return float((weight * (moved - original)).sum())


def profile_sigmas(
    ring_moments_hz: FloatArray,
    azimuth_deg: FloatArray,
    moments_hz: FloatArray,
    weight_deg: FloatArray,
    profile: MuonProfile,
    *,
    alignment_mm: float,
    width_relative: float,
    closed_orbit_mm: float,
) -> dict[str, float]:
    """Return the standard uncertainty [Hz] of the average from each property of the profile.

    The closed orbit couples to the first harmonic of the normal quadrupole: ½ A ⟨NQ⟩₁/r0, taken for the worst phase.
    """
    harmonic = 2 * np.exp(1j * np.radians(azimuth_deg)) * moments_hz[:, MOMENTS.index("NQ")]
    first = abs(complex((harmonic * weight_deg).sum() / weight_deg.sum()))
    return {
        "radial position": abs(profile_shift_hz(ring_moments_hz, profile, dx_mm=alignment_mm)),
        "vertical position": abs(profile_shift_hz(ring_moments_hz, profile, dy_mm=alignment_mm)),
        "radial width": abs(profile_shift_hz(ring_moments_hz, profile, scale_x=1 + width_relative)),
        "vertical width": abs(profile_shift_hz(ring_moments_hz, profile, scale_y=1 + width_relative)),
        "closed orbit": 0.5 * closed_orbit_mm * first / 45.0,
    }


def rebin_counts(time_s: FloatArray, counts: FloatArray, edges_s: FloatArray) -> FloatArray:
    """Spread counts of bins centred on ``time_s`` over other bins, keeping their number within the covered range."""
    width = float(np.median(np.diff(time_s))) if len(time_s) > 1 else float(edges_s[1] - edges_s[0])
    old_edges = np.append(time_s - width / 2, time_s[-1] + width / 2)
    cumulative = np.concatenate([[0.0], np.cumsum(counts)])
    return np.asarray(np.diff(np.interp(edges_s, old_edges, cumulative)))
