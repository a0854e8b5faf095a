"""Pseudo-histograms: input that the package makes for itself, so that every command can be tried without data.

The expectation of a model with Poisson numbers in its bins. The values are those of a Run-1 analysis of the 60-hour
data set where that has them, and of the same order where it has not; they are no measurement of anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from gminus2.constants import GAMMA_MAGIC, MUON_LIFETIME_US
from gminus2.data import TimeHistogram
from gminus2.errors import ConfigError, nearest
from gminus2.pipeline.fit_file import PseudoSection
from gminus2.precession import expected_histogram, preset
from gminus2.random import stream

__all__ = ["TRUTH", "pseudo_histogram"]

_BINS: Final = 4692
_WIDTH_US: Final = 0.1492

#: True values of the parameters of the presets; N0 and R follow from what is asked for.
TRUTH: Final[Mapping[str, float]] = {
    "tau": GAMMA_MAGIC * MUON_LIFETIME_US,
    "A": 0.3637,
    "phi": 2.091,
    "A_cbo": 4.0e-3,
    "tau_cbo": 184.2,
    "f_cbo": 0.3724,
    "phi_cbo": -2.035,
    "A_2cbo": 1.0e-4,
    "phi_2cbo": 1.0,
    "A_cbo_A": 6.0e-4,
    "phi_cbo_A": -1.2,
    "A_cbo_phi": 5.0e-4,
    "phi_cbo_phi": 0.7,
    "A_vw": 2.7e-3,
    "tau_vw": 22.8,
    "f_vw": 2.298,
    "phi_vw": 0.269,
    "A_y": 8.5e-4,
    "tau_y": 62.3,
    "f_y": 2.2035,
    "phi_y": -3.0,
}

_PRESETS: Final = ("five", "cbo", "full")


def pseudo_histogram(request: PseudoSection) -> TimeHistogram:
    """Return Poisson counts around the expectation of a preset, 0 … 700 µs in bins of 149.2 ns.

    Raises
    ------
    ConfigError
        The model is not ``five``, ``cbo`` or ``full``.
    """
    if request.model not in _PRESETS:
        raise ConfigError(f"no pseudo-histogram of '{request.model}'", hint=nearest(request.model, _PRESETS))
    model = preset(request.model)
    values = {name: TRUTH[name] for name in model.parameter_names if name in TRUTH}
    model = model.started({**values, "N0": 1.0, "R": request.r_ppm})
    shape = expected_histogram(model, bins=_BINS, start_us=0.0, width_us=_WIDTH_US, label="pseudo")
    mean = shape.counts * (request.counts / shape.counts.sum())
    counts = stream(request.seed, "pseudo-histogram", request.model).poisson(mean)
    caveat = f"pseudo-data made by gminus2 (model {request.model}, seed {request.seed}): no measurement"
    return TimeHistogram(counts.astype(np.float64), shape.start_us, _WIDTH_US, ("pseudo",), caveats=(caveat,))
