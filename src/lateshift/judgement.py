"""Whether everything is all right: a light, a sentence, and the reasons, decided from what was read.

The overview of the dashboard and `lateshift top` say the same, as both ask here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import quote

from lateshift.host.fleet import living, serves
from lateshift.storage import reads
from lateshift.storage.counting import Count
from lateshift.storage.history import QueueRate
from lateshift.storage.reads import QueueRow, WorkerRow
from lateshift.wording import count, long_duration

Light = Literal["good", "warning", "bad"]

ORDER: Final[Mapping[Light, int]] = {"bad": 0, "warning": 1, "good": 2}
"""The worst first."""

LATE: Final = 60.0
"""Seconds that a due job may wait before that is worth a word."""

STARTING: Final = 10.0
"""Seconds that a runner may take to start by itself."""

FAILING: Final = 0.05
"""Part of the finished jobs that may fail before that is worth a word."""

MANY: Final = 100
"""Jobs that may wait in a queue which fills faster than it empties, before that is worth a word."""


class Trouble(NamedTuple):
    """What is wrong with a queue, in a word or two."""

    light: Light
    words: str


class Reason(NamedTuple):
    """One thing that is not as it should be; `path` is the page that shows more, without its root."""

    light: Light
    words: str
    path: str


class Verdict(NamedTuple):
    """The light, the sentence beside it, and why."""

    light: Light
    sentence: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What there is to judge; times in microseconds, `finished` and `failed` of the last hour.

    `absent` are workers without a row whose jobs run.
    """

    now: int
    queues: Sequence[QueueRow]
    alive: Sequence[WorkerRow]
    dead: Sequence[WorkerRow]
    held: Mapping[str, int]
    finished: int
    failed: int
    spawns: bool
    absent: Sequence[str] = ()

    @property
    def waiting(self) -> int:
        """Jobs that are due and wait."""
        return sum(queue.waiting for queue in self.queues)

    @property
    def running(self) -> int:
        """Jobs that run."""
        return sum(queue.running for queue in self.queues)

    @property
    def oldest(self) -> float | None:
        """Seconds for which the longest waiting due job of an open queue has waited; None without one."""
        times = [queue.oldest for queue in self.queues if queue.oldest is not None and not queue.paused]
        return (self.now - min(times)) / 1_000_000 if times else None


def observe(read: Callable[..., Any], now: int, counted: Sequence[Mapping[str, Any]], *, spawns: bool) -> Facts:
    """What there is to judge at a moment (microseconds).

    `read` asks a storage function and may remember its answers; `counted` are rows that say how many jobs `completed`
    and `failed` in the last hour; `spawns` is whether runners start by themselves.
    """
    workers: list[WorkerRow] = read(reads.workers)
    alive = living(workers, now)
    failed = sum(int(row["failed"]) for row in counted)
    return Facts(
        now=now,
        queues=read(reads.queues, now),
        alive=alive,
        dead=[worker for worker in workers if worker not in alive],
        held=read(reads.held_jobs),
        finished=failed + sum(int(row["completed"]) for row in counted),
        failed=failed,
        spawns=spawns,
        absent=read(reads.absent_owners),
    )


def judge(facts: Facts) -> Verdict:
    """The verdict; reasons come worst first."""
    reasons = sorted(_reasons(facts), key=lambda reason: ORDER[reason.light])
    light: Light = reasons[0].light if reasons else "good"
    return Verdict(light, _sentence(facts, light), tuple(reasons))


def find_trouble(
    queue: QueueRow, now: int, *, served: bool, spawns: bool, rate: QueueRate | None = None
) -> Trouble | None:
    """The worst that can be said of a queue; None when nothing can. `spawns`: a runner starts by itself."""
    late = 0.0 if queue.oldest is None else (now - queue.oldest) / 1_000_000
    if queue.waiting and queue.paused:
        return Trouble("warning", "paused")
    if queue.waiting and not served and (not spawns or late > STARTING):
        return Trouble("bad", "no worker serves it")
    if late > LATE:
        return Trouble("warning", f"late by {long_duration(late)}")
    if rate is not None and rate.speed_in > rate.speed_out and queue.waiting >= MANY:
        return Trouble("warning", "filling up")
    return None


def _sentence(facts: Facts, light: Light) -> str:
    if light == "bad":
        return "Something needs you"
    if light == "warning":
        return "Working, with something to look at"
    if facts.running or facts.waiting:
        return "All is well"
    return "All is well, nothing to do"


def _reasons(facts: Facts) -> Iterator[Reason]:
    late = facts.oldest
    if late is not None and not facts.alive and (not facts.spawns or late > STARTING):
        verb = "waits" if facts.waiting == 1 else "wait"
        later = "a runner starts with the next job that is enqueued or waited for; or " if facts.spawns else ""
        words = f"{_jobs(facts.waiting)} {verb} and no worker is alive: {later}start one with `lateshift work`."
        yield Reason("bad", words, "/workers")
    elif late is not None and late > LATE:
        yield Reason("warning", f"The oldest waiting job has been due for {long_duration(late)}.", "/queues")
    if facts.alive:
        yield from _unserved(facts)
    lost = [held for owner in (*(worker.id for worker in facts.dead), *facts.absent) if (held := facts.held.get(owner))]
    if lost:
        hold = "hold" if len(lost) > 1 else "holds"
        words = f"{count(len(lost), 'dead worker')} still {hold} {count(sum(lost), 'job')}."
        yield Reason("warning", words, "/workers")
    if facts.failed and facts.failed > FAILING * facts.finished:
        share = facts.failed / max(facts.finished, facts.failed)
        finished = count(facts.finished, "job")
        words = f"{facts.failed:,} of {finished} that finished in the last hour failed, {share:.0%}."
        yield Reason("warning", words, "/errors")
    for queue in facts.queues:
        if queue.paused and queue.waiting:
            verb = "waits" if queue.waiting == 1 else "wait"
            words = f"The queue {queue.name} is paused while {_jobs(queue.waiting)} {verb}."
            yield Reason("warning", words, _page(queue))


def _unserved(facts: Facts) -> Iterator[Reason]:
    for queue in facts.queues:
        served = any(serves(worker, queue.name) for worker in facts.alive)
        trouble = find_trouble(queue, facts.now, served=served, spawns=facts.spawns)
        if trouble is not None and trouble.light == "bad":
            verb = "waits" if queue.waiting == 1 else "wait"
            words = f"{_jobs(queue.waiting)} {verb} in the queue {queue.name}, which no living worker serves."
            yield Reason("bad", words, _page(queue))


def _page(queue: QueueRow) -> str:
    return f"/queues/{quote(queue.name)}"


def _jobs(number: int) -> str:
    return Count.of(number).words("job")
