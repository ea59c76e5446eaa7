"""The entry of every background process: `main()`, as `worker` or `runner`.

The supervisor starts workers so, with a pipe on their standard input; `host.spawn` starts the runner so. What they are
to do comes in the environment variable `_LATESHIFT_PROCESS`, the settings in the usual ones.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
from collections.abc import Callable, Collection
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace

from lateshift import django
from lateshift.app import Lateshift
from lateshift.clock import Clock
from lateshift.default import set_app, widen_by
from lateshift.errors import LateshiftError, StorageError, StorageUnavailable
from lateshift.host.fleet import ensure_runner
from lateshift.host.job_logs import capture_logging
from lateshift.host.logs import delete_old
from lateshift.host.permits import grant, granted, with_entries, withdraw
from lateshift.host.presence import (
    Presence,
    is_leaving,
    presence_folder,
    runner_file,
    signed_off,
    try_lock,
    was_dismissed,
)
from lateshift.host.registration import new_worker_id, worker_of_this_process
from lateshift.host.spawn import PROCESS_VARIABLE, describe_process, take_path, unpacked_anew
from lateshift.host.turn import end_turn
from lateshift.runtime import wall
from lateshift.runtime.crew import Crew, slots_of
from lateshift.runtime.duties import Cancellations, Prune, Reports, Rescue, Sweep, rescue
from lateshift.runtime.execution import Execution
from lateshift.runtime.history import Compaction, Statistics
from lateshift.runtime.missing import Missing
from lateshift.runtime.output import complain, flush, prepare
from lateshift.runtime.parent import Parent
from lateshift.runtime.requests import Requests
from lateshift.runtime.supervisor import Supervisor
from lateshift.runtime.terms import CUT_OFF, Reason, WorkerConfig, exit_code
from lateshift.runtime.wake import Wake, make_wake
from lateshift.runtime.worker import Worker
from lateshift.settings import Settings, to_environment
from lateshift.settings_sources import env_name
from lateshift.storage import open_database, reads, workers
from lateshift.storage.database import Database
from lateshift.storage.migrations import go_on_with_newer
from lateshift.storage.workers import NewWorker
from lateshift.version import VERSION

SERVER_PATIENCE: Final = 3.0
"""Seconds that a worker's control thread waits for a server at once: it has signals and timeouts to look after."""

SUPERVISOR_PATIENCE: Final = 1.0
"""Seconds that a supervisor waits for a database at once, for the same reason; what it cannot do, its workers do."""

GIVE_UP_AFTER: Final = 40
"""Workers that died at once, one after the other, before a runner leaves: three minutes if each dies in its first
second, ten if each looks for a server in vain. Nobody else would ever stop it."""


def run_worker(config: WorkerConfig, app: Lateshift) -> tuple[Reason, bool]:
    """Be a worker in this process until there is a reason to end; that, and whether jobs still ran then."""
    folder, parent = Path(config.folder), Parent()
    db = open_database(app.settings, timeout=min(SERVER_PATIENCE, app.settings.database_timeout))
    presence = Presence(folder, config.worker, sum(slots_of(app.settings).values()))
    presence.acquire()
    wake = make_wake(db)
    worker = _make_worker(config, app, db, presence, wake)
    app.events.subscribe(Missing(config.worker))
    worker.on_leave = lambda: _call_successor(db, app.settings, config.queues) if parent.lost else None
    parent.listen(worker.tell)
    if config.kind == "runner":
        end_turn(runner_file(app.settings, "turn"))  # before anybody can find it, and kill it in between
    worker.register(_describe(config, app.settings, worker.crew))
    reason = worker.run()
    if worker.vanished:  # then its files tell those who take its jobs back which of them had begun
        presence.leave()
    else:
        presence.release()
    wake.close()
    worker.on_leave()  # again, for what has come back from the jobs that were running
    if reason == "evicted" and config.kind == "runner":  # its file may have gone; its supervisor looks what there is
        return "idle", worker.crew.busy > 0
    if worker.dismissed:  # whatever else there is, nobody is to replace it
        reason = "dismissed" if config.kind == "runner" else "stopped"
    elif reason == "stopped" and not (parent.said_stop or parent.lost):  # a signal to it alone, perhaps a job's
        reason = "idle" if config.kind == "runner" else "recycle"
    return "recycle" if _left_behind(db, config, reason) else reason, worker.crew.busy > 0


def _describe(config: WorkerConfig, settings: Settings, crew: Crew) -> NewWorker:
    return worker_of_this_process(
        config.worker,
        config.folder,
        config.queues,
        kind=config.kind,
        revision=settings.release or VERSION,
        slots=crew.slots,
    )


def _make_worker(config: WorkerConfig, app: Lateshift, db: Database, presence: Presence, wake: Wake) -> Worker:
    settings = app.settings
    reports = Reports(db)
    execution = Execution(settings, db.reckon, reports.report)
    if config.kind == "runner":  # of other workers an operator decides
        execution.code.watched = True
        execution.widen = _widen
    crew = Crew(config.worker, settings, execution, presence, wake, reports.report)
    reports.watch(crew)
    worker = Worker(config, db, app.events, crew, execution, wake, app.clock or Clock())

    worker.on_end = reports.last_words

    def dismiss(how: Literal["drain", "stop"]) -> None:
        if not worker.dismissed:
            _want_runner(settings, wanted=False)  # only who looks from now on finds nobody
            presence.dismiss()
        worker.dismiss(how)

    worker.rota.duties += [
        Requests(db, config.worker, crew, dismiss),
        Cancellations(db, config.worker, crew),
        reports,
        Rescue(db, app.events, config.worker, worker.look_again),
        Prune(db, settings.keep_days, lambda: delete_old(settings.storage_dir / "logs", settings.log_days)),
        Statistics(db, app.events, config.worker),
        Sweep(db, Path(config.folder)),
        Compaction(db),
    ]
    return worker


def _widen(settings: Settings) -> Settings:
    """What was granted to the runner is for what its jobs enqueue and start, too."""
    entries = granted(settings)
    widen_by(partial(with_entries, entries=entries))
    wider = with_entries(settings, entries)
    if wider is not settings:
        os.environ[env_name("allowed")] = to_environment(wider)[env_name("allowed")]
    return wider


def _left_behind(db: Database, config: WorkerConfig, reason: Reason) -> bool:
    """Whether a job waits that somebody stored while this worker could still be found, though it has left of itself."""
    if reason not in ("idle", "done"):
        return False
    try:
        waiting = workers.look(db, config.queues)
    except StorageUnavailable:  # locked for very long, perhaps by somebody who stores a job
        return True
    return any(reason == "idle" or (lane.run_at <= db.now() and not lane.paused) for lane in waiting)


def _call_successor(db: Database, settings: Settings, queues: Collection[str]) -> None:
    """See to it that there is a runner for what waits in these queues; in all, when empty.

    For nobody replaces a worker whose supervisor was killed, or one in whose place another runner may begin.
    """
    try:
        waiting = {lane.queue for lane in workers.look(db, queues)}
        if waiting:
            ensure_runner(db, settings, waiting)
    except LateshiftError as error:
        complain(f"lateshift: no runner was started for the jobs that wait: {error}")


def main() -> None:
    """Do what the command line and the environment say."""
    if sys.stderr is not None:  # as in a program without a console
        faulthandler.enable()
    _undo_inherited()
    told = json.loads(os.environ.pop(PROCESS_VARIABLE, "{}"))
    take_path(told)
    go_on_with_newer()
    django.process_is_ours()
    sys.exit(_runner() if sys.argv[1:] == ["runner"] else _worker(told))


def _undo_inherited() -> None:
    """Undo what the program that started this process ignores, blocks or limits, for that passes to what it starts.

    Without SIGCHLD nobody is told how a process ended, and without SIGTERM nobody can end a runner.
    """
    wall.leave()
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)


class TakeBack:
    """What a supervisor does for a worker that has died: it takes its jobs back, and counts those that failed by it."""

    def __init__(self, app: Lateshift) -> None:
        settings = app.settings
        impatient = replace(settings, busy_timeout=min(SUPERVISOR_PATIENCE, settings.busy_timeout))
        wait = min(SUPERVISOR_PATIENCE, settings.database_timeout)
        self.db = open_database(impatient, app.clock, timeout=wait)
        self._folder = str(presence_folder(settings))
        self._events = app.events
        self._statistics = Statistics(self.db, app.events, new_worker_id())

    def __call__(self, worker: str, how: str) -> None:
        """Do it, or raise StorageError soon: the worker's successor, and each other worker, does it as well."""
        try:
            rescue(self.db, self._events, worker, self._folder, how=how)
            with suppress(StorageError):  # it is written with what the next rescue counts
                self._statistics.tick(0)
        finally:
            self.db.close()  # the supervisor holds no connection while nothing happens


def make_supervisor(
    app: Lateshift,
    take_back: TakeBack,
    count: int,
    kind: str,
    on_event: Callable[[str], None] = lambda _: None,
    on_trouble: Callable[[str], None] | None = None,
    on_stop: Callable[[], None] = lambda: None,
    has_left: Callable[[str], bool] | None = None,
    give_up_after: int | None = None,
    **config: Any,
) -> Supervisor:
    """A supervisor over `count` worker processes, each with a name of its own; `config` is `WorkerConfig`'s."""
    folder = presence_folder(app.settings)
    grace = app.settings.grace

    def configure() -> dict[str, Any]:
        told = {"worker": new_worker_id(), "folder": str(folder), "kind": kind, "grace": grace, **config}
        return {**told, **describe_process()}

    environment = {**to_environment(app.settings), **unpacked_anew()}
    return Supervisor(
        count,
        configure,
        take_back,
        signed_off=lambda worker: signed_off(folder, worker),
        was_dismissed=lambda worker: was_dismissed(folder, worker),
        has_left=has_left,
        grace=grace,
        on_event=on_event,
        on_trouble=on_trouble,
        on_stop=on_stop,
        environment=environment,
        give_up_after=give_up_after,
    )


def _worker(told: dict[str, Any]) -> int:
    config = msgspec.convert({k: v for k, v in told.items() if k in WorkerConfig.__struct_fields__}, WorkerConfig)
    prepare()
    app = Lateshift()
    set_app(app)
    capture_logging(app.settings)
    with suppress(OSError):  # it may not be there, where all paths are absolute
        os.chdir(app.settings.root)  # the same for each job, whoever has started us, and from where
    reason, unfinished = run_worker(config, app)
    flush()
    os._exit(exit_code(reason, unfinished=unfinished))  # a job's thread that never ends must not keep the process


def _runner() -> int:
    """Be the runner: a supervisor over one worker that ends when it is idle. Only one can be, on this host.

    Whoever finds its lock held may go: its holder looks for waiting jobs when it has let go of it. See `host.fleet`.
    """
    app = Lateshift()
    take_back, code = TakeBack(app), 0
    while (lock := _become_the_only(app.settings)) is not None:
        with ExitStack() as only:
            only.callback(os.close, lock)
            grant(app.settings, app.settings.allowed)
            supervisor = make_supervisor(
                app,
                take_back,
                1,
                "runner",
                on_trouble=lambda told: complain(f"lateshift: {told}"),
                on_stop=only.close,
                has_left=partial(_make_room, take_back.db, app.settings, only),
                give_up_after=GIVE_UP_AFTER,
                idle_exit=app.settings.idle_exit,
            )
            code = supervisor.run()
        wanted = (
            runner_file(app.settings, "wanted").exists()
            if supervisor.dismissed
            else _anything_waits(app, unknown=code != CUT_OFF)
        )
        if supervisor.stopping:
            break
        if not wanted:
            if not _anything_waits(app, unknown=True, or_runs=True):
                withdraw(app.settings)
            break
    return code


def _make_room(db: Database, settings: Settings, only: ExitStack, worker: str) -> bool:
    """If the runner's worker takes no more jobs, let another runner begin while its last jobs end; whether it is so."""
    folder = presence_folder(settings)
    if not is_leaving(folder, worker):
        return False
    only.close()
    # Whoever came before and found the lock held has gone.
    if runner_file(settings, "wanted").exists() or not was_dismissed(folder, worker):
        _call_successor(db, settings, ())
        db.close()
    return True


def _become_the_only(settings: Settings) -> int | None:
    only = runner_file(settings, "only")
    _want_runner(settings, wanted=True)  # before we look at the lock: its holder looks at this when it has let go
    lock = try_lock(only)
    if lock is None:
        end_turn(runner_file(settings, "turn"))
        # And look again: whoever relied on our turn is now seen by the one who has the lock.
        lock = try_lock(only)
    if lock is not None:
        _want_runner(settings, wanted=False)
    return lock


def _want_runner(settings: Settings, *, wanted: bool) -> None:
    """Mark that a runner was started, perhaps while there is one, because somebody found nobody who takes jobs."""
    mark = runner_file(settings, "wanted")
    with suppress(OSError):  # without it, the next enqueue starts a runner
        if wanted:
            mark.touch()
        else:
            mark.unlink(missing_ok=True)


def _anything_waits(app: Lateshift, *, unknown: bool, or_runs: bool = False) -> bool:
    if app.database.file is not None and not os.path.exists(app.database.file):  # to look would make a new one
        return False
    try:
        return bool((or_runs and reads.held_jobs(app.database)) or workers.look(app.database, ()))
    except StorageError:
        return unknown
    finally:
        app.database.close()


if __name__ == "__main__":
    main()
