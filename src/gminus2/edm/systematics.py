"""What looks like an EDM: a radial magnetic field, a rolled tracker, and how well they are known.

A mean radial field B_r tilts the precession plane by B_r/B (the quadrupoles balance its force on the beam, not its
torque on the spin). A station rolled about the beam mixes the radial angle, which oscillates in the same phase, into
the vertical one; as its height cuts only vertical angles, a roll counts more than a tilt by the ratio of the
responses, 2 to 3. Derivation and signs: ``docs/physics/theory.md``, section EDM.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gminus2.edm.analysis import EdmFit, edm_from_tilt
from gminus2.edm.limits import ModulusInterval, modulus_interval
from gminus2.errors import PhysicsError

__all__ = ["CorrectedEdm", "Systematics", "corrected"]


@dataclass(frozen=True)
class Systematics:
    """Known tilts and their uncertainties.

    Attributes
    ----------
    radial_field_ppm, radial_field_sigma_ppm
        Mean radial field relative to the main field.
    roll_mrad, roll_sigma_mrad
        Roll of the station.
    polarisation_sigma
        Relative uncertainty of the beam polarisation.
    """

    radial_field_ppm: float = 0.0
    radial_field_sigma_ppm: float = 1.0
    roll_mrad: float = 0.0
    roll_sigma_mrad: float = 0.01
    polarisation_sigma: float = 0.01

    def __post_init__(self) -> None:
        if min(self.radial_field_sigma_ppm, self.roll_sigma_mrad, self.polarisation_sigma) < 0:
            raise PhysicsError("an uncertainty cannot be negative", where="EDM systematics")

    def false_tilt(self, roll_response: float) -> float:
        """Return the tilt [rad] that these effects add to δ; ``roll_response`` as :attr:`EdmFit.roll_response`."""
        return self.radial_field_ppm * 1e-6 + roll_response * self.roll_mrad * 1e-3

    def budget(self, tilt: float, roll_response: float) -> dict[str, float]:
        """Return the uncertainties as an EDM [e·cm] by source, for a measured tilt [rad]."""
        return {
            "radial_field": abs(edm_from_tilt(self.radial_field_sigma_ppm * 1e-6)),
            "roll": abs(edm_from_tilt(roll_response * self.roll_sigma_mrad * 1e-3)),
            "polarisation": abs(edm_from_tilt(tilt)) * self.polarisation_sigma,
        }


@dataclass(frozen=True)
class CorrectedEdm:
    """d [e·cm] after the known tilts are taken off, its two uncertainties, and the interval of |d|."""

    edm: float
    statistical: float
    systematic: float
    budget: dict[str, float]
    interval: ModulusInterval

    @property
    def sigma(self) -> float:
        """Total uncertainty."""
        return math.hypot(self.statistical, self.systematic)

    @property
    def floor(self) -> float:
        """Systematic uncertainty where d = 0: without what scales with d."""
        return math.hypot(*(value for name, value in self.budget.items() if name != "polarisation"))


def corrected(fit: EdmFit, effects: Systematics | None = None, *, level: float = 0.95) -> CorrectedEdm:
    """Return the corrected EDM and its Feldman–Cousins interval."""
    known = effects or Systematics()
    tilt = fit.tilt - known.false_tilt(fit.roll_response)
    budget = known.budget(tilt, fit.roll_response)
    systematic = math.hypot(*budget.values())
    value = edm_from_tilt(tilt)
    interval = modulus_interval(value, math.hypot(fit.edm_sigma, systematic), level=level)
    return CorrectedEdm(value, fit.edm_sigma, systematic, budget, interval)
