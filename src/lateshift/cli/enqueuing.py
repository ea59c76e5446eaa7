"""`enqueue`, `wait` and `run`: having a job done."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
from datetime import datetime
from typing import Any, Final

import click
import msgspec

from lateshift.app import Lateshift
from lateshift.cli.base import PARAMS, Code, Refusal, complain, duration_of, open_app, perhaps_unread, tell
from lateshift.cli.completion import job_ids, queue_names
from lateshift.cli.output import json_option, print_json, when
from lateshift.cli.permission import Permission
from lateshift.cli.shapes import JOB_KEYS, job_shape
from lateshift.errors import SpawnError, StorageError
from lateshift.host.fleet import living, serves
from lateshift.job import WAITING, Job
from lateshift.screen import as_json_text, clean
from lateshift.storage import reads
from lateshift.wording import as_argument, as_sentence, duration


def moment_of(text: str) -> datetime:
    """A moment of ISO 8601 with its offset from UTC. Ends the command if it is none."""
    with contextlib.suppress(ValueError):
        moment = datetime.fromisoformat(text)
        if moment.utcoffset() is not None:
            return moment
    raise click.BadParameter(f"{text!r} is no moment: 2026-01-31T08:30+01:00, or with Z for UTC.")


@click.command()
@click.argument("callable_path", metavar="CALLABLE")
@click.option("--method", default="handle", show_default=True, metavar="M", help="The method, if CALLABLE is a class.")
@click.option("--params", default="{}", metavar="JSON", help=f"Keyword arguments, such as {PARAMS}.")
@click.option("--priority", type=int, metavar="N", help="1 to 10, 10 first. Default: the job's own, else 1.")
@click.option("--delay", type=duration_of, default=0.0, metavar="S", help="Time before it may start: 90, 5m, 2h, 1d.")
@click.option("--run-at", type=moment_of, metavar="T", help="When it may start instead: 2026-01-31T08:30+01:00.")
@click.option("--queue", metavar="Q", shell_complete=queue_names, help="Default: the job's own, else `default`.")
@click.option("--max-retries", type=int, metavar="N", help="Attempts after the first. Default: the job's own.")
@click.option("--retry-delay", type=duration_of, metavar="S", help="Time before each of these. Default: the job's own.")
@click.option("--timeout", type=duration_of, metavar="S", help="Time that an attempt may take. Default: the job's own.")
@click.option("--max-memory", metavar="M", help="Memory of an isolated job: 500M, 2G. Default: the job's own.")
@click.option("--wait", "wait_for_end", is_flag=True, help="Wait until it is finished and print its result too.")
@json_option(f"the job as one object: {JOB_KEYS}")
def enqueue(
    callable_path: str,
    params: str,
    *,
    wait_for_end: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Store a job and print its id.

    A runner starts by itself if no worker runs. CALLABLE is a dotted name: app.jobs.ProcessOrder or
    app.jobs.send_receipt. With --wait the result follows on a second line, as JSON, and the exit code is 1 unless the
    job completed.
    """
    parameters = _parameters(params)
    app = open_app(create=True)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # what a module prints while it is imported is not our answer
            job_id = app.run_background_job(callable_path, parameters=parameters, **options)
    except SpawnError as error:
        if error.job_id is not None and not as_json:
            click.echo(error.job_id)
        elif error.job_id is not None:
            _print_stored(app, error.job_id)
        raise
    if not as_json:
        with perhaps_unread():
            click.echo(job_id)
    if not wait_for_end:
        if as_json:
            _print_stored(app, job_id)
        return Code.OK
    _warn_if_nothing_moves(app, job_id)
    return _tell_end(app.wait_for_job(job_id), as_json=as_json)


@click.command()
@click.argument("job_id", shell_complete=job_ids)
@click.option("--timeout", type=duration_of, metavar="S", help="Time to wait at most. Default: as long as it takes.")
@json_option(f"the job as one object: {JOB_KEYS}")
def wait(job_id: str, timeout: float | None, *, as_json: bool) -> int:
    """Wait until a job is finished and print its result.

    The result is JSON. The exit code is 1 unless the job completed, and 4 when --timeout passed first.
    """
    if timeout is not None and not timeout >= 0:
        raise Refusal(f"--timeout is in seconds, 0 or more, not {timeout:g}.")
    app = open_app()
    if timeout != 0:
        _warn_if_nothing_moves(app, job_id)
    return _tell_end(app.wait_for_job(job_id, timeout), as_json=as_json)


@click.command()
@click.argument("job_id", shell_complete=job_ids)
@json_option(f"the job as it is afterwards: {JOB_KEYS}")
def run(job_id: str, *, as_json: bool) -> int:
    """Run one waiting job now, in this process.

    It may be delayed, or its queue paused. What the job logs goes to standard error as well. Prints the result as JSON;
    the exit code is 1 unless it completed.
    """
    from lateshift.runtime import output
    from lateshift.runtime.inline import run_one

    app = open_app()
    Permission(app).require(app.get_job(job_id))
    logging.basicConfig(level=app.settings.log_level, format="%(levelname)s %(name)s: %(message)s")
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: give the job back in good order
    click.get_current_context().call_on_close(lambda: signal.signal(signal.SIGTERM, before))
    output.keep_lines_whole()
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        try:
            job = run_one(app, job_id)
        finally:
            output.flush()
    return _tell_end(job, as_json=as_json)


def _print_stored(app: Lateshift, job_id: str) -> None:
    """A job that has just been stored as JSON; its id alone, should the database be away by now."""
    try:
        shape = job_shape(app.get_job(job_id))
    except StorageError:
        shape = {"id": job_id}
    print_json(shape)


def _tell_end(job: Job, *, as_json: bool) -> int:
    """Print what became of a job: the result on standard output, anything else as an error."""
    with perhaps_unread():
        if as_json:
            print_json(job_shape(job))
        elif job.status == "completed":
            click.echo(as_json_text(job.result))
    if job.status == "completed":
        return Code.OK
    complain(_what_happened(job))
    return Code.FAILED


def _what_happened(job: Job) -> str:
    tried = f"attempt {job.attempts} of {job.max_attempts}"
    reason = "" if job.error is None else f" {job.error.type}: {as_sentence(clean(job.error.message).rstrip())}"
    if job.status == "pending_retry":
        return f"Job {job.id} did not complete ({tried}) and runs again at {when(job.run_at)}.{reason}"
    took = job.finished_at - job.started_at if job.finished_at and job.started_at else None
    after = "" if took is None else f" after {duration(took.total_seconds())}"
    return f"Job {job.id} {job.status}{after} ({tried}).{reason} `lateshift show {job.id}` shows all of it."


def _warn_if_nothing_moves(app: Lateshift, job_id: str) -> None:
    """Tell who waits at the screen when the job needs something else to be done first."""
    job = app.get_job(job_id)
    if job.status not in WAITING:
        return
    queue, permission = job.queue, Permission(app)
    if reads.queue_paused(app.database, queue):
        resume = f"`lateshift queues resume {as_argument(queue)}`"
        tell(f"The queue {queue} is paused, {resume} lets it go on. Waiting.", err=True)
    elif not permission.anywhere(job.name, queue):
        tell(f"{permission.trouble([job.name])} No runner is started for it here. Waiting.", err=True)
    elif app.settings.spawn == "never" and not _somebody_serves(app, queue):
        tell("No worker is running and LATESHIFT_SPAWN=never: start `lateshift work`. Waiting.", err=True)


def _somebody_serves(app: Lateshift, queue: str) -> bool:
    alive = living(reads.workers(app.database), app.database.now())
    return any(serves(worker, queue) for worker in alive)


def _parameters(text: str) -> dict[str, Any]:
    example = f"Write an object in quotes: --params {PARAMS}."
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        value = _as_python(text)
        if value is None:
            raise Refusal(f"--params is not JSON: {text!r} ({error}). {example}") from error
    if not isinstance(value, dict):
        raise Refusal(f"--params must be a JSON object with the keyword arguments, not {text!r}. {example}")
    return value


def _as_python(text: str) -> object:
    """What Python's literals say, for a shell that takes the double quotes away; see `PARAMS`."""
    import ast

    with contextlib.suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return ast.literal_eval(text)
    return None


COMMANDS: Final = (enqueue, run, wait)
