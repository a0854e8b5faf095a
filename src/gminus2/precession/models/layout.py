"""What a term adds to a model: fit parameters, natural parameters, phasors, modulations."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from gminus2.errors import ConfigError
from gminus2.precession.models.extras import ROWS_PER_EXTRA
from gminus2.precession.models.program import EXTRA_PARAMETERS, Extra, Program

__all__ = ["Layout", "Natural", "Oscillation", "ParameterSpec"]


@dataclass(frozen=True)
class ParameterSpec:
    """A fit parameter as its term declares it.

    Attributes
    ----------
    start
        Start value where the term knows one; NaN: to be found from the data.
    fixed
        Whether it is a constant unless freed.
    """

    name: str
    unit: str
    start: float = math.nan
    lower: float = -math.inf
    upper: float = math.inf
    fixed: bool = False


@dataclass(frozen=True)
class Natural:
    """θ = offset + factor · parameter; ``per_bin``: times the density scale; ``blinded``: carries the hidden offset."""

    parameter: str
    factor: float = 1.0
    offset: float = 0.0
    per_bin: bool = False
    blinded: bool = False


@dataclass(frozen=True)
class Oscillation:
    """An amplitude and phase of the model, for start values and sign conventions.

    Attributes
    ----------
    amplitude, phase
        Names of the parameters.
    frequency
        Name of a frequency parameter that can be searched for, or empty.
    band_mhz
        Where to search.
    free_sign
        Whether (A, φ) and (-A, φ + π) are the same.
    """

    amplitude: str
    phase: str
    frequency: str = ""
    band_mhz: tuple[float, float] = (0.0, 0.0)
    free_sign: bool = True


@dataclass
class Layout:
    """Collects what the terms of a model add; the order of the calls is the order of the parameters."""

    parameters: dict[str, ParameterSpec] = field(default_factory=dict)
    naturals: list[Natural] = field(default_factory=list)
    oscillators: list[list[int]] = field(default_factory=list)
    extras: list[list[int]] = field(default_factory=list)
    components: list[list[int]] = field(default_factory=list)
    modulations: list[list[int]] = field(default_factory=list)
    oscillations: list[Oscillation] = field(default_factory=list)
    header: list[int] = field(default_factory=lambda: [-1, -1, -1, -1, 0])
    density: str = "bin"
    extra_rows: int = 0
    cbo_oscillator: int = -1
    vertical_factor: int = -1

    def parameter(
        self,
        name: str,
        unit: str,
        start: float = math.nan,
        lower: float = -math.inf,
        upper: float = math.inf,
        *,
        fixed: bool = False,
    ) -> str:
        """Declare a fit parameter and return its name."""
        if name in self.parameters:
            raise ConfigError(
                f"two terms of the model want the parameter '{name}'", hint="give one of the terms another label"
            )
        self.parameters[name] = ParameterSpec(name, unit, start, lower, upper, fixed)
        return name

    def natural(
        self,
        parameter: str,
        factor: float = 1.0,
        offset: float = 0.0,
        *,
        per_bin: bool = False,
        blinded: bool = False,
    ) -> int:
        """Declare a natural parameter and return its index in θ."""
        self.naturals.append(Natural(parameter, factor, offset, per_bin, blinded))
        return len(self.naturals) - 1

    def oscillator(
        self,
        omega: int = -1,
        tau: int = -1,
        rate: int = -1,
        extra: int = Extra.NONE,
        extra_parameters: tuple[int, ...] = (),
        drift: int = Extra.NONE,
    ) -> int:
        """Declare a damped phasor by indices into θ and return its index."""
        row = self.extra_rows if extra != Extra.NONE else -1
        if extra != Extra.NONE:
            self.extra_rows += ROWS_PER_EXTRA
        self.oscillators.append([omega, tau, extra, row, drift, rate])
        self.extras.append(list(extra_parameters) + [-1] * (EXTRA_PARAMETERS - len(extra_parameters)))
        return len(self.oscillators) - 1

    def factor(self) -> int:
        """Return a new factor of the counts."""
        self.header[4] += 1
        return self.header[4] - 1

    def modulation(self, slot: int, oscillator: int, harmonic: int, amplitude: str, phase: str) -> None:
        """Declare a modulation a Re(e^(iφ) z^h) of a slot."""
        self.modulations.append(
            [slot, oscillator, harmonic, self.natural(amplitude), self.natural(phase)],
        )

    def program(self) -> Program:
        """Return the arrays for the kernels."""

        def table(rows: list[list[int]], columns: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
            return np.array(rows, dtype=np.int64).reshape(len(rows), columns)

        return Program(
            header=np.array(self.header, dtype=np.int64),
            oscillators=table(self.oscillators, 6),
            extras=table(self.extras, EXTRA_PARAMETERS),
            components=table(self.components, 3),
            modulations=table(self.modulations, 5),
        )
