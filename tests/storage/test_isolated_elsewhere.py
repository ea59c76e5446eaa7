"""`lateshift.testing` in a database of the program's own, as tests of jobs enqueued with `connection=` need it."""

from __future__ import annotations

import contextlib

import callers_connections as programs
import pytest

from lateshift.testing import FrozenClock, drain, enqueued_jobs, isolated


@pytest.fixture(params=[programs.Sqlite3, programs.Psycopg, programs.PyMysql])
def program(request, tmp_path):
    """A program with a database that has no tables of ours."""
    servers = {programs.Psycopg: "postgres_url", programs.PyMysql: "mariadb_url"}
    kind = request.param
    url = request.getfixturevalue(servers[kind]) if kind in servers else f"sqlite:///{tmp_path}/shop.db"
    with contextlib.closing(kind(url)) as program:
        program.do("create table orders (number int)")
        program.commit()
        yield program


def test_a_job_of_the_program_s_transaction(program):
    """Tables are made before the test begins, since a transaction of its own would be in their way."""
    given = {"database_url": program.url, "schema": "jobs_1", "table_prefix": "jobs_1_", "allowed": [programs.__name__]}
    with isolated(clock=FrozenClock(), **given) as app:
        program.order(7)
        program.enqueue(app, 7)
        program.commit()
        assert [(job.parameters, job.status) for job in drain()] == [({"number": 7}, "completed")]
    with isolated(**given):
        assert len(enqueued_jobs()) == 1
