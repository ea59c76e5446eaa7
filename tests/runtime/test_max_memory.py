"""`--max-memory` below what a worker takes before its first job."""

from worker_here import store, worker_in


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
