"""Jobs in an order that an index has, read in pieces: the ground of searching, of paging and of bulk actions.

A stream is one way into the table: the finished jobs of a status by the time of their end, the waiting ones of a lane
by the time they are due, what runs, what failed in one way, or all by age. Conditions that no index serves are looked
at piece by piece, so that the cost of a read is bounded by how much it may look at, whatever it searches for.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from lateshift.storage import reads
from lateshift.storage.database import Database
from lateshift.storage.filters import Filters

Key = tuple[Any, ...]

FIRST_PIECE: Final = 4
"""How many rows are looked at in the first statement for each that is wanted: most searches find enough there."""

LARGEST_PIECE: Final = 10_000
"""How many rows a statement looks at at most; after one with too few hits the next looks at five times as many."""

CHECKED: Final = 2_000
"""Rows whose parameters are looked at in one go, where SQL has only looked them over."""

MOST_LANES: Final = 200
"""Lanes of which a page reads: those that are due first. It says so when there are more."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A way into the jobs: `access` says which, `keys` in which order. `parameters` are of `access`.

    One that goes `through_attempts` finds attempts `a`, of which each leads to another job.
    """

    keys: tuple[str, ...]
    descending: bool
    access: str = ""
    through_attempts: bool = False
    parameters: dict[str, Any] = field(default_factory=dict)

    def reverse(self) -> Stream:
        """The same jobs from the other end."""
        return replace(self, descending=not self.descending)

    def piece(self, columns: Iterable[str], after: Key | None = None) -> tuple[str, dict[str, Any]]:
        """(select, parameters) of the first :piece rows behind a key, with these columns and the keys."""
        rows, parameters = self.rows_after(after)
        if self.through_attempts:
            chosen = ", ".join(f"j.{column}" for column in sorted({*columns}))
            found = f"select job_id{rows}{self.order} limit :piece"
            return f"select {chosen}, c.job_id from ({found}) as c join lateshift_jobs j on j.id = c.job_id", parameters
        return f"select {', '.join(sorted({*columns, *self.keys}))}{rows}{self.order} limit :piece", parameters

    @property
    def order(self) -> str:
        """The order as a clause."""
        way = " desc" if self.descending else ""
        return f" order by {', '.join(f'{key}{way}' for key in self.keys)}"

    def rows_after(self, key: Key | None) -> tuple[str, dict[str, Any]]:
        """(from and where, parameters) of the rows behind a key, of all for None."""
        conditions = [self.access] if self.access else []
        parameters = dict(self.parameters)
        if key is not None:
            sign = "<" if self.descending else ">"
            if len(self.keys) == 1:
                conditions.append(f"{self.keys[0]} {sign} :key_a")
            else:  # in this form each database seeks to the first key
                first, second = self.keys
                conditions.append(f"{first} {sign}= :key_a and ({first} {sign} :key_a or {second} {sign} :key_b)")
            parameters |= dict(zip(("key_a", "key_b"), key, strict=False))
        where = f" where {' and '.join(conditions)}" if conditions else ""
        return f" from {'lateshift_attempts a' if self.through_attempts else 'lateshift_jobs'}{where}", parameters


@dataclass(frozen=True, slots=True)
class Hit:
    """A job that was found, and its place in the order."""

    key: Key
    id: str


@dataclass(slots=True)
class Budget:
    """How many rows may still be looked at, and until when (monotonic seconds)."""

    rows: int
    until: float

    @classmethod
    def of(cls, rows: int, seconds: float) -> Budget:
        """A budget that begins now."""
        return cls(rows, time.monotonic() + seconds)

    @property
    def spent(self) -> bool:
        """Whether nothing is left."""
        return self.rows <= 0 or time.monotonic() >= self.until


class Reader:
    """Reads hits from one stream, in order. `ended` when there are no more; `looked_to` is how far it has looked."""

    def __init__(self, db: Database, stream: Stream, filters: Filters, after: Key | None = None) -> None:
        self.ended = False
        self.looked_to = after
        self._db, self._stream, self._filters = db, stream, filters
        self._bare = not filters.conditions and not filters.checks and not stream.through_attempts
        self._piece = 0

    def read(self, wanted: int, budget: Budget) -> list[Hit]:
        """Up to `wanted` more hits; fewer when the stream ends or the budget does."""
        hits: list[Hit] = []
        while len(hits) < wanted and not self.ended and not budget.spent:
            hits += self.read_piece(wanted - len(hits), budget)
        return hits

    def read_piece(self, wanted: int, budget: Budget) -> list[Hit]:
        """The hits in the next piece of the stream, `wanted` at most; one or two statements."""
        piece = wanted if self._bare else max(wanted, min(self._piece or FIRST_PIECE * wanted, LARGEST_PIECE))
        most = CHECKED if self._filters.checks else wanted
        rows = self._hits(most, piece)
        budget.rows -= piece if len(rows) < most else most
        hits = [Hit(tuple(row[1:-1]), row[0]) for row in rows if self._filters.hold(row[-1])]
        self._piece = piece if len(hits) >= wanted else 5 * piece
        if len(hits) >= wanted:
            self.looked_to = hits[wanted - 1].key
        elif len(rows) == most:
            self.looked_to = rows[-1][1:-1]
        elif self._bare:
            self.ended = True
        else:
            self._pass(piece)
        return hits[:wanted]

    def is_before(self, key: Key, *, descending: bool) -> bool:
        """Whether what it has looked at ends before a key, so that more could stand before it."""
        if self.looked_to is None:
            return True
        here, there = _place(self.looked_to), _place(key)
        return here > there if descending else here < there

    def _hits(self, wanted: int, piece: int) -> list[tuple[Any, ...]]:
        stream, filters = self._stream, self._filters
        checked = ("parameters",) if filters.checks else ()
        rows, parameters = stream.piece({"id", *filters.columns, *checked}, self.looked_to)
        last = "parameters" if checked else "null"
        return self._db.query(
            f"select id, {', '.join(stream.keys)}, {last} from ({rows}) as j"
            f"{filters.where}{stream.order} limit :wanted",
            {**parameters, **filters.parameters, "piece": piece, "wanted": wanted},
        )

    def _pass(self, piece: int) -> None:
        """Go on behind the piece, or end."""
        rows, parameters = self._stream.rows_after(self.looked_to)
        keys = ", ".join(self._stream.keys)
        last = self._db.query(
            f"select {keys}{rows}{self._stream.order} limit 1 offset :passed", {**parameters, "passed": piece - 1}
        )
        self.ended = not last
        self.looked_to = tuple(last[0]) if last else self.looked_to


def merged(
    readers: Sequence[Reader], wanted: int, rows: int, seconds: float, *, descending: bool
) -> tuple[list[Hit], Key | None]:
    """The first `wanted` hits of several streams in one order, and how far all have been looked at (None: to the end).

    Each gives a few at first, however long that takes, for no page must end where it began. Then the one that is
    furthest behind gives more, for some `seconds`. A hit beyond its place is left to the next page when time or `rows`
    are up: what has not been found yet may stand before it.
    """
    share = wanted if len(readers) == 1 else 2 * wanted // max(1, len(readers)) + 2
    budget = Budget.of(rows, seconds)
    hits = [hit for reader in readers for hit in reader.read_piece(share, budget)]
    budget = Budget.of(budget.rows, seconds)
    while behind := _furthest_behind(readers, descending=descending):
        sure = [hit for hit in hits if not behind.is_before(hit.key, descending=descending)]
        if len(sure) >= wanted or budget.spent:
            hits = sure
            break
        hits += behind.read_piece(wanted - len(sure), budget)
    hits.sort(key=lambda hit: _place(hit.key), reverse=descending)
    return hits[:wanted], behind.looked_to if behind else None


def _furthest_behind(readers: Sequence[Reader], *, descending: bool) -> Reader | None:
    """The one that has been read least far, of those that have not ended."""
    left = [reader for reader in readers if not reader.ended]
    left.sort(key=lambda reader: _place(reader.looked_to or ()), reverse=descending)
    return left[0] if left else None


def _place(key: Key) -> Key:
    """A key as it can be compared: SQLite takes a text where a number belongs, and has it behind all numbers."""
    return tuple((isinstance(part, str), part) for part in key)


def by_age(db: Database) -> Stream:
    """All jobs, the newest first."""
    return Stream((db.dialect.words["{age}"],), descending=True)


def finished(db: Database, status: str, until: int | None = None) -> Stream:
    """The finished jobs of a status, those last that ended first; none that ended after `until`."""
    limit = "" if until is None else " and finished_at <= :until"
    access = f"status = :status and finished_at is not null{limit}"
    keys = "finished_at", db.dialect.words["{age}"]
    return Stream(keys, descending=True, access=access, parameters={"status": status, "until": until})


def running(db: Database) -> Stream:
    """What runs, what has run for longest first."""
    return Stream(("started_at", db.dialect.words["{age}"]), descending=False, access="status = 'running'")


def waiting(db: Database, queues: Iterable[str] = ()) -> list[Stream]:
    """The waiting jobs, by lane, those first that are or were due first; of some queues, or of all."""
    chosen = set(queues)
    lanes = [lane for lane in reads.lanes(db) if not chosen or lane.queue in chosen]
    lanes.sort(key=lambda lane: lane.run_at)
    access = "{waiting} and queue = :queue and executor = :executor and priority = :priority"
    return [
        Stream(
            ("run_at", "seq"),
            descending=False,
            access=access,
            parameters={"queue": lane.queue, "executor": lane.executor, "priority": lane.priority},
        )
        for lane in lanes
    ]


def retrying(db: Database) -> Stream:
    """The jobs that wait for another attempt, what is due first before the others; on MySQL the oldest."""
    access = "status = 'pending_retry' and finished_at is null"
    return Stream((db.dialect.words["{retry}"], "seq"), descending=False, access=access)


def identified(prefix: str) -> Stream:
    """The jobs whose id begins so, the newest first."""
    access = "id >= :low and id < :high" if len(prefix) < 36 else "id = :low"
    return Stream(("id",), descending=True, access=access, parameters={"low": prefix, "high": f"{prefix}~"})


_LAST_FAILURE: Final = """a.fingerprint %s and not exists (
    select 1 from lateshift_attempts b where b.job_id = a.job_id and b.lease > a.lease and b.fingerprint is not null)"""


def failed_so(fingerprint: str | None) -> Stream:
    """The jobs whose last failure has this fingerprint, or any; the newest first."""
    access = _LAST_FAILURE % ("is not null" if fingerprint is None else "= :fingerprint")
    known = {"fingerprint": fingerprint}
    return Stream(("job_id",), descending=True, access=access, through_attempts=True, parameters=known)


def walk(readers: Iterable[Reader], budget_rows: int) -> Iterator[list[Hit]]:
    """All hits of several streams, in pieces that each cost a bounded time; a piece may be empty."""
    for reader in readers:
        while not reader.ended:
            yield reader.read_piece(500, Budget(budget_rows, float("inf")))
