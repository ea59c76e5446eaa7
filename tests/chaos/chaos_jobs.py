"""The jobs of the fault suite's project: each tells the journal when it begins, that it goes on, and how it ends.

`plan` says what an attempt does at its end: `ok`, `cancel`, `exit` (an isolated one ends its process), `timeout` (it
runs until that), or with a number of times `fail:2`, `retry:1`, `snooze:1`.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import chaos_journal as journal

from lateshift import Cancel, Retry, Snooze, background, current_job
from lateshift.context import current

VERSION = 1
"""Changed by each deploy."""

STEP = 0.02


class Planned(Exception):
    """What the plan of a job wants it to fail with."""


def threaded(label: str, seconds: float, plan: str = "ok") -> dict[str, int]:
    with told(label) as beat:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends and not current_job().cancelled:
            time.sleep(STEP)
            beat()
        return conclude(plan)


async def looping(label: str, seconds: float, plan: str = "ok") -> dict[str, int]:
    with told(label) as beat:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            await asyncio.sleep(STEP)
            beat()
        return conclude(plan)


@background(isolation="process")
def isolated(label: str, seconds: float, plan: str = "ok") -> dict[str, int]:
    return threaded(label, seconds, plan)


@contextmanager
def told(label: str) -> Iterator[Callable[[], None]]:
    """Tell the journal of this attempt; gives what tells that it goes on."""
    job = current_job()
    claimed = current.get().job
    isolated = claimed.executor == "process"
    facts = {
        "job": job.id,
        "label": label,
        "lease": claimed.lease,
        "attempt": job.attempt,
        "worker": os.getppid() if isolated else os.getpid(),
        "host": os.environ["CHAOS_HOST"],
        "version": VERSION,
    }
    journal.tell(journal.JOBS, "begin", **facts)
    try:
        yield lambda: journal.tell(journal.JOBS, "beat", **facts)
    except BaseException as error:
        journal.tell(journal.JOBS, "raised", error=type(error).__name__, **facts)
        raise
    journal.tell(journal.JOBS, "returned", **facts)


def conclude(plan: str) -> dict[str, int]:
    """Do what the plan wants; else return the lease, by which the checker knows whose result stands."""
    job, lease = current_job(), current.get().job.lease
    word, _, times = plan.partition(":")
    if word == "exit":
        os._exit(3)
    if word == "cancel":
        raise Cancel("as planned")
    if word == "fail" and job.attempt <= int(times):
        raise Planned(plan)
    if word == "retry" and job.attempt <= int(times):
        raise Retry(plan, delay=0.1)
    if word == "snooze" and lease <= int(times):
        raise Snooze(0.2)
    return {"lease": lease}
