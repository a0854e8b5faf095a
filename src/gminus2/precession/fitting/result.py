"""The result of a fit: values, errors, covariance, quality; written to JSON and read back.

The JSON file is input and result at once: ``model`` is the composition that was fitted, with the start values, and
:func:`gminus2.precession.load_model` takes such a file as a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gminus2.data import Provenance, read_result, write_result
from gminus2.errors import DataError, FitError, nearest
from gminus2.precession.fitting.settings import WINDOW_RULE

__all__ = ["P_VALUE_ALARM", "FitResult", "FittedParameter", "FittedSpectrum", "read_fit"]

#: A fit with a smaller p-value says so loudly.
P_VALUE_ALARM = 1e-6


@dataclass(frozen=True)
class FittedParameter:
    """One parameter after the fit.

    Attributes
    ----------
    value, error
        In ``unit``; the error is 0 where fixed and follows the link where linked.
    start
        Where the fit began.
    state
        ``free``, ``fixed``, ``linked`` or ``at bound`` (then the error is 0 and says nothing).
    lower, upper
        Bounds, ``None`` where there are none.
    minos
        (negative, positive) MINOS errors, ``None`` where not asked for.
    """

    name: str
    value: float
    error: float
    unit: str
    start: float
    state: str = "free"
    lower: float | None = None
    upper: float | None = None
    minos: tuple[float, float] | None = None


@dataclass(frozen=True)
class FittedSpectrum:
    """Data and model of one detector inside the window, for residuals and figures (not stored in the JSON file).

    Attributes
    ----------
    label
        Detector.
    centres_us
        Bin centres, shape (bins,).
    data, model, sigma
        Counts, fitted expectation and standard deviation used by the statistic, shape (bins,).
    width_us
        Bin width.
    """

    label: str
    centres_us: NDArray[np.float64]
    data: NDArray[np.float64]
    model: NDArray[np.float64]
    sigma: NDArray[np.float64]
    width_us: float

    @property
    def pulls(self) -> NDArray[np.float64]:
        """(data - model)/sigma, shape (bins,)."""
        result: NDArray[np.float64] = (self.data - self.model) / self.sigma
        return result


@dataclass(frozen=True)
class FitResult:
    """What a fit found.

    Attributes
    ----------
    parameters
        All parameters by name, in the order of the model; per detector ``NAME[LABEL]``.
    free
        Names of the free parameters, the order of ``covariance`` (shape (free, free)).
    statistic, statistic_value
        Name and value at the minimum (deviance or χ²).
    ndf, p_value
        Bins used minus free parameters; χ² probability.
    edm
        Estimated distance to the minimum gᵀH⁻¹g, in units of the statistic.
    window_us, window_edges_us
        The window as asked, and per detector the lower edge of its first and the upper edge of its last bin.
    blinded, blinding_label
        Whether R carries a software blind, and the label by which two fits with the same phrase are recognised.
    """

    model: Mapping[str, Any]
    parameters: Mapping[str, FittedParameter]
    free: tuple[str, ...]
    covariance: NDArray[np.float64]
    statistic: str
    statistic_value: float
    ndf: int
    p_value: float
    edm: float
    converged: bool
    window_us: tuple[float, float]
    window_edges_us: Mapping[str, tuple[float, float]]
    n_bins: int
    bin_rule: str
    nodes: int
    minimizer: str
    evaluations: int
    pull_mean: float
    pull_rms: float
    labels: tuple[str, ...]
    blinded: bool = False
    blinding_label: str = ""
    notes: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    spectra: tuple[FittedSpectrum, ...] = field(default=(), compare=False)

    def __getitem__(self, name: str) -> FittedParameter:
        try:
            return self.parameters[name]
        except KeyError:
            raise FitError(f"the fit has no parameter '{name}'", hint=nearest(name, self.parameters)) from None

    def value(self, name: str) -> float:
        """Return the fitted value of a parameter."""
        return self[name].value

    def error(self, name: str) -> float:
        """Return the standard error of a parameter."""
        return self[name].error

    @property
    def values(self) -> dict[str, float]:
        """All values by name: start values for another fit."""
        return {name: parameter.value for name, parameter in self.parameters.items()}

    @property
    def correlation(self) -> NDArray[np.float64]:
        """Correlation matrix of the free parameters, shape (free, free)."""
        sigma = np.sqrt(np.diag(self.covariance))
        result: NDArray[np.float64] = self.covariance / np.outer(sigma, sigma)
        return result

    @property
    def is_alarming(self) -> bool:
        """Not converged, or a p-value below 1e-6: never to be quoted without saying so."""
        return not self.converged or not self.p_value >= P_VALUE_ALARM

    def to_json(self) -> dict[str, Any]:
        """Return the result under the stable keys of a fit file."""
        return {
            "model": dict(self.model),
            "parameters": {
                name: {
                    "value": p.value,
                    "error": p.error,
                    "unit": p.unit,
                    "start": p.start,
                    "state": p.state,
                    "lower": p.lower,
                    "upper": p.upper,
                    "minos": p.minos,
                }
                for name, p in self.parameters.items()
            },
            "free_parameters": self.free,
            "covariance": self.covariance,
            "statistic": {"name": self.statistic, "value": self.statistic_value},
            "ndf": self.ndf,
            "p_value": self.p_value,
            "edm": self.edm,
            "converged": self.converged,
            "window_us": self.window_us,
            "window_rule": WINDOW_RULE,
            "window_edges_us": self.window_edges_us,
            "n_bins": self.n_bins,
            "bin_rule": self.bin_rule,
            "nodes": self.nodes,
            "minimizer": self.minimizer,
            "evaluations": self.evaluations,
            "pulls": {"mean": self.pull_mean, "rms": self.pull_rms},
            "detectors": self.labels,
            "blinded": self.blinded,
            "blinding_label": self.blinding_label,
            "notes": self.notes,
            "caveats": self.caveats,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> FitResult:
        """Rebuild a result from :meth:`to_json` (without the spectra)."""

        def number(value: Any) -> float:
            return float("nan") if value is None else float(value)

        try:
            parameters = {
                name: FittedParameter(
                    name=name,
                    value=number(p["value"]),
                    error=number(p["error"]),
                    unit=p["unit"],
                    start=number(p["start"]),
                    state=p["state"],
                    lower=p["lower"],
                    upper=p["upper"],
                    minos=None if p["minos"] is None else (number(p["minos"][0]), number(p["minos"][1])),
                )
                for name, p in raw["parameters"].items()
            }
            free = tuple(raw["free_parameters"])
            covariance = np.array(
                [[number(element) for element in row] for row in raw["covariance"]], dtype=np.float64
            ).reshape(len(free), len(free))
            return cls(
                model=raw["model"],
                parameters=parameters,
                free=free,
                covariance=covariance,
                statistic=raw["statistic"]["name"],
                statistic_value=number(raw["statistic"]["value"]),
                ndf=int(raw["ndf"]),
                p_value=number(raw["p_value"]),
                edm=number(raw["edm"]),
                converged=bool(raw["converged"]),
                window_us=(float(raw["window_us"][0]), float(raw["window_us"][1])),
                window_edges_us={k: (float(v[0]), float(v[1])) for k, v in raw["window_edges_us"].items()},
                n_bins=int(raw["n_bins"]),
                bin_rule=raw["bin_rule"],
                nodes=int(raw["nodes"]),
                minimizer=raw["minimizer"],
                evaluations=int(raw["evaluations"]),
                pull_mean=number(raw["pulls"]["mean"]),
                pull_rms=number(raw["pulls"]["rms"]),
                labels=tuple(raw["detectors"]),
                blinded=bool(raw["blinded"]),
                blinding_label=str(raw["blinding_label"]),
                notes=tuple(raw["notes"]),
                caveats=tuple(raw["caveats"]),
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise DataError(f"this is not a complete fit result ({error!r})", hint="make the fit again") from None

    def write(self, path: Path, provenance: Provenance) -> None:
        """Write the fit file (JSON, kind ``fit``)."""
        write_result(path, "fit", self.to_json(), provenance)


def read_fit(path: Path) -> FitResult:
    """Read a fit file written by :meth:`FitResult.write`.

    Raises
    ------
    DataError
        Absent, truncated, another kind of result, or keys missing.
    """
    return FitResult.from_json(read_result(path, "fit"))
