"""What the stored muons of a dataset do to ω_a: the five corrections from the ensemble, not from histograms.

Part of the sealed truth record. Every muon keeps its betatron phases and its azimuth while the lattice and its own
chance of being lost move on, so that only what drifts is left of the beam, almost free of noise; loss enters through
each muon's survival probability, not through drawn loss times. Times µs, phases rad.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gminus2.beam.fit_response import PseudoExperiment
from gminus2.beam.phase_maps import load_maps
from gminus2.config.campaign import BeamConfig, Effects
from gminus2.constants import MUON_LIFETIME_US
from gminus2.ring.closed_form import relative_loss
from gminus2.ring.ensemble import StoredBeam
from gminus2.simulation.beams import stored_beam
from gminus2.units import omega_reference

__all__ = ["BeamTruth", "beam_truth"]

FloatArray = NDArray[np.float64]

_TIMES: Final = np.concatenate([np.arange(30.0, 120.0, 10.0), np.arange(120.0, 680.0, 40.0)])
_COLUMNS: Final = ("beta_x", "beta_y", "dispersion", "orbit_x", "orbit_y")
#: Muons followed through the map: noise of 1 to 3 ppb in C_pa.
_FOLLOWED: Final = 30_000
#: Middle of the decays that a fit from 30 µs weights most.
_MIDDLE_US: Final = 94.0


@dataclass(frozen=True)
class BeamTruth:
    """Corrections [ppb] and the moments behind C_pa.

    ``height_mm`` (upward) and ``square_mm2`` are the mean and the variance of y around the ring at ``time_us``,
    counted like decays; ``phase_rad`` is the detected phase φ_d.
    """

    corrections_ppb: dict[str, float]
    time_us: FloatArray
    height_mm: FloatArray
    square_mm2: FloatArray
    phase_rad: FloatArray


def _survival(config: BeamConfig, effects: Effects, beam: StoredBeam, time_us: float, momentum: bool) -> FloatArray:
    """Return each muon's chance not to be lost before a time; ``momentum``: with the dependence on momentum."""
    if config.ensemble:
        return np.asarray(beam.loss_time_us > time_us, dtype=np.float64) if effects.lost_muons else np.ones(len(beam))
    slope = config.loss_momentum_slope if momentum else 0.0
    rate = config.loss_rate_per_us * effects.lost_muons
    rate *= 1.0 if momentum else float(np.mean(1.0 + 1e3 * config.loss_momentum_slope * beam.delta))
    exposure = rate * config.loss_decay_us * (1.0 - np.exp(-time_us / config.loss_decay_us))
    relative = relative_loss(beam.delta, beam.action_y_mm, slope, config.loss_vertical_power)
    return np.asarray(np.exp(-exposure * relative))


def _moving_around(
    config: BeamConfig, effects: Effects, whole: StoredBeam, threshold_mev: float
) -> tuple[FloatArray, ...]:
    beam = whole.first(_FOLLOWED)
    phase_map = load_maps(threshold_mev)
    generator = np.random.default_rng(1)
    azimuth = generator.integers(0, beam.lattice.points, len(beam))
    cos_x, cos_y = (np.cos(generator.uniform(0.0, 2.0 * np.pi, len(beam))) for _ in range(2))
    columns = {name: beam.lattice.column(name)[:, azimuth] for name in _COLUMNS}
    times = beam.lattice.time_us
    phasors, heights, squares = [], [], []
    for t in _TIMES:
        j = int(np.clip(np.searchsorted(times, t) - 1, 0, max(times.size - 2, 0)))
        w = float(np.clip((t - times[j]) / (times[j + 1] - times[j]), 0.0, 1.0)) if times.size > 1 else 0.0
        here = {n: (1.0 - w) * c[j] + w * c[min(j + 1, times.size - 1)] for n, c in columns.items()}
        x = here["orbit_x"] + here["dispersion"] * beam.delta + np.sqrt(2.0 * beam.action_x_mm * here["beta_x"]) * cos_x
        y = here["orbit_y"] + np.sqrt(2.0 * beam.action_y_mm * here["beta_y"]) * cos_y
        left = beam.weight * _survival(config, effects, beam, float(t), False)
        rate, phasor = phase_map.phasor_at(x, y)
        phasors.append((left * phasor).sum() / (left * rate).sum())
        heights.append(-np.average(y, weights=left))
        squares.append(np.average((y - np.average(y, weights=left)) ** 2, weights=left))
    vector = np.array(phasors)
    return np.unwrap(np.angle(vector)), np.abs(vector), np.array(heights), np.array(squares)


def beam_truth(
    config: BeamConfig,
    effects: Effects,
    *,
    seed: int,
    dataset: int,
    folder: Path | None = None,
    threshold_mev: float = 1700.0,
    experiment: PseudoExperiment | None = None,
) -> BeamTruth:
    """Return the corrections that a dataset's own beam needs.

    C_e and C_p are the muons' own shifts, averaged over the decays of a fit; C_pa follows muons through lattice, losses
    and phase map at their momenta; C_ml and C_dd follow the mean momentum through losses and decay, times the slope of
    the phase (beamline, injection time, decay position) against momentum.
    """
    experiment = experiment or PseudoExperiment()
    beam = stored_beam(config, effects, seed=seed, dataset=dataset, folder=folder)
    phase, asymmetry, height, square = _moving_around(config, effects, beam, threshold_mev)

    def table(values: FloatArray, t: FloatArray = _TIMES):  # type: ignore[no-untyped-def]
        return lambda now: np.asarray(np.interp(now, t, values))

    found = {"C_pa": -experiment.shift_ppb(table(phase[-1] - phase), asymmetry=table(asymmetry / asymmetry[-1]))}
    phase_map = load_maps(threshold_mev)
    x, y = np.array([-4.0, 4.0]) + beam.mean(beam.equilibrium_offset_mm), np.zeros(2)
    per_mm = float(np.diff(phase_map.phase_at(x, y))[0]) / 8.0
    muon_phase = beam.spin_phase_rad - omega_reference * beam.injection_time_us - per_mm * beam.equilibrium_offset_mm
    offset = beam.delta - beam.mean(beam.delta)
    slope = beam.mean(offset * muon_phase) / beam.mean(offset**2)
    lifetime = beam.gamma_magic * (1.0 + beam.delta) * MUON_LIFETIME_US
    times = np.linspace(0.0, 680.0, 86)
    lost = np.array([np.average(beam.delta, weights=_survival(config, effects, beam, t, True)) for t in times])
    decay = np.array([np.average(beam.delta, weights=np.exp(-t / lifetime + t / lifetime.mean())) for t in times])
    found["C_ml"] = -experiment.shift_ppb(table(slope * (lost - lost[0]), times))
    found["C_dd"] = -experiment.shift_ppb(table(slope * (decay - decay[0]), times))
    counted = beam.weight * _survival(config, effects, beam, _MIDDLE_US, True) * np.exp(-_MIDDLE_US / lifetime)
    reach_y = np.sqrt(beam.action_y_mm * float(beam.lattice.column("beta_y")[-1].mean()))
    counted = counted * phase_map.rate_at(beam.equilibrium_offset_mm, reach_y)
    model = beam.models["omega_a_shift"]
    by_pitch = model.exponents[:, 2] > 0
    for name, chosen, on in (("C_e", ~by_pitch, effects.electric_field), ("C_p", by_pitch, effects.pitch)):
        part = type(model)(model.exponents[chosen], model.coefficients[chosen])
        own = part(beam.delta, beam.action_x_mm, beam.action_y_mm)
        found[name] = -1e9 * float(np.average(own, weights=counted)) * on
    order = ("C_e", "C_p", "C_ml", "C_pa", "C_dd")
    return BeamTruth({name: found[name] for name in order}, _TIMES.copy(), height, square, phase)
