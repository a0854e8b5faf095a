"""C_e from a fast-rotation signal: the whole analysis with its uncertainty rows and its refusals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from gminus2.beam.corrections import Correction
from gminus2.beam.cosine_transform import CosineTransform, cosine_moment, cosine_transform
from gminus2.beam.electric_field import (
    RingOptics,
    electric_field_ppb,
    frequency_range,
    momentum_offset,
    ring_optics,
)
from gminus2.beam.joint_density import JointDensity, moment
from gminus2.beam.momentum_time import reconstruct
from gminus2.beam.rotation_signal import HarmonicData, RotationSignal, demodulate, detector_phases, normalise
from gminus2.constants import BETA_MAGIC, F_CYCLOTRON_MHZ, RING_RADIUS_MM
from gminus2.data import TimeHistogram
from gminus2.errors import DataError, FitError

__all__ = ["SHAPE_SHARE", "FastRotationOptions", "FastRotationResult", "analyse_fast_rotation"]

FloatArray = NDArray[np.float64]

#: A value with a larger relative error than this is not given. After a late start errors beyond a few percent are no
#: longer Gaussian (coverage with three-headed bunches), so the limit is tighter there.
_LARGEST_ERROR: Final = 0.15
_LARGEST_ERROR_LATE: Final = 0.04
_LATE_START_US: Final = 6.0
#: Significance of the fundamental below which there is no rotation to analyse.
_LEAST_SIGNIFICANCE: Final = 12.0

#: Uncertainty of C_e from the form of the density, as a share of it. The smoothness of log ρ lets the tails of a beam
#: that apertures have cut run on: over 76 simulated datasets of 5e6 positrons C_e was 2.6 % too large
#: (docs/validation/demo_closure.md). It is not taken off, because it falls with statistics in an unknown way.
SHAPE_SHARE: Final = 0.03
_TOO_POOR: Final = 3.0


@dataclass(frozen=True)
class FastRotationOptions:
    """Settings of an analysis.

    Attributes
    ----------
    start_us, stop_us
        Window; ``stop_us`` ``None`` means 250 µs or the end of the data.
    field_index
        n, azimuthal average.
    lattice
        ``discrete`` (E989's plates) or ``continuous``.
    harmonics
        Harmonics of the revolution frequency that enter the joint reconstruction.
    field_index_error
        Relative uncertainty of n from the measured tunes.
    gradient_error
        Relative uncertainty of the quadrupole gradient at given n (plate calibration).
    azimuths
        Of the detectors: ``even`` (15° apart, the first at 0), ``aligned`` (shifted to one azimuth already), or
        ``auto`` (decide from the phases of the signals).
    """

    start_us: float = 4.0
    stop_us: float | None = None
    field_index: float = 0.108
    lattice: Literal["discrete", "continuous"] = "discrete"
    harmonics: int = 6
    field_index_error: float = 0.004
    gradient_error: float = 0.010
    azimuths: Literal["auto", "even", "aligned"] = "auto"


@dataclass(frozen=True)
class FastRotationResult:
    """What the early signal says about the momenta.

    ``x_e`` is the azimuthal mean of a muon's closed orbit; errors are total (statistics, smoothing and the unknown
    correlation of momentum and time). ``cosine_ppb`` is the cross-check (value, statistical error) where it could be
    made. ``warnings`` say what a reader must not overlook.
    """

    options: FastRotationOptions
    optics: RingOptics
    window_us: tuple[float, float]
    correction: Correction
    mean_x_e_mm: tuple[float, float]
    width_x_e_mm: tuple[float, float]
    mean_f_mhz: float
    t0_us: float
    correlation: float
    chi2: float
    ndf: float
    p_value: float
    continuous_ppb: float
    cosine_ppb: tuple[float, float] | None
    density: JointDensity
    cosine: CosineTransform | None
    signal: RotationSignal
    harmonics: HarmonicData
    counts: float
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the result under stable keys."""
        x_e, share, errors = self.radial_distribution()
        return {
            "C_e": self.correction.to_json(),
            "C_e_continuous_ppb": self.continuous_ppb,
            "C_e_cosine_ppb": None
            if self.cosine_ppb is None
            else {"value": self.cosine_ppb[0], "error": self.cosine_ppb[1]},
            "x_e_mm": {
                "mean": self.mean_x_e_mm[0],
                "mean_error": self.mean_x_e_mm[1],
                "width": self.width_x_e_mm[0],
                "width_error": self.width_x_e_mm[1],
            },
            "t0_ns": 1e3 * self.t0_us,
            "mean_frequency_khz": 1e3 * self.mean_f_mhz,
            "momentum_time_correlation": self.correlation,
            "field_index": self.options.field_index,
            "lattice": self.options.lattice,
            "alpha_p": self.optics.alpha_p,
            "window_us": list(self.window_us),
            "counts": self.counts,
            "chi2": self.chi2,
            "ndf": self.ndf,
            "p_value": self.p_value,
            "warnings": list(self.warnings),
            "distribution": {"x_e_mm": x_e, "share": share, "error": errors},
        }

    def radial_distribution(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return x_e [mm], share and error per node, in order of increasing radius."""
        delta = momentum_offset(self.density.f_mhz, self.optics.alpha_p)
        x_e = RING_RADIUS_MM * self.optics.alpha_p * delta
        return x_e[::-1], self.density.frequency_density[::-1], self.density.frequency_errors[::-1]


def _azimuths(signal: RotationSignal, choice: str) -> FloatArray:
    count = len(signal.signal)
    even: FloatArray = 2.0 * np.pi * np.arange(count) / count
    if count == 1 or choice == "aligned":
        return np.zeros(count)
    if choice == "even":
        return even
    measured = detector_phases(signal)
    for candidate in (even, np.zeros(count)):
        away = np.angle(np.exp(1j * (measured - candidate)))
        away = np.angle(np.exp(1j * (away - np.median(away))))
        if np.abs(away).max() < 0.35:
            return candidate
    raise DataError(
        "the detectors' signals are neither in phase nor spread evenly around the ring",
        found="phases [deg] " + ", ".join(f"{v:.0f}" for v in np.degrees(measured)[:8]) + (" …" if count > 8 else ""),
        hint="say --azimuths even or aligned, or analyse one detector",
    )


def _check_rotation(data: HarmonicData) -> None:
    z, sigma = data.complex_values(1), data.errors(1)
    significance = float(np.sqrt(((np.abs(z) / sigma) ** 2 - 2.0).clip(0.0)[: max(4, len(z) // 4)].sum()))
    if significance < _LEAST_SIGNIFICANCE:
        raise DataError(
            "there is no fast rotation in this signal",
            expected=f"a line at the revolution frequency of at least {_LEAST_SIGNIFICANCE:.0f} standard deviations",
            found=f"{significance:.1f}",
            hint="the times may have been randomised, or the start is later than the bunches live",
        )


def analyse_fast_rotation(histogram: TimeHistogram, options: FastRotationOptions | None = None) -> FastRotationResult:
    """Reconstruct the momenta of the stored muons and C_e from an early-time histogram.

    Raises
    ------
    DataError
        Too short, too coarse, no rotation, too few counts.
    PhysicsError
        A field index that stores no beam.
    FitError
        The data do not determine C_e to 15 % (4 % after a late start), or no density describes them.
    """
    options = options or FastRotationOptions()
    optics = ring_optics(options.field_index, options.lattice)
    end = float(histogram.start_us.min()) + histogram.n_bins * histogram.width_us
    stop = options.stop_us if options.stop_us is not None else min(250.0, end)
    if stop - options.start_us < 40.0 and end - options.start_us < 40.0 + 1e-9:
        raise DataError(
            "the signal is too short for a fast-rotation analysis",
            expected="at least 40 µs after the start (the frequency resolution is 1/length)",
            found=f"{stop - options.start_us:.3g} µs",
        )
    if stop - options.start_us < 40.0:
        raise DataError(
            "the window is too short for a fast-rotation analysis",
            expected="at least 40 µs (the frequency resolution is 1/length)",
            found=f"{stop - options.start_us:.3g} µs",
        )
    signal = normalise(histogram, options.start_us, stop)
    azimuth = _azimuths(signal, options.azimuths)
    data = demodulate(signal, azimuth, harmonics=options.harmonics)
    _check_rotation(data)
    limits = frequency_range(optics.alpha_p)
    density = reconstruct(data, limits)
    poor = density.chi2 / density.ndf
    if poor > _TOO_POOR:
        raise FitError(
            "no density of momentum and time describes this signal",
            expected="χ²/ndf near 1",
            found=f"{poor:.2f}",
            hint="check the file's units and that the counts are those of one ring with this revolution frequency",
        )
    warnings: list[str] = []
    scale = 1.0
    if density.p_value < 1e-3:
        scale = math.sqrt(poor)
        warnings.append(
            f"the fit is poor (χ²/ndf {poor:.2f}, p {density.p_value:.1e}); errors are scaled by {scale:.2f}"
        )
    alpha = optics.alpha_p
    correction = moment(density, lambda f: electric_field_ppb(f, alpha))
    total = scale * correction.total
    limit = _LARGEST_ERROR if options.start_us <= _LATE_START_US else _LARGEST_ERROR_LATE
    if not (correction.value > 0.0 and total / correction.value < limit):
        raise FitError(
            "this window does not determine C_e",
            expected=f"a relative error below {limit:.0%}",
            found=f"{total / max(correction.value, 1e-9):.0%} with start {options.start_us:g} µs",
            hint="start earlier: before the bunches overlap, the signal itself shows the injection times",
        )

    def offset(f: FloatArray) -> FloatArray:
        return np.asarray(RING_RADIUS_MM * alpha * momentum_offset(f, alpha))

    mean = moment(density, offset)
    square = moment(density, lambda f: (offset(f) - mean.value) ** 2)
    width = math.sqrt(square.value)
    frequency = moment(density, lambda f: f)
    cosine: CosineTransform | None = None
    cosine_value: tuple[float, float] | None = None
    t0 = float((density.weights * density.tau_us).sum())
    try:
        cosine = cosine_transform(signal, azimuth, limits, t0)
        cosine_value = cosine_moment(cosine, lambda f: electric_field_ppb(f, alpha))
    except FitError as problem:
        warnings.append(f"no cosine transform: {problem.message}")
    if cosine_value is not None and abs(cosine_value[0] - correction.value) > 4.0 * math.hypot(cosine_value[1], total):
        warnings.append(
            "the cosine transform differs from the joint reconstruction: momentum and injection time are not "
            f"independent (correlation {density.correlation:+.2f}), and the transform is biased"
        )
    n = options.field_index
    # C_e ∝ (α_p − 1)/(α_p − 1/γ²)², to first order n(1 − n): what the frequencies fix is x_e, not δ.
    per_n = (1.0 - 2.0 * n) / (1.0 - n)
    statistics = scale * correction.statistics
    smoothing = scale * math.hypot(
        correction.smoothing, math.sqrt(max(correction.separable**2 - correction.statistics**2, 0.0))
    )
    correlated = math.sqrt(max(total**2 - statistics**2 - smoothing**2, 0.0))
    rows = {
        "statistics": statistics,
        "fourier_method": smoothing,
        "momentum_time": correlated,
        "density_shape": SHAPE_SHARE * abs(correction.value),
        "quad_calibration": abs(correction.value * per_n * options.gradient_error),
        "field_index": abs(correction.value * per_n * options.field_index_error),
    }
    mean_square = moment(density, lambda f: (RING_RADIUS_MM * (F_CYCLOTRON_MHZ / f - 1.0)) ** 2).value
    return FastRotationResult(
        options=options,
        optics=optics,
        window_us=(options.start_us, stop),
        correction=Correction("C_e", correction.value, rows, notes=tuple(warnings)),
        mean_x_e_mm=(mean.value, scale * mean.total),
        width_x_e_mm=(width, scale * 0.5 * square.total / width),
        mean_f_mhz=frequency.value,
        t0_us=t0,
        correlation=density.correlation,
        chi2=density.chi2,
        ndf=density.ndf,
        p_value=density.p_value,
        continuous_ppb=2e9 * n * (1.0 - n) * BETA_MAGIC**2 * mean_square / RING_RADIUS_MM**2,
        cosine_ppb=cosine_value,
        density=density,
        cosine=cosine,
        signal=signal,
        harmonics=data,
        counts=float(signal.counts.sum()),
        warnings=tuple(warnings),
    )
