"""`diagnose` on a database server: each thing that can be wrong there is provoked for real."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from project import until
from test_doctor import find, one

from lateshift.doctor import diagnose, exit_code, machine, server
from lateshift.storage import health, open_database
from lateshift.storage.migrations import migrate
from lateshift.storage.schema import LATEST

pytestmark = pytest.mark.slow

BOTH = pytest.mark.parametrize("database", ["postgres", "mariadb"], indirect=True)
POSTGRES = pytest.mark.parametrize("database", ["postgres"], indirect=True)


@pytest.fixture
def database(request, project) -> Iterator[str]:
    """The URL of an empty database of a server, which is the project's as long as it is there."""
    url = request.getfixturevalue(f"{request.param}_url")
    before = project.settings["database_url"]
    project.settings["database_url"] = url
    yield url
    project.settings["database_url"] = before


@pytest.fixture
def app(project, database):
    """The project's application object, on that database with our tables."""
    app = project.app()
    tables = open_database(app.settings, as_is=True)
    migrate(tables)
    tables.close()
    yield app
    app.close()


@pytest.fixture
def administrator(request, database):
    """The server, to run statements in that database as its administrator."""
    kind = "postgres" if database.startswith("postgresql") else "mariadb"
    server = request.getfixturevalue(f"{kind}_server")
    return type(server)(database)


def checked(project, name: str) -> tuple[str, str, str]:
    """The level, message and remedy of the one line of a check."""
    check = one(diagnose(**project.settings), name)
    return check.level, check.message, check.remedy


@BOTH
def test_a_server_in_order(project, app):
    """Nothing is wrong, nothing is said of files and SQLite, and the server is named with its version."""
    checks = diagnose(**project.settings)
    assert exit_code(checks) == 0
    warned = {check.name for check in checks if check.level == "warning"}
    assert warned <= {"workers", "durability"}  # the servers of the tests do not wait for the disk
    names = {check.name for check in checks}
    assert not names & {"sqlite", "file system", "connection"}
    assert names >= {"database", "schema", "waking", "indexes", "transactions", "disk space", "clock", "jobs"}
    told = one(checks, "database").message
    assert re.match(r"(PostgreSQL|MariaDB|MySQL) \d+\.\d+\S* at (postgresql|mysql)://lateshift(:\*\*\*)?@", told)
    assert re.search(r"can be read and written; a commit took [\d.]+ m?s$", told)
    assert one(checks, "schema").message == f"{LATEST}, the current one"
    assert one(checks, "clock").message.endswith(", as on the server")
    assert one(checks, "indexes").message == "all are there"


@BOTH
def test_commits_that_may_be_lost(project, app, database, administrator):
    """Each setting by which a stored job may be gone after a power cut is named, with what it should be."""
    found = {check.message.split()[0]: check for check in diagnose(**project.settings) if check.name == "durability"}
    if database.startswith("mysql"):
        if app.database.query("select @@innodb_flush_log_at_trx_commit") == [(1,)]:
            pytest.skip("this server waits for its disk")
        (check,) = found.values()
        assert "innodb_flush_log_at_trx_commit is 2 here: when the server's machine goes down" in check.message
        assert "set global innodb_flush_log_at_trx_commit = 1" in check.remedy
        return
    assert "synchronous_commit" not in found
    administrator.execute(f"alter database {database.rpartition('/')[2]} set synchronous_commit = off")
    told = [check.remedy for check in diagnose(**project.settings) if "synchronous_commit is off" in check.message]
    assert told == ["If that must not be: synchronous_commit = on, for the server, this database and this user."]


@BOTH
def test_looking_at_a_server_changes_nothing(project, app):
    """The check that writes undoes it, and a running doctor is no worker."""
    diagnose(**project.settings)
    assert app.database.query("select count(*) from lateshift_workers") == [(0,)]


@BOTH
def test_a_database_that_refuses_claims(project, app):
    """It is found before a job waits."""
    app.database.execute("alter table lateshift_jobs drop column executor")
    level, message, _ = checked(project, "database")
    assert (level, "executor" in message) == ("error", True)


@BOTH
def test_a_server_without_tables(project, database):
    """It is an error, since nothing makes them but `lateshift migrate`."""
    level, message, remedy = checked(project, "schema")
    assert (level, "has no tables of Lateshift yet" in message) == ("error", True)
    assert remedy.startswith("Run `lateshift migrate`")
    assert "***" in message or "@" in message


@BOTH
def test_a_server_with_a_newer_schema(project, app):
    """One line says that the package wants an upgrade."""
    with app.database.transaction():
        app.database.execute("update lateshift_meta set value = 999 where name = 'schema'")
    level, message, _ = checked(project, "database")
    assert (level, "has schema 999" in message, "Upgrade" in message) == ("error", True, True)


@BOTH
def test_a_server_that_does_not_answer(project, database, monkeypatch):
    """After a few seconds the database has its line, and what can be looked at without it is."""
    monkeypatch.setattr("lateshift.doctor.place.PATIENCE", 0.3)
    nowhere = re.sub(r"@[^/]*/", "@127.0.0.1:1/", database)
    checks = diagnose(**{**project.settings, "database_url": nowhere})
    assert [check.name for check in checks if check.level == "error"] == ["database"]
    assert "could not be reached" in one(checks, "database").message
    assert one(checks, "logs").level == "ok"


@BOTH
def test_how_workers_are_woken(project, app, database):
    """PostgreSQL tells them; MySQL and MariaDB are asked."""
    level, message, _ = checked(project, "waking")
    assert level == "ok"
    assert message == (
        "the server tells idle workers of new jobs (LISTEN)"
        if database.startswith("postgresql")
        else "idle workers look for jobs every 80 ms"
    )


@POSTGRES
def test_a_pooler_in_between(project, app, pgbouncer, database):
    """It is told as a fact, with what it means."""
    checks = diagnose(**{**project.settings, "database_url": pgbouncer.through(database)})
    assert exit_code(checks) == 0
    told = one(checks, "connection")
    assert (told.level, "goes through a pooler" in told.message) == ("ok", True)
    assert "look for jobs every" in one(checks, "waking").message


@POSTGRES
def test_a_listener_that_hears_nothing(project, app, monkeypatch):
    """A pooler that is not noticed swallows what the server tells: then there is a warning."""
    monkeypatch.setattr(server, "PATIENCE", 0.3)
    monkeypatch.setattr("lateshift.storage.postgres.PostgresDatabase.announce", lambda self: None)
    level, message, _ = checked(project, "waking")
    assert (level, "does not tell of new jobs" in message) == ("warning", True)


@BOTH
def test_a_clock_that_is_not_the_server_s(project, app, monkeypatch):
    """A host two seconds off is told that its logs will be, and that its jobs will not mind."""
    real = machine.time.time
    monkeypatch.setattr(machine.time, "time", lambda: real() - 600)
    level, message, remedy = checked(project, "clock")
    assert level == "warning"
    assert "is 10 min behind the server's. Jobs do not mind" in message
    assert "logs have other times" in message
    assert remedy == "Synchronise the clocks."


@contextmanager
def open_transaction(app) -> Iterator[None]:
    """Somebody reads something, and does not end his transaction."""
    with app.database.transaction():
        app.database.query("select count(*) from lateshift_jobs")
        app.database.execute("update lateshift_meta set value = value where name = 'runner_spawned_at'")
        yield


@BOTH
def test_a_transaction_that_does_not_end(project, app, database, monkeypatch):
    """It is named with its user, its age, and the statement that ends it, which does."""
    with open_transaction(app):
        assert checked(project, "transactions")[:2] == ("ok", "none has been open for 5 min")
        monkeypatch.setattr(server, "LONG_TRANSACTION", 0.05)
        _, message, remedy = until(lambda: (seen := checked(project, "transactions"))[0] == "warning" and seen)
    assert re.match(r"A transaction has been open for \d[\d.]* m?s \(process \d+, user lateshift, ", message)
    if database.startswith("postgresql"):
        assert "lateshift, idle in transaction)" in message
    assert re.search(r"End it: `(select pg_terminate_backend\(\d+\)|kill \d+);`", remedy)


@BOTH
def test_the_statement_that_ends_a_transaction_does(project, app, administrator, monkeypatch):
    """What the remedy names can be run as it stands."""
    monkeypatch.setattr(server, "LONG_TRANSACTION", 0.05)
    with pytest.raises(Exception, match=r"terminat|Lost|gone|could not"), open_transaction(app):
        time.sleep(0.2)  # InnoDB tells the same again to who asks within 100 ms: of the last test's transaction
        remedy = until(lambda: one(diagnose(**project.settings), "transactions").remedy)
        administrator.execute(re.search("End it: `(.*?);`", remedy)[1])
        app.database.query("select 1")

    def fine() -> bool:
        time.sleep(0.2)
        return checked(project, "transactions")[0] == "ok"

    assert until(fine)


def test_a_prepared_transaction_that_was_forgotten(project, request, servers_folder, monkeypatch):
    """One of a two-phase commit holds dead rows as well, and nobody sees it among the sessions."""
    from database_servers import start_postgres

    own = start_postgres(servers_folder, max_prepared_transactions=2)
    try:
        monkeypatch.setitem(project.settings, "database_url", own.url)
        db = open_database(project.app().settings, as_is=True)
        migrate(db)
        with pytest.raises(ZeroDivisionError), db.transaction():
            db.execute("update lateshift_meta set value = value where name = 'runner_spawned_at'")
            db.execute("prepare transaction 'it''s mine'")
            raise ZeroDivisionError
        monkeypatch.setattr(server, "LONG_TRANSACTION", 0.0)
        level, message, remedy = checked(project, "transactions")
        assert (level, "prepared transaction 'it''s mine', user lateshift" in message) == ("warning", True)
        own.execute(re.search("End it: `(.*?);`", remedy)[1])
        assert checked(project, "transactions")[0] == "ok"
        db.close()
    finally:
        monkeypatch.undo()
        own.kill()


@BOTH
def test_a_user_who_may_not_see_others(project, app, administrator, database):
    """He is told which right he lacks to be warned of others' transactions."""
    postgres = database.startswith("postgresql")
    user = "modest_of_lateshift"
    make = [f"create role {user} login", f"grant usage on schema lateshift to {user}"] if postgres else []
    make += [f"grant all on all tables in schema lateshift to {user}"] if postgres else []
    name = database.rpartition("/")[2]
    make = make or [f"create user {user}@'%'", f"grant all on {name}.* to {user}@'%'"]
    try:
        for statement in make:
            administrator.execute(statement)
        url = re.sub("//.*@", f"//{user}@", database)
        check = one(diagnose(**{**project.settings, "database_url": url}), "transactions")
        assert check.level == "ok"
        assert f"it lacks {'the role pg_read_all_stats' if postgres else 'the right PROCESS'}" in check.message
    finally:
        for statement in [f"drop owned by {user}", f"drop role {user}"] if postgres else [f"drop user {user}@'%'"]:
            administrator.execute(statement)


@POSTGRES
def test_dead_rows(project, app, administrator, monkeypatch):
    """A table that nothing clears is named with its numbers; so is what keeps autovacuum from it."""
    administrator.execute("alter table lateshift.jobs set (autovacuum_enabled = off)")
    monkeypatch.setattr(health, "DEAD_ROWS", 500)
    app.database.execute(
        "insert into lateshift_jobs (id, name, queue, executor, priority, status, run_at, max_retries, enqueued_at,"
        " parameters) select cast(n as text), 'x', 'q', 'thread', 1, 'failed', 1, 0, 1, '{}'"
        " from generate_series(1, 1200) as n"
    )
    app.database.execute("delete from lateshift_jobs where id <> '7'")
    app.database.close()  # a session tells what it did at its end
    until(lambda: health.dead_rows(app.database), what="the statistics")
    off, pile = find(diagnose(**project.settings), "dead rows")
    assert (off.level, off.remedy) == ("warning", "`alter table lateshift.jobs reset (autovacuum_enabled);`.")
    assert "lateshift.jobs is off" in off.message
    assert pile.level == "warning"
    assert "lateshift.jobs has 1,199 dead rows and 1 live" in pile.message
    administrator.execute(re.match("`(.*?);`", off.remedy)[1])
    administrator.execute(re.match("`(.*?);`", pile.remedy)[1])
    until(lambda: checked(project, "dead rows") == ("ok", "autovacuum clears them", ""))


@POSTGRES
def test_autovacuum_that_is_off(project, app, administrator):
    """The server's own setting counts as well."""
    for setting in health.VACUUM_SETTINGS:
        administrator.execute(f"alter system set {setting} = off")
    try:
        administrator.execute("select pg_reload_conf()")
        checks = until(lambda: [c for c in find(diagnose(**project.settings), "dead rows") if c.level == "warning"])
        assert [check.message.split(":")[1].split()[0] for check in checks] == ["autovacuum", "track_counts"]
        assert checks[0].remedy == "`alter system set autovacuum = on; select pg_reload_conf();`."
    finally:
        for setting in health.VACUUM_SETTINGS:
            administrator.execute(f"alter system reset {setting}")
        administrator.execute("select pg_reload_conf()")


def spoiled(project, administrator, *statements: str) -> list[tuple[str, str]]:
    """What is said of the indexes after these statements, as (message, remedy)."""
    for statement in statements:
        administrator.execute(statement)
    checks = find(diagnose(**project.settings), "indexes")
    assert {check.level for check in checks} == {"warning"}
    return [(check.message.split(":")[0], check.remedy) for check in checks]


@BOTH
def test_missing_indexes(project, app, administrator, database):
    """Each is named, with the statement that makes it again."""
    if database.startswith("postgresql"):
        drops = ["drop index lateshift.jobs_waiting", "alter table lateshift.jobs drop constraint jobs_pkey"]
    else:
        drops = [f"alter table lateshift_jobs drop index {name}" for name in ("lateshift_jobs_waiting", "id")]
    told = spoiled(project, administrator, *drops)
    assert [re.fullmatch(r"The index (lateshift_)?(\S+) is missing", message)[2] for message, _ in told] == [
        "jobs_waiting",
        "jobs_id",
    ]
    for _, remedy in told:
        administrator.execute(re.match("`(.*?);`", remedy)[1])
    assert checked(project, "indexes") == ("ok", "all are there", "")


@POSTGRES
def test_an_invalid_index(project, app, administrator):
    """One that a broken `create index concurrently` has left is of no use."""
    invalid = "update pg_index set indisvalid = false where indexrelid = 'lateshift.jobs_running'::regclass"
    [(message, remedy)] = spoiled(project, administrator, invalid)
    assert message == "The index jobs_running is there, but the database does not use it"
    administrator.execute(re.match("`(.*?);`", remedy)[1])
    assert checked(project, "indexes")[0] == "ok"


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_an_index_that_is_switched_off(project, app, administrator):
    """MariaDB can be told to ignore one, MySQL to make one invisible."""
    version = str(app.database.query("select version()"))
    off = "ignored" if "MariaDB" in version else "invisible"
    [(message, remedy)] = spoiled(
        project, administrator, f"alter table lateshift_jobs alter index lateshift_jobs_finished {off}"
    )
    assert "lateshift_jobs_finished is there, but" in message
    administrator.execute(re.match("`(.*?);`", remedy)[1])
    assert checked(project, "indexes")[0] == "ok"


def test_a_missing_index_of_a_file(project):
    """An SQLite database is looked at as well."""
    app = project.app()
    app.database.execute("drop index lateshift_jobs_waiting")
    level, message, remedy = checked(project, "indexes")
    assert (level, "lateshift_jobs_waiting is missing" in message) == ("warning", True)
    app.database.execute(re.match("`(.*?);`", remedy)[1])
    assert checked(project, "indexes")[0] == "ok"
    app.close()
