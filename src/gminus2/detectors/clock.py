"""The clock that stamps every hit, and the one hit word of eight bytes.

Digitisers sample at 20 times a clock of (40 MHz)(1 + ε). The offset ε is the hardware blinding: hits carry *ticks*,
an analysis multiplies by the nominal 1.25 ns, and so finds every time stretched by 1 + ε and every frequency divided
by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["NOMINAL_CLOCK_MHZ", "TICKS_PER_CLOCK", "Clock"]

NOMINAL_CLOCK_MHZ: Final = 40.0
#: Samples per clock period: 800 MS/s.
TICKS_PER_CLOCK: Final = 20


@dataclass(frozen=True)
class Clock:
    """A clock whose frequency is off by a relative ``offset`` (ε).

    >>> Clock(0.0).ticks_per_us
    800.0
    """

    offset: float

    @property
    def frequency_mhz(self) -> float:
        """True frequency [MHz]."""
        return NOMINAL_CLOCK_MHZ * (1.0 + self.offset)

    @property
    def ticks_per_us(self) -> float:
        """Ticks counted in a true microsecond."""
        return TICKS_PER_CLOCK * self.frequency_mhz

    @property
    def f_clock(self) -> float:
        """The factor that turns a frequency measured in nominal time into the true one, f/f_nominal."""
        return 1.0 + self.offset
