"""Sampled decays against the closed forms of the laboratory (1e8), and arcs against the derived acceptance table.

Prints three tables; nothing is asserted. About a minute on one core.
"""

from __future__ import annotations

import itertools
import math
import sys

import numpy as np
from numba import njit

from gminus2.constants import GAMMA_MAGIC, SPEED_OF_LIGHT_MM_PER_US
from gminus2.detectors.acceptance import acceptance_map
from gminus2.physics.decay import (
    E_MAX_MEV,
    ELECTRON_MASS_MEV,
    W_MEV,
    asymmetry_above,
    fraction_above,
    lab_asymmetry,
    lab_spectrum,
    michel_quantile_table,
    positron,
)
from gminus2.physics.numerics import philox, uniform
from gminus2.units import omega_reference


@njit(cache=True, nogil=True)
def _spectra(n, table, bins, up, down):  # type: ignore[no-untyped-def]
    """Histogram the energies of decays with the spin along (up) and against (down) the momentum, half each."""
    cells = table.size - 1
    for i in range(n):
        w = philox(i & 0xFFFFFFFF, i >> 32, 7, 0, 2021, 4)
        u = uniform(w[0]) * cells
        c = int(u)
        x = table[c] + (u - c) * (table[c + 1] - table[c])
        sign = 1.0 if w[3] & 1 else -1.0
        e, _, _, _ = positron(x, uniform(w[1]), uniform(w[2]), 0.0, sign, 0.0, 1.0, 1.0, GAMMA_MAGIC, 0.0, 0.0)
        k = min(bins - 1, int(e / E_MAX_MEV * bins))
        if sign > 0:
            up[k] += 1
        else:
            down[k] += 1


def _finite_gamma(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return per bin of y the decays, and the difference of spin along and against, by quadrature over x.

    At fixed x the energy is γ(E* + β p* c) with dP/dc = (1 ± a c)/2, so the bin's share is elementary in c.
    """
    nodes, weights = np.polynomial.legendre.leggauss(4000)
    x, w = 0.5 * (nodes + 1.0), 0.5 * weights
    e_rest = np.maximum(x * W_MEV, ELECTRON_MASS_MEV)
    p_rest = np.sqrt(e_rest**2 - ELECTRON_MASS_MEV**2)
    u = math.sqrt(GAMMA_MAGIC**2 - 1.0)
    a = (2.0 * x - 1.0) / (3.0 - 2.0 * x)
    density = w * 2.0 * x**2 * (3.0 - 2.0 * x)
    with np.errstate(divide="ignore", invalid="ignore"):
        c = np.clip((edges[:, None] * E_MAX_MEV - GAMMA_MAGIC * e_rest) / (u * p_rest), -1.0, 1.0)
    c = np.where(np.isfinite(c), c, 1.0)
    plain = (0.5 * (c + 1.0)) @ density
    wave = (0.25 * (c**2 - 1.0)) @ (density * a)
    return np.diff(plain), np.diff(wave)


def _closed_asymmetry(edges: np.ndarray) -> np.ndarray:
    means = []
    for low, high in itertools.pairwise(edges):
        y = np.linspace(low, high, 201)[1:-1]
        means.append(float(np.average(lab_asymmetry(y), weights=lab_spectrum(y))))
    return np.array(means)


def main(decays: int) -> None:
    bins = 100
    up, down = np.zeros(bins), np.zeros(bins)
    _spectra(decays, michel_quantile_table(1 << 16), bins, up, down)
    edges = np.linspace(0.0, 1.0, bins + 1)
    expected = -decays * np.diff(fraction_above(edges))
    total = up + down
    chi2 = float(np.sum((total - expected) ** 2 / expected))
    exact, difference = _finite_gamma(edges)
    exact_chi2 = float(np.sum((total - decays * exact) ** 2 / (decays * exact)))
    closed = _closed_asymmetry(edges)
    asymmetry = (up - down) / total
    error = np.sqrt(np.maximum(1.0 - asymmetry**2, 1e-3) / total)
    print(f"{decays:.0e} decays without acceptance, {bins} bins of y = E/E_max")
    print(f"  N(y): chi2/ndf {chi2:.1f}/{bins} with the closed form (gamma to infinity),")
    print(f"        {exact_chi2:.1f}/{bins} with the integral at gamma 29.3 and the electron's mass;")
    largest = 1e6 * float(np.abs(exact - expected / decays).max())
    print(f"        the two differ by at most {largest:.0f} ppm of the decays in a bin")
    print(f"  A(y): chi2/ndf {float(np.sum(((asymmetry - closed) / error) ** 2)):.1f}/{bins} with the closed form,")
    pull = (asymmetry - difference / exact) / error
    print(f"        {float(np.sum(pull**2)):.1f}/{bins} with the integral, largest pull {np.abs(pull).max():.2f}")
    print("   y_th   fraction   formula     A above   formula   pull(f)  pull(A)")
    for y in (0.3, 0.55, 0.611, 0.8):
        k = round(y * bins)
        yk = k / bins
        n, a = total[k:].sum(), (up[k:].sum() - down[k:].sum()) / total[k:].sum()
        f = float(fraction_above(yk))
        pf = (n / decays - f) / math.sqrt(f * (1 - f) / decays)
        pa = (a - float(asymmetry_above(yk))) * math.sqrt(n / (1 - a * a))
        print(
            f"   {yk:.2f}   {n / decays:.6f}   {f:.6f}   {a:.5f}   {float(asymmetry_above(yk)):.5f}"
            f"   {pf:+.2f}   {pa:+.2f}"
        )

    n = max(1, decays // 20)
    print(f"\nacceptance, uniform field, beam 14.5 x 12.7 mm, P = 1, {n:.0e} decays (table value in brackets)")
    print("  E MeV   accept.         A               L m           phi_d mrad")
    m = acceptance_map(np.zeros(1), np.zeros(1), decays=n, seed=2, spread_mm=(14.5, 12.7))
    table = {550: (0.227, -0.159, 0.78, None), 1050: (0.371, -0.066, 1.19, None), 1550: (0.528, 0.078, 1.67, None)}
    table |= {2050: (0.749, 0.282, 2.34, 11.1), 2350: (0.952, 0.439, 2.97, 14.2), 2550: (0.995, 0.562, 3.48, 16.6)}
    table |= {2850: (0.998, 0.780, 4.99, 23.6), 2950: (0.999, 0.862, 6.35, 30.0)}
    for energy, (acc, a_ref, l_ref, phi_ref) in table.items():
        s = slice(energy // 50 - 1, energy // 50 + 1)
        rate = m.rate[0, 0, s].sum()
        share = float(fraction_above((energy - 50) / E_MAX_MEV) - fraction_above((energy + 50) / E_MAX_MEV))
        z = complex(m.z_real[0, 0, s].sum(), m.z_imag[0, 0, s].sum()) / rate
        length = m.path_mm[0, 0, s].sum() / rate / 1e3
        phi = "-" if phi_ref is None else f"{1e3 * math.atan2(z.imag, z.real):.1f} ({phi_ref})"
        print(
            f"  {energy}   {rate / share:.3f} ({acc})   {math.copysign(abs(z), z.real):+.3f} ({a_ref:+.3f})"
            f"   {length:.2f} ({l_ref})   {phi}"
        )
    rate, a, phi = (float(v[0, 0]) for v in m.above(1700.0))
    high = m.energy_edges_mev[:-1] >= 1700.0
    length = float((m.path_mm[0, 0, high]).sum() / m.rate[0, 0, high].sum() / 1e3)
    print(f"  hits per decay {m.rate.sum():.4f} (0.399)")
    print(
        f"  above 1.7 GeV: {rate:.4f} (0.176), A {a:.4f} (0.3855), phi_d {1e3 * phi:.1f} (17.0(7)) mrad,"
        f" L {length:.2f} (2.86) m"
    )
    print(f"  omega_a L/c {1e3 * omega_reference * length * 1e3 / SPEED_OF_LIGHT_MM_PER_US:.1f} mrad")
    best, previous = max(
        (float(m.above(t)[0][0, 0] * m.above(t)[1][0, 0] ** 2), t) for t in np.arange(1000.0, 2600.0, 50.0)
    )
    print(f"  optimum threshold of N A^2 with acceptance: {previous:.0f} MeV (NA^2 {best:.5f})")

    ys = np.array([0.0, 10.0, 20.0, 30.0, 40.0])
    m = acceptance_map(np.zeros(1), ys, decays=n // 2, seed=3)
    phase = m.above(1700.0)[2][0]
    print("\nphase map, phi_d(0, y) - phi_d(0, 0) in mrad (0.43, 2.8, 8.0, 16.1 at 10, 20, 30, 40 mm)")
    print("  " + ", ".join(f"{1e3 * (p - phase[0]):.2f}" for p in phase[1:]))
    m = acceptance_map(np.array([-30.0, 30.0]), np.zeros(1), decays=n, seed=4)
    rate2, _, phase2 = (v[:, 0] for v in m.above(1700.0))
    print(
        f"  d phi_d/dx = {1e3 * (phase2[1] - phase2[0]) / 60.0:.4f} mrad/mm (0.055), "
        f"N(x): {100 * math.log(rate2[1] / rate2[0]) / 60.0:.3f} %/mm (-0.20)"
    )


if __name__ == "__main__":
    main(int(float(sys.argv[1])) if len(sys.argv) > 1 else 100_000_000)
