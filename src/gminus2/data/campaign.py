"""L2: everything an analysis needs of one dataset, in histograms of fixed size whatever the number of fills.

One file per dataset (HDF5, kind ``campaign-dataset``). Times are *nominal*: ticks times 1.25 ns, so every frequency
still hides the clock offset. Layout and meaning of every array: :data:`RECONSTRUCTION_ARRAYS`, :data:`SHARED_ARRAYS`.

Histograms in (…, energy, time) hold clusters after out-of-fill gain correction and after each cluster was moved by a
uniform number within ±T_c/2 (fast-rotation randomisation); the fast-rotation histograms hold the times as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gminus2.data.histograms import TimeHistogram
from gminus2.data.provenance import Provenance
from gminus2.data.store import StoredArray, StoredArrays, read_arrays, write_arrays
from gminus2.errors import DataError, nearest

__all__ = [
    "AXES",
    "RECONSTRUCTION_ARRAYS",
    "SHARED_ARRAYS",
    "CampaignDataset",
    "empty_reconstruction",
    "empty_shared",
]

_KIND: Final = "campaign-dataset"

#: Fixed axes of every dataset: name → value.
AXES: Final[dict[str, float]] = {
    "n_time": 4700,
    "time_width_us": 0.1492,
    "n_energy": 128,
    "energy_width_mev": 50.0,
    "n_coarse_energy": 64,
    "coarse_energy_width_mev": 100.0,
    "fine_per_time": 8,
    "n_fast": 300_000,
    "fast_width_us": 0.001,
    "n_bunch": 8,
    "n_spectrum": 800,
    "spectrum_width_mev": 10.0,
    "n_position": 60,
    "position_min_mm": -60.0,
    "position_width_mm": 2.0,
    "n_angle": 60,
    "angle_min_mrad": -60.0,
    "angle_width_mrad": 2.0,
    "n_slice": 140,
    "slice_width_us": 5.0,
    "n_laser_time": 280,
    "laser_time_width_us": 2.5,
    "n_laser_group": 64,
    "n_double_pulse": 64,
    "double_pulse_width_us": 0.0025,
    "n_coincidence_dt": 300,
    "coincidence_dt_width_us": 0.0001,
}

_T, _E, _C = int(AXES["n_time"]), int(AXES["n_energy"]), int(AXES["n_coarse_energy"])
_FAST, _B = int(AXES["n_fast"]), int(AXES["n_bunch"])
_X, _A, _SL = int(AXES["n_position"]), int(AXES["n_angle"]), int(AXES["n_slice"])

#: Per reconstruction: name → (shape, dtype, unit, description).
RECONSTRUCTION_ARRAYS: Final[dict[str, tuple[tuple[int, ...], str, str, str]]] = {
    "counts": ((24, _E, _T), "u4", "1", "clusters by (calorimeter, energy, time)"),
    "pileup_net": (
        (24, _E, _T),
        "i4",
        "1",
        "shadow-window doublets minus their singles by (calorimeter, energy, time), singles at the doublet's time",
    ),
    "pileup_doublets": ((_E, _T), "u4", "1", "shadow-window doublets of all calorimeters by (energy, time)"),
    "pileup_singles": ((_E, _T), "u4", "1", "the two singles of each doublet by (energy, time)"),
    "pileup_pairs": ((_C, _C), "u4", "1", "(trigger energy, shadow energy) of the doublets after 30 us, 100 MeV bins"),
    "random_sets": (
        (4, _E, _T),
        "u4",
        "1",
        "clusters of all calorimeters in the four sets of the R method: u+ filled at t - T/2, u- at t + T/2, v, v",
    ),
    "fine": (
        (_C, _T * int(AXES["fine_per_time"])),
        "u4",
        "1",
        "clusters of all calorimeters by (energy in 100 MeV, time in 18.65 ns): split it again with any seed",
    ),
    "bunch": ((_B, _T), "u4", "1", "clusters above the T threshold by (bunch, time)"),
    "rows": ((6, _T), "u4", "1", "clusters above the T threshold by (crystal row, time), lowest first"),
    "columns": ((9, _T), "u4", "1", "clusters above the T threshold by (crystal column from the storage side, time)"),
    "coincidences": (
        (4, _T),
        "u4",
        "1",
        "lost-muon candidates by time: triples, triples with the third at 2-4 ns, at 10-12.5 ns, quadruples",
    ),
    "coincidence_dt": (
        (int(AXES["n_coincidence_dt"]),),
        "u4",
        "1",
        "time between neighbours of candidate pairs, 0.1 ns",
    ),
    "spectrum": ((24, int(AXES["n_spectrum"])), "u4", "1", "clusters after 30 us by (calorimeter, energy in 10 MeV)"),
}

#: Once per dataset: name → (shape, dtype, unit, description).
SHARED_ARRAYS: Final[dict[str, tuple[tuple[int, ...], str, str, str]]] = {
    "fast_rotation": (
        (24, _FAST),
        "u4",
        "1",
        "hits above the T threshold by (calorimeter, time in 1 ns), not randomised",
    ),
    "fast_rotation_bunch": ((_B, _FAST), "u4", "1", "the same by (bunch, time in 1 ns)"),
    "energy_flow": ((24, _T), "i8", "MeV", "sum of hit energies above the Q threshold by (calorimeter, time)"),
    "energy_flow_squared": ((24, _T), "i8", "MeV^2", "sum of squared hit energies above the Q threshold"),
    "hit_map": ((24, 32, 26), "u4", "1", "hits by (calorimeter, u in 7.2 mm, height in 6 mm from -78 mm)"),
    "track_x": ((2, _X, _T), "u4", "1", "tracks by (station, decay x outward in 2 mm, time), tangency bias subtracted"),
    "track_y": ((2, _X, _T), "u4", "1", "tracks by (station, decay y upward in 2 mm, time)"),
    "track_angle": ((2, _A, _T), "u4", "1", "tracks by (station, vertical angle in 2 mrad, time)"),
    "track_xy": ((2, _SL, _X, _X), "u4", "1", "tracks by (station, time in 5 us, decay x, decay y)"),
    "track_momentum": ((2, 62), "u4", "1", "tracks by (station, momentum in 50 MeV)"),
    "laser_infill": (
        (24, int(AXES["n_laser_time"]), 3),
        "i8",
        "1e-6",
        "in-fill laser pulses by (calorimeter, time in 2.5 us): number, sum and sum of squares of (response - 1)",
    ),
    "laser_outfill": (
        (24, int(AXES["n_laser_group"]), 3),
        "i8",
        "1e-6",
        "laser pulses between fills by (calorimeter, group of fills): number, sum, sum of squares of (response - 1)",
    ),
    "laser_double": (
        (24, int(AXES["n_double_pulse"]), 3),
        "i8",
        "1e-6",
        "second laser pulses by (calorimeter, separation in 2.5 ns): number, sum, sum of squares of (response - 1)",
    ),
}


def _zeros(table: Mapping[str, tuple[tuple[int, ...], str, str, str]]) -> dict[str, NDArray[Any]]:
    return {name: np.zeros(shape, dtype=dtype) for name, (shape, dtype, _, _) in table.items()}


def empty_reconstruction() -> dict[str, NDArray[Any]]:
    """Return zeroed arrays of one reconstruction."""
    return _zeros(RECONSTRUCTION_ARRAYS)


def empty_shared() -> dict[str, NDArray[Any]]:
    """Return zeroed arrays shared by the reconstructions."""
    return _zeros(SHARED_ARRAYS)


@dataclass(frozen=True)
class CampaignDataset:
    """One dataset of a campaign.

    Attributes
    ----------
    name
        Of the dataset.
    fills
        Fills in it.
    hits
        Detector hits that were read.
    reconstructions
        Reconstruction → arrays of :data:`RECONSTRUCTION_ARRAYS`.
    shared
        Arrays of :data:`SHARED_ARRAYS`.
    settings
        Reduction settings: thresholds, separations, periods of the randomisation, laser set-up, detector description.
    conditions
        What the logbook knows: nominal field index, quadrupole voltage, proton frequency, kick, …; never the truth.
    """

    name: str
    fills: int
    hits: int
    reconstructions: Mapping[str, Mapping[str, NDArray[Any]]]
    shared: Mapping[str, NDArray[Any]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    conditions: Mapping[str, Any] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=lambda: Provenance(made_by="unknown"))

    def __post_init__(self) -> None:
        groups = [("shared", self.shared, SHARED_ARRAYS)]
        groups += [(name, arrays, RECONSTRUCTION_ARRAYS) for name, arrays in self.reconstructions.items()]
        for group, arrays, table in groups:
            for name, (shape, _, _, _) in table.items():
                if name not in arrays:
                    raise DataError(f"dataset '{self.name}' lacks '{group}/{name}'")
                if arrays[name].shape != shape:
                    raise DataError(
                        f"'{group}/{name}' of dataset '{self.name}' has the wrong shape",
                        expected=str(shape),
                        found=str(arrays[name].shape),
                    )

    def reconstruction(self, name: str) -> Mapping[str, NDArray[Any]]:
        """Return the arrays of one reconstruction.

        Raises
        ------
        DataError
            No such reconstruction; the message names the ones there are.
        """
        try:
            return self.reconstructions[name]
        except KeyError:
            raise DataError(f"no reconstruction '{name}'", hint=nearest(name, self.reconstructions)) from None

    @property
    def energy_edges_mev(self) -> NDArray[np.float64]:
        """Edges of the energy axis, shape (129,)."""
        return np.asarray(np.arange(_E + 1) * AXES["energy_width_mev"], dtype=np.float64)

    def above(self, threshold_mev: float, reconstruction: str = "global") -> TimeHistogram:
        """Return the threshold counts per calorimeter (T method).

        Parameters
        ----------
        threshold_mev
            On an edge of the energy axis (multiples of 50 MeV).
        """
        first = threshold_mev / AXES["energy_width_mev"]
        if abs(first - round(first)) > 1e-9 or not 0 <= first < _E:
            raise DataError(
                "the threshold must lie on an edge of the energy axis",
                expected=f"a multiple of {AXES['energy_width_mev']:g} MeV below {_E * AXES['energy_width_mev']:g}",
                found=f"{threshold_mev:g} MeV",
            )
        counts = self.reconstruction(reconstruction)["counts"][:, round(first) :, :].sum(axis=1, dtype=np.int64)
        return TimeHistogram(
            counts=counts.astype(np.float64),
            start_us=np.zeros(24),
            width_us=AXES["time_width_us"],
            labels=tuple(f"calorimeter {k + 1}" for k in range(24)),
        )

    def write(self, path: Path) -> None:
        """Write to HDF5."""
        arrays = {
            f"shared/{name}": StoredArray(self.shared[name], unit, text)
            for name, (_, _, unit, text) in SHARED_ARRAYS.items()
        }
        for reconstruction, values in self.reconstructions.items():
            for name, (_, _, unit, text) in RECONSTRUCTION_ARRAYS.items():
                arrays[f"reconstructions/{reconstruction}/{name}"] = StoredArray(values[name], unit, text)
        attributes = {
            "name": self.name,
            "fills": self.fills,
            "hits": self.hits,
            "axes": AXES,
            "reconstructions": list(self.reconstructions),
            "settings": dict(self.settings),
            "conditions": dict(self.conditions),
        }
        write_arrays(path, StoredArrays(_KIND, arrays, attributes, self.provenance))

    @classmethod
    def read(cls, path: Path) -> CampaignDataset:
        """Read a dataset back.

        Raises
        ------
        DataError
            Absent, truncated, incomplete, of another kind, data model or layout.
        """
        stored = read_arrays(path, _KIND)
        given = stored.attributes
        if given.get("axes") != AXES:
            raise DataError(
                "the dataset has other axes than this version uses",
                where=str(path),
                hint="reduce the hits again, or read it with the version named in its provenance",
            )
        return cls(
            name=str(given["name"]),
            fills=int(given["fills"]),
            hits=int(given["hits"]),
            reconstructions={
                reconstruction: {
                    name: stored[f"reconstructions/{reconstruction}/{name}"] for name in RECONSTRUCTION_ARRAYS
                }
                for reconstruction in given["reconstructions"]
            },
            shared={name: stored[f"shared/{name}"] for name in SHARED_ARRAYS},
            settings=given["settings"],
            conditions=given["conditions"],
            provenance=stored.provenance,
        )
