"""A measured figure beside what the project promises for it, and the page that lists them."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

INTRODUCTION = """\
# Benchmark results

Written by `python3 dev.py bench`. Every figure is the median of its rounds; in each round the sides are measured one
after the other, so that a noisy machine is noisy for all. Compare ratios, not absolute figures.

Lateshift runs as users get it: `full` durability (a commit is on the disk before it counts), log files at INFO,
statistics, heartbeats, presence, allow-list and parameter checks. Huey runs without logs (`-q`), which is its faster
way. "Huey 3, SQLite" is `SqliteHuey()` as installed, which also waits for the disk; "no fsync" is
`SqliteHuey(fsync=False)`, which loses jobs when the machine goes down. It forgets the job that a killed worker was
running, on either store; Lateshift does not. "Raw" is a loop that only claims and completes rows of our table, in
batches: no job is run.
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


def shown(value: float) -> str:
    """A number with three significant digits, large ones with thousands."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def page(sections: Iterable[Section]) -> str:
    """The whole of RESULTS.md."""
    parts = [INTRODUCTION, _circumstances()]
    for section in sections:
        rows = [["figure", "median", "rounds", "target", "met"], ["---"] * 5, *(f.cells() for f in section.figures)]
        table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        parts.append(f"## {section.title}\n\n{section.text}\n\n{table}\n")
    return "\n".join(parts)


def circumstances() -> dict[str, str]:
    """When, with which versions and on what kind of machine; nothing that names the machine or its folders."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("lateshift", "huey", "redis", "msgspec")]
    return {
        "Date": f"{datetime.now(UTC):%Y-%m-%d}",
        "Versions": f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {', '.join(versions)}",
        "Machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores ({_processor()}), {_memory()}",
        "Disk": f"{_flush_time() * 1e6:.0f} µs to write 4 KiB over itself and wait for the disk (fsync)",
    }


def _circumstances() -> str:
    return "\n".join(f"- {name}: {value}" for name, value in circumstances().items()) + "\n"


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
