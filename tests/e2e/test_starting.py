"""With no worker running, an enqueued job starts by itself: one runner, detached, gone when idle."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from project import finished, until

from lateshift import errors
from lateshift.storage import reads
from lateshift.storage.migrations import migrate

SCRIPT = """\
# orders.py
from lateshift import configure, run_background_job, wait_for_job

configure(allowed=["orders"])


class ProcessOrder:
    def handle(self, order_id: int) -> str:
        return f"order {order_id} processed"


if __name__ == "__main__":
    job_id = run_background_job(ProcessOrder, "handle", {"order_id": 123}, priority=5)
    print(wait_for_job(job_id, timeout=20).result)
"""


def runners(app) -> list[reads.WorkerRow]:
    return [worker for worker in reads.workers(app.database) if worker.kind == "runner"]


def test_an_enqueued_job_starts_by_itself_and_the_runner_goes_when_idle(project):
    """No worker runs, the job is enqueued, it completes; the runner leaves no process and no zombie behind."""
    app = project.app(spawn="auto")
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    job_id = app.run_background_job("app.jobs.ProcessOrder", parameters={"order_id": 1})
    assert finished(app, job_id).result == "order 1 processed"
    runner = runners(app)[0]
    if sys.platform != "win32":
        assert psutil.Process(runner.pid).parent().ppid() == 1
    until(lambda: not runners(app), what="the idle runner to sign off")
    until(lambda: not psutil.pid_exists(runner.pid))
    until(lambda: {child.pid for child in psutil.Process().children(recursive=True)} <= before, what="no process left")


def test_a_runner_stays_for_delayed_jobs_and_retries(project):
    """It is idle only when nothing waits: a job due after the idle time still runs."""
    app = project.app(spawn="auto", idle_exit=0.2)
    delayed = app.run_background_job("app.jobs.add", parameters={"a": 1}, delay=1.0)
    failing = app.run_background_job("app.jobs.fail", retry_delay=0.8, max_retries=1)
    assert finished(app, delayed).status == "completed"
    assert finished(app, failing).attempts == 2


def test_fifty_processes_start_one_runner(project):
    """Fifty processes enqueue at once, on Windows twenty: one runner serves them all."""
    many = 20 if sys.platform == "win32" else 50
    code = (
        "import lateshift, sys\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "lateshift.run_background_job('app.jobs.note', parameters={'label': sys.argv[1]})\n"
    )
    crowd = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=project.environment(LATESHIFT_IDLE_EXIT="3"),
            cwd=project.folder,
        )
        for number in range(many)
    ]
    for process in crowd:  # else the last ones come when the runner has waited out its time, on a busy machine
        process.stdout.readline()
    for process in crowd:
        process.stdin.write(b"go\n")
        process.stdin.close()
    for process in crowd:
        with process:
            assert process.wait(60) == 0
    until(lambda: len(project.journal()) == many)
    assert sorted(project.journal(), key=int) == [str(number) for number in range(many)]
    started = [line for line in project.logs().splitlines() if "worker started" in line]
    assert len(started) == 1, started


def test_nothing_is_spawned_while_a_worker_lives(project):
    """A living worker is enough; one that serves other queues only is not."""
    app = project.app(spawn="auto")
    project.worker()
    assert finished(app, app.run_background_job("app.jobs.add", parameters={"a": 1})).status == "completed"
    assert not runners(app)


def test_a_killed_runner_is_replaced_by_the_next_enqueue(project):
    """kill -9 of the runner's processes loses nothing: the next enqueue starts a new one, which takes the job back."""
    app = project.app(spawn="auto", idle_exit=2.0)
    first = app.run_background_job("app.jobs.wait_for_file", parameters={"name": "go"})
    until(project.journal)
    runner = psutil.Process(runners(app)[0].pid)
    for process in (runner.parent(), runner):
        process.kill()
    until(lambda: not psutil.pid_exists(runner.pid))
    second = app.run_background_job("app.jobs.add", parameters={"a": 1})
    assert finished(app, second).status == "completed"
    (project.folder / "go").touch()
    job = finished(app, first)
    assert (job.status, job.crashes, job.attempts) == ("completed", 1, 1)


def test_a_runner_starts_at_once_in_a_container_that_replaces_another(project):
    """The worker of the old one, on the same volume, has a fresh heartbeat and a host name that is none any more."""
    app = project.app(spawn="auto")
    worker = project.worker()
    worker.kill()
    app.database.execute("update lateshift_workers set host = 'the-container-before'")
    job_id = app.run_background_job("app.jobs.add", parameters={"a": 1})
    assert finished(app, job_id, seconds=10).status == "completed"  # a heartbeat is believed for 15


def test_the_runner_replaces_its_worker_when_a_job_kills_it(project):
    """A job that ends its process is tried three times and then failed; its neighbours are done."""
    app = project.app(spawn="auto")
    killer = app.run_background_job("app.jobs.exit_hard")
    neighbour = app.run_background_job("app.jobs.add", parameters={"a": 1})
    job = finished(app, killer, 30)
    assert (job.status, job.crashes, job.attempts) == ("failed", 3, 0)
    assert "exit code 3" in job.error.message
    assert finished(app, neighbour).status == "completed"
    assert project.journal() == ["exit_hard"] * 3
    (line,) = [line for line in project.logs("background-jobs-errors").splitlines() if killer in line]
    assert " ERROR " in line
    assert " failed attempt=1 " in line
    assert "error=lateshift.errors.WorkerDied: the child process" in line  # where it runs after its first crash
    assert line in project.logs()


DEAF = """
import signal
import lateshift
for name in ("SIGCHLD", "SIGTERM"):
    signal.signal(getattr(signal, name), signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGUSR1))
lateshift.run_background_job("app.jobs.exit_hard", max_retries=0)
lateshift.run_background_job("app.jobs.wait_for_file", parameters={"name": "go"})
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGCHLD, nor SIGTERM")
def test_a_runner_hears_signals_that_its_caller_does_not(project):
    """A program that ignores SIGCHLD and blocks SIGTERM: its runner sees a worker die, and can be told to stop."""
    environment = project.environment(LATESHIFT_IDLE_EXIT="40")
    subprocess.run([sys.executable, "-c", DEAF], env=environment, cwd=project.folder, check=True)
    app = project.app()
    killer = app.list_jobs()[1]
    until(lambda: reads.status(app.database, killer.id) == "failed")
    supervisor = psutil.Process(runners(app)[0].pid).parent()
    supervisor.terminate()
    (project.folder / "go").touch()
    until(lambda: not psutil.pid_exists(supervisor.pid), what="the runner to end")


@pytest.mark.parametrize("runs", [False, True], ids=["no worker", "a runner"])
def test_a_job_in_the_callers_own_transaction_starts_after_its_commit(project, runs):
    """No worker runs, or one that is about to leave: nothing blocks, and the job runs when the caller has committed."""
    app = project.app(spawn="auto", idle_exit=0.1)
    migrate(app.database)
    if runs:
        finished(app, app.run_background_job("app.jobs.add", parameters={"a": 1}))
    with contextlib.closing(sqlite3.connect(app.database.path, isolation_level=None)) as connection:
        connection.execute("begin immediate")
        began = time.monotonic()
        job_id = app.run_background_job("app.jobs.add", parameters={"a": 1}, connection=connection)
        assert time.monotonic() - began < 2.0
        time.sleep(1.0)  # longer than a runner stays idle
        assert reads.status(app.database, job_id) is None
        connection.execute("commit")
    until(lambda: reads.status(app.database, job_id) == "completed")


def test_a_runner_outlasts_a_transaction_longer_than_the_busy_timeout(project):
    """The caller commits when everybody has given up waiting for the database once: the job runs all the same."""
    app = project.app(spawn="auto", idle_exit=0.1, busy_timeout=0.3)
    migrate(app.database)
    with contextlib.closing(sqlite3.connect(app.database.path, isolation_level=None)) as connection:
        connection.execute("begin immediate")
        job_id = app.run_background_job("app.jobs.add", parameters={"a": 1}, connection=connection)
        time.sleep(2.0)
        connection.execute("commit")
    until(lambda: reads.status(app.database, job_id) == "completed")


def test_a_job_in_a_script_that_is_run_directly(project):
    """`python orders.py` works: the runner imports it as `orders`, without running it a second time."""
    (project.folder / "orders.py").write_text(SCRIPT)
    environment = project.environment()
    for name in ("LATESHIFT_ALLOWED", "PYTHONPATH"):
        del environment[name]
    done = subprocess.run(
        [sys.executable, "orders.py"], cwd=project.folder, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("order 123 processed\n", "")


@pytest.mark.parametrize("isolated", [False, True], ids=["in a worker", "isolated"])
def test_nothing_is_imported_from_a_current_folder_that_is_not_the_scripts(project, isolated):
    """`python /path/to/orders.py` looks for modules beside the script, and so do all processes that run its jobs."""
    text = SCRIPT.replace("    def handle", "    isolation = 'process'\n\n    def handle") if isolated else SCRIPT
    (project.folder / "orders.py").write_text(text)
    foreign = project.folder / "foreign"
    foreign.mkdir()
    for name in ("secrets", "queue", "msgspec"):
        (foreign / f"{name}.py").write_text("open('imported', 'w').close()\nraise SystemExit(1)\n")
    environment = project.environment()
    for name in ("LATESHIFT_ALLOWED", "PYTHONPATH"):
        del environment[name]
    command = [sys.executable, str(project.folder / "orders.py")]
    done = subprocess.run(command, cwd=foreign, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("order 123 processed\n", "")
    assert not (foreign / "imported").exists()


RUN = """
import sys
sys.path[:0] = sys.argv[2:]
import lateshift
print(lateshift.wait_for_job(lateshift.run_background_job(sys.argv[1]), 20).result)
"""


def run_by(python: list[str], project, *arguments: str) -> str:
    """What a program prints, run by that Python, that enqueues a job and waits for it."""
    command = [*python, "-c", RUN, *arguments]
    done = subprocess.run(
        command, cwd=project.folder, env=project.environment(), capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="no links to make the folders of")
def test_a_runner_starts_from_packages_that_its_interpreter_does_not_know(project):
    """A program that has put each package on its module path itself, from where no interpreter looks, as a PEX does."""
    folders = [project.folder]
    for package in ("lateshift", "msgspec", "dotenv", "psutil"):
        folders.append(project.folder / "packages" / package)
        folders[-1].mkdir(parents=True)
        (folders[-1] / package).symlink_to(Path(find_spec(package).origin).parent)
    bare = [os.path.realpath(sys.executable), "-sES"]
    assert run_by(bare, project, "app.jobs.options_of_python", *map(str, folders)).startswith("[0, ")


def test_the_options_of_python_are_those_of_the_program(project):
    """They reach a job's own process, three starts away: `-O` and `-W error` said something else there."""
    python = [sys.executable, "-I", "-O", "-X", "utf8", "-W", "error::FutureWarning"]
    told = run_by(python, project, "app.jobs.options_of_python", str(project.folder))
    assert told == "[1, 1, 1, ['error::FutureWarning']]\n"


def test_a_script_without_a_guard_does_not_enqueue_for_ever(project):
    """Importing the script to run its job would enqueue again: that is refused, and the job says so."""
    (project.folder / "orders.py").write_text(SCRIPT.replace('if __name__ == "__main__":', "if True:"))
    environment = project.environment()
    for name in ("LATESHIFT_ALLOWED", "PYTHONPATH"):
        del environment[name]
    subprocess.run([sys.executable, "orders.py"], cwd=project.folder, env=environment, capture_output=True, check=False)
    app = project.app()
    job = app.list_jobs()[0]
    assert (job.status, job.attempts, len(app.list_jobs())) == ("failed", 1, 1)
    assert '__name__ == "__main__"' in job.error.message


def test_a_spawn_that_fails_leaves_the_job_stored(project, monkeypatch):
    """The error names the job and the remedy; the job is there for the next worker."""
    app = project.app(spawn="auto")
    monkeypatch.setattr(sys, "executable", str(project.folder / "no-python"))
    monkeypatch.setattr(sys, "prefix", str(project.folder))
    with pytest.raises(errors.SpawnError, match=r"^The job is stored\. No runner .*`lateshift work`") as caught:
        app.run_background_job("app.jobs.add", parameters={"a": 1})
    assert app.get_job(caught.value.job_id).status == "pending"
    monkeypatch.undo()
    os.chdir(project.folder)
    project.worker()
    assert finished(app, caught.value.job_id).status == "completed"


def test_each_database_has_a_runner_of_its_own(project):
    """A program that was given another database did not get a runner for it, for as long as the old one had work."""
    before, after = (
        project.app(spawn="auto", idle_exit=0.5, database_url=f"sqlite:///{name}.db") for name in ("before", "after")
    )
    waits = before.run_background_job("app.jobs.add", parameters={"a": 1}, delay=3600)
    until(lambda: runners(before))
    job_id = after.run_background_job("app.jobs.add", parameters={"a": 1})
    assert finished(after, job_id).status == "completed"
    assert runners(before)
    before.cancel_job(waits)
    until(lambda: not runners(before) and not runners(after), what="both to leave")


def test_jobs_run_in_the_projects_root(project):
    """Wherever the program was that started the runner."""
    (project.folder / "app/places.py").write_text("import os\ndef here() -> str:\n    return os.getcwd()\n")
    code = "import lateshift; print(lateshift.run_background_job('app.places.here'))"
    environment = project.environment(
        LATESHIFT_ROOT=str(project.folder), LATESHIFT_IDLE_EXIT="0.2", PYTHONPATH=str(project.folder)
    )
    (elsewhere := project.folder / "below").mkdir()
    job_id = subprocess.check_output([sys.executable, "-c", code], cwd=elsewhere, env=environment, text=True).strip()
    assert Path(finished(project.app(), job_id).result).samefile(project.folder)
