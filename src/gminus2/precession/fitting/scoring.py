"""Damped Fisher scoring in one compiled loop (no Python, no lock while it runs, so fits run in parallel threads).

g = ½ ∂D/∂p, H = Jᵀ diag(curvature) J; the step solves (M + λ1)δ = -g with both scaled by √diag H. A step that raises D
is refused and λ grows, an accepted one lets it fall to 0. The loop ends when the estimated distance gᵀH⁻¹g (that of
Minuit for errordef 1 on D) is below the tolerance. The covariance is H⁻¹ (ΔD = 1).

Bounds: a parameter at its bound whose gradient points outwards is held there for the step (active set); equal bounds
freeze a parameter.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gminus2.errors import FitError
from gminus2.precession.arrays import Floats, Ints
from gminus2.precession.fitting.statistics import block_statistic
from gminus2.precession.models.extras import fill_extras
from gminus2.precession.models.phasors import fill_block, fill_tables
from gminus2.precession.models.program import BLOCK, Program

__all__ = [
    "STATUS",
    "Problem",
    "Workspace",
    "damped_step",
    "evaluate",
    "expectation",
    "invert_curvature",
    "minimise",
    "sweep",
]

_MATH = {"reassoc", "contract", "arcp", "nsz"}

#: What the status code of :func:`minimise` means.
STATUS: Final = {
    0: "converged",
    1: "the start values have no finite statistic",
    2: "the iteration limit was reached",
    3: "no step lowers the statistic",
    4: "the parameters are degenerate (singular curvature matrix)",
}


class Problem(NamedTuple):
    """Data and parametrisation.

    Attributes
    ----------
    kind
        Code of the statistic.
    starts_us
        Lower edge of the first bin of each detector [µs], shape (detectors,).
    bins, first
        Bins of each detector and the (block-aligned) position of its first bin, shape (detectors,).
    counts, weights
        Of all detectors, padded to whole blocks, shape (total,).
    loss
        Loss integral at all nodes, shape (total · nodes,) or (0,).
    node_times
        Times of all nodes, for extras, shape (total · nodes,) or (0,).
    source, factor, offset
        θ = offset + factor · p[source], shape (detectors, θ); source -1: constant.
    need, needed
        Which θ depend on a fit parameter in any detector: mask, shape (θ,), and indices.
    xi, node_weights
        Gauss-Legendre nodes in (0, 1) and weights, shape (nodes,).
    """

    kind: int
    width_us: float
    starts_us: NDArray[np.float64]
    bins: NDArray[np.int64]
    first: NDArray[np.int64]
    counts: NDArray[np.float64]
    weights: NDArray[np.float64]
    loss: NDArray[np.float64]
    node_times: NDArray[np.float64]
    source: NDArray[np.int64]
    factor: NDArray[np.float64]
    offset: NDArray[np.float64]
    need: NDArray[np.bool_]
    needed: NDArray[np.int64]
    xi: NDArray[np.float64]
    node_weights: NDArray[np.float64]


class Workspace(NamedTuple):
    """Memory of one running fit (one per thread)."""

    theta: NDArray[np.float64]
    tables: NDArray[np.float64]
    rows: NDArray[np.float64]
    known: NDArray[np.float64]
    scratch: NDArray[np.float64]
    mu: NDArray[np.float64]
    jac: NDArray[np.float64]
    slope: NDArray[np.float64]
    curvature: NDArray[np.float64]
    weighted: NDArray[np.float64]
    gradient: NDArray[np.float64]
    hessian: NDArray[np.float64]


@njit(cache=True, nogil=True, fastmath=_MATH)
def _accumulate(
    jac: Floats,
    needed: Ints,
    slope: Floats,
    curvature: Floats,
    size: int,
    weighted: Floats,
    gradient: Floats,
    hessian: Floats,
) -> None:
    """Add one block to the natural gradient and (lower) curvature matrix; four columns at a time share their loads."""
    n = needed.size
    for k in range(size, BLOCK):
        slope[k] = 0.0
        curvature[k] = 0.0
    for i in range(n):
        a = needed[i]
        total = 0.0
        for k in range(BLOCK):
            x = jac[a, k]
            total += x * slope[k]
            weighted[k] = x * curvature[k]
        gradient[a] += total
        j = 0
        while j + 4 <= i + 1:
            b0, b1, b2, b3 = needed[j], needed[j + 1], needed[j + 2], needed[j + 3]
            s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
            for k in range(BLOCK):
                w = weighted[k]
                s0 += w * jac[b0, k]
                s1 += w * jac[b1, k]
                s2 += w * jac[b2, k]
                s3 += w * jac[b3, k]
            hessian[a, b0] += s0
            hessian[a, b1] += s1
            hessian[a, b2] += s2
            hessian[a, b3] += s3
            j += 4
        while j <= i:
            b0 = needed[j]
            total = 0.0
            for k in range(BLOCK):
                total += weighted[k] * jac[b0, k]
            hessian[a, b0] += total
            j += 1


@njit(cache=True, nogil=True)
def sweep(
    p: Floats,
    problem: Problem,
    program: Program,
    ws: Workspace,
    derivatives: bool,
    g: Floats,
    h: Floats,
    expected: Floats,
    jacobian: Floats,
) -> float:
    """Go through all bins once and return the statistic at ``p``; infinity where the model does not exist there.

    Parameters
    ----------
    derivatives
        Whether to fill ``g`` (half gradient, shape (p,)) and ``h`` (curvature, shape (p, p)).
    expected, jacobian
        If they have the size of the padded bins, they are filled with the expectation (shape (total,)) and with ∂μ/∂p
        (shape (p, total), needs ``derivatives``); else they stay as they are (shapes (0,) and (0, 0)).
    """
    n_theta = problem.factor.shape[1]
    n_nodes = problem.xi.size
    if derivatives:
        g[:] = 0.0
        h[:, :] = 0.0
        jacobian[:, :] = 0.0
    total = 0.0
    for d in range(problem.bins.size):
        changed = d == 0
        for i in range(n_theta):
            source = problem.source[d, i]
            value = problem.offset[d, i]
            if source >= 0:
                value += problem.factor[d, i] * p[source]
            if not changed and ws.theta[i] != value:
                changed = True
            ws.theta[i] = value
        if changed and not fill_tables(
            ws.theta, program.header, program.oscillators, problem.width_us, problem.xi, ws.tables
        ):
            return np.inf
        at = problem.first[d] * n_nodes
        blocks = (problem.bins[d] + BLOCK - 1) // BLOCK
        rows = ws.rows
        if problem.node_times.size > 0:
            span = at + blocks * BLOCK * n_nodes
            rows = ws.rows[:, at:span]
            if not fill_extras(
                ws.theta, program.oscillators, program.extras, problem.node_times[at:span], ws.known[d], rows
            ):
                return np.inf
        if derivatives:
            ws.gradient[:] = 0.0
            ws.hessian[:, :] = 0.0
        loss = problem.loss if problem.loss.size == 0 else problem.loss[at:]
        for b in range(blocks):
            size = min(BLOCK, problem.bins[d] - b * BLOCK)
            fill_block(
                ws.theta,
                program.header,
                program.oscillators,
                program.extras,
                program.components,
                program.modulations,
                problem.need,
                problem.starts_us[d] + b * BLOCK * problem.width_us,
                ws.tables,
                problem.node_weights,
                loss,
                rows,
                b * BLOCK * n_nodes,
                ws.scratch,
                derivatives,
                ws.mu,
                ws.jac,
            )
            low = problem.first[d] + b * BLOCK
            if expected.size > 0:
                for k in range(BLOCK):
                    expected[low + k] = ws.mu[k]
            if jacobian.size > 0 and derivatives:
                for i in range(n_theta):
                    a = problem.source[d, i]
                    if a >= 0 and problem.need[i]:
                        for k in range(BLOCK):
                            jacobian[a, low + k] += problem.factor[d, i] * ws.jac[i, k]
            total += block_statistic(
                problem.kind,
                problem.counts[low : low + BLOCK],
                problem.weights[low : low + BLOCK],
                ws.mu,
                size,
                ws.slope,
                ws.curvature,
            )
            if not np.isfinite(total) and expected.size == 0:
                return np.inf
            if derivatives:
                _accumulate(ws.jac, problem.needed, ws.slope, ws.curvature, size, ws.weighted, ws.gradient, ws.hessian)
        if derivatives:
            for i in range(n_theta):
                a = problem.source[d, i]
                if a < 0 or not problem.need[i]:
                    continue
                g[a] += problem.factor[d, i] * ws.gradient[i]
                for j in range(i + 1):
                    b2 = problem.source[d, j]
                    if b2 < 0 or not problem.need[j]:
                        continue
                    x = problem.factor[d, i] * problem.factor[d, j] * ws.hessian[i, j]
                    h[a, b2] += x
                    if i != j:
                        h[b2, a] += x
    return total


@njit(cache=True, nogil=True)
def _cholesky(a: Floats, n: int) -> bool:
    """Factorise the leading n × n block of a symmetric matrix in place (lower); False if not positive definite."""
    for j in range(n):
        x = a[j, j]
        for k in range(j):
            x -= a[j, k] * a[j, k]
        if not x > 1e-13:
            return False
        root = np.sqrt(x)
        a[j, j] = root
        for i in range(j + 1, n):
            y = a[i, j]
            for k in range(j):
                y -= a[i, k] * a[j, k]
            a[i, j] = y / root
    return True


@njit(cache=True, nogil=True)
def _substitute(a: Floats, n: int, x: Floats) -> None:
    """Solve L Lᵀ x = x in place."""
    for i in range(n):
        y = x[i]
        for k in range(i):
            y -= a[i, k] * x[k]
        x[i] = y / a[i, i]
    for i in range(n - 1, -1, -1):
        y = x[i]
        for k in range(i + 1, n):
            y -= a[k, i] * x[k]
        x[i] = y / a[i, i]


@njit(cache=True, nogil=True)
def damped_step(g: Floats, h: Floats, free: Ints, n: int, damping: float, m: Floats, delta: Floats) -> float:
    """Fill the scaled-back step over the ``n`` parameters ``free``; return the expected decrease, -1 if singular."""
    for i in range(n):
        di = h[free[i], free[i]]
        si = 1.0 / np.sqrt(di) if di > 0.0 else 1.0
        delta[i] = -g[free[i]] * si
        for j in range(i + 1):
            dj = h[free[j], free[j]]
            sj = 1.0 / np.sqrt(dj) if dj > 0.0 else 1.0
            m[i, j] = h[free[i], free[j]] * si * sj
        m[i, i] += damping
    if not _cholesky(m, n):
        return -1.0
    _substitute(m, n, delta)
    gain = 0.0
    for i in range(n):
        di = h[free[i], free[i]]
        delta[i] *= 1.0 / np.sqrt(di) if di > 0.0 else 1.0
        gain -= g[free[i]] * delta[i]
    return gain


@njit(cache=True, nogil=True)
def invert_curvature(h: Floats, free: Ints, n: int, m: Floats, column: Floats, covariance: Floats) -> bool:
    """Fill H⁻¹ over the parameters that are not held at a bound; NaN and False where H is singular."""
    for i in range(n):
        for j in range(i + 1):
            product = h[free[i], free[i]] * h[free[j], free[j]]
            m[i, j] = h[free[i], free[j]] / np.sqrt(product) if product > 0.0 else 0.0
    if not _cholesky(m, n):
        covariance[:, :] = np.nan
        return False
    for i in range(n):
        for j in range(n):
            column[j] = 0.0
        column[i] = 1.0
        _substitute(m, n, column)
        for j in range(n):
            # The product of two tiny curvatures may underflow; their roots do not.
            covariance[free[i], free[j]] = column[j] / np.sqrt(h[free[i], free[i]]) / np.sqrt(h[free[j], free[j]])
    return True


@njit(cache=True, nogil=True)
def minimise(
    p: Floats,
    lower: Floats,
    upper: Floats,
    problem: Problem,
    program: Program,
    ws: Workspace,
    tolerance: float,
    limit: int,
    covariance: Floats,
) -> tuple[int, float, float, int]:
    """Minimise from ``p`` (changed in place).

    Parameters
    ----------
    lower, upper
        Bounds, ±infinity where none, shape (p,).
    tolerance
        On the estimated distance to the minimum.
    limit
        Number of evaluations.
    covariance
        Output, shape (p, p); rows of parameters held at a bound are 0.

    Returns
    -------
    tuple
        Status (:data:`STATUS`), statistic, estimated distance, evaluations.
    """
    n = p.size
    g, h = np.zeros(n), np.zeros((n, n))
    g_new, h_new = np.zeros(n), np.zeros((n, n))
    m, delta, trial = np.zeros((n, n)), np.zeros(n), np.zeros(n)
    free = np.zeros(n, np.int64)
    covariance[:, :] = 0.0
    for i in range(n):
        p[i] = min(max(p[i], lower[i]), upper[i])
    none, square = np.zeros(0), np.zeros((0, 0))
    value = sweep(p, problem, program, ws, True, g, h, none, square)
    count = 1
    if not np.isfinite(value):
        return 1, value, np.inf, count
    damping = 0.0
    status = 2
    held = 0
    distance = np.inf
    while True:
        held = 0
        for i in range(n):
            outward = (p[i] <= lower[i] and g[i] > 0.0) or (p[i] >= upper[i] and g[i] < 0.0)
            if not (outward or lower[i] == upper[i]):
                free[i - held] = i
            else:
                held += 1
        active = n - held
        undamped = damped_step(g, h, free, active, 0.0, m, delta)
        distance = undamped if undamped >= 0.0 else np.inf
        if undamped >= 0.0 and undamped < tolerance:
            status = 0
            break
        if count >= limit:
            status = 2 if undamped >= 0.0 else 4
            break
        if damping > 0.0 or undamped < 0.0:
            damping = max(damping, 1e-3)
            damped_step(g, h, free, active, damping, m, delta)
        for i in range(n):
            trial[i] = p[i]
        for i in range(active):
            k = free[i]
            trial[k] = min(max(p[k] + delta[i], lower[k]), upper[k])
        new = sweep(trial, problem, program, ws, True, g_new, h_new, none, square)
        count += 1
        if new <= value + 1e-10 * abs(value):
            value = new
            for i in range(n):
                p[i] = trial[i]
            g, g_new = g_new, g
            h, h_new = h_new, h
            damping = damping / 10.0 if damping >= 1e-3 else 0.0
        else:
            damping = max(1e-3, 10.0 * damping)
            if damping > 1e12:
                status = 3 if undamped >= 0.0 else 4
                break
    if not invert_curvature(h, free, n - held, m, delta, covariance) and status == 0:
        status = 4
    return status, value, distance, count


def evaluate(p: Floats, problem: Problem, program: Program, ws: Workspace) -> float:
    """Return the statistic at ``p``; infinity where the model does not exist there."""
    none, square = np.zeros(0), np.zeros((0, 0))
    return float(sweep(p, problem, program, ws, False, none, square, none, square))


def expectation(
    p: Floats, problem: Problem, program: Program, ws: Workspace, *, partials: bool = False
) -> tuple[Floats, Floats]:
    """Return the expectation of every padded bin, shape (total,), and with ``partials`` ∂μ/∂p, shape (p, total).

    Raises
    ------
    FitError
        The model does not exist at ``p`` (a lifetime that is not positive, a field index outside 0 … 1).
    """
    expected = np.full(problem.counts.size, np.nan)
    jacobian = np.zeros((p.size, problem.counts.size)) if partials else np.zeros((0, 0))
    g, h = (np.zeros(p.size), np.zeros((p.size, p.size))) if partials else (np.zeros(0), np.zeros((0, 0)))
    sweep(p, problem, program, ws, partials, g, h, expected, jacobian)
    if not np.isfinite(expected).all():
        raise FitError(
            "the model does not exist at these parameter values",
            hint="lifetimes must be positive and the field index between 0 and 1",
        )
    return expected, jacobian
