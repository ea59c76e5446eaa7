"""Counts that stop: of a large table a bounded count takes milliseconds, an exact one seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Count:
    """A number of rows; `more` when there are, or may be, more than were counted. Its text is `10,000+`."""

    number: int
    more: bool = False

    @classmethod
    def of(cls, number: int, limit: int) -> Count:
        """What a count gives that stopped above `limit`."""
        return cls(min(number, limit), number > limit)

    def __str__(self) -> str:
        return f"{self.number:,}{'+' if self.more else ''}"

    def __add__(self, other: Count) -> Count:
        return Count(self.number + other.number, self.more or other.more)
