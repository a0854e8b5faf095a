"""Start values that nobody has to give.

In stages, on the real bins: normalisation and lifetime from the counts; the precession frequency from the Fourier peak,
amplitude and phase by projection; then every other oscillation the same way on the residuals of the fit so far. A value
the user gave, or a term knows, is never changed. Amplitudes and phases come from one linear least-squares problem in
(a cos φ, a sin φ), whose columns are two evaluations of the Jacobian.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gminus2.constants import F_CYCLOTRON_MHZ
from gminus2.errors import FitError
from gminus2.precession.fitting.binding import Binding
from gminus2.precession.fitting.scoring import Workspace, expectation, minimise
from gminus2.precession.models.extras import drift_phase
from gminus2.precession.models.layout import Oscillation
from gminus2.precession.models.program import Extra

__all__ = ["find_starts"]

_PADDING = 8
_RELAXATIONS = (0.3, 1.0, 3.0, 10.0)  # tried rates in units of 1/(window length)
_R_BAND = 0.005  # relative half-width of the search around ω_ref


def find_starts(binding: Binding) -> NDArray[np.float64]:
    """Return start values of the free parameters, in the order of the kernels.

    Raises
    ------
    FitError
        A parameter whose start value cannot be found from the data (drift parameters without a table, …).
    """
    return _Search(binding).run()


class _Search:
    def __init__(self, binding: Binding) -> None:
        self.b = binding
        self.layout = binding.model.layout
        self.p: NDArray[np.float64] = binding.table.start[binding.free].copy()
        self.open = ~np.isfinite(self.p)
        self.ws: Workspace = binding.workspace()
        self.bases = {name: i for i, name in enumerate(binding.model.parameter_names)}
        self.times = [
            problem_start + binding.problem.width_us * (np.arange(n) + 0.5)
            for problem_start, n in zip(binding.problem.starts_us, binding.problem.bins, strict=True)
        ]
        self.counts = [binding.problem.counts[s] for s in binding.slices()]
        self.moving = np.zeros(self.p.size, dtype=np.bool_)

    def run(self) -> NDArray[np.float64]:
        if not self.open.any():
            return self.p
        self._decay()
        components = {self.layout.naturals[row[1]].parameter: row for row in self.layout.components}
        # Amplitudes without a value are 0 and everything else of their terms harmless until their turn comes.
        for o in self.layout.oscillations:
            self._put(o.amplitude, 0.0)
            self._put(o.phase, 0.0)
            if o.frequency:
                self._put(o.frequency, self._frequency_to_parameter(o, sum(o.band_mhz) / 2.0))
        self._relaxation_defaults()
        remaining = self.open & ~np.isfinite(self.p)
        if remaining.any():
            names = [self.b.table.names[self.b.free[i]] for i in np.flatnonzero(remaining)]
            raise FitError(f"no start value can be found for '{names[0]}'", hint=f"give one: [parameters.{names[0]}]")
        self._fit()
        for o in self.layout.oscillations:
            if o.amplitude in components:
                self._search_component(o, components[o.amplitude])
                self._fit()
        later = [o for o in self.layout.oscillations if o.amplitude not in components]
        searched = [o for o in later if o.frequency]
        for i, o in enumerate(searched):
            self._search_modulation(o)
            self._project([o])
            self._release([o])
            if i == 0:
                self._fit()
        rest = [o for o in later if not o.frequency]
        if rest:
            self._project(rest)
        return self.p

    # -- parameters ---------------------------------------------------------------------------------------------

    def _positions(self, base: str) -> list[int]:
        """Positions in p of a parameter in all detectors (each once), free ones only."""
        if base not in self.bases:
            return []
        where = {int(i): k for k, i in enumerate(self.b.free)}
        found = dict.fromkeys(int(i) for i in self.b.table.of_detector[:, self.bases[base]])
        return [where[i] for i in found if i in where]

    def _put(self, base: str, value: float) -> None:
        for k in self._positions(base):
            if self.open[k]:
                self.p[k] = value

    def _natural(self, base: str) -> int:
        return next(t for t, natural in enumerate(self.layout.naturals) if natural.parameter == base)

    def _theta(self, detector: int, t: int) -> float:
        problem = self.b.problem
        source = int(problem.source[detector, t])
        value = float(problem.offset[detector, t])
        return value + (float(problem.factor[detector, t] * self.p[source]) if source >= 0 else 0.0)

    def _detectors_of(self, k: int, base: str) -> list[int]:
        t = self._natural(base)
        return [d for d in range(len(self.times)) if int(self.b.problem.source[d, t]) == k]

    def _frequency_to_parameter(self, o: Oscillation, f_mhz: float) -> float:
        """Invert the affine map of a frequency parameter (R, MHz, tesla; blinded or not)."""
        t = self._natural(o.frequency)
        problem = self.b.problem
        for d in range(len(self.times)):
            if problem.source[d, t] >= 0:
                return float((2.0 * math.pi * f_mhz - problem.offset[d, t]) / problem.factor[d, t])
        return 0.0

    # -- stages -------------------------------------------------------------------------------------------------

    def _decay(self) -> None:
        norm, tau = self.layout.naturals[self.layout.header[0]], self.layout.naturals[self.layout.header[1]]
        t_norm, t_tau = self.layout.header[0], self.layout.header[1]
        for base in (norm.parameter, tau.parameter, "background"):
            for k in self._positions(base):
                if self.open[k]:
                    self.moving[k] = True
        self._put("background", 0.0)
        for k in self._positions(tau.parameter):
            if self.open[k]:
                guesses = [self._slope(d) for d in self._detectors_of(k, tau.parameter)]
                factor = float(self.b.problem.factor[0, t_tau])
                self.p[k] = float(np.median(guesses)) / factor
        for k in self._positions(norm.parameter):
            if self.open[k]:
                sums = [
                    self.counts[d].sum() / np.exp(-self.times[d] / self._theta(d, t_tau)).sum()
                    for d in self._detectors_of(k, norm.parameter)
                ]
                d = self._detectors_of(k, norm.parameter)[0]
                self.p[k] = max(float(np.mean(sums)), 1e-3) / float(self.b.problem.factor[d, t_norm])

    def _slope(self, d: int) -> float:
        """Lifetime from the first two quarters of the window (late bins may be mostly background)."""
        quarter = max(1, len(self.counts[d]) // 4)
        one, two = self.counts[d][:quarter].sum(), self.counts[d][quarter : 2 * quarter].sum()
        length = quarter * self.b.problem.width_us
        return float(length / math.log(one / two)) if one > two > 0 else 4.0 * length

    def _relaxation_defaults(self) -> None:
        for name in self.layout.parameters:
            if name.startswith(("lambda", "sigma")):
                self._put(name, 0.3 / (self.times[0][-1] - self.times[0][0]))

    def _model(self) -> NDArray[np.float64]:
        return expectation(self.p, self.b.problem, self.b.program, self.ws)[0]

    def _fit(self) -> None:
        """Fit the parameters that have had their turn; keep the values only if the fit got better."""
        table = self.b.table
        lower, upper = table.lower[self.b.free].copy(), table.upper[self.b.free].copy()
        trial = np.clip(self.p, lower, upper)
        held = ~self.moving
        lower[held] = upper[held] = trial[held]
        covariance = np.zeros((trial.size, trial.size))
        status, value, _, _ = minimise(
            trial, lower, upper, self.b.problem, self.b.program, self.ws, 1e-2, 60, covariance
        )
        if status != 1 and math.isfinite(value):
            self.p = trial

    def _release(self, oscillations: list[Oscillation]) -> None:
        for o in oscillations:
            for base in (o.amplitude, o.phase, o.frequency):
                for k in self._positions(base):
                    self.moving[k] |= self.open[k]

    def _project(self, oscillations: list[Oscillation]) -> None:
        """Solve for amplitude and phase of oscillations at their frequencies, all together."""
        pairs = [
            (a, f)
            for o in oscillations
            for a, f in zip(self._positions(o.amplitude), self._positions(o.phase), strict=False)
            if self.open[a] and self.open[f]
        ]
        if not pairs:
            return
        problem = self.b.problem
        columns = []
        for angle in (0.0, math.pi / 2.0):
            for a, f in pairs:
                self.p[a], self.p[f] = 0.0, angle
            mu, jac = expectation(self.p, problem, self.b.program, self.ws, partials=True)
            columns.append(jac)
        inside = np.concatenate([np.arange(s.start, s.stop) for s in self.b.slices()])
        weight = 1.0 / np.sqrt(np.maximum(np.abs(mu[inside]), 1.0))
        design = np.stack([c[a][inside] * weight for a, _ in pairs for c in columns], axis=1)
        target = (problem.counts - mu)[inside] * weight
        scale = np.sqrt((design**2).sum(axis=0))
        scale[scale == 0.0] = 1.0
        solution = np.linalg.lstsq(design / scale, target, rcond=1e-10)[0] / scale
        for i, (a, f) in enumerate(pairs):
            x, y = solution[2 * i], solution[2 * i + 1]
            self.p[a], self.p[f] = math.hypot(x, y), math.atan2(y, x)

    # -- frequencies --------------------------------------------------------------------------------------------

    def _peak(
        self,
        detectors: list[int],
        residual: NDArray[np.float64],
        band: tuple[float, float],
        rate: float,
        o: Oscillation,
    ) -> tuple[float, float]:
        """Return frequency [MHz] and height of the strongest matched line of a band, summed over detectors."""
        width = self.b.problem.width_us
        length = _PADDING * max(len(self.times[d]) for d in detectors)
        length = 1 << (length - 1).bit_length()
        frequency = np.fft.fftfreq(length, width)[: length // 2]
        power = np.zeros(length // 2)
        for d in detectors:
            t = self.times[d]
            signal = residual[self.b.slices()[d]] * np.exp(-rate * (t - t[0]))
            extra = self._extra_phase(o, d)
            spectrum = np.fft.fft(signal * np.exp(-1j * extra), length)
            power += np.abs(spectrum[: length // 2]) ** 2
        inside = np.flatnonzero((frequency >= band[0]) & (frequency <= band[1]))
        if inside.size < 3:
            return sum(band) / 2.0, 0.0
        k = int(inside[np.argmax(power[inside])])
        if 0 < k < power.size - 1:
            left, middle, right = power[k - 1], power[k], power[k + 1]
            bend = left - 2.0 * middle + right
            shift = 0.5 * (left - right) / bend if bend < 0.0 else 0.0
        else:
            shift = 0.0
        return float(frequency[k] + min(max(shift, -0.5), 0.5) * frequency[1]), float(power[k])

    def _extra_phase(self, o: Oscillation, d: int) -> NDArray[np.float64]:
        """Return the drift phase of the phasor behind an oscillation (0 without drift)."""
        for row in self.layout.modulations:
            if self.layout.naturals[row[3]].parameter == o.amplitude:
                kind = self.layout.oscillators[row[1]][2]
                if kind in (Extra.TRACKER, Extra.SINGLE, Extra.ORIGINAL):
                    indices = self.layout.extras[row[1]]
                    q = np.array([self._theta(d, t) if t >= 0 else 0.0 for t in indices])
                    if kind == Extra.ORIGINAL:
                        q[0] = math.pi * sum(o.band_mhz)
                    return drift_phase(kind, self.times[d], q)
        return np.zeros(len(self.times[d]))

    def _search_component(self, o: Oscillation, row: list[int]) -> None:
        frequencies = [k for k in self._positions(o.frequency) if self.open[k]]
        residual = self.b.problem.counts - self._model()
        for k in frequencies:
            detectors = self._detectors_of(k, o.frequency)
            length = self.times[detectors[0]][-1] - self.times[detectors[0]][0]
            natural = self.layout.naturals[self._natural(o.frequency)]
            if natural.blinded:
                centre = natural.offset / (2.0 * math.pi)
                band = (centre * (1.0 - _R_BAND), centre * (1.0 + _R_BAND))
            else:
                band = (1.0 / length, 0.5 / self.b.problem.width_us)
            rates = [0.0]
            relaxation = self._relaxation_of(row)
            if relaxation:
                rates = [x / length for x in _RELAXATIONS]
            best = (-1.0, 0.0, 0.0)
            for rate in rates:
                f, power = self._peak(detectors, residual, band, rate, o)
                norm = sum(
                    float((np.abs(self.counts[d]) * np.exp(-2.0 * rate * (self.times[d] - self.times[d][0]))).sum())
                    for d in detectors
                )
                best = max(best, (power / max(norm, 1e-300), f, rate))
            self.p[k] = self._frequency_to_parameter(o, best[1])
            if relaxation:
                self._put(relaxation, best[2])
        self._project([o])
        self._release([o])
        for k in self._positions(self._relaxation_of(row)):
            self.moving[k] |= self.open[k]

    def _relaxation_of(self, row: list[int]) -> str:
        phasor = self.layout.oscillators[row[0]]
        if phasor[5] >= 0:
            return self.layout.naturals[phasor[5]].parameter
        if phasor[2] in (Extra.GAUSSIAN, Extra.STRETCHED):
            return self.layout.naturals[self.layout.extras[row[0]][0]].parameter
        return ""

    def _search_modulation(self, o: Oscillation) -> None:
        residual = self.b.problem.counts - self._model()
        band = self._band(o)
        for k in self._positions(o.frequency):
            if self.open[k]:
                f, _ = self._peak(self._detectors_of(k, o.frequency), residual, band, 1.0 / 200.0, o)
                self.p[k] = self._frequency_to_parameter(o, f)

    def _band(self, o: Oscillation) -> tuple[float, float]:
        """Narrow the band of a vertical frequency with the CBO already found, f_y = √(2 f_c f - f²)."""
        if self.layout.cbo_oscillator < 0 or o.band_mhz[0] < 1.0:
            return o.band_mhz
        f = self._theta(0, self.layout.oscillators[self.layout.cbo_oscillator][0]) / (2.0 * math.pi)
        inner = 2.0 * F_CYCLOTRON_MHZ * f - f * f
        if inner <= 0.0:
            return o.band_mhz
        f_y = math.sqrt(inner)
        betatron = o.band_mhz == (2.0, 2.5)
        centre = f_y if betatron else F_CYCLOTRON_MHZ - 2.0 * f_y
        half = 0.04 if betatron else 0.05
        return centre - half, centre + half
