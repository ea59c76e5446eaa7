"""A MariaDB database whose default is another character set than that of our tables."""

from __future__ import annotations

from contextlib import closing

import pytest

from lateshift import Lateshift
from lateshift.explain import explain
from lateshift.storage import reads, workers, writes
from lateshift.storage.settlements import Batch, Settlement

pytestmark = pytest.mark.parametrize("bare", ["mariadb"], indirect=True)

QUEUE, TEXT = "größe→漢", '"漢字 → 😀"'


@pytest.fixture(params=["latin1", "utf8mb3"])
def place(bare, request, mariadb_server):
    """A database as `create database` makes it on a server with this default, with our tables."""
    name = bare.url.rpartition("/")[2]
    mariadb_server.execute(f"alter database {name} character set {request.param}")
    bare.make_tables()
    return bare


def send() -> None:
    """A job."""


def test_the_path_of_jobs(steps, database):
    """They were stored, and no claim could find them; results came back with question marks."""
    steps.register("worker-1", queues=(QUEUE,))
    ids = steps.enqueue_many(3, queue=QUEUE, parameters=f'{{"text": {TEXT}}}')
    assert [(row.name, row.waiting) for row in reads.queues(database, steps.now)] == [(QUEUE, 3)]
    assert workers.look(database, [QUEUE])
    claimed = steps.claim()
    assert sorted(job.id for job in claimed) == sorted(ids)
    assert writes.settle(database, Batch([Settlement(job, steps.completed(TEXT)) for job in claimed])) == []
    assert {reads.get(database, id_).result for id_ in ids} == {TEXT.strip('"')}


def test_explaining_a_job(place):
    """And drawing the queues: both read the lanes."""
    with closing(Lateshift(database_url=place.url, allowed=[__name__], spawn="never")) as app:
        job_id = app.run_background_job(send, queue=QUEUE)
        assert explain(app, job_id).sentences
