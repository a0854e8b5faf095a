"""What the NMR system records in one dataset: fixed probes, trolley runs, calibration and transient campaigns.

Frequencies are in Hz above the local oscillator (61.74 MHz) on the *recorded* scale, which may carry a sealed factor.
Nothing in here tells the truth of a simulation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from gminus2.data.provenance import Provenance
from gminus2.data.store import StoredArray, StoredArrays, read_arrays, write_arrays
from gminus2.errors import DataError
from gminus2.physics.nmr import RecordFormat
from gminus2.physics.probes import N_FIXED_PROBES, N_TROLLEY_PROBES

__all__ = [
    "CalibrationCampaign",
    "FidSource",
    "FieldData",
    "FixedReadings",
    "FixedSource",
    "KickerCampaign",
    "QuadCampaign",
    "TrolleyFids",
    "TrolleyRun",
]

_KIND: Final = "field-data"
FloatArray = NDArray[np.float64]


class FixedSource(Protocol):
    """Fixed-probe readings in chunks of (time [s], shape (n,); frequency [Hz], shape (n, 378))."""

    def chunks(self) -> Iterator[tuple[FloatArray, NDArray[np.float32]]]:
        """Yield chunks in time order."""
        ...


@dataclass(frozen=True)
class FixedReadings:
    """Readings in memory; NaN where a probe gave none."""

    time_s: FloatArray
    f_hz: NDArray[np.float32]

    def chunks(self) -> Iterator[tuple[FloatArray, NDArray[np.float32]]]:
        """Yield the readings in chunks of 4096 cycles."""
        for k in range(0, len(self.time_s), 4096):
            yield self.time_s[k : k + 4096], self.f_hz[k : k + 4096]

    @classmethod
    def collect(cls, source: FixedSource) -> FixedReadings:
        """Read a source into memory."""
        parts = list(source.chunks())
        return cls(np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]))


@dataclass(frozen=True)
class TrolleyRun:
    """A trolley run.

    Attributes
    ----------
    time_s, azimuth_deg, temperature_c
        Shape (n,); the azimuth is that of the barcode, not unwrapped over passes.
    f_hz, sigma_hz, good
        Shape (n, 17), probes in the order of :func:`gminus2.physics.probes.trolley_positions_mm`.
    """

    time_s: FloatArray
    azimuth_deg: FloatArray
    temperature_c: FloatArray
    f_hz: FloatArray
    sigma_hz: FloatArray
    good: NDArray[np.bool_]

    @property
    def mid_time_s(self) -> float:
        """Mean time of the run."""
        return float(self.time_s.mean())


class FidSource(Protocol):
    """Digitized FIDs of one run in the order of the readings (time-major, then probe)."""

    @property
    def record(self) -> RecordFormat:
        """How they were recorded."""
        ...

    @property
    def n_fid(self) -> int:
        """Number of FIDs."""
        ...

    def batch(self, first: int, last: int) -> NDArray[np.int16]:
        """Return records first … last − 1, shape (n, n_sample)."""
        ...


@dataclass(frozen=True)
class TrolleyFids:
    """A trolley run whose frequencies have not been extracted yet."""

    time_s: FloatArray
    azimuth_deg: FloatArray
    temperature_c: FloatArray
    source: FidSource


@dataclass(frozen=True)
class CalibrationCampaign:
    """Plunging probe against trolley, probe by probe.

    Attributes
    ----------
    swap_time_s, swap_f_hz
        Shape (17, n_reading), device order trolley, plunging, trolley, …, trolley (even indices: trolley).
    imposed_hz
        Shape (17, 3 axes, 2 devices): frequency change when the gradient along x, y, z is switched on, by ABA.
    imposed_sigma_hz
        Standard uncertainty of each of these.
    imposed_gradient_hz_per_mm
        Shape (3,): the gradients imposed.
    shim_gradient_hz_per_mm
        Shape (17, 3): gradients of the shimmed field at the spot, from the trolley.
    reading_sigma_hz
        Noise of a swap reading.
    water_temperature_c, trolley_temperature_c
        Temperatures during the campaign.
    """

    swap_time_s: FloatArray
    swap_f_hz: FloatArray
    imposed_hz: FloatArray
    imposed_sigma_hz: float
    imposed_gradient_hz_per_mm: FloatArray
    shim_gradient_hz_per_mm: FloatArray
    reading_sigma_hz: float
    water_temperature_c: float
    trolley_temperature_c: float


@dataclass(frozen=True)
class KickerCampaign:
    """Magnetometer traces after the kick: ``delta_ppb`` (n_shot, n_time) of ΔB/B in the middle of a kicker."""

    time_us: FloatArray
    delta_ppb: FloatArray


@dataclass(frozen=True)
class QuadCampaign:
    """Probe between the quadrupole plates: ``delta_ppb`` (n_bunch, n_spot, n_time) of ΔB/B after the pulse."""

    time_us: FloatArray
    delta_ppb: FloatArray


@dataclass(frozen=True)
class FieldData:
    """Everything recorded for one dataset.

    Attributes
    ----------
    muon_time_s, muon_counts
        Bin centres and stored muons (ctags) per bin: the weights in time.
    fixed_cycle_s
        Time between readings of a fixed probe.
    """

    name: str
    fixed: FixedSource
    trolley: tuple[TrolleyRun | TrolleyFids, ...]
    calibration: CalibrationCampaign
    kicker: KickerCampaign
    quads: QuadCampaign
    muon_time_s: FloatArray
    muon_counts: FloatArray
    fixed_cycle_s: float
    notes: tuple[str, ...] = field(default=())

    def write(self, path: Path, provenance: Provenance) -> None:
        """Write to HDF5; :meth:`read` gives it back."""
        fixed = FixedReadings.collect(self.fixed)
        c = self.calibration
        arrays = {
            "fixed/time_s": StoredArray(fixed.time_s, "s", "time of each cycle"),
            "fixed/f_hz": StoredArray(fixed.f_hz, "Hz", "fixed-probe frequencies above 61.74 MHz, NaN = no reading"),
            "muons/time_s": StoredArray(self.muon_time_s, "s", "centre of each bin"),
            "muons/counts": StoredArray(self.muon_counts, "1", "stored muons per bin"),
            "calibration/swap_time_s": StoredArray(c.swap_time_s, "s", "time of each swap reading"),
            "calibration/swap_f_hz": StoredArray(c.swap_f_hz, "Hz", "even: trolley probe, odd: plunging probe"),
            "calibration/imposed_hz": StoredArray(
                c.imposed_hz, "Hz", "response to imposed gradients (probe, axis, device)"
            ),
            "calibration/imposed_gradient_hz_per_mm": StoredArray(c.imposed_gradient_hz_per_mm, "Hz/mm", "x, y, z"),
            "calibration/shim_gradient_hz_per_mm": StoredArray(c.shim_gradient_hz_per_mm, "Hz/mm", "at each spot"),
            "kicker/time_us": StoredArray(self.kicker.time_us, "us", "time after the kick"),
            "kicker/delta_ppb": StoredArray(self.kicker.delta_ppb, "ppb", "field change (shot, time)"),
            "quads/time_us": StoredArray(self.quads.time_us, "us", "time after the pulse"),
            "quads/delta_ppb": StoredArray(self.quads.delta_ppb, "ppb", "field change (bunch, spot, time)"),
        }
        for k, run in enumerate(self.trolley):
            if isinstance(run, TrolleyFids):
                raise DataError(
                    f"trolley run {k} still consists of FIDs", hint="extract its frequencies before storing"
                )
            group = f"trolley/{k:03d}"
            arrays |= {
                f"{group}/time_s": StoredArray(run.time_s, "s", "time of each reading"),
                f"{group}/azimuth_deg": StoredArray(run.azimuth_deg, "deg", "barcode azimuth"),
                f"{group}/temperature_c": StoredArray(run.temperature_c, "degC", "trolley temperature"),
                f"{group}/f_hz": StoredArray(run.f_hz, "Hz", "17 probes"),
                f"{group}/sigma_hz": StoredArray(run.sigma_hz, "Hz", "17 probes"),
                f"{group}/good": StoredArray(run.good, "1", "quality"),
            }
        attributes = {
            "name": self.name,
            "fixed_cycle_s": self.fixed_cycle_s,
            "trolley_runs": len(self.trolley),
            "imposed_sigma_hz": c.imposed_sigma_hz,
            "reading_sigma_hz": c.reading_sigma_hz,
            "water_temperature_c": c.water_temperature_c,
            "trolley_temperature_c": c.trolley_temperature_c,
            "notes": self.notes,
        }
        write_arrays(path, StoredArrays(_KIND, arrays, attributes, provenance))

    @classmethod
    def read(cls, path: Path) -> FieldData:
        """Read a file written by :meth:`write`; shapes are checked."""
        stored = read_arrays(path, _KIND)
        a = stored.attributes

        def get(name: str) -> Any:
            return stored[name]

        runs: list[TrolleyRun] = []
        for k in range(int(a["trolley_runs"])):
            group = f"trolley/{k:03d}"
            runs.append(
                TrolleyRun(
                    time_s=get(f"{group}/time_s"),
                    azimuth_deg=get(f"{group}/azimuth_deg"),
                    temperature_c=get(f"{group}/temperature_c"),
                    f_hz=get(f"{group}/f_hz"),
                    sigma_hz=get(f"{group}/sigma_hz"),
                    good=get(f"{group}/good").astype(bool),
                )
            )
        data = cls(
            name=str(a["name"]),
            fixed=FixedReadings(get("fixed/time_s"), get("fixed/f_hz")),
            trolley=tuple(runs),
            calibration=CalibrationCampaign(
                get("calibration/swap_time_s"),
                get("calibration/swap_f_hz"),
                get("calibration/imposed_hz"),
                float(a["imposed_sigma_hz"]),
                get("calibration/imposed_gradient_hz_per_mm"),
                get("calibration/shim_gradient_hz_per_mm"),
                float(a["reading_sigma_hz"]),
                float(a["water_temperature_c"]),
                float(a["trolley_temperature_c"]),
            ),
            kicker=KickerCampaign(get("kicker/time_us"), get("kicker/delta_ppb")),
            quads=QuadCampaign(get("quads/time_us"), get("quads/delta_ppb")),
            muon_time_s=get("muons/time_s"),
            muon_counts=get("muons/counts"),
            fixed_cycle_s=float(a["fixed_cycle_s"]),
            notes=tuple(a["notes"]),
        )
        check_shapes(get("fixed/f_hz").shape, (run.f_hz.shape for run in runs), where=str(path))
        return data


def check_shapes(fixed: tuple[int, ...], trolley: Iterable[tuple[int, ...]], *, where: str) -> None:
    """Refuse readings with another number of probes."""
    if len(fixed) != 2 or fixed[1] != N_FIXED_PROBES:
        raise DataError(
            "the fixed-probe table has the wrong shape",
            where=where,
            expected=f"(n, {N_FIXED_PROBES})",
            found=str(fixed),
        )
    for k, shape in enumerate(trolley):
        if len(shape) != 2 or shape[1] != N_TROLLEY_PROBES:
            raise DataError(
                f"trolley run {k} has the wrong shape",
                where=where,
                expected=f"(n, {N_TROLLEY_PROBES})",
                found=str(shape),
            )
