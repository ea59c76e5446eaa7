"""The lanes on MySQL and MariaDB, whose subqueries cannot seek from a value of the row outside.

There the recursion of `reads` compares every waiting row with every lane: 250,000 steps in the index, 90 ms, for 35,000
rows in 17 lanes on MariaDB 10.11. An equality they do look up, and a list of constants. So the lanes of queues that
this process knows of are looked up one by one, each kind of executor that it has and each priority, and one range scan
between those queues tells of another: 280 steps, 1.5 ms. With 2,000 queues it is 95 ms.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec

from lateshift.job import EXECUTORS
from lateshift.storage.database import Database, Row

PRIORITIES: Final = range(1, 11)

_OF_QUEUES: Final = """
select l.queue, l.executor, l.priority, l.run_at,
       exists (select 1 from lateshift_queues s where s.name = l.queue and s.paused_at is not null)
from (select straight_join q.queue, e.executor, p.priority,
             (select j.run_at from lateshift_jobs j
              where j.{waiting} and j.queue = q.queue collate utf8mb4_bin
                    and j.executor = convert(e.executor using ascii) collate ascii_bin and j.priority = p.priority
              order by j.run_at, j.seq limit 1) as run_at
      from json_table(:queues, '$[*]' columns (queue varchar(100) character set utf8mb4 path '$')) as q
           join json_table(:executors, '$[*]' columns (executor varchar(32) path '$')) as e
             on exists (select 1 from lateshift_jobs j
                        where j.{waiting} and j.queue = q.queue collate utf8mb4_bin
                              and j.executor = convert(e.executor using ascii) collate ascii_bin)
           cross join json_table(:priorities, '$[*]' columns (priority int path '$')) as p
      having run_at is not null) as l"""

_OTHERS: Final = "select queue from lateshift_jobs where {waiting} and queue not in :known"

_ALL: Final = f"""
{_OF_QUEUES} union all (select queue, null, null, null, null from ({_OTHERS} order by queue limit 1) as other)"""


def lanes(db: Database, known: Collection[str]) -> list[Row]:
    """The rows of `reads.lanes`, in one statement when no other queue than these has waiting jobs, else in three.

    What is stored after the second may be missing. (All others at once: one by one, 3,000 of them took minutes.)
    """
    if known:
        rows = db.query(_ALL, _parameters(known))
        if all(executor is not None for _, executor, *_ in rows):
            return rows
    others = [queue for (queue,) in db.query(f"{_OTHERS} group by queue", _parameters(known))]
    queues = {*known, *others}
    return db.query(_OF_QUEUES, _parameters(queues)) if queues else []


def _parameters(queues: Collection[str]) -> dict[str, object]:
    return {
        "queues": msgspec.json.encode(sorted(queues)).decode(),
        "executors": msgspec.json.encode(EXECUTORS).decode(),
        "priorities": msgspec.json.encode(list(PRIORITIES)).decode(),
        "known": ["", *queues],
    }
