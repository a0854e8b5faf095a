"""Calibration: plunging probe → shielded proton at T_r, and trolley probes against the plunging probe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gminus2.constants import published
from gminus2.data.nmr import CalibrationCampaign
from gminus2.errors import DataError
from gminus2.physics.nmr import F_LO_HZ, HZ_PER_PPB, plunging_probe_correction
from gminus2.physics.probes import N_TROLLEY_PROBES

__all__ = ["ProbeConstants", "aba_matrix", "aba_weight", "absolute_table", "calibrate_trolley"]

FloatArray = NDArray[np.float64]


def absolute_table(reference_c: float = 34.7) -> list[dict[str, Any]]:
    """Return the talk's table of the plunging probe, computed over its range of water temperatures.

    The range is the one that the talk's δ^T implies, T = T_r + δ^T/s. Each row has ``symbol``, ``low_ppb``,
    ``high_ppb``, ``sigma_ppb`` and the published numbers beside; the last row is the total.
    """
    slope = published("constants.external.shielding_slope").value
    ends = published("experiment.e989.run1.calibration_probe.shielding_T").value
    assert isinstance(slope, float)
    assert isinstance(ends, tuple)
    low, high = (plunging_probe_correction(reference_c + end * 1e-9 / slope, reference_c) for end in ends)
    keys = (
        "shielding_T",
        "bulk_susceptibility",
        "material",
        "water_holder",
        "radiation_damping",
        "proton_dipolar",
        "total",
    )
    rows: list[dict[str, Any]] = []
    for key, symbol in zip(keys, [*low.rows, "total"], strict=True):
        entry = published(f"experiment.e989.run1.calibration_probe.{key}")
        values = (low.total, high.total) if key == "total" else (low.rows[symbol][0], high.rows[symbol][0])
        sigma = low.sigma if key == "total" else low.rows[symbol][1]
        rows.append(
            {
                "symbol": symbol,
                "low_ppb": values[0] * 1e9,
                "high_ppb": values[1] * 1e9,
                "sigma_ppb": sigma * 1e9,
                "published_ppb": list(entry.value) if isinstance(entry.value, tuple) else [entry.value],
                "published_sigma_ppb": entry.sigma,
            }
        )
    return rows


def aba_weight(t_a1: float, t_b: float, t_a2: float) -> float:
    """Return w of d = w (A₂ − B) + (1 − w)(A₁ − B): exact for a linear drift."""
    if not t_a1 < t_b < t_a2:
        raise DataError("an A-B-A triple must be in order of time", found=f"{t_a1}, {t_b}, {t_a2}")
    return (t_b - t_a1) / (t_a2 - t_a1)


def aba_matrix(time_s: FloatArray) -> FloatArray:
    """Return L, shape (n_B, n): differences B − A(t_B) of a sequence A B A B … A from its readings.

    Successive triples share their A's, so the covariance of the differences is L diag(σ²) Lᵀ, not diagonal.
    """
    n = len(time_s)
    if n < 3 or n % 2 == 0:
        raise DataError("a swap sequence must start and end with the same device", found=f"{n} readings")
    rows = np.zeros((n // 2, n))
    for k in range(n // 2):
        a1, b, a2 = 2 * k, 2 * k + 1, 2 * k + 2
        w = aba_weight(float(time_s[a1]), float(time_s[b]), float(time_s[a2]))
        rows[k, b], rows[k, a1], rows[k, a2] = 1.0, -(1.0 - w), -w
    return rows


@dataclass(frozen=True)
class ProbeConstants:
    """Calibration constants of the trolley.

    Attributes
    ----------
    constants_hz
        δ_i = shielded-proton frequency − reading, shape (17,).
    statistical_hz, alignment_hz, independent_hz
        Uncertainties per probe: swaps, residual misalignment, reproducibility.
    common_ppb, absolute_ppb
        Uncertainties common to all probes: swap effects and holder; the plunging probe itself.
    chi2, n_dof
        Of the swaps against a linear drift, all probes together.
    """

    constants_hz: FloatArray
    statistical_hz: FloatArray
    alignment_hz: FloatArray
    independent_hz: FloatArray
    common_ppb: float
    absolute_ppb: float
    temperature_c: float
    chi2: float
    n_dof: int

    @property
    def per_probe_hz(self) -> FloatArray:
        """Quadrature of what is independent from probe to probe."""
        return np.sqrt(self.statistical_hz**2 + self.alignment_hz**2 + self.independent_hz**2)


def calibrate_trolley(
    campaign: CalibrationCampaign, reference_c: float, *, per_probe_ppb: float, common_ppb: float
) -> ProbeConstants:
    """Return δ_i of the 17 trolley probes.

    Parameters
    ----------
    per_probe_ppb, common_ppb
        Uncertainties that no repetition of this campaign shows.

    Raises
    ------
    DataError
        Wrong shapes, NaN, impossible gradients.
    """
    n_reading = campaign.swap_f_hz.shape[1] if campaign.swap_f_hz.ndim == 2 else 0
    if campaign.swap_f_hz.shape != (N_TROLLEY_PROBES, n_reading) or campaign.imposed_hz.shape != (
        N_TROLLEY_PROBES,
        3,
        2,
    ):
        raise DataError(
            "the calibration campaign has the wrong shape",
            expected="(17, n) swaps and (17, 3, 2) gradients",
            found=f"{campaign.swap_f_hz.shape} and {campaign.imposed_hz.shape}",
        )
    if not (np.isfinite(campaign.swap_f_hz).all() and np.isfinite(campaign.imposed_hz).all()):
        raise DataError(
            "the calibration campaign holds readings that are not finite", where="swaps or imposed gradients"
        )
    if (campaign.imposed_gradient_hz_per_mm == 0).any():
        raise DataError("an imposed gradient is zero: the probes cannot be aligned with it")
    correction = plunging_probe_correction(campaign.water_temperature_c, reference_c)
    plunging = np.arange(n_reading) % 2 == 1
    # Only the plunging probe's readings turn into the shielded proton at T_r.
    scaled = np.where(plunging, (F_LO_HZ + campaign.swap_f_hz) * (1 + correction.total) - F_LO_HZ, campaign.swap_f_hz)
    misalignment = (campaign.imposed_hz[:, :, 0] - campaign.imposed_hz[:, :, 1]) / campaign.imposed_gradient_hz_per_mm
    shift = (misalignment * campaign.shim_gradient_hz_per_mm).sum(axis=1)
    sigma_q = np.sqrt(2) * campaign.imposed_sigma_hz / np.abs(campaign.imposed_gradient_hz_per_mm)
    # Gradients at the spots are known to a tenth of their usual size.
    gradient_sigma = 0.1 * np.sqrt((campaign.shim_gradient_hz_per_mm**2).mean())
    alignment = np.sqrt(
        ((campaign.shim_gradient_hz_per_mm * sigma_q) ** 2).sum(axis=1)
        + ((gradient_sigma * misalignment) ** 2).sum(axis=1)
    )
    constants, statistical = np.empty(N_TROLLEY_PROBES), np.empty(N_TROLLEY_PROBES)
    chi2 = 0.0
    for i in range(N_TROLLEY_PROBES):
        rows = aba_matrix(campaign.swap_time_s[i])
        differences = rows @ scaled[i]
        covariance = campaign.reading_sigma_hz**2 * rows @ rows.T
        inverse = np.linalg.inv(covariance)
        weight = inverse.sum(axis=0) / inverse.sum()
        mean = float(weight @ differences)
        chi2 += float((differences - mean) @ inverse @ (differences - mean))
        constants[i] = mean + shift[i]
        statistical[i] = 1.0 / np.sqrt(inverse.sum())
    return ProbeConstants(
        constants_hz=constants,
        statistical_hz=statistical,
        alignment_hz=alignment,
        independent_hz=np.full(N_TROLLEY_PROBES, per_probe_ppb * HZ_PER_PPB),
        common_ppb=common_ppb,
        absolute_ppb=correction.sigma * 1e9,
        temperature_c=campaign.trolley_temperature_c,
        chi2=chi2,
        n_dof=N_TROLLEY_PROBES * (n_reading // 2 - 1),
    )
