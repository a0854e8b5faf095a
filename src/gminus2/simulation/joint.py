"""One world for both sides of a measurement: the field that the NMR probes see is the field the muons precess in.

The magnet's world (:mod:`gminus2.simulation.magnet`) has moments that vary with azimuth and time. The muons of
:mod:`gminus2.simulation` take their averages over the ring and over the times of the muons: the dipole as the proton
frequency, quadrupole to octupole as multipoles that each muon averages over its own orbit. The transients B_k and B_q
act on the muons alone; they are applied as the constant change of the field that shifts ω_a as much
(``docs/physics/field.md``, transients). What is not taken over: the decupole (below 1 ppb for a beam centred within
2 mm in height) and the product of azimuthal variations of field and beam.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from gminus2.config.campaign import Campaign, FieldConfig
from gminus2.config.field import FieldDatasetSection, FieldSection
from gminus2.data.nmr import FieldData
from gminus2.physics.multipoles import MOMENTS, TRACKED
from gminus2.physics.nmr import F_LO_HZ
from gminus2.simulation.magnet.dataset import simulate_field_dataset
from gminus2.simulation.magnet.world import MagnetWorld

__all__ = ["JointField", "in_own_magnet", "simulate_joint_field"]


@dataclass(frozen=True)
class JointField:
    """The true field of a dataset as its muons feel it. Hardware only: no analysis sees it.

    Attributes
    ----------
    f_p_hz
        Shielded-proton frequency [Hz] at T_r of the mean dipole, without transients.
    normal_ppm, skew_ppm
        Mean quadrupole, sextupole, octupole at 45 mm relative to the dipole.
    b_k_ppb, b_q_ppb
        True transients as the precession fit sees them.
    """

    f_p_hz: float
    normal_ppm: tuple[float, float, float]
    skew_ppm: tuple[float, float, float]
    b_k_ppb: float
    b_q_ppb: float

    @property
    def transients(self) -> float:
        """1 + B_k + B_q."""
        return 1.0 + 1e-9 * (self.b_k_ppb + self.b_q_ppb)

    def for_muons(self) -> FieldConfig:
        """Return the field that the simulation of muons takes, transients included."""
        return FieldConfig(
            omega_p_shielded_mhz=1e-6 * self.f_p_hz * self.transients,
            normal_ppm=self.normal_ppm,
            skew_ppm=self.skew_ppm,
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Self:
        """Rebuild a record written by :meth:`to_json`."""
        return cls(
            f_p_hz=float(raw["f_p_hz"]),
            normal_ppm=(raw["normal_ppm"][0], raw["normal_ppm"][1], raw["normal_ppm"][2]),
            skew_ppm=(raw["skew_ppm"][0], raw["skew_ppm"][1], raw["skew_ppm"][2]),
            b_k_ppb=float(raw["b_k_ppb"]),
            b_q_ppb=float(raw["b_q_ppb"]),
        )


def simulate_joint_field(
    section: FieldSection, dataset: FieldDatasetSection, *, seed: int, index: int, offset: float
) -> tuple[FieldData, JointField]:
    """Simulate what the probes record, multiplied by 1 + ``offset``, and return it with the true field of the muons."""
    data, truth, world = simulate_field_dataset(section, dataset, seed=seed, index=index, offset=offset)
    mean = mean_moments(world, data.muon_time_s, data.muon_counts)
    f_p = F_LO_HZ + float(mean[0])
    ppm = dict(zip(MOMENTS, 1e6 * mean / f_p, strict=True))
    return data, JointField(
        f_p_hz=f_p,
        normal_ppm=(float(ppm["NQ"]), float(ppm["NS"]), float(ppm["NO"])),
        skew_ppm=(float(ppm["SQ"]), float(ppm["SS"]), float(ppm["SO"])),
        b_k_ppb=truth.b_k_ppb,
        b_q_ppb=truth.b_q_ppb,
    )


def in_own_magnet(campaign: Campaign) -> Campaign:
    """Return a campaign whose muons precess in the field of its own [field], as in a measurement of it.

    Without a [field] section the fields of the datasets stay as they are written.
    """
    if campaign.field is None:
        return campaign
    # Digitised FIDs change what is recorded, not the magnet; frequencies are made much faster.
    quick = campaign.field.trolley.model_copy(update={"fid_level": False})
    section = campaign.field.model_copy(update={"trolley": quick})
    datasets = list(campaign.datasets)
    for index in campaign.selected():
        _, field = simulate_joint_field(section, section.datasets[index], seed=campaign.seed, index=index, offset=0.0)
        datasets[index] = datasets[index].model_copy(update={"field": field.for_muons()})
    return campaign.model_copy(update={"datasets": tuple(datasets)})


def mean_moments(world: MagnetWorld, time_s: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the nine moments [Hz above the local oscillator] averaged over the ring and over weighted times."""
    mean = world.static_mean.copy()
    share = weight / weight.sum()
    for k, name in enumerate(TRACKED):
        # Only the first harmonic coefficient, the constant one, survives the average over azimuth.
        mean[MOMENTS.index(name)] += share @ np.interp(time_s, world.slow_t_s, world.drift[:, k, 0])
    mean[0] += share @ world.fast(time_s)
    return mean
