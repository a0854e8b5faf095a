"""What the tests of this room share: the real data, pseudo-data, and the arrays behind a fit."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gminus2.data import TimeHistogram
from gminus2.precession import FitSettings, Model
from gminus2.precession.fitting.binding import bind
from gminus2.precession.fitting.scoring import expectation

#: Size of ∂μ/∂p relative to μ for parameters in small units, to set absolute tolerances.
OMEGA_UNITS = {"R": 1e-4, "N0": 1e-3, "tau": 1e-1, "f_cbo": 10.0, "f_vw": 10.0, "f_y": 10.0, "f": 10.0}


def window_arrays(
    model: Model, *, nodes: int
) -> tuple[tuple[str, ...], NDArray[np.float64], float, float, NDArray[np.float64], NDArray[np.float64]]:
    """Return names, p, first edge, bin width, expectation and Jacobian of a model on 300 bins from 29.9892 µs."""
    width, start = 0.1492, 201 * 0.1492
    histogram = TimeHistogram(np.ones((1, 300)), np.array([start]), width, ("all",))
    binding = bind(histogram, model, FitSettings(window_us=None, nodes=nodes))
    p = binding.table.start[binding.free]
    assert np.isfinite(p).all()
    mu, jac = expectation(p, binding.problem, binding.program, binding.workspace(), partials=True)
    names = tuple(binding.table.names[int(i)] for i in binding.free)
    return names, p, start, width, mu[:300], jac[:, :300]


def run3b(data_dir: Path) -> TimeHistogram:
    """Return the public E989 Run-3b histogram; the printed times are rounded, so bin numbers are rebuilt."""
    table = np.loadtxt(data_dir / "e989_run3b" / "Run3B.csv", delimiter=",", skiprows=1)
    k = np.round(table[:, 0] / 149.2 - 0.5).astype(int)
    assert (np.diff(k) == 1).all()
    return TimeHistogram(table[:, 1], np.array([k[0] * 0.1492]), 0.1492, ("all",))


def pbo(data_dir: Path, *, packing: int = 4) -> TimeHistogram:
    """Return the PSI GPS PbO spectra from first good to last good bin, packed, t = 0 at t0 (bin centres)."""
    first_good, last_good = (130, 129, 130, 130, 129), 8000
    with gzip.open(data_dir / "psi_gps_pbo_tf50" / "counts.csv.gz", "rt") as stream:
        header = json.loads(stream.readline().removeprefix("#"))
        labels = tuple(stream.readline().strip().split(",")[1:])
        counts = np.loadtxt(stream, delimiter=",")[:, 1:].T
    width = header["dt_ns"] * 1e-3
    n = (last_good - max(first_good) + 1) // packing * packing
    rows = np.stack([c[f : f + n] for c, f in zip(counts, first_good, strict=True)])
    starts = np.array([(f - t0 - 0.5) * width for f, t0 in zip(first_good, header["t0_bin"], strict=True)])
    return TimeHistogram(rows, starts, width, labels).rebinned(packing)


def pseudo_data(model: Model, seed: int, *, bins: int = 4188, start_bin: int = 169) -> TimeHistogram:
    """Return Poisson counts of a model whose parameters all have values, on the bins of the Run-3b histogram."""
    width = 0.1492
    empty = TimeHistogram(np.ones((1, bins)), np.array([start_bin * width]), width, ("all",))
    binding = bind(empty, model, FitSettings(window_us=None))
    p = binding.table.start[binding.free]
    mu, _ = expectation(p, binding.problem, binding.program, binding.workspace())
    counts = np.random.default_rng(seed).poisson(mu[:bins]).astype(float)
    return TimeHistogram(counts, np.array([start_bin * width]), width, ("all",))
