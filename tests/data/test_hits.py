"""Hit words and hit files: what goes in comes out, what is damaged is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gminus2.data import make_provenance
from gminus2.data.hits import LASER_DTYPE, TRACK_DTYPE, HitBlock, pack_hits, unpack_hits
from gminus2.data.io.hits import export_hits, import_hits, read_hits
from gminus2.errors import DataError


def block(fills: int = 3, seed: int = 0) -> HitBlock:
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(fills):
        n = 50
        words = pack_hits(
            rng.integers(0, 2**23, n),
            rng.integers(0, 24, n),
            rng.integers(0, 8192, n),
            rng.integers(0, 252, n),
            rng.integers(0, 252, n),
            rng.integers(0, 2, n),
        )
        parts.append(np.sort(words))
    laser = np.zeros(2, dtype=LASER_DTYPE)
    laser["response"] = [999_000, 1_001_000]
    tracks = np.zeros(1, dtype=TRACK_DTYPE)
    tracks["x"] = -1234
    return HitBlock(np.concatenate(parts), 50 * np.arange(fills + 1), 32, tracks, laser, "a", {"simulated": True})


def test_a_hit_takes_eight_bytes_and_keeps_its_fields() -> None:
    given = {"time": [0, 2**24 - 1], "station": [0, 23], "energy": [1, 8191], "u": [0, 255], "y": [255, 0]}
    fields = {name: np.array(v) for name, v in given.items()} | {"compact": np.array([1, 0])}
    words = pack_hits(**fields)
    assert words.itemsize == 8
    assert (words > 0).all()
    for name, values in unpack_hits(words).items():
        assert np.array_equal(values, fields[name])


def test_a_field_that_does_not_fit_is_refused() -> None:
    one = np.ones(1, dtype=np.int64)
    with pytest.raises(DataError, match="station"):
        pack_hits(one, 24 * one, one, one, one, one)
    with pytest.raises(DataError, match="time"):
        pack_hits(-one, one, one, one, one, one)


def test_hits_survive_their_file(tmp_path: Path) -> None:
    given = block()
    path = tmp_path / "hits.h5"
    given.write(path, make_provenance("test", seed=1))
    found = read_hits(path)
    assert np.array_equal(found.words, given.words)
    assert np.array_equal(found.offsets, given.offsets)
    assert np.array_equal(found.laser, given.laser)
    assert np.array_equal(found.tracks, given.tracks)
    assert (found.first_fill, found.dataset) == (32, "a")


def test_truncated_unsorted_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "hits.h5"
    block().write(path, make_provenance("test"))
    cut = tmp_path / "cut.h5"
    cut.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DataError):
        read_hits(cut)
    text = tmp_path / "text.h5"
    text.write_text("not HDF5")
    with pytest.raises(DataError, match="truncated or not"):
        read_hits(text)
    with pytest.raises(DataError, match="no such file"):
        read_hits(tmp_path / "absent.h5")
    with pytest.raises(DataError, match="unknown format"):
        read_hits(tmp_path / "hits.csv")
    shuffled = block()
    wrong = HitBlock(shuffled.words[::-1].copy(), shuffled.offsets, 0, shuffled.tracks, shuffled.laser)
    with pytest.raises(DataError, match="sorted by station"):
        wrong.check()
    with pytest.raises(DataError, match="offsets"):
        HitBlock(shuffled.words, shuffled.offsets[:-1], 0, shuffled.tracks, shuffled.laser).check()


@pytest.mark.parametrize("suffix", [".root", ".parquet"])
def test_hits_survive_export_and_import(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip({".root": "uproot", ".parquet": "pyarrow"}[suffix])
    given = block()
    path = tmp_path / f"hits{suffix}"
    export_hits(given, path)
    found = import_hits(path)
    assert np.array_equal(found.words, given.words)
    assert np.array_equal(found.offsets, given.offsets)
    assert found.first_fill == given.first_fill


def test_foreign_tables_with_mistakes_are_refused(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    good = {"fill": [0, 0, 1], "calorimeter": [1, 24, 3], "time": [10.0, 20.0, 5.0], "energy": [100.0, 2000.0, 3000.0]}

    def attempt(**changes: object) -> HitBlock:
        table = {k: v for k, v in {**good, **changes}.items() if v is not None}
        path = tmp_path / "foreign.parquet"
        parquet.write_table(arrow.table(table), path)
        return import_hits(path)

    assert attempt().fills == 2
    for changes, message in (
        ({"energy": None, "enrgy": [1.0, 2.0, 3.0]}, "did you mean 'enrgy'"),
        ({"calorimeter": [1, 25, 3]}, "out of range"),
        ({"time": [10.0, float("nan"), 5.0]}, "not finite"),
        ({"time": [-1.0, 20.0, 5.0]}, "out of range"),
        ({"fill": [1, 0, 1]}, "must not decrease"),
        ({"fill": [], "calorimeter": [], "time": [], "energy": []}, "no hits"),
    ):
        with pytest.raises(DataError, match=message):
            attempt(**changes)
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match="not a Parquet file"):
        import_hits(tmp_path / "broken.parquet")
    (tmp_path / "broken.root").write_bytes(b"root nothing")
    with pytest.raises(DataError, match="not a ROOT file"):
        import_hits(tmp_path / "broken.root")
