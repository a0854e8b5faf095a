"""ROOT and UHI histograms: units from the axis title, flow bins left out, several of them asked about."""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import hist
import numpy as np
import pytest
import uhi.io.hdf5

from gminus2.data import TimeHistogram
from gminus2.data.io import ReadOptions, read_histogram, write_uhi
from gminus2.errors import DataError, MissingExtraError

COUNTS = np.array([1000.0, 990.0, 981.0, 972.0, 960.0])


def _hist(label: str = "time [ns]", scale: float = 149.2, *, weighted: bool = False) -> hist.Hist:
    storage = hist.storage.Weight() if weighted else hist.storage.Double()
    axis = hist.axis.Regular(5, 0.0, 5 * scale, name="t", label=label)
    h = hist.Hist(axis, storage=storage)
    if weighted:
        h.view().value = COUNTS
        h.view().variance = 2.0 * COUNTS
    else:
        h.view(flow=True)[...] = [7.0, *COUNTS, 8.0]
    return h


@pytest.fixture(scope="module")
def root_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    uproot = pytest.importorskip("uproot")
    path = tmp_path_factory.mktemp("root") / "histograms.dat"
    with uproot.recreate(path) as file:
        file["wiggle"] = _hist()
        file["calo/calo_01"] = _hist()
        file["calo/calo_02"] = _hist()
        file["other"] = _hist(scale=150.0)
        file["weighted"] = _hist(weighted=True)
    return path


def test_root_histogram_by_name_has_unit_of_its_axis_and_no_flow_counts(root_file: Path) -> None:
    histogram, report = read_histogram(root_file, ReadOptions(histograms=("wiggle",)))
    assert np.array_equal(histogram.counts[0], COUNTS)
    assert histogram.width_us == pytest.approx(0.1492, rel=1e-12)
    assert histogram.start_us[0] == 0.0
    assert histogram.variances is None
    assert report.format == "ROOT TH1"
    assert any("15 counts in underflow and overflow" in note for note in report.notes)


def test_several_root_histograms_become_detectors(root_file: Path) -> None:
    histogram, _ = read_histogram(root_file, ReadOptions(histograms=("calo_01", "calo/calo_02")))
    assert histogram.labels == ("calo_01", "calo_02")
    assert histogram.counts.sum() == 2 * COUNTS.sum()
    with pytest.raises(DataError, match="different bins"):
        read_histogram(root_file, ReadOptions(histograms=("wiggle", "other")))


def test_weights_of_a_root_histogram_become_variances(root_file: Path) -> None:
    histogram, _ = read_histogram(root_file, ReadOptions(histograms=("weighted",)))
    assert histogram.variances is not None
    assert np.array_equal(histogram.variances[0], 2.0 * COUNTS)


def test_a_file_of_several_histograms_is_asked_about_and_near_names_are_named(root_file: Path) -> None:
    with pytest.raises(DataError, match=r"holds 5 histograms(.|\n)*'wiggle'(.|\n)*--histogram"):
        read_histogram(root_file)
    with pytest.raises(DataError, match="did you mean 'wiggle'"):
        read_histogram(root_file, ReadOptions(histograms=("wigle",)))


def test_damaged_and_empty_root_files_are_refused(root_file: Path, tmp_path: Path) -> None:
    import uproot

    raw = root_file.read_bytes()
    for cut in (10, 300, len(raw) // 2):
        (tmp_path / "cut.root").write_bytes(raw[:cut])
        with pytest.raises(DataError, match="truncated or damaged"):
            read_histogram(tmp_path / "cut.root")
    with uproot.recreate(tmp_path / "tree.root") as file:
        file["t"] = {"x": np.arange(3.0)}
    with pytest.raises(DataError, match="holds no TH1 histogram"):
        read_histogram(tmp_path / "tree.root")


def test_without_uproot_the_extra_is_named(root_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uproot", None)
    with pytest.raises(MissingExtraError, match=r"gminus2\[root\]"):
        read_histogram(root_file)


def test_foreign_uhi_histograms_are_read_with_their_flow_left_out(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        uhi.io.hdf5.write(file.create_group("a"), _hist(label="time [us]", scale=0.1492))
        uhi.io.hdf5.write(file.create_group("b"), _hist(weighted=True))
    histogram, report = read_histogram(tmp_path / "foreign.h5", ReadOptions(histograms=("a",)))
    assert np.array_equal(histogram.counts[0], COUNTS)
    assert histogram.width_us == pytest.approx(0.1492, rel=1e-12)
    assert report.format == "UHI-HDF5"
    weighted, _ = read_histogram(tmp_path / "foreign.h5", ReadOptions(histograms=("b",)))
    assert weighted.variances is not None
    with pytest.raises(DataError, match="holds 2 histograms"):
        read_histogram(tmp_path / "foreign.h5")


def test_what_we_write_as_uhi_is_opened_by_hist_itself(tmp_path: Path) -> None:
    ours = TimeHistogram(np.stack([COUNTS, 2 * COUNTS]), np.array([0.1, 0.2]), 0.1492, ("up", "down"))
    write_uhi(tmp_path / "ours.h5", ours)
    with h5py.File(tmp_path / "ours.h5") as file:
        down = hist.Hist(uhi.io.hdf5.read(file["detector_1"]))
    assert np.array_equal(down.values(), 2 * COUNTS)
    assert down.axes[0].edges == pytest.approx(ours.edges_us(1))
    assert down.axes[0].label == "time [µs]"


def test_other_hdf5_content_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "nexus.h5", "w") as file:
        file["raw_data_1/counts"] = np.arange(3)
    with pytest.raises(DataError, match=r"holds no UHI histogram(.|\n)*raw_data_1"):
        read_histogram(tmp_path / "nexus.h5")
    with h5py.File(tmp_path / "2d.h5", "w") as file:
        two = hist.Hist(hist.axis.Regular(3, 0, 1), hist.axis.Regular(3, 0, 1))
        uhi.io.hdf5.write(file.create_group("h"), two)
    with pytest.raises(DataError, match="not one-dimensional"):
        read_histogram(tmp_path / "2d.h5")
    raw = (tmp_path / "nexus.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(DataError, match="truncated"):
        read_histogram(tmp_path / "cut.h5")
