"""The calibrated analytic form: per-muon polynomials from tracking, and a stored beam from an injection.

Muons are tracked in the final voltages on a random grid that fills the aperture; tunes, period, ω_a and actions of
each are read off with a window that suppresses every betatron line; least squares gives polynomials in (δ, J_x, J_y).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gminus2.errors import PhysicsError
from gminus2.execution import make_executor, map_ordered
from gminus2.physics.optics import LinearOptics
from gminus2.random import stream
from gminus2.ring.analysis import windowed_slope
from gminus2.ring.ensemble import StoredBeam
from gminus2.ring.esq import VoltageHistory
from gminus2.ring.injection import InjectionResult
from gminus2.ring.lattice import FUNCTIONS, Lattice
from gminus2.ring.measure import closed_orbit
from gminus2.ring.polynomial import MuonPolynomial, monomials
from gminus2.ring.program import Observer
from gminus2.ring.tracking import Muons, Ring, track, track_chunk

__all__ = ["Calibration", "ResidualReport", "calibrate", "check_against_tracking", "stored_beam"]

FloatArray = NDArray[np.float64]

_QUANTITIES: Final = ("nu_x", "nu_y", "period_us", "omega_a_shift", "equilibrium_offset_mm")


@dataclass(frozen=True)
class Calibration:
    """Polynomials by quantity, and the rms (in the quantity's unit) of what they leave over on the tracked grid."""

    models: Mapping[str, MuonPolynomial]
    residual_rms: Mapping[str, float]
    muons: int
    turns: int


def _settled(ring: Ring) -> Ring:
    """The ring after everything has calmed down: final voltages, no kicker, open apertures."""
    return replace(
        ring,
        kicker=None,
        collimators="open",
        electric=replace(ring.electric, history=VoltageHistory()),
        observers=(Observer("start", 0.0),),
    )


def _exponents(even: int, odd: int) -> NDArray[np.int64]:
    """Monomials δ^a J_x^b J_y^c with ⌈a/2⌉ + b + c up to ``even`` or ``odd``, by the parity of a.

    A 2m-pole contributes, to first order, even powers with a/2 + b + c ≤ m/2; odd ones come with curvature.
    """
    return np.array(
        [
            (a, b, c)
            for a in range(2 * max(even, odd) + 1)
            for b in range(max(even, odd) + 1)
            for c in range(max(even, odd) + 1)
            if (a + 1) // 2 + b + c <= (odd if a % 2 else even)
        ],
        dtype=np.int64,
    )


def fit_polynomial(
    delta: FloatArray, action_x: FloatArray, action_y: FloatArray, values: FloatArray, exponents: NDArray[np.int64]
) -> MuonPolynomial:
    """Return the least-squares polynomial; columns are scaled to their rms for conditioning."""
    columns = np.stack(list(monomials(delta, action_x, action_y, exponents)), axis=1)
    scale = np.sqrt(np.mean(columns**2, axis=0))
    solution = np.linalg.lstsq(columns / scale, values, rcond=None)[0] / scale
    return MuonPolynomial(exponents, np.asarray(solution))


def _normalised(
    x: FloatArray, slope: FloatArray, beta: FloatArray | float, alpha: FloatArray | float
) -> NDArray[np.complex128]:
    """Return √(2J) e^{iφ} with x = √(2Jβ) cos φ, x' = −√(2J/β)(sin φ + α cos φ)."""
    root = np.sqrt(beta)
    return np.asarray(x / root - 1j * (alpha * x / root + root * slope))


def _window(size: int) -> FloatArray:
    weight = np.sin(math.pi * (np.arange(size) + 0.5) / size) ** 4
    return np.asarray(weight / weight.sum())


def _slopes(record: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return x' and y' of a record (turns, M, 9)."""
    forward = np.sqrt(record[..., 5] ** 2 - 1.0 - record[..., 1] ** 2 - record[..., 3] ** 2)
    return record[..., 1] / forward, record[..., 3] / forward


def _observe(record: FloatArray, ring: Ring, optics: LinearOptics) -> dict[str, FloatArray]:
    """Return per-muon constants of a record (turns, M, 9) at azimuth 0 in constant voltages."""
    weight = _window(record.shape[0])
    turns = np.arange(record.shape[0], dtype=float)
    slope_x, slope_y = _slopes(record)
    x, y = 1e3 * record[..., 0], 1e3 * record[..., 2]
    out: dict[str, FloatArray] = {}
    for axis, value, slope, beta, alpha in (
        ("x", x, slope_x, optics.beta_x[0, 0], optics.alpha_x[0, 0]),
        ("y", y, slope_y, optics.beta_y[0, 0], optics.alpha_y[0, 0]),
    ):
        centred, centred_slope = value - weight @ value, slope - weight @ slope
        z = _normalised(centred, centred_slope, beta, alpha)
        out[f"action_{axis}"] = 0.5 * (weight @ np.abs(z) ** 2)
        phase = np.unwrap(np.angle(z), axis=0)
        rate = windowed_slope(np.broadcast_to(turns[:, None], phase.shape), phase) / (2.0 * math.pi)
        out[f"nu_{axis}"] = rate % 1.0
    time = record[..., 4] / 299.792458
    out["period_us"] = windowed_slope(np.broadcast_to(turns[:, None], time.shape), time)
    psi = np.unwrap(np.arctan2(-record[..., 6], record[..., 7]), axis=0)
    out["omega_a_shift"] = windowed_slope(time, psi) / ring.omega_a - 1.0
    return out


def _grid_muons(ring: Ring, optics: LinearOptics, generator: np.random.Generator, count: int) -> Muons:
    """Draw muons that fill the aperture: |x_e| + A_x and A_y inside the circle."""
    aperture = ring.geometry.aperture_mm
    alpha_p = float(optics.alpha_p[0])
    u = generator.random((5, 8 * count + 64))
    x_e = aperture * (2.0 * u[0] - 1.0)
    amplitude_x, amplitude_y = aperture * np.sqrt(u[1]), aperture * np.sqrt(u[2])
    inside = np.nonzero((np.abs(x_e) + amplitude_x) ** 2 + amplitude_y**2 < (0.98 * aperture) ** 2)[0][:count]
    delta = x_e[inside] / (alpha_p * ring.geometry.radius_mm)
    phase = 2.0 * math.pi * u[3:, inside]
    places: list[FloatArray] = []
    for amplitude, phi, beta, alpha, mean in (
        (amplitude_x, phase[0], optics.beta_x[0, 0], optics.alpha_x[0, 0], np.mean(optics.beta_x)),
        (amplitude_y, phase[1], optics.beta_y[0, 0], optics.alpha_y[0, 0], np.mean(optics.beta_y)),
    ):
        root = amplitude[inside] / math.sqrt(float(mean))
        places.append(np.asarray(root * math.sqrt(beta) * np.cos(phi)))
        places.append(np.asarray(-root / math.sqrt(beta) * (np.sin(phi) + alpha * np.cos(phi))))
    return Muons.at_rest_in_beam(
        x_mm=places[0] + optics.dispersion[0, 0] * delta,
        x_slope=places[1] + optics.dispersion_slope[0, 0] * delta,
        y_mm=places[2],
        y_slope=places[3],
        delta=delta,
    )


def _mean_offset(ring: Ring) -> MuonPolynomial:
    """Return x_e(δ) [mm], the azimuthal mean of the closed orbit, as a cubic."""
    points = 48
    watched = replace(
        ring, observers=tuple(Observer(f"p{k}", 2.0 * math.pi * (k + 0.5) / points) for k in range(points))
    )
    edge = 0.95 * ring.geometry.aperture_mm * (1.0 - ring.electric.field_index) / ring.geometry.radius_mm
    delta = edge * np.cos(math.pi * (np.arange(9) + 0.5) / 9.0)
    record = track(watched, closed_orbit(ring, delta), 1, record=9, check_start=False).record
    mean = 1e3 * record[0, :, :, 0].mean(axis=0)
    powers = np.array([(1, 0, 0), (2, 0, 0), (3, 0, 0)], dtype=np.int64)
    zero = np.zeros(9)
    return fit_polynomial(delta, zero, zero, mean, powers)


def calibrate(
    ring: Ring, *, muons: int | None = None, turns: int = 512, seed: int = 1, workers: int | None = None
) -> Calibration:
    """Return polynomials of tunes, period, ω_a shift and x_e for a ring at its final voltages.

    Parameters
    ----------
    muons, turns
        Size of the tracked grid; default 2000 muons (2 s), 6000 with multipoles (10 s), where 200 terms are fitted.

    Raises
    ------
    PhysicsError
        More than a tenth of the grid is lost: the ring has no clean aperture.
    """
    settled = _settled(ring)
    muons = muons or (2000 if ring.electric.multipoles == "none" else 6000)
    optics = settled.optics()
    start = _grid_muons(settled, optics, stream(seed, "calibration"), muons)
    program = settled.program()

    def one(first: int) -> dict[str, FloatArray]:
        piece = start.select(np.arange(first, min(first + 512, len(start))))
        piece = replace(piece, ident=np.arange(len(piece)))
        tracked = track_chunk(settled, program, piece, turns, len(piece), False, seed, False)
        kept = np.isfinite(tracked.record[-1, 0, :, 0])
        seen = _observe(tracked.record[:, 0][:, kept], settled, optics)
        return {**seen, "delta": piece.delta[kept]}

    with make_executor("threads", workers) as executor:
        parts = map_ordered(executor, one, range(0, len(start), 512))
    seen = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    if seen["delta"].size < 0.9 * len(start):
        raise PhysicsError("many muons inside the aperture are not stable in this ring", hint="check the voltages")
    variables = (seen["delta"], seen["action_x"], seen["action_y"])
    exponents = _exponents(4, 4) if ring.electric.multipoles == "none" else _exponents(8, 5)
    measured = ("nu_x", "nu_y", "period_us", "omega_a_shift")
    models = {name: fit_polynomial(*variables, seen[name], exponents) for name in measured}
    residual = {name: float(np.std(seen[name] - model(*variables))) for name, model in models.items()}
    models["equilibrium_offset_mm"] = _mean_offset(settled)
    return Calibration(models, residual, int(seen["delta"].size), turns)


def _lattice_at_start(lattice: Lattice, time: FloatArray) -> dict[str, FloatArray]:
    """Return lattice functions at azimuth 0 and the phase shifts at given times."""
    at = {name: np.interp(time, lattice.time_us, lattice.functions[:, 0, i]) for i, name in enumerate(FUNCTIONS)}
    at["shift_x"] = np.interp(time, lattice.time_us, lattice.phase_shift_x)
    at["shift_y"] = np.interp(time, lattice.time_us, lattice.phase_shift_y)
    return at


def _constants(
    record: FloatArray, first_turn: int, ring: Ring, lattice: Lattice, models: Mapping[str, MuonPolynomial]
) -> dict[str, FloatArray]:
    """Return the analytic constants of muons from a record (turns, M, 9) that begins at ``first_turn``."""
    weight = _window(record.shape[0])
    turn = first_turn + np.arange(record.shape[0], dtype=float)[:, None]
    time = record[..., 4] / 299.792458
    u = np.sqrt(record[0, :, 5] ** 2 - 1.0)
    delta = u / ring.u_magic - 1.0
    at = _lattice_at_start(lattice, time.mean(axis=1))
    at = {name: value[:, None] for name, value in at.items()}
    slope_x, slope_y = _slopes(record)
    x = 1e3 * record[..., 0] - at["orbit_x"] - at["dispersion"] * delta
    slope_x = slope_x - at["orbit_x_slope"] - at["dispersion_slope"] * delta
    # The dispersion is linear; what curvature leaves over is a constant that the window removes.
    x, slope_x = x - weight @ x, slope_x - weight @ slope_x
    y, slope_y = 1e3 * record[..., 2] - at["orbit_y"], slope_y - at["orbit_y_slope"]
    waves = {
        "x": _normalised(x, slope_x, at["beta_x"], at["alpha_x"]),
        "y": _normalised(y, slope_y, at["beta_y"], at["alpha_y"]),
    }
    out = {"delta": delta}
    for axis, z in waves.items():
        out[f"action_{axis}_mm"] = 0.5 * (weight @ np.abs(z) ** 2)
    variables = (delta, out["action_x_mm"], out["action_y_mm"])
    period = models["period_us"](*variables)
    out["injection_time_us"] = weight @ (time - turn * period)
    for axis, z in waves.items():
        nu = models[f"nu_{axis}"](*variables)
        phasor = weight @ (z * np.exp(-2j * math.pi * (nu * turn + at[f"shift_{axis}"])))
        out[f"phase_{axis}_rad"] = np.angle(phasor)
    psi = np.unwrap(np.arctan2(-record[..., 6], record[..., 7]), axis=0)
    omega = ring.omega_a * (1.0 + models["omega_a_shift"](*variables))
    phase = weight @ (psi - omega * (time - out["injection_time_us"]))
    out["spin_phase_rad"] = (phase + math.pi) % (2.0 * math.pi) - math.pi
    return out


def stored_beam(
    injected: InjectionResult,
    calibration: Calibration | None = None,
    *,
    window: int = 128,
    loss_turns: int = 0,
    seed: int = 1,
    workers: int | None = None,
    quiet: bool = True,
) -> StoredBeam:
    """Return the analytic form of an injected beam.

    Parameters
    ----------
    calibration
        Polynomials of this ring; made when not given.
    window
        Turns after the injection's last turn from which a muon's constants are read.
    loss_turns
        Track on for this many turns with collimators to find when muons are lost (0: none are).

    Raises
    ------
    PhysicsError
        Nothing is stored.
    """
    ring = injected.ring
    if not len(injected.muons):
        raise PhysicsError("nothing is stored, so there is no beam", hint="check kick strength and timing")
    calibration = calibration or calibrate(ring, seed=seed, workers=workers)
    watched = replace(ring, observers=(Observer("start", 0.0),))
    program, blind = watched.program(), replace(ring, observers=())
    blind_program = blind.program()
    lattice = ring.lattice()
    size = 1024

    def one(first: int) -> dict[str, FloatArray]:
        piece = injected.muons.select(np.arange(first, min(first + size, len(injected.muons))))
        piece = replace(piece, ident=np.arange(len(piece)))
        tracked = track_chunk(watched, program, piece, window, len(piece), False, seed, False, injected.turns)
        kept = np.isfinite(tracked.record[-1, 0, :, 0])
        kept[np.setdiff1d(np.arange(len(piece)), tracked.muons.ident)] = False
        constants = _constants(tracked.record[:, 0][:, kept], injected.turns, ring, lattice, calibration.models)
        loss = np.full(int(kept.sum()), np.inf)
        if loss_turns and kept.any():
            later = replace(tracked.muons, ident=np.arange(len(tracked.muons)))
            begin = injected.turns + window
            further = track_chunk(blind, blind_program, later, loss_turns, 0, False, seed, False, begin)
            gone = np.isfinite(further.losses[:, 0])
            loss[gone] = further.losses[gone, 7] / 299.792458
        return {**constants, "loss_time_us": loss}

    starts: Sequence[int] = range(0, len(injected.muons), size)
    with make_executor("threads", workers) as executor:
        parts = map_ordered(executor, one, starts, title="stored beam", quiet=quiet)
    muons = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    count = muons["delta"].size
    summary = injected.summary()
    settings: dict[str, Any] = {
        "geometry": ring.geometry.name,
        "geometry_version": ring.geometry.version,
        "stored_fraction": summary.stored_fraction,
        "drawn": injected.drawn,
        "calibration_residual_rms": dict(calibration.residual_rms),
        "loss_turns": loss_turns,
    }
    zeros = np.zeros(count)
    given: dict[str, Any] = dict(muons)
    bare = StoredBeam(
        **given,
        weight=np.ones(count),
        equilibrium_offset_mm=zeros,
        nu_x=zeros,
        nu_y=zeros,
        period_us=zeros,
        omega_a_shift=zeros,
        lattice=lattice,
        models={name: calibration.models[name] for name in _QUANTITIES},
        field_index=ring.electric.field_index,
        polarisation=injected.beam.polarisation,
        valid_from_us=(injected.turns + window) * ring.period_us,
        description="injected, tracked and fitted",
        settings=settings,
    )
    return bare.rebuilt(**muons, weight=np.ones(count))


@dataclass(frozen=True)
class ResidualReport:
    """Tracking minus analytic form on a sample of the stored muons: rms over the muons.

    ``omega_a_ppb`` is of the frequency; positions [mm] and the spin phase [rad] are at the end of the comparison,
    ``turns`` turns later.
    """

    muons: int
    turns: int
    omega_a_ppb: float
    omega_a_mean_ppb: float
    x_mm: float
    y_mm: float
    spin_phase_rad: float


def check_against_tracking(
    beam: StoredBeam, ring: Ring, *, muons: int = 256, turns: int = 1024, seed: int = 2
) -> ResidualReport:
    """Start stored muons from the analytic form at the final voltages, track them, and compare at the end.

    The start comes from the form at azimuth 0 long after injection; ω_a is compared as a frequency over all turns.
    """
    settled = _settled(ring)
    lattice = settled.lattice()
    still = replace(beam, lattice=lattice)
    chosen = np.sort(stream(seed, "check").permutation(len(beam))[:muons]).astype(np.int64)
    first = 400
    begin = still.injection_time_us[chosen] + first * still.period_us[chosen]
    state = still.states(chosen, begin, ring.omega_a)
    start = Muons.at_rest_in_beam(
        x_mm=state.x_mm,
        x_slope=state.x_slope,
        y_mm=state.y_mm,
        y_slope=state.y_slope,
        delta=still.delta[chosen],
        time_us=begin,
        phase_rad=state.spin_phase_rad,
    )
    record = track(settled, start, turns + 1, record=chosen.size, check_start=False).record[:, 0]
    good = np.isfinite(record[-1, :, 0])
    record, chosen = record[:, good], chosen[good]
    seen = _observe(record, settled, settled.optics())
    variables = (still.delta[chosen], seen["action_x"], seen["action_y"])
    error = (seen["omega_a_shift"] - still.models["omega_a_shift"](*variables)) * 1e9
    end = still.states(chosen, record[-1, :, 4] / 299.792458, ring.omega_a)
    psi = np.arctan2(-record[-1, :, 6], record[-1, :, 7])
    phase = (psi - end.spin_phase_rad + math.pi) % (2.0 * math.pi) - math.pi
    return ResidualReport(
        muons=int(chosen.size),
        turns=turns,
        omega_a_ppb=float(np.std(error)),
        omega_a_mean_ppb=float(np.mean(error)),
        x_mm=float(np.sqrt(np.mean((1e3 * record[-1, :, 0] - end.x_mm) ** 2))),
        y_mm=float(np.sqrt(np.mean((1e3 * record[-1, :, 2] - end.y_mm) ** 2))),
        spin_phase_rad=float(np.sqrt(np.mean(phase**2))),
    )
