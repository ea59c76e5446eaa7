"""`queues` and `workers`: what waits, and which processes work."""

from __future__ import annotations

from typing import Final

import click

from lateshift.app import Lateshift
from lateshift.cli.base import Refusal, open_app, tell
from lateshift.cli.completion import queue_names, worker_names
from lateshift.cli.output import json_option, print_json, print_table, when
from lateshift.cli.shapes import QUEUE_KEYS, WORKER_KEYS, queue_shape, worker_shape
from lateshift.host.fleet import ANSWER, await_no_claims, host_name, is_alive, living
from lateshift.job import to_datetime
from lateshift.screen import Column
from lateshift.storage import reads, requests
from lateshift.storage.counting import Count
from lateshift.storage.reads import QueueRow
from lateshift.storage.workers import claims_jobs, releases, served
from lateshift.wording import duration

QUEUE_COLUMNS: Final = (
    Column("QUEUE", needed=True, cut="end"),
    Column("STATE", needed=True),
    Column("WAITING", right=True),
    Column("DELAYED", right=True),
    Column("RUNNING", right=True),
    Column("LONGEST WAIT", right=True),
)
WORKER_COLUMNS: Final = (
    Column("WORKER", needed=True),
    Column("KIND"),
    Column("STATE", needed=True),
    Column("RUNNING", right=True),
    Column("STARTED"),
    Column("PID", right=True),
    Column("RELEASE", cut="end"),
    Column("QUEUES"),
)


@click.group(invoke_without_command=True)
@json_option(f"an array of queues: {QUEUE_KEYS}")
@click.pass_context
def queues(context: click.Context, *, as_json: bool) -> None:
    """List the queues, or pause and resume one."""
    if _goes_on(context, as_json=as_json):
        return
    app = open_app()
    now = app.database.now()
    rows = reads.queues(app.database, now)
    if as_json:
        print_json([queue_shape(row) for row in rows])
    elif rows:
        print_table(QUEUE_COLUMNS, [_queue_row(row, now) for row in rows])
    else:
        click.echo("No jobs are waiting or running, and no queue is paused.")


@queues.command()
@click.argument("name", shell_complete=queue_names)
def pause(name: str) -> None:
    """Let the jobs of a queue wait until it is resumed; running ones finish."""
    app = open_app(create=True)
    told = f"Queue {name} is paused." if app.pause_queue(name) else f"Queue {name} was paused already."
    rows = reads.queues(app.database, app.database.now())
    used = any(row.waiting or row.delayed or row.running for row in rows if row.name == name)
    tell(told if used else f"{told} No job of it waits or runs.{_meant(app, name, rows)}")


def _meant(app: Lateshift, name: str, rows: list[QueueRow]) -> str:
    """A question for who has mistyped the name of a queue."""
    import difflib  # only this needs it

    from lateshift.storage import history

    known = {*history.queue_names(app.database, 0), *(row.name for row in rows)} - {name}
    near = difflib.get_close_matches(name, known, 1)
    return f" Did you mean {near[0]}?" if near else ""


@queues.command()
@click.argument("name", shell_complete=queue_names)
def resume(name: str) -> None:
    """Let the jobs of a paused queue run again."""
    changed = open_app().resume_queue(name)
    click.echo(f"Queue {name} is resumed." if changed else f"Queue {name} was not paused.")


@click.group(invoke_without_command=True)
@json_option(f"an array of workers: {WORKER_KEYS}")
@click.pass_context
def workers(context: click.Context, *, as_json: bool) -> None:
    """List the worker processes, or ask some to stop."""
    if _goes_on(context, as_json=as_json):
        return
    app = open_app()
    now = app.database.now()
    held, release = reads.held_jobs(app.database), releases(app.database)
    rows = [(row, is_alive(row, now)) for row in reads.workers(app.database)]
    if as_json:
        shapes = (
            worker_shape(row, release=release.get(row.id, row.version), alive=alive, running=held[row.id])
            for row, alive in rows
        )
        print_json(list(shapes))
        return
    if not rows:
        never = app.settings.spawn == "never"
        who = "none starts by itself, as LATESHIFT_SPAWN is never" if never else "a runner starts by itself with a job"
        click.echo(f"No workers: {who}; `lateshift work` starts some.")
        return
    cells = [
        (
            row.id,
            row.kind,
            "alive" if alive else "dead",
            str(held[row.id]),
            when(to_datetime(row.started_at)),
            str(row.pid),
            release.get(row.id, row.version),
            served(row.queues),
        )
        for row, alive in rows
    ]
    print_table(WORKER_COLUMNS, cells)


@workers.command()
@click.argument("names", metavar="[WORKER]...", nargs=-1, shell_complete=worker_names)
@click.option("--here", is_flag=True, help="All workers of this host name, runners too.")
@click.option("--drain", is_flag=True, help="Let running jobs take all the time that they need.")
def stop(names: tuple[str, ...], *, here: bool, drain: bool) -> None:
    """Ask workers to stop: they take no more jobs.

    Running jobs get LATESHIFT_GRACE seconds to end. Nothing replaces the workers; a `lateshift work` ends with the last
    of its workers, and a service that is always restarted begins anew. This needs no signals: a service of Windows is
    stopped this way.
    """
    app = open_app()
    now = app.database.now()
    alive = {row.id: row for row in living(reads.workers(app.database), now)}
    wanted = [row.id for row in alive.values() if row.host == host_name()] if here else [*dict.fromkeys(names)]
    if not wanted and not here:
        raise Refusal("Which? Name workers as `lateshift workers` lists them, or give --here for all of this machine.")
    if unknown := [name for name in wanted if name not in alive]:
        raise Refusal(f"No worker {unknown[0]} is alive: `lateshift workers` lists those that are. None was asked.")
    for name in wanted:
        requests.ask(app.database, name, "drain" if drain else "stop", now)
        tell(f"Worker {name} was asked to {'drain: it ends when its jobs have ended' if drain else 'stop'}.")
    if not wanted:
        click.echo(f"No worker is alive on {host_name()}.")
    asked = [name for name in wanted if claims_jobs(alive[name].queues)]
    for name in await_no_claims(app.database, asked, ANSWER):
        tell(f"Worker {name} has not answered within {ANSWER:g} s: it may still take jobs until it does.", err=True)
    if wanted:
        _tell_what_waits(app)


def _tell_what_waits(app: Lateshift) -> None:
    """Tell of jobs that are left without a worker: of those that are due tonight nobody would know."""
    db = app.database
    lanes = reads.lanes(db)
    if not lanes or any(claims_jobs(row.queues) for row in living(reads.workers(db), db.now())):
        return
    waiting = Count.of(sum(row.waiting + row.delayed for row in reads.queues(db, db.now())))
    first = when(to_datetime(min(lane.run_at for lane in lanes)))
    how = "`lateshift work`" if app.settings.spawn == "never" else "the next enqueue, or `lateshift work`,"
    verb = "waits" if waiting.number == 1 else "wait"
    tell(f"{waiting.words('job')} {verb}, the first due at {first}, and no worker is left: {how} starts one.")


def _goes_on(context: click.Context, *, as_json: bool) -> bool:
    """Whether a subcommand follows, which prints no JSON."""
    if context.invoked_subcommand is not None and as_json:
        raise click.UsageError(f"--json is for the list: {context.invoked_subcommand} prints a sentence.")
    return context.invoked_subcommand is not None


def _queue_row(row: QueueRow, now: int) -> tuple[str, ...]:
    longest = "" if row.oldest is None else duration((now - row.oldest) / 1_000_000)
    state = "paused" if row.paused else "open"
    return (row.name, state, str(Count.of(row.waiting)), str(Count.of(row.delayed)), f"{row.running:,}", longest)


COMMANDS: Final = (queues, workers)
