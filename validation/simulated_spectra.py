"""What simulated datasets show, against what optics, decay law and truth say they must show.

Usage: python validation/simulated_spectra.py FOLDER DATASET…, where FOLDER is the output of ``gminus2 simulate``.
Fits here are plain scipy, independent of the package's own fit engine. The truth record is opened at the end.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import curve_fit

from gminus2.config import load_config
from gminus2.config.campaign import Campaign
from gminus2.constants import F_CYCLOTRON_MHZ, SPEED_OF_LIGHT_MM_PER_US
from gminus2.data.campaign import AXES, CampaignDataset
from gminus2.detectors.acceptance import acceptance_map
from gminus2.simulation.beams import lattice_of
from gminus2.units import omega_reference

Array = np.ndarray
WIDTH = AXES["time_width_us"]
FIRST = 202


def wiggle(t: Array, n: float, tau: float, a: float, r: float, phi: float) -> Array:
    return np.asarray(n * np.exp(-t / tau) * (1 + a * np.cos(2 * np.pi * 0.2291 * (1 + 1e-6 * r) * t + phi)))


def fit(counts: Array, last: int = 3300, a0: float = 0.37, phi0: float = 2.07) -> tuple[Array, Array, float]:
    t = WIDTH * (np.arange(counts.size) + 0.5)
    use = slice(FIRST, last)
    start = [counts[FIRST : FIRST + 29].mean() * 1.6, 64.4, a0, -85.0, phi0]
    sigma = np.sqrt(np.maximum(counts[use], 1.0))
    p, c = curve_fit(wiggle, t[use], counts[use], p0=start, sigma=sigma, absolute_sigma=True)
    model = wiggle(t[use], *p)
    for _ in range(2):  # Pearson weights: unbiased where counts are few
        p, c = curve_fit(wiggle, t[use], counts[use], p0=p, sigma=np.sqrt(model), absolute_sigma=True)
        model = wiggle(t[use], *p)
    return p, np.sqrt(np.diag(c)), float(np.sum((counts[use] - model) ** 2 / model) / (model.size - 5))


def projection(counts: Array, p: Array) -> tuple[complex, float]:
    """Return A e^{iφ} at the frequency and lifetime of a fit by linear least squares, and the error of each part."""
    t = WIDTH * (np.arange(counts.size) + 0.5)[FIRST:2500]
    y = counts[FIRST:2500]
    decay, angle = np.exp(-t / p[1]), 2 * np.pi * 0.2291 * (1 + 1e-6 * p[3]) * t
    design = np.stack([decay, decay * np.cos(angle), -decay * np.sin(angle)])
    weight = 1.0 / np.maximum(decay * y.sum() / decay.sum() * (1 + 0.3 * np.cos(angle + p[4])), 1e-9)
    covariance = np.linalg.inv((design * weight) @ design.T)
    n, c, s = covariance @ ((design * weight) @ y)
    return complex(c, s) / n, math.sqrt(covariance[1, 1]) / n


def line(residual: Array, low: float, high: float, step: float = WIDTH) -> tuple[float, float]:
    """Return the frequency and height (in units of the noise) of the largest line of pulls."""
    spectrum = np.abs(np.fft.rfft(residual, 8 * residual.size)) / math.sqrt(residual.size / 2)
    f = np.fft.rfftfreq(8 * residual.size, step)
    band = (f > low) & (f < high)
    k = int(np.argmax(np.where(band, spectrum, 0)))
    return float(f[k]), float(spectrum[k])


def drift_slope(total: Array, p: Array) -> tuple[float, float]:
    """Print A and phase by energy, frequency fixed; return the slope of the phase against ω_a L/c of the arcs."""
    arcs = acceptance_map(np.zeros(1), np.zeros(1), decays=2_000_000, seed=1, spread_mm=(14.5, 12.7))
    energy = 50.0 * (np.arange(64) + 0.5)
    sigma = np.hypot(0.043 * np.sqrt(energy * 1e3), 0.015 * energy)
    fold = np.exp(-0.5 * ((energy[:, None] - energy) / sigma) ** 2)
    fold /= fold.sum(axis=0)
    # Phases mix with the weight of the asymmetry when the resolution mixes energies.
    strength = fold @ (arcs.z_real[0, 0])
    drift = fold @ (arcs.z_real[0, 0] * arcs.path_mm[0, 0] / np.maximum(arcs.rate[0, 0], 1e-12))
    drift *= 1e3 * omega_reference / SPEED_OF_LIGHT_MM_PER_US
    reference = drift[34:].sum() / strength[34:].sum()
    print("\nasymmetry and phase by energy, frequency fixed to the fit above 1.7 GeV")
    print("  E GeV    A                phi_d - phi_d(1.7 GeV) mrad   omega_a L/c of the arcs, same difference")
    rows = []
    for k in range(34, 62, 2):
        z, error = projection(total[k : k + 2].sum(axis=0), p)
        expected = drift[k : k + 2].sum() / strength[k : k + 2].sum() - reference
        phase = 1e3 * (p[4] - np.angle(z))
        rows.append((50 * (k + 1), abs(z), error, phase, 1e3 * error / abs(z), expected))
    for centre, size, error, phase, width, expected in rows:
        print(f"  {centre / 1e3:.2f}   {size:.4f}({error:.4f})   {phase:+6.2f}({width:.2f})   {expected:+.2f}")
    _, _, _, y, s, x = (np.array(v) for v in zip(*rows, strict=True))
    design = np.stack([x, np.ones_like(x)]) / s
    covariance = np.linalg.inv(design @ design.T)
    slope, error = float((covariance @ (design @ (y / s)))[0]), math.sqrt(covariance[0, 0])
    print(f"  slope of the measured phase against the drift phase: {slope:.2f} +- {error:.2f} (expected 1)")
    return slope, error


def main(folder: Path, name: str, slopes: list[tuple[float, float]]) -> None:
    dataset = CampaignDataset.read(folder / f"{name}.h5")
    counts = dataset.reconstructions["global"]["counts"].astype(np.float64)
    campaign = load_config(folder / "campaign.toml", Campaign)
    beam = next(d.beam for d in campaign.datasets if d.name == name)
    lattice = lattice_of(beam)
    total = counts.sum(axis=0)
    above = total[34:].sum(axis=0)
    print(f"dataset {name}: {dataset.hits:,} hits, {above[FIRST:].sum():,.0f} positrons above 1.7 GeV after 30 us")
    p, e, chi2 = fit(above)
    print(
        f"5 parameters: tau {p[1]:.3f}({e[1]:.3f}) us, A {p[2]:.4f}({e[2]:.4f}), phi {p[4]:.4f}({e[4]:.4f}), "
        f"chi2/ndf {chi2:.3f} (CBO, losses and pileup are not in the model)"
    )

    slopes.append(drift_slope(total, p))
    print("\nT method: N A^2 by threshold, relative to its best")
    figures = {}
    for threshold in range(1200, 2300, 100):
        above_t = total[threshold // 50 :].sum(axis=0)
        q, s, _ = fit(above_t)
        figures[threshold] = 1.0 / s[3] ** 2
    best = max(figures.values())
    print("  " + ", ".join(f"{t / 1e3:.1f}: {v / best:.3f}" for t, v in figures.items()))

    # Weighted sum against the wave exp(i theta) around the ring: CBO and VW do not cancel.
    around = np.exp(1j * np.radians(15.0 * np.arange(24)))
    time = WIDTH * (np.arange(counts.shape[2]) + 0.5)
    pulls, ratio = [], []
    for k in range(24):
        one = counts[k, 34:].sum(axis=0)
        q, _, _ = fit(one, last=2000)
        model = wiggle(time, *q)
        pulls.append(((one - model) / np.sqrt(np.maximum(model, 1)))[FIRST:1600])
        ratio.append((one / np.maximum(model, 1e-9) - 1.0)[FIRST:800])
    stack = np.array(pulls)
    winding = (around.conj() @ stack).real / math.sqrt(12.0)
    f_cbo = F_CYCLOTRON_MHZ * (1 - lattice.nu_x_final)
    f_y = F_CYCLOTRON_MHZ * lattice.nu_y_final
    f_vw = F_CYCLOTRON_MHZ - 2 * f_y
    f, h = line(winding, 0.30, 0.50)
    print("\nlines of the residuals (height in noise units), optics at the final voltages")
    print(f"  CBO   {f:.4f} MHz, height {h:.1f}; optics {f_cbo:.4f}")
    early = np.array([(counts[k, 34:].sum(axis=0)) for k in range(24)])
    vw = []
    for k in range(24):  # the waist lives 15 to 25 us: look from 6 us on
        smooth = np.convolve(early[k], np.hanning(9) / np.hanning(9).sum(), "same")
        vw.append(((early[k] - smooth) / np.sqrt(np.maximum(smooth, 1)))[40:240])
    f, h = line((around.conj() @ np.array(vw)).real / math.sqrt(12.0), f_vw - 0.15, f_vw + 0.15)
    print(f"  VW    {f:.4f} MHz, height {h:.1f}; optics {f_vw:.4f} (at final voltages; from 6 to 36 us)")
    ratios = np.array(ratio)
    tt = time[FIRST:800]
    measured_f, _ = line(winding, f_cbo - 0.02, f_cbo + 0.02)
    phases = []
    for k in range(24):
        weight = early[k][FIRST:800]
        z = np.sum(weight * ratios[k] * np.exp(-2j * np.pi * measured_f * tt)) / weight.sum()
        phases.append(np.angle(z))
    slope = np.degrees(np.unwrap(phases))
    trend = np.polyfit(np.arange(24), slope, 1)
    scatter = np.std(slope - np.polyval(trend, np.arange(24)))
    print(f"  CBO phase: {trend[0]:+.2f} deg per calorimeter, scatter {scatter:.1f} deg (optics: -15)")

    fast = dataset.shared["fast_rotation"].sum(axis=0).astype(float)
    one = dataset.shared["fast_rotation"][0][4000:40_000].astype(float)
    kernel = np.ones(300) / 300
    smooth = np.convolve(one, kernel, "same")
    signal = (one / np.maximum(smooth, 1e-9) - 1.0)[300:-300]
    f, h = line(signal, 6.6, 6.8, 1e-3)
    slip = lattice.alpha_p - 1 / 29.3034**2
    f_mean = F_CYCLOTRON_MHZ * (1 - slip * beam.momentum_mean)
    print(f"  fast rotation {f:.4f} MHz; optics {f_mean:.4f}; {fast.sum():,.0f} hits in 1 ns bins")

    net = dataset.reconstructions["global"]["pileup_net"][:, :, FIRST:].sum(axis=(0, 2)).astype(float)
    high = total[:, FIRST:].sum(axis=1)
    s = slice(68, 128)
    data, shadow = high[s].sum(), net[s].sum()
    scale = data / shadow
    error = scale * math.sqrt(1 / data + 1 / shadow)
    print(
        f"  pileup above 3.4 GeV: {data:.0f} clusters, shadow windows predict {shadow:.0f}: {scale:.3f} +- {error:.3f}"
    )
    triples = dataset.reconstructions["global"]["coincidences"][:, 100:].sum(axis=1)
    dt = dataset.reconstructions["global"]["coincidence_dt"]
    peak = (np.argmax(dt) + 0.5) * 0.1
    print(f"  lost muons after 15 us: {triples[0]} triples, {triples[1]} and {triples[2]} accidentals,")
    print(f"  {triples[3]} quadruples; {peak:.2f} ns to the next calorimeter (15 deg of arc: 6.21)")
    x = AXES["position_min_mm"] + 2.0 * (np.arange(60) + 0.5)
    for station in (0, 1):
        px = dataset.shared["track_x"][station][:, FIRST:].sum(axis=1)
        py = dataset.shared["track_y"][station][:, FIRST:].sum(axis=1)
        mx, my = (px @ x) / px.sum(), (py @ x) / py.sum()
        sx, sy = (math.sqrt((q @ x**2) / q.sum() - m * m) for q, m in ((px, mx), (py, my)))
        print(f"  tracker {12 + 6 * station}: {px.sum()} tracks, x {mx:.2f} +- {sx:.2f}, y {my:.2f} +- {sy:.2f} mm")

    truth = json.loads((folder / "truth" / "truth.json").read_text())
    own = truth["datasets"][name]
    pool = own["pool"]
    shift = pool["electric_field_ppb"] + pool["pitch_ppb"]
    ensemble = -(pool["ensemble_C_e_ppb"] + pool["ensemble_C_p_ppb"])
    print("\ntruth (opened now)")
    print(f"  mean of the muons' own omega_a by E field and pitch: {shift:.3f} ppb from a e B/m;")
    print(f"  -(C_e + C_p) of the ensemble: {ensemble:.3f} ppb; difference {shift - ensemble:+.3f} ppb")
    f_true = own["f_a_mhz"] * (1 + 1e-9 * own["analysed_omega_a_shift_ppb"]) / (1 + truth["clock_offset"])
    r_true = (f_true / 0.2291 - 1) * 1e6
    pull = (p[3] - r_true) / e[3]
    print(f"  R of the 5-parameter fit {p[3]:.2f}({e[3]:.2f}) ppm, true {r_true:.2f}: pull {pull:+.2f}")
    print(f"  lost fraction {own['lost_fraction']:.4f}\n")


if __name__ == "__main__":
    found: list[tuple[float, float]] = []
    for dataset_name in sys.argv[2:] or ["a"]:
        main(Path(sys.argv[1]), dataset_name, found)
    weight = np.array([1 / e**2 for _, e in found])
    mean = float(weight @ np.array([v for v, _ in found]) / weight.sum())
    print(
        f"phase against drift phase, all datasets: slope {mean:.3f} +- {1 / math.sqrt(weight.sum()):.3f} (expected 1)"
    )
