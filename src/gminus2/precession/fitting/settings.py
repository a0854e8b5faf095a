"""How a fit is done: window, statistic, bin rule, minimiser."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, get_args

from gminus2.errors import ConfigError, nearest

__all__ = ["WINDOW_RULE", "BinRule", "FitSettings", "Minimizer", "StatisticName"]

StatisticName = Literal["poisson", "neyman", "pearson", "weighted"]
BinRule = Literal["integral", "centre"]
Minimizer = Literal["fisher", "minuit"]

#: Which bins belong to a window; written in every result.
WINDOW_RULE: Final = "lo < bin centre < hi"


@dataclass(frozen=True)
class FitSettings:
    """How a fit is done.

    Attributes
    ----------
    window_us
        (lo, hi) [µs]; a bin belongs to the window when lo < centre < hi. ``None``: all bins.
    statistic
        ``poisson`` (deviance), ``neyman`` (variance = counts), ``pearson`` (variance = model), ``weighted``
        (variances of the histogram).
    bin_rule, nodes
        ``integral``: the mean of the model over the bin by ``nodes``-point Gauss-Legendre (1 … 5); ``centre``: the
        model at the bin centre.
    minimizer
        ``fisher``: damped Fisher scoring; ``minuit``: iminuit, the referee.
    minos
        Asymmetric errors by MINOS (iminuit) after either minimiser.
    max_iterations
        Of Fisher scoring, before the fit is given up as not converged.
    tolerance
        On the estimated distance to the minimum: 1e-5 leaves up to 0.003 standard errors, which matters where two fits
        of nearly the same data are subtracted.
    """

    window_us: tuple[float, float] | None = (30.0, 650.0)
    statistic: StatisticName = "poisson"
    bin_rule: BinRule = "integral"
    nodes: int = 3
    minimizer: Minimizer = "fisher"
    minos: bool = False
    max_iterations: int = 200
    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        for name, value, options in (
            ("statistic", self.statistic, get_args(StatisticName)),
            ("bin_rule", self.bin_rule, get_args(BinRule)),
            ("minimizer", self.minimizer, get_args(Minimizer)),
        ):
            if value not in options:
                raise ConfigError(f"unknown {name} '{value}'", hint=nearest(str(value), options))
        if not 1 <= self.nodes <= 5:
            raise ConfigError("impossible number of nodes per bin", expected="1 … 5", found=str(self.nodes))
        if self.window_us is not None:
            lo, hi = self.window_us
            if not (math.isfinite(lo) and math.isfinite(hi) and lo < hi):
                raise ConfigError("the window must end after it starts", found=f"{lo} … {hi} µs")
