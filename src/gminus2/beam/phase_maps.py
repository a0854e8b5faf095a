"""Phase, asymmetry and rate of counted positrons against decay position: the maps behind C_pa.

The maps are counted from decays and arcs in the uniform field (:func:`gminus2.detectors.acceptance.acceptance_map`),
shipped as ``reference/acceptance_map.h5`` in two independent halves, and described by smooth polynomials in x and y².
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gminus2.data import StoredArray, StoredArrays, make_provenance, read_arrays, write_arrays
from gminus2.detectors.acceptance import acceptance_map
from gminus2.errors import DataError

__all__ = ["PhaseMap", "load_maps", "make_maps", "read_maps"]

FloatArray = NDArray[np.float64]

_KIND: Final = "acceptance-map"
_X_MM: Final = np.array([-42.0, -28.0, -14.0, 0.0, 14.0, 28.0, 42.0])
_Y_MM: Final = np.array([0.0, 8.0, 16.0, 24.0, 32.0, 42.0])
#: Powers (x, y²) of the polynomials.
_POWERS: Final = ((0, 0), (1, 0), (2, 0), (3, 0), (0, 1), (1, 1), (0, 2), (1, 2), (0, 3))


@dataclass(frozen=True)
class PhaseMap:
    """Polynomials of ln N, A and φ_d over (x/45 mm)^a (y/45 mm)^2b; coefficients in the order of the powers.

    ``statistics`` are the coefficients of φ_d from the two halves of the decays, shape (2, powers).
    """

    log_rate: FloatArray
    asymmetry: FloatArray
    phase: FloatArray
    statistics: FloatArray
    threshold_mev: float

    @staticmethod
    def _terms(x_mm: FloatArray, y_mm: FloatArray) -> FloatArray:
        x, y2 = np.asarray(x_mm) / 45.0, (np.asarray(y_mm) / 45.0) ** 2
        return np.stack([x**a * y2**b for a, b in _POWERS], axis=-1)

    def rate_at(self, x_mm: FloatArray, y_mm: FloatArray) -> FloatArray:
        """Return the rate N relative to the centre."""
        return np.asarray(np.exp(self._terms(x_mm, y_mm) @ self.log_rate - self.log_rate[0]))

    @property
    def hits_per_decay(self) -> float:
        """Positrons counted per decay at the centre."""
        return float(np.exp(self.log_rate[0]))

    def asymmetry_at(self, x_mm: FloatArray, y_mm: FloatArray) -> FloatArray:
        """Return the asymmetry for full polarisation."""
        return np.asarray(self._terms(x_mm, y_mm) @ self.asymmetry)

    def phase_at(self, x_mm: FloatArray, y_mm: FloatArray, half: int | None = None) -> FloatArray:
        """Return φ_d [rad] (the wiggle is 1 + A cos(ω_a t + φ₀ − φ_d)), from all decays or one half of them."""
        coefficients = self.phase if half is None else self.statistics[half]
        return np.asarray(self._terms(x_mm, y_mm) @ coefficients)

    def phasor_at(self, x_mm: FloatArray, y_mm: FloatArray) -> tuple[FloatArray, NDArray[np.complex128]]:
        """Return the rate N relative to the centre and N A e^{iφ_d}."""
        log_rate, asymmetry, phase = np.moveaxis(
            self._terms(x_mm, y_mm) @ np.stack([self.log_rate, self.asymmetry, self.phase], axis=1), -1, 0
        )
        rate = np.exp(log_rate - self.log_rate[0])
        return rate, rate * asymmetry * np.exp(1j * phase)


def make_maps(path: Path, *, decays: int, seed: int = 1) -> None:
    """Count two independent maps of ``decays`` decays per grid point and store them."""
    arrays: dict[str, StoredArray] = {}
    for half in range(2):
        counted = acceptance_map(_X_MM, _Y_MM, decays=decays, seed=seed + half)
        arrays |= {
            f"half{half}/rate": StoredArray(counted.rate, "1", "hits per decay by (x, y, energy)"),
            f"half{half}/z_real": StoredArray(counted.z_real, "1", "asymmetry vector times rate, real part"),
            f"half{half}/z_imag": StoredArray(counted.z_imag, "1", "asymmetry vector times rate, imaginary part"),
        }
        edges = counted.energy_edges_mev
    arrays["x"] = StoredArray(_X_MM, "mm", "decay position, outward")
    arrays["y"] = StoredArray(_Y_MM, "mm", "decay height; the map is symmetric")
    arrays["energy_edges"] = StoredArray(edges, "MeV", "edges of the energy axis")
    provenance = make_provenance("gminus2.beam.phase_maps.make_maps", seed=seed)
    write_arrays(path, StoredArrays(_KIND, arrays, {"decays_per_point": decays}, provenance))


def read_maps(path: Path, threshold_mev: float = 1700.0) -> PhaseMap:
    """Return the map of all positrons above a threshold.

    Raises
    ------
    DataError
        The threshold is not on an edge of the energy axis.
    """
    stored = read_arrays(path, _KIND)
    edges = stored["energy_edges"]
    first = int(np.argmin(np.abs(edges - threshold_mev)))
    if abs(edges[first] - threshold_mev) > 1e-6 or first >= len(edges) - 1:
        raise DataError(
            "the threshold must lie on an edge of the map",
            expected=f"a multiple of {edges[1] - edges[0]:g} MeV below {edges[-1]:g}",
            found=f"{threshold_mev:g} MeV",
        )
    x, y = np.meshgrid(stored["x"], stored["y"], indexing="ij")
    terms = PhaseMap._terms(x.ravel(), y.ravel())
    rates, vectors = [], []
    for half in range(2):
        rates.append(stored[f"half{half}/rate"][..., first:].sum(axis=-1).ravel())
        real, imaginary = (
            stored[f"half{half}/z_{part}"][..., first:].sum(axis=-1).ravel() for part in ("real", "imag")
        )
        vectors.append(real + 1j * imaginary)
    rate, vector = sum(rates) / 2.0, sum(vectors) / 2.0

    def fit(values: FloatArray) -> FloatArray:
        return np.asarray(np.linalg.lstsq(terms, values, rcond=None)[0], dtype=np.float64)

    return PhaseMap(
        log_rate=fit(np.log(rate)),
        asymmetry=fit(np.abs(vector) / rate),
        phase=fit(np.angle(vector)),
        statistics=np.stack([fit(np.angle(v)) for v in vectors]),
        threshold_mev=threshold_mev,
    )


@cache
def load_maps(threshold_mev: float = 1700.0) -> PhaseMap:
    """Return the shipped map."""
    with resources.as_file(resources.files("gminus2.reference").joinpath("acceptance_map.h5")) as path:
        return read_maps(path, threshold_mev)
