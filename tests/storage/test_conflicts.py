"""Transactions that cannot all go on: the server ends one of them, which is begun anew and counted."""

from __future__ import annotations

import threading

import pytest

from lateshift.errors import StorageUnavailable
from lateshift.storage import health, writes
from lateshift.storage.server import CONFLICTS


@pytest.mark.parametrize("bare", ["postgres", "mariadb"], indirect=True)
def test_a_deadlock_is_solved_and_counted(steps, place):
    """Each of two holds the job that the other waits for; both are done in the end, and each further try is counted."""
    first, second = steps.enqueue_many(2)
    both, databases, all_tries = threading.Barrier(2), [place.open(), place.open()], []

    def touch(database, *ids: str) -> None:
        tries = []

        def work() -> None:
            tries.append(1)
            all_tries.append(1)
            for number, job_id in enumerate(ids):
                if number and len(tries) == 1:
                    both.wait(10)
                database.execute("update lateshift_jobs set attempts = attempts + 1 where id = :id", {"id": job_id})

        database.transact(work)

    orders = ((first, second), (second, first))
    threads = [threading.Thread(target=touch, args=(db, *ids)) for db, ids in zip(databases, orders, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [steps.get(job_id).attempts for job_id in (first, second)] == [2, 2]
    # One is the rule; but the one who was thrown out may be back before the other has woken up.
    assert sum(database.conflicts for database in databases) == len(all_tries) - len(databases) > 0


@pytest.mark.parametrize(("timeout", "again"), [(0, 0), (60, CONFLICTS)])
@pytest.mark.parametrize("bare", ["postgres", "mariadb"], indirect=True)
def test_a_row_that_stays_locked(steps, database, place, timeout, again):
    """Who waits for it in vain is told so, after the timeout or many tries; it was called an error to be reported."""
    if "MySQL" in health.product(database):
        pytest.skip("its shortest wait for a lock is a second, and it ends our transaction meanwhile")
    job_id = steps.enqueue()
    waiting, kept = place.open(timeout=timeout, patience=10), []
    waiting.while_locked = lambda: kept.append(1)
    waiting.execute({"postgres": "set lock_timeout = 1", "mariadb": "set innodb_lock_wait_timeout = 0"}[place.kind])
    with database.transaction():
        database.query("select id from lateshift_jobs where id = :id for update", {"id": job_id})
        with pytest.raises(StorageUnavailable, match="who holds a lock on the jobs"):
            writes.cancel(waiting, job_id, steps.now)
    assert waiting.conflicts == len(kept) == again


@pytest.mark.parametrize("bare", ["mariadb"], indirect=True)
def test_a_refusal_of_group_replication_is_a_conflict(database):
    """Another member had changed the row at the same time; it was called an error to be reported."""
    if "MySQL" in health.product(database):
        pytest.skip("it takes no such statement outside of a procedure")
    told = "signal sqlstate 'HY000' set mysql_errno = 3101, message_text = 'Plugin instructed the server to rollback'"
    database.execute(f"begin not atomic if @told is null then set @told = 1; {told}; end if; end")
    assert database.conflicts == 1
