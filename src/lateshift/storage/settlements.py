"""What attempts have decided, as the rows that are written of it.

Rows are made before the transaction that writes them: on SQLite nobody else can write meanwhile, and with two workers
on two cores making them inside it was a tenth of the time for which the database was locked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from lateshift.job import Claimed
from lateshift.outcome import Outcome
from lateshift.storage.database import Parameters

FAILURES: Final = ("failed", "retry", "lost")
"""The kinds of outcomes that are counted in error groups."""

UNCOUNTED: Final = ("snoozed", "returned")
"""Those of attempts that count for nothing: the job is where it was."""

KEPT: Final = 100
"""How many of the newest attempts are kept for certain, whatever their outcome; of older ones those that count. A job
that snoozed for no time had 10,407 rows after 15 seconds."""


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """A claimed job and what its attempt decided."""

    job: Claimed
    outcome: Outcome


class Batch:
    """Settlements that are written together: those that completed, the others, and the logs of both, as parameters.

    `worn` are jobs that may have many attempts which count for nothing, with the lease up to which these are deleted.
    """

    def __init__(self, settlements: Sequence[Settlement]) -> None:
        self.settlements = settlements
        self.completed: list[Parameters] = []
        self.others: list[Parameters] = []
        self.logs: list[Parameters] = []
        self.worn: list[Parameters] = []
        for settlement in sorted(settlements, key=_by_id):  # who locks several jobs does so by id: no deadlock
            outcome = settlement.outcome
            if outcome.logs:
                self.logs.append(_log_row(settlement))
            if outcome.stored:
                continue
            if outcome.kind == "completed":
                self.completed.append(completion_row(settlement))
            else:
                self.others.append(_outcome_row(settlement))
                if outcome.kind in UNCOUNTED and settlement.job.lease % KEPT == 0:
                    self.worn.append({"id": settlement.job.id, "lease": settlement.job.lease - KEPT})


def completion_row(settlement: Settlement) -> Parameters:
    """The parameters of `writes.COMPLETE`."""
    job, outcome = settlement.job, settlement.outcome
    return {
        "seq": job.seq,
        "id": job.id,
        "lease": job.lease,
        "started_at": outcome.started_at,
        "finished_at": outcome.finished_at,
        "result": outcome.result,
    }


def _by_id(settlement: Settlement) -> str:
    return settlement.job.id


def _outcome_row(settlement: Settlement) -> Parameters:
    from lateshift.fingerprint import fingerprint  # 6 ms, for a program that only enqueues

    job, outcome = settlement.job, settlement.outcome
    error = outcome.error
    return {
        "id": job.id,
        "lease": job.lease,
        "kind": outcome.kind,
        "status": outcome.status,
        "started_at": outcome.started_at,
        "finished_at": outcome.finished_at,
        "run_at": outcome.run_at,
        "result": outcome.result,
        "uncounted": int(not outcome.counts),
        "crashed": int(outcome.crashed),
        "error_type": error and error.type,
        "error_message": error and error.message,
        "error_traceback": error and error.traceback,
        "fingerprint": fingerprint(error).key if error and outcome.kind in FAILURES else None,
    }


def _log_row(settlement: Settlement) -> Parameters:
    job = settlement.job
    return {"id": job.id, "lease": job.lease, "number": job.attempt, "lines": "\n".join(settlement.outcome.logs)}
