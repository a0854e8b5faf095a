"""A model bound to data: which fit parameter feeds which natural parameter, bin by bin ready for the kernels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gminus2.data import TimeHistogram
from gminus2.errors import FitError, nearest
from gminus2.precession.fitting.scoring import Problem, Workspace
from gminus2.precession.fitting.settings import FitSettings
from gminus2.precession.fitting.statistics import STATISTIC_KINDS
from gminus2.precession.models.config import LostMuonTerm, ParameterConfig
from gminus2.precession.models.model import Model, split_name
from gminus2.precession.models.phasors import workspace_rows
from gminus2.precession.models.program import BLOCK, EXTRA_PARAMETERS, Program
from gminus2.units import ns, us

__all__ = ["Binding", "ParameterTable", "bind", "parameter_table", "select_bins"]

# Bin widths [µs] per unit of density; a density per bin has none.
_DENSITY = {"ns": ns, "us": us}


@dataclass(frozen=True)
class ParameterTable:
    """Parameters of a model for given detectors.

    Attributes
    ----------
    names
        All parameters in order, with labels where per detector.
    start
        Start values, NaN where they must be found, shape (parameters,).
    fixed, lower, upper
        Shape (parameters,).
    link
        For a linked parameter (index of its target, factor, offset), links resolved to their ends.
    of_detector
        Parameter index of each base parameter, shape (detectors, base parameters).
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    start: NDArray[np.float64]
    fixed: NDArray[np.bool_]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    link: Mapping[int, tuple[int, float, float]]
    of_detector: NDArray[np.int64]

    @property
    def free(self) -> NDArray[np.int64]:
        """Indices of the free parameters."""
        return np.array([i for i in range(len(self.names)) if not self.fixed[i] and i not in self.link], dtype=np.int64)

    def complete(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values of all parameters with the links applied."""
        result = values.copy()
        for i, (target, factor, offset) in self.link.items():
            result[i] = factor * result[target] + offset
        return result


def parameter_table(model: Model, labels: tuple[str, ...], start: Mapping[str, float] | None = None) -> ParameterTable:
    """Lay out the parameters of a model for the detectors named.

    Raises
    ------
    FitError
        A key of ``start`` or of the model's parameters names no parameter of this fit.
    """
    names: list[str] = []
    index: dict[tuple[str, str], int] = {}
    for base in model.parameter_names:
        if len(labels) > 1 and model.is_per_detector(base):
            for label in labels:
                index[base, label] = len(names)
                names.append(f"{base}[{label}]")
        else:
            for label in labels:
                index[base, label] = len(names)
            names.append(base)
    positions = {name: i for i, name in enumerate(names)}
    bases = [split_name(name)[0] for name in names]
    specs = [model.layout.parameters[base] for base in bases]
    n = len(names)
    values = np.array([spec.start for spec in specs])
    fixed = np.array([spec.fixed for spec in specs], dtype=np.bool_)
    lower = np.array([spec.lower for spec in specs])
    upper = np.array([spec.upper for spec in specs])

    def targets(key: str) -> list[int]:
        base, label = split_name(key)
        found = [positions[key]] if key in positions else []
        if not found and not label:
            found = [i for i in range(n) if bases[i] == base]
        if not found and len(labels) == 1 and label == labels[0] and base in positions:
            found = [positions[base]]
        if not found:
            raise FitError(f"this fit has no parameter '{key}'", hint=nearest(key, names))
        return found

    # General keys first, so that NAME[LABEL] overrides NAME.
    keys: list[tuple[str, ParameterConfig]] = sorted(model.config.parameters.items(), key=lambda kv: "[" in kv[0])
    for key, parameter in keys:
        for i in targets(key):
            if parameter.value is not None:
                values[i] = parameter.value
            if "fixed" in parameter.model_fields_set or parameter.fixed:
                fixed[i] = parameter.fixed
            if parameter.lower is not None:
                lower[i] = parameter.lower
            if parameter.upper is not None:
                upper[i] = parameter.upper
    for key in sorted(start or {}, key=lambda k: "[" in k):
        for i in targets(key):
            if not fixed[i]:
                values[i] = (start or {})[key]
    raw: dict[str, tuple[str, float, float]] = {
        link.parameter: (link.to, link.factor, link.offset) for link in model.config.links
    }
    resolved: dict[int, tuple[int, float, float]] = {}
    for name in raw:
        to, factor, offset = raw[name]
        while to in raw:
            next_to, f, o = raw[to]
            to, factor, offset = next_to, factor * f, factor * o + offset
        for label in labels:
            i, j = index[name, label], index[to, label]
            if i in resolved and resolved[i][0] != j:
                raise FitError(
                    f"the shared parameter '{name}' cannot follow '{to}', which every detector has for itself"
                )
            resolved[i] = (j, factor, offset)
    return ParameterTable(
        names=tuple(names),
        units=tuple(spec.unit for spec in specs),
        start=values,
        fixed=fixed,
        lower=lower,
        upper=upper,
        link=resolved,
        of_detector=np.array(
            [[index[base, label] for base in model.parameter_names] for label in labels], dtype=np.int64
        ),
    )


@dataclass(frozen=True)
class BinSelection:
    """The bins of each detector inside a window: first index and number, shape (detectors,)."""

    first: NDArray[np.int64]
    bins: NDArray[np.int64]


def select_bins(histogram: TimeHistogram, window_us: tuple[float, float] | None) -> BinSelection:
    """Return the bins with lo < centre < hi.

    Raises
    ------
    FitError
        A detector has no bin in the window.
    """
    first, bins = [], []
    for d, label in enumerate(histogram.labels):
        centres = histogram.centres_us(d)
        lo, hi = window_us if window_us is not None else (-math.inf, math.inf)
        inside = np.flatnonzero((centres > lo) & (centres < hi))
        if not inside.size:
            raise FitError(
                "no bin lies in the fit window",
                where=f"detector '{label}'",
                expected=f"a window within {centres[0]:.4f} … {centres[-1]:.4f} µs",
                found=f"{lo} … {hi} µs",
            )
        first.append(int(inside[0]))
        bins.append(int(inside.size))
    return BinSelection(np.array(first, dtype=np.int64), np.array(bins, dtype=np.int64))


def quadrature(settings: FitSettings) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return nodes in (0, 1) and weights (sum 1) of the bin rule."""
    if settings.bin_rule == "centre":
        return np.array([0.5]), np.array([1.0])
    x, w = np.polynomial.legendre.leggauss(settings.nodes)
    return (x + 1.0) / 2.0, w / 2.0


@dataclass(frozen=True)
class Binding:
    """Everything a fit needs: parameters, problem, program.

    ``used`` is the number of bins with weight; ``free`` the free parameters, the order of the kernels' p.
    """

    model: Model
    table: ParameterTable
    selection: BinSelection
    problem: Problem
    program: Program
    used: int
    free: NDArray[np.int64]

    def workspace(self) -> Workspace:
        """Return memory for one running fit."""
        layout = self.model.layout
        n_theta = len(layout.naturals)
        nodes = self.problem.xi.size
        total = self.problem.node_times.size
        n_osc = len(layout.oscillators)
        rows = workspace_rows(n_osc, len(layout.components), len(layout.modulations), layout.header[4])
        return Workspace(
            theta=np.zeros(n_theta),
            tables=np.zeros((3 + 2 * n_osc, nodes * BLOCK)),
            rows=np.zeros((layout.extra_rows, total)),
            known=np.full((len(self.problem.bins), n_osc, EXTRA_PARAMETERS), np.nan),
            scratch=np.zeros((rows, BLOCK)),
            mu=np.zeros(BLOCK),
            jac=np.zeros((n_theta, BLOCK)),
            slope=np.zeros(BLOCK),
            curvature=np.zeros(BLOCK),
            weighted=np.zeros(BLOCK),
            gradient=np.zeros(n_theta),
            hessian=np.zeros((n_theta, n_theta)),
        )

    def slices(self) -> list[slice]:
        """Return where the bins of each detector are in the padded arrays."""
        return [slice(int(f), int(f + n)) for f, n in zip(self.problem.first, self.problem.bins, strict=True)]

    def padded(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (detectors, bins) values of the whole histogram in the padded layout of the window."""
        result = np.zeros(self.problem.counts.size)
        for d, where in enumerate(self.slices()):
            a = int(self.selection.first[d])
            result[where] = values[d, a : a + int(self.selection.bins[d])]
        return result


def bind(
    histogram: TimeHistogram,
    model: Model,
    settings: FitSettings,
    *,
    start: Mapping[str, float] | None = None,
    offset_ppm: float = 0.0,
) -> Binding:
    """Bind a model to the bins of a window.

    Parameters
    ----------
    start
        Start values, which replace those of the model.
    offset_ppm
        Hidden offset of every R of the model.

    Raises
    ------
    FitError
        Empty window, no counts, fewer bins than free parameters, missing variances or loss spectrum, a fixed parameter
        without value.
    """
    table = parameter_table(model, histogram.labels, start)
    selection = select_bins(histogram, settings.window_us)
    blocks = (selection.bins + BLOCK - 1) // BLOCK
    first = np.concatenate([[0], np.cumsum(blocks * BLOCK)])
    total = int(first[-1])
    first = first[:-1].astype(np.int64)
    counts, weights = np.zeros(total), np.zeros(total)
    if settings.statistic == "weighted" and histogram.variances is None:
        raise FitError("a weighted fit needs variances, but the histogram has none", hint="use --statistic poisson")
    used = 0
    for d in range(histogram.n_detectors):
        a, n = int(selection.first[d]), int(selection.bins[d])
        part = histogram.counts[d, a : a + n]
        variance = part
        if settings.statistic == "weighted" and histogram.variances is not None:
            variance = histogram.variances[d, a : a + n]
        if settings.statistic in ("poisson", "pearson") and (part < 0).any():
            raise FitError(
                f"the {settings.statistic} statistic needs counts that are not negative",
                where=f"detector '{histogram.labels[d]}'",
                hint="use --statistic weighted with variances",
            )
        if not np.any(part != 0):
            raise FitError("there are no counts in the fit window", where=f"detector '{histogram.labels[d]}'")
        counts[first[d] : first[d] + n] = part
        good = variance > 0
        weights[first[d] : first[d] + n][good] = 1.0 / variance[good]
        used += int(good.sum()) if settings.statistic in ("neyman", "weighted") else n
    free = table.free
    if used < free.size:
        raise FitError(
            "the window has fewer bins than the model has free parameters",
            expected=f"at least {free.size}",
            found=str(used),
        )
    missing = [table.names[i] for i in np.flatnonzero(table.fixed & ~np.isfinite(table.start)) if i not in table.link]
    if missing:
        raise FitError(
            f"the fixed parameter '{missing[0]}' has no value", hint=f"give it one: [parameters.{missing[0]}] value = …"
        )

    xi, node_weights = quadrature(settings)
    starts = histogram.start_us + selection.first * histogram.width_us
    lost = next((term for term in model.config.terms if isinstance(term, LostMuonTerm)), None)
    layout = model.layout
    node_times = np.zeros(0)
    loss = np.zeros(0)
    if lost is not None or layout.extra_rows:
        parts = []
        for d in range(histogram.n_detectors):
            bins = starts[d] + histogram.width_us * np.arange(int(blocks[d]) * BLOCK)
            grid = bins.reshape(-1, 1, BLOCK) + histogram.width_us * xi.reshape(1, -1, 1)
            parts.append(grid.ravel())
        times = np.concatenate(parts)
        if layout.extra_rows:
            node_times = times
        if lost is not None:
            if model.losses is None:
                raise FitError("the model has a lost_muons term, but no loss spectrum is given")
            loss = model.losses.integral(times, lost.lifetime_us)

    n_theta = len(layout.naturals)
    shape = (histogram.n_detectors, n_theta)
    source = np.full(shape, -1, dtype=np.int64)
    factor, offset = np.zeros(shape), np.zeros(shape)
    order = {name: i for i, name in enumerate(model.parameter_names)}
    position = {int(i): k for k, i in enumerate(free)}
    per_bin = 1.0 if layout.density == "bin" else histogram.width_us / _DENSITY[layout.density]
    for d in range(histogram.n_detectors):
        for t, natural in enumerate(layout.naturals):
            i = int(table.of_detector[d, order[natural.parameter]])
            f = natural.factor * (per_bin if natural.per_bin else 1.0)
            o = natural.offset - (natural.factor * offset_ppm if natural.blinded else 0.0)
            if i in table.link:
                i, scale, shift = table.link[i]
                o += f * shift
                f *= scale
            if i in position:
                source[d, t], factor[d, t], offset[d, t] = position[i], f, o
            else:
                offset[d, t] = o + f * table.start[i]
    problem = Problem(
        kind=STATISTIC_KINDS[settings.statistic],
        width_us=histogram.width_us,
        starts_us=np.ascontiguousarray(starts),
        bins=selection.bins,
        first=first,
        counts=counts,
        weights=weights,
        loss=loss,
        node_times=node_times,
        source=source,
        factor=factor,
        offset=offset,
        need=np.ascontiguousarray((source >= 0).any(axis=0)),
        needed=np.flatnonzero((source >= 0).any(axis=0)).astype(np.int64),
        xi=xi,
        node_weights=node_weights,
    )
    return Binding(model, table, selection, problem, layout.program(), used, free)
