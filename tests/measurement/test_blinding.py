"""Hardware blinding: two keys, commitment, freezing, refusal of everything that would break it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from gminus2.data import make_provenance, write_result
from gminus2.errors import BlindingError, DataError
from gminus2.measurement.anomaly import anomaly
from gminus2.measurement.blinding import (
    HiddenOffsets,
    Seal,
    make_seal,
    open_seal,
    read_seal,
    unblinding_factor,
    write_seal,
)
from gminus2.measurement.ratio import FrequencyRatio
from gminus2.measurement.unblinding import FROZEN, UNBLINDED, freeze, read_register, unblind

HOLDERS = ("Bock", "Lykken")
KEYS = {"Bock": "envelope on a train", "Lykken": "the dog has eaten it"}


def _seal(**options: float) -> Seal:
    # A cheap scrypt: the tests are about the rules, not about the cost of guessing.
    return make_seal("test", HOLDERS, (KEYS["Bock"], KEYS["Lykken"]), scrypt_n=2**4, **options)


def _blinded(folder: Path, seal: Seal, value: float = 0.0037073) -> Path:
    content = {
        "title": "test",
        "blinding": {"state": "blinded", "seal_digest": seal.digest(), "commitment": seal.commitment},
        "R_mu_blinded": {"value": value, "uncertainty": 1.7e-9, "t_r_c": 34.7, "codata": 2018, "route": "hydrogen"},
        "files": ["report.html"],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.html").write_text("report")
    write_result(folder / "result.json", "measurement", content, make_provenance("test"))
    return folder


@pytest.fixture
def sealed(tmp_path: Path) -> tuple[Path, Seal]:
    seal = _seal()
    write_seal(tmp_path / "safe" / "seal.json", seal)
    return tmp_path / "safe" / "seal.json", seal


def test_both_keys_open_the_seal_and_the_offsets_lie_in_their_ranges() -> None:
    offsets = [open_seal(_seal(clock_range_ppm=25.0, field_range_ppm=5.0), KEYS) for _ in range(40)]
    clocks, fields = np.array([(o.clock, o.field) for o in offsets]).T * 1e6
    assert np.abs(clocks).max() <= 25.0
    assert np.abs(fields).max() <= 5.0
    # Drawn anew and independently: 40 uniform numbers spread like uniform numbers.
    assert clocks.std() == pytest.approx(25 / np.sqrt(3), rel=0.35)
    assert abs(np.corrcoef(clocks, fields)[0, 1]) < 0.6


@pytest.mark.parametrize("missing", HOLDERS)
def test_one_key_does_not_open_the_seal(missing: str) -> None:
    seal = _seal()
    with pytest.raises(BlindingError, match="only with both keys") as caught:
        open_seal(seal, {name: key for name, key in KEYS.items() if name != missing})
    assert missing in str(caught.value)
    with pytest.raises(BlindingError, match=f"key of {missing} does not open"):
        open_seal(seal, {**KEYS, missing: "a wrong passphrase"})


def test_keys_in_each_others_place_do_not_open_the_seal() -> None:
    with pytest.raises(BlindingError, match="does not open"):
        open_seal(_seal(), {"Bock": KEYS["Lykken"], "Lykken": KEYS["Bock"]})


def test_one_share_alone_is_random_whatever_the_offsets() -> None:
    # With the first passphrase an attacker decrypts share 1. It was drawn independently of everything, so that the XOR
    # with any candidate key gives an equally likely share 2: no candidate is preferred. Check the construction: the
    # decrypted shares of many seals are 256 unbiased bits, and are not the payload's key.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    from gminus2.measurement.blinding import _derive

    bits = []
    for _ in range(60):
        seal = _seal()
        holder = seal.holders[0]
        share = AESGCM(_derive(seal, holder, KEYS["Bock"])).decrypt(holder.nonce, holder.share, seal.header())
        bits.append(np.unpackbits(np.frombuffer(share, dtype=np.uint8)))
        with pytest.raises(Exception):  # noqa: B017 - InvalidTag of the library
            AESGCM(share).decrypt(seal.nonce, seal.payload, seal.header())
    assert np.mean(bits) == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(60 * 256))


def test_a_changed_public_field_of_the_seal_is_noticed(sealed: tuple[Path, Seal]) -> None:
    path, seal = sealed
    for change in ({"clock_range_ppm": 1.0}, {"label": "other"}, {"created": "2021-02-25T00:00:00+00:00"}):
        with pytest.raises(BlindingError, match="does not open the seal"):
            open_seal(dataclasses.replace(seal, **change), KEYS)
    with pytest.raises(BlindingError, match="commitment"):
        open_seal(dataclasses.replace(seal, commitment="0" * 64), KEYS)
    raw = json.loads(path.read_text())
    path.write_text(json.dumps({**raw, "label": "other"}))
    with pytest.raises(BlindingError, match="changed after it was made"):
        read_seal(path)


def test_the_seal_is_read_back_and_never_overwritten(sealed: tuple[Path, Seal]) -> None:
    path, seal = sealed
    assert read_seal(path) == seal
    with pytest.raises(BlindingError, match="there is a seal already"):
        write_seal(path, _seal())


def test_neither_offsets_nor_keys_stand_in_the_seal_or_in_a_representation(sealed: tuple[Path, Seal]) -> None:
    path, seal = sealed
    offsets = open_seal(seal, KEYS)
    text = path.read_text()
    for secret in (*KEYS.values(), f"{offsets.clock:.6e}", f"{offsets.clock * 1e6:.4f}", f"{offsets.field * 1e6:.4f}"):
        assert secret not in text
    assert repr(offsets) == "HiddenOffsets(…)"


@pytest.mark.parametrize(
    ("holders", "keys", "message"),
    [
        (("A", "A"), ("passphrase one", "passphrase two"), "different key holders"),
        (("A", ""), ("passphrase one", "passphrase two"), "different key holders"),
        (("A", "B"), ("short", "passphrase two"), "too short"),
        (("A", "B"), ("the same phrase", "the same phrase"), "same passphrase"),
    ],
)
def test_bad_holders_and_keys_are_refused(holders: tuple[str, str], keys: tuple[str, str], message: str) -> None:
    with pytest.raises(BlindingError, match=message):
        make_seal("test", holders, keys, scrypt_n=2**4)


@pytest.mark.parametrize("range_ppm", [-1.0, float("nan"), 1e6])
def test_impossible_ranges_are_refused(range_ppm: float) -> None:
    with pytest.raises(BlindingError, match="impossible range"):
        _seal(clock_range_ppm=range_ppm)


def test_unblinding_undoes_clock_and_field_exactly() -> None:
    # Independent derivation: ticks. A frequency f of a clock that runs fast by x is counted as f/(1 + x); a proton
    # frequency scaled by 1/(1 + y) makes R' too large by (1 + y).
    offsets = HiddenOffsets(clock=17e-6, field=-9e-6)
    f_a, f_p = 229081.06, 61791871.2
    blinded = (f_a / (1 + offsets.clock)) / (f_p / (1 + offsets.field))
    assert blinded * unblinding_factor(offsets) == pytest.approx(f_a / f_p, rel=1e-15)


def test_a_frozen_result_is_unblinded_on_record(tmp_path: Path, sealed: tuple[Path, Seal]) -> None:
    path, seal = sealed
    truth = FrequencyRatio(0.00370730035, 1.7e-9, 34.7)
    folder = _blinded(tmp_path / "run", seal, truth.value / unblinding_factor(open_seal(seal, KEYS)))
    frozen = freeze(folder, who="analyst")
    opened = unblind(folder, path, KEYS, who="spokesperson")
    assert opened["a_mu"]["value"] == pytest.approx(anomaly(truth).value_1e11, abs=1e-4)
    assert (opened["who"], opened["frozen_by"], opened["holders"]) == ("spokesperson", "analyst", list(HOLDERS))
    (entry,) = read_register(path.with_name("seal.register.jsonl"))
    assert entry["frozen"] == frozen["digest"]
    assert entry["who"] == "spokesperson"
    # Again, with the same result: the same numbers, and one more line.
    assert unblind(folder, path, KEYS)["a_mu"] == opened["a_mu"]
    assert len(read_register(path.with_name("seal.register.jsonl"))) == 2


def test_unblinding_is_refused_before_freezing_with_one_key_and_under_another_seal(
    tmp_path: Path, sealed: tuple[Path, Seal]
) -> None:
    path, seal = sealed
    folder = _blinded(tmp_path / "run", seal)
    with pytest.raises(BlindingError, match="not frozen"):
        unblind(folder, path, KEYS)
    freeze(folder)
    with pytest.raises(BlindingError, match="only with both keys"):
        unblind(folder, path, {"Bock": KEYS["Bock"]})
    other = tmp_path / "other" / "seal.json"
    write_seal(other, _seal())
    with pytest.raises(BlindingError, match="another seal"):
        unblind(folder, other, KEYS)
    assert not (folder / UNBLINDED).exists()
    assert not path.with_name("seal.register.jsonl").exists()


@pytest.mark.parametrize("victim", ["result.json", "report.html", FROZEN])
def test_a_result_changed_after_freezing_is_refused(tmp_path: Path, sealed: tuple[Path, Seal], victim: str) -> None:
    path, seal = sealed
    folder = _blinded(tmp_path / "run", seal)
    freeze(folder)
    text = (folder / victim).read_text()
    changed = text.replace("0.0037073", "0.0037074") if victim != "report.html" else text + " "
    assert changed != text
    (folder / victim).write_text(changed)
    with pytest.raises(BlindingError, match="changed"):
        unblind(folder, path, KEYS)
    (folder / "report.html").unlink()
    with pytest.raises(BlindingError, match=r"missing|changed"):
        unblind(folder, path, KEYS)


def test_a_second_different_result_is_refused_unless_it_is_a_new_version_that_says_why(
    tmp_path: Path, sealed: tuple[Path, Seal]
) -> None:
    path, seal = sealed
    folder = _blinded(tmp_path / "run", seal)
    freeze(folder)
    unblind(folder, path, KEYS)
    second = _blinded(tmp_path / "second", seal, 0.0037074)
    freeze(second)
    with pytest.raises(BlindingError, match="another result was unblinded"):
        unblind(second, path, KEYS)
    # In the same folder: frozen already; a new version needs a reason, keeps the old record and names it.
    _blinded(folder, seal, 0.0037074)
    with pytest.raises(BlindingError, match="frozen already"):
        freeze(folder)
    freeze(folder, new_version="pileup of 1d was subtracted twice")
    # A version in between that was never opened does not break the chain.
    _blinded(folder, seal, 0.0037075)
    record = freeze(folder, new_version="and once more")
    assert record["version"] == 3
    opened = unblind(folder, path, KEYS)
    assert (opened["result_version"], opened["reason_of_version"]) == (3, "and once more")
    assert (folder / "frozen-1.json").exists()
    # From another folder: the second result may replace what was opened, if it says so.
    (second / FROZEN).unlink()
    with pytest.raises(BlindingError, match="no earlier version"):
        freeze(second, new_version="why")
    with pytest.raises(BlindingError, match="no frozen result to replace"):
        freeze(second, new_version="why", replaces=tmp_path / "nowhere")
    assert freeze(second, new_version="why", replaces=folder)["version"] == 4
    assert unblind(second, path, KEYS)["result_version"] == 4
    assert [entry["version"] for entry in read_register(path.with_name("seal.register.jsonl"))] == [1, 3, 4]


def test_a_changed_or_shortened_register_is_noticed(tmp_path: Path, sealed: tuple[Path, Seal]) -> None:
    path, seal = sealed
    folder = _blinded(tmp_path / "run", seal)
    freeze(folder)
    for _ in range(3):
        unblind(folder, path, KEYS, who="first")
    register = path.with_name("seal.register.jsonl")
    lines = register.read_text().splitlines()
    for broken in (lines[:1] + lines[2:], [lines[0].replace("first", "other"), *lines[1:]], ["{}", *lines]):
        register.write_text("\n".join(broken) + "\n")
        with pytest.raises(BlindingError, match="register"):
            unblind(folder, path, KEYS)
    register.unlink()
    with pytest.raises(BlindingError, match="lost an entry"):
        unblind(folder, path, KEYS)


def test_an_open_result_or_a_foreign_file_cannot_be_frozen(tmp_path: Path) -> None:
    write_result(tmp_path / "result.json", "measurement", {"a_mu": {"value": 1}}, make_provenance("test"))
    with pytest.raises(BlindingError, match="only a blinded result"):
        freeze(tmp_path)
    with pytest.raises(DataError, match="no such result"):
        freeze(tmp_path / "nowhere")
