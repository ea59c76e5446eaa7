"""The processes of a run: supervisors with their workers, enqueuers, and the runners that start by themselves.

They are on one host for SQLite. For a server they are on two, `left` and `right`, which have names, storage folders,
clocks and ways to the database of their own. Whatever runs for this run bears its mark in the environment, so it is
found wherever it came from.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import chaos_journal as journal
import psutil
from enqueuer import QUEUES
from proxy import Proxy

from lateshift import Lateshift
from lateshift.storage import open_database
from lateshift.storage.migrations import migrate

HERE = Path(__file__).resolve().parent
MARK = "CHAOS_RUN"

DISK_SIZE = 64 << 20

Role = Literal["supervisor", "worker", "runner", "child", "enqueuer", "other"]

ROLES: dict[str, Role] = {
    "-m lateshift work": "supervisor",
    "lateshift.runtime.process import main; main() worker": "worker",
    "lateshift.runtime.process import main; main() runner": "runner",
    "lateshift.runtime.child import main; main()": "child",
    "enqueuer.py": "enqueuer",
}


class Host:
    """A machine: its name, its storage folder, its clock, and its way to the database."""

    def __init__(self, name: str, folder: Path, url: str) -> None:
        self.name = name
        self.storage = folder / name
        self.storage.mkdir()
        self.disk = small_disk(self.storage) if url.startswith("sqlite") else None
        self.shift = folder / f"{name}.shift"
        self.proxy: Proxy | None = None
        self.url = url.replace("STORAGE", str(self.storage))
        if port := urlsplit(self.url).port:
            self.proxy = Proxy(port)
            self.url = self.url.replace(f":{port}/", f":{self.proxy.port}/")


class Cluster:
    """A project in a folder, and what runs there; `url` is that of an empty database, None for SQLite."""

    def __init__(self, folder: Path, url: str | None, seed: int) -> None:
        self.folder = folder
        self.seed = seed
        self.mark = secrets.token_hex(6)
        names = ("left", "right") if url else ("left",)
        self.hosts = [Host(name, folder, url or "sqlite:///STORAGE/lateshift.db") for name in names]
        self.direct = url or self.hosts[0].url
        self.version = 0
        self._started: list[subprocess.Popen[bytes]] = []
        self._enqueuers = 0
        self._write_project()
        os.environ.update(self._environment(self.hosts[0]))  # for the runners that our own calls start
        sys.path.insert(0, str(folder))
        with contextlib.closing(open_database(self.app().settings, as_is=True)) as database:
            migrate(database)

    def app(self, **settings: Any) -> Lateshift:
        """An application object of ours, on the host `left` but with a way to the database that nobody cuts."""
        given = {"allowed": ["app"], "database_url": self.direct, "spawn": "never", "database_timeout": 60.0}
        return Lateshift(**{**given, "storage_dir": self.hosts[0].storage, **settings})

    def start_supervisor(self, host: Host) -> None:
        command = ["-m", "lateshift", "work", "--processes", "2", "--queues", ",".join(QUEUES)]
        self._start(host, *command, LATESHIFT_SPAWN="never")

    def start_enqueuer(self, host: Host) -> None:
        self._enqueuers += 1
        name = f"e{self._enqueuers}"
        self._start(host, str(HERE / "enqueuer.py"), name, f"{self.seed}-{name}", LATESHIFT_SPAWN="auto")

    def processes(self, role: Role | None = None, host: Host | None = None) -> list[psutil.Process]:
        """What runs now, of a role and on a host, in the order of its start."""
        found = [p for p, r, h in self._census() if role in (None, r) and (host is None or h == host.name)]
        return sorted(found, key=lambda process: (process.create_time(), process.pid))

    def deploy(self) -> int:
        """Put a new version of the jobs' module in place, as a whole; returns its number."""
        self.version += 1
        new = self.folder / "app/new"
        new.write_text((HERE / "chaos_jobs.py").read_text().replace("VERSION = 1", f"VERSION = {self.version}"))
        new.replace(self.folder / "app/jobs.py")
        return self.version

    def collect(self) -> None:
        """Take note of what has ended, so that none of our children stays a zombie."""
        self._started = [process for process in self._started if process.poll() is None]

    def stop(self, role: Role, seconds: float) -> bool:
        """Ask all of a role to end in good order; whether they have within the time."""
        for process in self.processes(role):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        return wait_until(lambda: self.collect() or not self.processes(role), seconds)

    def close(self) -> None:
        """End whatever is left."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        wait_until(lambda: self.collect() or not self.processes(), 10)
        for host in self.hosts:
            if host.proxy:
                host.proxy.close()
            if host.disk:
                shutil.copytree(host.storage, host.storage.with_name(f"{host.name}-was"), dirs_exist_ok=True)
                subprocess.run(["umount", "--lazy", str(host.disk)], check=True)  # what failed may hold a file open
                host.disk = None

    def _write_project(self) -> None:
        for name in ("app", "journals", "out"):
            (self.folder / name).mkdir()
        (self.folder / "app/__init__.py").touch()
        (self.folder / "sitecustomize.py").write_text((HERE / "chaos_site.py").read_text())
        self.deploy()

    def _start(self, host: Host, *arguments: str, **environment: str) -> None:
        out = self.folder / "out" / f"{host.name}-{len(list((self.folder / 'out').iterdir()))}.log"
        with out.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                env=self._environment(host) | environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        self._started.append(process)

    def _environment(self, host: Host) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LATESHIFT_")}
        return {
            **inherited,
            MARK: self.mark,
            "CHAOS_HOST": host.name,
            "CHAOS_SHIFT": str(host.shift),
            "CHAOS_JOURNALS": str(self.folder / "journals"),
            "PYTHONPATH": os.pathsep.join([str(self.folder), str(HERE), *sys.path]),
            "LATESHIFT_ALLOWED": "app",
            "LATESHIFT_DATABASE_URL": host.url,
            "LATESHIFT_STORAGE_DIR": str(host.storage),
            "LATESHIFT_IDLE_EXIT": "2",
            "LATESHIFT_GRACE": "3",
            "LATESHIFT_THREADS": "4",
            "LATESHIFT_CHILDREN": "2",
            "LATESHIFT_DATABASE_TIMEOUT": "5",
        }

    def _census(self) -> Iterator[tuple[psutil.Process, Role, str]]:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                environment = process.environ()
                if environment.get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    said = " ".join(process.cmdline())
                    role = next((role for words, role in ROLES.items() if words in said), "other")
                    yield process, role, environment["CHAOS_HOST"]


def small_disk(folder: Path) -> Path | None:
    """The folder as a file system of its own, which can be filled without harm to others; None where we may not."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return None
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_SIZE}", "tmpfs", str(folder)]
    return folder if subprocess.run(mount, check=False, capture_output=True).returncode == 0 else None


def wait_until(condition: Any, seconds: float) -> bool:
    """Wait until `condition` gives something true; whether that was in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def signal_all(processes: list[psutil.Process], number: signal.Signals) -> list[int]:
    """Send a signal to each that is still there; returns whom it reached."""
    reached = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
            reached.append(process.pid)
    return reached


def journals(cluster: Cluster) -> Path:
    """Where the run's journals are."""
    return cluster.folder / "journals"


def fault(cluster: Cluster, what: str, **facts: Any) -> None:
    """Tell the journal of a fault."""
    journal.tell(journal.FAULTS, what, where=journals(cluster), **facts)
