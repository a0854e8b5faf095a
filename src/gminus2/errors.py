"""One exception tree. An error says what was expected, what was found, where, and what to do.

Every error of this tree ends a command with :attr:`GMinus2Error.exit_code` (2), one message on standard error and no
number. Anything else that escapes is a defect of the program.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BlindingError",
    "ConfigError",
    "DataError",
    "FitError",
    "GMinus2Error",
    "MissingExtraError",
    "PhysicsError",
    "StoreError",
    "nearest",
]


class GMinus2Error(Exception):
    """Base of all errors a user can cause and mend.

    Parameters
    ----------
    message
        What went wrong, in one sentence.
    where
        File, key, bin or argument.
    expected, found
        What the program needed and what it got.
    hint
        What to do about it.
    """

    exit_code = 2

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        expected: str | None = None,
        found: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.message = message
        self.where = where
        self.expected = expected
        self.found = found
        self.hint = hint
        super().__init__(message)

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments get lost in the default pickling, and workers send errors back by pickle.
        return (_rebuild, (type(self), self.message, self.where, self.expected, self.found, self.hint))

    def __str__(self) -> str:
        parts = [self.message]
        for title, text in (
            ("where", self.where),
            ("expected", self.expected),
            ("found", self.found),
            ("what to do", self.hint),
        ):
            if text:
                parts.append(f"  {title}: {text}")
        return "\n".join(parts)


def _rebuild(
    kind: type[GMinus2Error],
    message: str,
    where: str | None,
    expected: str | None,
    found: str | None,
    hint: str | None,
) -> GMinus2Error:
    return kind(message, where=where, expected=expected, found=found, hint=hint)


class ConfigError(GMinus2Error):
    """A configuration file or option is wrong: unknown key, wrong type, impossible value."""


class DataError(GMinus2Error):
    """An input file is truncated, foreign, or holds values that no detector could have recorded."""


class PhysicsError(GMinus2Error):
    """A requested physical situation is impossible (field index above 1, overlapping elements, …)."""


class FitError(GMinus2Error):
    """A fit cannot be set up or did not reach a minimum."""


class StoreError(GMinus2Error):
    """A result could not be written, or a stored one is incomplete or does not match."""


class BlindingError(GMinus2Error):
    """An operation would break the blinding rules."""


class MissingExtraError(GMinus2Error):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package '{package}', which is not installed",
            hint=f"install it with: pip install 'gminus2[{extra}]'",
        )
        self._arguments = (package, extra, purpose)

    def __reduce__(self) -> tuple[object, ...]:
        return (MissingExtraError, self._arguments)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint that names the known words closest to ``word``.

    >>> nearest("kick_volts", ["kick_voltage", "seed"])
    "did you mean 'kick_voltage'?"
    >>> nearest("qqq", ["seed", "fills"])
    'known: fills, seed'
    """
    options = sorted(set(known))
    close = difflib.get_close_matches(word, options, n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(f"'{c}'" for c in close) + "?"
    return "known: " + ", ".join(options)
