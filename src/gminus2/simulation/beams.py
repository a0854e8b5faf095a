"""The stored beam of a dataset: read from the ring stage, or built from the parameters of the campaign file.

Plates that charge slowly make the lattice a function of time: each of the eight quadrupole sections has its own
history, and a lagging top or bottom plate also displaces the vertical orbit (its potential has a dipole part).
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gminus2.config.campaign import BeamConfig, Effects
from gminus2.constants import RING_RADIUS_MM
from gminus2.physics.optics import COVERED_FRACTION, FocusingSection, linear_optics
from gminus2.random import stream
from gminus2.ring.closed_form import closed_form_beam
from gminus2.ring.ensemble import StoredBeam
from gminus2.ring.lattice import Lattice

__all__ = ["SECTIONS_DEG", "lattice_of", "stored_beam"]

#: Quadrupole sections: name → (begin, end) [deg from the inflector exit].
SECTIONS_DEG: Final = {
    "Q1S": (22.075, 35.075),
    "Q1L": (39.075, 65.075),
    "Q2S": (112.078, 125.078),
    "Q2L": (129.078, 155.074),
    "Q3S": (202.074, 215.078),
    "Q3L": (219.074, 245.078),
    "Q4S": (292.078, 305.078),
    "Q4L": (309.078, 335.074),
}
#: Displacement of the centre of the quadrupole field per missing fraction of one plate's voltage [mm]: the dipole part
#: of one plate's potential, 7388 V at 45 mm of 24 kV, over twice its quadrupole part 20178 V, times 45 mm.
_SHIFT_PER_FRACTION_MM: Final = 7388.0 / (2.0 * 20177.8) * 45.0

Array = NDArray[np.float64]


def _times() -> Array:
    return np.concatenate(([0.0], np.geomspace(0.25, 700.0, 90)))


def lattice_of(config: BeamConfig, *, history: bool = True) -> Lattice:
    """Return the lattice of a beam's voltages, with their history unless switched off."""
    times = _times()
    index = config.field_index / COVERED_FRACTION
    common = np.ones(times.size)
    for component in config.voltages if history else ():
        common -= component.fraction * np.exp(-times / component.time_us)
    # The radial field bends everywhere; positive raises the beam (internal y is down).
    bend = -1e-6 * config.radial_field_ppm / RING_RADIUS_MM
    sections, final = [], []
    end_of_last = 0.0
    for name, (begin, end) in SECTIONS_DEG.items():
        strength = common.copy()
        shift = {"x": np.zeros(times.size), "y": np.zeros(times.size)}
        for plate in config.damaged_plates if history else ():
            if plate.plate != name:
                continue
            missing = plate.fraction * np.exp(-times / plate.time_us)
            strength -= 0.25 * missing
            # A weak top plate lets the beam rise; y is down, x outward.
            axis, sign = {"top": ("y", -1.0), "bottom": ("y", 1.0), "outer": ("x", 1.0), "inner": ("x", -1.0)}[
                plate.side
            ]
            shift[axis] += sign * _SHIFT_PER_FRACTION_MM * missing
        curvature = index * strength / RING_RADIUS_MM**2
        edges = (math.radians(begin), math.radians(end))
        gap = FocusingSection(end_of_last, edges[0], 0.0, 0.0, bend)
        end_of_last = edges[1]
        kick = curvature * shift["y"] + bend
        sections += [gap, FocusingSection(*edges, index * strength, -curvature * shift["x"], kick)]
        final += [gap, FocusingSection(*edges, index, 0.0, bend)]
    gap = FocusingSection(end_of_last, 2.0 * math.pi, 0.0, 0.0, bend)
    sections.append(gap)
    final.append(gap)
    last = linear_optics(final)
    if not history or not (config.voltages or config.damaged_plates):
        return Lattice.constant(final)
    return Lattice.from_optics(linear_optics(sections), last, times)


def stored_beam(
    config: BeamConfig, effects: Effects, *, seed: int, dataset: int, count: int = 100_000, folder: Path | None = None
) -> StoredBeam:
    """Return the stored beam of a dataset.

    Parameters
    ----------
    folder
        Where a relative ``ensemble`` path starts.
    """
    if config.ensemble:
        beam = StoredBeam.read((folder or Path()) / config.ensemble)
    else:
        beam = closed_form_beam(
            stream(seed, "stored-beam", dataset),
            count,
            field_index=config.field_index,
            lattice=lattice_of(config, history=effects.voltage_history),
            momentum_mean=config.momentum_mean,
            momentum_rms=config.momentum_rms,
            bunch_rms_us=1e-3 * config.bunch_rms_ns,
            time_per_momentum_us=1e-3 * config.time_per_momentum_ns,
            x_beta_rms_mm=config.x_beta_rms_mm,
            cbo_amplitude_mm=config.cbo_amplitude_mm,
            cbo_phase_rad=config.cbo_phase_rad,
            y_rms_mm=config.y_rms_mm,
            spin_phase_rad=config.spin_phase_rad,
            spin_per_momentum_rad=config.spin_per_momentum_rad if effects.spin_momentum else 0.0,
            chromaticity_x=config.chromaticity_x,
            chromaticity_y=config.chromaticity_y,
            loss_rate_per_us=config.loss_rate_per_us,
            loss_decay_us=config.loss_decay_us,
            loss_momentum_slope=config.loss_momentum_slope,
            loss_vertical_power=config.loss_vertical_power,
            polarisation=config.polarisation,
        )
    if config.vertical_mismatch:
        stretch = math.exp(config.vertical_mismatch)
        root = np.sqrt(2.0 * beam.action_y_mm)
        y, py = root * np.cos(beam.phase_y_rad) * stretch, root * np.sin(beam.phase_y_rad) / stretch
        action = np.minimum(0.5 * (y**2 + py**2), float(beam.action_y_mm.max()))
        beam = _with(beam, action_y_mm=action, phase_y_rad=np.arctan2(py, y))
    if not effects.cbo:
        phases = stream(seed, "incoherent", dataset).uniform(0.0, 2.0 * math.pi, (2, len(beam)))
        beam = _with(beam, phase_x_rad=phases[0], phase_y_rad=phases[1])
    return beam if effects.polarisation else replace(beam, polarisation=0.0)


def _with(beam: StoredBeam, **changes: Array) -> StoredBeam:
    names = (
        "delta",
        "injection_time_us",
        "action_x_mm",
        "phase_x_rad",
        "action_y_mm",
        "phase_y_rad",
        "spin_phase_rad",
        "loss_time_us",
        "weight",
    )
    return beam.rebuilt(**{name: changes.get(name, getattr(beam, name)) for name in names})
