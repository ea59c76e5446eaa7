"""What a server refuses, and what is no such server: each is one clear line, without the password in it."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from database_servers import start_mariadb
from psycopg.errors import DiskFull
from servers_plugin import had, lend

from lateshift.errors import LateshiftError, SettingsError, StorageError, StorageUnavailable
from lateshift.settings import load_settings, mask_secrets
from lateshift.storage import mysql, open_database, postgres
from lateshift.storage.migrations import migrate
from lateshift.storage.workers import remove_worker

SECRET = "sesame"
NEW_ENOUGH = (
    "8.0.1-dmr",
    "8.4.3",
    "9.1.0",
    "8.0.mysql_aurora.3.04.0",
    "10.6.0-MariaDB",
    "5.5.5-10.11.6-MariaDB",
    "12.1.2-MariaDB",
)
NOWHERE = "127.0.0.1:1"


def refusal(url: str, expected: type[LateshiftError] = StorageUnavailable) -> str:
    """What the first use of this database says."""
    with pytest.raises(LateshiftError) as caught:
        open_database(load_settings(database_url=url), timeout=0.3, as_is=True).query("select 1")
    said = str(caught.value)
    assert type(caught.value) is expected, said
    assert "\n" not in said
    assert "Please report" not in said
    assert SECRET not in said
    return said


def address(url: str) -> str:
    """The host and port of a URL."""
    return re.search("@([^/]*)", url)[1]


@pytest.fixture(params=["postgres", "mariadb"])
def server(request):
    """Each of the servers."""
    return request.getfixturevalue(f"{request.param}_server")


def test_tls_that_is_asked_for_is_there_or_told_of(mariadb_server):
    """PyMySQL 1.1 took our `ssl={}` for none, and went on without."""
    url = f"{mariadb_server.url}?ssl=1"
    with contextlib.closing(open_database(load_settings(database_url=mariadb_server.url), as_is=True)) as database:
        told = dict(
            database.query("show variables like 'have_ssl'")
        )  # newer servers, which always have it, do not tell
    if told.get("have_ssl", "YES") != "YES":
        assert "SSL" in refusal(url)
        return
    with contextlib.closing(open_database(load_settings(database_url=url), as_is=True)) as database:
        assert database.query("show status like 'Ssl_cipher'")[0][1]


def scheme(server) -> str:
    return server.url.partition(":")[0]


def test_a_wrong_password(server):
    """It is told at once, with the user's name and the setting to correct."""
    user = "lateshift"
    if scheme(server) == "postgresql":
        user = "secret"
    said = refusal(re.sub("//.*@", f"//{user}:{SECRET}@", server.url))
    assert re.search(rf"(authentication failed|Access denied) for user .{user}", said)
    assert f"{user}:***@" in said
    assert "LATESHIFT_DATABASE_URL" in said


def test_a_missing_password(postgres_server):
    """A URL without the password that the server wants is told at once."""
    assert "no password" in refusal(re.sub("//.*@", "//secret@", postgres_server.url))


def test_an_unknown_database(server):
    """The name that is not there is told at once."""
    said = refusal(re.sub("/lateshift$", "/not_there", server.url))
    assert "'not_there'" in said.replace('"', "'")
    assert "create the user or the database on the server" in said


def test_an_unknown_database_behind_a_pooler(pgbouncer):
    """PgBouncer hands on what the server says."""
    assert "does not let us" in refusal(re.sub("/lateshift$", "/not_there", pgbouncer.url))


def test_a_right_that_is_missing(postgres_server, postgres_url):
    """Who may not make the schema learns that it is a matter of rights."""
    with user(postgres_server, postgres_url) as url:
        said = migration_refusal(url)
    assert "permission denied for database" in said
    assert "grant the missing right" in said


@contextlib.contextmanager
def user(server, url: str, options: str = "") -> Iterator[str]:
    """The URL of a user of PostgreSQL with no rights."""
    server.execute(f"create role guest_of_lateshift login {options}")
    try:
        yield re.sub("//.*@", "//guest_of_lateshift@", url)
    finally:
        server.execute("drop role guest_of_lateshift")


def migration_refusal(url: str) -> str:
    with pytest.raises(StorageUnavailable) as caught:
        migrate(open_database(load_settings(database_url=url), timeout=0.3, as_is=True))
    return str(caught.value)


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
@pytest.mark.parametrize(
    ("host", "said"),
    [(NOWHERE, "refused"), ("no.such.host.invalid", "[Nn]ame or service|resolve|nodename|getaddrinfo")],
)
def test_nobody_there(scheme, host, said):
    """A refused connection and a host without an address: what failed, how long was waited, what to check."""
    told = refusal(f"{scheme}://app:{SECRET}@{host}/jobs")
    assert re.search(said, told)
    assert "refused Is the server" not in told
    assert "within 0.3 s" in told
    assert "Check that it runs" in told
    assert f"app:***@{host}/jobs" in told


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
@pytest.mark.parametrize("rest", ["app:se/sesame@db/jobs", "app:sesame@db:port/jobs", "app:sesame@db:9999999/jobs"])
def test_a_url_that_cannot_be_read(scheme, rest):
    """A slash in the password, a port that is none: the message shows neither, and says how to write such."""
    assert "%2F for /" in refusal(f"{scheme}://{rest}", SettingsError)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:%zzsesame@db/jobs",
        "postgresql://app:sesame@db/jobs?colour=blue",
        "mysql://app:sesame@db/jobs?colour=blue",
        "mysql://app:sesame@db/jobs?ssl_ca=/not/there",
        "mysql://app:sesame@db",
    ],
)
def test_a_url_with_mistakes(url):
    """What a driver cannot read is an error of the settings that names the setting, and not the password."""
    assert "LATESHIFT_DATABASE_URL" in refusal(url, SettingsError)


def test_secrets_in_a_text_of_a_driver():
    """A password is hidden as it stands in the URL and as the driver has decoded it, and so is one in the query."""
    url = "postgresql://app:s%2Fe%20same@db/jobs?sslpassword=hush&application_name=jobs"
    text = 'user "app": password "s/e same" or "s%2Fe%20same", key "hush" of jobs'
    assert mask_secrets(text, url) == 'user "app": password "***" or "***", key "***" of jobs'
    assert mask_secrets("nothing to hide: a", "mysql://a@db/jobs") == "nothing to hide: a"


def test_a_password_that_is_a_name_as_well():
    """It hid what the server had said of user and database, which stand in the URL beside it."""
    url = "postgresql://shop:shop@db/shop"
    for said in ("permission denied for database shop", "denied to user 'shop'@'%' for table `shop`.`lateshift_jobs`"):
        assert mask_secrets(said, url) == said
    assert mask_secrets(f"cannot use {url}", url) == "cannot use postgresql://shop:***@db/shop"
    assert mask_secrets('Password: "shop"', url) == 'Password: "***"'


def test_too_many_connections(postgres_server, postgres_url):
    """What to do is another than where nobody answers; libpq has no SQLSTATE for it."""
    with user(postgres_server, postgres_url, "connection limit 0") as url:
        said = refusal(url)
    assert "has no connection left for us" in said
    assert "Raise its limit" in said


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1040, "no connection left"),
        (1203, "no connection left"),
        (1290, "can only be read"),
        (1836, "can only be read"),
        (28, "Free space"),
        (126, "Free space"),
        (1114, "Free space"),
    ],
)
def test_what_mysql_says_by_number(number, words):
    """As on PostgreSQL."""
    database = open_database(load_settings(database_url="mysql://app@db/jobs"), as_is=True)
    error = database.errors(number, "As the server has it")
    assert words in str(database.explain(database.judge(error), error))


def test_a_full_disk_of_postgres():
    """It was told to see whether the server runs."""
    database = open_database(load_settings(database_url="postgresql://app@db/jobs"), as_is=True)
    error = DiskFull("could not extend file: No space left on device")
    assert "cannot write its files" in str(database.explain(database.judge(error), error))


def test_a_server_that_is_there_and_takes_nothing(postgres_url):
    """Somebody else's lock, and a standby: it plainly can be reached."""
    settings = load_settings(database_url=postgres_url)
    with (
        contextlib.closing(open_database(settings, as_is=True)) as other,
        contextlib.closing(open_database(settings, timeout=0.3, patience=0.3)) as database,
    ):
        migrate(other)
        with other.transaction():
            other.execute("lock table lateshift_workers in access exclusive mode")
            with pytest.raises(StorageUnavailable, match=r"did not answer in time .* holds a lock on the jobs"):
                remove_worker(database, "nobody")
        name = postgres_url.rpartition("/")[2]
        other.execute(f'alter database "{name}" set default_transaction_read_only = on')
        with pytest.raises(StorageUnavailable, match=r"can only be read .* a standby"):
            remove_worker(database, "nobody")


def old(url: str, check, version) -> str:
    with pytest.raises(StorageError) as caught:
        check(version, url)
    return str(caught.value)


@pytest.mark.parametrize(
    ("version", "named"),
    [
        ("5.7.44-log", "MySQL 5.7.44-log; Lateshift needs 8.0.1"),
        ("8.0.0-dmr", "MySQL 8.0.0-dmr; Lateshift needs 8.0.1"),
        ("5.5.5-10.5.23-MariaDB", "MariaDB 10.5.23-MariaDB; Lateshift needs 10.6.0"),
        ("10.3.39-MariaDB-0+deb10u2", "MariaDB 10.3.39-MariaDB-0+deb10u2; Lateshift needs 10.6.0"),
        ("5.7.25-TiDB-v7.1.0", "is TiDB"),
        ("8.0.11-TiDB-v8.5.0", "is TiDB"),
    ],
)
def test_a_mysql_that_is_too_old(version, named):
    """Servers that do not skip locked rows are named with what would do instead."""
    assert named in old("mysql://db/jobs", mysql.refuse_old, version)


@pytest.mark.parametrize("version", NEW_ENOUGH)
def test_a_mysql_that_is_new_enough(version):
    """From MySQL 8.0.1 and MariaDB 10.6 on, whatever stands behind the number."""
    mysql.refuse_old(version, "mysql://db/jobs")


@pytest.fixture
def statement_log(servers_folder):
    """A MariaDB whose binary log has statements, as with old configurations."""
    options = {"log_bin": "binlog", "server_id": 1, "binlog_format": "STATEMENT"}
    yield from lend(had(lambda folder: start_mariadb(folder, **options), servers_folder))


def test_a_binary_log_of_statements(statement_log):
    """`migrate` says which of the server's settings to change, and works when it is changed."""
    database = open_database(load_settings(database_url=statement_log.new_database()), as_is=True)
    with pytest.raises(StorageUnavailable, match="Set binlog_format = MIXED or ROW there"):
        migrate(database)
    database.close()
    statement_log.execute("set global binlog_format = 'ROW'")
    migrate(database)
    database.close()


@pytest.mark.parametrize(("version", "named"), [(90624, "9.6"), (120017, "12.17")])
def test_a_postgres_that_is_too_old(version, named):
    """The server's version and the one that would do are named."""
    said = old("postgresql://db/jobs", postgres.refuse_old, version)
    assert f"PostgreSQL {named}; Lateshift needs 13 or newer" in said
    postgres.refuse_old(130000, "postgresql://db/jobs")


def test_a_url_as_sqlalchemy_has_it():
    """Its scheme has the driver behind it; the refusal shows the same without, not another kind of database."""
    assert "for example postgresql://USER:" in refusal("postgresql+psycopg://app:sesame@db/jobs", SettingsError)


@pytest.mark.parametrize(
    ("url", "module", "advice"),
    [
        ("postgresql://db/jobs", "psycopg", "pip install 'lateshift[postgres]'"),
        ("mysql://db/jobs", "pymysql", "pip install 'lateshift[mysql]'"),
        ("mysql+mysqldb://db/jobs", "MySQLdb", "pip install mysqlclient"),
    ],
)
def test_a_missing_driver(url, module, advice, tmp_path):
    """Without the driver the command line says in one line what to install, and ends with the database's code."""
    start = f"import sys; sys.modules[{module!r}] = None; from lateshift.cli import main; sys.exit(main(['list']))"
    done = subprocess.run(
        [sys.executable, "-c", start],
        env={"LATESHIFT_DATABASE_URL": url, "LATESHIFT_STORAGE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert advice in done.stderr
