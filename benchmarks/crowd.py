"""Whether many workers on one database get in each other's way."""

from __future__ import annotations

import statistics

import crowd_jobs
from figures import Figure, Section
from place import Broken, Place

from lateshift import Call

WORKERS, THREADS = 20, 2
TITLE = f"{WORKERS} workers with {THREADS} threads each"
TEXT = """\
All on one database and one machine, under load: more jobs are ready than they can take, and each job waits 5 to 15 ms.
A claim is empty when there was something due and others took it all. A conflict is a transaction that the database
broke up, a deadlock for example, so that it was done again."""


def run(kind: str, rounds: int, *, quick: bool) -> Section:
    """Drain a queue with a crowd."""
    count = 4_000 if quick else 40_000
    rates, unfair, empty, conflicts = zip(*(_drain(kind, count) for _ in range(rounds)), strict=True)
    figures = (
        Figure(name=f"{count:,} jobs", value=statistics.median(rates), unit="jobs/s", rounds=rates),
        Figure(
            name="the busiest worker beside the laziest",
            value=statistics.median(unfair),
            unit="times",
            at_most=2,
            rounds=unfair,
        ),
        Figure(name="empty claims", value=statistics.median(empty), unit="%", at_most=10, rounds=empty),
        Figure(
            name="conflicts for 1,000 claims", value=statistics.median(conflicts), unit="", at_most=1, rounds=conflicts
        ),
    )
    return Section(TITLE, TEXT, figures)


def _drain(kind: str, count: int) -> tuple[float, float, float, float]:
    with Place(kind) as place:
        place.environment |= {"BENCH_CLAIMS": str(place.folder), "LATESHIFT_THREADS": str(THREADS)}
        place.app.enqueue_many(Call(crowd_jobs.nap, parameters={"n": n}) for n in range(count))
        place.rest()
        rate = place.drain(count, WORKERS)
        shares = [n for (n,) in place.look.query("select count(*) from lateshift_jobs group by worker")]
        attempts = place.ask("select count(*) from lateshift_attempts")
        if attempts or len(shares) != WORKERS:
            raise Broken(f"{attempts} jobs failed, {len(shares)} of {WORKERS} workers had something to do")
        claims, conflicts = [], 0
        for file in place.folder.glob("claims-*"):
            lines = [line.split() for line in file.read_text().splitlines()]
            claims += [int(got) for got, _ in lines]
            conflicts += int(lines[-1][1]) if lines else 0  # the process that tries the allow-list claims nothing
        return rate, max(shares) / min(shares), 100 * claims.count(0) / len(claims), 1000 * conflicts / len(claims)
