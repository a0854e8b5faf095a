"""Tables of the field side against published and derived numbers: CRLB ratios, calibration, gains, tracking, kernels.

    python validation/field_tables.py

Output: docs/validation/field_tables.md.
"""

from __future__ import annotations

import numpy as np

from gminus2.field.calibration import absolute_table
from gminus2.field.frequency import frequency, window_crlb
from gminus2.field.tracking import average_sigma, kalman_smoother, linear_track
from gminus2.field.transients import decay_kernel, fit_kernel
from gminus2.field.trolley import multipole_gain
from gminus2.physics.multipoles import MOMENTS
from gminus2.physics.nmr import HZ_PER_PPB, probe_sample, record_format
from gminus2.simulation.magnet.fid import FLAT, envelope_table, simulate_fids


def crlb_table() -> None:
    print("## σ/σ_CRLB and pulls, 2000 seeded FIDs per row (statistical error 1.6 %)\n")
    print("| record | T2* (ms) | fit to | model | σ (ppb) | σ/σ_CRLB | pull | bias without noise (ppb) |")
    print("|---|---|---|---|---|---|---|---|")
    f = np.random.default_rng(3).uniform(48e3, 52e3, 2000)
    for name, snr in (("fixed", 667.0), ("trolley", 500.0)):
        for t2 in (0.5, 1.0, 4.0):
            base = record_format(name)
            record = base.with_(t2_ms=t2, noise_adc=base.amplitude_adc / snr)
            table = envelope_table(record, probe_sample(name))
            y = simulate_fids(record, table, f, seed=1, baseline=FLAT)
            clean = simulate_fids(record.with_(noise_adc=0.0), table, f, seed=1, baseline=FLAT)
            first = int(np.ceil(record.pulse_sample + 60e-6 * record.fs_hz))
            tau = (first - record.pulse_sample + np.arange(record.n_samples - first)) / record.fs_hz
            for window in (0.10, 0.37):
                for model in ("p1", "odd3", "odd5", "p3", "p5"):
                    r = frequency(y, record.fs_hz, record.t_pulse_s, model, window)
                    error = r.f_hz - f
                    bound = window_crlb(r, tau[0], record.fs_hz, np.exp(-tau / (t2 * 1e-3)), model, snr)
                    bias = frequency(clean, record.fs_hz, record.t_pulse_s, model, window).f_hz - f
                    print(
                        f"| {name} | {t2} | {window:.0%} | {model} | {error.std() / HZ_PER_PPB:.3f} | "
                        f"{np.sqrt(np.mean((error / bound) ** 2)):.3f} | {np.std(error / r.sigma_hz):.3f} | "
                        f"{bias.mean() / HZ_PER_PPB:+.4f} |"
                    )


def calibration_table() -> None:
    print("\n## Plunging probe: the talk's table\n\n| term | low (ppb) | high (ppb) | ± | published |")
    print("|---|---|---|---|---|")
    for row in absolute_table():
        published = " … ".join(f"{v:g}" for v in row["published_ppb"]) + f" ({row['published_sigma_ppb']:g})"
        ours = f"{row['low_ppb']:.1f} | {row['high_ppb']:.1f} | {row['sigma_ppb']:.1f}"
        print(f"| {row['symbol']} | {ours} | {published} |")


def gain_table() -> None:
    print("\n## Trolley fit: rank and noise gain\n\n| terms | rank | largest gain |\n|---|---|---|")
    for label, names in (
        ("9 (to decapole)", MOMENTS),
        ("11 (to n = 5)", (*MOMENTS, "N5", "S5")),
        ("13 (to n = 6)", (*MOMENTS, "N5", "S5", "N6", "S6")),
        ("14 of a predecessor (n = 5, 7, N6)", (*MOMENTS, "N5", "S5", "N6", "N7", "S7")),
    ):
        rank, gain = multipole_gain(names)
        print(f"| {label} | {rank} of {len(names)} | {max(gain.values()):.2f} |")


def tracking_table() -> None:
    print("\n## Tracking: linear against Kalman smoother, five runs, uniform weight\n")
    print("| σ_run / √(qT) | linear, units of √(qT/12)/√4 | Kalman | gain |\n|---|---|---|---|")
    runs, time = np.arange(5) * 100.0, np.linspace(0.5, 399.5, 400)
    unit = np.sqrt(100.0 / 12) / 2
    for ratio in (0.0, 0.1, 0.3, 1.0, 3.0):
        noise = (ratio**2) * 100.0
        linear = np.hypot(
            *average_sigma(linear_track(runs, np.zeros(5), time), np.ones(400), rate=1.0, noise_variance=noise)
        )
        smoother = kalman_smoother(runs, np.zeros(5), time, rate=1.0, noise_variance=max(noise, 1e-9))
        kalman = np.hypot(*average_sigma(smoother, np.ones(400), rate=1.0, noise_variance=noise))
        print(f"| {ratio:g} | {linear / unit:.3f} | {kalman / unit:.3f} | {100 * (1 - kalman / linear):.1f} % |")


def kernel_table() -> None:
    print("\n## Transients: decay mean and response of the fit, 30–650 µs, γτ = 64.44 µs\n")
    print("| δω(t) | decay mean | kernel |\n|---|---|---|")
    t = np.arange(0.0, 700.0, 0.25)
    for label, shape in (
        *((f"e^(−t/{tau} µs)", np.exp(-t / tau)) for tau in (20, 50, 60, 100)),
        ("sin, 1 kHz", np.sin(2e-3 * np.pi * t)),
        ("cos, 1 kHz", np.cos(2e-3 * np.pi * t)),
    ):
        mean, kernel = (k(t, 30.0, 650.0, 64.44) for k in (decay_kernel, fit_kernel))
        print(f"| {label} | {(mean * shape).sum() / mean.sum():.4f} | {(kernel * shape).sum() / kernel.sum():.4f} |")


def main() -> None:
    crlb_table()
    calibration_table()
    gain_table()
    tracking_table()
    kernel_table()


if __name__ == "__main__":
    main()
