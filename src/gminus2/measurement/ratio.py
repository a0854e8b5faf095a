"""ω'_p and R'_μ with their reference temperature, which is a part of the number and never assumed.

A shielded proton frequency means nothing without the temperature of the water sample it refers to: between 25 °C and
34.7 °C it moves by 100 ppb, that is 11.7·10⁻¹¹ in a_μ. Quantities of unequal T_r are therefore refused; ``at``
converts.

Source: ``docs/physics/measurement.md`` section 2; B. W. Petley, R. W. Donaldson, Metrologia 20, 81 (1984).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gminus2.constants import published
from gminus2.errors import PhysicsError

__all__ = [
    "FrequencyRatio",
    "ShieldedFrequency",
    "common_temperature",
    "frequency_ratio",
    "ratio_of_measurement",
    "shielding_factor",
]

_SLOPE = published("constants.external.shielding_slope")
#: Temperatures closer than this [°C] are the same: it is 1e-5 ppb.
_SAME_C = 1e-6


def shielding_factor(from_c: float, to_c: float) -> tuple[float, float]:
    """Return R'(to)/R'(from) of the same muons and field, and its uncertainty.

    R'(T) = R'(T₀) [1 + s (T − T₀)] with s = 10.36(30)·10⁻⁹ /°C; ω'_p goes the other way.

    Raises
    ------
    PhysicsError
        A temperature at which the linear slope of water does not hold (outside 5 to 45 °C).

    Examples
    --------
    >>> factor, sigma = shielding_factor(25.0, 34.7)
    >>> round((factor - 1) * 1e9, 1), round(sigma * 1e9, 1)
    (100.5, 2.9)
    """
    for temperature in (from_c, to_c):
        if not 5.0 <= temperature <= 45.0:
            raise PhysicsError(
                "the shielding slope of water is not known at this temperature",
                expected="a reference temperature from 5 to 45 °C",
                found=f"{temperature} °C",
            )
    step = to_c - from_c
    return 1.0 + float(_SLOPE) * step, _SLOPE.sigma * abs(step)


@dataclass(frozen=True)
class ShieldedFrequency:
    """ω'_p/2π of protons in a spherical water sample at ``t_r_c`` [°C]; value and standard uncertainty [Hz]."""

    value_hz: float
    sigma_hz: float
    t_r_c: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value_hz) and self.value_hz > 0 and self.sigma_hz >= 0):
            raise PhysicsError("a proton frequency must be positive", found=f"{self.value_hz}({self.sigma_hz}) Hz")

    @property
    def sigma_ppb(self) -> float:
        """Relative uncertainty."""
        return self.sigma_hz / self.value_hz * 1e9

    def at(self, t_r_c: float) -> ShieldedFrequency:
        """Return the same field expressed at another reference temperature; the slope's uncertainty is added."""
        if abs(t_r_c - self.t_r_c) < _SAME_C:
            return self
        factor, sigma = shielding_factor(self.t_r_c, t_r_c)
        return ShieldedFrequency(
            self.value_hz * (2.0 - factor), math.hypot(self.sigma_hz, self.value_hz * sigma), t_r_c
        )


@dataclass(frozen=True)
class FrequencyRatio:
    """R'_μ = ω_a/ω'_p(T_r) with standard uncertainty and T_r [°C]."""

    value: float
    sigma: float
    t_r_c: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and self.value > 0 and self.sigma >= 0):
            raise PhysicsError("a frequency ratio must be positive", found=f"{self.value}({self.sigma})")

    @property
    def sigma_ppb(self) -> float:
        """Relative uncertainty."""
        return self.sigma / self.value * 1e9

    def at(self, t_r_c: float) -> FrequencyRatio:
        """Return the same measurement expressed at another reference temperature."""
        if abs(t_r_c - self.t_r_c) < _SAME_C:
            return self
        factor, sigma = shielding_factor(self.t_r_c, t_r_c)
        return FrequencyRatio(self.value * factor, math.hypot(self.sigma * factor, self.value * sigma), t_r_c)


def common_temperature(items: Iterable[ShieldedFrequency | FrequencyRatio], *, where: str = "") -> float:
    """Return the T_r [°C] that all items share.

    Raises
    ------
    PhysicsError
        The items refer to unequal temperatures (or there are none).
    """
    found = [item.t_r_c for item in items]
    if not found:
        raise PhysicsError("there is nothing to combine", where=where or None)
    if max(found) - min(found) > _SAME_C:
        raise PhysicsError(
            "these frequencies refer to unequal temperatures; mixing them would shift a_mu by up to 1.2e-10 per 10 °C",
            where=where or None,
            expected="one reference temperature",
            found=", ".join(f"{t:g} °C" for t in sorted(set(found))),
            hint="convert explicitly with .at(T_r)",
        )
    return found[0]


def frequency_ratio(f_a_hz: float, f_a_sigma_hz: float, f_p: ShieldedFrequency) -> FrequencyRatio:
    """Return R'_μ from a corrected anomaly frequency and a proton frequency with independent uncertainties."""
    value = f_a_hz / f_p.value_hz
    return FrequencyRatio(value, value * math.hypot(f_a_sigma_hz / f_a_hz, f_p.sigma_hz / f_p.value_hz), f_p.t_r_c)


def ratio_of_measurement(
    f_a_measured_hz: float,
    corrections_ppb: Mapping[str, float],
    f_p_steady: ShieldedFrequency,
    transients_ppb: Mapping[str, float],
    *,
    f_clock: float = 1.0,
) -> FrequencyRatio:
    """Return R'_μ from what was measured; the uncertainty is the field's alone (the rest comes from sources).

    R'_μ = f_clock ω_a^m (1 + C_e + C_p + C_ml + C_pa [+ C_dd]) / { f_calib ⟨ω_p M⟩ (1 + B_k + B_q) }.

    Parameters
    ----------
    corrections_ppb
        C terms; they multiply the numerator (C_e, C_p > 0 raise R').
    transients_ppb
        B terms; they stand in the denominator (B < 0 raises R').
    f_clock
        Factor that undoes the hardware blinding, 1 where the clock is open.

    Examples
    --------
    >>> f_p = ShieldedFrequency(61791871.2, 0.0, 34.7)
    >>> r = ratio_of_measurement(229081.06, {"C_e": 489, "C_p": 180, "C_ml": -11, "C_pa": -158}, f_p,
    ...                          {"B_k": -27, "B_q": -17})
    >>> round((r.value / (229081.06 / 61791871.2) - 1) * 1e9)
    544
    """
    numerator = f_clock * f_a_measured_hz * (1.0 + sum(corrections_ppb.values()) * 1e-9)
    denominator = f_p_steady.value_hz * (1.0 + sum(transients_ppb.values()) * 1e-9)
    value = numerator / denominator
    return FrequencyRatio(value, value * f_p_steady.sigma_ppb * 1e-9, f_p_steady.t_r_c)
