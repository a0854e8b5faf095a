"""Software blinding of R by a phrase. The offset is never printed or stored.

ω = ω_ref [1 + (R - s·Δ)·1e-6] with a random sign s and Δ uniform in ±½(2·24 + √(2π)) ppm, its edges softened: where
|Δ| > 24 it is replaced by ±(24 + |N(0, 1)|) (``docs/physics/precession.md``, section 7). The offset is a pure
function of phrase and dataset; the same words hide the same offset on every machine.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from gminus2.errors import BlindingError
from gminus2.precession.e989_blinding import blinders_offset
from gminus2.random import stream

__all__ = ["Blinding"]

_BOX_PPM = 24.0
_EDGE_PPM = 1.0
# Deliberately slow, so that a label does not help to guess a phrase.
_HASH_ROUNDS = 100_000


class _Hidden:
    """Holds a number that no representation, pickle or copy of the holder shows."""

    __slots__ = ("_read",)

    def __init__(self, value: float) -> None:
        def read() -> float:
            return value

        self._read: Callable[[], float] = read

    def __call__(self) -> float:
        return self._read()

    def __repr__(self) -> str:
        return "<hidden>"

    def __reduce__(self) -> Any:
        raise BlindingError("a blinding is never stored", hint="make it again from its phrase")


@dataclass(frozen=True)
class Blinding:
    """A hidden offset of R: ω = ω_ref [1 + (R - offset)·1e-6]. Build it with :meth:`from_phrase`.

    Attributes
    ----------
    label
        Two blindings with the same label hide the same offset; the offset cannot be read from it.
    """

    label: str
    _offset: _Hidden = field(repr=False, compare=False)

    @classmethod
    def from_phrase(
        cls, phrase: str, *, dataset: str = "", convention: Literal["native", "e989"] = "native"
    ) -> Blinding:
        """Derive the offset from a phrase (and a dataset name): the same words always hide the same offset.

        Parameters
        ----------
        convention
            ``native``: our own generator; ``e989``: the offset the collaboration's utility gives for the phrase, bit
            for bit (it knows no dataset).

        Raises
        ------
        BlindingError
            The phrase is empty, or a dataset is named with ``e989``.
        """
        if not phrase.strip():
            raise BlindingError("a blinding phrase must not be empty")
        salt = f"gminus2-blinding-1\0{convention}\0{dataset}".encode()
        secret = hashlib.pbkdf2_hmac("sha256", phrase.encode(), salt, _HASH_ROUNDS, dklen=24)
        if convention == "e989":
            if dataset:
                raise BlindingError("the e989 convention knows no dataset", hint="put it into the phrase")
            offset = blinders_offset(phrase)
        else:
            offset = float(draw_offsets(stream(int.from_bytes(secret[:8], "little"), "blinding", dataset), 1)[0])
        return cls(label=secret[16:].hex()[:8], _offset=_Hidden(offset))

    def hidden_offset_ppm(self) -> float:
        """Return the offset for use inside a fit. Whoever prints or stores it breaks the blinding."""
        return self._offset()


def draw_offsets(generator: np.random.Generator, size: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Draw offsets s·Δ [ppm] from the distribution of the collaboration, shape (size,)."""
    sign = np.where(generator.random(size) < 0.5, -1.0, 1.0)
    full = _BOX_PPM + 0.5 * math.sqrt(2.0 * math.pi) * _EDGE_PPM
    x = generator.uniform(-full, full, size)
    edge = _BOX_PPM + np.abs(generator.normal(0.0, _EDGE_PPM, size))
    result: np.ndarray[tuple[int], np.dtype[np.float64]] = sign * np.where(np.abs(x) <= _BOX_PPM, x, np.sign(x) * edge)
    return result
