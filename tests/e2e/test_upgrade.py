"""An upgrade without downtime: the database gets a newer schema while processes of this version work on it."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest
from project import finished, gone, until

from lateshift.storage import migrations, open_database, reads
from lateshift.storage.schema import LATEST, MIGRATIONS, Migration

NEXT = Migration(LATEST + 1, "one more column", ("alter table lateshift_jobs add extra {int}",))


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def upgraded(request, project):
    """The project on each database; what is applied to it at the end of the test is taken back."""
    before = project.settings["database_url"]
    if request.param != "sqlite":
        project.settings["database_url"] = request.getfixturevalue(f"{request.param}_url")
    database = open_database(project.app().settings, as_is=True)
    migrations.migrate(database)
    yield project
    project.settings["database_url"] = before
    if request.param == "sqlite":
        database.execute("update lateshift_meta set value = :latest where name = 'schema'", {"latest": LATEST})
    database.close()


def upgrade(project) -> None:
    """What `lateshift migrate` of the next version does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrations, "MIGRATIONS", (*MIGRATIONS, NEXT))
        patch.setattr(migrations, "LATEST", NEXT.number)
        database = open_database(project.app().settings, as_is=True)
        assert migrations.migrate(database) == [NEXT.number]
        database.close()


def test_a_worker_and_a_program_go_on(upgraded):
    """Both work on after the upgrade; a worker that starts then is refused, in one line."""
    app = upgraded.app()
    worker = upgraded.worker()
    first = app.run_background_job("app.jobs.add", parameters={"a": 1})
    assert finished(app, first).status == "completed"
    upgrade(upgraded)
    second = app.run_background_job("app.jobs.add", parameters={"a": 2})
    assert finished(app, second).status == "completed"
    late = subprocess.run(
        [sys.executable, "-m", "lateshift", "work", "--burst"],
        cwd=upgraded.folder,
        env=upgraded.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (late.returncode, late.stderr.count("\n")) == (5, 1)
    assert f"has schema {LATEST + 1}, this Lateshift knows up to {LATEST}" in late.stderr
    worker.kill()
    app.close()


def test_what_they_start_goes_on_as_well(upgraded):
    """A program that knew the database starts a runner, that a worker, and that an isolated job, which looks at it."""
    app = upgraded.app(spawn="auto", idle_exit=1.0)
    app.list_jobs()
    upgrade(upgraded)
    seen = app.run_background_job("app.jobs.isolated_count")
    assert finished(app, seen).result == 1
    [runner] = reads.workers(app.database)
    supervisor = psutil.Process(runner.pid).ppid()
    until(lambda: gone(supervisor), what="it to end while its server is there: it would look for that for minutes")
    app.close()
