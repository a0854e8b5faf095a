"""Pileup without counting noise: pairs and triples of seen pulses by quadrature over their gaps.

Nothing here is a formula of the correction: the clustering's own rule (a gap shorter than the separation merges, each
gap from the hit before) is integrated over the density of hits of one calorimeter (``docs/physics/omega_a.md``,
section 9).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

from gminus2.data.campaign import AXES

__all__ = ["FINE_BINS", "FINE_MEV", "derivatives", "merge", "to_energy_axis"]

Array = NDArray[np.float64]

_WIDTH: Final = AXES["time_width_us"]
_N_TIME: Final = int(AXES["n_time"])
_N_ENERGY: Final = int(AXES["n_energy"])
#: Seen energies are integrated in bins of 25 MeV up to 3.6 GeV.
FINE_MEV: Final = 25.0
FINE_BINS: Final = 144
#: Bins in which pileup is integrated: 26 … 420 µs; later it is below 1e-5 of the counts.
_FIRST, _LAST = 174, 2816
#: Two-point Gauss-Legendre on (0, 1).
_NODES: Final = (0.5 - math.sqrt(3.0) / 6.0, 0.5 + math.sqrt(3.0) / 6.0)


def derivatives(values: Array) -> tuple[Array, Array]:
    """Return first and second time derivatives [1/µs, 1/µs²] along the last axis (five-point stencils)."""
    kernel1 = np.array([1.0, -8.0, 0.0, 8.0, -1.0]) / (12.0 * _WIDTH)
    kernel2 = np.array([-1.0, 16.0, -30.0, 16.0, -1.0]) / (12.0 * _WIDTH**2)
    return (
        ndimage.correlate1d(values, kernel1, axis=-1, mode="nearest"),
        ndimage.correlate1d(values, kernel2, axis=-1, mode="nearest"),
    )


@njit(cache=True, nogil=True, fastmath=True)
def _pairs(r, first, second, gap, half, out, removed, remove):  # type: ignore[no-untyped-def]
    """Sum r_i(t + s₁) r_j(t + s₂) over ordered pairs into ``out`` [i + j]; their singles into ``removed``.

    The doublet stands at the energy-weighted time: s₁ = -(half + (gap - 2 half) w₂), s₂ = half + (gap - 2 half) w₁.
    """
    n, times = r.shape
    block = 256
    for begin in range(0, times, block):
        end = min(times, begin + block)
        for i in range(n):
            for j in range(n):
                w1 = (i + 0.5) / (i + j + 1.0)
                s1 = -(half + (gap - 2.0 * half) * (1.0 - w1))
                s2 = half + (gap - 2.0 * half) * w1
                if remove:
                    for t in range(begin, end):
                        a = r[i, t] + s1 * (first[i, t] + 0.5 * s1 * second[i, t])
                        b = r[j, t] + s2 * (first[j, t] + 0.5 * s2 * second[j, t])
                        product = a * b
                        out[i + j, t] += product
                        removed[i, t] += product
                        removed[j, t] += product
                else:
                    for t in range(begin, end):
                        a = r[i, t] + s1 * (first[i, t] + 0.5 * s1 * second[i, t])
                        b = r[j, t] + s2 * (first[j, t] + 0.5 * s2 * second[j, t])
                        out[i + j, t] += a * b


@njit(cache=True, nogil=True, fastmath=True)
def _products(a, b, out):  # type: ignore[no-untyped-def]
    """Sum a_i(t) b_j(t) into ``out`` [i + j]."""
    times = a.shape[1]
    for i in range(a.shape[0]):
        for j in range(b.shape[0]):
            for t in range(times):
                out[i + j, t] += a[i, t] * b[j, t]


def _halves(values: Array) -> Array:
    """Two energies that are uniform in their bins: i + j and i + j + 1, half each."""
    result = np.zeros((values.shape[0] + 1, values.shape[1]))
    result[:-1] += 0.5 * values
    result[1:] += 0.5 * values
    return result


def to_energy_axis(fine: Array) -> Array:
    """Return (128, times) of 50 MeV from bins of 25 MeV; above 6.4 GeV in the last."""
    result = np.zeros((_N_ENERGY, fine.shape[1]))
    pairs = fine[: fine.shape[0] // 2 * 2].reshape(-1, 2, fine.shape[1]).sum(axis=1)
    if fine.shape[0] % 2:
        pairs = np.vstack([pairs, fine[-1:]])
    keep = min(_N_ENERGY, pairs.shape[0])
    result[:keep] = pairs[:keep]
    result[-1] += pairs[keep:].sum(axis=0)
    return result


def _lag(fast: Array, gap_us: float) -> Array:
    """Return the fast-rotation correlation at a gap by time bin."""
    position = 1e3 * gap_us
    i = int(position)
    result: Array = fast[i] + (position - i) * (fast[i + 1] - fast[i])
    return result


def _intensity(spread: float) -> tuple[Array, Array]:
    """Return nodes and weights of a lognormal intensity of mean 1 and variance ``spread``."""
    width = math.sqrt(math.log1p(spread))
    x, w = np.polynomial.hermite_e.hermegauss(5)
    return np.exp(width * x - 0.5 * width * width), w / w.sum()


def merge(
    seen: Array, separation: float, shadow: tuple[float, float], fast: Array, spread: float
) -> tuple[Array, Array, Array]:
    """Merge the hits of one calorimeter; return clusters, shadow-window net (128, times), and pairs (64, 64).

    Parameters
    ----------
    seen
        Hits per fill by (25 MeV, time), shape (144, 4700).
    separation
        Chain rule: a hit merges with the one before it if the gap is smaller [µs].
    shadow
        Begin and end of the shadow window [µs].
    """
    window = slice(_FIRST, _LAST)
    rate = np.ascontiguousarray(seen / _WIDTH)
    first, second = (np.ascontiguousarray(d[:, window]) for d in derivatives(rate))
    r = np.ascontiguousarray(rate[:, window])
    times = r.shape[1]
    level, weight = _intensity(spread)
    none = np.zeros((1, 1))
    total = r.sum(axis=0)
    merged = np.zeros((2 * FINE_BINS, times))
    clusters = np.zeros((_N_ENERGY, times))
    lam = total * separation * sum(_lag(fast, separation * x)[window] for x in _NODES) / 2.0

    def moment(power: int, exponent: float) -> Array:
        result: Array = sum(
            (w * i**power * np.exp(-i * lam * exponent) for i, w in zip(level, weight, strict=True)), np.zeros(times)
        )
        return result

    singles = r * moment(1, 2.0)
    plain = np.zeros((2 * FINE_BINS - 1, times))
    for x in _NODES:
        gap = separation * x
        out = np.zeros((2 * FINE_BINS - 1, times))
        _pairs(r, first, second, gap, 0.0, out, none, False)
        out *= 0.5 * separation * _lag(fast, gap)[window]
        plain += out
        merged += _halves(out * moment(2, 2.0 + x))
    # Three: the pair so far in 50 MeV, and one more within the separation of its last.
    two, one = to_energy_axis(_halves(plain)), np.ascontiguousarray(to_energy_axis(r)[: FINE_BINS // 2])
    triple = np.zeros((two.shape[0] + one.shape[0] - 1, times))
    _products(two, one, triple)
    triple *= lam / np.maximum(total, 1e-300) * moment(3, 3.0)
    three = _halves(triple)
    clusters[:-1] += three[: _N_ENERGY - 1]
    clusters[-1] += three[_N_ENERGY - 1 :].sum(axis=0)
    clusters += to_energy_axis(singles) + to_energy_axis(merged)
    # -- shadow window: what follows a cluster at a distance where it is resolved
    found = singles + merged[:FINE_BINS]
    found_first, found_second = (np.ascontiguousarray(d) for d in derivatives(found))
    begin, end = shadow
    net = np.zeros((_N_ENERGY, times))
    pairs = np.zeros((64, 64))
    after = max(0, math.ceil(30.0 / _WIDTH) - _FIRST)
    hundred = found[:, after:].reshape(FINE_BINS // 4, 4, -1).sum(axis=1)
    # Clusters above 3.6 GeV are few: their partners in bins of 50 MeV, without the shift of times.
    low, high = to_energy_axis(found)[: FINE_BINS // 2], np.ascontiguousarray(to_energy_axis(merged)[FINE_BINS // 2 :])
    product = np.zeros((low.shape[0] + high.shape[0] - 1, times))
    _products(high, np.ascontiguousarray(low), product)
    few = np.zeros((_N_ENERGY, times))
    few[FINE_BINS // 2 :] = 2.0 * _halves(product)[: high.shape[0]]
    few[-1] += 2.0 * _halves(product)[high.shape[0] :].sum(axis=0)
    few[: FINE_BINS // 2] -= 2.0 * low * high.sum(axis=0)
    few[FINE_BINS // 2 :] -= 2.0 * high * low.sum(axis=0)
    for x in _NODES:
        gap = begin + (end - begin) * x
        out, removed = np.zeros((2 * FINE_BINS - 1, times)), np.zeros((FINE_BINS, times))
        _pairs(found, found_first, found_second, gap, 0.5 * begin, out, removed, True)
        # A cluster earlier in the window is not the first only where it is too far to merge with this one.
        passed = max(0.0, gap - begin - separation)
        factor = 0.5 * (end - begin) * _lag(fast, gap)[window] * (1.0 + spread) * np.exp(-total * passed)
        net += to_energy_axis(_halves(out * factor)) - to_energy_axis(removed * factor) + few * factor
        pairs[: FINE_BINS // 4, : FINE_BINS // 4] += _WIDTH * (hundred * factor[after:]) @ hundred.T
    whole = np.zeros((2, _N_ENERGY, _N_TIME))
    whole[0] = to_energy_axis(seen)
    whole[0][:, window] = clusters * _WIDTH
    whole[1][:, window] = net * _WIDTH
    return whole[0], whole[1], pairs
