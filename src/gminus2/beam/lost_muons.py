"""Lost-muon correction C_ml: losses that depend on momentum move the mean momentum and with it the mean phase.

d⟨δ⟩/dt = −l(t) [⟨δ⟩_lost − ⟨δ⟩_stored] with l(t) the loss rate per stored muon, φ(t) = (dφ/dδ)⟨δ⟩(t), and the fit of
pseudo-data answers with a shift of ω_a. l(t) comes from triple coincidences (``docs/physics/beam_corrections.md``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gminus2.beam.corrections import Correction
from gminus2.beam.fit_response import PseudoExperiment
from gminus2.errors import DataError

__all__ = ["LossFunction", "LossRate", "loss_rate", "lost_muon_correction"]

FloatArray = NDArray[np.float64]

_LEAST_TRIPLES: Final = 200.0


@dataclass(frozen=True)
class LossRate:
    """l(t) = rate · e^{−t/decay} [1/µs per stored muon], with the lost fraction between two times.

    ``covariance`` is that of (ln rate, ln decay) from the statistics of the triples.
    """

    rate_per_us: float
    decay_us: float
    covariance: FloatArray
    triples: float
    chi2: float
    ndf: int
    time_us: FloatArray
    measured_per_us: FloatArray
    errors_per_us: FloatArray

    def at(self, time_us: FloatArray) -> FloatArray:
        """Return l(t) [1/µs]."""
        return np.asarray(self.rate_per_us * np.exp(-np.asarray(time_us) / self.decay_us))

    def lost_between(self, start_us: float, stop_us: float) -> float:
        """Return the fraction of the muons stored at ``start_us`` lost until ``stop_us`` (decay removed)."""
        integral = (
            self.rate_per_us * self.decay_us * (np.exp(-start_us / self.decay_us) - np.exp(-stop_us / self.decay_us))
        )
        return float(1.0 - np.exp(-integral))

    def survival(self, time_us: FloatArray, start_us: float) -> FloatArray:
        """Return Λ(t)/Λ(start)."""
        t = np.asarray(time_us)
        integral = self.rate_per_us * self.decay_us * (np.exp(-start_us / self.decay_us) - np.exp(-t / self.decay_us))
        return np.asarray(np.exp(-integral))


@dataclass(frozen=True)
class LossFunction:
    """Relative loss probability 1 + slope·δ (slope per unit δ) with its uncertainty.

    From tracking or from runs with moved collimators; the calorimeters alone do not know it.
    """

    slope: float = -300.0
    slope_error: float = 60.0
    source: str = "tracking"


def loss_rate(
    triples: FloatArray,
    variance: FloatArray,
    stored: FloatArray,
    time_us: FloatArray,
    *,
    efficiency: float,
    start_us: float = 20.0,
    stop_us: float = 400.0,
    slices: int = 24,
) -> LossRate:
    """Return the loss rate per stored muon from triple coincidences.

    Parameters
    ----------
    triples, variance
        Triples less accidentals and quadruples per time bin, and their variance.
    stored
        Muons stored in the same bins (from the positrons counted and their acceptance).
    efficiency
        Triples (after the subtraction) per lost muon.

    Raises
    ------
    DataError
        Too few triples.
    """
    chosen = (time_us > start_us) & (time_us < stop_us)
    total = float(triples[chosen].sum())
    if total < _LEAST_TRIPLES:
        raise DataError(
            "too few lost muons for their correction",
            expected=f"{_LEAST_TRIPLES:.0f} triple coincidences in {start_us:g} to {stop_us:g} µs",
            found=f"{total:.0f}",
        )
    edges = np.geomspace(start_us, stop_us, slices + 1)
    index = np.digitize(time_us, edges) - 1
    rows = []
    for k in range(slices):
        inside = index == k
        if not inside.any() or stored[inside].sum() <= 0.0:
            continue
        width = float(np.median(np.diff(time_us)))
        scale = 1.0 / (stored[inside].sum() * width * efficiency)
        error = np.sqrt(max(float(variance[inside].sum()), 1.0)) * scale
        rows.append((float((time_us[inside]).mean()), float(triples[inside].sum()) * scale, error))
    t, value, error = np.array(rows).T
    # Weighted fit of rate · e^{−t/decay} by Gauss–Newton in (ln rate, ln decay).
    positive = value > 3.0 * error
    if positive.sum() < 3:
        raise DataError("the loss rate is too small to have a shape", found=f"{total:.0f} triples")
    slope, level = np.polyfit(t[positive], np.log(value[positive]), 1, w=value[positive] / error[positive])
    p = np.array([level, np.log(-1.0 / slope) if slope < 0.0 else np.log(1e4)])
    covariance = np.eye(2)
    for _ in range(50):
        model = np.exp(p[0] - t * np.exp(-p[1]))
        jacobian = np.stack([model, model * t * np.exp(-p[1])], axis=1) / error[:, None]
        covariance = np.linalg.inv(jacobian.T @ jacobian)
        step = covariance @ (jacobian.T @ ((value - model) / error))
        p = p + np.clip(step, -0.5, 0.5)
        if np.abs(step).max() < 1e-10:
            break
    model = np.exp(p[0] - t * np.exp(-p[1]))
    chi2 = float((((value - model) / error) ** 2).sum())
    # A loss rate is not quite an exponential; where the triples see that, its errors grow.
    covariance = covariance * max(1.0, chi2 / max(len(t) - 2, 1))
    return LossRate(
        rate_per_us=float(np.exp(p[0])),
        decay_us=float(np.exp(p[1])),
        covariance=covariance,
        triples=total,
        chi2=chi2,
        ndf=len(t) - 2,
        time_us=t,
        measured_per_us=value,
        errors_per_us=error,
    )


def lost_muon_correction(
    rate: LossRate,
    loss: LossFunction,
    momentum_rms: float,
    phase_per_momentum_rad: float,
    phase_per_momentum_error: float,
    *,
    momentum_mean: float = 0.0,
    phase_per_momentum_statistics: float = 0.0,
    efficiency_error: float = 0.10,
    experiment: PseudoExperiment | None = None,
) -> Correction:
    """Return C_ml; the systematic rows add linearly, as the collaboration does.

    Parameters
    ----------
    momentum_mean, momentum_rms
        Of δ, from the fast rotation.
    phase_per_momentum_rad, phase_per_momentum_error
        Change of the precession phase per unit δ of the stored muons, all causes together, and its systematic error.
    phase_per_momentum_statistics
        Its error from counting; it joins ``statistics``, which is not added linearly.
    efficiency_error
        Relative uncertainty of the size of l(t).
    """
    experiment = experiment or PseudoExperiment()

    def shift(slope_of_phase: float, slope_of_loss: float, lost: LossRate) -> float:
        excess = slope_of_loss * momentum_rms**2 / (1.0 + slope_of_loss * momentum_mean)

        def drift(t: FloatArray) -> FloatArray:
            # ∫ l dt in closed form; the mean momentum moves away from what is lost.
            done = lost.rate_per_us * lost.decay_us * (1.0 - np.exp(-t / lost.decay_us))
            return np.asarray(-slope_of_phase * excess * done)

        return -experiment.shift_ppb(drift)

    value = shift(phase_per_momentum_rad, loss.slope, rate)
    by_loss = shift(phase_per_momentum_rad, loss.slope + loss.slope_error, rate) - value
    widths, axes = np.linalg.eigh(rate.covariance)
    per_phase = value / phase_per_momentum_rad if phase_per_momentum_rad else 0.0
    statistics = abs(per_phase * phase_per_momentum_statistics)
    for width, axis in zip(widths, axes.T, strict=True):
        moved = _moved(rate, np.sqrt(max(width, 0.0)) * axis)
        statistics = float(np.hypot(statistics, shift(phase_per_momentum_rad, loss.slope, moved) - value))
    longer = shift(phase_per_momentum_rad, loss.slope, _moved(rate, np.array([0.0, 0.10])))
    form = float(np.hypot(efficiency_error * value, longer - value))
    return Correction(
        "C_ml",
        value,
        {
            "statistics": statistics,
            "phase_momentum": abs(per_phase * phase_per_momentum_error),
            "form_of_l": form,
            "f_loss": abs(by_loss),
        },
        combine="linear",
        notes=(f"the loss function is an input ({loss.source})",),
    )


def _moved(rate: LossRate, step: FloatArray) -> LossRate:
    return replace(
        rate, rate_per_us=rate.rate_per_us * float(np.exp(step[0])), decay_us=rate.decay_us * float(np.exp(step[1]))
    )
