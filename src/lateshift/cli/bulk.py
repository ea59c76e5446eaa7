"""What `cancel`, `retry` and `delete` have in common: they act on the jobs named, or on all that `list` would list."""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from lateshift.app import Lateshift
from lateshift.cli.base import (
    Code,
    Refusal,
    ask_to_go_on,
    code_of,
    complain,
    open_app,
    refuse_if_nobody_can_be_asked,
    tell,
)
from lateshift.cli.completion import job_ids, queue_names
from lateshift.cli.output import json_option, print_json
from lateshift.cli.permission import Permission
from lateshift.cli.shapes import BULK_KEYS
from lateshift.errors import LateshiftError, StorageError
from lateshift.host.fleet import Neighbours, ensure_runner
from lateshift.job import FINISHED, STATUSES
from lateshift.query import Query, Term
from lateshift.storage import reads
from lateshift.wording import count

if TYPE_CHECKING:
    from lateshift.storage.bulk import Action

Act = Callable[[Lateshift, str], str]
"""What a command does to one job, by its id; it answers what became of that."""


def on_jobs(action: Action, statuses: Sequence[str], done: str) -> Callable[[Act], Callable[..., int]]:
    """Make a command of what is done to one job: `action` is the same for many, and applies to these statuses.

    `done` says it of jobs: "deleted".
    """

    def decorate(act: Act) -> Callable[..., int]:
        @click.argument("job_ids", nargs=-1, metavar="[JOB_ID]...", shell_complete=job_ids)
        @click.option("--status", type=_Statuses(statuses), help="Instead of JOB_IDs: all jobs with this status.")
        @click.option("--queue", metavar="Q", shell_complete=queue_names, help="All of this queue.")
        @click.option("--name", metavar="NAME", help="All of this callable; a part of the dotted name will do.")
        @click.option("--dry-run", is_flag=True, help="Only say how many jobs these are.")
        @click.option("--yes", is_flag=True, help="Do not ask.")
        @json_option(f"one object: {BULK_KEYS}")
        @functools.wraps(act)
        def command(job_ids: tuple[str, ...], *, dry_run: bool, yes: bool, as_json: bool, **chosen: str | None) -> int:
            terms = _terms(**chosen)
            if bool(job_ids) == bool(terms) or (job_ids and dry_run):
                raise click.UsageError("Name jobs by their ids, or choose them by --status, --queue and --name.")
            app = open_app()
            if job_ids:
                return _each(app, act, job_ids, as_json=as_json)
            return _all(app, action, Query(terms), done, dry_run=dry_run, yes=yes, as_json=as_json)

        return command

    return decorate


class _Statuses(click.Choice[str]):
    """The statuses of jobs that an action applies to."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As click's, with advice for who would delete what has not finished."""
        if value in STATUSES and value not in FINISHED and self.choices == FINISHED:
            self.fail(f"{value!r} jobs have not finished: `lateshift cancel` them first, with the same options.")
        return super().convert(value, param, ctx)


def _terms(status: str | None, queue: str | None, name: str | None) -> tuple[Term, ...]:
    if name == "":
        raise Refusal("--name is empty: give a part of a callable's dotted name, or leave it out.")
    chosen = {"status": status, "queue": queue, "path": name}
    return tuple(Term(field, (value,)) for field, value in chosen.items() if value is not None)


def _each(app: Lateshift, act: Act, job_ids: tuple[str, ...], *, as_json: bool) -> int:
    """Act on every job; what is refused does not hold up the others. The exit code is that of the first refusal.

    But a database that cannot be used is not waited for again, for each of them.
    """
    first, changed = Code.OK, 0
    for number, job_id in enumerate(job_ids, 1):
        try:
            done = act(app, job_id)
        except LateshiftError as error:
            complain(str(error))
            first = first or code_of(error)
            if isinstance(error, StorageError):
                if left := len(job_ids) - number:
                    complain(f"{count(left, 'more job')} {'was' if left == 1 else 'were'} not tried.")
                break
        else:
            changed += 1
            if not as_json:
                tell(f"{job_id} {done}")
    if as_json:
        print_json({"matching": len(job_ids), "changed": changed})
    return first


def _all(app: Lateshift, action: Action, query: Query, done: str, *, dry_run: bool, yes: bool, as_json: bool) -> int:
    """Act on all jobs that match."""
    asks = not (yes or dry_run)
    if asks:
        refuse_if_nobody_can_be_asked()
    target = _permitted(app, query) if action == "retry" else query
    matching, changed = _matching(app, action, target) if asks or dry_run else 0, 0
    told = f"{count(matching, 'job')} {'is' if matching == 1 else 'are'} to be {done}."
    if asks and matching:
        ask_to_go_on(told)
    if not dry_run:
        matching, changed = _act(app, action, target)
        told = f"{count(changed, 'job')} {done}."
    if as_json:
        print_json({"matching": matching, "changed": changed})
    else:
        tell(told)
    if action == "retry" and changed:
        lanes = reads.lanes(app.database)
        ensure_runner(app.database, app.settings, {lane.queue for lane in lanes if not lane.paused})
    return Code.OK


def _matching(app: Lateshift, action: Action, target: Query | list[str]) -> int:
    return len(target) if isinstance(target, list) else sum(map(len, _ids(app, action, target)))


def _ids(app: Lateshift, action: Action, query: Query) -> Iterator[list[str]]:
    from lateshift.storage import bulk, search  # 13 ms, which other commands need not wait for

    return search.matching_ids(app.database, query.narrowed(bulk.STATUSES[action]), app.database.now())


def _permitted(app: Lateshift, query: Query) -> list[str]:
    """The ids of the jobs to retry; tells those that it leaves out, because they would fail at once."""
    from lateshift.storage.bulk import callables

    permission = Permission(app)
    ids: list[str] = []
    left_out: Counter[str] = Counter()
    for piece in _ids(app, "retry", query):
        for id_, name, queue in callables(app.database, piece):
            if permission.anywhere(name, queue):
                ids.append(id_)
            else:
                left_out[name] += 1
    if left_out:
        tell(f"{count(left_out.total(), 'job')} left out. {permission.trouble(left_out)}", err=True)
    return ids


def _act(app: Lateshift, action: Action, target: Query | list[str]) -> tuple[int, int]:
    """Do it, a few hundred jobs at a time; (how many matched, how many changed)."""
    from lateshift.storage.bulk import BulkAction

    if action == "retry":
        Neighbours(app.database).grant(app.settings)
    work, began = BulkAction(app.database, action, target), time.monotonic()
    while not work.step().finished:
        time.sleep(time.monotonic() - began)  # workers write to the same tables, and get as much time
        began = time.monotonic()
    return work.progress.seen, work.progress.changed
