"""Queues as the pages list them: what waits, how fast that goes, who serves them, and what is wrong, worst first."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from lateshift.dashboard.view import View
from lateshift.host.fleet import living, serves
from lateshift.judgement import ORDER, Trouble, find_trouble
from lateshift.storage import history, reads
from lateshift.storage.counting import Count
from lateshift.storage.history import QueueRate
from lateshift.storage.reads import QueueRow, WorkerRow

DAY: Final = 86_400_000_000

REMEMBERED: Final = 7
"""Days for which a queue is listed after its last job ended."""


class QueueLine(NamedTuple):
    """A queue; `workers` are those alive that serve it, `trouble` is None where there is none."""

    row: QueueRow
    rate: QueueRate
    workers: Sequence[WorkerRow]
    trouble: Trouble | None

    @property
    def due(self) -> Count:
        """What could run now."""
        return Count.of(self.row.waiting)

    @property
    def waiting(self) -> Count:
        """What is due and what is delayed."""
        return self.due + Count.of(self.row.delayed)


def read_queues(view: View, also: Collection[str] = ()) -> list[QueueLine]:
    """Every queue that has something to do, had so within minutes, or is named in `also`."""
    rates = {rate.queue: rate for rate in view.read(history.queue_rates, view.now)}
    rows = {row.name: row for row in view.read(reads.queues, view.now)}
    alive = living(view.read(reads.workers), view.now)
    lines = [
        _line(
            view,
            rows.get(name) or QueueRow(name, paused=False, waiting=0, delayed=0, running=0, oldest=None),
            rates.get(name) or QueueRate(name, 0.0, 0.0, Count(0), 0.0),
            alive,
        )
        for name in {*rates, *rows, *also}
    ]
    return sorted(lines, key=_worst_first)


def remembered(view: View) -> list[str]:
    """The queues of which jobs ended lately."""
    return view.read(history.queue_names, (view.now // DAY - REMEMBERED) * DAY)


def _line(view: View, row: QueueRow, rate: QueueRate, alive: Sequence[WorkerRow]) -> QueueLine:
    workers = [worker for worker in alive if serves(worker, row.name)]
    spawns = view.desk.settings.spawn != "never"
    trouble = find_trouble(row, view.now, served=bool(workers), spawns=spawns, rate=rate)
    return QueueLine(row, rate, workers, trouble)


def _worst_first(line: QueueLine) -> tuple[int, float, int, int, str]:
    row, light = line.row, line.trouble.light if line.trouble else "good"
    oldest = float("inf") if row.oldest is None else row.oldest
    return ORDER[light], oldest, -row.waiting - row.delayed, -row.running, row.name
