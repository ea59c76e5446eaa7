"""Durations as users give them: seconds or a timedelta, checked."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from lateshift.errors import InvalidOption
from lateshift.texts import shown

LONGEST: Final = 3650 * 86_400.0
"""Seconds in ten years; a longer delay is taken for a mistake, such as milliseconds or a timestamp."""


def check_wait(value: object, name: str) -> float:
    """As `check_seconds`; what is negative, as `deadline - time.time()` may become, is over already and gives 0."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    return 0.0 if isinstance(seconds, int | float) and seconds < 0 else check_seconds(value, name)


def check_seconds(value: object, name: str, *, above_zero: bool = False) -> float:
    """The seconds of a number or timedelta, from 0 (or above) to ten years. Raises InvalidOption with the `name`."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise InvalidOption(f"{name} is {shown(value)}: give seconds as a number, or a timedelta.")
    if 0 < seconds <= LONGEST or (seconds == 0 and not above_zero):
        return float(seconds)
    if seconds < 0:
        raise InvalidOption(
            f"{name} is {shown(value)}: it cannot be negative. Give {'more than 0' if above_zero else '0 or more'}."
        )
    if seconds > LONGEST:
        raise InvalidOption(
            f"{name} is {shown(value)}: that is more than ten years. Give seconds, not milliseconds or a date."
        )
    raise InvalidOption(f"{name} is {shown(value)}: give a number of seconds{' above 0' if above_zero else ''}.")
