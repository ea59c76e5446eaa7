"""Durations counted in buckets, each twice as wide as the one before: small, and they can be added up.

Bucket 0 holds what took less than 1,024 µs, bucket 1 less than 2,048, and so on; the last, number 27, holds everything
from 19 hours up. A quantile is read between the ends of its bucket, so it is right to some 15 % at worst.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

FLOOR_BITS: Final = 10
BUCKETS: Final = 28
LENGTHS: Final = 65
"""How many lengths a 64-bit number may have: `by_length` takes one count for each."""


def by_length(lengths: Sequence[int]) -> list[int]:
    """Buckets from counts by `int.bit_length()` of the microseconds, which is the cheapest thing to count by."""
    top = FLOOR_BITS + BUCKETS - 1
    return [sum(lengths[: FLOOR_BITS + 1]), *lengths[FLOOR_BITS + 1 : top], sum(lengths[top:])]


def encode(buckets: Sequence[int]) -> str:
    """Buckets as a short text: the number of the first that is not empty, then the counts up to the last such one."""
    used = [place for place, count in enumerate(buckets) if count]
    if not used:
        return ""
    return f"{used[0]}:{' '.join(map(str, buckets[used[0] : used[-1] + 1]))}"


def add(buckets: list[int], text: str) -> None:
    """Add an encoded histogram to one that is being summed up; what is no such text counts for nothing."""
    first, _, counts = text.partition(":")
    try:
        place = int(first)
        for count in counts.split(" "):
            buckets[place] += int(count)
            place += 1
    except (ValueError, IndexError):  # an empty one, or a row written by other hands
        return


def total(texts: Iterable[str]) -> list[int]:
    """The sum of encoded histograms, as buckets."""
    buckets = [0] * BUCKETS
    for text in texts:
        add(buckets, text)
    return buckets


def quantile(buckets: Sequence[int], fraction: float) -> float | None:
    """The duration in seconds that `fraction` of what was counted did not exceed; None when nothing was counted."""
    wanted = fraction * sum(buckets)
    if not wanted:
        return None
    for place, count in enumerate(buckets):
        if count and wanted <= count:
            low = 0 if place == 0 else 1 << (FLOOR_BITS + place - 1)
            high = 1 << (FLOOR_BITS + place)
            part = wanted / count
            return (high * part if low == 0 else low * (high / low) ** part) / 1_000_000
        wanted -= count
    return (1 << (FLOOR_BITS + BUCKETS - 1)) / 1_000_000
