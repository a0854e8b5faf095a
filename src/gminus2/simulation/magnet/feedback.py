"""The loop that holds the dipole: mean of the fixed probes → PID → trim current of the main power supply.

Everything is expressed as field [Hz]; the trim coil gives 2.63 µA/Hz within ±200 mA (``reference/nmr.toml``). Beyond
the limit the loop saturates and stops integrating (no wind-up). The loop holds what the fixed probes see, the dipole
only.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gminus2.config.field import FeedbackSection
from gminus2.physics.probes import nmr_table

__all__ = ["CYCLE_S", "current_limit_hz", "run_feedback"]

#: The loop's own cadence [s].
CYCLE_S = 1.67


def current_limit_hz() -> float:
    """Return the field [Hz] that the largest trim current can make."""
    table = nmr_table("feedback")
    return float(table["limit_a"]) / float(table["trim_a_per_hz"])


@njit(cache=True, nogil=True)
def _loop(
    disturbance: NDArray[np.float64],
    noise: NDArray[np.float64],
    dt: float,
    p: float,
    i: float,
    d: float,
    clamp: float,
    limit: float,
    control: NDArray[np.float64],
) -> None:  # pragma: no cover - compiled
    integral = 0.0
    previous = 0.0
    u = 0.0
    for n in range(disturbance.size):
        control[n] = u
        error = -(disturbance[n] + u + noise[n])
        slope = (error - previous) / dt if n > 0 else 0.0
        previous = error
        trial = min(max(integral + error * dt, -clamp), clamp)
        wanted = p * error + i * trial + d * slope
        if -limit <= wanted <= limit:
            integral = trial
            u = wanted
        else:
            # Saturated: integrate only what leads back.
            if wanted * error < 0.0:
                integral = trial
            u = min(max(wanted, -limit), limit)


def run_feedback(
    disturbance_hz: NDArray[np.float64],
    noise_hz: NDArray[np.float64],
    settings: FeedbackSection,
    *,
    dt_s: float = CYCLE_S,
    limit_hz: float | None = None,
) -> NDArray[np.float64]:
    """Return the field made by the trim current [Hz] at each cycle, shape of ``disturbance_hz``.

    Parameters
    ----------
    disturbance_hz
        What the ring mean of the fixed probes would do without the loop, relative to the set point.
    noise_hz
        Noise of that ring mean.

    Notes
    -----
    The current computed from one cycle acts in the next (read-out delay).
    """
    control = np.zeros(len(disturbance_hz))
    if settings.on:
        _loop(
            np.ascontiguousarray(disturbance_hz, dtype=np.float64),
            np.ascontiguousarray(noise_hz, dtype=np.float64),
            dt_s,
            settings.proportional,
            settings.integral_per_s,
            settings.derivative_s,
            settings.integral_clamp_hz_s,
            current_limit_hz() if limit_hz is None else limit_hz,
            control,
        )
    return control
