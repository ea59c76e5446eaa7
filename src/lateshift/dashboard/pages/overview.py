"""Overview: whether everything is all right, what runs, what failed, what comes next."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from starlette.responses import Response

from lateshift.dashboard.charts import Bar
from lateshift.dashboard.rows import job_rows
from lateshift.dashboard.view import View
from lateshift.job import moment
from lateshift.judgement import judge, observe
from lateshift.storage import glimpses, history, reads

SHOWN: Final = 6
"""Rows of each small table."""

MINUTES: Final = 60


def show(view: View) -> Response:
    """The page."""
    minute = view.now // 60_000_000
    rows = view.read(history.minutes, minute - MINUTES + 1)
    counted = Minutes(rows, minute)
    facts = observe(view.read, view.now, rows, spawns=view.desk.settings.spawn != "never")
    return view.page(
        "overview.html",
        section="overview",
        title="Overview",
        facts=facts,
        verdict=judge(facts),
        counts=view.read(reads.counts),
        history=counted,
        queues=sorted(facts.queues, key=lambda queue: (-queue.waiting, -queue.running, queue.name))[:SHOWN],
        queue_count=len(facts.queues),
        running=job_rows(view.read(glimpses.running, SHOWN), view.moment),
        failures=job_rows(view.read(glimpses.latest, "failed", SHOWN), view.moment),
        upcoming=job_rows(view.read(glimpses.upcoming, view.now, SHOWN), view.moment),
    )


class Minutes:
    """The last hour by minutes, from the workers' own counts."""

    def __init__(self, rows: list[dict[str, Any]], minute: int) -> None:
        self._counts: Counter[tuple[int, str]] = Counter()
        for row in rows:
            for name, value in row.items():
                if name not in ("minute", "queue"):
                    self._counts[row["minute"], name] += int(value)
        self.minutes = range(minute - MINUTES + 1, minute + 1)

    @property
    def empty(self) -> bool:
        """Whether nothing was counted in this hour."""
        return not self._counts

    def values(self, name: str) -> list[int]:
        """A count for each minute."""
        return [self._counts[minute, name] for minute in self.minutes]

    def total(self, name: str) -> int:
        """A count over the hour."""
        return sum(self.values(name))

    @property
    def rate(self) -> float:
        """Jobs finished in a minute, over the last five that are complete."""
        recent = self.minutes[-6:-1]
        return sum(self._counts[minute, name] for minute in recent for name in ("completed", "failed")) / len(recent)

    def mean(self, name: str) -> list[float | None]:
        """A mean time for each minute in seconds: of `run_time` or `wait_time`."""
        parts = ("completed", "failed", "retried")
        numbers = {minute: sum(self._counts[minute, part] for part in parts) for minute in self.minutes}
        return [
            round(self._counts[minute, name] / numbers[minute] / 1e6, 4) if numbers[minute] else None
            for minute in self.minutes
        ]

    def chart(self, names: tuple[str, ...]) -> list[list[float]]:
        """Counts as the chart wants them: seconds since 1970, then each name's values."""
        return [[minute * 60.0 for minute in self.minutes], *([float(v) for v in self.values(name)] for name in names)]

    def bars(self, names: tuple[str, ...]) -> list[Bar]:
        """The same for a chart that is drawn on the server."""
        return [
            Bar(
                f"{moment(minute * 60_000_000).astimezone():%H:%M}",
                [(name, self._counts[minute, name]) for name in names],
            )
            for minute in self.minutes
        ]

    def ticks(self) -> list[tuple[int, str]]:
        """Labels of an axis, every quarter of an hour."""
        return [
            (number, f"{moment(minute * 60_000_000).astimezone():%H:%M}")
            for number, minute in enumerate(self.minutes)
            if minute % 15 == 0
        ]
