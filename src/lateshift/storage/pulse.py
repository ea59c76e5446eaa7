"""Whether anything changed since a moment ago: one cheap statement, for those who watch."""

from __future__ import annotations

from typing import Final

from lateshift.job import FINISHED
from lateshift.storage.database import Database, Row

# Not `max(finished_at)`, for which MariaDB reads every job of the status.
_LAST: Final = """(select finished_at from lateshift_jobs where status = '{}' and finished_at is not null
        order by finished_at desc limit 1)"""

# Each part is the end of an index or a small set: the newest job, the last of each kind to finish, what runs (claims
# make leases grow), who works, what is paused.
_PULSE: Final = f"""
select (select {{age}} from lateshift_jobs order by {{age}} desc limit 1),
       {", ".join(_LAST.format(status) for status in FINISHED)},
       held.number, held.leases, held.asked, held.progress,
       (select count(*) from lateshift_workers), (select max(started_at) from lateshift_workers),
       (select sum(paused_at) from lateshift_queues)
from (select count(*) as number, sum(lease) as leases, sum(cancel_requested) as asked, sum(progress) as progress
      from lateshift_jobs where status = 'running') as held"""


def pulse(db: Database) -> Row:
    """A value that differs after nearly every change: of jobs, workers and pauses, but not of what is deleted."""
    return db.query(_PULSE)[0]
