"""Enqueuing: one job after the other, beside Huey; and in bulk."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jobs
from figures import Figure, Section
from peers import HueyPlace
from place import HERE, Place

from lateshift import Call
from lateshift.host.fleet import host_name
from lateshift.host.presence import Presence
from lateshift.storage.workers import NewWorker, register_worker

TITLE = "Enqueuing"
TEXT = """\
One call after the other in one process, each on the disk when it returns, while a living worker is registered (so that
each call also looks whether it has to start a runner). In bulk: `enqueue_many` of calls that are already made."""

WARM_UP = 1_500
"""Calls that do not count: after them the write-ahead log has its size on both sides, as in an old database."""


def run(rounds: int, *, quick: bool) -> Section:
    """Measure both, and Huey in the same rounds."""
    single, bulk = (500, 10_000) if quick else (3_000, 50_000)
    sides: dict[str, Callable[[], float]] = {
        "lateshift": lambda: _fresh("one_by_one", single),
        "huey": lambda: _huey("sqlite", single),
        "unsafe": lambda: _huey("sqlite-unsafe", single),
        "bulk": lambda: _fresh("in_bulk", bulk),
    }
    measured: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, measure in sides.items():
            measured[name].append(measure())
    return Section(TITLE, TEXT, tuple(_figures(measured, bulk)))


def rate(call: Callable[[int], Any], count: int) -> float:
    """Calls a second, after a few that do not count."""
    for n in range(WARM_UP):
        call(n)
    began = time.perf_counter()
    for n in range(count):
        call(n)
    return count / (time.perf_counter() - began)


def one_by_one(count: int) -> float:
    """Jobs a second through `run_background_job`."""
    with Place(spawn="auto") as place:
        worker = NewWorker("bench", "worker", host_name(), os.getpid(), str(place.folder), (), "0")
        presence = Presence(place.folder, worker.id)
        presence.acquire()
        register_worker(place.app.database, worker, place.app.database.now() + 60_000_000)
        measured = rate(lambda n: place.app.run_background_job(jobs.noop, parameters={"n": n}), count)
        presence.release()
    return measured


def in_bulk(count: int) -> float:
    """Jobs a second through `enqueue_many`."""
    with Place() as place:
        place.fill(100)
        calls = [Call(jobs.noop, parameters={"n": n}) for n in range(count)]
        began = time.perf_counter()
        place.app.enqueue_many(calls)
        return count / (time.perf_counter() - began)


def _fresh(function: str, count: int) -> float:
    """Call a function of this module in a process of its own, as Huey's side has one."""
    code = f"import enqueue\nprint(enqueue.{function}({count}))"
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    out = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
    return float(out.stdout)


def _huey(kind: str, count: int) -> float:
    with tempfile.TemporaryDirectory(prefix="lateshift-bench-") as folder:
        return HueyPlace(kind, Path(folder)).enqueue_rate(count)


def _figures(measured: dict[str, list[float]], bulk: int) -> list[Figure]:
    middle = {name: statistics.median(rates) for name, rates in measured.items()}
    names = {
        "lateshift": "Lateshift, one by one",
        "huey": "Huey 3, SQLite, one by one",
        "unsafe": "Huey 3, SQLite, no fsync, one by one",
    }
    return [
        *(
            Figure(name=label, value=middle[key], unit="jobs/s", rounds=tuple(measured[key]))
            for key, label in names.items()
        ),
        Figure(
            name="Lateshift beside Huey 3, SQLite", value=middle["lateshift"] / middle["huey"], unit="times", at_least=1
        ),
        Figure(name="Lateshift beside Huey 3, no fsync", value=middle["lateshift"] / middle["unsafe"], unit="times"),
        Figure(
            name=f"Lateshift, {bulk:,} in bulk",
            value=middle["bulk"],
            unit="jobs/s",
            at_least=50_000,
            rounds=tuple(measured["bulk"]),
        ),
    ]
