"""Lost muons without counting noise: the survival of the ensemble, and the coincidences that count losses."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from gminus2.data.campaign import AXES
from gminus2.simulation.dataset import DatasetSimulation

__all__ = ["coincidences", "survival"]

Array = NDArray[np.float64]

_WIDTH: Final = AXES["time_width_us"]
_N_TIME: Final = int(AXES["n_time"])


def survival(simulation: DatasetSimulation, t: Array) -> Array:
    """Return the fraction of muons not lost until t, shape of ``t``: losses come at 0.9-1.1 of a muon's loss time."""
    at = simulation.pool.rows[:, 11]
    lost = at[np.isfinite(at)]
    gone = np.zeros_like(t)
    for one in lost:
        gone += np.clip((t / one - 0.9) / 0.2, 0.0, 1.0)
    result: Array = 1.0 - gone / at.size
    return result


def _mip_acceptance(simulation: DatasetSimulation) -> float:
    """Return the probability that a minimum-ionising pulse falls into the energy window and looks compact."""
    s, reduction = simulation.settings, simulation.campaign.reduction
    e = np.linspace(-6.0, 6.0, 121)
    tail = 8.0 * (np.arange(200) + 0.5) * 0.05
    energy = s.mip_energy_mev * (1.0 + s.mip_width * e[:, None]) + tail
    weight = np.exp(-0.5 * e[:, None] ** 2) * np.exp(-tail / 8.0)
    sigma = np.sqrt(s.resolution_constant**2 + s.resolution_stochastic**2 * 1e3 / np.maximum(energy, 1.0)) * energy
    inside = special.ndtr((reduction.mip_high_mev - energy) / sigma) - special.ndtr(
        (reduction.mip_low_mev - energy) / sigma
    )
    return float((weight * inside).sum() / weight.sum()) * 31.0 / 32.0


def coincidences(simulation: DatasetSimulation, muons: float, mips: Array) -> Array:
    """Return triples, their two side windows and quadruples per fill by time, shape (4, times).

    Parameters
    ----------
    mips
        Pulses per µs of one calorimeter that look like a minimum-ionising particle, shape (times,).
    """
    edges = np.asarray(_WIDTH * np.arange(_N_TIME + 1), dtype=np.float64)
    lifetime = float(simulation.pool.rows[:, 12].mean())
    middle = 0.5 * (edges[1:] + edges[:-1])
    lost = -muons * np.diff(survival(simulation, edges)) * np.exp(-middle / lifetime)
    p = _mip_acceptance(simulation)
    visits = {2: 0.2, 3: 0.6, 4: 0.15, 5: 0.05}
    triples = sum(share * (v - 2) * p**3 for v, share in visits.items() if v > 2)
    quadruples = sum(share * (v - 3) * p**4 for v, share in visits.items() if v > 3)
    pairs = sum(share * (v - 1) * p**2 for v, share in visits.items())
    result = np.zeros((4, _N_TIME))
    by_chance = lost * pairs * mips
    result[0] = lost * triples + by_chance * 2.5e-3
    result[1] = by_chance * 2.0e-3
    result[2] = by_chance * 2.5e-3
    result[3] = lost * quadruples
    return result
