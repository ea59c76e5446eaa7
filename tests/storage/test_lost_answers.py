"""What is done again, as its answer was lost with the connection, is done once and told as it was the first time."""

from __future__ import annotations

import pytest
from storage_steps import ERROR

from lateshift.fingerprint import fingerprint
from lateshift.storage import audit, bulk, failures, reads, trash, writes

pytestmark = pytest.mark.parametrize("bare", ["postgres", "mariadb"], indirect=True)


def lose_answer(database, to: str) -> None:
    """The connection breaks when the next statement that begins so has been done."""
    database.query("select 1")
    [link] = database._idle

    def losing(real):
        def method(sql, parameters):
            answer = real(sql, parameters)
            if sql.lstrip().startswith(to):
                link.close()
                real(sql, parameters)
            return answer

        return method

    link.query, link.execute = losing(link.query), losing(link.execute)


def test_what_is_done_again_is_counted(database):
    """What was done the first time may stand: a worker looks whether it holds more jobs than it knows of."""
    lose_answer(database, to="select 2")
    assert database.repeats == 0
    assert database.query("select 2") == [(2,)]
    assert database.repeats == 1


def test_an_operator_is_told_what_was_done(steps, database):
    """It found its own work the second time, and called it "cancelled already", "no such job", "paused already"."""
    waiting, finished = steps.enqueue(), steps.finished("failed")
    lose_answer(database, to="commit")
    assert writes.cancel(database, waiting, steps.now) == "pending"
    lose_answer(database, to="commit")
    assert writes.delete(database, finished) == "failed"
    lose_answer(database, to="commit")
    assert writes.pause_queue(database, "default", steps.now)
    assert (steps.status(waiting), steps.status(finished)) == ("cancelled", None)
    assert reads.queue_paused(database, "default")


@pytest.mark.parametrize("action", ["cancel", "delete"])
def test_a_bulk_action_is_told_what_was_done(steps, database, action):
    """It said that nothing was changed, and offered no way back from a deletion."""
    ids = [steps.in_status(bulk.STATUSES[action][0]) for _ in range(2)]
    work = bulk.BulkAction(database, action, ids)
    lose_answer(database, to="commit")
    done = work.run()
    assert (done.changed, done.undo) == (2, work.id if action in bulk.TAKEN_BACK else None)
    if done.undo:
        lose_answer(database, to="commit")
        assert trash.restore(database, work.id) == 2


def test_failures_are_counted_once(database, steps):
    """Besides those that were there."""
    mark = fingerprint(ERROR)
    for number in (1, 2):
        counts = [failures.FailureCount(mark, "app.jobs.send", "no such order", 1, 1, steps.now, steps.now, "job")]
        sums = failures.summed(database, "worker-1", counts)
        lose_answer(database, to="commit")
        failures.add(database, "worker-1", sums)
        [group] = failures.groups(database, steps.now)
        assert (group.failed, group.retried) == (number, number)


def test_an_action_is_noted_once(database, steps):
    """The audit log had it twice."""
    lose_answer(database, to="insert into")
    entry = audit.append(database, steps.now, "ada", "retry", "a job")
    assert audit.page(database) == [entry]
