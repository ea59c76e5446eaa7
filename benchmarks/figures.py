"""A measured figure beside what the project promises for it, and the page that lists them."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

INTRODUCTION = """\
# Benchmark results

Written by `python3 dev.py bench`. Every figure is the median of its rounds; in each round the sides are measured one
after the other, so that a noisy machine is noisy for all. Compare ratios, not absolute figures.

Lateshift runs as users get it: log files at INFO, statistics, heartbeats, presence, allow-list and parameter checks,
and on every database a commit is on the disk before it counts: SQLite with `full` durability, the servers as they are
installed, each with 1 GB for its pages. "Raw" is a loop that only claims and completes rows of our table, in batches of
400 over the same driver: no job is run.

Huey runs without logs (`-q`), which is its faster way. "Huey 3, SQLite" is `SqliteHuey()` as installed, which also
waits for the disk; "no fsync" is `SqliteHuey(fsync=False)`, which loses jobs when the machine goes down. It forgets the
job that a killed worker was running, on either store; Lateshift does not.
"""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What was measured, and the bounds it has to keep; `rounds` are the single measurements behind the value."""

    name: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    rounds: tuple[float, ...] = ()

    @property
    def target(self) -> str:
        """The bound in words; empty when there is none."""
        if self.at_least is not None:
            return f"at least {shown(self.at_least)} {self.unit}".strip()
        return "" if self.at_most is None else f"at most {shown(self.at_most)} {self.unit}".strip()

    @property
    def met(self) -> str:
        """Whether the bound is kept: yes, no, or nothing when there is none."""
        if self.at_least is not None:
            return "yes" if self.value >= self.at_least else "**no**"
        if self.at_most is not None:
            return "yes" if self.value <= self.at_most else "**no**"
        return ""

    def cells(self) -> list[str]:
        """The row of the table."""
        spread = f"{shown(min(self.rounds))} to {shown(max(self.rounds))}" if len(self.rounds) > 1 else ""
        return [self.name, f"{shown(self.value)} {self.unit}".strip(), spread, self.target, self.met]


@dataclass(frozen=True)
class Section:
    """The figures of one benchmark."""

    title: str
    text: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Side:
    """One of those that are measured in turn; the first of them is to be `bound` times as fast as this one."""

    label: str
    measure: Callable[[], float]
    bound: float | None = None


def compare(sides: Sequence[Side], rounds: int) -> list[Figure]:
    """Measure every side once in each round: their rates, and how many times as fast the first is as each other.

    A ratio is the median of the rounds' ratios, so that what slows a whole round down does not show in it.
    """
    measured: dict[str, list[float]] = {side.label: [] for side in sides}
    for _ in range(rounds):
        for side in sides:
            measured[side.label].append(side.measure())
    rates = [
        Figure(name=label, value=statistics.median(values), unit="jobs/s", rounds=tuple(values))
        for label, values in measured.items()
    ]
    return rates + [_ratio(sides[0].label, side, measured) for side in sides[1:]]


def _ratio(first: str, side: Side, measured: dict[str, list[float]]) -> Figure:
    ratios = tuple(mine / theirs for mine, theirs in zip(measured[first], measured[side.label], strict=True))
    name = f"{first} beside {side.label}"
    return Figure(name=name, value=statistics.median(ratios), unit="times", at_least=side.bound, rounds=ratios)


def shown(value: float) -> str:
    """A number with three significant digits, large ones with thousands."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def page(chapters: Mapping[str, tuple[Mapping[str, str], Iterable[Section]]], before: str) -> str:
    """The whole of RESULTS.md: new chapters in the place of the old ones of the same name, the others as they were."""
    old = {title: f"# {part}" for part in before.split("\n# ")[1:] for title in [part.partition("\n")[0]]}
    new = {title: _chapter(title, told, sections) for title, (told, sections) in chapters.items()}
    return "\n".join([INTRODUCTION, *(f"{text.rstrip()}\n" for text in (old | new).values())])


def _chapter(title: str, told: Mapping[str, str], sections: Iterable[Section]) -> str:
    parts = [f"# {title}\n", "\n".join(f"- {name}: {value}" for name, value in told.items()) + "\n"]
    for section in sections:
        rows = [["figure", "median", "rounds", "target", "met"], ["---"] * 5, *(f.cells() for f in section.figures)]
        table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        parts.append(f"## {section.title}\n\n{section.text}\n\n{table}\n")
    return "\n".join(parts)


def circumstances(database: str, packages: Iterable[str]) -> dict[str, str]:
    """When, with which versions and on what kind of machine; nothing that names the machine or its folders."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("lateshift", "msgspec", *packages)]
    return {
        "Date": f"{datetime.now(UTC):%Y-%m-%d}",
        "Versions": f"{database}, Python {platform.python_version()}, {', '.join(versions)}",
        "Machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores ({_processor()}), {_memory()}",
        "Disk": f"{_flush_time() * 1e6:.0f} µs to write 4 KiB over itself and wait for the disk (fsync)",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _memory() -> str:
    if sys.platform == "win32":
        return "memory unknown"
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


def _flush_time() -> float:
    """The median seconds that one small write to the disk takes: the floor of everything durable."""
    times = []
    with tempfile.TemporaryFile(buffering=0) as file:
        for _ in range(200):
            began = time.perf_counter()
            file.seek(0)
            file.write(bytes(4096))
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times)
