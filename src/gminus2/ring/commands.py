"""What the commands ``track``, ``optics`` and ``inject`` compute, as functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gminus2.constants import F_CYCLOTRON_MHZ
from gminus2.errors import ConfigError, PhysicsError
from gminus2.physics.optics import (
    cbo_frequency,
    continuous_tunes,
    electric_field_shift,
    linear_optics,
    pitch_shift,
    vertical_waist_frequency,
)
from gminus2.ring.analysis import windowed_slope
from gminus2.ring.esq import ElectricField
from gminus2.ring.geometry import Geometry
from gminus2.ring.injection import IncomingBeam, StoredSummary, inject
from gminus2.ring.program import Observer
from gminus2.ring.tracking import Muons, Ring, track

__all__ = ["FewMuons", "InjectionScan", "OpticsScan", "optics_scan", "parse_muon", "scan_injection", "track_few"]

FloatArray = NDArray[np.float64]


def parse_muon(words: Sequence[str]) -> Muons:
    """Return muons from words ``x,x',y,y',delta`` in mm, mrad, mm, mrad, 10⁻³.

    Raises
    ------
    ConfigError
        A word does not hold five numbers.
    """
    rows = []
    for word in words:
        try:
            numbers = [float(part) for part in word.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) != 5:
            raise ConfigError(
                "a muon is five numbers", where=f"--muon {word}", expected="x,x',y,y',delta in mm, mrad, mm, mrad, 1e-3"
            )
        rows.append(numbers)
    x, xs, y, ys, delta = np.array(rows).T
    return Muons.at_rest_in_beam(x_mm=x, x_slope=1e-3 * xs, y_mm=y, y_slope=1e-3 * ys, delta=1e-3 * delta)


@dataclass(frozen=True)
class FewMuons:
    """A few tracked muons: records (turns, M), tunes and ω_a shifts (M,); NaN for a muon lost on the way."""

    time_us: FloatArray
    x_mm: FloatArray
    y_mm: FloatArray
    phase: FloatArray
    spin_y: FloatArray
    nu_x: FloatArray
    nu_y: FloatArray
    omega_a_shift: FloatArray
    expected_shift: FloatArray
    lost_turn: NDArray[np.int64]

    def to_json(self) -> dict[str, Any]:
        """Return the result under stable keys."""
        return {
            "nu_x": self.nu_x,
            "nu_y": self.nu_y,
            "omega_a_shift": self.omega_a_shift,
            "expected_shift": self.expected_shift,
            "lost_turn": self.lost_turn,
            "time_us": self.time_us,
            "x_mm": self.x_mm,
            "y_mm": self.y_mm,
            "phase_rad": self.phase,
            "spin_y": self.spin_y,
        }


def track_few(ring: Ring, muons: Muons, turns: int, *, workers: int | None = None) -> FewMuons:
    """Track a few muons and compare ω_a with −2β²δ²(α_p − 1) − (J_y/2)⟨γ_y⟩.

    Raises
    ------
    PhysicsError
        A muon starts outside the aperture, or fewer than 20 turns.
    """
    if turns < 20:
        raise PhysicsError("tunes and frequencies need at least 20 turns", found=str(turns))
    observed = replace(ring, observers=(Observer("start", 0.0),))
    result = track(observed, muons, turns, record=len(muons), workers=workers)
    record = result.record[:, 0]
    optics = ring.optics()
    time, phase = result.recorded_time_us[:, 0], result.recorded_phase[:, 0]
    shift = windowed_slope(time, phase) / ring.omega_a - 1.0
    forward = np.sqrt(record[..., 5] ** 2 - 1.0 - record[..., 1] ** 2 - record[..., 3] ** 2)
    tunes = []
    for row, beta, alpha in (
        (0, optics.beta_x[0, 0], optics.alpha_x[0, 0]),
        (2, optics.beta_y[0, 0], optics.alpha_y[0, 0]),
    ):
        value, slope = 1e3 * record[..., row], record[..., row + 1] / forward
        window = np.sin(np.pi * (np.arange(turns) + 0.5) / turns) ** 4
        window = window / window.sum()
        value, slope = value - window @ value, slope - window @ slope
        angle = np.unwrap(np.angle(value - 1j * (alpha * value + beta * slope)), axis=0)
        count = np.broadcast_to(np.arange(turns, dtype=float)[:, None], angle.shape)
        moving = np.ptp(value, axis=0) > 1e-6
        tunes.append(np.where(moving, (windowed_slope(count, angle) / (2.0 * np.pi)) % 1.0, np.nan))
    beta, alpha = float(optics.beta_y[0, 0]), float(optics.alpha_y[0, 0])
    action = 0.5 * (muons.y_mm**2 + (alpha * muons.y_mm + beta * muons.y_slope) ** 2) / beta
    expected = electric_field_shift(muons.delta, float(optics.alpha_p[0])) + pitch_shift(
        action, float(optics.mean_gamma_y[0])
    )
    lost = np.where(np.isfinite(result.losses[:, 1]), result.losses[:, 1], -1).astype(np.int64)
    return FewMuons(
        time,
        1e3 * record[..., 0],
        1e3 * record[..., 2],
        phase,
        record[..., 8],
        tunes[0],
        tunes[1],
        shift,
        expected,
        lost,
    )


@dataclass(frozen=True)
class OpticsScan:
    """Tunes and frequencies against the field index, arrays (K,)."""

    field_index: FloatArray
    voltage_kv: FloatArray
    rows: dict[str, FloatArray]


def optics_scan(geometry: Geometry, index: FloatArray) -> OpticsScan:
    """Return tunes, frequencies, compaction and ranges of β and D against the field index."""
    k = np.array([ElectricField(float(n)).field_index for n in index])
    one_kv = ElectricField.from_voltage(1.0, geometry).field_index
    sections = [
        replace(section, index=k / geometry.covered_fraction)
        for section in ElectricField(float(k[0])).sections(geometry)
    ]
    optics = linear_optics(sections, radius_mm=geometry.radius_mm)
    smooth = np.array([continuous_tunes(float(n)) for n in k])
    rows = {
        "nu_x": optics.nu_x,
        "nu_y": optics.nu_y,
        "f_cbo_mhz": cbo_frequency(optics.nu_x),
        "f_y_mhz": F_CYCLOTRON_MHZ * optics.nu_y,
        "f_vw_mhz": vertical_waist_frequency(optics.nu_y),
        "f_cbo_mhz_continuous": cbo_frequency(smooth[:, 0]),
        "f_y_mhz_continuous": F_CYCLOTRON_MHZ * smooth[:, 1],
        "f_vw_mhz_continuous": vertical_waist_frequency(smooth[:, 1]),
        "alpha_p": optics.alpha_p,
        "mean_gamma_y_per_m": 1e3 * optics.mean_gamma_y,
        "beta_x_min_m": 1e-3 * optics.beta_x.min(axis=1),
        "beta_x_max_m": 1e-3 * optics.beta_x.max(axis=1),
        "beta_y_min_m": 1e-3 * optics.beta_y.min(axis=1),
        "beta_y_max_m": 1e-3 * optics.beta_y.max(axis=1),
        "dispersion_min_m": 1e-3 * optics.dispersion.min(axis=1),
        "dispersion_max_m": 1e-3 * optics.dispersion.max(axis=1),
    }
    return OpticsScan(k, k / one_kv, rows)


@dataclass(frozen=True)
class InjectionScan:
    """Summaries of injections against one scanned quantity."""

    quantity: str
    values: FloatArray
    summaries: tuple[StoredSummary, ...]

    def column(self, name: str) -> FloatArray:
        """Return one number of every summary."""
        return np.array([getattr(s, name) for s in self.summaries], dtype=float)

    def best_cbo(self) -> tuple[float, float]:
        """Return (value, amplitude) at the smallest CBO amplitude of the scan."""
        amplitude = self.column("cbo_mm")
        k = int(np.argmin(amplitude))
        return float(self.values[k]), float(amplitude[k])


def scan_injection(
    ring: Ring,
    beam: IncomingBeam,
    quantity: str,
    values: Sequence[float],
    count: int,
    *,
    turns: int = 64,
    seed: int = 1,
    workers: int | None = None,
    quiet: bool = True,
) -> InjectionScan:
    """Inject at several kicks [G], timings [ns] or voltages [kV] with the same incoming muons.

    Parameters
    ----------
    quantity
        ``kick``, ``timing`` or ``voltage``.

    Raises
    ------
    ConfigError
        Unknown quantity, or no values.
    """
    if quantity not in ("kick", "timing", "voltage"):
        raise ConfigError(f"cannot scan '{quantity}'", expected="kick, timing or voltage")
    if not values or ring.kicker is None:
        raise ConfigError("a scan needs values and a ring with a kicker")
    summaries = []
    for value in values:
        if quantity == "voltage":
            electric = ring.electric
            changed = replace(
                ring,
                electric=ElectricField.from_voltage(
                    value,
                    ring.geometry,
                    sextupole_switch=electric.sextupole_switch,
                    multipoles=electric.multipoles,
                    history=electric.history,
                ),
            )
        elif quantity == "timing":
            changed = replace(ring, kicker=replace(ring.kicker, timing_us=1e-3 * value))
        else:
            changed = replace(ring, kicker=ring.kicker.with_peak(value))
        summaries.append(inject(changed, beam, count, turns=turns, seed=seed, workers=workers, quiet=quiet).summary())
    return InjectionScan(quantity, np.array(values, dtype=float), tuple(summaries))
