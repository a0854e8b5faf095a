"""Electric-field correction C_e: from revolution frequency to momentum to the shift of ω_a, in the real lattice.

f/f_m = (β/β_m)/(1 + α_p δ) is inverted exactly for δ; x_e = R₀ α_p δ is the azimuthal mean of the closed orbit, and
C_e = 2β²(α_p − 1)⟨δ²⟩ holds in any lattice of electric quadrupoles (``docs/physics/beam_corrections.md``). The usual
continuous-ring form 2n(1 − n)β²⟨x_e²⟩/R₀² is 0.7 % larger for E989's plates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from gminus2.constants import BETA_MAGIC, F_CYCLOTRON_MHZ, GAMMA_MAGIC, RING_RADIUS_MM
from gminus2.errors import ConfigError
from gminus2.physics.optics import FocusingSection, check_field_index, electric_field_shift, linear_optics
from gminus2.ring.esq import ElectricField
from gminus2.ring.geometry import load_geometry

__all__ = ["APERTURE_MM", "RingOptics", "electric_field_ppb", "frequency_range", "momentum_offset", "ring_optics"]

FloatArray = NDArray[np.float64]

#: Radius of the storage aperture [mm].
APERTURE_MM: Final = 45.0


@dataclass(frozen=True)
class RingOptics:
    """What the corrections need of the optics at the final voltages.

    ``alpha_p`` = ⟨D⟩/R₀; ``mean_gamma_y`` = ⟨(1 + α_y²)/β_y⟩ [1/mm]; tunes; ``lattice`` names the ring.
    """

    field_index: float
    lattice: str
    alpha_p: float
    mean_gamma_y: float
    nu_x: float
    nu_y: float


def ring_optics(field_index: float, lattice: Literal["discrete", "continuous"] = "discrete") -> RingOptics:
    """Return the optics of E989's plates (``discrete``) or of smeared quadrupoles (``continuous``).

    Raises
    ------
    PhysicsError
        The field index stores no beam.
    """
    check_field_index(field_index)
    if lattice == "discrete":
        sections = ElectricField(field_index).sections(load_geometry("e989"))
    elif lattice == "continuous":
        sections = [FocusingSection(0.0, 2.0 * math.pi, field_index)]
    else:
        raise ConfigError(f"no lattice '{lattice}'", expected="discrete or continuous")
    optics = linear_optics(sections, points=36)
    return RingOptics(
        field_index=field_index,
        lattice=lattice,
        alpha_p=float(optics.alpha_p[0]),
        mean_gamma_y=float(optics.mean_gamma_y[0]),
        nu_x=float(optics.nu_x[0]),
        nu_y=float(optics.nu_y[0]),
    )


def momentum_offset(f_mhz: FloatArray, alpha_p: float, *, revolution_mhz: float = F_CYCLOTRON_MHZ) -> FloatArray:
    """Return δ = Δp/p from the magic momentum for a revolution frequency [MHz].

    >>> delta = momentum_offset(np.array([6.70495794, 6.695]), 1.12)
    >>> bool(abs(delta[0]) < 1e-15), round(float(delta[1]) * 1e3, 4)
    (True, 1.3294)
    """
    ratio = np.asarray(f_mhz, dtype=np.float64) / revolution_mhz
    u_magic = GAMMA_MAGIC * BETA_MAGIC
    delta = (1.0 / ratio - 1.0) / (alpha_p - 1.0 / GAMMA_MAGIC**2)
    for _ in range(3):
        u = u_magic * (1.0 + delta)
        speed = u / np.sqrt(1.0 + u * u) / BETA_MAGIC
        delta = (speed / ratio - 1.0) / alpha_p
    return np.asarray(delta)


def frequency_range(
    alpha_p: float, *, aperture_mm: float = APERTURE_MM, revolution_mhz: float = F_CYCLOTRON_MHZ
) -> tuple[float, float]:
    """Return the revolution frequencies [MHz] of closed orbits at ±aperture."""
    edge = aperture_mm / RING_RADIUS_MM / alpha_p * (alpha_p - 1.0 / GAMMA_MAGIC**2)
    return revolution_mhz / (1.0 + edge), revolution_mhz / (1.0 - edge)


def electric_field_ppb(f_mhz: FloatArray, alpha_p: float, *, revolution_mhz: float = F_CYCLOTRON_MHZ) -> FloatArray:
    """Return the correction of muons with these revolution frequencies [ppb], 2β²(α_p − 1)δ²."""
    delta = momentum_offset(f_mhz, alpha_p, revolution_mhz=revolution_mhz)
    return np.asarray(-1e9 * electric_field_shift(delta, alpha_p))
