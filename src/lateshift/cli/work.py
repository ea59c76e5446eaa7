"""`work`: the worker processes of a machine, under one supervisor."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import Final

import click

from lateshift.app import Lateshift
from lateshift.cli.base import Refusal, open_app, tell
from lateshift.cli.completion import queue_names
from lateshift.cli.trial import trial
from lateshift.errors import StorageError
from lateshift.host.presence import Presence, presence_folder
from lateshift.host.registration import id_prefix, new_worker_id
from lateshift.options import LEAST_MEMORY, check_queue, to_bytes
from lateshift.settings import cores, mask_url
from lateshift.storage import reads
from lateshift.storage.database import Database
from lateshift.storage.migrations import go_on_with_newer, refuse_other
from lateshift.storage.workers import remove_worker
from lateshift.version import VERSION
from lateshift.wording import count


class Size(click.ParamType[int]):
    """A number of bytes, with K, M or G for the powers of 1024."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes for a text such as 500M."""
        size = to_bytes(str(value))
        if size is None or size < LEAST_MEMORY:
            self.fail(f"{value!r} is no size of 1M or more: write it like 500M or 2G.", param, ctx)
        return size


@click.command()
@click.option("--queues", metavar="A,B", shell_complete=queue_names, help="Serve only these queues. Default: all.")
@click.option("--processes", type=click.IntRange(1, 1000), metavar="N", help="Worker processes. Default: one per core.")
@click.option(
    "--threads",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Sync jobs at once in each. Default: LATESHIFT_THREADS.",
)
@click.option("--burst", is_flag=True, help="End when nothing is due any more.")
@click.option("--max-jobs", type=click.IntRange(1), metavar="N", help="Replace a process after so many jobs.")
@click.option("--max-memory", type=Size(), metavar="SIZE", help="Replace a process that takes more, such as 500M.")
def work(
    queues: str | None,
    processes: int | None,
    threads: int | None,
    *,
    burst: bool,
    max_jobs: int | None,
    max_memory: int | None,
) -> int:
    """Run jobs until Ctrl-C or SIGTERM.

    The first stops in good order: running jobs get LATESHIFT_GRACE seconds, what is left goes back to its queue. The
    second stops now.
    """
    from lateshift.runtime.process import TakeBack, make_supervisor

    served = tuple(map(_queue, queues.split(","))) if queues is not None else ()
    app = open_app(create=True, threads=threads)
    _refuse_unusable(app)
    go_on_with_newer()  # it has seen the schema: after an upgrade it goes on, as its workers do
    processes = processes or cores()
    take_back = TakeBack(app)
    supervisor = make_supervisor(
        app,
        take_back,
        processes,
        "worker",
        on_event=lambda text: _tell(_with_count(take_back.db, text)),
        queues=served,
        burst=burst,
        max_jobs=max_jobs,
        max_memory=max_memory,
    )
    _greet(app, served, processes)
    with nullcontext() if burst else trial(_tell):  # a burst may be over before that, and begin each minute
        return supervisor.run()


def _queue(name: str) -> str:
    if not name.strip():
        raise Refusal("--queues has an empty name: write them as mail,orders, or leave it out to serve all queues.")
    return check_queue(name.strip())


def _refuse_unusable(app: Lateshift) -> None:
    """What no worker could work with is told here, and not by every worker for ever.

    A database that is not ours, or may only be read; a folder in which nobody can have a lock.
    """
    refuse_other(app.database)
    remove_worker(app.database, "")  # nobody is called so: it changes nothing, and who may only read is refused
    app.database.close()
    place = Presence(presence_folder(app.settings), new_worker_id(), 1)
    place.acquire()
    place.release()


def _greet(app: Lateshift, queues: tuple[str, ...], processes: int) -> None:
    tell(f"Lateshift {VERSION} on {mask_url(app.settings.database_url)}")
    tell(
        f"{count(processes, 'worker process', 'worker processes')} with {count(app.settings.threads, 'thread')} each; "
        f"queues: {', '.join(queues) or 'all'}; Ctrl-C stops in good order."
    )


def _with_count(db: Database, text: str) -> str:
    """What the supervisor tells; when it begins to stop, with what runs and how to hurry."""
    if not text.startswith("stopping:"):
        return text
    try:
        workers = [worker.id for worker in reads.workers(db) if worker.id.startswith(id_prefix())]
        running = sum(len(reads.running_jobs(db, worker)) for worker in workers)
        db.close()
    except StorageError:
        return f"{text}; again to stop now"
    return f"stopping, {count(running, 'job')} running, again to stop now"


def _tell(text: str) -> None:
    tell(f"{time.strftime('%H:%M:%S')} {text}")


COMMANDS: Final = (work,)
