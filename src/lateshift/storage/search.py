"""Finding jobs: pages of what a search matches, how many there are in each state, and all of them for a bulk action.

A page looks at 100,000 rows at most, and for a fraction of a second: a search that no index serves covers the newest
part of what it could find, says so, and can be continued from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from lateshift.job import FINISHED, STATUSES, WAITING, Job
from lateshift.query import Query
from lateshift.storage import counting, reads, streams
from lateshift.storage.counting import Count
from lateshift.storage.database import Database
from lateshift.storage.filters import Filters, make_filters
from lateshift.storage.streams import Budget, Hit, Key, Reader, Stream
from lateshift.texts import is_id

Sort = Literal["newest", "finished", "due", "longest"]
"""The newest first; what finished last; what is (or was) due first; what has run for longest."""

WINDOW: Final = 100_000
SECONDS: Final = 0.1
COUNT_WINDOW: Final = 1_000
"""Rows that are looked at for the count of one state, where there are conditions that no index serves."""

_SORTED: Final[dict[Sort, tuple[str, ...]]] = {
    "newest": STATUSES,
    "finished": FINISHED,
    "due": WAITING,
    "longest": ("running",),
}


@dataclass(frozen=True, slots=True)
class Found:
    """A page of jobs. `next` and `previous` are cursors, None at the ends; `sorts` are the orders that there could be.

    `complete` is False when the search stopped before it had looked at all there is: then fewer jobs may be here than
    asked for, and `next` goes on from there. Lanes beyond `streams.MOST_LANES` it does not look at on any page.
    """

    jobs: tuple[Job, ...]
    next: str | None
    previous: str | None
    sort: Sort
    sorts: tuple[Sort, ...]
    complete: bool


def sorts(query: Query) -> tuple[Sort, ...]:
    """The orders in which a search can be shown, the best one for it first."""
    chosen = query.statuses
    if query.of("id") or query.of("fingerprint") or not chosen:
        return ("newest",)
    fitting = [sort for sort, statuses in _SORTED.items() if set(statuses) & set(chosen)]
    best = [sort for sort in fitting if sort != "newest" and set(chosen) <= set(_SORTED[sort])]
    return (*best, *(sort for sort in fitting if sort not in best))


def search(
    db: Database,
    query: Query,
    *,
    sort: Sort | None = None,
    cursor: str | None = None,
    limit: int = 50,
    seconds: float | None = None,
) -> Found:
    """A page of the jobs that match. An order or a cursor that does not fit counts as none given."""
    possible = sorts(query)
    chosen = sort if sort in possible else possible[0]
    ways, filters = _ways(db, query, chosen)
    every = len(ways) <= streams.MOST_LANES
    ways = ways[: streams.MOST_LANES]
    back, key = _read_cursor(cursor, ways)
    ways = [way.reverse() for way in ways] if back else ways
    readers = [Reader(db, way, filters, key) for way in ways]
    descending = bool(ways) and ways[0].descending
    seconds = SECONDS if seconds is None else seconds
    hits, looked_to = streams.merged(readers, limit + 1, WINDOW, seconds, descending=descending)
    more = len(hits) > limit
    hits = hits[:limit]
    beyond = hits[-1].key if more else looked_to
    complete = every and (more or looked_to is None)
    before = hits[0].key if hits else key
    ahead, behind = (beyond, before if key is not None else None)
    if back:
        hits, ahead, behind = hits[::-1], key and before, beyond
    cursors = _cursor("a", ahead), _cursor("b", behind)
    return Found(tuple(_jobs(db, hits)), *cursors, chosen, possible, complete)


def state_counts(db: Database, query: Query) -> dict[str, Count]:
    """How many jobs of each state match what a search says beside the state; bounded as `Count` tells."""
    query, counts = query.without("status"), dict.fromkeys(STATUSES, Count(0))
    if query.of("id") or query.of("fingerprint") or _by_error(query, STATUSES):
        ways, filters = _ways(db, query, "newest")
        found = [_count(db, way, filters) for way in ways]
        more = any(not ended for _, ended in found)
        for numbers, _ in found:
            counts |= {status: counts[status] + Count.of(n) for status, n in numbers.items()}
        return {status: Count(count.number, count.more or more) for status, count in counts.items()}
    now = db.now()
    filters = make_filters(query, now)
    for way, status in _states(db, query):
        left = filters if way.access != _QUEUED else make_filters(query, now, without=["queue"])
        numbers, ended = _count(db, way, left)
        counts[status] = Count.of(numbers.get(status, 0)) + Count(0, more=not ended)
    return counts


def count_matching(db: Database, query: Query, seconds: float | None = None) -> Count:
    """How many jobs match, counting no further than 10,000, and for a moment only."""
    number, budget = 0, Budget.of(WINDOW, SECONDS if seconds is None else seconds)
    for reader in _all_readers(db, query, None):
        while not reader.ended:
            if budget.spent or number > counting.COUNT_LIMIT:
                return Count(min(number, counting.COUNT_LIMIT), more=True)
            number += len(reader.read_piece(1_000, budget))
    return Count.of(number)


def matching_ids(db: Database, query: Query, until: int) -> Iterator[list[str]]:
    """The ids of all jobs that match and were there at `until` (microseconds), in pieces of up to 500.

    A job was there when it was enqueued by then and, where it has ended, had done so too.
    Each piece costs a bounded time, and may be empty. What becomes of a job that was given out does no harm.
    """
    for piece in streams.walk(_all_readers(db, query, until), WINDOW):
        yield [hit.id for hit in piece]


def runs_around(db: Database, job_id: str, limit: int = 4, seconds: float = 0.03) -> tuple[list[Job], list[Job]]:
    """(older, newer) jobs of the same callable as a job that have run, or do, the nearest by age first.

    It looks as far as a page does, on each side for `seconds`: of a rare callable fewer may be found than there are.
    """
    place = db.query("select {age}, name from lateshift_jobs where id = :id", {"id": job_id})
    if not place:
        return [], []
    age, name = place[0]
    same = Filters(("name = :same", "attempts > 0"), frozenset({"name", "attempts"}), {"same": name}, ())
    older, newer = (
        Reader(db, way, same, (age,)).read(limit, Budget.of(WINDOW, seconds))
        for way in (streams.by_age(db), streams.by_age(db).reverse())
    )
    return _jobs(db, older), _jobs(db, newer)


_QUEUED: Final = "{waiting} and queue = :queue"


def _ways(db: Database, query: Query, sort: Sort) -> tuple[list[Stream], Filters]:
    """The streams that hold what matches, in one order, and what is still to be looked at in their rows."""
    now = db.now()
    if not query.statuses:  # `status:failed -status:failed`
        return [], make_filters(query, now)
    if ids := [value for term in query.of("id") for value in term.values]:
        return [streams.identified(value.lower()) for value in ids], make_filters(query, now, without=["id"])
    if prints := [value for term in query.of("fingerprint") for value in term.values]:
        return [streams.failed_so(value.lower()) for value in prints], make_filters(query, now, without=["fingerprint"])
    if sort == "finished":
        ways = [streams.finished(db, status) for status in FINISHED if status in query.statuses]
        return ways, make_filters(query, now, without=["status"])
    if sort == "longest":
        return [streams.running(db)], make_filters(query, now, without=["status"])
    if sort == "due" and "pending" not in query.statuses:
        return [streams.retrying(db)], make_filters(query, now, without=["status"])
    if sort == "due":
        queues = _queues(query)
        without = (["queue"] if queues else []) + (["status"] if set(WAITING) <= set(query.statuses) else [])
        return streams.waiting(db, queues), make_filters(query, now, without=without)
    if _by_error(query, query.statuses):
        return [streams.failed_so(None)], make_filters(query, now)
    return [streams.by_age(db)], make_filters(query, now)


def _by_error(query: Query, statuses: Sequence[str]) -> bool:
    """Whether only jobs with an error can match, in any state: they are found by their attempts."""
    return tuple(statuses) == STATUSES and any(not term.negated for term in query.of("error"))


def _queues(query: Query) -> list[str]:
    """The queues that a search is about, when that can be left to the streams."""
    terms = query.of("queue")
    return [] if any(term.negated for term in terms) else [value for term in terms for value in term.values]


def _states(db: Database, query: Query) -> Iterator[tuple[Stream, str]]:
    """A stream for each state, for counting."""
    for status in FINISHED:
        yield streams.finished(db, status), status
    yield streams.running(db), "running"
    yield streams.retrying(db), "pending_retry"
    queues = _queues(query)
    # In the order of the index, for PostgreSQL would else read the table from its beginning; and not by the queue where
    # there is only one, for MariaDB would else sort all of it.
    if len(queues) == 1:
        only = {"queue": queues[0]}
        yield Stream(("executor",), descending=False, access=_QUEUED, parameters=only), "pending"
    else:
        yield Stream(("queue",), descending=False, access="{waiting}"), "pending"


def _count(db: Database, stream: Stream, filters: Filters) -> tuple[dict[str, int], bool]:
    """(how many match by state, whether the stream ended) in the first rows of a stream."""
    bare = not filters.conditions and not filters.checks
    piece = counting.COUNT_LIMIT + 1 if bare else COUNT_WINDOW
    stream = replace(stream, keys=stream.keys[:1])
    checked = ("parameters",) if filters.checks else ()
    rows, parameters = stream.piece({"status", *filters.columns, *checked})
    values = {**parameters, **filters.parameters, "piece": piece}
    if filters.checks:
        found = db.query(f"select status, parameters from ({rows}) as j{filters.where}", values)
        numbers: dict[str, int] = {}
        for status, text in found:
            numbers[status] = numbers.get(status, 0) + filters.hold(text)
    else:
        numbers = dict(db.query(f"select status, count(*) from ({rows}) as j{filters.where} group by status", values))
    if bare:
        return numbers, sum(numbers.values()) < piece
    rest, parameters = stream.rows_after(None)
    last = db.query(f"select 1{rest}{stream.order} limit 1 offset :piece", {**parameters, "piece": piece})
    return numbers, not last


def _all_readers(db: Database, query: Query, until: int | None) -> Iterator[Reader]:
    """Readers that together give every job that matches and was there at `until` (None: at any time), each once."""
    now = db.now()
    if query.of("id") or query.of("fingerprint"):
        ways, filters = _ways(db, query, "newest")
        for way in ways:
            yield Reader(db, way, filters.enqueued_by(until))
        return
    if set(WAITING) & set(query.statuses) == {"pending_retry"}:
        yield Reader(db, streams.retrying(db), make_filters(query, now, without=["status"]).enqueued_by(until))
    elif set(WAITING) & set(query.statuses):  # first: what a bulk action makes wait is not to be met again
        without = ["status"] if set(WAITING) <= set(query.statuses) else []
        filters = make_filters(query.narrowed(WAITING), now, without=without).enqueued_by(until)
        for way in streams.waiting(db, _queues(query)):
            yield Reader(db, way, filters)
    by_status = make_filters(query, now, without=["status"])
    if "running" in query.statuses:
        yield Reader(db, streams.running(db), by_status.enqueued_by(until))
    for status in FINISHED:
        if status in query.statuses:
            yield Reader(db, streams.finished(db, status, until), by_status)


def _jobs(db: Database, hits: Sequence[Hit]) -> list[Job]:
    return reads.by_ids(db, [hit.id for hit in hits])


def _cursor(way: str, key: Key | None) -> str | None:
    return None if key is None else f"{way}{'~'.join(map(str, key))}"


def _read_cursor(cursor: str | None, ways: Sequence[Stream]) -> tuple[bool, Key | None]:
    """(whether to go back, from which key); none for a cursor that does not fit."""
    if not cursor or not ways or cursor[0] not in "ab":
        return False, None
    names, parts = ways[0].keys, cursor[1:].split("~")
    if len(parts) != len(names):
        return False, None
    readers: list[Callable[[str], Any]] = [_id if name.endswith("id") else _number for name in names]
    try:
        return cursor[0] == "b", tuple(read(part) for read, part in zip(readers, parts, strict=True))
    except ValueError:
        return False, None


def _id(text: str) -> str:
    if not is_id(text):  # servers refuse to look for it
        raise ValueError(text)
    return text


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ValueError(text)
    return int(text)
