"""A stretch of the history as charts and tables take it: throughput, waiting, running, failures, and marks in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from lateshift.dashboard.charts import Bar
from lateshift.dashboard.periods import DAY, PERIODS, Period, chosen
from lateshift.dashboard.view import View
from lateshift.job import moment
from lateshift.storage import audit, history
from lateshift.storage.audit import Mark
from lateshift.storage.history import Point, Series

MARKS: Final = 30
"""The latest marks of a period that its charts show."""

TICKS: Final = 6

Columns = list[list[float | None]]
"""What a chart is drawn from: seconds since 1970, then the values of each of its lines."""


@dataclass(frozen=True, slots=True)
class Plots:
    """The history of a period, of all jobs or of one queue; `as_table` when numbers are wanted instead of charts."""

    period: Period
    series: Series
    marks: Sequence[Mark]
    as_table: bool

    @property
    def periods(self) -> Sequence[Period]:
        """What can be chosen."""
        return PERIODS

    @property
    def empty(self) -> bool:
        """Whether nothing ended in this period."""
        return not self.series.total.count

    def counts(self, *names: str) -> Columns:
        """How many attempts ended in each of these ways, step by step."""
        return [self._seconds(), *([getattr(point, name) for point in self.series.points] for name in names)]

    def quantiles(self, name: Literal["waiting", "running"]) -> Columns:
        """The seconds that 50, 95 and 99 % waited or ran at most, step by step."""
        found = [getattr(point, name) for point in self.series.points]
        parts = ([each.p50 for each in found], [each.p95 for each in found], [each.p99 for each in found])
        return [self._seconds(), *([None if value is None else round(value, 4) for value in part] for part in parts)]

    def bars(self, *names: str) -> list[Bar]:
        """The same counts for a chart that is drawn on the server."""
        classes = {"retried": "pending_retry"}
        return [
            Bar(self.label(point), [(classes.get(name, name), getattr(point, name)) for name in names])
            for point in self.series.points
        ]

    def ticks(self) -> list[tuple[int, str]]:
        """Labels of that chart's axis."""
        every = max(1, len(self.series.points) // TICKS)
        return [(n, self.label(point)) for n, point in enumerate(self.series.points) if n % every == 0]

    def flags(self) -> list[tuple[float, str, str]]:
        """The marks as a chart draws them, the oldest first: seconds since 1970, kind, label."""
        return [(mark.at / 1_000_000, mark.kind, mark.label) for mark in reversed(self.marks)]

    @property
    def label_form(self) -> Literal["day", "clock"]:
        """How a step is labelled: with its day, where a time alone would come several times."""
        return "day" if self.period.seconds > DAY.seconds else "clock"

    def label(self, point: Point) -> str:
        """When a step began, as short as its period allows."""
        local = self.began(point).astimezone()
        return f"{local:%a %H:%M}" if self.label_form == "day" else f"{local:%H:%M}"

    def began(self, point: Point) -> datetime:
        """When a step began."""
        return moment(point.at)

    def _seconds(self) -> list[float | None]:
        return [point.at / 1_000_000 for point in self.series.points]


def read_plots(view: View, queue: str | None = None) -> Plots:
    """What the address asks for: its `range`, and with `numbers` a table."""
    period = chosen(view)
    since, until = period.bounds(view.now)
    series = view.read(history.series, since, until, period.step, queue)
    marks = view.read(audit.marks, since, until, limit=MARKS)
    return Plots(period, series, marks, "numbers" in view.query)
