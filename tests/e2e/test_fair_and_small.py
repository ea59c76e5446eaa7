"""A long queue starves no other, and an error of any size fills neither the database nor the worker."""

from __future__ import annotations

from project import finished, until

from lateshift import Call


def test_a_long_queue_starves_no_other(project):
    """Five jobs of another queue, enqueued after four thousand more urgent ones, are done among the first."""
    app = project.app()
    flood = app.enqueue_many(
        Call("app.jobs.note", parameters={"label": "flood"}, queue="flood", priority=10) for _ in range(4000)
    )
    small = app.enqueue_many(Call("app.jobs.note", parameters={"label": "small"}, queue="small") for _ in range(5))
    assert project.worker(burst=True).ended(60) == 0
    order = project.journal()
    assert (len(order), order.count("small")) == (len(flood) + len(small), 5)
    last = max(place for place, label in enumerate(order) if label == "small")
    assert last < 2400, "the worker holds a tenth of a second's worth of a queue, whose turn it is"


def test_a_huge_error_is_cut(project):
    """A job that fails with a message of 20 MB: 4 KiB of it are kept, and its neighbour runs on."""
    app = project.app()
    (project.folder / "app/loud.py").write_text("def shout(): raise ValueError('x' * 20_000_000)\n")
    job_id = app.run_background_job("app.loud.shout", max_retries=0)
    other = app.run_background_job("app.jobs.add", parameters={"a": 1})
    assert project.worker(burst=True).ended(60) == 0
    job = finished(app, job_id)
    assert (job.status, len(job.error.message) <= 4200, len(job.error.traceback) <= 70_000) == ("failed", True, True)
    assert app.get_job(other).status == "completed"
    assert len(project.logs()) < 200_000


def test_jobs_that_turn_out_slow_are_shared(project):
    """A worker that has claimed many, because those before were fast, gives back what others have room for."""
    app = project.app()
    first = project.worker()
    app.enqueue_many(Call("app.jobs.add", parameters={"a": 1}) for _ in range(2000))
    until(lambda: not app.list_jobs(status="pending", limit=1), what="the fast ones to be claimed")
    ids = app.enqueue_many(Call("app.jobs.wait_for_file", parameters={"name": "go"}) for _ in range(60))
    until(lambda: app.list_jobs(status="running", name="wait_for_file", limit=60), what="the slow ones to be claimed")
    second = project.worker()
    until(lambda: held(app, second.id) >= 8, what="the second to have its threads full")
    assert held(app, first.id) >= 8
    (project.folder / "go").touch()
    assert {finished(app, job_id).status for job_id in ids} == {"completed"}


def held(app, worker: str) -> int:
    """How many jobs a worker has."""
    return sum(job.worker == worker for job in app.list_jobs(status="running", limit=100))
