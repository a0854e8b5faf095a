"""Hardware blinding with two key holders: hidden offsets of the clock and of the field, sealed by encryption.

The clock of the detectors runs at f₀(1 + x) and the field calibration is off by y; nobody in the analysis knows x
and y. A seal holds them encrypted:

* the payload (x, y, 32 random bytes) is encrypted with AES-256-GCM under a random key K;
* K = S₁ ⊕ S₂ with S₁ uniformly random, so that either share alone is random noise;
* share i is encrypted with AES-256-GCM under scrypt(passphrase of holder i); all public fields are authenticated;
* the commitment SHA-256(payload) is public: the holders cannot change x and y afterwards, and the 32 random bytes
  keep anybody from finding x and y by trying values against it.

Opening needs both passphrases. A frozen result names the digest of every file of the result; unblinding refuses a
result that differs from what was frozen, and a register beside the seal, chained by hashes, refuses a second,
different result unless that is frozen as a new version which says why.

Source of the primitives: RFC 7914 (scrypt), NIST SP 800-38D (GCM), in the package ``cryptography``.
See ``docs/decisions/0010-hardware-blinding.md``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from gminus2.data import make_provenance, read_result, write_result
from gminus2.errors import BlindingError

__all__ = [
    "HiddenOffsets",
    "Holder",
    "Seal",
    "lock_record",
    "make_seal",
    "open_seal",
    "read_seal",
    "unblinding_factor",
    "unlock_record",
    "write_seal",
]

_VERSION: Final = 1
#: scrypt cost: 64 MiB and about 0.1 s per guess.
_SCRYPT_N: Final = 2**16
_SCRYPT_R: Final = 8
_SCRYPT_P: Final = 1
_MIN_PASSPHRASE: Final = 8
#: Beyond this [ppm] an offset would move ω_a out of any sensible start value.
_MAX_RANGE_PPM: Final = 1000.0


@dataclass(frozen=True)
class HiddenOffsets:
    """What a seal hides.

    Attributes
    ----------
    clock
        x: the detector clock runs at nominal × (1 + x), so a frequency counted in nominal ticks is ω/(1 + x).
    field
        y: the calibrated proton frequency given to the analysis is ω'_p/(1 + y).
    """

    clock: float
    field: float

    def __repr__(self) -> str:
        # Never in a log or a traceback by accident.
        return "HiddenOffsets(…)"


def unblinding_factor(offsets: HiddenOffsets) -> float:
    """Return R'_true / R'_blinded = (1 + x)/(1 + y)."""
    return (1.0 + offsets.clock) / (1.0 + offsets.field)


@dataclass(frozen=True)
class Holder:
    """One key holder: a name and the encrypted share."""

    name: str
    salt: bytes
    nonce: bytes
    share: bytes


@dataclass(frozen=True)
class Seal:
    """A sealed pair of offsets. Everything in it is public."""

    label: str
    created: str
    clock_range_ppm: float
    field_range_ppm: float
    commitment: str
    nonce: bytes
    payload: bytes
    holders: tuple[Holder, Holder]
    scrypt_n: int = _SCRYPT_N
    scrypt_r: int = _SCRYPT_R
    scrypt_p: int = _SCRYPT_P

    def header(self) -> bytes:
        """Return the public fields that every ciphertext authenticates."""
        fields = {
            "version": _VERSION,
            "label": self.label,
            "created": self.created,
            "clock_range_ppm": self.clock_range_ppm,
            "field_range_ppm": self.field_range_ppm,
            "holders": [holder.name for holder in self.holders],
            "scrypt": [self.scrypt_n, self.scrypt_r, self.scrypt_p],
        }
        return json.dumps(fields, sort_keys=True).encode()

    def digest(self) -> str:
        """Return the SHA-256 of all of the seal, which frozen results name."""
        content = self.header() + self.commitment.encode() + self.nonce + self.payload
        for holder in self.holders:
            content += holder.salt + holder.nonce + holder.share
        return hashlib.sha256(content).hexdigest()


def make_seal(
    label: str,
    holders: tuple[str, str],
    passphrases: tuple[str, str],
    *,
    clock_range_ppm: float = 25.0,
    field_range_ppm: float = 25.0,
    scrypt_n: int = _SCRYPT_N,
) -> Seal:
    """Draw the offsets uniformly within ± the ranges from the system's entropy and seal them.

    The offsets are returned to nobody; :func:`open_seal` needs both passphrases.

    Raises
    ------
    BlindingError
        Equal holders or passphrases, a passphrase shorter than 8 characters, or an impossible range.
    """
    if holders[0] == holders[1] or not all(name.strip() for name in holders):
        raise BlindingError("a seal needs two different key holders", found=" and ".join(holders))
    for name, passphrase in zip(holders, passphrases, strict=True):
        if len(passphrase) < _MIN_PASSPHRASE:
            raise BlindingError(
                f"the passphrase of {name} is too short", expected=f"at least {_MIN_PASSPHRASE} characters"
            )
    if hmac.compare_digest(passphrases[0].encode(), passphrases[1].encode()):
        raise BlindingError("both key holders have the same passphrase", hint="each holder chooses one alone")
    for name, value in (("clock", clock_range_ppm), ("field", field_range_ppm)):
        if not (math.isfinite(value) and 0.0 <= value <= _MAX_RANGE_PPM):
            raise BlindingError(
                f"impossible range of the {name} offset", expected=f"0 to {_MAX_RANGE_PPM:g} ppm", found=f"{value} ppm"
            )
    secret = {
        "clock": _uniform() * clock_range_ppm * 1e-6,
        "field": _uniform() * field_range_ppm * 1e-6,
        "random": secrets.token_hex(32),
    }
    payload = json.dumps(secret, sort_keys=True).encode()
    key, first = secrets.token_bytes(32), secrets.token_bytes(32)
    second = bytes(a ^ b for a, b in zip(key, first, strict=True))
    blank = tuple(Holder(name, secrets.token_bytes(16), secrets.token_bytes(12), b"") for name in holders)
    draft = Seal(
        label=label,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        clock_range_ppm=clock_range_ppm,
        field_range_ppm=field_range_ppm,
        commitment=hashlib.sha256(payload).hexdigest(),
        nonce=secrets.token_bytes(12),
        payload=b"",
        holders=(blank[0], blank[1]),
        scrypt_n=scrypt_n,
    )
    header = draft.header()
    filled = tuple(
        Holder(
            holder.name,
            holder.salt,
            holder.nonce,
            AESGCM(_derive(draft, holder, passphrase)).encrypt(holder.nonce, share, header),
        )
        for holder, passphrase, share in zip(blank, passphrases, (first, second), strict=True)
    )
    return Seal(
        **{
            **vars(draft),
            "payload": AESGCM(key).encrypt(draft.nonce, payload, header),
            "holders": (filled[0], filled[1]),
        }
    )


def _uniform() -> float:
    """Return a uniform number in (−1, 1) from the system's entropy: no seed may reproduce it."""
    return 2.0 * (secrets.randbits(53) + 0.5) / 2.0**53 - 1.0


def _derive(seal: Seal, holder: Holder, passphrase: str) -> bytes:
    kdf = Scrypt(salt=holder.salt, length=32, n=seal.scrypt_n, r=seal.scrypt_r, p=seal.scrypt_p)
    return kdf.derive(passphrase.encode("utf-8"))


def open_seal(seal: Seal, passphrases: Mapping[str, str]) -> HiddenOffsets:
    """Return the offsets.

    Parameters
    ----------
    passphrases
        Holder's name → passphrase, both of them.

    Raises
    ------
    BlindingError
        A key is missing or wrong, or the seal was changed after it was made.
    """
    secret = json.loads(_opened(seal, passphrases)[1])
    return HiddenOffsets(clock=float(secret["clock"]), field=float(secret["field"]))


def lock_record(seal: Seal, passphrases: Mapping[str, str], record: bytes) -> bytes:
    """Encrypt a record (the truth of a simulated campaign) so that it opens with both keys of a seal only.

    The same record gives the same bytes: the nonce is a keyed hash of it, so that it repeats only with its content.
    """
    key = _record_key(seal, passphrases)
    nonce = hmac.digest(key, b"nonce" + record, "sha256")[:12]
    return nonce + AESGCM(key).encrypt(nonce, record, seal.digest().encode())


def unlock_record(seal: Seal, passphrases: Mapping[str, str], locked: bytes) -> bytes:
    """Return what :func:`lock_record` encrypted.

    Raises
    ------
    BlindingError
        A key is missing or wrong, or the record was changed or belongs to another seal.
    """
    key = _record_key(seal, passphrases)
    try:
        return AESGCM(key).decrypt(locked[:12], locked[12:], seal.digest().encode())
    except (InvalidTag, ValueError):
        raise BlindingError("the locked record was changed, or belongs to another seal") from None


def _record_key(seal: Seal, passphrases: Mapping[str, str]) -> bytes:
    return hmac.digest(_opened(seal, passphrases)[0], b"record of the truth", "sha256")


def _opened(seal: Seal, passphrases: Mapping[str, str]) -> tuple[bytes, bytes]:
    """Return the key of the payload and the payload."""
    missing = [holder.name for holder in seal.holders if not passphrases.get(holder.name)]
    if missing:
        raise BlindingError(
            "the seal opens only with both keys",
            expected="passphrases of " + " and ".join(h.name for h in seal.holders),
            found="none from " + " and ".join(missing),
        )
    header = seal.header()
    shares = []
    for holder in seal.holders:
        try:
            key = _derive(seal, holder, passphrases[holder.name])
            shares.append(AESGCM(key).decrypt(holder.nonce, holder.share, header))
        except InvalidTag:
            raise BlindingError(
                f"the key of {holder.name} does not open the seal",
                hint="the passphrase is wrong, or the seal was changed after it was made",
            ) from None
    try:
        whole = bytes(a ^ b for a, b in zip(*shares, strict=True))
        payload = AESGCM(whole).decrypt(seal.nonce, seal.payload, header)
    except (InvalidTag, ValueError):
        raise BlindingError("the sealed content does not match its keys: the seal was changed") from None
    if not hmac.compare_digest(hashlib.sha256(payload).hexdigest(), seal.commitment):
        raise BlindingError("the sealed content does not match its commitment")
    return whole, payload


def write_seal(path: Path, seal: Seal) -> None:
    """Write a seal; an existing one is never overwritten.

    Raises
    ------
    BlindingError
        There is a seal already: replacing it would change the blinding of a running analysis.
    """
    if path.exists():
        raise BlindingError("there is a seal already", where=str(path), hint="seal a new measurement in a new place")
    content: dict[str, Any] = {
        "version": _VERSION,
        **{k: v for k, v in vars(seal).items() if isinstance(v, (str, int, float))},
        "nonce": _text(seal.nonce),
        "payload": _text(seal.payload),
        "holders": [
            {"name": h.name, "salt": _text(h.salt), "nonce": _text(h.nonce), "share": _text(h.share)}
            for h in seal.holders
        ],
        "digest": seal.digest(),
    }
    write_result(path, "seal", content, make_provenance("gminus2 seal"))


def read_seal(path: Path) -> Seal:
    """Read a seal back.

    Raises
    ------
    DataError
        Not a seal file, or truncated.
    BlindingError
        A field is missing or the digest does not fit: the file was changed.
    """
    raw = read_result(path, "seal")
    try:
        first, second = (
            Holder(str(h["name"]), _bytes(h["salt"]), _bytes(h["nonce"]), _bytes(h["share"])) for h in raw["holders"]
        )
        seal = Seal(
            label=str(raw["label"]),
            created=str(raw["created"]),
            clock_range_ppm=float(raw["clock_range_ppm"]),
            field_range_ppm=float(raw["field_range_ppm"]),
            commitment=str(raw["commitment"]),
            nonce=_bytes(raw["nonce"]),
            payload=_bytes(raw["payload"]),
            holders=(first, second),
            scrypt_n=int(raw["scrypt_n"]),
            scrypt_r=int(raw["scrypt_r"]),
            scrypt_p=int(raw["scrypt_p"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BlindingError(f"the seal is damaged ({error})", where=str(path)) from None
    if raw.get("version") != _VERSION or raw.get("digest") != seal.digest():
        raise BlindingError("the seal was changed after it was made", where=str(path))
    if not 2 <= seal.scrypt_n <= 2**20:
        raise BlindingError("the seal asks for an impossible scrypt cost", where=str(path), found=str(seal.scrypt_n))
    return seal


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
