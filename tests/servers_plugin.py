"""The fixtures with a database server behind them: one of each kind for the whole run, started when first asked for.

LATESHIFT_TEST_POSTGRES_URL and LATESHIFT_TEST_MYSQL_URL put servers in their place that are there anyway.
"""

import os
import shutil

import pytest
from database_servers import (
    MariadbServer,
    PostgresServer,
    ServerMissing,
    new_folder,
    start_mariadb,
    start_pgbouncer,
    start_postgres,
)


@pytest.fixture(scope="session")
def servers_folder():
    """Where the servers keep their data; unlike pytest's own folders it is open to the user they run as."""
    folder = new_folder()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_server(servers_folder):
    """A PostgreSQL."""
    url = os.environ.get("LATESHIFT_TEST_POSTGRES_URL")
    yield from lend(PostgresServer(url) if url else had(start_postgres, servers_folder))


@pytest.fixture(scope="session")
def mariadb_server(servers_folder):
    """A MariaDB, or a MySQL that the environment names."""
    url = os.environ.get("LATESHIFT_TEST_MYSQL_URL")
    yield from lend(MariadbServer(url) if url else had(start_mariadb, servers_folder))


@pytest.fixture(scope="session")
def pgbouncer(servers_folder, postgres_server):
    """A PgBouncer in transaction mode, in front of `postgres_server`."""
    yield from lend(had(start_pgbouncer, servers_folder, postgres_server.url))


@pytest.fixture
def postgres_url(postgres_server):
    """A new, empty PostgreSQL database."""
    yield from new_database(postgres_server)


@pytest.fixture
def mariadb_url(mariadb_server):
    """A new, empty MariaDB database."""
    yield from new_database(mariadb_server)


def had(start, *arguments):
    """The server; without its programs a failure in the CI, and elsewhere a skip, which says how to get them."""
    try:
        return start(*arguments)
    except ServerMissing as missing:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(missing))


def lend(server):
    yield server
    if server.ours:
        server.kill()


def new_database(server, make=None):
    """One for a test, which may leave the server paused or dead."""
    url = (make or server.new_database)()
    yield url
    if server.ours:
        server.start()
    server.drop_database(url)
