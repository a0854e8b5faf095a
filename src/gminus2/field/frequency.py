"""The frequency of free induction decays, in batches, with its uncertainty and quality flags.

Which model to use: ``odd5`` (default) is unbiased in a field gradient and costs a factor 1.6 against a pure line in
statistics; ``p1`` where the field is homogeneous; ``template`` for tracking a probe with itself (best precision, a
constant offset that the synchronisation with the trolley absorbs); ``p3`` and ``p5`` are full polynomials, for
comparison with others. :mod:`gminus2.field.reference_estimators` holds zero crossing, Hilbert transform and more to
compare with.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntFlag
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gminus2.errors import ConfigError, DataError, nearest
from gminus2.field.demodulator import N_OUTPUTS, OUTPUTS, demodulate
from gminus2.physics.nmr import PHASE_MODELS, crlb

__all__ = ["MODELS", "Flag", "FrequencyResult", "PhaseTemplate", "frequency", "make_template", "window_crlb"]

#: Named phase models of :func:`frequency`.
MODELS: Final = (*PHASE_MODELS, "template")
_NO_ARRAY: Final = np.zeros((0, 0))


class Flag(IntFlag):
    """Why an FID should not be believed. Zero means good."""

    NOT_FINITE = 1
    NO_SIGNAL = 2
    LOW_AMPLITUDE = 4
    SHORT_WINDOW = 8
    NODE = 16
    BASELINE_JUMP = 32
    SATURATION = 64
    SPIKE = 128
    GRADIENT_LIMITED = 256
    BAD_FIT = 512
    OUT_OF_BAND = 1024


#: Flags that make a frequency unusable; the others are warnings.
FATAL: Final = (
    Flag.NOT_FINITE
    | Flag.NO_SIGNAL
    | Flag.LOW_AMPLITUDE
    | Flag.SATURATION
    | Flag.SPIKE
    | Flag.BAD_FIT
    | Flag.OUT_OF_BAND
)


@dataclass(frozen=True)
class FrequencyResult:
    """Results per FID, all of shape (n_fid,).

    Attributes
    ----------
    f_hz, sigma_hz
        Frequency at the pulse centre and its standard uncertainty from the Fisher matrix of the blocks used.
    chi2, n_dof
        Of the phase fit, with the noise measured outside the window.
    n_blocks, block
        Blocks in the window and their length in samples.
    noise_adc, noise_dof
        White-noise level per sample near the carrier and the number of degrees of freedom behind it.
    amplitude_adc, phase_rad
        Largest block amplitude; phase at the pulse.
    f_odd3_hz
        The same with {1, τ, τ³}: its distance from ``odd5`` shows what the gradient does.
    f_demodulated_hz
        The frequency of the last de-rotation (for users of the phasors).
    worst_residual, rebound
        Largest block residual in σ; largest later amplitude relative to the peak.
    flags
        :class:`Flag` bits.
    """

    f_hz: NDArray[np.float64]
    sigma_hz: NDArray[np.float64]
    chi2: NDArray[np.float64]
    n_dof: NDArray[np.float64]
    n_blocks: NDArray[np.float64]
    noise_adc: NDArray[np.float64]
    amplitude_adc: NDArray[np.float64]
    phase_rad: NDArray[np.float64]
    f_odd3_hz: NDArray[np.float64]
    worst_residual: NDArray[np.float64]
    rebound: NDArray[np.float64]
    block: NDArray[np.float64]
    noise_dof: NDArray[np.float64]
    iterations: NDArray[np.float64]
    f_demodulated_hz: NDArray[np.float64]
    flags: NDArray[np.int64]

    @property
    def is_good(self) -> NDArray[np.bool_]:
        """No fatal flag."""
        good: NDArray[np.bool_] = (self.flags & int(FATAL)) == 0
        return good

    def flag_counts(self) -> dict[str, int]:
        """Return how many FIDs carry each flag."""
        return {str(flag.name): int(np.count_nonzero(self.flags & int(flag))) for flag in Flag}

    @staticmethod
    def concatenate(parts: list[FrequencyResult]) -> FrequencyResult:
        """Join the results of chunks in their order."""
        return FrequencyResult(
            **{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(FrequencyResult)}
        )


@dataclass(frozen=True)
class PhaseTemplate:
    """The mean residual phase of a probe on its blocks, to be subtracted before a straight-line fit."""

    phase: NDArray[np.float64]
    block: int
    dead_s: float
    n_fid: int


def _checked(records: ArrayLike) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return a 2-D array the kernel takes, and which rows are finite."""
    y = np.atleast_2d(np.asarray(records))
    if y.ndim != 2 or y.shape[1] < 64:
        raise DataError("FIDs must come as (n_fid, n_sample)", expected="at least 64 samples", found=str(y.shape))
    if y.dtype == np.uint16:
        # Digitizers with an offset-binary code: the constant does not matter.
        y = (y.astype(np.int32) - 32768).astype(np.int16)
    if y.dtype == np.int16:
        return np.ascontiguousarray(y), np.ones(len(y), dtype=bool)
    if y.dtype.kind not in "iuf":
        raise DataError("FIDs must be numbers", found=str(y.dtype))
    real = np.ascontiguousarray(y, dtype=np.float64)
    return real, np.asarray(np.isfinite(real).all(axis=1))


def _check_arguments(model: str, fs_hz: float, t_pulse_s: float, block: int, f_start: NDArray[np.float64]) -> None:
    if model not in MODELS:
        raise ConfigError(f"no frequency model '{model}'", hint=nearest(model, MODELS))
    if not fs_hz > 0 or not np.isfinite(fs_hz):
        raise ConfigError("the sampling rate must be positive", found=str(fs_hz))
    if t_pulse_s < 0:
        raise ConfigError("the pulse lies before the record", found=f"{t_pulse_s} s")
    if not ((f_start > 0) & (f_start < fs_hz / 2)).all():
        raise ConfigError("the start frequency must lie below half the sampling rate", found=f"{f_start.min():g} Hz")
    shortest = 1.5 * fs_hz / float(f_start.min())
    if block < shortest:
        raise ConfigError(
            "a block shorter than 1.5 carrier periods cannot tell signal from baseline",
            expected=f"at least {shortest:.0f} samples",
            found=str(block),
        )


def frequency(
    records: ArrayLike,
    fs_hz: float,
    t_pulse_s: float,
    model: str = "odd5",
    window: float = 0.37,
    *,
    f_start_hz: ArrayLike = 50e3,
    band_hz: float = 10e3,
    dead_s: float = 60e-6,
    block: int = 60,
    short_block: int = 44,
    noise_adc: ArrayLike | None = None,
    template: PhaseTemplate | None = None,
    phasors: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> FrequencyResult:
    """Extract the frequency at τ = 0 from a batch of records.

    Parameters
    ----------
    records
        Shape (n_fid, n_sample): int16 (fast path), uint16 (offset binary) or float.
    t_pulse_s
        Time of the effective pulse centre from the first sample.
    model
        One of :data:`MODELS`; ``template`` needs ``template``.
    window
        The fit ends where the amplitude first falls below this fraction of its peak.
    f_start_hz, band_hz
        Start value; a result farther away than ``band_hz`` is flagged ``OUT_OF_BAND``.
    noise_adc
        Known noise per sample near the carrier, scalar or per FID; measured from each record if absent.
    phasors
        Arrays (n_fid, n_block) to receive real and imaginary parts of the block phasors.

    Raises
    ------
    ConfigError, DataError
        Unknown model, impossible arguments or shapes. Bad single records do not raise: they come back as NaN with
        flags.
    """
    y, finite = _checked(records)
    start = np.ascontiguousarray(np.broadcast_to(np.asarray(f_start_hz, dtype=np.float64), (len(y),)))
    _check_arguments(model, fs_hz, t_pulse_s, min(block, short_block), start)
    if (model == "template") != (template is not None):
        raise ConfigError("model 'template' and a template go together")
    known = np.full(len(y), np.nan) if noise_adc is None else np.broadcast_to(np.asarray(noise_adc, float), (len(y),))
    if template is not None:
        block, dead_s = template.block, template.dead_s
        short_block = block
    powers = np.array(PHASE_MODELS["p1" if model == "template" else model], dtype=np.int64)
    out = np.full((len(y), N_OUTPUTS), np.nan)
    keep = phasors if phasors is not None else (_NO_ARRAY, _NO_ARRAY)
    pulse = t_pulse_s * fs_hz
    demodulate(
        y if finite.all() else np.where(finite[:, None], y, 0),
        float(fs_hz),
        float(pulse),
        float(dead_s * fs_hz),
        start,
        block,
        short_block,
        5 * powers.size,
        float(window),
        powers,
        np.ascontiguousarray(known, dtype=np.float64),
        np.zeros(0) if template is None else np.ascontiguousarray(template.phase),
        out,
        keep[0],
        keep[1],
    )
    columns = {name: out[:, k] for k, name in enumerate(OUTPUTS)}
    columns["noise_adc"] = columns.pop("noise")
    columns["amplitude_adc"] = columns.pop("amplitude")
    columns["phase_rad"] = columns.pop("phase")
    for name in ("f_hz", "sigma_hz"):
        columns[name][~finite] = np.nan
    flags = _flags(y, finite, columns, model, start, band_hz, int(pulse))
    return FrequencyResult(**columns, flags=flags)


def _flags(
    y: NDArray[Any],
    finite: NDArray[np.bool_],
    c: dict[str, NDArray[np.float64]],
    model: str,
    start: NDArray[np.float64],
    band_hz: float,
    pulse: int,
) -> NDArray[np.int64]:
    flags = np.zeros(len(y), dtype=np.int64)

    def mark(flag: Flag, where: NDArray[np.bool_]) -> None:
        flags[where] |= int(flag)

    mark(Flag.NOT_FINITE, ~finite)
    mark(Flag.NO_SIGNAL, finite & ~np.isfinite(c["f_hz"]))
    with np.errstate(invalid="ignore"):
        # 20 σ of a block's amplitude: below it the phase can slip by a turn.
        mark(Flag.LOW_AMPLITUDE, c["amplitude_adc"] <= 20 * c["noise_adc"] / np.sqrt(c["block"] / 2))
        mark(Flag.SHORT_WINDOW, c["n_blocks"] < 6)
        mark(Flag.NODE, c["rebound"] > 0.1 + 6 * c["noise_adc"] / (c["amplitude_adc"] * np.sqrt(c["block"] / 2)) + 0.37)
        mark(Flag.OUT_OF_BAND, np.abs(c["f_hz"] - start) > band_hz)
        mark(Flag.SPIKE, c["worst_residual"] > 8.0)
        mark(
            Flag.BAD_FIT,
            c["chi2"] > c["n_dof"] + 8 * np.sqrt(2 * c["n_dof"] + 2 * c["n_dof"] ** 2 / c["noise_dof"]) + 8,
        )
        if model == "odd5":
            mark(Flag.GRADIENT_LIMITED, np.abs(c["f_hz"] - c["f_odd3_hz"]) > 3 * c["sigma_hz"])
        if y.dtype == np.int16:
            touched = np.flatnonzero((y.max(axis=1) == 32767) | (y.min(axis=1) == -32768))
            full = ((y[touched] == 32767) | (y[touched] == -32768)).sum(axis=1) >= 3
            flags[touched[full]] |= int(Flag.SATURATION)
        if pulse > 64:
            before = y[:, : pulse - 5].mean(axis=1)
            after = y[:, -max(256, y.shape[1] // 16) :].mean(axis=1)
            mark(Flag.BASELINE_JUMP, np.abs(after - before) > 0.05 * c["amplitude_adc"])
    return flags


def make_template(
    records: ArrayLike, fs_hz: float, t_pulse_s: float, *, window: float = 0.10, block: int = 60, dead_s: float = 60e-6
) -> PhaseTemplate:
    """Average the residual phase of one probe over many FIDs (at least 50; 200 or more advised).

    Each FID is demodulated at its own ``odd5`` frequency, its phasors are turned to the phase of its first block and
    added; the argument of the sum is the template, up to where the sum falls below ``window`` of its peak.
    """
    y, _ = _checked(records)
    if len(y) < 50:
        raise DataError("a phase template needs many FIDs of one probe", expected="at least 50", found=str(len(y)))
    first = int(np.ceil((t_pulse_s + dead_s) * fs_hz))
    n_block = (y.shape[1] - first) // block
    re, im = np.zeros((len(y), n_block)), np.zeros((len(y), n_block))
    plain = frequency(y, fs_hz, t_pulse_s, dead_s=dead_s, block=block, short_block=block)
    again = frequency(
        y,
        fs_hz,
        t_pulse_s,
        f_start_hz=np.where(plain.is_good, plain.f_hz, 50e3),
        dead_s=dead_s,
        block=block,
        short_block=block,
        phasors=(re, im),
    )
    good = plain.is_good & again.is_good
    # The phasors are de-rotated with the start value of the last iteration; ``again`` started at the answer.
    tau = (first + 0.5 * (block - 1) + block * np.arange(n_block)) / fs_hz - t_pulse_s
    z = (re + 1j * im)[good]
    z *= np.abs(z[:, :1]) / z[:, :1]
    z *= np.exp(-2j * np.pi * (again.f_hz - again.f_demodulated_hz)[good, None] * (tau - tau[0])[None, :])
    total = z.sum(axis=0)
    size = np.abs(total)
    below = np.flatnonzero(size < window * np.maximum.accumulate(size))
    end = int(below[0]) if below.size else n_block
    return PhaseTemplate(np.unwrap(np.angle(total[:end])), block, dead_s, int(good.sum()))


def window_crlb(
    result: FrequencyResult, tau_start_s: float, fs_hz: float, modulus: NDArray[np.float64], model: str, snr: float
) -> NDArray[np.float64]:
    """Return the Cramér–Rao bound [Hz] of each FID for exactly the samples its blocks used.

    Parameters
    ----------
    tau_start_s
        Time of the first sample of the first block after the pulse.
    modulus
        |g| on the samples from there on.
    """
    n_used = (result.n_blocks * result.block).astype(int)
    bound = np.full(len(n_used), np.nan)
    for n in np.unique(n_used[n_used > 0]):
        tau = tau_start_s + np.arange(n) / fs_hz
        bound[n_used == n] = crlb(tau, modulus[:n], snr, "p1" if model == "template" else model)
    return bound
