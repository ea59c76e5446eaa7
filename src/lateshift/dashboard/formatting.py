"""How the pages write numbers, times, names and JSON: the filters of the templates.

`app.js` writes the relative times anew each second, by the same rules as `ago`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
from markupsafe import Markup, escape

from lateshift.storage.counting import Count
from lateshift.storage.reads import COUNT_LIMIT
from lateshift.wording import count
from lateshift.wording import duration as short_duration

_UNITS: Final = ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h"), (1e18, 86_400, "d"))
_TOKENS: Final = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*")(?=\s*:)|(?P<text>"(?:[^"\\]|\\.)*")|(?P<number>-?\d[\d.eE+-]*)|(?P<word>true|false|null)'
)
_CODE: Final = re.compile(r"`([^`]+)`")


class Status(NamedTuple):
    """How a status is shown: its word, and the icon whose shape tells it from the others without any colour."""

    word: str
    icon: str


STATUSES: Final[Mapping[str, Status]] = {
    "pending": Status("Pending", "clock"),
    "running": Status("Running", "running"),
    "pending_retry": Status("Retrying", "retry"),
    "completed": Status("Completed", "check"),
    "failed": Status("Failed", "cross"),
    "cancelled": Status("Cancelled", "slash"),
}
OUTCOMES: Final[Mapping[str, Status]] = {
    **STATUSES,
    "retry": Status("Failed, retried", "cross"),
    "snoozed": Status("Snoozed", "clock"),
    "returned": Status("Given back", "slash"),
    "lost": Status("Worker died", "cross"),
}


def status(name: str) -> Status:
    """How a status or an outcome is shown; one that is not known yet, by its own name."""
    return OUTCOMES.get(name, Status(name.replace("_", " ").capitalize(), "dot"))


def bounded(number: int | Count) -> str:
    """A count that stops at its limit: "10,000+"; "…" where nothing could be counted in a moment."""
    if isinstance(number, Count):
        return str(number) if number.number or not number.more else "…"
    return f"{COUNT_LIMIT:,}+" if number > COUNT_LIMIT else f"{number:,}"


def compact(number: float) -> str:
    """A number in few digits, for axes and small places: 950, 1.2k, 34k, 5.1M."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return (
                f"{number / size:.1f}".removesuffix(".0") + unit if number < 10 * size else f"{number / size:.0f}{unit}"
            )
    return f"{number:.3g}"


def duration(seconds: float) -> str:
    """How long something took, in at most two units: 132 ms, 4.2 s, 1 min 4 s, 2 h 5 min, 3 d 4 h."""
    if seconds < 59.95:
        return short_duration(seconds)
    whole = round(seconds)
    for size, name, part, part_name in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {name}" + (f" {rest} {part_name}" if rest else "")
    return short_duration(seconds)


def ago(seconds: float) -> str:
    """A distance in time in one unit: "now", "12 s ago", "in 3 min"."""
    size = abs(seconds)
    if size < 1:
        return "now"
    _, unit, name = next(step for step in _UNITS if size < step[0])
    words = f"{int(size // unit)} {name}"
    return f"{words} ago" if seconds > 0 else f"in {words}"


def exact(moment: datetime) -> str:
    """A moment to the millisecond, in this machine's time with its distance from UTC."""
    local = moment.astimezone()
    return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03d} {local:%z}"


def short_id(job_id: str) -> str:
    """The end of an id, where those of one moment differ."""
    return job_id[-8:]


def leading(path: str) -> str:
    """A callable path up to what the eye looks for: `app.jobs.` of `app.jobs.ProcessOrder.handle`."""
    return path[: len(path) - len(last_part(path))]


def last_part(path: str) -> str:
    """What the eye looks for in a callable path: the class or function; `handle` goes without saying, and is left."""
    parts = path.split(".")
    return ".".join(parts[-2:] if parts[-2:-1] and parts[-2][:1].isupper() else parts[-1:])


def json_text(value: Any) -> str:
    """A value as JSON over several lines."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def json_line(value: Any, most: int = 120) -> str:
    """A value as JSON on one line, cut."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= most else f"{text[: most - 1]}…"


def json_html(value: Any) -> Markup:
    """A value as JSON in colours."""
    text, parts, place = json_text(value), [], 0
    for found in _TOKENS.finditer(text):
        parts.append(escape(text[place : found.start()]))
        parts.append(Markup('<span class="j-{}">{}</span>').format(found.lastgroup, found.group()))
        place = found.end()
    return Markup().join([*parts, escape(text[place:])])


def code_html(text: str) -> Markup:
    """A sentence in which `this` is code."""
    parts = _CODE.split(text)
    return Markup().join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part) for number, part in enumerate(parts)
    )


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "status": status,
    "bounded": bounded,
    "compact": compact,
    "ago": ago,
    "exact": exact,
    "duration": duration,
    "short_id": short_id,
    "leading": leading,
    "last_part": last_part,
    "json_line": json_line,
    "json_html": json_html,
    "json_text": json_text,
    "code_html": code_html,
    "count": count,
}
