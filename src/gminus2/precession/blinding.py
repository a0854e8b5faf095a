"""Software blinding of R by a phrase. The offset is never printed or stored."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Blinding"]


@dataclass(frozen=True)
class Blinding:
    """A hidden offset of R: ω = ω_ref [1 + (R - offset)·1e-6]. Build it with :meth:`from_phrase`.

    Attributes
    ----------
    label
        Two blindings with the same label hide the same offset; the offset cannot be read from it.
    """

    label: str
    _offset_ppm: float = field(repr=False, compare=False)

    @classmethod
    def from_phrase(cls, phrase: str, *, dataset: str = "") -> Blinding:
        """Derive the offset from a phrase (and a dataset name): the same words always hide the same offset."""
        raise NotImplementedError
