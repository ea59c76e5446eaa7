"""Two transactions that cannot both go on: the server ends one of them, which is begun anew and counted."""

from __future__ import annotations

import threading

import pytest


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
