"""Measure Lateshift and its peers: `python3 dev.py bench [names...] [--quick] [--rounds N] [--json FILE]`.

Names: drain enqueue latency cold_start backlog footprint (default: all, which also writes RESULTS.md).
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

NAMES = ("drain", "enqueue", "latency", "cold_start", "backlog", "footprint")
RESULTS = Path(__file__).resolve().with_name("RESULTS.md")


def main(arguments: Sequence[str]) -> int:
    """Measure what was asked for; 1 when a target is missed."""
    chosen = _parse(arguments)
    names = chosen.names or NAMES
    sections = []
    for name in names:
        began = time.monotonic()
        print(f"{name} ...", flush=True)
        section = importlib.import_module(name).run(chosen.rounds, quick=chosen.quick)
        sections.append(section)
        _show(section)
        print(f"  ({time.monotonic() - began:.0f} s)", flush=True)
    if set(names) == set(NAMES) and not chosen.quick:
        RESULTS.write_text(page(sections), encoding="utf-8")
    if chosen.json:
        Path(chosen.json).write_text(_as_json(sections), encoding="utf-8")
    return int(any("no" in figure.met for section in sections for figure in section.figures))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="name", help="what to measure")
    parser.add_argument("--quick", action="store_true", help="small numbers, one round: does it work at all?")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side is measured (default: 5)")
    parser.add_argument("--json", metavar="FILE", help="write the figures there as well")
    chosen = parser.parse_args(arguments)
    chosen.rounds = 1 if chosen.quick else chosen.rounds
    return chosen


def _show(section: Section) -> None:
    for figure in section.figures:
        name, value, spread, target, met = figure.cells()
        print(f"  {name:<48} {value:>16}   {target:<22} {met.strip('*'):<4} {spread}", flush=True)


def _as_json(sections: Sequence[Section]) -> str:
    figures = {section.title: [dataclasses.asdict(figure) for figure in section.figures] for section in sections}
    return json.dumps({"circumstances": circumstances(), "figures": figures}, indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
