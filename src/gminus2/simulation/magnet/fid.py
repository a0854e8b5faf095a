"""Free induction decays as the digitizer records them, in a fused kernel.

One pass over the samples makes signal (rotation recurrence times a tabulated envelope), baseline, noise and the ADC
code. The Gaussian noise comes from a counter-based hash and a tabulated inverse normal distribution, so that FID number
i of a stream is the same whatever the batch or the worker. See ``docs/physics/field.md`` §3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from gminus2.errors import ConfigError
from gminus2.physics.nmr import RecordFormat, Sample, envelope
from gminus2.random import key_words

__all__ = ["Baseline", "EnvelopeTable", "envelope_table", "simulate_fids"]

_BITS: Final = 12
_CELLS: Final = 1 << _BITS


@dataclass(frozen=True)
class Baseline:
    """What lies under the signal.

    Attributes
    ----------
    offset_adc
        Constant.
    after_pulse_fraction, after_pulse_ms
        Recovery of the receiver after the pulse: an exponential of this fraction of the amplitude.
    wander_adc, wander_hz
        Slow sinusoid with random phase.
    """

    offset_adc: float = 20.0
    after_pulse_fraction: float = 0.03
    after_pulse_ms: float = 2.0
    wander_adc: float = 0.0
    wander_hz: float = 300.0


#: No baseline at all.
FLAT: Final = Baseline(0.0, 0.0, 2.0, 0.0, 300.0)


@dataclass(frozen=True)
class EnvelopeTable:
    """Envelopes g(τ) for several (probe, gradient) classes on the samples of a record.

    Attributes
    ----------
    real, imag
        Shape (n_class, n_samples).
    mean_shift_hz
        f̄ − f(z = 0) of each class.
    """

    real: NDArray[np.float64]
    imag: NDArray[np.float64]
    mean_shift_hz: NDArray[np.float64]


def envelope_table(
    record: RecordFormat, sample: Sample, gradients_hz_per_mm: ArrayLike = 0.0, curvatures_hz_per_mm2: ArrayLike = 0.0
) -> EnvelopeTable:
    """Tabulate g(τ) on the samples of a record for a list of gradients and curvatures (broadcast together)."""
    first, second = np.broadcast_arrays(np.atleast_1d(gradients_hz_per_mm), np.atleast_1d(curvatures_hz_per_mm2))
    tau = (np.arange(record.n_samples) - record.pulse_sample) / record.fs_hz
    rows = [envelope(sample, tau, record.t2_ms, float(a), float(b)) for a, b in zip(first, second, strict=True)]
    g = np.stack([row[0] for row in rows])
    return EnvelopeTable(np.ascontiguousarray(g.real), np.ascontiguousarray(g.imag), np.array([row[1] for row in rows]))


@cache
def _inverse_normal() -> NDArray[np.float32]:
    """Return nodes of Φ⁻¹ on 4096 equal cells of probability; the two open ends are drawn exactly by the kernel.

    Linear interpolation inside the cells leaves a variance of 1.0004 and a kurtosis of 3.005.
    """
    nodes = ndtri(np.arange(_CELLS + 1) / _CELLS)
    nodes[0] = nodes[-1] = 0.0
    return nodes.astype(np.float32)


@njit(cache=True, nogil=True)
def _tail_normal(p: float) -> float:
    """Return Φ⁻¹(p) for small p (Beasley–Springer–Moro form of the tail, refined by one Newton step)."""
    r = np.log(-np.log(p))
    x = 0.3374754822726147 + r * (
        0.9761690190917186
        + r
        * (
            0.1607979714918209
            + r
            * (
                0.0276438810333863
                + r
                * (
                    0.0038405729373609
                    + r
                    * (
                        0.0003951896511919
                        + r * (0.0000321767881768 + r * (0.0000002888167364 + r * 0.0000003960315187))
                    )
                )
            )
        )
    )
    return float(-x)


@njit(cache=True, nogil=True, inline="always")
def _hash64(counter: Any) -> Any:
    """Mix a 64-bit counter (the finaliser of SplitMix64)."""
    z = counter
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True, nogil=True)
def _fill_normals(
    key: Any, out: NDArray[np.float32], nodes: NDArray[np.float32]
) -> None:  # pragma: no cover - compiled
    """Fill ``out`` (even length) with standard normals of stream ``key``."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    scale = np.float32(1.0 / (1 << (32 - 12)))
    for i in range(out.size // 2):
        h = _hash64(key + np.uint64(i + 1) * golden)
        for half in range(2):
            word = np.uint32(h >> np.uint64(32 * half))
            cell = np.int64(word >> np.uint32(20))
            rest = np.float32(word & np.uint32(0xFFFFF)) * scale
            if cell == 0:
                value = np.float32(_tail_normal(float(rest + np.float32(1e-7)) / 4096.0))
            elif cell == 4095:
                value = np.float32(-_tail_normal(float(np.float32(1.0) - rest) / 4096.0))
            else:
                value = nodes[cell] + rest * (nodes[cell + 1] - nodes[cell])
            out[2 * i + half] = value


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz", "arcp"})
def _fid_kernel(
    out: NDArray[np.int16],
    frequency: NDArray[np.float64],
    phase: NDArray[np.float64],
    amplitude: NDArray[np.float64],
    kind: NDArray[np.int64],
    g_re: NDArray[np.float64],
    g_im: NDArray[np.float64],
    slow: NDArray[np.float64],
    wander: NDArray[np.float64],
    noise_adc: float,
    lowpass: float,
    fs: float,
    pulse: float,
    keys: NDArray[np.uint64],
    nodes: NDArray[np.float32],
    normals: NDArray[np.float32],
) -> None:  # pragma: no cover - compiled
    """Write int16 records. ``slow`` holds offset and per-amplitude after-pulse tables, shape (2, n_samples)."""
    n_fid, n = out.shape
    cos_k = np.empty(16)
    sin_k = np.empty(16)
    for i in range(n_fid):
        step = 2.0 * np.pi * frequency[i] / fs
        for k in range(16):
            cos_k[k] = np.cos(step * k)
            sin_k[k] = np.sin(step * k)
        if noise_adc > 0.0:
            _fill_normals(keys[i], normals, nodes)
            if lowpass > 0.0:
                state1 = 0.0
                state2 = 0.0
                for j in range(n):
                    state1 += lowpass * (normals[j] - state1)
                    state2 += lowpass * (state1 - state2)
                    normals[j] = np.float32(state2)
        c = kind[i]
        a = amplitude[i]
        start = phase[i] - step * pulse
        for b in range(0, n, 16):
            # The phase of each block is computed afresh: no error builds up along the record.
            angle = start + step * b
            co = a * np.cos(angle)
            si = a * np.sin(angle)
            m = min(16, n - b)
            for k in range(m):
                re = co * cos_k[k] - si * sin_k[k]
                im = co * sin_k[k] + si * cos_k[k]
                y = re * g_re[c, b + k] - im * g_im[c, b + k] + slow[0, b + k] + a * slow[1, b + k]
                y += noise_adc * normals[b + k]
                out[i, b + k] = np.int16(min(max(np.floor(y + 0.5), -32768.0), 32767.0))
        if wander[i, 0] != 0.0:
            for j in range(n):
                extra = wander[i, 0] * np.sin(wander[i, 1] * j + wander[i, 2])
                out[i, j] = np.int16(min(max(np.floor(out[i, j] + extra + 0.5), -32768.0), 32767.0))


def simulate_fids(
    record: RecordFormat,
    table: EnvelopeTable,
    frequency_hz: ArrayLike,
    *,
    seed: int,
    key: tuple[int | str, ...] = ("fid",),
    kind: ArrayLike = 0,
    phase: ArrayLike | None = None,
    amplitude_adc: ArrayLike | None = None,
    baseline: Baseline = Baseline(),
    noise_lowpass_hz: float = 0.0,
    out: NDArray[np.int16] | None = None,
) -> NDArray[np.int16]:
    """Return digitized FIDs, shape (n_fid, n_samples), int16.

    Parameters
    ----------
    frequency_hz
        f̄ of each FID after mixing (near 50 kHz), shape (n_fid,).
    seed, key
        Random stream; the noise of FID i depends on them and on i only.
    kind
        Row of ``table`` for each FID.
    phase, amplitude_adc
        Per FID; uniform phases and the format's amplitude by default.
    noise_lowpass_hz
        Corner of a second-order low-pass on the noise (an anti-alias filter); ``record.noise_adc`` then is the level
        near DC, as seen by a demodulator well below the corner after the filter's gain is divided out.
    out
        Buffer to fill instead of allocating.

    Raises
    ------
    ConfigError
        A frequency outside (0, fs/2).
    """
    frequency = np.atleast_1d(np.asarray(frequency_hz, dtype=np.float64))
    n = len(frequency)
    if not (np.isfinite(frequency).all() and (frequency > 0).all() and (frequency < record.fs_hz / 2).all()):
        raise ConfigError(
            "FID frequencies must lie between 0 and half the sampling rate",
            expected=f"0 … {record.fs_hz / 2:g} Hz",
            found=f"{np.min(frequency):g} … {np.max(frequency):g} Hz",
        )
    words = key_words(seed, *key, words=2)
    index = np.arange(n, dtype=np.uint64)
    # Far-apart 64-bit keys per FID: hash of the stream's key and the FID's number.
    with np.errstate(over="ignore"):
        mixed = words[0] + index * np.uint64(0xD1B54A32D192ED03)
        mixed ^= mixed >> np.uint64(32)
        mixed *= np.uint64(0xDABA0B6EB09322E3)
        keys = (mixed ^ (mixed >> np.uint64(29))) ^ words[1]
    generator = np.random.Generator(np.random.Philox(key=words))
    random_phase = generator.uniform(0.0, 2 * np.pi, n)
    phases = random_phase if phase is None else np.broadcast_to(np.asarray(phase, dtype=np.float64), (n,))
    wander = np.zeros((n, 3))
    if baseline.wander_adc:
        wander[:, 0] = baseline.wander_adc
        wander[:, 1] = 2 * np.pi * baseline.wander_hz / record.fs_hz
        wander[:, 2] = generator.uniform(0.0, 2 * np.pi, n)
    amplitude = np.broadcast_to(
        np.asarray(record.amplitude_adc if amplitude_adc is None else amplitude_adc, dtype=np.float64), (n,)
    )
    tau = (np.arange(record.n_samples) - record.pulse_sample) / record.fs_hz
    slow = np.zeros((2, record.n_samples))
    slow[0] = baseline.offset_adc
    after = tau >= 0
    slow[1, after] = baseline.after_pulse_fraction * np.exp(-tau[after] / (baseline.after_pulse_ms * 1e-3))
    records = np.empty((n, record.n_samples), dtype=np.int16) if out is None else out
    lowpass = 0.0
    if noise_lowpass_hz > 0:
        lowpass = 1.0 - np.exp(-2 * np.pi * noise_lowpass_hz / record.fs_hz)
    _fid_kernel(
        records,
        frequency,
        np.ascontiguousarray(phases, dtype=np.float64),
        np.ascontiguousarray(amplitude),
        np.ascontiguousarray(np.broadcast_to(np.asarray(kind, dtype=np.int64), (n,))),
        table.real,
        table.imag,
        slow,
        wander,
        float(record.noise_adc),
        float(lowpass),
        float(record.fs_hz),
        float(record.pulse_sample),
        keys,
        _inverse_normal(),
        np.zeros(record.n_samples + record.n_samples % 2, dtype=np.float32),
    )
    return records
