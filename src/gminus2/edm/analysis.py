"""From tracks to d_μ: the vertical angle against time, its component 90° from the rate, and the dilution.

An EDM tilts the precession plane by δ, tan δ = ηβ/(2a), so the vertical spin is S_y = −sin δ sin ψ (upwards) where
the rate goes as 1 + A cos ψ. Decay kinematics turns it into a mean vertical angle κ(p) P S_y; κ with acceptance comes
from a calibration sample with an imposed spin. Phase and frequency of ψ are fitted to the rate of the same tracks and
then held. Formulas: ``docs/physics/theory.md``, section EDM.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from gminus2.constants import BETA_MAGIC
from gminus2.edm.library import SpinLibrary
from gminus2.edm.tracks import TrackerModel, Tracks, imposed_spin_tracks
from gminus2.errors import DataError, FitError
from gminus2.physics.spin import ANOMALY, edm_from_eta, eta_from_edm

__all__ = [
    "MOMENTUM_EDGES_MEV",
    "AngleProfile",
    "Dilution",
    "EdmFit",
    "RateFit",
    "calibrate_dilution",
    "edm_from_tilt",
    "fit_edm",
    "fit_rate",
    "profile_tracks",
    "tilt_from_edm",
]

Array = NDArray[np.float64]

#: Bins of momentum [MeV] of the analysis.
MOMENTUM_EDGES_MEV: Final = (1000.0, 1250.0, 1500.0, 1750.0, 2000.0, 2250.0, 2600.0)
#: The rate is fitted above this momentum [MeV], where its modulation is strong.
RATE_ABOVE_MEV: Final = 1750.0


def tilt_from_edm(edm_e_cm: float) -> float:
    """Return δ [rad] of an EDM [e·cm] at the magic momentum.

    >>> round(tilt_from_edm(1.8e-19) * 1e3, 3)
    1.652
    """
    return math.atan(eta_from_edm(edm_e_cm) * BETA_MAGIC / (2.0 * ANOMALY))


def edm_from_tilt(tilt_rad: float) -> float:
    """Return the EDM [e·cm] of a tilt δ [rad]."""
    return edm_from_eta(2.0 * ANOMALY / BETA_MAGIC * math.tan(tilt_rad))


@dataclass(frozen=True)
class AngleProfile:
    """Tracks in bins of momentum and time: number, sum and sum of squares of the vertical angle [rad].

    Attributes
    ----------
    edges_mev
        Momentum bins, shape (P + 1,).
    start_us, width_us
        First time edge and bin width; one revolution, so that the bunch structure stays in step with the bins.
    count, total, squares
        Shape (P, T).
    """

    edges_mev: Array
    start_us: float
    width_us: float
    count: Array
    total: Array
    squares: Array

    @property
    def times_us(self) -> Array:
        """Bin centres [µs], shape (T,)."""
        bins = self.count.shape[1]
        return np.asarray(self.start_us + self.width_us * (np.arange(bins) + 0.5), dtype=np.float64)

    @property
    def tracks(self) -> int:
        """Number of tracks inside the bins."""
        return int(self.count.sum())


def profile_tracks(
    chunks: Iterable[Tracks],
    *,
    start_us: float,
    stop_us: float,
    width_us: float,
    edges_mev: tuple[float, ...] = MOMENTUM_EDGES_MEV,
) -> AngleProfile:
    """Return the profile of tracks between two times.

    Raises
    ------
    DataError
        Fewer than ten time bins.
    """
    bins = int((stop_us - start_us) / width_us)
    if bins < 10:
        raise DataError("too few time bins for an oscillation", expected="≥ 10", found=str(bins))
    edges = np.array(edges_mev)
    shape = (edges.size - 1, bins)
    sums = np.zeros((3, edges.size - 1, bins))
    for chunk in chunks:
        p = np.searchsorted(edges, chunk.momentum_mev, side="right") - 1
        t = np.floor((chunk.time_us - start_us) / width_us).astype(np.int64)
        inside = (p >= 0) & (p < shape[0]) & (t >= 0) & (t < bins)
        flat = p[inside] * bins + t[inside]
        angle = chunk.angle_rad[inside]
        for row, weight in enumerate((None, angle, angle**2)):
            sums[row] += np.bincount(flat, weight, shape[0] * bins).reshape(shape)
    return AngleProfile(edges, start_us, width_us, *sums)


@dataclass(frozen=True)
class RateFit:
    """ω [rad/µs], φ [rad] and amplitude of 1 + A cos(ωt + φ) in the rate, with uncertainties of ω and φ."""

    omega: float
    phase: float
    amplitude: float
    omega_sigma: float
    phase_sigma: float


def fit_rate(profile: AngleProfile, omega_start: float, *, above_mev: float = RATE_ABOVE_MEV) -> RateFit:
    """Fit N₀ e^(−t/τ)[1 + A cos(ωt + φ)] to the number of tracks above a momentum.

    Raises
    ------
    FitError
        Too few tracks, or no modulation found.
    """
    chosen = profile.edges_mev[:-1] >= above_mev
    counts = profile.count[chosen].sum(axis=0)
    t = profile.times_us
    if counts.sum() < 500:
        raise FitError("too few tracks to find the g−2 phase", expected="≥ 500", found=f"{counts.sum():.0f}")
    # A grid in ω, linear in the rest, finds the right minimum; phases are taken at the middle of the data.
    middle = float(np.average(t, weights=counts))
    shape = np.exp(-(t - middle) / 64.4)
    span = float(np.sqrt(np.average((t - middle) ** 2, weights=counts)))
    grid = omega_start + np.linspace(-3.0, 3.0, 61) * 0.2 / span
    power = [abs(np.sum((counts - counts.sum() * shape / shape.sum()) * np.exp(-1j * w * (t - middle)))) for w in grid]
    omega = float(grid[int(np.argmax(power))])
    total = complex(np.sum((counts - counts.sum() * shape / shape.sum()) * np.exp(-1j * omega * (t - middle))))
    start = [counts.sum() / shape.sum(), 64.4, 0.35, omega, np.angle(total)]

    def model(q: Array) -> Array:
        result: Array = q[0] * np.exp(-(t - middle) / q[1]) * (1.0 + q[2] * np.cos(q[3] * (t - middle) + q[4]))
        return result

    # Two passes: variance from the data, then from the model, which is unbiased.
    variance = np.maximum(counts, 1.0)
    scale = np.array([start[0], 64.4, 1.0, 1e-3, 1.0])
    values = np.array(start)
    for _ in range(2):
        weight = 1.0 / np.sqrt(variance)
        fit = least_squares(lambda q, w=weight: (counts - model(q)) * w, values, x_scale=scale)  # type: ignore[misc]
        values = fit.x
        variance = np.maximum(model(values), 0.1)
    jacobian = np.asarray(fit.jac, dtype=np.float64)
    covariance = np.linalg.inv(jacobian.T @ jacobian)
    sigma = np.sqrt(np.diag(covariance))
    if values[2] < 0:
        values[2], values[4] = -values[2], values[4] + math.pi
    if values[2] < 3.0 * sigma[2]:
        raise FitError("no g−2 modulation in the rate of the tracks", found=f"A = {values[2]:.3f} ± {sigma[2]:.3f}")
    phase = (values[4] - values[3] * middle + math.pi) % (2.0 * math.pi) - math.pi
    return RateFit(float(values[3]), float(phase), float(values[2]), float(sigma[3]), float(sigma[4]))


@dataclass(frozen=True)
class Dilution:
    """Response of the angles to the spin, per momentum bin, shape (P,).

    Attributes
    ----------
    kappa, sigma
        Mean vertical angle [rad] per unit of vertical spin, and its uncertainty.
    radial
        Mean radial angle [rad] per unit of radial spin. It is larger: the height of the tracker cuts only the vertical
        one.
    rate_phase, rate_phase_sigma
        φ_d [rad]: the rate of accepted tracks goes as 1 + A cos(ψ + φ_d), because the station prefers one sign of the
        radial angle. Left out, an EDM would lose 1 − cos φ_d (2 %) and leak into the in-phase component.
    """

    edges_mev: Array
    kappa: Array
    sigma: Array
    radial: Array
    rate_phase: float
    rate_phase_sigma: float


def calibrate_dilution(
    library: SpinLibrary,
    *,
    decays: int = 4_000_000,
    imposed: float = 0.6,
    tracker: TrackerModel | None = None,
    edges_mev: tuple[float, ...] = MOMENTUM_EDGES_MEV,
    seed: int = 1,
) -> Dilution:
    """Return κ(p) from decays with an imposed vertical spin ±s: (⟨θ⟩₊ − ⟨θ⟩₋)/2sP, acceptance included."""
    model = tracker or TrackerModel()
    edges = np.array(edges_mev)
    moments = np.zeros((2, 3, edges.size - 1))
    radial = np.zeros(edges.size - 1)
    wave, waves = 0.0 + 0.0j, 0
    for row, sign in enumerate((1.0, -1.0)):
        for chunk in imposed_spin_tracks(library, sign * imposed, decays // 2, tracker=model, seed=seed):
            p = np.searchsorted(edges, chunk.momentum_mev, side="right") - 1
            inside = (p >= 0) & (p < edges.size - 1)
            for k in range(3):
                moments[row, k] += np.bincount(p[inside], chunk.angle_rad[inside] ** k, edges.size - 1)
            # S_r = −flat sin ψ, and the rate averages sin² ψ to one half.
            product = -2.0 * chunk.radial_rad[inside] * np.sin(chunk.time_us[inside])
            radial += np.bincount(p[inside], product, edges.size - 1)
            hard = chunk.time_us[chunk.momentum_mev >= RATE_ABOVE_MEV]
            wave += complex(np.exp(-1j * hard).sum())
            waves += hard.size
    mean = moments[:, 1] / moments[:, 0]
    variance = (moments[:, 2] / moments[:, 0] - mean**2) / moments[:, 0]
    scale = 2.0 * imposed * model.polarisation
    return Dilution(
        edges,
        (mean[0] - mean[1]) / scale,
        np.sqrt(variance.sum(axis=0)) / scale,
        radial / moments[:, 0].sum(axis=0) / (math.sqrt(1.0 - imposed**2) * model.polarisation),
        float(np.angle(wave)),
        math.sqrt(0.5 * waves) / abs(wave),
    )


@dataclass(frozen=True)
class EdmFit:
    """Result of the search.

    Attributes
    ----------
    tilt, tilt_sigma
        δ [rad], statistical.
    edm, edm_sigma
        d [e·cm], statistical.
    bin_tilt, bin_sigma
        Per momentum bin.
    in_phase, in_phase_sigma
        Amplitude [rad] of the component in phase with the rate, per bin: not an EDM, a monitor of the detector.
    chi2, dof
        Agreement of the bins.
    tracks
        Number of tracks used.
    """

    rate: RateFit
    dilution: Dilution
    tilt: float
    tilt_sigma: float
    edm: float
    edm_sigma: float
    bin_tilt: Array
    bin_sigma: Array
    in_phase: Array
    in_phase_sigma: Array
    chi2: float
    dof: int
    tracks: int
    profile: AngleProfile = field(repr=False)

    @property
    def roll_response(self) -> float:
        """False tilt per roll angle of the station: mean of κ_radial/κ over the bins, weighted as δ is."""
        weight = 1.0 / self.bin_sigma**2
        return float(weight @ (self.dilution.radial / self.dilution.kappa) / weight.sum())


def fit_edm(profile: AngleProfile, dilution: Dilution, rate: RateFit, *, polarisation: float = 0.95) -> EdmFit:
    """Fit the vertical angle in each momentum bin with the phase ψ of the spin, and combine the bins.

    ψ is the phase of the rate less the detection phase of the calibration.
    The model of a bin is ⟨θ⟩(t) = a + b e^(−t/64 µs) + A_s sin ψ + A_c cos ψ, weighted with the number of tracks, and
    sin δ = −A_s/(κP). With weights proportional to the rate the asymmetry of the rate drops out of A_s. The loss of
    amplitude by averaging over a time bin is corrected.

    Raises
    ------
    DataError
        The dilution belongs to other momentum bins.
    FitError
        A momentum bin is (nearly) empty.
    """
    if not np.array_equal(profile.edges_mev, dilution.edges_mev):
        raise DataError("the dilution belongs to other momentum bins", found=f"{dilution.edges_mev} MeV")
    t = profile.times_us
    psi = rate.omega * t + rate.phase - dilution.rate_phase
    half = 0.5 * rate.omega * profile.width_us
    averaged = math.sin(half) / half
    slow = np.exp(-(t - profile.start_us) / 64.4)
    basis = np.stack([np.ones_like(t), slow, averaged * np.sin(psi), averaged * np.cos(psi)])
    bins = dilution.kappa.size
    tilt, sigma, in_phase, in_sigma = (np.empty(bins) for _ in range(4))
    for i in range(bins):
        n, total = profile.count[i], profile.total[i]
        if n.sum() < 100:
            raise FitError(
                "a momentum bin has too few tracks", where=f"{profile.edges_mev[i]:.0f} MeV", found=f"{n.sum():.0f}"
            )
        variance = profile.squares[i].sum() / n.sum() - (total.sum() / n.sum()) ** 2
        # Σθ of a time bin has expectation N̄ · model: weights are the smooth rate, here the counts themselves.
        normal = (basis * n) @ basis.T
        solution = np.linalg.solve(normal, basis @ total)
        covariance = np.linalg.inv(normal) * variance
        scale = -1.0 / (dilution.kappa[i] * polarisation)
        tilt[i], sigma[i] = scale * solution[2], abs(scale) * math.sqrt(covariance[2, 2])
        in_phase[i], in_sigma[i] = solution[3], math.sqrt(covariance[3, 3])
    weight = 1.0 / sigma**2
    amplitude = float(weight @ tilt / weight.sum())
    if not abs(amplitude) < 1.0:
        raise FitError("the vertical angle is larger than any spin can make it", found=f"sin δ = {amplitude:.2f}")
    mean = math.asin(amplitude)
    # The error of the calibration scales with the tilt.
    calibration = abs(mean) * float(np.sqrt(np.sum((weight * dilution.sigma / dilution.kappa) ** 2)) / weight.sum())
    error = math.hypot(1.0 / math.sqrt(weight.sum()), calibration)
    slope = edm_from_tilt(mean + 1e-6) - edm_from_tilt(mean)
    return EdmFit(
        rate=rate,
        dilution=dilution,
        tilt=mean,
        tilt_sigma=error,
        edm=edm_from_tilt(mean),
        edm_sigma=slope * 1e6 * error,
        bin_tilt=tilt,
        bin_sigma=sigma,
        in_phase=in_phase,
        in_phase_sigma=in_sigma,
        chi2=float(np.sum(weight * (tilt - amplitude) ** 2)),
        dof=bins - 1,
        tracks=profile.tracks,
        profile=profile,
    )
