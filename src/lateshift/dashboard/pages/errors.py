"""Errors: what fails in the same way is one line; and one of these groups, with where it is raised and its jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from starlette.responses import Response

from lateshift.dashboard import tracebacks
from lateshift.dashboard.charts import Bar
from lateshift.dashboard.rows import job_rows
from lateshift.dashboard.view import View
from lateshift.fingerprint import fingerprint
from lateshift.job import Job, JobError, moment
from lateshift.query import Query, parse
from lateshift.storage import failures, reads, search
from lateshift.storage.failures import HOUR, KEPT_DAYS, TREND, ErrorGroup

SHOWN: Final = 100
"""Groups on the page."""

JOBS: Final = 8
"""Jobs of a group on its page."""


class Period(NamedTuple):
    """What one looks back at; `hours` are counted, the trend reaches back as far, but a day at least."""

    name: str
    title: str
    words: str
    hours: int

    @property
    def reach(self) -> int:
        """Hours of the trend: a multiple of its parts."""
        return max(TREND, self.hours)

    def begin(self, now: int) -> int:
        """The full hour at which the trend begins, in microseconds."""
        return (now // HOUR - self.reach + 1) * HOUR

    def count(self, group: ErrorGroup) -> int:
        """How many attempts failed so. It is known by the hour, so the last one is this and the one before."""
        return sum(group.trend[-2:]) if self.hours == 1 else group.count


PERIODS: Final = (
    Period("1h", "1 hour", "the last hour", 1),
    Period("24h", "24 hours", "the last 24 hours", 24),
    Period("7d", "7 days", "the last 7 days", 7 * 24),
    Period("30d", "30 days", "the last 30 days", KEPT_DAYS * 24),
)
USUAL: Final = PERIODS[1]

SORTS: Final[Mapping[str, Callable[[Period, ErrorGroup], int]]] = {
    "last": lambda _, group: group.last_at,
    "first": lambda _, group: group.first_at,
    "count": lambda period, group: period.count(group),
}


def show(view: View) -> Response:
    """The page; its address holds `range`, `state` (open or resolved) and `sort`."""
    period = _period(view)
    sort = view.query.get("sort") if view.query.get("sort") in SORTS else "last"
    found = [group for group in view.read(failures.groups, period.begin(view.now)) if _seen(group, period, view.now)]
    resolved = view.query.get("state") == "resolved"
    lines = [group for group in found if (group.state == "resolved") == resolved]
    lines.sort(key=lambda group: SORTS[sort or "last"](period, group), reverse=True)
    return view.page(
        "errors.html",
        section="errors",
        title="Errors",
        periods=PERIODS,
        period=period,
        usual=USUAL,
        sort=sort,
        groups=lines[:SHOWN],
        left_out=max(0, len(lines) - SHOWN),
        resolved=resolved,
        total=len(found),
        number=sum(period.count(group) for group in found if group.state != "resolved"),
        open_count=sum(group.state != "resolved" for group in found),
        resolved_count=sum(group.state == "resolved" for group in found),
        back_count=sum(group.state == "returned" for group in found),
        since=moment((view.now // HOUR - 1) * HOUR),
        moment=moment,
        is_new=lambda group: view.now - group.first_at < TREND * HOUR,
        may=view.may("operator"),
    )


def show_group(view: View) -> Response:
    """The page of one group."""
    key, period = view.path["fingerprint"], _period(view)
    period = USUAL if period.hours == 1 else period
    group = next(iter(view.read(failures.groups, period.begin(view.now), fingerprint=key)), None)
    if group is None:
        period, group = PERIODS[-1], find(view, key)
    if group is None:
        return no_such_group(view)
    jobs = list(view.read(search.search, parse(f"fingerprint:{key}"), limit=JOBS).jobs)
    latest = _latest(view, group, jobs)
    return view.page(
        "error.html",
        section="errors",
        title=group.type.rpartition(".")[2],
        group=group,
        period=period,
        periods=[each for each in PERIODS if each.hours > 1],
        bars=_bars(group, period, view.now),
        ticks=[(part, _label(period, part, view.now, short=True)) for part in range(0, TREND, 4)],
        latest=latest,
        pieces=tracebacks.take_apart(latest[1].traceback) if latest else [],
        jobs=job_rows(jobs, view.moment),
        failed=view.read(search.count_matching, failed_jobs(key)),
        search=f"fingerprint:{key}",
        moment=moment,
        may=view.may("operator"),
    )


def find(view: View, key: str) -> ErrorGroup | None:
    """A group by its fingerprint, as far back as it is known."""
    found = view.read(failures.groups, PERIODS[-1].begin(view.now), fingerprint=key)
    return found[0] if found else None


def failed_jobs(key: str) -> Query:
    """The search for the jobs of a group that have failed for good."""
    return parse(f"fingerprint:{key} status:failed")


def no_such_group(view: View) -> Response:
    """The answer to an address of a group that is not there."""
    words = f"Groups are kept for {KEPT_DAYS} days after they were last seen. The rail leads to those that there are."
    return view.desk.refuse(view.request, 404, "There is no such error group", words)


def _period(view: View) -> Period:
    return next((period for period in PERIODS if period.name == view.query.get("range")), USUAL)


def _seen(group: ErrorGroup, period: Period, now: int) -> bool:
    return period.hours > 1 or group.last_at >= now - HOUR


def _latest(view: View, group: ErrorGroup, jobs: list[Job]) -> tuple[Job, JobError] | None:
    """The job that failed so lately and is still there, with its error as it was then."""
    for job_id in dict.fromkeys([*(job.id for job in jobs[:1]), group.job_id]):
        job = view.read(reads.get, job_id, history=True)
        attempts = reversed(job.history) if job else ()
        for error in (job and job.error, *(attempt.error for attempt in attempts)):
            if job and error and fingerprint(error).key == group.fingerprint:
                return job, error
    return None


def _bars(group: ErrorGroup, period: Period, now: int) -> list[Bar]:
    return [
        Bar(f"{_label(period, part, now)} to {_label(period, part + 1, now)}", [("failed", number)])
        for part, number in enumerate(group.trend)
    ]


def _label(period: Period, part: int, now: int, *, short: bool = False) -> str:
    """When a part of the trend begins, in this machine's time."""
    begin = moment(period.begin(now) + part * period.reach // TREND * HOUR).astimezone()
    if period.reach == TREND:
        return f"{begin:%H:%M}"
    return f"{begin:%d %b}" if short else f"{begin:%d %b %H:%M}"
