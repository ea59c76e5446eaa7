"""A program of the fault suite that enqueues, as a user's would: one by one, many at once, in transactions; it cancels.

Its journal says of each job that it was `trying`, and then `accepted` with its id, `undone` (rolled back) or `refused`
(the call raised). What it was trying when it was killed is in doubt, and so is what was refused.

python enqueuer.py NAME SEED
"""

from __future__ import annotations

import contextlib
import random
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import chaos_journal as journal

from lateshift import Call, Lateshift, LateshiftError
from lateshift.errors import SpawnError

QUEUES = ("alpha", "beta")
"""Served by the supervisors."""

SOLO = "gamma"
"""Served by nobody but a runner that starts by itself."""

KINDS = ("app.jobs.threaded", "app.jobs.looping", "app.jobs.isolated")
PLANS = ("ok", "fail:1", "fail:2", "fail:9", "retry:1", "snooze:1", "cancel", "timeout")


class Enqueuer:
    """Makes calls up and tells the journal what became of each."""

    def __init__(self, name: str, seed: str) -> None:
        self.name = name
        self.random = random.Random(seed)
        self.app = Lateshift()
        self.ids: list[str] = []
        self.count = 0
        self.stopped = False

    def run(self) -> None:
        """Go on until SIGTERM."""
        signal.signal(signal.SIGTERM, self.stop)
        while not self.stopped:
            act = self.random.choices((self.one, self.many, self.transaction, self.cancel), (12, 2, 3, 1))[0]
            act()
            time.sleep(self.random.uniform(0, 0.5))
        self.app.close()

    def stop(self, *_: object) -> None:
        self.stopped = True

    def call(self) -> Call:
        """A call of any kind; most jobs are short and succeed."""
        rng = self.random
        self.count += 1
        kind = rng.choices(KINDS, (72, 24, 4))[0]
        plan = rng.choices((*PLANS, "exit"), (70, 6, 4, 3, 4, 4, 2, 4, 3))[0]
        if plan == "exit" and kind != KINDS[2]:
            plan = "ok"
        seconds = 60.0 if plan == "timeout" else rng.choices((0.0, 0.05, 0.3, 2.0, 6.0), (40, 35, 20, 4, 1))[0]
        return Call(
            kind,
            parameters={"label": f"{self.name}-{self.count}", "seconds": seconds, "plan": plan},
            priority=rng.randint(1, 10),
            delay=rng.choice((0, 0, 0, rng.uniform(0, 4))),
            queue=rng.choices((*QUEUES, SOLO), (5, 4, 1))[0],
            max_retries=rng.choice((2, 2, 3)),
            retry_delay=rng.uniform(0, 1),
            timeout=rng.uniform(0.2, 1.0) if plan == "timeout" else None,
        )

    def one(self) -> None:
        call = self.call()
        with self.trying([call]) as accept:
            accept(self.app.enqueue_many([call]))

    def many(self) -> None:
        calls = [self.call() for _ in range(self.random.randint(2, 20))]
        with self.trying(calls) as accept:
            accept(self.app.enqueue_many(calls))

    def transaction(self) -> None:
        """On a connection of our own; a third is rolled back."""
        calls = [self.call() for _ in range(self.random.randint(1, 4))]
        keep = self.random.random() > 0.33
        with self.trying(calls) as accept, contextlib.closing(connect(self.app.settings.database_url)) as connection:
            ids = self.app.enqueue_many(calls, connection=connection)
            time.sleep(self.random.choice((0, 0, 0.05)))
            if keep:
                connection.commit()
                accept(ids)
            else:
                connection.rollback()
                self.tell("undone", calls)

    def cancel(self) -> None:
        if not self.ids:
            return
        job = self.random.choice(self.ids[-30:])
        journal.tell(journal.ENQUEUERS, "cancelling", job=job)
        with contextlib.suppress(LateshiftError):
            self.app.cancel_job(job)

    @contextlib.contextmanager
    def trying(self, calls: list[Call]) -> Iterator[Any]:
        """Tell that we are about to, and in the end what became of it."""
        self.tell("trying", calls)

        def accept(ids: list[str]) -> None:
            self.tell("accepted", calls, ids)
            self.ids += ids

        try:
            yield accept
        except SpawnError as error:
            journal.tell(journal.ENQUEUERS, "no runner", error=str(error))
        except Exception as error:  # also what a driver raises in a transaction of our own
            self.tell("refused", calls, error=f"{type(error).__name__}: {error}")

    def tell(self, what: str, calls: list[Call], ids: list[str] | None = None, **facts: object) -> None:
        """One line for each job."""
        for place, call in enumerate(calls):
            parameters = call.parameters
            known = {"job": ids[place]} if ids else {}
            journal.tell(journal.ENQUEUERS, what, label=parameters["label"], **known, **facts)


def connect(url: str) -> Any:
    """A connection as a user's program has it, with a transaction open."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        import sqlite3

        return sqlite3.connect(url.removeprefix("sqlite:///"), timeout=10)
    if parts.scheme == "postgresql":
        import psycopg

        return psycopg.connect(url, connect_timeout=5)
    import pymysql

    return pymysql.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=parts.path[1:],
        connect_timeout=5,
        read_timeout=10,
        write_timeout=10,
        ssl_disabled=True,
    )


if __name__ == "__main__":
    Enqueuer(*sys.argv[1:]).run()
