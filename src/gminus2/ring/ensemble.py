"""The stored beam: every muon as a few constants from which its position and spin follow at any time.

A muon passes azimuth 0 (the inflector exit) at ``injection_time_us`` and has turned by Θ = 2π (t − t_inj)/T at time
t. With θ = Θ mod 2π, lattice functions at (θ, t) and the muon's own tunes,

    φ_x(t) = ν_x Θ + 2π·phase_shift_x(t) + periodic_phase_x(θ, t) + phase_x
    x(t)   = orbit_x(θ, t) + D(θ, t) δ + √(2 J_x β_x(θ, t)) cos φ_x
    x'(t)  = orbit_x' + D' δ − √(2 J_x/β_x) [sin φ_x + α_x cos φ_x]
    ψ(t)   = spin_phase + ω_a (1 + omega_a_shift) (t − t_inj)

and the same for y without dispersion. Conventions: x = r − R₀ outward; **y is physically down** (right-handed
(r, s, y), B = −b₀ ŷ; flip the sign of y and y' for the laboratory); δ counts from the magic momentum; ψ is the phase
of the positron rate 1 + A cos ψ ("plus" convention); t = 0 when the centre of the bunch passes θ = 0.
Units: mm, rad, µs; actions J = A²/(2β) in mm (mm·rad).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gminus2.constants import GAMMA_MAGIC
from gminus2.data import Provenance, StoredArray, StoredArrays, read_arrays, write_arrays
from gminus2.errors import DataError, PhysicsError
from gminus2.physics.optics import check_field_index, electric_field_correction, pitch_shift
from gminus2.ring.lattice import FUNCTIONS, Lattice, LatticeTables, lattice_at
from gminus2.ring.polynomial import MuonPolynomial

__all__ = ["BeamState", "StoredBeam", "evaluate_states"]

FloatArray = NDArray[np.float64]

_KIND: Final = "stored_beam"


@dataclass(frozen=True)
class BeamState:
    """Muons at given times: azimuth [rad], turn number, x, y [mm], slopes [rad], spin phase [rad]."""

    azimuth_rad: FloatArray
    turn: NDArray[np.int64]
    x_mm: FloatArray
    x_slope: FloatArray
    y_mm: FloatArray
    y_slope: FloatArray
    spin_phase_rad: FloatArray


_MUON_ARRAYS: Final[dict[str, tuple[str, str]]] = {
    "delta": ("1", "momentum offset from the magic momentum"),
    "injection_time_us": ("us", "time at which the muon passes azimuth 0, bunch centre at 0"),
    "action_x_mm": ("mm", "horizontal action"),
    "phase_x_rad": ("rad", "horizontal betatron phase at azimuth 0 and injection time"),
    "action_y_mm": ("mm", "vertical action"),
    "phase_y_rad": ("rad", "vertical betatron phase at azimuth 0 and injection time"),
    "spin_phase_rad": ("rad", "precession phase at injection time"),
    "loss_time_us": ("us", "time at which the muon hits a collimator, inf if never"),
    "weight": ("1", "statistical weight"),
    "equilibrium_offset_mm": ("mm", "azimuthal mean of the closed orbit of this momentum"),
    "nu_x": ("1", "horizontal tune at the final voltages"),
    "nu_y": ("1", "vertical tune at the final voltages"),
    "period_us": ("us", "revolution period"),
    "omega_a_shift": ("1", "relative shift of omega_a by electric field and pitch (negative)"),
}


@dataclass(frozen=True)
class StoredBeam:
    """An ensemble of stored muons; arrays have shape (N,). See the module for conventions.

    Attributes
    ----------
    injection_time_us
        Effective: the time at azimuth 0 from which the muon's late passages count with its final period. The kick and
        voltages that still move shift it against the real arrival by up to about a nanosecond per 10⁻³ of momentum,
        and the spin phase with it, so that every late position and phase is right.
    loss_time_us
        Infinite for a muon that is never lost. Decay is not included: the user draws it from γτ.
    omega_a_shift
        ω_a,i = a e B/m · (1 + shift): electric field (δ and J_x) and pitch (J_y), without the magnetic field's own
        variation.
    models
        Polynomials ``nu_x``, ``nu_y``, ``period_us``, ``omega_a_shift``, ``equilibrium_offset_mm`` that gave the
        per-muon values, to make new muons from.
    polarisation
        Length of the spin vector in the plane.
    valid_from_us
        Before this time (kick, scraping) the form is an extrapolation.
    description
        What made it: free text for people, numbers for programs in ``settings``.
    """

    delta: FloatArray
    injection_time_us: FloatArray
    action_x_mm: FloatArray
    phase_x_rad: FloatArray
    action_y_mm: FloatArray
    phase_y_rad: FloatArray
    spin_phase_rad: FloatArray
    loss_time_us: FloatArray
    weight: FloatArray
    equilibrium_offset_mm: FloatArray
    nu_x: FloatArray
    nu_y: FloatArray
    period_us: FloatArray
    omega_a_shift: FloatArray
    lattice: Lattice
    models: Mapping[str, MuonPolynomial]
    field_index: float
    polarisation: float = 0.95
    valid_from_us: float = 0.0
    gamma_magic: float = GAMMA_MAGIC
    description: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_field_index(self.field_index)
        for name in _MUON_ARRAYS:
            values = getattr(self, name)
            if values.shape != self.delta.shape or np.any(np.isnan(values)):
                raise PhysicsError("a stored beam needs finite arrays of one length", where=name)

    def __len__(self) -> int:
        return int(self.delta.size)

    # -- evaluation ------------------------------------------------------------------------------------------------

    def states(self, index: NDArray[np.int64], time_us: FloatArray, omega_a: float) -> BeamState:
        """Return muons ``index`` (K,) at ``time_us`` (K,); ``omega_a`` = a e B/m [rad/µs] of the uniform field."""
        index = np.ascontiguousarray(index, dtype=np.int64)
        out = np.empty((6, index.size))
        evaluate_states(
            self.lattice.tables(),
            self.muon_matrix(),
            index,
            np.ascontiguousarray(time_us, dtype=np.float64),
            omega_a,
            out,
        )
        turns = np.floor(out[0] / (2.0 * np.pi))
        return BeamState(out[0] - 2.0 * np.pi * turns, turns.astype(np.int64), *out[1:])

    def muon_matrix(self) -> FloatArray:
        """Return what :func:`evaluate_states` reads, shape (N, 11), one row per muon.

        Columns: t_inj, period, δ, √(2J_x), ν_x, φ_x, √(2J_y), ν_y, φ_y, spin phase, 1 + ω_a shift.
        """
        return np.stack(
            [
                self.injection_time_us,
                self.period_us,
                self.delta,
                np.sqrt(2.0 * self.action_x_mm),
                self.nu_x,
                self.phase_x_rad,
                np.sqrt(2.0 * self.action_y_mm),
                self.nu_y,
                self.phase_y_rad,
                self.spin_phase_rad,
                1.0 + self.omega_a_shift,
            ],
            axis=1,
        )

    # -- making more muons -----------------------------------------------------------------------------------------

    def draw(self, generator: np.random.Generator, count: int, smoothing: float = 0.02) -> StoredBeam:
        """Return ``count`` new muons: drawn with replacement by weight, then smeared, models evaluated anew.

        Parameters
        ----------
        smoothing
            Gaussian smearing in units of each coordinate's rms (δ, t_inj, normalised x and y, spin phase). It
            widens every distribution by 1 + smoothing²/2 (2·10⁻⁴ at the default, 0.2 ppb in C_e) and removes the
            comb that a finite ensemble would leave in the fast rotation. A smeared muon outside the momentum
            acceptance or the aperture of the ensemble (largest |δ|, J) keeps its unsmeared values.
        """
        if count < 1 or smoothing < 0.0:
            raise PhysicsError(
                "a draw needs a positive count and smoothing of 0 or more", found=f"{count}, {smoothing}"
            )
        cumulative = np.cumsum(self.weight)
        picked = np.searchsorted(cumulative, generator.random(count) * cumulative[-1], side="right")
        picked = np.minimum(picked, len(self) - 1)
        delta, injected = self.delta[picked], self.injection_time_us[picked]
        spin = self.spin_phase_rad[picked]
        planes = [
            (np.sqrt(2.0 * j) * np.cos(p), np.sqrt(2.0 * j) * np.sin(p))
            for j, p in ((self.action_x_mm, self.phase_x_rad), (self.action_y_mm, self.phase_y_rad))
        ]
        coordinates = [delta, injected, *(c[picked] for plane in planes for c in plane)]
        widths = [float(np.std(v)) for v in (self.delta, self.injection_time_us, *(c for p in planes for c in p))]
        smeared = [
            value + smoothing * width * generator.standard_normal(count)
            for value, width in zip(coordinates, widths, strict=True)
        ]
        actions = [0.5 * (smeared[i] ** 2 + smeared[i + 1] ** 2) for i in (2, 4)]
        inside = (
            (np.abs(smeared[0]) <= np.max(np.abs(self.delta)))
            & (actions[0] <= np.max(self.action_x_mm))
            & (actions[1] <= np.max(self.action_y_mm))
        )
        final = [np.where(inside, new, old) for new, old in zip(smeared, coordinates, strict=True)]
        slope = self.spin_momentum_slope()
        return self.rebuilt(
            delta=final[0],
            injection_time_us=final[1],
            action_x_mm=0.5 * (final[2] ** 2 + final[3] ** 2),
            phase_x_rad=np.arctan2(final[3], final[2]),
            action_y_mm=0.5 * (final[4] ** 2 + final[5] ** 2),
            phase_y_rad=np.arctan2(final[5], final[4]),
            spin_phase_rad=spin + slope * (final[0] - delta),
            loss_time_us=self.loss_time_us[picked],
            weight=np.ones(count),
        )

    def first(self, count: int) -> StoredBeam:
        """Return the first ``count`` muons (all, if there are fewer)."""
        return replace(self, **{name: getattr(self, name)[:count] for name in _MUON_ARRAYS})

    def rebuilt(self, **muons: FloatArray) -> StoredBeam:
        """Return a beam with new muons whose tunes, period, x_e and ω_a follow from the models."""
        values = dict(muons)
        for name in ("nu_x", "nu_y", "period_us", "omega_a_shift", "equilibrium_offset_mm"):
            values[name] = self.models[name](muons["delta"], muons["action_x_mm"], muons["action_y_mm"])
        return replace(self, **values)  # type: ignore[arg-type]

    # -- summaries -------------------------------------------------------------------------------------------------

    def mean(self, values: FloatArray) -> float:
        """Return the weighted mean of a per-muon array."""
        return float(np.average(values, weights=self.weight))

    def spin_momentum_slope(self) -> float:
        """Return dψ/dδ [rad] of the weighted straight line through spin phase against momentum."""
        offset = self.delta - self.mean(self.delta)
        variance = self.mean(offset**2)
        return self.mean(offset * self.spin_phase_rad) / variance if variance > 0.0 else 0.0

    def electric_field_correction(self) -> float:
        """Return the ensemble's C_e (relative) from ⟨x_e²⟩ by the lattice formula."""
        return electric_field_correction(self.mean(self.equilibrium_offset_mm**2), self.lattice.alpha_p)

    def pitch_correction(self) -> float:
        """Return the ensemble's C_p (relative) from ⟨J_y⟩ by the lattice formula."""
        return -float(pitch_shift(self.mean(self.action_y_mm), self.lattice.mean_gamma_y_per_mm))

    # -- files -----------------------------------------------------------------------------------------------------

    def write(self, path: Path, provenance: Provenance) -> None:
        """Write to HDF5 (kind ``stored_beam``)."""
        arrays = {
            f"muons/{name}": StoredArray(getattr(self, name), unit, text) for name, (unit, text) in _MUON_ARRAYS.items()
        }
        lat = self.lattice
        arrays["lattice/time_us"] = StoredArray(lat.time_us, "us", "times of the lattice functions")
        for name, (unit, text) in FUNCTIONS.items():
            arrays[f"lattice/{name}"] = StoredArray(lat.column(name), unit, f"{text}; (time, azimuth 2 pi i/A)")
        for name, unit, text in (
            ("nu_x", "1", "horizontal tune"),
            ("nu_y", "1", "vertical tune"),
            ("phase_shift_x", "turn", "integral of nu_x(t) - nu_x(final) over revolutions"),
            ("phase_shift_y", "turn", "integral of nu_y(t) - nu_y(final) over revolutions"),
        ):
            arrays[f"lattice/{name}"] = StoredArray(getattr(lat, name), unit, text)
        for name, model in self.models.items():
            arrays[f"models/{name}/exponents"] = StoredArray(model.exponents, "1", "powers of delta, J_x/mm, J_y/mm")
            arrays[f"models/{name}/coefficients"] = StoredArray(model.coefficients, "1", f"coefficients of {name}")
        attributes = {
            "field_index": self.field_index,
            "polarisation": self.polarisation,
            "valid_from_us": self.valid_from_us,
            "gamma_magic": self.gamma_magic,
            "description": self.description,
            "settings": dict(self.settings),
            "nu_x_final": lat.nu_x_final,
            "nu_y_final": lat.nu_y_final,
            "alpha_p": lat.alpha_p,
            "mean_gamma_y_per_mm": lat.mean_gamma_y_per_mm,
            "models": list(self.models),
        }
        write_arrays(path, StoredArrays(_KIND, arrays, attributes, provenance))

    @classmethod
    def read(cls, path: Path) -> StoredBeam:
        """Read a beam back.

        Raises
        ------
        DataError
            Absent, truncated, incomplete, or not a stored beam.
        """
        stored = read_arrays(path, _KIND)
        given = stored.attributes
        try:
            lattice = Lattice(
                time_us=stored["lattice/time_us"],
                functions=np.ascontiguousarray(np.stack([stored[f"lattice/{name}"] for name in FUNCTIONS], axis=-1)),
                nu_x=stored["lattice/nu_x"],
                nu_y=stored["lattice/nu_y"],
                nu_x_final=given["nu_x_final"],
                nu_y_final=given["nu_y_final"],
                phase_shift_x=stored["lattice/phase_shift_x"],
                phase_shift_y=stored["lattice/phase_shift_y"],
                alpha_p=given["alpha_p"],
                mean_gamma_y_per_mm=given["mean_gamma_y_per_mm"],
            )
            models = {
                name: MuonPolynomial(stored[f"models/{name}/exponents"], stored[f"models/{name}/coefficients"])
                for name in given["models"]
            }
            own = {f.name for f in fields(cls)} & set(given) - {"models"}
            others: dict[str, Any] = {name: given[name] for name in own}
            others |= {name: stored[f"muons/{name}"] for name in _MUON_ARRAYS}
            return cls(lattice=lattice, models=models, **others)
        except (KeyError, PhysicsError) as error:
            raise DataError(f"this stored beam is damaged ({error})", where=str(path), hint="make it again") from None


@njit(cache=True, nogil=True)
def evaluate_states(
    tables: LatticeTables, muons: FloatArray, index: NDArray[np.int64], time_us: FloatArray, omega_a: float, out: Any
) -> None:
    """Evaluate muons at times; about 0.1 µs per state.

    Parameters
    ----------
    tables
        :meth:`Lattice.tables`.
    muons
        :meth:`StoredBeam.muon_matrix`, (N, 11).
    index, time_us
        Muon and time of each of K states.
    omega_a
        a e B/m [rad/µs].
    out
        (6, K): Θ (unreduced azimuth), x, x', y, y', ψ (unreduced).
    """
    functions = np.empty(14)
    two_pi = 2.0 * np.pi
    for k in range(index.size):
        m = muons[index[k]]
        elapsed = time_us[k] - m[0]
        turns = elapsed / m[1]
        lattice_at(tables, two_pi * (turns - np.floor(turns)), time_us[k], functions)
        angle = two_pi * turns
        phase = m[4] * angle + two_pi * functions[12] + functions[2] + m[5]
        root = np.sqrt(functions[0])
        cos, sin = np.cos(phase), np.sin(phase)
        out[0, k] = angle
        out[1, k] = functions[8] + functions[6] * m[2] + m[3] * root * cos
        out[2, k] = functions[9] + functions[7] * m[2] - m[3] / root * (sin + functions[1] * cos)
        phase = m[7] * angle + two_pi * functions[13] + functions[5] + m[8]
        root = np.sqrt(functions[3])
        cos, sin = np.cos(phase), np.sin(phase)
        out[3, k] = functions[10] + m[6] * root * cos
        out[4, k] = functions[11] - m[6] / root * (sin + functions[4] * cos)
        out[5, k] = m[9] + omega_a * m[10] * elapsed
