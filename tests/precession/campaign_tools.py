"""An L2 dataset drawn from a known rate, without the simulation: fast, and with any number of positrons."""

from __future__ import annotations

import math

import numpy as np

from gminus2.data.campaign import AXES, CampaignDataset, empty_reconstruction, empty_shared

TRUE_R = -37.25
TAU = 64.4
PHASE = 2.08
F_CBO = 0.371
PERIOD, LIFETIME = 4.365411, 64.4


def asymmetry(energy: np.ndarray) -> np.ndarray:
    """Of a positron with an energy in MeV."""
    y = np.minimum(energy / 3100.0, 1.0)
    return 0.95 * (-8.0 * y**2 + y + 1.0) / (4.0 * y**2 - 5.0 * y - 5.0)


def rate(t: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """Positrons by (energy, time), not normalised."""
    y = np.minimum(energy / 3100.0, 1.0)
    spectrum = np.clip((y - 1.0) * (4.0 * y**2 - 5.0 * y - 5.0) * np.minimum(y / 0.76, 1.0), 0.0, None)
    omega = 2.0 * math.pi * 0.2291 * (1.0 + 1e-6 * TRUE_R)
    wiggle = 1.0 + asymmetry(energy)[:, None] * np.cos(omega * t + PHASE)
    ripple = 1.0 + 0.002 * np.exp(-t / 200.0) * np.cos(2.0 * math.pi * F_CBO * t + 1.0)
    return spectrum[:, None] * np.exp(-t / TAU) * wiggle * ripple


def toy_dataset(positrons: float, seed: int = 1) -> CampaignDataset:
    """Return a dataset with CBO and lost muons, without pileup and gain drop; both reconstructions count the same."""
    rng = np.random.default_rng(seed)
    n_time, width = int(AXES["n_time"]), AXES["time_width_us"]
    t = width * (np.arange(n_time) + 0.5)
    energy = 25.0 + 50.0 * np.arange(int(AXES["n_energy"]))
    mu = rate(t, energy)
    scale = positrons / mu.sum()
    counts = rng.poisson(np.broadcast_to(scale / 24.0 * mu, (24, *mu.shape))).astype(np.uint32)
    half = 0.5 * PERIOD
    up, down = math.exp(half / LIFETIME), math.exp(-half / LIFETIME)
    total = 2.0 + up + down
    arrays = empty_reconstruction()
    arrays["counts"][...] = counts
    # A set filled at t - T/2 shows the rate of T/2 later.
    for k, (share, shift) in enumerate(((up, half), (down, -half), (1.0, 0.0), (1.0, 0.0))):
        arrays["random_sets"][k] = rng.poisson(scale * share / total * rate(t + shift, energy))
    fine = np.arange(n_time * 8)
    arrays["fine"][...] = rng.poisson(
        scale / 8.0 * rate(width / 8.0 * (fine + 0.5), 50.0 + 100.0 * np.arange(64)) * 2.0
    )
    above = counts[:, 34:].sum(axis=(0, 1), dtype=np.int64)
    for name, parts in (("bunch", 8), ("rows", 6), ("columns", 9)):
        arrays[name][...] = rng.multinomial(above, np.full(parts, 1.0 / parts)).T
    arrays["coincidences"][0] = rng.poisson(5e-5 * positrons * np.exp(-t / 30.0) * width)
    fine_spectrum = np.repeat(counts.sum(axis=(0, 2)), 5)[:800] // 5
    arrays["spectrum"][0, : fine_spectrum.size] = fine_spectrum
    shared = empty_shared()
    seen = counts[:, 5:].astype(np.int64)
    shared["energy_flow"][...] = np.einsum("e,ket->kt", energy[5:].astype(np.int64), seen)
    shared["energy_flow_squared"][...] = np.einsum("e,ket->kt", energy[5:].astype(np.int64) ** 2, seen)
    position = 8.0 * np.cos(2.0 * math.pi * F_CBO * t) * np.exp(-t / 200.0)
    for station in range(2):
        number = rng.poisson(4e-3 * positrons * np.exp(-t / TAU) * width / TAU)
        where = np.repeat(np.arange(n_time), number)
        x = rng.normal(position[where], 18.0)
        index = np.floor((x - AXES["position_min_mm"]) / AXES["position_width_mm"]).astype(int)
        good = (index >= 0) & (index < int(AXES["n_position"]))
        np.add.at(shared["track_x"], (station, index[good], where[good]), 1)
    reduction = {
        "clusterings": [{"name": n, "separation_ns": 5.0} for n in ("global", "local")],
        "threshold_mev": 1700.0,
        "q_threshold_mev": 250.0,
        "precession_period_us": PERIOD,
        "lifetime_us": LIFETIME,
    }
    return CampaignDataset(
        name="toy",
        fills=10_000_000,
        hits=int(counts.sum()),
        reconstructions={"global": arrays, "local": arrays},
        shared=shared,
        settings={"reduction": reduction, "detector": {"laser_energy_mev": 1500.0}},
        conditions={"field_index": 0.108},
    )
