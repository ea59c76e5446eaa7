"""How outcomes are written: a batch of them, or one by itself, where the database cannot hold the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from lateshift.errors import StorageError
from lateshift.events import JobFinished, LeaseLost
from lateshift.outcome import failed
from lateshift.runtime.exceptions import describe
from lateshift.storage import reads, writes
from lateshift.storage.database import Database
from lateshift.storage.settlements import Batch, Settlement

TOGETHER: Final = 4_000_000
"""Characters of outcomes, or of the log lines of what runs, written at once, but for a single one: a server has 3 s for
them. 200 coroutines that ended together with results of 1 MiB were never written to PostgreSQL, and on MariaDB their
worker was taken for dead."""


def settle(db: Database, batch: Batch) -> tuple[Sequence[Settlement], list[Settlement]]:
    """Write a batch of outcomes; returns what stands now, and those refused as the job had been taken away.

    What a job's own transaction has completed stays so, whatever the attempt's end was taken for: the answer to the
    commit may have been lost, or a timeout have come just after it.
    """
    refused = writes.settle(db, batch)
    if not refused:
        return batch.settlements, []
    own = {id(s): Settlement(s.job, done) for s in refused if (done := reads.completion(db, s.job)) is not None}
    return [own.get(id(s), s) for s in batch.settlements], [s for s in refused if id(s) not in own]


def settle_one(db: Database, settlement: Settlement) -> tuple[Settlement, bool]:
    """Write one outcome; returns what was written, and whether it was refused as the job had been taken away.

    An outcome that the database cannot hold (a number beyond 64 bits, for example) would come back for ever: the job
    fails instead, with what the driver says.
    """
    try:
        (written,), refused = settle(db, Batch([settlement]))
    except Exception as trouble:
        if may_pass(trouble):
            raise
        outcome, error = settlement.outcome, describe(trouble)
        error = replace(error, message=f"the outcome ({outcome.kind}) cannot be stored: {error.message}")
        instead = Settlement(settlement.job, failed(outcome.started_at, outcome.finished_at, error))
        (written,), refused = settle(db, Batch([instead]))
    return written, bool(refused)


def told(settlement: Settlement, worker: str, now: int, *, refused: bool = False) -> JobFinished | LeaseLost:
    """The event of an outcome that was written, or refused, for a worker."""
    job, outcome = settlement.job, settlement.outcome
    if refused:
        return LeaseLost(now, job.id, job.name, job.queue, job.attempt, worker)
    return JobFinished(outcome.finished_at, job.id, job.name, job.queue, job.attempt, worker, outcome, job.run_at)


def may_pass(error: Exception) -> bool:
    """Whether the database as a whole is in trouble, so that the same may succeed later; else it is about one value."""
    return isinstance(error, StorageError) and type(error) is not StorageError
