"""Callables: what has run and what may, how long each takes, how often it fails. Nothing is imported to tell."""

from __future__ import annotations

from typing import Final, NamedTuple

from starlette.responses import Response

from lateshift.allowlist import AllowList
from lateshift.dashboard.view import View
from lateshift.storage import glimpses, history
from lateshift.storage.history import CallableRow

DAY: Final = 86_400_000_000
KNOWN: Final = 90 * DAY
"""Microseconds for which a callable that does not run any more is still listed."""


class Period(NamedTuple):
    """A stretch of time up to now: the word for the address, the words for people, its length in microseconds."""

    key: str
    words: str
    length: int


PERIODS: Final = (
    Period("1h", "Hour", DAY // 24),
    Period("24h", "24 hours", DAY),
    Period("7d", "7 days", 7 * DAY),
)


class Line(NamedTuple):
    """A callable: what it did in the period, None if nothing; and whether it may run."""

    name: str
    ran: CallableRow | None
    allowed: bool


def show(view: View) -> Response:
    """The page; its address holds the period."""
    period = next((each for each in PERIODS if each.key == view.query.get("period")), PERIODS[1])
    minute = view.now // history.MINUTE * history.MINUTE
    rows = view.read(history.callables, minute - period.length)
    allow = AllowList(view.desk.settings.allowed)
    idle = known(view) - {row.name for row in rows}
    lines = [Line(row.name, row, allow.permits(row.name)) for row in rows]
    lines += [Line(name, None, allow.permits(name)) for name in sorted(idle)]
    return view.page(
        "callables.html",
        section="callables",
        title="Callables",
        lines=lines,
        periods=PERIODS,
        period=period,
        ran=len(rows),
        entries=allow.entries,
        may_enqueue=view.may("operator"),
    )


def known(view: View) -> set[str]:
    """The callables that the history or the newest jobs name."""
    minute = view.now // history.MINUTE * history.MINUTE
    return {*view.read(history.names, minute - KNOWN), *view.read(glimpses.newest_names)}
