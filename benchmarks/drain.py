"""Draining a queue that was filled beforehand: two worker processes on each side, no-op jobs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import raw
from figures import Section, Side, compare
from peers import HUEY, HueyPlace, redis_server
from pg_peers import PGQUEUER, PROCRASTINATE
from place import Place

TITLE = "Draining"
TEXT = """\
Jobs a second from the first claim to the last completion, enqueued beforehand, with two worker processes on each side.
All are up when they may begin, but Huey's: these begin while they come up, which costs it nothing over the seconds that
it needs."""
POSTGRES = """
PGQueuer runs on asyncpg and uvloop, with the batch size and the kind of connection that a first round of all found best
here. Procrastinate drains a tenth of the jobs, with the concurrency found in the same way and without logs: more jobs
make it slower."""
RAW = {"sqlite": 0.5, "postgres": 0.7, "mariadb": 0.5}


def run(kind: str, rounds: int, *, quick: bool) -> Section:
    """Measure all sides, one after the other in each round."""
    count = 5_000 if quick else 50_000
    with PEERS[kind](count, 2 if quick else None) as peers:
        ours = Side("Lateshift", lambda: _lateshift(kind, count))
        figures = compare([ours, *peers, Side("Raw", lambda: _raw(kind, count), RAW[kind])], rounds)
    text = TEXT + (POSTGRES if kind == "postgres" else "")
    return Section(f"{TITLE} {count:,} jobs", text, tuple(figures))


def _lateshift(kind: str, count: int) -> float:
    with Place(kind) as place:
        place.fill(count)
        place.rest()
        return place.drain(count)


def _raw(kind: str, count: int) -> float:
    with Place(kind) as place:
        place.fill(count)
        place.rest()
        place.app.close()
        return raw.drain(place, count)


@contextmanager
def _huey(count: int, _: int | None) -> Iterator[list[Side]]:
    bounds = {"sqlite": 12.0, "sqlite-unsafe": None, "redis": 6.0}
    with redis_server() as port:
        kinds = [kind for kind in HUEY if kind != "redis" or port is not None]
        yield [Side(HUEY[kind], partial(_drain_huey, kind, count, port), bounds[kind]) for kind in kinds]


def _drain_huey(kind: str, count: int, port: int | None) -> float:
    with HueyPlace(kind, port) as place:
        place.fill(count)
        return place.drain(count)


@contextmanager
def _on_postgres(count: int, choices: int | None) -> Iterator[list[Side]]:
    sides = []
    for peer, jobs, bound in ((PGQUEUER, count, 2.0), (PROCRASTINATE, count // 10, 30.0)):
        best = peer.best(jobs, choices)
        sides.append(Side(f"{peer.name} ({best})", partial(peer.drain, jobs, best), bound))
    yield sides


@contextmanager
def _nobody(_count: int, _choices: int | None) -> Iterator[list[Side]]:
    yield []


PEERS = {"sqlite": _huey, "postgres": _on_postgres, "mariadb": _nobody}
