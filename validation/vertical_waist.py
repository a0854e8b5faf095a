"""CBO and vertical waist in the expected rate of each calorimeter: frequency, size, and advance around the ring.

Without counting noise both lines stand out from single calorimeters. Constant voltages, so that the optics give one
frequency each. Usage: python validation/vertical_waist.py [MUONS]; 25 ms of CPU per muon.
"""

from __future__ import annotations

import math
import sys

import numpy as np

from gminus2.config.campaign import load_campaign
from gminus2.constants import F_CYCLOTRON_MHZ
from gminus2.data.campaign import AXES
from gminus2.detectors.acceptance import acceptance_map
from gminus2.simulation.dataset import prepare_dataset
from gminus2.simulation.expected import expected_rate, project_acceptance
from gminus2.simulation.truth import draw_nature


def main(muons: int) -> None:
    campaign = load_campaign("only-cbo")
    simulation = prepare_dataset(campaign, 0, draw_nature(campaign.truth))
    simulation = prepare_dataset(
        campaign.model_copy(update={"effects": campaign.effects.model_copy(update={"polarisation": False})}),
        0,
        simulation.nature,
    )
    acceptance = project_acceptance(simulation.pool, decays=1_000_000, seed=1)
    rate = expected_rate(
        simulation.pool,
        acceptance,
        muons=muons,
        decays=1e9,
        clock_offset=0.0,
        resolution_stochastic=0.043,
        resolution_constant=0.015,
    ).above(1700.0)
    width = AXES["time_width_us"]
    window = slice(30, 230)  # the waist decoheres within 40 µs
    time = width * (np.arange(rate.shape[1]) + 0.5)[window]
    ratio = []
    for k in range(24):
        y = rate[k, window] * np.exp(time / 64.4)
        trend = np.polynomial.Polynomial.fit(time, y, 2)
        ratio.append(y / trend(time) - 1.0)
    signal = np.array(ratio) * np.hanning(time.size)
    nu_x, nu_y = (simulation.pool.truth[name] for name in ("nu_x", "nu_y"))
    f_cbo, f_vw = F_CYCLOTRON_MHZ * (1 - nu_x), F_CYCLOTRON_MHZ * (1 - 2 * nu_y)
    print(f"unpolarised beam, {muons} muons integrated, constant voltages, {time[0]:.1f} to {time[-1]:.1f} us")
    for name, optics in (("CBO", f_cbo), ("vertical waist", f_vw)):
        grid = np.arange(optics - 0.06, optics + 0.06, 0.0005)
        wave = np.exp(-2j * math.pi * grid[:, None] * time)
        spectrum = signal @ wave.T  # (24, grid)
        power = (np.abs(spectrum) ** 2).sum(axis=0)
        best = int(np.argmax(power))
        outside = np.abs(signal @ np.exp(-2j * math.pi * (optics + np.array([-0.25, 0.25]))[:, None] * time).T)
        size = 2.0 * np.abs(spectrum[:, best]) / np.hanning(time.size).sum()
        phase = np.degrees(np.unwrap(np.angle(spectrum[:, best])))
        trend = np.polyfit(np.arange(24), phase, 1)
        scatter = float(np.std(phase - np.polyval(trend, np.arange(24))))
        noise = 2.0 * outside.mean() / np.hanning(time.size).sum()
        print(f"  {name}: {grid[best]:.4f} MHz (optics {optics:.4f}),")
        print(f"    amplitude {size.mean():.5f} (background {noise:.5f}),")
        print(f"    phase advances {trend[0]:+.2f} deg per calorimeter, scatter {scatter:.1f} deg (once around: 15)")
    beam = campaign.datasets[0].beam
    static = acceptance_map(np.array([-12.0, 0.0, 12.0]), np.zeros(1), decays=600_000, seed=1)
    low, mid, high = static.above(1700.0)[0][:, 0]
    slope = (high - low) / (24.0 * mid)
    print(
        f"  static map: dlnN/dx = {100 * slope:+.2f} %/mm; {beam.cbo_amplitude_mm:g} mm of CBO: "
        f"{abs(slope) * beam.cbo_amplitude_mm:.4f} before decoherence and without the beam's angles"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
