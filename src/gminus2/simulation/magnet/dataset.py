"""One dataset of the field side from end to end: the record the analysis gets, and the sealed truth."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gminus2.config.field import FieldDatasetSection, FieldSection, TransientSection
from gminus2.data.nmr import FieldData
from gminus2.physics.nmr import F_LO_HZ
from gminus2.physics.probes import nmr_table
from gminus2.random import stream
from gminus2.simulation.magnet.campaigns import kicker_field_ppb, simulate_calibration, simulate_kicker, simulate_quads
from gminus2.simulation.magnet.fixed import SimulatedFixed
from gminus2.simulation.magnet.trolley import RunConditions, simulate_trolley_run, trolley_path
from gminus2.simulation.magnet.truth import FieldTruth, InstrumentTruth, draw_instruments, sealed_offset
from gminus2.simulation.magnet.world import MagnetWorld, make_world

__all__ = ["simulate_field_dataset"]

FloatArray = NDArray[np.float64]
#: γ τ of the muons [µs], for the response of the precession fit.
_GAMMA_TAU_US: Final = 64.38


def simulate_field_dataset(
    section: FieldSection,
    dataset: FieldDatasetSection,
    *,
    seed: int,
    index: int,
    offset: float | None = None,
    instrument: InstrumentTruth | None = None,
) -> tuple[FieldData, FieldTruth, MagnetWorld]:
    """Simulate a dataset.

    Parameters
    ----------
    seed, index
        Root seed of the campaign and number of the dataset in it.
    offset
        The sealed relative offset of all recorded frequencies; drawn from the seed where absent.
    instrument
        The true state of the instruments; drawn from the seed where absent.

    Returns
    -------
    tuple
        What the analysis may see, the truth, and the world (for figures of the simulation).
    """
    hidden = sealed_offset(section, seed) if offset is None else offset
    instrument = instrument or draw_instruments(section, seed)
    length = section.trolley.pass_s * (2 if section.trolley.return_pass else 1)
    interval = dataset.days_between_trolley_runs * 86_400.0
    starts = [60.0 + k * interval for k in range(dataset.trolley_runs)]
    # Without a closing run the muons still come for one interval.
    duration = starts[-1] + length + 120.0 + (interval if dataset.trolley_runs == 1 else 0.0)
    world = make_world(section, dataset, seed, index, duration)
    rng = stream(seed, "field", "dataset", index)
    runs = []
    for k, start in enumerate(starts):
        conditions = RunConditions(
            start, section.trolley.temperature_c + section.trolley.temperature_spread_c * rng.normal()
        )
        runs.append(simulate_trolley_run(section, world, instrument, conditions, seed, (index, k), offset=hidden))
    paths = tuple(trolley_path(section, start) for start in starts)
    muon_time, muon_counts = _muons(rng, duration, starts, length)
    quads, quad_truth = simulate_quads(section.transients, seed)
    data = FieldData(
        name=dataset.name,
        fixed=SimulatedFixed(world, section.world, seed, index, hidden, paths),
        trolley=tuple(runs),
        calibration=simulate_calibration(section, instrument, seed, hidden),
        kicker=simulate_kicker(section.transients, instrument, seed),
        quads=quads,
        muon_time_s=muon_time,
        muon_counts=muon_counts,
        fixed_cycle_s=section.world.fixed_cycle_s,
    )
    b_k, b_q = _true_transients(section.transients, instrument, quads.time_us, quad_truth)
    truth = FieldTruth(
        name=dataset.name,
        f_p_hz=F_LO_HZ + world.muon_average(instrument.profile, muon_time, muon_counts),
        reference_temperature_c=section.reference_temperature_c,
        offset=hidden,
        b_k_ppb=b_k,
        b_q_ppb=b_q,
    )
    return data, truth, world


def _muons(
    rng: np.random.Generator, duration: float, starts: list[float], length: float
) -> tuple[FloatArray, FloatArray]:
    """Return ctags per 60 s: beam with slow variations and interruptions, none during trolley runs."""
    edges = np.arange(0.0, duration, 60.0)
    time = 0.5 * (edges[1:] + edges[:-1])
    rate = 3e5 * (1 + 0.1 * np.sin(2 * np.pi * time / 50_000.0 + rng.uniform(0, 6)))
    for _ in range(rng.poisson(3 * duration / 86_400.0)):
        start = rng.uniform(0, duration)
        rate[(time > start) & (time < start + rng.exponential(3600.0))] = 0.0
    for begin in starts:
        rate[(time > begin - 600) & (time < begin + length + 600)] = 0.0
    return time, rng.poisson(rate).astype(np.float64)


def _true_transients(
    settings: TransientSection, instrument: InstrumentTruth, quad_time: FloatArray, quad_truth: FloatArray
) -> tuple[float, float]:
    """Return the true B_k and B_q [ppb] by fitting the precession: least squares of the phase that the transient adds.

    This is deliberately another route than the kernel of the analysis: the phase is integrated and fitted with a line.
    """
    table = nmr_table("transients")
    fine = np.arange(settings.fit_start_us, settings.fit_end_us, 0.25)
    kick = _fitted(fine, kicker_field_ppb(settings, fine))
    quad = np.mean([_fitted(fine, np.interp(fine, quad_time, row)) for row in quad_truth])
    return (
        float(table["kicker_ring_fraction"]) * kick + instrument.kick_baseline_ppb,
        float(table["quad_ring_fraction"]) * float(quad) + instrument.quad_offset_ppb,
    )


def _fitted(time_us: FloatArray, delta: FloatArray) -> float:
    """Return the slope of the phase ∫δω dt, fitted with the muons' statistical weight."""
    phase = np.concatenate([[0.0], np.cumsum(0.5 * (delta[1:] + delta[:-1]) * np.diff(time_us))])
    weight = np.exp(-(time_us - time_us[0]) / _GAMMA_TAU_US)
    centred = time_us - (weight @ time_us) / weight.sum()
    return float((weight * centred) @ phase / ((weight * centred) @ centred))
