"""SQLite's way of saying things, and the one statement that it has of its own."""

from __future__ import annotations

from operator import itemgetter
from typing import Final

from lateshift.storage.dialect import Dialect

_WAITING: Final = "status in ('pending', 'pending_retry')"


def sqlite_dialect(prefix: str = "lateshift_") -> Dialect:
    """SQLite, with this before the names of tables and indexes."""
    return Dialect(
        name="sqlite",
        tables=prefix,
        indexes=prefix,
        parameter=":{name}",
        words={
            "{row}": "seq",
            "{age}": "seq",
            "{waiting}": _WAITING,
            "{lock}": "",
            "{skip_locked}": "",
            "{among ids}": "= :ids",
            "{first(}": "in (",
            "{)}": ")",
            "{in_path}": "instr('.' || name || '.', '.' || :name || '.') > 0",
            "{position(}": "instr(",
            "{retry}": "run_at",
            "{div}": "/",
            "{seq_once}": "1 = 1",
        },
        on_conflict="on conflict ({keys}) do update set",
        new="excluded.{column}",
        types={
            **dict.fromkeys(("id", "name", "path", "queue", "word", "worker", "text"), "text"),
            **dict.fromkeys(("int", "time"), "integer"),
            **dict.fromkeys(("end", "jobs_end", "waits", "only if partial(", ")"), ""),
            "seq": "integer primary key",
            "id_key": "not null unique",
            "real": "real",
            "keyed_end": " without rowid",
            "waiting_key": f"(queue, executor, priority desc, run_at, seq)\nwhere {_WAITING}",
            "running_key": "(worker) where status = 'running'",
            # Not `where status in (three values)`: SQLite builds a temporary table for such a list at every update of a
            # row, which took settling from 4.0 to 7.0 µs a job.
            "finished_key": "(status, finished_at) where finished_at is not null",
            "fingerprint_key": "(fingerprint, job_id) where fingerprint is not null",
        },
        whereabouts="pragma database_list",
    )


CHUNK: Final = 50
"""Rows that one statement completes. Its text has to be the same each time: SQLite prepares it anew for another."""

COMPLETED: Final = itemgetter("seq", "id", "lease", "started_at", "finished_at", "result")
"""The values of such a row, in the order of its columns there."""

COMPLETE_CHUNK: Final = f"""
update lateshift_jobs
set status = 'completed', started_at = column4, finished_at = column5, result = column6,
    error_type = null, error_message = null, error_traceback = null
from (values {", ".join(["(?, ?, ?, ?, ?, ?)"] * CHUNK)})
where seq = column1 and id = column2 and lease = column3 and +status = 'running'"""
"""`writes.COMPLETE` for so many rows: in batches of 400 this took 3.5 us a row, where a statement for each took 5.0.

Rows are found by their number, a tenth faster than by the job's id. That is compared all the same, for SQLite gives the
number of a deleted row to the next one.

The plus keeps the index of the running jobs out of it: after an `analyze` while a single job ran, SQLite went through
all that run for each of these rows, which took 2,000 jobs 131 ms instead of 9."""
