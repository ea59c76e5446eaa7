"""Whether finished jobs, delayed ones and a long queue slow the claims down."""

from __future__ import annotations

import sqlite3
import statistics

from figures import Figure, Section
from place import Place

from lateshift.storage.migrations import migrate

TITLE = "Draining in a full database"
TEXT = """\
The ready jobs have priority 1; the delayed ones have priority 10 and stand before them in every order but time. The
same ready jobs in an otherwise empty database are the measure."""

_FILL = """
with recursive n(i) as (select 1 union all select i + 1 from n where i < :count)
insert into lateshift_jobs (id, name, queue, executor, priority, status, run_at, attempts, lease, max_retries,
                            enqueued_at, started_at, finished_at, result, parameters)
select printf('%08x-%04x-7000-8000-%012x', :kind, i & 65535, i), 'jobs.noop', 'default', 'thread', :priority, :status,
       :now + :delay + i, :attempts, :attempts, 3, :now, iif(:attempts, :now, null), iif(:attempts, :now + i, null),
       iif(:attempts, 'null', null), '{"n":' || i || '}'
from n"""

HOUR = 3_600_000_000


def run(rounds: int, *, quick: bool) -> Section:
    """Drain the ready jobs from an empty and from a full database, in turn."""
    scale = 20 if quick else 1
    ready, finished, delayed = 200_000 // scale, 1_000_000 // scale, 200_000 // scale
    empty_rates, full_rates = [], []
    for _ in range(rounds):
        empty_rates.append(_drain(ready, 0, 0))
        full_rates.append(_drain(ready, finished, delayed))
    empty, full = statistics.median(empty_rates), statistics.median(full_rates)
    figures = (
        Figure(name=f"{ready:,} ready, nothing else", value=empty, unit="jobs/s", rounds=tuple(empty_rates)),
        Figure(
            name=f"with {finished:,} finished, {delayed:,} delayed", value=full, unit="jobs/s", rounds=tuple(full_rates)
        ),
        Figure(name="share of the rate", value=100 * full / empty, unit="%", at_least=70),
    )
    return Section(TITLE, TEXT, figures)


def _drain(ready: int, finished: int, delayed: int) -> float:
    with Place() as place:
        _fill(place, ready, finished, delayed)
        return place.drain(ready)


def _fill(place: Place, ready: int, finished: int, delayed: int) -> None:
    """Write the rows as they stand after enqueuing and running, in one go and without waiting for the disk."""
    now = place.app.database.now()
    migrate(place.app.database)
    connection = sqlite3.connect(place.database, isolation_level=None)
    connection.execute("pragma synchronous = off")
    connection.execute("begin")
    groups = (
        (finished, "completed", 1, -2 * HOUR, 1),
        (delayed, "pending", 10, 24 * HOUR, 0),
        (ready, "pending", 1, -HOUR, 0),
    )
    for kind, (count, status, priority, delay, attempts) in enumerate(groups):
        values = {"kind": kind, "count": count, "status": status, "priority": priority}
        if count:
            connection.execute(_FILL, {**values, "delay": delay, "attempts": attempts, "now": now - 3 * HOUR})
    connection.execute("commit")
    connection.execute("pragma wal_checkpoint(truncate)")
    connection.close()
