"""Draining a queue that was filled beforehand: two worker processes on each side, no-op jobs."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import raw
from figures import Figure, Section
from peers import HueyPlace, redis_server
from place import Place

TITLE = "Draining"
TEXT = """\
Jobs a second from the first claim to the last completion, enqueued beforehand, with two worker processes on each side.
Lateshift's and the raw processes are up when they may begin; Huey's begin while they come up, which costs it nothing
over the seconds that it needs."""


def run(rounds: int, *, quick: bool) -> Section:
    """Measure all sides, one after the other in each round."""
    count = 5_000 if quick else 50_000
    with redis_server() as port:
        sides: dict[str, Callable[[], float]] = {
            "lateshift": lambda: _lateshift(count),
            "huey": lambda: _huey("sqlite", count),
            "raw": lambda: _raw(count),
            "unsafe": lambda: _huey("sqlite-unsafe", count),
        }
        if port is not None:
            sides["redis"] = lambda: _huey("redis", count, port)
        measured: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(rounds):
            for name, measure in sides.items():
                measured[name].append(measure())
    return Section(f"{TITLE} {count:,} jobs", TEXT, tuple(_figures(measured)))


def _lateshift(count: int) -> float:
    with Place() as place:
        place.fill(count)
        return place.drain(count)


def _raw(count: int) -> float:
    with Place() as place:
        place.fill(count)
        place.app.close()
        return raw.drain(place, count)


def _huey(kind: str, count: int, port: int | None = None) -> float:
    with tempfile.TemporaryDirectory(prefix="lateshift-bench-") as folder:
        place = HueyPlace(kind, Path(folder), port)
        place.fill(count)
        return place.drain(count)


def _figures(measured: dict[str, list[float]]) -> list[Figure]:
    middle = {name: statistics.median(rates) for name, rates in measured.items()}
    labels = {
        "lateshift": "Lateshift",
        "huey": "Huey 3, SQLite",
        "unsafe": "Huey 3, SQLite, no fsync",
        "redis": "Huey 3, Redis",
        "raw": "Raw",
    }
    bounds = {"huey": 12.0, "unsafe": None, "redis": 6.0, "raw": 0.5}
    rates = [
        Figure(name=label, value=middle[key], unit="jobs/s", rounds=tuple(measured[key]))
        for key, label in labels.items()
        if key in middle
    ]
    ratios = [
        Figure(
            name=f"Lateshift beside {labels[key]}",
            value=middle["lateshift"] / middle[key],
            unit="times",
            at_least=bound,
        )
        for key, bound in bounds.items()
        if key in middle
    ]
    return rates + ratios
