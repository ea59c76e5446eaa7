"""How people read numbers and times: "1,204 jobs", "3 min", "2026-11-24 03:46:32"."""

from __future__ import annotations

import contextlib
from datetime import datetime


def count(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: "1 job", "1,204 jobs"; `plural` when it is not the noun with an s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def duration(seconds: float) -> str:
    """Seconds in two or three digits: 12 ms, 3.2 s, 4 min, 2.5 h, 3 days, 12 years."""
    if seconds < 0.9995:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    for limit, unit, size in ((60, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}" if seconds < 10 * size else f"{seconds / size:.0f} {unit}"
    days = seconds / 86_400
    return f"{days:.0f} days" if days < 1000 else f"{days / 365.25:,.0f} years"


def local_time(moment: datetime) -> str:
    """A moment to the second, in this machine's time zone."""
    with contextlib.suppress(OverflowError):  # at an end of the calendar, where that would be in no year
        moment = moment.astimezone()
    return moment.replace(tzinfo=None).isoformat(" ", "seconds")


def shortened(text: str, most: int) -> str:
    """Text on one line, cut to `most` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 3].rstrip() + "..."
