"""Stored objects come back as they were, and damaged ones are refused."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gminus2.data import (
    StoredArray,
    StoredArrays,
    TimeHistogram,
    atomic_path,
    make_provenance,
    read_arrays,
    read_result,
    write_arrays,
    write_result,
)
from gminus2.errors import DataError, StoreError


def _histogram() -> TimeHistogram:
    counts = np.random.default_rng(1).poisson(50.0, (2, 300)).astype(float)
    return TimeHistogram(counts, np.array([0.1, 0.2]), 0.1492, ("a", "b"), counts + 1.0, ("blinded",))


def test_histogram_is_read_back_as_written(tmp_path: Path) -> None:
    original = _histogram()
    original.write(tmp_path / "h.h5", make_provenance("test", seed=3))
    back = TimeHistogram.read(tmp_path / "h.h5")
    assert np.array_equal(back.counts, original.counts)
    assert np.array_equal(back.start_us, original.start_us)
    assert back.variances is not None
    assert original.variances is not None
    assert np.array_equal(back.variances, original.variances)
    assert (back.width_us, back.labels, back.caveats) == (0.1492, ("a", "b"), ("blinded",))


def test_truncated_incomplete_and_foreign_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "h.h5"
    _histogram().write(file, make_provenance("test"))
    whole = file.read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="truncated"):
        TimeHistogram.read(tmp_path / "cut.h5")
    with h5py.File(file, "r+") as handle:
        handle.attrs["complete"] = False
    with pytest.raises(DataError, match="never completed"):
        TimeHistogram.read(file)
    write_arrays(
        tmp_path / "other.h5",
        StoredArrays("field-map", {"x": StoredArray(np.zeros(3), "mm", "x")}, {}, make_provenance("test")),
    )
    with pytest.raises(DataError, match="something else"):
        TimeHistogram.read(tmp_path / "other.h5")
    with pytest.raises(DataError, match="known: x"):
        read_arrays(tmp_path / "other.h5", "field-map")["zz"]


def test_a_file_of_another_data_model_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    write_result(file, "fit", {"R": 1.0}, make_provenance("test"))
    document = json.loads(file.read_text())
    document["provenance"]["data_model"] = "2.0"
    file.write_text(json.dumps(document))
    with pytest.raises(DataError, match="data model"):
        read_result(file, "fit")


def test_json_result_is_read_back_and_truncation_found(tmp_path: Path) -> None:
    file = tmp_path / "fit.json"
    write_result(file, "fit", {"p": np.float64(0.5), "a": np.arange(3), "bad": float("nan")}, make_provenance("t"))
    back = read_result(file, "fit")
    assert (back["p"], back["a"], back["bad"]) == (0.5, [0, 1, 2], None)
    with pytest.raises(DataError, match="another kind"):
        read_result(file, "measurement")
    file.write_text(file.read_text()[:-20])
    with pytest.raises(DataError, match="not a complete"):
        read_result(file, "fit")


def test_a_write_that_fails_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    target = tmp_path / "x.txt"
    target.write_text("old")

    def interrupted() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="No space left"):
        interrupted()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": np.array([[1.0, np.nan]])}, "not finite"),
        ({"counts": np.array([[1.0, -1.0]])}, "negative"),
        ({"width_us": 0.0}, "positive"),
        ({"width_us": np.nan}, "positive"),
        ({"labels": ("a", "b")}, "one label per detector"),
        ({"variances": np.ones((1, 3))}, "differ in shape"),
        ({"start_us": np.array([np.inf])}, "not finite"),
    ],
)
def test_impossible_histograms_are_refused(change: dict[str, object], message: str) -> None:
    good: dict[str, object] = {
        "counts": np.array([[1.0, 2.0]]),
        "start_us": np.array([0.0]),
        "width_us": 1.0,
        "labels": ("a",),
    }
    with pytest.raises(DataError, match=message):
        TimeHistogram(**{**good, **change})  # type: ignore[arg-type]


@given(st.integers(1, 20), st.integers(20, 200))
def test_rebinning_keeps_counts_and_edges(factor: int, bins: int) -> None:
    counts = np.arange(bins, dtype=float)
    fine = TimeHistogram(counts, np.array([3.0]), 0.5, ("a",))
    coarse = fine.rebinned(factor)
    kept = bins // factor * factor
    assert coarse.counts.sum() == counts[:kept].sum()
    assert coarse.edges_us()[-1] == pytest.approx(fine.edges_us()[kept])
    assert coarse.edges_us()[0] == fine.edges_us()[0]


def test_hist_object_carries_counts_edges_and_variances() -> None:
    h = _histogram().to_hist(1)
    assert h.values().sum() == _histogram().counts[1].sum()
    assert h.variances().sum() == h.values().sum() + 300
    assert h.axes[0].edges[0] == pytest.approx(0.2)
