"""The public files: what was recorded is what is read, in every layout they come in."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from gminus2.data import TimeHistogram, make_provenance
from gminus2.data.io import ReadOptions, read_histogram, write_uhi
from gminus2.errors import DataError


@pytest.fixture(scope="module")
def run3b(data_dir: Path) -> Path:
    return data_dir / "e989_run3b" / "Run3B.csv"


@pytest.fixture(scope="module")
def psi(data_dir: Path) -> Path:
    return data_dir / "psi_gps_pbo_tf50" / "psi_convert_test_bin_1.bin"


def test_run3b_times_of_six_digits_are_bins_169_to_4356_of_149_2_ns(run3b: Path) -> None:
    histogram, report = read_histogram(run3b)
    assert histogram.width_us == 0.1492
    assert histogram.start_us[0] == pytest.approx(169 * 0.1492, abs=1e-12)
    assert histogram.edges_us()[-1] == pytest.approx(4357 * 0.1492, abs=1e-9)
    assert report.counts == (1_695_676_932.0,)
    assert any("rounded by up to 0.4 ns" in note for note in report.notes)


def test_run3b_never_comes_without_its_caveats(run3b: Path, tmp_path: Path) -> None:
    histogram, report = read_histogram(run3b)
    assert report.no_a_mu is not None
    assert any("no a_μ" in caveat for caveat in histogram.caveats)
    assert any("6 significant digits" in caveat for caveat in histogram.caveats)
    # A cut of the file, one written by us, and one that names the DOI and holds other counts.
    lines = run3b.read_text().splitlines()
    (tmp_path / "cut.csv").write_text("t_ns,counts\n" + "\n".join(lines[800:3000]) + "\n")
    (tmp_path / "doi.csv").write_text("# doi:10.5281/zenodo.19632588\nt_ns,counts\n74.6,1000\n223.8,990\n373.0,981\n")
    histogram.write(tmp_path / "native.h5", make_provenance("test"))
    write_uhi(tmp_path / "uhi.h5", histogram)
    for name in ("cut.csv", "doi.csv", "native.h5", "uhi.h5"):
        again, other = read_histogram(tmp_path / name)
        assert other.no_a_mu == report.no_a_mu, name
        assert any("no a_μ" in caveat for caveat in again.caveats), name
        assert len(set(again.caveats)) == len(again.caveats)


def test_run3b_in_gzip_csv_npy_and_npz_is_the_same_histogram(run3b: Path, data_dir: Path, tmp_path: Path) -> None:
    reference, _ = read_histogram(run3b)
    time_ns = 1e3 * reference.centres_us()
    counts = reference.counts[0]
    error = np.sqrt(counts)
    record = np.rec.fromarrays([time_ns, counts, error], names="time,bin_content,bin_error")
    np.save(tmp_path / "structured.npy", record)
    np.save(tmp_path / "rows.npy", np.stack([time_ns, counts, error], axis=1))
    np.save(tmp_path / "columns.npy", np.stack([time_ns, counts, error]))
    np.save(tmp_path / "single.npy", np.stack([time_ns, counts], axis=1).astype(np.float32))
    np.savez(tmp_path / "columns.npz", time=time_ns, bin_content=counts, bin_error=error)
    np.savez(tmp_path / "edges.npz", edges_us=reference.edges_us(), counts=counts.astype(np.int64))
    (tmp_path / "authors.csv").write_text(
        "time,bin_content,bin_error\n"
        + "\n".join(f"{t:.6g},{n:.0f},{e:.6g}" for t, n, e in zip(time_ns, counts, error, strict=True))
    )
    (tmp_path / "packed.csv").write_bytes(gzip.compress(run3b.read_bytes()))
    files = [data_dir / "e989_run3b" / "counts.csv.gz", *sorted(tmp_path.iterdir())]
    assert len(files) == 9
    for file in files:
        histogram, report = read_histogram(file)
        assert np.array_equal(histogram.counts, reference.counts), file.name
        assert histogram.variances is None, file.name
        assert histogram.width_us == pytest.approx(0.1492, abs=1e-15), file.name
        assert histogram.start_us[0] == pytest.approx(reference.start_us[0], abs=1e-9), file.name
        assert report.no_a_mu, file.name


def test_psi_bin_gives_counts_width_and_t0_of_every_detector(psi: Path, data_dir: Path) -> None:
    histogram, report = read_histogram(psi)
    assert histogram.labels == ("Forw", "Back", "Up", "Down", "Righ")
    assert histogram.counts.shape == (5, 8192)
    assert histogram.counts.sum() == 7_959_822
    assert histogram.width_us == 0.00125
    assert report.t0_bin == (126, 125, 126, 126, 125)
    assert report.first_good_bin == (130, 129, 130, 130, 129)
    assert report.last_good_bin == (8000,) * 5
    # The muon arrives at the centre of bin t0, in every detector.
    for i, t0 in enumerate(report.t0_bin):
        assert histogram.centres_us(i)[int(t0)] == pytest.approx(0.0, abs=1e-15)
    # Independent conversion of the same file, by other people's program.
    csv, csv_report = read_histogram(data_dir / "psi_gps_pbo_tf50" / "counts.csv.gz")
    assert np.array_equal(csv.counts, histogram.counts)
    assert csv.labels == histogram.labels
    assert csv.start_us == pytest.approx(histogram.start_us, abs=1e-15)
    assert csv_report.t0_bin == report.t0_bin


def test_psi_first_packed_bin_after_50_ns_is_centred_at_51_875_ns(psi: Path) -> None:
    histogram, report = read_histogram(psi, detectors=["Back"])
    assert report.first_good_bin is not None
    first = report.first_good_bin[0]
    packed = histogram.centres_us()[first : first + 4 * 400].reshape(-1, 4).mean(axis=1)
    assert packed[packed > 0.05][0] == pytest.approx(0.051875, abs=1e-12)


def test_psi_prompt_peak_stands_at_t0_of_each_detector(psi: Path) -> None:
    # Muons that decay or scatter at once pile up at t0: the largest bin before the good region is t0 itself.
    histogram, report = read_histogram(psi)
    assert report.t0_bin is not None
    for i, t0 in enumerate(report.t0_bin[:4]):
        assert abs(int(np.argmax(histogram.counts[i, : int(t0) + 3])) - t0) <= 1


def test_detectors_are_chosen_by_label_and_near_labels_named(psi: Path) -> None:
    histogram, report = read_histogram(psi, detectors=["Down", "Forw"])
    assert histogram.labels == report.detectors == ("Down", "Forw")
    assert report.t0_bin == (126, 126)
    with pytest.raises(DataError, match="did you mean 'Forw'"):
        read_histogram(psi, detectors=["Forwd"])
    with pytest.raises(DataError, match="twice"):
        read_histogram(psi, detectors=["Up", "Up"])


def test_t0_given_by_the_user_replaces_that_of_the_file(psi: Path) -> None:
    histogram, report = read_histogram(psi, ReadOptions(t0=(125.5,)))
    assert report.t0_bin == (125.5,) * 5
    assert histogram.start_us == pytest.approx(-0.00125 * 126.0)
    with pytest.raises(DataError, match="one per detector"):
        read_histogram(psi, ReadOptions(t0=(1.0, 2.0)))


@pytest.mark.parametrize("cut", [200, 1024, 5000, 164_863])
def test_a_truncated_psi_file_is_refused(psi: Path, tmp_path: Path, cut: int) -> None:
    (tmp_path / "cut.bin").write_bytes(psi.read_bytes()[:cut])
    with pytest.raises(DataError, match="truncated"):
        read_histogram(tmp_path / "cut.bin")


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (28, b"\x00\x00", "contradicts itself"),
        (30, b"\x40\x00", "contradicts itself"),
        (134, b"\x02\x00", "share a record"),
        (490, b"\xff\x7f", "first and last good bin"),
        (1012, b"\x00\x00\x80\xbf", "bin width must be positive"),
        (296, b"\x01\x00\x00\x00", "do not add up"),
    ],
)
def test_a_psi_header_that_contradicts_the_data_is_refused(
    psi: Path, tmp_path: Path, offset: int, value: bytes, message: str
) -> None:
    raw = bytearray(psi.read_bytes())
    raw[offset : offset + len(value)] = value
    (tmp_path / "bad.bin").write_bytes(bytes(raw))
    with pytest.raises(DataError, match=message):
        read_histogram(tmp_path / "bad.bin")


def test_a_single_precision_bin_width_is_read_by_its_decimal_and_keeps_the_last_bin(psi: Path, tmp_path: Path) -> None:
    raw = bytearray(psi.read_bytes())
    raw[1012:1016] = np.float32(0.00125).tobytes()
    (tmp_path / "width.bin").write_bytes(bytes(raw))
    histogram, _ = read_histogram(tmp_path / "width.bin")
    assert histogram.width_us == 0.00125
    assert histogram.n_bins == 8192


def test_native_and_uhi_files_come_back_as_they_were(psi: Path, tmp_path: Path) -> None:
    original, _ = read_histogram(psi)
    original = TimeHistogram(
        original.counts, original.start_us, original.width_us, original.labels, original.counts + 2.0, ("a caveat",)
    )
    original.write(tmp_path / "native.dat", make_provenance("test"))
    write_uhi(tmp_path / "uhi.dat", original)
    for name in ("native.dat", "uhi.dat"):
        back, report = read_histogram(tmp_path / name)
        assert np.array_equal(back.counts, original.counts)
        assert back.variances is not None
        assert np.array_equal(back.variances, original.variances)  # type: ignore[arg-type]
        assert np.array_equal(back.start_us, original.start_us)
        assert (back.width_us, back.labels, back.caveats) == (original.width_us, original.labels, original.caveats)
        assert report.has_variances
