"""Equal bins from printed times: find the width and the first time that the rounded numbers of a file stand for.

A file that prints 149.2 ns bins with six digits holds 25289.4, …, 640142, 640292: no two differences need be equal, and
yet one start and one width explain every number within the rounding of its last digit. The simplest decimal width that
does so is taken, and a start on a whole or half multiple of the width where that is possible.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gminus2.errors import DataError

__all__ = ["RegularTimes", "printed_resolution", "regular_times", "resolutions"]

#: Roundings coarser than this fraction of a bin say nothing about equality of the bins.
_COARSEST = 0.05
#: Floating-point noise that any table of times may carry, as a fraction of a bin.
_NOISE = 1e-6


@dataclass(frozen=True)
class RegularTimes:
    """Times first + i·width, in the unit of the input.

    Attributes
    ----------
    first, width
        Rebuilt values.
    shift
        Largest distance of a given time from its rebuilt value.
    """

    first: float
    width: float
    shift: float


def printed_resolution(text: str) -> float:
    """Return half a unit in the last printed digit. An ending ``.0`` is what programs add to whole numbers.

    >>> printed_resolution("25289.4"), printed_resolution("25737.0"), printed_resolution("1.50e3")
    (0.05, 0.5, 5.0)
    """
    mantissa, _, exponent = text.strip().lower().partition("e")
    decimals = len(mantissa.removesuffix(".0").partition(".")[2])
    return float(0.5 * 10.0 ** (int(exponent or 0) - decimals))


def regular_times(
    times: NDArray[np.float64],
    resolution: NDArray[np.float64] | None = None,
    *,
    row: Callable[[int], str] = lambda i: f"row {i + 1}",
    where: str | None = None,
    name: str = "times",
) -> RegularTimes:
    """Find the equal steps behind printed times.

    Parameters
    ----------
    times
        Shape (n ≥ 2,), any unit.
    resolution
        Half a unit of the last printed digit of each time; ``None`` takes it from the shortest form of the floats.
    row
        Names a row for messages.

    Raises
    ------
    DataError
        Fewer than two rows, times that do not increase, a gap, or unequal steps; the message names the first such row.
    """
    if len(times) < 2:
        raise DataError(f"a histogram needs at least two bins to know its {name}", where=where, found=f"{len(times)}")
    if resolution is None:
        resolution = np.array([printed_resolution(str(t)) for t in times])
    steps = np.diff(times)
    typical = float(np.median(steps))
    _check_order(times, steps, typical, row, where, name)
    noise = np.full(len(times), _NOISE * typical)
    # Exact times first: a short table must not be explained by a rounder width than it has.
    for slack in (noise, noise + np.minimum(resolution, _COARSEST * typical)):
        if (found := _solve(times, slack)) is not None:
            return found
    raise _refusal(times, steps, typical, np.clip(resolution, noise, _COARSEST * typical), row, where, name)


def _solve(times: NDArray[np.float64], slack: NDArray[np.float64]) -> RegularTimes | None:
    """Return the simplest start and width that meet all times within the slack, or ``None``."""
    index = np.arange(len(times))

    def misfit(width: float) -> float:
        """Return how far the best start for this width fails to meet all times (≤ 0: it meets them)."""
        rest = times - index * width
        return float(np.max(rest - slack) - np.min(rest + slack))

    span = 2.0 * float(slack[0] + slack[-1] + slack.max()) / (len(times) - 1)
    middle = float(times[-1] - times[0]) / (len(times) - 1)
    best = _minimum(misfit, middle - span, middle + span)
    if misfit(best) > 0:
        return None
    width = _simplest(_crossing(misfit, best, middle - 2 * span), _crossing(misfit, best, middle + 2 * span))
    rest = times - index * width
    first = _first(float(np.max(rest - slack)), float(np.min(rest + slack)), width)
    shift = float(np.max(np.abs(times - (first + index * width))))
    return RegularTimes(first, width, shift)


def _check_order(
    times: NDArray[np.float64],
    steps: NDArray[np.float64],
    typical: float,
    row: Callable[[int], str],
    where: str | None,
    name: str,
) -> None:
    if (steps > 0).all() and typical > 0:
        return
    bad = int(np.argmax(steps <= 0))
    raise DataError(
        f"the {name} do not increase",
        where=_place(where, row(bad + 1)),
        found=f"{times[bad + 1]:.10g} after {times[bad]:.10g}",
        hint="sort the rows and remove repeated bins",
    )


def _refusal(
    times: NDArray[np.float64],
    steps: NDArray[np.float64],
    typical: float,
    slack: NDArray[np.float64],
    row: Callable[[int], str],
    where: str | None,
    name: str,
) -> DataError:
    allowed = slack[1:] + slack[:-1] + _NOISE * typical
    off = np.abs(steps - typical) > np.maximum(allowed, 2e-3 * typical)
    bad = int(np.argmax(off)) if off.any() else int(np.argmax(np.abs(steps - typical)))
    missing = steps[bad] / typical - 1.0
    place = _place(where, row(bad + 1))
    found = f"{times[bad]:.10g} then {times[bad + 1]:.10g}, where the usual step is {typical:.10g}"
    if missing > 0.5 and abs(missing - round(missing)) < 0.1:
        return DataError(
            f"{round(missing)} bin{'s are' if round(missing) > 1 else ' is'} missing from the {name}",
            where=place,
            found=found,
            hint="give every bin, with its counts; a gap cannot be fitted",
        )
    return DataError(
        "the bins are not equally wide", where=place, expected="one bin width in the whole file", found=found
    )


def _place(where: str | None, row: str) -> str:
    return f"{where}, {row}" if where else row


def _minimum(function: Callable[[float], float], low: float, high: float) -> float:
    """Return the minimum of a convex function by ternary search."""
    for _ in range(120):
        third = (high - low) / 3.0
        if function(low + third) <= function(high - third):
            high -= third
        else:
            low += third
    return 0.5 * (low + high)


def _crossing(function: Callable[[float], float], inside: float, outside: float) -> float:
    """Return where a convex function leaves the region below zero, between two points."""
    if function(outside) <= 0:
        return outside
    for _ in range(80):
        middle = 0.5 * (inside + outside)
        if function(middle) <= 0:
            inside = middle
        else:
            outside = middle
    return inside


def _simplest(low: float, high: float) -> float:
    """Return the number with the fewest decimals between two bounds."""
    low, high = min(low, high), max(low, high)
    middle = 0.5 * (low + high)
    for decimals in range(15):
        candidate = round(middle, decimals)
        if low <= candidate <= high and candidate > 0:
            return candidate
    return middle


def _first(low: float, high: float, width: float) -> float:
    """Return a start between two bounds: a whole or half multiple of the width where one fits, else a short decimal."""
    noise = 1e-9 * width
    half = round((low + high) / width)
    if low - noise <= half * width / 2.0 <= high + noise:
        return half * width / 2.0
    middle = 0.5 * (low + high)
    for decimals in range(15):
        candidate = round(middle, decimals)
        if low <= candidate <= high:
            return candidate
    return middle


def resolutions(texts: Sequence[str]) -> NDArray[np.float64]:
    """Return :func:`printed_resolution` of every text."""
    return np.array([printed_resolution(text) for text in texts])
