"""How people read numbers and times: "1,204 jobs", "3 min", "2026-11-24 03:46:32"."""

from __future__ import annotations

import contextlib
import shlex
import sys
from datetime import datetime
from typing import Final

_UNITS: Final = ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h"), (1e18, 86_400, "d"))


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


def long_duration(seconds: float) -> str:
    """How long something took, in at most two units: 132 ms, 4.2 s, 1 min 4 s, 2 h 5 min, 3 d 4 h."""
    if seconds < 59.95:
        return duration(seconds)
    whole = round(seconds)
    for size, name, part, part_name in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {name}" + (f" {rest} {part_name}" if rest else "")
    return duration(seconds)


def ago(seconds: float) -> str:
    """A distance in time in one unit: "now", "12 s ago", "in 3 min"."""
    size = abs(seconds)
    if size < 1:
        return "now"
    _, unit, name = next(step for step in _UNITS if size < step[0])
    words = f"{int(size // unit)} {name}"
    return f"{words} ago" if seconds > 0 else f"in {words}"


def short_id(job_id: str) -> str:
    """The end of an id, where those of one moment differ."""
    return job_id[-8:]


def last_part(path: str) -> str:
    """What the eye looks for in a callable path: a function, or a class with its method."""
    parts = path.split(".")
    return ".".join(parts[-2:] if parts[-2:-1] and parts[-2][:1].isupper() else parts[-1:])


def local_time(moment: datetime) -> str:
    """A moment to the second, in this machine's time zone."""
    with contextlib.suppress(OverflowError, OSError):  # at an end of the calendar; on Windows also before 1970
        moment = moment.astimezone()
    return moment.replace(tzinfo=None).isoformat(" ", "seconds")


def as_argument(name: str) -> str:
    """A name as one argument of a command that somebody copies into a shell."""
    quoted = shlex.quote(name)
    return f'"{name}"' if sys.platform == "win32" and quoted != name else quoted


def as_sentence(text: str) -> str:
    """Text with a full stop, unless it has its own end: what an error says may be a question."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def shortened(text: str, most: int) -> str:
    """Text on one line, cut to `most` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 3].rstrip() + "..."
