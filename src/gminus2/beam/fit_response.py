"""How a five-parameter fit answers to a slowly changing phase, asymmetry or loss: by refitting pseudo-data.

``docs/physics/beam_corrections.md`` derives the closed form: the fitted frequency moves by the slope of φ(t) in a
straight-line fit with weight e^{−t/γτ}.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gminus2.constants import GAMMA_MAGIC, MUON_LIFETIME_US
from gminus2.errors import FitError
from gminus2.units import omega_reference

__all__ = ["PseudoExperiment", "exponential_drift_shift", "slope_kernel"]

FloatArray = NDArray[np.float64]

_LIFETIME = GAMMA_MAGIC * MUON_LIFETIME_US


@dataclass(frozen=True)
class PseudoExperiment:
    """The window, bins and wiggle of the pseudo-data. Times µs, frequencies rad/µs."""

    start_us: float = 30.1384
    stop_us: float = 650.0
    width_us: float = 0.1492
    asymmetry: float = 0.37
    phase_rad: float = 2.08
    omega_a: float = omega_reference
    lifetime_us: float = _LIFETIME

    @property
    def times_us(self) -> FloatArray:
        """Bin centres."""
        count = int((self.stop_us - self.start_us) / self.width_us)
        return np.asarray(self.start_us + self.width_us * (np.arange(count) + 0.5), dtype=np.float64)

    def shift_ppb(
        self,
        drift: Callable[[FloatArray], FloatArray] | None = None,
        *,
        asymmetry: Callable[[FloatArray], FloatArray] | None = None,
        survival: Callable[[FloatArray], FloatArray] | None = None,
        fitted_survival: Callable[[FloatArray], FloatArray] | None = None,
    ) -> float:
        """Return (ω_fit/ω_a − 1) in ppb of N Λ(t) e^{−t/γτ}[1 + A a(t) cos(ω_a t + φ₀ + φ(t))] fitted with five
        parameters (times ``fitted_survival``).

        Parameters
        ----------
        drift
            φ(t) [rad].
        asymmetry, survival, fitted_survival
            a(t), Λ(t) and the Λ(t) that the fit knows, relative to 1.
        """
        t = self.times_us
        phase = np.zeros_like(t) if drift is None else drift(t)
        scale = np.ones_like(t) if asymmetry is None else asymmetry(t)
        loss = np.ones_like(t) if survival is None else survival(t)
        known = np.ones_like(t) if fitted_survival is None else fitted_survival(t)
        decay = np.exp(-(t - t[0]) / self.lifetime_us)
        data = loss * decay * (1.0 + self.asymmetry * scale * np.cos(self.omega_a * t + self.phase_rad + phase))
        # N, 1/τ, A, ω, φ; Gauss–Newton with weights 1/model from the truth.
        p = np.array([1.0, 1.0 / self.lifetime_us, self.asymmetry, self.omega_a, self.phase_rad])
        weight = 1.0 / data
        middle = float((t * decay).sum() / decay.sum())
        for _ in range(30):
            envelope = known * p[0] * np.exp(-(t - t[0]) * p[1])
            angle = p[3] * t + p[4]
            cos, sin = np.cos(angle), np.sin(angle)
            model = envelope * (1.0 + p[2] * cos)
            swing = -envelope * p[2] * sin
            jacobian = np.stack([model / p[0], -(t - t[0]) * model, envelope * cos, swing * (t - middle), swing])
            normal = (jacobian * weight) @ jacobian.T
            step = np.linalg.solve(normal, jacobian @ (weight * (data - model)))
            # ω and φ at the centre of gravity of the data are nearly uncorrelated.
            p = p + np.array([step[0], step[1], step[2], step[3], step[4] - middle * step[3]])
            if abs(step[3]) < 1e-15 and abs(step[4]) < 1e-12:
                break
        else:
            raise FitError("the fit of the pseudo-data did not converge", found=f"last step {step[3]:.1e} rad/µs")
        return float(1e9 * (p[3] / self.omega_a - 1.0))


def slope_kernel(times_us: FloatArray, *, lifetime_us: float = _LIFETIME) -> FloatArray:
    """Return weights w with Σ w φ(t) = slope of φ(t) in a straight-line fit weighted with e^{−t/γτ} [1/µs]."""
    decay = np.exp(-(times_us - times_us[0]) / lifetime_us)
    offset = times_us - (decay * times_us).sum() / decay.sum()
    weights: FloatArray = decay * offset / (decay * offset**2).sum()
    return weights


def exponential_drift_shift(
    amplitude_rad: float, time_us: float, start_us: float, *, lifetime_us: float = _LIFETIME
) -> float:
    """Return dω [rad/µs] of φ(t) = amplitude · e^{−t/time} in a long window, −φ₁ e^{−t₀/t₁} t₁/(γτ + t₁)².

    >>> shift = exponential_drift_shift(1e-3, 60.0, 30.0, lifetime_us=64.44)
    >>> round(1e9 * shift / omega_reference)
    -1633
    """
    return -amplitude_rad * float(np.exp(-start_us / time_us)) * time_us / (lifetime_us + time_us) ** 2
