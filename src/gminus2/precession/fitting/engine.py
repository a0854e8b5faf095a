"""The fit: bind, find start values, minimise, put the result together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from gminus2.data import TimeHistogram
from gminus2.errors import BlindingError
from gminus2.precession.blinding import Blinding
from gminus2.precession.fitting.binding import Binding, bind
from gminus2.precession.fitting.referee import minuit_minimum
from gminus2.precession.fitting.result import P_VALUE_ALARM, FitResult, FittedParameter, FittedSpectrum
from gminus2.precession.fitting.scoring import STATUS, expectation, minimise
from gminus2.precession.fitting.settings import FitSettings
from gminus2.precession.fitting.starts import find_starts
from gminus2.precession.models.config import PrecessionTerm
from gminus2.precession.models.model import Model, load_model

__all__ = ["TOLERANCE", "Minimum", "assemble", "check_blinding", "fit", "run_minimiser", "window_spectra"]

#: Estimated distance to the minimum, in units of the statistic, at which the engine stops.
TOLERANCE: Final = 1e-5


@dataclass(frozen=True)
class Minimum:
    """What a minimiser found for the free parameters.

    ``minos`` holds (negative, positive) errors per free parameter where asked for.
    """

    p: NDArray[np.float64]
    covariance: NDArray[np.float64]
    value: float
    edm: float
    status: str
    evaluations: int
    minos: tuple[tuple[float, float] | None, ...] = ()

    @property
    def converged(self) -> bool:
        """Whether the minimum was reached and its curvature is known."""
        return self.status == "converged"


def fit(
    histogram: TimeHistogram,
    model: Model | str,
    settings: FitSettings | None = None,
    *,
    start: Mapping[str, float] | None = None,
    blinding: Blinding | None = None,
) -> FitResult:
    """Fit a model to a histogram.

    Parameters
    ----------
    histogram
        One or several detectors.
    model
        A :class:`Model` or the name of a preset.
    settings
        Window, statistic, bin rule, minimiser; default :class:`FitSettings`.
    start
        Start values by name; found automatically where absent.
    blinding
        Hide R (the model must have ``frequency = "R"``).

    Raises
    ------
    FitError
        Fewer bins in the window than free parameters, an empty window, no counts, a ``weighted`` fit without
        variances, a lost-muon term without spectrum.
    BlindingError
        A blinding for a model that shows the frequency in MHz or tesla, or that has no precession.
    """
    settings = settings or FitSettings()
    model = load_model(model) if isinstance(model, str) else model
    offset = 0.0
    if blinding is not None:
        check_blinding(model)
        offset = blinding.hidden_offset_ppm()
    binding = bind(histogram, model, settings, start=start, offset_ppm=offset)
    first = find_starts(binding)
    minimum = run_minimiser(binding, first, settings)
    mu, _ = expectation(minimum.p, binding.problem, binding.program, binding.workspace())
    spectra = window_spectra(histogram, binding, settings, mu)
    return assemble(binding, first, minimum, settings, blinding, spectra, histogram.caveats)


def check_blinding(model: Model) -> None:
    """Refuse a model that would show the hidden frequency in other units."""
    units = [term.frequency for term in model.config.terms if isinstance(term, PrecessionTerm)]
    if not units or set(units) != {"R"}:
        raise BlindingError(
            "a software blind hides R, but this model shows the frequency otherwise",
            expected='every precession term with frequency = "R"',
            found=", ".join(units) or "no precession term",
        )


def run_minimiser(binding: Binding, start: NDArray[np.float64], settings: FitSettings) -> Minimum:
    """Minimise a bound problem from given values of the free parameters."""
    lower, upper = binding.table.lower[binding.free], binding.table.upper[binding.free]
    if settings.minimizer == "minuit":
        return _from_referee(binding, start, settings)
    p = start.copy()
    covariance = np.zeros((p.size, p.size))
    status, value, edm, count = minimise(
        p,
        lower,
        upper,
        binding.problem,
        binding.program,
        binding.workspace(),
        settings.tolerance,
        settings.max_iterations,
        covariance,
    )
    minimum = Minimum(p, covariance, value, edm, STATUS[status], count)
    if settings.minos and minimum.converged:
        referee = minuit_minimum(binding, p, covariance=covariance, minos=True)
        minimum = Minimum(p, covariance, value, edm, STATUS[status], count, referee.minos)
    return minimum


def _from_referee(binding: Binding, start: NDArray[np.float64], settings: FitSettings) -> Minimum:
    found = minuit_minimum(binding, start, minos=settings.minos)
    status = "converged" if found.valid else "Minuit found no valid minimum"
    return Minimum(found.p, found.covariance, found.value, found.edm, status, found.calls, found.minos)


def _canonical(binding: Binding, p: NDArray[np.float64], covariance: NDArray[np.float64]) -> list[int]:
    """Make amplitudes positive and put phases into (-π, π], in place; return the parameters that changed sign."""
    table, free = binding.table, binding.free
    position = {int(i): k for k, i in enumerate(free)}
    targets = {target for target, _, _ in table.link.values()}
    flipped: list[int] = []
    order = {name: i for i, name in enumerate(binding.model.parameter_names)}
    users: dict[int, set[int]] = {}
    pairs: set[tuple[int, int]] = set()
    for o in binding.model.layout.oscillations:
        if not o.free_sign:
            continue
        for d in range(len(table.of_detector)):
            a, f = int(table.of_detector[d, order[o.amplitude]]), int(table.of_detector[d, order[o.phase]])
            pairs.add((a, f))
            users.setdefault(a, set()).add(f)
            users.setdefault(f, set()).add(a)

    def movable(i: int) -> bool:
        return i in position and i not in targets and not (np.isfinite(table.lower[i]) or np.isfinite(table.upper[i]))

    for a, f in sorted(pairs):
        # A shared amplitude with phases per detector (or the reverse) keeps its sign.
        if movable(a) and movable(f) and len(users[a]) == 1 and len(users[f]) == 1 and p[position[a]] < 0:
            k = position[a]
            p[k] = -p[k]
            p[position[f]] += math.pi
            covariance[k, :] *= -1.0
            covariance[:, k] *= -1.0
            flipped.append(k)
    for f in {f for _, f in pairs}:
        if movable(f):
            k = position[f]
            p[k] = math.pi - (math.pi - p[k]) % (2.0 * math.pi)
    return flipped


def assemble(
    binding: Binding,
    start: NDArray[np.float64],
    minimum: Minimum,
    settings: FitSettings,
    blinding: Blinding | None,
    spectra: tuple[FittedSpectrum, ...],
    caveats: tuple[str, ...],
    *,
    statistic: str = "",
    p_value: float | None = None,
) -> FitResult:
    """Put values, errors, quality and spectra of a minimum together.

    ``statistic`` renames that of the settings, ``p_value`` replaces the χ² probability.
    """
    table, free = binding.table, binding.free
    p, covariance = minimum.p.copy(), minimum.covariance.copy()
    flipped = _canonical(binding, p, covariance)
    minos = list(minimum.minos) or [None] * p.size
    for k in flipped:
        pair = minos[k]
        minos[k] = None if pair is None else (-pair[1], -pair[0])
    errors = np.sqrt(np.diag(covariance)) if p.size else np.zeros(0)

    values = table.start.copy()
    values[free] = p
    values = table.complete(values)
    starts = table.start.copy()
    starts[free] = start
    starts = table.complete(starts)
    position = {int(i): k for k, i in enumerate(free)}
    parameters: dict[str, FittedParameter] = {}
    notes: list[str] = []
    for i, name in enumerate(table.names):
        state, error, pair = "fixed", 0.0, None
        if i in table.link:
            target, factor, _ = table.link[i]
            state = "linked"
            error = abs(factor) * float(errors[position[target]]) if target in position else 0.0
        elif i in position:
            k = position[i]
            state, error, pair = "free", float(errors[k]), minos[k]
            if values[i] <= table.lower[i] or values[i] >= table.upper[i]:
                state = "at bound"
                notes.append(f"{name} ended at its bound {values[i]:g} {table.units[i]}: its error is not known")
        parameters[name] = FittedParameter(
            name=name,
            value=float(values[i]),
            error=error,
            unit=table.units[i],
            start=float(starts[i]),
            state=state,
            lower=float(table.lower[i]) if np.isfinite(table.lower[i]) else None,
            upper=float(table.upper[i]) if np.isfinite(table.upper[i]) else None,
            minos=pair,
        )

    edges = {
        s.label: (float(s.centres_us[0] - 0.5 * s.width_us), float(s.centres_us[-1] + 0.5 * s.width_us))
        for s in spectra
    }
    pulls = np.concatenate([s.pulls for s in spectra])
    pulls = pulls[np.isfinite(pulls)]
    ndf = binding.used - len(free)
    if p_value is None:
        p_value = float(special.chdtrc(ndf, minimum.value)) if ndf > 0 and math.isfinite(minimum.value) else math.nan
    if not minimum.converged:
        notes.insert(0, f"NOT CONVERGED: {minimum.status}")
    elif math.isfinite(p_value) and p_value < P_VALUE_ALARM:
        notes.insert(
            0, f"BAD FIT: p-value {p_value:.2g} is below {P_VALUE_ALARM:g}; the model does not describe the data"
        )
    if (
        not statistic
        and settings.statistic in ("neyman", "weighted")
        and binding.used < int(binding.problem.bins.sum())
    ):
        notes.append(f"{int(binding.problem.bins.sum()) - binding.used} bins without variance were left out")
    window = settings.window_us
    if window is None:
        window = (min(e[0] for e in edges.values()), max(e[1] for e in edges.values()))
    return FitResult(
        model=binding.model.config.model_dump(mode="json", exclude_none=True),
        parameters=parameters,
        free=tuple(table.names[int(i)] for i in free),
        covariance=covariance,
        statistic=statistic or settings.statistic,
        statistic_value=minimum.value,
        ndf=ndf,
        p_value=p_value,
        edm=minimum.edm,
        converged=minimum.converged,
        window_us=window,
        window_edges_us=edges,
        n_bins=binding.used,
        bin_rule=settings.bin_rule,
        nodes=1 if settings.bin_rule == "centre" else settings.nodes,
        minimizer=settings.minimizer,
        evaluations=minimum.evaluations,
        pull_mean=float(pulls.mean()) if pulls.size else math.nan,
        pull_rms=float(pulls.std()) if pulls.size else math.nan,
        labels=tuple(s.label for s in spectra),
        blinded=blinding is not None,
        blinding_label=blinding.label if blinding is not None else "",
        notes=tuple(notes),
        caveats=caveats,
        spectra=spectra,
    )


def window_spectra(
    histogram: TimeHistogram, binding: Binding, settings: FitSettings, mu: NDArray[np.float64]
) -> tuple[FittedSpectrum, ...]:
    """Return data, model and standard deviation of every detector inside the window."""
    spectra = []
    for d, where in enumerate(binding.slices()):
        a, n = int(binding.selection.first[d]), int(binding.selection.bins[d])
        data, model = binding.problem.counts[where], mu[where]
        if settings.statistic in ("poisson", "pearson"):
            variance = model
        else:
            weight = binding.problem.weights[where]
            variance = np.divide(1.0, weight, out=np.full_like(weight, np.nan), where=weight > 0)
        with np.errstate(invalid="ignore"):
            sigma = np.sqrt(variance)
        spectra.append(
            FittedSpectrum(
                label=histogram.labels[d],
                centres_us=histogram.centres_us(d)[a : a + n],
                data=data.copy(),
                model=model.copy(),
                sigma=sigma,
                width_us=histogram.width_us,
            )
        )
    return tuple(spectra)
