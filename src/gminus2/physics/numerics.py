"""Building blocks of kernels: counter-based random numbers and elementary functions that vectorise.

Random numbers are Philox4x32-10 (Salmon et al., SC'11): a pure function of a key and a 128-bit counter. A simulation
that takes (muon, fill, purpose) as counter can switch one effect off and still give every muon the numbers it had
before.

The elementary functions are polynomials without branches, accurate to a few 1e-14, because compiled library calls keep
LLVM from vectorising a loop. Angles are in turns, which makes the reduction of large phases exact.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit

__all__ = [
    "cos_turns",
    "gaussian_pair",
    "log_uniform",
    "mix64",
    "philox",
    "sincos_turns",
    "uniform",
]

_MASK: Final = 0xFFFFFFFF
_M0: Final = 0xD2511F53
_M1: Final = 0xCD9E8D57
_W0: Final = 0x9E3779B9
_W1: Final = 0xBB67AE85
_TWO_M32: Final = 2.0**-32

# sin(2πr) = Σ c_k r^(2k+1), |r| ≤ 1/4: Taylor to r^19, relative error below 2e-15.
_S: Final = tuple((-1.0) ** k * (2.0 * math.pi) ** (2 * k + 1) / math.factorial(2 * k + 1) for k in range(10))
_S0, _S1, _S2, _S3, _S4, _S5, _S6, _S7, _S8, _S9 = _S
_LN2: Final = math.log(2.0)
_SQRT2: Final = math.sqrt(2.0)


@njit(cache=True)
def philox(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    """Return four 32-bit words (as int64) of Philox4x32-10 for a counter and a key of 32-bit words (as int64)."""
    for _ in range(10):
        a = _M0 * c0
        b = _M1 * c2
        c0, c1, c2, c3 = (
            ((b >> 32) & _MASK) ^ c1 ^ k0,
            b & _MASK,
            ((a >> 32) & _MASK) ^ c3 ^ k1,
            a & _MASK,
        )
        k0 = (k0 + _W0) & _MASK
        k1 = (k1 + _W1) & _MASK
    return c0, c1, c2, c3


@njit(cache=True)
def uniform(word):  # type: ignore[no-untyped-def]
    """Return a number in the open interval (0, 1) from a 32-bit word."""
    return (word + 0.5) * _TWO_M32


@njit(cache=True)
def mix64(z):  # type: ignore[no-untyped-def]
    """Return a well mixed uint64 of a uint64 (the finaliser of SplitMix64); for dithers keyed on a hit's own bits."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True)
def _sin_quarter(r):  # type: ignore[no-untyped-def]
    s = r * r
    p = _S8 + s * _S9
    p = _S7 + s * p
    p = _S6 + s * p
    p = _S5 + s * p
    p = _S4 + s * p
    p = _S3 + s * p
    p = _S2 + s * p
    p = _S1 + s * p
    return r * (_S0 + s * p)


@njit(cache=True)
def sincos_turns(turns):  # type: ignore[no-untyped-def]
    """Return sin and cos of an angle in turns (absolute error 3e-15)."""
    r = turns - np.rint(turns)
    a = abs(r)
    c = _sin_quarter(0.25 - a)
    folded = 0.5 - a if a > 0.25 else a
    s = _sin_quarter(folded)
    return (s if r >= 0.0 else -s), c


@njit(cache=True)
def cos_turns(turns):  # type: ignore[no-untyped-def]
    """Return the cosine of an angle in turns (absolute error 3e-15)."""
    r = turns - np.rint(turns)
    return _sin_quarter(0.25 - abs(r))


@njit(cache=True)
def log_uniform(word):  # type: ignore[no-untyped-def]
    """Return the natural logarithm of :func:`uniform` of a 32-bit word (absolute error 2e-14)."""
    x = word + 0.5
    bits = np.float64(x).view(np.int64)
    exponent = (bits >> 52) - 1023
    m = np.int64((bits & 0x000FFFFFFFFFFFFF) | 0x3FF0000000000000).view(np.float64)
    high = m > _SQRT2
    m = 0.5 * m if high else m
    e = float(exponent - 32) + (1.0 if high else 0.0)
    z = (m - 1.0) / (m + 1.0)
    s = z * z
    # 2 atanh(z), |z| ≤ 0.1716
    p = 1.0 / 15.0 + s * (1.0 / 17.0)
    p = 1.0 / 13.0 + s * p
    p = 1.0 / 11.0 + s * p
    p = 1.0 / 9.0 + s * p
    p = 1.0 / 7.0 + s * p
    p = 1.0 / 5.0 + s * p
    p = 1.0 / 3.0 + s * p
    return e * _LN2 + 2.0 * z * (1.0 + s * p)


@njit(cache=True)
def gaussian_pair(word_a, word_b):  # type: ignore[no-untyped-def]
    """Return two independent standard normal numbers of two 32-bit words (Box–Muller)."""
    radius = math.sqrt(-2.0 * log_uniform(word_a))
    s, c = sincos_turns(uniform(word_b))
    return radius * c, radius * s
