"""Equal bins are found behind printed times, and anything else is refused with its row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gminus2.data.io.regular import regular_times, resolutions
from gminus2.errors import DataError


def _printed(values: np.ndarray, digits: int) -> list[str]:
    return [f"{v:.{digits}g}" for v in values]


@given(st.integers(0, 4000), st.integers(50, 4000), st.sampled_from([149.2, 149.19, 75.0, 18.75, 1.25, 150.0]))
def test_six_printed_digits_give_back_width_and_start_exactly(first: int, bins: int, width: float) -> None:
    times = (first + 0.5 + np.arange(bins)) * width
    texts = _printed(times, 6)
    found = regular_times(np.array([float(t) for t in texts]), resolutions(texts))
    # 6 digits fix the width to about (last digit)/(number of bins); the simplest decimal in there is the true one
    # as soon as the histogram is long enough.
    if bins > 500:
        assert found.width == width
    assert found.first + found.width * np.arange(bins) == pytest.approx(times, abs=0.02 * width)


@given(st.integers(-200, 4000), st.integers(2, 300))
def test_unrounded_floats_give_back_the_grid_to_machine_precision(first: int, bins: int) -> None:
    times = (first + np.arange(bins)) * 0.1492
    found = regular_times(times)
    assert found.width == 0.1492
    assert found.first == pytest.approx(times[0], abs=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: np.delete(t, 50), r"1 bin is missing from the times\n.*row 51"),
        (lambda t: np.delete(t, [50, 51, 52]), "3 bins are missing"),
        (lambda t: np.insert(t, 50, t[50]), r"do not increase\n.*row 52"),
        (lambda t: t[::-1], "do not increase"),
        (lambda t: t + 0.1 * (np.arange(len(t)) == 50), "not equally wide"),
        (lambda t: np.where(t > t[70], t + 0.3 * (t - t[70]), t), "not equally wide"),
        (lambda t: t[:1], "at least two bins"),
    ],
)
def test_gaps_repeats_and_unequal_bins_are_refused(change: object, message: str) -> None:
    times = 30.0 + 0.1492 * np.arange(100)
    with pytest.raises(DataError, match=message):
        regular_times(change(times))  # type: ignore[operator]


def test_a_slow_stretch_of_the_axis_is_refused_even_where_no_step_looks_wrong() -> None:
    k = np.arange(4000)
    times = 149.2 * k * (1.0 + 1e-6 * k)  # each step 0.03 ns from its neighbour at most, bin 4000 is 16 bins away
    with pytest.raises(DataError, match="not equally wide"):
        regular_times(times)
