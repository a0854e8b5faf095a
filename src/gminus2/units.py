"""Internal units: µs, mm, MeV, T, rad. Multiply by a unit to enter, divide by it to leave.

>>> 149.2 * ns                                   # in µs
0.1492
>>> round(to_mhz(omega_reference), 4)            # rad/µs → MHz
0.2291

Angular frequencies are ``omega_*`` in rad/µs, frequencies ``f_*`` in MHz; ``R`` is in ppm of the reference.
"""

from __future__ import annotations

from math import pi
from typing import Final

__all__ = [
    "cm",
    "deg",
    "eV",
    "gauss",
    "gev",
    "hz",
    "kev",
    "khz",
    "km",
    "kv",
    "m",
    "mev",
    "mhz",
    "mm",
    "mrad",
    "ms",
    "ns",
    "omega_reference",
    "ppb",
    "ppm",
    "rad",
    "s",
    "tesla",
    "to_mhz",
    "us",
]

us: Final = 1.0
ns: Final = 1e-3
ms: Final = 1e3
s: Final = 1e6

mm: Final = 1.0
cm: Final = 10.0
m: Final = 1e3
km: Final = 1e6

mev: Final = 1.0
eV: Final = 1e-6
kev: Final = 1e-3
gev: Final = 1e3

tesla: Final = 1.0
gauss: Final = 1e-4

rad: Final = 1.0
mrad: Final = 1e-3
deg: Final = pi / 180.0

mhz: Final = 1.0
khz: Final = 1e-3
hz: Final = 1e-6

#: Plate voltages are the one exception to MeV-based units: kV in configuration and code.
kv: Final = 1.0

ppm: Final = 1e-6
ppb: Final = 1e-9

#: ω_ref = 2π · 0.2291 MHz, the reference of R (the collaboration's software-blinding convention) [rad/µs].
omega_reference: Final = 2.0 * pi * 0.2291


def to_mhz(omega: float) -> float:
    """Return the frequency [MHz] of an angular frequency [rad/µs]."""
    return omega / (2.0 * pi)
