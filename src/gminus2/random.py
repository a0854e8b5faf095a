"""Keyed random streams: what is drawn depends on a key, never on which worker draws it.

A key is a root seed followed by words and integers, ``stream(seed, "decay", dataset, chunk)``. It is hashed (SHA-256)
into the key of a counter-based generator, so that streams never collide the way ``fill * calo`` seeds do, adding a
stream changes no other, and any chunk can be made again alone.
"""

from __future__ import annotations

import hashlib
import struct

import numpy as np
from numpy.typing import NDArray

from gminus2.errors import ConfigError

__all__ = ["key_words", "stream"]

KeyPart = int | str


def _digest(root_seed: int, parts: tuple[KeyPart, ...]) -> bytes:
    if isinstance(root_seed, bool) or not 0 <= root_seed < 2**64:
        raise ConfigError(
            "a seed must be an unsigned 64-bit integer",
            expected="0 ≤ seed < 2**64",
            found=repr(root_seed),
        )
    digest = hashlib.sha256(b"gminus2-stream-1")
    digest.update(struct.pack("<Q", root_seed))
    for part in parts:
        if isinstance(part, str):
            raw = part.encode()
            digest.update(b"s" + struct.pack("<Q", len(raw)) + raw)
        else:
            digest.update(b"i" + struct.pack("<q", int(part)))
    return digest.digest()


def key_words(root_seed: int, *parts: KeyPart, words: int = 4) -> NDArray[np.uint64]:
    """Return ``words`` (≤ 4) uint64 of the key's hash, to seed a generator inside a kernel.

    Parameters
    ----------
    root_seed
        The campaign's seed.
    parts
        Words and integers that name the stream, e.g. ``"pileup", dataset_index, chunk_index``.
    """
    return np.frombuffer(_digest(root_seed, parts), dtype="<u8")[:words].astype(np.uint64)


def stream(root_seed: int, *parts: KeyPart) -> np.random.Generator:
    """Return the NumPy generator (Philox 4x64) of a key.

    >>> a = stream(7, "decay", 0).random()
    >>> a == stream(7, "decay", 0).random(), a == stream(7, "decay", 1).random()
    (True, False)
    """
    words = key_words(root_seed, *parts, words=2)
    return np.random.Generator(np.random.Philox(key=words))
