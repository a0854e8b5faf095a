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

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gminus2.constants import F_CYCLOTRON_MHZ, GAMMA_MAGIC, RING_RADIUS_MM
from gminus2.data import Provenance, StoredArray, StoredArrays, read_arrays, write_arrays
from gminus2.errors import DataError, PhysicsError
from gminus2.physics.optics import (
    COVERED_FRACTION,
    FocusingSection,
    check_field_index,
    electric_field_correction,
    electric_field_shift,
    pitch_shift,
    slip_factor,
)
from gminus2.ring.lattice import FUNCTIONS, Lattice, LatticeTables, lattice_at

__all__ = [
    "BeamState",
    "MuonPolynomial",
    "StoredBeam",
    "closed_form_loss_times",
    "evaluate_states",
    "monomials",
    "relative_loss",
]

FloatArray = NDArray[np.float64]

_KIND: Final = "stored_beam"


def monomials(
    delta: FloatArray, action_x: FloatArray, action_y: FloatArray, exponents: NDArray[np.int64]
) -> Iterator[FloatArray]:
    """Yield δ^a J_x^b J_y^c for each row of ``exponents``; powers are made once."""
    powers = []
    for values, column in zip((delta, action_x, action_y), exponents.T, strict=True):
        table = [np.ones_like(values, dtype=float)]
        for _ in range(int(column.max(initial=0))):
            table.append(table[-1] * values)
        powers.append(table)
    for a, b, c in exponents.tolist():
        yield powers[0][a] * powers[1][b] * powers[2][c]


@dataclass(frozen=True)
class MuonPolynomial:
    """A polynomial in (δ, J_x [mm], J_y [mm]): Σ c_k δ^a J_x^b J_y^c with rows (a, b, c) of ``exponents``."""

    exponents: NDArray[np.int64]
    coefficients: FloatArray

    @classmethod
    def from_terms(cls, terms: Mapping[tuple[int, int, int], float]) -> MuonPolynomial:
        """Build from {(a, b, c): coefficient}."""
        return cls(np.array(list(terms), dtype=np.int64).reshape(-1, 3), np.array(list(terms.values()), dtype=float))

    def __call__(self, delta: FloatArray, action_x_mm: FloatArray, action_y_mm: FloatArray) -> FloatArray:
        """Evaluate for arrays of equal shape."""
        total = np.zeros(np.shape(delta))
        terms = monomials(np.asarray(delta), np.asarray(action_x_mm), np.asarray(action_y_mm), self.exponents)
        for value, term in zip(self.coefficients.tolist(), terms, strict=True):
            total += value * term
        return total


def relative_loss(
    delta: FloatArray,
    action_y_mm: FloatArray,
    momentum_slope: float,
    vertical_power: float,
    mean_power: float | None = None,
) -> FloatArray:
    """Return how much likelier than the average a muon is lost: (1 + slope·δ/10⁻³ ≥ 0) · J_y^power/⟨J_y^power⟩.

    ``mean_power`` is ⟨J_y^power⟩ of the beam; default: that of the muons given.
    """
    by_height = action_y_mm**vertical_power
    mean = float(by_height.mean()) if mean_power is None else mean_power
    relative: FloatArray = np.maximum(0.0, 1.0 + momentum_slope * delta * 1e3) * by_height / mean
    return relative


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

    # -- construction ----------------------------------------------------------------------------------------------

    @classmethod
    def from_optics(
        cls,
        generator: np.random.Generator,
        count: int,
        *,
        field_index: float = 0.108,
        lattice: Lattice | None = None,
        momentum_mean: float = 0.75e-3,
        momentum_rms: float = 1.12e-3,
        bunch_rms_us: float = 0.025,
        time_per_momentum_us: float = 0.0,
        x_beta_rms_mm: float = 10.0,
        cbo_amplitude_mm: float = 8.0,
        cbo_phase_rad: float = math.pi,
        y_rms_mm: float = 12.8,
        spin_phase_rad: float = 0.0,
        spin_per_momentum_rad: float = 1.0,
        chromaticity_x: float = -0.0675,
        chromaticity_y: float = 0.2044,
        detuning_x_at_40_mm: float = 9.8e-4,
        detuning_y_at_40_mm: float = -3.35e-3,
        loss_rate_per_us: float = 0.0,
        loss_decay_us: float = 40.0,
        loss_momentum_slope: float = 0.0,
        loss_vertical_power: float = 0.0,
        aperture_mm: float = 45.0,
        polarisation: float = 0.95,
    ) -> StoredBeam:
        """Return a beam from closed-form optics and Gaussian distributions, without tracking.

        Parameters
        ----------
        lattice
            Default: four lumped plates of 39° with this field index.
        momentum_mean, momentum_rms
            Of δ (defaults: ⟨x_e⟩ = 6 mm, σ = 9 mm).
        time_per_momentum_us
            Correlation ⟨t_inj|δ⟩ = slope · (δ − mean).
        x_beta_rms_mm, cbo_amplitude_mm, cbo_phase_rad, y_rms_mm
            Incoherent betatron rms and coherent amplitude, phase at azimuth 0 and t = 0, at the mean β.
        chromaticity_x, chromaticity_y
            dν/dδ (defaults: curved quadrupoles with sextupole switch −1).
        detuning_x_at_40_mm, detuning_y_at_40_mm
            Tune shift at 40 mm amplitude by the 20-pole, growing as A⁸ (cross terms are left to tracking).
        loss_rate_per_us, loss_decay_us, loss_momentum_slope, loss_vertical_power
            Loss rate per muon l(t) = rate · exp(−t/decay) · :func:`relative_loss`: max(0, 1 + slope·δ/10⁻³) times
            J_y^power over its mean. With a power above 0 the muons of large vertical amplitude go first and the beam
            becomes narrower.

        Notes
        -----
        Muons with |D δ| + A_x or A_y beyond the aperture are drawn again. ω_a shifts are the lattice identities
        −2β²(α_p − 1)δ² and −(J_y/2)⟨γ_y⟩.
        """
        check_field_index(field_index)
        if lattice is None:
            quarter = math.pi / 2.0
            plates = [
                FocusingSection(quarter * k, quarter * (k + 39.0 / 90.0), field_index / COVERED_FRACTION)
                for k in range(4)
            ]
            lattice = Lattice.constant(plates)
        if count < 1 or not momentum_rms > 0.0:
            raise PhysicsError("a beam needs muons and a momentum spread", found=f"{count} muons, {momentum_rms:g}")
        mean_beta = {axis: float(np.mean(lattice.column(f"beta_{axis}")[-1])) for axis in "xy"}
        dispersion = lattice.alpha_p * RING_RADIUS_MM
        kept: list[FloatArray] = []
        found = 0
        for _ in range(1000):
            size = max(1024, 2 * (count - found))
            normal = generator.standard_normal((6, size))
            delta = momentum_mean + momentum_rms * normal[0]
            x = x_beta_rms_mm * normal[1] + cbo_amplitude_mm * math.cos(cbo_phase_rad)
            px = x_beta_rms_mm * normal[2] + cbo_amplitude_mm * math.sin(cbo_phase_rad)
            y, py = y_rms_mm * normal[3], y_rms_mm * normal[4]
            stored = (np.abs(dispersion * delta) + np.hypot(x, px) < aperture_mm) & (np.hypot(y, py) < aperture_mm)
            block = np.stack([delta, x, px, y, py, normal[5]])[:, stored]
            kept.append(block)
            found += block.shape[1]
            if found >= count:
                break
        else:
            raise PhysicsError("hardly any muon fits into the aperture", hint="lower the spreads or the CBO amplitude")
        delta, x, px, y, py, extra = np.concatenate(kept, axis=1)[:, :count]
        action_x, action_y = 0.5 * (x**2 + px**2) / mean_beta["x"], 0.5 * (y**2 + py**2) / mean_beta["y"]
        centre = float(np.mean(delta))
        edge = {axis: 40.0**2 / (2.0 * mean_beta[axis]) for axis in "xy"}
        period = 1.0 / F_CYCLOTRON_MHZ
        models = {
            "nu_x": MuonPolynomial.from_terms(
                {
                    (0, 0, 0): lattice.nu_x_final,
                    (1, 0, 0): chromaticity_x,
                    (0, 4, 0): detuning_x_at_40_mm / edge["x"] ** 4,
                }
            ),
            "nu_y": MuonPolynomial.from_terms(
                {
                    (0, 0, 0): lattice.nu_y_final,
                    (1, 0, 0): chromaticity_y,
                    (0, 0, 4): detuning_y_at_40_mm / edge["y"] ** 4,
                }
            ),
            "period_us": MuonPolynomial.from_terms(
                {(0, 0, 0): period, (1, 0, 0): period * slip_factor(lattice.alpha_p, GAMMA_MAGIC)}
            ),
            "equilibrium_offset_mm": MuonPolynomial.from_terms({(1, 0, 0): dispersion}),
            "omega_a_shift": MuonPolynomial.from_terms(
                {
                    (2, 0, 0): float(electric_field_shift(1.0, lattice.alpha_p)),
                    (0, 0, 1): float(pitch_shift(1.0, lattice.mean_gamma_y_per_mm)),
                }
            ),
        }
        loss_time = closed_form_loss_times(
            generator.exponential(size=count),
            relative_loss(delta, action_y, loss_momentum_slope, loss_vertical_power),
            rate_per_us=loss_rate_per_us,
            decay_us=loss_decay_us,
        )
        zeros = np.zeros(count)
        bare = cls(
            delta=delta,
            injection_time_us=bunch_rms_us * extra + time_per_momentum_us * (delta - centre),
            action_x_mm=action_x,
            phase_x_rad=np.arctan2(px, x),
            action_y_mm=action_y,
            phase_y_rad=np.arctan2(py, y),
            spin_phase_rad=spin_phase_rad + spin_per_momentum_rad * delta,
            loss_time_us=loss_time,
            weight=np.ones(count),
            equilibrium_offset_mm=zeros,
            nu_x=zeros,
            nu_y=zeros,
            period_us=zeros,
            omega_a_shift=zeros,
            lattice=lattice,
            models=models,
            field_index=field_index,
            polarisation=polarisation,
            description="closed-form optics and Gaussian distributions",
        )
        given = ("delta", "injection_time_us", "action_x_mm", "phase_x_rad", "action_y_mm", "phase_y_rad")
        return bare.rebuilt(
            **{name: getattr(bare, name) for name in (*given, "spin_phase_rad", "loss_time_us", "weight")}
        )

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


def closed_form_loss_times(
    exponent: FloatArray, relative: FloatArray, *, rate_per_us: float, decay_us: float
) -> FloatArray:
    """Return when muons of a closed-form beam are lost [µs], inf if never.

    Parameters
    ----------
    exponent
        ∫ l dt at which each muon is lost: exponentially distributed with mean 1.
    relative, rate_per_us, decay_us
        The loss rate l(t) = rate · exp(−t/decay) · :func:`relative_loss`.
    """
    # Survival to t: exp(-∫ l), solved for t; an exponent that is never reached means no loss.
    reach = exponent / np.maximum(rate_per_us * relative * decay_us, 1e-300)
    lost = reach < 1.0
    times = np.full(exponent.shape, np.inf)
    times[lost] = -decay_us * np.log1p(-reach[lost])
    return times


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
