"""Judge and draw what a soak has measured: `python benchmarks/soak_report.py FOLDER [--svg FILE]`.

The first quarter of a run is for warming up: caches fill, threads start, the first jobs get old enough to be deleted.
Of the rest the median of the last third is held against that of the first. What may lie between them is in `BOUNDS`.
At full speed the rate is the machine's, and more jobs at the end explain more rows: what depends on them is held
against what the jobs of each third explain. The jobs that are kept are explained by those that came of late.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from servers import KINDS

WARM_UP = 0.25
KEPT = 300
"""Seconds for which finished jobs were kept in soaks that did not write that down."""


@dataclass(frozen=True)
class Bound:
    """How much something may grow: by a share of what it was, and by an amount, whichever is more.

    `explained` names what it grows with, and may: a file with the most jobs that it ever held, as it does not shrink;
    jobs with those that came within the time for which they are kept.
    """

    name: str
    title: str
    share: float
    amount: float
    explained: str = ""


BOUNDS = (
    Bound("workers_mb", "memory of the workers, MB", 0.05, 4),
    Bound("supervisor_mb", "memory of the supervisor, MB", 0.05, 2),
    Bound("enqueuer_mb", "memory of the enqueuing process, MB", 0.05, 4),
    Bound("workers_threads", "threads of the workers", 0, 2),
    Bound("supervisor_threads", "threads of the supervisor", 0, 0),
    Bound("enqueuer_threads", "threads of the enqueuing process", 0, 1),
    Bound("workers_files", "open files of the workers", 0, 4),
    Bound("supervisor_files", "open files of the supervisor", 0, 2),
    Bound("enqueuer_files", "open files of the enqueuing process", 0, 6),
    Bound("children", "child processes", 0, 2),
    Bound("connections", "connections", 0, 1),
    Bound("wal_mb", "write-ahead log, MB", 0.25, 64),
    Bound("undo", "undo records (history list)", 0.1, 1_000),
    Bound("database_mb", "database, MB", 0.1, 8, "most_jobs"),
    Bound("jobs", "rows of jobs", 0.1, 2_000, "recent"),
    Bound("unfinished", "jobs that wait or run", 0.1, 1_000),
    Bound("rows_of_jobs", "rows of attempts and logs", 0.1, 500, "jobs"),
)
"""SQLite has no connections to count: they are among its open files."""

PLOTTED = ("workers_mb", "workers_threads", "workers_files", "wal_mb", "database_mb", "jobs")
COLORS = {"sqlite": "#0b7285", "postgres": "#3b5bdb", "mariadb": "#c2571a"}
WIDTH, HEIGHT, LEFT, TOP = 360, 130, 64, 34

Samples = list[dict[str, float]]


def main(arguments: Sequence[str]) -> int:
    """Judge and draw what is in a folder; 1 when something grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the samples are")
    parser.add_argument("--svg", type=Path, help="draw the plot into this file")
    chosen = parser.parse_args(arguments)
    runs = {kind: read(file) for kind in KINDS if (file := chosen.folder / f"{kind}.jsonl").exists()}
    grown = [f"{KINDS[kind]}: {bound.title}" for kind, run in runs.items() for bound in judge(KINDS[kind], run)]
    if chosen.svg:
        chosen.svg.parent.mkdir(parents=True, exist_ok=True)
        chosen.svg.write_text(draw(runs), encoding="utf-8")
    print("\n".join(["It grew:", *grown]) if grown else "Nothing grew beyond its bounds.", flush=True)
    return int(bool(grown) or not runs)


def read(file: Path) -> Samples:
    """The samples of one database; a run that still goes on may have half a line at its end."""
    run = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n")[:-1]]
    most = 0
    for sample in run:
        most = sample["most_jobs"] = max(most, sample.get("jobs", 0))
        before = (old["fed"] for old in reversed(run) if old["at"] <= sample["at"] - sample.get("keep", KEPT))
        sample["recent"] = sample["fed"] - next(before, 0)
    return run


def judge(title: str, run: Samples) -> list[Bound]:
    """Print what was measured beside its bounds; those that are broken."""
    minutes, jobs = run[-1]["at"] / 60, run[-1]["fed"]
    print(f"\n{title}: {minutes:.1f} minutes, {jobs:,.0f} jobs, {len(run)} samples\n")
    print("| what | after warming up | at the end | may be at most | |\n|---|---|---|---|---|")
    broken = []
    for bound in (bound for bound in BOUNDS if bound.name in run[0]):
        before, after, most = growth(run, bound)
        if after > most:
            broken.append(bound)
        print(
            f"| {bound.title} | {before:,.1f} | {after:,.1f} | {most:,.1f} | {'**grew**' if after > most else 'ok'} |"
        )
    return broken


def growth(run: Samples, bound: Bound) -> tuple[float, float, float]:
    """The medians of the first and of the last third after warming up, and what the latter may be."""
    before, after = thirds(run, bound.name)
    jobs_before, jobs_after = thirds(run, bound.explained) if bound.explained else (1, 1)
    may = before * jobs_after / jobs_before if jobs_before else before
    return before, after, may + max(may * bound.share, bound.amount)


def thirds(run: Samples, name: str) -> tuple[float, float]:
    """The medians of the first and of the last third after warming up."""
    warm = [sample[name] for sample in run if sample["at"] >= run[-1]["at"] * WARM_UP] or [run[-1][name]]
    third = max(1, len(warm) // 3)
    return statistics.median(warm[:third]), statistics.median(warm[-third:])


def draw(runs: dict[str, Samples]) -> str:
    """The plot: a small chart for each thing, a line for each database."""
    columns, step_x, step_y = 2, WIDTH + LEFT + 24, HEIGHT + TOP + 30
    rows = -(-len(PLOTTED) // columns)
    legend = "".join(
        f'<text x="{LEFT + 110 * place}" y="18" fill="{COLORS[kind]}">{KINDS[kind]}</text>'
        for place, kind in enumerate(runs)
    )
    charts = "".join(
        f'<g transform="translate({LEFT + n % columns * step_x} {60 + n // columns * step_y})">{chart(runs, name)}</g>'
        for n, name in enumerate(PLOTTED)
    )
    size = f"{columns * step_x} {rows * step_y + 40}"
    style = "text{font:12px sans-serif} .line{fill:none;stroke-width:1.5} .axis{stroke:#868e96;fill:none}"
    background = '<rect width="100%" height="100%" fill="#fff"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" role="img" aria-label="The soak, over time">'
        f"<style>{style}</style>{background}{legend}{charts}</svg>\n"
    )


def chart(runs: dict[str, Samples], name: str) -> str:
    """One chart, from zero up."""
    title = next(bound.title for bound in BOUNDS if bound.name == name)
    shown = {kind: run for kind, run in runs.items() if name in run[0]}
    top = max((sample[name] for run in shown.values() for sample in run), default=1) * 1.1 or 1
    end = max((run[-1]["at"] for run in shown.values()), default=1) or 1
    lines = "".join(
        f'<path class="line" stroke="{COLORS[kind]}" d="M{" L".join(_points(run, name, end, top))}"/>'
        for kind, run in shown.items()
    )
    return (
        f'<text y="-8">{title}</text><path class="axis" d="M0 0 V{HEIGHT} H{WIDTH}"/>'
        f'<text x="-8" y="10" text-anchor="end">{top:,.0f}</text><text x="-8" y="{HEIGHT}" text-anchor="end">0</text>'
        f'<text x="{WIDTH}" y="{HEIGHT + 15}" text-anchor="end">{end / 60:.0f} min</text>{lines}'
    )


def _points(run: Samples, name: str, end: float, top: float) -> list[str]:
    return [f"{sample['at'] / end * WIDTH:.1f} {HEIGHT - sample[name] / top * HEIGHT:.1f}" for sample in run]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
