"""Deleting with a way back: for ten minutes the jobs are kept as they were, attempts and logs included."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from lateshift.storage import writes
from lateshift.storage.database import Database, repeatable, transactional

KEPT: Final = 600_000_000
"""Microseconds in which a deletion can be undone, from its end."""

PART: Final = 250_000
"""Bytes after which what is kept of a job goes on in another row: MariaDB takes 16 MB in a statement, by default."""

PORTION: Final = 4_000_000
"""Characters that one transaction moves: 200 MB took 2 s, for which nobody else writes to an SQLite file."""

_BATCH: Final = 200
"""Jobs that one call brings back, if they are not large."""

_LARGE: Final = 2_000
"""Rows that one call gives up for good."""

_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "lateshift_jobs": (
        *("id", "name", "queue", "executor", "priority", "status", "run_at", "lease", "attempts", "crashes"),
        *("max_retries", "worker", "enqueued_at", "started_at", "finished_at", "cancel_requested", "progress"),
        *("progress_message", "error_type", "error_message", "error_traceback", "result", "options", "parameters"),
        "seq",
    ),
    "lateshift_attempts": (
        *("job_id", "lease", "number", "outcome", "worker", "started_at", "finished_at"),
        *("error_type", "error_message", "error_traceback", "fingerprint"),
    ),
    "lateshift_logs": ("job_id", "lease", "number", '"lines"'),
}
_OWNER: Final = {"lateshift_jobs": "id", "lateshift_attempts": "job_id", "lateshift_logs": "job_id"}

_SIZES: Final = """
select id, length(parameters) + coalesce(length(result), 0) + coalesce(length(error_traceback), 0)
from lateshift_jobs where id {among ids}
union all select job_id, coalesce(length(error_traceback), 0) from lateshift_attempts where job_id {among ids}
union all select job_id, length("lines") from lateshift_logs where job_id {among ids}"""

Content = dict[str, list[dict[str, Any]]]
"""Rows by table, each by column."""


def portions(db: Database, lists: Iterable[Sequence[str]]) -> Iterator[list[str]]:
    """These lists of jobs, split where `throw_away` would have more than some megabytes to do at once."""
    for ids in lists:
        sizes: Counter[str] = Counter()
        for id_, size in db.query_each(_SIZES, ids):
            sizes[id_] += size
        yield from _split((id_, sizes[id_]) for id_ in ids)


@repeatable(0)
def throw_away(db: Database, batch: str, ids: Sequence[str], statuses: Sequence[str], now: int) -> int:
    """Delete those of these jobs that have one of these statuses, so that `restore` can bring them back; how many."""
    chosen = writes.locked_of(db, ids, statuses)
    if not chosen:
        return 0
    rows: dict[str, list[tuple[str, bytes]]] = defaultdict(list)
    for table, columns in _COLUMNS.items():
        owner = _OWNER[table]
        sql = f"select {', '.join(columns)} from {table} where {owner} {{among ids}}"
        for row in db.query_each(sql, chosen):
            values = dict(zip(columns, row, strict=True))
            rows[values[owner]].append((table, msgspec.json.encode(values)))
    db.execute_many(
        "insert into lateshift_trash (batch, job_id, deleted_at, content) values (:batch, :job_id, :now, :content)"
        " {on_conflict(batch, job_id)} content = {new(content)}",
        [
            {"batch": _part(batch, number), "job_id": id_, "now": now, "content": content}
            for id_ in chosen
            for number, content in enumerate(_contents(rows[id_]))
        ],
    )
    writes.delete_all(db, chosen)
    return len(chosen)


@repeatable(0)
def restore(db: Database, batch: str) -> int:
    """Bring back up to 200 jobs of a deletion, or a few large ones; returns how many. Call it until that is 0."""
    if "." in batch:  # the further rows of large jobs, which would come back without those jobs
        return 0
    first = "from lateshift_trash where batch = :batch order by job_id limit :limit"
    sizes = db.query(f"select job_id, length(content) {first}", {"batch": batch, "limit": _BATCH})
    number = len(next(_split(sizes)))
    rows = db.query(f"select job_id, content {first}{{lock}}", {"batch": batch, "limit": number})
    if not rows:
        return 0
    ids = [row[0] for row in rows]
    there = {row[0] for row in db.query_each("select id from lateshift_jobs where id {among ids}", ids)}
    part = 0
    while rows:
        for id_, content in rows:
            if id_ not in there and (known := _read(content)):
                _put_back(db, known)
            key = {"batch": _part(batch, part), "id": id_}
            db.execute("delete from lateshift_trash where batch = :batch and job_id = :id", key)
        part += 1
        rows = db.query(
            "select job_id, content from lateshift_trash where batch = :batch and job_id <= :last{lock}",
            {"batch": _part(batch, part), "last": ids[-1]},
        )
    db.announce()
    return len(ids)


def _split(sized: Iterable[tuple[str, int]]) -> Iterator[list[str]]:
    """Lists of what has `PORTION` characters at most, or is one; at least one list."""
    portion: list[str] = []
    room = PORTION
    for id_, size in sized:
        if portion and size > room:
            yield portion
            portion, room = [], PORTION
        portion.append(id_)
        room -= size
    yield portion


def _part(batch: str, number: int) -> str:
    """The batch of a job's first row in the trash, or of another one: jobs with much history have several."""
    return f"{batch}.{number}" if number else batch


def _contents(rows: Iterable[tuple[str, bytes]]) -> list[str]:
    """What is kept of a job, given its rows as (table, JSON): texts that end with the row that fills `PART`."""
    contents: list[dict[str, list[msgspec.Raw]]] = []
    room = 0
    for table, row in rows:
        if room <= 0:
            contents.append(defaultdict(list))
            room = PART
        contents[-1][table].append(msgspec.Raw(row))
        room -= len(row)
    return [msgspec.json.encode(content).decode() for content in contents]


def _read(text: str) -> Content | None:
    """What was thrown away; None for a text by other hands."""
    try:
        return msgspec.json.decode(text, type=Content)
    except (msgspec.DecodeError, RecursionError):
        return None


def can_restore(db: Database, batch: str) -> bool:
    """Whether there is still something that `restore` would bring back."""
    return bool(db.query("select 1 from lateshift_trash where batch = :batch limit 1", {"batch": batch}))


@transactional
def empty(db: Database, now: int) -> bool:
    """Give up, for good, a batch of what was deleted ten minutes ago and more; whether there may be another.

    A deletion that has not ended, or only since, is left whole.
    """
    before = now - KEPT
    rows = db.query(
        "select batch, job_id from lateshift_trash where deleted_at < :before order by deleted_at limit :limit",
        {"before": before, "limit": _LARGE},
    )
    later = "select 1 from lateshift_trash where batch = :batch and deleted_at >= :before order by deleted_at limit 1"
    batches = {batch.partition(".")[0] for batch, _ in rows}
    going = {batch for batch in batches if db.query(later, {"batch": batch, "before": before})}
    over = [{"batch": batch, "job_id": job_id} for batch, job_id in rows if batch.partition(".")[0] not in going]
    db.execute_many("delete from lateshift_trash where batch = :batch and job_id = :job_id", over)
    return len(rows) == _LARGE and bool(over)


def _put_back(db: Database, content: Content) -> None:
    for table, columns in _COLUMNS.items():
        for kept in content.get(table, ()):
            row = {name: kept[name] for name in columns if name in kept}  # what else is there must not become SQL
            if table == "lateshift_jobs" and _seq_taken(db, row["seq"]):
                del row["seq"]
            names = [name.strip('"') for name in row]
            values = ", ".join(f":{name}" for name in names)
            parameters = dict(zip(names, row.values(), strict=True))
            db.execute(f"insert into {table} ({', '.join(row)}) values ({values})", parameters)


def _seq_taken(db: Database, seq: int) -> bool:
    """Whether another job has got the row number meanwhile, where two must not have the same."""
    return bool(db.query("select 1 from lateshift_jobs where seq = :seq and {seq_once}", {"seq": seq}))
