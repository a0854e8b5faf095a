"""A hidden offset on d_μ that only the phrase opens.

The offset follows from the phrase and a random salt through scrypt; a result stores the salt and a commitment, never
the offset. An analyst can develop the search on blinded values, and the phrase shows later what they were.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any, Final

from gminus2.errors import BlindingError

__all__ = ["HiddenEdm", "hide_edm", "open_edm"]

#: Largest hidden offset [e·cm].
RANGE_E_CM: Final = 3e-18
_MIN_PHRASE: Final = 8


@dataclass(frozen=True)
class HiddenEdm:
    """Public part of a hidden offset: salt and commitment, as hexadecimal text."""

    salt: str
    commitment: str

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"salt": self.salt, "commitment": self.commitment, "range_e_cm": RANGE_E_CM}


def _derive(phrase: str, salt: bytes) -> tuple[float, str]:
    if len(phrase) < _MIN_PHRASE:
        raise BlindingError("the phrase is too short", expected=f"at least {_MIN_PHRASE} characters")
    key = hashlib.scrypt(phrase.encode(), salt=salt, n=2**14, r=8, p=1, dklen=40)
    fraction = int.from_bytes(key[:8], "big") / 2.0**64
    return RANGE_E_CM * (2.0 * fraction - 1.0), hashlib.sha256(b"gminus2-edm" + key[8:]).hexdigest()


def hide_edm(phrase: str) -> tuple[float, HiddenEdm]:
    """Return a new hidden offset [e·cm] and its public part.

    Raises
    ------
    BlindingError
        The phrase is shorter than eight characters.
    """
    salt = secrets.token_bytes(16)
    offset, commitment = _derive(phrase, salt)
    return offset, HiddenEdm(salt.hex(), commitment)


def open_edm(hidden: HiddenEdm, phrase: str) -> float:
    """Return the offset [e·cm] of a public part.

    Raises
    ------
    BlindingError
        The phrase is not the one it was hidden with.
    """
    try:
        salt = bytes.fromhex(hidden.salt)
    except ValueError:
        raise BlindingError("the blinding record is damaged", where="salt") from None
    offset, commitment = _derive(phrase, salt)
    if not secrets.compare_digest(commitment, hidden.commitment):
        raise BlindingError("this phrase does not open the result", hint="use the phrase it was blinded with")
    return offset
