"""The periods that charts and tables look back at, chosen by `range` in the address: `1h`, `24h` or `7d`."""

from __future__ import annotations

from typing import Final, NamedTuple

from lateshift.dashboard.view import View


class Period(NamedTuple):
    """How far one looks back, and the length of a chart's steps, in seconds; `unit` is what one step counts for."""

    name: str
    title: str
    words: str
    seconds: int
    step: int
    unit: str

    def bounds(self, now: int) -> tuple[int, int]:
        """Since when and until when, in microseconds: whole steps, of which the last goes on."""
        step = self.step * 1_000_000
        until = (now // step + 1) * step
        return until - self.seconds * 1_000_000, until


HOUR: Final = Period("1h", "1 hour", "the last hour", 3_600, 60, "per minute")
DAY: Final = Period("24h", "24 hours", "the last 24 hours", 86_400, 600, "per 10 min")
WEEK: Final = Period("7d", "7 days", "the last 7 days", 604_800, 3_600, "per hour")

PERIODS: Final = (HOUR, DAY, WEEK)


def chosen(view: View, usual: Period = HOUR) -> Period:
    """The period that the address names, or the usual one."""
    return next((period for period in PERIODS if period.name == view.query.get("range")), usual)
