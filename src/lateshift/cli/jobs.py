"""`status`, `list`, `show` and `explain`: reading about jobs."""

from __future__ import annotations

import contextlib
import sys
from datetime import UTC, datetime
from typing import Final

import click

from lateshift.cli.base import Code, Refusal, open_app
from lateshift.cli.completion import job_ids, queue_names
from lateshift.cli.output import json_option, print_facts, print_json, print_table, when, wrapped
from lateshift.cli.shapes import ATTEMPT_KEYS, JOB_KEYS, attempt_shape, job_shape
from lateshift.job import STATUSES, WAITING, Attempt, Job
from lateshift.screen import Column, as_json_text, clean, one_line
from lateshift.wording import duration

COLUMNS: Final = (
    Column("ID", needed=True),
    Column("STATUS", needed=True),
    Column("NAME", needed=True, cut="start"),
    Column("ENQUEUED"),
    Column("QUEUE"),
    Column("ATTEMPTS", right=True),
    Column("PRIORITY", right=True),
)


@click.command()
@click.argument("job_id", shell_complete=job_ids)
@json_option(f"the job as one object: {JOB_KEYS}")
def status(job_id: str, *, as_json: bool) -> None:
    """Say in one line how a job stands.

    The first word is its status.
    """
    job = open_app().get_job(job_id)
    if as_json:
        print_json(job_shape(job))
    else:
        details = ", ".join(_details(job))
        click.echo(wrapped(one_line(f"{job.status} {job.name}" + (f" ({details})" if details else ""))))


@click.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only jobs with this status.")
@click.option("--queue", metavar="Q", shell_complete=queue_names, help="Only jobs of this queue.")
@click.option("--name", metavar="NAME", help="Only jobs of this callable; a part of the dotted name will do.")
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000), default=50, show_default=True, metavar="N", help="At most so many."
)
@click.option(
    "--before", metavar="JOB_ID", shell_complete=job_ids, help="Go on after this job, the last one of the page before."
)
@json_option(f"an array of jobs: {JOB_KEYS}")
def list_(
    status: str | None,
    queue: str | None,
    name: str | None,
    limit: int,
    before: str | None,
    *,
    as_json: bool,
) -> None:
    """List jobs, newest first."""
    if name == "":
        raise Refusal("--name is empty: give a part of a callable's dotted name, or leave it out.")
    app = open_app()
    jobs = app.list_jobs(status=status, queue=queue, name=name, limit=limit, before=before)
    if as_json:
        print_json([job_shape(job) for job in jobs])
    elif jobs:
        print_table(COLUMNS, [_row(job) for job in jobs])
        if len(jobs) == limit and app.list_jobs(status=status, queue=queue, name=name, limit=1, before=jobs[-1].id):
            click.echo(f"More: the same with --before {jobs[-1].id}", err=True)
    else:
        click.echo("No jobs.")


@click.command()
@click.argument("job_id", shell_complete=job_ids)
@json_option(f"the job as one object: {JOB_KEYS}, history (array of attempts: {ATTEMPT_KEYS})")
def show(job_id: str, *, as_json: bool) -> None:
    """Show everything about a job.

    Its parameters, its result, and each attempt with its error and log lines.
    """
    job = open_app().get_job(job_id)
    if as_json:
        print_json({**job_shape(job), "history": [attempt_shape(attempt) for attempt in job.history]})
        return
    print_facts(_facts(job))
    for attempt in job.history:
        _show_attempt(attempt)


@click.command()
@click.argument("job_id", shell_complete=job_ids)
@json_option("one object: job_id, status, sentences (array of texts)")
def explain(job_id: str, *, as_json: bool) -> int:
    """Say why a job is where it is, and what will happen next."""
    from lateshift.explain import explain as explain_job

    with contextlib.redirect_stdout(sys.stderr):  # what a module prints while it is imported is not our answer
        explanation = explain_job(open_app(), job_id)
    if as_json:
        shape = {"job_id": explanation.job_id, "status": explanation.status, "sentences": list(explanation.sentences)}
        print_json(shape)
    else:
        for sentence in explanation.sentences:
            click.echo(wrapped(clean(sentence)))
    return Code.OK


def _row(job: Job) -> tuple[str, ...]:
    tried = f"{job.attempts}/{job.max_attempts}"
    return (job.id, job.status, job.name, when(job.enqueued_at), job.queue, tried, str(job.priority))


def _details(job: Job) -> list[str]:
    """What is worth knowing beside the status, in the same line."""
    details = []
    if job.attempts:
        details.append(f"attempt {job.attempts} of {job.max_attempts}")
    if job.status in WAITING:
        details.append(f"due {_due(job)}")
    if job.status == "running":
        details.append(f"for {duration(_seconds(job.started_at, datetime.now(UTC)))}")
        if job.progress is not None:
            details.append(f"{job.progress:.0%} {job.progress_message or ''}".strip())
    if job.finished:
        took = _took(job)
        details.append(f"in {took}" if took else "never started")
    if job.error is not None and job.status in ("failed", "pending_retry"):
        details.append(f"{job.error.type}: {job.error.message}")
    return details


def _due(job: Job) -> str:
    ahead = _seconds(datetime.now(UTC), job.run_at)
    return f"{when(job.run_at)} (in {duration(ahead)})" if ahead > 0 else "now"


def _facts(job: Job) -> list[tuple[str, str]]:
    progress = "" if job.progress is None else f"{job.progress:.0%} {job.progress_message or ''}"
    return [
        ("id", job.id),
        ("name", job.name),
        ("status", job.status + (" (asked to stop)" if job.cancel_requested and job.status == "running" else "")),
        ("queue", job.queue),
        ("priority", str(job.priority)),
        ("parameters", as_json_text(job.parameters)),
        ("attempts", f"{job.attempts} of {job.max_attempts}"),
        ("crashes", str(job.crashes) if job.crashes else ""),
        ("timeout", "" if job.timeout is None else duration(job.timeout)),
        ("enqueued", when(job.enqueued_at)),
        ("due", _due(job) if job.status in WAITING else ""),
        ("started", when(job.started_at)),
        ("finished", when(job.finished_at)),
        ("took", _took(job)),
        ("worker", job.worker or ""),
        ("progress", progress),
        ("result", as_json_text(job.result) if job.status == "completed" else ""),
        ("error", "" if job.error is None else f"{job.error.type}: {job.error.message}"),
    ]


def _took(job: Job) -> str:
    """How long the last attempt ran, of a finished job; it may have ended long before a cancel."""
    last = job.history[-1] if job.finished and job.history else None
    return duration(_seconds(last.started_at, last.finished_at)) if last else ""


def _show_attempt(attempt: Attempt) -> None:
    took = ""
    if attempt.started_at and attempt.finished_at:
        took = f", {duration(_seconds(attempt.started_at, attempt.finished_at))}"
    on = f" on {attempt.worker}" if attempt.worker else ""
    click.echo()
    click.echo(one_line(f"Attempt {attempt.number}: {attempt.outcome}, {when(attempt.started_at)}{took}{on}"))
    if attempt.error is not None:
        text = attempt.error.traceback or f"{attempt.error.type}: {attempt.error.message}"
        _indented(text.rstrip().split("\n"))
    if attempt.logs:
        click.echo("  Log:")
        _indented(attempt.logs)


def _indented(lines: list[str] | tuple[str, ...]) -> None:
    for line in lines:
        click.echo(f"    {clean(line)}")


def _seconds(start: datetime | None, end: datetime | None) -> float:
    return (end - start).total_seconds() if start is not None and end is not None else 0.0


COMMANDS: Final = (status, list_, show, explain)
