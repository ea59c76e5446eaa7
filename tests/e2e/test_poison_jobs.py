"""A job that kills its process fails after three crashes, with its reason; its neighbours get through."""

from __future__ import annotations

import errno
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from project import finished, until

from lateshift import Call
from lateshift.errors import InvalidOption
from lateshift.storage import reads, workers

JOBS = Path(__file__).with_name("poison_jobs.py").read_text()
EXCEEDED = "lateshift.errors.MemoryExceeded"
WORDS = {"segfault": "was killed by SIGSEGV", "exit": "exit code 9", "kill": "was killed by SIGKILL"}


def poisoned(project):
    """The project with the poison jobs in it."""
    (project.folder / "app/poison.py").write_text(JOBS)
    return project.app()


@pytest.fixture
def supervised(project):
    """Starts `lateshift work` with one worker process, which is replaced when it dies."""
    running: list[subprocess.Popen[bytes]] = []

    def start(**environment):
        command = [sys.executable, "-m", "lateshift", "work", "--processes", "1"]
        environment = project.environment(LATESHIFT_SPAWN="never", **environment)
        running.append(subprocess.Popen(command, env=environment, cwd=project.folder, stdout=subprocess.DEVNULL))

    yield start
    for process in running:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def through_poison(project, app, start):
    """Two neighbours beside a poison job that kills their worker."""
    ids = app.enqueue_many(
        [
            Call("app.poison.poison", parameters={"how": "segfault"}),
            Call("app.poison.neighbour", parameters={"n": 1}),
            Call("app.poison.async_neighbour", parameters={"n": 2}),
        ]
    )
    start(LATESHIFT_CHILDREN="3")
    until(lambda: len([*project.folder.glob("poison-*"), *project.folder.glob("neighbour-*")]) == 3)
    (worker,) = reads.workers(app.database)
    until(lambda: workers.last_memory(app.database, worker.id), what="its first heartbeat")
    (project.folder / "die").touch()
    until(lambda: all(app.get_job(job_id).crashes for job_id in ids))
    (project.folder / "go").touch()
    return [finished(app, job_id, 60) for job_id in ids]


def assert_only_the_guilty_failed(guilty, *neighbours):
    assert (guilty.status, guilty.attempts, guilty.crashes) == ("failed", 0, 3)
    assert guilty.error.type == "lateshift.errors.WorkerDied"
    for number, job in enumerate(neighbours, 1):
        assert (job.status, job.result, job.attempts, job.crashes) == ("completed", number, 1, 1)
        message = job.history[0].error.message
        assert "was killed by SIGSEGV while the job was running" in message
        assert "M of memory" in message


@pytest.mark.parametrize("how", WORDS)
def test_an_isolated_poison_job_fails_with_its_reason(project, how):
    """After three crashes it fails with the signal or the exit code, the memory it had, and its last log lines."""
    app = poisoned(project)
    job_id = app.run_background_job("app.poison.isolated_poison", parameters={"how": how})
    worker = project.worker()
    job = finished(app, job_id, 60)
    assert (job.status, job.attempts, job.crashes) == ("failed", 0, 3)
    assert WORDS[how] in job.error.message
    assert int(job.error.message.rpartition(" had ")[2].split("M of memory")[0]) > 5
    assert f"about to die by {how}" in job.history[-1].logs[-1]
    assert worker.process.poll() is None


def test_neighbours_of_a_poison_job_complete(project, supervised):
    """Who had begun beside it runs again in a process of its own, so the poison job kills them once at most."""
    assert_only_the_guilty_failed(*through_poison(project, poisoned(project), supervised))


@pytest.mark.slow
def test_neighbours_of_a_poison_job_complete_on_postgres(postgres_url, project, supervised):
    """The same with the jobs on a server."""
    project.use(postgres_url)
    assert_only_the_guilty_failed(*through_poison(project, poisoned(project), supervised))


def test_a_neighbour_of_three_poison_jobs_completes(project):
    """A job that was beside three that killed their worker does not fail for it, though it has crashed three times."""
    app = poisoned(project)
    job_id = app.enqueue_many([Call("app.poison.neighbour", parameters={"n": 1})])[0]
    for number in range(3):
        app.enqueue_many([Call("app.poison.neighbour", parameters={"n": 10 + number})])
        worker = project.worker(env={"LATESHIFT_CHILDREN": "4"})
        until(lambda n=number: len([*project.folder.glob("neighbour-1-*")]) == n + 1)
        until(lambda n=number: [*project.folder.glob(f"neighbour-{10 + n}-*")])
        worker.kill()
    (project.folder / "go").touch()
    project.worker()
    job = finished(app, job_id)
    assert (job.status, job.attempts, job.crashes) == ("completed", 1, 3)


def test_a_job_above_its_max_memory_is_killed(project):
    """It fails with what it used and what it was given, its last log lines, and its attempts are used up."""
    app = poisoned(project)
    job_id = app.run_background_job("app.poison.grow", parameters={"step": 10_000_000}, max_retries=1)
    project.worker()
    job = finished(app, job_id, 60)
    assert (job.status, job.attempts, job.crashes, job.error.type) == ("failed", 2, 0, EXCEEDED)
    used = int(re.fullmatch(r"used (\d+)M of memory, more than its max_memory of 150M", job.error.message)[1])
    assert 150 <= used < 300
    assert "holding" in job.history[-1].logs[-1]


def test_what_a_job_starts_counts_as_its_memory(project):
    """The limit is for the tree of its processes; all of them are gone, and the failed() hook is called."""
    app = poisoned(project)
    job_id = app.run_background_job("app.poison.GrowBelow", max_retries=0)
    project.worker()
    assert finished(app, job_id, 60).error.type == EXCEEDED
    assert (project.folder / "mourned").read_text().startswith("MemoryExceeded: used")


def test_a_memory_error_is_an_exception_like_any_other(project):
    """On Linux a request far above the limit is refused at once; a MemoryError fails the attempt."""
    app = poisoned(project)
    refused = app.run_background_job("app.poison.ask_for_much", max_memory="200M")
    unheard = app.run_background_job("app.poison.ask_for_too_much", max_memory="200M", max_retries=0)
    burst = app.run_background_job("app.poison.burst", max_retries=0)
    project.worker()
    if sys.platform == "linux":
        assert finished(app, refused).result == "refused"
        assert finished(app, unheard).error.message == "asked for far more memory than its max_memory of 200M"
    job = finished(app, burst)
    assert (job.status, job.attempts, job.crashes, job.error.type) == ("failed", 1, 0, "MemoryError")


def test_max_memory_is_for_isolated_jobs(project):
    """Anything else is refused when it is enqueued, and says what to add."""
    app = poisoned(project)
    with pytest.raises(InvalidOption, match="isolation"):
        app.run_background_job("app.poison.neighbour", parameters={"n": 1}, max_memory="200M")
    with pytest.raises(InvalidOption, match="500M"):
        app.run_background_job("app.poison.burst", max_memory="much")


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit")
def test_a_worker_survives_that_its_open_files_are_used_up(project):
    """While a job holds all that there are, what needs one waits; heartbeats go on, and afterwards all is as before."""
    app = poisoned(project)
    worker = project.worker(env={"LATESHIFT_CHILDREN": "1"}, lease=3.0)
    psutil.Process(worker.process.pid).rlimit(psutil.RLIMIT_NOFILE, (64, 64))
    greedy = app.run_background_job("app.poison.open_everything", max_retries=0)
    until((project.folder / "exhausted").exists)
    ids = [app.run_background_job("app.poison.give_back", parameters={"n": n}) for n in range(3)]
    ids += app.enqueue_many([Call("app.poison.give_back_later", parameters={"n": 3})])
    isolated = app.run_background_job("app.poison.burst", max_retries=0)
    until(lambda: {app.get_job(job_id).status for job_id in (ids[-1], isolated)} == {"pending_retry"})
    (row,) = reads.workers(app.database)
    until(lambda: reads.workers(app.database)[0].heartbeat_at > row.heartbeat_at + 1_000_000)
    (project.folder / "go").touch()
    assert finished(app, greedy).result == errno.EMFILE
    assert [finished(app, job_id).result for job_id in ids] == [0, 1, 2, 3]
    job = finished(app, isolated)
    assert (job.crashes, job.attempts, job.error.type) == (0, 1, "MemoryError")
    assert worker.process.poll() is None
