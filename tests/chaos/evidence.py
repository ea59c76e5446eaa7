"""What is known at the end of a run: the journals, the rows, what was left behind. The checker reads nothing else."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import chaos_journal as journal

from lateshift import Lateshift

Line = dict[str, Any]

JOB_COLUMNS = "id, queue, executor, priority, status, lease, attempts, crashes, max_retries, worker, result, error_type"
ATTEMPT_COLUMNS = "job_id, lease, number, outcome, worker, error_type"


@dataclass(frozen=True)
class Row:
    """A job as it stands in the database, with its attempts; `result` is what it returned."""

    id: str
    queue: str
    executor: str
    priority: int
    status: str
    lease: int
    attempts: int
    crashes: int
    max_retries: int
    worker: str | None
    result: Any
    error_type: str | None
    label: str
    plan: str
    history: tuple[Try, ...] = ()


@dataclass(frozen=True)
class Try:
    """An attempt as the database has it; the one that completed has no row of its own."""

    job: str
    lease: int
    number: int
    outcome: str
    worker: str | None
    error_type: str | None


@dataclass(frozen=True)
class Evidence:
    """The journals, oldest line first, the jobs by id, and what was found left behind, in words."""

    rows: dict[str, Row]
    jobs: list[Line]
    enqueuers: list[Line]
    faults: list[Line]
    left: list[str] = field(default_factory=list)


def read_rows(app: Lateshift) -> dict[str, Row]:
    """All jobs of a database."""
    tries: dict[str, list[Try]] = {}
    for found in app.database.query(f"select {ATTEMPT_COLUMNS} from lateshift_attempts order by job_id, lease"):
        tries.setdefault(found[0], []).append(Try(*found))
    rows = {}
    for *values, parameters in app.database.query(f"select {JOB_COLUMNS}, parameters from lateshift_jobs"):
        given = json.loads(parameters)
        values[10] = values[10] and json.loads(values[10])
        rows[values[0]] = Row(*values, given["label"], given.get("plan", "ok"), tuple(tries.get(values[0], ())))
    return rows


def deaths(folder: Path) -> list[Line]:
    """The workers of whose end there is word: their supervisors', or their own.

    Some end themselves, by the fence or for lack of a database, when the machine is too busy for their heartbeats; some
    take too long to stop, and are killed; some are told to stop while the disk is full, and cannot write what they did.
    """
    told = "".join(path.read_text(errors="replace") for path in (*folder.glob("out/*"), *folder.glob("*/logs/runner*")))
    found = re.findall(r"\(process (\d+)\) (died with exit code \d+|was killed by \w+)", told)
    pids = dict(re.findall(r"worker (\S+) started as process (\d+)", told))
    unheard = re.findall(r"^lateshift: (\S+): .* It ends all the same;", told, re.MULTILINE)
    found += [(pids[worker], "could not say what it did") for worker in unheard if worker in pids]
    return [{"at": 0.0, "wall": 0.0, "pid": 0, "what": "death", "pids": [int(pid)], "how": how} for pid, how in found]


def gather(folder: Path, app: Lateshift, left: list[str]) -> Evidence:
    """The evidence of a run in a folder, whose processes have ended."""
    names = (journal.JOBS, journal.ENQUEUERS, journal.FAULTS)
    jobs, enqueuers, faults = (journal.read(folder / "journals", name) for name in names)
    return Evidence(read_rows(app), jobs, enqueuers, deaths(folder) + faults, left)
