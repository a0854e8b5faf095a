"""Published drifts of the CBO frequency, measured by tracker station 12: Φ(t) = ω0 t + A e^(-t/τA) + B e^(-t/τB).

Two tables exist that do not agree; both are here by name: ``K`` (N. Kinnaird's analysis code) and ``KT`` (his thesis).
The single-term forms come from later analyses: ``Run23`` (only τ is known), ``Run4``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from gminus2.errors import ConfigError, nearest

__all__ = ["DRIFT_TABLES", "DriftTable", "drift_table"]


@dataclass(frozen=True)
class DriftTable:
    """A drift by its named parameters: amplitudes [rad], times [µs], ω0 [rad/µs] (``None`` where not given)."""

    form: Literal["tracker", "single"]
    omega0: float | None
    amplitude: float
    tau_us: float
    amplitude_fast: float | None = None
    tau_fast_us: float | None = None
    status: str = "source"


def _two(omega0: float, a: float, tau_a: float, b: float, tau_b: float) -> DriftTable:
    return DriftTable("tracker", omega0, a, tau_a, b, tau_b)


DRIFT_TABLES: Final[dict[str, DriftTable]] = {
    "K:60h": _two(2.3376, 2.79, 61.1, 5.63, 6.07),
    "K:HighKick": _two(2.6137, 2.88, 49.2, 6.27, 6.18),
    "K:9day": _two(2.6094, 2.80, 56.6, 6.18, 6.32),
    "K:EndGame": _two(2.3354, 6.82, 78.3, 5.42, 6.54),
    "KT:60h": _two(2.3389, 2.90, 81.8, 5.12, 7.7),
    "KT:HighKick": _two(2.6145, 3.27, 52.8, 6.96, 6.6),
    "KT:9day": _two(2.6106, 2.86, 72.8, 5.50, 8.5),
    "KT:EndGame": _two(2.3377, 7.43, 95.1, 4.71, 9.0),
    "Run4": DriftTable("single", None, 6.87, 6.0, status="unverified"),
}


def drift_table(name: str) -> DriftTable:
    """Return a drift by name.

    Raises
    ------
    ConfigError
        Unknown name.

    Examples
    --------
    >>> drift_table("KT:60h").omega0
    2.3389
    """
    try:
        return DRIFT_TABLES[name]
    except KeyError:
        raise ConfigError(f"no CBO drift table '{name}'", hint=nearest(name, DRIFT_TABLES)) from None
