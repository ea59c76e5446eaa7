"""`cancel`, `retry`, `delete` and `prune`: acting on jobs."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import click

from lateshift.app import Lateshift
from lateshift.cli.base import Refusal, ask_to_go_on, open_app, refuse_if_nobody_can_be_asked
from lateshift.cli.bulk import on_jobs
from lateshift.cli.permission import Permission
from lateshift.job import FINISHED, WAITING
from lateshift.query import seconds_ago
from lateshift.storage import reads
from lateshift.wording import count

DAY: Final = 86_400.0
"""Seconds."""

MOST_DAYS: Final = 3_650


def days_of(text: str) -> float:
    """The days of a number, or of a duration with its unit, as `12h` or `2w`. Ends the command if it is none."""
    try:
        return float(text)
    except ValueError:
        seconds = seconds_ago(text)
    if seconds is None:
        raise click.BadParameter(f"{text!r} is no age: 30 for days, 12h, 2w.")
    return seconds / DAY


@click.command()
@on_jobs("cancel", (*WAITING, "running"), "cancelled, or asked to stop")
def cancel(app: Lateshift, job_id: str) -> str:
    """Cancel waiting jobs; ask running ones to stop."""
    app.cancel_job(job_id)
    return "cancelled" if app.get_job(job_id).status == "cancelled" else "asked to stop"


@click.command()
@on_jobs("retry", ("failed", "cancelled", "pending_retry"), "retried")
def retry(app: Lateshift, job_id: str) -> str:
    """Run failed or cancelled jobs again.

    They get all their attempts again. A job that waits for a retry runs at once.
    """
    Permission(app).require(app.get_job(job_id), anywhere=True)
    app.retry_job(job_id)
    return "runs again"


@click.command()
@on_jobs("delete", FINISHED, "deleted")
def delete(app: Lateshift, job_id: str) -> str:
    """Delete finished jobs with their attempts and logs."""
    app.delete_job(job_id)
    return "deleted"


@click.command()
@click.option(
    "--older-than", type=days_of, metavar="D", help="Their age: days, or 12h, 2w. Default: LATESHIFT_KEEP_DAYS."
)
@click.option("--dry-run", is_flag=True, help="Only say how many jobs these are.")
@click.option("--yes", is_flag=True, help="Do not ask, as is done for an age of less than a day.")
def prune(older_than: float | None, *, dry_run: bool, yes: bool) -> None:
    """Delete old finished jobs.

    Workers do so by themselves.
    """
    if older_than is not None and not 0 <= older_than <= MOST_DAYS:
        raise Refusal(f"--older-than is a number of days from 0 to {MOST_DAYS}, not {older_than:g}.")
    asks = not (yes or dry_run) and older_than is not None and older_than < 1
    if asks:
        refuse_if_nobody_can_be_asked()
    app = open_app()
    if asks or dry_run:
        days = app.settings.keep_days if older_than is None else older_than
        found = reads.finished_before(app.database, app.database.now() - round(days * DAY * 1_000_000))
        told = f"{count(found, 'finished job')} {'is' if found == 1 else 'are'} to be deleted."
        if dry_run:
            click.echo(told)
            return
        ask_to_go_on(told)
    deleted = app.prune(None if older_than is None else timedelta(days=older_than))
    click.echo(f"Deleted {count(deleted, 'finished job')}.")


COMMANDS: Final = (cancel, retry, delete, prune)
