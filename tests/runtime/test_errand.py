"""What an isolated job's process is told: which job, and what time it is, whatever becomes of the host's clock."""

from __future__ import annotations

import time

import pytest

from lateshift import Lateshift
from lateshift.job import Claimed
from lateshift.runtime.execution import Execution
from lateshift.runtime.executors.process import ProcessExecutor

HOUR = 3_600_000_000


@pytest.mark.parametrize("shift", [-HOUR, 0, HOUR])
def test_the_time_is_told_by_a_clock_that_nobody_sets(tmp_path, monkeypatch, shift):
    """That of the day may be set between the worker's word and the child's start: a retry was ten minutes late then."""
    app = Lateshift(database_url=f"sqlite:///{tmp_path}/lateshift.db", allowed=["app"], spawn="never")
    now = time.time_ns() // 1000
    execution = Execution(app.settings, lambda: now, lambda *_: None)
    executor = ProcessExecutor(1, execution, lambda _: True, lambda *_: None, app.settings, lambda *_: None)
    run = execution.begin(Claimed("1", 1, "app.jobs.add", "default", "process", 1, "{}", 1, 0, 3, 0, 0))
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + shift * 1000)
    errand = executor._errand(run)
    assert abs(time.monotonic_ns() // 1000 + errand.ahead - now) < 10_000_000
    app.close()
