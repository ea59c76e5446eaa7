"""Transactional jobs under kill -9, SIGSTOP and timeouts at every step: their effect is there exactly once."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import psutil
import pytest
from project import finished, until

from lateshift.runtime.duties import rescue

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")

STEPS = ("before_the_write", "after_the_write", "before_the_commit", "after_the_commit")


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def paying(request):
    """The project with its jobs on a database of each kind, and a table for their effects."""
    url = None if request.param == "sqlite" else request.getfixturevalue(f"{request.param}_url")
    project = request.getfixturevalue("project")
    if url is not None:
        project.use(url)
    (project.folder / "app/exact.py").write_text(Path(__file__).with_name("transactional_jobs.py").read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lateshift.storage.effects._Driver.commit", None)  # the jobs' module changes both
        patch.setattr("lateshift.storage.effects.LAST_SILENCE", 1.0)
        app = project.app()
        app.database.execute("create table effects (number int)")
        yield project, app
    app.close()


def written(app) -> list[int]:
    return [row[0] for row in app.database.query("select number from effects order by number")]


def strike(project, step: str, by: signal.Signals) -> None:
    (project.folder / "fault").write_text(f"{step} {by:d}")


def stopped(worker) -> bool:
    return psutil.Process(worker.process.pid).status() == psutil.STATUS_STOPPED


def test_kill_9_at_every_step(paying):
    """Before the commit nothing has happened and the job runs again; after it, it has completed, told or not.

    On SQLite the job has a process of its own, whose worker lives on; elsewhere it is the worker that dies.
    """
    project, app = paying
    job = "app.exact.Pay" if app.database.file is None else "app.exact.pay_isolated"
    ids = []
    for number, step in enumerate(STEPS):
        strike(project, step, signal.SIGKILL)
        ids.append(app.run_background_job(job, parameters={"number": number}))
        if number == 0:
            worker = project.worker()
        if job == "app.exact.Pay":
            assert worker.ended() == -signal.SIGKILL
            worker = project.worker()
        assert finished(app, ids[-1]).status == "completed"
    assert written(app) == list(range(len(STEPS)))
    assert [app.get_job(job_id).crashes for job_id in ids] == [1, 1, 1, 0]
    assert [app.get_job(job_id).result for job_id in ids] == [f"paid {number}" for number in range(len(STEPS))]


@pytest.mark.parametrize("step", STEPS[:3])
def test_a_worker_that_is_stopped_and_woken_after_another_has_done_its_job(paying, step):
    """What it wrote is rolled back: its lease has passed to another. On SQLite its lock is what holds the others up."""
    project, app = paying
    worker = project.worker(lease=6.0)
    finished(app, app.run_background_job("app.jobs.add", parameters={"a": 1}))  # its first duties may write meanwhile
    strike(project, step, signal.SIGSTOP)
    job_id = app.run_background_job("app.exact.Pay", parameters={"number": 1})
    until(lambda: stopped(worker), what="the stop")
    taken = app.database.file is None or step == "before_the_write"
    if taken:
        rescue(app.database, app.events, worker.id, None)
        project.worker()
        assert finished(app, job_id).status == "completed"
    worker.resume()
    job = finished(app, job_id)
    if taken:
        worker.ended()  # it has seen that it was taken for dead
    assert (job.status, job.crashes, written(app)) == ("completed", int(taken), [1])


def test_a_job_that_others_overtake_runs_again(paying):
    """On SQLite what has read may not write any more when others have written since: no attempt is used up by that."""
    project, app = paying
    job_id = app.run_background_job("app.exact.read_and_pay", parameters={"number": 1})
    project.worker()
    until((project.folder / "has_read").exists, what="the job to read")
    app.database.execute("insert into effects values (2)")
    (project.folder / "go").touch()
    job = finished(app, job_id)
    assert (job.status, job.attempts, job.crashes, written(app)) == ("completed", 1, 0, [1, 2])


def test_a_timeout_before_or_after_the_commit(paying):
    """Before it nothing has happened, though the job holds the lock for which its worker waits; after it, all has."""
    project, app = paying
    project.worker()
    before = app.run_background_job("app.exact.pay_in_time", parameters={"number": 1})
    job = finished(app, before)
    assert (job.status, [attempt.outcome for attempt in job.history]) == ("completed", ["retry", "completed"])
    (project.folder / "slow").touch()
    after = app.run_background_job("app.exact.pay_in_time", parameters={"number": 2})
    until(lambda: after in project.logs() and "completed" in project.logs().split(after)[-1], what="its end in the log")
    job = app.get_job(after)
    assert (job.status, [attempt.outcome for attempt in job.history]) == ("completed", ["completed"])
    assert written(app) == [1, 2]


@pytest.mark.parametrize("paying", ["sqlite"], indirect=True)
def test_a_job_may_hold_sqlite_s_lock_for_longer_than_its_worker_s_lease(paying):
    """Nobody can write meanwhile, heartbeats neither: the workers wait, and nobody takes anybody for dead."""
    project, app = paying
    workers = [project.worker(lease=3.0, env={"LATESHIFT_BUSY_TIMEOUT": "1"}) for _ in range(2)]
    first = app.run_background_job("app.exact.hold_the_lock", parameters={"seconds": 3.5})
    until((project.folder / "held").exists)
    second = app.run_background_job("app.exact.Pay", parameters={"number": 2})
    jobs = [finished(app, job_id) for job_id in (first, second)]
    assert [(job.status, job.attempts, job.crashes) for job in jobs] == [("completed", 1, 0)] * 2
    assert [worker.process.poll() for worker in workers] == [None, None]
    assert written(app) == [1, 2]
