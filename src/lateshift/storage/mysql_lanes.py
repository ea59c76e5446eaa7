"""The lanes on MySQL and MariaDB, whose subqueries cannot seek from a value of the row outside.

There the recursion of `reads` compares every waiting row with every lane: 250,000 steps in the index, 90 ms, for 35,000
rows in 17 lanes on MariaDB 10.11. An equality they do look up, and a list of constants. So the lanes of queues that
this process knows of are looked up one by one, each kind of executor that it has and each priority, and one range scan
between those queues tells of another: 280 steps, 1.5 ms. With 2,000 queues it is 95 ms.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

import msgspec

from lateshift.job import EXECUTORS
from lateshift.storage.database import Database, Row

PRIORITIES: Final = range(1, 11)

LANES_OF_QUEUE: Final = 4
"""A queue is looked up in the time that other databases take for so many lanes: 50 us."""

_OF_QUEUES: Final = """
select l.queue, l.executor, l.priority, l.run_at,
       exists (select 1 from lateshift_queues s where s.name = l.queue and s.paused_at is not null)
from (select straight_join q.queue, e.executor, p.priority,
             (select j.run_at from lateshift_jobs j
              where j.{waiting} and j.queue = q.queue collate utf8mb4_bin
                    and j.executor = convert(e.executor using ascii) collate ascii_bin and j.priority = p.priority
              order by j.waits, j.queue, j.executor, j.priority desc, j.run_at, j.seq limit 1) as run_at
      from json_table(:queues, '$[*]' columns (queue varchar(100) character set utf8mb4 path '$')) as q
           join json_table(:executors, '$[*]' columns (executor varchar(32) path '$')) as e
             on exists (select 1 from lateshift_jobs j
                        where j.{waiting} and j.queue = q.queue collate utf8mb4_bin
                              and j.executor = convert(e.executor using ascii) collate ascii_bin)
           cross join json_table(:priorities, '$[*]' columns (priority int path '$')) as p
      having run_at is not null) as l"""

_OTHERS: Final = """
select queue from lateshift_jobs
where {waiting} and queue >= :start and (:end is null or queue < :end) and queue not in :known"""

_ALL: Final = f"""
{_OF_QUEUES} union all (select queue, null, null, null, null from ({_OTHERS} order by queue limit 1) as other)"""


def lanes(db: Database, known: Sequence[str], start: str, most: int) -> tuple[list[Row], str | None, list[str]]:
    """What `Database.query_lanes` gives, and the queues that are known now, in order, as `known` has to be.

    One statement if `known` names all that have waiting jobs, else three; what is stored after the second may be
    missing. (All others at once: one by one, 3,000 of them took minutes.)
    """
    known, number = list(known), max(1, most // LANES_OF_QUEUE)
    first = bisect_left(known, start)
    part, end = _split(known[first:], number)
    rows = db.query(_ALL, _parameters(part, start, end)) if part else []
    if not part or any(executor is None for _, executor, *_ in rows):
        others = [queue for (queue,) in db.query(f"{_OTHERS} group by queue", _parameters(part, start, end))]
        known[first : first + len(part)] = sorted({*part, *others})
        part, end = _split(known[first:], number)
        rows = of_queues(db, part)
    known[first : first + len(part)] = sorted({row[0] for row in rows})
    return rows, end, known


def _split(queues: list[str], number: int) -> tuple[list[str], str | None]:
    """So many, and the next one."""
    return queues[:number], queues[number] if len(queues) > number else None


def of_queues(db: Database, queues: Sequence[str]) -> list[Row]:
    """The rows of these queues."""
    return db.query(_OF_QUEUES, _parameters(queues)) if queues else []


def _parameters(queues: Sequence[str], start: str = "", end: str | None = None) -> dict[str, object]:
    return {
        "queues": msgspec.json.encode(queues).decode(),
        "executors": msgspec.json.encode(EXECUTORS).decode(),
        "priorities": msgspec.json.encode(list(PRIORITIES)).decode(),
        "start": start,
        "end": end,
        "known": ["", *queues],
    }
