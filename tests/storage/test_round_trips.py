"""How often a worker waits for its server: with one that is 5 ms away, that is what its jobs cost."""

from __future__ import annotations

import msgspec
import pytest

from lateshift.storage import bulk, writes
from lateshift.storage.settlements import Batch, Settlement

pytestmark = pytest.mark.parametrize("bare", ["mariadb"], indirect=True)

ASKED = "show session status like 'Questions'"


def asked(database) -> int:
    return int(database.query(ASKED)[0][1])


def test_many_outcomes_of_every_kind_are_a_few_statements(steps, database):
    """Of jobs that had failed each took two, and one that had logged a third: 15 s for 1,500 on such a server."""
    steps.enqueue_many(60)
    kinds = [steps.completed(), steps.failed(), steps.retry_in(5), steps.returned()]
    outcomes = [msgspec.structs.replace(outcome, logs=("a line",)) for outcome in kinds * 15]
    batch = Batch([Settlement(job, outcome) for job, outcome in zip(steps.claim(), outcomes, strict=True)])
    with database.transaction():
        before = asked(database)
        assert writes.settle(database, batch) == []
        assert asked(database) - before - 1 == 4


def test_what_many_running_jobs_tell_is_a_statement_each(steps, database):
    """It was one for each job: for 500 coroutines that is 2.5 s at 5 ms, twice a second."""
    steps.enqueue_many(60)
    jobs = steps.claim()
    with database.transaction():
        before = asked(database)
        writes.save_progress(database, [(job, 0.5, "half of it") for job in jobs])
        writes.save_logs(database, [(job, ["a line"]) for job in jobs])
        assert asked(database) - before - 1 == 2
    assert {steps.get(job).progress for job in jobs} == {0.5}


@pytest.mark.parametrize("act", [bulk.cancel, bulk.run_now, bulk.change_priority], ids=lambda act: act.__name__)
def test_what_an_operator_does_to_many_jobs_is_a_few_statements(steps, database, act):
    """Each job took one, which at 5 ms is a minute for 12,000."""
    ids = steps.enqueue_many(60, delay=5)
    with database.transaction():
        before = asked(database)
        assert act(database, ids, 7) == 60
        assert asked(database) - before - 1 <= 4
