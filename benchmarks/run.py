"""Measure Lateshift and its peers: `python3 dev.py bench [names...] [--quick] [--rounds N] [--json FILE]`.

Names: a database (sqlite, postgres, mariadb) for all that is measured on it, or one benchmark of it (sqlite_drain,
postgres_latency; --help lists them). Default: everything. A database that was measured as a whole gets its chapter of
RESULTS.md written anew.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from figures import Section, circumstances, page
from place import Place
from servers import KINDS

BENCHMARKS = {
    "sqlite": ("drain", "enqueue", "latency", "cold_start", "backlog", "footprint", "dashboard"),
    "postgres": ("drain", "enqueue", "latency", "backlog", "footprint", "crowd", "dashboard"),
    "mariadb": ("drain", "enqueue", "latency", "backlog", "footprint", "crowd"),
}
NAMES = tuple(f"{kind}_{name}" for kind, names in BENCHMARKS.items() for name in names)
PACKAGES = {
    "sqlite": ("huey", "redis"),
    "postgres": ("psycopg", "pgqueuer", "asyncpg", "uvloop", "procrastinate"),
    "mariadb": ("pymysql",),
}
"""Whose versions matter, beside our own."""

RESULTS = Path(__file__).resolve().with_name("RESULTS.md")


def main(arguments: Sequence[str]) -> int:
    """Measure what was asked for; 1 when a target is missed."""
    chosen = _parse(arguments)
    chapters: dict[str, list[Section]] = {}
    for kind, benchmark in (name.split("_", 1) for name in NAMES if name in chosen.names):
        began = time.monotonic()
        print(f"{kind}_{benchmark} ...", flush=True)
        section = importlib.import_module(benchmark).run(kind, chosen.rounds, quick=chosen.quick)
        chapters.setdefault(kind, []).append(section)
        _show(section)
        print(f"  ({time.monotonic() - began:.0f} s)", flush=True)
    whole = {kind: sections for kind, sections in chapters.items() if len(sections) == len(BENCHMARKS[kind])}
    if whole and not chosen.quick:
        new = {KINDS[kind]: (_circumstances(kind), sections) for kind, sections in whole.items()}
        RESULTS.write_text(page(new, RESULTS.read_text(encoding="utf-8")), encoding="utf-8")
    if chosen.json:
        Path(chosen.json).write_text(_as_json(chapters), encoding="utf-8")
    every = [figure for sections in chapters.values() for section in sections for figure in section.figures]
    return int(any("no" in figure.met for figure in every))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    listed = f"what to measure: {', '.join((*KINDS, *NAMES))}"
    parser.add_argument("names", nargs="*", choices=[*KINDS, *NAMES, []], metavar="name", help=listed)
    parser.add_argument("--quick", action="store_true", help="small numbers, one round: does it work at all?")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side is measured (default: 5)")
    parser.add_argument("--json", metavar="FILE", help="write the figures there as well")
    chosen = parser.parse_args(arguments)
    chosen.rounds = 1 if chosen.quick else chosen.rounds
    asked = set(chosen.names or KINDS)
    chosen.names = [name for name in NAMES if name in asked or name.split("_", 1)[0] in asked]
    return chosen


def _circumstances(kind: str) -> dict[str, str]:
    ask = f"select {'sqlite_version' if kind == 'sqlite' else 'version'}()"
    with Place(kind) as place:
        number = str(place.ask(ask)).removeprefix("PostgreSQL ").split()[0]
    return circumstances(f"{KINDS[kind]} {number}", PACKAGES[kind])


def _show(section: Section) -> None:
    for figure in section.figures:
        name, value, spread, target, met = figure.cells()
        print(f"  {name:<48} {value:>16}   {target:<22} {met.strip('*'):<4} {spread}", flush=True)


def _as_json(chapters: dict[str, list[Section]]) -> str:
    figures = {
        KINDS[kind]: {section.title: [dataclasses.asdict(figure) for figure in section.figures] for section in sections}
        for kind, sections in chapters.items()
    }
    told = {KINDS[kind]: _circumstances(kind) for kind in chapters}
    return json.dumps({"circumstances": told, "figures": figures}, indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
