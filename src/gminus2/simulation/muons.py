"""Where a dataset's muons come from: fresh rows for every supercycle, drawn by a compiled kernel.

A closed-form beam is sampled from its distributions, muon by muon, so that the muons are new however many fills there
are. A tracked ensemble is finite: its muons are drawn with replacement by weight and smeared
(:meth:`gminus2.ring.ensemble.StoredBeam.draw` has the rule). Every number is Philox of (muon, supercycle, attempt), so
the rows of a supercycle depend on nobody else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gminus2.config.campaign import BeamConfig, Effects
from gminus2.errors import PhysicsError
from gminus2.physics.optics import electric_field_correction, pitch_shift
from gminus2.random import key_words
from gminus2.ring.closed_form import closed_form_loss_times, relative_loss
from gminus2.ring.ensemble import StoredBeam
from gminus2.simulation.drawing import (
    ClosedForm,
    Ensemble,
    Polynomials,
    closed_form_of,
    draw_rows,
    ensemble_of,
    polynomials_of,
)
from gminus2.simulation.pool import ROW, FieldMultipoles, LatticeFactors, MuonPool, factorise_lattice

__all__ = ["POOL_SUMS", "MuonSource", "pool_truth"]

Array = NDArray[np.float64]

#: Integer sums over rows: name → unit of one count. They add in any order to the same number.
POOL_SUMS: Final[dict[str, float]] = {
    "muons": 1.0,
    "electric_field": 1e-12,
    "pitch": 1e-12,
    "field": 1e-12,
    "x_e_mm": 1e-3,
    "x_e2_mm2": 1e-6,
    "action_y_mm": 1e-6,
    "delta": 1e-9,
    "delta2": 1e-13,
    "time_us": 1e-6,
    "time_delta": 1e-12,
    "spin": 1e-9,
    "spin_delta": 1e-10,
    "lost": 1.0,
}

#: Supercycle number of a sample that belongs to no fill.
_SAMPLE: Final = 0xFFFFFFFF
_TWO_PI: Final = 2.0 * math.pi


@dataclass(frozen=True)
class MuonSource:
    """The muons of one dataset; :meth:`rows` from any number of threads.

    Attributes
    ----------
    beam
        The stored beam; of a closed-form one only lattice, models, polarisation and ⟨J_y^power⟩ of the losses are used.
    count
        Muons per supercycle.
    omega_a
        a e B/m of the dipole field [rad/µs].
    loss_scale
        Factor on the losses.
    """

    beam: StoredBeam
    config: BeamConfig
    effects: Effects
    seed: int
    dataset: int
    count: int
    omega_a: float
    field: FieldMultipoles
    factors: LatticeFactors
    closed: ClosedForm
    ensemble: Ensemble
    polynomials: Polynomials
    beta_mm: tuple[float, float]
    y_up_mm: float
    lost_times: Array
    lost_fraction: float
    mean_power: float

    @classmethod
    def of(
        cls,
        beam: StoredBeam,
        config: BeamConfig,
        effects: Effects,
        *,
        seed: int,
        dataset: int,
        count: int,
        omega_a: float,
        field: FieldMultipoles | None = None,
        smoothing: float = 0.02,
    ) -> MuonSource:
        """Prepare the muons of a dataset.

        Parameters
        ----------
        beam
            :func:`~gminus2.simulation.beams.stored_beam` of the same configuration. With ``config.ensemble`` its muons
            are drawn from; without, only its lattice, models and mean momentum are taken.
        smoothing
            Of muons drawn from an ensemble, as in :meth:`~gminus2.ring.ensemble.StoredBeam.draw`.

        Raises
        ------
        PhysicsError
            No muon wanted.
        """
        if count < 1:
            raise PhysicsError("a supercycle needs muons", found=str(count))
        lattice = beam.lattice
        beta = (float(np.mean(lattice.column("beta_x")[-1])), float(np.mean(lattice.column("beta_y")[-1])))
        lost = np.isfinite(beam.loss_time_us) if config.ensemble else np.zeros(0, dtype=bool)
        return cls(
            beam=beam,
            config=config,
            effects=effects,
            seed=seed,
            dataset=dataset,
            count=count,
            omega_a=omega_a,
            field=field or FieldMultipoles(),
            factors=factorise_lattice(lattice),
            closed=closed_form_of(beam, config, effects),
            ensemble=ensemble_of(beam if config.ensemble else None, smoothing),
            polynomials=polynomials_of(beam),
            beta_mm=beta,
            y_up_mm=-float(np.mean(lattice.column("orbit_y")[-1])),
            lost_times=beam.loss_time_us[lost] if config.ensemble else np.zeros(0),
            lost_fraction=beam.mean(lost.astype(np.float64)) if config.ensemble else 0.0,
            mean_power=beam.mean(beam.action_y_mm**config.loss_vertical_power),
        )

    @property
    def polarisation(self) -> float:
        """Length of the spin vector in the plane."""
        return self.beam.polarisation

    @property
    def finite(self) -> int:
        """Muons of the ensemble that are drawn again and again; 0 for a closed-form beam."""
        return len(self.beam) if self.config.ensemble else 0

    def rows(self, supercycle: int) -> tuple[Array, NDArray[np.int64]]:
        """Return the muons of a supercycle, (count, 16), and their sums :data:`POOL_SUMS`."""
        return self._draw(supercycle, self.count)

    def pool(self, count: int) -> MuonPool:
        """Return a sample of ``count`` muons of the same beam, other ones than any fill's."""
        rows, sums = self._draw(_SAMPLE, count)
        return MuonPool(rows, self.factors, self.polarisation, self.truth(sums))

    def truth(self, sums: NDArray[np.int64]) -> dict[str, float]:
        """Return what an exact analysis of the muons with these sums would find; see :func:`pool_truth`."""
        record = pool_truth(sums, self.beam, self.beta_mm[1])
        if self.config.ensemble:
            record["ensemble_C_e_ppb"] = 1e9 * self.beam.electric_field_correction()
            record["ensemble_C_p_ppb"] = 1e9 * self.beam.pitch_correction()
            record["ensemble_muons"] = float(len(self.beam))
        return record

    def _draw(self, supercycle: int, count: int) -> tuple[Array, NDArray[np.int64]]:
        key = key_words(self.seed, "muons", self.dataset)
        rows = np.empty((count, len(ROW)))
        extra = np.empty((4, count))
        found = draw_rows(
            rows,
            extra,
            supercycle,
            int(key[0] & np.uint64(0xFFFFFFFF)),
            int(key[0] >> np.uint64(32)),
            self.closed,
            self.ensemble,
            self.polynomials,
            self.beta_mm,
            not self.effects.cbo,
        )
        if found < count:
            raise PhysicsError("hardly any muon fits into the aperture", hint="lower the spreads or the CBO amplitude")
        delta, x_e, electric, pitch = rows[:, ROW["delta"]], extra[0], extra[1], extra[2]
        action_x, action_y = 0.5 * rows[:, ROW["root_2jx"]] ** 2, 0.5 * rows[:, ROW["root_2jy"]] ** 2
        if any(self.field.normal_ppm) or any(self.field.skew_ppm):
            own = self.field.mean_shift(x_e, action_x * self.beta_mm[0], action_y * self.beta_mm[1], self.y_up_mm)
        else:
            own = np.zeros(count)
        if not self.effects.electric_field:
            electric = np.zeros(count)
        if not self.effects.pitch:
            pitch = np.zeros(count)
        shift = own + electric + pitch
        rows[:, ROW["f_a"]] = self.omega_a / _TWO_PI * (1.0 + shift)
        rows[:, ROW["shift_ppt"]] = 1e12 * shift
        rows[:, ROW["loss_time_us"]] = self._loss_times(rows, extra[3])
        spin = rows[:, ROW["spin_phase"]] * _TWO_PI
        time = rows[:, ROW["injection_time_us"]]
        sums = {
            "muons": float(count),
            "electric_field": electric.sum(),
            "pitch": pitch.sum(),
            "field": own.sum(),
            "x_e_mm": x_e.sum(),
            "x_e2_mm2": x_e @ x_e,
            "action_y_mm": action_y.sum(),
            "delta": delta.sum(),
            "delta2": delta @ delta,
            "time_us": time.sum(),
            "time_delta": time @ delta,
            "spin": spin.sum(),
            "spin_delta": spin @ delta,
            "lost": float(np.isfinite(rows[:, ROW["loss_time_us"]]).sum()),
        }
        return rows, np.array([round(float(sums[name]) / unit) for name, unit in POOL_SUMS.items()], dtype=np.int64)

    def _loss_times(self, rows: Array, luck: Array) -> Array:
        scale = self.effects.lost_muons
        if scale <= 0.0:
            return np.full(len(rows), np.inf)
        if not self.config.ensemble:
            return closed_form_loss_times(
                -np.log(luck),
                relative_loss(
                    rows[:, ROW["delta"]],
                    0.5 * rows[:, ROW["root_2jy"]] ** 2,
                    self.config.loss_momentum_slope,
                    self.config.loss_vertical_power,
                    self.mean_power,
                ),
                rate_per_us=scale * self.config.loss_rate_per_us,
                decay_us=self.config.loss_decay_us,
            )
        times = rows[:, ROW["loss_time_us"]]
        if scale <= 1.0:
            return np.where(luck < scale, times, np.inf)
        # More losses than the ensemble has: healthy muons take the loss times of lost ones.
        extra = min(1.0, (scale - 1.0) * self.lost_fraction / max(1.0 - self.lost_fraction, 1e-12))
        pick = np.isinf(times) & (luck < extra)
        result = times.copy()
        result[pick] = self.lost_times[(luck[pick] / max(extra, 1e-300) * self.lost_times.size).astype(np.int64)]
        return result


def pool_truth(sums: NDArray[np.int64], beam: StoredBeam, beta_y_mm: float) -> dict[str, float]:
    """Return ensemble means from summed :data:`POOL_SUMS`.

    ``electric_field_ppb``, ``pitch_ppb``, ``field_ppb`` are the muons' own relative shifts of ω_a and
    ``omega_a_shift_ppb`` their sum; ``ensemble_C_e_ppb``, ``ensemble_C_p_ppb`` follow from ⟨x_e²⟩ and ⟨J_y⟩ of the same
    muons by the lattice formulas.
    """
    n = float(sums[0])
    mean = {name: float(v) * unit / n for (name, unit), v in zip(POOL_SUMS.items(), sums, strict=True)}
    lattice = beam.lattice
    variance = mean["delta2"] - mean["delta"] ** 2
    shifts = {f"{name}_ppb": 1e9 * mean[name] for name in ("electric_field", "pitch", "field")}
    unbiased = n / max(n - 1.0, 1.0)
    return {
        "muons": n,
        "omega_a_shift_ppb": sum(shifts.values()),
        **shifts,
        "ensemble_C_e_ppb": 1e9 * electric_field_correction(mean["x_e2_mm2"], lattice.alpha_p),
        "ensemble_C_p_ppb": -1e9 * float(pitch_shift(mean["action_y_mm"], lattice.mean_gamma_y_per_mm)),
        "x_e_mean_mm": mean["x_e_mm"],
        "x_e_rms_mm": math.sqrt(max(0.0, mean["x_e2_mm2"] - mean["x_e_mm"] ** 2)),
        "y_rms_mm": math.sqrt(mean["action_y_mm"] * beta_y_mm),
        "phase_per_momentum_rad": (mean["spin_delta"] - mean["spin"] * mean["delta"]) / variance if variance else 0.0,
        "time_momentum_covariance_us": unbiased * (mean["time_delta"] - mean["time_us"] * mean["delta"]),
        "lost_fraction_pool": mean["lost"],
        "nu_x": lattice.nu_x_final,
        "nu_y": lattice.nu_y_final,
        "alpha_p": lattice.alpha_p,
    }
