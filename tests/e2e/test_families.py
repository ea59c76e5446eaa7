"""What each system does in a way of its own: trees of processes, the start of a runner, folders with odd names."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from project import Project, finished, gone, project_in, until

from lateshift.runtime import tree
from lateshift.runtime.tree import HELD, ProcessTree
from lateshift.storage import reads

FAMILY_JOBS = Path(__file__).with_name("family_jobs.py").read_text(encoding="utf-8")


@pytest.fixture
def family(project) -> Project:
    """A project whose jobs start processes."""
    (project.folder / "app/family.py").write_text(FAMILY_JOBS, encoding="utf-8")
    return project


@pytest.fixture
def strange(tmp_path) -> Iterator[Project]:
    """A project in a folder with a name that needs care."""
    with project_in(tmp_path / "Jörg & Żółć's Aufträge, 仕事 100%") as project:
        yield project


def told(project: Project) -> list[int]:
    """The process, its child and its grandchild, once the job has told of them."""
    [line] = until(project.journal, what="the job to tell of its processes")
    pids = [int(pid) for pid in line.split()]
    assert not any(map(gone, pids))
    return pids


@pytest.mark.parametrize("how", ["timeout", "cancel", "stop"])
def test_an_isolated_job_goes_with_its_children_and_theirs(family, how):
    """When its time is up, when it is cancelled, and when its worker stops: also what is in sessions of its own."""
    app = family.app()
    job_id = app.run_background_job(
        "app.family.have_family_isolated",
        parameters={"name": "never", "apart": True},
        timeout=5.0 if how == "timeout" else None,
        max_retries=0,
    )
    worker = family.worker(grace=0.1)
    pids = told(family)
    if how == "cancel":
        app.cancel_job(job_id)
    elif how == "stop":
        worker.say("stop")
    until(lambda: all(map(gone, pids)), what="its family to end")
    until(lambda: reads.status(app.database, job_id) != "running")


def test_an_isolated_job_ends_with_a_worker_that_is_killed(family):
    """On Windows with all that it has started; elsewhere nobody is left who could tell what that was."""
    app = family.app()
    app.run_background_job("app.family.have_family_isolated", parameters={"name": "never"}, max_retries=0)
    worker = family.worker()
    pids = told(family)
    worker.kill()
    until(lambda: gone(pids[0]), what="the job's process to end")
    if sys.platform == "win32":
        until(lambda: all(map(gone, pids)), what="its family to end")
    for pid in pids:
        if not gone(pid):
            psutil.Process(pid).kill()


def test_children_that_outlive_their_isolated_job_are_ended(family):
    """The job has completed; what it left running does not stay."""
    app = family.app()
    job_id = app.run_background_job("app.family.have_family_isolated", parameters={"name": "go"})
    family.worker()
    pids = told(family)
    (family.folder / "go").touch()
    assert finished(app, job_id).status == "completed"
    until(lambda: all(map(gone, pids)), what="its family to end")


def test_the_supervisor_of_a_killed_worker_ends_what_its_jobs_had_started(family):
    """The job is about to run again, so its first family must not be there any more."""
    app = family.app()
    app.run_background_job("app.family.have_family", parameters={"name": "never"})
    work = [sys.executable, "-m", "lateshift", "work", "--processes", "1"]
    supervisor = subprocess.Popen(
        work, env=family.environment(LATESHIFT_GRACE="0.1"), cwd=family.folder, stdout=subprocess.DEVNULL
    )
    pids = told(family)
    psutil.Process(pids[0]).kill()
    until(lambda: all(map(gone, pids)), what="the family to end")
    until(lambda: len(family.journal()) == 2, what="the job to run again")
    again = [int(pid) for pid in family.journal()[1].split()]
    command = [sys.executable, "-m", "lateshift", "workers", "stop", "--here"]
    subprocess.run(command, env=family.environment(), cwd=family.folder, check=True, stdout=subprocess.DEVNULL)
    supervisor.wait(30)
    for pid in again:
        if not gone(pid):
            psutil.Process(pid).kill()


def test_a_program_that_a_thread_waits_for_ends_with_its_worker(family):
    """Nobody can stop the thread: the program went on beside the one that the job's next attempt started."""
    app = family.app()
    job_id = app.run_background_job("app.family.wait_for_program")
    ours: dict[str, Any] = {"cwd": family.folder, "env": family.environment(LATESHIFT_GRACE="0")}
    command = [sys.executable, "-m", "lateshift"]
    work = subprocess.Popen([*command, "work", "--processes", "1"], stdout=subprocess.DEVNULL, **ours)
    [pid] = map(int, until(family.journal, what="the job to tell of its program"))
    subprocess.run([*command, "workers", "stop", "--here"], check=True, stdout=subprocess.DEVNULL, **ours)
    assert work.wait(30) == 0
    until(lambda: gone(pid), what="the program to end")
    assert app.get_job(job_id).status == "pending_retry"


def test_a_runner_that_a_job_started_outlives_its_worker(family):
    """It belongs to nobody's family: the worker and the job's process are killed, and it runs what was enqueued."""
    app = family.app()
    environment = {"LATESHIFT_SPAWN": "auto", "LATESHIFT_THREADS": "1"}
    app.run_background_job("app.family.enqueue_another", parameters={"name": "go"}, queue="first")
    worker = family.worker(queues=["first"], env=environment)
    [job_id] = until(family.journal)
    worker.kill()
    job = finished(app, job_id)
    assert (job.status, job.crashes) == ("completed", 0)
    (family.folder / "go").touch()  # for the first one, which runs again


@pytest.mark.skipif(sys.platform != "win32", reason="only Windows has such processes")
def test_a_process_begins_when_its_tree_has_it():
    """The other Python that one of a virtual environment starts at once escaped from a worker that was busy."""
    process = subprocess.Popen(["cmd", "/c", "exit 7"], creationflags=HELD)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    family = ProcessTree(process.pid)
    assert process.wait(30) == 7
    family.close()


def test_a_process_that_is_in_no_tree_ends(monkeypatch):
    """On Windows it would wait for ever to begin, and its pipes stay open."""

    def refuse(pid: int, **_: object) -> None:
        started.append(psutil.Process(pid))
        raise OSError(f"process {pid} was not there to begin")

    started: list[psutil.Process] = []
    monkeypatch.setattr(tree, "ProcessTree", refuse)
    with pytest.raises(OSError, match="was not there to begin"):
        tree.start_tree([sys.executable, "-c", "import time; time.sleep(60)"], stdin=subprocess.PIPE)
    assert not started[0].is_running()


@pytest.mark.skipif(sys.platform != "win32", reason="only Windows has such windows")
@pytest.mark.parametrize("name", ["console", "console_isolated"])
def test_nothing_shows_a_console(family, name):
    """Windows would open a window for whoever has none."""
    app = family.app(spawn="auto")
    assert finished(app, app.run_background_job(f"app.family.{name}")).result == 0


def test_a_folder_with_spaces_and_letters_of_all_kinds(strange):
    """Programs, databases, logs and locks lie where users put them: a runner starts there, and isolated jobs run."""
    app = strange.app(spawn="auto")
    for name in ("app.jobs.add", "app.jobs.isolated_add"):
        assert finished(app, app.run_background_job(name, parameters={"a": 1, "b": 2})).result == 3
    until(lambda: strange.logs().count(" completed attempt=1 ") == 2, what="both in the log")
    until(lambda: not [w for w in reads.workers(app.database) if w.kind == "runner"], what="the runner to end")
    until(lambda: not [*(strange.folder / "storage/run").rglob("*.run")], what="the runner to leave nothing behind")
