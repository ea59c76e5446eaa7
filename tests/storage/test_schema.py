"""Migrations: from nothing to the latest, once, by whoever comes first, and never back."""

from __future__ import annotations

import pytest

from lateshift.errors import SchemaTooNew
from lateshift.storage import reads
from lateshift.storage.migrations import migrate, version
from lateshift.storage.schema import LATEST, MIGRATIONS


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


def test_the_jobs_outlive_a_migration(steps, place):
    """Opening a database again, as a newer program does, changes nothing in it."""
    job_id = steps.enqueue()
    migrate(steps.db)
    assert reads.status(place.open(), job_id) == "pending"


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
