"""How each database finds its rows among 20,000: none reads the table as a whole, a claim sorts nothing.

Neither do they touch more rows than the operation is about, by the database's own count.
"""

from __future__ import annotations

import pytest
from plans import examined, plans
from storage_steps import SECOND, Place, Steps

from lateshift.storage import health, reads, writes
from lateshift.storage.settlements import Batch, Settlement
from lateshift.testing import FrozenClock

JOBS = 20_000
DAY = 86_400

COLUMNS = "id, name, queue, executor, priority, status, run_at, lease, attempts, max_retries, worker, enqueued_at"
COLUMNS += ", started_at, finished_at, parameters"


def kind(number: int) -> tuple[str, str, int, int]:
    """(status, queue, priority, delay) of one of the jobs."""
    if number % 10 == 4:
        return "pending", "default", 10, 3600 + number
    if number % 4 == 1:
        return "pending", f"queue-{number % 3}", number % 10 + 1, number - DAY
    if number % 100 == 6:
        return "running", "default", 1, number - DAY
    return "failed" if number % 20 == 3 else "completed", "default", 1, number - DAY


def row(steps: Steps, number: int) -> dict[str, object]:
    """One of the jobs as it is stored."""
    status, queue, priority, delay = kind(number)
    job = steps.new(queue=queue, priority=priority, delay=delay)
    taken = status != "pending"
    return {
        **{name: getattr(job, name) for name in job.__struct_fields__},
        "status": status,
        "lease": int(taken),
        "attempts": int(taken),
        "worker": f"worker-{number // 100 % 4}" if taken else None,
        "started_at": job.run_at if taken else None,
        "finished_at": job.run_at + number if status in ("completed", "failed") else None,
    }


ANALYSE = {"sqlite": "analyze", "postgres": "analyze lateshift_jobs", "mysql": "analyze table lateshift_jobs"}


def filled(place: Place, *, known: bool) -> Steps:
    """Finished, delayed, waiting and running jobs; the database knows what it has, or thinks that it has nothing."""
    steps = Steps(place.open(), place.clock)
    look = steps.db.query if steps.db.dialect.name == "mysql" else steps.db.execute
    look(ANALYSE[steps.db.dialect.name])
    values = ", ".join(f":{name}" for name in COLUMNS.split(", "))
    with steps.db.transaction():
        rows = [row(steps, number) for number in range(JOBS)]
        steps.db.execute_many(f"insert into lateshift_jobs ({COLUMNS}) values ({values})", rows)
        for number in range(4):
            steps.register(f"worker-{number}")
    if known:
        look(ANALYSE[steps.db.dialect.name])
    reads.lanes(steps.db)
    return steps


@pytest.fixture(scope="module", params=["sqlite", "postgres", "mariadb"])
def crowd(request, tmp_path_factory):
    """The jobs, in each database; what a test changes in them is undone."""
    kind, _, unaware = request.param.partition(", ")
    server = None if kind == "sqlite" else request.getfixturevalue(f"{kind}_server")
    url = server.new_database() if server else f"sqlite:///{tmp_path_factory.mktemp('plans')}/lateshift.db"
    place = Place(kind, url, FrozenClock())
    place.make_tables()
    yield filled(place, known=not unaware)
    place.close()
    if server:
        server.drop_database(url)


def held(steps: Steps, worker: str = "worker-1"):
    return [job for job, _ in reads.running_jobs(steps.db, worker)]


def claim(steps: Steps) -> None:
    [lane, *_] = [lane for lane in reads.lanes(steps.db) if lane.queue == "queue-1"]
    claimed = writes.claim(steps.db, "worker-1", steps.now, [lane], {"thread": 20})
    assert len(claimed) == 20


def complete(steps: Steps) -> None:
    batch = [Settlement(job, steps.completed()) for job in held(steps)]
    assert len(batch) == 50
    assert writes.settle(steps.db, Batch(batch)) == []


def fail(steps: Steps) -> None:
    assert writes.settle(steps.db, Batch([Settlement(job, steps.failed()) for job in held(steps)[:10]])) == []


def release(steps: Steps) -> None:
    jobs = held(steps)
    writes.release(steps.db, jobs, steps.now)
    assert {steps.status(job) for job in jobs[:3]} == {"pending"}


def prune(steps: Steps) -> None:
    assert writes.prune(steps.db, steps.now, limit=50) == 50


def nothing_to_prune(steps: Steps) -> None:
    assert writes.prune(steps.db, steps.now - 2 * DAY * SECOND) == 0


def first_page(steps: Steps) -> None:
    assert len(reads.list_jobs(steps.db, limit=50)) == 50


def page_of(**chosen: object):
    """The page after the job in the middle."""

    def act(steps: Steps) -> None:
        assert len(reads.list_jobs(steps.db, limit=20, before=middle(steps), **chosen)) == 20

    return act


def middle(steps: Steps) -> str:
    return sorted(job.id for job in held(steps, "worker-2"))[25]


# What is done, and how many rows it may make a database look at: in PostgreSQL's count, in MySQL's, and in tens of
# steps of SQLite's machine.
VERBS = {
    "lanes": (lambda steps: reads.lanes(steps.db), 150, 400, 150),
    "claim": (claim, 250, 600, 400),
    "complete": (complete, 120, 300, 600),
    "fail": (fail, 120, 200, 300),
    "release": (release, 180, 400, 800),
    "cancel requests": (lambda steps: reads.cancel_requests(steps.db, "worker-1"), 60, 60, 100),
    "running jobs": (held, 60, 60, 300),
    "prune": (prune, 200, 400, 500),
    "nothing to prune": (nothing_to_prune, 5, 10, 20),
    "first page": (first_page, 60, 60, 400),
    "next page": (page_of(), 100, 100, 300),
    "next page of a status": (page_of(status="completed"), 1_300, 2_500, 1_200),
    "next page of a queue": (page_of(queue="queue-1"), 400, 400, 400),
    "anything waiting": (lambda steps: reads.anything_waiting(steps.db, ()), 5, 5, 10),
}
ROUND = ("lanes", "claim", "complete", "fail", "release", "cancel requests", "running jobs", "anything waiting")
LIMITS = {"postgres": 1, "mysql": 2, "sqlite": 3}


def check(crowd, verb: str, **options: object) -> None:
    act = VERBS[verb][0]
    found = [plan for plan in plans(crowd.db, lambda: act(crowd), **options) if "lateshift_jobs" in plan.sql]
    assert found
    for plan in found:
        assert not plan.reads_all, f"{plan.sql}\n{plan.text}"
        assert not plan.sorts, f"{plan.sql}\n{plan.text}"


@pytest.mark.parametrize("verb", VERBS)
def test_the_plan_uses_the_indexes(crowd, verb):
    """No statement of a worker's round reads all jobs, and none sorts."""
    check(crowd, verb)


@pytest.mark.parametrize("crowd", ["postgres"], indirect=True)
@pytest.mark.parametrize("verb", VERBS)
def test_so_does_the_plan_of_a_prepared_statement(crowd, verb):
    """PostgreSQL may come to use one plan for all parameters, which is as good."""
    if "PostgreSQL 1" in health.product(crowd.db) and int(health.product(crowd.db)[11:13]) < 16:
        pytest.skip("older servers do not show that plan")
    check(crowd, verb, generic=True)


@pytest.mark.parametrize("crowd", ["postgres, unaware", "mariadb, unaware"], indirect=True)
@pytest.mark.parametrize("verb", ROUND)
def test_so_does_the_plan_before_the_database_has_looked(crowd, verb):
    """What a worker does in each round does not wait for `analyze`, as after a first large enqueue."""
    check(crowd, verb)
    act, *most = VERBS[verb]
    assert examined(crowd.db, lambda: act(crowd)) <= 3 * most[LIMITS[crowd.db.dialect.name] - 1]


@pytest.mark.parametrize("crowd", ["postgres", "postgres, unaware", "mariadb"], indirect=True)
@pytest.mark.parametrize(("name", "sql"), [("complete", writes.COMPLETE), ("release", writes.RELEASE)])
def test_a_large_batch_is_written_by_its_ids(crowd, name, sql):
    """For a thousand, of which it saw how many they were, PostgreSQL read all jobs at each connection's first times."""
    rows = [
        {"id": f"{number}", "lease": 1, "started_at": 1, "finished_at": 2, "result": "null", "now": 2}
        for number in range(1000)
    ]
    (plan,) = plans(crowd.db, lambda: crowd.db.write_batch(name, sql, rows))
    assert not plan.reads_all, plan.text


@pytest.mark.parametrize("verb", VERBS)
def test_few_rows_are_looked_at(crowd, verb):
    """What an operation costs goes by what it is about, not by how many jobs there are."""
    act = VERBS[verb][0]
    assert examined(crowd.db, lambda: act(crowd)) <= VERBS[verb][LIMITS[crowd.db.dialect.name]]
