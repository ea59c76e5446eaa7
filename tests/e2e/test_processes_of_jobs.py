"""What a job starts: it gets nothing of the worker's pipes, and goes when the job is ended."""

from __future__ import annotations

import sys

import psutil
import pytest
from project import finished, gone, until

from lateshift.runtime import tree

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sessions and fork; Windows has tests of its own")


def test_standard_input_is_empty_for_a_job_and_what_it_starts(project):
    """`cat` and `input()` meet its end at once, and none of them swallows the supervisor's words."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.read_standard_input", max_retries=0)
    worker = project.worker()
    assert finished(app, job_id).result == ["", "the end"]
    reading = app.run_background_job("app.jobs.read_standard_input", max_retries=0, delay=0.2)
    assert finished(app, reading).status == "completed"
    worker.say("stop")
    assert worker.ended() == 0


@pytest.mark.parametrize("name", ["square_in_processes", "square_in_processes_isolated"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_in_a_job(project, name, method):
    """A pool of processes starts, works and ends, in a worker's thread as in a child process, however it is started."""
    app = project.app()
    job_id = app.run_background_job(f"app.jobs.{name}", parameters={"method": method}, max_retries=0)
    worker = project.worker()
    assert finished(app, job_id, 30).result == [0, 1, 4, 9, 16]
    worker.say("stop")
    assert worker.ended() == 0


def test_what_an_isolated_job_has_forked_does_not_hide_its_death(project):
    """The forked process inherits the way back to the worker, which must not wait for words from it."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.isolated_killed_with_forks")
    project.worker()
    assert finished(app, job_id).status == "failed"
    until(lambda: all(gone(int(line.split()[1])) for line in project.journal()))


def test_an_isolated_job_whose_timer_goes_on(project):
    """A signal that it handles ended the writing of a large result early: it ran three times, and then had crashed."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.isolated_with_a_timer", parameters={"size": 900_000})
    project.worker()
    job = finished(app, job_id)
    assert (job.status, len(job.result or ""), job.crashes) == ("completed", 900_000, 0)


@pytest.mark.parametrize("seconds", [0, 600])
def test_an_isolated_job_that_closes_the_pipe_to_its_worker(project, seconds):
    """Its error says so, and not that somebody has killed it, as the system does for want of memory."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.isolated_that_closes_all", parameters={"seconds": seconds})
    project.worker()
    job = finished(app, job_id, 30)
    assert job.status == "failed"
    assert "closed its pipe to the worker, as os.closerange() does" in job.error.message


def test_a_tree_is_ended_though_it_grows_meanwhile(tmp_path):
    """Who starts processes without end is stopped before it is asked what it has started."""
    code = (
        "import subprocess, sys, time\n"
        "while True:\n"
        "    subprocess.Popen(['sleep', '987'], start_new_session=True)\n"
        "    print(flush=True)\n"
    )
    with psutil.Popen([sys.executable, "-c", code], stdout=-1, start_new_session=True) as process:
        for _ in range(5):
            process.stdout.readline()
        before = {child.pid for child in psutil.Process().children(recursive=True)}
        tree.ProcessTree(process.pid).end(hard=True)
        process.wait()
    assert len(before) >= 5
    until(lambda: not [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", "987"]])
