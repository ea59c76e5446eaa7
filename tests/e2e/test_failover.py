"""A database that changes its place, or turns read-only for a while: nothing is lost, and the worker stays."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from database_servers import PostgresServer, postgres_programs, run, start_postgres
from project import finished, until
from server_process import ServerProcess, free_port, own_folder

from lateshift import Call
from lateshift.errors import StorageError

pytestmark = pytest.mark.slow


@pytest.fixture
def pair(servers_folder, tmp_path_factory):
    """A PostgreSQL, and a standby that has what is committed."""
    primary = start_postgres(servers_folder)
    with (Path(primary.process.folder) / "data/pg_hba.conf").open("a") as file:
        file.write("host replication all 127.0.0.1/32 trust\n")
    primary.execute("select pg_reload_conf()")
    programs, own, port = postgres_programs(servers_folder), own_folder(servers_folder, "standby"), free_port()
    of_primary = ["-h", "127.0.0.1", "-p", str(urlsplit(primary.url).port), "-U", "lateshift"]
    run(
        [str(programs / "pg_basebackup"), *of_primary, "-D", str(own / "data"), "-R", "-X", "stream", "-c", "fast"], own
    )
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": "200",
        "fsync": "off",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    url = f"postgresql://lateshift@127.0.0.1:{port}/lateshift"
    command = [str(programs / "postgres"), "-D", str(own / "data"), "-p", str(port), *options]
    standby = PostgresServer(url, ServerProcess(command, own, lambda: PostgresServer(url).execute("select 1")))
    standby.start()
    primary.execute("alter system set synchronous_standby_names = '*'")
    primary.execute("select pg_reload_conf()")
    yield primary, standby
    for server in (primary, standby):
        server.kill()


def test_a_standby_takes_over(pair, project):
    """With both in the URL, what runs is completed, and what is enqueued is run, by the worker that was there."""
    primary, standby = pair
    ports = [urlsplit(server.url).port for server in pair]
    project.use(f"postgresql://lateshift@127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}/lateshift")
    app, worker = project.app(), project.worker()
    ids = app.enqueue_many(Call("app.jobs.wait_for_file", parameters={"name": "go"}) for _ in range(4))
    until(lambda: len(project.journal()) == 4)
    primary.kill()
    standby.execute("select pg_promote()")
    later = app.run_background_job("app.jobs.add", parameters={"a": 1})
    assert finished(app, later).status == "completed"
    (project.folder / "go").touch()
    jobs = [finished(app, job_id) for job_id in ids]
    assert {(job.status, job.attempts, job.crashes) for job in jobs} == {("completed", 1, 0)}
    assert worker.process.poll() is None
    app.close()


def test_a_server_that_is_read_only_for_a_while(mariadb_server, mariadb_url, project):
    """As a demoted one is: enqueuing is refused in words, and what has run is reported when it can be written."""
    if not mariadb_server.ours:
        pytest.skip("The server is not ours to be made read-only.")
    name = mariadb_url.rpartition("/")[2]
    for statement in ("create user if not exists shop@'%' identified by 'pw'", f"grant all on {name}.* to shop@'%'"):
        mariadb_server.execute(statement)  # an administrator may write all the same
    project.use(mariadb_url.replace("//lateshift:", "//shop:"))
    app, worker = project.app(database_timeout=1), project.worker()
    ids = app.enqueue_many(Call("app.jobs.wait_for_file", parameters={"name": "go"}) for _ in range(4))
    until(lambda: len(project.journal()) == 4)
    mariadb_server.execute("set global read_only = 1")
    (project.folder / "go").touch()
    try:
        with pytest.raises(StorageError, match="--read-only"):  # after a second, in which the jobs have ended as well
            app.run_background_job("app.jobs.add", parameters={"a": 2})
        assert {app.get_job(job_id).status for job_id in ids} == {"running"}
    finally:
        mariadb_server.execute("set global read_only = 0")
    jobs = [finished(app, job_id) for job_id in ids]
    assert {(job.status, job.attempts, job.crashes) for job in jobs} == {("completed", 1, 0)}
    assert worker.process.poll() is None
    app.close()
