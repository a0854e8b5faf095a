"""What a user's R(s) file may and may not be: units, order, gaps, errors, formats, coverage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gminus2.errors import DataError
from gminus2.theory.hvp.analysis import analyse
from gminus2.theory.hvp.combine import cluster, undress, with_final_state_radiation
from gminus2.theory.hvp.functionals import leading_order
from gminus2.theory.hvp.hadrons import inclusive, measured
from gminus2.theory.hvp.readers import Layout, read_csv_spectrum, read_pdg_table, read_spectrum, read_yoda
from gminus2.theory.hvp.spectrum import Spectrum
from gminus2.theory.parameters import parameters

ENERGY = np.linspace(0.60, 0.90, 31)


def _spectrum(energy: np.ndarray = ENERGY, **changes: object) -> Spectrum:  # type: ignore[type-arg]
    n = len(energy)
    values: dict[str, object] = {
        "energy": energy,
        "r": np.full(n, 3.0),
        "stat": np.full(n, 0.03),
        "syst": np.zeros(n),
        "rule": "points",
        "vp": "bare",
        "source": "test",
    }
    return Spectrum(**{**values, **changes})  # type: ignore[arg-type]


def _csv(path: Path, energy: np.ndarray, y: np.ndarray, ey: np.ndarray) -> Path:  # type: ignore[type-arg]
    rows = [f"{a},{b},{c}" for a, b, c in zip(energy, y, ey, strict=True)]
    path.write_text("energy,y,ey\n" + "\n".join(rows) + "\n")
    return path


def test_mev_read_as_gev_is_refused(tmp_path: Path) -> None:
    path = _csv(tmp_path / "r.csv", ENERGY * 1000, 3 + 0 * ENERGY, 0.1 + 0 * ENERGY)
    with pytest.raises(DataError, match="unit or the kind of axis is wrong"):
        read_spectrum(path, "csv", Layout())
    assert read_spectrum(path, "csv", Layout(unit="MeV")).energy[0] == pytest.approx(0.6)


def test_gev_read_as_mev_is_refused(tmp_path: Path) -> None:
    path = _csv(tmp_path / "r.csv", ENERGY, 3 + 0 * ENERGY, 0.1 + 0 * ENERGY)
    with pytest.raises(DataError, match="unit or the kind of axis is wrong"):
        read_spectrum(path, "csv", Layout(unit="MeV"))


def test_nanobarn_read_as_r_is_refused(tmp_path: Path) -> None:
    path = _csv(tmp_path / "r.csv", ENERGY, 900 + 0 * ENERGY, 9 + 0 * ENERGY)
    with pytest.raises(DataError, match="probably a cross-section in nb"):
        read_spectrum(path, "csv", Layout())
    assert 3 < read_spectrum(path, "csv", Layout(value="nb")).r[0] < 5


def test_negative_errors_are_refused_with_their_line(tmp_path: Path) -> None:
    errors = 0.1 + 0 * ENERGY
    errors[4] = -0.1
    with pytest.raises(DataError, match="negative uncertainty") as caught:
        read_spectrum(_csv(tmp_path / "r.csv", ENERGY, 3 + 0 * ENERGY, errors), "csv", Layout())
    assert "line 6" in str(caught.value)


def test_unsorted_energies_are_refused_and_sorted_on_demand(tmp_path: Path) -> None:
    order = np.r_[0:10, 20, 10:20, 21:31]
    path = _csv(tmp_path / "r.csv", ENERGY[order], 3 + 0 * ENERGY, 0.1 + 0 * ENERGY)
    with pytest.raises(DataError, match="not sorted"):
        read_spectrum(path, "csv", Layout())
    assert (np.diff(read_spectrum(path, "csv", Layout(sort=True)).energy) > 0).all()


def test_a_hole_in_the_data_is_refused_unless_allowed() -> None:
    holed = np.r_[ENERGY[:5], ENERGY[25:]]
    with pytest.raises(DataError, match="a hole in the data"):
        _spectrum(holed)
    assert len(_spectrum(holed, allow_gaps=True).energy) == 11


def test_missing_or_overlapping_bins_are_refused() -> None:
    edges = np.linspace(0.6, 0.9, 32)
    centre = 0.5 * (edges[:-1] + edges[1:])
    assert _spectrum(centre, rule="bins_sqrt_s", lower=edges[:-1], upper=edges[1:]).covered() == (0.6, 0.9)
    keep = np.r_[0:10, 11:31]
    with pytest.raises(DataError, match="do not touch"):
        _spectrum(centre[keep], rule="bins_sqrt_s", lower=edges[:-1][keep], upper=edges[1:][keep])
    with pytest.raises(DataError, match="overlap"):
        _spectrum(centre, rule="bins_sqrt_s", lower=edges[:-1] - 0.01, upper=edges[1:] + 0.01)


def test_nothing_is_extrapolated_beyond_the_data() -> None:
    with pytest.raises(DataError, match="do not cover"):
        _spectrum().integral(leading_order, 0.6, 1.2)
    with pytest.raises(DataError, match="empty range"):
        _spectrum().integral(leading_order, 0.8, 0.7)


def test_nan_and_wrong_lengths_are_refused() -> None:
    with pytest.raises(DataError, match="not a finite number"):
        _spectrum(r=np.where(ENERGY > 0.8, np.nan, 3.0))
    with pytest.raises(DataError, match="differ in length"):
        _spectrum(stat=np.zeros(3))


def test_dressed_data_are_not_integrated_and_not_undressed_twice() -> None:
    dressed = _spectrum(vp="dressed")
    with pytest.raises(DataError, match="vacuum polarisation"):
        measured(dressed)
    from gminus2.theory.hvp.builtin import builtin_running

    bare = undress(dressed, builtin_running())
    assert bare.vp == "bare"
    with pytest.raises(DataError, match="bare already"):
        undress(bare, builtin_running())
    with pytest.raises(DataError, match="only to data that exclude"):
        with_final_state_radiation(dressed)


def test_a_channel_given_as_inclusive_is_refused() -> None:
    with pytest.raises(DataError, match="start near threshold"):
        inclusive(_spectrum())
    energy = np.geomspace(0.3, 12.0, 400)
    with pytest.raises(DataError, match="not an inclusive"):
        inclusive(_spectrum(energy, r=np.full(400, 0.4)))


def test_truncated_or_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.yoda"
    path.write_text("BEGIN YODA_SCATTER2D_V2 /REF/A/d01-x01-y01\n0.6 0 0 3 0.1 0.1\n0.61 0 0 3 0.1 0.1\n")
    with pytest.raises(DataError, match="ends inside a block"):
        read_yoda(path, "d01-x01-y01", Layout())
    path.write_text(path.read_text() + "END YODA_SCATTER2D_V2\n")
    with pytest.raises(DataError, match="no dataset"):
        read_yoda(path, "d02-x01-y01", Layout())
    path.write_text("hello\n")
    with pytest.raises(DataError, match="no YODA"):
        read_yoda(path, "d01-x01-y01", Layout())
    with pytest.raises(DataError, match="wrong number of columns"):
        read_pdg_table(path)
    with pytest.raises(DataError, match="no such"):
        read_csv_spectrum(tmp_path / "absent.csv", Layout())
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="column is missing"):
        read_csv_spectrum(path, Layout())


def test_lower_edges_of_bins_in_s_are_moved_to_centres(tmp_path: Path) -> None:
    path = tmp_path / "k.yoda"
    rows = "".join(f"{0.35 + 0.01 * k:.3f}\t0\t0\t1000\t1\t1\n" for k in range(10))
    path.write_text(f"BEGIN YODA_SCATTER2D_V2 /REF/K/d02-x01-y01\nIsRef: 1\n---\n# xval\n{rows}END YODA_SCATTER2D_V2\n")
    layout = Layout(axis="s", position="lower_edge", bins="width", width=0.01, value="nb")
    spectrum = read_yoda(path, "d02-x01-y01", layout)
    assert spectrum.energy[0] ** 2 == pytest.approx(0.355)
    assert spectrum.covered() == pytest.approx((0.35**0.5, 0.45**0.5))


def test_constant_r_integrates_to_the_same_number_as_points_and_as_bins() -> None:
    edges = np.linspace(0.6, 0.9, 301)
    centre = 0.5 * (edges[:-1] + edges[1:])
    binned = _spectrum(centre, rule="bins_sqrt_s", lower=edges[:-1], upper=edges[1:])
    in_s = _spectrum(
        np.sqrt(0.5 * (edges[:-1] ** 2 + edges[1:] ** 2)), rule="bins_s", lower=edges[:-1], upper=edges[1:]
    )
    values = [one.integral(leading_order, 0.6, 0.9)[0] for one in (_spectrum(), binned, in_s)]
    assert values == pytest.approx([values[0]] * 3, rel=1e-5)


def test_uncertainties_combine_as_declared() -> None:
    n = len(ENERGY)
    independent = _spectrum(stat=np.zeros(n), syst=np.full(n, 0.03))
    common = _spectrum(stat=np.zeros(n), syst=np.full(n, 0.03), common_syst=True)
    matrix = _spectrum(covariance=np.full((n, n), 9e-4))
    value, sigma = common.integral(leading_order)
    assert sigma == pytest.approx(0.01 * value)
    assert matrix.integral(leading_order)[1] == pytest.approx(sigma)
    assert independent.integral(leading_order)[1] < 0.3 * sigma
    drawn = common.replicas(4000, 1) @ common.weights(leading_order)
    assert float(drawn.std()) == pytest.approx(sigma, rel=0.05)


def test_clusters_average_nearby_points_and_inflate_disagreement() -> None:
    a, b = _spectrum(), _spectrum(ENERGY + 1e-4, r=np.full(31, 3.3))
    both = cluster([a, b])
    assert both.energy.size < 40
    assert both.r[5] == pytest.approx(3.136, abs=0.03)
    assert both.stat[5] > 0.03
    with pytest.raises(DataError, match="bare and dressed"):
        cluster([a, _spectrum(vp="dressed")])


def test_analysis_of_a_channel_agrees_between_representations() -> None:
    result = analyse(_spectrum(), "channel", replicas=200, seed=5)
    assert result.space_like == pytest.approx(result.leading_order, rel=1e-6)
    assert result.time_momentum == pytest.approx(result.leading_order, rel=1e-6)
    assert sum(value for value, _ in result.windows.values()) == pytest.approx(result.leading_order, rel=1e-6)
    assert result.replicas is not None
    assert result.replicas[2] == pytest.approx(result.sigma, rel=0.2)
    expected = 3.0 * parameters().alpha ** 2 / (3 * np.pi**2)
    rough = expected * 2 * np.log(0.9 / 0.6) * 0.0066
    assert result.leading_order == pytest.approx(rough, rel=0.1)
