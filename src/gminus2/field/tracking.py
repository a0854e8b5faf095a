"""From one trolley run to the next: synchronisation offsets, their interpolation, and its error.

Fixed probes follow the field between trolley runs up to a random walk of rate q [Hz²/s]. Interpolating its values at
the runs linearly leaves a Brownian bridge. A Kalman smoother (Gaussian process with Brownian covariance) uses all
runs and their end-point noise; between noiseless runs it *is* the linear interpolation. Formulas:
``docs/physics/field.md`` §7.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gminus2.errors import DataError

__all__ = [
    "Track",
    "average_sigma",
    "bridge_sigma",
    "kalman_smoother",
    "linear_track",
    "walk_rate",
]

FloatArray = NDArray[np.float64]


def bridge_sigma(rate: float, duration: float, *, one_sided: bool = False) -> float:
    """Return the standard error of the uniform mean over an interval between two runs: √(qT/12).

    Without the closing run (``one_sided``): √(qT/3).
    """
    return math.sqrt(rate * duration / (3.0 if one_sided else 12.0))


def walk_rate(
    offsets: FloatArray,
    durations_s: FloatArray,
    noise_variance: float,
    *,
    prior_rate: float = 0.0,
    prior_pairs: int = 0,
) -> tuple[float, float]:
    """Return the rate q = ⟨(d² − σ₁² − σ₂²)/T⟩ of a walk and its relative standard error (of q).

    Parameters
    ----------
    offsets
        Change of the synchronisation offset between successive runs [Hz].
    noise_variance
        σ₁² + σ₂² of the end points.
    prior_rate, prior_pairs
        A rate known from so many earlier pairs; it enters as if these had been measured here.
    """
    n = len(offsets) + prior_pairs
    if n == 0:
        raise DataError("the random walk of the fixed probes cannot be estimated without a pair of trolley runs")
    here = float(np.sum((offsets**2 - noise_variance) / durations_s)) if len(offsets) else 0.0
    return max(here + prior_pairs * prior_rate, 0.0) / n, math.sqrt(2.0 / n)


@dataclass(frozen=True)
class Track:
    """A synchronisation offset as a function of time.

    Attributes
    ----------
    run_time_s, run_value
        At the trolley runs: shape (n_run,) and (n_run, …).
    matrix
        Shape (n_time, n_run): value(t) = matrix · run values.
    time_s
        Where it is evaluated.
    """

    run_time_s: FloatArray
    run_value: FloatArray
    matrix: FloatArray
    time_s: FloatArray

    @property
    def values(self) -> FloatArray:
        """The offset on ``time_s``, shape (n_time, …)."""
        return np.tensordot(self.matrix, self.run_value, axes=1)


def linear_track(run_time_s: FloatArray, run_value: FloatArray, time_s: FloatArray) -> Track:
    """Interpolate linearly between runs; constant before the first and after the last."""
    n = len(run_time_s)
    matrix = np.stack([np.interp(time_s, run_time_s, np.eye(n)[k]) for k in range(n)], axis=1)
    return Track(run_time_s, run_value, matrix, time_s)


def kalman_smoother(
    run_time_s: FloatArray, run_value: FloatArray, time_s: FloatArray, *, rate: float, noise_variance: float
) -> Track:
    """Return the posterior mean of a random walk with a free start, observed with noise at the runs.

    This is the Kalman smoother of dx = √q dW written as Gaussian-process regression (n_run is small): covariance
    q min(t, t') over the earliest time, plus a flat prior of the level.
    """
    start = min(float(run_time_s[0]), float(time_s[0])) if len(time_s) else float(run_time_s[0])
    at_runs, at_times = run_time_s - start, time_s - start
    covariance = rate * np.minimum.outer(at_runs, at_runs) + noise_variance * np.eye(len(run_time_s))
    covariance += 1e-12 * (np.trace(covariance) / len(run_time_s) + 1e-30) * np.eye(len(run_time_s))
    inverse = np.linalg.inv(covariance)
    ones = np.ones(len(run_time_s))
    level = inverse @ ones / (ones @ inverse @ ones)  # generalised least squares of the free level
    gain = rate * np.minimum.outer(at_times, at_runs) @ inverse
    matrix = gain + np.outer(1.0 - gain @ ones, level)
    return Track(run_time_s, run_value, matrix, time_s)


def average_sigma(track: Track, weight: FloatArray, *, rate: float, noise_variance: float) -> tuple[float, float]:
    """Return the standard error of the weighted time average of value(t) as (walk part, end-point part).

    Exact for any linear interpolation: with w the weights, c = wᵀ·matrix what each run contributes and W(t) a walk,
    the error is ∫w W dt − Σ c_k W(t_k) − Σ c_k e_k. Written through S(u) = Σ_{t>u} w − Σ_{t_k>u} c_k, the walk part is
    q ∫ S(u)² du. It gives √(qT/12) for uniform w between two runs and √(qT/3) without the second.
    """
    w = np.asarray(weight, dtype=np.float64) / np.sum(weight)
    c = w @ track.matrix
    times = np.concatenate([track.time_s, track.run_time_s])
    jumps = np.concatenate([w, -c])
    order = np.argsort(times, kind="stable")
    ordered = times[order]
    beyond = -np.cumsum(jumps[order])[:-1]  # Σ of everything later; the total is zero
    beyond += jumps.sum()
    walk = rate * float(np.sum(beyond**2 * np.diff(ordered)))
    return math.sqrt(walk), math.sqrt(noise_variance * float(c @ c))
