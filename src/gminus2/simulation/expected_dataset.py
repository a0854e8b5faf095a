"""A whole dataset (L2) without counting noise, each effect of the detectors an integral of its own.

The rate by (calorimeter, true energy, time) of :func:`gminus2.simulation.expected.true_rate` goes through what happens
to hits, as integrals over its density and not by the formulas of any correction (``docs/physics/omega_a.md``,
section 9):

* **losses**: the survival of the pool's muons; their triples and quadruples with the acceptance of each pulse;
* **gain**: flash and sag from the true energy flow move every energy before it falls into a bin; the double pulse by
  integrating over the energy and the distance of the pulse that the same crystal had before;
* **pileup**: pairs and triples of seen pulses by quadrature over their gaps under the chain rule, at the
  energy-weighted time, with the fast rotation of the beam inside the gap and the fluctuation of the intensity; the
  shadow window in the same way from the merged spectrum.

Histograms hold floating counts. Two datasets with one effect changed differ by that effect alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage, special
from scipy.interpolate import CubicSpline

from gminus2.data import Provenance
from gminus2.data.campaign import AXES, RECONSTRUCTION_ARRAYS, SHARED_ARRAYS, CampaignDataset
from gminus2.data.hits import (
    ENERGY_SHIFT,
    MAX_ENERGY_CODE,
    STATION_SHIFT,
    TIME_UNIT_US,
    U_UNIT_MM,
    Y_OFFSET_MM,
    Y_UNIT_MM,
)
from gminus2.simulation.dataset import DatasetSimulation
from gminus2.simulation.expected_losses import coincidences, survival
from gminus2.simulation.expected_pileup import FINE_BINS, FINE_MEV, derivatives, merge, to_energy_axis

__all__ = ["ExpectedWorld", "expected_dataset", "expected_world"]

Array = NDArray[np.float64]

_WIDTH: Final = AXES["time_width_us"]
_N_TIME: Final = int(AXES["n_time"])
_TRUE: Final = 64
_SUB: Final = 10
_CLASSES: Final = 8
_CLASS_MEV: Final = 400.0


@dataclass(frozen=True)
class ExpectedWorld:
    """What does not depend on the effects.

    Attributes
    ----------
    rate
        Hits per fill by (calorimeter, true energy in 50 MeV, time) without losses, shape (24, 64, 4700).
    fast
        ⟨F(t)F(t+g)⟩/⟨F⟩² of the fast rotation by (gap in ns, time bin), shape (17, 4700).
    profile
        F of all bunches by 1 ns, mean 1 over a turn, shape (300 000,).
    sharing
        Probability that a hit and the one before it in the calorimeter share a crystal, by their true energies in
        classes of 400 MeV, shape (8, 8).
    hit_map
        Map of hits above the threshold, as the reduction makes it.
    """

    rate: Array
    fast: Array
    profile: Array
    sharing: Array
    hit_map: NDArray[Any]


@njit(cache=True, nogil=True)
def _fast_rotation(times, periods, azimuth, width, histogram):  # type: ignore[no-untyped-def]
    limit = histogram.size
    for i in range(times.size):
        t = times[i] + azimuth * periods[i]
        while True:
            cell = int(t / width)
            if cell >= limit:
                break
            if cell >= 0:
                histogram[cell] += 1.0
            t += periods[i]


def _fast_correlation(simulation: DatasetSimulation) -> tuple[Array, Array]:
    """Return the correlation of the arrival times at one azimuth, by (gap 0-16 ns, time bin), mean of the bunches.

    And the profile of all bunches together in 1 ns.
    """
    rows, s = simulation.pool.rows, simulation.settings
    per = 149.2
    cells = math.ceil(_N_TIME * per) + 32
    lags = 17
    result = np.zeros((lags, _N_TIME))
    bunches = s.bunch_scale.size
    index = (np.arange(cells - 32) / per).astype(np.int64)
    size = 33  # 5 µs
    whole = np.zeros(int(AXES["n_fast"]))
    for b in range(bunches):
        own = rows[b::bunches]
        histogram = np.zeros(cells)
        start = own[:, 0] * s.bunch_scale[b] + s.bunch_offset_us[b]
        _fast_rotation(start, 1.0 / own[:, 1], 0.0, 1e-3, histogram)
        whole += histogram[: whole.size]
        number = np.bincount(index, minlength=_N_TIME)
        mean = np.bincount(index, histogram[: index.size], minlength=_N_TIME) / number
        mean = ndimage.uniform_filter1d(mean, size, mode="nearest")
        for g in range(lags):
            product = histogram[: index.size] * histogram[g : g + index.size]
            if g == 0:
                product = product - histogram[: index.size]  # no muon with itself
            value = np.bincount(index, product, minlength=_N_TIME) / number
            result[g] += ndimage.uniform_filter1d(value, size, mode="nearest") / mean**2 / bunches
    smooth = ndimage.uniform_filter1d(whole, round(per), mode="nearest")
    return result, whole / np.maximum(ndimage.uniform_filter1d(smooth, 5001, mode="nearest"), 1e-9)


def _positions(simulation: DatasetSimulation, fills: int) -> tuple[Array, NDArray[Any]]:
    """Return the sharing of crystals by energy class, and the map of hits above threshold, from simulated fills."""
    block, _ = simulation.block(0, fills)
    word = block.words
    station = (word >> STATION_SHIFT).astype(np.int64)
    energy = ((word >> ENERGY_SHIFT) & MAX_ENERGY_CODE) + 0.5
    u = ((word & 255) + 0.5) * U_UNIT_MM
    y = (((word >> 8) & 255) + 0.5) * Y_UNIT_MM - Y_OFFSET_MM
    column = np.clip((u / 25.2).astype(np.int64), 0, 8)
    row = np.clip(((y + 75.6) / 25.2).astype(np.int64), 0, 5)
    chosen = np.minimum(energy / _CLASS_MEV, _CLASSES - 1).astype(np.int64)
    cells = np.zeros((_CLASSES, 24, 54))
    np.add.at(cells, (chosen, station, 9 * row + column), 1.0)
    share = cells / np.maximum(cells.sum(axis=2, keepdims=True), 1.0)
    sharing = np.einsum("akc,bkc->ab", share, share) / 24.0
    # A pulse of one class with itself: the unbiased estimate takes the self terms out.
    number = cells.sum(axis=2)
    for a in range(_CLASSES):
        n = np.maximum(number[a], 2.0)
        sharing[a, a] = float((((cells[a] * (cells[a] - 1.0)).sum(axis=1)) / (n * (n - 1.0))).mean())
    hit_map = np.zeros(SHARED_ARRAYS["hit_map"][0])
    above = energy >= simulation.campaign.reduction.threshold_mev
    cell_u = np.minimum(31, (u / 7.2).astype(np.int64))
    cell_y = np.clip(((y + 78.0) // 6).astype(np.int64), 0, 25)
    np.add.at(hit_map, (station[above], cell_u[above], cell_y[above]), 1.0)
    return sharing, hit_map


def expected_world(simulation: DatasetSimulation, rate: Array, *, fills: int = 256) -> ExpectedWorld:
    """Collect what datasets of one beam share.

    Parameters
    ----------
    rate
        :func:`~gminus2.simulation.expected.true_rate` per fill, without losses.
    fills
        Simulated fills from which the use of crystals is taken.
    """
    sharing, hit_map = _positions(simulation, fills)
    return ExpectedWorld(rate, *_fast_correlation(simulation), sharing, hit_map)


# -- energies ----------------------------------------------------------------------------------------------------------


def _subdivision() -> Array:
    """Return the matrix (640, 64) from bins of 50 MeV to bins of 5 MeV: a cubic spline of the cumulative spectrum."""
    edges = np.arange(_TRUE + 1.0)
    cumulative = np.vstack([np.zeros(_TRUE), np.tril(np.ones((_TRUE, _TRUE)))])
    fine = np.arange(_TRUE * _SUB + 1) / _SUB
    result: Array = np.diff(CubicSpline(edges, cumulative, axis=0, bc_type="natural")(fine), axis=0)
    return result


def _response(simulation: DatasetSimulation, loss: float, divided: Array) -> Array:
    """Return the seen spectrum (144 bins of 25 MeV) of each true bin, with gain 1 - loss, shape (144, 64)."""
    s = simulation.settings
    energy = AXES["energy_width_mev"] / _SUB * (np.arange(_TRUE * _SUB) + 0.5)
    relative = np.sqrt(s.resolution_constant**2 + s.resolution_stochastic**2 * 1e3 / energy)
    centre = energy * (1.0 - loss)
    edges = FINE_MEV * np.arange(FINE_BINS + 1.0)
    edges[-1] = 1e9
    cumulative = special.ndtr((edges[:, None] - centre) / (centre * relative))
    part = np.diff(cumulative, axis=0)
    part[: round(s.threshold_mev / FINE_MEV)] = 0.0
    result: Array = part @ divided
    return result


def _sag(flow_gev: Array, recovery_us: float) -> Array:
    """Return ∫ flow e^(-(t-t')/recovery) dt' at the middle of bins, flow linear between the middles (trapezoid)."""
    keep = math.exp(-_WIDTH / recovery_us)
    result = np.zeros_like(flow_gev)
    total = np.zeros(flow_gev.shape[0])
    for n in range(1, flow_gev.shape[1]):
        total = total * keep + 0.5 * (flow_gev[:, n] + flow_gev[:, n - 1] * keep)
        result[:, n] = total
    return result


def _seen(
    simulation: DatasetSimulation, rate: Array, sharing: Array, fast: Array, spread: float
) -> tuple[Array, Array]:
    """Return seen hits by (calorimeter, 25 MeV, time) and the mean sag (what a laser pulse finds), (24, times)."""
    s = simulation.settings
    divided = _subdivision()
    middle = AXES["energy_width_mev"] * (np.arange(_TRUE) + 0.5)
    sag = np.zeros((24, _N_TIME))
    if s.sag_per_mev > 0.0:
        sag = s.sag_per_mev * 1e3 * _sag(np.einsum("e,ket->kt", 1e-3 * middle, rate), s.sag_recovery_us)
    t = _WIDTH * (np.arange(_N_TIME) + 0.5)
    flash = s.flash_amplitude[:, None] * np.exp(-t / s.flash_decay_us)
    # Fills with more muons sag more, and count more.
    loss = 1.0 - (1.0 - flash) * (1.0 - (1.0 + spread) * sag)
    top = max(float(loss.max()), 1e-6)
    order = 5
    node = np.cos(math.pi * (np.arange(order) + 0.5) / order)
    matrices = np.stack([_response(simulation, 0.5 * top * (x + 1.0), divided) for x in node])
    coefficients = np.stack(
        [
            np.tensordot(np.cos(m * np.arccos(node)), matrices, axes=1) * ((2.0 if m else 1.0) / order)
            for m in range(order)
        ]
    )
    seen = np.zeros((24, FINE_BINS, _N_TIME))
    for k in range(24):
        angle = np.arccos(np.clip(2.0 * loss[k] / top - 1.0, -1.0, 1.0))
        for m in range(order):
            seen[k] += (coefficients[m] @ rate[k]) * np.cos(m * angle)
    if s.double_pulse_per_gev > 0.0:
        seen += _double_pulse(simulation, rate, sharing, fast, spread, divided)
    return seen, sag


def _double_pulse(
    simulation: DatasetSimulation, rate: Array, sharing: Array, fast: Array, spread: float, divided: Array
) -> Array:
    """Return the change of the seen spectrum by pulses that a crystal had shortly before."""
    s = simulation.settings
    tau = s.double_pulse_recovery_us
    gap, weight = np.polynomial.laguerre.laggauss(12)
    # ∫ f(g) dg = τ Σ w e^x f(τx).
    weight = tau * weight * np.exp(gap)
    base = _response(simulation, 0.0, divided)
    change = np.zeros((24, FINE_BINS, _N_TIME))
    target = np.minimum(np.arange(_TRUE) * AXES["energy_width_mev"] / _CLASS_MEV, _CLASSES - 1).astype(int)
    correlation = fast[15]
    per = round(_CLASS_MEV / AXES["energy_width_mev"])
    for c in range(_CLASSES):
        energy = _CLASS_MEV * 1e-3 * (c + 0.5)
        kernel = np.zeros_like(base)
        for g, w in zip(gap, weight, strict=True):
            drop = s.double_pulse_per_gev * energy * math.exp(-g)
            if drop > 1e-9:
                kernel += w * (_response(simulation, drop, divided) - base)
        kernel *= sharing[target, c]
        before = rate[:, per * c : per * (c + 1)].sum(axis=1) / _WIDTH
        before = (before - tau * derivatives(before)[0]) * correlation * (1.0 + spread)
        for k in range(24):
            change[k] += (kernel @ rate[k]) * before[k]
    return change


# -- the dataset -------------------------------------------------------------------------------------------------------


def _laser(simulation: DatasetSimulation, fills: int, sag: Array) -> dict[str, Array]:
    """Return the expected laser arrays."""
    s, d, e = simulation.settings, simulation.campaign.detector, simulation.campaign.effects
    infill = np.zeros(SHARED_ARRAYS["laser_infill"][0])
    steps = max(1, round(d.laser_spacing_us / d.laser_step_us))
    number = fills * d.laser_infill_fraction / steps
    middle = _WIDTH * (np.arange(_N_TIME) + 0.5)
    for shot in range(s.laser_shots):
        for m in range(steps):
            t = s.laser_first_us + shot * s.laser_spacing_us + m * d.laser_step_us
            if t > s.end_us:
                continue
            gain = 1.0 - s.flash_amplitude * math.exp(-t / s.flash_decay_us)
            gain = gain * (1.0 - np.array([np.interp(t, middle, row) for row in sag]))
            nominal = math.floor(t * s.ticks_per_us * 16.0) * TIME_UNIT_US
            cell = int(nominal / AXES["laser_time_width_us"])
            if cell < infill.shape[1]:
                infill[:, cell, 0] += number
                infill[:, cell, 1] += number * 1e6 * (gain - 1.0)
                infill[:, cell, 2] += number * 1e12 * ((gain - 1.0) ** 2 + (gain * s.laser_resolution) ** 2)
    double = np.zeros(SHARED_ARRAYS["laser_double"][0])
    delay = 2.5e-3 * (np.arange(64) + 0.5)
    drop = e.double_pulse * d.double_pulse_per_gev * 1e-3 * d.laser_energy_mev
    drop = drop * np.exp(-delay / (1e-3 * d.double_pulse_recovery_ns))
    n = fills / 64.0 * d.laser_double_pulses
    double[:, :, 0] = n
    double[:, :, 1] = -n * 1e6 * drop
    double[:, :, 2] = n * 1e12 * (drop**2 + ((1.0 - drop) * s.laser_resolution) ** 2)
    return {"laser_infill": infill, "laser_double": double}


def _random_sets(simulation: DatasetSimulation, counts: Array) -> Array:
    """Return the four sets of the R method from counts by (energy, time)."""
    reduction = simulation.campaign.reduction
    half = 0.5 * reduction.precession_period_us
    up, down = math.exp(half / reduction.lifetime_us), math.exp(-half / reduction.lifetime_us)
    total = 2.0 + up + down
    bins = half / _WIDTH
    # Splines of a straightened curve: e^(t/τ) taken out.
    grow = np.exp(_WIDTH * np.arange(_N_TIME) / reduction.lifetime_us)
    flat = counts * grow
    earlier = ndimage.shift(flat, (0.0, -bins), order=5, mode="nearest") / grow * down
    later = ndimage.shift(flat, (0.0, bins), order=5, mode="nearest") / grow * up
    return np.stack([earlier * (up / total), later * (down / total), counts / total, counts / total])


def expected_dataset(simulation: DatasetSimulation, world: ExpectedWorld, *, fills: int) -> CampaignDataset:
    """Return the dataset that a simulation with its effects is expected to give, on average.

    Parameters
    ----------
    simulation
        With the effects on or off; its beam is that of ``world``.
    world
        From :func:`expected_world`.
    fills
        Scale of the counts.

    Returns
    -------
    Reconstruction ``global``; arrays that the fits of the whole do not read (tracks, fine bins, …) are 0.
    """
    campaign, effects = simulation.campaign, simulation.campaign.effects
    reduction = campaign.reduction
    t = _WIDTH * (np.arange(_N_TIME) + 0.5)
    rate = world.rate * effects.rate
    if effects.lost_muons > 0.0:
        rate = rate * survival(simulation, np.asarray(t))
    spread = simulation.config.intensity_rms**2
    seen, sag = _seen(simulation, rate, world.sharing, world.fast, spread)
    clustering = next(c for c in reduction.clusterings if c.name == "global")
    separation = 1e-3 * clustering.separation_ns
    begin = 1e-3 * reduction.shadow_gap_ns
    window = 1e-3 * (reduction.shadow_window_ns or clustering.separation_ns)
    shape = {name: shape for name, (shape, _, _, _) in RECONSTRUCTION_ARRAYS.items()}
    # Arrays that nothing reads cost no memory.
    arrays: dict[str, NDArray[Any]] = {name: np.broadcast_to(np.zeros(1), s) for name, s in shape.items()}
    counts, net, pairs = np.empty(shape["counts"]), np.empty(shape["pileup_net"]), np.zeros(shape["pileup_pairs"])
    for k in range(24):
        if not effects.pileup:
            # Nothing merges, and nothing is there to be subtracted.
            counts[k], net[k] = fills * to_energy_axis(seen[k]), 0.0
            continue
        merged, shadow, pair = merge(seen[k], separation, (begin, begin + window), world.fast, spread)
        counts[k], net[k] = fills * merged, fills * shadow
        pairs += fills * pair
    energy = FINE_MEV * (np.arange(FINE_BINS) + 0.5)
    low = energy < reduction.mip_high_mev
    compact = np.where(low & (energy > reduction.mip_low_mev), 0.293 * np.exp(-energy / 150.0), 0.0)
    mips = np.einsum("e,ket->t", compact, seen) / (24.0 * _WIDTH)
    decays = simulation.config.muons_per_fill * effects.rate
    summed = counts.sum(axis=0)
    arrays |= {
        "counts": counts,
        "pileup_net": net,
        "pileup_pairs": pairs,
        "random_sets": _random_sets(simulation, summed),
        "coincidences": fills * coincidences(simulation, decays, mips),
    }
    flow = np.where(energy > reduction.q_threshold_mev, energy, 0.0)
    shared: dict[str, NDArray[Any]] = {
        name: np.broadcast_to(np.zeros(1), shape) for name, (shape, _, _, _) in SHARED_ARRAYS.items()
    }
    shared |= _laser(simulation, fills, sag)
    above = fills * seen[:, round(reduction.threshold_mev / FINE_MEV) :].sum(axis=1) / (1e3 * _WIDTH)
    bins = np.minimum((np.arange(world.profile.size) * 1e-3 / _WIDTH).astype(np.int64), _N_TIME - 1)
    shared["fast_rotation"] = above[:, bins] * world.profile
    shared |= {
        "hit_map": world.hit_map,
        "energy_flow": fills * np.einsum("e,ket->kt", flow, seen),
        "energy_flow_squared": fills * np.einsum("e,ket->kt", flow**2, seen),
    }
    return CampaignDataset(
        name=simulation.config.name,
        fills=fills,
        hits=round(float(counts.sum())),
        reconstructions={"global": arrays},
        shared=shared,
        settings={
            "reduction": reduction.model_dump(mode="json"),
            "detector": {
                "laser_energy_mev": campaign.detector.laser_energy_mev,
                "laser_first_us": simulation.settings.laser_first_us,
                "laser_step_us": campaign.detector.laser_step_us,
            },
        },
        conditions={"campaign": campaign.name, "simulated": True, "field_index": simulation.config.beam.field_index},
        provenance=Provenance(made_by="expected dataset", seed=campaign.seed),
    )
