"""Injection: a bunch through the inflector, the kick, scraping; what is left is the stored beam."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from gminus2.errors import DataError, PhysicsError, nearest
from gminus2.execution import make_executor, map_ordered
from gminus2.physics.optics import LinearOptics, electric_field_correction, linear_optics
from gminus2.random import stream
from gminus2.ring.geometry import Geometry
from gminus2.ring.tracking import Muons, Ring, track_chunk

__all__ = [
    "PROFILES",
    "BunchProfile",
    "IncomingBeam",
    "InjectionResult",
    "StoredSummary",
    "bunch_profile",
    "inject",
    "read_profile",
]

FloatArray = NDArray[np.float64]

#: Muons generated per task: memory does not grow with the number of muons asked for.
INJECTION_CHUNK: Final = 16_384


@dataclass(frozen=True)
class BunchProfile:
    """Arrival times as a table of intensity against time [µs], centre (mean) at 0."""

    name: str
    time_us: FloatArray
    intensity: FloatArray

    def draw(self, generator: np.random.Generator, count: int) -> FloatArray:
        """Draw arrival times from the piecewise-linear cumulative distribution."""
        steps = 0.5 * (self.intensity[1:] + self.intensity[:-1]) * np.diff(self.time_us)
        cumulative = np.concatenate(([0.0], np.cumsum(steps)))
        return np.asarray(np.interp(generator.random(count) * cumulative[-1], cumulative, self.time_us))

    @property
    def rms_us(self) -> float:
        """Root mean square of the arrival times [µs]."""
        mean = np.average(self.time_us, weights=self.intensity)
        return float(np.sqrt(np.average((self.time_us - mean) ** 2, weights=self.intensity)))


def _table(name: str, intensity: FloatArray, time_us: FloatArray) -> BunchProfile:
    centre = float(np.average(time_us, weights=intensity))
    return BunchProfile(name, time_us - centre, intensity / intensity.max())


#: A recorded T0 profile: time from its main maximum [ns], intensity; read off a public record (mch285/gm2mt, run
#: 12543, bunch 1) at its turning points and shoulders, rounded. A tenth of the muons are in the tail after 90 ns.
_TRIDENT: Final = (
    "-97 0 -90 .03 -82 .045 -77 .07 -72 .155 -67 .32 -62 .49 -57 .557 -50 .49 -42 .415 -35 .384 -27 .424 -20 .53 "
    "-12 .795 -7 .94 0 1 3 .998 8 .96 13 .835 18 .668 23 .544 28 .475 38 .414 48 .448 51 .455 58 .369 63 .252 68 .177 "
    "78 .132 88 .093 98 .064 118 .047 128 .046 138 .035 148 .022 188 .015 228 .017 288 .016 328 .011 388 .006 488 .003"
)

#: Profiles by name; ``w0`` … ``w7`` are the eight bunches of a supercycle half.
PROFILES: Final = ("w", "trident", "gauss25", "flat125", *(f"w{k}" for k in range(8)))


def bunch_profile(name: str = "w") -> BunchProfile:
    """Return an arrival-time profile by name.

    ``trident``: as one recorded T0 profile, a main maximum and two of half its height, 37 ns rms and 160 ns long above
    a tenth of the maximum, with a tail of 0.5 µs; ``w``: a central and two side maxima, 37 ns rms, about 150 ns above a
    tenth of the maximum, without a tail; ``w0`` … ``w7`` vary its side maxima and shift them, as the eight bunches do
    (sizes are our choice); ``gauss25``: a Gaussian of 25 ns; ``flat125``: 125 ns of constant intensity.
    """
    if name == "trident":
        nodes = np.array(_TRIDENT.split(), dtype=float).reshape(-1, 2)
        ns = np.arange(nodes[0, 0], nodes[-1, 0] + 0.5)
        return _table(name, np.asarray(PchipInterpolator(nodes[:, 0], nodes[:, 1])(ns)), 1e-3 * ns)
    t = 1e-3 * np.arange(-130.0, 130.5, 0.5)
    if name == "gauss25":
        return _table(name, np.exp(-0.5 * (t / 0.025) ** 2), t)
    if name == "flat125":
        return _table(name, (np.abs(t) <= 0.0625).astype(float) + 1e-12, t)
    if name not in PROFILES:
        raise PhysicsError(f"no bunch profile '{name}'", hint=nearest(name, PROFILES))
    turn = 0.0 if name == "w" else 2.0 * math.pi * int(name[1:]) / 8.0
    tilt, spread = (0.0, 0.0) if name == "w" else (0.15 * math.cos(turn), 0.002 * math.sin(turn))
    value = np.zeros_like(t)
    for centre, weight in ((-0.043 - spread, 0.3 * (1.0 - tilt)), (0.0, 0.4), (0.043 + spread, 0.3 * (1.0 + tilt))):
        value += weight * np.exp(-0.5 * ((t - centre) / 0.016) ** 2)
    return _table(name, value, t)


def read_profile(path: Path) -> BunchProfile:
    """Read a profile: two columns, time [ns] and intensity.

    Raises
    ------
    DataError
        Absent, not numeric, times that do not increase, or negative intensities.
    """
    try:
        table = np.loadtxt(path, ndmin=2, delimiter="," if "," in path.read_text(encoding="utf-8") else None)
    except FileNotFoundError:
        raise DataError("no such profile", where=str(path)) from None
    except ValueError as error:
        raise DataError(f"this is not a table of numbers ({error})", where=str(path)) from None
    if (
        table.shape[1] != 2
        or np.any(np.diff(table[:, 0]) <= 0.0)
        or table[:, 1].min() < 0.0
        or table[:, 1].max() <= 0.0
    ):
        raise DataError("a profile needs two columns: increasing times [ns], intensities of 0 or more", where=str(path))
    return _table(path.stem, table[:, 1], 1e-3 * table[:, 0])


@dataclass(frozen=True)
class IncomingBeam:
    """Muons at the inflector exit (defaults of two public simulations; y and angles are Gaussian).

    Attributes
    ----------
    x_mm, x_slope
        Mean relative to the centre of the inflector and along the beam.
    momentum_rms
        σ of δ; the ring accepts about 0.15 of it.
    spin_per_momentum_rad
        dψ/dδ at arrival from the beamline's dipoles, +10 mrad/%.
    spin_phase_rad
        ψ at δ = 0.
    profile
        Arrival times, a profile or its name.
    time_per_momentum_us
        Correlation dt/dδ at arrival.
    """

    x_mm: float = -2.6
    x_rms_mm: float = 4.2
    x_slope: float = -0.9e-3
    x_slope_rms: float = 3.1e-3
    y_rms_mm: float = 10.0
    y_slope_rms: float = 1.6e-3
    momentum_offset: float = 0.0
    momentum_rms: float = 0.008
    spin_phase_rad: float = 0.0
    spin_per_momentum_rad: float = 1.0
    profile: BunchProfile | str = "w"
    time_per_momentum_us: float = 0.0
    polarisation: float = 0.95

    def __post_init__(self) -> None:
        widths = (self.x_rms_mm, self.x_slope_rms, self.y_rms_mm, self.y_slope_rms, self.momentum_rms)
        if min(widths) < 0.0 or not 0.0 < self.polarisation <= 1.0:
            raise PhysicsError("a beam needs spreads of 0 or more and a polarisation in (0, 1]")

    def draw(self, geometry: Geometry, generator: np.random.Generator, count: int, first: int) -> Muons:
        """Draw muons that pass the inflector aperture; fewer than ``count`` where the aperture cuts."""
        profile = bunch_profile(self.profile) if isinstance(self.profile, str) else self.profile
        z = generator.standard_normal((5, count))
        time = profile.draw(generator, count)
        x = self.x_mm + self.x_rms_mm * z[0]
        y = self.y_rms_mm * z[2]
        through = (np.abs(x) < 0.5 * geometry.inflector_width_mm) & (np.abs(y) < 0.5 * geometry.inflector_height_mm)
        delta = self.momentum_offset + self.momentum_rms * z[4]
        muons = Muons.at_rest_in_beam(
            x_mm=geometry.inflector_offset_mm + x,
            x_slope=self.x_slope + self.x_slope_rms * z[1],
            y_mm=y,
            y_slope=self.y_slope_rms * z[3],
            delta=delta,
            time_us=time + self.time_per_momentum_us * delta,
            phase_rad=self.spin_phase_rad + self.spin_per_momentum_rad * delta,
        )
        return replace(muons, ident=first + np.arange(count)).select(through)


@dataclass(frozen=True)
class StoredSummary:
    """What a kick gives.

    ``stored_fraction`` is per muon drawn at the inflector exit (the inflector aperture and the collimators cut;
    material does not); offsets [mm] are equilibrium offsets; ``c_e`` is relative; ``cbo_mm`` the coherent amplitude
    at the mean β_x; ``time_momentum_correlation`` between injection time and δ.
    """

    muons: int
    stored_fraction: float
    x_e_mean_mm: float
    x_e_rms_mm: float
    c_e: float
    c_p: float
    cbo_mm: float
    y_rms_mm: float
    time_momentum_correlation: float
    stored_error: float
    x_e_error_mm: float
    c_e_error: float
    cbo_error_mm: float


@dataclass(frozen=True)
class InjectionResult:
    """Stored muons at azimuth 0 after ``turns`` turns, with where they started."""

    ring: Ring
    beam: IncomingBeam
    drawn: int
    turns: int
    muons: Muons
    start_time_us: FloatArray
    optics: LinearOptics = field(repr=False)

    def summary(self) -> StoredSummary:
        """Return stored fraction, momentum distribution and coherent amplitude with statistical errors."""
        stored = len(self.muons)
        if stored < 10:
            raise PhysicsError(
                f"only {stored} of {self.drawn} muons are stored",
                hint="check kick strength, pulse timing and inflector angle, or draw more muons",
            )
        m, optics = self.muons, self.optics
        x_e = m.delta * float(optics.alpha_p[0]) * self.ring.geometry.radius_mm
        beta, alpha = float(optics.beta_x[0, 0]), float(optics.alpha_x[0, 0])
        x = m.x_mm - optics.dispersion[0, 0] * m.delta
        slope = m.x_slope - optics.dispersion_slope[0, 0] * m.delta
        z = (x - 1j * (alpha * x + beta * slope)) / math.sqrt(beta) * math.sqrt(float(np.mean(optics.beta_x[0])))
        beta_y, alpha_y = float(optics.beta_y[0, 0]), float(optics.alpha_y[0, 0])
        action_y = 0.5 * (m.y_mm**2 + (alpha_y * m.y_mm + beta_y * m.y_slope) ** 2) / beta_y
        alpha_p = float(optics.alpha_p[0])
        ratio = electric_field_correction(1.0, alpha_p, radius_mm=self.ring.geometry.radius_mm)
        root = math.sqrt(stored)
        fraction = stored / self.drawn
        return StoredSummary(
            muons=stored,
            stored_fraction=fraction,
            x_e_mean_mm=float(x_e.mean()),
            x_e_rms_mm=float(x_e.std()),
            c_e=ratio * float(np.mean(x_e**2)),
            c_p=0.5 * float(action_y.mean()) * float(optics.mean_gamma_y[0]),
            cbo_mm=float(np.abs(z.mean())),
            y_rms_mm=float(np.sqrt(action_y.mean() * np.mean(optics.beta_y[0]))),
            time_momentum_correlation=float(np.corrcoef(self.start_time_us, m.delta)[0, 1]),
            stored_error=math.sqrt(fraction * (1.0 - fraction) / self.drawn),
            x_e_error_mm=float(x_e.std()) / root,
            c_e_error=ratio * float(np.std(x_e**2)) / root,
            cbo_error_mm=float((z * np.conj(z.mean()) / abs(z.mean())).real.std()) / root,
        )


def inject(
    ring: Ring,
    beam: IncomingBeam,
    count: int,
    *,
    turns: int = 64,
    seed: int = 1,
    workers: int | None = None,
    quiet: bool = True,
) -> InjectionResult:
    """Inject ``count`` muons and return those still stored after ``turns`` turns.

    Parameters
    ----------
    ring
        With a kicker. Memory is bounded: muons are drawn, tracked and dropped in chunks.

    Raises
    ------
    PhysicsError
        The ring has no kicker, or no muon was asked for.
    """
    if ring.kicker is None or not ring.geometry.kickers:
        raise PhysicsError("injection needs a ring with kickers", hint="give the ring a KickerField")
    if count < 1 or turns < 1:
        raise PhysicsError("injection needs muons and turns", found=f"{count} muons, {turns} turns")
    program = replace(ring, observers=()).program()
    ring.kicker.angles(ring.geometry)

    def one(first: int) -> tuple[Muons, FloatArray]:
        size = min(INJECTION_CHUNK, count - first)
        muons = beam.draw(ring.geometry, stream(seed, "injection", first), size, first)
        if not len(muons):
            return muons, muons.time_us
        local = replace(muons, ident=np.arange(len(muons)))
        end = track_chunk(ring, program, local, turns, 0, False, seed, False).muons
        return replace(end, ident=muons.ident[end.ident]), muons.time_us[end.ident]

    starts: Sequence[int] = range(0, count, INJECTION_CHUNK)
    with make_executor("threads", workers) as executor:
        parts = map_ordered(executor, one, starts, title="injection", quiet=quiet)
    optics = linear_optics(ring.electric.sections(ring.geometry, np.inf, ring.anomaly))
    return InjectionResult(
        ring,
        beam,
        count,
        turns,
        Muons.concatenate([p[0] for p in parts]),
        np.concatenate([p[1] for p in parts]),
        optics,
    )
