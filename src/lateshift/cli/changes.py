"""`cancel`, `retry`, `delete` and `prune`: acting on jobs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import click

from lateshift.cli.base import Code, Refusal, code_of, complain, duration_of, open_app, tell
from lateshift.cli.completion import job_ids
from lateshift.errors import LateshiftError
from lateshift.wording import count

DAY: Final = 86_400.0
"""Seconds."""

MOST_DAYS: Final = 3_650


def days_of(text: str) -> float:
    """The days of a number, or of a duration with its unit, as `12h` or `2w`. Ends the command if it is none."""
    try:
        return float(text)
    except ValueError:
        return duration_of(text) / DAY


@click.command()
@click.argument("job_ids", nargs=-1, required=True, metavar="JOB_ID...", shell_complete=job_ids)
def cancel(job_ids: tuple[str, ...]) -> int:
    """Cancel waiting jobs; ask running ones to stop."""
    app = open_app()

    def act(job_id: str) -> str:
        app.cancel_job(job_id)
        return "cancelled" if app.get_job(job_id).status == "cancelled" else "asked to stop"

    return _each(job_ids, act)


@click.command()
@click.argument("job_ids", nargs=-1, required=True, metavar="JOB_ID...", shell_complete=job_ids)
def retry(job_ids: tuple[str, ...]) -> int:
    """Run failed or cancelled jobs again.

    They get all their attempts again. A job that waits for a retry runs at once.
    """
    app = open_app()

    def act(job_id: str) -> str:
        app.retry_job(job_id)
        return "runs again"

    return _each(job_ids, act)


@click.command()
@click.argument("job_ids", nargs=-1, required=True, metavar="JOB_ID...", shell_complete=job_ids)
def delete(job_ids: tuple[str, ...]) -> int:
    """Delete finished jobs with their attempts and logs."""
    app = open_app()

    def act(job_id: str) -> str:
        app.delete_job(job_id)
        return "deleted"

    return _each(job_ids, act)


@click.command()
@click.option(
    "--older-than", type=days_of, metavar="D", help="Their age: days, or 12h, 2w. Default: LATESHIFT_KEEP_DAYS."
)
def prune(older_than: float | None) -> None:
    """Delete old finished jobs.

    Workers do so by themselves.
    """
    if older_than is not None and not 0 <= older_than <= MOST_DAYS:
        raise Refusal(f"--older-than is a number of days from 0 to {MOST_DAYS}, not {older_than:g}.")
    deleted = open_app().prune(None if older_than is None else timedelta(days=older_than))
    click.echo(f"Deleted {count(deleted, 'finished job')}.")


def _each(job_ids: tuple[str, ...], act: Callable[[str], str]) -> int:
    """Act on every job; what is refused does not hold up the others. The exit code is that of the first refusal."""
    first = Code.OK
    for job_id in job_ids:
        try:
            done = act(job_id)
        except LateshiftError as error:
            complain(str(error))
            first = first or code_of(error)
        else:
            tell(f"{job_id} {done}")
    return first


COMMANDS: Final = (cancel, retry, delete, prune)
