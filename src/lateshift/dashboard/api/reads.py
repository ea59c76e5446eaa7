"""What the API tells: each function takes what is asked and gives the answer, with the storage's own functions."""

from __future__ import annotations

from typing import Final

from lateshift.dashboard.api import forms, shapes
from lateshift.dashboard.api.asking import (
    AuditSearch,
    CallablePeriod,
    Counted,
    JobSearch,
    Nothing,
    Period,
    SeriesPeriod,
)
from lateshift.dashboard.api.reading import unfit
from lateshift.dashboard.problems import Refused
from lateshift.dashboard.redaction import refuse_hidden
from lateshift.dashboard.view import View
from lateshift.doctor import examine
from lateshift.doctor.place import Check
from lateshift.errors import InvalidSearch
from lateshift.explain import explain
from lateshift.host.fleet import living
from lateshift.job import STATUSES, to_microseconds
from lateshift.judgement import judge, observe
from lateshift.query import Query, parse, seconds_ago
from lateshift.settings import explain_in_force
from lateshift.storage import audit, failures, history, reads, requests
from lateshift.storage import search as searching
from lateshift.storage.counting import Count
from lateshift.storage.workers import worker_details

BACK: Final = 3 * 365 * 86_400_000_000
"""Microseconds: a year more than the history has."""

DIAGNOSED: Final = 10.0
"""Seconds for which a diagnosis serves: it takes one itself."""


def summary(view: View, _: Nothing) -> shapes.Summary:
    """Whether everything is all right, and how much there is to do."""
    counted = view.read(history.minutes, view.now // 60_000_000 - 59)
    facts = observe(view.read, view.now, counted, spawns=view.desk.settings.spawn != "never")
    verdict = judge(facts)
    counts = {status: Count.of(number) for status, number in view.read(reads.counts).items()}
    return shapes.Summary(
        light=verdict.light,
        sentence=verdict.sentence,
        reasons=[shapes.Reason(reason.light, reason.words, reason.path) for reason in verdict.reasons],
        jobs=_counts(counts),
        waiting=facts.waiting,
        running=facts.running,
        oldest_seconds=facts.oldest,
        finished=facts.finished,
        failed=facts.failed,
        workers_alive=len(facts.alive),
        workers_dead=len(facts.dead),
    )


def jobs(view: View, asked: JobSearch) -> shapes.JobPage:
    """The jobs that a search matches, a page of them."""
    query = query_of(view, asked.q)
    found = view.read(searching.search, query, sort=asked.sort or None, cursor=asked.cursor or None, limit=asked.limit)
    listed = [forms.job(view, job) for job in found.jobs]
    return shapes.JobPage(listed, found.next, found.previous, found.sort, list(found.sorts), found.complete)


def counts(view: View, asked: Counted) -> shapes.StatusCounts:
    """How many jobs of each status match a search."""
    return _counts(view.read(searching.state_counts, query_of(view, asked.q)))


def job(view: View, _: Nothing) -> shapes.JobWithHistory:
    """One job, with its attempts."""
    found = view.job()
    return shapes.JobWithHistory(
        **forms.job_fields(view, found), history=[forms.attempt(attempt) for attempt in found.history]
    )


def logs(view: View, _: Nothing) -> list[shapes.AttemptLogs]:
    """What a job logged, by attempt."""
    attempts = map(forms.attempt, view.job().history)
    return [shapes.AttemptLogs(a.number, a.outcome, a.started_at, a.finished_at, a.logs) for a in attempts]


def explanation(view: View, _: Nothing) -> shapes.Explanation:
    """Why a job is where it is, and what will happen next."""
    found = view.job()
    told = view.desk.once(("explain", found.id, found.status), lambda: explain(view.app, found.id))
    return shapes.Explanation(told.job_id, found.status, list(told.sentences))


def queues(view: View, _: Nothing) -> list[shapes.Queue]:
    """Every queue that has waiting or running jobs or is paused, with its speed."""
    rates = {rate.queue: rate for rate in view.read(history.queue_rates, view.now)}
    return [forms.queue(row, rates.get(row.name)) for row in view.read(reads.queues, view.now)]


def workers(view: View, _: Nothing) -> list[shapes.Worker]:
    """Every worker that has announced itself and not signed off, with what it runs."""
    alive = {row.id for row in living(view.read(reads.workers), view.now)}
    return [forms.worker(detail, alive=detail.id in alive) for detail in view.read(worker_details)]


def worker(view: View, _: Nothing) -> shapes.Worker:
    """One worker."""
    for found in workers(view, Nothing()):
        if found.id == view.path["worker"]:
            return found
    raise no_worker(view)


def answer_of_worker(view: View, _: Nothing) -> shapes.WorkerRequest:
    """What was asked of a worker, with its answer as soon as there is one."""
    found = requests.answer_to(view.desk.database, view.path["worker"], view.path["request"])
    if found is None:
        raise Refused(404, "No such request", "It was never made, or that is more than a minute ago. Ask again.")
    return forms.request(found)


def errors(view: View, asked: Period) -> list[shapes.ErrorGroup]:
    """Failures in groups, the one seen last first."""
    since, until = period(view, asked)
    return [forms.error_group(group) for group in view.read(failures.groups, since, until)]


def error(view: View, asked: Period) -> shapes.ErrorGroup:
    """One group of failures."""
    since, until = period(view, asked)
    found = view.read(failures.groups, since, until, fingerprint=view.path["fingerprint"])
    if not found:
        raise no_group(view)
    return forms.error_group(found[0])


def callables(view: View, asked: CallablePeriod) -> list[shapes.CallableUse]:
    """The callables that ran, the busiest first."""
    since, until = period(view, asked)
    return [forms.callable_use(row) for row in view.read(history.callables, since, until, asked.queue or None)]


def series(view: View, asked: SeriesPeriod) -> shapes.Series:
    """What happened over a time, in steps: for charts."""
    since, until = period(view, asked)
    step = asked.step or max(60, (until - since) // 60_000_000)
    found = view.read(history.series, since, until, step, asked.queue or None, asked.callable or None)
    marks = [forms.mark(mark) for mark in view.read(audit.marks, since, until)]
    return shapes.Series(found.step, [forms.point(point) for point in found.points], forms.point(found.total), marks)


def audit_log(view: View, asked: AuditSearch) -> shapes.AuditPage:
    """Who did what, and when."""
    found = view.read(audit.page, asked.limit + 1, asked.before or None, asked.actor or None)
    entries = [forms.audit_entry(entry) for entry in found[: asked.limit]]
    return shapes.AuditPage(entries, entries[-1].id if len(found) > asked.limit else None)


def doctor(view: View, _: Nothing) -> list[shapes.Check]:
    """The checks of `lateshift doctor`, on the machine that serves this and with its settings.

    The allow-list is left out: to check it is to import all that it names.
    """
    settings = view.desk.settings

    def look() -> list[Check]:
        return examine(settings, explain_in_force(settings), without=["allow-list"])

    found = view.desk.once("doctor", look, DIAGNOSED)
    return [shapes.Check(check.name, check.level, check.message, check.remedy) for check in found]


def query_of(view: View, text: str, place: str = "query.q") -> Query:
    """A search as this user may make it. Raises Refused, which says where in the text."""
    try:
        query = parse(text)
        if view.user.may("operator") or not view.desk.settings.redact:
            return query
        refuse_hidden(query, view.desk.settings.redact)
    except InvalidSearch as error:
        raise unfit(str(error), f"{place}[{error.start}:{error.end}]") from None
    return query.labels_only()


def no_worker(view: View) -> Refused:
    """That there is no such worker."""
    words = f"There is no worker {view.path['worker']!r}: it has signed off or died. /api/workers has those there are."
    return Refused(404, "No such worker", words)


def no_group(view: View) -> Refused:
    """That there is no such group of failures."""
    words = f"No failures of the group {view.path['fingerprint']!r} are known from that time. Try range=30d."
    return Refused(404, "No such group", words)


def period(view: View, asked: Period) -> tuple[int, int]:
    """The time that is asked for, in microseconds. Raises Refused for one that no history can have."""
    until = min(view.now, to_microseconds(asked.until)) if asked.until else view.now
    seconds = seconds_ago(asked.range)
    if seconds is None:  # the pattern's $ lets a line break pass
        raise unfit("Give an age such as 30m, 2h, 7d or 4w, and nothing else.", "query.range")
    since = until - seconds * 1_000_000
    if since < view.now - BACK:
        raise unfit("The history goes back two years at most. Ask for a shorter time.", "query.range")
    return since, max(until, since + 1)


def _counts(found: dict[str, Count]) -> shapes.StatusCounts:
    return shapes.StatusCounts(**{status: forms.count(found[status]) for status in STATUSES})
