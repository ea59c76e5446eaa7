"""Enqueuing: one job after the other, beside the peers; and in bulk."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from contextlib import closing
from functools import partial

import jobs
import rates
from figures import Figure, Section, Side, compare
from msgspec import structs
from peers import HUEY, HueyPlace
from pg_peers import PGQUEUER, PROCRASTINATE
from place import HERE, Place

from lateshift import Call
from lateshift.enqueuing import Preparation
from lateshift.host.fleet import host_name
from lateshift.host.presence import Presence
from lateshift.storage.workers import NewWorker, register_worker
from lateshift.storage.writes import INSERT_JOB

TITLE = "Enqueuing"
TEXT = """\
One call after the other in one process, on a connection that stays open, each on the disk when it returns, while a
living worker is registered (so that each call also looks whether it has to start a runner). "Raw" is the statement that
stores such a row, alone, on a connection of the driver: what no program with this table and a disk can do better. In
bulk: `enqueue_many` of calls that are already made."""

IN_BULK = {"sqlite": 50_000, "postgres": 40_000, "mariadb": None}


def run(kind: str, rounds: int, *, quick: bool) -> Section:
    """Measure both, and the peers in the same rounds."""
    single, bulk = (500, 10_000) if quick else (3_000, 50_000)
    ours = Side("Lateshift, one by one", lambda: _fresh("one_by_one", kind, single))
    raw = Side("Raw, one by one", lambda: _fresh("statements", kind, single))
    figures = compare([ours, *_peers(kind, single), raw], rounds)
    together = tuple(_fresh("in_bulk", kind, bulk) for _ in range(rounds))
    value, bound = statistics.median(together), IN_BULK[kind]
    name = f"Lateshift, {bulk:,} in bulk"
    figures.append(Figure(name=name, value=value, unit="jobs/s", at_least=bound, rounds=together))
    return Section(TITLE, TEXT, tuple(figures))


def one_by_one(where: str, count: int) -> float:
    """Jobs a second through `run_background_job`."""
    with Place(where, spawn="auto") as place:
        worker = NewWorker("bench", "worker", host_name(), os.getpid(), str(place.folder), (), "0")
        presence = Presence(place.folder, worker.id, 1)
        presence.acquire()
        register_worker(place.app.database, worker, place.app.database.now())
        call = rates.one_by_one(lambda n: place.app.run_background_job(jobs.noop, parameters={"n": n}))
        measured = rates.rate(call, count)
        presence.release()
    return measured


def statements(where: str, count: int) -> float:
    """Jobs a second by the statement alone, of rows that are there beforehand."""
    with Place(where) as place, closing(place.look.connect_for_job()) as connection:
        place.fill(1)
        prepare, sql = Preparation(place.app.settings).prepare, place.look.render(INSERT_JOB)
        calls = [Call(jobs.noop, parameters={"n": n}) for n in range(rates.WARM_UP + count)]
        rows = iter([structs.asdict(prepare(call, place.look.now())) for call in calls])
        execute = connection.cursor().execute
        return rates.rate(rates.one_by_one(lambda _: execute(sql, next(rows))), count)


def in_bulk(where: str, count: int) -> float:
    """Jobs a second through `enqueue_many`."""
    with Place(where) as place:
        place.fill(100)
        calls = [Call(jobs.noop, parameters={"n": n}) for n in range(count)]
        began = time.perf_counter()
        place.app.enqueue_many(calls)
        return count / (time.perf_counter() - began)


def _fresh(function: str, kind: str, count: int) -> float:
    """Call a function of this module in a process of its own, as the peers have one."""
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    with Place(kind) as place:
        where = kind if kind == "sqlite" else place.url  # the server is ours to start, not that process's
        code = f"import enqueue\nprint(enqueue.{function}({where!r}, {count}))"
        out = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
    return float(out.stdout)


def _peers(kind: str, count: int) -> list[Side]:
    if kind == "sqlite":
        stores = (("sqlite", 1.0), ("sqlite-unsafe", None))
        return [Side(HUEY[store], partial(_huey, store, count), bound) for store, bound in stores]
    if kind == "postgres":
        peers = ((PGQUEUER, 1.0), (PROCRASTINATE, None))
        return [Side(peer.name, partial(peer.enqueue_rate, count), bound) for peer, bound in peers]
    return []


def _huey(kind: str, count: int) -> float:
    with HueyPlace(kind) as place:
        return place.enqueue_rate(count)
