"""Statistical covariance of analyses that count the same positrons in different ways.

To first order an analysis is a sum over positrons, δR = Σ c(E, t); for Poisson events the covariance of two of them is
Σ ρ(E, t) c₁ c₂ (``docs/physics/omega_a.md``, section 7). c is weight(E) times the response of the five-parameter fit to
its bins; the R method adds the choice of the set, which is the same for all who use the same random sets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gminus2.data.campaign import AXES
from gminus2.precession.campaign.analyses import Measured
from gminus2.units import omega_reference, ppm

__all__ = ["Influence", "energy_scale", "influence", "statistical_covariance"]

Array = NDArray[np.float64]
_WIDTH: Final = AXES["time_width_us"]


@dataclass(frozen=True)
class Influence:
    """Change of R [ppm] per positron.

    Attributes
    ----------
    weights
        By energy, shape (128,).
    mean
        By time, averaged over what is random in the method, shape (4700,).
    square
        Mean square by time, shape (4700,); ``mean``² where nothing is random.
    """

    weights: Array
    mean: Array
    square: Array


def _row(jacobian: Array, variance: Array) -> Array:
    """Return the first row of (JᵀV⁻¹J)⁻¹JᵀV⁻¹; ``jacobian`` (parameters, bins)."""
    weighted = jacobian / variance
    result: Array = np.linalg.solve(weighted @ jacobian.T, weighted)[0]
    return result


def influence(measured: Measured, settings: dict[str, Any], hidden_ppm: float = 0.0) -> Influence:
    """Return the influence of one positron on an analysis.

    Parameters
    ----------
    settings
        Of the reduction (R method: period and lifetime of the weights).
    hidden_ppm
        Software blind of R, used and not kept.
    """
    values = measured.fit.values
    low, high = measured.fit.window_us
    n_time = int(AXES["n_time"])
    t = _WIDTH * (np.arange(n_time) + 0.5)
    inside = (t > low) & (t < high)
    slope = omega_reference * ppm
    omega = omega_reference + slope * (values["R"] - hidden_ppm)
    a, phi = values["A"], values["phi"]
    cos, sin = np.cos(omega * t + phi), np.sin(omega * t + phi)
    if measured.spectrum.ratio is None:
        n0, tau = values["N0"], values["tau"]
        decay = n0 * np.exp(-t / tau)
        mu = decay * (1.0 + a * cos)
        jacobian = np.stack([-decay * a * sin * t * slope, mu / n0, mu * t / tau**2, decay * cos, -decay * a * sin])
        histogram = measured.spectrum.histogram
        assert histogram.variances is not None
        use = inside & (histogram.variances[0] > 0)
        mean = np.zeros(n_time)
        mean[use] = _row(jacobian[:, use], histogram.variances[0][use])
        return Influence(measured.spectrum.weights, mean, mean**2)
    ratio = measured.spectrum.ratio
    size = ratio.values.size
    usable = np.zeros(n_time, dtype=bool)
    usable[:size] = np.isfinite(ratio.covariance) & inside[:size]
    r = a * cos
    gain = np.zeros(n_time)
    jacobian = np.stack([-a * sin * t * slope, cos, -a * sin])
    variance = np.ones(n_time)
    variance[:size] = np.where(np.isfinite(ratio.covariance), ratio.covariance, 1.0)
    gain[usable] = _row(jacobian[:, usable], variance[usable])
    total = np.zeros(n_time)
    total[:size] = (1.0 - r[:size] ** 2) / variance[:size]
    safe = np.where(total > 0, total, 1.0)
    unmoved = gain * (1.0 - r) / safe
    moved = -gain * (1.0 + r) / safe
    half, lifetime = ratio.shift_us, ratio.lifetime_us
    up, down = math.exp(half / lifetime), math.exp(-half / lifetime)
    share = 1.0 / (2.0 + up + down)
    earlier = np.interp(t - half, t, moved, left=0.0, right=0.0)
    later = np.interp(t + half, t, moved, left=0.0, right=0.0)
    mean = share * (2.0 * unmoved + up * earlier + down * later)
    square = share * (2.0 * unmoved**2 + up * earlier**2 + down * later**2)
    return Influence(measured.spectrum.weights, mean, square)


def energy_scale(measured_above: Array, reference_above: Array, threshold_mev: float = 1700.0) -> float:
    """Return the factor between the energies of two reconstructions of the same hits.

    Parameters
    ----------
    measured_above, reference_above
        Clusters by energy in 10 MeV; the factor makes as many lie above the threshold, shape (800,).
    """
    width = AXES["spectrum_width_mev"]
    edges = width * np.arange(measured_above.size + 1)
    above = [np.concatenate([np.cumsum(v[::-1])[::-1], [0.0]]) for v in (measured_above, reference_above)]
    wanted = float(np.interp(threshold_mev, edges, above[1]))
    found = float(np.interp(-wanted, -above[0], edges))
    return found / threshold_mev


def statistical_covariance(
    influences: list[Influence],
    counts: Array,
    errors: Array,
    *,
    scales: Array,
    excess: Array,
    construction: list[tuple[str, str]],
    split: list[str],
) -> Array:
    """Return the covariance of the analyses [ppm²], its diagonal the squared errors of the fits.

    Parameters
    ----------
    counts
        Positrons by (energy, time), shape (128, 4700).
    errors
        Statistical errors of the fits, shape (n,).
    scales
        Energy scale of each analysis' reconstruction relative to that of ``counts``, shape (n,).
    excess
        What pileup adds to the variance, relative, shape (n,); common to analyses with one ``construction``.
    construction
        (reconstruction, pileup) of each analysis.
    split
        Name of the random sets each analysis uses, empty where none.
    """
    n = len(influences)
    size = counts.shape[0]
    fine = 10
    positive = np.repeat(np.maximum(counts, 0.0), fine, axis=0) / fine
    energy = (np.arange(size * fine) + 0.5) / fine
    weights = []
    for i, one in enumerate(influences):
        steps = set(np.unique(one.weights)) <= {0.0, 1.0}
        at = energy * scales[i]
        cell = np.clip(at.astype(int), 0, size - 1)
        weights.append(one.weights[cell] if steps else np.interp(at, np.arange(size) + 0.5, one.weights))
    raw = np.zeros((n, n))
    for i, first in enumerate(influences):
        for j, second in enumerate(influences[: i + 1]):
            product = first.mean * second.mean
            if split[i] and split[i] == split[j]:
                # Both average over the same choice: the spread of the choice is common.
                product = product + np.sqrt(
                    np.maximum(first.square - first.mean**2, 0.0) * np.maximum(second.square - second.mean**2, 0.0)
                )
            used = np.flatnonzero(product)
            value = 0.0
            if used.size:
                inside = slice(int(used[0]), int(used[-1]) + 1)
                value = float((weights[i] * weights[j]) @ (positive[:, inside] @ product[inside]))
            common = construction[i] == construction[j]
            raw[i, j] = raw[j, i] = value * (1.0 + (math.sqrt(excess[i] * excess[j]) if common else 0.0))
    sigma = np.sqrt(np.diag(raw))
    correlation = raw / np.outer(sigma, sigma)
    result: Array = correlation * np.outer(errors, errors)
    return result
