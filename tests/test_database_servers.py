"""The servers that other tests run on: they start, take a beating, and are gone afterwards."""

import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from unittest import SkipTest
from urllib.parse import urlsplit

import psutil
import psycopg
import pymysql
import pytest
from database_servers import MariadbServer, PostgresServer, ServerFailed, start_postgres
from server_process import is_alive


@pytest.fixture(params=["postgres_server", "mariadb_server"])
def server(request):
    """Each server in turn, and afterwards in working order."""
    server = own(request.getfixturevalue(request.param))
    yield server
    server.start()


@pytest.fixture
def database(server):
    """A database with a table and one row."""
    url = server.new_database()
    query(url, "create table kept (n int)")
    query(url, "insert into kept values (7)")
    yield url
    server.start()
    server.drop_database(url)


def own(server):
    if not server.ours:
        pytest.skip("This is about servers that are started here, and the environment names another.")
    return server


def connect(url, timeout=5):
    parts = urlsplit(url)
    if parts.scheme == "postgresql":
        return psycopg.connect(url, autocommit=True, connect_timeout=timeout)
    access = {"host": parts.hostname, "port": parts.port, "user": parts.username, "password": parts.password}
    limits = {"connect_timeout": timeout, "read_timeout": timeout}
    return pymysql.connect(**access, **limits, database=parts.path[1:], autocommit=True, ssl_disabled=True)


def query(url, statement, timeout=5):
    with closing(connect(url, timeout)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else None


def kept(url):
    return query(url, "select n from kept")[0][0]


def test_databases_are_new_and_apart(server, database):
    """What one test writes, the next does not see."""
    other = server.new_database()
    query(other, "create table kept (n int)")
    assert other != database
    assert len(query(other, "select n from kept")) == 0
    assert kept(database) == 7
    server.drop_database(other)


def test_dropping_does_not_wait_for_connections(server):
    """A connection that a test has left open does not keep its database."""
    url = server.new_database()
    left_open = connect(url)
    server.drop_database(url)
    with pytest.raises((psycopg.OperationalError, pymysql.OperationalError)):
        connect(url)
    left_open.close()


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_restart_keeps_port_and_data(server, database, mode):
    """After a restart it is another process, at the same address, with what was committed."""
    before = server.pid
    server.restart(mode)
    assert server.pid != before
    assert kept(database) == 7


def test_kill_and_start(server, database):
    """What was committed survives a SIGKILL, and nothing answers until the start."""
    server.kill()
    with pytest.raises((psycopg.OperationalError, pymysql.OperationalError)):
        connect(database)
    server.start()
    assert kept(database) == 7


def test_pause_and_resume(server, database):
    """A paused server takes no connection and loses none."""
    with closing(connect(database)) as connection, connection.cursor() as cursor:
        server.pause()
        with pytest.raises((psycopg.OperationalError, pymysql.OperationalError)):
            query(database, "select 1", timeout=1)
        server.resume()
        cursor.execute("select n from kept")
        assert cursor.fetchall()[0][0] == 7


def test_a_postgres_user_with_a_password(postgres_server, postgres_url):
    """The user `secret` gets in with the password only."""
    assert query(own(postgres_server).with_password(postgres_url), "select current_user") == [("secret",)]
    with pytest.raises(psycopg.OperationalError, match="password"):
        connect(postgres_url.replace("lateshift@", "secret:wrong@"))


def test_pgbouncer_pools_by_transaction(pgbouncer):
    """Its clients share server connections, so that a client's session is not its own."""
    url = pgbouncer.new_database()
    with closing(connect(url)) as one, closing(connect(url)) as two:
        backends = [client.execute("select pg_backend_pid()").fetchone() for client in (one, two)]
        assert backends[0] == backends[1]
        assert one.info.backend_pid != two.info.backend_pid
        assert one.info.backend_pid != backends[0][0]
    pgbouncer.restart()
    assert len(query(url, "select 1")) == 1
    pgbouncer.drop_database(url)


def test_a_server_of_somebody_else_is_left_alone(server, database):
    """A server known by its URL only gives databases; a test that would stop it is skipped."""
    theirs = type(server)(server.url)
    url = theirs.new_database()
    query(url, "select 1")
    theirs.drop_database(url)
    for harm in (theirs.restart, theirs.kill, theirs.pause, theirs.stop):
        with pytest.raises(SkipTest, match=r"127\.0\.0\.1 is not ours"):
            harm()
    assert kept(database) == 7


def test_what_the_server_said_when_it_did_not_start(postgres_server, servers_folder):
    """Whoever gives a setting that it does not know reads so in the exception."""
    assert own(postgres_server).pid
    with pytest.raises(ServerFailed, match="no_such_setting"):
        start_postgres(servers_folder, no_such_setting=1)


STARTER = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from database_servers import *
server = {start}(new_folder())
server.pause()
print(server.pid, server.process.folder, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_servers_go_with_the_process_that_started_them(server):
    """Even when that was killed, and they are paused: no process and no folder is left."""
    start = {PostgresServer: "start_postgres", MariadbServer: "start_mariadb"}[type(server)]
    script = STARTER.format(tests=str(Path(__file__).parent), start=start)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    pid, folder = done.stdout.split()
    deadline = time.monotonic() + 20
    while (psutil.pid_exists(int(pid)) and is_alive(psutil.Process(int(pid)))) or Path(folder).parent.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
