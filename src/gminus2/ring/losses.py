"""Lost muons: the loss rate against time and momentum, and the way of a lost muon through the calorimeters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gminus2.constants import MUON_MASS_MEV
from gminus2.errors import PhysicsError
from gminus2.ring.ensemble import StoredBeam
from gminus2.ring.tracking import Ring

__all__ = ["CalorimeterHits", "LossRate", "loss_rate", "through_calorimeters"]

FloatArray = NDArray[np.float64]

#: What a minimum-ionising muon leaves in 140 mm of PbF2 [MeV] (N. Kinnaird, thesis).
MIP_MEV: Final = 170.0


@dataclass(frozen=True)
class LossRate:
    """Losses per stored muon and µs in bins of time, with Poisson errors; and the lost fraction by momentum.

    ``lost_fraction`` is of the muons in each bin of δ over the whole time; decay is not included (multiply by
    exp(−t/γτ) for what detectors see).
    """

    time_us: FloatArray
    rate_per_us: FloatArray
    rate_error: FloatArray
    delta: FloatArray
    lost_fraction: FloatArray
    lost_fraction_error: FloatArray
    mean_delta_lost: float
    mean_delta_stored: float


def loss_rate(beam: StoredBeam, time_edges_us: FloatArray, delta_bins: int = 8) -> LossRate:
    """Return the loss rate of a stored beam whose loss times were tracked.

    Parameters
    ----------
    time_edges_us
        (B + 1,) increasing.

    Raises
    ------
    PhysicsError
        No muon of the beam is lost between the edges.
    """
    first, last = float(time_edges_us[0]), float(time_edges_us[-1])
    present = beam.loss_time_us >= first
    lost = present & (beam.loss_time_us < last)
    if not lost.any():
        raise PhysicsError("no muon of this beam is lost in this time", hint="track losses when making the beam")
    counts, _ = np.histogram(beam.loss_time_us[lost], time_edges_us)
    left = int(present.sum()) - np.concatenate(([0], np.cumsum(counts)[:-1]))
    width = np.diff(time_edges_us)
    edges = np.quantile(beam.delta[present], np.linspace(0.0, 1.0, delta_bins + 1))
    everyone, _ = np.histogram(beam.delta[present], edges)
    gone, _ = np.histogram(beam.delta[lost], edges)
    share = gone / everyone
    return LossRate(
        time_us=0.5 * (time_edges_us[1:] + time_edges_us[:-1]),
        rate_per_us=counts / left / width,
        rate_error=np.sqrt(np.maximum(counts, 1)) / left / width,
        delta=0.5 * (edges[1:] + edges[:-1]),
        lost_fraction=share,
        lost_fraction_error=np.sqrt(np.maximum(gone, 1)) / everyone,
        mean_delta_lost=float(beam.delta[lost].mean()),
        mean_delta_stored=float(beam.delta[present & ~lost].mean()),
    )


@dataclass(frozen=True)
class CalorimeterHits:
    """Crossings of calorimeters by lost muons, one entry per crossing, in order for each muon.

    ``muon`` is the row of the loss table, ``calorimeter`` counts from 0, ``time_us`` since injection, ``depth_mm`` is
    measured inward from the outer edge of the face.
    """

    muon: NDArray[np.int64]
    calorimeter: NDArray[np.int64]
    time_us: FloatArray
    depth_mm: FloatArray

    def consecutive(self, count: int = 3) -> NDArray[np.int64]:
        """Return the muons that cross at least ``count`` calorimeters in a row."""
        found = []
        for muon in np.unique(self.muon):
            calorimeters = self.calorimeter[self.muon == muon]
            run = best = 1
            for step in np.diff(calorimeters) % 24:
                run = run + 1 if step == 1 else 1
                best = max(best, run)
            if best >= count:
                found.append(int(muon))
        return np.array(found, dtype=np.int64)


def through_calorimeters(ring: Ring, losses: FloatArray, *, turns: float = 1.5) -> CalorimeterHits:
    """Follow lost muons on circles of the uniform field through the calorimeters, 170 MeV lost in each.

    Parameters
    ----------
    losses
        Loss table of :class:`gminus2.ring.tracking.Tracked`; rows of NaN are skipped.
    turns
        How far to follow.

    Notes
    -----
    Outside the storage region there is no electric field to speak of; the fringe of the magnet is ignored.
    """
    geometry = ring.geometry
    if not geometry.calorimeter_azimuths:
        raise PhysicsError("this geometry has no calorimeters", where=geometry.name)
    b0, radius = ring.b0_per_m, geometry.radius_mm * 1e-3
    outer, width = geometry.calorimeter_edge_mm * 1e-3, geometry.calorimeter_width_mm * 1e-3
    planes = np.array(geometry.calorimeter_azimuths)
    rows: list[tuple[int, int, float, float]] = []
    for muon in np.nonzero(np.isfinite(losses[:, 0]))[0].tolist():
        azimuth, x, pr, y, py, tau, g = losses[muon, 2:9].tolist()
        p_t2 = g * g - 1.0 - py * py
        if p_t2 <= pr * pr:
            continue
        ps = math.sqrt(p_t2 - pr * pr)
        ahead = (planes - azimuth) % (2.0 * math.pi)
        order = np.argsort(ahead)
        for step in range(math.ceil(turns * planes.size)):
            k = int(order[step % planes.size])
            target = float(ahead[k]) + 2.0 * math.pi * (step // planes.size)
            angle = target - (azimuth - float(losses[muon, 2]))
            if angle <= 0.0:
                continue
            pt = math.sqrt(pr * pr + ps * ps)
            centre_r, centre_s = radius + x - ps / b0, pr / b0
            cos, sin = math.cos(angle), math.sin(angle)
            cr, cs = centre_r * cos + centre_s * sin, centre_s * cos - centre_r * sin
            rho = pt / b0
            if abs(cs) >= rho:
                break
            r = cr + math.sqrt(rho * rho - cs * cs)
            new_pr = b0 * cs
            alpha = angle + math.asin(pr / pt) - math.asin(new_pr / pt)
            tau += alpha * g / b0
            y += py * alpha / b0
            azimuth, x, pr, ps = azimuth + angle, r - radius, new_pr, math.sqrt(pt * pt - new_pr**2)
            depth = outer - r
            if depth > width:
                break
            if depth >= 0.0 and abs(y) < 0.0756:
                rows.append((muon, k, tau / 299.792458, depth * 1e3))
                p = math.sqrt(g * g - 1.0)
                g -= MIP_MEV / MUON_MASS_MEV
                scale = math.sqrt(g * g - 1.0) / p
                pr, ps, py = pr * scale, ps * scale, py * scale
    table = np.array(rows, dtype=float).reshape(-1, 4)
    return CalorimeterHits(
        table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2].copy(), table[:, 3].copy()
    )
