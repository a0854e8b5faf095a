"""Asymmetry and phase by energy, from fits of the wiggle in bins of energy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gminus2.data.campaign import AXES
from gminus2.precession.methods.prepared import Prepared
from gminus2.units import omega_reference, ppm

__all__ = ["EnergyAsymmetry", "measure_asymmetry"]

Array = NDArray[np.float64]
_WIDTH: Final = AXES["time_width_us"]
_GROUP: Final = 2
_DEGREE: Final = 5


@dataclass(frozen=True)
class EnergyAsymmetry:
    """A(E) and φ(E) with errors in bins of 100 MeV, and a smooth A on the energy axis of the histograms.

    Attributes
    ----------
    energy_mev, counts, asymmetry, asymmetry_error, phase, phase_error
        Shape (bins,); A is negative below the zero of the asymmetry, where the phase is continued.
    weight
        Polynomial through A(E) at the centres of the energy axis, 0 outside the range fitted, shape (128,).
    """

    energy_mev: Array
    counts: Array
    asymmetry: Array
    asymmetry_error: Array
    phase: Array
    phase_error: Array
    weight: Array


def measure_asymmetry(
    prepared: Prepared,
    r_ppm: float,
    tau_us: float,
    phase: float,
    *,
    window_us: tuple[float, float] = (30.0, 400.0),
    range_mev: tuple[float, float] = (500.0, 3100.0),
    hidden_ppm: float = 0.0,
) -> EnergyAsymmetry:
    """Project the wiggle of every energy bin on cos and sin at the frequency and lifetime of a fit.

    Parameters
    ----------
    r_ppm, tau_us, phase
        Of the T-method fit; ``hidden_ppm`` its software blind, used and not kept.

    Notes
    -----
    N(t) = e^(-t/τ)[n + a cos ωt + b sin ωt] is linear; the weights are the inverse expectation of the two-parameter
    decay, so that A cos φ = a/n, A sin φ = -b/n to the order of A² corrections of the weights, which cancel here
    because the projection is iterated once with the fitted expectation.
    """
    t = _WIDTH * (np.arange(prepared.counts.shape[1]) + 0.5)
    inside = (t > window_us[0]) & (t < window_us[1])
    t = t[inside]
    omega = omega_reference * (1.0 + (r_ppm - hidden_ppm) * ppm)
    decay = np.exp(-t / tau_us)
    loss = math.sin(0.5 * omega * _WIDTH) / (0.5 * omega * _WIDTH)
    basis = np.stack([decay, decay * np.cos(omega * t) * loss, -decay * np.sin(omega * t) * loss])
    low, high = (round(e / AXES["energy_width_mev"]) for e in range_mev)
    centres, counts, size, size_error, angle, angle_error = [], [], [], [], [], []
    for e in range(low, high, _GROUP):
        n = prepared.counts[e : e + _GROUP, inside].sum(axis=0)
        if n.sum() < 2000.0:
            continue
        expected = decay * max(n.sum() / decay.sum(), 1e-9)
        for _ in range(3):
            weighted = basis / expected
            inverse = np.linalg.inv(weighted @ basis.T)
            p = inverse @ (weighted @ n)
            expected = np.maximum(p @ basis, 1e-6 * decay * p[0])
        c, s = p[1] / p[0], p[2] / p[0]
        amplitude = math.hypot(c, s)
        turn = math.atan2(s, c) - phase
        turn = (turn + math.pi) % (2.0 * math.pi) - math.pi
        sign = 1.0
        if abs(turn) > 0.5 * math.pi:
            sign = -1.0
            turn -= math.copysign(math.pi, turn)
        along = np.array([-c / p[0], c / amplitude / p[0], s / amplitude / p[0]])
        along[0] = -amplitude / p[0]
        across = np.array([0.0, -s, c]) / (amplitude**2 * p[0])
        centres.append(AXES["energy_width_mev"] * (e + 0.5 * _GROUP))
        counts.append(float(n.sum()))
        size.append(sign * amplitude)
        size_error.append(math.sqrt(float(along @ inverse @ along)))
        angle.append(phase + turn)
        angle_error.append(math.sqrt(float(across @ inverse @ across)))
    energy, a, error = np.array(centres), np.array(size), np.array(size_error)
    weight = np.zeros(prepared.counts.shape[0])
    axis = AXES["energy_width_mev"] * (np.arange(weight.size) + 0.5)
    if energy.size > _DEGREE + 1:
        scaled = np.polynomial.Polynomial.fit(energy, a, _DEGREE, w=1.0 / error)
        # Above the last fitted bin the polynomial is held.
        weight = scaled(np.minimum(axis, energy[-1]))
        weight[axis < energy[0]] = 0.0
    return EnergyAsymmetry(energy, np.array(counts), a, error, np.array(angle), np.array(angle_error), weight)
