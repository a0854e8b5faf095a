"""Tables of every shape are understood by name or position, and what is wrong in them is refused with its line."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from gminus2.data.io import ReadOptions, read_histogram
from gminus2.errors import DataError

COUNTS = [1000, 990, 981, 972, 960, 955, 940]
K = np.arange(len(COUNTS))


def _write(folder: Path, text: str, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def _rows(*columns: object, separator: str = ",") -> str:
    return "".join(separator.join(str(x) for x in row) + "\n" for row in zip(*columns, strict=True))  # type: ignore[call-overload]


CENTRES_NS = [round(149.2 * (k + 0.5), 4) for k in K]
LOW_US = [round(0.1492 * k, 7) for k in K]
HIGH_US = [round(0.1492 * (k + 1), 7) for k in K]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("Time (ns) ,Number of positrons\n" + _rows(CENTRES_NS, COUNTS), {}),
        ("\ufefftime [µs];counts\n" + _rows([t / 1000 for t in CENTRES_NS], COUNTS, separator=";"), {}),
        ("t_us\tcounts\tcomment\n" + _rows([t / 1000 for t in CENTRES_NS], COUNTS, K, separator="\t"), {}),
        ("# made by hand\n# bin_centre_ns counts\n" + _rows(CENTRES_NS, COUNTS, separator="  "), {}),
        ("low_us,high_us,n\n" + _rows(LOW_US, HIGH_US, COUNTS), {}),
        ("bin,counts,edge_ns\n" + _rows(K, COUNTS, [round(149.2 * k, 4) for k in K]), {}),
        ("bin,counts\n" + _rows(K, COUNTS), {"bin_width": 149.2, "time_unit": "ns"}),
        ('# {"dt_ns": 149.2, "t0_bin": -0.5}\nbin,counts\n' + _rows(K, COUNTS), {}),
        (_rows(CENTRES_NS, COUNTS), {"time_unit": "ns"}),
        (_rows(CENTRES_NS, COUNTS, np.sqrt(COUNTS)), {"time_unit": "ns"}),
        (_rows(LOW_US, HIGH_US, COUNTS), {"time_unit": "us"}),
        (_rows(COUNTS, K, CENTRES_NS), {"columns": "time=3,counts=1", "time_unit": "ns"}),
        ("a,b\n" + _rows(COUNTS, CENTRES_NS), {"columns": "counts=a,time=b", "time_unit": "ns"}),
        (_rows(COUNTS), {"bin_width": 0.1492}),
    ],
)
def test_the_same_histogram_in_many_tables(tmp_path: Path, text: str, options: dict[str, object]) -> None:
    histogram, report = read_histogram(_write(tmp_path, text), ReadOptions(**options))  # type: ignore[arg-type]
    assert histogram.counts.tolist() == [COUNTS]
    assert histogram.width_us == pytest.approx(0.1492, rel=1e-12)
    assert histogram.start_us[0] == pytest.approx(0.0, abs=1e-9)
    assert histogram.variances is None
    assert report.notes


def test_unit_of_unnamed_times_is_recognised_by_size(tmp_path: Path) -> None:
    k = np.arange(3000)
    for unit, scale in (("ns", 149.2), ("us", 0.1492)):
        text = "time,counts\n" + _rows([f"{scale * (i + 0.5):.8g}" for i in k], 5 + k % 3)
        histogram, report = read_histogram(_write(tmp_path, text))
        assert histogram.width_us == pytest.approx(0.1492, rel=1e-9)
        assert any("recognised by size" in note for note in report.notes), unit


def test_a_unit_that_cannot_be_recognised_is_asked_for(tmp_path: Path) -> None:
    file = _write(tmp_path, "time,counts\n" + _rows(3 * K + 1.5, COUNTS))
    with pytest.raises(DataError, match="--time-unit"):
        read_histogram(file)


def test_times_on_multiples_of_the_width_are_read_as_centres_with_a_warning(tmp_path: Path) -> None:
    file = _write(tmp_path, "t_us,counts\n" + _rows(LOW_US, COUNTS))
    histogram, report = read_histogram(file)
    assert histogram.start_us[0] == pytest.approx(-0.0746)
    assert any("lower edges" in caveat for caveat in report.caveats)


def test_named_columns_are_detectors_and_errors_of_their_own_become_variances(tmp_path: Path) -> None:
    text = "t_us,calo 1,calo 2,calo 1 error,calo 2 error\n" + _rows(
        [t / 1000 for t in CENTRES_NS], COUNTS, COUNTS, [40.0] * 7, [50.0] * 7
    )
    histogram, report = read_histogram(_write(tmp_path, text))
    assert histogram.labels == ("calo 1", "calo 2")
    assert histogram.variances is not None
    assert histogram.variances[:, 0].tolist() == [1600.0, 2500.0]
    assert any("weighted" in note for note in report.notes)


def test_negative_contents_are_allowed_only_with_errors(tmp_path: Path) -> None:
    counts = [*COUNTS[:-1], -3]
    with pytest.raises(DataError, match=r"negative in 1 bin\n.*line 8"):
        read_histogram(_write(tmp_path, "t_us,counts\n" + _rows(LOW_US, counts)))
    histogram, _ = read_histogram(_write(tmp_path, "low_us,counts,error\n" + _rows(LOW_US, counts, [30.0] * 7)))
    assert histogram.counts[0, -1] == -3


def test_header_values_reach_histogram_and_report(tmp_path: Path) -> None:
    text = (
        '# {"dt_ns": 2.0, "t0_bin": [1, 2], "first_good": [2, 3], "last_good": 6, "caveats": ["toy"], "title": "x"}\n'
        "bin,a,b\n" + _rows(K, COUNTS, COUNTS)
    )
    histogram, report = read_histogram(_write(tmp_path, text))
    assert histogram.start_us == pytest.approx([-0.003, -0.005])
    assert (report.t0_bin, report.first_good_bin, report.last_good_bin) == ((1, 2), (2, 3), (6, 6))
    assert report.caveats == ("toy",)
    assert report.metadata == {"title": "x"}


HEAD = "t_ns,counts\n"
GOOD = HEAD + _rows(CENTRES_NS, COUNTS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("\n  \n", "the file is empty"),
        (HEAD, "no rows of numbers"),
        ("no table at all\n", "no rows of numbers"),
        ("{\n}\n", "format is not known"),
        (GOOD.replace("972", "97x"), r"not a number\n  where: .*line 5, column 'counts'(.|\n)*'97x'"),
        (GOOD.replace("972", ""), r"an empty cell\n  where: .*line 5"),
        (GOOD.replace("972", "nan"), r"not a finite number in 1 bin\n  where: .*line 5"),
        (GOOD.replace("972", "inf"), r"not a finite number"),
        (GOOD.replace("522.2", "nan"), r"not a finite number"),
        (GOOD.replace("972", "-972"), r"negative in 1 bin\n  where: .*line 5"),
        (GOOD.replace("522.2,972\n", ""), r"1 bin is missing(.|\n)*line 5"),
        (GOOD.replace("522.2", "550.2"), "not equally wide"),
        (GOOD.replace("522.2", "373.0"), r"do not increase\n  where: .*line 5"),
        (GOOD.replace("972", "972,7"), r"a row of another length\n  where: .*line 5"),
        (GOOD[: GOOD.rindex(",")], "truncated"),
        (GOOD[: GOOD.rindex("940") + 1], "truncated"),
        (GOOD.replace("t_ns", "energy"), "no column of times"),
        (GOOD.replace("t_ns,counts", "t_ns,x_ns"), "several columns could be the time"),
        (GOOD.replace("t_ns,counts", "t_ns,counts,error"), "the header does not fit"),
        ("bin,counts\n" + _rows(K, COUNTS), "their width is not given"),
        ("bin,counts\n" + _rows(2 * K, COUNTS), "--bin-width"),
        ('# {"dt_ns": 149.2\nbin,counts\n' + _rows(K, COUNTS), r"JSON header cannot be read(.|\n)*line 1"),
        ('# {"dt_ns": -1}\nbin,counts\n' + _rows(K, COUNTS), "must be positive"),
        ('# {"dt_ns": "wide"}\nbin,counts\n' + _rows(K, COUNTS), "'dt_ns' in the header is not a number"),
        ('# {"dt_ns": 1, "t0_bin": [1, 2]}\nbin,counts\n' + _rows(K, COUNTS), "one per detector"),
        ('# {"dt_ns": 1}\nbin,counts\n' + _rows(2 * K, COUNTS), "steps of one"),
        (_rows(CENTRES_NS, COUNTS, COUNTS, COUNTS), "cannot be told apart"),
        (_rows(CENTRES_NS, COUNTS, K), "cannot be told apart"),
        (_rows(COUNTS), "the times are missing"),
        (HEAD + _rows(CENTRES_NS, [0] * 7), "all bins are empty"),
        (HEAD + "74.6,5\n", "at least two bins"),
        ("low_us,high_us,n\n" + _rows(LOW_US, LOW_US, COUNTS), "upper edge does not meet"),
    ],
)
def test_a_bad_table_is_refused_with_its_reason(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_histogram(_write(tmp_path, text))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("time=1", "no column is named as counts"),
        ("tme=1,counts=2", "did you mean 'time'"),
        ("time:1", "not ROLE=COLUMN"),
        ("time=1,counts=7", "there is no column 7"),
        ("time=1,counts=cuonts", "did you mean 'counts'"),
        ("time=1,bin=2,counts=2", "give one of time, low and bin"),
        ("time=1,time=2,counts=2", "given twice"),
        ("time=1,counts=2,error=1,error=2", "one error column per counts"),
        ("time=1,counts=2,error=1,variance=2", "not both"),
    ],
)
def test_wrong_columns_option_is_refused(tmp_path: Path, columns: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_histogram(_write(tmp_path, GOOD), ReadOptions(columns=columns))


def test_unknown_unit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unknown unit of time 'mus2'"):
        read_histogram(_write(tmp_path, GOOD), ReadOptions(time_unit="mus2"))


def test_missing_file_folder_and_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_histogram(tmp_path / "none.csv")
    with pytest.raises(DataError, match="folder, not a file"):
        read_histogram(tmp_path)
    for content in (b"\x7fELF\x02\x01\x01\0\0\0", b"\x89PNG\r\n\x1a\n\0\0", bytes(range(256))):
        (tmp_path / "odd.csv").write_bytes(content)
        with pytest.raises(DataError, match=r"format is not known(.|\n)*PSI-BIN"):
            read_histogram(tmp_path / "odd.csv")
    (tmp_path / "run.mdu").write_bytes(b"T5\0\0" + bytes(100))
    with pytest.raises(DataError, match="PSI-MDU"):
        read_histogram(tmp_path / "run.mdu")


def test_truncated_gzip_npy_npz_and_objects_are_refused(tmp_path: Path) -> None:
    packed = gzip.compress(GOOD.encode())
    (tmp_path / "a.csv.gz").write_bytes(packed[: len(packed) // 2])
    (tmp_path / "empty.csv.gz").write_bytes(gzip.compress(b""))
    np.save(tmp_path / "b.npy", np.stack([CENTRES_NS, COUNTS], axis=1))
    np.savez(tmp_path / "c.npz", time_ns=CENTRES_NS, counts=COUNTS)
    for name in ("b.npy", "c.npz"):
        read_histogram(tmp_path / name, ReadOptions(time_unit="ns"))
        raw = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(raw[: len(raw) - 40])
    np.save(tmp_path / "d.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "e.npy", np.zeros((3, 4, 5)))
    np.save(tmp_path / "f.npy", np.array(["a", "b"]))
    np.savez(tmp_path / "g.npz", time_ns=CENTRES_NS, counts=COUNTS[:-3])
    for name, message in (
        ("a.csv.gz", "truncated"),
        ("empty.csv.gz", "empty"),
        ("b.npy", "truncated"),
        ("c.npz", "truncated"),
        ("d.npy", "Python objects"),
        ("e.npy", "neither a list of counts nor a table"),
        ("f.npy", "not numeric"),
        ("g.npz", "differ in length"),
    ):
        with pytest.raises(DataError, match=message):
            read_histogram(tmp_path / name)


def test_npz_of_many_detectors_with_labels_and_variances(tmp_path: Path) -> None:
    counts = np.array([COUNTS, COUNTS[::-1]])
    np.savez(
        tmp_path / "calo.npz", edges_us=[*LOW_US, HIGH_US[-1]], counts=counts, variance=2.0 * counts,
        labels=np.array(["up", "down"]), doi="none",
    )  # fmt: skip
    histogram, report = read_histogram(tmp_path / "calo.npz")
    assert histogram.labels == ("up", "down")
    assert histogram.variances is not None
    assert np.array_equal(histogram.variances, 2.0 * counts)
    assert report.metadata["doi"] == "none"
