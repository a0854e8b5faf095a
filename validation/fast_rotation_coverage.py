"""Coverage of C_e from the joint reconstruction: pulls over seeds, correlated and not, and the start-time scan.

Usage: ``OPENBLAS_NUM_THREADS=1 python validation/fast_rotation_coverage.py [SEEDS]``. Every seed is a new Poisson
histogram of 1e8 positrons; the truth is the density that made it. The pull uses the error of the reconstruction alone
(statistics, method, momentum–time), without the rows of the quadrupoles, which a toy does not have.
"""

from __future__ import annotations

import math
import sys
import time

import numpy as np

from gminus2.beam.electric_field import electric_field_ppb, ring_optics
from gminus2.beam.fast_rotation import FastRotationOptions, analyse_fast_rotation
from gminus2.beam.rotation_toy import RotationToy, gaussian_toy, make_toy
from gminus2.errors import GMinus2Error
from gminus2.random import stream


def trident() -> RotationToy:
    """Return a bunch with three heads whose mean frequency bends with the injection time."""

    def density(f: np.ndarray, tau: np.ndarray) -> np.ndarray:
        bunch = sum(
            height * np.exp(-0.5 * ((tau - at) / width) ** 2)
            for height, at, width in ((0.7, -35.0, 11.0), (1.0, 0.0, 13.0), (0.8, 38.0, 10.0))
        )
        mean = 6702.0 - 5.0 * (tau / 40.0) ** 2 + 0.06 * tau
        skew = 1.0 + 0.5 * np.tanh((f - 6700.0) / 8.0)
        return np.asarray(np.exp(-0.5 * ((f - mean) / 9.0) ** 2) * bunch * skew)

    return make_toy(density)


def main() -> None:
    """Print the tables."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    alpha = ring_optics(0.108).alpha_p
    toys = {
        "uncorrelated": gaussian_toy(),
        "+0.1 kHz/ns": gaussian_toy(khz_per_ns=0.1),
        "-0.1 kHz/ns": gaussian_toy(khz_per_ns=-0.1),
        "trident, curved": trident(),
    }
    print(
        f"{'toy':16s} {'start':>5s} {'n':>3s} {'no':>3s} {'truth':>7s} {'mean':>7s} {'rms':>6s} {'error':>6s}", end=""
    )
    print(f" {'pull mean':>10s} {'pull rms':>9s} {'worst %':>8s} {'cosine':>7s} {'cpu s':>6s}")
    for name, toy in toys.items():
        truth = toy.mean(lambda f: electric_field_ppb(f, alpha))
        for start in (4.0, 10.0, 20.0, 30.0):
            count = seeds if start == 4.0 else max(seeds // 5, 4)
            values, errors, cosines = [], [], []
            refused = 0
            began = time.process_time()
            for seed in range(count):
                histogram = toy.sample(stream(seed, "coverage", name), 1e8)
                try:
                    found = analyse_fast_rotation(histogram, FastRotationOptions(start_us=start))
                except GMinus2Error:
                    refused += 1
                    continue
                rows = found.correction.rows_ppb
                values.append(found.correction.value_ppb)
                errors.append(math.hypot(rows["statistics"], rows["fourier_method"], rows["momentum_time"]))
                if found.cosine_ppb:
                    cosines.append(found.cosine_ppb[0])
            cpu = (time.process_time() - began) / count
            line = f"{name:16s} {start:5.0f} {count:3d} {refused:3d} {truth:7.1f}"
            if values:
                v, e = np.array(values), np.array(errors)
                pull = (v - truth) / e
                line += f" {v.mean():7.1f} {v.std():6.2f} {e.mean():6.2f} {pull.mean():10.2f} {pull.std():9.2f}"
                line += f" {100.0 * np.abs(v / truth - 1.0).max():8.2f}"
                line += f" {np.mean(cosines):7.1f}" if cosines else f" {'-':>7s}"
            print(line + f" {cpu:6.2f}", flush=True)


if __name__ == "__main__":
    main()
