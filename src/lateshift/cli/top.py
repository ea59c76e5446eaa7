"""`top`: what goes on, live in a terminal."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from lateshift.cli.base import Code, Refusal, duration_of, open_app
from lateshift.cli.output import coloured, json_option, print_json
from lateshift.cli.shapes import TOP_KEYS, job_shape, queue_shape
from lateshift.errors import InvalidSearch
from lateshift.job import moment
from lateshift.query import parse
from lateshift.storage import open_database

if TYPE_CHECKING:
    from lateshift.top.picture import Picture

PATIENCE: Final = 5.0
"""Seconds that a look waits for a database server, as the pages of the dashboard do."""

LEAST_INTERVAL: Final = 0.1
MOST_INTERVAL: Final = 3600


@click.command()
@click.option("--interval", type=duration_of, default=1.0, show_default=True, metavar="S", help="Time between looks.")
@click.option("--filter", "search", default="", metavar="SEARCH", help="Only jobs that match, as typed behind /.")
@click.option("--once", is_flag=True, help="Print it once, as plain text; so does an output that is no terminal.")
@json_option(f"one object: {TOP_KEYS}")
def top(interval: float, search: str, *, once: bool, as_json: bool) -> int:
    """Watch queues and jobs live, and steer them.

    \b
    Tab           the next pane: queues, running, waiting, failures (also 1 to 4)
    up, down      select a row (also k and j, Page up, Page down, Home, End)
    Enter         show the job: why it is where it is, its error, its last log lines
    r             retry the job
    c             cancel the job, after a question
    p             pause or resume the queue
    /             show only jobs that match: status:failed queue:mail error:timeout
    q             quit
    """  # noqa: D301 - click's mark for lines that stay as they are
    from lateshift.top.picture import look

    if not LEAST_INTERVAL <= interval <= MOST_INTERVAL:
        raise Refusal(f"--interval is {LEAST_INTERVAL} to {MOST_INTERVAL} seconds, not {interval:g}.")
    try:
        query = parse(search)
    except InvalidSearch as error:
        raise Refusal(str(error)) from error
    app = open_app()
    db = open_database(app.settings, app.clock, timeout=PATIENCE)
    click.get_current_context().call_on_close(db.close)
    if not as_json and not once and _is_terminal():
        from lateshift.top.loop import Top

        Top(app, db, query, interval, colours=coloured()).run()
        return Code.OK
    picture = look(db, query, spawns=app.settings.spawn != "never")
    if as_json:
        print_json(_shape(picture))
    else:
        from lateshift.top.drawing import plain

        room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        for line in plain(picture, db.place, room, filtered=bool(search)):
            click.echo(line)
    return Code.OK


def _is_terminal() -> bool:
    return sys.stdout.isatty() and sys.stdin.isatty() and os.environ.get("TERM") != "dumb"


def _shape(picture: Picture) -> dict[str, Any]:
    facts = picture.facts
    return {
        "at": moment(picture.now),
        "light": picture.verdict.light,
        "sentence": picture.verdict.sentence,
        "reasons": [reason.words for reason in picture.verdict.reasons],
        "per_second": round(picture.per_second, 3),
        "failure_rate": picture.failure_rate,
        "oldest": facts.oldest,
        "workers": len(facts.alive),
        "dead_workers": len(facts.dead),
        "counts": picture.counts,
        "queues": [queue_shape(queue) for queue in picture.queues],
        "running": [job_shape(job) for job in picture.jobs["running"]],
        "waiting": [job_shape(job) for job in picture.jobs["waiting"]],
        "failed": [job_shape(job) for job in picture.jobs["failed"]],
    }


COMMANDS: Final = (top,)
