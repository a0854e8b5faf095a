"""The oscillations of the beam as the trackers see them: CBO of the mean radius, vertical waist of the height squared.

They are fitted in the tracks' own time histograms, so that frequency, lifetime and drift need not be found in the
small ripple of the calorimeter counts (``docs/physics/omega_a.md``, section 5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from gminus2.constants import F_CYCLOTRON_MHZ
from gminus2.data.campaign import AXES, CampaignDataset

__all__ = ["BeamOscillations", "Oscillation", "measure_oscillations"]

Array = NDArray[np.float64]
_WIDTH: Final = AXES["time_width_us"]
_START_US: Final = 25.0
_SIGNIFICANT: Final = 6.0

#: Time constants of the drift that are tried [µs]: those of the damaged resistors lie between 50 and 100 µs.
DRIFT_TAUS_US: Final = (50.0, 62.0, 80.0)


@dataclass(frozen=True)
class Oscillation:
    """A damped oscillation A e^(-t/τ) cos(2πft + d e^(-t/τ_d) + φ) of a beam moment.

    ``amplitude`` in mm or mm²; ``*_error`` standard errors; ``drift_rad`` 0 where none was found.
    """

    f_mhz: float
    f_error: float
    tau_us: float
    tau_error: float
    drift_rad: float
    drift_error: float
    drift_tau_us: float
    amplitude: float
    significance: float


@dataclass(frozen=True)
class BeamOscillations:
    """CBO and vertical waist of a dataset; ``None`` where the trackers see none."""

    cbo: Oscillation | None
    waist: Oscillation | None

    def to_json(self) -> dict[str, Any]:
        """Return what was found."""
        return {
            name: None if o is None else {key: getattr(o, key) for key in o.__dataclass_fields__}
            for name, o in (("cbo", self.cbo), ("vertical_waist", self.waist))
        }


def _moments(histogram: NDArray[Any], power: int) -> tuple[Array, Array, Array]:
    """Return times, mean of x^power and its variance for bins with tracks."""
    x = AXES["position_min_mm"] + AXES["position_width_mm"] * (np.arange(histogram.shape[0]) + 0.5)
    n = histogram.sum(axis=0).astype(np.float64)
    y = x - float((x @ histogram).sum() / max(n.sum(), 1.0)) if power == 2 else x
    total = (y**power) @ histogram
    mean_all = float(total.sum() / max(n.sum(), 1.0))
    spread = float(((y**power - mean_all) ** 2 @ histogram).sum() / max(n.sum(), 1.0))
    t = _WIDTH * (np.arange(n.size) + 0.5)
    good = (n > 0) & (t > _START_US)
    return t[good], total[good] / n[good], spread / n[good]


def _power(t: Array, y: Array, w: Array, band: tuple[float, float], tau_us: float) -> tuple[float, float]:
    """Return the frequency of the largest damped Fourier amplitude in a band, and its significance."""
    grid = np.arange(band[0], band[1], 0.0005)
    z = w * np.exp(-t / tau_us) * y
    norm = math.sqrt(0.5 * float((w * np.exp(-2.0 * t / tau_us)).sum()))
    amplitude = np.array([abs(np.exp(-2j * math.pi * f * t) @ z) for f in grid]) / max(norm, 1e-300)
    k = int(np.argmax(amplitude))
    return float(grid[k]), float(amplitude[k])


def _fit(
    histograms: NDArray[Any], power: int, band: tuple[float, float], tau_us: float, drift: bool
) -> Oscillation | None:
    """Fit both stations together, each with its own amplitude and phase."""
    parts = [_moments(histogram, power) for histogram in histograms]
    if sum(t.size for t, _, _ in parts) < 500:
        return None
    cleaned = []
    for t, y, v in parts:
        slow = np.stack([np.ones_like(t), np.exp(-t / 20.0), np.exp(-t / 100.0), t / 300.0])
        a = (slow / v) @ slow.T
        cleaned.append((t, y - np.linalg.lstsq(a, (slow / v) @ y, rcond=None)[0] @ slow, 1.0 / v))
    best = max((_power(t, y, w, band, tau_us) for t, y, w in cleaned), key=lambda pair: pair[1])
    if best[1] < _SIGNIFICANT:
        return None

    def solve(p: Array, drift_tau: float) -> tuple[Array, float]:
        f, log_tau = p[0], p[1]
        d = p[2] if drift else 0.0
        residuals, size = [], 0.0
        for t, y, w in cleaned:
            phase = 2.0 * math.pi * f * t + d * np.exp(-t / drift_tau)
            envelope = np.exp(-t * math.exp(-log_tau)) * np.sqrt(w)
            basis = np.stack([envelope * np.cos(phase), envelope * np.sin(phase)])
            target = y * np.sqrt(w)
            c = np.linalg.solve(basis @ basis.T + 1e-12 * np.eye(2), basis @ target)
            residuals.append(target - c @ basis)
            size += float(np.hypot(*c)) / len(cleaned)
        return np.concatenate(residuals), size

    def residual(p: Array, drift_tau: float) -> Array:
        return solve(p, drift_tau)[0]

    lower = [band[0], math.log(8.0)] + ([-12.0] if drift else [])
    upper = [band[1], math.log(2000.0)] + ([12.0] if drift else [])
    scale = [2e-4, 0.2] + ([0.5] if drift else [])

    def fitted(start: Array | list[float], drift_tau: float) -> Any:
        return optimize.least_squares(
            residual, start, bounds=(lower, upper), x_scale=scale, max_nfev=40, args=(drift_tau,)
        )

    # The tracks tell a time constant from its neighbours only when the drift is large: the best of a grid, first of all
    # the middle one from several starts, then the others from there.
    drift_tau = DRIFT_TAUS_US[1]
    # A drift d e^(-t/τ) shifts the mean frequency by about d/(2πτ)·e^(-30/60).
    drifts = (0.0, -3.0, 3.0, 6.0) if drift else (0.0,)
    starts = [[best[0] + d / (2.0 * math.pi * drift_tau) * 0.45, math.log(tau_us), d][: len(lower)] for d in drifts]
    best_fit = min((fitted(start, drift_tau) for start in starts), key=lambda found: float(found.cost))
    for other in (DRIFT_TAUS_US[0], DRIFT_TAUS_US[2]) if drift else ():
        found = fitted(best_fit.x, other)
        if found.cost < best_fit.cost:
            best_fit, drift_tau = found, other
    jacobian = np.asarray(best_fit.jac)
    covariance = np.linalg.pinv(jacobian.T @ jacobian)
    tau = math.exp(float(best_fit.x[1]))
    error = np.sqrt(np.diag(covariance))
    return Oscillation(
        f_mhz=float(best_fit.x[0]),
        f_error=float(error[0]),
        tau_us=tau,
        tau_error=tau * float(error[1]),
        drift_rad=float(best_fit.x[2]) if drift else 0.0,
        drift_error=float(error[2]) if drift else 0.0,
        drift_tau_us=drift_tau,
        amplitude=solve(best_fit.x, drift_tau)[1],
        significance=best[1],
    )


def measure_oscillations(dataset: CampaignDataset) -> BeamOscillations:
    """Fit CBO and vertical waist to the tracks of a dataset."""
    n = float(dataset.conditions.get("field_index", 0.108))
    f_cbo = F_CYCLOTRON_MHZ * (1.0 - math.sqrt(1.0 - n))
    f_vw = F_CYCLOTRON_MHZ * (1.0 - 2.0 * math.sqrt(n))
    cbo = _fit(dataset.shared["track_x"], 1, (0.92 * f_cbo, 1.08 * f_cbo), 180.0, True)
    waist = _fit(dataset.shared["track_y"], 2, (0.97 * f_vw, 1.03 * f_vw), 25.0, False)
    return BeamOscillations(cbo, waist)
