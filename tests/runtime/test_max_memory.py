"""`--max-memory` below what a worker takes before its first job, and where nobody can tell what it takes."""

import sys

import pytest
from worker_here import store, worker_in

from lateshift.runtime.duties import Memory


def test_a_worker_that_has_had_no_job_is_not_replaced_for_its_memory(tmp_path):
    """Its successor would be as large: processes were started as fast as they ended. After a job it is."""
    with worker_in(tmp_path, allowed=["os"], max_memory=1) as worker:
        worker._memory.tick(0)
        worker.turn()
        assert worker._reason() is None
        store(worker, "os.getpid")
        worker.look_again()
        while not worker.ledger.ended:
            worker.turn()
            worker._wait()
        assert worker._reason() == "max memory"


@pytest.mark.skipif(sys.platform != "linux", reason="reads a file for it on Linux only")
def test_memory_that_cannot_be_read_is_no_mistake():
    """While a job has all open files of the process, each look printed a traceback."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        memory = Memory(1)
        memory.tick(0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert not memory.exceeded
    memory.tick(0)
    assert memory.exceeded
