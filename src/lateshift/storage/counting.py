"""Counts that stop: of a large table a bounded count takes milliseconds, an exact one seconds."""

from __future__ import annotations

from typing import Final

import msgspec

COUNT_LIMIT: Final = 10_000
"""Counting stops above this number: a statement counts one more, to tell that there are more."""


class Count(msgspec.Struct, frozen=True):
    """A number of rows; `more` when there are, or may be, more than were counted. Its text is `10,000+`."""

    number: int
    more: bool = False

    @classmethod
    def of(cls, number: int) -> Count:
        """What a count gives that stopped above `COUNT_LIMIT`."""
        return cls(min(number, COUNT_LIMIT), number > COUNT_LIMIT)

    def words(self, noun: str) -> str:
        """The count with what was counted: "1 job", "1,204 jobs", "more than 10,000 jobs"."""
        return f"{'more than ' if self.more else ''}{self.number:,} {noun if self.number == 1 else noun + 's'}"

    def __str__(self) -> str:
        return f"{self.number:,}{'+' if self.more else ''}"

    def __add__(self, other: Count) -> Count:
        return Count(self.number + other.number, self.more or other.more)
