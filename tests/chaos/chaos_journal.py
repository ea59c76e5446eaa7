"""The journals that a run of the fault suite writes outside of the database: one line of JSON for each thing told.

A line is written by one `write` to a file opened for appending, so it is whole, and it is there when its writer is
killed in the next moment. `at` is the machine's monotonic clock, the same for all processes and moved by nobody; `wall`
is the writer's own clock.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

JOBS = "jobs.journal"
ENQUEUERS = "enqueuers.journal"
FAULTS = "faults.journal"


def folder() -> Path:
    """Where the journals of this run are, as its processes are told."""
    return Path(os.environ["CHAOS_JOURNALS"])


def tell(name: str, what: str, *, where: Path | None = None, **facts: Any) -> None:
    """Add a line to a journal."""
    line = {"at": time.monotonic(), "wall": time.time(), "pid": os.getpid(), "what": what, **facts}
    handle = os.open((where or folder()) / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, json.dumps(line).encode() + b"\n")
    finally:
        os.close(handle)


def read(where: Path, name: str) -> list[dict[str, Any]]:
    """All lines of a journal, oldest first."""
    path = where / name
    if not path.exists():
        return []
    return sorted(map(json.loads, path.read_bytes().splitlines()), key=lambda line: line["at"])
