"""Electric field and pitch on and off without counting noise: does C_e + C_p undo the shift of ω_a?

Usage: ``python validation/beam_paired.py ON OFF CAMPAIGN DATASET``: two folders of ``simulate --mode expected`` that
differ by ``--without electric_field --without pitch``, and an ``events`` folder of the same campaign, from whose
histograms the corrections are measured. The same five-parameter fit is made of both rates; what it leaves out (CBO) is
common and cancels in the difference.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy.optimize import curve_fit

from gminus2.beam.campaign import analyse_dataset
from gminus2.data.campaign import AXES, CampaignDataset
from gminus2.simulation.expected import ExpectedRate
from gminus2.units import omega_reference


def wiggle(t: np.ndarray, n: float, tau: float, a: float, r_ppm: float, phi: float) -> np.ndarray:
    """Return the five-parameter rate; R in ppm of the reference."""
    return np.asarray(n * np.exp(-t / tau) * (1.0 + a * np.cos(omega_reference * (1.0 + 1e-6 * r_ppm) * t + phi)))


def fitted_ppm(rate: ExpectedRate) -> float:
    """Return R of a five-parameter fit of all calorimeters above 1.7 GeV, 30 to 400 µs."""
    counts = rate.above(1700.0).sum(axis=0)
    t = AXES["time_width_us"] * (np.arange(counts.size) + 0.5)
    inside = (t > 30.0) & (t < 400.0)
    counts, t = counts[inside], t[inside]
    start = (counts[:30].mean() * np.exp(30.0 / 64.4), 64.4, 0.36, -90.0, 2.08)
    values, _ = curve_fit(wiggle, t, counts, p0=start, sigma=np.sqrt(np.maximum(counts, 1.0)))
    return float(values[3])


def main() -> None:
    """Print the comparison."""
    name = sys.argv[4]
    on, off = (ExpectedRate.read(Path(folder) / f"{name}-expected.h5") for folder in sys.argv[1:3])
    shift = 1e3 * (fitted_ppm(on) - fitted_ppm(off))
    analysis = analyse_dataset(CampaignDataset.read(Path(sys.argv[3]) / f"{name}.h5"))
    parts = [analysis.corrections[name] for name in ("C_e", "C_p")]
    total = sum(c.value_ppb for c in parts)
    error = np.hypot(*(c.uncertainty_ppb for c in parts))
    print(f"fitted shift of omega_a by electric field and pitch: {shift:8.1f} ppb")
    print(f"C_e + C_p from the detectors:                        {total:8.1f} +- {error:.1f} ppb")
    print(f"left after the correction:                           {shift + total:8.1f} ppb")


if __name__ == "__main__":
    main()
