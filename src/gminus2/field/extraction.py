"""How a field gradient along the sample biases the frequency: noise-free records through the whole extraction."""

from __future__ import annotations

from functools import cache

import numpy as np

from gminus2.field.frequency import frequency
from gminus2.physics.nmr import HZ_PER_PPB, envelope, probe_sample, record_format

__all__ = ["gradient_bias_ppb"]


@cache
def gradient_bias_ppb(
    gradient_hz_per_mm: float,
    curvature_hz_per_mm2: float,
    model: str = "odd5",
    window: float = 0.37,
    probe: str = "trolley",
    t2_ms: float = 40.0,
) -> float:
    """Return extracted minus true (coil-weighted mean) frequency [ppb], averaged over phases and carrier frequencies.

    Parameters
    ----------
    t2_ms
        Decay time of the material, so that the gradient alone shapes the envelope.
    """
    record = record_format(probe)
    tau = (np.arange(record.n_samples) - record.pulse_sample) / record.fs_hz
    g, _ = envelope(probe_sample(probe, slices=101), tau, t2_ms, gradient_hz_per_mm, curvature_hz_per_mm2)
    carriers = np.repeat(np.linspace(49.3e3, 50.9e3, 5), 4)
    phases = np.tile(np.arange(4) * np.pi / 2, 5)
    angle = 2 * np.pi * carriers[:, None] * tau + phases[:, None]
    records = record.amplitude_adc * (g.real * np.cos(angle) - g.imag * np.sin(angle))
    result = frequency(records, record.fs_hz, record.t_pulse_s, model, window, noise_adc=1.0)
    return float(np.mean(result.f_hz - carriers)) / HZ_PER_PPB
