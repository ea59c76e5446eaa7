"""What is known at the end of a run: the journals, the rows, what was left behind. The checker reads nothing else."""

from __future__ import annotations

import json
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


def gather(folder: Path, app: Lateshift, left: list[str]) -> Evidence:
    """The evidence of a run whose processes have ended."""
    lines = [journal.read(folder, name) for name in (journal.JOBS, journal.ENQUEUERS, journal.FAULTS)]
    return Evidence(read_rows(app), *lines, left)
