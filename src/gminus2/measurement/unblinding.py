"""Freezing a blinded result and opening it: what was frozen is what is unblinded, once, and on record.

``freeze``   writes ``frozen.json`` into the result folder: the digests of ``result.json`` and of every file that the
             result names, the seal, the version, and who froze it.
``unblind``  checks all of it again, opens the seal with both keys, writes ``unblinded.json`` and one line into the
             register beside the seal. The register's lines are chained by hashes, so that none can be
             changed or removed in the middle unnoticed.

See ``docs/decisions/0010-hardware-blinding.md``.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from gminus2 import __version__
from gminus2.data import file_digest, make_provenance, read_result, write_result, write_text
from gminus2.data.provenance import content_digest
from gminus2.errors import BlindingError
from gminus2.measurement.anomaly import Route, anomaly
from gminus2.measurement.blinding import Seal, open_seal, read_seal, unblinding_factor
from gminus2.measurement.ratio import FrequencyRatio

__all__ = ["FROZEN", "UNBLINDED", "check_frozen", "freeze", "read_register", "unblind"]

FROZEN: Final = "frozen.json"
UNBLINDED: Final = "unblinded.json"
_RESULT: Final = "result.json"


def freeze(
    folder: Path, *, new_version: str | None = None, replaces: Path | None = None, who: str | None = None
) -> dict[str, Any]:
    """Fix the blinded result of a folder and return the frozen record.

    Parameters
    ----------
    new_version
        Why this result replaces one that was frozen before; required if there is one.
    replaces
        Folder of the frozen result that this one replaces; default: the same folder.

    Raises
    ------
    BlindingError
        The result is not blinded, already unblinded content lies in the folder, or a frozen result exists and no
        reason for a new version is given.
    """
    result = read_result(folder / _RESULT, "measurement")
    blinding = result.get("blinding")
    if not blinding or blinding.get("state") != "blinded":
        raise BlindingError(
            "only a blinded result can be frozen",
            where=str(folder / _RESULT),
            hint="name a seal in the campaign: [blinding] seal = …",
        )
    if replaces is not None and not (replaces / FROZEN).exists():
        raise BlindingError("there is no frozen result to replace", where=str(replaces))
    if (folder / FROZEN).exists() and replaces is not None and replaces.resolve() != folder.resolve():
        raise BlindingError("this folder holds a frozen result of its own", where=str(folder))
    source = replaces or folder
    previous = _previous(source)
    if new_version and previous is None:
        raise BlindingError("there is no earlier version to replace", where=str(folder), hint="name it: --replaces DIR")
    if previous is not None and not new_version:
        raise BlindingError(
            "the result is frozen already",
            where=str(folder / FROZEN),
            found=f"version {previous['version']}, frozen {previous['frozen_at']} by {previous['frozen_by']}",
            hint="if it must change, freeze it as a new version and say why: --new-version REASON",
        )
    content = {
        "version": 1 if previous is None else int(previous["version"]) + 1,
        "replaces": [] if previous is None else [*previous["replaces"], previous["digest"]],
        "reason": new_version or "",
        "label": result.get("title", ""),
        "seal": blinding["seal_digest"],
        "commitment": blinding["commitment"],
        "R_mu_blinded": result["R_mu_blinded"],
        "files": {name: file_digest(folder / name) for name in (_RESULT, *result.get("files", []))},
        "frozen_at": _now(),
        "frozen_by": who or _user(),
        "code_version": __version__,
    }
    content["digest"] = content_digest(content)
    if previous is not None and source == folder:
        write_text(
            folder / f"frozen-{previous['version']}.json",
            json.dumps(previous, indent=2, ensure_ascii=False) + "\n",
        )
    write_result(folder / FROZEN, "frozen", content, make_provenance("gminus2 freeze", inputs=[folder / _RESULT]))
    return content


def check_frozen(folder: Path) -> dict[str, Any]:
    """Return the frozen record of a folder after comparing every file with it.

    Raises
    ------
    BlindingError
        Nothing is frozen, the record itself was changed, or a file differs from what was frozen.
    """
    if not (folder / FROZEN).exists():
        raise BlindingError("the result is not frozen", where=str(folder), hint="gminus2 freeze DIR")
    record = read_result(folder / FROZEN, "frozen")
    content = {k: v for k, v in record.items() if k not in ("kind", "provenance", "digest")}
    if content_digest(content) != record.get("digest"):
        raise BlindingError("the frozen record was changed", where=str(folder / FROZEN))
    for name, digest in record["files"].items():
        path = folder / name
        if not path.is_file():
            raise BlindingError("a file of the frozen result is missing", where=str(path))
        if file_digest(path) != digest:
            raise BlindingError(
                "the result was changed after it was frozen",
                where=str(path),
                expected=f"sha256 {digest[:16]}…",
                found=f"sha256 {file_digest(path)[:16]}…",
                hint="restore the frozen file, or freeze a new version and say why",
            )
    return record


def unblind(folder: Path, seal_path: Path, passphrases: Mapping[str, str], *, who: str | None = None) -> dict[str, Any]:
    """Open a frozen result with both keys; write and return the unblinded result.

    Doing it again for the same frozen result gives the same numbers and is recorded again.

    Raises
    ------
    BlindingError
        Not frozen, changed after freezing, frozen under another seal, one key missing or wrong, or another result was
        unblinded with this seal and this one is not a new version of it.
    """
    frozen = check_frozen(folder)
    seal = read_seal(seal_path)
    if seal.digest() != frozen["seal"]:
        raise BlindingError(
            "the result was frozen under another seal",
            where=str(seal_path),
            expected=f"seal {frozen['seal'][:16]}…",
            found=f"seal {seal.digest()[:16]}…",
        )
    register = _register_path(seal_path)
    history = read_register(register)
    earlier = list(dict.fromkeys(entry["frozen"] for entry in history))
    _check_not_shortened(folder, earlier, register)
    if earlier and not {frozen["digest"], *frozen["replaces"]} & set(earlier):
        raise BlindingError(
            "another result was unblinded with this seal already",
            where=str(register),
            found=f"frozen result {earlier[-1][:16]}…, unblinded {history[-1]['when']} by {history[-1]['who']}",
            hint="a corrected result must be frozen as a new version of that one: gminus2 freeze --new-version REASON",
        )
    offsets = open_seal(seal, passphrases)
    document = _opened(frozen, seal, unblinding_factor(offsets), who or _user())
    document["result_version"] = frozen["version"]
    _append(register, history, frozen, document, seal)
    write_result(
        folder / UNBLINDED,
        "unblinded",
        document,
        make_provenance("gminus2 unblind", inputs=[folder / FROZEN, folder / _RESULT, seal_path]),
    )
    return document


def _check_not_shortened(folder: Path, earlier: list[str], register: Path) -> None:
    """Refuse where this folder was unblinded before and the register no longer says so."""
    if not (folder / UNBLINDED).exists():
        return
    opened = read_result(folder / UNBLINDED, "unblinded")
    if opened["frozen"] not in earlier:
        raise BlindingError(
            "the unblinding register has lost an entry",
            where=str(register),
            expected=f"frozen result {opened['frozen'][:16]}…, unblinded {opened['when']}",
        )


def _opened(frozen: Mapping[str, Any], seal: Seal, factor: float, who: str) -> dict[str, Any]:
    blinded = frozen["R_mu_blinded"]
    ratio = FrequencyRatio(blinded["value"] * factor, blinded["uncertainty"] * factor, blinded["t_r_c"])
    route: Route = blinded.get("route", "hydrogen")
    result = anomaly(ratio, int(blinded.get("codata", 2018)), route)
    return {
        "R_mu": {"value": ratio.value, "uncertainty": ratio.sigma, "t_r_c": ratio.t_r_c},
        "a_mu": {
            "value": result.value_1e11,
            "uncertainty": result.sigma_1e11,
            "unit": "1e-11",
            "codata": result.factor.codata_year,
        },
        "unblinding_factor_minus_1_ppm": (factor - 1.0) * 1e6,
        "reason_of_version": frozen["reason"],
        "frozen": frozen["digest"],
        "frozen_at": frozen["frozen_at"],
        "frozen_by": frozen["frozen_by"],
        "seal": seal.digest(),
        "commitment": seal.commitment,
        "holders": [holder.name for holder in seal.holders],
        "when": _now(),
        "who": who,
    }


def read_register(path: Path) -> list[dict[str, Any]]:
    """Return the entries of an unblinding register.

    Raises
    ------
    BlindingError
        A line was changed, removed or inserted: its hash does not follow from the one before.
    """
    if not path.exists():
        return []
    entries: list[dict[str, Any]] = []
    previous = ""
    for index, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            entry = json.loads(line)
            found = entry.pop("hash")
        except (ValueError, KeyError, AttributeError):
            raise BlindingError("the unblinding register is damaged", where=f"{path}, line {index}") from None
        if found != _chain(previous, entry):
            raise BlindingError("the unblinding register was changed", where=f"{path}, line {index}")
        entries.append(entry)
        previous = found
    return entries


def _append(
    path: Path, history: list[dict[str, Any]], frozen: Mapping[str, Any], document: Mapping[str, Any], seal: Seal
) -> None:
    entry = {
        "frozen": frozen["digest"],
        "version": frozen["version"],
        "reason": frozen["reason"],
        "seal": seal.digest(),
        "result": frozen["files"][_RESULT],
        "a_mu": document["a_mu"]["value"],
        "when": document["when"],
        "who": document["who"],
        "holders": document["holders"],
    }
    previous = ""
    lines = []
    for old in [*history, entry]:
        previous = _chain(previous, old)
        lines.append(json.dumps({**old, "hash": previous}, ensure_ascii=False, sort_keys=True))
    write_text(path, "\n".join(lines) + "\n")


def _chain(previous: str, entry: Mapping[str, Any]) -> str:
    return hashlib.sha256((previous + json.dumps(entry, ensure_ascii=False, sort_keys=True)).encode()).hexdigest()


def _register_path(seal_path: Path) -> Path:
    return seal_path.with_name(seal_path.stem + ".register.jsonl")


def _previous(folder: Path) -> dict[str, Any] | None:
    path = folder / FROZEN
    return read_result(path, "frozen") if path.exists() else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return f"uid {os.getuid()}"
