"""The commands on a database server, each as somebody types it."""

import os
import re
from urllib.parse import urlsplit

import psycopg
import pytest

from lateshift.settings import load_settings
from lateshift.storage import open_database
from lateshift.storage.dialect import TABLES
from lateshift.storage.schema import LATEST


@pytest.fixture(params=["postgres", "mariadb"])
def server(request, project, monkeypatch):
    """The project, on an empty database of a server."""
    url = request.getfixturevalue(f"{request.param}_url")
    monkeypatch.setenv("LATESHIFT_DATABASE_URL", url)
    monkeypatch.setenv("LATESHIFT_DATABASE_TIMEOUT", "0.3")
    return project


def refusal(project, *arguments, code=5):
    """The one line of a refused command."""
    result = project.invoke(*arguments, code=code)
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_before_the_tables_are_made(server):
    """Every command says which one makes the tables, and makes none itself."""
    for arguments in (["list"], ["enqueue", "app.jobs.quick"], ["work"], ["queues"]):
        told = refusal(server, *arguments)
        assert "has no tables of Lateshift yet. Run `lateshift migrate`" in told
    with_tables = open_database(load_settings(), as_is=True)
    assert not with_tables.has_tables()
    with_tables.close()


def test_work_on_a_database_that_may_only_be_read(project, postgres_url, monkeypatch):
    """It says so and ends; its workers died and were replaced for ever, also with --burst."""
    monkeypatch.setenv("LATESHIFT_DATABASE_URL", postgres_url)
    project.invoke("migrate")
    name = urlsplit(postgres_url).path.strip("/")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'alter database "{name}" set default_transaction_read_only = on')
    process = project.start("work", "--burst", "--processes", "1", env={"LATESHIFT_DATABASE_URL": postgres_url})
    try:
        out, err = process.communicate(timeout=30)
    finally:
        process.terminate()
        process.wait()
    assert (process.returncode, out) == (5, "")
    assert "read-only" in err


def test_migrate(server):
    """--plan and --sql only tell, migrate does it, and again there is nothing to do."""
    assert server.invoke("migrate", "--plan").stdout.startswith("Pending 1: jobs")
    sql = server.invoke("migrate", "--sql").stdout
    assert sql.count("create table") == len(TABLES)
    assert sql.rstrip().endswith(";")
    assert ("create schema if not exists" in sql) == os.environ["LATESHIFT_DATABASE_URL"].startswith("postgresql")
    assert server.invoke("migrate", "--plan").stdout.startswith("Pending 1: jobs")
    assert server.invoke("migrate").stdout.startswith("Applied 1: jobs")
    for option in ([], ["--plan"], ["--sql"]):
        assert f"The database is up to date, at schema {LATEST}." in server.invoke("migrate", *option).stdout
    assert "exclude each other" in refusal(server, "migrate", "--sql", "--plan", code=2)


def test_migrate_without_the_right(postgres_server, postgres_url, project, monkeypatch):
    """It names the option for a user with more rights to run it."""
    postgres_server.execute("create role clerk_of_lateshift login")
    monkeypatch.setenv("LATESHIFT_DATABASE_URL", re.sub("//.*@", "//clerk_of_lateshift@", postgres_url))
    try:
        assert "`lateshift migrate --sql` prints" in refusal(project, "migrate")
    finally:
        postgres_server.execute("drop role clerk_of_lateshift")


def test_a_job_from_end_to_end(server):
    """What works on a file works on a server: enqueue, run, show."""
    server.invoke("migrate")
    job_id = server.done("ProcessOrder", order_id=7)
    assert server.invoke_json("show", job_id)["result"] == {"order_id": 7}
    assert server.invoke_json("list")[0]["status"] == "completed"


def test_a_newer_schema(server):
    """A command or worker that starts after an upgrade is told to be upgraded as well, in one line."""
    server.invoke("migrate")
    database = open_database(load_settings(), as_is=True)
    database.execute("update lateshift_meta set value = 999 where name = 'schema'")
    database.close()
    for arguments in (["list"], ["work"], ["migrate"], ["migrate", "--plan"], ["migrate", "--sql"]):
        assert "has schema 999" in refusal(server, *arguments)
    [check] = [check for check in server.invoke_json("doctor", code=1) if check["level"] == "error"]
    assert (check["name"], "Upgrade the lateshift package" in check["message"]) == ("database", True)


def test_a_database_that_is_out_of_reach(server, monkeypatch):
    """Each way in which a server is not to be had is one line and the database's exit code, without the password."""
    url = os.environ["LATESHIFT_DATABASE_URL"]
    name = url.rpartition("/")[2]
    cases = {
        re.sub("//.*", f"//app:sesame@127.0.0.1:1/{name}", url): "refused",
        re.sub("//.*", f"//app:sesame@no.such.host.invalid/{name}", url): "Name or service|resolve|getaddrinfo",
        url.replace(name, "not_there"): "not_there",
    }
    for wrong, said in cases.items():
        monkeypatch.setenv("LATESHIFT_DATABASE_URL", wrong)
        for arguments in (["list"], ["migrate"], ["work"]):
            told = refusal(server, *arguments)
            assert re.search(said, told)
            assert "sesame" not in told
    monkeypatch.setenv("LATESHIFT_DATABASE_URL", re.sub("//.*", "//app:sesa/me@host/jobs", url))
    assert "me@host" not in refusal(server, "list", code=2)


def test_a_demo(server, tmp_path):
    """It runs there as well, and names the server, without its password, as what it is: no path."""
    server.invoke("migrate")
    url = os.environ["LATESHIFT_DATABASE_URL"]
    (tmp_path / "files").mkdir()
    (tmp_path / "files/one.py").write_text("x = 1\n")
    environment = {"LATESHIFT_DATABASE_URL": url, "LATESHIFT_SPAWN": "auto", "LATESHIFT_ALLOWED": "app.jobs"}
    told = server.run("demo", str(tmp_path / "files"), env={**environment, "LATESHIFT_DATABASE_TIMEOUT": "10"})
    assert re.search(rf"Database +{re.escape(re.sub(':pw@', ':***@', url))}\n", told)
    server.wait_for_runner_to_end()


def test_the_settings_that_init_writes(empty):
    """The comment on the database says how a server is named."""
    empty.invoke("init")
    written = (empty.folder / ".env").read_text()
    assert "postgresql://user:password@host/name" in written
    assert "`lateshift migrate` makes the tables" in written
