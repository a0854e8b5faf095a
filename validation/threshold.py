"""Where the threshold of the T method should lie: N A² against the threshold for several acceptances and responses.

Quadrature of the closed laboratory formulas, independent of the simulation (but for the row with its geometry). With
S = ∫ n A and N = ∫ n above the threshold, d(S²/N)/dE = 0 means A(E) = ½ S/N: the local asymmetry is half the mean one.

Usage: python validation/threshold.py
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gminus2.detectors.acceptance import acceptance_map
from gminus2.physics.decay import E_MAX_MEV, lab_asymmetry, lab_spectrum

Array = np.ndarray
STEP = 5.0
EDGES = np.arange(0.0, 3600.0 + STEP, STEP)
E = 0.5 * (EDGES[1:] + EDGES[:-1])
P = 0.95


def spectrum(acceptance: Callable[[Array], Array]) -> tuple[Array, Array]:
    """Return n(E) and n(E) A(E) on the grid, A for 95 % polarisation."""
    y = np.minimum(E / E_MAX_MEV, 1.0)
    inside = E < E_MAX_MEV
    n = np.where(inside, lab_spectrum(y), 0.0) * acceptance(E)
    return n, n * P * np.where(inside, lab_asymmetry(y), 0.0)


def geometry() -> tuple[Array, Array]:
    """Return the same of the simulation's arcs: 24 faces, uniform field, no material."""
    edges = np.arange(0.0, 3600.1, 25.0)
    found = acceptance_map(
        np.zeros(1), np.zeros(1), decays=8_000_000, seed=3, energy_edges_mev=edges, spread_mm=(14.5, 12.7)
    )
    rate = found.rate[0, 0]
    a = P * found.asymmetry()[0, 0] * np.sign(found.z_real[0, 0])
    middle = 0.5 * (edges[1:] + edges[:-1])
    n = np.interp(E, middle, rate)
    return n, n * np.interp(E, middle, a)


def smeared(pair: tuple[Array, Array], scale: float = 1.0, resolution: bool = True) -> tuple[Array, Array]:
    """Return a spectrum seen with an energy scale and the resolution of the calorimeters."""
    sigma = E * np.hypot(0.015, 0.043 / np.sqrt(E / 1000.0)) if resolution else np.full(E.size, 0.3 * STEP)
    kernel = np.exp(-0.5 * ((E[:, None] - scale * E) / sigma) ** 2)
    kernel /= np.maximum(kernel.sum(axis=0), 1e-300)
    return kernel @ pair[0], kernel @ pair[1]


def with_tail(pair: tuple[Array, Array], share: float) -> tuple[Array, Array]:
    """Return a spectrum of which a share deposits only a part of its energy, every part equally likely."""
    tail = []
    for values in pair:
        # Energy E' = u E: density at E' is the integral over E > E' of values/E.
        over = values / E
        tail.append(np.cumsum(over[::-1])[::-1] * STEP)
    return tuple((1.0 - share) * v + share * t for v, t in zip(pair, tail, strict=True))  # type: ignore[return-value]


def report(title: str, pair: tuple[Array, Array]) -> None:
    n, s = (np.cumsum(v[::-1])[::-1] for v in pair)
    merit = s**2 / np.maximum(n, 1e-300)
    best = int(np.argmax(merit))
    mean = s / np.maximum(n, 1e-300)
    half = pair[1] / np.maximum(pair[0], 1e-300) - 0.5 * mean
    # The root of A(E) = mean/2 next to the optimum, by linear interpolation.
    k = best - 1 if half[best] > 0 else best
    root = E[k] - half[k] * STEP / (half[k + 1] - half[k])
    flat = EDGES[:-1][merit > 0.99 * merit[best]]
    at = round(1700.0 / STEP)
    print(
        f"{title:46s} {EDGES[best]:6.0f} {root:9.0f} {mean[best]:8.3f} {mean[at]:9.3f} {merit[at] / merit[best]:10.3f}"
        f"   {flat[0]:.0f} to {flat[-1]:.0f}"
    )


def main() -> None:
    print(f"{'':46s} best   A = mean/2  mean A  mean A   N A^2 at 1.7  within 1 %")
    print(f"{'acceptance or response':46s} MeV    MeV         there   at 1.7   over best     of the best, MeV")

    def rising(e: Array) -> Array:
        return 0.75 * np.minimum(1.0, e / 2350.0)

    plain, material, ours = spectrum(np.ones_like), spectrum(rising), geometry()
    report("none", plain)
    report("the simulation's geometry", ours)
    report("0.75 min(1, E/2350 MeV)", material)
    report("geometry times 0.75 min(1, E/2350 MeV)", (ours[0] * rising(E), ours[1] * rising(E)))
    report("geometry, resolution of the calorimeters", smeared(ours))
    for scale in (0.95, 0.90, 0.87):
        report(f"geometry, resolution, energy scale {scale:g}", smeared(ours, scale))
    for share in (0.1, 0.2, 0.3):
        report(f"geometry, resolution, low-energy tail {share:.0%}", smeared(with_tail(ours, share)))
        report(f"0.75 min(1, E/2350), resolution, tail {share:.0%}", smeared(with_tail(material, share)))
    n, s = (np.cumsum(v[::-1])[::-1] for v in smeared(ours))
    mean = np.clip(s / np.maximum(n, 1e-300), -1.0, 1.0)
    print("geometry and resolution, by threshold in GeV, over the best:")
    # The information of a wiggle of finite asymmetry: <sin^2/(1 + A cos)> = (1 - sqrt(1 - A^2))/A^2.
    for name, merit in (("N A^2", n * mean**2), ("1/sigma^2 ", 2.0 * n * (1.0 - np.sqrt(1.0 - mean**2)))):
        row = ", ".join(f"{e / 1000:.1f}: {merit[round(e / STEP)] / merit.max():.3f}" for e in range(1200, 2300, 100))
        print(f"  {name:9s} best at {EDGES[np.argmax(merit)]:.0f} MeV; {row}")


if __name__ == "__main__":
    main()
