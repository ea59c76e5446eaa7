"""Jobs for a crowd of workers. Importing this makes a worker count its claims, since nothing of ours does.

Each claim from a queue that had something due is a line in the file `claims-<pid>` of the folder BENCH_CLAIMS: how many
jobs it got, and how many transactions of this worker the database has broken up by then.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from lateshift.job import ExecutorKind
from lateshift.storage import writes
from lateshift.storage.database import Database
from lateshift.storage.reads import Lane


def nap(n: int) -> None:
    """Wait for something else for 5 to 15 milliseconds, as most jobs do."""
    time.sleep(0.005 + n % 11 / 1000)


def _count_claims(folder: str) -> None:
    file = (Path(folder) / f"claims-{os.getpid()}").open("a", buffering=1, encoding="ascii")
    take = writes.take

    def counted(
        db: Database,
        worker: str,
        now: int,
        lanes: Iterable[Lane],
        room: Mapping[ExecutorKind, int],
        most: int | None = None,
    ) -> writes.Taken:
        taken = take(db, worker, now, lanes, room, most)
        if lanes:
            file.write(f"{sum(map(len, taken))} {getattr(db, 'conflicts', 0)}\n")
        return taken

    writes.take = counted


if "BENCH_CLAIMS" in os.environ:
    _count_claims(os.environ["BENCH_CLAIMS"])
