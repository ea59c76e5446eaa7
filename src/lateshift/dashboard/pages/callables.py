"""Callables: what has run and what may, how long each takes, how often it fails. Nothing is imported to tell."""

from __future__ import annotations

from typing import Final, NamedTuple

from starlette.responses import Response

from lateshift.allowlist import AllowList
from lateshift.dashboard.periods import DAY, PERIODS, chosen
from lateshift.dashboard.view import View
from lateshift.storage import glimpses, history
from lateshift.storage.history import CallableRow

KNOWN: Final = 90 * 86_400_000_000
"""Microseconds for which a callable that does not run any more is still listed."""


class Line(NamedTuple):
    """A callable: what it did in the period, None if nothing; and whether it may run."""

    name: str
    ran: CallableRow | None
    allowed: bool


def show(view: View) -> Response:
    """The page; its address holds `range`."""
    period = chosen(view, DAY)
    minute = view.now // history.MINUTE * history.MINUTE
    rows = view.read(history.callables, minute - period.seconds * 1_000_000)
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
