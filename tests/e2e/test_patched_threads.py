"""A module of jobs that replaces Python's threads and locks under a worker, as gevent's `monkey.patch_all()` does."""

from __future__ import annotations

from project import finished, until

from lateshift.runtime.terms import REPLACED

MONKEY = """
import threading

patched, allocate = False, threading._allocate_lock

def is_module_patched(name):
    return patched

def patch_all(tell):
    global patched
    patched, threading._allocate_lock = tell, lock

def lock():
    if threading.current_thread().name.startswith("lateshift-"):
        raise RuntimeError("LoopExit: This operation would block forever")
    return allocate()
"""
"""Stands in for gevent's: a thread of ours that waits from now on ends."""

JOBS = """
import threading

if threading.current_thread() is not threading.main_thread():  # not that of the test, which enqueues
    from gevent import monkey

    monkey.patch_all(tell={tell})

def job():
    return "done"
"""


def with_patch(project, *, tell):
    """A project with such a module, and the app."""
    (project.folder / "gevent").mkdir()
    (project.folder / "gevent/__init__.py").touch()
    (project.folder / "gevent/monkey.py").write_text(MONKEY)
    (project.folder / "app/patching.py").write_text(JOBS.format(tell=tell))
    return project.app(max_retries=0)


def test_the_job_fails_with_the_reason_and_its_worker_is_replaced(project):
    """Jobs were running for ever, in a worker that was alive, as nobody looked whether its threads were."""
    app = with_patch(project, tell=True)
    worker = project.worker()
    neighbour = app.run_background_job("app.jobs.wait_for_file", parameters={"name": "go"})
    until(project.journal)
    job_id = app.run_background_job("app.patching.job")
    job = finished(app, job_id)
    (project.folder / "go").touch()
    assert worker.ended() == REPLACED["stuck"][0]
    assert (job.status, job.error.type) == ("failed", "lateshift.errors.CallableNotFound")
    assert "called gevent.monkey.patch_all()" in job.error.message
    assert app.get_job(neighbour).status == "completed"


def test_a_worker_of_which_a_thread_has_ended_is_replaced(project):
    """Whatever ended it: one after the other ends so, and then no job begins any more."""
    app = with_patch(project, tell=False)
    worker = project.worker()
    assert finished(app, app.run_background_job("app.patching.job")).result == "done"
    assert worker.ended() == REPLACED["stuck"][0]
