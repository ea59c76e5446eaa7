"""What a single call may change of its job's retry policy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import testing_jobs
from testing_jobs import choosy

from lateshift.testing import FrozenClock, drain, isolated

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("error", "status", "run_at"),
    [("ValueError", "failed", NOON), ("ConnectionError", "pending_retry", NOON + timedelta(seconds=7))],
)
def test_a_delay_of_a_call_leaves_the_job_its_exception_types(error, status, run_at):
    """How long to wait is the call's to say, and what is worth a retry the job's."""
    with isolated(allowed=[testing_jobs.__name__], clock=FrozenClock(NOON)):
        choosy.options(retry_delay=7).enqueue(error)
        [job] = drain()
    assert (job.status, job.run_at) == (status, run_at)
