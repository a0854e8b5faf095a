"""The reconstructed density of revolution frequency and injection time, and means over it with their errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gminus2.beam.density_model import Problem

__all__ = ["JointDensity", "Moment", "moment", "time_covariance"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Moment:
    """A mean over the density with its errors.

    ``statistics`` is what counting noise alone does, ``separable`` the whole error if f and τ were known to be
    independent, ``smoothing`` the part from the strength of the penalty, ``total`` that of the joint reconstruction.
    """

    value: float
    total: float
    statistics: float
    separable: float
    smoothing: float


@dataclass(frozen=True)
class JointDensity:
    """The reconstructed density.

    Attributes
    ----------
    f_mhz, tau_us
        Grid nodes, shapes (F,) and (T,). The density is linear between nodes.
    weights
        Share of each node, shape (F, T); the sum is 1.
    chi2, ndf, p_value
        Of the harmonics; ndf counts data less the effective number of parameters.
    penalties
        Final strengths for f, τ and mixed third differences.
    """

    f_mhz: FloatArray
    tau_us: FloatArray
    weights: FloatArray
    chi2: float
    ndf: float
    p_value: float
    penalties: tuple[float, ...]
    _problem: Problem
    _coefficients: FloatArray
    _covariance: FloatArray
    _noise: FloatArray
    _separable: FloatArray
    _by_strength: FloatArray

    @property
    def frequency_density(self) -> FloatArray:
        """Marginal share of each frequency node, shape (F,)."""
        marginal: FloatArray = self.weights.sum(axis=1)
        return marginal

    @property
    def frequency_errors(self) -> FloatArray:
        """Standard errors of :attr:`frequency_density`, shape (F,)."""
        shape = self.weights.shape
        rows = np.kron(np.eye(shape[0]), np.ones(shape[1])) * self.weights.ravel()
        rows = rows - self.frequency_density[:, None] * self.weights.ravel()
        gradient = rows @ self._problem.splines
        errors: FloatArray = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", gradient, self._covariance, gradient), 0.0))
        return errors

    @property
    def time_density(self) -> FloatArray:
        """Marginal share of each time node, shape (T,)."""
        marginal: FloatArray = self.weights.sum(axis=0)
        return marginal

    @property
    def correlation(self) -> float:
        """Correlation coefficient of momentum and injection time (ν falls with momentum, hence the sign)."""
        f, tau = self.f_mhz[:, None], self.tau_us[None, :]
        mean_f, mean_tau = (self.weights * f).sum(), (self.weights * tau).sum()
        covariance = (self.weights * (f - mean_f) * (tau - mean_tau)).sum()
        var_f = (self.weights * (f - mean_f) ** 2).sum()
        var_tau = (self.weights * (tau - mean_tau) ** 2).sum()
        return float(-covariance / np.sqrt(var_f * var_tau))

    @property
    def mean_time_by_frequency(self) -> FloatArray:
        """⟨τ|f⟩ [µs] per frequency node."""
        mean: FloatArray = (self.weights * self.tau_us).sum(axis=1) / self.weights.sum(axis=1)
        return mean


def _mean(density: JointDensity, values: FloatArray) -> Moment:
    """Return the mean per muon of values at the nodes, shape (F, T) or (F, 1), with errors."""
    problem = density._problem
    # Muons pass a detector at the rate f, so the density seen is that of the muons times f; this is undone.
    per_node = density.weights / problem.f_mhz[:, None] * float(problem.f_mhz.mean())
    share = float(per_node.sum())
    mean = float((per_node * values).sum() / share)
    gradient = problem.node_gradient(per_node * (values - mean)) / share

    def error(covariance: FloatArray) -> float:
        return float(np.sqrt(max(float(gradient @ covariance @ gradient), 0.0)))

    method = float(np.linalg.norm(gradient @ density._by_strength))
    total = float(np.hypot(error(density._covariance), method))
    return Moment(mean, total, error(density._noise), error(density._separable), method)


def moment(density: JointDensity, function: Callable[[FloatArray], FloatArray]) -> Moment:
    """Return the mean of a function of frequency [MHz] over the stored muons, with errors.

    The linear interpolation between nodes is taken into account by integrating the function over the hat of each node.
    """
    problem = density._problem
    step = problem.f_mhz[1] - problem.f_mhz[0]
    offsets, shares = np.array([-1.0, 0.0, 1.0]) / np.sqrt(2.0), np.array([1.0, 4.0, 1.0]) / 6.0
    # Three points that reproduce the second moment (step²/6) of a hat function.
    nodes = problem.f_mhz[:, None] + step * offsets
    values = (function(nodes) * shares).sum(axis=1)
    return _mean(density, values[:, None])


def time_covariance(density: JointDensity, function: Callable[[FloatArray], FloatArray]) -> Moment:
    """Return the covariance of a function of frequency and injection time [µs · unit of the function]."""
    problem = density._problem
    values = function(problem.f_mhz)[:, None]
    mean = float((density.weights * values).sum())
    mean_tau = float((density.weights * problem.tau_us).sum())
    return _mean(density, (values - mean) * (problem.tau_us[None, :] - mean_tau))
