"""`cancel`, `retry`, `delete` and `prune`: acting on jobs."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import click

from lateshift.app import Lateshift
from lateshift.cli.base import Refusal, duration_of, open_app
from lateshift.cli.bulk import on_jobs
from lateshift.cli.permission import Permission
from lateshift.job import FINISHED, WAITING
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
def prune(older_than: float | None) -> None:
    """Delete old finished jobs.

    Workers do so by themselves.
    """
    if older_than is not None and not 0 <= older_than <= MOST_DAYS:
        raise Refusal(f"--older-than is a number of days from 0 to {MOST_DAYS}, not {older_than:g}.")
    deleted = open_app().prune(None if older_than is None else timedelta(days=older_than))
    click.echo(f"Deleted {count(deleted, 'finished job')}.")


COMMANDS: Final = (cancel, retry, delete, prune)
