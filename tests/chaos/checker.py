"""Holds what is known of a run against what docs/promises.md promises. Each check is a function of the evidence.

What leases promise about "at most one attempt at a time", and so what is checked: once a later attempt of a job has
begun, an earlier one writes nothing more, except

- in the first second after its process, stopped for as long as that took, was woken;
- if its host was cut off from a database that others could reach: it goes on until it reaches it again.

Faults are the only excuse for an attempt that ran and then ran again: who was not hit, loses and repeats nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from evidence import Evidence, Line, Row

WAKING = 1.0
"""Seconds that a process which was stopped for too long may take to see that, on a machine with a hundred others."""

RECONNECTING = 10.0
"""Seconds after a cable is back until a worker has heard that it was given up."""

LEAST_CRASHES, MOST_CRASHES = 3, 10  # the third fails a job if it is known to be its own, the tenth in any case
WORKER_DIED = "lateshift.errors.WorkerDied"
ENDED = ("completed", "failed", "cancelled")


@dataclass(frozen=True)
class Violation:
    """A promise that was not kept; `job` is the id, or the label of a job that is not there, or None."""

    job: str | None
    words: str


Check = Callable[["Case"], Iterator[Violation]]


class Case:
    """The evidence, and what several checks want to know of it."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.rows = evidence.rows

    @cached_property
    def lines(self) -> dict[str, dict[int, list[Line]]]:
        """What attempts told, by job and lease."""
        found: dict[str, dict[int, list[Line]]] = {}
        for line in self.evidence.jobs:
            found.setdefault(line["job"], {}).setdefault(line["lease"], []).append(line)
        return found

    @cached_property
    def labels(self) -> dict[str, list[Row]]:
        """The jobs by what their enqueuer calls them."""
        found: dict[str, list[Row]] = {}
        for row in self.rows.values():
            found.setdefault(row.label, []).append(row)
        return found

    @cached_property
    def hit(self) -> set[int]:
        """The processes that a fault was done to."""
        return {pid for line in self.evidence.faults for pid in line.get("pids", ())}

    def told(self, what: str) -> list[Line]:
        """Lines of the enqueuers."""
        return [line for line in self.evidence.enqueuers if line["what"] == what]

    def spans(self, begin: str, end: str) -> list[tuple[float, float, Line]]:
        """When faults of a kind began and ended, with the line of the beginning."""
        open_: dict[str, Line] = {}
        found = []
        for line in self.evidence.faults:
            key = str(line.get("pids") or line.get("host") or line.get("queue"))
            if line["what"] == begin:
                open_.setdefault(key, line)  # it may be hit a second time meanwhile
            elif line["what"] == end and key in open_:
                began = open_.pop(key)
                found.append((began["at"], line["at"], began))
        return found + [(line["at"], float("inf"), line) for line in open_.values()]


def check(evidence: Evidence) -> list[Violation]:
    """All that was not kept."""
    case = Case(evidence)
    return [violation for check_one in CHECKS for violation in check_one(case)]


def all_accepted_are_there(case: Case) -> Iterator[Violation]:
    """What was accepted is not lost, and is there once."""
    for line in case.told("accepted"):
        if line["job"] not in case.rows:
            yield Violation(line["job"], f"lost: {line['label']} was accepted, and is not in the database")
    for label, rows in case.labels.items():
        if len(rows) > 1:
            yield Violation(rows[0].id, f"doubled: {label} was enqueued once, and is {len(rows)} jobs")


def all_have_ended(case: Case) -> Iterator[Violation]:
    """Also those that were in doubt, if they are there."""
    for row in case.rows.values():
        if row.status not in ENDED:
            yield Violation(row.id, f"stuck: still {row.status} at the end")


def undone_never_ran(case: Case) -> Iterator[Violation]:
    """What was rolled back does not exist and never did."""
    undone = {line["label"] for line in case.told("undone")}
    for line in case.evidence.jobs:
        if line["what"] == "begin" and line["label"] in undone:
            yield Violation(line["job"], f"{line['label']} was rolled back, and ran")
    for label in undone & case.labels.keys():
        yield Violation(case.labels[label][0].id, f"{label} was rolled back, and is in the database")


def newest_lease_stands(case: Case) -> Iterator[Violation]:
    """The result is that of the last attempt, which ended as the row says; nothing began after it."""
    for row in case.rows.values():
        leases = case.lines.get(row.id, {})
        if row.status == "completed":
            if row.result != {"lease": row.lease}:
                yield Violation(row.id, f"stale result: {row.result} stands, the lease is {row.lease}")
            elif not any(line["what"] == "returned" for line in leases.get(row.lease, ())):
                yield Violation(row.id, f"completed, and the attempt with lease {row.lease} never returned")
        for lease in leases:
            if lease > row.lease:
                yield Violation(row.id, f"lease {lease} ran, and the row says {row.lease}")


def one_at_a_time(case: Case) -> Iterator[Violation]:
    """See the top of this file."""
    stops = case.spans("stop", "wake")
    cuts = case.spans("part", "join")
    for job, leases in case.lines.items():
        order = sorted(leases)
        for earlier, later in pairwise(order):
            began = leases[later][0]["at"]
            for line in leases[earlier]:
                if line["at"] > began and not excused(line, began, stops, cuts):
                    late = line["at"] - began
                    yield Violation(job, f"overlap: lease {earlier} went on {late:.2f} s into lease {later}")
                    break


def excused(
    line: Line, began: float, stops: list[tuple[float, float, Line]], cuts: list[tuple[float, float, Line]]
) -> bool:
    """Whether an older attempt may have written this line after a later one began."""
    at, pids = line["at"], {line["pid"], line["worker"]}
    woken = any(start <= began and end <= at <= end + WAKING and pids & set(told["pids"]) for start, end, told in stops)
    host = line.get("host")
    parted = any(start <= began and at <= end + RECONNECTING and told["host"] == host for start, end, told in cuts)
    return woken or parted


def none_repeats_without_cause(case: Case) -> Iterator[Violation]:
    """An attempt that returned is followed by none, unless its process was hit, or its host cut off."""
    parted = {told["host"] for _, _, told in case.spans("part", "join")}
    for job, leases in case.lines.items():
        for lease, lines in leases.items():
            last = lines[-1]
            again = any(other > lease for other in leases)
            if last["what"] == "returned" and again and last["worker"] not in case.hit and last["host"] not in parted:
                yield Violation(job, f"doubled: lease {lease} returned, its worker lived on, and it ran again")


def counted_right(case: Case) -> Iterator[Violation]:
    """Errors use up attempts, crashes do not; each is counted once, and neither beyond its limit."""
    for row in case.rows.values():
        crashes = sum(attempt.error_type == WORKER_DIED for attempt in row.history)
        errors = [a for a in row.history if a.outcome in ("retry", "failed") and a.error_type != WORKER_DIED]
        cancelled = sum(attempt.outcome == "cancelled" for attempt in row.history)
        counted = len(errors) + cancelled + (row.status == "completed")
        if row.attempts != counted:
            yield Violation(row.id, f"miscounted: {row.attempts} attempts in the row, {counted} by its history")
        if row.crashes != crashes:
            yield Violation(row.id, f"miscounted: {row.crashes} crashes in the row, {crashes} by its history")
        if row.attempts > row.max_retries + 1:
            yield Violation(row.id, f"miscounted: {row.attempts} attempts of {row.max_retries + 1}")
        gave_up = row.status == "failed" and row.error_type == WORKER_DIED
        if not (LEAST_CRASHES <= crashes <= MOST_CRASHES if gave_up else crashes < MOST_CRASHES):
            yield Violation(row.id, f"miscounted: {crashes} crashes, and {row.status} ({row.error_type})")
        if row.status == "failed" and not gave_up and row.attempts != row.max_retries + 1:
            yield Violation(row.id, f"failed after {row.attempts} attempts of {row.max_retries + 1}")
        yield from tries_match(case, row)


def tries_match(case: Case, row: Row) -> Iterator[Violation]:
    """Each attempt that the database tells of ran, knew its number, and failed only as its plan had it."""
    word, _, times = row.plan.partition(":")
    leases = case.lines.get(row.id, {})
    used = [a.lease for a in row.history if a.outcome == "retry"]
    for lease, lines in leases.items():
        number = 1 + sum(other < lease for other in used)
        if lines[0]["attempt"] != number:
            yield Violation(row.id, f"miscounted: lease {lease} was attempt {lines[0]['attempt']}, not {number}")
    for attempt in row.history:
        failed = attempt.outcome in ("retry", "failed") and attempt.error_type != WORKER_DIED
        if failed and attempt.lease not in leases:
            yield Violation(row.id, f"lease {attempt.lease} has an outcome, {attempt.outcome}, and never began")
        if failed and word not in ("fail", "retry", "timeout"):
            yield Violation(
                row.id, f"lease {attempt.lease} failed with {attempt.error_type}, which it did not do itself"
            )
    if row.status == "completed" and word in ("fail", "retry") and len(used) != min(int(times), row.max_retries + 1):
        yield Violation(row.id, f"completed after {len(used)} errors, and its plan was {row.plan}")


def crashes_have_a_cause(case: Case) -> Iterator[Violation]:
    """Nobody is taken for dead who was not hit."""
    parted = {told["host"] for _, _, told in case.spans("part", "join")}
    for row in case.rows.values():
        for attempt in row.history:
            lines = case.lines.get(row.id, {}).get(attempt.lease)
            if attempt.error_type != WORKER_DIED or row.plan == "exit" or not lines:
                continue
            if not {lines[0]["pid"], lines[0]["worker"]} & case.hit and lines[0]["host"] not in parted:
                yield Violation(row.id, f"lease {attempt.lease} counts as crashed, and nobody touched its worker")


def order_held(case: Case) -> Iterator[Violation]:
    """Of the jobs that waited together in the calm at the end, none of a lower priority began long before a higher."""
    begun = [line for line in case.evidence.jobs if line["what"] == "begin" and line["label"].startswith("order-")]
    for place, line in enumerate(begun):
        row = case.rows[line["job"]]
        for later in begun[place + 1 :]:
            other = case.rows[later["job"]]
            allowed = IN_HAND if later["worker"] == line["worker"] else SCHEDULING
            if other.priority > row.priority and later["at"] - line["at"] > allowed:
                yield Violation(other.id, f"order: priority {other.priority} began after {row.priority} ({row.id})")
                break


IN_HAND = 0.5
"""Seconds by which the order in one worker may be off: 0.1 s of work in hand, and a machine that is busy."""

SCHEDULING = 5.0
"""Seconds for which such a machine may let one worker wait with the few jobs it has claimed, while another runs."""


def nothing_is_left(case: Case) -> Iterator[Violation]:
    """No process, connection, file or row that nobody needs, and no worker that does nothing."""
    for words in case.evidence.left:
        yield Violation(None, words)


CHECKS: tuple[Check, ...] = (
    all_accepted_are_there,
    all_have_ended,
    undone_never_ran,
    newest_lease_stands,
    one_at_a_time,
    none_repeats_without_cause,
    counted_right,
    crashes_have_a_cause,
    order_held,
    nothing_is_left,
)
