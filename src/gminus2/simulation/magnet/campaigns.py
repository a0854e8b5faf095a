"""The special measurements: plunging probe against trolley, magnetometer in the kicker, probe between the plates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gminus2.config.field import FieldSection, TransientSection
from gminus2.data.nmr import CalibrationCampaign, KickerCampaign, QuadCampaign
from gminus2.physics.nmr import F_LO_HZ, plunging_probe_correction
from gminus2.physics.probes import N_TROLLEY_PROBES
from gminus2.random import stream
from gminus2.simulation.magnet.fixed import blinded
from gminus2.simulation.magnet.truth import InstrumentTruth

__all__ = ["kicker_field_ppb", "quad_field_ppb", "simulate_calibration", "simulate_kicker", "simulate_quads"]

FloatArray = NDArray[np.float64]
#: Nominal spacing of the eight bunches of a group [µs]; the plates' mode differs from bunch to bunch.
_BUNCH_SPACING_US = 10_000.0
_MODE_HZ = 335.0


def simulate_calibration(
    section: FieldSection, instrument: InstrumentTruth, seed: int, offset: float
) -> CalibrationCampaign:
    """Simulate the plunging-probe campaign: alignment by imposed gradients, then rapid swaps in a drifting field."""
    rng = stream(seed, "field", "calibration")
    c = section.calibration
    base = section.datasets[0].mean_field_hz
    n_reading = 2 * c.swaps + 1
    correction = plunging_probe_correction(c.water_temperature_c, section.reference_temperature_c).total
    correction += instrument.absolute_error
    misalignment = c.misalignment_mm * rng.normal(size=(N_TROLLEY_PROBES, 3))
    shim = c.shim_gradient_hz_per_mm * rng.normal(size=(N_TROLLEY_PROBES, 3))
    time = np.empty((N_TROLLEY_PROBES, n_reading))
    reading = np.empty_like(time)
    imposed = np.empty((N_TROLLEY_PROBES, 3, 2))
    gradients = np.full(3, c.imposed_gradient_hz_per_mm)
    for i in range(N_TROLLEY_PROBES):
        start = 4 * 3600.0 * i
        time[i] = start + c.swap_s * (np.arange(n_reading) + 0.2 * rng.uniform(-1, 1, n_reading))
        field = base + 50 * rng.normal() + c.drift_hz_per_h * rng.normal() * (time[i] - start) / 3600.0
        plunging = np.arange(n_reading) % 2 == 1
        at_plunging = field + misalignment[i] @ shim[i]
        # The plunging probe reads low by its correction; the trolley probe by its constant.
        reading[i] = np.where(
            plunging,
            (F_LO_HZ + at_plunging) / (1 + correction) - F_LO_HZ,
            field - instrument.calibration_constant_hz[i],
        )
        reading[i] += c.reading_noise_hz * rng.normal(size=n_reading)
        # Δq of the two devices seen in an imposed gradient; the trolley probe defines the spot.
        spot = 5.0 * rng.normal(size=3)
        imposed[i, :, 0] = gradients * spot
        imposed[i, :, 1] = gradients * (spot + misalignment[i])
    imposed += 2 * c.reading_noise_hz * rng.normal(size=imposed.shape)
    return CalibrationCampaign(
        swap_time_s=time,
        swap_f_hz=blinded(reading, offset),
        imposed_hz=imposed,
        imposed_sigma_hz=2 * c.reading_noise_hz,
        imposed_gradient_hz_per_mm=gradients,
        shim_gradient_hz_per_mm=shim + 0.1 * c.shim_gradient_hz_per_mm * rng.normal(size=shim.shape),
        reading_sigma_hz=c.reading_noise_hz,
        water_temperature_c=c.water_temperature_c,
        trolley_temperature_c=instrument.calibration_temperature_c,
    )


def kicker_field_ppb(settings: TransientSection, time_us: FloatArray) -> FloatArray:
    """Return the true ΔB/B in the middle of a kicker after the kick [ppb]."""
    return np.asarray(settings.kick_amplitude_ppb * np.exp(-np.asarray(time_us) / settings.kick_tau_us))


def simulate_kicker(settings: TransientSection, instrument: InstrumentTruth, seed: int) -> KickerCampaign:
    """Simulate magnetometer traces of 800 µs in bins of 5 µs."""
    rng = stream(seed, "field", "kicker")
    time = np.arange(2.5, 800.0, 5.0)
    truth = kicker_field_ppb(settings, time) * instrument.kick_scale
    return KickerCampaign(time, truth + settings.kick_noise_ppb * rng.normal(size=(settings.kick_shots, len(time))))


def quad_field_ppb(settings: TransientSection, time_us: FloatArray, phase: FloatArray) -> FloatArray:
    """Return the mean ΔB/B between the plates for each bunch of a group, shape (8, n_time) [ppb]."""
    bunch = np.arange(8)[:, None]
    t = (np.asarray(time_us)[None, :] + bunch * _BUNCH_SPACING_US) * 1e-6
    wave = np.cos(2 * np.pi * _MODE_HZ * t + phase[0])
    # Only the bunch-to-bunch part is free: its mean over the bunches belongs to the amplitude.
    wave -= wave.mean()
    return np.asarray(settings.quad_amplitude_ppb + settings.quad_mode_ppb * wave)


def simulate_quads(settings: TransientSection, seed: int) -> tuple[QuadCampaign, FloatArray]:
    """Simulate the probe between the plates at a few spots; return also the true mean over spots, shape (8, n_time)."""
    rng = stream(seed, "field", "quads")
    time = np.arange(5.0, 800.0, 10.0)
    truth = quad_field_ppb(settings, time, rng.uniform(0, 2 * np.pi, 1))
    factor = 1 + settings.quad_spread * rng.normal(size=settings.quad_spots)
    # The amplitude differs from spot to spot; the mechanical mode is common.
    mode = truth - settings.quad_amplitude_ppb
    seen = settings.quad_amplitude_ppb * factor[None, :, None] + mode[:, None, :]
    noise = 30.0 * rng.normal(size=(8, settings.quad_spots, len(time)))
    return QuadCampaign(time, seen + noise), truth
