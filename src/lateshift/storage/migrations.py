"""Bringing a database's schema up to date, and saying what that would do."""

from __future__ import annotations

from lateshift.errors import SchemaTooNew, SchemaTooOld
from lateshift.storage.database import Database
from lateshift.storage.schema import LATEST, MIGRATIONS, Migration

_goes_on = False


def go_on_with_newer() -> None:
    """Take a newer schema in this process: for those which another one of this version starts that works with it.

    What it starts after an upgrade, as a worker in the place of another, would leave the jobs to nobody.
    """
    global _goes_on  # noqa: PLW0603 - true of the process, whatever it opens
    _goes_on = True


def version(db: Database) -> int:
    """The number of the newest migration that the database has; 0 when it has no tables of ours."""
    if not db.has_tables():
        return 0
    rows = db.query("select value from lateshift_meta where name = 'schema'")
    return int(rows[0][0]) if rows else 0


def pending(db: Database) -> list[Migration]:
    """The migrations still to be applied. Raises SchemaTooNew."""
    present = version(db) if db.exists() else 0
    refuse_newer(db, present)
    return [migration for migration in MIGRATIONS if migration.number > present]


def migrate(db: Database) -> list[int]:
    """Apply what is pending, alone; returns the numbers that were applied. Raises SchemaTooNew."""
    if not pending(db):
        return []
    return db.alone(lambda: [_apply(db, migration) for migration in pending(db)])


def script(db: Database) -> str:
    """The SQL of what is pending, for somebody who runs it in the place of `migrate`. Raises SchemaTooNew."""
    steps = pending(db)
    if not steps:
        return f"-- The database is up to date, at schema {LATEST}."
    before, after = db.around_schema()
    parts = [f"{sql};" for sql in before]
    for step in steps:
        parts += [f"\n-- {step.number}: {step.title}\n", *(f"{sql};" for sql in statements(db, step))]
    return "\n".join([*parts, "", *(f"{sql};" for sql in after)]).strip()


def statements(db: Database, migration: Migration) -> list[str]:
    """What a migration does in this database's SQL, with the note that it was done."""
    noted = f"('schema', {migration.number})"
    note = f"insert into lateshift_meta (name, value) values {noted} {{on_conflict(name)}} value = {{new(value)}}"
    return [db.dialect.render_schema(sql) for sql in (*migration.statements, note)]


def refuse_newer(db: Database, present: int) -> None:
    """Raise SchemaTooNew when a newer Lateshift has made the schema, in a process that somebody starts anew."""
    if present > LATEST and not _goes_on:
        raise SchemaTooNew(
            f"The database {db.place} has schema {present}, this Lateshift knows up to {LATEST}. "
            "Upgrade the lateshift package in this environment."
        )


def refuse_other(db: Database) -> None:
    """Raise unless the schema is the current one. Raises SchemaTooNew, SchemaTooOld."""
    present = version(db)
    refuse_newer(db, present)
    if present < LATEST:
        state = f"has schema {present}, this Lateshift needs {LATEST}" if present else "has no tables of Lateshift yet"
        raise SchemaTooOld(f"The database {db.place} {state}. Run `lateshift migrate`; `--plan` shows what it does.")


def _apply(db: Database, migration: Migration) -> int:
    for statement in statements(db, migration):
        db.execute_schema(statement)
    return migration.number
