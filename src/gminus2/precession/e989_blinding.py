"""The collaboration's software blind, bit for bit.

The utility ("Blinders", L. Gibbons) seeds the generator of RandomLib 1.10 (C. Karney) with the MD5 of the phrase and
draws a sign, a box and, in its edges, a Gaussian. The parts are public standards: the seed is expanded like
``std::seed_seq`` of C++11 (ISO 14882:2011, 26.5.7.1), the generator is SFMT19937 (M. Saito and M. Matsumoto, MCQMC
2006) read 32 bits at a time, uniform doubles have full precision below ½ too, and the Gaussian is the ratio of uniforms
with Leva's quadratic bounds (ACM TOMS 18 (1992) 449). Checked against the self-test value of the library (10 000th
number of the empty seed: 2695024307) and against the published regression value of the blind. No public value reaches
the Gaussian edges (5 % of phrases), which follow the description alone.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Sequence
from typing import Final

__all__ = ["Sfmt19937", "blinders_offset"]

_WORD: Final = 0xFFFFFFFF
_WIDE: Final = (1 << 128) - 1
_LONG, _SHORT = 156, 122  # lags in 128-bit words
_MASK: Final = 0x001FFFF6_001AFFFF_001ECB7F_001FFFEF
_PARITY: Final = (0x00000001, 0x00000000, 0x00000000, 0x13C9E684)
_BOX_PPM, _EDGE_PPM = 24.0, 1.0


def _seed_sequence(seed: Sequence[int], size: int) -> list[int]:
    """Expand a seed to ``size`` (≥ 623) 32-bit words like ``std::seed_seq::generate``."""
    lag, shift, state = 11, (size - 11) // 2, [0x8B8B8B8B] * size
    length = max(len(seed) + 1, size)
    added = [len(seed), *seed]
    for k in range(length):
        here, near, far = k % size, (k + shift) % size, (k + shift + lag) % size
        x = state[here] ^ state[near] ^ state[here - 1]
        x = (1664525 * (x ^ x >> 27)) & _WORD
        state[near] = (state[near] + x) & _WORD
        x = (x + here + (added[k] if k < len(added) else 0)) & _WORD
        state[far] = (state[far] + x) & _WORD
        state[here] = x
    for k in range(length, length + size):
        here, near, far = k % size, (k + shift) % size, (k + shift + lag) % size
        x = (state[here] + state[near] + state[here - 1]) & _WORD
        x = (1566083941 * (x ^ x >> 27)) & _WORD
        state[near] ^= x
        x = (x - here) & _WORD
        state[far] ^= x
        state[here] = x
    return state


def _lanes(word: int, shift: int) -> int:
    """Shift the four 32-bit lanes of a 128-bit word separately, to the left where ``shift`` > 0."""
    if shift > 0:
        keep = (_WORD << shift) & _WORD
        return (word << shift) & sum(keep << 32 * lane for lane in range(4))
    keep = _WORD >> -shift
    return (word >> -shift) & sum(keep << 32 * lane for lane in range(4))


class Sfmt19937:
    """SFMT19937 seeded with a sequence of 32-bit words.

    >>> generator = Sfmt19937([])
    >>> [generator.word() for _ in range(10_000)][-1]
    2695024307
    """

    def __init__(self, seed: Sequence[int]) -> None:
        words = _seed_sequence(seed, 4 * _LONG)
        # Period certification: the parity of the certified bits must be odd.
        bits = 0
        for word, parity in zip(words, _PARITY, strict=False):
            bits ^= word & parity
        if bits.bit_count() % 2 == 0:
            words[0] ^= 1
        self._state = [sum(words[4 * i + j] << 32 * j for j in range(4)) for i in range(_LONG)]
        self._words: list[int] = []

    def _advance(self) -> None:
        state = self._state
        before, last = state[-2], state[-1]
        for i in range(_LONG):
            fed = state[i] ^ (state[i] << 8 & _WIDE)
            middle = _lanes(state[(i + _SHORT) % _LONG], -11) & _MASK
            new = fed ^ middle ^ before >> 8 ^ _lanes(last, 18)
            state[i] = new
            before, last = last, new
        self._words = [state[i] >> 32 * j & _WORD for i in range(_LONG) for j in range(4)][::-1]

    def word(self) -> int:
        """Return the next 32-bit word."""
        if not self._words:
            self._advance()
        return self._words.pop()

    def fixed(self) -> float:
        """Return a multiple of 2⁻⁵³ in [0, 1)."""
        high = math.ldexp(self.word(), -32)
        return high + math.ldexp(self.word() >> 11, -53)

    def uniform(self) -> float:
        """Return a uniform number in [0, 1) with 53 significant bits at every size."""
        x = self.fixed()
        if x >= 0.5:
            return x
        x += 0.5
        while True:
            bits = self.word()
            for _ in range(32):
                x *= 0.5
                if bits & 1:
                    return x
                bits >>= 1

    def normal(self) -> float:
        """Return a standard normal number."""
        while True:
            u = 1.0 - self.fixed()
            v = 1.7156 * (self.fixed() - (1.0 - math.ldexp(1.0, -53)) / 2.0)
            x, y = u - 0.449871, abs(v) + 0.386595
            q = x * x + y * (0.19600 * y - 0.25472 * x)
            if q < 0.27597 or (q <= 0.27846 and v * v <= -4.0 * u * u * math.log(u)):
                return v / u


def blinders_offset(phrase: str) -> float:
    """Return s·ΔR [ppm] of a phrase: ω = ω_ref [1 + (R - s·ΔR)·1e-6].

    >>> round(-blinders_offset("test string"), 6)
    12.486945
    """
    generator = Sfmt19937(struct.unpack("<4I", hashlib.md5(phrase.encode(), usedforsecurity=False).digest()))
    sign = -1.0 if generator.uniform() < 0.5 else 1.0
    width = 2.0 * _BOX_PPM + math.sqrt(2.0 * math.pi) * _EDGE_PPM
    offset = generator.uniform() * width - width / 2.0
    if abs(offset) > _BOX_PPM:
        offset = math.copysign(_BOX_PPM + abs(_EDGE_PPM * generator.normal()), offset)
    return sign * offset
