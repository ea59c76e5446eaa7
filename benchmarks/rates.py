"""Calls a second, taken in the same way on every side."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

WARM_UP = 1_500
"""Calls that do not count: after them the write-ahead log has its size on all sides, as in an old database."""


def rate(many: Callable[[int], Any], count: int) -> float:
    """Calls a second, after a few that do not count; `many` makes as many calls as it is told."""
    many(WARM_UP)
    began = time.perf_counter()
    many(count)
    return count / (time.perf_counter() - began)


def one_by_one(call: Callable[[int], Any]) -> Callable[[int], None]:
    """What makes many of these calls, one after the other."""

    def many(count: int) -> None:
        for n in range(count):
            call(n)

    return many
