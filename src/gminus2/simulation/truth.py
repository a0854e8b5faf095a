"""What nature chose, and its sealed record. Analysis code never reads it; closure tests and unblinding do."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gminus2.config.campaign import TruthConfig
from gminus2.constants import codata, published
from gminus2.data import Provenance, read_result, write_result
from gminus2.random import stream

__all__ = ["Nature", "a_mu_per_frequency_ratio", "draw_nature", "read_truth", "write_truth"]

_KIND = "truth"


@dataclass(frozen=True)
class Nature:
    """The hidden numbers of a campaign.

    Attributes
    ----------
    a_mu
        The muon's anomaly.
    clock_offset
        Relative offset ε of the detectors' clock.
    """

    a_mu: float
    clock_offset: float

    def commitment(self) -> str:
        """Return a hash that commits to the numbers without showing them (they are drawn with 53 bits)."""
        return hashlib.sha256(f"{self.a_mu!r} {self.clock_offset!r}".encode()).hexdigest()

    def f_a_mhz(self, omega_p_shielded_mhz: float) -> float:
        """Return the precession frequency [MHz] in a field given by its shielded-proton frequency at 34.7 °C."""
        return self.a_mu / a_mu_per_frequency_ratio() * omega_p_shielded_mhz


def a_mu_per_frequency_ratio() -> float:
    """Return K = a_µ/R'_µ at 34.7 °C: (µ'_p/µ_e(H)) (µ_e(H)/µ_e) (m_µ/m_e) (|g_e|/2), CODATA 2018.

    >>> round(a_mu_per_frequency_ratio(), 9)
    0.314493106
    """
    constants = codata(2018)
    shielding = float(published("constants.external.mu_e_H_over_mu_p_shielded_34C7"))
    bound = float(published("constants.external.mu_e_H_over_mu_e"))
    return bound * float(constants.m_mu_over_m_e) * abs(float(constants.g_e)) / 2.0 / abs(shielding)


def draw_nature(config: TruthConfig) -> Nature:
    """Return the hidden numbers of a campaign: drawn from its phrase when sealed, as written when open."""
    if config.mode == "open":
        return Nature(config.a_mu, 1e-6 * config.clock_offset_ppm)
    seed = int.from_bytes(hashlib.sha256(config.phrase.encode()).digest()[:8], "little")
    generator = stream(seed, "nature")
    a_mu, clock = generator.uniform(-1.0, 1.0, 2)
    return Nature(
        a_mu=config.a_mu * (1.0 + 1e-6 * config.a_mu_span_ppm * float(a_mu)),
        clock_offset=1e-6 * config.clock_span_ppm * float(clock),
    )


def write_truth(path: Path, nature: Nature, datasets: Mapping[str, Mapping[str, Any]], provenance: Provenance) -> None:
    """Write the truth record (kind ``truth``): nature, and per dataset what its own muons did."""
    content = {**asdict(nature), "commitment": nature.commitment(), "datasets": datasets}
    write_result(path, _KIND, content, provenance)


def read_truth(path: Path) -> dict[str, Any]:
    """Read a truth record. For closure tests and for unblinding only.

    Raises
    ------
    DataError
        Absent, truncated or of another kind.
    """
    return read_result(path, _KIND)
