"""A project in a temporary folder, and real processes that work on it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from lateshift import Job, Lateshift
from lateshift.errors import WaitTimeout
from lateshift.explain import explain
from lateshift.host.fleet import host_name, is_alive
from lateshift.storage import open_database, reads
from lateshift.storage.migrations import migrate

JOBS = Path(__file__).with_name("jobs_of_the_project.py").read_text()


def until(condition: Callable[[], Any], seconds: float = 20.0, what: str = "") -> Any:
    """Wait until `condition` gives something true, and return that."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {seconds} s: {what or condition}")


def gone(pid: int) -> bool:
    """Whether a process has ended, collected or not; it may do so while we look."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Project:
    """A folder with `app/jobs.py`, its settings, and what the tests start in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings: dict[str, Any] = {
            "allowed": ["app"],
            "database_url": f"sqlite:///{folder.as_posix()}/storage/lateshift.db",
            "storage_dir": folder / "storage",
            "idle_exit": 0.5,
            "retry_delay": 0.05,
            "spawn": "never",
            "log_level": "DEBUG",
        }
        self._workers: list[WorkerProcess] = []

    def use(self, url: str) -> None:
        """Put the jobs on a database server, with the tables made."""
        self.settings["database_url"] = url
        with contextlib.closing(open_database(self.app().settings, as_is=True)) as database:
            migrate(database)

    def app(self, **settings: Any) -> Lateshift:
        """An application object of this project; by default it starts no runner."""
        return Lateshift(**{**self.settings, **settings})

    def worker(self, **config: Any) -> WorkerProcess:
        """Start a worker process and wait until it has registered."""
        worker = WorkerProcess(self, config)
        self._workers.append(worker)
        return worker

    def environment(self, **more: str) -> dict[str, str]:
        """What a process of this project needs to see."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LATESHIFT_")}
        ours = {
            "LATESHIFT_ALLOWED": "app",
            "LATESHIFT_DATABASE_URL": self.settings["database_url"],
            "LATESHIFT_STORAGE_DIR": str(self.settings["storage_dir"]),
            "LATESHIFT_IDLE_EXIT": "0.5",
            "LATESHIFT_RETRY_DELAY": "0.05",
            "LATESHIFT_LOG_LEVEL": "DEBUG",
            "PYTHONPATH": str(self.folder),
        }
        return {**inherited, **ours, **more}

    def journal(self, name: str = "journal") -> list[str]:
        """The lines that jobs wrote into a file of the project."""
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def logs(self, kind: str = "background-jobs-2") -> str:
        """What stands in the log files of today."""
        return "".join(path.read_text() for path in sorted((self.folder / "storage/logs").glob(f"{kind}*.log")))

    def close(self) -> None:
        """End what is left, by the process ids that were started."""
        for worker in self._workers:
            worker.kill()
        app = self.app()
        now = app.database.now()
        until(
            lambda: not any(w.kind == "runner" and is_alive(w, now) for w in reads.workers(app.database)),
            what="the runner to end",
        )
        app.close()


@contextlib.contextmanager
def project_in(folder: Path) -> Iterator[Project]:
    """An empty project in a folder; this process is in it too, and imports its modules as those of no other."""
    (folder / "app").mkdir(parents=True)
    (folder / "app/__init__.py").touch()
    (folder / "app/jobs.py").write_text(JOBS)
    project = Project(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        for name in [name for name in sys.modules if name == "app" or name.startswith("app.")]:
            patch.delitem(sys.modules, name)
        yield project
        for name in [name for name in sys.modules if name == "app" or name.startswith("app.")]:
            del sys.modules[name]
    project.close()


class WorkerProcess:
    """A worker process as a supervisor starts it."""

    def __init__(self, project: Project, config: dict[str, Any]) -> None:
        self.id = f"{host_name()}-{secrets.token_hex(4)}"
        self.project = project
        environment = config.pop("env", {})
        told = {"worker": self.id, "folder": str(project.folder / "storage/run"), "grace": 5.0, **config}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lateshift.runtime.process", "worker"],
            stdin=subprocess.PIPE,
            env=project.environment(_LATESHIFT_PROCESS=json.dumps(told), **environment),
            cwd=project.folder,
        )
        app = project.app()
        until(
            lambda: any(w.id == self.id for w in reads.workers(app.database)) or self.process.poll() is not None,
            what="the worker to register",
        )
        app.close()

    def say(self, word: str) -> None:
        """Tell it what a supervisor would."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n".encode())
        self.process.stdin.flush()

    def suspend(self) -> None:
        """Stop it in its tracks, as SIGSTOP does; it stands when this returns."""
        process = psutil.Process(self.process.pid)
        process.suspend()
        if sys.platform != "win32":
            until(lambda: process.status() == psutil.STATUS_STOPPED, what="the process to stand")

    def resume(self) -> None:
        """Let it go on."""
        psutil.Process(self.process.pid).resume()

    def ended(self, seconds: float = 20.0) -> int:
        """Wait for its end; its exit code."""
        return self.process.wait(seconds)

    def kill(self) -> None:
        """End it hard, if it is still there."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        with contextlib.suppress(OSError):
            if self.process.stdin is not None:
                self.process.stdin.close()


def finished(app: Lateshift, job_id: str, seconds: float = 20.0) -> Job:
    """Wait for a job's end and return it; what has become of one that does not end is told."""
    try:
        return app.wait_for_job(job_id, seconds)
    except WaitTimeout as error:
        history = (f"{attempt.outcome} by {attempt.worker}: {attempt.error}" for attempt in app.get_job(job_id).history)
        error.add_note("\n".join((*explain(app, job_id).sentences, *history)))
        raise
