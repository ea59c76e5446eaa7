"""The periods that charts show, chosen by `range` in the address."""

from __future__ import annotations

from typing import Final, NamedTuple

from lateshift.dashboard.view import View


class Period(NamedTuple):
    """How far back a chart looks, and the length of its steps, in seconds; `unit` is what one step counts for."""

    name: str
    title: str
    seconds: int
    step: int
    unit: str

    def bounds(self, now: int) -> tuple[int, int]:
        """Since when and until when, in microseconds: whole steps, of which the last goes on."""
        step = self.step * 1_000_000
        until = (now // step + 1) * step
        return until - self.seconds * 1_000_000, until


HOUR: Final = Period("hour", "The last hour", 3_600, 60, "per minute")

PERIODS: Final = (
    HOUR,
    Period("day", "The last day", 86_400, 600, "per 10 minutes"),
    Period("week", "The last week", 604_800, 3_600, "per hour"),
)


def chosen(view: View) -> Period:
    """The period that the address names; the hour if it names none."""
    return next((period for period in PERIODS if period.name == view.query.get("range")), HOUR)
