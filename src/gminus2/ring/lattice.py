"""The lattice as a function of azimuth and time, in a form that a kernel evaluates in nanoseconds.

Quadrupole voltages move slowly (microseconds) against a betatron period, so the actions are adiabatic invariants and
a voltage history acts through optics functions that depend on time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gminus2.constants import F_CYCLOTRON_MHZ, RING_RADIUS_MM
from gminus2.errors import PhysicsError
from gminus2.physics.optics import FocusingSection, LinearOptics, linear_optics

__all__ = ["FUNCTIONS", "Lattice", "LatticeTables", "lattice_at"]

FloatArray = NDArray[np.float64]

#: Order of the columns of :attr:`Lattice.functions`: name → (unit, description).
FUNCTIONS: dict[str, tuple[str, str]] = {
    "beta_x": ("mm", "horizontal beta function"),
    "alpha_x": ("1", "-beta_x'/2"),
    "periodic_phase_x": ("rad", "horizontal phase advance from azimuth 0 minus nu_x times azimuth"),
    "beta_y": ("mm", "vertical beta function"),
    "alpha_y": ("1", "-beta_y'/2"),
    "periodic_phase_y": ("rad", "vertical phase advance from azimuth 0 minus nu_y times azimuth"),
    "dispersion": ("mm", "closed-orbit offset per unit momentum offset"),
    "dispersion_slope": ("rad", "its slope"),
    "orbit_x": ("mm", "radial closed orbit of the magic momentum"),
    "orbit_x_slope": ("rad", "its slope"),
    "orbit_y": ("mm", "vertical closed orbit"),
    "orbit_y_slope": ("rad", "its slope"),
}


class LatticeTables(NamedTuple):
    """What the kernels read. ``functions`` has shape (M, A + 1, 12): times, azimuths (the last repeats 0), columns.

    ``phase_shift_x``, ``phase_shift_y`` (M,) are in turns: the integral of ν(t') − ν(∞) over revolutions since t = 0.
    Times [µs] need not be equally spaced; before the first and after the last the end values hold.
    """

    time_us: FloatArray
    functions: FloatArray
    phase_shift_x: FloatArray
    phase_shift_y: FloatArray


@dataclass(frozen=True)
class Lattice:
    """Optics functions on a (time, azimuth) grid.

    Attributes
    ----------
    time_us
        M increasing times since nominal injection; M = 1 for constant voltages.
    functions
        (M, A, 12), columns as in :data:`FUNCTIONS`, azimuths 2π i/A.
    nu_x, nu_y
        (M,) small-amplitude tunes at each time.
    nu_x_final, nu_y_final
        Tunes at the final voltages; a muon's own tunes refer to these.
    phase_shift_x, phase_shift_y
        (M,) [turns], ∫₀ᵗ (ν(t') − ν_final) dt'/T_c.
    alpha_p
        Momentum compaction at the final voltages.
    mean_gamma_y_per_mm
        Ring average of γ_y at the final voltages.
    """

    time_us: FloatArray
    functions: FloatArray
    nu_x: FloatArray
    nu_y: FloatArray
    nu_x_final: float
    nu_y_final: float
    phase_shift_x: FloatArray
    phase_shift_y: FloatArray
    alpha_p: float
    mean_gamma_y_per_mm: float

    def __post_init__(self) -> None:
        if self.functions.ndim != 3 or self.functions.shape[2] != len(FUNCTIONS):
            raise PhysicsError("lattice functions have the wrong shape", expected="(times, azimuths, 12)")
        if self.functions.shape[0] != self.time_us.size or np.any(np.diff(self.time_us) <= 0.0):
            raise PhysicsError("lattice times must increase and match the functions")

    @property
    def points(self) -> int:
        """Number of azimuths."""
        return int(self.functions.shape[1])

    @classmethod
    def from_optics(cls, optics: LinearOptics, final: LinearOptics, time_us: FloatArray) -> Lattice:
        """Build the tables from the optics at M times and the optics at the final voltages (one setting)."""
        azimuth = optics.azimuth_rad
        columns = [
            optics.beta_x,
            optics.alpha_x,
            optics.phase_x - optics.nu_x[:, None] * azimuth,
            optics.beta_y,
            optics.alpha_y,
            optics.phase_y - optics.nu_y[:, None] * azimuth,
            optics.dispersion,
            optics.dispersion_slope,
            optics.orbit_x,
            optics.orbit_x_slope,
            optics.orbit_y,
            optics.orbit_y_slope,
        ]
        shifts = []
        for nu, last in ((optics.nu_x, final.nu_x[0]), (optics.nu_y, final.nu_y[0])):
            difference = nu - last
            steps = 0.5 * (difference[1:] + difference[:-1]) * np.diff(time_us) * F_CYCLOTRON_MHZ
            cumulative = np.concatenate(([0.0], np.cumsum(steps)))
            shifts.append(cumulative - np.interp(0.0, time_us, cumulative))
        return cls(
            time_us=np.asarray(time_us, dtype=float),
            functions=np.ascontiguousarray(np.stack(columns, axis=-1)),
            nu_x=optics.nu_x,
            nu_y=optics.nu_y,
            nu_x_final=float(final.nu_x[0]),
            nu_y_final=float(final.nu_y[0]),
            phase_shift_x=shifts[0],
            phase_shift_y=shifts[1],
            alpha_p=float(final.alpha_p[0]),
            mean_gamma_y_per_mm=float(final.mean_gamma_y[0]),
        )

    @classmethod
    def constant(
        cls, sections: Sequence[FocusingSection], *, radius_mm: float = RING_RADIUS_MM, points: int = 360
    ) -> Lattice:
        """Build the lattice of plates with constant voltages."""
        optics = linear_optics(list(sections), radius_mm=radius_mm, points=points)
        return cls.from_optics(optics, optics, np.zeros(1))

    def tables(self) -> LatticeTables:
        """Return what :func:`lattice_at` reads."""
        closed = np.concatenate([self.functions, self.functions[:, :1]], axis=1)
        return LatticeTables(
            np.ascontiguousarray(self.time_us),
            np.ascontiguousarray(closed),
            np.ascontiguousarray(self.phase_shift_x),
            np.ascontiguousarray(self.phase_shift_y),
        )

    def column(self, name: str) -> FloatArray:
        """Return one function, shape (M, A)."""
        return np.asarray(self.functions[:, :, list(FUNCTIONS).index(name)])

    def at(self, azimuth_rad: float, time_us: float, name: str) -> float:
        """Return one function at an azimuth and a time (linear interpolation)."""
        out = np.empty(len(FUNCTIONS) + 2)
        lattice_at(self.tables(), azimuth_rad, time_us, out)
        return float(out[list(FUNCTIONS).index(name)])


@njit(cache=True, nogil=True)
def lattice_at(tables: Any, azimuth: float, time: float, out: Any) -> None:
    """Write the 12 functions and the two phase shifts [turns] at (azimuth [rad], time [µs]) into ``out`` (14,)."""
    functions = tables.functions
    cells = functions.shape[1] - 1
    u = azimuth * (cells / (2.0 * np.pi))
    u -= np.floor(u / cells) * cells
    i = min(int(u), cells - 1)
    fu = u - i
    times = tables.time_us
    last = times.size - 1
    if last == 0:
        for k in range(12):
            out[k] = (1.0 - fu) * functions[0, i, k] + fu * functions[0, i + 1, k]
        out[12] = tables.phase_shift_x[0]
        out[13] = tables.phase_shift_y[0]
        return
    if time <= times[0]:
        j, ft = 0, 0.0
    elif time >= times[last]:
        j, ft = last - 1, 1.0
    else:
        j = int(np.searchsorted(times, time, side="right")) - 1
        ft = (time - times[j]) / (times[j + 1] - times[j])
    for k in range(12):
        low = (1.0 - fu) * functions[j, i, k] + fu * functions[j, i + 1, k]
        high = (1.0 - fu) * functions[j + 1, i, k] + fu * functions[j + 1, i + 1, k]
        out[k] = (1.0 - ft) * low + ft * high
    out[12] = (1.0 - ft) * tables.phase_shift_x[j] + ft * tables.phase_shift_x[j + 1]
    out[13] = (1.0 - ft) * tables.phase_shift_y[j] + ft * tables.phase_shift_y[j + 1]
