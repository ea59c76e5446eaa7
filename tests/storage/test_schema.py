"""Migrations: from nothing to the latest, once, by whoever comes first, and never back."""

from __future__ import annotations

import hashlib
import re
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from server_process import find
from storage_steps import Place, Steps, everything

from lateshift.errors import SchemaTooNew, SchemaTooOld, StorageError
from lateshift.storage import migrations, reads, tallies, workers, writes
from lateshift.storage.migrations import migrate, pending, script, version
from lateshift.storage.mysql import mysql_dialect
from lateshift.storage.postgres import postgres_dialect
from lateshift.storage.schema import LATEST, MIGRATIONS, Migration
from lateshift.storage.sqlite_dialect import sqlite_dialect

TABLES = (
    *("jobs", "attempts", "logs", "workers", "queues", "meta"),
    *("tallies", "history", "groups", "failures", "requests", "trash", "audit", "marks"),
)

NEXT = Migration(
    LATEST + 1, "one more column each", tuple(f"alter table lateshift_{name} add extra {{int}}" for name in TABLES)
)
"""What a later version may do while this one's workers run."""

BROKEN = Migration(LATEST + 1, "broken", ("create table lateshift_meta_of_more (id {int})", "create nonsense"))


def more(monkeypatch, migration: Migration) -> None:
    """Let this be the version that has one more migration."""
    monkeypatch.setattr(migrations, "MIGRATIONS", (*MIGRATIONS, migration))
    monkeypatch.setattr(migrations, "LATEST", migration.number)


def at(place: Place, number: int):
    """The database at an earlier schema, to be migrated."""
    database = place.open(as_is=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrations, "MIGRATIONS", MIGRATIONS[:number])
        patch.setattr(migrations, "LATEST", number)
        assert migrate(database) == [step.number for step in MIGRATIONS[:number]]
    return database


SERVERS = pytest.mark.parametrize("bare", ["postgres", "mariadb"], indirect=True)


def run_by_hand(place: Place, sql: str) -> None:
    """Give a script to the database's own program, as somebody does who may do more than we."""
    url = urlsplit(place.url)
    path = url2pathname(url.path)
    account = [f"-h{url.hostname}", f"-P{url.port}", f"-u{url.username}", f"--password={url.password or ''}"]
    programs = {
        "sqlite": ["sqlite3", "-bail", path],
        "postgres": ["psql", "-X", "-v", "ON_ERROR_STOP=1", place.url],
        "mariadb": ["mysql", "--no-defaults", *account, url.path.strip("/")],
    }
    Path(path).parent.mkdir(exist_ok=True)
    program, *options = programs[place.kind]
    if not (found := find(program)):
        pytest.skip(f"{program} is not on this machine")
    done = subprocess.run([found, *options], input=sql, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def upgrade(place: Place) -> None:
    """Apply the migration of a later version, as its `lateshift migrate` does."""
    with pytest.MonkeyPatch.context() as patch:
        more(patch, NEXT)
        assert migrate(place.open(as_is=True)) == [NEXT.number]


def test_the_first_use_makes_the_tables(place):
    """An empty database is ready after the first question, at the latest schema."""
    database = place.open()
    assert reads.counts(database)["pending"] == 0
    assert version(database) == LATEST


def test_migrating_twice_applies_nothing(place):
    """What is up to date stays as it is."""
    database = place.open()
    assert migrate(database) == []
    assert migrate(place.open()) == []


def test_migrations_are_numbered_without_a_gap():
    """From 1 upwards, so that a number says what a database has."""
    assert [migration.number for migration in MIGRATIONS] == list(range(1, LATEST + 1))


def test_a_newer_schema_is_refused(place):
    """A program that is older than the database does not touch it, and says what to do."""
    database = place.open()
    with database.transaction():
        database.execute("update lateshift_meta set value = :value where name = 'schema'", {"value": LATEST + 1})
    old = place.open()
    for _ in range(2):
        with pytest.raises(SchemaTooNew) as error:
            reads.counts(old)
        assert f"schema {LATEST + 1}" in str(error.value)
        assert "Upgrade" in str(error.value)


def test_many_processes_make_the_tables_at_once(place):
    """Processes that meet an empty database together all find it complete, and none fails."""
    code = (
        "print('ready', flush=True)\nsys.stdin.readline()\nprint(reads.counts(db)['pending'], migrations.version(db))"
    )
    processes = [place.process(code) for _ in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate()[0] for process in processes] == [f"0 {LATEST}\n"] * 4


def test_many_processes_migrate_at_once(bare):
    """Of several that run `lateshift migrate` one applies it, the others wait and find it done."""
    code = (
        f"db = open_database(load_settings(database_url={bare.url!r}), as_is=True)\n"
        "print('ready', flush=True)\nsys.stdin.readline()\nprint(migrations.migrate(db))"
    )
    processes = [bare.process(code) for _ in range(6)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    told = sorted(process.communicate()[0] for process in processes)
    assert told == [f"{[step.number for step in MIGRATIONS]}\n", *["[]\n"] * 5]
    assert Steps(bare.open(), bare.clock).enqueue()


@SERVERS
def test_a_server_wants_to_be_migrated(bare):
    """Nothing makes tables on a server by itself: the first use says which command does."""
    with pytest.raises(SchemaTooOld, match=r"has no tables of Lateshift yet\. Run `lateshift migrate`"):
        Steps(bare.open(), bare.clock).enqueue()


def test_looking_changes_nothing(bare):
    """What is pending and its SQL can be read without a table being made."""
    database = bare.open(as_is=True)
    assert pending(database) == list(MIGRATIONS)
    assert "create table" in script(database)
    assert not database.exists() or not database.has_tables()
    assert pending(bare.open(as_is=True)) == list(MIGRATIONS)


def test_the_sql_makes_the_same_tables(bare):
    """What `migrate --sql` prints can be run by the database's own program, and then nothing is pending."""
    printed = script(bare.open(as_is=True))
    run_by_hand(bare, printed)
    database = bare.open(as_is=True)
    assert pending(database) == []
    assert script(database) == f"-- The database is up to date, at schema {LATEST}."
    steps = Steps(bare.open(), bare.clock)
    job_id = steps.enqueue()
    assert steps.claim_ids() == [job_id]


def test_a_broken_migration_leaves_nothing(place, monkeypatch):
    """Where the database can undo a table, a migration is there as a whole or not at all."""
    database = place.open(as_is=True)
    migrate(database)
    more(monkeypatch, BROKEN)
    with pytest.raises(StorageError, match="nonsense"):
        migrate(database)
    assert version(database) == LATEST
    if place.kind != "mariadb":
        monkeypatch.undo()
        more(monkeypatch, Migration(BROKEN.number, "the same table", BROKEN.statements[:1]))
        assert migrate(database) == [BROKEN.number]


@pytest.mark.parametrize("bare", ["mariadb"], indirect=True)
@pytest.mark.parametrize(
    ("number", "done"), [(m.number, done) for m in MIGRATIONS for done in range(1, len(m.statements) + 1)]
)
def test_an_interrupted_migration_of_mysql_is_finished(bare, number, done):
    """Each of its statements commits by itself; after a cut at any of them, `migrate` does the rest."""
    database = at(bare, number - 1)
    for statement in migrations.statements(database, MIGRATIONS[number - 1])[:done]:
        database.execute_schema(statement)
    assert version(database) == number - 1
    assert migrate(database) == [step.number for step in MIGRATIONS[number - 1 :]]
    steps = Steps(bare.open(), bare.clock)
    assert steps.status(steps.in_status("failed")) == "failed"


@SERVERS
def test_a_migration_waits_for_another_longer_than_for_an_answer(bare):
    """`lateshift migrate` has the patience that a large index asks for."""
    holder = bare.process(
        f"db = open_database(load_settings(database_url={bare.url!r}), as_is=True)\n"
        "import time\n"
        "db.alone(lambda: (print('locked', flush=True), time.sleep(float(sys.stdin.readline()))))"
    )
    assert holder.stdout.readline() == "locked\n"
    holder.stdin.write("2.5\n")
    holder.stdin.flush()
    began = time.monotonic()
    assert migrate(bare.open(as_is=True, timeout=1, patience=60))
    assert time.monotonic() - began > 1.5


def test_workers_of_the_version_before_go_on(place):
    """Who uses the database already works on while it gets a newer schema, also on a new connection."""
    old, other = Steps(place.open(), place.clock), Steps(place.open(), place.clock)
    waiting, running, unstarted = old.enqueue(), old.running(), old.running()
    other.register()
    upgrade(place)
    for _ in range(2):
        assert old.complete(old.running(), logs=["a line"])
        assert old.settle(old.running(), old.retry_in(5))
        old.db.close()
    assert old.complete(running)
    writes.release(old.db, [unstarted], old.now)
    assert workers.heartbeat(other.db, "worker-1", other.now)
    tallies.add(other.db, "worker-1", 1, [((1, "default", "app.jobs.send"), tallies.Sums(completed=1))])
    assert tallies.fold(other.db) == 1
    assert {waiting, unstarted.id} <= set(old.claim_ids())
    assert writes.pause_queue(old.db, "mail", old.now)


def test_a_new_process_refuses_the_newer_schema(place):
    """One that starts after the upgrade is told which version it has and which it knows."""
    Steps(place.open(), place.clock).enqueue()
    upgrade(place)
    with pytest.raises(SchemaTooNew, match=rf"has schema {LATEST + 1}, this Lateshift knows up to {LATEST}\. Upgrade"):
        Steps(place.open(), place.clock).enqueue()
    with pytest.raises(SchemaTooNew):
        pending(place.open(as_is=True))


NAMES = ("lateshift_jobs", "lateshift_my_jobs", "lateshift_my_", "jobs")


@pytest.mark.parametrize("name", NAMES)
def test_names_of_tables_that_look_like_ours(bare, name):
    """A schema or a prefix may be called as it likes, and two of them share a database."""
    for settings in ({"schema": name, "table_prefix": name}, {}):
        database = bare.open(as_is=True, **settings)
        migrate(database)
        steps = Steps(bare.open(**settings), bare.clock)
        job_id = steps.enqueue()
        assert steps.claim_ids() == [job_id]
        assert len(everything(steps.db)[0]) == 1


PINS = {
    ("sqlite", 1): "1ece56d9514c678d",  # released with 0.1.0
    ("postgres", 1): "55adeff6b0adc39d",  # not released before 0.2.0
    ("mysql", 1): "9e7a3d472060d8bc",  # not released before 0.2.0
    ("sqlite", 2): "1413f3ba9446a396",  # not released before 0.2.0
    ("postgres", 2): "ae93979d1feafceb",  # not released before 0.2.0
    ("mysql", 2): "c3e8c3f7a9396dfc",  # not released before 0.2.0
}


@pytest.mark.parametrize("dialect", [sqlite_dialect(), postgres_dialect(), mysql_dialect()], ids=lambda d: d.name)
@pytest.mark.parametrize("migration", MIGRATIONS, ids=lambda m: str(m.number))
def test_released_migrations_stay_as_they_are(dialect, migration):
    """What a database in use was made with is not changed afterwards."""
    rendered = "; ".join(dialect.render_schema(sql) for sql in migration.statements)
    found = hashlib.sha256(re.sub(r"\s+", " ", rendered).encode()).hexdigest()[:16]
    assert found == PINS.get((dialect.name, migration.number)), (
        "a released migration never changes: add a new one. Is it new, or not released yet? Then pin it here."
    )
