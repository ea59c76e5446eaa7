"""How the pages write numbers, times, names and JSON: the filters of the templates.

`app.js` writes the relative times anew each second, by the same rules as `ago`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
from markupsafe import Markup, escape

from lateshift.fingerprint import fingerprint
from lateshift.job import JobError, moment
from lateshift.storage.counting import Count
from lateshift.wording import ago, count, last_part, local_time, short_id
from lateshift.wording import long_duration as duration

_TOKENS: Final = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*")(?=\s*:)|(?P<text>"(?:[^"\\]|\\.)*")|(?P<number>-?\d[\d.eE+-]*)|(?P<word>true|false|null)'
)
LONGEST_JSON: Final = 50_000
"""Characters of parameters or a result that a page shows. They may have a megabyte, or what the settings allow."""

LONGEST_COLOURED: Final = 10_000
"""Characters that are coloured: each word costs 30 more."""

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
    counted = number if isinstance(number, Count) else Count.of(number)
    return str(counted) if counted.number or not counted.more else "…"


def counted(number: Count, noun: str, otherwise: str) -> str:
    """A count with its noun, as `Count.words`; `otherwise` where nothing could be counted in a moment."""
    return number.words(noun) if number.number or not number.more else otherwise


def compact(number: float) -> str:
    """A number in few digits, for axes and small places: 950, 1.2k, 34k, 5.1M."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return (
                f"{number / size:.1f}".removesuffix(".0") + unit if number < 10 * size else f"{number / size:.0f}{unit}"
            )
    return f"{number:.3g}"


def speed(per_second: float) -> str:
    """How many in a time, by the unit that keeps the number readable: 4.2 / s, 27 / min, 3 / h."""
    if not per_second:
        return "0 / s"
    units = ((1, "s"), (60, "min"), (3600, "h"))
    seconds, unit = next((each for each in units if per_second * each[0] >= 1), units[-1])
    return f"{compact(per_second * seconds)} / {unit}"


def memory(size: int) -> str:
    """Bytes as people compare processes: 84 MB, 1.2 GB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def exact(when: datetime) -> str:
    """A moment to the millisecond, in this machine's time with its distance from UTC."""
    local = when
    with contextlib.suppress(OverflowError, OSError):  # as in wording.local_time
        local = when.astimezone()
    return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03d} {local:%z}"


def zone(when: datetime) -> str:
    """This machine's distance from UTC at a moment: UTC, UTC+05:30."""
    distance = f"{when.astimezone():%z}"
    return "UTC" if distance == "+0000" else f"UTC{distance[:3]}:{distance[3:5]}"


def leading(path: str) -> str:
    """A callable path up to what the eye looks for: `app.jobs.` of `app.jobs.ProcessOrder.handle`."""
    return path[: len(path) - len(last_part(path))]


def group_of(error: JobError) -> str:
    """The fingerprint of the error group that a failure belongs to."""
    return fingerprint(error).key


def json_text(value: Any) -> str:
    """A value as JSON over several lines."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def json_line(value: Any, most: int = 120) -> str:
    """A value as JSON on one line, cut."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= most else f"{text[: most - 1]}…"


class JsonPart(NamedTuple):
    """A value as JSON for a page: what is shown of it, and all of it for copying, or None when that is too long."""

    html: Markup
    whole: str | None


def json_part(value: Any) -> JsonPart:
    """A value as JSON: in colours, unless it is long; cut, where a page of it would be megabytes at each change."""
    text = json_text(value)
    if len(text) > LONGEST_JSON:
        return JsonPart(escape(text[:LONGEST_JSON]), None)
    return JsonPart(_coloured(text) if len(text) <= LONGEST_COLOURED else escape(text), text)


def _coloured(text: str) -> Markup:
    parts, place = [], 0
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


def sentence_html(text: str, moments: Iterable[datetime]) -> Markup:
    """The same, with the `moments` that it names in this machine's time given out as such, for the reader's own."""
    html = code_html(text)
    for told, when in {local_time(each): each for each in moments}.items():
        found = Markup('<time datetime="{}" title="{}" data-as="stamp">{}</time>')
        html = html.replace(told, found.format(when.isoformat(), exact(when), told))
    return html


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "status": status,
    "bounded": bounded,
    "compact": compact,
    "ago": ago,
    "exact": exact,
    "zone": zone,
    "duration": duration,
    "speed": speed,
    "memory": memory,
    "moment": moment,
    "short_id": short_id,
    "leading": leading,
    "last_part": last_part,
    "json_line": json_line,
    "code_html": code_html,
    "sentence_html": sentence_html,
    "count": count,
    "counted": counted,
    "fingerprint": group_of,
}
