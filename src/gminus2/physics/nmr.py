"""Proton NMR: units of the field side, the free-induction-decay model, its Cramér–Rao bound, shielding of water.

A free induction decay after mixing with the local oscillator is

    y(τ) = A Re{ g(τ) e^{i(2πfτ + φ0)} } + baseline + noise,   g(τ) = e^{−τ/T2} Σ_j w_j e^{2πi(f_j − f̄)τ},

τ counted from the effective centre of the π/2 pulse. f̄ = Σ w_j f_j is taken out of g, so that **the frequency f is the
sample mean weighted with excitation times reception, and the phase slope at τ = 0**. The phase of g holds only odd
powers of τ (the odd cumulants of the distribution of f_j), its logarithm of amplitude only even ones.

On the field side frequencies are in Hz and lengths in mm (keys carry the unit). See ``docs/physics/field.md`` §3, §4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gminus2.constants import published
from gminus2.errors import ConfigError
from gminus2.physics.probes import nmr_table

__all__ = [
    "F_LO_HZ",
    "F_PROTON_HZ",
    "HZ_PER_PPB",
    "PHASE_MODELS",
    "ProbeCorrection",
    "RecordFormat",
    "Sample",
    "coil_profile",
    "crlb",
    "degradation_factor",
    "envelope",
    "fisher_matrix",
    "free_proton_shielding",
    "long_record_crlb",
    "plunging_probe_correction",
    "probe_sample",
    "record_format",
    "shielding_correction",
    "water_density",
    "water_susceptibility",
]

#: The proton frequency that defines "ppb" on the field side [Hz].
F_PROTON_HZ: Final = 61.79e6
#: Local oscillator [Hz]; recorded signals are near 50 kHz.
F_LO_HZ: Final = 61.74e6
#: 1 ppb of the proton frequency [Hz].
HZ_PER_PPB: Final = F_PROTON_HZ * 1e-9

#: Powers of τ in the phase by name of the model. The odd ones are structurally complete (see the module docstring).
PHASE_MODELS: Final[dict[str, tuple[int, ...]]] = {
    "p1": (0, 1),
    "odd3": (0, 1, 3),
    "odd5": (0, 1, 3, 5),
    "p3": (0, 1, 2, 3),
    "p5": (0, 1, 2, 3, 4, 5),
}


@dataclass(frozen=True)
class RecordFormat:
    """How a probe's FID is recorded.

    Attributes
    ----------
    fs_hz, n_samples
        Sampling rate and record length.
    pulse_sample
        Position of the effective pulse centre, in samples (not an integer, so that no sample sits on it).
    amplitude_adc, noise_adc
        Amplitude at τ = 0 and white noise per sample near the carrier, in ADC counts.
    t2_ms
        Decay time of the envelope without a gradient.
    """

    name: str
    fs_hz: float
    n_samples: int
    pulse_sample: float
    amplitude_adc: float
    noise_adc: float
    t2_ms: float

    @property
    def t_pulse_s(self) -> float:
        """Time of the pulse in the record [s]."""
        return self.pulse_sample / self.fs_hz

    @property
    def snr(self) -> float:
        """Amplitude over noise per sample."""
        return self.amplitude_adc / self.noise_adc

    def with_(self, **changes: float) -> RecordFormat:
        """Return a copy with some attributes changed."""
        return replace(self, **changes)  # type: ignore[arg-type]


def record_format(name: str) -> RecordFormat:
    """Return the format of a ``fixed``, ``trolley`` or ``plunging`` probe's record."""
    table = nmr_table(f"record.{name}")
    return RecordFormat(
        name=name,
        fs_hz=float(table["sampling_hz"]),
        n_samples=int(table["samples"]),
        pulse_sample=float(table["pulse_sample"]),
        amplitude_adc=float(table["amplitude_adc"]),
        noise_adc=float(table["noise_adc"]),
        t2_ms=float(table["t2_ms"]),
    )


@dataclass(frozen=True)
class Sample:
    """A sample along its axis: slices at ``z_mm`` (weighted centre at zero) with weights that sum to one."""

    z_mm: NDArray[np.float64]
    weight: NDArray[np.float64]


def coil_profile(z_mm: ArrayLike, length_mm: float, radius_mm: float) -> NDArray[np.float64]:
    """Return the field of a solenoid on its axis, relative to its centre."""
    z = np.asarray(z_mm, dtype=np.float64)
    half = 0.5 * length_mm

    def ramp(u: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(u / np.sqrt(u * u + radius_mm**2))

    return np.asarray((ramp(z + half) - ramp(z - half)) / (2 * ramp(np.array(half))))


def probe_sample(name: str, *, slices: int = 201, pulse_ratio: float = 1.0) -> Sample:
    """Return the slices of a probe's sample with weight excitation × reception.

    A slice turned by the angle (π/2) κ b by a coil of relative strength b is received with b again (reciprocity):
    w ∝ b sin(κ π b/2), κ = ``pulse_ratio`` the pulse length over the ideal one.
    """
    table = nmr_table(f"record.{name}")
    z = np.linspace(-0.5, 0.5, slices) * float(table["sample_length_mm"])
    b = coil_profile(z, float(table["coil_turn_length_mm"]), float(table["coil_radius_mm"]))
    weight = b * np.sin(pulse_ratio * np.pi / 2 * b)
    weight /= weight.sum()
    return Sample(z - float(weight @ z), weight)


def envelope(
    sample: Sample, tau_s: ArrayLike, t2_ms: float, gradient_hz_per_mm: float = 0.0, curvature_hz_per_mm2: float = 0.0
) -> tuple[NDArray[np.complex128], float]:
    """Return g(τ) of a sample in a field f(z) = f0 + g1 z + g2 z², and f̄ − f0 [Hz].

    Times before the pulse (τ < 0) give zero.
    """
    tau = np.asarray(tau_s, dtype=np.float64)
    shift = gradient_hz_per_mm * sample.z_mm + curvature_hz_per_mm2 * sample.z_mm**2
    mean = float(sample.weight @ shift)
    g = np.zeros(tau.shape, dtype=np.complex128)
    after = tau >= 0
    decay = np.exp(-tau[after] / (t2_ms * 1e-3))
    if gradient_hz_per_mm == 0.0 and curvature_hz_per_mm2 == 0.0:
        g[after] = decay
    else:
        g[after] = np.exp(2j * np.pi * np.outer(tau[after], shift - mean)) @ sample.weight * decay
    return g, mean


def fisher_matrix(
    tau_s: ArrayLike, modulus: ArrayLike, snr: float, powers: Sequence[int]
) -> tuple[NDArray[np.float64], float]:
    """Return the Fisher matrix of the phase coefficients, τ scaled by its maximum, and that maximum [s].

    For real samples with white noise and a carrier far above the line width, F_ij = (A²/2σ²) Σ |g|² τ^{i+j}; amplitude
    and decay parameters decouple from the phase.
    """
    tau = np.asarray(tau_s, dtype=np.float64)
    scale = float(tau.max())
    columns = np.stack([(tau / scale) ** p for p in powers], axis=1)
    weight = 0.5 * snr**2 * np.abs(np.asarray(modulus)) ** 2
    return columns.T @ (weight[:, None] * columns), scale


def crlb(tau_s: ArrayLike, modulus: ArrayLike, snr: float, model: str | Sequence[int] = "odd5") -> float:
    """Return the Cramér–Rao bound of the frequency [Hz] for the samples of a window.

    Parameters
    ----------
    tau_s
        Times of the samples used, from the pulse centre [s].
    modulus
        |g| at these times (1 at the pulse).
    snr
        Amplitude over noise per sample; for coloured noise use σ² = S fs/2 with the one-sided density S near the
        carrier.
    model
        Name in :data:`PHASE_MODELS` or the powers of τ in the phase.

    Examples
    --------
    >>> import numpy as np
    >>> tau = np.arange(0.0, 3.6e-3, 1e-6)
    >>> round(crlb(tau, np.exp(-tau / 1e-3), 667.0, "p1") / 0.06179, 2)   # ppb
    0.5
    """
    powers = PHASE_MODELS[model] if isinstance(model, str) else tuple(model)
    if 1 not in powers:
        raise ConfigError("a phase model without the power 1 has no frequency", found=str(powers))
    matrix, scale = fisher_matrix(tau_s, modulus, snr, powers)
    k = powers.index(1)
    return math.sqrt(float(np.linalg.inv(matrix)[k, k])) / scale / (2 * math.pi)


def long_record_crlb(snr: float, dt_s: float, t2_s: float) -> float:
    """Return the bound [Hz] of a pure line for e^{−τ/T} and a record ≫ T: (2/π)(σ/A)√(dt/T³)."""
    return 2 / math.pi / snr * math.sqrt(dt_s / t2_s**3)


def degradation_factor(degree: int) -> float:
    """Return how much a full phase polynomial of a degree costs against a line, exponential envelope, long record.

    √(p(p+1)(2p+1)/6): 1, 2.236, 3.742, 5.477, 7.416 for p = 1 … 5.
    """
    return math.sqrt(degree * (degree + 1) * (2 * degree + 1) / 6)


# --- shielded protons in water -------------------------------------------------------------------------------------


def shielding_correction(temperature_c: float, reference_c: float) -> float:
    """Return δ^T: relative change of a shielded proton's frequency from the temperature of the water to T_r.

    −s (T_r − T), s = 10.36(30)·10⁻⁹ /°C: shielding rises with temperature, so the frequency falls.

    >>> round(shielding_correction(25.13, 34.7) * 1e9, 1)
    -99.1
    """
    return -float(published("constants.external.shielding_slope")) * (reference_c - temperature_c)


def water_density(temperature_c: float) -> float:
    """Return the density of water [g/cm³], 0–40 °C: Kell's five-term polynomial, good to 4e-6.

    >>> round(water_density(20.0), 5), round(water_density(25.0), 5)
    (0.9982, 0.99704)
    """
    t = temperature_c
    top = 999.83952 + t * (
        16.945176 + t * (-7.9870401e-3 + t * (-46.170461e-6 + t * (105.56302e-9 - 280.54253e-12 * t)))
    )
    return top / (1 + 16.879850e-3 * t) * 1e-3


def water_susceptibility(temperature_c: float) -> float:
    """Return the volume susceptibility of water (SI): χ(20 °C) · P(T) · ρ(T)/ρ(20 °C).

    The published polynomial P describes the susceptibility **per mass**; without the density the slope of the bulk
    correction has the wrong sign.
    """
    table = nmr_table("water")
    delta = temperature_c - 20.0
    mass = sum(float(c) * delta**k for k, c in enumerate(table["mass_susceptibility_polynomial"]))
    return float(table["chi_volume_20C"]) * mass * water_density(temperature_c) / water_density(20.0)


def free_proton_shielding(temperature_c: float) -> float:
    """Return σ'(T) of a proton in a spherical water sample: 25.680·10⁻⁶ at 25 °C, rising 10.36·10⁻⁹ per °C."""
    table = nmr_table("water")
    slope = float(table["shielding_slope_ppb_per_degC"])
    return (float(table["shielding_25C_ppb"]) + slope * (temperature_c - 25.0)) * 1e-9


@dataclass(frozen=True)
class ProbeCorrection:
    """The relative corrections from a plunging-probe reading to the shielded proton in a sphere at T_r.

    ``rows`` maps the talk's symbols to (value, standard uncertainty), both relative.
    """

    rows: dict[str, tuple[float, float]]

    @property
    def total(self) -> float:
        """Sum of the rows."""
        return sum(value for value, _ in self.rows.values())

    @property
    def sigma(self) -> float:
        """Quadrature of the uncertainties."""
        return math.sqrt(sum(sigma**2 for _, sigma in self.rows.values()))


#: Row of the talk's table → key of the published group.
_CORRECTION_ROWS: Final = {
    "shielding_T": "delta_T",
    "bulk_susceptibility": "delta_b",
    "material": "delta_s",
    "water_holder": "delta_w",
    "radiation_damping": "delta_RD",
    "proton_dipolar": "delta_d",
}


def plunging_probe_correction(temperature_c: float, reference_c: float) -> ProbeCorrection:
    """Return the chain f'(T_r) = f_meas (1 + δ^T + δ^b + δ^s + δ^w + δ^RD + δ^d) for water at a temperature.

    δ^T and δ^b = (ε − 1/3) χ_v(T) are computed; the other rows and all uncertainties are the talk's.
    """
    shape = float(nmr_table("water")["shape_factor_long_cylinder"])
    computed = {
        "shielding_T": shielding_correction(temperature_c, reference_c),
        "bulk_susceptibility": (shape - 1 / 3) * water_susceptibility(temperature_c),
    }
    rows = {}
    for key, symbol in _CORRECTION_ROWS.items():
        entry = published(f"experiment.e989.run1.calibration_probe.{key}")
        value = entry.value
        nominal = (sum(value) / len(value) if isinstance(value, tuple) else value) * 1e-9
        rows[symbol] = (computed.get(key, nominal), entry.sigma * 1e-9)
    return ProbeCorrection(rows)
