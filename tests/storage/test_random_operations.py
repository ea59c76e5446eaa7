"""Random operations on SQLite alone, often; and on all databases in lockstep, which then must hold the same rows."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

from hypothesis import settings
from hypothesis.stateful import invariant, run_state_machine_as_test
from random_operations import OFTEN, TABLES, Operations, pair
from storage_steps import Place, Steps

from lateshift.testing import FrozenClock

JOB = (
    "id, name, queue, executor, priority, status, run_at, lease, attempts, crashes, max_retries, worker, enqueued_at,"
    " started_at, finished_at, cancel_requested, progress, progress_message, error_type, error_message,"
    " error_traceback, result, options, parameters"
)
ATTEMPT = "job_id, lease, number, outcome, worker, started_at, finished_at, error_type, error_message, error_traceback"
ROWS = (
    f"select {JOB} from lateshift_jobs order by seq",  # `seq` itself has gaps where a transaction was undone
    f"select {ATTEMPT} from lateshift_attempts order by job_id, lease",
    'select job_id, lease, number, "lines" from lateshift_logs order by job_id, lease',
    "select name, paused_at from lateshift_queues order by name",
    "select id from lateshift_workers order by id",
)


class Alone(Operations):
    """On a new SQLite file for each run."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.place = Place("sqlite", f"sqlite:///{self.folder.name}/lateshift.db", FrozenClock())
        super().__init__([pair(self.place)], self.place.clock)

    def teardown(self) -> None:
        self.place.close()
        self.folder.cleanup()


class Lockstep(Operations):
    """On all databases at once, emptied for each run."""

    def __init__(self, pairs: Sequence[tuple[Steps, Steps]], clock: FrozenClock) -> None:
        super().__init__(pairs, clock)
        for table in TABLES:
            self.work(lambda steps, table=table: steps.db.execute(f"delete from lateshift_{table}"))

    @invariant()
    def the_rows_are_the_same(self) -> None:
        for sql in ROWS:
            self.operate(lambda steps, sql=sql: steps.db.query(sql))


def test_all_databases_come_to_the_same(tmp_path, postgres_url, mariadb_url):
    """A random sequence of operations gives the same answers and the same rows on each database."""
    clock = FrozenClock()
    urls = {"sqlite": f"sqlite:///{tmp_path}/lateshift.db", "postgres": postgres_url, "mariadb": mariadb_url}
    places = [Place(kind, url, clock) for kind, url in urls.items()]
    for place in places:
        place.make_tables()
    pairs = [pair(place) for place in places]
    run_state_machine_as_test(lambda: Lockstep(pairs, clock), settings=settings(OFTEN, max_examples=30))
    for place in places:
        place.close()


TestOperations = Alone.TestCase
TestOperations.settings = OFTEN
