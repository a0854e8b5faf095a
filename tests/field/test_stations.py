"""Station algebra and geometry against the published tables."""

from __future__ import annotations

import numpy as np
import pytest

from gminus2.field.stations import jacobian, noise_gain, station_algebra, station_matrix
from gminus2.physics.multipoles import MOMENTS, TRACKED, basis, multipole_coefficients
from gminus2.physics.probes import fixed_probe_basis, station_azimuths_deg, station_edges_deg, stations

NS = TRACKED.index("NS")


def test_378_probes_stand_once_each_in_45_six_and_27_four_probe_stations() -> None:
    numbers = sorted(p for s in stations() for p in s.probe_ids)
    assert numbers == list(range(378))
    assert [sum(s.is_six for s in stations()), sum(not s.is_six for s in stations())] == [45, 27]
    edges = station_edges_deg()
    width = edges[:, 1] - edges[:, 0]
    assert width.sum() == pytest.approx(360.0)
    assert width.min() == pytest.approx(4.34, abs=0.01)
    assert width.max() == pytest.approx(5.51, abs=0.01)
    assert (np.diff(station_azimuths_deg()) > 0).all()


def test_station_matrices_are_the_published_ones() -> None:
    by_kind = {s.kind: s for s in stations()}
    six = dict(zip(TRACKED, station_matrix(by_kind["six"]), strict=True))
    np.testing.assert_allclose(six["NQ"], 0.375 * np.array([-1, 0, 1, -1, 0, 1]))
    np.testing.assert_allclose(six["SQ"], 0.0974026 * np.array([1, 1, 1, -1, -1, -1]), atol=1e-7)
    np.testing.assert_allclose(six["SS"], 0.1095779 * np.array([-1, 0, 1, 1, 0, -1]), atol=1e-7)
    np.testing.assert_allclose(six["NS"], 0.5625 * np.array([1, -2, 1, 1, -2, 1]))
    expected = {
        "four": ([1, 0, 1, 0], [-1, 1, -1, 1], [-1, 1, 1, -1]),
        "37/39": ([1, 0, 0, 1], [-1, 1, -1, 1], [-1, 1, 1, -1]),
        "41": ([0, 1, 0, 1], [1, -1, -1, 1], [1, -1, 1, -1]),
    }
    for kind, (d, nq, ss) in expected.items():
        rows = dict(zip(TRACKED, station_matrix(by_kind[kind]), strict=True))
        np.testing.assert_allclose(rows["D"], np.array(d) / 2)
        np.testing.assert_allclose(rows["NQ"], 0.75 * np.array(nq))
        np.testing.assert_allclose(rows["SQ"], 0.1461039 * np.array([1, 1, -1, -1]), atol=1e-7)
        np.testing.assert_allclose(rows["SS"], 0.2191558 * np.array(ss), atol=1e-7)


@pytest.mark.parametrize("station", [0, 1, 5, 6, 7, 37, 39, 41, 71])
def test_jacobian_times_station_matrix_times_basis_is_one(station: int) -> None:
    this = stations()[station]
    response = station_matrix(this) @ basis(this.x_mm, this.y_mm, TRACKED)
    if not this.is_six:
        response[NS] = np.eye(5)[NS]  # its normal sextupole comes from the neighbours
    np.testing.assert_allclose(jacobian(this) @ response, np.eye(5), atol=1e-12)


def test_jacobians_are_the_published_ones() -> None:
    def entries(station: int) -> dict[tuple[str, str], float]:
        j = jacobian(stations()[station]) - np.eye(5)
        return {(TRACKED[a], TRACKED[b]): float(j[a, b]) for a, b in np.argwhere(np.abs(j) > 1e-9)}

    assert entries(10) == pytest.approx({("D", "NS"): 2.631605}, abs=1e-6)
    assert entries(2) == pytest.approx(
        {("D", "NQ"): 0.222222, ("D", "NS"): 2.680988, ("NQ", "NS"): 0.444444, ("SQ", "SS"): 0.444444}, abs=1e-6
    )
    assert entries(7) == pytest.approx(
        {("D", "NS"): 2.927901, ("NQ", "NS"): -0.666667, ("SQ", "SS"): -0.666667}, abs=1e-6
    )
    for station in (37, 39, 41):
        assert entries(station) == pytest.approx(
            {("D", "NS"): 2.927901, ("SQ", "NQ"): -0.194805, ("SS", "NS"): -0.194805}, abs=1e-6
        )


def test_a_field_of_five_moments_is_recovered_at_every_station() -> None:
    moments = np.array([120.0, -30.0, 12.0, 7.0, -5.0])
    found = station_algebra().moments((fixed_probe_basis() @ moments)[None, :])[0]
    np.testing.assert_allclose(found, np.tile(moments, (72, 1)), atol=1e-9)


def test_noise_gains_are_the_tabled_ones() -> None:
    assert noise_gain(10) == pytest.approx({"D": 5.14, "NQ": 0.75, "SQ": 0.24, "NS": 1.95, "SS": 0.22}, abs=0.006)
    assert noise_gain(2) == pytest.approx({"D": 5.24, "NQ": 1.15, "SQ": 0.26, "NS": 1.95, "SS": 0.22}, abs=0.006)
    four = noise_gain(7, exact_ns=True)
    assert four == pytest.approx({"D": 0.71, "NQ": 1.5, "SQ": 0.41, "NS": 0.0, "SS": 0.44}, abs=0.006)
    edges = station_edges_deg()
    weight = (edges[:, 1] - edges[:, 0]) / 360
    ring = np.sqrt((np.einsum("s,sip->ip", weight, station_algebra().from_probes) ** 2).sum(axis=1))
    expected = {"D": 0.84, "NQ": 0.16, "SQ": 0.04, "NS": 0.30, "SS": 0.04}
    assert dict(zip(TRACKED, ring.tolist(), strict=True)) == pytest.approx(expected, abs=0.006)


def test_unfitted_moments_alias_as_strongly_as_stated() -> None:
    this = stations()[10]
    alias = jacobian(this) @ station_matrix(this) @ basis(this.x_mm, this.y_mm, MOMENTS)
    column = {name: dict(zip(TRACKED, alias[:, k], strict=True)) for k, name in enumerate(MOMENTS)}
    assert column["ND"]["D"] == pytest.approx(-42, abs=0.5)
    assert column["ND"]["NS"] == pytest.approx(-17, abs=0.5)
    assert column["NO"]["NQ"] == pytest.approx(-8.3, abs=0.1)
    assert column["SO"]["SQ"] == pytest.approx(-2.0, abs=0.1)
    assert column["SD"]["SS"] == pytest.approx(-5.0, abs=0.1)


def test_disc_integral_returns_the_moments_of_a_field() -> None:
    axis = np.arange(-45, 45, 0.25) + 0.125
    x, y = np.meshgrid(axis, axis)
    moments = np.array([3.0, 1.0, -2.0, 0.5, 0.7, -0.3, 0.2, 0.1, -0.4])
    values = basis(x, y, MOMENTS) @ moments
    np.testing.assert_allclose(multipole_coefficients(values, x, y, 0.25**2), moments, atol=6e-3)
