"""Mode ``expected``: the rate itself, integrated over the ensemble, without counting noise.

The acceptance of a decay depends on the muon's (x, x', y, y'). It is written as a polynomial in these four, per
positron energy and for the three projections of the analytic-spin-weight method (rate, Re z, Im z): the coefficients
are the least-squares projection of simulated arcs of this very beam onto the polynomials, so that ensemble averages
of the polynomials are unbiased. Then the rate at calorimeter k and time t is a sum over muons,

    N_k(E, t) ∝ Σ_i e^(−t/γ_iτ)/γ_iτ · [t < loss_i] · Σ_b p_b(x_i, x'_i, y_i, y'_i) [c_b(E) + P Re(z_b(E) e^{iψ_i(t)})],

with positions at the azimuth of the decays that feed the calorimeter. There is no pileup and no gain; the energy
resolution is folded in. Differences of two such rates, one effect changed, are exact to the numerical precision.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gminus2.constants import RING_RADIUS_MM, SPEED_OF_LIGHT_MM_PER_US
from gminus2.data import Provenance, StoredArray, StoredArrays, read_arrays, write_arrays
from gminus2.data.campaign import AXES
from gminus2.detectors.arcs import CALORIMETER_AZIMUTH_DEG, first_face
from gminus2.physics.decay import michel_energy, michel_quantile_table, rest_momentum
from gminus2.physics.numerics import philox, sincos_turns, uniform
from gminus2.random import key_words
from gminus2.simulation.pool import MuonPool, muon_state
from gminus2.units import omega_reference

__all__ = ["Acceptance", "ExpectedRate", "expected_rate", "project_acceptance", "true_rate"]

Array = NDArray[np.float64]

_KIND: Final = "expected-rate"
#: Polynomials of (x, x', y, y'): 1, x, x', x², x x', x'², y², y y', y'², y⁴, x y².
_TERMS: Final = 11
_ENERGIES: Final = 64
#: Scales that make the polynomials of order one: 10 mm and 2 mrad.
_MM: Final = 0.1
_RAD: Final = 500.0
#: Mean azimuth between a decay and the calorimeter it feeds: ⟨L⟩ ≈ 2.86 m above 1.7 GeV.
_UPSTREAM_TURNS: Final = 2860.0 / (2.0 * math.pi * RING_RADIUS_MM)


@dataclass(frozen=True)
class Acceptance:
    """Coefficients of (rate, Re z, Im z), shape (3, 11, 64 energies of 50 MeV), for hits per decay in all 24."""

    coefficients: Array
    decays: int


@dataclass(frozen=True)
class ExpectedRate:
    """Expected counts by (calorimeter, energy in 50 MeV up to 3.2 GeV, time in 149.2 ns), shape (24, 64, 4700).

    ``muons`` of the pool were integrated; the counts are scaled to ``decays`` muon decays.
    """

    counts: Array
    decays: float
    muons: int

    def above(self, threshold_mev: float) -> Array:
        """Return (24, 4700) expected counts above a threshold on a bin edge."""
        total: Array = self.counts[:, round(threshold_mev / AXES["energy_width_mev"]) :].sum(axis=1)
        return total

    def write(self, path: Path, provenance: Provenance) -> None:
        """Write to HDF5 (kind ``expected-rate``)."""
        arrays = {"counts": StoredArray(self.counts, "1", "expected counts by (calorimeter, energy, time)")}
        attributes = {"decays": self.decays, "muons": self.muons}
        write_arrays(path, StoredArrays(_KIND, arrays, attributes, provenance))

    @classmethod
    def read(cls, path: Path) -> ExpectedRate:
        """Read a rate back."""
        stored = read_arrays(path, _KIND)
        return cls(stored["counts"], float(stored.attributes["decays"]), int(stored.attributes["muons"]))


@njit(cache=True)
def _polynomials(x, slope_x, y, slope_y, out):  # type: ignore[no-untyped-def]
    x *= _MM
    y *= _MM
    a = slope_x * _RAD
    b = slope_y * _RAD
    out[0] = 1.0
    out[1] = x
    out[2] = a
    out[3] = x * x
    out[4] = x * a
    out[5] = a * a
    out[6] = y * y
    out[7] = y * b
    out[8] = b * b
    out[9] = y * y * y * y
    out[10] = x * y * y


@njit(cache=True, nogil=True)
def _project(rows, functions, coefficients, step_us, quantiles, decays, k0, k1, gram, moments):  # type: ignore[no-untyped-def]
    lat = np.empty(12)
    basis = np.empty(_TERMS)
    for i in range(decays):
        row = rows[i % rows.shape[0]]
        a = philox(i & 0xFFFFFFFF, i >> 32, 0, 0, k0, k1)
        b = philox(i & 0xFFFFFFFF, i >> 32, 1, 0, k0, k1)
        t = 10.0 - row[12] * math.log(uniform(a[0]))
        _, x, y, slope_x, slope_y, _, _ = muon_state(row, functions, coefficients, step_us, t, t - row[0], lat)
        _polynomials(x, slope_x, y, slope_y, basis)
        for m in range(_TERMS):
            for n in range(_TERMS):
                gram[m, n] += basis[m] * basis[n]
        michel = michel_energy(uniform(a[1]), quantiles)
        cosine = 2.0 * uniform(a[2]) - 1.0
        sine = math.sqrt(1.0 - cosine * cosine)
        sa, ca = sincos_turns(uniform(a[3]))
        d_s, d_r, d_y = cosine, sine * sa, sine * ca
        e_rest, p_rest = rest_momentum(michel)
        gamma = row[13]
        u = math.sqrt(gamma * gamma - 1.0)
        energy = gamma * e_rest + u * p_rest * d_s
        p_s = gamma * p_rest * d_s + u * e_rest
        bin_e = int(energy / 50.0)
        station, _, _, path, _ = first_face(
            2.0 * math.pi * uniform(b[0]),
            RING_RADIUS_MM + x,
            y,
            p_rest * d_r + slope_x * p_s,
            p_s,
            p_rest * d_y + slope_y * p_s,
            1.0,
        )
        if station < 0 or bin_e >= _ENERGIES:
            continue
        weight = (2.0 * michel - 1.0) / (3.0 - 2.0 * michel)
        phase = omega_reference * path / SPEED_OF_LIGHT_MM_PER_US
        co = math.cos(phase)
        si = math.sin(phase)
        re = weight * (d_s * co + d_r * si)
        im = weight * (d_s * si - d_r * co)
        for m in range(_TERMS):
            moments[0, m, bin_e] += basis[m]
            moments[1, m, bin_e] += re * basis[m]
            moments[2, m, bin_e] += im * basis[m]


def project_acceptance(pool: MuonPool, *, decays: int, seed: int) -> Acceptance:
    """Return the acceptance polynomials of a pool's own beam from ``decays`` simulated positrons (0.5 µs each)."""
    key = key_words(seed, "expected-acceptance")
    gram, moments = np.zeros((_TERMS, _TERMS)), np.zeros((3, _TERMS, _ENERGIES))
    f = pool.factors
    _project(
        pool.rows,
        f.functions,
        f.coefficients,
        f.step_us,
        michel_quantile_table(),
        decays,
        int(key[0] & np.uint64(0xFFFFFFFF)),
        int(key[0] >> np.uint64(32)),
        gram,
        moments,
    )
    solved = np.linalg.solve(gram, moments.transpose(1, 0, 2).reshape(_TERMS, -1)).reshape(_TERMS, 3, _ENERGIES)
    return Acceptance(np.ascontiguousarray(solved.transpose(1, 0, 2)), decays)


@njit(cache=True, nogil=True)
def _accumulate(rows, functions, coefficients, step_us, first_calo, width, clock, start_us, plain, cosine, sine):  # type: ignore[no-untyped-def]
    lat = np.empty(12)
    basis = np.empty(_TERMS)
    n_time = plain.shape[2]
    for i in range(rows.shape[0]):
        row = rows[i]
        period = 1.0 / row[1]
        for k in range(24):
            azimuth = first_calo + k / 24.0 - _UPSTREAM_TURNS
            azimuth -= math.floor(azimuth)
            for n in range(n_time):
                t = (n + 0.5) * width / clock
                if t < start_us or t > row[11]:
                    continue
                # The passage of this azimuth nearest to the middle of the bin.
                turns = math.floor((t - row[0]) / period - azimuth + 0.5) + azimuth
                if turns < 0.0:
                    continue
                elapsed = turns * period
                _, x, y, slope_x, slope_y, _, _ = muon_state(
                    row, functions, coefficients, step_us, row[0] + elapsed, elapsed, lat
                )
                weight = math.exp(-(t - row[0]) / row[12]) / row[12]
                s, c = sincos_turns(row[10] * (t - row[0]) + row[9])
                _polynomials(x, slope_x, y, slope_y, basis)
                for m in range(_TERMS):
                    value = weight * basis[m]
                    plain[k, m, n] += value
                    cosine[k, m, n] += value * c
                    sine[k, m, n] += value * s


def true_rate(
    pool: MuonPool,
    acceptance: Acceptance,
    *,
    muons: int,
    decays: float,
    clock_offset: float,
    first_muon: int = 0,
    losses: bool = True,
    start_us: float = 4.0,
) -> Array:
    """Return the expected hits by (calorimeter, true energy in 50 MeV, time), shape (24, 64, 4700).

    Parameters
    ----------
    muons, first_muon
        Muons of the pool that are integrated.
    losses
        Whether a muon ends at its loss time.
    start_us
        Earlier bins stay empty.
    """
    n_time, width = int(AXES["n_time"]), AXES["time_width_us"]
    sums = [np.zeros((24, _TERMS, n_time)) for _ in range(3)]
    f = pool.factors
    rows = np.array(pool.rows[first_muon : first_muon + muons])
    if not losses:
        rows[:, 11] = np.inf
    clock = 1.0 + clock_offset
    _accumulate(
        rows,
        f.functions,
        f.coefficients,
        f.step_us,
        CALORIMETER_AZIMUTH_DEG / 360.0,
        width,
        clock,
        start_us,
        *sums,
    )
    c = acceptance.coefficients
    counts = np.empty((24, _ENERGIES, n_time))
    scale = decays * width / clock / rows.shape[0] / 24.0
    for k in range(24):
        # 1 + A cos(ψ − φ_d) with z = A e^{iφ_d}: Re z cos ψ + Im z sin ψ.
        total = c[0].T @ sums[0][k]
        total += pool.polarisation * (c[1].T @ sums[1][k] + c[2].T @ sums[2][k])
        counts[k] = scale * total
    return counts


def expected_rate(
    pool: MuonPool,
    acceptance: Acceptance,
    *,
    muons: int,
    decays: float,
    clock_offset: float,
    resolution_stochastic: float,
    resolution_constant: float,
    start_us: float = 4.0,
) -> ExpectedRate:
    """Return the expected counts of ``decays`` muons, integrated over the first ``muons`` of the pool.

    Parameters
    ----------
    start_us
        Earlier bins stay empty.
    """
    counts = true_rate(pool, acceptance, muons=muons, decays=decays, clock_offset=clock_offset, start_us=start_us)
    energy = AXES["energy_width_mev"] * (np.arange(_ENERGIES) + 0.5)
    sigma = np.hypot(resolution_stochastic * np.sqrt(energy * 1e3), resolution_constant * energy)
    fold = np.exp(-0.5 * ((energy[:, None] - energy) / sigma) ** 2)
    fold /= fold.sum(axis=0)
    for k in range(24):
        counts[k] = fold @ counts[k]
    return ExpectedRate(counts, decays, min(muons, pool.rows.shape[0]))
