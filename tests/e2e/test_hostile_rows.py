"""What somebody who can write into the database can do: run nothing unlisted, and no harm to the neighbours."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest
from project import finished

from lateshift.host.fleet import host_name

DEEP = '{"label":' + "[" * 100_000 + "]" * 100_000 + "}"
HOSTILE = [
    ("parameters", DEEP),
    ("parameters", "not JSON"),
    ("parameters", "[1]"),
    ("parameters", b"caf\xe9"),
    ("name", b"app.jobs.caf\xe9"),
    ("name", "os.system"),
    ("name", "app.hostile.\x1b[2J\nnote"),
    ("options", DEEP),
]


def command_line(project, *words):
    """What a command says about the project's jobs."""
    return subprocess.run(
        [sys.executable, "-m", "lateshift", *words],
        cwd=project.folder,
        env=project.environment(),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(("column", "value"), HOSTILE, ids=lambda value: repr(value[:12]))
def test_a_hostile_row_fails_and_the_next_job_runs(project, column, value):
    """The worker lives on, the row ends as failed, and no terminal control reaches who looks at it."""
    app = project.app()
    bad = app.run_background_job("app.jobs.note", parameters={"label": "bad"}, max_retries=0)
    sql = f"update lateshift_jobs set {column} = cast(:value as text) where id = :id"
    app.database.execute(sql, {"value": value, "id": bad})
    good = app.run_background_job("app.jobs.note", parameters={"label": "good"})
    worker = project.worker()
    assert finished(app, good).status == "completed"
    assert finished(app, bad).status == "failed"
    assert worker.process.poll() is None
    assert project.journal() == ["good"]
    answer = command_line(project, "show", bad)
    assert "\x1b" not in answer.stdout + answer.stderr
    assert (answer.returncode, answer.stderr) == (0, "")


@pytest.mark.parametrize("forged", [{"folder": "/tmp/\0x"}, {"heartbeat_at": "soon"}, {"folder": b"\xff"}])
def test_a_forged_worker_keeps_nobody_from_enqueuing_and_working(project, forged):
    """Its row counts for what can be made of it, and the job is done by a runner."""
    app = project.app(spawn="auto")
    now = app.database.now()
    app.database.execute(
        "insert into lateshift_workers (id, kind, host, pid, folder, queues, version, started_at, heartbeat_at)"
        " values ('forged', 'worker', :host, 1, :folder, '[\"mail\"]', '1', :now, :heartbeat_at)",
        {"host": host_name(), "now": now, "folder": "/tmp/x", "heartbeat_at": now, **forged},
    )
    job_id = app.run_background_job("app.jobs.note", parameters={"label": "good"})
    assert finished(app, job_id).status == "completed"
    answer = command_line(project, "explain", job_id)
    assert (answer.returncode, answer.stderr) == (0, "")
    app.database.execute("delete from lateshift_workers where id = 'forged'")


def test_parameters_too_deep_for_the_command_line_are_refused(project):
    """`enqueue --params` with a hundred thousand brackets says what is wrong, in a line."""
    answer = command_line(project, "enqueue", "app.jobs.note", "--params", DEEP[:120_000])
    assert answer.returncode not in (0, 1)
    assert "Traceback" not in answer.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="modes of files are those of POSIX")
def test_files_are_the_users_own_also_under_a_permissive_umask(project):
    """Database, WAL, logs and locks are made 0600 and their folders 0700, whatever the umask."""
    before = os.umask(0)
    try:
        app = project.app()
        job = app.run_background_job("app.jobs.note", parameters={"label": "x"})
        project.worker()
        finished(app, job)
    finally:
        os.umask(before)
    storage = project.folder / "storage"
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in (storage, *storage.rglob("*"))}
    assert any(path.name.endswith("-wal") for path in found)
    assert {str(path): oct(mode) for path, mode in found.items() if mode & 0o077} == {}
