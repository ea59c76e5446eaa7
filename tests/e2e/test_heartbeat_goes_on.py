"""A worker whose housekeeping waits for a row that others have locked is still known to live."""

from __future__ import annotations

import time

import psycopg
import pytest

LEASE = 6.0
"""Seconds, in place of fifteen."""


@pytest.mark.slow
def test_a_locked_row_of_the_statistics_does_not_make_a_worker_look_dead(postgres_url, project):
    """It is written before anything else that is due; a worker cut off in a transaction held such a row for seconds."""
    project.use(postgres_url)
    with psycopg.connect(postgres_url) as other, psycopg.connect(postgres_url, autocommit=True) as watch:
        other.execute("update lateshift.meta set value = 0 where name = 'folded_at'")
        worker = project.worker(lease=LEASE)
        ages, ends = [], time.monotonic() + 1.6 * LEASE
        while time.monotonic() < ends:
            age = (
                "select extract(epoch from clock_timestamp()) - heartbeat_at / 1e6 from lateshift.workers where id = %s"
            )
            ages.append(watch.execute(age, [worker.id]).fetchone()[0])
            time.sleep(0.1)
        other.rollback()
    assert max(ages) < LEASE
