"""The entry of every background process: `python -m lateshift.runtime.process worker|runner`.

The supervisor starts workers so, with a pipe on their standard input; `host.spawn` starts the runner so. What they are
to do comes in the environment variable `_LATESHIFT_PROCESS`, the settings in the usual ones.
"""

from __future__ import annotations

import faulthandler
import json
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from lateshift.app import Lateshift
from lateshift.default import set_app
from lateshift.host.fleet import host_name, is_alive
from lateshift.host.logs import capture_logging, delete_old
from lateshift.host.presence import Presence, try_lock
from lateshift.host.spawn import describe_process
from lateshift.runtime.crew import Crew
from lateshift.runtime.duties import Cancellations, Prune, Reports, Rescue, Statistics, rescue
from lateshift.runtime.execution import Execution
from lateshift.runtime.supervisor import RECYCLE, Supervisor
from lateshift.runtime.wake import make_wake
from lateshift.runtime.worker import Reason, Worker, WorkerConfig
from lateshift.settings import Settings, to_environment
from lateshift.storage import open_database, reads
from lateshift.storage.workers import NewWorker

RUNNER_LOCK: Final = "runner.only"
PATIENCE: Final = 3.0
"""Seconds that a worker's control thread waits for a server at once: it has signals and timeouts to look after."""

TAKE_OVER: Final = 10.0
"""Seconds that a new runner waits for the one before, which is about to end, to leave its lock."""


def presence_folder(settings: Settings) -> Path:
    """Where the locks lie by which the processes of this host see each other."""
    return settings.storage_dir / "run"


def run_worker(config: WorkerConfig, app: Lateshift) -> Reason:
    """Be a worker in this process until there is a reason to end."""
    settings, folder = app.settings, Path(config.folder)
    db = open_database(settings, timeout=min(PATIENCE, settings.database_timeout))
    presence = Presence(folder, config.worker)
    presence.acquire()
    wake = make_wake(db)
    reports = Reports(db)
    execution = Execution(settings, db.reckon, reports.report)
    crew = Crew(config.worker, settings, execution, presence, wake, reports.report)
    reports.watch(crew)
    worker = Worker(config, db, app.events, crew, execution, wake, app.clock)
    worker.duties += [
        Cancellations(db, config.worker, crew),
        reports,
        Rescue(db, app.events, config.worker),
        Prune(db, settings.keep_days, lambda: delete_old(settings.storage_dir / "logs", settings.log_days)),
        Statistics(db, app.events, config.worker),
    ]
    _listen(worker)
    version = sys.modules["lateshift"].__version__
    row = NewWorker(config.worker, config.kind, host_name(), os.getpid(), str(folder), config.queues, version)
    reason = worker.run(row)
    presence.release()
    wake.close()
    if reason == "idle" and reads.anything_waiting(db, config.queues):
        return "recycle"  # it was stored by somebody who still found our lock held: see host.fleet.Neighbours
    return reason


def main() -> None:
    """Do what the command line and the environment say."""
    faulthandler.enable()
    told = json.loads(os.environ.pop("_LATESHIFT_PROCESS", "{}"))
    if "path" in told:
        sys.path[:] = told["path"]
    sys.exit(_runner() if sys.argv[1:] == ["runner"] else _worker(told))


def make_supervisor(
    app: Lateshift, count: int, kind: str, on_event: Callable[[str], None] = lambda _: None, **config: Any
) -> Supervisor:
    """A supervisor over `count` worker processes, each with a name of its own; `config` is `WorkerConfig`'s."""
    folder = presence_folder(app.settings)
    grace = app.settings.grace

    def configure(_: int) -> dict[str, Any]:
        worker = f"{host_name()}-{os.getpid()}-{secrets.token_hex(3)}"
        told = {"worker": worker, "folder": str(folder), "kind": kind, "grace": grace, **config}
        return {**told, **describe_process()}

    def take_back(worker: str) -> None:
        rescue(app.database, app.events, worker, str(folder))
        app.database.close()  # the supervisor holds no connection while nothing happens

    environment = to_environment(app.settings)
    return Supervisor(count, configure, take_back, grace=grace, on_event=on_event, environment=environment)


def _worker(told: dict[str, Any]) -> int:
    config = msgspec.convert({k: v for k, v in told.items() if k in WorkerConfig.__struct_fields__}, WorkerConfig)
    app = Lateshift()
    set_app(app)
    capture_logging(app.settings)
    reason = run_worker(config, app)
    sys.stdout.flush()
    code = 0 if reason in ("stopped", "done", "idle") else RECYCLE
    os._exit(code)  # a job's thread that never ends must not keep the process


def _runner() -> int:
    """Be the runner: a supervisor over one worker that ends when it is idle. Only one can be, on this host."""
    app = Lateshift()
    deadline = time.monotonic() + TAKE_OVER
    while (lock := try_lock(presence_folder(app.settings) / RUNNER_LOCK)) is None:
        now = app.database.now()
        if any(w.kind == "runner" and is_alive(w, now) for w in reads.workers(app.database)):
            return 0  # another one runs and will see our job
        if time.monotonic() > deadline:
            return 0
        time.sleep(0.02)
    app.database.close()
    code = make_supervisor(app, 1, "runner", idle_exit=app.settings.idle_exit).run()
    os.close(lock)
    return code


def _listen(worker: Worker) -> None:
    """Hear the supervisor on standard input, and its death, which is the end of it; and signals."""
    for name in ("SIGTERM", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: worker.tell("stop"))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of a terminal's processes; the supervisor decides
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_take_no_signals)

    def read() -> None:
        for line in sys.stdin:
            worker.tell("now" if line.strip() == "now" else "stop")
        worker.tell("stop")

    threading.Thread(target=read, name="lateshift-listen", daemon=True).start()


def _take_no_signals() -> None:
    """What a job forks is no worker: SIGTERM ends it (`multiprocessing` counts on that), and Ctrl-C as well."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    main()
