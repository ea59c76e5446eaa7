"""Dead rows on a server: what keeps them from being cleared stops no queue, and our tables are cleared early."""

from __future__ import annotations

from contextlib import closing

import pytest

from lateshift.storage import reads, writes
from lateshift.storage.settlements import Batch, Settlement

BEGIN = {
    "postgres": ("begin isolation level repeatable read",),
    "mariadb": ("set transaction isolation level repeatable read", "start transaction with consistent snapshot"),
}


@pytest.mark.parametrize("bare", ["postgres", "mariadb"], indirect=True)
def test_jobs_run_while_a_long_transaction_sees_none_of_them(steps, database, place):
    """Somebody's report, open for hours: it keeps each version of each row, and claims still find the next."""
    count = database.render("select count(*) from lateshift_jobs")
    with closing(database.connect_for_job()) as report, closing(report.cursor()) as cursor:
        for statement in (*BEGIN[place.kind], count):
            cursor.execute(statement)
        for turn in range(1, 9):
            ids = steps.enqueue_many(250)
            jobs = steps.claim()
            assert [job.id for job in jobs] == ids
            assert writes.settle(database, Batch([Settlement(job, steps.completed()) for job in jobs])) == []
            assert reads.counts(database)["completed"] == 250 * turn
        cursor.execute(count)
        assert cursor.fetchone() == (0,)


@pytest.mark.parametrize("bare", ["postgres"], indirect=True)
def test_tables_that_jobs_change_are_vacuumed_early(database):
    """By the server's own settings it would come when a fifth of a table is dead, and rest between its steps."""
    sql = "select relname, array_to_string(reloptions, ' ') from pg_class where oid = any (:ids)"
    hot = [
        database.query(f"select cast(cast('{database.render(f'lateshift_{name}')}' as regclass) as oid)")[0][0]
        for name in ("jobs", "attempts", "logs")
    ]
    told = database.query(sql, {"ids": hot})
    assert len(told) == len(hot)
    for _, options in told:
        assert "autovacuum_vacuum_scale_factor=0.01 autovacuum_vacuum_threshold=1000" in options
        assert "autovacuum_vacuum_cost_delay=0" in options
