"""Jobs of a program with an allow-list in its code, met by commands whose own list does not permit them."""

from contextlib import ExitStack

import pytest

from lateshift import Lateshift
from lateshift.host.permits import grant
from lateshift.host.presence import Presence, presence_folder
from lateshift.host.registration import new_worker_id, worker_of_this_process
from lateshift.storage import workers

REMEDY = "Put LATESHIFT_ALLOWED=app.jobs,orders into .env."


@pytest.fixture
def script(project):
    """A script's application, which permits `orders` only."""
    (project.folder / "orders.py").write_text("def send(): return 'sent'\n")
    app = Lateshift(allowed=["orders"], spawn="never")
    yield app
    app.close()


def cancelled(app):
    """A job that a retry would have run."""
    job_id = app.run_background_job("orders.send")
    app.cancel_job(job_id)
    return job_id


@pytest.mark.parametrize("command", ["retry", "run"])
def test_a_job_that_would_fail_at_once_is_refused(project, script, command):
    """It failed for good; the program that enqueued it would have run it."""
    job_id = cancelled(script) if command == "retry" else script.run_background_job("orders.send", delay=3600)
    before = script.get_job(job_id)
    assert REMEDY in project.invoke(command, job_id, code=2).stderr
    assert script.get_job(job_id) == before


def test_wait_waits_for_somebody_else(project, script):
    """The runner that it started failed the job; it tells what keeps the job, and starts none."""
    job_id = script.run_background_job("orders.send")
    process = project.start("wait", job_id, "--timeout", "1.5", env={"LATESHIFT_SPAWN": "auto"})
    _, err = process.communicate(timeout=30)
    assert (process.returncode, script.get_job(job_id).status) == (4, "pending"), err
    assert f"{REMEDY} No runner is started for it here. Waiting." in err
    assert not list(project.folder.glob("storage/run/runner-*"))
    assert "the program that enqueued it gives its own list" in project.run(
        "explain", job_id, env={"LATESHIFT_SPAWN": "auto"}
    )


def test_retry_of_many_leaves_out_what_would_fail_at_once(project, script):
    """They are counted and told; the others run again."""
    left, taken = cancelled(script), project.enqueue("quick")
    project.invoke("cancel", taken)
    result = project.invoke("retry", "--status", "cancelled", "--dry-run")
    assert result.stdout == "1 job is to be retried.\n"
    result = project.invoke("retry", "--status", "cancelled", "--yes")
    assert result.stdout == "1 job retried.\n"
    assert result.stderr.startswith("1 job left out. ")
    assert REMEDY in result.stderr
    assert [script.get_job(id_).status for id_ in (left, taken)] == ["cancelled", "pending_retry"]


@pytest.mark.parametrize(
    ("kinds", "elsewhere", "refused"),
    [
        (["runner"], False, False),
        (["worker"], False, True),
        (["runner", "worker"], False, True),
        (["worker"], True, False),
    ],
    ids=["the runner permits it", "lateshift work of this folder", "both", "of another folder"],
)
def test_a_living_worker_may_have_another_list(project, script, kinds, elsewhere, refused):
    """That of a runner here is known; a worker of this folder has the folder's; of others nobody can tell."""
    job_id = cancelled(script)
    folder = project.folder / "elsewhere" if elsewhere else presence_folder(script.settings)
    grant(script.settings, script.settings.allowed)
    with ExitStack() as living:
        for kind in kinds:
            presence = Presence(folder, new_worker_id(), 1)
            presence.acquire()
            living.callback(presence.release)
            row = worker_of_this_process(presence.worker_id, folder, (), kind=kind)
            workers.register_worker(script.database, row, script.database.now())
            living.callback(workers.remove_worker, script.database, row.id)
        project.invoke("retry", job_id, code=2 if refused else 0)
    assert script.get_job(job_id).status == ("cancelled" if refused else "pending_retry")
