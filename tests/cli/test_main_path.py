"""The way of a first user, each command a real process."""

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lateshift.storage.workers import NewWorker, register_worker

AUTO = {"LATESHIFT_SPAWN": "auto"}


def test_the_command_that_init_prints_works_as_printed(empty):
    """After `lateshift init` the next command runs the first job, with no worker running."""
    del empty.environment["LATESHIFT_ALLOWED"]
    told = empty.run("init")
    command = next(line.strip() for line in told.splitlines() if line.startswith("    "))
    assert command.startswith("lateshift enqueue app.jobs.ProcessOrder --params ")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, **empty.environment, **AUTO, "PATH": path}
    del environment["LATESHIFT_ALLOWED"]
    words = shlex.split(command)
    if not shutil.which(words[0], path=path):  # under Wine, where nothing makes programs of entry points
        words[:1] = [sys.executable, "-m", "lateshift"]
    done = subprocess.run(words, cwd=empty.folder, env=environment, capture_output=True, text=True, check=False)
    job_id, result = done.stdout.splitlines()
    assert (done.returncode, json.loads(result)) == (0, {"order_id": 123, "processed": True})
    assert empty.run("status", job_id).startswith("completed app.jobs.ProcessOrder.handle ")


def test_a_job_starts_by_itself_and_can_be_read_about(project):
    """enqueue --wait with no worker running; then list, show and logs tell about the job."""
    out = project.run(
        "enqueue", "app.jobs.ProcessOrder", "--params", '{"order_id": 7}', "--priority", "5", "--wait", env=AUTO
    )
    job_id, result = out.splitlines()
    assert json.loads(result) == {"order_id": 7}
    [job] = project.json("list")
    assert (job["id"], job["status"], job["priority"], job["queue"]) == (job_id, "completed", 5, "orders")
    shown = project.json("show", job_id)
    assert shown["result"] == {"order_id": 7}
    assert [attempt["outcome"] for attempt in shown["history"]] == ["completed"]
    assert "order 7" in project.run("logs", job_id)


def test_a_failed_job_makes_wait_fail(project):
    """`enqueue --wait` of a job that fails ends with 1 and one line that names the error."""
    project.environment["LATESHIFT_MAX_RETRIES"] = "0"
    error = project.run("enqueue", "app.jobs.fail", "--wait", code=1, env=AUTO)
    assert error.count("\n") == 1
    assert "ValueError: no luck" in error


def test_queues_can_be_paused_and_jobs_cancelled(project):
    """A job of a paused queue waits; cancelled, it never runs; a resumed queue goes on."""
    project.run("queues", "pause", "orders")
    first, second = (
        project.run("enqueue", "app.jobs.ProcessOrder", "--params", '{"order_id": 1}').strip() for _ in range(2)
    )
    [queue] = project.json("queues")
    assert (queue["name"], queue["paused"], queue["waiting"], queue["running"]) == ("orders", True, 2, 0)
    assert project.run("cancel", first) == f"{first} cancelled\n"
    assert "\nerror: " in project.run("wait", second, "--timeout", "0.1", code=4)
    project.run("queues", "resume", "orders", env=AUTO)
    assert json.loads(project.run("wait", second, "--timeout", "30")) == {"order_id": 1}
    assert project.run("status", first).startswith("cancelled ")


def test_workers_run_everything_and_end(project):
    """`work --burst` runs what is there, tells of its workers, and ends."""
    ids = [project.enqueue("ProcessOrder", order_id=number) for number in range(5)]
    told = project.run("work", "--burst", "--processes", "1", "--threads", "2", "--max-memory", "500M")
    assert "1 worker process with 2 threads each; queues: all" in told
    assert "started as process" in told
    assert {job["status"] for job in project.json("list")} == {"completed"}
    assert project.run("wait", ids[0]) == '{"order_id":0}\n'


def test_workers_serve_only_the_queues_they_are_given(project):
    """`work --queues` leaves the other queues alone."""
    other, order = project.enqueue("later"), project.enqueue("ProcessOrder", order_id=1)
    project.run("work", "--burst", "--processes", "1", "--queues", "orders,mail")
    assert project.run("status", other).startswith("pending ")
    assert project.run("status", order).startswith("completed ")


@pytest.mark.skipif(sys.platform == "win32", reason="there Ctrl-C cannot be sent to one process")
def test_ctrl_c_stops_workers_in_good_order(project):
    """The first Ctrl-C lets a running job finish and tells how to hurry; the exit code is 0."""
    job_id = project.enqueue("until_file", name="go")
    process = project.start("work", "--processes", "1", env={"PYTHONUNBUFFERED": "1"})
    while "started as process" not in process.stdout.readline():
        pass
    wait_until_running(project, job_id)
    process.send_signal(signal.SIGINT)
    assert "stopping, 1 job running, again to stop now" in process.stdout.readline()
    (project.folder / "go").touch()
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert project.run("status", job_id).startswith("completed ")


@pytest.mark.parametrize("how", [[], ["--drain"]], ids=["stop", "drain"])
def test_workers_are_asked_to_stop_without_a_signal(project, how):
    """By name or all of this machine: they end when their jobs have, and `work`, whose last ones they were, with 0."""
    job_id = project.enqueue("until_file", name="go")
    process = project.start("work", "--processes", "2", env={"LATESHIFT_RELEASE": "v7"})
    wait_until_running(project, job_id)
    busy = project.json("status", job_id)["worker"]
    assert {worker["release"] for worker in project.invoke_json("workers")} == {"v7"}
    assert project.invoke("workers").stdout.splitlines()[1].endswith("v7       all")
    project.invoke("enqueue", "app.jobs.quick", "--delay", "1h")
    [told] = project.run("workers", "stop", busy, *how).splitlines()
    assert told.startswith(f"Worker {busy} was asked to ")
    (project.folder / "go").touch()
    while busy in (left := [worker["id"] for worker in project.json("workers")]):
        pass
    [asked, waits] = project.run("workers", "stop", "--here", *how).splitlines()
    assert (" was asked to " in asked, len(left)) == (True, 1)
    assert waits.startswith("1 job waits, the first due at 20")
    assert waits.endswith(", and no worker is left: `lateshift work` starts one.")
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert project.run("status", job_id).startswith("completed ")
    assert project.run("workers", "stop", "--here") == f"No worker is alive on {socket.gethostname()}.\n"
    assert f"No worker {busy} is alive" in project.run("workers", "stop", busy, code=2)
    assert "--here" in project.run("workers", "stop", code=2)


def test_no_worker_that_was_asked_to_stop_takes_what_is_enqueued_afterwards(project, monkeypatch):
    """A runner took it within its last second, with the code and the environment of before."""
    monkeypatch.setenv("LATESHIFT_SPAWN", "auto")
    workers = set()
    for _ in range(2):
        job_id = project.invoke("enqueue", "app.jobs.quick", "--wait").stdout.split()[0]
        workers.add(project.invoke_json("status", job_id)["worker"])
        assert project.invoke("workers", "stop", "--here").stderr == ""
    assert len(workers) == 2


def test_a_worker_that_does_not_hear_is_named(project, monkeypatch):
    """It may take jobs for as long as it stands still and is not taken for dead."""
    monkeypatch.setattr("lateshift.cli.queues.ANSWER", 0.1)
    project.enqueue("quick")
    db = project.app().database
    register_worker(db, NewWorker("deaf", "worker", "elsewhere", 1, "/nowhere", (), "1"), db.now())
    assert "Worker deaf has not answered within 0.1 s" in project.invoke("workers", "stop", "deaf").stderr


def wait_until_running(project, job_id):
    app = project.app()
    try:
        while app.get_job(job_id).status != "running":
            time.sleep(0.01)
    finally:
        app.close()


@pytest.mark.skipif(sys.platform == "win32", reason="there Ctrl-C cannot be sent to one process")
def test_ctrl_c_ends_waiting_quietly(project):
    """Ctrl-C while waiting ends with 130 and no traceback; the job stays."""
    process = project.start("enqueue", "app.jobs.later", "--wait")
    job_id = process.stdout.readline().strip()
    assert "start `lateshift work`" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err.strip()) == (130, "")
    assert project.run("status", job_id).startswith("pending ")


@pytest.mark.skipif(sys.platform == "win32", reason="there Ctrl-C cannot be sent to one process")
def test_waiting_for_a_paused_queue_says_so(project):
    """`enqueue --wait` and `wait` tell that the queue is paused, and how to let it go on."""
    project.invoke("queues", "pause", "default")
    process = project.start("enqueue", "app.jobs.quick", "--wait")
    assert "`lateshift queues resume default`" in process.stderr.readline()
    job_id = process.stdout.readline().strip()
    told, _ = project.invoke("wait", job_id, "--timeout", "0.01", code=4).stderr.splitlines()
    assert "`lateshift queues resume default`" in told
    assert project.invoke("wait", job_id, "--timeout", "0", code=4).stderr.startswith("error: ")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes tell of their end otherwise there")
def test_a_reader_that_leaves_is_no_error(project):
    """`lateshift list | head -1` ends without a word."""
    project.enqueue("later")
    process = project.start("list")
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert (process.wait(30), err) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes tell of their end otherwise there")
@pytest.mark.parametrize("command", ["enqueue", "wait"])
def test_waiting_goes_on_when_the_reader_has_left(project, monkeypatch, command):
    """Its exit code is that of the job: it ended with 0, at once or after a job that had failed."""
    project.environment["LATESHIFT_MAX_RETRIES"] = "0"
    monkeypatch.setenv("LATESHIFT_MAX_RETRIES", "0")
    what = ["app.jobs.fail", "--wait"] if command == "enqueue" else [project.done("fail"), "--json"]
    process = project.start(command, *what, env=AUTO)
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(30) == 1
    assert "ValueError: no luck" in err


@pytest.mark.parametrize("command", ["status", "list", "show", "logs", "wait"])
def test_reading_commands_import_little(project, command):
    """A command that reads loads neither rich nor asyncio nor what serves the dashboard."""
    job_id = project.done("ProcessOrder", order_id=1)
    arguments = [command] if command == "list" else [command, job_id]
    code = (
        "import sys; from lateshift.cli import main; code = main(sys.argv[1:]);"
        "print(*{name.split('.')[0] for name in sys.modules}, *[n for n in sys.modules if n.startswith('lateshift.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=project.folder, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    unwanted = {"rich", "asyncio", "starlette", "uvicorn", "jinja2", "psutil", "multiprocessing", "lateshift.runtime"}
    assert loaded & unwanted == set()
    assert "lateshift.app" in loaded
