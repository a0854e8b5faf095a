"""The true field of one dataset: static multipoles along the azimuth, slow drifts, oscillation, steps, feedback.

m_i(φ, t) = S_i(φ) + Σ_h F_h(φ) A_ih(t) + [i = D] d(t): S is a random Fourier series, F_h = 1, cos φ, sin φ, cos 2φ,
sin 2φ, A the drifts on a 60 s grid and d the fast, ring-wide dipole (oscillation, steps, feedback) at the feedback's
cadence. Beside it live the random walks u(s, t) by which fixed probes drift against the field in the storage region.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from gminus2.config.field import FieldDatasetSection, FieldSection
from gminus2.data.muon_profile import MuonProfile
from gminus2.physics.multipoles import MOMENTS, TRACKED
from gminus2.physics.nmr import HZ_PER_PPB
from gminus2.physics.probes import N_FIXED_PROBES, N_STATIONS, fixed_probe_basis, probe_station, station_azimuths_deg
from gminus2.random import stream
from gminus2.simulation.magnet.feedback import CYCLE_S, run_feedback

__all__ = ["MagnetWorld", "make_world"]

FloatArray = NDArray[np.float64]
_SLOW_S: Final = 60.0
_HARMONICS: Final = 120
_DAY_S: Final = 86_400.0
_REFERENCE_S: Final = 72 * 3600.0
#: Azimuthal means of the static moments beyond the dipole [ppm], of the size of Run-1 (docs/physics/field.md §6).
_STATIC_PPM: Final = {"NQ": 0.2, "SQ": 0.6, "NS": -1.3, "SS": 0.45, "NO": 0.01, "SO": 0.27, "ND": 0.07, "SD": -1.4}
#: Size of slow drifts and walks relative to the dipole's.
_RELATIVE_DRIFT: Final = {"D": 0.0, "NQ": 1.0, "SQ": 0.47, "NS": 0.35, "SS": 0.35}
_RELATIVE_WALK: Final = {"D": 1.0, "NQ": 0.3, "SQ": 0.2, "NS": 0.3, "SS": 0.2}


@dataclass(frozen=True)
class MagnetWorld:
    """The true field, in Hz above the local oscillator, of the shielded proton at T_r.

    Attributes
    ----------
    duration_s
        Time covered, from 0.
    static_mean, static_cos, static_sin
        Shapes (9,), (9, n_harmonic), (9, n_harmonic).
    slow_t_s, drift
        Grid and A, shape (n_slow, 5 moments, 5 harmonics).
    walk
        u, shape (n_slow, 72, 5).
    fast_t_s, fast_hz
        Cadence of the loop and the ring-wide fast dipole d.
    free_hz, held_hz
        Change of the dipole as the fixed probes see it, without and with the loop (for figures and tests).
    """

    duration_s: float
    static_mean: FloatArray
    static_cos: FloatArray
    static_sin: FloatArray
    slow_t_s: FloatArray
    drift: FloatArray
    walk: FloatArray
    fast_t_s: FloatArray
    fast_hz: FloatArray
    free_hz: FloatArray
    held_hz: FloatArray

    def static(self, azimuth_deg: FloatArray) -> FloatArray:
        """Return S, shape (n, 9)."""
        angle = np.outer(np.radians(azimuth_deg), np.arange(1, _HARMONICS + 1))
        return np.asarray(self.static_mean + np.cos(angle) @ self.static_cos.T + np.sin(angle) @ self.static_sin.T)

    def dipole_derivatives(self, azimuth_deg: FloatArray, radius_mm: float = 7112.0) -> tuple[FloatArray, FloatArray]:
        """Return first [Hz/mm] and half the second derivative [Hz/mm²] of the static dipole along the orbit."""
        order = np.arange(1, _HARMONICS + 1)
        angle = np.outer(np.radians(azimuth_deg), order)
        a, b = self.static_cos[0], self.static_sin[0]
        first = (-np.sin(angle) @ (a * order) + np.cos(angle) @ (b * order)) / radius_mm
        second = -(np.cos(angle) @ (a * order**2) + np.sin(angle) @ (b * order**2)) / radius_mm**2
        return first, 0.5 * second

    def _slow(self, values: FloatArray, time_s: FloatArray) -> FloatArray:
        """Interpolate an array on the slow grid linearly in time."""
        position = np.clip(np.asarray(time_s) / _SLOW_S, 0, len(values) - 1 - 1e-9)
        k = position.astype(np.int64)
        w = (position - k).reshape(-1, *([1] * (values.ndim - 1)))
        return np.asarray(values[k] * (1 - w) + values[k + 1] * w)

    def fast(self, time_s: FloatArray) -> FloatArray:
        """Return d(t) [Hz]."""
        return np.interp(time_s, self.fast_t_s, self.fast_hz)

    def moments(self, azimuth_deg: FloatArray, time_s: FloatArray) -> FloatArray:
        """Return the nine moments at (φ, t) pairs, shape (n, 9) [Hz]."""
        result = self.static(azimuth_deg)
        drift = self._slow(self.drift, time_s)
        change = np.einsum("nih,nh->ni", drift, _harmonics(azimuth_deg))
        for k, name in enumerate(TRACKED):
            result[:, MOMENTS.index(name)] += change[:, k]
        result[:, 0] += self.fast(time_s)
        return result

    def station_changes(self) -> FloatArray:
        """Return what the fixed-probe stations see change on the slow grid, walk included, shape (n_slow, 72, 5)."""
        return np.asarray(np.einsum("tih,sh->tsi", self.drift, _harmonics(station_azimuths_deg())) + self.walk)

    def muon_average(self, profile: MuonProfile, time_s: FloatArray, weight: FloatArray) -> float:
        """Return the true ⟨Σ_i k_i(φ) m_i(φ, t)⟩ [Hz] over the ring and over weighted times."""
        azimuth: FloatArray = np.linspace(0.0, 360.0, 1440, endpoint=False)
        k = profile.moments_at(azimuth)
        static = float((self.static(azimuth) * k).sum(axis=1).mean())
        tracked = [MOMENTS.index(name) for name in TRACKED]
        overlap = np.einsum("ni,nh->ih", k[:, tracked], _harmonics(azimuth)) / len(azimuth)
        moving = np.einsum("tih,ih->t", self._slow(self.drift, time_s), overlap) + self.fast(time_s)
        return static + float(moving @ weight / weight.sum())


def _harmonics(azimuth_deg: FloatArray) -> FloatArray:
    phi = np.radians(azimuth_deg)
    return np.stack([np.ones_like(phi), np.cos(phi), np.sin(phi), np.cos(2 * phi), np.sin(2 * phi)], axis=-1)


def _static(
    section: FieldSection, dataset: FieldDatasetSection, seed: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    # The shape of the field belongs to the magnet, not to a dataset: drawn from the campaign's seed alone.
    rng = stream(seed, "field", "static")
    ppm = 1000 * HZ_PER_PPB
    mean = np.array([dataset.mean_field_hz, *(_STATIC_PPM[name] * ppm for name in MOMENTS[1:])])
    order = np.arange(1, _HARMONICS + 1)
    spectrum = 1 / np.hypot(1, order / 6.0)
    size = np.array(
        [section.world.dipole_spread_hz]
        + [section.world.gradient_spread_ppm * ppm * (1.0 if name in TRACKED else 0.3) for name in MOMENTS[1:]]
    )
    draws = rng.normal(size=(2, len(MOMENTS), _HARMONICS)) * spectrum
    draws *= (size / np.sqrt(0.5 * (draws**2).sum(axis=(0, 2))))[None, :, None]
    return mean, draws[0], draws[1]


def _relaxing_walk(rng: np.random.Generator, n: int, tau_s: float) -> FloatArray:
    """Return a stationary Ornstein–Uhlenbeck process of unit variance on the slow grid."""
    keep = np.exp(-_SLOW_S / tau_s)
    kicks = rng.normal(size=n) * np.sqrt(1 - keep**2)
    kicks[0] = rng.normal()
    return np.asarray(lfilter([1.0], [1.0, -keep], kicks))


def _drift(section: FieldSection, dataset: FieldDatasetSection, seed: int, index: int, t: FloatArray) -> FloatArray:
    rng = stream(seed, "field", "drift", index)
    ppb = HZ_PER_PPB
    hall = dataset.hall_swing_c * np.sin(2 * np.pi * (t / _DAY_S + rng.uniform()))
    hall += 0.5 * dataset.hall_swing_c * _relaxing_walk(rng, len(t), 2 * _DAY_S)
    result = np.zeros((len(t), len(TRACKED), 5))
    for i, name in enumerate(TRACKED):
        scale = section.world.slow_drift_ppb * ppb * _RELATIVE_DRIFT[name]
        if name == "D":
            result[:, i, 0] = 1000 * dataset.drift_ppm_per_degc * ppb * hall
            scale = section.world.slow_drift_ppb * ppb
        else:
            # Gradients follow the hall too; nothing holds them.
            result[:, i, 0] = scale * (
                0.7 * hall / max(dataset.hall_swing_c, 1e-9) + 0.7 * _relaxing_walk(rng, len(t), _DAY_S)
            )
        for h in range(1, 5):
            result[:, i, h] = 0.3 * scale * _relaxing_walk(rng, len(t), _DAY_S)
    return result


def _walk(section: FieldSection, seed: int, index: int, n: int) -> FloatArray:
    rng = stream(seed, "field", "walk", index)
    step = np.sqrt(_SLOW_S / _REFERENCE_S) * HZ_PER_PPB
    relative = np.array([_RELATIVE_WALK[name] for name in TRACKED])
    common = rng.normal(size=(n, 1, len(TRACKED))) * section.world.walk_ppb_72h
    local = rng.normal(size=(n, N_STATIONS, len(TRACKED))) * section.world.local_walk_ppb_72h
    steps = (common + local) * relative * step
    steps[0] = 0.0
    return np.asarray(np.cumsum(steps, axis=0))


def make_world(
    section: FieldSection, dataset: FieldDatasetSection, seed: int, index: int, duration_s: float
) -> MagnetWorld:
    """Draw the field of a dataset.

    Parameters
    ----------
    seed, index
        Root seed of the campaign and number of the dataset in it.
    """
    world = section.world
    n_slow = int(np.ceil(duration_s / _SLOW_S)) + 2
    slow_t: FloatArray = np.asarray(_SLOW_S * np.arange(n_slow), dtype=np.float64)
    drift = _drift(section, dataset, seed, index, slow_t)
    walk = _walk(section, seed, index, n_slow)
    rng = stream(seed, "field", "fast", index)
    fast_t: FloatArray = np.asarray(np.arange(0.0, duration_s + CYCLE_S, CYCLE_S), dtype=np.float64)
    period = world.oscillation_period_s * (1 + 0.01 * rng.normal())
    fast = world.oscillation_ppb * HZ_PER_PPB * np.sin(2 * np.pi * (fast_t / period + rng.uniform()))
    for _ in range(rng.poisson(world.steps_per_day * duration_s / _DAY_S)):
        fast += world.step_ppb * HZ_PER_PPB * rng.normal() * (fast_t > rng.uniform(0, duration_s))
    # What the loop sees beyond that: the mean over all probes of drifts and walks.
    weights = np.zeros((N_STATIONS, len(TRACKED)))
    np.add.at(weights, probe_station(), fixed_probe_basis() / N_FIXED_PROBES)
    seen = np.einsum("tih,sh,si->t", drift, _harmonics(station_azimuths_deg()), weights, optimize=True)
    seen += np.einsum("tsi,si->t", walk, weights)
    free = fast + np.interp(fast_t, slow_t, seen)
    noise = rng.normal(size=len(fast_t)) * world.fixed_noise_ppb * HZ_PER_PPB / np.sqrt(N_FIXED_PROBES)
    free -= free[0]
    control = run_feedback(free, noise, section.feedback)
    mean, cos, sin = _static(section, dataset, seed)
    return MagnetWorld(duration_s, mean, cos, sin, slow_t, drift, walk, fast_t, fast + control, free, free + control)
