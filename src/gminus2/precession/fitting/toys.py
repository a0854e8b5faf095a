"""Toy experiments: Poisson bins of a model, fitted again, in chunks that run in parallel threads.

Generating bins is enough to test a fit; events are needed only where the method (randomisation, pileup, weights) is in
question. A chunk is seeded by its index, so the same toys come out on any number of workers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gminus2.data import TimeHistogram
from gminus2.errors import FitError
from gminus2.execution import Executor, SerialExecutor, map_ordered
from gminus2.precession.fitting.binding import Binding, bind
from gminus2.precession.fitting.engine import TOLERANCE
from gminus2.precession.fitting.scoring import expectation, minimise
from gminus2.precession.fitting.settings import FitSettings
from gminus2.precession.models.model import Model
from gminus2.random import stream

__all__ = ["ToyStudy", "expected_histogram", "run_toys"]

#: Toys per task: long enough to hide the cost of a task, short enough to balance.
CHUNK = 50


@dataclass(frozen=True)
class ToyStudy:
    """Fitted toys.

    Attributes
    ----------
    names
        Free parameters.
    truth
        Shape (parameters,).
    values, errors
        Shape (toys, parameters).
    statistic
        Shape (toys,); ``ndf`` degrees of freedom.
    converged
        Shape (toys,).
    """

    names: tuple[str, ...]
    truth: NDArray[np.float64]
    values: NDArray[np.float64]
    errors: NDArray[np.float64]
    statistic: NDArray[np.float64]
    ndf: int
    converged: NDArray[np.bool_]

    def pulls(self, name: str) -> NDArray[np.float64]:
        """Return (value - truth)/error of the converged toys; phases are compared modulo 2π."""
        i = self.names.index(name)
        difference = self.values[self.converged, i] - self.truth[i]
        if name.partition("[")[0].startswith("phi"):
            difference = (difference + np.pi) % (2.0 * np.pi) - np.pi
        result: NDArray[np.float64] = difference / self.errors[self.converged, i]
        return result

    def pull_table(self) -> dict[str, tuple[float, float, float, float]]:
        """Return mean, its error, width, its error of the pulls of every parameter."""
        table = {}
        for name in self.names:
            pulls = self.pulls(name)
            n, width = pulls.size, float(pulls.std(ddof=1))
            kurtosis = float(((pulls - pulls.mean()) ** 4).mean() / width**4)
            # var(s) = s²(κ - 1)/4n; κ = 3 for a Gaussian.
            table[name] = (float(pulls.mean()), width / n**0.5, width, width * ((kurtosis - 1.0) / (4.0 * n)) ** 0.5)
        return table


def expected_histogram(
    model: Model,
    *,
    bins: int,
    start_us: float,
    width_us: float,
    label: str = "toy",
    settings: FitSettings | None = None,
) -> TimeHistogram:
    """Return the expectation of a model, whose parameters all have values, as a histogram of one detector.

    Raises
    ------
    FitError
        A parameter has no value.
    """
    settings = settings or FitSettings(window_us=None)
    empty = TimeHistogram(np.ones((1, bins)), np.array([start_us]), width_us, (label,))
    binding = bind(empty, model, FitSettings(window_us=None, bin_rule=settings.bin_rule, nodes=settings.nodes))
    p = binding.table.start[binding.free]
    if not np.isfinite(p).all():
        missing = [binding.table.names[i] for i in binding.free[~np.isfinite(p)]]
        raise FitError(f"the parameter '{missing[0]}' has no value", hint="a toy needs the value of every parameter")
    mu, _ = expectation(p, binding.problem, binding.program, binding.workspace())
    return TimeHistogram(mu[:bins], np.array([start_us]), width_us, (label,))


def run_toys(
    truth: TimeHistogram,
    model: Model,
    toys: int,
    *,
    seed: int,
    settings: FitSettings | None = None,
    start: Mapping[str, float] | None = None,
    executor: Executor | None = None,
    quiet: bool = True,
) -> ToyStudy:
    """Draw Poisson counts around an expectation and fit them.

    Parameters
    ----------
    truth
        Expected counts, e.g. from :func:`expected_histogram`.
    model
        Fitted model; the values of its parameters are the truth and, without ``start``, the start.

    Raises
    ------
    FitError
        A free parameter of the model has no value.
    """
    settings = settings or FitSettings(window_us=None)
    binding = bind(truth, model, settings)
    true = binding.table.start[binding.free]
    if not np.isfinite(true).all():
        missing = [binding.table.names[i] for i in binding.free[~np.isfinite(true)]]
        raise FitError(f"the parameter '{missing[0]}' has no value", hint="a toy needs the value of every parameter")
    begin = bind(truth, model, settings, start=start).table.start[binding.free]
    chunks = [(i, min(CHUNK, toys - i * CHUNK)) for i in range((toys + CHUNK - 1) // CHUNK)]
    first = _first_step(binding, begin) if settings.statistic == "poisson" else None

    def one(chunk: tuple[int, int]) -> tuple[NDArray[np.float64], ...]:
        return _chunk(binding, begin, first, settings, seed, *chunk)

    parts = map_ordered(executor or SerialExecutor(), one, chunks, title="toys", quiet=quiet)
    values, errors, statistic, status = (np.concatenate([part[i] for part in parts]) for i in range(4))
    return ToyStudy(
        names=tuple(binding.table.names[int(i)] for i in binding.free),
        truth=true,
        values=values,
        errors=errors,
        statistic=statistic,
        ndf=binding.used - binding.free.size,
        converged=status == 0.0,
    )


def _first_step(binding: Binding, begin: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the matrix S of the scoring step that all toys share: p₁ = p₀ - S (μ - n), shape (p, bins).

    At a common start μ, its derivatives J and the Poisson curvature H = J diag(1/μ) Jᵀ do not depend on the counts, so
    S = H⁻¹ J diag(1/μ) stands once for all toys. None where H is singular or a bin expects nothing.
    """
    mu, jacobian = expectation(begin, binding.problem, binding.program, binding.workspace(), partials=True)
    used = np.zeros(mu.size, dtype=bool)
    for low, bins in zip(binding.problem.first, binding.problem.bins, strict=True):
        used[low : low + bins] = True
    if not np.all(mu[used] > 0.0):
        return None
    weighted = np.divide(jacobian, mu, out=np.zeros_like(jacobian), where=used)
    curvature = weighted @ jacobian.T
    scale = np.sqrt(np.diag(curvature))
    if not np.all(scale > 0.0):
        return None
    try:
        step: NDArray[np.float64] = np.linalg.solve(curvature / np.outer(scale, scale), weighted / scale[:, None])
    except np.linalg.LinAlgError:
        return None
    return step / scale[:, None]


def _chunk(
    binding: Binding,
    begin: NDArray[np.float64],
    first: NDArray[np.float64] | None,
    settings: FitSettings,
    seed: int,
    index: int,
    size: int,
) -> tuple[NDArray[np.float64], ...]:
    """Generate and fit one chunk of toys."""
    start_mu, _ = expectation(begin, binding.problem, binding.program, binding.workspace())
    generator = stream(seed, "fit-toys", index)
    workspace = binding.workspace()
    expected = binding.problem.counts
    n = begin.size
    lower, upper = binding.table.lower[binding.free], binding.table.upper[binding.free]
    covariance = np.zeros((n, n))
    values, errors = np.empty((size, n)), np.empty((size, n))
    statistic, status = np.empty(size), np.empty(size)
    for i in range(size):
        counts = generator.poisson(expected).astype(np.float64)
        weights = binding.problem.weights
        if settings.statistic == "neyman":
            weights = np.divide(1.0, counts, out=np.zeros_like(counts), where=counts > 0)
        problem = binding.problem._replace(counts=counts, weights=weights)
        p = begin.copy() if first is None else begin - first @ (start_mu - counts)
        code, value, _, _ = minimise(
            p, lower, upper, problem, binding.program, workspace, TOLERANCE, settings.max_iterations, covariance
        )
        values[i], errors[i] = p, np.sqrt(np.diag(covariance))
        statistic[i], status[i] = value, code
    return values, errors, statistic, status
