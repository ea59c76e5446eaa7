"""What the dashboard's reads cost on a full database: `python benchmarks/dashboard_reads.py URL [JOBS]`.

Fills an empty database with finished, waiting and running jobs, a history and error groups, and then does each read 40
times. The target is 50 ms at the 95th percentile, with 200,000 jobs on SQLite and 2,000,000 on PostgreSQL.
"""

from __future__ import annotations

import itertools
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from lateshift import histogram
from lateshift.fingerprint import fingerprint
from lateshift.job import JobError
from lateshift.query import parse
from lateshift.settings import load_settings
from lateshift.storage import (
    audit,
    bulk,
    failures,
    history,
    open_database,
    reads,
    search,
    suggestions,
    tallies,
    workers,
)
from lateshift.storage.database import Database
from lateshift.storage.migrations import migrate

SECOND = 1_000_000
DAY = 86_400 * SECOND
QUEUES = [f"queue-{number}" for number in range(20)]
NAMES = [f"shop.jobs.Callable{number}.handle" for number in range(60)]
TRACE = "Traceback (most recent call last):\n" + "".join(
    f'  File "/srv/app/shop/part{number}.py", line {number}, in step{number}\n    call()\n' for number in range(15)
)
ERRORS = [
    JobError(f"shop.errors.Error{n}", f"order 17 was refused for reason {chr(97 + n % 26)}", TRACE) for n in range(60)
]
COLUMNS = (
    *("id", "name", "queue", "executor", "priority", "status", "run_at", "lease", "attempts", "max_retries", "worker"),
    *(
        "enqueued_at",
        "started_at",
        "finished_at",
        "error_type",
        "error_message",
        "error_traceback",
        "result",
        "parameters",
    ),
)
ATTEMPTS = ("job_id", "lease", "number", "outcome", "worker", "started_at", "finished_at", "error_type", "fingerprint")
HISTORY = ("span", "start", "queue", "name", *tallies.COUNTS, "waits", "runs")


def status(place: float, chance: random.Random) -> str:
    """A job's state by its age: what is old has finished, of the newest some wait."""
    if place > 0.95:
        return chance.choice(["pending"] * 8 + ["pending_retry", "completed"])
    return chance.choices(["completed", "failed", "cancelled", "running"], [970, 24, 5, 0.4])[0]


def jobs(count: int, now: int, attempts: list[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Rows of a week, the oldest first; those of failed attempts are put beside."""
    chance = random.Random(1)
    for number in range(count):
        state, at = status(number / count, chance), now - 7 * DAY + number * 7 * DAY // count
        id_ = f"{at // 1000 >> 16:08x}-{at // 1000 & 0xFFFF:04x}-7{at % 1000 * 4:03x}-8000-{number:012x}"
        error = chance.choice(ERRORS) if state in ("failed", "pending_retry") else None
        taken = state != "pending"
        done = at + chance.randrange(5 * SECOND) if state in ("completed", "failed", "cancelled") else None
        text = json.dumps({"order_id": number, "customer": {"name": f"Customer {number % 5000}"}, "note": "x" * 40})
        due = at + (DAY if state == "pending_retry" or (state == "pending" and number % 5 == 0) else 0)
        yield (
            *(id_, chance.choice(NAMES), chance.choice(QUEUES), "thread", chance.randrange(1, 4), state, due),
            *(int(taken), int(taken), 3, f"host-{number % 8}" if taken else None, at, at if taken else None, done),
            *((error.type, error.message, error.traceback) if error else (None, None, None)),
            *('"fine"' if state == "completed" else None, text),
        )
        if error:
            kind = "failed" if state == "failed" else "retry"
            attempts.append((id_, 1, 1, kind, "host-1", at, at + SECOND, error.type, fingerprint(error).key))


def spans(now: int) -> Iterator[tuple[Any, ...]]:
    """The history of three months: minutes of the last day, and what they were folded into."""
    minute, texts = now // 60_000_000, histogram.encode([0, 3, 9, 40, 9, 2, 1])
    for span, length in ((1, 1440), (10, 14 * 1440), (60, 90 * 1440), (1440, 90 * 1440)):
        for start in range((minute - length) // span * span, minute + 1, span):
            for place, name in enumerate(NAMES):
                yield (span, start, QUEUES[place % 20], name, 60 * span, span, span, 0, 10**6, 10**6, texts, texts)
            for queue in ("", *QUEUES):
                yield (span, start, queue, "", 180 * span, 3 * span, 3 * span, 0, 10**6, 10**6, texts, texts)


def fill(db: Database, count: int) -> None:
    """Everything that the reads look at."""
    now, attempts = db.now(), list[tuple[Any, ...]]()
    insert(db, "lateshift_jobs", COLUMNS, jobs(count, now, attempts))
    insert(db, "lateshift_attempts", ATTEMPTS, iter(attempts))
    insert(db, "lateshift_history", HISTORY, spans(now))
    for hour in range(24 * 7):
        at = now - hour * 3600 * SECOND
        counts = [failures.FailureCount(fingerprint(e), NAMES[0], e.message, 3, 1, at, at, "x") for e in ERRORS]
        failures.add(db, "", counts)
    for number in range(16):
        row = workers.NewWorker(f"host-{number}", "worker", "host", number, "/run", (), "1", "v1", {"thread": 8})
        workers.register_worker(db, row, now)
    for number in range(2_000):
        audit.append(db, now + number, "ada", "retry", f"job {number}")
    analyse = {"sqlite": "analyze", "postgres": "vacuum analyze", "mysql": "analyze table lateshift_jobs"}[
        db.dialect.name
    ]
    (db.query if db.dialect.name == "mysql" else db.execute)(analyse)


def insert(db: Database, table: str, columns: tuple[str, ...], rows: Iterator[tuple[Any, ...]]) -> None:
    """Rows as fast as the database takes them."""
    if db.dialect.name == "postgres":
        import psycopg

        sql = f"copy {db.render(table)} ({', '.join(columns)}) from stdin"
        with psycopg.connect(db.url, autocommit=True) as connection, connection.cursor().copy(sql) as copy:
            for row in rows:
                copy.write_row(row)
        return
    sql = f"insert into {table} ({', '.join(columns)}) values ({', '.join(f':{name}' for name in columns)})"
    while batch := list(itertools.islice(rows, 5_000)):
        db.transact(lambda batch=batch: db.execute_many(sql, [dict(zip(columns, row, strict=True)) for row in batch]))


def deep(db: Database, text: str, pages: int) -> str | None:
    """The cursor some pages further."""
    cursor = None
    for _ in range(pages):
        cursor = search.search(db, parse(text), cursor=cursor).next
    return cursor


def searches(some: str) -> dict[str, str]:
    """What is searched for, by what it shows; `some` is the id of a job."""
    return {
        **{
            f"jobs, {name}": f"status:{name}" for name in ("pending", "pending_retry", "running", "completed", "failed")
        },
        "jobs, all": "",
        "search, queue": "queue:queue-3",
        "search, name among failed": "status:failed name:Callable7",
        "search, error": "error:Error7",
        "search, error among failed": "status:failed error:Error7",
        "search, fingerprint": f"fingerprint:{fingerprint(ERRORS[7]).key}",
        "search, id": f"id:{some}",
        "search, parameter, new": 'parameters.customer.name:"Customer 17"',
        "search, parameter, none": "parameters.order_id:999999999",
        "search, text, none": "nothinglikethis",
        "search, text among completed": "status:completed nothinglikethis",
    }


def measures(db: Database) -> dict[str, Callable[[], object]]:
    """Each read of a page, by what it shows."""
    now = db.now()
    some = db.query("select id from lateshift_jobs where status = 'failed' and finished_at is not null limit 1")[0][0]
    hour, day, week = now - 3600 * SECOND, now - DAY, now - 7 * DAY
    cursor = deep(db, "status:completed", 40)
    return {
        "chart, hour by minutes": lambda: history.series(db, hour, now, 60),
        "chart, day by ten minutes": lambda: history.series(db, day, now, 600),
        "chart, week by hours": lambda: history.series(db, week, now, 3600),
        "chart, three months by days": lambda: history.series(db, now - 90 * DAY, now, 86_400),
        "chart, callable, day": lambda: history.series(db, day, now, 600, callable=NAMES[3]),
        "callables, hour": lambda: history.callables(db, hour, now),
        "callables, day": lambda: history.callables(db, day, now),
        "callables, week": lambda: history.callables(db, week, now),
        "queue rates": lambda: history.queue_rates(db, now),
        "queues": lambda: reads.queues(db, now),
        "error groups, week": lambda: failures.groups(db, week, now),
        "workers": lambda: workers.worker_details(db),
        "audit": lambda: audit.page(db),
        "marks": lambda: audit.marks(db, week, now),
        "counts, all": lambda: search.state_counts(db, parse("")),
        "counts, queue": lambda: search.state_counts(db, parse("queue:queue-3")),
        "counts, text": lambda: search.state_counts(db, parse("nothinglikethis")),
        "counts, error": lambda: search.state_counts(db, parse("error:Error7")),
        "count before bulk": lambda: search.count_matching(db, parse("status:failed")),
        "jobs, completed, page 40": lambda: search.search(db, parse("status:completed"), cursor=cursor),
        **{name: lambda text=text: search.search(db, parse(text)) for name, text in searches(some).items()},
        "suggestion of queues": lambda: suggestions.suggest(db, "queue:q", 7),
        "bulk: 500 priorities": bulk.BulkAction(db, "priority", parse("status:pending"), priority=3).step,
    }


def main() -> None:
    """Fill, measure, print."""
    url, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 200_000
    settings = load_settings(database_url=url, database_timeout=600)
    if not url.startswith("sqlite"):
        migrate(open_database(settings, as_is=True))
    db = open_database(settings)
    if not db.query("select 1 from lateshift_jobs limit 1"):
        began = time.perf_counter()
        fill(db, count)
        print(f"filled with {count:,} jobs in {time.perf_counter() - began:.0f} s")
    print(f"{'read':34} {'p50 ms':>8} {'p95 ms':>8} {'max ms':>8}")
    for name, measure in measures(db).items():
        times = []
        for _ in range(40):
            began = time.perf_counter()
            measure()
            times.append((time.perf_counter() - began) * 1000)
        late = statistics.quantiles(times, n=20)[-1]
        print(f"{name:34} {statistics.median(times):8.1f} {late:8.1f} {max(times):8.1f}{'   <--' if late > 50 else ''}")


if __name__ == "__main__":
    main()
