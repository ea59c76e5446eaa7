"""What MySQL and MariaDB write by the batch: PyMySQL sends rows together only for `insert ... values`.

One by one, of jobs that failed, each took two round trips, and one that logged a third: 15 s for 1,500 on a server 5 ms
away. The rows come as JSON, which the server reads as a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

# A column of json_table has the database's character set, which turned what that lacks into question marks.
_TEXT: Final = "longtext character set utf8mb4"

_ROWS: Final = "json_table(:rows, '$[*]' columns (id varchar(36) path '$.id', lease int path '$.lease', {columns}))"

# In this order, and with the index's own character set: else the whole table would be read, and each row locked.
_JOBS: Final = """straight_join lateshift_jobs as j
    on j.id = convert(told.id using ascii) collate ascii_bin and j.lease = told.lease"""


def _rows(**types: str) -> str:
    """The rows, with these columns beside the key."""
    return _ROWS.format(columns=", ".join(f"\"{name}\" {kind} path '$.{name}'" for name, kind in types.items()))


_TIMES: Final = {"started_at": "bigint", "finished_at": "bigint"}
_ERROR: Final = dict.fromkeys(("error_type", "error_message", "error_traceback"), _TEXT)

_COMPLETE: Final = f"""
update {_rows(**_TIMES, result=_TEXT)} as told {_JOBS}
set j.status = 'completed', j.result = told.result, j.started_at = told.started_at, j.finished_at = told.finished_at,
    j.error_type = null, j.error_message = null, j.error_traceback = null
where j.status = 'running'"""

_RELEASE: Final = f"""
update {_rows(now="bigint")} as told {_JOBS}
set j.status = case when j.cancel_requested = 1 then 'cancelled'
                    when exists (select 1 from lateshift_attempts a where a.job_id = j.id)
                    then 'pending_retry' else 'pending' end,
    j.attempts = j.attempts - 1,
    j.worker = case when j.cancel_requested = 1 then j.worker end,
    j.started_at = case when j.cancel_requested = 1 then j.started_at end,
    j.finished_at = case when j.cancel_requested = 1 then told.now else j.finished_at end
where j.status = 'running'"""

# The rows in a table of their own, or MySQL refuses the lock (3569: "Table told appears in multiple locking clauses").
_ATTEMPTS: Final = f"""
insert into lateshift_attempts (job_id, lease, number, outcome, worker, started_at, finished_at,
                                error_type, error_message, error_traceback, fingerprint)
select j.id, j.lease, j.attempts, told.kind, j.worker, told.started_at, told.finished_at,
       told.error_type, told.error_message, told.error_traceback, told.fingerprint
from (select * from {_rows(kind="varchar(32)", **_TIMES, **_ERROR, fingerprint="varchar(32)")} as it) as told {_JOBS}
where j.status = 'running' for update"""

_SETTLE: Final = f"""
update {_rows(status="varchar(32)", **_TIMES, run_at="bigint", result=_TEXT, uncounted="int", crashed="int", **_ERROR)}
    as told {_JOBS}
set j.status = case when j.cancel_requested = 1 and told.status = 'pending_retry' then 'cancelled'
                    else told.status end,
    j.finished_at = case when told.status = 'pending_retry' and j.cancel_requested = 0 then null
                         else told.finished_at end,
    j.run_at = coalesce(told.run_at, j.run_at), j.started_at = told.started_at, j.result = told.result,
    j.attempts = j.attempts - told.uncounted, j.crashes = j.crashes + told.crashed, j.lease = j.lease + told.crashed,
    j.executor = case when told.crashed = 1 then 'process' else j.executor end,
    j.error_type = coalesce(told.error_type, j.error_type),
    j.error_message = coalesce(told.error_message, j.error_message),
    j.error_traceback = coalesce(told.error_traceback, j.error_traceback)
where j.status = 'running'"""

_LOGS: Final = f"""
insert into lateshift_logs (job_id, lease, number, "lines")
select j.id, j.lease, told.number, told."lines" from {_rows(number="int", lines=_TEXT)} as told {_JOBS}
on duplicate key update "lines" = values("lines")"""

_PROGRESS: Final = f"""
update {_rows(progress="double", message=_TEXT)} as told {_JOBS}
set j.progress = told.progress, j.progress_message = told.message"""

STATEMENTS: Final = {
    "complete": _COMPLETE,
    "release": _RELEASE,
    "attempts": _ATTEMPTS,
    "settle": _SETTLE,
    "logs": _LOGS,
    "progress": _PROGRESS,
}


def as_json(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, str]:
    """The rows as JSON, for each of these names. What is None is left out, for MySQL's null in JSON is none in SQL."""
    known = [{name: value for name, value in row.items() if value is not None} for row in rows]
    return {name: msgspec.json.encode(known).decode() for name in names}
