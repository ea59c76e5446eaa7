"""A transaction whose program has vanished holds its locks for a few seconds only."""

from __future__ import annotations

import contextlib
import time

import pytest

from lateshift.errors import StorageError
from lateshift.storage import reads, writes
from lateshift.storage.server import ABANDONED


@pytest.mark.slow
def test_an_abandoned_transaction_lets_go_of_its_rows(steps, place):
    """What a worker held when its cable was cut can be taken back, long before the system gives the connection up."""
    if place.kind == "sqlite":
        pytest.skip("a file has no cable")
    job_id = steps.enqueue()
    cut_off = place.open()
    with contextlib.suppress(StorageError), cut_off.transaction():
        assert reads.locked_status(cut_off, job_id) == "pending"
        began = time.monotonic()
        assert writes.cancel(steps.db, job_id, steps.now) == "pending"
        assert 1.0 < time.monotonic() - began < ABANDONED + 3
    assert steps.status(job_id) == "cancelled"
